/* SPDX-License-Identifier: Apache-2.0 */
/* Endpoints that answer from what the process knows: models, health, readiness, and small errors.
 * */
#include <stdio.h>

#include "base/json_scan.h"
#include "gateway/relay.h"

static unsigned usual_headers(struct worker *w, struct http_exchange *ex, struct http_header *h,
                              char id[REQUEST_ID_BYTES]) {
    memcpy(id, "req_", 4);
    rng_base62(loop_rng(w->loop), id + 4, 22);
    id[26] = 0;
    h[0] = (struct http_header){SLICE("content-type"), SLICE("application/json")};
    h[1] = (struct http_header){SLICE("x-request-id"), {id, 26}};
    return 2 + guard_cors_headers(w, ex, h + 2);
}

void answer_json(struct worker *w, struct http_exchange *ex, unsigned status, struct slice body) {
    struct http_header h[8];
    char id[REQUEST_ID_BYTES];
    unsigned n = usual_headers(w, ex, h, id);
    http_respond(ex, &(struct http_response){status, h, n}, body);
}

void answer_fault(struct worker *w, struct http_exchange *ex, enum fault_id id, const char *param,
                  const char *message) {
    const struct fault *f = fault_get(id);
    struct http_header h[8];
    char request_id[REQUEST_ID_BYTES], retry_after[16];
    unsigned n = usual_headers(w, ex, h, request_id);
    if (f->retry_after_s) {
        snprintf(retry_after, sizeof retry_after, "%u", f->retry_after_s);
        h[n++] = (struct http_header){SLICE("retry-after"), slice_cstr(retry_after)};
    }
    struct buf body;
    buf_init(&body, 4096);
    if (fault_body(id, NULL, param, message, &body) < 0)
        buf_reset(&body);
    meter_add(&w->meter->providers[w->meter->n_providers].requests_by_end[f->end][0], 1);
    http_respond(ex, &(struct http_response){f->status, h, n}, buf_slice(&body));
    buf_dispose(&body);
}

void endpoint_health(struct worker *w, struct http_exchange *ex) {
    answer_json(w, ex, 200, SLICE("{\"status\":\"ok\"}\n"));
}

void endpoint_ready(struct worker *w, struct http_exchange *ex) {
    if (atomic_load(&w->gateway->draining))
        answer_json(w, ex, 503, SLICE("{\"status\":\"draining\"}\n"));
    else
        answer_json(w, ex, 200, SLICE("{\"status\":\"ready\"}\n"));
}

static int append_model(struct buf *out, struct slice id, const char *owner, int64_t created) {
    int rc = buf_append(out, SLICE("{\"id\":\""));
    if (rc == 0)
        rc = json_escape(out, id);
    if (rc == 0)
        rc = buf_appendf(out, "\",\"object\":\"model\",\"created\":%lld,\"owned_by\":\"", (long long)created);
    if (rc == 0)
        rc = json_escape(out, slice_cstr(owner));
    return rc ? rc : buf_append(out, SLICE("\"}"));
}

static const char *owner_of(const struct worker *w, const struct config_model *m) {
    return w->gateway->config->providers[m->targets[0].provider].name;
}

/* A pattern is listed as it is written: it tells what may be asked for. The mock answers to any
 * name, so it is listed by one that works. */
static struct slice listed_name(const struct worker *w, const struct config_model *m) {
    struct slice name = slice_cstr(m->name), mock = SLICE("mock-1");
    bool is_mock = w->gateway->config->providers[m->targets[0].provider].is_mock;
    return m->is_glob && is_mock && slice_glob(name, mock) ? mock : name;
}

void endpoint_models(struct worker *w, struct http_exchange *ex) {
    const struct config *c = w->gateway->config;
    int64_t created = w->gateway->start_wall_ns / NS_PER_S;
    struct buf body;
    buf_init(&body, 16u << 20);
    int rc = buf_append(&body, SLICE("{\"object\":\"list\",\"data\":["));
    for (unsigned i = 0; rc == 0 && i < c->n_models; i++) {
        if (i)
            rc = buf_append_byte(&body, ',');
        if (rc == 0)
            rc = append_model(&body, listed_name(w, &c->models[i]), owner_of(w, &c->models[i]),
                              created);
    }
    if (rc == 0)
        rc = buf_append(&body, SLICE("]}"));
    if (rc == 0)
        answer_json(w, ex, 200, buf_slice(&body));
    else
        answer_fault(w, ex, FAULT_INTERNAL, NULL, "The list of models is too long.");
    buf_dispose(&body);
}

void endpoint_model(struct worker *w, struct http_exchange *ex) {
    struct slice id;
    const struct config_model *m = NULL;
    if (url_decode(slice_from(ex->path, strlen("/v1/models/")), ex->arena, &id) && id.len)
        m = config_route(w->gateway->config, id);
    else
        id = SLICE("");
    struct buf body;
    buf_init(&body, 64u << 10);
    if (!m) {
        char message[200];
        snprintf(message, sizeof message, "The model `%.*s` does not exist here. GET /v1/models lists what does.",
                 SLICE_FMT(slice_sub(id, 0, 100)));
        answer_fault(w, ex, FAULT_MODEL_NOT_FOUND, "model", message);
    } else if (append_model(&body, id, owner_of(w, m), w->gateway->start_wall_ns / NS_PER_S) == 0) {
        answer_json(w, ex, 200, buf_slice(&body));
    } else {
        answer_fault(w, ex, FAULT_INTERNAL, NULL, "The model's name is too long.");
    }
    buf_dispose(&body);
}
