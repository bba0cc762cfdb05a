/* SPDX-License-Identifier: Apache-2.0 */
#include "config_test.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* ---- faults ---- */

#define BASE "base_url: \"http://127.0.0.1:1/v1\""

/* Each is refused, and the report has the line. */
static const struct {
    const char *yaml, *expected;
} bad[] = {
    {"[a]\n", "t.yaml:1:1: expected a map of settings, got a list\n"},
    {"workers: lots\n", "t.yaml:1:10: workers: expected a whole number from 0 to 1024, or auto, got \"lots\"\n"},
    {"workers: 1025\n", "t.yaml:1:10: workers: expected a whole number"},
    {"workers: [1]\n", "t.yaml:1:10: workers: expected a single value, got a list\n"},
    {"lisen: x\n", "t.yaml:1:1: lisen: unknown setting; did you mean listen?\n"},
    {"level: debug\n", "t.yaml:1:1: level: unknown setting here; did you mean log.level?\n"},
    {"zzzzzzzz: 1\n", "t.yaml:1:1: zzzzzzzz: unknown setting\n"},
    {"log.level: debug\n", "t.yaml:1:1: log.level: unknown setting"},
    {"log: debug\n", "t.yaml:1:6: log: expected a map, got a value\n"},
    {"log: {levl: debug}\n", "t.yaml:1:7: log.levl: unknown setting; did you mean level?\n"},
    {"log: {format: xml}\n", "t.yaml:1:15: log.format: expected one of human, json, got \"xml\"\n"},
    {"metrics: maybe\n", "t.yaml:1:10: metrics: expected true or false, got \"maybe\"\n"},
    {"drain_timeout: 30\n", "t.yaml:1:16: drain_timeout: expected a duration (10s, 500ms, 1h30m) from 0 to 1d, got \"30\"\n"},
    {"limits: {body: 1XB}\n", "limits.body: expected a size (4096, 64KiB, 16MB) from 1KiB to 1GiB, got \"1XB\"\n"},
    {"timeouts: {head: 0}\n", "timeouts.head: expected a duration (10s, 500ms, 1h30m) from 1ms to 10m, got \"0\"\n"},
    {"allowed_hosts: [{a: b}]\n", "t.yaml:1:17: allowed_hosts: expected a single value, got a map\n"},
    {"allowed_hosts: [\"http://x\"]\n", "allowed_hosts: http://x: expected the name of a host\n"},
    {"cors: {origins: [a.example]}\n", "cors.origins: a.example: expected scheme://host, without a path, or *\n"},
    {"policies: []\n", "t.yaml:1:1: policies: comes in a later version\n"},
    {"database: x\n", "t.yaml:1:1: database: comes in a later version\n"},
    {"shared_state: x\n", "t.yaml:1:1: shared_state: comes in a later version\n"},
    /* listen */
    {"listen: 8080\n", "t.yaml:1:9: listen: 8080: a port alone"},
    {"listen: \"::1:80\"\n", "needs brackets"},
    {"listen: example.com:80\n", "names are not looked up"},
    {"listen: \"127.0.0.1:65536\"\n", "the port must be a number from 0 to 65535"},
    {"listen: \"unix:\"\n", "needs the path of a socket"},
    {"listen: []\n", "listen: an empty list"},
    {"listen: \"\"\n", "t.yaml:1:9: listen: expected an address"},
    {"listen: [\":1\", \":1\"]\n", "listen: :1 is given twice\n"},
    {"listen: {tls: {cert: /nowhere/c.pem}}\n", "t.yaml:1:9: listen.address: missing\n"},
    {"listen: {address: \":1\", tls: {cert: /nowhere/c.pem}}\n", "listen.tls: cert and key are needed, both\n"},
    {"listen: {address: \":1\", tls: {cert: /nowhere/c.pem}}\n", "listen.tls.cert: cannot read /nowhere/c.pem: No such file"},
    {"listen: {address: \":1\", tsl: {}}\n", "t.yaml:1:25: listen.tsl: unknown setting; did you mean tls?\n"},
    {"tls: {cert: /nowhere/c.pem}\n", "tls: cert and key are needed, both\n"},
    /* providers */
    {"providers: [a]\n", "t.yaml:1:12: providers: expected a map of names to providers, got a list\n"},
    {"providers: {\"a b\": {}}\n", "t.yaml:1:13: providers: a provider's name is 1 to 64 of"},
    {"providers: {none: {" BASE "}}\n", "none cannot be a provider's name"},
    {"providers: {p: x}\n", "t.yaml:1:16: providers.p: expected a map with dialect"},
    {"providers: {p: {}}\n", "t.yaml:1:13: providers.p.base_url: missing\n"},
    {"providers: {p: {base_url: \"\"}}\n", "t.yaml:1:27: providers.p.base_url: is empty\n"},
    {"providers: {p: {bas_url: x}}\n", "t.yaml:1:17: providers.p.bas_url: unknown setting; did you mean base_url?\n"},
    {"providers: {p: {base_url: \"ftp://x\"}}\n", "providers.p.base_url: expected http://, https:// or http+unix:// in front\n"},
    {"providers: {p: {base_url: \"http://\"}}\n", "the host is missing"},
    {"providers: {p: {base_url: \"http://h:0/v1\"}}\n", "the port must be a number from 1 to 65535"},
    {"providers: {p: {base_url: \"http://[::1/v1\"}}\n", "the host is malformed"},
    {"providers: {p: {base_url: \"http://[zz]/v1\"}}\n", "the address in brackets is malformed"},
    {"providers: {p: {base_url: \"http://h/v1?x=1\"}}\n", "a query or fragment cannot be part of it"},
    {"providers: {p: {base_url: \"http://h/v1/chat/completions\"}}\n", "leave /chat/completions out"},
    {"providers: {p: {base_url: \"http+unix:///run/x.sock\"}}\n", "must be percent-encoded"},
    {"providers: {p: {mock: true, " BASE "}}\n", "the built-in mock has no base_url of its own"},
    {"providers: {p: {" BASE ", dialect: soap}}\n", "expected one of chat, completions, responses, messages, got \"soap\"\n"},
    {"providers: {p: {" BASE ", on_client_gone: {drain: {bytes: x}}}}\n", "providers.p.on_client_gone.drain.bytes: expected a size"},
    {"providers: {p: {" BASE ", on_client_gone: {drain: {byte: 1}}}}\n", "providers.p.on_client_gone.drain.byte: unknown setting; did you mean bytes?\n"},
    {"providers: {p: {" BASE ", on_client_gone: {dran: {}}}}\n", "providers.p.on_client_gone: expected"},
    {"providers: {p: {" BASE ", forward_headers: [X-Api-Key]}}\n", "x-api-key cannot be forwarded: for the client's own credential write auth: passthrough\n"},
    {"providers: {p: {" BASE ", forward_headers: [\"a b\"]}}\n", "a b is not the name of a header\n"},
    {"providers: {p: {" BASE ", ca_file: /nowhere/ca.pem}}\n", "providers.p.ca_file: cannot read /nowhere/ca.pem"},
    {"providers: {p: {" BASE ", api_key: \"${NOPE}\"}}\n", "providers.p.api_key: the environment variable NOPE is not set"},
    {"providers: {p: {" BASE "}}\n", "models: missing: say which names clients may ask for, such as {name: \"*\", provider: p}\n"},
    /* models */
    {"models: x\n", "t.yaml:1:9: models: expected a list of up to 4096 {name, targets}, got a value\n"},
    {"models: [x]\n", "t.yaml:1:10: models.0: expected a map {name, targets}, got a value\n"},
    {"models: [{targets: [{provider: p}]}]\n", "t.yaml:1:10: models.0.name: missing\n"},
    {"models: [{name: a}]\n", "t.yaml:1:10: models.0: has no targets: nobody would answer\n"},
    {"models: [{name: a, targets: []}]\n", "models.0.targets: an empty list: nobody would answer\n"},
    {"models: [{name: a, targets: [{model: x}]}]\n", "models.0.targets.0.provider: missing\n"},
    {"models: [{name: a, targets: [{provider: q}]}]\n", "models.0.targets.0.provider: there is no provider q"},
    {"models: [{name: a, provider: p, targets: [{provider: p}]}]\n", "models.0: has targets, and provider or model beside them\n"},
    {"models: [{name: \"a[\", provider: p}]\n", "models.0.name: a \"[\" is never closed"},
    {"models: [{name: 'a\\', provider: p}]\n", "models.0.name: ends in a lone \"\\\"\n"},
    {"models: [{name: a, provider: p}, {name: a, provider: p}]\n", "models.1.name: a is given twice, first in line 1\n"},
    {"models: [{name: a, provider: p, strategy: random}]\n", "models.0.strategy: expected one of fallback, got \"random\"\n"},
    {"models: [{name: a, provder: p}]\n", "models.0.provder: unknown setting; did you mean provider?\n"},
    {"providers: {openai: {" BASE "}}\nmodels: [{name: a, provider: opnai}]\n", "there is no provider opnai; did you mean openai?\n"},
    {"providers: {p: {preset: vlm}}\n", "t.yaml:1:25: providers.p.preset: expected one of openai, anthropic, azure, "},
    {"providers: {p: {preset: azure}}\n", "t.yaml:1:13: providers.p.base_url: missing\n"},
    {"providers: {p: {preset: llamacpp}}\n", "t.yaml:1:13: providers.p.base_url: missing\n"},
    {"providers: {p: {" BASE ", also: [chat, soap]}}\n", "providers.p.also: soap is neither a dialect nor embeddings or moderations"},
    {"providers: {p: {" BASE ", also: [mesages]}}\n", "mesages is neither a dialect nor embeddings or moderations; did you mean messages?\n"},
    {"providers: {p: {" BASE ", auth_header: \"a b\"}}\n", "providers.p.auth_header: a b cannot carry a credential\n"},
    {"providers: {p: {" BASE ", auth_header: Host}}\n", "providers.p.auth_header: Host cannot carry a credential\n"},
    {"providers: {p: {" BASE ", query: \"?a=b\"}}\n", "providers.p.query: expected name=value"},
    {"providers: {p: {" BASE ", query: \"a=b c\"}}\n", "providers.p.query: expected name=value"},
    {"providers: {p: {" BASE ", api_version: \"a b\"}}\n", "providers.p.api_version: expected a date"},
    {"providers: {p: {" BASE ", quirks: {max_tokens: many}}}\n", "providers.p.quirks.max_tokens: expected one of max_tokens, max_completion_tokens, got \"many\"\n"},
    {"providers: {p: {" BASE ", quirks: {develper_role: true}}}\n", "providers.p.quirks.develper_role: unknown setting; did you mean developer_role?\n"},
    {"providers: {p: {" BASE ", quirks: {default_max_tokens: 0}}}\n", "providers.p.quirks.default_max_tokens: expected a whole number from 16 to 10000000"},
    {"providers: {p: {base_url: \"http://h/v1/messages\"}}\n", "leave /v1/messages out"},
    {"providers: {p: {base_url: \"http://h/v1/responses/\"}}\n", "leave /responses out"},
    {"providers: {p: {base_url: \"http://h/v1/completions\"}}\n", "leave /completions out"},
    {"providers: {p: {base_url: \"http://h/{mode}/v1\"}}\n", "holds a character that a URL cannot"},
    {"providers: {p: {base_url: \"http://{model}/v1\"}}\n", "holds a character that a URL cannot"},
    {"state: {ttl: 59m}\n", "state.ttl: expected a duration (10s, 500ms, 1h30m) from 1h to 365d, got \"59m\"\n"},
    /* syntax */
    {"a: [\n", "not valid YAML"},
    {"listen: :1\nlisten: :2\n", "t.yaml:2:1: listen is given twice, first in line 1\n"},
};

