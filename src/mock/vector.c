/* SPDX-License-Identifier: Apache-2.0 */
#include "mock/vector.h"

#include <math.h>

#include "base/random.h"

enum {
    PLACES = 32,                     /* that one feature touches */
    PART_LETTERS = 4,                /* of a word's part */
    WORDS_MAX = 2048,                /* of a text; later ones change nothing */
    PARTS_MAX = 64                   /* of a word; likewise */
};

/* How much a feature weighs: words tell more than their parts, and the commonest tell little. */
static const float WORD_WEIGHT = 1.0f, COMMON_WEIGHT = 0.15f, PART_WEIGHT = 0.3f;
static const double NOISE = 0.05;    /* so that no dimension is nothing, and every text differs */

unsigned vector_dimensions(struct slice model) {
    return slice_starts_with(model, SLICE("text-embedding-3-large")) ? 3072 : 1536;
}

static bool is_of_word(char c) {
    return (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z') ||
           (unsigned char)c >= 0x80;
}

static char to_lower(char c) {
    return c >= 'A' && c <= 'Z' ? (char)(c | 32) : c;
}

/* Letters without case. */
static uint64_t hash_of(struct slice s) {
    uint64_t h = SLICE_HASH_START;
    for (size_t i = 0; i < s.len; i++) {
        h = (h ^ (unsigned char)to_lower(s.ptr[i])) * SLICE_HASH_PRIME;
    }
    return h;
}

static bool is_common(struct slice word) {
    static const char *const words[] = {"a", "an", "the", "of", "to", "in", "and", "is", "it", "on",
                                        "for", "at", "by", "or", "be", "as", "was", "are", "with"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (slice_eq_nocase(word, slice_cstr(words[i]))) {
            return true;
        }
    }
    return false;
}

struct summing {
    float *v;
    unsigned whole;
    uint64_t seed, all;              /* all: of the features, whatever their order */
};

static void add_feature(struct summing *s, uint64_t feature, float weight) {
    struct rng r;
    rng_seed(&r, feature ^ s->seed);
    s->all += feature | 1;
    for (unsigned i = 0; i < PLACES; i++) {
        uint64_t draw = rng_next(&r);
        s->v[(draw >> 1) % s->whole] += draw & 1 ? weight : -weight;
    }
}

/* The stem of a word is most of its parts. */
static void add_word(struct summing *s, struct slice word) {
    if (is_common(word)) {
        add_feature(s, hash_of(word), COMMON_WEIGHT);
        return;
    }
    add_feature(s, hash_of(word), WORD_WEIGHT);
    size_t parts = word.len > PART_LETTERS ? word.len - PART_LETTERS + 1 : 0;
    for (size_t i = 0; i < parts && i < PARTS_MAX; i++) {
        add_feature(s, ~hash_of(slice_sub(word, i, PART_LETTERS)), PART_WEIGHT);
    }
}

static void add_words(struct summing *s, struct slice text) {
    for (size_t at = 0, n = 0; at < text.len && n < WORDS_MAX; n++) {
        while (at < text.len && !is_of_word(text.ptr[at])) {
            at++;
        }
        size_t end = at;
        while (end < text.len && is_of_word(text.ptr[end])) {
            end++;
        }
        if (end > at) {
            add_word(s, slice_sub(text, at, end - at));
        }
        at = end;
    }
}

static double length_of(const float *v, unsigned n) {
    double square = 0;
    for (unsigned i = 0; i < n; i++) {
        square += (double)v[i] * (double)v[i];
    }
    return sqrt(square);
}

/* A text without words is a direction all the same. */
static void add_noise(struct summing *s, struct slice text) {
    double length = length_of(s->v, s->whole);
    double most = (length > 0 ? NOISE * length : 1) * sqrt(3.0 / s->whole);
    struct rng r;
    rng_seed(&r, (s->all ? s->all : hash_of(text)) ^ s->seed);
    for (unsigned i = 0; i < s->whole; i++) {
        s->v[i] += (float)((2 * rng_unit(&r) - 1) * most);
    }
}

void vector_of_text(struct slice text, uint64_t seed, float *v, unsigned whole, unsigned n) {
    struct summing s = {.v = v, .whole = whole, .seed = seed};
    memset(v, 0, whole * sizeof v[0]);
    add_words(&s, text);
    add_noise(&s, text);
    double length = length_of(v, n);
    for (unsigned i = 0; i < n && length > 0; i++) {
        v[i] = (float)((double)v[i] / length);
    }
}
