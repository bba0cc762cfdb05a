/* SPDX-License-Identifier: Apache-2.0 */
/* Loading a configuration from a string, with an environment of the test's own. */
#ifndef PENSTOCK_TESTS_CONFIG_TEST_H
#define PENSTOCK_TESTS_CONFIG_TEST_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "config/loader.h"

/* NAME, value, NAME, value …, NULL */
static const char *const *test_env_vars;

static const char *test_getenv(const char *name) {
    for (const char *const *v = test_env_vars; v && *v; v += 2) {
        if (strcmp(v[0], name) == 0) return v[1];
    }
    return NULL;
}

struct test_load {
    struct config *config;   /* NULL: it had faults */
    struct buf report;       /* NUL-terminated */
};

/* sources' getenv is replaced. */
static struct test_load test_load_with(struct config_sources sources, const char *yaml) {
    struct test_load l = {0};
    buf_init(&l.report, 1 << 20);
    sources.getenv_fn = test_getenv;
    int rc = config_load_text(&sources, slice_cstr(yaml), "t.yaml", &l.config, &l.report);
    assert_int_equal(rc, l.config ? 0 : -ERR_USAGE);
    assert_int_equal(buf_append_byte(&l.report, '\0'), 0);
    return l;
}

static inline struct test_load test_load_text(const char *yaml) {
    return test_load_with((struct config_sources){0}, yaml);
}

static inline void test_load_dispose(struct test_load *l) {
    config_free(&l->config);
    buf_dispose(&l->report);
}

static inline void assert_report_has(const struct test_load *l, const char *line) {
    if (strstr(l->report.ptr, line)) return;
    fail_msg("expected in the report: %s\nthe report:\n%s", line, l->report.ptr);
}

static inline void assert_report_lacks(const struct test_load *l, const char *text) {
    if (!strstr(l->report.ptr, text)) return;
    fail_msg("must not be in the report: %s\nthe report:\n%s", text, l->report.ptr);
}

/* A provider p and a model for it: what most tests need around what they are about. */
#define TEST_SERVED                                                                                \
    "providers: {p: {base_url: \"http://127.0.0.1:1/v1\", auth: none}}\n"                          \
    "models: [{name: \"*\", provider: p}]\n"

#endif
