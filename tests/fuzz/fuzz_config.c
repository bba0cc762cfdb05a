/* SPDX-License-Identifier: Apache-2.0 */
/* Any text as a configuration: a clear answer, no secret in it, and what loads is shown as
 * something that loads to the same. */
#include "config/loader.h"
#include "fuzz.h"

#define SECRET "sk-a-secret-of-the-environment"

static const char *fuzz_getenv(const char *name) {
    static const char *const vars[][2] = {{"KEY", SECRET}, {"EMPTY", ""}, {"N", "3"}};
    for (size_t i = 0; i < 3; i++) {
        if (strcmp(vars[i][0], name) == 0) return vars[i][1];
    }
    return NULL;
}

static bool contains(struct slice s, struct slice what) {
    return s.len > 0 && memmem(s.ptr, s.len, what.ptr, what.len) != NULL;
}

static struct config *load(struct slice text, struct buf *report) {
    struct config_sources sources = {.getenv_fn = fuzz_getenv};
    struct config *c = NULL;
    buf_init(report, (size_t)1 << 20);
    int rc = config_load_text(&sources, text, "t.yaml", &c, report);
    must(rc == 0 ? c != NULL : c == NULL && report->len > 0);
    must(slice_utf8_valid(buf_slice(report)) == report->len);
    return c;
}

static void show(const struct config *c, struct buf *out) {
    buf_init(out, (size_t)64 << 20);
    must(config_show(c, out) == 0);
}

/* Comments say where a value came from; that differs. Here they go: no value has this in it, for
 * each "#" of a text stands in quotes. */
static void strip_comments(struct buf *text) {
    size_t to = 0;
    bool is_quoted = false, is_comment = false;
    for (size_t i = 0; i < text->len; i++) {
        char c = text->ptr[i];
        if (c == '\n') is_comment = false;
        if (is_comment || (c == ' ' && !is_quoted)) continue;
        if (c == '#' && !is_quoted) is_comment = true;
        else text->ptr[to++] = c;
        if (c == '\\' && is_quoted) text->ptr[to++] = text->ptr[++i];
        else if (c == '"') is_quoted = !is_quoted;
    }
    text->len = to;
}

static void check_shown(const struct config *c) {
    struct buf first, second, report;
    show(c, &first);
    struct config *again = load(buf_slice(&first), &report);
    must(again != NULL);
    show(again, &second);
    strip_comments(&first);
    strip_comments(&second);
    must(slice_eq(buf_slice(&first), buf_slice(&second)));
    config_free(&again);
    buf_dispose(&first);
    buf_dispose(&second);
    buf_dispose(&report);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct slice text = {(const char *)data, size};
    struct buf report;
    struct config *c = load(text, &report);
    must(!contains(buf_slice(&report), SLICE(SECRET)) || contains(text, SLICE(SECRET)));
    if (c) {
        (void)config_route(c, slice_sub(text, 0, 64));
        check_shown(c);
    }
    config_free(&c);
    buf_dispose(&report);
    return 0;
}
