/* SPDX-License-Identifier: Apache-2.0 */
#include "sse_test.h"

#include "base/random.h"

#define S(literal) SLICE(literal)
#define T(literal)                                                                                 \
    { "" literal, sizeof(literal) - 1 } /* in static tables */

/* ---- what a stream becomes: one row a case, checked whole and at every split ---- */

struct row {
    const char *what;
    struct slice in;
    const char *frames; /* as `record` writes them */
    const char *client; /* NULL: the same bytes */
};

static const struct row rows[] = {
    {"event", T("data: {\"a\":1}\n\n"), "EVENT+DATA [] [{\"a\":1}] []\n", NULL},
    {"no space", T("data:1\n\n"), "EVENT+DATA [] [1] []\n", NULL},
    {"several lines pass", T("data: 1\ndata: 2\n\n"), "EVENT+DATA+MULTILINE [] [1\\n2] []\n", NULL},
    {"seven lines", T("data: 1\nx\ny\ndata: 2\n: z\ndata: 3\ndata\n\n"),
     "EVENT+DATA+MULTILINE [] [1\\n2\\n3\\n] []\n", NULL},
    {"name", T("event: x\ndata: 1\n\n"), "EVENT+DATA+NAME [x] [1] []\n", NULL},
    {"crlf", T("data: 1\r\n\r\ndata: 2\r\n\r\n"), "EVENT+DATA [] [1] []\nEVENT+DATA [] [2] []\n",
     NULL},
    {"comment leaves alone", T(": ping\ndata: 1\n\n"), "COMMENT [] [] []\nEVENT+DATA [] [1] []\n",
     NULL},
    {"comment inside stays", T("data: 1\n: ping\n\n"), "EVENT+DATA [] [1] []\n", NULL},
    {"blanks", T("\n\r\n\rdata: 1\n\n\n"), "EVENT+DATA [] [1] []\n", NULL},
    {"lone cr", T("data: 1\r\r"), "EVENT+DATA+LONE_CR [] [1] []\n", "data: 1\n\n"},
    {"a terminating cr is not flagged", T("data: 1\n\rdata: 2\n\n"),
     "EVENT+DATA [] [1] []\nEVENT+DATA [] [2] []\n", NULL},
    {"bom",
     T("\xef\xbb\xbf"
       "data: 1\n\n"),
     "EVENT+DATA+BOM [] [1] []\n", "data: 1\n\n"},
    {"bom and comment", T("\xef\xbb\xbf: x\ndata: 1\n\n"),
     "COMMENT+BOM [] [] []\nEVENT+DATA [] [1] []\n", "data: 1\n\n"},
    {"bom and blank", T("\xef\xbb\xbf\r\ndata: 1\n\n"), "EVENT+DATA [] [1] []\n", "data: 1\n\n"},
    {"half a bom is text",
     T("\xef\xbb"
       "data: 1\n\n"),
     "EVENT+BAD_UTF8 [] [] []\n", ""},
    {"id", T("id: 7\ndata: 1\n\ndata: 2\n\n"), "EVENT+DATA+ID [] [1] [7]\nEVENT+DATA [] [2] [7]\n",
     "data: 1\n\ndata: 2\n\n"},
    {"id and crlf", T("id: 7\r\ndata: 1\r\n\r\n"), "EVENT+DATA+ID [] [1] [7]\n", "data: 1\n\n"},
    {"retry", T("retry: 5\ndata: 1\n\n"), "EVENT+DATA+RETRY [] [1] []\n", "data: 1\n\n"},
    {"retry alone", T("retry: 5\r\n\r\ndata: 1\n\n"),
     "EVENT+RETRY [] [] []\nEVENT+DATA [] [1] []\n", "data: 1\n\n"},
    {"name alone", T("event: ping\r\n\r\ndata: 1\n\n"),
     "EVENT+NAME [ping] [] []\nEVENT+DATA [] [1] []\n", "data: 1\n\n"},
    {"empty data", T("event: ping\ndata:\n\ndata: 1\n\n"),
     "EVENT+DATA+NAME [ping] [] []\nEVENT+DATA [] [1] []\n", "data: 1\n\n"},
    {"blank data", T("data: \t \n\n"), "EVENT+DATA [] [\\t ] []\n", ""},
    {"done", T("data: [DONE]\n\n"), "EVENT+DATA [] [[DONE]] []\n", NULL},
    {"done and a blank", T("data: [DONE] \n\n"), "EVENT+DATA [] [[DONE] ] []\n",
     "data: [DONE]\n\n"},
    {"a blank and done", T("data:  [DONE]\n\n"), "EVENT+DATA [] [ [DONE]] []\n",
     "data: [DONE]\n\n"},
    {"bad utf-8",
     T("data: a\xff"
       "b\n\n"),
     "EVENT+DATA+BAD_UTF8 [] [a\\xef\\xbf\\xbdb] []\n",
     "data: a\xef\xbf\xbd"
     "b\n\n"},
    {"cut sequence", T("data: a\xe2\x82\n\n"),
     "EVENT+DATA+BAD_UTF8 [] [a\\xef\\xbf\\xbd] []\n", "data: a\xef\xbf\xbd\n\n"},
    {"bad utf-8 in a name and in two lines", T("event: \xff\ndata: 1\xff\ndata: 2\n\n"),
     "EVENT+DATA+MULTILINE+NAME+BAD_UTF8 [\\xef\\xbf\\xbd] [1\\xef\\xbf\\xbd\\n2] []\n",
     "event: \xef\xbf\xbd\ndata: 1\xef\xbf\xbd\ndata: 2\n\n"},
    {"bad utf-8 in a comment", T(": \xff\ndata: 1\n\n"),
     "COMMENT+BAD_UTF8 [] [] []\nEVENT+DATA [] [1] []\n", "data: 1\n\n"},
    {"good utf-8", T("data: \xc3\xa9\xf0\x9f\x98\x80\n\n"),
     "EVENT+DATA [] [\\xc3\\xa9\\xf0\\x9f\\x98\\x80] []\n", NULL},
    {"no empty line", T("data: 1\n\ndata: 2\n"),
     "EVENT+DATA [] [1] []\nEVENT+DATA+UNTERMINATED [] [2] []\n", "data: 1\n\ndata: 2\n\n"},
    {"no line end", T("data: [DONE]"), "EVENT+DATA+UNTERMINATED [] [[DONE]] []\n",
     "data: [DONE]\n\n"},
    {"half a field", T("data: 1\n\nda"), "EVENT+DATA [] [1] []\nEVENT+UNTERMINATED [] [] []\n",
     "data: 1\n\n"},
    {"half a comment", T("data: 1\n\n: x"), "EVENT+DATA [] [1] []\nCOMMENT+UNTERMINATED [] [] []\n",
     "data: 1\n\n"},
    {"a bom alone", T("\xef\xbb\xbf"), "", ""},
    {"unknown fields alone", T("foo: 1\n\n"), "EVENT [] [] []\n", ""},
    {"nothing", T(""), "", NULL},
};

