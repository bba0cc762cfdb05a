/* SPDX-License-Identifier: Apache-2.0 */
/* Citations, as each provider has them. */
#include <inttypes.h>

#include "base/json_scan.h"
#include "mock/reply-private.h"

static int64_t code_points(struct slice text) {
    int64_t n = 0;
    for (size_t i = 0; i < text.len; i++) {
        n += ((unsigned char)text.ptr[i] & 0xc0) != 0x80;
    }
    return n;
}

/* Where the code point begins; the text's end when it has fewer. */
static size_t offset_of(struct slice text, int64_t point) {
    size_t at = 0;
    while (at < text.len && (point > 0 || ((unsigned char)text.ptr[at] & 0xc0) == 0x80)) {
        at++;
        point -= at < text.len && ((unsigned char)text.ptr[at] & 0xc0) != 0x80;
    }
    return at;
}

/* Chat's places are the message's, which has all texts of the choice in one. */
static int64_t points_before(const struct reply *r, const struct voice *v) {
    const struct plan *p = &r->plan;
    const struct track *t = p->tracks;
    int64_t n = 0;
    while (v->segment < t->first || v->segment >= t->end) {
        t++;
    }
    for (unsigned i = t->first; p->dialect == &dialect_chat && i < v->segment; i++) {
        n += p->segments[i].kind == BLOCK_TEXT ? code_points(plan_text(p, p->segments[i].text)) : 0;
    }
    return n;
}

static int w_string(struct buf *out, const char *key, struct slice text) {
    return buf_appendf(out, ",\"%s\":\"", key) | json_escape(out, text) |
           buf_append_byte(out, '"');
}

static int w_chat(struct buf *out, const struct annotation *a, int64_t before) {
    return buf_appendf(out,
                       "{\"type\":\"url_citation\",\"url_citation\":{\"start_index\":%" PRId64
                       ",\"end_index\":%" PRId64,
                       before + a->start, before + a->end) |
           w_string(out, "url", a->url) | w_string(out, "title", a->title) |
           buf_append(out, SLICE("}}"));
}

static int w_responses(struct buf *out, const struct annotation *a) {
    return buf_appendf(out,
                       "{\"type\":\"url_citation\",\"start_index\":%" PRId64
                       ",\"end_index\":%" PRId64,
                       a->start, a->end) |
           w_string(out, "url", a->url) | w_string(out, "title", a->title) |
           buf_append_byte(out, '}');
}

static int w_messages(struct buf *out, const struct annotation *a, struct slice text) {
    size_t from = offset_of(text, a->start), to = offset_of(text, a->end);
    return buf_append(out, SLICE("{\"type\":\"web_search_result_location\"")) |
           w_string(out, "url", a->url) | w_string(out, "title", a->title) |
           w_string(out, "encrypted_index", SLICE("bW9jaw==")) |
           w_string(out, "cited_text", slice_sub(text, from, to > from ? to - from : 0)) |
           buf_append_byte(out, '}');
}

void reply_note(struct reply *r, struct voice *v, struct event *out) {
    const struct plan *p = &r->plan;
    const struct segment *seg = &p->segments[v->segment];
    const struct note *n = &p->notes[seg->first_note + v->next_note];
    struct slice text = plan_text(p, seg->text);
    bool has_place = n->start >= 0 && n->end >= n->start;
    struct annotation a = {.kind = n->kind,
                           .url = plan_text(p, n->url),
                           .title = plan_text(p, n->title),
                           .start = has_place ? n->start : 0,
                           .end = has_place ? n->end : code_points(text)};
    buf_reset(&r->odds);
    int rc = p->dialect == &dialect_messages    ? w_messages(&r->odds, &a, text)
             : p->dialect == &dialect_responses ? w_responses(&r->odds, &a)
                                                : w_chat(&r->odds, &a, points_before(r, v));
    out->u.annotation = a;
    out->raw_json = rc == 0 ? buf_slice(&r->odds) : SLICE("{}");
    out->flags = EVF_LAST_IN_FRAME;
}
