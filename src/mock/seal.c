/* SPDX-License-Identifier: Apache-2.0 */
/* A proof is base64 of: "mock-", a byte for its kind, padding, 8 bytes of nonce, 16 bytes of hash,
 * little endian. */
#include "mock/seal.h"

enum { MAGIC_BYTES = 12, NONCE_BYTES = 8, HASH_BYTES = 16,
       RAW_BYTES = MAGIC_BYTES + NONCE_BYTES + HASH_BYTES };

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* Up to three bytes make four characters. */
static void encode_three(char out[4], const unsigned char *in, size_t n) {
    uint32_t bits = (uint32_t)in[0] << 16 | (n > 1 ? (uint32_t)in[1] << 8 : 0) |
                    (n > 2 ? (uint32_t)in[2] : 0);
    out[0] = alphabet[bits >> 18 & 63];
    out[1] = alphabet[bits >> 12 & 63];
    out[2] = n > 1 ? alphabet[bits >> 6 & 63] : '=';
    out[3] = n > 2 ? alphabet[bits & 63] : '=';
}

int base64_append(struct buf *out, const void *bytes, size_t len) {
    const unsigned char *in = bytes;
    char *to = buf_reserve(out, (len + 2) / 3 * 4);
    if (!to) {
        return -ERR_LIMIT;
    }
    for (size_t i = 0; i < len; i += 3, to += 4) {
        encode_three(to, in + i, len - i);
    }
    buf_commit(out, (len + 2) / 3 * 4);
    return 0;
}

/* ---- hashing ---- */

static uint64_t stir(uint64_t x) {
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

void seal_begin(struct seal *s, enum seal_kind kind, uint64_t seed) {
    uint64_t key = stir(seed * 4 + (uint64_t)kind + UINT64_C(0x9e3779b97f4a7c15));
    *s = (struct seal){kind, key, stir(key), stir(~key)};
}

void seal_feed(struct seal *s, struct slice text) {
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        s->a = (s->a ^ c) * UINT64_C(0x100000001b3);
        s->b = ((s->b << 5 | s->b >> 59) + c) * UINT64_C(0x9e3779b97f4a7c15);
    }
}

/* ---- proofs ---- */

static void put_u64(unsigned char *to, uint64_t n) {
    for (unsigned i = 0; i < 8; i++) {
        to[i] = (unsigned char)(n >> (8 * i));
    }
}

struct slice seal_end(const struct seal *s, uint64_t nonce, char space[SEAL_BYTES]) {
    unsigned char raw[RAW_BYTES] = "mock-";
    raw[5] = (unsigned char)("srec"[s->kind]);
    put_u64(raw + MAGIC_BYTES, nonce);
    put_u64(raw + MAGIC_BYTES + 8, stir(s->a ^ stir(nonce ^ s->key)));
    put_u64(raw + MAGIC_BYTES + 16, stir(s->b + stir(nonce + s->key)));
    for (size_t i = 0; i < RAW_BYTES; i += 3) {
        encode_three(space + i / 3 * 4, raw + i, 3);
    }
    return slice_make(space, SEAL_BYTES);
}

static int value_of(char c) {
    const char *at = c ? strchr(alphabet, c) : NULL;
    return at ? (int)(at - alphabet) : 0;
}

/* Of anything: what is no proof has a nonce, too, and does not fit then. */
static uint64_t nonce_of(struct slice proof) {
    uint64_t nonce = 0;
    for (size_t i = 0; i < NONCE_BYTES; i++) {
        size_t byte = MAGIC_BYTES + i, at = byte / 3 * 4;
        uint32_t bits = 0;
        for (size_t k = 0; k < 4; k++) {
            bits = bits << 6 | (uint32_t)value_of(proof.ptr[at + k]);
        }
        nonce |= (uint64_t)(bits >> (16 - 8 * (byte % 3)) & 0xff) << (8 * i);
    }
    return nonce;
}

bool seal_fits(const struct seal *s, struct slice proof) {
    char space[SEAL_BYTES];
    return proof.len == SEAL_BYTES && slice_eq(seal_end(s, nonce_of(proof), space), proof);
}
