/* SPDX-License-Identifier: Apache-2.0 */
/* The page is read back by a strict little parser: whatever is printed must be valid exposition. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "meter/meter.h"

static const char *const names[] = {"openai", "local"};

static struct buf render(const struct meter *const *meters, unsigned n_meters,
                         const struct meter_extra *extras, unsigned n_extras,
                         const struct meter_extra_hist *hists, unsigned n_hists) {
    struct buf page;
    buf_init(&page, 1 << 22);
    assert_int_equal(
        meter_prometheus(meters, n_meters, names, extras, n_extras, hists, n_hists, &page), 0);
    assert_int_equal(buf_append_byte(&page, '\0'), 0);
    return page;
}

static void assert_line(const struct buf *page, const char *line) {
    char text[300];
    snprintf(text, sizeof text, "\n%s\n", line);
    if (!strstr(page->ptr, text)) fail_msg("expected: %s\n%s", line, page->ptr);
}

/* ---- the format ---- */

struct reader {
    const char *p;
    char family[100], type[20];   /* of the last TYPE line */
    char seen[64][100];           /* families so far */
    unsigned n_seen;
    char last_series[300];        /* of a histogram: labels without le */
    double last_le;
    uint64_t last_bucket;
    unsigned samples;
};

static void read_word(struct reader *r, char *out, size_t size) {
    size_t n = strspn(r->p, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_:");
    assert_true(n > 0 && n < size && !isdigit((unsigned char)r->p[0]));
    memcpy(out, r->p, n);
    out[n] = '\0';
    r->p += n;
}

static void expect(struct reader *r, const char *text) {
    if (strncmp(r->p, text, strlen(text)) != 0) fail_msg("expected \"%s\" at: %.80s", text, r->p);
    r->p += strlen(text);
}

static void read_header(struct reader *r) {
    char help_name[100];
    expect(r, "# HELP ");
    read_word(r, help_name, sizeof help_name);
    expect(r, " ");
    assert_true(r->p[0] != '\n');
    r->p += strcspn(r->p, "\n");
    expect(r, "\n# TYPE ");
    read_word(r, r->family, sizeof r->family);
    assert_string_equal(help_name, r->family);
    expect(r, " ");
    read_word(r, r->type, sizeof r->type);
    expect(r, "\n");
    assert_true(strcmp(r->type, "counter") == 0 || strcmp(r->type, "gauge") == 0 ||
                strcmp(r->type, "histogram") == 0);
    for (unsigned i = 0; i < r->n_seen; i++) assert_string_not_equal(r->seen[i], r->family);
    assert_true(r->n_seen < 64);
    memcpy(r->seen[r->n_seen++], r->family, sizeof r->family);
    r->last_series[0] = '\0';
    bool is_total = strlen(r->family) > 6 && strcmp(r->family + strlen(r->family) - 6, "_total") == 0;
    assert_int_equal(is_total, strcmp(r->type, "counter") == 0);
}

/* Labels but le go to out; le, if there is one, to out_le. */
static void read_labels(struct reader *r, char out[300], char out_le[200]) {
    out[0] = out_le[0] = '\0';
    if (r->p[0] != '{') return;
    for (r->p++;; r->p++) {
        char name[50], value[200];
        size_t n = 0;
        read_word(r, name, sizeof name);
        expect(r, "=\"");
        for (; *r->p != '"'; r->p++) {
            assert_true(*r->p && *r->p != '\n' && n + 1 < sizeof value);
            if (*r->p == '\\') assert_non_null(strchr("\\\"n", *++r->p));
            value[n++] = *r->p;
        }
        value[n] = '\0';
        r->p++;
        if (strcmp(name, "le") == 0) snprintf(out_le, 200, "%s", value);
        else snprintf(out + strlen(out), 300 - strlen(out), "%s=%s;", name, value);
        if (*r->p == '}') break;
        assert_int_equal(*r->p, ',');
    }
    r->p++;
}

static void check_bucket(struct reader *r, const char *labels, const char *le, uint64_t value) {
    double bound = strcmp(le, "+Inf") == 0 ? 1e300 : strtod(le, NULL);
    assert_true(le[0] != '\0');
    if (r->last_series[0] == '\0' || strcmp(r->last_series + 1, labels) != 0) {
        r->last_le = -1;
        r->last_bucket = 0;
    }
    assert_true(bound > r->last_le);
    assert_true(value >= r->last_bucket);
    snprintf(r->last_series, sizeof r->last_series, "#%s", labels);
    r->last_le = bound;
    r->last_bucket = value;
}

static void read_sample(struct reader *r) {
    char name[100], labels[300], le[200], *end;
    read_word(r, name, sizeof name);
    size_t len = strlen(r->family);
    assert_int_equal(strncmp(name, r->family, len), 0);
    const char *suffix = name + len;
    read_labels(r, labels, le);
    expect(r, " ");
    double value = strtod(r->p, &end);
    assert_true(end > r->p && *end == '\n' && value >= 0);
    r->p = end + 1;
    r->samples++;
    if (strcmp(r->type, "histogram") != 0) {
        assert_string_equal(suffix, "");
    } else if (strcmp(suffix, "_bucket") == 0) {
        check_bucket(r, labels, le, (uint64_t)value);
    } else if (strcmp(suffix, "_count") == 0) {
        assert_true(r->last_le > 1e299);              /* +Inf came last */
        assert_true((uint64_t)value == r->last_bucket);
        r->last_series[0] = '\0';
    } else {
        assert_string_equal(suffix, "_sum");
    }
}

static unsigned check_page(const char *page) {
    static struct reader r;
    memset(&r, 0, sizeof r);
    r.p = page;
    while (*r.p) {
        if (*r.p == '#') read_header(&r);
        else read_sample(&r);
    }
    return r.samples;
}

/* ---- tests ---- */

static void test_the_table(void **state) {
    const struct metric_doc *docs;
    (void)state;
    unsigned n = meter_metric_docs(&docs);
    assert_true(n > 25);
    for (unsigned i = 0; i < n; i++) {
        const char *name = docs[i].name;
        assert_int_equal(strncmp(name, "penstock_", 9), 0);
        size_t help = strlen(docs[i].help);
        if (help < 10 || docs[i].help[help - 1] != '.') fail_msg("%s: no whole sentence", name);
        assert_null(strpbrk(docs[i].help, "\\\n\""));
        bool is_total = strlen(name) > 6 && strcmp(name + strlen(name) - 6, "_total") == 0;
        if (is_total != (strcmp(docs[i].type, "counter") == 0)) fail_msg("%s: its type", name);
        for (unsigned k = 0; k < i; k++) assert_string_not_equal(name, docs[k].name);
    }
}

static void test_empty(void **state) {
    struct meter *m = meter_new(2);
    (void)state;
    struct buf page = render((const struct meter *const[]){m}, 1, NULL, 0, NULL, 0);
    assert_true(check_page(page.ptr) > 100);
    assert_line(&page, "penstock_streams_open 0");
    assert_line(&page, "penstock_requests_total{provider=\"openai\",stream=\"true\",end=\"ok\"} 0");
    assert_line(&page, "penstock_requests_total{provider=\"none\",stream=\"false\",end=\"client_error\"} 0");
    assert_null(strstr(page.ptr, "penstock_open_files")); /* nobody gave it */
    buf_dispose(&page);
    meter_free(m);
}

static void test_sums_over_workers(void **state) {
    struct meter *a = meter_new(2), *b = meter_new(2);
    (void)state;
    meter_add(&a->streams_open, 2);
    meter_add(&b->streams_open, 3);
    meter_add(&a->providers[1].requests_by_end[END_UPSTREAM_CUT][1], 4);
    meter_add(&b->providers[1].requests_by_end[END_UPSTREAM_CUT][1], 5);
    meter_add(&b->providers[1].requests_by_end[END_UPSTREAM_CUT][0], 1);
    meter_add(&b->providers[0].tokens_in, 7);
    meter_add(&b->providers[0].tokens_out, 8);
    meter_add(&b->providers[0].tokens_cached, 9);
    meter_add(&b->providers[0].tokens_reasoning, 10);
    meter_add(&a->providers[0].usage_missing, 11);
    meter_add(&a->providers[0].frames, 12);
    meter_add(&a->providers[0].frames_repaired, 13);
    meter_add(&a->providers[0].frames_dropped, 14);
    meter_add(&a->providers[0].frames_malformed, 15);
    meter_add(&a->providers[0].frames_cut_through, 16);
    meter_add(&a->providers[0].stalls, 17);
    struct buf page = render((const struct meter *const[]){a, b}, 2, NULL, 0, NULL, 0);
    check_page(page.ptr);
    static const char *const lines[] = {
        "penstock_streams_open 5",
        "penstock_requests_total{provider=\"local\",stream=\"true\",end=\"upstream_cut\"} 9",
        "penstock_requests_total{provider=\"local\",stream=\"false\",end=\"upstream_cut\"} 1",
        "penstock_tokens_total{provider=\"openai\",kind=\"input\"} 7",
        "penstock_tokens_total{provider=\"openai\",kind=\"output\"} 8",
        "penstock_tokens_total{provider=\"openai\",kind=\"cached\"} 9",
        "penstock_tokens_total{provider=\"openai\",kind=\"reasoning\"} 10",
        "penstock_tokens_total{provider=\"local\",kind=\"input\"} 0",
        "penstock_usage_total{provider=\"openai\",source=\"missing\"} 11",
        "penstock_frames_total{provider=\"openai\",kind=\"all\"} 12",
        "penstock_frames_total{provider=\"openai\",kind=\"repaired\"} 13",
        "penstock_frames_total{provider=\"openai\",kind=\"dropped\"} 14",
        "penstock_frames_total{provider=\"openai\",kind=\"malformed\"} 15",
        "penstock_frames_total{provider=\"openai\",kind=\"cut_through\"} 16",
        "penstock_stalls_total{provider=\"openai\"} 17",
    };
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) assert_line(&page, lines[i]);
    buf_dispose(&page);
    meter_free(a);
    meter_free(b);
}

