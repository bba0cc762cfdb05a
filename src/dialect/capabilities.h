/* SPDX-License-Identifier: Apache-2.0 */
/* What an upstream takes beyond what its dialect says: quirks are data. One row a kind of provider
 * (capabilities.c), which config copies and may change field by field. Source: translation.md 1.8
 * and 7. */
#ifndef PENSTOCK_DIALECT_CAPABILITIES_H
#define PENSTOCK_DIALECT_CAPABILITIES_H

#include <stdbool.h>
#include <stdint.h>

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
    bool openai_fields;              /* store, metadata, service_tier, prompt_cache_key, … are known */
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

/* A preset: what a provider of this kind has unless its config says otherwise. */
struct preset {
    const char *name;                /* "openai" */
    const char *dialect;
    const char *base_url;            /* NULL: must be given */
    const char *api_key_env;         /* the usual variable; NULL: none */
    /* how the credential is sent: "authorization" (as Bearer), "x-api-key", "api-key" */
    const char *auth_header;
    const char *query;               /* Azure's "api-version=…"; NULL: none */
    bool accepts_injection;          /* default of metering: inject, else observe */
    const char *note;                /* for the docs: what is odd about it */
    struct capabilities caps;
};

/* Sorted by name; NULL when there is none. The rows named after dialects ("chat", "completions",
 * "responses", "messages") are what a provider without a preset gets. */
const struct preset *preset_find(const char *name);
const struct preset *presets(unsigned *out_n);

#endif
