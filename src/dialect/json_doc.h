/* SPDX-License-Identifier: Apache-2.0 */
/* A wire's JSON, parsed: yyjson with a scratch of the thread's for the usual small frame, limits
 * before parsing, and mending of strings that some servers get wrong. Any thread. */
#ifndef PENSTOCK_DIALECT_JSON_DOC_H
#define PENSTOCK_DIALECT_JSON_DOC_H

#include <yyjson.h>

#include "base/err.h"
#include "dialect/event.h"

/* Deeper nesting is refused, in requests and in answers. */
#define WIRE_MAX_DEPTH 128

/* `text` must outlive it. A small text is parsed in the thread's scratch, without malloc; a second
 * one at the same time is not. Where the text is no UTF-8, `text` is a copy of it as text. */
struct json_doc {
    struct slice text;
    yyjson_doc *doc;
    bool on_heap;
    char *own; /* the copy; else NULL */
};
/* 0 or -ERR_PROTOCOL. */
int json_doc_parse(struct json_doc *d, struct slice text, struct err *e) MUST_CHECK;
void json_doc_free(struct json_doc *d);
/* The token of a JSON string of this document, between its quotes. */
struct span json_doc_string_span(const struct json_doc *d, const yyjson_val *string);
/* The value of an object's member as it came. `value` must be a member's value. */
struct slice json_doc_member_raw(const struct json_doc *d, const yyjson_val *value);

/* Decoded; NULL when v is NULL or no string. */
static inline struct slice json_doc_str(const yyjson_val *v) {
    if (!v || !unsafe_yyjson_is_str((void *)(uintptr_t)v)) return SLICE_NULL;
    return slice_make(v->uni.str, unsafe_yyjson_get_len((void *)(uintptr_t)v));
}

/* NULL, null, false, "", [] or {}: says nothing, whatever its type should be. Languages that do not
 * tell lists from objects write one for the other, serializers false or "" for what is not there. */
static inline bool json_doc_is_empty(const yyjson_val *v) {
    yyjson_val *any = (yyjson_val *)(uintptr_t)v;
    return !v || yyjson_is_null(any) || yyjson_is_false(any) ||
           ((yyjson_is_str(any) || yyjson_is_ctn(any)) && unsafe_yyjson_get_len(any) == 0);
}

/* What does not fit, and is not empty, is a problem of its frame: its text would be lost. The first
 * of them is kept. */
static inline void json_doc_need(const char **problem, const yyjson_val *v, bool fits,
                                 const char *otherwise) {
    if (!fits && !json_doc_is_empty(v) && !*problem) *problem = otherwise;
}

#endif