static void test_faults(void **state) {
    (void)state;
    test_env_vars = NULL;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct test_load l = test_load_text(bad[i].yaml);
        if (l.config) fail_msg("accepted: %s", bad[i].yaml);
        assert_report_has(&l, bad[i].expected);
        test_load_dispose(&l);
    }
}

static void test_all_faults_are_reported(void **state) {
    (void)state;
    struct test_load l = test_load_text("workers: x\nlog: {level: y}\nmetrics: z\n" TEST_SERVED);
    assert_null(l.config);
    assert_report_has(&l, "t.yaml:1:10: workers: ");
    assert_report_has(&l, "t.yaml:2:14: log.level: ");
    assert_report_has(&l, "t.yaml:3:10: metrics: ");
    unsigned lines = 0;
    for (const char *p = l.report.ptr; *p; p++) lines += *p == '\n';
    assert_int_equal(lines, 3);
    test_load_dispose(&l);
}

static void test_a_flood_of_faults_is_cut(void **state) {
    struct buf yaml;
    (void)state;
    buf_init(&yaml, 1 << 20);
    for (unsigned i = 0; i < 1000; i++) assert_int_equal(buf_appendf(&yaml, "key%u: 1\n", i), 0);
    assert_int_equal(buf_append_byte(&yaml, '\0'), 0);
    struct test_load l = test_load_text(yaml.ptr);
    assert_report_has(&l, "... and 901 more faults\n"); /* with "nothing to serve" */
    assert_true(l.report.len < 64 * 1024);
    test_load_dispose(&l);
    buf_dispose(&yaml);
}

