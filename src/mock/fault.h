/* SPDX-License-Identifier: Apache-2.0 */
/* How the mock fails on demand: one table (fault_table.c). A spec names a row and may set its
 * parameters:
 *
 *   NAME[:key=value[,key=value]…]        cut   cut:after=5,how=fin   stall:after=3,for=2s
 *
 * by the header x-penstock-fault, by metadata.fault, by the model name `fault/SPEC`, by a scenario,
 * or for a provider as a whole, where further keys say when: rate=5%, start=10s, duration=5s,
 * period=60s, count=3, model=GLOB, path=GLOB. Pure, any thread, nothing is allocated. */
#ifndef PENSTOCK_MOCK_FAULT_H
#define PENSTOCK_MOCK_FAULT_H

#include "base/buf.h"
#include "dialect/event.h"

/* What a row does, and where: each is one function or one branch of the file that is named. */
enum fault_kind {
    /* fault_answer.c: something else than an answer */
    FAULT_STATUS,
    FAULT_NO_ANSWER,
    FAULT_RESET,
    FAULT_CLOSE,
    FAULT_RESET_EARLY,
    FAULT_REFUSE,
    FAULT_ACCEPT_RESET,
    FAULT_TLS_HANDSHAKE,
    /* endpoint_answer.c: what is said */
    FAULT_ECHO_HEADERS,
    /* wire.c: heads, ends, time */
    FAULT_CUT,
    FAULT_FIN,
    FAULT_STALL,
    FAULT_SLOW_HEAD,
    FAULT_TLS_ABORT,
    FAULT_ERROR_EVENT,
    FAULT_HANG_AFTER_END,
    FAULT_TYPE_HEADER,
    FAULT_ERROR_200,
    FAULT_EMPTY_BODY,
    FAULT_INFORMATIONAL,
    FAULT_HTTP10,
    FAULT_STATUS_LINE,
    FAULT_DOUBLE_HEADERS,
    FAULT_HUGE_HEADER,
    FAULT_LENGTH_AND_CHUNKED,
    FAULT_LONG_LENGTH,
    FAULT_SHORT_LENGTH,
    FAULT_CHUNK_SIZE,
    FAULT_CHUNK_TOO_LARGE,
    FAULT_NO_LAST_CHUNK,
    FAULT_TRAILING_GARBAGE,
    FAULT_GZIP,
    FAULT_GZIP_UNLABELED,
    /* wire_bytes.c: how bytes are cut into writes */
    FAULT_TRICKLE,
    FAULT_BYTE_BY_BYTE,
    FAULT_SPLIT_UTF8,
    FAULT_MERGE,
    FAULT_BUFFERED,
    /* wire_form.c: how a frame is spelt */
    FAULT_CRLF,
    FAULT_CR,
    FAULT_BOM,
    FAULT_MULTI_LINE,
    FAULT_NO_SPACE,
    FAULT_COMMENTS,
    FAULT_IDS,
    FAULT_RETRY,
    /* wire_frame.c: what is in a frame, and which frames there are */
    FAULT_CUT_EVENT,
    FAULT_CUT_STRING,
    FAULT_CUT_UTF8,
    FAULT_TRUNCATED_JSON,
    FAULT_MALFORMED,
    FAULT_BAD_LINE,
    FAULT_EMPTY_DATA,
    FAULT_BAD_UTF8,
    FAULT_NO_DONE,
    FAULT_DOUBLE_DONE,
    FAULT_AFTER_END,
    FAULT_DUPLICATE,
    FAULT_DROP,
    FAULT_REORDER,
    FAULT_WRONG_INDEX,
    FAULT_CHANGED_ID,
    FAULT_NO_START,
    FAULT_NO_FINISH,
    FAULT_NO_USAGE,
    FAULT_WRONG_USAGE,
    FAULT_DOUBLE_USAGE,
    FAULT_EMPTY_DELTAS,
    FAULT_GIANT_FRAME,
    FAULT_CUT_ARGUMENTS,
    FAULT_UNKNOWN_EVENT,
    FAULT_WRONG_JSON_TYPE,
    FAULT_KIND_COUNT
};

