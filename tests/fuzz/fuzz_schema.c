/* SPDX-License-Identifier: Apache-2.0 */
/* Any text as a JSON schema, the first byte being the seed: what is made is JSON, and the same
 * again; or a clear refusal. */
#include <yyjson.h>

#include "fuzz.h"
#include "mock/schema.h"

static int make(struct slice schema, uint64_t seed, struct buf *out) {
    enum schema_taste taste = seed % 2 ? SCHEMA_WILD : SCHEMA_SENSIBLE;
    buf_init(out, (size_t)1 << 20);
    return schema_fill(schema, taste, SLICE("What about 3 in Lisbon or Montr\xc3\xa9""al?"), seed, out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0) return 0;
    struct slice schema = slice_make((const char *)data + 1, size - 1);
    struct buf one, again;
    int rc = make(schema, data[0], &one);
    must(make(schema, data[0], &again) == rc);
    if (rc == 0) {
        yyjson_doc *doc = yyjson_read(one.ptr, one.len, 0);
        must(doc != NULL);
        must(slice_eq(buf_slice(&one), buf_slice(&again)));
        yyjson_doc_free(doc);
    }
    buf_dispose(&one);
    buf_dispose(&again);
    return 0;
}
