/* SPDX-License-Identifier: Apache-2.0 */
/* From an answer as it was written down to the script of one request. */
#include "mock/scenario-private.h"

void scenario_rng(struct rng *r, const struct scenario_request *in, struct slice scenario,
                  const char *use) {
    uint64_t h = slice_hash(SLICE_HASH_START ^ in->seed, slice_cstr(use));
    h = slice_hash(h, scenario);
    h = (h ^ in->serial) * UINT64_C(0x9e3779b97f4a7c15);
    rng_seed(r, h);
}

static struct slice fill(const struct template *t, struct template_facts *f) {
    return t ? template_fill(t, f) : SLICE_NULL;
}

static struct slice keep(struct arena *a, struct slice s) {
    return s.len ? arena_dup(a, s) : s;
}

/* ---- blocks ---- */

static struct slice *fill_pieces(const struct pieces *p, struct template_facts *f) {
    struct slice *out = arena_alloc(f->arena, sizeof *out * (p->n + 1));
    for (unsigned i = 0; i < p->n; i++) {
        out[i] = template_fill(p->items[i], f);
    }
    return out;
}

static int64_t count_chars(struct slice s) {
    int64_t n = 0;
    for (size_t i = 0; i < s.len; i++) {
        n += ((unsigned char)s.ptr[i] & 0xc0) != 0x80;
    }
    return n;
}

static struct slice join_pieces(const struct script_block *b, struct arena *a) {
    size_t total = 0, at = 0;
    if (b->n_pieces == 1) {
        return b->pieces[0];
    }
    for (unsigned i = 0; i < b->n_pieces; i++) {
        total += b->pieces[i].len;
    }
    char *text = arena_alloc(a, total + 1);
    for (unsigned i = 0; i < b->n_pieces; i++) {
        memcpy(text + at, b->pieces[i].ptr, b->pieces[i].len);
        at += b->pieces[i].len;
    }
    return slice_make(text, total);
}

static void find_quote(struct slice text, struct slice quote, struct annotation *out) {
    const char *at =
        quote.len && text.len ? memmem(text.ptr, text.len, quote.ptr, quote.len) : NULL;
    if (at) {
        out->start = count_chars(slice_sub(text, 0, (size_t)(at - text.ptr)));
        out->end = out->start + count_chars(quote);
    }
}

static void fill_citations(const struct block *b, struct template_facts *f,
                           struct script_block *out) {
    struct annotation *list = arena_alloc(f->arena, sizeof *list * (b->n_citations + 1));
    struct slice text = b->n_citations ? join_pieces(out, f->arena) : SLICE("");
    for (unsigned i = 0; i < b->n_citations; i++) {
        const struct citation *c = &b->citations[i];
        list[i] = (struct annotation){.kind = ANNOTATION_URL, .url = fill(c->url, f),
                                      .title = fill(c->title, f), .start = c->start,
                                      .end = c->end};
        if (c->quote) {
            find_quote(text, template_fill(c->quote, f), &list[i]);
        }
    }
    out->annotations = list;
    out->n_annotations = b->n_citations;
}

static void fill_block(const struct block *b, struct template_facts *f, struct script_block *out) {
    *out = (struct script_block){.kind = b->kind,
                                 .pieces = fill_pieces(&b->pieces, f),
                                 .n_pieces = b->pieces.n,
                                 .as_written = b->pieces.as_written,
                                 .chunk_bytes = b->chunk_bytes,
                                 .name = fill(b->name, f),
                                 .id = fill(b->id, f),
                                 .proof = fill(b->proof, f),
                                 .has_pause = b->has_pause,
                                 .pause = law_copy(&b->pause, f->arena)};
    fill_citations(b, f, out);
}

static void fill_blocks(const struct response *r, struct template_facts *f, struct script *out) {
    struct script_block *blocks = arena_alloc(f->arena, sizeof *blocks * (r->n_blocks + 1));
    unsigned n = 0;
    for (const struct block *b = r->blocks; b; b = b->next) {
        fill_block(b, f, &blocks[n++]);
    }
    out->blocks = blocks;
    out->n_blocks = n;
}

/* ---- terms ---- */

static void fill_headers(const struct header_lines *lines, struct template_facts *f,
                         struct script *out) {
    struct slice *pairs = arena_alloc(f->arena, sizeof *pairs * (2 * (size_t)lines->n + 1));
    unsigned n = 0;
    for (unsigned i = 0; i < lines->n; i++) {
        struct slice value = slice_trim(template_fill(lines->items[i].value, f));
        /* else what was filled in broke it */
        if (http_header_is_valid(lines->items[i].name, value)) {
            pairs[2 * n] = keep(f->arena, lines->items[i].name);
            pairs[2 * n++ + 1] = value;
        }
    }
    out->headers = pairs;
    out->n_headers = n;
}

static void fill_terms(const struct terms *t, struct template_facts *f, struct script *out) {
    out->has_ttft = t->has_ttft;
    out->ttft = law_copy(&t->ttft, f->arena);
    out->has_itl = t->has_itl;
    out->itl = law_copy(&t->itl, f->arena);
    out->tps = t->has_tps ? t->tps : 0;
    out->has_burst = t->has_burst;
    out->burst = t->burst;
    out->fault = keep(f->arena, t->fault);
    fill_headers(&t->headers, f, out);
}

static const struct response *choose(const struct response *r, const struct template_facts *f) {
    struct rng rng;
    if (r->n_choices == 0 || r->total_weight == 0) {
        return r;
    }
    scenario_rng(&rng, f->in, f->scenario, "choice");
    uint64_t at = rng_below(&rng, r->total_weight);
    const struct response *choice = r->choices;
    while (at >= choice->weight) {
        at -= choice++->weight;
    }
    return choice;
}

void scenario_respond(const struct scenario *s, unsigned which, const struct terms *kept,
                      struct template_facts *f, struct script *out) {
    const struct response none = {.usage = SCRIPT_USAGE_NONE};
    const struct response *r =
        s && which < s->n_responses ? choose(&s->responses[which], f) : &none;
    struct terms terms = r->terms;
    if (s) {
        terms_inherit(&terms, &s->terms);
    }
    if (kept) {
        terms_inherit(&terms, kept);
    }
    *out = (struct script){.scenario = keep(f->arena, f->scenario),
                           .place = s ? keep(f->arena, slice_cstr(s->place)) : SLICE_NULL,
                           .is_interleaved = r->is_interleaved,
                           .has_stop = r->has_stop,
                           .stop = r->stop,
                           .stop_sequence = keep(f->arena, r->stop_sequence),
                           .usage = r->usage,
                           .id = fill(r->id, f),
                           .model = fill(r->model, f),
                           .status = r->error.status,
                           .retry_after_s = r->error.retry_after_s,
                           .error_type = fill(r->error.type, f),
                           .error_code = fill(r->error.code, f),
                           .error_param = fill(r->error.param, f),
                           .error_message = fill(r->error.message, f)};
    fill_blocks(r, f, out);
    fill_terms(&terms, f, out);
}
