/* SPDX-License-Identifier: Apache-2.0 */
/* Whether a request keeps the rules of its API, beyond what makes it unreadable: types, ranges,
 * roles, parts, tools, schemas, settings that exclude each other, headers. What is found goes to
 * the journal; --strict answers the first error as the provider would. The rules are one table.
 * Pure, any thread. */
#ifndef PENSTOCK_MOCK_VALIDATE_H
#define PENSTOCK_MOCK_VALIDATE_H

#include "base/arena.h"
#include "base/buf.h"
#include "http/message.h"
#include "mock/api.h"

enum rule_severity {
    RULE_WARNING,                    /* strange, or risky: the provider answers all the same */
    RULE_ERROR                       /* the provider refuses it */
};

/* Bits of struct rule.dialects. */
enum rule_dialects {
    RULE_CHAT = 1,
    RULE_COMPLETIONS = 2,
    RULE_RESPONSES = 4,
    RULE_MESSAGES = 8,
    RULE_OPENAI = RULE_CHAT | RULE_COMPLETIONS | RULE_RESPONSES,
    RULE_TALKS = RULE_CHAT | RULE_RESPONSES | RULE_MESSAGES,
    RULE_ALL = RULE_OPENAI | RULE_MESSAGES
};

enum rule_id {
    /* the request as a whole */
    RULE_UNREADABLE,
    RULE_HISTORY,
    RULE_CONTENT_TYPE,
    RULE_VERSION_HEADER,
    /* parameters */
    RULE_UNKNOWN_PARAMETER,
    RULE_TYPE,
    RULE_RANGE,
    RULE_CHOICE,
    RULE_LENGTH,
    RULE_MISSING,
    RULE_METADATA,
    RULE_LOGIT_BIAS,
    RULE_DEPRECATED,
    /* settings and each other */
    RULE_STREAM_OPTIONS,
    RULE_TOP_LOGPROBS,
    RULE_TWO_MAX_TOKENS,
    RULE_REASONING_MAX_TOKENS,
    RULE_REASONING_SAMPLING,
    RULE_NO_REASONING,
    RULE_SAMPLING_TWICE,
    RULE_JSON_WORD,
    /* messages and parts */
    RULE_EMPTY_CONTENT,
    RULE_FIRST_MESSAGE,
    RULE_PREFILL,
    RULE_PART_TYPE,
    RULE_IMAGE,
    RULE_FILE,
    RULE_AUDIO,
    RULE_ARGUMENTS,
    RULE_RESULTS_FIRST,
    RULE_CACHE_POINTS,
    /* tools */
    RULE_TOOL_NAME,
    RULE_TOOL_TWICE,
    RULE_TOOL_PARAMETERS,
    RULE_TOOL_CHOICE,
    RULE_TOOL_CHOICE_UNKNOWN,
    RULE_CALL_IDS,
    RULE_USE_IDS,
    RULE_STRICT_SCHEMA,
    RULE_COUNT
};

struct rule {
    const char *id;                  /* "tool-name" */
    unsigned dialects;
    enum rule_severity severity;
    const char *code;                /* of OpenAI's error, where a violation has none; NULL: null */
    unsigned status;                 /* of the error; 0: 400 */
    const char *what;                /* a sentence, Markdown: what is wrong */
};
extern const struct rule validate_rules[RULE_COUNT];

struct violation {
    struct violation *next;
    enum rule_id rule;
    const char *path;                /* "messages[1].content[0].type"; "": the request */
    const char *message;             /* in the provider's words */
    const char *code;                /* NULL: null */
    const char *param;               /* of the error; NULL: null */
};

/* Above this many only the number grows. */
#define VIOLATIONS_MAX 64

struct violations {
    struct violation *first, *last;
    unsigned n, n_errors;
};

struct validate_request {
    const struct api *api;
    const struct http_headers *headers;  /* NULL: not looked at */
    struct slice body;               /* that the dialect has accepted */
    const struct llm_request *rq;    /* what it was decoded to */
};
/* Adds what it finds. Everything lives in the arena, or in static memory. */
void validate_request(const struct validate_request *in, struct arena *a, struct violations *out);
/* What a decoder, or the look at the history, has refused anyway. */
void validate_refused(struct violations *v, enum rule_id rule, const struct request_fault *fault,
                      struct arena *a);
/* The first error; NULL: there is none. */
const struct violation *validate_error(const struct violations *v);
/* The provider's error for it. */
void validate_api_error(const struct violation *v, struct api_error *out);

/* {"rule":…,"severity":"error","path":…,"message":…} with commas between. */
int validate_write(const struct violations *v, struct buf *out) MUST_CHECK;
/* docs/validation.md, with the table of rules. */
int validate_write_docs(struct buf *out) MUST_CHECK;

#endif
