/* SPDX-License-Identifier: Apache-2.0 */
/* `penstock bench`: drives an endpoint of any dialect with many connections and measures it, on the
 * same HTTP client, SSE parser and decoders as everything else. No allocation per event. It says
 * when it, not the server, was the limit.
 *
 * What is measured (in ns in the JSON report), of what happens inside the window:
 *   ttft        request started to first content-bearing frame (role-only, empty and usage frames
 *               are none), connecting included
 *   itl         between two content-bearing frames of one stream; per frame
 *   provider    of the stamp that the mock put before the frame (`: t=NS due=NS`): written minus
 *               due; on one machine only, as the next two
 *   delay       written to our loop's entry into the turn that received it: the network, and a
 *               gateway
 *   arrival     due to the same entry: the sum of the two
 *   service     request started to answer complete
 *   response    the same from the scheduled start: what waited for a free connection counts
 *   start_late  open loop: own lateness in starting
 *   lag         loop entry to the end of handling one read: how long what came was kept waiting */
#ifndef PENSTOCK_CLIENT_BENCH_H
#define PENSTOCK_CLIENT_BENCH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "client/chat.h"

enum bench_mode {
    BENCH_REQUESTS, /* whole answers */
    BENCH_STREAM,   /* streams, read to the end */
    BENCH_STALL     /* streams: reads up to the first content, then never again */
};

#define BENCH_MAX_HEADERS 16

struct bench_options {
    const char *url;               /* base URL, "http://127.0.0.1:8080/v1" */
    const struct dialect *dialect; /* default: chat */
    enum bench_mode mode;
    /* closed loop: kept busy; open loop: the most at once. Default 1 */
    unsigned connections;
    unsigned threads;              /* default 1 */
    uint64_t requests;             /* stop after this many; 0: by duration */
    /* after this long what still runs is cut (unfinished); 0: by requests. Both 0: 10 s */
    int64_t duration_ns;
    /* what starts in this time is not measured; slots are handed over without draining */
    int64_t warmup_ns;
    /* spread the first starts over this time; -1: 0.1 ms a connection */
    int64_t ramp_ns;
    /* open loop: starts a second, all threads together; 0: closed loop */
    double rate;
    int64_t timeout_ns;            /* silence on a call; default 30 s */
    const char *model;             /* default "bench" */
    const char *prompt;            /* default: "request N" with the number of the request */
    const char *api_key;           /* NULL: none */
    /* 0: not said; with verify: the number of tokens that is asked for, default 64 */
    int64_t max_tokens;
    bool include_usage;
    /* ask the mock to count, with a tag for each request, and check every byte of the text */
    bool verify;
    bool json;                     /* the report as one JSON object, else for people */
    const char *headers[BENCH_MAX_HEADERS];   /* "name: value" */
    unsigned n_headers;
    const char *ca_file;
    bool insecure;
};

void bench_options_default(struct bench_options *out);
/* Returns an exit code (enum client_exit): 0 when every request went well; the report goes to
 * stdout. For CLIENT_USAGE and CLIENT_UNREACHABLE e tells. */
int bench_run(const struct bench_options *o, struct err *e);

#endif
