/* SPDX-License-Identifier: Apache-2.0 */
/* What a provider is where its text say nothing. */
#include "config_test.h"

#include <stdio.h>

static struct test_load load_provider(const char *text) {
    char yaml[1024];
    snprintf(yaml, sizeof yaml, "providers: {p: {%s}}\nmodels: [{name: \"*\", provider: p}]\n",
             text);
    struct test_load l = test_load_text(yaml);
    if (!l.config) fail_msg("%s\n%s", yaml, l.report.ptr);
    return l;
}

/* "responses completions embeddings" */
static void also_text(const struct config_provider *p, char *out, size_t size) {
    size_t len = 0;
    out[0] = '\0';
    for (unsigned i = 0; i < p->n_also; i++)
        len += (size_t)snprintf(out + len, size - len, "%s%s", len ? " " : "", p->also[i]->name);
    if (p->has_embeddings)
        len += (size_t)snprintf(out + len, size - len, "%sembeddings", len ? " " : "");
    if (p->has_moderations)
        len += (size_t)snprintf(out + len, size - len, "%smoderations", len ? " " : "");
}

/* Every preset by its name: what it fills in is what its row says. */
static void test_named(void **state) {
    static const struct {
        const char *text, *preset, *dialect, *base_url, *header, *also;
        bool is_keeping;
    } rows[] = {
        {"preset: openai", "openai", "chat", "https://api.openai.com/v1", "authorization",
         "responses completions embeddings moderations", true},
        {"preset: anthropic", "anthropic", "messages", "https://api.anthropic.com", "x-api-key", "",
         false},
        {"preset: azure, base_url: \"https://n.openai.azure.com/openai/v1\"", "azure", "chat",
         "https://n.openai.azure.com/openai/v1", "api-key", "responses completions embeddings",
         true},
        {"preset: openrouter", "openrouter", "chat", "https://openrouter.ai/api/v1",
         "authorization", "completions embeddings", false},
        {"preset: groq", "groq", "chat", "https://api.groq.com/openai/v1", "authorization", "",
         false},
        {"preset: mistral", "mistral", "chat", "https://api.mistral.ai/v1", "authorization",
         "embeddings moderations", false},
        {"preset: deepseek", "deepseek", "chat", "https://api.deepseek.com/v1", "authorization", "",
         false},
        {"preset: together", "together", "chat", "https://api.together.xyz/v1", "authorization",
         "completions embeddings", false},
        {"preset: fireworks", "fireworks", "chat", "https://api.fireworks.ai/inference/v1",
         "authorization", "completions embeddings", false},
        {"preset: xai", "xai", "chat", "https://api.x.ai/v1", "authorization", "responses", true},
        {"preset: gemini-openai", "gemini-openai", "chat",
         "https://generativelanguage.googleapis.com/v1beta/openai", "authorization", "embeddings",
         false},
        {"preset: ollama", "ollama", "chat", "http://127.0.0.1:11434/v1", "authorization",
         "completions messages embeddings", false},
        {"preset: vllm", "vllm", "chat", "http://127.0.0.1:8000/v1", "authorization",
         "completions messages responses embeddings", false},
        {"preset: llamacpp, base_url: \"http://h:8080/v1\"", "llamacpp", "chat", "http://h:8080/v1",
         "authorization", "completions messages embeddings", false},
        /* none named: by host, else by dialect */
        {"base_url: \"https://api.openai.com/v1\"", "openai", "chat", "https://api.openai.com/v1",
         "authorization", "responses completions embeddings moderations", true},
        {"base_url: \"https://API.OPENAI.COM:443/v1\", dialect: responses", "openai", "responses",
         "https://API.OPENAI.COM:443/v1", "authorization",
         "chat completions embeddings moderations", true},
        {"base_url: \"https://api.anthropic.com\"", "anthropic", "messages",
         "https://api.anthropic.com", "x-api-key", "", false},
        /* Anthropic's host, but another of its APIs */
        {"base_url: \"https://api.anthropic.com/v1\", dialect: chat", "chat", "chat",
         "https://api.anthropic.com/v1", "authorization", "embeddings moderations", false},
        {"base_url: \"http://127.0.0.1:1/v1\"", "chat", "chat", "http://127.0.0.1:1/v1",
         "authorization", "embeddings moderations", false},
        {"base_url: \"http://127.0.0.1:1\", dialect: messages", "messages", "messages",
         "http://127.0.0.1:1", "x-api-key", "", false},
        {"base_url: \"http://127.0.0.1:1/v1\", dialect: responses", "responses", "responses",
         "http://127.0.0.1:1/v1", "authorization", "embeddings", true},
        {"base_url: \"http+unix://%2Fapi.openai.com/v1\", dialect: completions", "completions",
         "completions", "http+unix://%2Fapi.openai.com/v1", "authorization", "embeddings", false},
        {"mock: true", "chat", "chat", NULL, "authorization", "", false},
        /* what is set wins */
        {"preset: vllm, dialect: messages, base_url: \"http://h/x\", auth_header: x-key, also: []",
         "vllm", "messages", "http://h/x", "x-key", "", false},
        {"preset: vllm, also: [moderations, chat, responses, responses], keeps_responses: true",
         "vllm", "chat", "http://127.0.0.1:8000/v1", "authorization", "responses moderations",
         true},
    };
    char also[128];
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct test_load l = load_provider(rows[i].text);
        const struct config_provider *p = &l.config->providers[0];
        also_text(p, also, sizeof also);
        if (strcmp(also, rows[i].also) != 0) print_message("%s\n", rows[i].text);
        assert_string_equal(p->preset->name, rows[i].preset);
        assert_string_equal(p->dialect->name, rows[i].dialect);
        if (rows[i].base_url) assert_string_equal(p->base_url, rows[i].base_url);
        else assert_null(p->base_url);
        assert_string_equal(p->auth_header, rows[i].header);
        assert_string_equal(also, rows[i].also);
        assert_int_equal(p->keeps_responses, rows[i].is_keeping);
        assert_string_equal(p->api_version, "2023-06-01");
        assert_memory_equal(&p->caps, &p->preset->caps, sizeof p->caps);
        test_load_dispose(&l);
    }
}

