/* SPDX-License-Identifier: Apache-2.0 */
/* tests/golden/translate/: one file a case, a client's request and an upstream's answer in, and
 * what each side gets out:
 *
 *   # what the case shows
 *   @ from messages
 *   @ to chat                    (@ preset vllm: the upstream's row; the dialect's without it)
 *   --- request                  the client's body
 *   --- upstream                 the upstream's stream; with `--- upstream,`: without its last LF
 *   --- answer                   the same answer, not streamed (may be left out)
 *   --- sent, dropped, refused, client, response     what comes out
 *
 * The stream is replayed whole, in steps of 1 to 3 bytes and cut at random positions: the client's
 * bytes are the same each time, and keep the grammar of its dialect. PENSTOCK_GOLDEN_UPDATE=1
 * writes what comes out anew: read the difference before keeping it. */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/random.h"
#include "translate_harness.h"

#define MAX_FILE_BYTES ((size_t)4 << 20)
#define RANDOM_CUTS 60

enum section { REQUEST, UPSTREAM, ANSWER, SENT, DROPPED, REFUSED, CLIENT, RESPONSE, N_SECTIONS };
static const char *const section_names[N_SECTIONS] = {
    "request", "upstream", "answer", "sent", "dropped", "refused", "client", "response"};

struct transcript {
    char path[1024], from[32], to[32], preset[32];
    struct buf head;                      /* comments and settings */
    struct buf sections[N_SECTIONS];
    bool has[N_SECTIONS], cut_last;
};

struct result {
    struct buf sections[N_SECTIONS];
    bool has[N_SECTIONS];
};

/* Fails, but where the files are being written anew: then it is told, and the rest goes on. */
static void complain(const char *path, const char *what, struct slice text) {
    print_error("%s: %s\n%.*s\n", path, what, SLICE_FMT(text));
    if (!getenv("PENSTOCK_GOLDEN_UPDATE")) fail();
}

static void put(struct buf *b, struct slice s) {
    assert_int_equal(buf_append(b, s), 0);
}

static void assert_same(const char *path, const char *what, struct slice got,
                        struct slice expected) {
    if (slice_eq(got, expected)) return;
    print_error("--- expected\n%.*s\n", SLICE_FMT(expected));
    complain(path, what, got);
}

/* ---- one run ---- */

static struct slice without_lf(const struct buf *b) {
    struct slice s = buf_slice(b);
    while (s.len > 0 && s.ptr[s.len - 1] == '\n') s.len--;
    return s;
}

static void put_line(struct result *r, enum section at, struct slice text) {
    r->has[at] = true;
    put(&r->sections[at], text);
    put(&r->sections[at], SLICE("\n"));
}

static void put_refusal(struct result *r, const struct request_fault *fault) {
    r->has[REFUSED] = true;
    assert_int_equal(buf_appendf(&r->sections[REFUSED], "code=%s param=%s\n%s\n",
                                 fault->code ? fault->code : "null",
                                 fault->param[0] ? fault->param : "null", fault->message),
                     0);
}

static void run_streams(const struct transcript *t, const struct harness *h, struct result *r,
                        bool every_split) {
    struct slice in = buf_slice(&t->sections[UPSTREAM]);
    struct buf again;
    struct err e = {0};
    struct rng rng;
    r->has[CLIENT] = true;
    harness_stream(h, in, 0, 0, &r->sections[CLIENT]);
    if (!harness_read(h, buf_slice(&r->sections[CLIENT]), NULL, &e))
        complain(t->path, e.text, buf_slice(&r->sections[CLIENT]));
    if (!every_split) return;
    buf_init(&again, HARNESS_BYTES);
    rng_seed(&rng, in.len);
    for (size_t i = 0; i < RANDOM_CUTS + 3; i++) {
        size_t step = i < 3 ? i + 1 : 0, cut = step ? 0 : (size_t)rng_below(&rng, in.len + 1);
        buf_reset(&again);
        harness_stream(h, in, step, cut, &again);
        if (!slice_eq(buf_slice(&again), buf_slice(&r->sections[CLIENT]))) {
            print_error("in steps of %zu, cut at %zu of %zu\n", step, cut, in.len);
            assert_same(t->path, "another split", buf_slice(&again),
                        buf_slice(&r->sections[CLIENT]));
        }
    }
    buf_dispose(&again);
}

