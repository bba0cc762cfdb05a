/* SPDX-License-Identifier: Apache-2.0 */
/* Scenarios: answers that somebody wrote down, with the conditions on which they are given
 * (docs/scenarios.md). A set is what files or a text hold; it never changes. A state is what one
 * provider keeps beside it: counts, sessions, answers that tests pushed; it outlives reloads, for
 * counts go by the scenario's name.
 *
 * A request goes through the pushed answers, oldest first, then through the set's scenarios in
 * order. The first that matches answers; one with `continue` leaves its timing, fault and headers
 * and lets the search go on. Nothing found: the generator's turn. */
#ifndef PENSTOCK_MOCK_SCENARIO_H
#define PENSTOCK_MOCK_SCENARIO_H

#include "config/tree.h"
#include "dialect/dialect.h"
#include "http/message.h"
#include "mock/script.h"

#define SCENARIO_NAME_BYTES 63       /* at most */
#define SCENARIO_MAX_FILES 256
#define SCENARIO_MAX_PUSHED 4096     /* that wait, in */
#define SCENARIO_MAX_PUSHED_BYTES ((size_t)64 << 20)
#define SCENARIO_MAX_TALLIES 65536   /* scenarios times sessions that are counted */
#define SCENARIO_ANSWER_BYTES ((size_t)2 << 20)   /* texts of one answer; cut there */

struct scenario_set;
struct scenario_state;

/* What is known of a request when its answer is looked for. All borrowed. */
struct scenario_request {
    const struct dialect *dialect;
    const struct llm_request *rq;
    const struct http_headers *headers;
    struct slice path;               /* as it came, without the query */
    struct slice body;               /* as it came; valid JSON */
    uint64_t seed, serial;           /* of the provider, of the request: chance comes from both */
    int64_t wall_ns;                 /* Unix time, for {{now}} */
    struct slice session;            /* scenario_session; empty: none */
};

/* Which session a request is of: x-penstock-session, or metadata.session, or `user` (messages:
 * metadata.user_id). Empty: none. May be in the arena. */
struct slice scenario_session(const struct http_headers *headers, const struct llm_request *rq,
                              struct arena *a);

/* ---- sets; any thread ---- */

/* Of files, and folders of *.yaml and *.yml in order of their names. Faults go to r, all of them;
 * NULL when there is any. */
struct scenario_set *scenario_set_load(const char *const *paths, unsigned n, struct report *r);
/* Of a text, YAML or JSON: a document as in a file, or a scenario alone. source names it. */
struct scenario_set *scenario_set_parse(struct slice text, const char *source, struct report *r);
struct scenario_set *scenario_set_ref(struct scenario_set *s);
void scenario_set_unref(struct scenario_set **s);
unsigned scenario_set_count(const struct scenario_set *s);
struct slice scenario_set_name(const struct scenario_set *s, unsigned i);
/* YAML text, or JSON as others write it (escaped pairs of surrogates, which YAML does not know), to
 * a tree: for every body of a control request. */
struct node *scenario_tree_parse(struct slice text, const char *source, struct arena *a,
                                 struct report *r);

/* ---- states; any thread ---- */

struct scenario_state *scenario_state_new(void);
void scenario_state_free(struct scenario_state **st);
/* As if nothing had been asked yet; pushed answers go, too. */
void scenario_state_reset(struct scenario_state *st);
/* All scenarios of a set become answers, given out once each (`times` says otherwise); session: for
 * requests of this one only; empty: for all. -ERR_LIMIT: too many are waiting, or too large ones;
 * none was added. */
int scenario_push(struct scenario_state *st, struct scenario_set *s, struct slice session,
                  struct err *e) MUST_CHECK;
/* Removes the pushed ones of this name; empty: all. Returns how many. */
unsigned scenario_unpush(struct scenario_state *st, struct slice name);

/* ---- answering ---- */

/* Whether something was found; *out is then filled, its memory the arena's (place: the set's, as
 * long as that is referenced). Counts. set may be NULL. A script without blocks and without a
 * status says nothing: the generator answers, on the script's terms. */
bool scenario_find(const struct scenario_set *set, struct scenario_state *st,
                   const struct scenario_request *in, struct arena *a, struct script *out);

/* The same without counting, told in words. JSON: {matched, place, continued, nearest, scenarios:
 * […]}; text: for a terminal. */
int scenario_explain_json(const struct scenario_set *set, struct scenario_state *st,
                          const struct scenario_request *in, struct buf *out) MUST_CHECK;
int scenario_explain_text(const struct scenario_set *set, struct scenario_state *st,
                          const struct scenario_request *in, struct buf *out) MUST_CHECK;
/* JSON array members of the set's scenarios, and of the pushed ones, with their counts. */
int scenario_list_files(const struct scenario_set *set, struct scenario_state *st,
                        struct buf *out) MUST_CHECK;
int scenario_list_pushed(struct scenario_state *st, struct buf *out) MUST_CHECK;

/* ---- conditions alone ---- */

struct scenario_match;
/* A `match` map of a document. Never NULL; faults go to r. Lives in the arena. */
struct scenario_match *scenario_match_parse(const struct node *n, struct arena *a,
                                            struct report *r);
/* The `call` condition counts from 1 here. why_not (NULL is fine): the conditions that failed, one
 * a line, with what was wanted and what there was. Pure. */
bool scenario_match_test(const struct scenario_match *m, const struct scenario_request *in,
                         struct buf *why_not);

/* ---- documents ---- */

/* The reference, Markdown, of the table that checks files. */
int scenario_docs(struct buf *out) MUST_CHECK;

#endif
