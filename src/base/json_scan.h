/* SPDX-License-Identifier: Apache-2.0 */
/* JSON without a tree, for bodies that are checked, looked into and spliced but not rewritten:
 * everything works on the text as it came and gives places in it. No allocation (but what the
 * output buffers hold), no recursion, no I/O, any thread. Rule: RFC 8259. Lone surrogate escapes
 * ("\ud800") are well-formed there, and accepted here. */
#ifndef PENSTOCK_BASE_JSON_SCAN_H
#define PENSTOCK_BASE_JSON_SCAN_H

#include "base/buf.h"
#include "base/err.h"
#include "base/slice.h"

/* Deeper nesting is refused whatever max_depth says. */
#define JSON_DEPTH_MAX 1024

/* One member of an object, as places in the object's text. The slices borrow that text.
 *
 * Deleting [cut_off, cut_off + cut_len) leaves a valid object: the cut is the member with the comma
 * before it (and what stands between the two); the first member has none, and takes the comma
 * behind it if there is one. A cut holds for the text it was made from: two cuts of neighbours may
 * share a comma, so find the second one after deleting the first. */
struct json_member {
    struct slice key;   /* between the quotes, escapes as they are */
    struct slice value; /* the token: {…}, […], "…", number, true, false, null */
    size_t key_off;     /* of the key's opening quote; the member ends where its value ends */
    size_t value_off, value_len;
    size_t cut_off, cut_len;
};

/* Non-zero stops the scan, which returns it. m dies with the call. */
typedef int json_member_fn(void *self, const struct json_member *m);

/* Validates the complete text, whose root must be an object, and calls fn (NULL is fine) for each
 * member of the root, in order, as the scan meets them: the text behind may still turn out to be
 * invalid. Duplicate keys are the caller's business. The root has depth 1. Returns 0,
 * -ERR_PROTOCOL, -ERR_LIMIT (depth), or what fn returned. e says what, at which byte, line and
 * column (in characters, from 1). */
int json_scan_object(struct slice json, unsigned max_depth, json_member_fn *fn, void *self,
                     struct err *e) MUST_CHECK;

/* First member of this name in the root of an object that json_scan_object accepts. Keys are
 * compared as they are written: one spelt with escapes is not found. Any other text gives false or
 * a meaningless place inside it, never an access outside. */
bool json_find_member(struct slice object, struct slice key, struct json_member *out_member);

/* False as soon as brackets outside strings nest deeper than max_depth. Says nothing else about the
 * text, which may be anything: a true for what is no JSON (a stray backslash, say) means
 * nothing. */
bool json_depth_ok(struct slice json, unsigned max_depth);

/* Appends text as the body of a JSON string, without the quotes: quote, backslash and controls
 * escaped, each byte that is not part of well-formed UTF-8 as U+FFFD. All or nothing: 0 or
 * -ERR_LIMIT. */
int json_escape(struct buf *out, struct slice text) MUST_CHECK;

/* Appends what the body of a JSON string means. Lone surrogates become U+FFFD. All or nothing: 0,
 * -ERR_LIMIT, or -ERR_PROTOCOL for an escape that is none. Bytes that are not escapes are not
 * looked at. */
int json_unescape(struct buf *out, struct slice raw) MUST_CHECK;

#endif
