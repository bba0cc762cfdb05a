/* SPDX-License-Identifier: Apache-2.0 */
#include "mock/knobs.h"

#include "base/json_scan.h"
#include "config/suggest.h"
#include "mock/hub.h"
#include "mock/law-private.h"

enum { KNOB_MAX_BYTES = 1 << 20 };

struct knob_source {
    const struct http_headers *headers;
    struct slice metadata;          /* raw JSON, or empty */
    struct arena *arena;
};

/* The text of a JSON string token, decoded; ptr NULL when it is none. */
static struct slice json_string(struct slice token, struct arena *a) {
    if (token.len < 2 || token.ptr[0] != '"') {
        return SLICE_NULL;
    }
    struct buf plain;
    buf_init(&plain, KNOB_MAX_BYTES);
    struct slice raw = slice_sub(token, 1, token.len - 2);
    struct slice text = SLICE_NULL;
    if (json_unescape(&plain, raw) == 0) {
        text = arena_dup(a, buf_slice(&plain));
    }
    buf_dispose(&plain);
    return text;
}

static struct slice knob(const struct knob_source *s, struct slice header, struct slice name) {
    struct slice value = http_headers_get(s->headers, header);
    struct json_member m;
    if (!value.ptr && s->metadata.len && json_find_member(s->metadata, name, &m)) {
        value = json_string(m.value, s->arena);
    }
    return value;
}
#define KNOB(s, name) knob(s, SLICE("x-penstock-" name), SLICE(name))

static const char *const knob_names[] = {
    "ttft", "itl", "tps", "burst", "prefill", "tokens", "text",
    "thinking", "cached", "stamp", "step", "session", "fault",
};
enum { KNOB_COUNT = sizeof knob_names / sizeof knob_names[0] };

static bool is_knob(struct slice name) {
    for (unsigned i = 0; i < KNOB_COUNT; i++) {
        if (slice_eq_nocase(name, slice_cstr(knob_names[i]))) {
            return true;
        }
    }
    return false;
}

static int refuse_name(struct slice name, struct err *e) {
    struct suggestion s;
    suggestion_init(&s, name);
    for (unsigned i = 0; i < KNOB_COUNT; i++) {
        suggestion_offer(&s, slice_cstr(knob_names[i]));
    }
    if (!s.nearest.ptr) {
        return err_set(e, ERR_USAGE, "x-penstock-%.*s: no such knob", SLICE_FMT(slice_sub(name, 0, 40)));
    }
    return err_set(e, ERR_USAGE, "x-penstock-%.*s: no such knob; did you mean x-penstock-%.*s?",
                   SLICE_FMT(name), SLICE_FMT(s.nearest));
}

/* A knob that nobody knows would be one that does nothing. */
static int check_names(const struct http_headers *headers, struct err *e) {
    static const struct slice prefix = {"x-penstock-", 11};
    for (unsigned i = 0; i < headers->count; i++) {
        struct slice name = headers->items[i].name;
        if (slice_eq_nocase(slice_sub(name, 0, prefix.len), prefix) &&
            !is_knob(slice_from(name, prefix.len))) {
            return refuse_name(slice_from(name, prefix.len), e);
        }
    }
    return 0;
}

static int read_law(struct slice text, const char *name, struct arena *a, struct law *io,
                    struct err *e) {
    const struct law_scope scope = {.arena = a};
    struct err why;
    if (!text.ptr || law_parse(text, &scope, io, &why) == 0) {
        return 0;
    }
    return err_set(e, ERR_USAGE, "x-penstock-%s: %s", name, why.text);
}

static int read_fault(const struct llm_request *rq, struct slice name, struct arena *a,
                      struct knobs *out, struct err *e) {
    if (!name.ptr && slice_starts_with(rq->env.model, SLICE("fault/"))) {
        name = slice_from(rq->env.model, 6);
    }
    if (!name.ptr) {
        return 0;
    }
    struct fault_use *use = arena_alloc(a, sizeof *use);
    int rc = fault_parse(name, use, NULL, e);
    use->is_asked = true;
    out->fault = rc < 0 ? NULL : use;
    return rc;
}

static int read_thinking(struct slice text, struct knobs *out, struct err *e) {
    static const struct {
        const char *word;
        enum reply_thinking thinking;
    } words[] = {{"0", REPLY_THINK_NOT}, {"1", REPLY_THINK_ALOUD}, {"redacted", REPLY_THINK_REDACTED}};
    if (!text.ptr) {
        return 0;
    }
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (slice_eq(text, slice_cstr(words[i].word))) {
            out->thinking = words[i].thinking;
            return 0;
        }
    }
    return err_set(e, ERR_USAGE, "x-penstock-thinking: '0', '1' or 'redacted' is wanted");
}