static void run_whole(const struct transcript *t, const struct harness *h, struct result *r) {
    struct api_error er = {0};
    struct err e = {0};
    struct buf body;
    buf_init(&body, HARNESS_BYTES);
    int rc = response_translate(h->t, without_lf(&t->sections[ANSWER]), &h->options, HARNESS_BYTES,
                                &body, NULL, &er, &e);
    if (rc == -ERR_USAGE) {
        struct api_error own;
        h->from->translate_error(&er, &own);
        assert_int_equal(buf_appendf(&body, "%u ", own.status), 0);
        assert_int_equal(h->from->encode_error(&own, &body), 0);
    } else if (rc) {
        put(&body, SLICE("not an answer: "));
        put(&body, slice_cstr(e.text));
    }
    put_line(r, RESPONSE, buf_slice(&body));
    buf_dispose(&body);
}

/* Streamed or not, the client is told the same. */
static void compare_forms(const struct transcript *t, const struct harness *h,
                          const struct result *r) {
    struct buf streamed, whole;
    struct err e = {0};
    buf_init(&streamed, HARNESS_BYTES);
    buf_init(&whole, HARNESS_BYTES);
    if (harness_tell_body(h, without_lf(&r->sections[RESPONSE]), harness_has_usage(h), &whole) &&
        harness_read(h, buf_slice(&r->sections[CLIENT]), &streamed, &e))
        assert_same(t->path, "streamed and whole", buf_slice(&streamed), buf_slice(&whole));
    buf_dispose(&streamed);
    buf_dispose(&whole);
}

static void run(const struct transcript *t, struct result *r, bool every_split) {
    struct harness h;
    struct request_fault fault = {.code = NULL};
    struct buf sent;
    for (int i = 0; i < N_SECTIONS; i++) buf_init(&r->sections[i], HARNESS_BYTES);
    buf_init(&sent, HARNESS_BYTES);
    int rc = harness_open(&h, t->from, t->to, t->preset, without_lf(&t->sections[REQUEST]), &sent,
                          &fault);
    if (rc) {
        put_refusal(r, &fault);
    } else {
        put_line(r, SENT, buf_slice(&sent));
        if (h.t->dropped[0]) put_line(r, DROPPED, slice_cstr(h.t->dropped));
        if (t->has[UPSTREAM]) run_streams(t, &h, r, every_split);
        if (t->has[ANSWER]) run_whole(t, &h, r);
        if (t->has[ANSWER] && t->has[UPSTREAM]) compare_forms(t, &h, r);
    }
    buf_dispose(&sent);
    harness_close(&h);
}

/* ---- files ---- */

static int section_of(const struct slice line) {
    for (int i = 0; i < N_SECTIONS; i++) {
        char name[32];
        int n = snprintf(name, sizeof name, "--- %s", section_names[i]);
        char end = line.len > (size_t)n ? line.ptr[n] : 0;
        if (slice_starts_with(line, slice_cstr(name)) && (end == '\n' || end == ',')) return i;
    }
    return -1;
}

static void read_setting(struct transcript *t, struct slice line) {
    char text[128];
    snprintf(text, sizeof text, "%.*s", SLICE_FMT(slice_sub(line, 0, 120)));
    (void)(sscanf(text, "@ from %31s", t->from) == 1 || sscanf(text, "@ to %31s", t->to) == 1 ||
           sscanf(text, "@ preset %31s", t->preset) == 1);
}

