/* SPDX-License-Identifier: Apache-2.0 */
/* What an upstream takes beyond what its dialect says: quirks are data. One row a kind of provider
 * (capabilities.c), which config copies and may change field by field. Source: translation.md 1.8
 * and 7. */
#ifndef PENSTOCK_DIALECT_CAPABILITIES_H
#define PENSTOCK_DIALECT_CAPABILITIES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

/* Whose signatures and encrypted reasoning these are: a proof goes back to its own family only. */
enum proof_family { PROOF_NONE, PROOF_OPENAI, PROOF_ANTHROPIC };

enum max_tokens_field { MAX_TOKENS_OLD /* max_tokens */, MAX_TOKENS_COMPLETION };
/* chat: the member of an assistant's message that takes its reasoning back */
enum reasoning_field { REASONING_NOT_TAKEN, REASONING_CONTENT, REASONING_PLAIN, REASONING_DETAILS };
enum thinking_style { THINKING_STYLE_ADAPTIVE, THINKING_STYLE_BUDGET, THINKING_STYLE_NONE };
enum tool_id_style { TOOL_ID_ANY, TOOL_ID_WORD /* [a-zA-Z0-9_-]+ */, TOOL_ID_NINE /* 9 alnum */ };

struct capabilities {
    enum proof_family family;
    /* ---- chat ---- */
    enum max_tokens_field max_tokens;
    enum reasoning_field reasoning_history;
    bool stream_options;             /* usage in streams may be asked for */
    bool developer_role;             /* else developer becomes system */
    bool one_system_message;         /* strict templates: all system text in the first message */
    bool required_is_any;            /* tool_choice "required" is spelt "any" */
    bool user_after_tool;            /* a user's message may follow a tool's */
    bool parallel_tool_calls;        /* the parameter is known */
    bool reasoning_effort;           /* the parameter is known */
    bool top_effort;                 /* xhigh and max are known; else they become high */
    bool minimal_effort;             /* minimal is known; else it becomes low */
    bool openai_fields;              /* store, metadata, service_tier, … are known */
    bool top_k;
    bool cache_control;              /* on parts, as OpenRouter reads it */
    /* ---- messages ---- */
    enum thinking_style thinking;
    bool system_in_messages;         /* role system is taken inside `messages` */
    bool prefill;                    /* a last message of the assistant's is continued */
    bool sampling;                   /* temperature, top_p (and top_k) are known */
    bool output_format;              /* output_config.format; else a system line asks for JSON */
    int64_t default_max_tokens;      /* when the client said none; 4096 */
    /* ---- all ---- */
    bool images_by_url;              /* else such a request is refused */
    enum tool_id_style tool_id;
    unsigned tool_name_max_bytes;    /* 64, 128 */
};

/* The fields above once more, as a list: what config's quirks, the docs and the rows of models are
 * made from. X(field, kind, words, doc); kind: BOOL, ENUM (words: of its values, in order), INT
 * (words: its unit). */
