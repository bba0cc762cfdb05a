/* SPDX-License-Identifier: Apache-2.0 */
/* What an answer is to be, said by somebody: a scenario, a test that pushed it, a capture that is
 * played in another dialect. plan.c turns it into segments; it wins over the generator. Everything
 * lives in the exchange's arena: plan_make copies what it needs. */
#ifndef PENSTOCK_MOCK_SCRIPT_H
#define PENSTOCK_MOCK_SCRIPT_H

#include "dialect/event.h"
#include "mock/burst.h"
#include "mock/law.h"

/* One block of the answer, in the order of coming. */
struct script_block {
    /* TEXT, REASONING, REDACTED, REFUSAL, TOOL_CALL, CUSTOM_TOOL_CALL */
    enum block_kind kind;
    /* Texts, a thought's words, a call's arguments (JSON text) or input. as_written: each piece is
     * a slot and a delta of its own; else they are one text, cut into tokens */
    const struct slice *pieces;
    unsigned n_pieces;
    bool as_written;
    /* cut into deltas of so many bytes (at code points) instead; 0: not */
    unsigned chunk_bytes;
    struct slice name, id;           /* of a call; an empty id is made up */
    /* REASONING: its signature, REDACTED: its data. ptr NULL: made up where the dialect has one;
     * empty: none */
    struct slice proof;
    const struct annotation *annotations;    /* TEXT: citations */
    unsigned n_annotations;
    bool has_pause;                  /* extra time before the first piece */
    struct law pause;
};

struct script_usage {                /* -1: as counted */
    int64_t in_total, out_total, cache_read, cache_write, reasoning;
};

struct script {
    /* who said it: name, for the journal and x-penstock-scenario */
    struct slice scenario;
    struct slice place;              /* "greeting.yaml:12"; empty: pushed */
    /* None, and no status: the generator says what it would have said, on the terms below */
    const struct script_block *blocks;
    unsigned n_blocks;
    /* The blocks' deltas take turns, where the dialect can have several open at once (chat's
     * calls); else one after another */
    bool is_interleaved;
    bool has_stop;                   /* else: STOP_TOOL with calls, STOP_END without */
    enum stop_reason stop;
    struct slice stop_sequence;
    struct script_usage usage;
    struct slice id, model;          /* of the answer; empty: made up, the request's */
    /* An error instead of an answer; 0: none. Texts may be empty: the provider's usual ones for the
     * status */
    unsigned status;
    struct slice error_type, error_code, error_param, error_message;
    unsigned retry_after_s;
    /* When: over the provider's settings, under the request's own knobs */
    bool has_ttft, has_itl, has_burst;
    struct law ttft, itl;
    double tps;                      /* tokens a second, in place of itl; 0: not said */
    struct burst burst;
    /* A fault as x-penstock-fault spells it: "cut:after=5"; empty: none */
    struct slice fault;
    const struct slice *headers;     /* name, value, name, value…: added to the answer's head */
    unsigned n_headers;              /* pairs */
};
/* Of kinds of blocks (a bit each, 1u << kind) those that an answer of the dialect has no place for,
 * one after another and as scenarios spell them; NULL at the end. *io_at: 0 at first. */
struct dialect;
const char *script_left_out(unsigned kinds, const struct dialect *d, unsigned *io_at);

#define SCRIPT_USAGE_NONE ((struct script_usage){-1, -1, -1, -1, -1})

#endif
