/* SPDX-License-Identifier: Apache-2.0 */
#include "token/bpe.h"

#include "base/mem.h"

/* Up to here, looking at all pairs for each merge is quicker than a heap. */
enum { SHORT_BYTES = 96 };

static const unsigned char *bytes_of(struct slice s) {
    return (const unsigned char *)s.ptr;
}

static void put_part(const struct ranks *r, const unsigned char *at, size_t len,
                     struct token_sink *sink) {
    sink->put(sink, ranks_find(r, at, len), (uint32_t)len);
}

/* ---- short ---- */

struct parts {
    const struct ranks *ranks;
    const unsigned char *bytes;
    unsigned n;
    uint8_t start[SHORT_BYTES + 1];      /* of part i; start[n] is the end */
    uint32_t rank[SHORT_BYTES];          /* of part i with the next one */
};

static uint32_t pair_rank(const struct parts *p, unsigned i) {
    return i + 2 > p->n ? RANK_NONE
                        : ranks_find(p->ranks, p->bytes + p->start[i],
                                     (size_t)(p->start[i + 2] - p->start[i]));
}

static unsigned lowest(const struct parts *p) {
    unsigned best = 0;
    for (unsigned i = 1; i + 1 < p->n; i++) {
        if (p->rank[i] < p->rank[best]) best = i;
    }
    return best;
}

static void merge(struct parts *p, unsigned i) {
    p->n--;
    memmove(p->start + i + 1, p->start + i + 2, p->n - i);
    memmove(p->rank + i, p->rank + i + 1, (p->n - i) * sizeof p->rank[0]);
    p->rank[i] = pair_rank(p, i);
    if (i > 0) p->rank[i - 1] = pair_rank(p, i - 1);
}

static void encode_short(const struct ranks *r, struct slice word, struct token_sink *sink) {
    struct parts p = {.ranks = r, .bytes = bytes_of(word), .n = (unsigned)word.len};
    for (unsigned i = 0; i <= p.n; i++) p.start[i] = (uint8_t)i;
    for (unsigned i = 0; i < p.n; i++) p.rank[i] = pair_rank(&p, i);
    while (p.n > 1) {
        unsigned i = lowest(&p);
        if (p.rank[i] == RANK_NONE) break;
        merge(&p, i);
    }
    for (unsigned i = 0; i < p.n; i++) {
        put_part(r, p.bytes + p.start[i], (size_t)(p.start[i + 1] - p.start[i]), sink);
    }
}

/* ---- long: a heap of pairs, a part known by the place where it begins ---- */

struct heap {
    uint64_t *at;                        /* rank << 32 | place: the leftmost of equals first */
    size_t n;
};

struct chain {
    const struct ranks *ranks;
    const unsigned char *bytes;
    uint32_t len;
    uint32_t *next, *prev;               /* where the neighbours begin; next of the last: len */
    uint32_t *rank;                      /* of a part with the next one; NONE for what is no part */
    struct heap heap;
};

static void sift_down(struct heap *h, size_t i) {
    uint64_t moving = h->at[i];
    for (size_t child; (child = 2 * i + 1) < h->n; i = child) {
        if (child + 1 < h->n && h->at[child + 1] < h->at[child]) child++;
        if (moving <= h->at[child]) break;
        h->at[i] = h->at[child];
    }
    h->at[i] = moving;
}

static void heap_push(struct heap *h, uint64_t value) {
    size_t i = h->n++;
    for (; i > 0 && value < h->at[(i - 1) / 2]; i = (i - 1) / 2) {
        h->at[i] = h->at[(i - 1) / 2];
    }
    h->at[i] = value;
}

static uint64_t heap_pop(struct heap *h) {
    uint64_t top = h->at[0];
    h->at[0] = h->at[--h->n];
    if (h->n > 0) sift_down(h, 0);
    return top;
}

static uint32_t chain_rank(const struct chain *c, uint32_t at) {
    uint32_t second = c->next[at];
    return second >= c->len ? RANK_NONE
                            : ranks_find(c->ranks, c->bytes + at, c->next[second] - at);
}

static void chain_renew(struct chain *c, uint32_t at) {
    c->rank[at] = chain_rank(c, at);
    if (c->rank[at] != RANK_NONE) heap_push(&c->heap, (uint64_t)c->rank[at] << 32 | at);
}

/* A stretch's worst: as many pairs as bytes to begin with, and each merge takes one from the heap
 * and adds two. */
static void chain_init(struct chain *c, struct bpe_scratch *s) {
    if (s->places < c->len) {
        mem_free(s->memory);
        s->memory = mem_alloc(c->len * (2 * sizeof(uint64_t) + 3 * sizeof(uint32_t)));
        s->places = c->len;
    }
    c->heap = (struct heap){.at = s->memory, .n = 0};
    c->next = (uint32_t *)(c->heap.at + 2 * s->places);
    c->prev = c->next + s->places;
    c->rank = c->prev + s->places;
    for (uint32_t i = 0; i < c->len; i++) {
        c->next[i] = i + 1;
        c->prev[i] = i - 1;              /* of the first: never used */
    }
    for (uint32_t i = 0; i < c->len; i++) {
        c->rank[i] = chain_rank(c, i);
        if (c->rank[i] != RANK_NONE) c->heap.at[c->heap.n++] = (uint64_t)c->rank[i] << 32 | i;
    }
    for (size_t i = c->heap.n / 2; i-- > 0;) {
        sift_down(&c->heap, i);
    }
}

static void chain_merge(struct chain *c, uint32_t at) {
    uint32_t gone = c->next[at], after = c->next[gone];
    c->rank[gone] = RANK_NONE;
    c->next[at] = after;
    if (after < c->len) c->prev[after] = at;
    chain_renew(c, at);
    if (at > 0) chain_renew(c, c->prev[at]);
}

static void chain_run(struct chain *c) {
    while (c->heap.n > 0) {
        uint64_t top = heap_pop(&c->heap);
        uint32_t at = (uint32_t)top;
        if (c->rank[at] == (uint32_t)(top >> 32)) chain_merge(c, at);
    }
}

/* A stretch of a long pre-token. Returns how many bytes went to the sink: all, when it is the
 * last. */
static size_t encode_stretch(const struct ranks *r, struct slice rest, struct bpe_scratch *scratch,
                             struct token_sink *sink) {
    bool is_last = rest.len <= BPE_STRETCH_BYTES;
    struct chain c = {.ranks = r, .bytes = bytes_of(rest),
                      .len = is_last ? (uint32_t)rest.len : BPE_STRETCH_BYTES};
    chain_init(&c, scratch);
    chain_run(&c);
    uint32_t at = 0, stop = is_last ? c.len : c.len - BPE_MARGIN_BYTES;
    for (; at < stop; at = c.next[at]) {
        put_part(r, c.bytes + at, c.next[at] - at, sink);
    }
    return at;
}

void bpe_encode(const struct ranks *r, struct slice word, struct bpe_scratch *scratch,
                struct token_sink *sink) {
    if (word.len <= SHORT_BYTES) {
        encode_short(r, word, sink);
        return;
    }
    while (word.len > 0) {
        word = slice_from(word, encode_stretch(r, word, scratch, sink));
    }
}

void bpe_scratch_dispose(struct bpe_scratch *s) {
    mem_free(s->memory);
    *s = (struct bpe_scratch){0};
}