/* A report is for terminals: what a file says must not speak to them. */
static void test_reports_hold_no_control_characters(void **state) {
    (void)state;
    struct test_load l = test_load_text("\"a\\e[31m\\nb\": 1\nworkers: \"\\e[2J\"\n");
    assert_null(l.config);
    for (const char *p = l.report.ptr; *p; p++)
        assert_true(*p == '\n' || (unsigned char)*p >= 0x20);
    test_load_dispose(&l);
}

/* ---- secrets ---- */

static const char *const leaks[] = {
    "providers: {p: {base_url: \"http://h\", api_key: [sk-hush]}}\n",
    "providers: {p: {base_url: \"http://h\", api_key: {sk-hush: 1}}}\n",
    "providers: {p: {base_url: \"http://h\", api_key: \"sk-hush\\u0001\"}}\n",
    "providers: {p: {base_url: \"http://h\", api_key: \"sk-hush\xc3\xa9\"}}\n",
    "providers: {p: {base_url: \"http://user:sk-hush@h\"}}\n",
    "providers: {p: {base_url: \"http://h?key=sk-hush\"}}\n",
    "providers: {p: {base_url: \"${KEY}\"}}\n",
    "workers: \"${KEY}\"\n",
    "log: {level: \"${KEY}\"}\n",
    "listen: \"${KEY}\"\n",
    "listen: [{address: \"${KEY}\"}]\n",
    "tls: {cert: \"${KEY}\", key: x}\n",
    "cors: {origins: [\"http://a\", \"${KEY}\", \"http://b\"]}\n",
    "allowed_hosts: \"${KEY}/\"\n",
    "models: [{name: \"${KEY}[\", provider: \"${KEY}\"}]\n",
    "models: [{name: \"${KEY}\", provider: a}, {name: \"${KEY}\", provider: a}]\n",
    "providers: {p: {base_url: \"http://h\", forward_headers: [\"${KEY} x\"], ca_file: \"${KEY}\"}}\n",
    "providers: {p: {base_url: \"http://h\", api_key: \"${KEY} $hush\"}}\n",
    "providers: {p: {base_url: \"http://h\", apikey: sk-hush}}\n",
};