/* The choices of the setting and the table are the same presets. */
static void test_names_agree(void **state) {
    unsigned n, n_names = 0;
    const struct preset *all = presets(&n);
    const struct setting *row = setting_find(SLICE("providers.*.preset"));
    (void)state;
    for (; row->choices[n_names]; n_names++) assert_non_null(preset_find(row->choices[n_names]));
    for (unsigned i = 0; i < n; i++) {
        if (strcmp(all[i].name, all[i].dialect) == 0) n_names++; /* nobody's preset */
    }
    assert_int_equal(n_names, n);
}

static void test_azure(void **state) {
    static const struct {
        const char *url, *complete, *query;
        unsigned n_also;
    } rows[] = {
        {"https://n.openai.azure.com", "https://n.openai.azure.com/openai/v1", NULL, 2},
        {"https://n.openai.azure.com/", "https://n.openai.azure.com/openai/v1", NULL, 2},
        {"https://n.openai.azure.com/openai/", "https://n.openai.azure.com/openai/v1", NULL, 2},
        {"https://n.openai.azure.com/openai/v1/", "https://n.openai.azure.com/openai/v1/", NULL, 2},
        {"https://n.openai.azure.com/openai/deployments/{model}",
         "https://n.openai.azure.com/openai/deployments/{model}", "api-version=2024-10-21", 1},
    };
    char text[256];
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        snprintf(text, sizeof text, "base_url: \"%s\", api_key: k", rows[i].url);
        struct test_load l = load_provider(text);
        const struct config_provider *p = &l.config->providers[0];
        assert_string_equal(p->preset->name, "azure");
        assert_string_equal(p->auth_header, "api-key");
        assert_string_equal(p->base_url, rows[i].complete);
        if (rows[i].query) assert_string_equal(p->query, rows[i].query);
        else assert_null(p->query);
        assert_int_equal(p->n_also, rows[i].n_also);
        test_load_dispose(&l);
    }
    struct test_load l = load_provider("preset: azure, query: \"api-version=preview\", base_url: "
                                       "\"https://n.openai.azure.com/openai/deployments/gpt\"");
    assert_string_equal(l.config->providers[0].query, "api-version=preview");
    test_load_dispose(&l);
}

