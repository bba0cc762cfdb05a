/* SPDX-License-Identifier: Apache-2.0 */
/* A fake provider. It speaks every dialect through the same encoders as the gateway, answers
 * deterministically by (seed, request), keeps its schedule to the slot of the timer wheel, and
 * fails on demand.
 *
 * Endpoints (those under /v1 also without it)
 *   POST /v1/chat/completions, /v1/completions, /v1/responses, /v1/messages
 *   POST /v1/messages/count_tokens, /v1/responses/input_tokens, /v1/embeddings, /v1/moderations
 *   GET, DELETE /v1/responses/{id}; GET …/input_items; POST …/cancel
 *   POST /v1/conversations; GET, POST, DELETE /v1/conversations/{id}[/items[/{id}]]
 *   GET  /v1/models, /v1/models/{id}: as Anthropic lists them with an anthropic-version header
 *   GET  /health, /metrics
 *   POST /penstock/step?key=KEY&n=1|all[&timeout_ms=10000]
 *        Lets the streams of this key go on by n tokens; answers when all of them have been written
 *        (n=all: at once). A step may come before its stream; 404 when none has come in time. A key
 *        may be used again when its last stream has ended.
 *   GET  /penstock/wait?NAME=N[&timeout_ms=10000]
 *        Answers when the counter NAME has reached N (NAME_max: has come down to N); 504 when the
 *        time is over. Names: requests, started, completed, cancelled, open.
 *   GET  /penstock/self
 *        How late frames left, and whether results are limited by the mock (self.h).
 *   GET  /penstock/clock; POST /penstock/clock?advance=50ms|next
 *        The mock's own time (mock_clock.h), under --clock manual moved.
 *   GET  /penstock/journal[?filters], /penstock/journal/{seq}
 *        The last requests of the API and what became of them, secrets masked (journal.h). DELETE
 *        empties it.
 *   POST /penstock/expect
 *        Whether requests came as a test expects them (expect.h); 417 when they did not.
 *   GET  /penstock
 *        All of these, as JSON.
 *
 * Knobs of one request, by a header x-penstock-NAME or a string in the body's `metadata` under NAME
 * (a gateway forwards the body as it is):
 *   ttft, itl   laws of time (law.h): it is then answered beside the engine
 *   tps, burst, prefill
 *               tokens a second, tokens a chunk, time for each token of the prompt
 *   tokens      exact length of the answer
 *   text        the answer itself
 *   thinking    0: none, whatever is asked for; 1: some; redacted: hidden (messages)
 *   cached      how many tokens of the prompt were cached
 *   stamp       1: a comment line `: t=NS due=NS` before each frame: when it left and when it was
 *               to (CLOCK_MONOTONIC; no due in a stepped stream)
 *   step        key of a stepped stream; also by the body's `user` (messages: metadata.user_id):
 *               "step:KEY", and under --step all of `user`
 *   fault       name of a fault (table in fault.c); models named `fault/NAME` do the same
 *
 * What it says: the knob's or the option's text; to "echo: TEXT" the TEXT, to "count TAG to N"
 * "TAGn1 TAGn2 … TAGnN", each a chunk; to "refuse" or "refuse: TEXT" a refusal; to "think:
 * QUESTION" the answer to the question behind a thought; small talk; else prose. The model named
 * `static` gives a short constant answer, encoded once and not journaled: for measuring request
 * rates.
 *
 * What it takes: history as the real providers do (history.h). Thoughts carry proofs that are keyed
 * hashes of the seed, so a changed one is refused though nothing is kept. Responses and
 * conversations are remembered (stored.h), and made in the background when that is asked for
 * (background.h). Whatever else is wrong with a request is noted, or refused (validate.h).
 *
 * When (schedule.h; with --max-batch, engine.h): chunk k of a stream is due at start + ttft + k ×
 * itl, an absolute schedule without drift. What stands before the first token leaves with it; what
 * stands behind the last one is due an itl later. A whole answer leaves when the end of its stream
 * would be due. With itl 0 everything leaves as fast as the client takes it. A stepped stream sends
 * what stands before its first token at once, then a token a step; what stands behind the last
 * token is one step more. */
#ifndef PENSTOCK_MOCK_MOCK_H
#define PENSTOCK_MOCK_MOCK_H

#include "mock/options.h"

struct loop;
struct mock;

/* Serves until SIGINT or SIGTERM: prints the banner to stdout, and the lateness summary at the end.
 * Returns a process exit code: 0, or 4 when it cannot listen, 2 for an impossible option, 1 when
 * the ready file cannot be written (e tells). The settings of the process are the first
 * provider's. */
int mock_run(const struct mock_options *providers, unsigned n, struct err *e) MUST_CHECK;

/* The same inside another program: returns when it is listening, its workers on threads of their
 * own. NULL on failure (e tells). Options are copied. */
struct mock *mock_start(const struct mock_options *o, struct err *e) MUST_CHECK;
/* On the caller's loop instead of threads (workers is taken as 1): for the simulated loop. All
 * calls on the loop's thread. */
struct mock *mock_attach(struct loop *l, const struct mock_options *o, struct err *e) MUST_CHECK;
/* "http://127.0.0.1:41234/v1" of the first address of the first provider; a Unix socket's is
 * "http+unix://%2Frun%2Fx.sock/v1". Lives as long as the mock. */
const char *mock_base_url(const struct mock *m);
/* Closes everything at once and joins the threads; an attached one may take a turn of its loop for
 * that, so not from inside a callback of it. Clears the pointer; NULL is fine. */
void mock_stop(struct mock **m);

/* For tests and the summary. Any thread. */
struct mock_counters {
    uint64_t requests, started, completed, cancelled, open, tokens;
    /* tokens: written minus due; 0 without paced tokens */
    uint64_t late_p50_ns, late_p99_ns, late_max_ns;
};
void mock_counters(const struct mock *m, struct mock_counters *out);

/* The faults, for help and documents: name and description of row i; NULL past the end. */
const char *mock_fault_name(unsigned i);
const char *mock_fault_description(unsigned i);

#endif