static void test_secrets_stay_out_of_reports(void **state) {
    static const char *const vars[] = {"KEY", "sk-hush", NULL};
    (void)state;
    test_env_vars = vars;
    for (size_t i = 0; i < sizeof leaks / sizeof leaks[0]; i++) {
        struct test_load l = test_load_text(leaks[i]);
        assert_null(l.config);
        assert_report_lacks(&l, "hush");
        test_load_dispose(&l);
    }
    test_env_vars = NULL;
}

/* ---- what is in force ---- */

static void test_defaults(void **state) {
    (void)state;
    struct test_load l = test_load_text(TEST_SERVED);
    const struct config *c = l.config;
    assert_non_null(c);
    assert_string_equal(c->source, "t.yaml");
    assert_int_equal(c->n_listen, 1);
    assert_string_equal(c->listen[0].address, "127.0.0.1:8080");
    assert_null(c->listen[0].tls_cert);
    assert_int_equal(c->workers, 0);
    assert_int_equal(c->log.level, LOG_INFO);
    assert_int_equal(c->log.format, LOG_HUMAN);
    assert_int_equal(c->log.requests, LOG_REQUESTS_ERRORS);
    assert_true(c->metrics_enabled);
    assert_true(c->limits.event_bytes == 16 << 20);
    assert_true(c->limits.cut_through_bytes == 64 << 10);
    assert_true(c->limits.response_bytes == 1 << 20);
    assert_true(c->limits.transcript_bytes == 16 << 20);
    assert_true(c->state.ttl_ns == INT64_C(86400000000000));
    assert_true(c->state.max_bytes == 64 << 20);
    assert_false(c->check_order);
    assert_true(c->timeouts.hold_ns == INT64_C(10000000000));
    assert_true(c->timeouts.heartbeat_ns == INT64_C(15000000000));
    assert_non_null(c->cors.origins);
    assert_null(c->cors.origins[0]);
    assert_null(c->allowed.hosts[0]);
    const struct config_provider *p = &c->providers[0];
    assert_ptr_equal(p->dialect, &dialect_chat);
    assert_int_equal(p->metering, METERING_INJECT);
    assert_int_equal(p->on_client_gone, CLIENT_GONE_CANCEL);
    assert_true(p->retry_stale && p->tls_verify && !p->is_mock);
    assert_null(p->api_key);
    assert_null(p->forward_headers[0]);
    assert_false(c->is_mock_only);
    test_load_dispose(&l);
}

static void test_full_file(void **state) {
    static const char *const vars[] = {"KEY", "sk-1", NULL};
    (void)state;
    test_env_vars = vars;
    struct test_load l = test_load_text(
        "listen:\n"
        "  - 127.0.0.1:8080\n"
        "  - unix:/run/penstock.sock\n"
        "workers: 3\n"
        "log: {level: warn, format: json, requests: all}\n"
        "limits: {body: 5MB, max_streams: unlimited, max_connections: 7}\n"
        "timeouts: {heartbeat: off, idle: 1m30s}\n"
        "cors: {origins: \"*\"}\n"
        "allowed_hosts: [a.example, b.example]\n"
        "metrics: no\n"
        "providers:\n"
        "  openai:\n"
        "    dialect: chat\n"
        "    base_url: https://api.openai.com/v1\n"
        "    api_key: ${KEY}\n"
        "    metering: observe\n"
        "    on_client_gone: {drain: {bytes: 64KiB, time: 3s}}\n"
        "    max_connections: 5\n"
        "    forward_headers: [x-a, x-b]\n"
        "  local: {base_url: \"http://[::1]:8000/v1\", auth: none, on_client_gone: drain}\n"
        "models:\n"
        "  - {name: gpt-4o-mini, targets: [{provider: openai}]}\n"
        "  - name: fast\n"
        "    strategy: fallback\n"
        "    targets: [{provider: local, model: llama}, {provider: openai, model: gpt-4o-mini}]\n"
        "  - {name: \"g*\", provider: local, model: other}\n");
    const struct config *c = l.config;
    if (!c) fail_msg("%s", l.report.ptr);
    assert_string_equal(l.report.ptr, "");
    assert_int_equal(c->n_listen, 2);
    assert_string_equal(c->listen[1].address, "unix:/run/penstock.sock");
    assert_int_equal(c->workers, 3);
    assert_int_equal(c->log.requests, LOG_REQUESTS_ALL);
    assert_true(c->limits.body_bytes == 5000000 && c->limits.max_connections == 7);
    assert_true(c->timeouts.heartbeat_ns == 0 && c->timeouts.idle_ns == INT64_C(90000000000));
    assert_string_equal(c->cors.origins[0], "*");
    assert_string_equal(c->allowed.hosts[1], "b.example");
    assert_null(c->allowed.hosts[2]);
    assert_false(c->metrics_enabled);
    const struct config_provider *openai = &c->providers[0];
    assert_string_equal(openai->api_key, "sk-1");
    assert_int_equal(openai->on_client_gone, CLIENT_GONE_DRAIN);
    assert_true(openai->drain_bytes == 65536 && openai->drain_time_ns == INT64_C(3000000000));
    assert_true(openai->max_connections == 5);
    assert_string_equal(openai->forward_headers[1], "x-b");
    assert_int_equal(c->providers[1].on_client_gone, CLIENT_GONE_DRAIN);
    assert_int_equal(c->n_models, 3);
    assert_int_equal(c->models[1].n_targets, 2);
    assert_int_equal(c->models[1].targets[0].provider, 1);
    assert_string_equal(c->models[1].targets[0].model, "llama");
    assert_null(c->models[0].targets[0].model);
    assert_true(c->models[2].is_glob && !c->models[0].is_glob);
    assert_string_equal(c->models[2].targets[0].model, "other");
    test_env_vars = NULL;
    test_load_dispose(&l);
}

