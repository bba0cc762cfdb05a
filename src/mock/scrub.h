/* SPDX-License-Identifier: Apache-2.0 */
/* Keeps secrets out of captures. What is one: credentials by the names of headers, parameters and
 * JSON members; the client's own keys, wherever they occur; texts that look like keys, tokens and
 * private keys of well-known kinds; what the user's patterns match.
 *
 * Bodies are searched as a reader would read them: JSON strings unescaped (also JSON inside JSON
 * strings), and in streams the strings of one place in all frames (a block's deltas, a call's
 * arguments, a list of tokens) joined, so that a secret is found however it was cut. Each byte that
 * a secret is made of is overwritten with '*', an escape as a whole: lengths, chunk borders and the
 * JSON around it stay as they were, and every other byte, too. Beside a token that was hidden in
 * log probabilities, its bytes and alternatives are hidden with it.
 *
 * A struct scrub is immutable: any thread. Built on PCRE2, matching limited. */
#ifndef PENSTOCK_MOCK_SCRUB_H
#define PENSTOCK_MOCK_SCRUB_H

#include "base/buf.h"
#include "base/slice.h"

struct scrub;

/* patterns: the user's. NULL when one is wrong, e says which and why. */
struct scrub *scrub_new(const char *const *patterns, unsigned n, struct err *e) MUST_CHECK;
void scrub_free(struct scrub **s);
/* Whether a pattern can be used: for settings.c. */
struct arena;
struct mock_options;
int scrub_pattern_check(struct slice text, struct mock_options *o, struct arena *a, struct err *e);

/* Texts to be hidden literally: the client's keys. */
#define SCRUB_MAX_SECRETS 8
struct scrub_secrets {
    struct slice items[SCRUB_MAX_SECRETS];
    unsigned n;
    bool has_more;                   /* that are not in here: nothing can be hidden */
};
/* Short words that would hide half of an answer are not taken. */
void scrub_secrets_add(struct scrub_secrets *s, struct slice secret);

enum scrub_body_kind {
    SCRUB_GUESS,          /* by its first bytes */
    SCRUB_STREAM          /* server-sent events */
};

/* In place. is_cut: the body ended before its time, so that a secret may have, too. out_n (NULL is
 * fine): how many places were overwritten. 0, or -ERR_LIMIT: a pattern took too long, the body must
 * not be shown to anybody. */
int scrub_body(const struct scrub *s, const struct scrub_secrets *secrets,
               enum scrub_body_kind kind, bool is_cut, char *body, size_t len,
               unsigned *out_n) MUST_CHECK;
/* Any text of a line, in place: a header's value, a path with its query. */
int scrub_text(const struct scrub *s, const struct scrub_secrets *secrets, char *text,
               size_t len) MUST_CHECK;
/* In place: a header's value; whole when its name says that it is a secret, but for the scheme. */
int scrub_header(const struct scrub *s, const struct scrub_secrets *secrets, struct slice name,
                 char *value, size_t len) MUST_CHECK;
/* In place: "/v1/files?key=…". */
int scrub_target(const struct scrub *s, const struct scrub_secrets *secrets, char *target,
                 size_t len) MUST_CHECK;

#endif
