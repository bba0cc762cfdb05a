/* SPDX-License-Identifier: Apache-2.0 */
/* What the pieces of a text have said, against what a later event repeats of them. A hash and a
 * length, nothing is kept: enough to tell that both are the same, or that the repetition goes on
 * where the pieces ended.
 *
 * Servers trim what they repeat, and write arguments anew: blanks at a text's ends do not count,
 * nor those of JSON outside its strings. A text with U+FFFD is known to be damaged: some servers
 * cut characters between two pieces, and repeat them whole. */
#include "dialect/responses/responses-stream.h"

#define REPLACEMENT "\xef\xbf\xbd" /* U+FFFD */

static bool is_blank(char c) {
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static bool counts(struct responses_said *s, char c) {
    if (!s->is_json) return s->len > 0 || !is_blank(c);
    bool was_in_string = s->in_string;
    if (s->is_escaped) s->is_escaped = false;
    else if (c == '"') s->in_string = !s->in_string;
    else if (c == '\\') s->is_escaped = s->in_string;
    return was_in_string || !is_blank(c);
}

static void add_byte(struct responses_said *s, char c) {
    if (!counts(s, c)) return;
    s->hash = (s->hash ^ (unsigned char)c) * SLICE_HASH_PRIME;
    s->len++;
    if (!s->is_json && is_blank(c)) return;
    s->core_hash = s->hash;
    s->core_len = s->len;
}

static void add_bytes(struct responses_said *s, struct slice text) {
    for (size_t i = 0; i < text.len; i++) add_byte(s, text.ptr[i]);
}

void responses_said_begin(struct responses_said *s, bool is_json) {
    *s = (struct responses_said){
        .hash = SLICE_HASH_START, .core_hash = SLICE_HASH_START, .is_json = is_json};
}

void responses_said_add(struct responses_said *s, struct slice text) {
    add_bytes(s, text);
    if (memmem(text.ptr, text.len, REPLACEMENT, sizeof REPLACEMENT - 1)) s->is_damaged = true;
}

/* What follows the pieces' part of a repetition; of blanks alone what follows those. */
static struct slice rest_of(const struct responses_said *s, struct slice whole, size_t at) {
    struct slice rest = slice_from(whole, at);
    while (rest.len > 0 && s->len == 0 && is_blank(rest.ptr[0])) rest = slice_from(rest, 1);
    return s->is_json && slice_is_blank(rest) ? SLICE_NULL : rest;
}

bool responses_said_is(const struct responses_said *s, struct slice whole, struct slice *out_rest) {
    struct responses_said again;
    size_t at = 0;
    *out_rest = SLICE_NULL;
    if (s->is_damaged) return true;
    responses_said_begin(&again, s->is_json);
    while (at < whole.len && again.len < s->len) add_byte(&again, whole.ptr[at++]);
    if (again.len == s->len && again.hash == s->hash) {
        *out_rest = rest_of(s, whole, at);
        return true;
    }
    add_bytes(&again, slice_from(whole, at));
    return again.core_len == s->core_len && again.core_hash == s->core_hash;
}