static void test_routes(void **state) {
    (void)state;
    struct test_load l = test_load_text(
        "providers: {p: {mock: true}}\n"
        "models:\n"
        "  - {name: \"gpt-*\", provider: p}\n"
        "  - {name: \"gpt-4*\", provider: p}\n"
        "  - {name: gpt-4, provider: p}\n"
        "  - {name: 'lit\\*', provider: p}\n");
    const struct config *c = l.config;
    assert_non_null(c);
    assert_ptr_equal(config_route(c, SLICE("gpt-4")), &c->models[2]);
    assert_ptr_equal(config_route(c, SLICE("gpt-4o")), &c->models[0]);
    assert_ptr_equal(config_route(c, SLICE("lit*")), &c->models[3]);
    /* a pattern's own spelling is no exact name */
    assert_ptr_equal(config_route(c, SLICE("gpt-4*")), &c->models[0]);
    assert_null(config_route(c, SLICE("lita")));
    assert_null(config_route(c, SLICE("GPT-4")));
    assert_null(config_route(c, SLICE("")));
    test_load_dispose(&l);
}

static void test_precedence(void **state) {
    static const char *const vars[] = {"PENSTOCK_WORKERS", "2", "PENSTOCK_LOG_LEVEL", "warn",
                                       "PENSTOCK_LISTEN", ":1, :2", "PENSTOCK_METRICS", "", NULL};
    static const struct config_override flags[] = {
        {"workers", "3"}, {"allowed_hosts", "a,b"}, {"allowed_hosts", "c"}};
    (void)state;
    test_env_vars = vars;
    struct test_load l = test_load_with((struct config_sources){.flags = flags, .n_flags = 3},
                                        "workers: 1\nlog: {level: debug, format: json}\n"
                                        "allowed_hosts: [x]\nlisten: :9\n" TEST_SERVED);
    const struct config *c = l.config;
    if (!c) fail_msg("%s", l.report.ptr);
    assert_int_equal(c->workers, 3);
    assert_int_equal(c->log.level, LOG_WARN);
    assert_int_equal(c->log.format, LOG_JSON);
    assert_true(c->metrics_enabled);
    assert_int_equal(c->n_listen, 2);
    assert_string_equal(c->listen[1].address, ":2");
    assert_string_equal(c->allowed.hosts[0], "a");
    assert_string_equal(c->allowed.hosts[2], "c");
    assert_null(c->allowed.hosts[3]);
    test_env_vars = NULL;
    test_load_dispose(&l);
}

static void test_flags_reach_providers(void **state) {
    static const struct config_override good = {"providers.p.idle_timeout", "7s"};
    static const struct {
        struct config_override flag;
        const char *expected;
    } wrong[] = {
        {{"providers.q.auth", "none"}, "--set: providers.q.auth: there is no provider q\n"},
        {{"providers.p.ath", "none"}, "--set: providers.p.ath: unknown setting; did you mean auth?\n"},
        {{"providers", "x"}, "--set: providers: cannot be set by a flag: it needs a config file\n"},
        {{"log.levle", "x"}, "--set: log.levle: unknown setting; did you mean log.level?\n"},
        {{"workers", "x"}, "--workers: workers: expected a whole number"},
        {{"database", "x"}, "--set: database: comes in a later version\n"},
        {{"models.*.name", "x"}, "--set: models.*.name: unknown setting"},
    };
    (void)state;
    struct test_load l =
        test_load_with((struct config_sources){.flags = &good, .n_flags = 1}, TEST_SERVED);
    assert_non_null(l.config);
    assert_true(l.config->providers[0].idle_timeout_ns == INT64_C(7000000000));
    test_load_dispose(&l);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        l = test_load_with((struct config_sources){.flags = &wrong[i].flag, .n_flags = 1},
                           TEST_SERVED);
        assert_null(l.config);
        assert_report_has(&l, wrong[i].expected);
        test_load_dispose(&l);
    }
}

