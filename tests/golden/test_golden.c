/* SPDX-License-Identifier: Apache-2.0 */
/* tests/golden/<dialect>/: one file a case. What comes in is fed whole, byte by byte, and cut at
 * every position; each time the events, the bytes for a client that did not ask for usage (where
 * the dialect has such clients), and the bytes written from the events must be those of the file,
 * and what is written must keep the dialect's own grammar. PENSTOCK_GOLDEN_UPDATE=1 writes them
 * anew: read the difference before keeping it. */
#include "unit/dialect/dialect_test.h"

#include <dirent.h>

#define MAX_FILE_BYTES ((size_t)1 << 20)

/* Folders, and how many cases each has at least. */
static const struct folder {
    const char *dialect, *made_id;
    unsigned min_cases;
} folders[] = {
    {"chat", "chatcmpl-made", 50},
    {"completions", "cmpl-made", 20},
    {"responses", "resp_made", 48},
    {"messages", "msg_made", 30},
};

struct transcript {
    const struct dialect *dialect;
    const char *made_id;
    char path[1024];
    struct buf head; /* everything up to the end of the input, as it stands in the file */
    struct buf in, events, stripped, encoded;
    bool include_usage;
};

struct run {
    const struct dialect *dialect;
    struct buf events, stripped, encoded;
    bool is_whole, is_unshaped;
    struct decoder *decoder;
    struct encoder *encoder;
    const struct sse_frame *frame;
};

/* ---- one run ---- */

/* The token that an event points to must mean the event's text. */
static void check_val(const struct run *r, const struct event *ev) {
    struct buf text;
    struct slice data = r->frame->data;
    if (ev->val.len == 0) return;
    assert_true(ev->val.off > 0 && ev->val.off + ev->val.len < data.len);
    assert_int_equal(data.ptr[ev->val.off - 1], '"');
    assert_int_equal(data.ptr[ev->val.off + ev->val.len], '"');
    buf_init(&text, TEST_BYTES);
    assert_int_equal(json_unescape(&text, slice_sub(data, ev->val.off, ev->val.len)), 0);
    assert_slices(buf_slice(&text), ev->text);
    buf_dispose(&text);
}

static int on_event(void *self, const struct event *ev) {
    struct run *r = self;
    check_val(r, ev);
    put_event(&r->events, ev);
    if (r->is_unshaped) return 0;
    int rc = r->dialect->encoder_event(r->encoder, ev, &r->encoded);
    if (rc != -ERR_PROTOCOL) return rc;
    put(&r->events, SLICE("! blocks are not in sequence: nothing more is written\n"));
    r->is_unshaped = true;
    return 0;
}

static void write_cut(struct run *r, const struct sse_frame *f, const struct span *cuts,
                      unsigned n) {
    struct buf data;
    size_t at = 0;
    buf_init(&data, TEST_BYTES);
    for (unsigned i = 0; i < n; i++) {
        assert_true(cuts[i].off >= at && cuts[i].off + cuts[i].len <= f->data.len);
        put(&data, slice_sub(f->data, at, cuts[i].off - at));
        at = cuts[i].off + cuts[i].len;
    }
    put(&data, slice_from(f->data, at));
    assert_int_equal(json_scan_object(buf_slice(&data), 128, NULL, NULL, NULL), 0);
    if (sse_frame_verdict(f) == SSE_PASS && !(f->flags & SSE_MULTILINE)) {
        put(&r->stripped, slice_sub(f->raw, 0, f->data_off));
        put(&r->stripped, buf_slice(&data));
        put(&r->stripped, slice_from(f->raw, f->data_off + f->data.len));
    } else {
        struct sse_frame cut = *f;
        cut.data = buf_slice(&data);
        assert_int_equal(sse_write_repaired(&r->stripped, &cut), 0);
    }
    buf_dispose(&data);
}

static int on_frame(void *self, const struct sse_frame *f) {
    struct run *r = self;
    struct event_sink sink = {on_event, r};
    struct err e;
    struct span cuts[4];
    unsigned n = 0;
    enum frame_edit edit = FRAME_AS_IS;
    enum sse_verdict verdict = sse_frame_verdict(f);
    r->frame = f;
    if (f->flags & SSE_EVENT) {
        if (r->dialect->decoder_feed(r->decoder, f, &sink, &e)) {
            assert_int_equal(buf_appendf(&r->events, "! %s\n", e.text), 0);
        }
        if (r->dialect->strip_usage) edit = r->dialect->strip_usage(r->decoder, f, cuts, 4, &n);
    }
    if (!r->dialect->strip_usage) return 0;
    if (f->flags & SSE_TAIL) return 0; /* the LF of a CR LF: in its frame when nothing is cut */
    if (verdict == SSE_DROP || edit == FRAME_DROP) return 0;
    if (edit == FRAME_CUT) write_cut(r, f, cuts, n);
    else if (verdict == SSE_PASS) put(&r->stripped, f->raw);
    else assert_int_equal(sse_write_repaired(&r->stripped, f), 0);
    return 0;
}

