/* SPDX-License-Identifier: Apache-2.0 */
#include "config/suggest.h"

#define WORD_BYTES 48 /* longer words get no suggestion */

static char lower(char c) {
    return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c == '_' ? '-' : c;
}

static unsigned min3(unsigned a, unsigned b, unsigned c) {
    unsigned m = a < b ? a : b;
    return m < c ? m : c;
}

/* Optimal string alignment. Both at most WORD_BYTES long. */
static unsigned distance(struct slice a, struct slice b) {
    unsigned rows[3][WORD_BYTES + 1];
    unsigned *before = rows[0], *last = rows[1], *now = rows[2];
    for (unsigned j = 0; j <= b.len; j++) last[j] = before[j] = j;
    for (unsigned i = 1; i <= a.len; i++) {
        now[0] = i;
        for (unsigned j = 1; j <= b.len; j++) {
            char x = lower(a.ptr[i - 1]), y = lower(b.ptr[j - 1]);
            now[j] = min3(last[j] + 1, now[j - 1] + 1, last[j - 1] + (x != y));
            if (i > 1 && j > 1 && x == lower(b.ptr[j - 2]) && lower(a.ptr[i - 2]) == y &&
                before[j - 2] + 1 < now[j]) {
                now[j] = before[j - 2] + 1;
            }
        }
        unsigned *spare = before;
        before = last;
        last = now;
        now = spare;
    }
    return last[b.len];
}

void suggestion_init(struct suggestion *s, struct slice word) {
    /* A third of the word may be wrong, but never all of it. */
    unsigned allowed = word.len < 3 ? 1 : word.len < 6 ? 2 : (unsigned)(word.len / 3);
    *s = (struct suggestion){.word = word, .distance = allowed + 1};
}

void suggestion_offer(struct suggestion *s, struct slice candidate) {
    if (s->word.len == 0 || s->word.len > WORD_BYTES || candidate.len > WORD_BYTES) return;
    unsigned d = distance(s->word, candidate);
    if (d >= s->distance || d >= candidate.len) return;
    s->distance = d;
    s->nearest = candidate;
}
