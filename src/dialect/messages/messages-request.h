/* SPDX-License-Identifier: Apache-2.0 */
/* What the request files of the messages dialect share. */
#ifndef PENSTOCK_DIALECT_MESSAGES_REQUEST_H
#define PENSTOCK_DIALECT_MESSAGES_REQUEST_H

#include "dialect/messages/messages-private.h"

/* ---- JSON values (messages_schema.c) ---- */

/* JSON (of any kind, accepted by a parser before) in the arena, as short as it can be written:
 * messages_schema.c says how. */
struct slice messages_compact(struct slice json, struct arena *a);
/* A call's arguments, whatever they are, as an object (translation.md 1.7). */
void messages_w_arguments(struct json_writer *w, struct slice text, struct arena *a);
/* A tool's schema as Anthropic takes it: of type object, no union at its top (1.5). schema may be
 * empty. */
void messages_w_input_schema(struct json_writer *w, struct slice schema, struct arena *a);
/* A schema in the subset that output_config.format takes: objects closed, bounds told in
 * descriptions (1.10). */
void messages_w_output_schema(struct json_writer *w, struct slice schema, struct arena *a);

/* ---- data: URLs (messages_data.c) ---- */

struct messages_data {
    struct slice media_type; /* lower case, no parameters; empty: not said */
    struct slice data;       /* as it stands there, percent-encoded or not */
    bool is_base64;
};
/* False: no data: URL. */
bool messages_data_read(struct slice url, struct arena *a, struct messages_data *out);
/* What it holds, in base64; as it is (NULL when its base64 is none). */
struct slice messages_data_base64(const struct messages_data *d, struct arena *a);
struct slice messages_data_bytes(const struct messages_data *d, struct arena *a);

/* ---- reading (messages_request.c) ---- */

/* `thinking`. 0, or -ERR_USAGE with the fault. */
int messages_read_thinking(struct slice value, struct arena *a, struct reasoning_ask *out,
                           struct request_fault *fault) MUST_CHECK;

/* ---- writing ---- */

enum messages_thinking {
    MESSAGES_THINKING_UNSAID,
    MESSAGES_THINKING_OFF,
    MESSAGES_THINKING_ADAPTIVE,
    MESSAGES_THINKING_BUDGET
};
struct messages_writer {
    struct json_writer w;
    const struct llm_request *rq;
    struct translation *t; /* NULL: nothing is noted as dropped */
    const struct capabilities *caps;
    struct request_fault *fault;
    struct arena *a; /* scratch of this call */
    bool is_native;  /* every raw is in our words */
    bool has_member; /* in what is being written: the next one needs a comma */
    int refused;     /* 0, or -ERR_USAGE with the fault */
    /* settled before anything is written, from other dialects' requests */
    enum messages_thinking thinking;
    int64_t max_tokens, budget_tokens;
    struct slice effort, display;
    bool sends_format;        /* output_config.format */
    struct slice format_line; /* a system text that asks for JSON instead; empty: none */
};
/* messages_request_write.c */
void messages_w_text(struct messages_writer *x, const char *json);
void messages_w_open(struct messages_writer *x, const char *bracket);
void messages_w_close(struct messages_writer *x, const char *bracket);
void messages_w_key(struct messages_writer *x, const char *name);
/* A member; nothing when the value is absent (ptr NULL). */
void messages_w_string(struct messages_writer *x, const char *name, struct slice value);
/* Before an element of an array: the comma. */
void messages_w_element(struct messages_writer *x);
/* As they came. */
void messages_w_fields(struct messages_writer *x, const struct field *f);
void messages_drop(struct messages_writer *x, const char *name);
/* `cache_control` among the fields, an object; NULL: none. */
struct slice messages_cache_control(const struct field *f);
/* Neither null nor an empty array or object. */
bool messages_is_said(struct slice value);

/* messages_turns.c: `system` and `messages`. */
void messages_w_turns(struct messages_writer *x);
/* Results stand at the end, and the assistant's turn before them does not begin with reasoning:
 * thinking with a budget cannot be asked for (translation.md 6, rule 7). */
bool messages_lacks_reasoning(const struct messages_writer *x);

#endif
