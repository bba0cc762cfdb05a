/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "dialect/capabilities.h"

/* ---- a row as text ---- */

static void add(char *out, size_t size, const char *text) {
    size_t len = strlen(out);
    snprintf(out + len, size - len, "%s%s", len > 0 ? " " : "", text);
}

static uint64_t number_at(const void *at, size_t size) {
    uint64_t wide = 0;
    memcpy(&wide, at, size); /* little endian, as all machines that we build for */
    return wide;
}

/* "family=openai max_tokens=… stream_options": what is not zero. */
static void caps_text(const struct capabilities *caps, char *out, size_t size) {
    char word[128];
    out[0] = '\0';
    for (unsigned i = 0; i < CAPABILITY_COUNT; i++) {
        const struct capability_doc *d = &capability_docs[i];
        uint64_t v = number_at((const char *)caps + d->offset, d->size);
        if (v == 0) continue;
        if (d->kind == CAPABILITY_IS_BOOL) snprintf(word, sizeof word, "%s", d->name);
        else if (d->kind == CAPABILITY_IS_ENUM)
            snprintf(word, sizeof word, "%s=%s", d->name, d->choices[v]);
        else snprintf(word, sizeof word, "%s=%llu", d->name, (unsigned long long)v);
        add(out, size, word);
    }
}

static void columns_text(const struct preset *p, char *out, size_t size) {
    snprintf(out, size, "%s", p->dialect);
    for (unsigned i = 0; p->also[i]; i++) add(out, size, p->also[i]);
    add(out, size, "|");
    add(out, size, p->base_url ? p->base_url : "-");
    add(out, size, p->auth_header);
    add(out, size, p->api_key_env ? p->api_key_env : "-");
    add(out, size, p->query ? p->query : "-");
    add(out, size, "|");
    for (unsigned i = 0; p->hosts[i]; i++) add(out, size, p->hosts[i]);
    add(out, size, "|");
    if (p->accepts_injection) add(out, size, "inject");
    if (p->has_embeddings) add(out, size, "embeddings");
    if (p->has_moderations) add(out, size, "moderations");
    if (p->keeps_responses) add(out, size, "keeps");
}

/* ---- every row, every field ---- */

