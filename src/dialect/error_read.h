/* SPDX-License-Identifier: Apache-2.0 */
/* Reads whatever an upstream says instead of an answer: every provider's form of error, pages of
 * proxies, plain text. One reader for all dialects, since any of them may sit behind any proxy. */
#ifndef PENSTOCK_DIALECT_ERROR_READ_H
#define PENSTOCK_DIALECT_ERROR_READ_H

#include "base/arena.h"
#include "dialect/json_doc.h"

/* Whether an object of the wire (or an array of one) is an error, as the SDKs see it. answer_key: a
 * member that every answer has ("choices"); an object with it is an error only when its `error` is
 * truthy. */
bool error_is_in(yyjson_val *root, const char *answer_key);

/* Reads any known form; slices into the document, or into `scratch` (numbers). status 0: from the
 * words, when they tell. */
struct error_scratch {
    char code[24];
};
void error_read(const struct json_doc *d, unsigned status, struct error_scratch *scratch,
                struct api_error *out);
/* A body of any kind; never fails. Slices in body or a. */
void error_read_body(unsigned status, struct slice body, struct arena *a, struct api_error *out);

#endif