/* A vendor's key goes to the vendor, when the preset was named, and nowhere else. */
static void test_keys(void **state) {
    static const char *const vars[] = {"GROQ_API_KEY", "sk-hush", "OPENAI_API_KEY", "sk-other",
                                       NULL};
    static const struct {
        const char *text, *key;
        enum provider_auth auth;
    } rows[] = {
        {"preset: groq", "sk-hush", AUTH_KEY},
        {"preset: groq, base_url: \"https://api.groq.com/openai/v2\"", "sk-hush", AUTH_KEY},
        {"preset: groq, api_key: mine", "mine", AUTH_KEY},
        {"preset: groq, api_key: \"\"", NULL, AUTH_KEY},
        {"preset: groq, base_url: \"https://evil.example/v1\"", NULL, AUTH_KEY},
        {"preset: openai, base_url: \"https://api.groq.com/openai/v1\"", NULL, AUTH_KEY},
        {"preset: groq, auth: passthrough", NULL, AUTH_PASSTHROUGH},
        {"base_url: \"https://api.groq.com/openai/v1\"", NULL, AUTH_KEY},
        {"preset: mistral", NULL, AUTH_KEY},
        {"preset: vllm", NULL, AUTH_NONE},
        {"preset: vllm, auth: key", NULL, AUTH_KEY},
        {"preset: ollama, api_key: k", "k", AUTH_KEY},
    };
    (void)state;
    test_env_vars = vars;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct test_load l = load_provider(rows[i].text);
        const struct config_provider *p = &l.config->providers[0];
        if (rows[i].key) assert_string_equal(p->api_key ? p->api_key : "none", rows[i].key);
        else assert_null(p->api_key);
        assert_int_equal(p->auth, rows[i].auth);
        assert_report_lacks(&l, "hush");
        test_load_dispose(&l);
    }
    test_env_vars = NULL;
}

static void test_metering(void **state) {
    static const struct {
        const char *text;
        enum metering metering;
    } rows[] = {
        {"preset: vllm", METERING_INJECT},
        {"preset: mistral", METERING_OBSERVE},
        {"preset: mistral, metering: inject", METERING_INJECT},
        {"preset: vllm, quirks: {stream_options: false}", METERING_OBSERVE},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct test_load l = load_provider(rows[i].text);
        assert_int_equal(l.config->providers[0].metering, rows[i].metering);
        test_load_dispose(&l);
    }
}

/* Each capability by its name, over the preset's; and it stays whatever the model. */
static void test_quirks(void **state) {
    (void)state;
    for (unsigned i = 0; i < CAPABILITY_COUNT; i++) {
        const struct capability_doc *d = &capability_docs[i];
        char text[160];
        const char *value = d->kind == CAPABILITY_IS_ENUM ? d->choices[1]
                            : d->kind == CAPABILITY_IS_INT ? "77" : "true";
        uint64_t expected = d->kind == CAPABILITY_IS_INT ? 77 : 1, found = 0;
        snprintf(text, sizeof text, "preset: anthropic, quirks: {%s: %s}", d->name, value);
        struct test_load l = load_provider(text);
        const struct config_provider *p = &l.config->providers[0];
        memcpy(&found, (const char *)&p->caps + d->offset, d->size);
        assert_true(found == expected);
        assert_true(p->caps_given == UINT64_C(1) << i);
        test_load_dispose(&l);
    }
    struct test_load l = load_provider("preset: anthropic, quirks: {thinking: none, prefill: false}");
    struct capabilities caps;
    provider_caps(&l.config->providers[0], SLICE("claude-haiku-4-5"), &caps);
    assert_int_equal(caps.thinking, THINKING_STYLE_NONE);
    assert_false(caps.prefill);
    assert_true(caps.sampling);
    assert_int_equal(caps.default_max_tokens, 4096);
    test_load_dispose(&l);
}

