/* SPDX-License-Identifier: Apache-2.0 */
/* Megabytes a second of the tokenizers on one core: whole texts counted, and texts cut token by
 * token as they are said. Build it with `meson compile bench_token` in a release build and give it
 * files of text; runs that are hard on a tokenizer come by themselves. bench_tiktoken.py does the
 * same with tiktoken. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "token/token.h"

enum { TEXT_MAX_BYTES = 64 << 20, RUN_BYTES = 5000000, REPEATS = 5 };

static void must(int rc) {
    if (rc < 0) abort();
}

static uint64_t cut_all(const struct tokenizer *t, struct slice text) {
    struct token_cut c;
    uint64_t n = 0;
    token_cut_start(&c, t);
    while (text.len > 0) {
        uint32_t one;
        text = slice_from(text, token_cut_next(&c, text, true, 1, &one));
        n += one;
    }
    return n;
}

/* The best of some rounds: other programs only make it slower. */
static double best_mb_s(const struct tokenizer *t, struct slice text,
                        uint64_t (*work)(const struct tokenizer *, struct slice), uint64_t *out_n) {
    int64_t best = INT64_MAX;
    for (int i = 0; i < REPEATS; i++) {
        int64_t start = clock_mono_ns();
        *out_n = work(t, text);
        int64_t took = clock_mono_ns() - start;
        best = took < best ? took : best;
    }
    return (double)text.len * 1000 / (double)(best > 0 ? best : 1);
}

static void measure(const char *name, struct slice text) {
    for (enum encoding e = ENCODING_O200K; e <= ENCODING_PIECES; e++) {
        const struct tokenizer *t = tokenizer_get(e);
        uint64_t n, said;
        double whole = best_mb_s(t, text, tokenizer_count, &n);
        double cut = best_mb_s(t, text, cut_all, &said);
        printf("%-24.24s %-12s %9zu bytes %9" PRIu64 " tokens %8.1f MB/s counted %8.1f MB/s cut%s\n",
               name, tokenizer_name(t), text.len, n, whole, cut, n == said ? "" : "  DIFFERENT");
    }
}

static void measure_file(const char *path, struct buf *text) {
    FILE *f = fopen(path, "rb");
    char *room;
    size_t n;
    if (!f) {
        perror(path);
        exit(1);
    }
    buf_reset(text);
    while ((room = buf_reserve(text, 65536)) != NULL && (n = fread(room, 1, 65536, f)) > 0) {
        buf_commit(text, n);
    }
    fclose(f);
    const char *slash = strrchr(path, '/');
    measure(slash ? slash + 1 : path, buf_slice(text));
}

int main(int argc, char **argv) {
    static const struct {
        const char *name, *unit;
    } runs[] = {{"one letter", "a"}, {"blanks", " "}, {"emoji", "\xf0\x9f\x98\x80"}};
    struct buf text;
    buf_init(&text, TEXT_MAX_BYTES);
    for (int i = 1; i < argc; i++) measure_file(argv[i], &text);
    for (unsigned i = 0; i < sizeof runs / sizeof runs[0]; i++) {
        buf_reset(&text);
        while (text.len < RUN_BYTES) must(buf_append(&text, slice_cstr(runs[i].unit)));
        measure(runs[i].name, buf_slice(&text));
    }
    buf_dispose(&text);
    return 0;
}