static void test_histograms(void **state) {
    struct meter *a = meter_new(2), *b = meter_new(2);
    (void)state;
    hist_record(&a->providers[0].ttft_ns, 90 * NS_PER_MS);
    hist_record(&b->providers[0].ttft_ns, 1200 * NS_PER_MS);
    /* beyond every bound, and what buckets tell apart */
    hist_record(&b->providers[0].ttft_ns, 3000 * NS_PER_S);
    hist_record(&a->providers[2].duration_ns[0], 1 * NS_PER_MS);
    struct buf page = render((const struct meter *const[]){a, b}, 2, NULL, 0, NULL, 0);
    check_page(page.ptr);
    static const char *const lines[] = {
        "penstock_ttft_seconds_bucket{provider=\"openai\",le=\"0.05\"} 0",
        "penstock_ttft_seconds_bucket{provider=\"openai\",le=\"0.1\"} 1",
        "penstock_ttft_seconds_bucket{provider=\"openai\",le=\"1\"} 1",
        "penstock_ttft_seconds_bucket{provider=\"openai\",le=\"1.5\"} 2",
        "penstock_ttft_seconds_bucket{provider=\"openai\",le=\"60\"} 2",
        "penstock_ttft_seconds_bucket{provider=\"openai\",le=\"+Inf\"} 3",
        "penstock_ttft_seconds_sum{provider=\"openai\"} 3001.29",
        "penstock_ttft_seconds_count{provider=\"openai\"} 3",
        "penstock_request_duration_seconds_bucket{provider=\"none\",stream=\"false\",le=\"0.005\"} 1",
        "penstock_request_duration_seconds_sum{provider=\"none\",stream=\"false\"} 0.001",
    };
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) assert_line(&page, lines[i]);
    buf_dispose(&page);
    meter_free(a);
    meter_free(b);
}