/* ---- without a file ---- */

/* In an empty folder: no penstock.yaml, no .env. */
static struct test_load load_embedded(bool mock) {
    struct test_load l = {0};
    struct config_sources s = {.getenv_fn = test_getenv, .mock = mock};
    buf_init(&l.report, 1 << 20);
    int rc = config_load(&s, &l.config, &l.report);
    assert_int_equal(rc, 0);
    assert_int_equal(buf_append_byte(&l.report, '\0'), 0);
    return l;
}

static void test_no_key_gives_the_mock(void **state) {
    static const char *const vars[] = {"OPENAI_API_KEY", "  ", "ANTHROPIC_API_KEY", "", NULL};
    (void)state;
    test_env_vars = vars;
    struct test_load l = load_embedded(false);
    assert_true(l.config->is_mock_only);
    assert_string_equal(l.config->source, "embedded defaults");
    assert_int_equal(l.config->n_providers, 1);
    assert_true(l.config->providers[0].is_mock);
    assert_string_equal(l.config->providers[0].name, "mock");
    assert_non_null(config_route(l.config, SLICE("anything")));
    test_env_vars = NULL;
    test_load_dispose(&l);
}

static void test_openai_key(void **state) {
    static const char *const vars[] = {"OPENAI_API_KEY", "sk-hush\n", NULL};
    (void)state;
    test_env_vars = vars;
    struct test_load l = load_embedded(false);
    assert_false(l.config->is_mock_only);
    assert_int_equal(l.config->n_providers, 1);
    assert_string_equal(l.config->providers[0].base_url, "https://api.openai.com/v1");
    assert_string_equal(l.config->providers[0].preset->name, "openai");
    assert_int_equal(l.config->providers[0].n_also, 2); /* responses, completions */
    /* the line end is no part of it */
    assert_string_equal(l.config->providers[0].api_key, "sk-hush");
    assert_non_null(config_route(l.config, SLICE("gpt-4o")));
    assert_non_null(config_route(l.config, SLICE("o3-mini")));
    assert_non_null(config_route(l.config, SLICE("chatgpt-4o-latest")));
    assert_null(config_route(l.config, SLICE("mock")));
    assert_null(config_route(l.config, SLICE("claude-x")));
    test_load_dispose(&l);
    l = load_embedded(true);
    assert_true(l.config->mock_asked && !l.config->is_mock_only);
    assert_non_null(config_route(l.config, SLICE("mock")));
    assert_non_null(config_route(l.config, SLICE("mock-1")));
    assert_null(config_route(l.config, SLICE("other")));
    test_env_vars = NULL;
    test_load_dispose(&l);
}

static void test_base_urls_from_the_environment(void **state) {
    static const char *const both[] = {"OPENAI_API_KEY", "k", "OPENAI_BASE_URL", "http://h:1/v1", NULL};
    static const char *const alone[] = {"OPENAI_BASE_URL", "http://h:1/v1", NULL};
    (void)state;
    test_env_vars = both;
    struct test_load l = load_embedded(false);
    assert_string_equal(l.config->providers[0].base_url, "http://h:1/v1");
    assert_string_equal(l.config->providers[0].preset->name, "chat"); /* not OpenAI itself */
    assert_int_equal(l.config->providers[0].n_also, 0);
    test_load_dispose(&l);
    test_env_vars = alone;
    l = load_embedded(false);
    assert_true(l.config->is_mock_only);
    assert_report_has(&l, "warning: OPENAI_BASE_URL: is set, but OPENAI_API_KEY is not: not used\n");
    test_env_vars = NULL;
    test_load_dispose(&l);
}

static void test_anthropic_key(void **state) {
    static const char *const vars[] = {"ANTHROPIC_API_KEY", "sk-hush", NULL};
    static const char *const other[] = {"ANTHROPIC_API_KEY", "k", "ANTHROPIC_BASE_URL",
                                        "http://h:1", NULL};
    (void)state;
    test_env_vars = vars;
    struct test_load l = load_embedded(false);
    assert_false(l.config->is_mock_only);
    assert_int_equal(l.config->n_providers, 1);
    const struct config_provider *p = &l.config->providers[0];
    assert_ptr_equal(p->dialect, &dialect_messages);
    assert_string_equal(p->base_url, "https://api.anthropic.com");
    assert_string_equal(p->auth_header, "x-api-key");
    assert_string_equal(p->preset->name, "anthropic");
    assert_non_null(config_route(l.config, SLICE("claude-opus-4-8")));
    assert_null(config_route(l.config, SLICE("gpt-4o")));
    assert_string_equal(l.report.ptr, "");
    test_load_dispose(&l);
    test_env_vars = other;
    l = load_embedded(false);
    p = &l.config->providers[0];
    assert_ptr_equal(p->dialect, &dialect_messages);
    assert_string_equal(p->base_url, "http://h:1");
    assert_string_equal(p->preset->name, "messages"); /* some server, not Anthropic's */
    test_env_vars = NULL;
    test_load_dispose(&l);
}

