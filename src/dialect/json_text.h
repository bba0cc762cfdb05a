/* SPDX-License-Identifier: Apache-2.0 */
/* Walking over JSON text that a validating parser has already accepted (json_scan_object, yyjson):
 * finds the places of values without building anything. On other text the results are meaningless,
 * but never outside of it. No allocation but where said. */
#ifndef PENSTOCK_DIALECT_JSON_TEXT_H
#define PENSTOCK_DIALECT_JSON_TEXT_H

#include "base/arena.h"
#include "base/slice.h"

/* Offset of the first byte from `at` on that is not JSON white space. */
size_t json_text_skip_space(struct slice text, size_t at);
/* Offset behind the value that starts at `at` (which is not white space). */
size_t json_text_value_end(struct slice text, size_t at);

struct json_walk {
    struct slice text;
    size_t at;
};
/* Over the members of an object or the elements of an array; nothing comes of any other value. */
struct json_walk json_walk_begin(struct slice container);
/* key: between the quotes, escapes as they are. False at the end. */
bool json_walk_member(struct json_walk *w, struct slice *out_key, struct slice *out_value);
bool json_walk_element(struct json_walk *w, struct slice *out_value);

static inline bool json_text_is(struct slice value, char first) {
    return value.len > 0 && value.ptr[0] == first;
}
static inline bool json_text_is_null(struct slice value) {
    return slice_eq(value, SLICE("null"));
}
/* "a string", "an object", "an integer" …: for messages. */
const char *json_text_type(struct slice value);
/* What a string token (with its quotes) means: a slice of it, or in the arena when it has escapes.
 * NULL when it is no string. */
struct slice json_text_string(struct slice token, struct arena *a);
/* The same for a key as json_walk_member gives it. */
struct slice json_text_unescape(struct slice raw, struct arena *a);
/* An integer token, "12" or "12.0" or "1e3". False when it is no whole number that fits. */
bool json_text_int(struct slice token, int64_t *out_value);

#endif
