/* SPDX-License-Identifier: Apache-2.0 */
/* Specs of faults, the table's completeness, and the page that is made of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/clock.h"
#include "docs_page.h"
#include "mock/fault-private.h"
#include "mock/fault_book.h"

static struct fault_use parsed(const char *spec) {
    struct fault_use use;
    struct err e;
    if (fault_parse(slice_cstr(spec), &use, NULL, &e) < 0) {
        fail_msg("%s: %s", spec, e.text);
    }
    return use;
}

static void test_specs(void **state) {
    struct fault_use u = parsed("cut");
    (void)state;
    assert_string_equal(u.row->name, "cut");
    assert_int_equal(u.values[FAULT_KEY_AFTER], 3);
    assert_int_equal(u.values[FAULT_KEY_HOW], 0);
    u = parsed("cut:after=5,how=fin");
    assert_int_equal(u.values[FAULT_KEY_AFTER], 5);
    assert_int_equal(u.values[FAULT_KEY_HOW], 1);
    assert_string_equal(u.spec, "cut:after=5,how=fin");
    u = parsed("cut?after=7");
    assert_int_equal(u.values[FAULT_KEY_AFTER], 7);
    u = parsed(" stall : after = 0 , for = 1m30s ");
    assert_int_equal(u.values[FAULT_KEY_AFTER], 0);
    assert_int_equal(u.values[FAULT_KEY_FOR], 90 * NS_PER_S);
    u = parsed("stall");
    assert_int_equal(u.values[FAULT_KEY_FOR], INT64_MAX);
    u = parsed("giant-frame");
    assert_int_equal(u.values[FAULT_KEY_BYTES], 5000000);
    u = parsed("429:type=TOKENS");
    assert_int_equal(u.values[FAULT_KEY_TYPE], 1);
    u = parsed("cut:");
    assert_int_equal(u.values[FAULT_KEY_AFTER], 3);
}

static void test_bad_specs(void **state) {
    static const struct {
        const char *spec, *text;
    } rows[] = {
        {"", "there is no fault ''"},
        {"cuts", "did you mean 'cut'?"},
        {"stal:for=2s", "did you mean 'stall'?"},
        {"nothing-like-it", "see penstock mock --list-faults"},
        {"cut:before=5", "fault 'cut': there is no parameter 'before'; there are after, how"},
        {"reset:after=5", "fault 'reset': there is no parameter 'after'; there is none"},
        {"cut:after=many", "fault 'cut': after=many: a whole number is wanted"},
        {"cut:after=-1", "a whole number is wanted"},
        {"cut:after", "a whole number is wanted"},
        {"cut:how=softly", "fault 'cut': how=softly: rst|fin is wanted"},
        {"stall:for=2", "for=2: a time like 500ms or 2s is wanted"},
        {"stall:for=-2s", "a time like"},
        {"giant-frame:bytes=0", "a size like"},
        {"giant-frame:bytes=5TB", "a size like"},
        {"trickle:every=ever", "a time like"},
        {"html-error:status=4000", "a whole number is wanted"},
        {"cut:rate=5%", "'rate' is for faults of the whole provider"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct fault_use use;
        struct err e;
        assert_int_equal(fault_parse(slice_cstr(rows[i].spec), &use, NULL, &e), -ERR_USAGE);
        if (!strstr(e.text, rows[i].text)) {
            fail_msg("%s: no '%s' in '%s'", rows[i].spec, rows[i].text, e.text);
        }
    }
}

static void test_when(void **state) {
    struct fault_use use;
    struct fault_when w;
    struct err e;
    (void)state;
    const char *spec = "stall:for=2s,rate=2.5%,start=10s,duration=5s,period=1m,count=3,model=gpt-*,path=/v1/*";
    assert_int_equal(fault_parse(slice_cstr(spec), &use, &w, &e), 0);
    assert_true(w.rate > 0.0249 && w.rate < 0.0251);
    assert_int_equal(w.start_ns, 10 * NS_PER_S);
    assert_int_equal(w.duration_ns, 5 * NS_PER_S);
    assert_int_equal(w.period_ns, 60 * NS_PER_S);
    assert_int_equal(w.count, 3);
    assert_string_equal(w.model, "gpt-*");
    assert_string_equal(w.path, "/v1/*");
    assert_int_equal(fault_parse(SLICE("500:rate=0.5"), &use, &w, &e), 0);
    assert_true(w.rate > 0.49 && w.rate < 0.51);
    assert_int_equal(fault_parse(SLICE("429:rate=5"), &use, &w, &e), -ERR_USAGE);
    assert_string_equal(e.text, "fault '429': rate=5: a share like 5% or 0.05 is wanted");
    static const char *const bad[] = {"500:rate=101%", "500:rate=-1", "500:rate=", "500:rate=half",
                                      "500:count=0", "500:period=5s", "500:period=5s,duration=6s",
                                      "500:start=ever", "500:model=", "500:when=now"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (fault_parse(slice_cstr(bad[i]), &use, &w, &e) == 0) {
            fail_msg("%s is taken", bad[i]);
        }
    }
}

static bool has_rule(const char *id) {
    for (unsigned i = 0; i < fault_rule_count; i++) {
        if (strcmp(fault_rules[i].id, id) == 0) {
            return true;
        }
    }
    return false;
}

static void check_letters(const struct mock_fault *f, const char *letters, size_t n) {
    if (!letters || strlen(letters) != n || strspn(letters, "shtejgfi-.x=~?") != n) {
        fail_msg("%s: bad letters", f->name);
    }
}

static void test_every_row_is_complete(void **state) {
    (void)state;
    assert_true(fault_count >= 40);
    for (unsigned i = 0; i < fault_count; i++) {
        const struct mock_fault *f = &fault_table[i];
        struct fault_use use = parsed(f->name);
        size_t len = strlen(f->description);
        assert_ptr_equal(use.row, f);
        assert_true(len > 10 && f->description[len - 1] == '.');
        assert_true(!f->whole || f->whole[strlen(f->whole) - 1] == '.');
        check_letters(f, f->seen, 4);
        check_letters(f, f->seen_whole, 4);
        if (f->sdk) {
            check_letters(f, f->sdk, 3);
        }
        if (f->rule && !has_rule(f->rule)) {
            fail_msg("%s: there is no rule %s", f->name, f->rule);
        }
        for (unsigned k = 0; k < FAULT_MAX_SETTINGS && f->settings[k].default_text; k++) {
            const struct fault_setting *s = &f->settings[k];
            char spec[96];
            snprintf(spec, sizeof spec, "%s:%s=%s", f->name, fault_keys[s->key].name,
                     s->default_text);
            assert_int_equal(parsed(spec).values[s->key], use.values[s->key]);
            assert_true(fault_keys[s->key].argument || s->choices);
        }
        for (unsigned k = 0; k < i; k++) {
            assert_string_not_equal(f->name, fault_table[k].name);
        }
    }
}

static void test_every_rule_is_broken_by_some(void **state) {
    (void)state;
    for (unsigned i = 0; i < fault_rule_count; i++) {
        bool is_used = false;
        for (unsigned k = 0; k < fault_count; k++) {
            is_used |= fault_table[k].rule && strcmp(fault_table[k].rule, fault_rules[i].id) == 0;
        }
        if (!is_used) {
            fail_msg("no fault breaks %s", fault_rules[i].id);
        }
    }
}

/* Between runs with the same seed the same requests are struck; with another seed, others. */
static void test_lots_come_from_the_seed(void **state) {
    static const char *const specs[] = {"500:rate=30%"};
    bool struck[3][200];
    unsigned same = 0;
    (void)state;
    for (unsigned round = 0; round < 3; round++) {
        struct fault_book *b = fault_book_new(round == 2 ? 8 : 7);
        fault_book_set(b, specs, 1, 0);
        for (unsigned i = 0; i < 200; i++) {
            const struct fault_request rq = {.serial = i};
            struct fault_use use;
            struck[round][i] = fault_book_pick(b, &rq, false, &use);
        }
        fault_book_free(&b);
    }
    assert_memory_equal(struck[0], struck[1], sizeof struck[0]);
    for (unsigned i = 0; i < 200; i++) {
        same += struck[0][i] == struck[2][i];
    }
    assert_true(same < 180);
}

static void test_the_page_is_up_to_date(void **state) {
    (void)state;
    struct buf page = docs_page("faults.md"), want;
    buf_init(&want, 1 << 20);
    assert_int_equal(fault_docs(&want), 0);
    assert_page_is(&page, buf_slice(&want), "penstock mock --docs faults > docs/faults.md");
    buf_dispose(&want);
    buf_dispose(&page);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_specs),
        cmocka_unit_test(test_bad_specs),
        cmocka_unit_test(test_when),
        cmocka_unit_test(test_every_row_is_complete),
        cmocka_unit_test(test_every_rule_is_broken_by_some),
        cmocka_unit_test(test_lots_come_from_the_seed),
        cmocka_unit_test(test_the_page_is_up_to_date),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
