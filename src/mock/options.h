/* SPDX-License-Identifier: Apache-2.0 */
/* What one provider of the mock is told: filled through the table in settings.c, by flags, by a
 * file, by a control request. Texts and lists are borrowed from whoever made them; a running mock
 * works on a copy of its own (mock_options_copy). */
#ifndef PENSTOCK_MOCK_OPTIONS_H
#define PENSTOCK_MOCK_OPTIONS_H

#include "base/arena.h"
#include "base/err.h"
#include "mock/burst.h"
#include "mock/law.h"

#define MOCK_MAX_LISTEN 16
#define MOCK_MAX_PROVIDERS 16
#define MOCK_MAX_SETTINGS 96

enum mock_models { MOCK_MODELS_AUTO, MOCK_MODELS_OPEN, MOCK_MODELS_CLOSED };
enum mock_full { MOCK_FULL_429, MOCK_FULL_503 };
enum mock_on_miss { MOCK_MISS_ERROR, MOCK_MISS_GENERATE, MOCK_MISS_RECORD };
enum mock_clock { MOCK_CLOCK_REAL, MOCK_CLOCK_VIRTUAL, MOCK_CLOCK_MANUAL };

enum mock_tokenizer {
    MOCK_TOKENIZER_AUTO,
    MOCK_TOKENIZER_O200K,
    MOCK_TOKENIZER_CL100K,
    MOCK_TOKENIZER_PIECES
};

/* A key that clients may come with, and its own limits (0: the provider's). */
struct mock_key {
    const char *key;
    uint64_t rpm, tpm;
};

struct mock_options {
    /* of the provider, in /penstock and the journal; may be NULL */
    const char *name;
    const char *const *listen;       /* "127.0.0.1:8000", "unix:/run/mock.sock"; port 0: any */
    unsigned n_listen;               /* 0: 127.0.0.1:8000 (mock_run), 127.0.0.1:0 (mock_start) */
    const char *tls_cert, *tls_key;  /* NULL: plain */
    uint64_t seed;

    /* when (schedule.h) */
    struct law ttft, itl;
    double tps;                      /* tokens a second: wins over itl; 0: not said */
    struct law prefill;              /* of each token of the prompt that was not cached */
    struct burst burst;              /* tokens a chunk */
    double slowdown;                 /* for each further answer under way; 0.01: 1 % */
    unsigned max_batch;              /* of the engine (engine.h); 0: there is none */
    unsigned queue;                  /* before it */
    enum mock_full on_full;
    int64_t batch_cost_ns;           /* of a step, for each request in it */
    unsigned prefill_budget;         /* tokens of prompts a step; 0: no bound */
    uint64_t prefix_cache;           /* tokens that it holds (prefix_cache.h); 0: there is none */
    int64_t prefix_ttl_ns;           /* 0: for ever */
    /* of profile.h: what was not given is as it says; NULL: none */
    const char *profile;
    bool is_profiled;                /* what a profile said is in here */
    int64_t late_bound_ns;           /* p99 of lateness above it: results are the mock's (self.h) */
    bool stamp, step;

    /* what */
    /* exact length of an answer; 0: as long as the answer happens to be */
    uint64_t tokens;
    const char *text;                /* what every answer says; NULL: made up from the request */
    bool echo;                       /* every answer is the last user text */
    enum mock_tokenizer tokenizer;   /* AUTO: by the model's name */
    const char *const *scenarios;    /* files and folders */
    unsigned n_scenarios;

    /* recorded answers (record.h, replay.h) */
    const char *upstream, *upstream_key;   /* a URL; a variable of the environment; or NULL */
    const char *record, *replay;     /* folders, or NULL */
    const char *speed;               /* "1x", "max" */
    enum mock_on_miss on_miss;
    const char *const *scrub;        /* patterns of what is kept out of captures */
    unsigned n_scrub;

    /* who may ask for what */
    const char *const *models;       /* that are listed */
    unsigned n_models;
    enum mock_models models_are;     /* AUTO: closed when models are given */
    const struct mock_key *keys;
    unsigned n_keys;                 /* 0: any key, and none */
    uint64_t rpm, tpm;               /* per key; 0: no limit */
    const char *cors;                /* "*", an origin, or "off" */
    bool strict;                     /* requests that break a rule are refused */

    /* what is kept */
    unsigned journal;                /* requests; 0: none */
    uint64_t stored;                 /* bytes of responses and conversations; 0: none */
    int64_t stored_ttl_ns;           /* how long they are kept */

    /* how it fails */
    const char *const *faults;       /* specs (fault.h), of the whole provider */
    unsigned n_faults;

    /* the process's: the first provider's count */
    unsigned workers;                /* threads; 0: one */
    enum mock_clock clock;
    bool quiet;                      /* mock_run: no banner and no summary */
    bool color;                      /* mock_run: colour in the banner */
    bool json;                       /* mock_run: both as a line of JSON */
    const char *ready_file;          /* mock_run: addresses, as JSON, once it listens */
    bool exit_with_parent;           /* mock_run */

    /* by row of the table: the user said so */
    unsigned char given[MOCK_MAX_SETTINGS];
};

/* ttft 200 ms, itl 20 ms, one worker, everything else off. */
void mock_options_default(struct mock_options *out);
/* With all they point to. */
void mock_options_copy(struct mock_options *out, const struct mock_options *o, struct arena *a);

#endif
