/* SPDX-License-Identifier: Apache-2.0 */
/* The canonical model of a request. Everything lives in the arena given to the decoder, or points
 * into the body, which must outlive it. */
#ifndef PENSTOCK_DIALECT_REQUEST_H
#define PENSTOCK_DIALECT_REQUEST_H

#include "base/arena.h"
#include "base/slice.h"
#include "dialect/event.h"

/* What routing and pass-through need, found in one cheap look: no tree of messages is built. Spans
 * are into the body. */
struct envelope {
    struct slice model;              /* decoded; in the arena if it had escapes */
    struct span model_token;         /* the JSON string with its quotes */
    bool stream;
    bool has_stream_options;         /* stream_options is an object */
    bool include_usage;              /* the client asked for usage */
    struct span stream_options_token;/* the value, an object or null */
    struct span include_usage_token; /* the value inside, when the key is there */
    uint32_t root_open;              /* offset of the root's '{' */
    bool root_is_empty;
    int64_t n;                       /* choices, 1 when absent */
    int64_t max_tokens;              /* -1 when absent */
};

enum part_kind {
    PART_TEXT,
    PART_IMAGE,
    PART_AUDIO,
    PART_FILE,
    PART_REFUSAL,
    PART_REASONING,
    PART_REDACTED,
    PART_TOOL_CALL,
    PART_CUSTOM_TOOL_CALL,
    PART_FUNCTION_CALL,
    PART_TOOL_RESULT,
    PART_OPAQUE
};
struct part {
    enum part_kind kind;
    /* TEXT, REFUSAL, REASONING; a tool call's arguments or input; a tool result's text */
    struct slice text;
    struct slice id, name;           /* tool call: id and name; tool result: the call's id */
    /* IMAGE, AUDIO (format in media_type), FILE */
    struct slice url, media_type, detail, filename, file_id, encoded;
    /* the JSON value as it came, in the origin's words; whoever changes the part empties it */
    struct slice raw;
    struct field *extras;            /* fields of the part that the model has no word for */
};

/* A JSON member that the model has no word for, or that is carried as it came: key decoded, value
 * raw. */
struct field {
    struct field *next;
    struct slice key, value;
};

enum role { ROLE_SYSTEM, ROLE_DEVELOPER, ROLE_USER, ROLE_ASSISTANT, ROLE_TOOL, ROLE_FUNCTION };
struct message {
    struct message *next;
    enum role role;
    struct slice name;
    bool content_is_string;          /* "content" was a string, not an array of parts */
    bool content_is_null, content_is_absent;
    struct part *parts;
    unsigned n_parts;
    struct field *extras;
};

enum tool_kind { TOOL_FUNCTION, TOOL_CUSTOM, TOOL_OTHER };
struct tool {
    struct tool *next;
    enum tool_kind kind;
    struct slice name, description;
    struct slice parameters;         /* raw JSON schema; empty when absent */
    int strict;                      /* -1 absent or null, 0, 1 */
    struct slice raw;                /* as with parts */
    /* of the definition itself: strange members around it are only in raw */
    struct field *extras;
};

enum tool_choice_kind {
    TOOL_CHOICE_ABSENT,
    TOOL_CHOICE_AUTO,
    TOOL_CHOICE_NONE,
    TOOL_CHOICE_REQUIRED,
    TOOL_CHOICE_NAMED,
    TOOL_CHOICE_NAMED_CUSTOM,
    TOOL_CHOICE_ALLOWED,
    TOOL_CHOICE_OTHER
};

struct llm_request {
    /* name of the dialect that decoded it: every raw is in its words */
    const char *origin;
    struct envelope env;
    struct message *messages;
    unsigned n_messages;
    struct tool *tools;
    unsigned n_tools;
    bool tools_are_functions;        /* came as legacy `functions` */
    enum tool_choice_kind tool_choice;
    struct slice tool_choice_name, tool_choice_raw;
    struct slice *stop;
    unsigned n_stop;
    bool stop_is_string;
    struct slice user;
    /* Every other top-level member in order of coming, known or not: value raw. Known scalars are
     * looked up here by name, so that number spellings survive. */
    struct field *params;
};

/* A request's fault: status 400 with param and code of wire/openai-errors-and-headers.md. */
struct request_fault {
    const char *code;                /* NULL: null */
    char param[96];                  /* "messages[2].content"; empty: null */
    char message[ERR_TEXT_BYTES];
};

#endif