static void check_row(const struct row *row, const size_t *cuts, size_t n_cuts) {
    struct recorder r;
    recorder_init(&r);
    assert_int_equal(replay(&r, NULL, row->in, cuts, n_cuts), 0);
    struct slice client = row->client ? slice_cstr(row->client) : row->in;
    if (!slice_eq(buf_slice(&r.text), slice_cstr(row->frames)) ||
        !slice_eq(buf_slice(&r.client), client)) {
        print_error("%s, cut at %zd\n", row->what, n_cuts ? (ssize_t)cuts[0] : -1);
    }
    assert_slices(buf_slice(&r.text), slice_cstr(row->frames));
    assert_slices(buf_slice(&r.client), client);
    assert_slices(buf_slice(&r.raw), row->in);
    recorder_dispose(&r);
}

static void streams_become_frames(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        check_row(&rows[i], NULL, 0);
        for (size_t cut = 0; cut <= rows[i].in.len; cut++) check_row(&rows[i], &cut, 1);
    }
}

/* ---- when things leave ---- */

static void a_frame_leaves_with_its_last_byte(void **state) {
    (void)state;
    struct recorder r;
    struct sse_parser p;
    struct sse_sink sink = {record, &r};
    recorder_init(&r);
    sse_parser_init(&p, NULL);
    assert_true(sse_parser_at_border(&p));
    assert_int_equal(feed_copy(&p, S("data: 1\r\n"), &sink, NULL), 0);
    assert_false(sse_parser_at_border(&p));
    assert_int_equal(r.n_frames, 0);
    assert_true(sse_parser_held_bytes(&p) >= 9);
    assert_int_equal(feed_copy(&p, S("\r"), &sink, NULL), 0); /* does not wait for the LF */
    assert_int_equal(r.n_frames, 1);
    assert_true(sse_parser_at_border(&p));
    assert_int_equal(feed_copy(&p, S("\n"), &sink, NULL), 0);
    assert_int_equal(r.n_frames, 2);
    assert_int_equal(feed_copy(&p, S(": hb\n"), &sink, NULL), 0);
    assert_int_equal(r.n_frames, 3);
    assert_true(sse_parser_at_border(&p));
    assert_int_equal(p.frames, 3);
    sse_parser_dispose(&p);
    recorder_dispose(&r);
}

