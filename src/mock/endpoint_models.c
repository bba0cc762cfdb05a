/* SPDX-License-Identifier: Apache-2.0 */
/* Lists, in OpenAI's form or, for a client that sends anthropic-version, in Anthropic's. */
#include "dialect/model_list.h"
#include "http/url.h"
#include "mock/call.h"
#include "mock/fault_answer.h"

enum { SHOWN_BYTES = 200 };

static const char *const open_models[] = {"gpt-4o", "gpt-4o-mini", "mock"};
static const char *const anthropic_models[] = {"claude-opus-4-5", "claude-sonnet-4-5", "mock"};
enum { OPEN_COUNT = 3 };

bool mock_knows_model(const struct mock_options *o, struct slice model) {
    bool is_open = o->models_are == MOCK_MODELS_OPEN ||
                   (o->models_are == MOCK_MODELS_AUTO && o->n_models == 0);
    if (is_open) {
        return true;
    }
    for (unsigned i = 0; i < o->n_models; i++) {
        if (slice_eq(model, slice_cstr(o->models[i]))) {
            return true;
        }
    }
    return false;
}

static void w_model(struct json_writer *j, const struct mock_worker *w, bool is_anthropic,
                    struct slice id) {
    int64_t created_s = w->hub->started_wall_s;
    if (is_anthropic) {
        model_write_anthropic(j, id, created_s);
    } else {
        model_write_openai(j, id, SLICE("penstock-mock"), created_s);
    }
}

static void w_page(struct json_writer *j, const char *const *models, unsigned n) {
    jw(j, SLICE("],\"has_more\":false,\"first_id\":"));
    jw_string(j, slice_cstr(models[0]));
    jw(j, SLICE(",\"last_id\":"));
    jw_string(j, slice_cstr(models[n - 1]));
    jw(j, SLICE("}"));
}

static void answer_models(struct mock_call *c) {
    struct mock_worker *w = c->w;
    struct http_exchange *ex = c->ex;
    const struct mock_options *o = c->o;
    bool is_anthropic = api_of(ex)->is_anthropic;
    const char *const *models = o->n_models    ? o->models
                                : is_anthropic ? anthropic_models
                                               : open_models;
    unsigned n = o->n_models ? o->n_models : OPEN_COUNT;
    mock_call_journal(c, SLICE_NULL, false);
    mock_worker_scratch(&w->body);
    struct json_writer j = jw_begin(&w->body);
    jw(&j, is_anthropic ? SLICE("{\"data\":[") : SLICE("{\"object\":\"list\",\"data\":["));
    for (unsigned i = 0; i < n; i++) {
        jw(&j, i ? SLICE(",") : SLICE(""));
        w_model(&j, w, is_anthropic, slice_cstr(models[i]));
    }
    if (is_anthropic) {
        w_page(&j, models, n);
    } else {
        jw(&j, SLICE("]}"));
    }
    mock_respond_json(w, ex, jw_end(&j) < 0 ? 500 : 200, buf_slice(&w->body));
}

void mock_endpoint_models(struct mock_worker *w, struct http_exchange *ex) {
    struct mock_call c;
    if (mock_call_begin(&c, w, ex) && !fault_strikes_unasked(&c)) {
        answer_models(&c);
    }
    mock_call_end(&c);
}

/* What stands behind the collection's name, decoded; the text itself when its escapes are bad. */
static struct slice path_id(const struct http_exchange *ex, struct slice collection) {
    struct slice id = slice_from(api_path(ex->path), collection.len), plain;
    return url_decode(id, ex->arena, &plain) ? plain : id;
}

static void answer_model(struct mock_call *c) {
    struct mock_worker *w = c->w;
    struct http_exchange *ex = c->ex;
    struct slice id = path_id(ex, SLICE("/models/"));
    mock_call_journal(c, id, false);
    if (!mock_knows_model(c->o, id)) {
        mock_respond_simple_error(w, ex, 404, "model_not_found", "The model '%.*s' does not exist",
                                  (int)(id.len < SHOWN_BYTES ? id.len : SHOWN_BYTES), id.ptr);
        return;
    }
    mock_worker_scratch(&w->body);
    struct json_writer j = jw_begin(&w->body);
    w_model(&j, w, api_of(ex)->is_anthropic, id);
    mock_respond_json(w, ex, jw_end(&j) < 0 ? 500 : 200, buf_slice(&w->body));
}

void mock_endpoint_model(struct mock_worker *w, struct http_exchange *ex) {
    struct mock_call c;
    if (mock_call_begin(&c, w, ex) && !fault_strikes_unasked(&c)) {
        answer_model(&c);
    }
    mock_call_end(&c);
}
