/* SPDX-License-Identifier: Apache-2.0 */
/* Which beginnings of prompts an engine has read before. A prompt (model, tools, messages in order)
 * is cut into blocks of 512 bytes, about 128 tokens; each is known by the hash of all up to its
 * end, so that a hit is a common beginning and nothing else. The least recently used blocks make
 * room, a beginning's last ones first. Bounded by the tokens that it may hold.
 *
 * One cache a provider. Any thread; a lock of its own. */
#ifndef PENSTOCK_MOCK_PREFIX_CACHE_H
#define PENSTOCK_MOCK_PREFIX_CACHE_H

#include "dialect/request.h"

#define PREFIX_BLOCK_TOKENS 128
#define PREFIX_MAX_TOKENS 100000000

struct prefix_cache;

struct prefix_cache *prefix_cache_new(void);
void prefix_cache_free(struct prefix_cache **c);

struct prefix_use {
    uint64_t read;                   /* tokens of the prompt that were known, a multiple of 128 */
    uint64_t written;                /* that are known from now on, besides */
};
/* Reads the prompt and remembers it. capacity: tokens that may be held, 0: nothing is remembered.
 * ttl_ns: what nobody used for so long is forgotten; 0: never. prompt_tokens: what the whole prompt
 * counts as. */
struct prefix_use prefix_cache_use(struct prefix_cache *c, uint64_t capacity, int64_t ttl_ns,
                                   const struct llm_request *rq, uint64_t prompt_tokens,
                                   int64_t now_ns);

struct prefix_view {
    uint64_t tokens;                 /* held, nominal: 128 a block */
    uint64_t prompts, prompt_tokens, read_tokens, evicted_blocks;
};
void prefix_cache_look(struct prefix_cache *c, struct prefix_view *out);

#endif