struct expected {
    const char *name, *columns, *caps;
};
#define OLD " thinking=budget prefill sampling default_max_tokens=4096"
/* clang-format off */
static const struct expected expected[] = {
    {"anthropic",
     "messages | https://api.anthropic.com x-api-key ANTHROPIC_API_KEY - | api.anthropic.com | "
     "inject",
     "family=anthropic stream_options user_after_tool parallel_tool_calls top_effort "
     "output_format default_max_tokens=4096 images_by_url tool_id=word tool_name_max_bytes=128"},
    {"azure",
     "chat responses completions | - api-key AZURE_OPENAI_API_KEY - | .openai.azure.com "
     ".services.ai.azure.com .cognitiveservices.azure.com | inject embeddings keeps",
     "family=openai max_tokens=max_completion_tokens stream_options developer_role "
     "user_after_tool parallel_tool_calls reasoning_effort openai_fields" OLD " images_by_url "
     "tool_name_max_bytes=64"},
    {"chat",
     "chat | - authorization - - | | inject embeddings moderations",
     "stream_options user_after_tool parallel_tool_calls reasoning_effort" OLD " images_by_url "
     "tool_name_max_bytes=64"},
    {"completions",
     "completions | - authorization - - | | inject embeddings",
     "stream_options user_after_tool" OLD " tool_name_max_bytes=64"},
    {"deepseek",
     "chat | https://api.deepseek.com/v1 authorization DEEPSEEK_API_KEY - | api.deepseek.com | "
     "inject",
     "reasoning_history=reasoning_content stream_options user_after_tool" OLD " images_by_url "
     "tool_name_max_bytes=64"},
    {"fireworks",
     "chat completions | https://api.fireworks.ai/inference/v1 authorization FIREWORKS_API_KEY "
     "- | api.fireworks.ai | inject embeddings",
     "reasoning_history=reasoning_content stream_options user_after_tool parallel_tool_calls "
     "reasoning_effort top_k" OLD " images_by_url tool_name_max_bytes=64"},
    {"gemini-openai",
     "chat | https://generativelanguage.googleapis.com/v1beta/openai authorization "
     "GEMINI_API_KEY - | generativelanguage.googleapis.com | inject embeddings",
     "stream_options user_after_tool reasoning_effort" OLD " images_by_url "
     "tool_name_max_bytes=64"},
    {"groq",
     "chat | https://api.groq.com/openai/v1 authorization GROQ_API_KEY - | api.groq.com | inject",
     "max_tokens=max_completion_tokens reasoning_history=reasoning stream_options "
     "user_after_tool parallel_tool_calls reasoning_effort" OLD " images_by_url "
     "tool_name_max_bytes=64"},
    {"llamacpp",
     "chat completions messages | - authorization - - | | inject embeddings",
     "reasoning_history=reasoning_content stream_options one_system_message user_after_tool "
     "parallel_tool_calls top_k" OLD " tool_name_max_bytes=64"},
    {"messages",
     "messages | - x-api-key - - | | inject",
     "family=anthropic stream_options user_after_tool parallel_tool_calls" OLD " images_by_url "
     "tool_id=word tool_name_max_bytes=128"},
    {"mistral",
     "chat | https://api.mistral.ai/v1 authorization MISTRAL_API_KEY - | api.mistral.ai | "
     "embeddings moderations",
     "one_system_message required_is_any parallel_tool_calls" OLD " images_by_url tool_id=nine "
     "tool_name_max_bytes=64"},
    {"ollama",
     "chat completions messages | http://127.0.0.1:11434/v1 authorization - - | | inject "
     "embeddings",
     "reasoning_history=reasoning stream_options user_after_tool reasoning_effort" OLD " "
     "tool_name_max_bytes=64"},
    {"openai",
     "chat responses completions | https://api.openai.com/v1 authorization OPENAI_API_KEY - | "
     "api.openai.com | inject embeddings moderations keeps",
     "family=openai max_tokens=max_completion_tokens stream_options developer_role "
     "user_after_tool parallel_tool_calls reasoning_effort openai_fields" OLD " images_by_url "
     "tool_name_max_bytes=64"},
    {"openrouter",
     "chat completions | https://openrouter.ai/api/v1 authorization OPENROUTER_API_KEY - | "
     "openrouter.ai | inject embeddings",
     "reasoning_history=reasoning_details stream_options user_after_tool parallel_tool_calls "
     "reasoning_effort top_effort minimal_effort top_k cache_control" OLD " images_by_url "
     "tool_name_max_bytes=64"},
    {"responses",
     "responses | - authorization - - | | inject embeddings keeps",
     "family=openai max_tokens=max_completion_tokens stream_options developer_role "
     "user_after_tool parallel_tool_calls reasoning_effort openai_fields" OLD " images_by_url "
     "tool_name_max_bytes=64"},
    {"together",
     "chat completions | https://api.together.xyz/v1 authorization TOGETHER_API_KEY - | "
     "api.together.xyz api.together.ai | inject embeddings",
     "stream_options user_after_tool reasoning_effort top_k" OLD " images_by_url "
     "tool_name_max_bytes=64"},
    {"vllm",
     "chat completions messages responses | http://127.0.0.1:8000/v1 authorization - - | | "
     "inject embeddings",
     "reasoning_history=reasoning stream_options one_system_message user_after_tool "
     "parallel_tool_calls reasoning_effort top_k" OLD " images_by_url tool_name_max_bytes=64"},
    {"xai",
     "chat responses | https://api.x.ai/v1 authorization XAI_API_KEY - | api.x.ai | inject keeps",
     "max_tokens=max_completion_tokens stream_options user_after_tool parallel_tool_calls" OLD
     " images_by_url tool_name_max_bytes=64"},
};
/* clang-format on */
#define N_EXPECTED (sizeof expected / sizeof expected[0])

static void test_rows(void **state) {
    (void)state;
    unsigned n;
    const struct preset *p = presets(&n);
    char text[2048];
    assert_int_equal(n, N_EXPECTED);
    for (unsigned i = 0; i < n; i++) {
        assert_string_equal(p[i].name, expected[i].name);
        columns_text(&p[i], text, sizeof text);
        assert_string_equal(text, expected[i].columns);
        caps_text(&p[i].caps, text, sizeof text);
        assert_string_equal(text, expected[i].caps);
        assert_true(strlen(p[i].note) > 20);
        if (i > 0) assert_true(strcmp(p[i - 1].name, p[i].name) < 0);
    }
}

