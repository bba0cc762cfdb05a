/* SPDX-License-Identifier: Apache-2.0 */
/* A file of ranks may hold anything: it is refused, or can be used without a step outside. The
 * checksum is made right, so that what lies behind it is reached. */
#include "base/mem.h"
#include "fuzz.h"
#include "token/bpe.h"
#include "token/ranks.h"

struct adder {
    struct token_sink sink;
    const struct ranks *ranks;
    size_t bytes;
};

static void add(struct token_sink *sink, uint32_t id, uint32_t len) {
    struct adder *a = (struct adder *)sink;
    if (id >= a->ranks->n_tokens) abort();
    a->bytes += len;
}

static void use(const struct ranks *r, struct slice text) {
    struct bpe_scratch scratch = {0};
    struct adder a = {.sink.put = add, .ranks = r};
    bpe_encode(r, slice_sub(text, 0, 60), &scratch, &a.sink);
    bpe_encode(r, slice_sub(text, 60, 400), &scratch, &a.sink);
    if (a.bytes != (text.len < 460 ? text.len : 460)) abort();
    bpe_scratch_dispose(&scratch);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct ranks_header h;
    struct ranks r;
    struct err e;
    char *copy = mem_alloc(size + 1);        /* aligned, and its end is known to the sanitizer */
    memcpy(copy, data, size);
    struct slice file = {copy, size};
    if (size >= sizeof h) {
        memcpy(&h, copy, sizeof h);
        h.checksum = ranks_checksum(slice_from(file, sizeof h));
        memcpy(copy, &h, sizeof h);
    }
    if (ranks_open(file, "o200k_base", &r, &e) == 0) use(&r, slice_from(file, size - 512));
    mem_free(copy);
    return 0;
}
