/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <fcntl.h>

#include "base/log.c"
#include "base/random.h"

static int pipe_fds[2];
static char out[65536]; /* everything that was logged since the last take() */

static int64_t fixed_wall_ns =
    INT64_C(1790000000) * NS_PER_S + 123456789; /* 2026-09-21T14:13:20.123Z */
static int64_t fixed_clock(void *self) {
    (void)self;
    return fixed_wall_ns;
}

static int setup(void **state) {
    (void)state;
    setenv("TZ", "UTC", 1);
    clock_set_source(&(struct clock_source){fixed_clock, fixed_clock, NULL});
    return pipe2(pipe_fds, O_NONBLOCK);
}

static int teardown(void **state) {
    (void)state;
    clock_set_source(NULL);
    close(pipe_fds[0]);
    close(pipe_fds[1]);
    return 0;
}

static void use(enum log_level level, enum log_format format, bool color) {
    log_setup(&(struct log_options){level, format, pipe_fds[1], color});
}

static const char *take(void) {
    ssize_t n = read(pipe_fds[0], out, sizeof out - 1);
    out[n > 0 ? n : 0] = '\0';
    return out;
}

static void test_human(void **state) {
    (void)state;
    use(LOG_DEBUG, LOG_HUMAN, false);
    log_event(LOG_INFO, "listening", LOG_CSTR("addr", "127.0.0.1:8080"));
    assert_string_equal(take(), "14:13:20.123 INFO  listening addr=127.0.0.1:8080\n");
    log_plain(LOG_ERROR, "no room");
    assert_string_equal(take(), "14:13:20.123 ERROR no room\n");
    log_event(LOG_DEBUG, "e", LOG_INT("i", -5), LOG_FLAG("yes", true), LOG_FLAG("no", 0),
              LOG_SECRET("key"), ((struct log_field){.name = "u", .type = LOG_F_UINT, .num = -1}));
    assert_string_equal(
        take(), "14:13:20.123 DEBUG e i=-5 yes=true no=false key=*** u=18446744073709551615\n");
    log_event(LOG_WARN, "q", LOG_CSTR("empty", ""), LOG_STR("null", SLICE_NULL),
              LOG_CSTR("sp", "a b"), LOG_CSTR("eq", "a=b"), LOG_CSTR("u", "zażółć"));
    assert_string_equal(
        take(), "14:13:20.123 WARN  q empty=\"\" null=\"\" sp=\"a b\" eq=\"a=b\" u=\"zażółć\"\n");
}

