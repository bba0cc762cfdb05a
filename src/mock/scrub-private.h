/* SPDX-License-Identifier: Apache-2.0 */
/* Inside the scrubber: scrub.c holds rules and views, scrub_json.c walks over JSON that may be cut
 * or wrong, scrub_body.c takes bodies apart and joins what belongs together.
 *
 * A view is a text as a reader reads it, and knows for each of its bytes which bytes of the body it
 * came from. */
#ifndef PENSTOCK_MOCK_SCRUB_PRIVATE_H
#define PENSTOCK_MOCK_SCRUB_PRIVATE_H

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "mock/scrub.h"

/* Of equal lengths: byte by byte. Else an escape, which is hidden as a whole. */
struct scrub_run {
    uint32_t at, len;            /* in the view */
    uint32_t from, from_len;     /* in the parent's text, or in the body */
};

struct scrub_view {
    const struct scrub_view *parent;     /* NULL: made from the body */
    struct buf text;
    struct scrub_run *runs;
    size_t n_runs, cap_runs;
    bool is_number;                      /* hidden with digits */
};

/* A place in the body that was overwritten. */
struct scrub_mark {
    uint32_t off, len;
};

struct scrub_job {
    const struct scrub *rules;
    const struct scrub_secrets *secrets;
    char *body;
    size_t len;
    bool is_cut;
    int rc;                              /* of the first failure */
    unsigned n_hidden;
    struct scrub_mark *marks;
    size_t n_marks, cap_marks;
    pcre2_match_data *match;
    pcre2_match_context *limits;
};

void scrub_job_open(struct scrub_job *j, const struct scrub *s, const struct scrub_secrets *secrets,
                    char *body, size_t len);
int scrub_job_close(struct scrub_job *j);

void scrub_view_init(struct scrub_view *v, const struct scrub_view *parent);
void scrub_view_reset(struct scrub_view *v);
void scrub_view_dispose(struct scrub_view *v);
/* text stands at `from` of the parent. */
void scrub_view_add(struct scrub_view *v, struct slice text, size_t from);
/* The same of the inside of a JSON string, unescaped; what is no escape is taken as it is. */
void scrub_view_add_json(struct scrub_view *v, struct slice raw, size_t from);
/* What the inside of a JSON string says, cut to size - 1 bytes, with a NUL. Returns the length. */
size_t scrub_plain(struct slice raw, char *out, size_t size);
/* A byte that the body does not have. */
void scrub_view_add_gap(struct scrub_view *v, char byte);

/* Finds and hides; also in what the text says when it is JSON itself. may_be_cut: its end may be
 * the beginning of a secret. */
void scrub_scan(struct scrub_job *j, const struct scrub_view *v, bool may_be_cut);
/* Overwrites body bytes, but no line end; with something else than '*' digits alone. */
void scrub_blank(struct scrub_job *j, size_t off, size_t len, char with);
/* The same, and remembers it: companions hide, too. */
void scrub_hide(struct scrub_job *j, size_t off, size_t len, char with);

/* ---- scrub_json.c ---- */

#define SCRUB_NO_OBJECT UINT32_MAX

enum scrub_leaf_kind { SCRUB_STRING, SCRUB_KEY, SCRUB_NUMBER };

/* An object or an array. */
struct scrub_object {
    uint32_t parent;             /* SCRUB_NO_OBJECT: the root */
    uint32_t position;           /* in an array */
    uint64_t step;               /* hash of its name in the parent */
    uint64_t ident;              /* of its members index, output_index …; 0: none */
    /* where its members `bytes` and `top_logprobs` stand */
    struct span bytes, alternatives;
    /* hashes of where it stands: by names alone, and with what tells two of a name apart */
    uint64_t path, lane;
    bool is_array;
    bool has_token;              /* a member `token`: elements of a list that is read as a text */
};
struct scrub_leaf {
    struct span raw;             /* a string's between its quotes */
    uint32_t object, position;
    uint64_t key;                /* hash of its name in an object */
    enum scrub_leaf_kind kind;
    bool is_secret;              /* by its name */
};

#define SCRUB_NAME_BYTES 72      /* of names and types that we know, and more */

struct scrub_walk {
    struct slice text;
    struct scrub_object *objects;
    uint32_t n_objects, cap_objects;
    struct scrub_leaf *leaves;
    size_t n_leaves, cap_leaves;
    char root_type[SCRUB_NAME_BYTES];   /* the root's member `type`; empty: none */
    bool is_open;                /* the text ended inside the value */
};
void scrub_walk_init(struct scrub_walk *w);
void scrub_walk_dispose(struct scrub_walk *w);
/* One value, from `at` on. Returns where it ended: behind it, at the text's end, or at a byte that
 * cannot be JSON. Objects' paths and lanes are filled. */
size_t scrub_walk_value(struct scrub_walk *w, struct slice text, size_t at);
uint64_t scrub_leaf_path(const struct scrub_walk *w, const struct scrub_leaf *l);
uint64_t scrub_leaf_lane(const struct scrub_walk *w, const struct scrub_leaf *l);
/* Whether the leaf is a token of log probabilities; then where its companions stand. */
bool scrub_leaf_companions(const struct scrub_walk *w, const struct scrub_leaf *l,
                           struct span out[2], bool *out_keys);

#endif
