/* SPDX-License-Identifier: Apache-2.0 */
/* Endpoints that answer from what the process knows: health, readiness, and small errors. */
#include <stdio.h>

#include "gateway/relay.h"

static unsigned usual_headers(struct worker *w, struct http_exchange *ex, struct http_header *h,
                              char id[REQUEST_ID_BYTES]) {
    memcpy(id, "req_", 4);
    rng_base62(loop_rng(w->loop), id + 4, 22);
    id[26] = 0;
    h[0] = (struct http_header){SLICE("content-type"), SLICE("application/json")};
    h[1] = (struct http_header){SLICE("x-request-id"), {id, 26}};
    h[2] = (struct http_header){SLICE("request-id"), {id, 26}};
    unsigned n = dialect_is_anthropic(endpoint_find(ex).client) ? 3 : 2;
    return n + guard_cors_headers(w, ex, h + n);
}

void answer_json(struct worker *w, struct http_exchange *ex, unsigned status, struct slice body) {
    struct http_header h[8];
    char id[REQUEST_ID_BYTES];
    unsigned n = usual_headers(w, ex, h, id);
    http_respond(ex, &(struct http_response){status, h, n}, body);
}

/* allow: of a 405; else NULL. */
static void answer(struct worker *w, struct http_exchange *ex, enum fault_id id, const char *param,
                   const char *message, const char *allow) {
    const struct fault *f = fault_get(id);
    struct http_header h[8];
    char request_id[REQUEST_ID_BYTES], retry_after[16];
    unsigned n = usual_headers(w, ex, h, request_id);
    if (f->retry_after_s) {
        snprintf(retry_after, sizeof retry_after, "%u", f->retry_after_s);
        h[n++] = (struct http_header){SLICE("retry-after"), slice_cstr(retry_after)};
    }
    if (allow)
        h[n++] = (struct http_header){SLICE("allow"), slice_cstr(allow)};
    const struct dialect *client = endpoint_find(ex).client;
    struct api_error er = fault_error(id, client, NULL, param, message);
    struct buf body;
    buf_init(&body, 4096);
    er.request_id = slice_make(request_id, 26);
    if (client->encode_error(&er, &body) < 0)
        buf_reset(&body);
    meter_add(&w->meter->providers[w->meter->n_providers].requests_by_end[f->end][0], 1);
    http_respond(ex, &(struct http_response){er.status, h, n}, buf_slice(&body));
    buf_dispose(&body);
}

void answer_fault(struct worker *w, struct http_exchange *ex, enum fault_id id, const char *param,
                  const char *message) {
    answer(w, ex, id, param, message, NULL);
}

void answer_not_allowed(struct worker *w, struct http_exchange *ex, const char *allow) {
    char message[300];
    snprintf(message, sizeof message, "Not allowed to %.*s on %.*s. Allowed: %s.",
             SLICE_FMT(slice_sub(ex->method_text, 0, 20)), SLICE_FMT(slice_sub(ex->path, 0, 150)),
             allow);
    answer(w, ex, FAULT_METHOD, NULL, message, allow);
}

/* Some clients probe the base URL before they ask for anything. */
void endpoint_root(struct worker *w, struct http_exchange *ex) {
    answer_json(w, ex, 200, SLICE("{\"name\":\"penstock\",\"status\":\"ok\"}\n"));
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
