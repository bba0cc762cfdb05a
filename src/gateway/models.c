/* SPDX-License-Identifier: Apache-2.0 */
/* GET /models and /models/{id}: the configured names, as OpenAI lists them, or as Anthropic does
 * for a client that sends anthropic-version. */
#include <stdio.h>

#include "dialect/model_list.h"
#include "gateway/relay.h"

/* Anthropic's pages: how many a page has unless asked, and at most. */
#define PAGE_DEFAULT 20
#define PAGE_MAX 1000

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

/* ---- one model ---- */

static int64_t created_s(const struct worker *w) {
    return w->gateway->start_wall_ns / NS_PER_S;
}

static void w_openai_model(struct json_writer *j, const struct worker *w, struct slice id,
                           const struct config_model *m) {
    model_write_openai(j, id, slice_cstr(owner_of(w, m)), created_s(w));
}

static void answer_written(struct worker *w, struct http_exchange *ex, struct json_writer *j) {
    if (jw_end(j) == 0)
        answer_json(w, ex, 200, buf_slice(j->out));
    else
        answer_fault(w, ex, FAULT_INTERNAL, NULL, "The list of models is too long.");
}

/* The name may hold slashes, percent-encoded or not. */
void endpoint_model(struct worker *w, struct http_exchange *ex) {
    struct slice id;
    const struct config_model *m = NULL;
    if (url_decode(w->match.rest, ex->arena, &id) && id.len)
        m = config_route(w->gateway->config, id);
    else
        id = SLICE("");
    if (!m) {
        char message[200];
        snprintf(message, sizeof message, "The model `%.*s` does not exist here. GET /v1/models lists what does.",
                 SLICE_FMT(slice_sub(id, 0, 100)));
        answer_fault(w, ex, FAULT_MODEL_NOT_FOUND, "model", message);
        return;
    }
    struct buf body;
    buf_init(&body, 64u << 10);
    struct json_writer j = jw_begin(&body);
    if (dialect_is_anthropic(w->match.client))
        model_write_anthropic(&j, id, created_s(w));
    else
        w_openai_model(&j, w, id, m);
    answer_written(w, ex, &j);
    buf_dispose(&body);
}

/* ---- the list ---- */

static void list_openai(struct worker *w, struct json_writer *j) {
    const struct config *c = w->gateway->config;
    jw(j, SLICE("{\"object\":\"list\",\"data\":["));
    for (unsigned i = 0; i < c->n_models; i++) {
        if (i)
            jw(j, SLICE(","));
        w_openai_model(j, w, listed_name(w, &c->models[i]), &c->models[i]);
    }
    jw(j, SLICE("]}"));
}

struct page {
    unsigned from, to;                   /* rows of config->models */
};

static int find_listed(const struct worker *w, struct slice id) {
    const struct config *c = w->gateway->config;
    for (unsigned i = 0; id.len && i < c->n_models; i++)
        if (slice_eq(listed_name(w, &c->models[i]), id))
            return (int)i;
    return -1;
}

static struct page page_of(const struct worker *w, struct http_exchange *ex) {
    unsigned n = w->gateway->config->n_models;
    uint64_t limit = PAGE_DEFAULT;
    struct slice asked = url_query_get(ex->query, SLICE("limit"), ex->arena);
    if (!slice_to_u64(asked, PAGE_MAX, &limit) || limit == 0)
        limit = PAGE_DEFAULT;
    int after = find_listed(w, url_query_get(ex->query, SLICE("after_id"), ex->arena));
    int before = find_listed(w, url_query_get(ex->query, SLICE("before_id"), ex->arena));
    struct page p = {.from = after < 0 ? 0 : (unsigned)after + 1, .to = n};
    if (before >= 0) {                   /* the page that ends before it */
        p.to = (unsigned)before;
        p.from = p.to > limit ? p.to - (unsigned)limit : 0;
    } else if (p.to - p.from > limit) {
        p.to = p.from + (unsigned)limit;
    }
    return p;
}

static void w_id(struct json_writer *j, const struct worker *w, struct page p, unsigned row) {
    if (p.from < p.to)
        jw_string(j, listed_name(w, &w->gateway->config->models[row]));
    else
        jw(j, SLICE("null"));
}

static void list_anthropic(struct worker *w, struct http_exchange *ex, struct json_writer *j) {
    const struct config *c = w->gateway->config;
    struct page p = page_of(w, ex);
    bool goes_back = url_query_get(ex->query, SLICE("before_id"), ex->arena).len > 0;
    bool has_more = goes_back ? p.from > 0 : p.to < c->n_models;
    jw(j, SLICE("{\"data\":["));
    for (unsigned i = p.from; i < p.to; i++) {
        if (i > p.from)
            jw(j, SLICE(","));
        model_write_anthropic(j, listed_name(w, &c->models[i]), created_s(w));
    }
    jw(j, has_more ? SLICE("],\"has_more\":true,\"first_id\":")
                   : SLICE("],\"has_more\":false,\"first_id\":"));
    w_id(j, w, p, p.from);
    jw(j, SLICE(",\"last_id\":"));
    w_id(j, w, p, p.to - 1);
    jw(j, SLICE("}"));
}

void endpoint_models(struct worker *w, struct http_exchange *ex) {
    struct buf body;
    buf_init(&body, 16u << 20);
    struct json_writer j = jw_begin(&body);
    if (dialect_is_anthropic(w->match.client))
        list_anthropic(w, ex, &j);
    else
        list_openai(w, &j);
    answer_written(w, ex, &j);
    buf_dispose(&body);
}