static int feed_copy(struct sse_parser *p, struct slice s, const struct sse_sink *sink) {
    char *copy = malloc(s.len ? s.len : 1);
    if (s.len > 0) memcpy(copy, s.ptr, s.len);
    int rc = sse_parser_feed(p, slice_make(copy, s.len), sink, NULL);
    free(copy);
    return rc;
}

/* Cut at every multiple of `step` (0: nowhere), and at `cut`. */
static void run_stream(struct run *r, const struct transcript *t, size_t step, size_t cut) {
    struct encoder_options o = {.id = slice_cstr(t->made_id),
                                .model = SLICE("model-made"),
                                .created = 1700000000,
                                .include_usage = t->include_usage};
    struct slice in = buf_slice(&t->in);
    struct sse_sink frames = {on_frame, r};
    struct event_sink events = {on_event, r};
    struct sse_frame no_frame = {.data = SLICE("")};
    struct sse_parser p;
    struct err e;
    *r = (struct run){.dialect = t->dialect};
    buf_init(&r->events, TEST_BYTES);
    buf_init(&r->stripped, TEST_BYTES);
    buf_init(&r->encoded, TEST_BYTES);
    r->decoder = r->dialect->decoder_new();
    r->encoder = r->dialect->encoder_new(&o);
    sse_parser_init(&p, NULL);
    for (size_t at = 0; at < in.len;) {
        size_t n = step ? step : in.len - at;
        if (at < cut && cut - at < n) n = cut - at;
        assert_int_equal(feed_copy(&p, slice_sub(in, at, n), &frames), 0);
        at += n;
    }
    assert_int_equal(sse_parser_finish(&p, &frames, NULL), 0);
    r->frame = &no_frame;
    r->is_whole = r->dialect->decoder_finish(r->decoder, &events, &e) == 0;
    if (!r->is_whole) {
        assert_int_equal(buf_appendf(&r->events, "finish: %s\n", e.text), 0);
    } else {
        put(&r->events, SLICE("finish: whole\n"));
    }
    sse_parser_dispose(&p);
    r->dialect->decoder_free(r->decoder);
    r->dialect->encoder_free(r->encoder);
}

/* ---- the grammar of what is written ---- */

struct check {
    const struct transcript *t;
    struct checker *checker;
};

static int check_frame(void *self, const struct sse_frame *f) {
    struct check *k = self;
    struct err e;
    if (k->t->dialect->checker_frame(k->checker, f, &e))
        fail_msg("%s: %s: %.*s", k->t->path, e.text, SLICE_FMT(f->raw));
    return 0;
}

static void check_grammar(const struct transcript *t, const struct run *r) {
    struct check k = {.t = t};
    struct sse_sink sink = {check_frame, &k};
    struct sse_parser p;
    struct err e;
    if (!t->dialect->checker_new) return;
    k.checker = t->dialect->checker_new();
    sse_parser_init(&p, NULL);
    assert_int_equal(sse_parser_feed(&p, buf_slice(&r->encoded), &sink, NULL), 0);
    assert_true(sse_parser_at_border(&p));
    sse_parser_dispose(&p);
    bool is_over = r->is_whole && !r->is_unshaped;
    if (is_over && t->dialect->checker_end(k.checker, &e)) fail_msg("%s: %s", t->path, e.text);
    t->dialect->checker_free(k.checker);
}

static void run_dispose(struct run *r) {
    buf_dispose(&r->events);
    buf_dispose(&r->stripped);
    buf_dispose(&r->encoded);
}

/* A frame cut inside its CR LF passes its CR, and the LF alone: put together they are the uncut
 * bytes. */
static void without_cr(struct buf *b) {
    size_t n = 0;
    for (size_t i = 0; i < b->len; i++) {
        if (b->ptr[i] != '\r') b->ptr[n++] = b->ptr[i];
        else if (i + 1 == b->len || b->ptr[i + 1] != '\n') b->ptr[n++] = '\n';
    }
    b->len = n;
}

static void compare(const struct transcript *t, struct run *r, size_t step, size_t cut) {
    without_cr(&r->stripped);
    bool same = slice_eq(buf_slice(&r->events), buf_slice(&t->events)) &&
                slice_eq(buf_slice(&r->stripped), buf_slice(&t->stripped)) &&
                slice_eq(buf_slice(&r->encoded), buf_slice(&t->encoded));
    if (!same) print_error("%s, step %zu, cut at %zu\n", t->path, step, cut);
    assert_slices(buf_slice(&r->events), buf_slice(&t->events));
    assert_slices(buf_slice(&r->stripped), buf_slice(&t->stripped));
    assert_slices(buf_slice(&r->encoded), buf_slice(&t->encoded));
    run_dispose(r);
}

