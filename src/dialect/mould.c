/* SPDX-License-Identifier: Apache-2.0 */
/* The short cut for the usual frame.
 *
 * Within one stream a text delta differs from the one before it in one JSON string alone. Its mould
 * is what stands around that string, byte for byte. A frame whose bytes are the mould's around a
 * plain, non-empty JSON string (no escape, no control character) parses to the same tree with
 * another string in that place, so it means what the frame that made the mould meant: one DELTA. No
 * parser is needed to know that. Whatever does not fit goes the long way, and may make a new mould.
 * Streams whose frames never repeat (padding that changes) stop trying. */
#include "dialect/mould.h"

#include "base/mem.h"

#define MOULD_MAX_BYTES 1024
#define MOULD_STEP_BYTES 512u
#define MOULD_MAX_MISSES 8

struct mould {
    uint16_t before, after, cap; /* bytes in front of the string and behind it; room for both */
    uint16_t misses;             /* moulds in a row that fitted nothing */
    char bytes[];
};

static bool is_plain(const char *text, size_t len) {
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c < 0x20 || c == '"' || c == '\\') return false;
    }
    return true;
}

bool mould_fits(struct mould *m, struct slice data, struct span *out_string) {
    if (!m || data.len <= (size_t)m->before + m->after) return false;
    size_t len = data.len - m->before - m->after;
    if (memcmp(data.ptr + data.len - m->after, m->bytes + m->before, m->after) != 0 ||
        memcmp(data.ptr, m->bytes, m->before) != 0 || !is_plain(data.ptr + m->before, len)) {
        return false;
    }
    m->misses = 0;
    *out_string = (struct span){m->before, (uint32_t)len};
    return true;
}

bool mould_make(struct mould **mould, struct slice data, struct span string) {
    size_t end = (size_t)string.off + string.len, size = data.len - string.len;
    struct mould *m = *mould;
    if (size > MOULD_MAX_BYTES || (m && m->misses == MOULD_MAX_MISSES)) return false;
    uint16_t misses = m ? (uint16_t)(m->misses + 1) : 0;
    if (!m || m->cap < size) {
        size_t cap = (size + MOULD_STEP_BYTES - 1) / MOULD_STEP_BYTES * MOULD_STEP_BYTES;
        m = *mould = mem_realloc(m, sizeof *m + cap);
        m->cap = (uint16_t)cap;
    }
    m->misses = misses;
    m->before = (uint16_t)string.off;
    m->after = (uint16_t)(data.len - end);
    memcpy(m->bytes, data.ptr, m->before);
    memcpy(m->bytes + m->before, data.ptr + end, m->after);
    return true;
}
