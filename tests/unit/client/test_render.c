/* SPDX-License-Identifier: Apache-2.0 */
/* Events as text for people: what is printed, and what never reaches a terminal. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "client/render.h"

struct page {
    struct render r;
    char *out, *notes;
    size_t out_len, notes_len;
    FILE *out_file, *notes_file;
};

static void page_open(struct page *p, bool color, bool is_terminal) {
    p->out_file = open_memstream(&p->out, &p->out_len);
    p->notes_file = open_memstream(&p->notes, &p->notes_len);
    render_init(&p->r, p->out_file, p->notes_file, color, is_terminal);
}

static void page_close(struct page *p, const char *out, const char *notes) {
    render_end(&p->r);
    render_end(&p->r);                     /* once more does nothing */
    fclose(p->out_file);
    fclose(p->notes_file);
    assert_string_equal(p->out, out);
    assert_string_equal(p->notes, notes);
    free(p->out);
    free(p->notes);
}

static void begin(struct page *p, uint32_t block, enum block_kind kind, const char *tool) {
    struct event ev = {.kind = EV_BLOCK_BEGIN, .block = block, .block_kind = kind};
    ev.u.begin.name = slice_cstr(tool);
    render_event(&p->r, &ev);
}

static void delta(struct page *p, uint32_t block, enum block_kind kind, const char *text) {
    const struct event ev = {
        .kind = EV_DELTA, .block = block, .block_kind = kind, .text = slice_cstr(text)};
    render_event(&p->r, &ev);
}

static void end(struct page *p, uint32_t block, enum block_kind kind) {
    const struct event ev = {.kind = EV_BLOCK_END, .block = block, .block_kind = kind};
    render_event(&p->r, &ev);
}

static void finish(struct page *p, enum stop_reason why) {
    struct event ev = {.kind = EV_FINISH};
    ev.u.finish.reason = why;
    render_event(&p->r, &ev);
}

static void test_text_grows(void **state) {
    struct page p;
    (void)state;
    page_open(&p, false, false);
    begin(&p, 0, BLOCK_TEXT, NULL);
    delta(&p, 0, BLOCK_TEXT, "Hello");
    assert_string_equal(p.out, "Hello");       /* at once, without the rest of the line */
    delta(&p, 0, BLOCK_TEXT, ", world");
    end(&p, 0, BLOCK_TEXT);
    finish(&p, STOP_END);
    page_close(&p, "Hello, world\n", "");
}

static void test_reasoning_and_calls(void **state) {
    struct page p;
    (void)state;
    page_open(&p, true, true);
    begin(&p, 0, BLOCK_REASONING, NULL);
    delta(&p, 0, BLOCK_REASONING, "Hm.");
    end(&p, 0, BLOCK_REASONING);
    begin(&p, 1, BLOCK_TEXT, NULL);
    delta(&p, 1, BLOCK_TEXT, "Let me look.");
    end(&p, 1, BLOCK_TEXT);
    begin(&p, 2, BLOCK_TOOL_CALL, "get_tide");
    delta(&p, 2, BLOCK_TOOL_CALL, "{\"port\":");
    delta(&p, 2, BLOCK_TOOL_CALL, "\"Brest\"}");
    end(&p, 2, BLOCK_TOOL_CALL);
    begin(&p, 3, BLOCK_TOOL_CALL, "get_wind");
    end(&p, 3, BLOCK_TOOL_CALL);
    finish(&p, STOP_TOOL);
    page_close(&p, "\033[2mHm.\033[0m\n\nLet me look.\n\033[36m-> get_tide({\"port\":\"Brest\"})\033[0m\n"
                   "\033[36m-> get_wind()\033[0m\n", "");
}

static void test_without_colour(void **state) {
    struct page p;
    (void)state;
    page_open(&p, false, false);
    begin(&p, 0, BLOCK_REASONING, NULL);
    delta(&p, 0, BLOCK_REASONING, "Hm.");
    end(&p, 0, BLOCK_REASONING);
    begin(&p, 1, BLOCK_TEXT, NULL);
    delta(&p, 1, BLOCK_TEXT, "Yes.");
    finish(&p, STOP_LENGTH);
    page_close(&p, "(thinking) Hm.\n\nYes.\n", "\n[cut: the token bound was reached]\n");
}

static void test_terminals_are_not_steered(void **state) {
    struct page p;
    (void)state;
    page_open(&p, false, true);
    begin(&p, 0, BLOCK_TOOL_CALL, "a\033[2Jb");
    end(&p, 0, BLOCK_TOOL_CALL);
    begin(&p, 1, BLOCK_TEXT, NULL);
    delta(&p, 1, BLOCK_TEXT, "x\033]0;title\007y\r\n\tz\x7f \xc2\x9b" "31m \xc3\xa9");
    page_close(&p, "-> a?[2Jb()\nx?]0;title?y?\n\tz? ?31m \xc3\xa9\n", "");
    page_open(&p, false, false);               /* a file gets the bytes as they are */
    begin(&p, 1, BLOCK_TEXT, NULL);
    delta(&p, 1, BLOCK_TEXT, "x\033y");
    page_close(&p, "x\033y\n", "");
}

static void test_nothing_prints_nothing(void **state) {
    struct page p;
    (void)state;
    page_open(&p, true, true);
    finish(&p, STOP_FILTER);
    page_close(&p, "", "\033[2m[stopped by the provider's content filter]\033[0m\n");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text_grows),
        cmocka_unit_test(test_reasoning_and_calls),
        cmocka_unit_test(test_without_colour),
        cmocka_unit_test(test_terminals_are_not_steered),
        cmocka_unit_test(test_nothing_prints_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
