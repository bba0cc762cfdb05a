/* SPDX-License-Identifier: Apache-2.0 */
#include "dialect/capabilities.h"

const char *const capability_families[] = {"none", "openai", "anthropic", NULL};
const char *const capability_max_tokens[] = {"max_tokens", "max_completion_tokens", NULL};
const char *const capability_reasoning[] = {"none", "reasoning_content", "reasoning",
                                            "reasoning_details", NULL};
const char *const capability_thinking[] = {"adaptive", "budget", "none", NULL};
const char *const capability_tool_ids[] = {"any", "word", "nine", NULL};

/* The words' places are the enums' values. */
_Static_assert(PROOF_NONE == 0 && PROOF_ANTHROPIC == 2 && MAX_TOKENS_COMPLETION == 1, "words");
_Static_assert(REASONING_NOT_TAKEN == 0 && REASONING_DETAILS == 3 && TOOL_ID_NINE == 2, "words");
_Static_assert(THINKING_STYLE_ADAPTIVE == 0 && THINKING_STYLE_NONE == 2, "words");

#define WORDS_BOOL(words) NULL
#define WORDS_INT(words) NULL
#define WORDS_ENUM(words) words
#define DOC(field, is, words, text)                                                                \
    {#field, CAPABILITY_IS_##is, offsetof(struct capabilities, field),                             \
     sizeof(((struct capabilities *)0)->field), WORDS_##is(words), text},
const struct capability_doc capability_docs[CAPABILITY_COUNT] = {CAPABILITIES(DOC)};
#undef DOC

/* ---- presets ---- */

/* The messages side of servers that speak it beside chat, and of unknown ones: the old form of
 * thinking, nothing that only the newest models know. */
#define MESSAGES_OLD                                                                               \
    .thinking = THINKING_STYLE_BUDGET, .prefill = true, .sampling = true,                          \
    .default_max_tokens = 4096
#define NAMES_64 .tool_name_max_bytes = 64

/* clang-format off */
static const struct preset rows[] = {
    {.name = "anthropic", .dialect = "messages", .hosts = {"api.anthropic.com"},
     .base_url = "https://api.anthropic.com", .api_key_env = "ANTHROPIC_API_KEY",
     .auth_header = "x-api-key", .accepts_injection = true,
     .note = "`base_url` has no `/v1`. Newer Claude models think adaptively, refuse `temperature`, `top_p`, `top_k` and a last message of the assistant's; which model does is known by its name.",
     .caps = {.family = PROOF_ANTHROPIC, .stream_options = true, .user_after_tool = true,
              .parallel_tool_calls = true, .thinking = THINKING_STYLE_ADAPTIVE, .top_effort = true,
              .output_format = true, .default_max_tokens = 4096, .images_by_url = true,
              .tool_id = TOOL_ID_WORD, .tool_name_max_bytes = 128}},
    {.name = "azure", .dialect = "chat", .also = {"responses", "completions"},
     .hosts = {".openai.azure.com", ".services.ai.azure.com", ".cognitiveservices.azure.com"},
     .api_key_env = "AZURE_OPENAI_API_KEY", .auth_header = "api-key", .accepts_injection = true,
     .has_embeddings = true, .keeps_responses = true,
     .note = "`base_url` is `https://NAME.openai.azure.com/openai/v1` and the model is the deployment's name; for the older form with `/openai/deployments/NAME` in it, set `query: api-version=…`. The first chunk of a stream may have no choices, only what the prompt's filter found.",
     .caps = {.family = PROOF_OPENAI, .max_tokens = MAX_TOKENS_COMPLETION, .stream_options = true,
              .developer_role = true, .user_after_tool = true, .parallel_tool_calls = true,
              .reasoning_effort = true, .openai_fields = true, MESSAGES_OLD, .images_by_url = true,
              NAMES_64}},
    {.name = "chat", .dialect = "chat", .auth_header = "authorization", .accepts_injection = true,
     .has_embeddings = true, .has_moderations = true,
     .note = "Any server compatible with Chat Completions: `max_tokens`, no role `developer`, none of OpenAI's own fields.",
     .caps = {.stream_options = true, .user_after_tool = true, .parallel_tool_calls = true,
              .reasoning_effort = true, MESSAGES_OLD, .images_by_url = true, NAMES_64}},
    {.name = "completions", .dialect = "completions", .auth_header = "authorization",
     .accepts_injection = true, .has_embeddings = true,
     .note = "Any server with the legacy endpoint alone.",
     .caps = {.stream_options = true, .user_after_tool = true, MESSAGES_OLD, NAMES_64}},
    {.name = "deepseek", .dialect = "chat", .hosts = {"api.deepseek.com"},
     .base_url = "https://api.deepseek.com/v1", .api_key_env = "DEEPSEEK_API_KEY",
     .auth_header = "authorization", .accepts_injection = true,
     .note = "`reasoning_content`, which tool loops want back (older models refuse it: `quirks: {reasoning_history: none}`); its own cache counters; `: keep-alive` comments.",
     .caps = {.reasoning_history = REASONING_CONTENT, .stream_options = true,
              .user_after_tool = true, MESSAGES_OLD, .images_by_url = true, NAMES_64}},
    {.name = "fireworks", .dialect = "chat", .also = {"completions"},
     .hosts = {"api.fireworks.ai"}, .base_url = "https://api.fireworks.ai/inference/v1",
     .api_key_env = "FIREWORKS_API_KEY", .auth_header = "authorization",
     .accepts_injection = true, .has_embeddings = true,
     .note = "`reasoning_content`, taken back; `top_k`.",
     .caps = {.reasoning_history = REASONING_CONTENT, .stream_options = true,
              .user_after_tool = true, .parallel_tool_calls = true, .reasoning_effort = true,
              .top_k = true, MESSAGES_OLD, .images_by_url = true, NAMES_64}},
    {.name = "gemini-openai", .dialect = "chat", .hosts = {"generativelanguage.googleapis.com"},
     .base_url = "https://generativelanguage.googleapis.com/v1beta/openai",
     .api_key_env = "GEMINI_API_KEY", .auth_header = "authorization", .accepts_injection = true,
     .has_embeddings = true,
     .note = "Refuses fields that it does not know, `parallel_tool_calls` among them; tool calls come whole, with `stop` as their finish reason; errors are in Google's form, in a list.",
     .caps = {.stream_options = true, .user_after_tool = true, .reasoning_effort = true,
              MESSAGES_OLD, .images_by_url = true, NAMES_64}},
    {.name = "groq", .dialect = "chat", .hosts = {"api.groq.com"},
     .base_url = "https://api.groq.com/openai/v1", .api_key_env = "GROQ_API_KEY",
     .auth_header = "authorization", .accepts_injection = true,
     .note = "`reasoning`, taken back; usage also in `x_groq` on the last chunk; `failed_generation` in errors about tools.",
     .caps = {.max_tokens = MAX_TOKENS_COMPLETION, .reasoning_history = REASONING_PLAIN,
              .stream_options = true, .user_after_tool = true, .parallel_tool_calls = true,
              .reasoning_effort = true, MESSAGES_OLD, .images_by_url = true, NAMES_64}},
    {.name = "llamacpp", .dialect = "chat", .also = {"completions", "messages"},
     .auth_header = "authorization", .accepts_injection = true, .has_embeddings = true,
     .note = "Its usual port, 8080, is the gateway's, too. `reasoning_content`, taken back; one system message, as templates want it; images as data URLs; messages' thinking has empty signatures.",
     .caps = {.reasoning_history = REASONING_CONTENT, .stream_options = true,
              .one_system_message = true, .user_after_tool = true, .parallel_tool_calls = true,
              .top_k = true, MESSAGES_OLD, NAMES_64}},
    {.name = "messages", .dialect = "messages", .auth_header = "x-api-key",
     .accepts_injection = true,
     .note = "Any server compatible with Anthropic's Messages. Models named `claude-…` are treated as their generation wants it.",
     .caps = {.family = PROOF_ANTHROPIC, .stream_options = true, .user_after_tool = true,
              .parallel_tool_calls = true, MESSAGES_OLD, .images_by_url = true,
              .tool_id = TOOL_ID_WORD, .tool_name_max_bytes = 128}},
    {.name = "mistral", .dialect = "chat", .hosts = {"api.mistral.ai"},
     .base_url = "https://api.mistral.ai/v1", .api_key_env = "MISTRAL_API_KEY",
     .auth_header = "authorization", .has_embeddings = true, .has_moderations = true,
     .note = "No `stream_options` (usage comes by itself); `tool_choice` \"any\" for \"required\"; ids of tool calls have nine letters and digits; no user's message right after a tool's; content may be a list with thinking parts; `model_length` as a finish reason.",
     .caps = {.one_system_message = true, .required_is_any = true, .parallel_tool_calls = true,
              MESSAGES_OLD, .images_by_url = true, .tool_id = TOOL_ID_NINE, NAMES_64}},
    {.name = "ollama", .dialect = "chat", .also = {"completions", "messages"},
     .base_url = "http://127.0.0.1:11434/v1", .auth_header = "authorization",
     .accepts_injection = true, .has_embeddings = true,
     .note = "Tool calls come whole, in one chunk, with `stop` as their finish reason; `reasoning`, taken back; images as data URLs; no `tool_choice`.",
     .caps = {.reasoning_history = REASONING_PLAIN, .stream_options = true,
              .user_after_tool = true, .reasoning_effort = true, MESSAGES_OLD, NAMES_64}},
    {.name = "openai", .dialect = "chat", .also = {"responses", "completions"},
     .hosts = {"api.openai.com"}, .base_url = "https://api.openai.com/v1",
     .api_key_env = "OPENAI_API_KEY", .auth_header = "authorization", .accepts_injection = true,
     .has_embeddings = true, .has_moderations = true, .keeps_responses = true,
     .note = "`max_completion_tokens`; no reasoning in chat's answers; encrypted reasoning in responses'.",
     .caps = {.family = PROOF_OPENAI, .max_tokens = MAX_TOKENS_COMPLETION, .stream_options = true,
              .developer_role = true, .user_after_tool = true, .parallel_tool_calls = true,
              .reasoning_effort = true, .openai_fields = true, MESSAGES_OLD, .images_by_url = true,
              NAMES_64}},
    {.name = "openrouter", .dialect = "chat", .also = {"completions"}, .hosts = {"openrouter.ai"},
     .base_url = "https://openrouter.ai/api/v1", .api_key_env = "OPENROUTER_API_KEY",
     .auth_header = "authorization", .accepts_injection = true, .has_embeddings = true,
     .note = "`: OPENROUTER PROCESSING` comments; errors inside a stream, as a chunk with `error` and the finish reason `error`; `reasoning_details`, which must come back unchanged; `cache_control` on parts; every effort.",
     .caps = {.reasoning_history = REASONING_DETAILS, .stream_options = true,
              .user_after_tool = true, .parallel_tool_calls = true, .reasoning_effort = true,
              .top_effort = true, .minimal_effort = true, .top_k = true, .cache_control = true,
              MESSAGES_OLD, .images_by_url = true, NAMES_64}},
    {.name = "responses", .dialect = "responses", .auth_header = "authorization",
     .accepts_injection = true, .has_embeddings = true, .keeps_responses = true,
     .note = "Any server compatible with OpenAI's Responses that keeps its answers.",
     .caps = {.family = PROOF_OPENAI, .max_tokens = MAX_TOKENS_COMPLETION, .stream_options = true,
              .developer_role = true, .user_after_tool = true, .parallel_tool_calls = true,
              .reasoning_effort = true, .openai_fields = true, MESSAGES_OLD, .images_by_url = true,
              NAMES_64}},
    {.name = "together", .dialect = "chat", .also = {"completions"},
     .hosts = {"api.together.xyz", "api.together.ai"}, .base_url = "https://api.together.xyz/v1",
     .api_key_env = "TOGETHER_API_KEY", .auth_header = "authorization", .accepts_injection = true,
     .has_embeddings = true,
     .note = "`top_k`; no `parallel_tool_calls`.",
     .caps = {.stream_options = true, .user_after_tool = true, .reasoning_effort = true,
              .top_k = true, MESSAGES_OLD, .images_by_url = true, NAMES_64}},
    {.name = "vllm", .dialect = "chat", .also = {"completions", "messages", "responses"},
     .base_url = "http://127.0.0.1:8000/v1", .auth_header = "authorization",
     .accepts_injection = true, .has_embeddings = true,
     .note = "`reasoning` (older: `reasoning_content`), taken back; the matched stop in `stop_reason`; `stop` as the finish reason of forced tool calls; one system message, as templates want it; its responses are not kept unless it was started so.",
     .caps = {.reasoning_history = REASONING_PLAIN, .stream_options = true,
              .one_system_message = true, .user_after_tool = true, .parallel_tool_calls = true,
              .reasoning_effort = true, .top_k = true, MESSAGES_OLD, .images_by_url = true,
              NAMES_64}},
    {.name = "xai", .dialect = "chat", .also = {"responses"}, .hosts = {"api.x.ai"},
     .base_url = "https://api.x.ai/v1", .api_key_env = "XAI_API_KEY",
     .auth_header = "authorization", .accepts_injection = true, .keeps_responses = true,
     .note = "Most models refuse `reasoning_effort` (`grok-3-mini` knows it), and those that reason refuse `stop` and the penalties.",
     .caps = {.max_tokens = MAX_TOKENS_COMPLETION, .stream_options = true,
              .user_after_tool = true, .parallel_tool_calls = true, MESSAGES_OLD,
              .images_by_url = true, NAMES_64}},
};
/* clang-format on */
#define N_ROWS (sizeof rows / sizeof rows[0])

const struct preset *presets(unsigned *out_n) {
    *out_n = N_ROWS;
    return rows;
}

const struct preset *preset_find(const char *name) {
    for (size_t i = 0; i < N_ROWS; i++) {
        if (strcmp(rows[i].name, name) == 0) return &rows[i];
    }
    return NULL;
}

static bool host_fits(struct slice host, const char *pattern) {
    struct slice p = slice_cstr(pattern);
    if (p.ptr[0] != '.') return slice_eq_nocase(host, p);
    return host.len > p.len && slice_eq_nocase(slice_from(host, host.len - p.len), p);
}

const struct preset *preset_of_host(struct slice host) {
    for (size_t i = 0; i < N_ROWS; i++) {
        for (const char *const *h = rows[i].hosts; *h; h++) {
            if (host_fits(host, *h)) return &rows[i];
        }
    }
    return NULL;
}

/* ---- models ---- */

/* The first row that fits says its fields; what a row leaves out stays as the provider has it. */
struct model_row {
    const char *preset;              /* of this preset; NULL: of every one of the family */
    enum proof_family family;
    const char *model;               /* glob */
    uint64_t fields;
    struct capabilities caps;
};
#define BIT(field) (UINT64_C(1) << CAPABILITY_##field)
#define CLAUDE_FIELDS (BIT(thinking) | BIT(sampling) | BIT(prefill) | BIT(output_format))

/* clang-format off */
static const struct model_row model_rows[] = {
    /* Claude: thinking with a budget up to 4.5, adaptive from 4.6; no prefill from 4.6; no sampling
     * after 4.6; output_config.format from 4.1. */
    {NULL, PROOF_ANTHROPIC, "claude-3-7-*", CLAUDE_FIELDS,
     {.thinking = THINKING_STYLE_BUDGET, .sampling = true, .prefill = true}},
    {NULL, PROOF_ANTHROPIC, "claude-3-*", CLAUDE_FIELDS,
     {.thinking = THINKING_STYLE_NONE, .sampling = true, .prefill = true}},
    {NULL, PROOF_ANTHROPIC, "claude-*-4-1", CLAUDE_FIELDS,
     {.thinking = THINKING_STYLE_BUDGET, .sampling = true, .prefill = true, .output_format = true}},
    {NULL, PROOF_ANTHROPIC, "claude-*-4-1-*", CLAUDE_FIELDS,
     {.thinking = THINKING_STYLE_BUDGET, .sampling = true, .prefill = true, .output_format = true}},
    {NULL, PROOF_ANTHROPIC, "claude-*-4-5*", CLAUDE_FIELDS,
     {.thinking = THINKING_STYLE_BUDGET, .sampling = true, .prefill = true, .output_format = true}},
    {NULL, PROOF_ANTHROPIC, "claude-*-4-6*", CLAUDE_FIELDS,
     {.thinking = THINKING_STYLE_ADAPTIVE, .sampling = true, .output_format = true}},
    {NULL, PROOF_ANTHROPIC, "claude-*-4-[02]*", CLAUDE_FIELDS,   /* 4-0, and 4-20250514 */
     {.thinking = THINKING_STYLE_BUDGET, .sampling = true, .prefill = true}},
    {NULL, PROOF_ANTHROPIC, "claude-*", CLAUDE_FIELDS,
     {.thinking = THINKING_STYLE_ADAPTIVE, .output_format = true}},
    /* OpenAI: models without reasoning refuse reasoning_effort; minimal is gpt-5's own. */
    {NULL, PROOF_OPENAI, "gpt-3*", BIT(reasoning_effort), {.reasoning_effort = false}},
    {NULL, PROOF_OPENAI, "gpt-4*", BIT(reasoning_effort), {.reasoning_effort = false}},
    {NULL, PROOF_OPENAI, "chatgpt-*", BIT(reasoning_effort), {.reasoning_effort = false}},
    {NULL, PROOF_OPENAI, "gpt-5*-chat*", BIT(reasoning_effort), {.reasoning_effort = false}},
    {NULL, PROOF_OPENAI, "gpt-5-pro*", BIT(minimal_effort), {.minimal_effort = false}},
    {NULL, PROOF_OPENAI, "gpt-5-codex*", BIT(minimal_effort), {.minimal_effort = false}},
    {NULL, PROOF_OPENAI, "gpt-5", BIT(minimal_effort), {.minimal_effort = true}},
    {NULL, PROOF_OPENAI, "gpt-5-*", BIT(minimal_effort), {.minimal_effort = true}},
    {"xai", PROOF_NONE, "grok-3-mini*", BIT(reasoning_effort), {.reasoning_effort = true}},
};
/* clang-format on */

static void copy_fields(struct capabilities *to, const struct capabilities *from, uint64_t fields) {
    for (unsigned i = 0; i < CAPABILITY_COUNT; i++) {
        const struct capability_doc *d = &capability_docs[i];
        if (fields >> i & 1)
            memcpy((char *)to + d->offset, (const char *)from + d->offset, d->size);
    }
}

void capabilities_for_model(const struct preset *p, uint64_t given, struct slice model,
                            struct capabilities *caps) {
    for (size_t i = 0; i < sizeof model_rows / sizeof model_rows[0]; i++) {
        const struct model_row *r = &model_rows[i];
        bool is_of_kind = r->preset ? strcmp(r->preset, p->name) == 0 : r->family == caps->family;
        if (!is_of_kind || !slice_glob(slice_cstr(r->model), model)) continue;
        copy_fields(caps, &r->caps, r->fields & ~given);
        return;
    }
}