static void retry_is_remembered(void **state) {
    (void)state;
    struct recorder r;
    struct sse_parser p;
    struct sse_sink sink = {record, &r};
    recorder_init(&r);
    sse_parser_init(&p, NULL);
    assert_int_equal(
        feed_copy(&p, S("retry: 1500\n\nretry: 3s\n\nretry: 99999999999\n\n"), &sink, NULL), 0);
    assert_int_equal(p.reconnect_ms, 1500);
    sse_parser_dispose(&p);
    recorder_dispose(&r);
}

static int tail_flags(void *self, const struct sse_frame *f) {
    *(uint32_t *)self = f->flags;
    return 0;
}

static void a_cut_lf_follows_its_frame(void **state) {
    (void)state;
    static const struct {
        const char *first;
        uint32_t flags;
    } cases[] = {{"data: 1\r\n\r", SSE_BLANK | SSE_TAIL},
                 {"id: 1\r\n\r", SSE_BLANK | SSE_TAIL | SSE_ORPHAN},
                 {": x\r", SSE_BLANK | SSE_TAIL},
                 {"data: 1\n\n\r", SSE_BLANK | SSE_TAIL}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct sse_parser p;
        uint32_t last = 0;
        struct sse_sink sink = {tail_flags, &last};
        sse_parser_init(&p, NULL);
        assert_int_equal(feed_copy(&p, slice_cstr(cases[i].first), &sink, NULL), 0);
        assert_int_equal(feed_copy(&p, S("\n"), &sink, NULL), 0);
        assert_int_equal(last, cases[i].flags);
        sse_parser_dispose(&p);
    }
}

/* ---- limits ---- */

