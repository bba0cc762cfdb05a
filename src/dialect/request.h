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
    /* responses */
    bool has_previous;               /* previous_response_id or conversation is not null */
    int store;                       /* -1 not said, 0, 1 */
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
struct responses_item;
struct part {
    enum part_kind kind;
    /* TEXT, REFUSAL, REASONING; a tool call's arguments or input; a tool result's text; a FILE that
     * is plain text (media_type text/…) and not encoded */
    struct slice text;
    struct slice id, name;           /* tool call: id and name; tool result: the call's id */
    struct slice name_space;         /* of a call's name (responses); empty: none */
    /* REASONING: signature or encrypted content; REDACTED: the data. Byte-exact, as the client gave
     * it; after request_adapt: as the target takes it, empty when it takes none */
    struct slice proof;
    struct slice item_id;            /* responses: the item's own id; empty: none */
    /* responses: the message item that the part is content of (its other members); parts of one
     * item share it. NULL: the part is an item itself, or of another dialect */
    const struct responses_item *message_item;
    /* TOOL_RESULT with content of its own parts (text then empty): n_inner > 0 */
    struct part *inner;
    unsigned n_inner;
    bool is_error;                   /* TOOL_RESULT */
    bool is_custom;                  /* TOOL_RESULT: of a custom tool's call */
    /* IMAGE, AUDIO (format in media_type), FILE. `encoded`: base64 without a data: prefix, but for
     * PART_FILE from chat and responses, where it is the data URL as it came. `url`: https, or a
     * data: URL as it came. context: a document's (messages) */
    struct slice url, media_type, detail, filename, file_id, encoded, context;
    /* the JSON value as it came, in the origin's words; whoever changes the part empties it */
    struct slice raw;
    struct field *extras;            /* fields of the part that the model has no word for */
};

/* A JSON member that the model has no word for, or that is carried as it came: key decoded, value
 * raw. */
struct field {
    struct field *next;
    struct slice key, value;
    /* the model has it, too (a typed field of llm_request): only same-dialect encoders need this */
    bool is_understood;
};

/* The normal form that every decoder makes, whatever its wire looks like:
 *   - system and developer texts are messages of those roles, at their place; `system` and
 *     `instructions` come first;
 *   - a tool's result is a message of its own with ROLE_TOOL (legacy functions': ROLE_FUNCTION) and
 *     one PART_TOOL_RESULT; a user's turn that held results is split: results first, in order, then
 *     one user message with the rest;
 *   - an assistant message holds what it said in order: reasoning, texts, calls. Responses' items
 *     of one turn are gathered into one (translation.md 2.5). */
enum role { ROLE_SYSTEM, ROLE_DEVELOPER, ROLE_USER, ROLE_ASSISTANT, ROLE_TOOL, ROLE_FUNCTION };
struct message {
    struct message *next;
    enum role role;
    struct slice name;
    bool content_is_string;          /* "content" was a string, not an array of parts */
    bool content_is_null, content_is_absent;
    /* it stood before the list (messages' `system`, responses' `instructions`) */
    bool is_instructions;
    struct part *parts;
    unsigned n_parts;
    struct field *extras;
};