/* Hosts that no preset was named for. */
static void test_hosts(void **state) {
    (void)state;
    static const struct {
        const char *host, *preset;
    } rows[] = {
        {"api.openai.com", "openai"},
        {"API.OpenAI.com", "openai"},
        {"my-name.openai.azure.com", "azure"},
        {"my-name.services.ai.azure.com", "azure"},
        {"api.anthropic.com", "anthropic"},
        {"openrouter.ai", "openrouter"},
        {"api.groq.com", "groq"},
        {"api.mistral.ai", "mistral"},
        {"api.deepseek.com", "deepseek"},
        {"api.together.xyz", "together"},
        {"api.fireworks.ai", "fireworks"},
        {"api.x.ai", "xai"},
        {"generativelanguage.googleapis.com", "gemini-openai"},
        /* a name below that is nobody's, one that only ends alike, none */
        {"evil.api.openai.com", NULL},
        {"xapi.openai.com", NULL},
        {".openai.azure.com", NULL},
        {"evilopenai.azure.com", NULL},
        {"api.openai.com.evil.test", NULL},
        {"127.0.0.1", NULL},
        {"", NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct preset *p = preset_of_host(slice_cstr(rows[i].host));
        if (rows[i].preset) assert_string_equal(p ? p->name : "none", rows[i].preset);
        else assert_null(p);
    }
}

static void test_find(void **state) {
    (void)state;
    assert_string_equal(preset_find("vllm")->name, "vllm");
    assert_null(preset_find("vll"));
    assert_null(preset_find(""));
    for (const char *const *d = (const char *const[]){"chat", "completions", "responses",
                                                      "messages", NULL};
         *d; d++) {
        assert_string_equal(preset_find(*d)->dialect, *d);
    }
}

/* Every model row, by a real name. */
static void test_models(void **state) {
    (void)state;
    static const struct {
        const char *preset, *model, *differs;
    } rows[] = {
        {"anthropic", "claude-3-7-sonnet-20250219", "thinking=1 prefill=1 sampling=1 output_format=0"},
        {"anthropic", "claude-3-5-haiku-20241022", "thinking=2 prefill=1 sampling=1 output_format=0"},
        {"anthropic", "claude-sonnet-4-20250514", "thinking=1 prefill=1 sampling=1 output_format=0"},
        {"anthropic", "claude-opus-4-0", "thinking=1 prefill=1 sampling=1 output_format=0"},
        {"anthropic", "claude-opus-4-1-20250805", "thinking=1 prefill=1 sampling=1"},
        {"anthropic", "claude-opus-4-1", "thinking=1 prefill=1 sampling=1"},
        {"anthropic", "claude-haiku-4-5-20251001", "thinking=1 prefill=1 sampling=1"},
        {"anthropic", "claude-opus-4-6", "sampling=1"},
        {"anthropic", "claude-opus-4-8", ""},
        {"anthropic", "claude-opus-4-10", ""},
        {"anthropic", "another-name", ""},
        {"messages", "claude-opus-5", "thinking=0 prefill=0 sampling=0 output_format=1"},
        {"messages", "another-name", ""},
        {"chat", "claude-opus-5", ""},
        {"openai", "gpt-4o-mini", "reasoning_effort=0"},
        {"azure", "gpt-4.1", "reasoning_effort=0"},
        {"openai", "gpt-3.5-turbo", "reasoning_effort=0"},
        {"openai", "chatgpt-4o-latest", "reasoning_effort=0"},
        {"openai", "gpt-5-chat-latest", "reasoning_effort=0"},
        {"openai", "gpt-5.1-chat-latest", "reasoning_effort=0"},
        {"openai", "gpt-5", "minimal_effort=1"},
        {"openai", "gpt-5-mini", "minimal_effort=1"},
        {"openai", "gpt-5-codex", ""},
        {"openai", "gpt-5-pro", ""},
        {"openai", "gpt-5.1", ""},
        {"openai", "o3", ""},
        {"chat", "gpt-4o", ""},
        {"xai", "grok-3-mini", "reasoning_effort=1"},
        {"xai", "grok-4", ""},
    };
    for (size_t r = 0; r < sizeof rows / sizeof rows[0]; r++) {
        const struct preset *p = preset_find(rows[r].preset);
        struct capabilities caps = p->caps;
        char text[512] = "", word[64];
        capabilities_for_model(p, 0, slice_cstr(rows[r].model), &caps);
        for (unsigned i = 0; i < CAPABILITY_COUNT; i++) {
            const struct capability_doc *d = &capability_docs[i];
            uint64_t now = number_at((const char *)&caps + d->offset, d->size);
            if (now == number_at((const char *)&p->caps + d->offset, d->size)) continue;
            snprintf(word, sizeof word, "%s=%llu", d->name, (unsigned long long)now);
            add(text, sizeof text, word);
        }
        if (strcmp(text, rows[r].differs) != 0) print_message("%s\n", rows[r].model);
        assert_string_equal(text, rows[r].differs);
    }
}

/* What the configuration says itself stays. */
static void test_given_stays(void **state) {
    (void)state;
    const struct preset *p = preset_find("anthropic");
    struct capabilities caps = p->caps;
    caps.thinking = THINKING_STYLE_NONE;
    capabilities_for_model(p, UINT64_C(1) << CAPABILITY_thinking,
                           SLICE("claude-haiku-4-5"), &caps);
    assert_int_equal(caps.thinking, THINKING_STYLE_NONE);
    assert_true(caps.prefill);
}

/* The list is the struct: every field is there, once. */
static void test_list_covers_the_struct(void **state) {
    (void)state;
    unsigned char seen[sizeof(struct capabilities)] = {0};
    size_t covered = 0;
    for (unsigned i = 0; i < CAPABILITY_COUNT; i++) {
        const struct capability_doc *d = &capability_docs[i];
        assert_true(strlen(d->doc) > 10);
        assert_int_equal(d->kind == CAPABILITY_IS_ENUM, d->choices != NULL);
        for (size_t b = d->offset; b < d->offset + d->size; b++) {
            assert_int_equal(seen[b], 0);
            seen[b] = 1;
            covered++;
        }
    }
    assert_true(sizeof seen - covered < 16); /* padding */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_hosts),
        cmocka_unit_test(test_find),
        cmocka_unit_test(test_models),
        cmocka_unit_test(test_given_stays),
        cmocka_unit_test(test_list_covers_the_struct),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
