/* SPDX-License-Identifier: Apache-2.0 */
/* POST /embeddings */
#include "dialect/json_write.h"
#include "mock/input.h"
#include "mock/seal.h"
#include "mock/vector.h"

/* Little endian, whatever the machine is. */
static void w_base64(struct json_writer *j, const float *v, size_t n, unsigned char *raw) {
    for (size_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, &v[i], sizeof bits);
        for (unsigned k = 0; k < 4; k++) {
            raw[i * 4 + k] = (unsigned char)(bits >> (8 * k));
        }
    }
    jw(j, SLICE("\""));
    if (j->rc == 0) {
        j->rc = base64_append(j->out, raw, n * 4);
    }
    jw(j, SLICE("\""));
}

static void w_floats(struct json_writer *j, const float *v, size_t n) {
    for (size_t i = 0; i < n && j->rc == 0; i++) {
        j->rc = buf_appendf(j->out, "%c%.9g", i ? ',' : '[', (double)v[i]);
    }
    jw(j, SLICE("]"));
}

static void w_vectors(struct json_writer *j, const struct mock_call *c, const struct input_ask *k) {
    unsigned usual = vector_dimensions(k->env.model);
    unsigned n = k->dimensions > 0 ? (unsigned)k->dimensions : usual, whole = n > usual ? n : usual;
    float *v = arena_alloc(c->ex->arena, whole * sizeof *v);
    unsigned char *raw = arena_alloc(c->ex->arena, n * 4);
    for (unsigned i = 0; i < k->n && j->rc == 0; i++) {
        vector_of_text(k->list[i].text, c->o->seed, v, whole, n);
        jw(j, i ? SLICE(",{\"object\":\"embedding\",\"index\":")
                : SLICE("{\"object\":\"embedding\",\"index\":"));
        jw_int(j, i);
        jw(j, SLICE(",\"embedding\":"));
        if (k->is_base64) {
            w_base64(j, v, n, raw);
        } else {
            w_floats(j, v, n);
        }
        jw(j, SLICE("}"));
    }
}

static void answer_embeddings(struct mock_call *c) {
    struct mock_worker *w = c->w;
    struct input_ask k;
    if (!input_take(c, &k, NULL, false)) {
        return;
    }
    mock_worker_scratch(&w->body);
    struct json_writer j = jw_begin(&w->body);
    jw(&j, SLICE("{\"object\":\"list\",\"data\":["));
    w_vectors(&j, c, &k);
    jw(&j, SLICE("],\"model\":"));
    jw_string(&j, k.env.model);
    jw(&j, SLICE(",\"usage\":{\"prompt_tokens\":"));
    jw_int(&j, (int64_t)k.tokens);
    jw(&j, SLICE(",\"total_tokens\":"));
    jw_int(&j, (int64_t)k.tokens);
    jw(&j, SLICE("}}"));
    mock_respond_json(w, c->ex, jw_end(&j) < 0 ? 500 : 200, buf_slice(&w->body));
}

void mock_endpoint_embeddings(struct mock_worker *w, struct http_exchange *ex) {
    struct mock_call c;
    if (mock_call_begin(&c, w, ex)) {
        answer_embeddings(&c);
    }
    mock_call_end(&c);
}