enum tool_kind { TOOL_FUNCTION, TOOL_CUSTOM, TOOL_OTHER };
struct tool {
    struct tool *next;
    enum tool_kind kind;
    struct slice type;               /* the wire's word: "function", "web_search_20250305" */
    struct slice name, description;
    struct slice name_space;         /* responses: flattened out of one; empty: none */
    struct slice parameters;         /* raw JSON schema; empty when absent */
    struct slice format;             /* TOOL_CUSTOM: raw, in responses' flat form; empty: text */
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

/* translation.md 1.3 */
enum thinking { THINKING_UNSET, THINKING_OFF, THINKING_BUDGET, THINKING_ADAPTIVE, THINKING_OTHER };
struct reasoning_ask {
    enum thinking thinking;          /* messages; others leave it unset and give an effort */
    int64_t budget_tokens;           /* THINKING_BUDGET; -1 */
    struct slice effort;             /* none … max; empty: not said */
    struct slice summary;            /* responses: auto, concise, detailed; empty: not said */
    int is_visible;                  /* the client wants to see it: -1 not said, 0, 1 */
};

enum format_kind {
    FORMAT_UNSET,
    FORMAT_TEXT,
    FORMAT_JSON_OBJECT,
    FORMAT_JSON_SCHEMA,
    FORMAT_OTHER /* of a type that only its own dialect may know */
};
struct output_format {
    enum format_kind kind;
    struct slice name, description;
    struct slice schema;             /* raw */
    int strict;                      /* -1, 0, 1 */
};

struct llm_request {
    /* name of the dialect that decoded it: every raw is in its words */
    const char *origin;
    struct envelope env;             /* n, max_tokens, stream … are here */
    struct message *messages, *messages_end;   /* first and last */
    unsigned n_messages;
    struct tool *tools, *tools_end;
    unsigned n_tools;
    bool tools_are_functions;        /* came as legacy `functions` */
    enum tool_choice_kind tool_choice;
    struct slice tool_choice_name, tool_choice_raw;
    /* TOOL_CHOICE_ALLOWED: the names, and whether one of them must be called */
    struct slice *allowed;
    unsigned n_allowed;
    bool allowed_is_required;
    int parallel_tools;              /* -1 not said, 0, 1 */
    struct slice *stop;
    unsigned n_stop;
    bool stop_is_string;
    struct slice user;               /* messages: metadata.user_id; responses, chat: user */
    struct slice safety_identifier;
    /* What more than one dialect knows. Numbers as they are spelt, objects raw; ptr NULL: absent or
     * null. */
    struct slice temperature, top_p, top_k, seed, presence_penalty, frequency_penalty, logit_bias;
    struct slice verbosity;          /* low, medium, high */
    struct slice service_tier;       /* OpenAI's words */
    struct slice metadata;           /* raw object of OpenAI's kind */
    struct slice prompt_cache_key;
    struct reasoning_ask reasoning;
    struct output_format format;
    int logprobs;                    /* -1, 0, 1 */
    int64_t top_logprobs;            /* -1 */
    int store;                       /* -1, 0, 1 */
    bool background;
    bool wants_audio;                /* chat: modalities with audio */
    bool wants_encrypted_reasoning;  /* responses: include has reasoning.encrypted_content */
    /* responses */
    struct slice previous_response_id, conversation, prompt, truncation;
    bool has_item_reference;
    struct slice mcp_servers;        /* messages, beta: raw */
    /* messages, beta: raw; a conversation that the provider keeps */
    struct slice thread;
    struct slice cache_control;      /* messages, top level: raw */
    /* completions: exactly one of the two is used by whoever takes it */
    bool is_completion;              /* the prompt is messages[0], of the user */
    /* Every other top-level member in order of coming, known or not: value raw, is_understood when
     * a typed field above says the same. Same-dialect encoders write these and look at nothing
     * typed that they cover; other encoders write the typed fields, and report as dropped what is
     * not understood. */
    struct field *params;
};

/* A request's fault: status 400 with param and code of wire/openai-errors-and-headers.md. */
struct request_fault {
    const char *code;                /* NULL: null */
    char param[96];                  /* "messages[2].content"; empty: null */
    char message[ERR_TEXT_BYTES];
    /* for api_error.raw: what the error object has besides, a literal; NULL: nothing */
    const char *raw;
};

/* What tells Anthropic's SDKs to send the whole history instead of a thread. */
#define THREAD_UNSUPPORTED                                                                         \
    "{\"details\":{\"error_code\":\"thread_unsupported_request\",\"unsupported\":[\"thread\"]}}"

#endif