static void test_durations(void **state) {
    (void)state;
    static const struct {
        int64_t ns;
        const char *human, *json;
    } rows[] = {
        {0, "0ns", "0.000"},
        {999, "999ns", "0.000"},
        {1000, "1.0us", "0.001"},
        {12345678, "12.3ms", "12.345"},
        {999999999, "999.9ms", "999.999"},
        {INT64_C(61500000000), "61.500s", "61500.000"},
        {-1500000, "-1.5ms", "-1.500"},
        {INT64_MIN, "-9223372036.854s", "-9223372036854.775"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char want[200];
        use(LOG_INFO, LOG_HUMAN, false);
        log_event(LOG_INFO, "d", LOG_DUR("took", rows[i].ns));
        snprintf(want, sizeof want, "14:13:20.123 INFO  d took=%s\n", rows[i].human);
        assert_string_equal(take(), want);
        use(LOG_INFO, LOG_JSON, false);
        log_event(LOG_INFO, "d", LOG_DUR("took", rows[i].ns));
        take();
        snprintf(want, sizeof want, ",\"took_ms\":%s}\n", rows[i].json);
        assert_non_null(strstr(out, want));
    }
}

static void test_color(void **state) {
    (void)state;
    use(LOG_INFO, LOG_HUMAN, true);
    log_event(LOG_WARN, "slow", LOG_CSTR("a", "b"));
    assert_string_equal(take(),
                        "\033[2m14:13:20.123\033[0m \033[33mWARN \033[0m slow \033[2ma=\033[0mb\n");
    use(LOG_INFO, LOG_JSON, true); /* never in JSON */
    log_event(LOG_WARN, "slow", LOG_CSTR("a", "b"));
    assert_null(strchr(take(), '\033'));
}

static void test_json(void **state) {
    (void)state;
    use(LOG_INFO, LOG_JSON, false);
    log_event(LOG_INFO, "upstream connected", LOG_CSTR("provider", "a\"b\\c"), LOG_INT("n", 3),
              LOG_FLAG("ok", true), LOG_SECRET("key"), LOG_DUR("took", 1500000));
    assert_string_equal(
        take(),
        "{\"ts\":\"2026-09-21T14:13:20.123Z\",\"level\":\"info\",\"event\":\"upstream connected\","
        "\"provider\":\"a\\\"b\\\\c\",\"n\":3,\"ok\":true,\"key\":\"***\",\"took_ms\":1.500}\n");
    log_plain(LOG_ERROR, "x");
    assert_string_equal(
        take(), "{\"ts\":\"2026-09-21T14:13:20.123Z\",\"level\":\"error\",\"event\":\"x\"}\n");
}

static void test_levels(void **state) {
    (void)state;
    for (int level = LOG_DEBUG; level <= LOG_OFF; level++) {
        use((enum log_level)level, LOG_HUMAN, false);
        for (int entry = LOG_DEBUG; entry <= LOG_OFF; entry++) {
            bool want = entry >= level && entry != LOG_OFF;
            assert_int_equal(log_enabled((enum log_level)entry), want);
            log_plain((enum log_level)entry, "x");
            assert_int_equal(*take() != '\0', want);
        }
    }
}

static unsigned evaluated;
static int64_t evaluate(void) {
    return ++evaluated;
}

static void test_fields_are_not_evaluated_below_level(void **state) {
    (void)state;
    use(LOG_WARN, LOG_HUMAN, false);
    log_event(LOG_INFO, "x", LOG_INT("n", evaluate()));
    assert_int_equal(evaluated, 0);
    log_event(LOG_WARN, "x", LOG_INT("n", evaluate()));
    assert_int_equal(evaluated, 1);
    assert_string_equal(take(), "14:13:20.123 WARN  x n=1\n");
}

/* A secret stays one even when someone fills its value in. */
static void test_secret(void **state) {
    (void)state;
    for (int format = LOG_HUMAN; format <= LOG_JSON; format++) {
        use(LOG_DEBUG, (enum log_format)format, false);
        struct log_field f = LOG_SECRET("key");
        f.str = SLICE("sk-hunter2");
        f.num = 4242;
        log_write(LOG_DEBUG, "auth", &f, 1);
        assert_null(strstr(take(), "hunter2"));
        assert_null(strstr(out, "4242"));
        assert_non_null(strstr(out, "***"));
    }
}

static void test_input_cannot_forge_lines(void **state) {
    (void)state;
    static const struct {
        const char *value, *want;
    } rows[] = {
        {"a\nb", "\"a\\nb\""},
        {"a\r\tb", "\"a\\r\\tb\""},
        {"\x1b[2J", "\"\\u001b[2J\""},
        {"\x01\x7f", "\"\\u0001\\u007f\""},
        {"\xc2\x85|\xc2\x9b", "\"\\u0085|\\u009b\""},
        {"\xe2\x80\xa8|\xe2\x80\xae|\xe2\x81\xa6", "\"\\u2028|\\u202e|\\u2066\""},
        {"\xff", "\"\xef\xbf\xbd\""},
        {"\xc3", "\"\xef\xbf\xbd\""},
        {"\xe2\x82", "\"\xef\xbf\xbd\xef\xbf\xbd\""},
        {"\xc2\xa0\xe2\x80\xa7\xe2\x82\xac\xf0\x9f\x98\x80",
         "\"\xc2\xa0\xe2\x80\xa7\xe2\x82\xac\xf0\x9f\x98\x80\""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        for (int format = LOG_HUMAN; format <= LOG_JSON; format++) {
            use(LOG_INFO, (enum log_format)format, false);
            log_event(LOG_INFO, "x", LOG_CSTR("v", rows[i].value));
            assert_non_null(strstr(take(), rows[i].want));
            assert_ptr_equal(strchr(out, '\n'), out + strlen(out) - 1);
        }
    }
    use(LOG_INFO, LOG_HUMAN, false);
    log_event(LOG_INFO, "x", LOG_STR("v", SLICE("a\0b")));
    assert_non_null(strstr(take(), "v=\"a\\u0000b\"\n"));
    log_event(LOG_INFO, "two\nlines", LOG_CSTR("v", "x"));
    assert_non_null(strstr(take(), " two\\nlines v=x\n"));
}

/* ---- JSON validity under random input, with a checker for the flat objects that a log line is
 * ---- */

static const char *skip_string(const char *p) {
    assert_int_equal(*p, '"');
    for (p++; *p != '"'; p++) {
        assert_true((unsigned char)*p >= 0x20);
        if (*p != '\\') continue;
        p++;
        assert_non_null(memchr("\"\\nrtu", *p, 6));
        for (int i = 0; *p == 'u' && i < 4; i++)
            assert_non_null(memchr("0123456789abcdef", p[i + 1], 16));
    }
    return p + 1;
}

static const char *skip_value(const char *p) {
    if (*p == '"') return skip_string(p);
    if (strncmp(p, "true", 4) == 0) return p + 4;
    if (strncmp(p, "false", 5) == 0) return p + 5;
    size_t n = strspn(p, "-0123456789.");
    assert_true(n > 0);
    return p + n;
}

static unsigned check_flat_object(const char *p) {
    unsigned members = 0;
    assert_int_equal(*p, '{');
    do {
        p = skip_string(p + 1);
        assert_int_equal(*p, ':');
        p = skip_value(p + 1);
        members++;
    } while (*p == ',');
    assert_string_equal(p, "}\n");
    return members;
}

static void test_random_values(void **state) {
    (void)state;
    static char bytes[3000];
    struct rng r;
    unsigned cut = 0;
    rng_seed(&r, 8);
    for (int i = 0; i < 3000; i++) {
        struct log_field fields[6];
        for (int j = 0; j < 6; j++) {
            size_t len = (size_t)rng_below(&r, i % 3 == 0 ? sizeof bytes : 60);
            fields[j] = (struct log_field){
                "name", (enum log_field_type)rng_below(&r, 6), {bytes, len}, (int64_t)rng_next(&r)};
        }
        for (size_t j = 0; j < sizeof bytes; j++)
            bytes[j] = (char)rng_below(&r, rng_below(&r, 2) ? 256 : 48);
        use(LOG_INFO, LOG_JSON, false);
        log_write(LOG_INFO, "x", fields, 6);
        size_t len = strlen(take());
        assert_in_range(len, 10, LINE_BYTES);
        assert_int_equal(slice_utf8_valid(slice_make(out, len)), len);
        bool is_cut = strstr(out, ",\"cut\":true}\n");
        unsigned members = check_flat_object(out);
        assert_true(is_cut ? members < 10 : members == 9);
        cut += is_cut;
        use(LOG_INFO, LOG_HUMAN, i % 2);
        log_write(LOG_INFO, "x", fields, 6);
        len = strlen(take());
        assert_in_range(len, 10, LINE_BYTES);
        assert_int_equal(slice_utf8_valid(slice_make(out, len)), len);
        assert_ptr_equal(strchr(out, '\n'), out + len - 1);
    }
    assert_in_range(cut, 100, 2000);
}

static void test_long_value_is_cut(void **state) {
    (void)state;
    static char text[5000];
    memset(text, 'a', sizeof text);
    use(LOG_INFO, LOG_JSON, false);
    log_event(LOG_INFO, "x", LOG_STR("long", slice_make(text, sizeof text)),
              LOG_CSTR("next", "kept"));
    assert_non_null(strstr(take(), "aaa…\",\"next\":\"kept\"}\n"));
    assert_in_range(strlen(out), VALUE_BYTES, VALUE_BYTES + 200);
}

/* A reader that does not read: lines are dropped whole and counted, nothing blocks, and the rest is
 * intact. */
static void test_full_pipe_drops(void **state) {
    (void)state;
    for (int blocking = 0; blocking < 2; blocking++) {
        int fds[2];
        assert_int_equal(pipe2(fds, 0), 0);
        if (!blocking) fcntl(fds[1], F_SETFL, O_NONBLOCK);
        log_setup(&(struct log_options){LOG_INFO, LOG_HUMAN, fds[1], false});
        uint64_t before = log_dropped();
        unsigned written = 0;
        for (; log_dropped() == before; written++)
            log_event(LOG_INFO, "x", LOG_CSTR("some", "value"));
        assert_in_range(written, 100, 100000);
        log_plain(LOG_INFO, "dropped, too");
        assert_true(log_dropped() == before + 2);
        close(fds[1]);
        FILE *in = fdopen(fds[0], "r");
        unsigned lines = 0;
        for (char line[200]; fgets(line, sizeof line, in); lines++) {
            assert_string_equal(line, "14:13:20.123 INFO  x some=value\n");
        }
        assert_int_equal(lines, written - 1);
        fclose(in);
    }
}

static void test_bad_descriptor_drops(void **state) {
    (void)state;
    int fds[2];
    assert_int_equal(pipe2(fds, 0), 0);
    close(fds[0]); /* no reader: must not raise SIGPIPE either */
    log_setup(&(struct log_options){LOG_INFO, LOG_HUMAN, fds[1], false});
    uint64_t before = log_dropped();
    errno = 42;
    log_plain(LOG_INFO, "x");
    assert_true(log_dropped() == before + 1);
    assert_int_equal(errno, 42);
    close(fds[1]);
    log_plain(LOG_INFO, "x");
    assert_true(log_dropped() == before + 2);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_human),
        cmocka_unit_test(test_durations),
        cmocka_unit_test(test_color),
        cmocka_unit_test(test_json),
        cmocka_unit_test(test_levels),
        cmocka_unit_test(test_fields_are_not_evaluated_below_level),
        cmocka_unit_test(test_secret),
        cmocka_unit_test(test_input_cannot_forge_lines),
        cmocka_unit_test(test_random_values),
        cmocka_unit_test(test_long_value_is_cut),
        cmocka_unit_test(test_full_pipe_drops),
        cmocka_unit_test(test_bad_descriptor_drops),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