static int read_cached(struct slice text, struct knobs *out, struct err *e) {
    uint64_t n;
    if (!text.ptr) {
        return 0;
    }
    if (!slice_to_u64(text, UINT64_C(1000000000000), &n)) {
        return err_set(e, ERR_USAGE, "x-penstock-cached: a whole number of tokens is wanted");
    }
    out->cached = (int64_t)n;
    return 0;
}

static struct slice step_key(const struct mock_options *o, const struct llm_request *rq,
                             struct slice said) {
    if (said.ptr) {
        return said;
    }
    if (slice_starts_with(rq->user, SLICE("step:"))) {
        return slice_from(rq->user, 5);
    }
    if (!o->step) {
        return SLICE_NULL;
    }
    return rq->user.ptr ? rq->user : SLICE("");
}

static struct slice find_metadata(const struct llm_request *rq) {
    for (const struct field *f = rq->params; f; f = f->next) {
        if (slice_eq(f->key, SLICE("metadata")) && f->value.len && f->value.ptr[0] == '{') {
            return f->value;
        }
    }
    return SLICE_NULL;
}

static int read_speed(struct slice text, double *out, struct err *e) {
    double value;
    struct slice rest = text;
    if (!text.ptr) {
        return 0;
    }
    if (!law_number_parse(&rest, &value) || rest.len > 0 || value <= 0) {
        return err_set(e, ERR_USAGE, "x-penstock-tps: tokens a second are wanted, more than 0");
    }
    *out = value;
    return 0;
}

static int read_burst(struct slice text, struct knobs *out, struct err *e) {
    struct err why;
    out->has_burst = text.ptr != NULL;
    if (!text.ptr || burst_parse(text, &out->burst, &why) == 0) {
        return 0;
    }
    return err_set(e, ERR_USAGE, "x-penstock-burst: %s", why.text);
}

static int read_times(const struct knob_source *s, struct arena *a, struct knobs *out,
                      struct err *e) {
    struct slice ttft = KNOB(s, "ttft"), itl = KNOB(s, "itl"), prefill = KNOB(s, "prefill");
    out->has_ttft = ttft.ptr != NULL;
    out->has_itl = itl.ptr != NULL;
    out->has_prefill = prefill.ptr != NULL;
    if (read_law(ttft, "ttft", a, &out->ttft, e) < 0 || read_law(itl, "itl", a, &out->itl, e) < 0 ||
        read_law(prefill, "prefill", a, &out->prefill, e) < 0 ||
        read_burst(KNOB(s, "burst"), out, e) < 0) {
        return -ERR_USAGE;
    }
    return read_speed(KNOB(s, "tps"), &out->tps, e);
}

int knobs_read(const struct mock_options *o, const struct http_headers *headers,
               const struct llm_request *rq, struct arena *a, struct knobs *out, struct err *e) {
    const struct knob_source s = {headers, find_metadata(rq), a};
    *out = (struct knobs){.ttft = o->ttft,
                          .itl = o->itl,
                          .prefill = o->prefill,
                          .tokens = o->tokens,
                          .text = slice_cstr(o->text),
                          .cached = -1,
                          .stamp = o->stamp};
    struct slice tokens = KNOB(&s, "tokens"), text = KNOB(&s, "text"), stamp = KNOB(&s, "stamp");
    if (check_names(headers, e) < 0 || read_times(&s, a, out, e) < 0 ||
        read_fault(rq, KNOB(&s, "fault"), a, out, e) < 0 ||
        read_thinking(KNOB(&s, "thinking"), out, e) < 0 ||
        read_cached(KNOB(&s, "cached"), out, e) < 0) {
        return -ERR_USAGE;
    }
    if (tokens.ptr && !slice_to_u64(tokens, UINT64_C(1000000000000), &out->tokens)) {
        return err_set(e, ERR_USAGE, "x-penstock-tokens: a whole number of tokens is wanted");
    }
    out->text = text.ptr ? text : out->text;
    out->stamp = stamp.ptr ? slice_eq(stamp, SLICE("1")) : out->stamp;
    out->step_key = step_key(o, rq, KNOB(&s, "step"));
    if (out->step_key.len > STEP_KEY_BYTES) {
        return err_set(e, ERR_USAGE, "x-penstock-step: a key has at most %d bytes", STEP_KEY_BYTES);
    }
    return 0;
}
