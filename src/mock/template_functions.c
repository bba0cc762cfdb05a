/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "dialect/json_text.h"
#include "dialect/request_read.h"
#include "mock/template-private.h"

enum {
    MAX_PATH_STEPS = 32,
    VALUE_MAX_BYTES = SCENARIO_ANSWER_BYTES
};

/* What no answer has room for is not copied. */
static int say(struct template_filling *f, struct slice text) {
    return buf_append(&f->value, slice_sub(text, 0, VALUE_MAX_BYTES));
}

static int write_user(const struct template_piece *p, struct template_filling *f) {
    (void)p;
    return say(f, view_user(&f->view));
}

static int write_system(const struct template_piece *p, struct template_filling *f) {
    (void)p;
    return say(f, view_system(&f->view));
}

static int write_result(const struct template_piece *p, struct template_filling *f) {
    (void)p;
    return say(f, view_result(&f->view));
}

static int write_model(const struct template_piece *p, struct template_filling *f) {
    (void)p;
    return say(f, f->facts->in->rq->env.model);
}

static int write_dialect(const struct template_piece *p, struct template_filling *f) {
    (void)p;
    return buf_append(&f->value, slice_cstr(f->facts->in->dialect->name));
}

static int write_session(const struct template_piece *p, struct template_filling *f) {
    (void)p;
    return say(f, f->facts->in->session);
}

static int write_scenario(const struct template_piece *p, struct template_filling *f) {
    (void)p;
    return say(f, f->facts->scenario);
}

static int write_n(const struct template_piece *p, struct template_filling *f) {
    (void)p;
    return buf_appendf(&f->value, "%" PRIu64, f->facts->n);
}

static int write_turn(const struct template_piece *p, struct template_filling *f) {
    (void)p;
    return buf_appendf(&f->value, "%" PRId64, view_turn(&f->view));
}

static const char *compile_text(struct arena *a, const struct slice *words, unsigned n,
                                struct template_piece *p) {
    (void)a;
    p->text = n ? words[0] : SLICE("");
    return NULL;
}

static int write_header(const struct template_piece *p, struct template_filling *f) {
    return say(f, http_headers_get(f->facts->in->headers, p->text));
}

static bool compile_number(struct slice text, int64_t *out) {
    bool negative = slice_starts_with(text, SLICE("-"));
    uint64_t n;
    if (!slice_to_u64(slice_from(text, negative), INT64_C(1000000000000000), &n)) {
        return false;
    }
    *out = negative ? -(int64_t)n : (int64_t)n;
    return true;
}

static const char *compile_random(struct arena *a, const struct slice *words, unsigned n,
                                  struct template_piece *p) {
    (void)a;
    (void)n;
    bool ok = compile_number(words[0], &p->low) && compile_number(words[1], &p->high) &&
              p->low <= p->high;
    return ok ? NULL : "{{random LOW HIGH}} wants two whole numbers, the lower one first";
}

static int write_random(const struct template_piece *p, struct template_filling *f) {
    uint64_t width = (uint64_t)(p->high - p->low) + 1;
    return buf_appendf(&f->value, "%" PRId64, p->low + (int64_t)rng_below(f->facts->rng, width));
}

static int write_uuid(const struct template_piece *p, struct template_filling *f) {
    uint64_t a = rng_next(f->facts->rng), b = rng_next(f->facts->rng);
    (void)p;
    a = (a & ~UINT64_C(0xf000)) | UINT64_C(0x4000);
    b = (b & ~(UINT64_C(3) << 62)) | UINT64_C(2) << 62;
    return buf_appendf(&f->value, "%08" PRIx64 "-%04" PRIx64 "-%04" PRIx64 "-%04" PRIx64
                       "-%012" PRIx64, a >> 32, a >> 16 & 0xffff, a & 0xffff, b >> 48,
                       b & UINT64_C(0xffffffffffff));
}

static const char *compile_now(struct arena *a, const struct slice *words, unsigned n,
                               struct template_piece *p) {
    (void)a;
    p->text = n ? words[0] : SLICE("");
    bool ok = n == 0 || slice_eq(words[0], SLICE("unix")) || slice_eq(words[0], SLICE("ms"));
    return ok ? NULL : "{{now}} is followed by nothing, `unix` or `ms`";
}

static int write_now(const struct template_piece *p, struct template_filling *f) {
    int64_t ns = f->facts->in->wall_ns;
    char text[CLOCK_TEXT_BYTES];
    if (slice_eq(p->text, SLICE("unix"))) {
        return buf_appendf(&f->value, "%" PRId64, ns / NS_PER_S);
    }
    if (slice_eq(p->text, SLICE("ms"))) {
        return buf_appendf(&f->value, "%" PRId64, ns / NS_PER_MS);
    }
    clock_utc_text(ns / NS_PER_S, text);
    return buf_append(&f->value, slice_cstr(text));
}

/* ---- paths into the body: request.messages[0].content, request["a.b"], request.tools[-1] ---- */

static size_t word_end(struct slice path, size_t at) {
    while (at < path.len && path.ptr[at] != '.' && path.ptr[at] != '[') {
        at++;
    }
    return at;
}

