/* SPDX-License-Identifier: Apache-2.0 */
/* Any text as an expectation, and as a query of the journal: refused with words, or an answer that
 * is JSON and says the same when it is asked again. */
#include "base/json_scan.h"
#include "fuzz.h"
#include "mock/expect.h"

#define MAX_BYTES ((size_t)64 << 20)

static void add(struct journal *j, const char *dialect, const char *path, const char *body) {
    struct bytes *b = bytes_copy(slice_cstr(body));
    static const struct http_header headers[] = {{{"x-team", 6}, {"blue", 4}}};
    const struct http_exchange ex = {.method = HTTP_METHOD_POST, .path = slice_cstr(path),
                                     .headers = {headers, 1}, .body = b};
    const struct journal_request rq = {.ex = &ex, .dialect = dialect, .wall_ns = 1,
                                       .session = SLICE("s")};
    uint64_t seq = journal_open(j, &rq);
    journal_close(j, seq, &(struct journal_answer){.status = 200, .end = JOURNAL_COMPLETED});
    bytes_unref(&b);
}

static struct journal *some_journal(void) {
    struct journal *j = journal_new();
    add(j, "chat", "/v1/chat/completions",
        "{\"model\":\"gpt-4o\",\"messages\":[{\"role\":\"user\",\"content\":\"hello\"}]}");
    add(j, "messages", "/v1/messages",
        "{\"model\":\"claude-x\",\"max_tokens\":5,\"messages\":[{\"role\":\"user\",\"content\":\"the tide\"}]}");
    add(j, "responses", "/v1/responses", "{\"model\":\"o3\",\"input\":\"hello\"}");
    add(j, "chat", "/v1/chat/completions", "{oops");
    return j;
}

static void check_expectation(struct journal *j, struct slice text) {
    struct report r;
    struct buf out;
    report_init(&r);
    buf_init(&out, MAX_BYTES);
    struct expectation *x = expectation_parse(text, &r);
    must(!x == (r.n_faults > 0));
    if (x) {
        bool holds = expectation_check(x, j);
        must(expectation_write(x, j, &out) == 0);
        must(json_scan_object(buf_slice(&out), JSON_DEPTH_MAX, NULL, NULL, NULL) == 0);
        must(expectation_check(x, j) == holds);
    }
    expectation_free(&x);
    buf_dispose(&out);
    report_dispose(&r);
}

static void check_query(struct journal *j, struct slice text) {
    struct journal_query q;
    struct arena *a = arena_new();
    struct err e = {.text = ""};
    struct buf out;
    buf_init(&out, MAX_BYTES);
    journal_query_init(&q);
    if (journal_query_read(text, a, &q, &e) < 0) {
        must(e.text[0] != '\0');
    } else {
        must(journal_write(j, &q, &out) == 0);
        must(json_scan_object(slice_trim(slice_sub(buf_slice(&out), 0, out.len - 1)),
                              JSON_DEPTH_MAX, NULL, NULL, NULL) == 0);
    }
    buf_dispose(&out);
    arena_free(a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct slice text = slice_make((const char *)data, size);
    struct journal *j = some_journal();
    check_expectation(j, text);
    check_query(j, text);
    journal_free(&j);
    return 0;
}
