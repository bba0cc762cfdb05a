/* SPDX-License-Identifier: Apache-2.0 */
/* The short cut for the usual frame of a stream (see mould.h for why it is sound). Frames of one
 * block differ in the text, in their number, and in padding where the provider puts some in: the
 * mould is the pieces between those places. The number's place takes digits only, the others plain
 * strings (no escape, no control character), so that what fits parses to the same tree. */
#include "base/mem.h"
#include "dialect/responses/responses-stream.h"

#define PLACES            3
#define MOULD_MAX_BYTES   1024
#define MOULD_STEP_BYTES  512u
#define MOULD_MAX_MISSES  8
#define NUMBER_MAX_DIGITS 15

enum place_kind { PLACE_TEXT, PLACE_NUMBER, PLACE_PADDING };
struct place {
    enum place_kind kind;
    struct span at;
};

struct responses_mould {
    uint16_t cap, misses;      /* moulds in a row that fitted nothing */
    uint16_t lens[PLACES + 1]; /* of the piece before each place, and of the last one */
    uint8_t n_places, kinds[PLACES];
    char bytes[];
};

/* ---- fitting ---- */

static size_t plain_len(struct slice s) {
    size_t n = 0;
    while (n < s.len && s.ptr[n] != '"' && s.ptr[n] != '\\' && (unsigned char)s.ptr[n] >= 0x20)
        n++;
    return n;
}

static size_t number_len(struct slice s, uint64_t *out_number) {
    size_t n = 0;
    *out_number = 0;
    for (; n < s.len && n < NUMBER_MAX_DIGITS && s.ptr[n] >= '0' && s.ptr[n] <= '9'; n++)
        *out_number = *out_number * 10 + (uint64_t)(s.ptr[n] - '0');
    return n > 1 && s.ptr[0] == '0' ? 0 : n;
}

bool responses_mould_fits(struct responses_mould *m, struct slice data, struct span *out_text,
                          uint64_t *out_number) {
    if (!m) return false;
    const char *piece = m->bytes;
    size_t at = 0;
    *out_number = UINT64_MAX;
    for (unsigned i = 0; i < m->n_places; i++) {
        if (data.len - at < m->lens[i] || memcmp(data.ptr + at, piece, m->lens[i]) != 0)
            return false;
        at += m->lens[i];
        piece += m->lens[i];
        struct slice rest = slice_from(data, at);
        size_t len = m->kinds[i] == PLACE_NUMBER ? number_len(rest, out_number) : plain_len(rest);
        if (len == 0 && m->kinds[i] != PLACE_PADDING) return false;
        if (m->kinds[i] == PLACE_TEXT) *out_text = (struct span){(uint32_t)at, (uint32_t)len};
        at += len;
    }
    size_t last = m->lens[m->n_places];
    if (data.len - at != last || memcmp(data.ptr + at, piece, last) != 0) return false;
    m->misses = 0;
    return true;
}

/* ---- making ---- */

static unsigned sort_places(struct place *p, struct span text, struct span number,
                            struct span padding) {
    unsigned n = 0;
    p[n++] = (struct place){PLACE_TEXT, text};
    if (number.len > 0) p[n++] = (struct place){PLACE_NUMBER, number};
    if (padding.len > 0) p[n++] = (struct place){PLACE_PADDING, padding};
    for (unsigned i = 1; i < n; i++) {
        for (unsigned j = i; j > 0 && p[j].at.off < p[j - 1].at.off; j--) {
            struct place other = p[j];
            p[j] = p[j - 1];
            p[j - 1] = other;
        }
    }
    return n;
}

static struct responses_mould *make_room(struct responses_mould **mould, size_t size) {
    struct responses_mould *m = *mould;
    uint16_t misses = m ? (uint16_t)(m->misses + 1) : 0;
    if (!m || m->cap < size) {
        size_t cap = (size + MOULD_STEP_BYTES - 1) / MOULD_STEP_BYTES * MOULD_STEP_BYTES;
        m = *mould = mem_realloc(m, sizeof *m + cap);
        m->cap = (uint16_t)cap;
    }
    m->misses = misses;
    return m;
}

bool responses_mould_make(struct responses_mould **mould, struct slice data, struct span text,
                          struct span number, struct span padding) {
    struct place places[PLACES];
    unsigned n = sort_places(places, text, number, padding);
    size_t size = data.len - text.len - number.len - padding.len, at = 0;
    if (size > MOULD_MAX_BYTES || (*mould && (*mould)->misses == MOULD_MAX_MISSES)) return false;
    struct responses_mould *m = make_room(mould, size);
    char *to = m->bytes;
    m->n_places = (uint8_t)n;
    for (unsigned i = 0; i <= n; i++) {
        size_t end = i < n ? places[i].at.off : data.len;
        memcpy(to, data.ptr + at, end - at);
        m->lens[i] = (uint16_t)(end - at);
        to += end - at;
        if (i == n) break;
        m->kinds[i] = (uint8_t)places[i].kind;
        at = end + places[i].at.len;
    }
    return true;
}
