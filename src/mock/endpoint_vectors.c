/* SPDX-License-Identifier: Apache-2.0 */
/* POST /embeddings. What is more than a portion is made one portion a turn of the loop, as fast as
 * the client takes it: 2,048 vectors of 3,072 floats are 94 MB. */
#include "base/mem.h"
#include "dialect/json_write.h"
#include "mock/input.h"
#include "mock/mock_clock.h"
#include "mock/seal.h"
#include "mock/vector.h"
#include "mock/wire.h"

enum {
    PORTION_BYTES = 64 << 10,        /* a turn of the loop: a few milliseconds of work */
    /* of an answer that comes to harm as a whole: no more than the wire takes */
    STRUCK_MAX_BYTES = 128 << 20
};

struct vectors {
    const struct input_ask *ask;
    uint64_t seed;
    unsigned n, whole;               /* dimensions: said, and of the model */
    unsigned next;                   /* input */
    float *v;
    unsigned char *raw;
};

/* ---- writing ---- */

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

static void w_vector(struct json_writer *j, struct vectors *vs) {
    unsigned i = vs->next++;
    vector_of_text(vs->ask->list[i].text, vs->seed, vs->v, vs->whole, vs->n);
    jw(j, i ? SLICE(",{\"object\":\"embedding\",\"index\":")
            : SLICE("{\"object\":\"embedding\",\"index\":"));
    jw_int(j, i);
    jw(j, SLICE(",\"embedding\":"));
    if (vs->ask->is_base64) {
        w_base64(j, vs->v, vs->n, vs->raw);
    } else {
        w_floats(j, vs->v, vs->n);
    }
    jw(j, SLICE("}"));
}

static bool is_over(const struct vectors *vs) {
    return vs->next == vs->ask->n;
}

/* The next portion, the body's begin and end with the first and the last. 0 or -ERR_LIMIT. */
static int w_portion(struct buf *out, struct vectors *vs) {
    const struct input_ask *k = vs->ask;
    struct json_writer j = jw_begin(out);
    size_t end = out->len + PORTION_BYTES;
    jw(&j, vs->next == 0 ? SLICE("{\"object\":\"list\",\"data\":[") : SLICE(""));
    while (!is_over(vs) && out->len < end && j.rc == 0) {
        w_vector(&j, vs);
    }
    if (is_over(vs)) {
        jw(&j, SLICE("],\"model\":"));
        jw_string(&j, k->env.model);
        jw(&j, SLICE(",\"usage\":{\"prompt_tokens\":"));
        jw_int(&j, (int64_t)k->tokens);
        jw(&j, SLICE(",\"total_tokens\":"));
        jw_int(&j, (int64_t)k->tokens);
        jw(&j, SLICE("}}"));
    }
    return jw_end(&j);
}

/* ---- over several turns ---- */

struct making {
    struct owner owner;              /* first: an exchange's app pointer is looked at as one */
    struct mock_worker *worker;
    struct http_exchange *ex;
    struct timer timer;
    struct vectors vectors;          /* in the exchange's arena */
    struct head_facts facts;
    struct wire *wire;               /* with a fault, which strikes the whole: gathered first */
    struct buf gathered;
    uint64_t journal;
    int64_t start_ns;
    bool is_broken;
};

static void on_turn(struct timer *t, void *self);

static void next_turn(struct making *m) {
    mock_timer_start(m->worker, &m->timer, mock_now_ns(m->worker), on_turn, m);
}

static void start_answer(struct making *m, struct slice body) {
    struct header_set set;
    header_set_init(m->worker, &set, api_of(m->ex), SLICE("application/json"), &m->facts);
    struct http_response r = {200, set.items, set.count};
    if (m->wire) {
        wire_respond(m->wire, &r, body);
    } else {
        http_start(m->ex, &r, -1);
    }
}

/* m may be gone afterwards. */
static void gather(struct making *m) {
    if (w_portion(&m->gathered, &m->vectors) < 0) {
        m->is_broken = true;
        http_abort(m->ex);
    } else if (is_over(&m->vectors)) {
        start_answer(m, buf_slice(&m->gathered));
    } else {
        next_turn(m);
    }
}

