/* SPDX-License-Identifier: Apache-2.0 */
/* The tokens of one encoding, read from a file made to be mapped: nothing is parsed, and processes
 * share the pages. make_ranks writes it, for the machine that it runs on:
 *
 *   struct ranks_header
 *   uint32_t offsets[n_tokens + 1]     token i is bytes[offsets[i]] up to bytes[offsets[i + 1]]
 *   uint32_t slots[n_slots]            hash table, linear probing: 0, or id + 1 and a tag
 *   uint8_t  bytes[n_bytes]
 *
 * A token's id is its rank: the lower, the earlier it is merged. */
#ifndef PENSTOCK_TOKEN_RANKS_H
#define PENSTOCK_TOKEN_RANKS_H

#include "base/err.h"
#include "base/slice.h"

#define RANKS_MAGIC "PNSTRANK"
#define RANKS_VERSION 1u
#define RANKS_ORDER 0x01020304u         /* of bytes in a number */
#define RANKS_ID_BITS 20                /* of a slot: id + 1; the rest is the hash's */
#define RANKS_TOKENS_MAX ((1u << RANKS_ID_BITS) - 1)
#define RANKS_TOKEN_BYTES_MAX 256
#define RANKS_FILE_BYTES_MAX (64u << 20)
#define RANK_NONE UINT32_MAX

struct ranks_header {
    char magic[8];
    uint32_t order, version;
    char name[16];                      /* "o200k_base", zeros behind it */
    uint32_t n_tokens, n_slots, n_bytes, longest_bytes;
    uint64_t checksum;                  /* ranks_checksum of all that follows the header */
};

/* Places in a file that has been checked. */
struct ranks {
    const uint32_t *offsets, *slots;
    const unsigned char *bytes;
    uint32_t n_tokens, slot_mask, longest_bytes;
};

/* Checks a file's content, which may be anything, and points into it; the content is aligned as
 * malloc does and stays. name: the encoding that it must be of. 0 or -ERR_PROTOCOL, and e says
 * why. */
int ranks_open(struct slice file, const char *name, struct ranks *out, struct err *e) MUST_CHECK;
/* Maps a file for good and checks it. 0, -ERR_IO, -ERR_PROTOCOL. */
int ranks_map(const char *path, const char *name, struct ranks *out, struct err *e) MUST_CHECK;
/* `len` a multiple of 4 or the last part. */
uint64_t ranks_checksum(struct slice content);

static inline uint64_t ranks_mix(uint64_t h, uint64_t word) {
    h = (h ^ word) * UINT64_C(0x9e3779b97f4a7c15);
    return h ^ h >> 32;
}

static inline uint64_t ranks_load64(const unsigned char *p) {
    uint64_t word;
    memcpy(&word, p, sizeof word);
    return word;
}

static inline uint32_t ranks_load32(const unsigned char *p) {
    uint32_t word;
    memcpy(&word, p, sizeof word);
    return word;
}

static inline uint64_t ranks_hash(const unsigned char *p, size_t len) {
    uint64_t h = len * UINT64_C(0xd6e8feb86659fd93);
    for (; len >= 8; p += 8, len -= 8) {
        h = ranks_mix(h, ranks_load64(p));
    }
    if (len >= 4) {
        h = ranks_mix(h, ranks_load32(p) | (uint64_t)ranks_load32(p + len - 4) << 32);
    } else if (len > 0) {
        h = ranks_mix(h, p[0] | (uint32_t)p[len / 2] << 8 | (uint32_t)p[len - 1] << 16);
    }
    return ranks_mix(h, 0);
}

/* What a slot holds of the hash, in its upper bits. */
static inline uint32_t ranks_tag(uint64_t hash) {
    return (uint32_t)(hash >> 32) & ~RANKS_TOKENS_MAX;
}

/* The id of a token, RANK_NONE when these bytes are none. len > 0. */
static inline uint32_t ranks_find(const struct ranks *r, const unsigned char *p, size_t len) {
    if (len > r->longest_bytes) {
        return RANK_NONE;
    }
    uint64_t hash = ranks_hash(p, len);
    uint32_t tag = ranks_tag(hash);
    for (uint32_t at = (uint32_t)hash & r->slot_mask;; at = (at + 1) & r->slot_mask) {
        uint32_t slot = r->slots[at];
        if (slot == 0) {
            return RANK_NONE;
        }
        if ((slot & ~RANKS_TOKENS_MAX) == tag) {
            uint32_t id = (slot & RANKS_TOKENS_MAX) - 1, start = r->offsets[id];
            if (r->offsets[id + 1] - start == len && memcmp(r->bytes + start, p, len) == 0) {
                return id;
            }
        }
    }
}

#endif
