/* SPDX-License-Identifier: Apache-2.0 */
/* The last requests and what became of them, for tests: bounded by number and by bytes, secrets
 * masked as they come in. An entry is opened when its request has come, and closed when its answer
 * has ended; what is told of an entry that has gone meanwhile is ignored. Any thread; one short
 * lock each call, never one a token. */
#ifndef PENSTOCK_MOCK_JOURNAL_H
#define PENSTOCK_MOCK_JOURNAL_H

#include "base/arena.h"
#include "base/buf.h"
#include "http/server.h"

#define JOURNAL_ENTRIES 1000
#define JOURNAL_HEADERS_BYTES 8192
#define JOURNAL_BODY_BYTES ((size_t)64 << 10)
#define JOURNAL_MAX_BYTES ((size_t)64 << 20)
/* How many a query gives that does not say. */
#define JOURNAL_SHOWN 100

struct journal;

struct journal *journal_new(void);
void journal_free(struct journal **j);
/* Entries kept, all of them in max_bytes; the oldest go. 0 entries: nothing is kept from now on. */
void journal_limit(struct journal *j, unsigned entries, size_t max_bytes);
/* Called after every change that somebody may wait for, without the lock, on the thread that made
 * it. Set once, before the journal is used. */
void journal_on_change(struct journal *j, void (*changed)(void *self), void *self);

/* ---- one request ---- */

struct journal_request {
    const struct http_exchange *ex;  /* method, path, query, headers, body: copied, masked */
    const char *provider, *dialect;  /* must outlive the journal; NULL: none */
    struct slice model, session;     /* may be empty */
    struct slice request_id;         /* that the answer's head will have */
    bool stream;
    int64_t wall_ns;
};
/* The entry's number, from 1; 0: it is not kept, which the others take. Headers beyond
 * JOURNAL_HEADERS_BYTES and what a body has beyond JOURNAL_BODY_BYTES are left out. */
uint64_t journal_open(struct journal *j, const struct journal_request *rq);

/* Who said what is answered, what was wrong with the request. Empty ones leave what was told
 * before. */
struct journal_notes {
    const char *answered_by;         /* a literal: "scenario", "generator", "replay", "record" … */
    struct slice request_id;         /* somebody else's head is passed on; ptr NULL: our own is */
    struct slice response_id;        /* the answer's own; of an answer above 399 it is forgotten */
    struct slice scenario, place;    /* its name; "greeting.yaml:12" */
    struct slice fault;              /* that strikes, as its spec */
    struct slice violations;         /* JSON objects with commas between (validate.h) */
    unsigned n_violations;
};
void journal_note(struct journal *j, uint64_t seq, const struct journal_notes *n);

enum journal_end {
    JOURNAL_OPEN,
    JOURNAL_COMPLETED,               /* the answer was given to its end; refusals, too */
    JOURNAL_CANCELLED,               /* the client left */
    JOURNAL_BROKEN                   /* a fault of ours ended it */
};
struct journal_answer {
    unsigned status;                 /* 0: there was none */
    int64_t tokens_in, tokens_out;   /* -1: not known */
    struct slice finish_reason;      /* the wire's; empty: none */
    int64_t first_token_ns;          /* from the request on; -1: none, or not streamed */
    int64_t duration_ns;
    enum journal_end end;
};
/* The first one counts. */
void journal_close(struct journal *j, uint64_t seq, const struct journal_answer *a);
void journal_clear(struct journal *j);
/* The number of the last entry; since it a test's own begin. */
uint64_t journal_last(struct journal *j);

/* ---- reading ---- */

/* Empty slices: any. model and path are globs, ids equal to the letter, the others without case;
 * contains looks at the decoded strings of the body. */
#define JOURNAL_FILTER_BYTES 4096    /* of one, at most */
struct journal_query {
    struct slice provider, dialect, model, path, session, scenario, fault, answered_by, end;
    struct slice request_id, response_id;
    struct slice contains;
    unsigned status_from, status_to; /* 0, 0: any */
    uint64_t since;                  /* entries behind this one */
    bool has_since;
    unsigned limit;                  /* with since: the first ones, else the last ones */
    bool has_bodies;
};
void journal_query_init(struct journal_query *q);
/* dialect=…&model=…&status=429|4xx&since=…&limit=…&body=0|1 …; unknown names are refused.
 * Slices point into the query or the arena. 0 or -ERR_USAGE. */
int journal_query_read(struct slice text, struct arena *a, struct journal_query *out,
                       struct err *e) MUST_CHECK;
/* One filter of it; the value is borrowed. */
int journal_query_set(struct journal_query *q, struct slice name, struct slice value,
                      struct err *e) MUST_CHECK;
/* {"total":N,"last":N,"entries":[…]}, oldest first. 0 or -ERR_LIMIT. */
int journal_write(struct journal *j, const struct journal_query *q, struct buf *out) MUST_CHECK;
/* One entry. False: there is none of this number any more. */
bool journal_write_one(struct journal *j, uint64_t seq, struct buf *out);

/* A reader's hold on entries whose request is looked at without the lock. */
struct journal_entry;
struct journal_view {
    struct journal_entry *entry;
    uint64_t seq;
    const char *dialect, *provider;
    struct slice path, session;
    struct http_headers headers;     /* secrets masked */
    struct slice body;               /* masked */
    bool body_is_cut;
    bool answer_fits;                /* the query, by what the entry says now of its answer */
};
/* All entries behind q->since that there are, oldest first, whether or not they fit. Held until
 * journal_release; the array lives in the arena. */
unsigned journal_hold(struct journal *j, const struct journal_query *q, struct arena *a,
                      struct journal_view **out);
/* Whether what was asked fits the query: the same for an entry each time, and not always cheap
 * (contains). */
bool journal_view_asks(const struct journal_view *v, const struct journal_query *q);
void journal_release(struct journal_view *views, unsigned n);

#endif