/* ---- files ---- */

static struct buf *section_of(struct transcript *t, struct slice line) {
    if (slice_starts_with(line, SLICE("--- in"))) return &t->in;
    if (slice_starts_with(line, SLICE("--- events"))) return &t->events;
    if (slice_starts_with(line, SLICE("--- stripped"))) return &t->stripped;
    if (slice_starts_with(line, SLICE("--- encoded"))) return &t->encoded;
    return NULL;
}

static void parse_file(struct transcript *t, struct slice text) {
    struct buf *section = NULL;
    bool cut_last = false;
    while (text.len > 0) {
        ptrdiff_t end = slice_index(text, '\n');
        size_t n = end < 0 ? text.len : (size_t)end + 1;
        struct slice line = slice_sub(text, 0, n);
        struct buf *next = section_of(t, line);
        text = slice_from(text, n);
        if (!section || section == &t->in) {
            if (!next || next == &t->in) put(&t->head, line);
        }
        if (next) {
            section = next;
            if (next == &t->in) cut_last = line.len > 7 && line.ptr[6] == ',';
        } else if (section) {
            put(section, line);
        } else if (slice_starts_with(line, SLICE("@ include_usage"))) {
            t->include_usage = true;
        }
    }
    if (cut_last && t->in.len > 0) t->in.len--;
}

static void read_file(struct transcript *t) {
    FILE *f = fopen(t->path, "rb");
    assert_non_null(f);
    char *text = malloc(MAX_FILE_BYTES);
    size_t n = fread(text, 1, MAX_FILE_BYTES, f);
    fclose(f);
    assert_true(n < MAX_FILE_BYTES);
    struct buf *all[] = {&t->head, &t->in, &t->events, &t->stripped, &t->encoded};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) buf_init(all[i], TEST_BYTES);
    parse_file(t, slice_make(text, n));
    free(text);
}

static void update_file(const struct transcript *t) {
    struct run r;
    run_stream(&r, t, 0, 0);
    without_cr(&r.stripped);
    FILE *f = fopen(t->path, "wb");
    assert_non_null(f);
    fwrite(t->head.ptr, 1, t->head.len, f);
    fprintf(f, "--- events\n%.*s", SLICE_FMT(buf_slice(&r.events)));
    if (t->dialect->strip_usage)
        fprintf(f, "--- stripped\n%.*s", SLICE_FMT(buf_slice(&r.stripped)));
    fprintf(f, "--- encoded\n%.*s", SLICE_FMT(buf_slice(&r.encoded)));
    fclose(f);
    check_grammar(t, &r);
    run_dispose(&r);
}

static void check_file(const struct folder *folder, const char *path) {
    struct transcript t = {.dialect = dialect_find(slice_cstr(folder->dialect)),
                           .made_id = folder->made_id};
    struct run r;
    snprintf(t.path, sizeof t.path, "%s", path);
    read_file(&t);
    assert_true(t.in.len > 0);
    if (getenv("PENSTOCK_GOLDEN_UPDATE")) {
        update_file(&t);
    } else {
        for (size_t step = 0; step < 4; step++) {
            run_stream(&r, &t, step, 0);
            if (step == 0) check_grammar(&t, &r);
            compare(&t, &r, step, 0);
        }
        for (size_t cut = 1; cut < t.in.len; cut++) {
            run_stream(&r, &t, 0, cut);
            compare(&t, &r, 0, cut);
        }
    }
    struct buf *all[] = {&t.head, &t.in, &t.events, &t.stripped, &t.encoded};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) buf_dispose(all[i]);
}

static unsigned check_folder(const struct folder *f) {
    const char *root = getenv("PENSTOCK_SOURCE_ROOT"), *only = getenv("PENSTOCK_GOLDEN_ONLY");
    char folder[512], path[1024];
    unsigned n = 0;
    snprintf(folder, sizeof folder, "%s/tests/golden/%s", root ? root : ".", f->dialect);
    DIR *dir = opendir(folder);
    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        if (!strstr(entry->d_name, ".txt")) continue;
        n++;
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        if (!only || strstr(path, only)) check_file(f, path);
    }
    if (dir) closedir(dir);
    return n;
}

static void every_transcript_at_every_split(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        if (!dialect_find(slice_cstr(folders[i].dialect))) continue;
        assert_true(check_folder(&folders[i]) >= folders[i].min_cases);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_transcript_at_every_split)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
