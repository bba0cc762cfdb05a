/* SPDX-License-Identifier: Apache-2.0 */
/* Inside the bench: a lane is one thread with its loop, pool and slots; a slot is one call at a
 * time.
 *
 *   bench.c        options, threads, exit codes
 *   bench_lane.c   when calls start and when it is over
 *   bench_slot.c   one call: bytes → frames → events → figures
 *   bench_report.c the figures, for people and as JSON */
#ifndef PENSTOCK_CLIENT_BENCH_PRIVATE_H
#define PENSTOCK_CLIENT_BENCH_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/hist.h"
#include "client/bench.h"
#include "client/expect.h"
#include "client/stamp.h"
#include "client/target.h"
#include "dialect/dialect.h"

/* Closed set of ways to fail. X(symbol, "spelling") */
#define BENCH_FAILURES(X)                                                                          \
    X(CONNECT, "connect")                                                                          \
    X(TIMEOUT, "timeout")                                                                          \
    X(BROKEN, "broken")                                                                            \
    X(STATUS, "status")                                                                            \
    X(PROTOCOL, "protocol")                                                                        \
    X(TRUNCATED, "truncated")                                                                      \
    X(ERROR_EVENT, "error_event")                                                                  \
    X(WRONG_TEXT, "wrong_text")                                                                    \
    X(LIMIT, "limit")
enum bench_failure {
#define X(symbol, text) FAILURE_##symbol,
    BENCH_FAILURES(X)
#undef X
    FAILURE_COUNT
};

/* What one lane counts; merged at the end. Latencies are of calls that started in the window. */
struct bench_figures {
    uint64_t started, completed, failed, unfinished, stalled, verified;
    uint64_t in_window;                    /* completed inside the window, whenever they began */
    uint64_t failures[FAILURE_COUNT];
    uint64_t statuses[6];                  /* by hundreds; 0: none came */
    /* inside the window: content frames, content events, reads */
    uint64_t frames, tokens, reads, bytes;
    uint64_t connects;
    struct hist ttft_ns, itl_ns, provider_ns, delay_ns, arrival_ns, service_ns, response_ns;
    /* handling of a read done, minus loop entry: our own lateness */
    struct hist lag_ns;
    struct hist start_late_ns;             /* open loop: started minus scheduled */
    int64_t cpu_ns, wall_ns;               /* of the window */
    double cpu_share;                      /* the busiest lane's */
};

void bench_figures_init(struct bench_figures *f);
void bench_figures_merge(struct bench_figures *into, const struct bench_figures *from);

struct bench;
struct lane;

struct slot {
    struct lane *lane;
    struct slot *next_free;
    struct http_call *call;
    struct sse_parser sse;
    struct decoder *decoder;               /* NULL between streams */
    struct buf body;                       /* whole answers and error bodies */
    struct buf turns;                      /* of the request, written first */
    struct buf request;
    struct slice request_slice;
    struct expect expect;
    struct timer again;                    /* after a failure: a pause before the next call */
    int64_t scheduled_ns, start_ns, first_ns, last_ns;
    struct stamp stamp;                    /* of the comment just read */
    unsigned status;
    unsigned frame_tokens;                 /* content events of the frame at hand */
    bool is_stream, is_measured, is_stalled, has_failed;
    bool read_has_content;
};

struct lane {
    struct bench *bench;
    pthread_t thread;
    bool is_running;
    unsigned index;
    struct loop *loop;
    struct http_pool *pool;
    struct slot *slots;
    unsigned n_slots;
    struct slot *free;
    unsigned busy;
    struct timer arrival, window_open, window_close;
    uint64_t next_arrival;                 /* this lane's own count */
    int64_t begin_ns;                      /* first scheduled start */
    int64_t open_ns, close_ns;             /* the window */
    int64_t cpu_at_open_ns;
    bool is_open, is_over;
    bool no_more;                          /* all requests have been given out */
    struct loop_task stop;
    _Atomic bool stop_posted;
    struct bench_figures figures;
};

struct bench {
    const struct bench_options *o;
    struct client_target target;
    struct lane *lanes;
    unsigned n_lanes;
    int64_t begin_ns;
    _Atomic uint64_t next_request;         /* numbers of requests, over all lanes */
    _Atomic bool is_interrupted;
    struct err first_error;                /* guarded by lock */
    bool has_first_error;
    pthread_mutex_t lock;
};

extern const char *const bench_failure_names[FAILURE_COUNT];

/* bench_lane.c */
int bench_lane_init(struct lane *l, struct bench *b, unsigned index, struct err *e) MUST_CHECK;
void bench_lane_run(struct lane *l);
void bench_lane_dispose(struct lane *l);
/* the call has ended: the slot may be used again, now */
void bench_lane_slot_free(struct slot *s);
void bench_lane_stop(struct lane *l);            /* any thread */
bool bench_lane_in_window(const struct lane *l);

/* bench_slot.c */
void bench_slot_init(struct slot *s, struct lane *l);
void bench_slot_start(struct slot *s, uint64_t number, int64_t scheduled_ns);
void bench_slot_stop(struct slot *s);            /* cancels what runs */
void bench_slot_dispose(struct slot *s);

/* bench_report.c */
void bench_report_people(const struct bench *b, const struct bench_figures *f);
int bench_report_json(const struct bench *b, const struct bench_figures *f,
                      struct buf *out) MUST_CHECK;

#endif