/* m may be gone afterwards. */
static void pass_on(struct making *m, struct slice portion) {
    if (is_over(&m->vectors)) {
        http_cork(m->ex);
    }
    int written = http_write(m->ex, &portion, 1);
    if (written < 0) {
        return;                      /* on_cancel follows */
    }
    if (is_over(&m->vectors)) {
        http_end(m->ex);
    } else if (written > 0) {
        next_turn(m);
    }
}

static void on_turn(struct timer *t, void *self) {
    struct making *m = self;
    struct buf *out = &m->worker->out;
    (void)t;
    if (m->wire) {
        gather(m);
        return;
    }
    buf_reset(out);
    if (w_portion(out, &m->vectors) < 0) {
        m->is_broken = true;
        http_abort(m->ex);
        return;
    }
    pass_on(m, buf_slice(out));
}

static void making_writable(struct owner *self) {
    struct making *m = (struct making *)self;
    if (m->wire) {
        wire_writable(m->wire);
    } else if (!is_over(&m->vectors)) {
        next_turn(m);
    }
}

static void making_ended(struct owner *self, bool is_cancelled) {
    struct making *m = (struct making *)self;
    bool is_broken = m->is_broken || (m->wire && wire_is_cut(m->wire));
    const struct journal_answer a = {
        .status = 200, .tokens_in = -1, .tokens_out = -1, .first_token_ns = -1,
        .duration_ns = mock_now_ns(m->worker) - m->start_ns,
        .end = is_cancelled ? JOURNAL_CANCELLED
               : is_broken  ? JOURNAL_BROKEN : JOURNAL_COMPLETED};
    timer_stop(&m->timer);
    journal_close(m->worker->hub->journal, m->journal, &a);
    wire_free(&m->wire);
    buf_dispose(&m->gathered);
    mem_free(m);
}

/* All has been said by wire_respond. */
static void wire_goes_on(void *self) {
    (void)self;
}

/* Takes over the exchange, behind the first portion. */
static void make_later(struct mock_call *c, const struct vectors *vs, struct slice first) {
    static const struct owner_ops ops = {making_writable, making_ended};
    struct making *m = mem_zalloc(sizeof *m);
    m->owner.ops = &ops;
    m->worker = c->w;
    m->ex = c->ex;
    m->vectors = *vs;
    m->facts = c->facts;
    m->journal = c->journal;
    m->start_ns = c->start_ns;
    buf_init(&m->gathered, STRUCK_MAX_BYTES);
    m->wire = wire_of_call(c, wire_goes_on, m);
    c->ex->app = m;
    c->is_passed_on = true;
    if (m->wire) {
        (void)!buf_append(&m->gathered, first);
        next_turn(m);
    } else {
        start_answer(m, SLICE_NULL);
        pass_on(m, first);
    }
}

/* ---- the endpoint ---- */

static void answer_embeddings(struct mock_call *c) {
    struct mock_worker *w = c->w;
    struct arena *a = c->ex->arena;
    struct input_ask *k = arena_alloc(a, sizeof *k);
    if (!input_take(c, k, NULL, false)) {
        return;
    }
    unsigned usual = vector_dimensions(k->env.model);
    struct vectors vs = {.ask = k, .seed = c->o->seed};
    vs.n = k->dimensions > 0 ? (unsigned)k->dimensions : usual;
    vs.whole = vs.n > usual ? vs.n : usual;
    vs.v = arena_alloc(a, vs.whole * sizeof *vs.v);
    vs.raw = arena_alloc(a, vs.n * 4);
    buf_reset(&w->out);
    int rc = w_portion(&w->out, &vs);
    if (rc == 0 && !is_over(&vs)) {
        make_later(c, &vs, buf_slice(&w->out));
    } else {
        mock_respond_json(w, c->ex, rc < 0 ? 500 : 200, buf_slice(&w->out));
    }
}

void mock_endpoint_embeddings(struct mock_worker *w, struct http_exchange *ex) {
    struct mock_call c;
    if (mock_call_begin(&c, w, ex)) {
        answer_embeddings(&c);
    }
    mock_call_end(&c);
}