static void test_choice_of_dialect(void **state) {
    (void)state;
    struct test_load l = load_provider("preset: openai");
    const struct config_provider *p = &l.config->providers[0];
    assert_ptr_equal(provider_dialect(p, &dialect_chat), &dialect_chat);
    assert_ptr_equal(provider_dialect(p, &dialect_responses), &dialect_responses);
    assert_ptr_equal(provider_dialect(p, &dialect_completions), &dialect_completions);
    assert_ptr_equal(provider_dialect(p, &dialect_messages), &dialect_chat);
    test_load_dispose(&l);
}

static void test_paths(void **state) {
    static const struct {
        const char *base, *path, *expected;
    } rows[] = {
        {"", "/v1/messages", "/v1/messages"},
        {"/v1", "/v1/messages", "/messages"},
        {"/api/v1", "/v1/messages", "/messages"},
        {"/v1", "/chat/completions", "/chat/completions"},
        {"/xv1", "/v1/messages", "/v1/messages"},
        {"/v1beta", "/v1/messages", "/v1/messages"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct slice found = provider_path(slice_cstr(rows[i].base), slice_cstr(rows[i].path));
        assert_true(slice_eq(found, slice_cstr(rows[i].expected)));
    }
}

static void test_version_in_a_messages_url(void **state) {
    (void)state;
    struct test_load l = load_provider("dialect: messages, base_url: \"http://h/v1/\", auth: none");
    assert_report_has(&l, "warning: t.yaml:1:46: providers.p.base_url: ends in /v1, which messages "
                          "upstreams are written without: it is not added twice\n");
    test_load_dispose(&l);
    l = load_provider("preset: vllm, dialect: messages"); /* that speaks chat there, too */
    assert_report_lacks(&l, "ends in /v1");
    test_load_dispose(&l);
}

static void test_show(void **state) {
    static const char *const vars[] = {"GROQ_API_KEY", "sk-hush", NULL};
    struct buf out;
    (void)state;
    test_env_vars = vars;
    struct test_load l = load_provider("preset: groq, quirks: {top_k: true}");
    buf_init(&out, 1 << 20);
    assert_int_equal(config_show(l.config, &out), 0);
    assert_int_equal(buf_append_byte(&out, '\0'), 0);
    assert_null(strstr(out.ptr, "hush"));
    assert_non_null(strstr(out.ptr, "api_key: \"***\""));
    assert_non_null(strstr(out.ptr, "# GROQ_API_KEY\n"));
    assert_non_null(strstr(out.ptr, "base_url: \"https://api.groq.com/openai/v1\" "));
    assert_non_null(strstr(out.ptr, "  # preset groq\n"));
    assert_non_null(strstr(out.ptr, "    quirks:\n      top_k: true "));
    assert_null(strstr(out.ptr, "developer_role"));
    test_env_vars = NULL;
    struct test_load again = test_load_text(out.ptr);
    if (!again.config) fail_msg("%s\n%s", again.report.ptr, out.ptr);
    assert_string_equal(again.config->providers[0].preset->name, "groq");
    assert_true(again.config->providers[0].caps.top_k);
    test_load_dispose(&again);
    buf_dispose(&out);
    test_load_dispose(&l);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_named),
        cmocka_unit_test(test_names_agree),
        cmocka_unit_test(test_azure),
        cmocka_unit_test(test_keys),
        cmocka_unit_test(test_metering),
        cmocka_unit_test(test_quirks),
        cmocka_unit_test(test_choice_of_dialect),
        cmocka_unit_test(test_paths),
        cmocka_unit_test(test_version_in_a_messages_url),
        cmocka_unit_test(test_show),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
