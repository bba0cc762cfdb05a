/* SPDX-License-Identifier: Apache-2.0 */
#include "token/token.h"

#include <pthread.h>

#include "base/log.h"
#include "token/bpe.h"
#include "token/find.h"
#include "token/pieces.h"
#include "token/token-private.h"

static const char *const names[] = {
    [ENCODING_O200K] = "o200k_base",
    [ENCODING_CL100K] = "cl100k_base",
    [ENCODING_PIECES] = "word pieces",
};
enum { ENCODINGS = sizeof names / sizeof names[0] };

/* ---- at hand ---- */

static struct tokenizer tokenizers[ENCODINGS];
static pthread_once_t once[ENCODINGS] = {PTHREAD_ONCE_INIT, PTHREAD_ONCE_INIT, PTHREAD_ONCE_INIT};

/* A file that is not there is nothing to complain of; one that cannot be used is. */
static void load(enum encoding e) {
    struct tokenizer *t = &tokenizers[e];
    struct err err;
    int rc = ranks_find_file(names[e], &t->ranks, t->path, &err);
    if (rc == 0) {
        t->encoding = e;
        t->pretokenizer.map = class_map_get();
        t->pretokenizer.is_cl100k = e == ENCODING_CL100K;
        return;
    }
    if (rc != -ERR_IO) {
        log_event(LOG_WARN, "token ranks cannot be used: word pieces stand in",
                  LOG_CSTR("file", t->path), LOG_CSTR("why", err.text));
    }
    t->encoding = ENCODING_PIECES;
    t->path[0] = '\0';
}

static void load_o200k(void) {
    load(ENCODING_O200K);
}

static void load_cl100k(void) {
    load(ENCODING_CL100K);
}

static void load_pieces(void) {
    tokenizers[ENCODING_PIECES].encoding = ENCODING_PIECES;
}

const struct tokenizer *tokenizer_get(enum encoding want) {
    static void (*const loads[])(void) = {
        [ENCODING_O200K] = load_o200k,
        [ENCODING_CL100K] = load_cl100k,
        [ENCODING_PIECES] = load_pieces,
    };
    pthread_once(&once[want], loads[want]);
    return &tokenizers[want];
}

const char *tokenizer_name(const struct tokenizer *t) {
    return names[t->encoding];
}

bool tokenizer_is_exact(const struct tokenizer *t) {
    return t->encoding != ENCODING_PIECES;
}

const char *tokenizer_path(const struct tokenizer *t) {
    return t->path;
}

bool encoding_find(struct slice name, enum encoding *out) {
    for (unsigned i = 0; i < ENCODINGS; i++) {
        if (slice_eq(name, slice_cstr(names[i]))) {
            *out = (enum encoding)i;
            return true;
        }
    }
    return false;
}

/* ---- a whole text ---- */

struct counter {
    struct token_sink sink;
    uint64_t n;
    struct buf *ids;                 /* NULL: only counted */
    int rc;
};

static void put_token(struct counter *c, uint32_t id) {
    c->n++;
    if (c->ids && c->rc == 0) {
        c->rc = buf_append(c->ids, slice_make((const char *)&id, sizeof id));
    }
}

static void counter_put(struct token_sink *sink, uint32_t id, uint32_t len) {
    (void)len;
    put_token((struct counter *)sink, id);
}

static void walk_pieces(struct slice text, struct counter *c) {
    for (uint32_t id = 0; text.len > 0 && c->rc == 0; id++) {
        text = slice_from(text, piece_len(text));
        put_token(c, id);
    }
}

static void walk(const struct tokenizer *t, struct slice text, struct counter *c) {
    struct bpe_scratch scratch = {0};
    while (text.len > 0 && c->rc == 0) {
        bool is_sure;
        struct slice word = {text.ptr, pretoken_len(&t->pretokenizer, text, true, &is_sure)};
        uint32_t id = ranks_find(&t->ranks, (const unsigned char *)word.ptr, word.len);
        if (id != RANK_NONE) {
            put_token(c, id);
        } else {
            bpe_encode(&t->ranks, word, &scratch, &c->sink);
        }
        text = slice_from(text, word.len);
    }
    bpe_scratch_dispose(&scratch);
}

static void count(const struct tokenizer *t, struct slice text, struct counter *c) {
    if (tokenizer_is_exact(t)) {
        walk(t, text, c);
    } else {
        walk_pieces(text, c);
    }
}

uint64_t tokenizer_count(const struct tokenizer *t, struct slice text) {
    struct counter c = {.sink.put = counter_put};
    count(t, text, &c);
    return c.n;
}

int tokenizer_encode(const struct tokenizer *t, struct slice text, struct buf *out_ids) {
    struct counter c = {.sink.put = counter_put, .ids = out_ids};
    count(t, text, &c);
    return c.rc;
}

struct slice tokenizer_bytes(const struct tokenizer *t, uint32_t id) {
    if (!tokenizer_is_exact(t) || id >= t->ranks.n_tokens) {
        return SLICE_NULL;
    }
    uint32_t from = t->ranks.offsets[id];
    return slice_make((const char *)t->ranks.bytes + from, t->ranks.offsets[id + 1] - from);
}