static void test_extras(void **state) {
    struct meter *m = meter_new(2);
    struct hist *turn = calloc(1, sizeof *turn);
    (void)state;
    assert_non_null(turn);
    hist_init(turn);
    hist_record(turn, 30 * NS_PER_US);
    const struct meter_extra extras[] = {
        {"penstock_upstream_connections", {{"provider", "openai"}, {"state", "idle"}}, 3},
        {"penstock_build_info", {{"version", "1\"2\\3\n4"}}, 1},
        {"penstock_cpu_seconds_total", {{0}}, 1500000001},
        {"penstock_start_time_seconds", {{0}}, UINT64_C(1700000000000000000)},
        {"penstock_upstream_connections", {{"provider", "local"}, {"state", "active"}}, 4},
    };
    const struct meter_extra_hist hists[] = {{"penstock_loop_turn_seconds", turn}};
    struct buf page = render((const struct meter *const[]){m}, 1, extras, 5, hists, 1);
    check_page(page.ptr);
    assert_line(&page, "penstock_upstream_connections{provider=\"openai\",state=\"idle\"} 3\n"
                       "penstock_upstream_connections{provider=\"local\",state=\"active\"} 4");
    assert_line(&page, "penstock_build_info{version=\"1\\\"2\\\\3\\n4\"} 1");
    assert_line(&page, "penstock_cpu_seconds_total 1.500000001");
    assert_line(&page, "penstock_start_time_seconds 1700000000");
    assert_line(&page, "penstock_loop_turn_seconds_bucket{le=\"0.00001\"} 0");
    assert_line(&page, "penstock_loop_turn_seconds_bucket{le=\"0.00005\"} 1");
    assert_line(&page, "penstock_loop_turn_seconds_sum 0.00003");
    buf_dispose(&page);
    free(turn);
    meter_free(m);
}

static void test_a_page_without_room(void **state) {
    struct meter *m = meter_new(2);
    struct buf page;
    (void)state;
    buf_init(&page, 1000);
    assert_int_equal(
        meter_prometheus((const struct meter *const[]){m}, 1, names, NULL, 0, NULL, 0, &page),
        -ERR_LIMIT);
    buf_dispose(&page);
    meter_free(m);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_table),   cmocka_unit_test(test_empty),
        cmocka_unit_test(test_sums_over_workers), cmocka_unit_test(test_histograms),
        cmocka_unit_test(test_extras),      cmocka_unit_test(test_a_page_without_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