static void parse_file(struct transcript *t, struct slice text) {
    int section = -1;
    while (text.len > 0) {
        ptrdiff_t end = slice_index(text, '\n');
        size_t n = end < 0 ? text.len : (size_t)end + 1;
        struct slice line = slice_sub(text, 0, n);
        int next = section_of(line);
        text = slice_from(text, n);
        if (next >= 0) {
            section = next;
            t->has[next] = true;
            if (next == UPSTREAM) t->cut_last = line.ptr[line.len - 2] == ',';
        } else if (section >= 0) {
            put(&t->sections[section], line);
        } else {
            put(&t->head, line);
            read_setting(t, line);
        }
    }
    if (t->cut_last && t->sections[UPSTREAM].len > 0) t->sections[UPSTREAM].len--;
    if (!t->preset[0]) snprintf(t->preset, sizeof t->preset, "%s", t->to);
}

static void read_file(struct transcript *t) {
    FILE *f = fopen(t->path, "rb");
    assert_non_null(f);
    char *text = malloc(MAX_FILE_BYTES);
    size_t n = fread(text, 1, MAX_FILE_BYTES, f);
    fclose(f);
    assert_true(n < MAX_FILE_BYTES);
    buf_init(&t->head, HARNESS_BYTES);
    for (int i = 0; i < N_SECTIONS; i++) buf_init(&t->sections[i], HARNESS_BYTES);
    parse_file(t, slice_make(text, n));
    free(text);
    if (!t->from[0] || !t->to[0] || !t->has[REQUEST])
        fail_msg("%s: '@ from', '@ to' and '--- request' are needed", t->path);
}

static void update_file(const struct transcript *t, const struct result *r) {
    FILE *f = fopen(t->path, "wb");
    assert_non_null(f);
    fwrite(t->head.ptr, 1, t->head.len, f);
    for (int i = 0; i < N_SECTIONS; i++) {
        bool is_input = i <= ANSWER;
        const struct buf *b = is_input ? &t->sections[i] : &r->sections[i];
        if (!(is_input ? t->has[i] : r->has[i])) continue;
        bool cut = i == UPSTREAM && t->cut_last;
        fprintf(f, "--- %s%s\n%.*s%s", section_names[i], cut ? "," : "", SLICE_FMT(buf_slice(b)),
                cut ? "\n" : "");
    }
    fclose(f);
}

static void compare(const struct transcript *t, const struct result *r) {
    for (int i = SENT; i < N_SECTIONS; i++) {
        if (r->has[i] != t->has[i])
            print_error("%s: '--- %s' is %s\n", t->path, section_names[i],
                        r->has[i] ? "new" : "gone");
        assert_same(t->path, section_names[i], buf_slice(&r->sections[i]),
                    buf_slice(&t->sections[i]));
    }
}

static void check_file(const char *path) {
    struct transcript t = {.cut_last = false};
    struct result r = {.has = {false}};
    bool is_update = getenv("PENSTOCK_GOLDEN_UPDATE") != NULL;
    snprintf(t.path, sizeof t.path, "%s", path);
    read_file(&t);
    run(&t, &r, !is_update);
    if (is_update) update_file(&t, &r);
    else compare(&t, &r);
    buf_dispose(&t.head);
    for (int i = 0; i < N_SECTIONS; i++) {
        buf_dispose(&t.sections[i]);
        buf_dispose(&r.sections[i]);
    }
}

static int by_name(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void every_transcript_at_every_split(void **state) {
    (void)state;
    const char *root = getenv("PENSTOCK_SOURCE_ROOT"), *only = getenv("PENSTOCK_GOLDEN_ONLY");
    char folder[512], path[1024], *names[1000];
    size_t n = 0;
    snprintf(folder, sizeof folder, "%s/tests/golden/translate", root ? root : ".");
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    for (struct dirent *entry; (entry = readdir(dir));) {
        if (!strstr(entry->d_name, ".txt") || (only && !strstr(entry->d_name, only))) continue;
        assert_true(n < sizeof names / sizeof *names);
        names[n++] = strdup(entry->d_name);
    }
    closedir(dir);
    qsort(names, n, sizeof *names, by_name);
    for (size_t i = 0; i < n; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        check_file(path);
        free(names[i]);
    }
    assert_true(only || n >= 90);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_transcript_at_every_split)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