/* A step in brackets at path[at]; returns where it ends, 0 when it is none. */
static size_t compile_bracket(struct slice path, size_t at, struct template_step *out) {
    struct slice rest = slice_from(path, at + 1);
    ptrdiff_t end = slice_index(rest, ']');
    if (end <= 0) {
        return 0;
    }
    struct slice inner = slice_sub(rest, 0, (size_t)end);
    bool is_quoted = inner.len >= 2 && (inner.ptr[0] == '\'' || inner.ptr[0] == '"') &&
                     inner.ptr[inner.len - 1] == inner.ptr[0];
    if (is_quoted) {
        out->key = slice_sub(inner, 1, inner.len - 2);
    } else if (!compile_number(inner, &out->index)) {
        return 0;
    }
    return at + (size_t)end + 2;
}

static const char *compile_json(struct arena *a, const struct slice *words, unsigned n,
                                struct template_piece *p) {
    struct template_step *steps = arena_alloc(a, sizeof *steps * MAX_PATH_STEPS);
    struct slice path = words[0];
    size_t at = word_end(path, 0);
    bool ok = n == 1 && slice_eq(slice_sub(path, 0, at), SLICE("request"));
    while (ok && at < path.len && p->n_steps < MAX_PATH_STEPS) {
        struct template_step *s = &steps[p->n_steps++];
        size_t start = at;
        if (path.ptr[at] == '[') {
            at = compile_bracket(path, at, s);
            ok = at > 0;
            continue;
        }
        at = word_end(path, start + 1);
        s->key = slice_sub(path, start + 1, at - start - 1);
        ok = s->key.len > 0;
        if (ok && compile_number(s->key, &s->index)) {
            s->key = SLICE_NULL;
        }
    }
    p->steps = steps;
    return ok && at >= path.len ? NULL
                                : "{{json PATH}} wants a path such as request.metadata.x or "
                                  "request.messages[0].content";
}

static struct slice element_at(struct slice array, int64_t index) {
    struct json_walk w = json_walk_begin(array);
    struct slice value;
    int64_t count = 0;
    if (!json_text_is(array, '[')) {
        return SLICE_NULL;
    }
    while (index < 0 && json_walk_element(&w, &value)) {
        count++;
    }
    index = index < 0 ? index + count : index;
    w = json_walk_begin(array);
    while (index >= 0 && json_walk_element(&w, &value)) {
        if (index-- == 0) {
            return value;
        }
    }
    return SLICE_NULL;
}

static struct slice follow(const struct template_piece *p, const struct template_facts *f) {
    struct slice value = f->in->body;
    size_t start = json_text_skip_space(value, 0);
    value = slice_from(value, start);
    for (unsigned i = 0; i < p->n_steps && value.len; i++) {
        const struct template_step *s = &p->steps[i];
        char number[24];
        struct slice key = s->key;
        if (!key.ptr && json_text_is(value, '{')) {
            snprintf(number, sizeof number, "%" PRId64, s->index);
            key = slice_cstr(number);
        }
        value = key.ptr ? json_member(value, key, f->arena) : element_at(value, s->index);
    }
    while (value.len && strchr(" \t\r\n", value.ptr[value.len - 1])) {
        value.len--;
    }
    return value;
}

/* In a text: a string's characters, or other JSON as it came. */
static int write_json(const struct template_piece *p, struct template_filling *f) {
    struct slice value = follow(p, f->facts);
    if (p->is_value) {
        return say(f, value.len ? value : SLICE("null"));
    }
    struct slice text = json_text_string(value, f->facts->arena);
    return say(f, text.ptr ? text : value);
}

const struct template_function template_functions[] = {
    {"last_user", "{{last_user}}", 0, 0, false, NULL, write_user,
     "The text of the user's last message."},
    {"system", "{{system}}", 0, 0, false, NULL, write_system, "The system text."},
    {"tool_result", "{{tool_result}}", 0, 0, false, NULL, write_result,
     "What tools have answered since the assistant spoke last."},
    {"model", "{{model}}", 0, 0, false, NULL, write_model, "The model that was asked for."},
    {"dialect", "{{dialect}}", 0, 0, false, NULL, write_dialect,
     "`chat`, `completions`, `responses` or `messages`."},
    {"json", "{{json request.metadata.x}}", 1, 1, true, compile_json, write_json,
     "A place in the request's body: a string's text, or other JSON as it came. "
     "`request.messages[0].content`, `request.tools[-1]`, `request[\"a.b\"]`; nothing when there "
     "is no such place."},
    {"header", "{{header NAME}}", 1, 1, false, compile_text, write_header,
     "A header of the request."},
    {"session", "{{session}}", 0, 0, false, NULL, write_session,
     "The request's session; empty when it has none."},
    {"scenario", "{{scenario}}", 0, 0, false, NULL, write_scenario, "The scenario's name."},
    {"n", "{{n}}", 0, 0, true, NULL, write_n,
     "Which call of this scenario it is (in this session), from 1."},
    {"turn", "{{turn}}", 0, 0, true, NULL, write_turn,
     "Which answer of the assistant this is in the conversation, from 1."},
    {"random", "{{random 1 100}}", 2, 2, true, compile_random, write_random,
     "A whole number; both ends are possible. Seeded."},
    {"uuid", "{{uuid}}", 0, 0, false, NULL, write_uuid, "A random UUID. Seeded."},
    {"now", "{{now}}, {{now unix}}, {{now ms}}", 0, 1, false, compile_now, write_now,
     "The mock's time, in UTC (`2025-01-31T12:00:00Z`), or as a number."},
};
const unsigned template_n_functions = sizeof template_functions / sizeof template_functions[0];

bool template_docs_row(unsigned i, const char **out_form, const char **out_description) {
    if (i >= template_n_functions) {
        return false;
    }
    *out_form = template_functions[i].form;
    *out_description = template_functions[i].description;
    return true;
}