/* A forgotten key must never yield made-up answers. */
static void test_a_file_takes_the_mock_away(void **state) {
    (void)state;
    test_env_vars = NULL;
    struct test_load l = test_load_text("workers: 1\n");
    assert_null(l.config);
    assert_report_has(&l, "t.yaml: providers: missing, and there is neither OPENAI_API_KEY nor ANTHROPIC_API_KEY");
    test_load_dispose(&l);
    l = test_load_with((struct config_sources){.mock = true}, "workers: 1\n");
    assert_non_null(l.config);
    assert_false(l.config->is_mock_only);
    assert_non_null(config_route(l.config, SLICE("anything")));
    test_load_dispose(&l);
    l = test_load_with((struct config_sources){.mock = true}, TEST_SERVED);
    assert_non_null(config_route(l.config, SLICE("mock-x")));
    assert_non_null(config_route(l.config, SLICE("mock")));
    assert_int_equal(l.config->n_providers, 2);
    assert_true(l.config->providers[config_route(l.config, SLICE("mock"))->targets[0].provider].is_mock);
    assert_false(l.config->providers[config_route(l.config, SLICE("x"))->targets[0].provider].is_mock);
    test_load_dispose(&l);
    l = test_load_with((struct config_sources){.mock = true},
                       "providers: {mock: {base_url: \"http://h\", auth: none}}\n"
                       "models: [{name: a, provider: mock}]\n");
    assert_null(l.config);
    assert_report_has(&l, "--mock: providers.mock: the configuration has a provider of this name");
    test_load_dispose(&l);
}

/* ---- warnings ---- */

static void test_warnings(void **state) {
    static const struct {
        const char *yaml, *expected;
    } cases[] = {
        {"providers: {p: {base_url: \"http://h\"}}\nmodels: [{name: a, provider: p}]\n",
         "warning: t.yaml:1:13: providers.p.api_key: missing: requests to p go out without a credential; write auth: none if that is meant\n"},
        {"providers: {p: {base_url: \"http://h\", api_key: \"\"}}\nmodels: [{name: a, provider: p}]\n",
         "providers.p.api_key: is empty: requests to p go out without a credential"},
        {"providers: {p: {base_url: \"http://h\", api_key: \"***\"}}\nmodels: [{name: a, provider: p}]\n",
         "providers.p.api_key: is ***"},
        {"providers: {p: {base_url: \"http://h\", api_key: k, auth: none}}\nmodels: [{name: a, provider: p}]\n",
         "providers.p.api_key: is not used"},
        {"providers: {p: {mock: true}, q: {mock: true}}\nmodels: [{name: a, provider: p}]\n",
         "warning: t.yaml:1:30: providers: q is not the target of any model\n"},
        {"providers: {p: {base_url: \"https://h\", api_key: k, tls_verify: false}}\nmodels: [{name: a, provider: p}]\n",
         "certificate is not checked"},
        {"listen: :8080\nproviders: {p: {base_url: \"https://h\", api_key: k}}\nmodels: [{name: a, provider: p}]\n",
         "warning: t.yaml:1:9: listen: :8080 can be reached from other machines"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct test_load l = test_load_text(cases[i].yaml);
        if (!l.config) fail_msg("%s", l.report.ptr);
        assert_report_has(&l, cases[i].expected);
        test_load_dispose(&l);
    }
}

/* ---- show ---- */

static void show(const struct config *c, struct buf *out) {
    buf_init(out, 1 << 20);
    assert_int_equal(config_show(c, out), 0);
    assert_int_equal(buf_append_byte(out, '\0'), 0);
}

/* Without the comments: where things came from differs. No value of these tests has "  # " in it.
 * */
static void strip_comments(char *text) {
    char *to = text;
    for (char *line = text, *end; *line; line = end + 1) {
        end = line + strcspn(line, "\n");
        char *stop = memmem(line, (size_t)(end - line), "  # ", 4);
        if (!stop) stop = end;
        while (stop > line && stop[-1] == ' ') stop--;
        memmove(to, line, (size_t)(stop - line));
        to += stop - line;
        *to++ = '\n';
    }
    *to = '\0';
}

static void test_show_loads_to_the_same(void **state) {
    static const char *const vars[] = {"KEY", "sk-hush", "PENSTOCK_WORKERS", "2", NULL};
    static const struct config_override flag = {"log.level", "warn"};
    struct buf first, second;
    (void)state;
    test_env_vars = vars;
    struct test_load l = test_load_with(
        (struct config_sources){.flags = &flag, .n_flags = 1},
        "listen: [\":1\", \"unix:/tmp/a b.sock\"]\n"
        "cors: {origins: [\"http://a\", \"*\"]}\n"
        "timeouts: {heartbeat: off, write: 1.5s}\n"
        "providers:\n"
        "  p: {base_url: \"http://h/v1\", api_key: \"${KEY}\", on_client_gone: {drain: {time: 1m}}}\n"
        "  m: {mock: true}\n"
        "models:\n"
        "  - {name: 'a\\\"b$$c: #d', targets: [{provider: p, model: \"x\\ty\"}, {provider: m}]}\n");
    if (l.config) fail_msg("a tab in a value was accepted");
    test_load_dispose(&l);
    l = test_load_with(
        (struct config_sources){.flags = &flag, .n_flags = 1},
        "listen: [\":1\", \"unix:/tmp/a b.sock\"]\n"
        "cors: {origins: [\"http://a\", \"*\"]}\n"
        "timeouts: {heartbeat: off, write: 1.5s}\n"
        "providers:\n"
        "  p: {base_url: \"http://h/v1\", api_key: \"${KEY}\", on_client_gone: {drain: {time: 1m}}}\n"
        "  m: {mock: true}\n"
        "models:\n"
        "  - {name: 'a\\\"b$$c: #d', targets: [{provider: p, model: \"x y\"}, {provider: m}]}\n");
    if (!l.config) fail_msg("%s", l.report.ptr);
    show(l.config, &first);
    assert_null(strstr(first.ptr, "hush"));
    assert_non_null(strstr(first.ptr, "api_key: \"***\""));
    assert_non_null(strstr(first.ptr, "# PENSTOCK_WORKERS\n"));
    assert_non_null(strstr(first.ptr, "# --log-level\n"));
    assert_non_null(strstr(first.ptr, "# t.yaml:3\n"));
    assert_non_null(strstr(first.ptr, "# default\n"));
    test_env_vars = NULL;
    struct test_load again = test_load_text(first.ptr);
    if (!again.config) fail_msg("%s\n%s", again.report.ptr, first.ptr);
    assert_string_equal(again.config->models[0].name, l.config->models[0].name);
    show(again.config, &second);
    strip_comments(first.ptr);
    strip_comments(second.ptr);
    assert_string_equal(first.ptr, second.ptr);
    buf_dispose(&first);
    buf_dispose(&second);
    test_load_dispose(&again);
    test_load_dispose(&l);
}

/* ---- files ---- */

static void write_file(const char *name, const char *text) {
    FILE *f = fopen(name, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, strlen(text), f), strlen(text));
    assert_int_equal(fclose(f), 0);
}