/* What can be set: one meaning each, whatever the row. */
enum fault_key {
    FAULT_KEY_AFTER,       /* tokens that leave unharmed */
    FAULT_KEY_HOW,
    FAULT_KEY_FOR,         /* nanoseconds; INT64_MAX: for ever */
    FAULT_KEY_TYPE,
    FAULT_KEY_BODY,
    FAULT_KEY_RETRY,       /* nanoseconds */
    FAULT_KEY_STATUS,
    FAULT_KEY_BYTES,
    FAULT_KEY_EVERY,       /* nanoseconds */
    FAULT_KEY_N,
    FAULT_KEY_LIMIT,
    FAULT_KEY_TOKENS,
    FAULT_KEY_COUNT
};

enum fault_level {
    FAULT_LEVEL_STATUS,        /* an error instead of an answer */
    FAULT_LEVEL_CONNECTION,
    FAULT_LEVEL_HTTP,
    FAULT_LEVEL_STREAM,        /* how the stream goes and ends */
    FAULT_LEVEL_FRAME,         /* what is in it */
    FAULT_LEVEL_BYTES,         /* how it is spelt and cut */
    FAULT_LEVEL_NONE           /* no fault at all */
};
extern const char *const fault_level_names[];

struct fault_setting {
    enum fault_key key;
    const char *default_text;      /* NULL: the end of the list */
    const char *choices;           /* "a|b|c"; NULL: by the key's own type */
};
#define FAULT_MAX_SETTINGS 4

struct mock_fault {
    const char *name;
    enum fault_kind kind;
    enum fault_level level;
    struct fault_setting settings[FAULT_MAX_SETTINGS];
    unsigned status;               /* STATUS: the row of the table of errors */
    const char *description;       /* what happens, streamed; whole sentences */
    const char *whole;             /* the same of an answer in one piece; NULL: just the same */
    const char *rule;              /* that is broken; NULL: none, a client must cope */
    /* What our own reader says of a stream with it, by dialect in the order of api_at: a letter of
     * docs/faults.md each; of an answer in one piece. Tests hold it true. */
    const char *seen, *seen_whole;
    /* What official Python SDKs make of it: openai's chat and responses, anthropic's messages; NULL
     * where it is not theirs to see. */
    const char *sdk;
};

extern const struct mock_fault fault_table[];
extern const unsigned fault_count;
#define FAULT_MAX_ROWS 128

/* Rules, for documents and for who checks streams. */
struct fault_rule {
    const char *id, *meaning;
};
extern const struct fault_rule fault_rules[];
extern const unsigned fault_rule_count;

#define FAULT_SPEC_BYTES 160
#define FAULT_GLOB_BYTES 64

/* A fault and its parameters, for one request. Plain values: copied as it is. */
struct fault_use {
    const struct mock_fault *row;
    int64_t values[FAULT_KEY_COUNT];    /* choices: the place in the row's list */
    bool is_asked;                      /* by the client itself: the answer's head says so */
    char spec[FAULT_SPEC_BYTES];        /* as it was written */
};

/* When a provider-wide one strikes. */
struct fault_when {
    double rate;                        /* of the requests that fit; 1: all */
    int64_t start_ns, duration_ns, period_ns;    /* duration and period 0: always, once */
    uint64_t count;                     /* at most so many; 0: no bound */
    char model[FAULT_GLOB_BYTES], path[FAULT_GLOB_BYTES];    /* empty: any */
};

/* 0 or -ERR_USAGE with e naming what is wrong, and what it may have been meant for. out_when NULL:
 * only the row's own keys are allowed. */
int fault_parse(struct slice spec, struct fault_use *out, struct fault_when *out_when,
                struct err *e) MUST_CHECK;
/* For the table of settings: 0, or why it is no fault of a whole provider. */
struct arena;
struct mock_options;
int fault_check(struct slice spec, struct mock_options *o, struct arena *a,
                struct err *e) MUST_CHECK;
const struct mock_fault *fault_find(struct slice name);        /* NULL: there is none */
static inline unsigned fault_index(const struct mock_fault *f) {
    return (unsigned)(f - fault_table);
}
/* True when the answer is made as usual and comes to harm on its way (wire.h). */
bool fault_is_on_the_wire(const struct mock_fault *f);
/* How much later everything leaves. */
int64_t fault_head_delay_ns(const struct fault_use *use);

/* All rows, as people read them, and as a JSON array. 0 or -ERR_LIMIT. */
int fault_list(struct buf *out) MUST_CHECK;
int fault_list_json(struct buf *out) MUST_CHECK;
/* docs/faults.md */
int fault_docs(struct buf *out) MUST_CHECK;

#endif
