/* SPDX-License-Identifier: Apache-2.0 */
/* tests/golden/sse/vectors.txt, each replayed as given, whole, byte by byte and cut at every
 * position. What a WHATWG event source would dispatch is derived from the frames: an unterminated
 * event is one of ours, not one of its. */
#include "sse_test.h"

#define MAX_READS 64

struct vector {
    struct buf title, bytes, expected;
    size_t cuts[MAX_READS];
    size_t n_cuts;
};

struct dispatches {
    struct buf text, raw;
};

static int dispatch(void *self, const struct sse_frame *f) {
    struct dispatches *d = self;
    put(&d->raw, f->raw);
    if (!(f->flags & SSE_DATA) || f->flags & SSE_UNTERMINATED) return 0;
    put_escaped(&d->text, f->flags & SSE_NAME ? f->name : SLICE("message"));
    put(&d->text, SLICE("|"));
    put_escaped(&d->text, f->data);
    put(&d->text, SLICE("|"));
    put_escaped(&d->text, f->last_event_id);
    put(&d->text, SLICE("\n"));
    return 0;
}

static void check(const struct vector *v, const size_t *cuts, size_t n_cuts) {
    struct dispatches d;
    struct sse_parser p;
    struct sse_sink sink = {dispatch, &d};
    struct slice in = buf_slice(&v->bytes);
    buf_init(&d.text, TEST_BYTES);
    buf_init(&d.raw, TEST_BYTES);
    sse_parser_init(&p, NULL);
    size_t at = 0;
    for (size_t i = 0; i <= n_cuts; i++) {
        size_t end = i < n_cuts ? cuts[i] : in.len;
        assert_int_equal(feed_copy(&p, slice_sub(in, at, end - at), &sink, NULL), 0);
        at = end;
    }
    assert_int_equal(sse_parser_finish(&p, &sink, NULL), 0);
    if (!slice_eq(buf_slice(&d.text), buf_slice(&v->expected)))
        print_error("vector %.*s\n", SLICE_FMT(buf_slice(&v->title)));
    assert_slices(buf_slice(&d.text), buf_slice(&v->expected));
    assert_slices(buf_slice(&d.raw), in);
    sse_parser_dispose(&p);
    buf_dispose(&d.text);
    buf_dispose(&d.raw);
}

static void check_all_splits(const struct vector *v) {
    size_t each[4096], n = v->bytes.len;
    assert_true(n > 0 && n < 4096);
    for (size_t i = 1; i < n; i++) each[i - 1] = i;
    check(v, v->cuts, v->n_cuts);
    check(v, NULL, 0);
    check(v, each, n - 1);
    for (size_t i = 0; i <= n; i++) check(v, &i, 1);
}

static void unescape(struct buf *to, const char *s) {
    for (; *s; s++) {
        char c = *s;
        if (c == '\\') {
            c = *++s;
            if (c == 'x') {
                char hex[3] = {s[1], s[2], '\0'};
                c = (char)strtoul(hex, NULL, 16);
                s += 2;
            } else {
                c = c == 'n' ? '\n' : c == 'r' ? '\r' : c == 't' ? '\t' : c;
            }
        }
        assert_int_equal(buf_append_byte(to, c), 0);
    }
}

static void vector_reset(struct vector *v) {
    buf_reset(&v->title);
    buf_reset(&v->bytes);
    buf_reset(&v->expected);
    v->n_cuts = 0;
}

static void vector_line(struct vector *v, const char *line) {
    if (line[0] == '>') {
        if (v->bytes.len > 0) {
            assert_true(v->n_cuts < MAX_READS);
            v->cuts[v->n_cuts++] = v->bytes.len;
        }
        unescape(&v->bytes, line + 2);
    } else if (line[0] == '<') {
        put(&v->expected, slice_cstr(line + 2));
        put(&v->expected, SLICE("\n"));
    }
}

static void every_vector_at_every_split(void **state) {
    (void)state;
    const char *root = getenv("PENSTOCK_SOURCE_ROOT");
    char path[4096], line[4096];
    snprintf(path, sizeof path, "%s/tests/golden/sse/vectors.txt", root ? root : ".");
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    struct vector v = {.n_cuts = 0};
    buf_init(&v.title, TEST_BYTES);
    buf_init(&v.bytes, TEST_BYTES);
    buf_init(&v.expected, TEST_BYTES);
    unsigned n = 0;
    while (fgets(line, sizeof line, f)) {
        line[strcspn(line, "\n")] = '\0';
        if (strncmp(line, "== ", 3) != 0) {
            vector_line(&v, line);
            continue;
        }
        if (n++ > 0) check_all_splits(&v);
        vector_reset(&v);
        put(&v.title, slice_cstr(line + 3));
    }
    check_all_splits(&v);
    assert_int_equal(n, 64);
    fclose(f);
    buf_dispose(&v.title);
    buf_dispose(&v.bytes);
    buf_dispose(&v.expected);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_vector_at_every_split)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