static void test_files_are_found(void **state) {
    struct config_sources s = {.getenv_fn = test_getenv};
    struct test_load l = {0};
    (void)state;
    test_env_vars = NULL;
    write_file("penstock.yaml", "workers: ${N}\n" TEST_SERVED);
    write_file(".env", "N=5\n");
    write_file("other.env", "N=6\n");
    buf_init(&l.report, 1 << 16);
    assert_int_equal(config_load(&s, &l.config, &l.report), 0);
    assert_int_equal(l.config->workers, 5);
    assert_string_equal(l.config->source, "penstock.yaml");
    config_free(&l.config);
    s.env_file = "other.env";
    assert_int_equal(config_load(&s, &l.config, &l.report), 0);
    assert_int_equal(l.config->workers, 6);
    config_free(&l.config);
    s.file = "absent.yaml";
    assert_int_equal(config_load(&s, &l.config, &l.report), -ERR_USAGE);
    assert_null(l.config);
    s.file = ".";
    assert_int_equal(config_load(&s, &l.config, &l.report), -ERR_USAGE);
    s = (struct config_sources){.getenv_fn = test_getenv, .env_file = "absent.env"};
    assert_int_equal(config_load(&s, &l.config, &l.report), -ERR_USAGE);
    assert_int_equal(buf_append_byte(&l.report, '\0'), 0);
    assert_report_has(&l, "absent.yaml: cannot be read: No such file or directory\n");
    assert_report_has(&l, "absent.env: cannot be read: No such file or directory\n");
    assert_report_has(&l, ".: cannot be read: Is a directory\n");
    test_load_dispose(&l);
    assert_int_equal(unlink("penstock.yaml") | unlink(".env") | unlink("other.env"), 0);
}

static char folder[] = "/tmp/penstock-test-XXXXXX";

static int enter_empty_folder(void **state) {
    (void)state;
    return mkdtemp(folder) ? chdir(folder) : -1;
}

static int leave_folder(void **state) {
    (void)state;
    return chdir("/") | rmdir(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_faults),
        cmocka_unit_test(test_all_faults_are_reported),
        cmocka_unit_test(test_a_flood_of_faults_is_cut),
        cmocka_unit_test(test_reports_hold_no_control_characters),
        cmocka_unit_test(test_secrets_stay_out_of_reports),
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_full_file),
        cmocka_unit_test(test_routes),
        cmocka_unit_test(test_precedence),
        cmocka_unit_test(test_flags_reach_providers),
        cmocka_unit_test(test_no_key_gives_the_mock),
        cmocka_unit_test(test_openai_key),
        cmocka_unit_test(test_base_urls_from_the_environment),
        cmocka_unit_test(test_anthropic_key),
        cmocka_unit_test(test_a_file_takes_the_mock_away),
        cmocka_unit_test(test_warnings),
        cmocka_unit_test(test_show_loads_to_the_same),
        cmocka_unit_test(test_files_are_found),
    };
    return cmocka_run_group_tests(tests, enter_empty_folder, leave_folder);
}