static void an_event_over_the_limit_is_refused(void **state) {
    (void)state;
    const struct sse_options o = {.max_event_bytes = 10};
    static const struct {
        struct slice in;
        bool ok;
    } cases[] = {{T("data: 12\n\n"), true},
                 {T("data: 123\n\n"), false},
                 {T("data: 1\r\n\r\n"), true},
                 {T("data: 12\r\n\r\n"), false},
                 {T(": 3456789\ndata\n\n"), true},
                 {T(": 34567890\n"), false},
                 {T("data: 12\n\ndata: 34\n\n"), true},
                 {T("aaaaaaaaaa"), true},
                 {T("aaaaaaaaaaa"), false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        for (size_t cut = 0; cut <= cases[i].in.len; cut++) {
            struct recorder r;
            recorder_init(&r);
            int rc = replay(&r, &o, cases[i].in, &cut, 1);
            if ((rc == 0) != cases[i].ok) print_error("case %zu cut at %zu: %d\n", i, cut, rc);
            assert_int_equal(rc, cases[i].ok ? 0 : -ERR_LIMIT);
            recorder_dispose(&r);
        }
    }
}

static void failure_is_sticky(void **state) {
    (void)state;
    struct recorder r;
    struct sse_parser p;
    struct err e;
    struct sse_sink sink = {record, &r};
    const struct sse_options o = {.max_event_bytes = 4};
    recorder_init(&r);
    sse_parser_init(&p, &o);
    assert_int_equal(feed_copy(&p, S("data: 1"), &sink, &e), -ERR_LIMIT);
    assert_string_equal(e.text, "an event of the stream is larger than 4 bytes");
    assert_int_equal(feed_copy(&p, S("\n\n"), &sink, &e), -ERR_LIMIT);
    assert_int_equal(sse_parser_finish(&p, &sink, &e), -ERR_LIMIT);
    assert_int_equal(r.n_frames, 0);
    sse_parser_dispose(&p);
    recorder_dispose(&r);
}

static int refuse_second(void *self, const struct sse_frame *f) {
    (void)f;
    return ++*(int *)self == 2 ? -77 : 0;
}

static void the_sink_stops_the_parser(void **state) {
    (void)state;
    struct sse_parser p;
    int n = 0;
    struct sse_sink sink = {refuse_second, &n};
    sse_parser_init(&p, NULL);
    assert_int_equal(feed_copy(&p, S("data: 1\n\ndata: 2\n\ndata: 3\n\n"), &sink, NULL), -77);
    assert_int_equal(n, 2);
    assert_int_equal(feed_copy(&p, S("data: 1\n\n"), &sink, NULL), -77);
    assert_int_equal(n, 2);
    sse_parser_dispose(&p);
}

static void nothing_follows_the_end(void **state) {
    (void)state;
    struct sse_parser p;
    int n = 0;
    struct sse_sink sink = {refuse_second, &n};
    sse_parser_init(&p, NULL);
    assert_int_equal(sse_parser_finish(&p, &sink, NULL), 0);
    assert_int_equal(sse_parser_finish(&p, &sink, NULL), -ERR_INTERNAL);
    assert_int_equal(sse_parser_feed(&p, S("x"), &sink, NULL), -ERR_INTERNAL);
    sse_parser_dispose(&p);
}

/* ---- cut-through ---- */

static void a_large_event_leaves_in_pieces(void **state) {
    (void)state;
    struct slice in = S("data: 1\n\ndata: 0123456789\r\nid: 5\r\nfoo\r\n\r\n: c\ndata: 2\n\n: a "
                        "comment is never cut\n");
    const struct sse_options o = {.cut_through_bytes = 8};
    size_t each[128];
    for (size_t i = 1; i < in.len; i++) each[i - 1] = i;
    for (size_t cut = 0; cut <= in.len; cut++) {
        struct recorder r;
        recorder_init(&r);
        assert_int_equal(replay(&r, &o, in, &cut, 1), 0);
        assert_slices(buf_slice(&r.raw), in);
        recorder_dispose(&r);
    }
    struct recorder r;
    recorder_init(&r);
    assert_int_equal(replay(&r, &o, in, each, in.len - 1), 0);
    assert_slices(buf_slice(&r.raw), in);
    struct slice text = buf_slice(&r.text), all = text;
    assert_true(slice_starts_with(text, S("EVENT+DATA [] [1] []\nPIECE [] [] []\n")));
    unsigned n_last = 0;
    for (; text.len > 0; text = slice_from(text, 1))
        n_last += slice_starts_with(text, S("PIECE+PIECE_LAST "));
    assert_int_equal(n_last, 1);
    static const char tail[] =
        "PIECE+PIECE_LAST [] [] []\nCOMMENT [] [] []\nEVENT+DATA [] [2] []\nCOMMENT [] [] []\n";
    assert_slices(slice_from(all, all.len - strlen(tail)), slice_cstr(tail));
    recorder_dispose(&r);
}

static void a_cut_piece_is_told(void **state) {
    (void)state;
    const struct sse_options o = {.cut_through_bytes = 8};
    struct recorder r;
    recorder_init(&r);
    size_t cut = 12;
    assert_int_equal(replay(&r, &o, S("data: 0123456789abcdef\r\n"), &cut, 1), 0);
    assert_slices(buf_slice(&r.text),
                  S("PIECE [] [] []\nPIECE [] [] []\nPIECE+PIECE_LAST+UNTERMINATED [] [] []\n"));
    recorder_dispose(&r);
}

/* ---- properties over random streams ---- */

static const struct slice fragments[] = {T("data: {\"a\":1}"),
                                         T("data:"),
                                         T("data"),
                                         T("data: [DONE]"),
                                         T("data: [DONE] "),
                                         T("event: x"),
                                         T("event:"),
                                         T("id: 1"),
                                         T("id"),
                                         T("retry: 3"),
                                         T(": hb"),
                                         T(":"),
                                         T("foo: bar"),
                                         T("\xef\xbb\xbf"),
                                         T("\xff"),
                                         T("data: \xe2\x82\xac"),
                                         T("data: \xe2\x82"),
                                         T("\n"),
                                         T("\r"),
                                         T("\r\n"),
                                         T("\n\n"),
                                         T("\r\n\r\n"),
                                         T("\r\r"),
                                         T("\n"),
                                         T("\r\n"),
                                         T("\n\n"),
                                         T("data: 0123456789012345678901234567890123456789"),
                                         T("x")};

static struct slice random_stream(struct rng *g, struct buf *b) {
    buf_reset(b);
    for (uint64_t n = 1 + rng_below(g, 24); n > 0; n--) {
        put(b, fragments[rng_below(g, sizeof fragments / sizeof *fragments)]);
    }
    return buf_slice(b);
}

static size_t random_cuts(struct rng *g, size_t len, size_t *cuts) {
    size_t n = 0, at = 0;
    for (uint64_t step = 1 + rng_below(g, 12); n < 256; n++) {
        at += rng_below(g, step + 1);
        if (at > len) break;
        cuts[n] = at;
    }
    return n;
}

static void frames_do_not_depend_on_the_split(void **state) {
    (void)state;
    struct rng g;
    struct buf b;
    rng_seed(&g, 7);
    buf_init(&b, TEST_BYTES);
    for (int round = 0; round < 4000; round++) {
        struct slice in = random_stream(&g, &b);
        size_t cuts[256], n = random_cuts(&g, in.len, cuts);
        struct recorder whole, split;
        recorder_init(&whole);
        recorder_init(&split);
        assert_int_equal(replay(&whole, NULL, in, NULL, 0), 0);
        assert_int_equal(replay(&split, NULL, in, cuts, n), 0);
        assert_slices(buf_slice(&split.text), buf_slice(&whole.text));
        assert_slices(buf_slice(&split.client), buf_slice(&whole.client));
        assert_slices(buf_slice(&split.raw), in);
        assert_slices(buf_slice(&whole.raw), in);
        recorder_dispose(&whole);
        recorder_dispose(&split);
    }
    buf_dispose(&b);
}

/* What a gateway sends has nothing left to repair. */
static int check_clean(void *self, const struct sse_frame *f) {
    const struct slice *in = self;
    if (sse_frame_verdict(f) != SSE_PASS) {
        struct buf b;
        buf_init(&b, TEST_BYTES);
        put_escaped(&b, *in);
        put(&b, SLICE("\nbecame\n"));
        put_escaped(&b, f->raw);
        print_error("%.*s\n", SLICE_FMT(buf_slice(&b)));
        buf_dispose(&b);
    }
    assert_int_equal(sse_frame_verdict(f), SSE_PASS);
    return 0;
}

static void repaired_streams_need_no_repair(void **state) {
    (void)state;
    struct rng g;
    struct buf b;
    rng_seed(&g, 11);
    buf_init(&b, TEST_BYTES);
    for (int round = 0; round < 4000; round++) {
        struct slice in = random_stream(&g, &b);
        struct recorder r;
        struct sse_parser p;
        struct sse_sink sink = {check_clean, &in};
        recorder_init(&r);
        assert_int_equal(replay(&r, NULL, in, NULL, 0), 0);
        sse_parser_init(&p, NULL);
        assert_int_equal(feed_copy(&p, buf_slice(&r.client), &sink, NULL), 0);
        assert_int_equal(sse_parser_finish(&p, &sink, NULL), 0);
        sse_parser_dispose(&p);
        recorder_dispose(&r);
    }
    buf_dispose(&b);
}

static int ignore_frame(void *self, const struct sse_frame *f) {
    (void)self;
    (void)f;
    return 0;
}

static void steady_state_does_not_allocate(void **state) {
    (void)state;
    struct sse_parser p;
    struct sse_sink sink = {ignore_frame, NULL};
    struct slice in = S("event: x\ndata: {\"choices\":[{\"delta\":{\"content\":\"hello\"}}]}\n\n");
    sse_parser_init(&p, NULL);
    assert_int_equal(sse_parser_feed(&p, in, &sink, NULL), 0);
    assert_int_equal(sse_parser_held_bytes(&p), 0);
    assert_int_equal(sse_parser_feed(&p, slice_sub(in, 0, 30), &sink, NULL), 0);
    assert_int_equal(sse_parser_feed(&p, slice_from(in, 30), &sink, NULL), 0);
    uint64_t before = mem_alloc_count();
    for (size_t cut = 0; cut <= in.len; cut++) {
        assert_int_equal(sse_parser_feed(&p, slice_sub(in, 0, cut), &sink, NULL), 0);
        assert_int_equal(sse_parser_feed(&p, slice_from(in, cut), &sink, NULL), 0);
    }
    assert_int_equal(mem_alloc_count(), before);
    sse_parser_dispose(&p);
}

static void a_large_carry_is_given_back(void **state) {
    (void)state;
    struct sse_parser p;
    struct sse_sink sink = {ignore_frame, NULL};
    static char big[100000];
    memset(big, 'a', sizeof big);
    sse_parser_init(&p, NULL);
    assert_int_equal(sse_parser_feed(&p, S("data: "), &sink, NULL), 0);
    assert_int_equal(sse_parser_feed(&p, slice_make(big, sizeof big), &sink, NULL), 0);
    assert_true(sse_parser_held_bytes(&p) >= sizeof big);
    assert_int_equal(sse_parser_feed(&p, S("\n\n"), &sink, NULL), 0);
    assert_int_equal(sse_parser_held_bytes(&p), 0);
    sse_parser_dispose(&p);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(streams_become_frames),
        cmocka_unit_test(a_frame_leaves_with_its_last_byte),
        cmocka_unit_test(retry_is_remembered),
        cmocka_unit_test(a_cut_lf_follows_its_frame),
        cmocka_unit_test(an_event_over_the_limit_is_refused),
        cmocka_unit_test(failure_is_sticky),
        cmocka_unit_test(the_sink_stops_the_parser),
        cmocka_unit_test(nothing_follows_the_end),
        cmocka_unit_test(a_large_event_leaves_in_pieces),
        cmocka_unit_test(a_cut_piece_is_told),
        cmocka_unit_test(frames_do_not_depend_on_the_split),
        cmocka_unit_test(repaired_streams_need_no_repair),
        cmocka_unit_test(steady_state_does_not_allocate),
        cmocka_unit_test(a_large_carry_is_given_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
