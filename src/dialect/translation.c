/* SPDX-License-Identifier: Apache-2.0 */
#include "dialect/translation.h"

struct translation *translation_new(struct arena *a, const struct dialect *from,
                                    const struct dialect *to, const struct capabilities *caps) {
    struct translation *t = arena_alloc(a, sizeof *t);
    t->arena = a;
    t->from = from;
    t->to = to;
    t->caps = caps;
    return t;
}

/* ---- what was left out ---- */

static bool is_listed(struct slice list, struct slice name) {
    while (list.len > 0) {
        ptrdiff_t comma = slice_index(list, ',');
        struct slice first = comma < 0 ? list : slice_sub(list, 0, (size_t)comma);
        if (slice_eq(first, name)) return true;
        list = slice_from(list, first.len + 1);
    }
    return false;
}

/* It ends up in a header: what cannot stand there (clients name fields as they like) is '?'. */
void translation_drop_slice(struct translation *t, struct slice name) {
    char clean[64];
    struct slice list = slice_cstr(t->dropped);
    if (name.len == 0) return;
    if (name.len > sizeof clean) name.len = sizeof clean;
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        clean[i] = c > ' ' && c < 0x7f && c != ',' ? c : '?';
    }
    name.ptr = clean;
    if (is_listed(list, name) || list.len + name.len + 2 > sizeof t->dropped) return;
    char *at = t->dropped + list.len;
    if (list.len > 0) *at++ = ',';
    memcpy(at, name.ptr, name.len);
    at[name.len] = 0;
}

void translation_drop(struct translation *t, const char *name) {
    translation_drop_slice(t, slice_cstr(name));
}

/* ---- requests ---- */

int request_translate(struct llm_request *rq, struct translation *t, struct buf *out,
                      struct request_fault *fault) {
    int rc = request_adapt(rq, t, fault);
    return rc ? rc : t->to->encode_request(rq, t, out, fault);
}

/* ---- whole answers ---- */

struct collector {
    struct shaper *shaper;
    struct answer *answer;
    struct err *e;
};

static int add_shaped(void *self, const struct event *ev) {
    struct collector *c = self;
    int rc = answer_add(c->answer, ev);
    return rc == -ERR_LIMIT ? err_set(c->e, ERR_LIMIT, "the answer is larger than the limit") : rc;
}

static int shape_decoded(void *self, const struct event *ev) {
    struct collector *c = self;
    struct event_sink to_answer = {add_shaped, c};
    return shaper_event(c->shaper, ev, &to_answer, c->e);
}

static void keep_error(struct arena *a, const struct api_error *from, struct api_error *er) {
    struct slice *const strings[] = {&er->message, &er->type, &er->code,
                                     &er->param,   &er->raw,  &er->request_id};
    *er = *from;
    for (size_t i = 0; i < sizeof strings / sizeof *strings; i++) {
        if (strings[i]->ptr) *strings[i] = arena_dup(a, *strings[i]);
    }
}

static int finish_translation(const struct translation *t, const struct answer *an,
                              const struct encoder_options *o, struct buf *out,
                              struct usage *out_usage, struct api_error *er) {
    const struct usage *usage = answer_usage(an);
    if (out_usage) *out_usage = usage ? *usage : USAGE_NONE;
    if (out_usage && out_usage->wire.ptr)
        out_usage->wire = arena_dup(t->arena, out_usage->wire);
    if (answer_error(an)) {
        keep_error(t->arena, answer_error(an), er);
        return -ERR_USAGE;
    }
    return t->from->encode_response(an, o, out);
}

int response_translate(const struct translation *t, struct slice body,
                       const struct encoder_options *o, size_t max_bytes, struct buf *out,
                       struct usage *out_usage, struct api_error *er, struct err *e) {
    struct collector c = {shaper_new(t, max_bytes), answer_new(max_bytes), e};
    struct event_sink sink = {shape_decoded, &c};
    int rc = t->to->decode_response(body, &sink, e);
    if (rc == 0) rc = finish_translation(t, c.answer, o, out, out_usage, er);
    if (rc == -ERR_PROTOCOL && e && e->kind != ERR_PROTOCOL)
        err_set(e, ERR_PROTOCOL, "the upstream's answer is not complete");
    shaper_free(c.shaper);
    answer_free(c.answer);
    return rc;
}