#define CAPABILITIES(X)                                                                            \
    X(family, ENUM, capability_families,                                                           \
      "Whose signatures and encrypted reasoning it takes back; those of others are left out.")     \
    X(max_tokens, ENUM, capability_max_tokens, "chat: the field that caps the answer's length.")   \
    X(reasoning_history, ENUM, capability_reasoning,                                               \
      "chat: the field of an assistant's message that takes its reasoning back.")                  \
    X(stream_options, BOOL, NULL, "chat: `stream_options` is known.")                              \
    X(developer_role, BOOL, NULL, "chat: the role `developer` is known; else it becomes `system`.") \
    X(one_system_message, BOOL, NULL,                                                              \
      "chat: one system message, the first: later ones are added to it.")                          \
    X(required_is_any, BOOL, NULL, "chat: `tool_choice` \"required\" is spelt \"any\".")           \
    X(user_after_tool, BOOL, NULL, "chat: a user's message may follow a tool's.")                  \
    X(parallel_tool_calls, BOOL, NULL, "chat: `parallel_tool_calls` is known.")                    \
    X(reasoning_effort, BOOL, NULL, "chat: `reasoning_effort` is known.")                          \
    X(top_effort, BOOL, NULL, "The efforts `xhigh` and `max` are known; else they become `high`.") \
    X(minimal_effort, BOOL, NULL, "The effort `minimal` is known; else it becomes `low`.")         \
    X(openai_fields, BOOL, NULL,                                                                   \
      "OpenAI's own fields are known: `store`, `metadata`, `service_tier`, `prompt_cache_key`.")   \
    X(top_k, BOOL, NULL, "chat: `top_k` is known.")                                                \
    X(cache_control, BOOL, NULL, "chat: `cache_control` on parts is known.")                       \
    X(thinking, ENUM, capability_thinking, "messages: how thinking is asked for.")                 \
    X(system_in_messages, BOOL, NULL, "messages: the role `system` may stand inside `messages`.")  \
    X(prefill, BOOL, NULL, "messages: a last message of the assistant's is continued.")            \
    X(sampling, BOOL, NULL, "messages: `temperature`, `top_p` and `top_k` are known.")             \
    X(output_format, BOOL, NULL,                                                                   \
      "messages: `output_config.format` is known; else a system text asks for JSON.")              \
    X(default_max_tokens, INT, "tokens", "messages: `max_tokens` when the client gave none.")      \
    X(images_by_url, BOOL, NULL, "It fetches images by their URL; else such a request is refused.") \
    X(tool_id, ENUM, capability_tool_ids, "What a tool call's id may look like.")                  \
    X(tool_name_max_bytes, INT, "bytes", "The longest name of a tool; longer ones are shortened.")

extern const char *const capability_families[], *const capability_max_tokens[],
    *const capability_reasoning[], *const capability_thinking[], *const capability_tool_ids[];

#define CAPABILITY_BIT(field, kind, words, doc) CAPABILITY_##field,
enum capability { CAPABILITIES(CAPABILITY_BIT) CAPABILITY_COUNT };
#undef CAPABILITY_BIT

enum capability_kind { CAPABILITY_IS_BOOL, CAPABILITY_IS_ENUM, CAPABILITY_IS_INT };
struct capability_doc {
    const char *name;
    enum capability_kind kind;
    size_t offset, size;             /* in struct capabilities */
    const char *const *choices;      /* ENUM, NULL-terminated */
    const char *doc;
};
/* By enum capability. */
extern const struct capability_doc capability_docs[CAPABILITY_COUNT];

/* A preset: what a provider of this kind has unless its config says otherwise. */
struct preset {
    const char *name;                /* "openai" */
    const char *dialect;             /* the main one */
    /* further ones that it speaks at the same base URL, NULL-terminated */
    const char *also[4];
    /* hosts that are of this kind though no preset was named: "api.openai.com", or with a leading
     * dot every host below (".openai.azure.com"); NULL-terminated */
    const char *hosts[4];
    const char *base_url;            /* NULL: must be given */
    const char *api_key_env;         /* the usual variable; NULL: none */
    /* how the credential is sent: "authorization" (as Bearer), "x-api-key", "api-key" */
    const char *auth_header;
    const char *query;               /* Azure's "api-version=…"; NULL: none */
    bool accepts_injection;          /* default of metering: inject, else observe */
    /* further endpoints of OpenAI's that it has. A row for unknown servers says yes: their own 404
     * is the better answer */
    bool has_embeddings, has_moderations;
    /* its /responses keeps answers (store, previous_response_id, GET): the gateway keeps none */
    bool keeps_responses;
    const char *note;                /* for the docs: what is odd about it */
    struct capabilities caps;
};

/* Sorted by name; NULL when there is none. The rows named after dialects ("chat", "completions",
 * "responses", "messages") are what a provider without a preset gets. */
const struct preset *preset_find(const char *name);
const struct preset *presets(unsigned *out_n);
/* The preset of a host (a name without port), NULL when there is none. */
const struct preset *preset_of_host(struct slice host);

/* What is known of single models, over their provider's row: Claude's generations, OpenAI's models
 * with and without reasoning. `given`: bits (1 << enum capability) that config said itself and that
 * stay. */
void capabilities_for_model(const struct preset *p, uint64_t given, struct slice model,
                            struct capabilities *caps);

#endif
