/* SPDX-License-Identifier: Apache-2.0 */
/* A capture's file, what a request asks whatever its spelling, and the folder of captures. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/random.h"
#include "mock/capture_store.h"

/* ---- the file ---- */

static struct slice in(struct capture *c, const char *text) {
    return arena_dup(c->arena, slice_cstr(text));
}

static struct capture *example(const char *model, const char *user, bool stream) {
    struct capture *c = capture_new();
    const struct http_header asked[] = {{SLICE("Content-Type"), SLICE("application/json")},
                                        {SLICE("authorization"), SLICE("Bearer my-very-own-key-1")}};
    const struct http_header told[] = {{SLICE("Content-Type"), stream ? SLICE("text/event-stream") : SLICE("application/json")},
                                       {SLICE("X-Odd"), SLICE("")},
                                       {SLICE("x-odd"), SLICE("2")}};
    c->dialect = &dialect_chat;
    c->path = SLICE("/chat/completions");
    c->created_s = 1735689600;
    c->model = in(c, model);
    c->stream = stream;
    c->method = SLICE("POST");
    c->target = in(c, "/v1/chat/completions?key=abc");
    c->request_body = slice_cstr(arena_printf(
        c->arena, "{\"model\":\"%s\",\n \"stream\":%s,\"messages\":[{\"role\":\"user\",\"content\":\"%s\"}]}",
        model, stream ? "true" : "false", user));
    capture_set_headers(c, &(struct http_headers){asked, 2}, true);
    capture_set_headers(c, &(struct http_headers){told, 3}, false);
    c->status = 200;
    c->head_ns = 5000000;
    c->end_ns = 90000000;
    return c;
}

static void add(struct capture *c, int64_t t_ns, unsigned read, const char *text) {
    capture_add_chunk(c, t_ns, read, slice_cstr(text));
}

static struct capture *again(const struct capture *c) {
    struct buf text;
    struct err e = {.kind = ERR_NONE};
    buf_init(&text, 1 << 24);
    assert_int_equal(capture_write(c, &text), 0);
    struct capture *read = capture_read(buf_slice(&text), "it", &e);
    assert_string_equal(e.text, "");
    assert_non_null(read);
    buf_dispose(&text);
    return read;
}

static void assert_same(const struct capture *a, const struct capture *b) {
    assert_ptr_equal(a->dialect, b->dialect);
    assert_true(slice_eq(a->path, b->path) && slice_eq(a->model, b->model));
    assert_true(slice_eq(a->method, b->method) && slice_eq(a->target, b->target));
    assert_string_equal(a->key, b->key);
    assert_int_equal(a->stream, b->stream);
    assert_int_equal(a->created_s, b->created_s);
    assert_int_equal(a->status, b->status);
    assert_int_equal(a->http_minor, b->http_minor);
    assert_int_equal(a->head_ns, b->head_ns);
    assert_int_equal(a->end, b->end);
    assert_int_equal(a->end_ns, b->end_ns);
    assert_true(slice_eq(a->why, b->why));
    assert_int_equal(a->was_encoded, b->was_encoded);
    assert_int_equal(a->n_headers, b->n_headers);
    for (unsigned i = 0; i < a->n_headers; i++) {
        assert_true(slice_eq(a->headers[i].name, b->headers[i].name));
        assert_true(slice_eq(a->headers[i].value, b->headers[i].value));
    }
    assert_true(slice_eq(capture_body(a), capture_body(b)));
    assert_int_equal(a->n_chunks, b->n_chunks);
    for (unsigned i = 0; i < a->n_chunks; i++) {
        assert_int_equal(a->chunks[i].t_ns, b->chunks[i].t_ns);
        assert_int_equal(a->chunks[i].read, b->chunks[i].read);
        assert_int_equal(a->chunks[i].off, b->chunks[i].off);
        assert_int_equal(a->chunks[i].len, b->chunks[i].len);
    }
}

static void a_capture_comes_back_as_it_was(void **state) {
    (void)state;
    struct capture *c = example("gpt-4o", "hi \\\"you\\\"", true);
    snprintf(c->key, sizeof c->key, "0123456789abcdef0123456789abcdef");
    add(c, 5000000, 1, "data: {\"a\":\"\xc3");
    add(c, 6000000, 2, "\xa9\"}\r\n\r");
    add(c, 6000000, 2, "\n");
    capture_add_chunk(c, 7000000, 3, slice_make("\0\xff\xfe", 3));
    c->end = CAPTURE_RESET;
    c->why = SLICE("reset by peer");
    struct capture *read = again(c);
    assert_same(c, read);
    capture_unref(&read);
    c->http_minor = 0;
    c->was_encoded = true;
    c->dialect = NULL;
    c->request_body = SLICE("\xff not JSON");
    read = again(c);
    assert_same(c, read);
    assert_true(slice_eq(read->request_body, c->request_body));
    capture_unref(&read);
    capture_unref(&c);
}

static void any_bytes_in_any_pieces_come_back(void **state) {
    (void)state;
    struct rng rng;
    rng_seed(&rng, 3);
    for (unsigned round = 0; round < 200; round++) {
        struct capture *c = example("m", "x", true);
        int64_t t_ns = c->head_ns;
        for (unsigned i = 0; i < 20; i++) {
            char bytes[40];
            size_t n = 1 + rng_below(&rng, sizeof bytes - 1);
            for (size_t k = 0; k < n; k++) {
                bytes[k] = (char)(rng_below(&rng, 3) ? rng_below(&rng, 128) : rng_below(&rng, 256));
            }
            t_ns += (int64_t)rng_below(&rng, 1000);
            capture_add_chunk(c, t_ns, i / 3 + 1, slice_make(bytes, n));
        }
        struct capture *read = again(c);
        assert_same(c, read);
        capture_unref(&read);
        capture_unref(&c);
    }
}

static void check_refused(const char *text, const char *why) {
    struct err e = {.kind = ERR_NONE};
    assert_null(capture_read(slice_cstr(text), "f.jsonl", &e));
    if (!strstr(e.text, why)) {
        fail_msg("\"%s\" should say \"%s\"", e.text, why);
    }
}

#define META "{\"penstock_capture\":1,\"dialect\":\"chat\"}\n"
#define REQUEST "{\"request\":{\"method\":\"POST\",\"target\":\"/v1\",\"body\":{}}}\n"
#define RESPONSE "{\"response\":{\"t\":5,\"status\":200,\"headers\":[[\"a\",\"b\"]]}}\n"

static void what_is_wrong_is_told_with_its_line(void **state) {
    (void)state;
    check_refused("", "f.jsonl:1: the file ends without its head");
    check_refused("hello", "f.jsonl:1: ");
    check_refused("{}\n", "f.jsonl:1: not a capture");
    check_refused("{\"penstock_capture\":2}\n", "version 2 is not known");
    check_refused("{\"penstock_capture\":1,\"dialect\":\"klingon\"}\n", "there is no dialect \"klingon\"");
    check_refused("{\"penstock_capture\":1,\"key\":\"xyz\"}\n", "\"key\" must be 32 hex digits");
    check_refused("{\"penstock_capture\":1,\"created\":\"now\"}\n", "\"created\" must be a time");
    check_refused(META "\n{\"request\":1}\n", "f.jsonl:3: \"request\" must be an object");
    check_refused(META REQUEST RESPONSE, "f.jsonl:3: the file ends without its end");
    check_refused(META REQUEST REQUEST, "f.jsonl:3: a second request");
    check_refused(META META, "f.jsonl:2: a second head");
    check_refused(META REQUEST "{\"response\":{}}\n", "f.jsonl:3: \"status\" is missing");
    check_refused(META REQUEST "{\"response\":{\"status\":99}}\n", "\"status\" must be a whole number");
    check_refused(META REQUEST "{\"response\":{\"status\":200,\"headers\":[[\"a\"]]}}\n", "a header must be");
    check_refused(META REQUEST "{\"response\":{\"status\":200,\"headers\":[[\"a b\",\"\"]]}}\n",
                  "cannot be sent");
    check_refused(META REQUEST "{\"t\":1,\"text\":\"x\"}\n", "f.jsonl:3: a piece of the body before");
    check_refused(META REQUEST RESPONSE "{\"t\":4,\"text\":\"x\"}\n", "f.jsonl:4: \"t\" goes backwards");
    check_refused(META REQUEST RESPONSE "{\"t\":-4,\"text\":\"x\"}\n", "\"t\" must be a whole number");
    check_refused(META REQUEST RESPONSE "{\"t\":6,\"base64\":\"?\"}\n", "\"base64\" is not base64");
    check_refused(META REQUEST RESPONSE "{\"end\":\"soon\"}\n", "\"end\" must be complete");
    check_refused(META REQUEST RESPONSE "{\"end\":\"cut\"}\n{\"t\":9,\"text\":\"\"}\n",
                  "f.jsonl:5: something follows the end");
    check_refused(META REQUEST RESPONSE "{\"what\":1}\n", "neither request, response");
}

static void files_written_by_hand_may_leave_times_out(void **state) {
    (void)state;
    struct err e;
    struct capture *c = capture_read(
        SLICE(META REQUEST RESPONSE "{\"text\":\"a\"}\n{\"text\":\"b\"}\n\n{\"end\":\"complete\"}"), "f", &e);
    assert_non_null(c);
    assert_int_equal(c->n_chunks, 2);
    assert_int_equal(c->chunks[1].t_ns, 5);
    assert_int_equal(c->chunks[1].read, 2);
    assert_int_equal(c->end_ns, 5);
    capture_unref(&c);
}

static void a_capture_above_its_limit_is_truncated(void **state) {
    (void)state;
    struct capture *c = example("m", "x", false);
    size_t len = CAPTURE_MAX_BODY_BYTES - 1;
    char *bytes = mem_zalloc(len);
    capture_add_chunk(c, 1, 1, slice_make(bytes, len));
    assert_int_equal(c->end, CAPTURE_COMPLETE);
    add(c, 1, 1, "ab");
    assert_int_equal(c->end, CAPTURE_TRUNCATED);
    add(c, 1, 1, "a");
    assert_int_equal(c->n_chunks, 1);
    mem_free(bytes);
    capture_unref(&c);
}

/* ---- what is asked ---- */

static void key_of(const struct dialect *d, const char *body, char out[CAPTURE_KEY_BYTES + 1]) {
    struct capture_norm n;
    capture_norm_init(&n);
    if (capture_norm_body(&n, d, slice_cstr(body)) < 0) {
        fail_msg("cannot be decoded: %s", body);
    }
    capture_norm_key(&n, out);
    capture_norm_dispose(&n);
}

static bool asks_the_same(const struct dialect *d, const char *a, const struct dialect *e,
                          const char *b) {
    char x[CAPTURE_KEY_BYTES + 1], y[CAPTURE_KEY_BYTES + 1];
    key_of(d, a, x);
    key_of(e, b, y);
    return strcmp(x, y) == 0;
}

static void the_key_is_of_what_is_asked(void **state) {
    (void)state;
    const char *plain = "{\"model\":\"m\",\"temperature\":1,\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}";
    const struct dialect *chat = &dialect_chat;
    /* order, blanks, numbers, stream, who asks */
    assert_true(asks_the_same(chat, plain, chat,
        "{ \"messages\" : [ {\"content\":\"h\\u0069\",\"role\":\"user\"} ],\"user\":\"me\",\"stream\":true,"
        "\"stream_options\":{\"include_usage\":true},\"temperature\":1.0,\"model\":\"m\",\"metadata\":{\"a\":\"b\"}}"));
    assert_true(asks_the_same(chat, plain, chat,
        "{\"model\":\"m\",\"temperature\":1e0,\"max_tokens\":5,\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"hi\"}]}]}"));
    assert_false(asks_the_same(chat, plain, chat,
        "{\"model\":\"m\",\"temperature\":0.9,\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}"));
    assert_false(asks_the_same(chat, plain, chat,
        "{\"model\":\"n\",\"temperature\":1,\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}"));
    assert_false(asks_the_same(chat, plain, chat,
        "{\"model\":\"m\",\"temperature\":1,\"top_a\":1,\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}"));
    /* other dialects */
    assert_true(asks_the_same(chat, plain, &dialect_messages,
        "{\"model\":\"m\",\"max_tokens\":100,\"temperature\":1.0,\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}"));
    assert_true(asks_the_same(chat, plain, &dialect_responses,
        "{\"model\":\"m\",\"temperature\":1,\"store\":false,\"input\":\"hi\"}"));
    assert_true(asks_the_same(chat, plain, &dialect_completions,
        "{\"model\":\"m\",\"temperature\":1,\"prompt\":\"hi\"}"));
}

static void an_agents_turn_is_the_same_in_other_words(void **state) {
    (void)state;
    const char *chat =
        "{\"model\":\"m\",\"messages\":[{\"role\":\"system\",\"content\":\"be brief\"},"
        "{\"role\":\"user\",\"content\":\"weather?\"},"
        "{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":\"call_1\",\"type\":\"function\","
        "\"function\":{\"name\":\"look\",\"arguments\":\"{\\\"b\\\":1.0,\\\"a\\\":\\\"x\\\"}\"}}]},"
        "{\"role\":\"tool\",\"tool_call_id\":\"call_1\",\"content\":\"rain\"}],"
        "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"look\",\"description\":\"d\","
        "\"parameters\":{\"type\":\"object\",\"properties\":{}}}}]}";
    const char *messages =
        "{\"model\":\"m\",\"max_tokens\":9,\"system\":\"be brief\",\"messages\":["
        "{\"role\":\"user\",\"content\":\"weather?\"},"
        "{\"role\":\"assistant\",\"content\":[{\"type\":\"thinking\",\"thinking\":\"hm\",\"signature\":\"s\"},"
        "{\"type\":\"tool_use\",\"id\":\"toolu_9\",\"name\":\"look\",\"input\":{\"a\":\"x\",\"b\":1}}]},"
        "{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\",\"tool_use_id\":\"toolu_9\",\"content\":\"rain\"}]}],"
        "\"tools\":[{\"name\":\"look\",\"description\":\"d\",\"input_schema\":{\"properties\":{},\"type\":\"object\"}}]}";
    assert_true(asks_the_same(&dialect_chat, chat, &dialect_messages, messages));
}

static void a_difference_is_told(void **state) {
    (void)state;
    struct capture_norm a, b;
    char text[400];
    capture_norm_init(&a);
    capture_norm_init(&b);
    assert_int_equal(capture_norm_body(&a, &dialect_chat,
        SLICE("{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"one\"}]}")), 0);
    assert_int_equal(capture_norm_body(&b, &dialect_chat,
        SLICE("{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"two\"}],\"seed\":3}")), 0);
    capture_norm_difference(buf_slice(&a.lines), buf_slice(&b.lines), text, sizeof text);
    assert_string_equal(text, "messages[0].text is \"one\", there \"two\"");
    capture_norm_difference(buf_slice(&a.lines), buf_slice(&a.lines), text, sizeof text);
    assert_string_equal(text, "nothing that is kept in it");
    capture_norm_dispose(&a);
    capture_norm_dispose(&b);
}

/* ---- the folder ---- */

static char folder[64];

static int make_folder(void **state) {
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/test_capture.XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state) {
    char command[128];
    (void)state;
    snprintf(command, sizeof command, "rm -r %s", folder);
    return system(command);
}

static struct captures *open_folder(bool records, bool plays) {
    struct err e = {.kind = ERR_NONE};
    const struct captures_options o = {.record = records ? folder : NULL,
                                       .replay = plays ? folder : NULL};
    struct captures *s = captures_open(&o, &e);
    if (!s) {
        fail_msg("%s", e.text);
    }
    return s;
}

static void save(struct captures *s, const char *model, const char *user, bool stream,
                 const char *body) {
    struct capture *c = example(model, user, stream);
    struct capture_norm n;
    struct scrub_secrets own = {.n = 0};
    scrub_secrets_add(&own, SLICE("my-very-own-key-1"));
    capture_norm_init(&n);
    assert_int_equal(capture_norm_of(&n, c), 0);
    capture_norm_key(&n, c->key);
    capture_norm_dispose(&n);
    add(c, 5000000, 1, body);
    captures_name(s, c);
    captures_save(s, &c, &own);
    assert_null(c);
}

static void check_next(struct captures *s, const char *user, bool stream, const char *body) {
    struct capture_norm n;
    char key[CAPTURE_KEY_BYTES + 1], text[600];
    struct capture *asked = example("gpt-4o", user, stream);
    capture_norm_init(&n);
    assert_int_equal(capture_norm_of(&n, asked), 0);
    capture_norm_key(&n, key);
    struct capture *c = captures_pick(s, key, capture_norm_soft(&n), &dialect_chat, stream);
    if (c) {
        snprintf(text, sizeof text, "%.*s", SLICE_FMT(capture_body(c)));
    } else {
        captures_explain(s, &n, text, sizeof text);
    }
    assert_string_equal(text, body);
    capture_unref(&c);
    capture_unref(&asked);
    capture_norm_dispose(&n);
}

static void what_is_saved_is_found_and_played_in_order(void **state) {
    (void)state;
    struct captures *s = open_folder(true, false);
    check_next(s, "one", true, "No capture answers this request: there are none.");
    save(s, "gpt-4o", "one", true, "first");
    save(s, "gpt-4o", "one", true, "second");
    save(s, "gpt-4o", "one", false, "whole");
    save(s, "gpt-4o", "the key my-very-own-key-1", true, "it was my-very-own-key-1");
    captures_flush(s);
    struct captures_counts n;
    captures_count(s, &n);
    assert_int_equal(n.saved, 4);
    assert_int_equal(n.failed + n.dropped, 0);
    captures_close(&s);

    s = open_folder(false, true);
    check_next(s, "one", true, "first");
    check_next(s, "one", false, "whole");
    check_next(s, "one", true, "second");
    check_next(s, "one", true, "second");
    /* by the key that its request had when its secrets were in it */
    check_next(s, "the key my-very-own-key-1", true, "it was *****************");
    check_next(s, "two", true,
               "No capture answers this request. The nearest is 0001-chat-gpt-4o-01b8809b.jsonl: "
               "messages[0].text is \"two\", there \"one\".");
    captures_close(&s);
}

static void no_secret_is_in_the_folder(void **state) {
    (void)state;
    char command[200];
    snprintf(command, sizeof command, "! grep -r -e very-own -e key=abc %s", folder);
    assert_int_equal(system(command), 0);
    snprintf(command, sizeof command, "test $(ls -A %s | wc -l) = 4", folder);
    assert_int_equal(system(command), 0);
}

static void what_is_recorded_now_is_played_now(void **state) {
    (void)state;
    struct captures *s = open_folder(true, true);
    save(s, "gpt-4o", "new", true, "fresh");
    captures_flush(s);
    check_next(s, "new", true, "fresh");
    captures_close(&s);
    char command[200];
    snprintf(command, sizeof command, "ls %s | grep -q ^0005-chat-gpt-4o-", folder);
    assert_int_equal(system(command), 0);
}

static void an_edited_request_counts(void **state) {
    (void)state;
    char command[300];
    snprintf(command, sizeof command, "sed -i 's/\"content\":\"new\"/\"content\":\"newer\"/' %s/0005*", folder);
    assert_int_equal(system(command), 0);
    struct captures *s = open_folder(false, true);
    check_next(s, "newer", true, "fresh");
    captures_close(&s);
}

static void run(const char *format) {
    char command[400];
    snprintf(command, sizeof command, format, folder, folder);
    assert_int_equal(system(command), 0);
}

/* Files that come, change and go; who has been played is not played first again. */
static void a_folder_is_read_again(void **state) {
    (void)state;
    run("rm -f %s/*.jsonl");
    struct captures *s = open_folder(true, true);
    save(s, "gpt-4o", "hello", true, "one");
    save(s, "gpt-4o", "hello", true, "two");
    captures_flush(s);
    assert_true(captures_reload(s));
    check_next(s, "hello", true, "one");
    run("sed 's/two/three/' %s/0002-* > %s/0003-added.jsonl");
    assert_true(captures_reload(s));
    check_next(s, "hello", true, "two");
    check_next(s, "hello", true, "three");
    run("sed -i 's/three/four/' %s/0003-added.jsonl");
    assert_true(captures_reload(s));
    check_next(s, "hello", true, "four");
    run("echo '{}' > %s/0004-wrong.jsonl && rm %s/0003-added.jsonl");
    assert_false(captures_reload(s));
    check_next(s, "hello", true, "four");
    run("rm %s/0004-wrong.jsonl");
    assert_true(captures_reload(s));
    check_next(s, "hello", true, "two");
    struct captures_counts counts;
    captures_count(s, &counts);
    assert_int_equal(counts.loaded, 2);
    captures_close(&s);
}

/* What is recorded to one folder while another one is played stays, and is there once. */
static void what_is_recorded_elsewhere_stays(void **state) {
    (void)state;
    char other[80];
    struct err e;
    run("rm -f %s/*.jsonl");
    snprintf(other, sizeof other, "%s/other", folder);
    run("mkdir -p %s/other && rm -f %s/other/*");
    const struct captures_options o = {.record = other, .replay = folder};
    struct captures *s = captures_open(&o, &e);
    assert_non_null(s);
    save(s, "gpt-4o", "hello", true, "one");
    captures_flush(s);
    run("sed 's/one/two/' %s/other/0001-* > %s/0001-added.jsonl");
    for (unsigned i = 0; i < 2; i++) {
        assert_true(captures_reload(s));
    }
    check_next(s, "hello", true, "two");
    check_next(s, "hello", true, "one");
    check_next(s, "hello", true, "one");
    captures_close(&s);
}

static void a_folder_with_a_wrong_file_is_refused(void **state) {
    (void)state;
    char command[200];
    struct err e;
    snprintf(command, sizeof command, "echo '{}' > %s/0000-wrong.jsonl", folder);
    assert_int_equal(system(command), 0);
    assert_null(captures_open(&(struct captures_options){.replay = folder}, &e));
    assert_non_null(strstr(e.text, "0000-wrong.jsonl:1: not a capture"));
    assert_null(captures_open(&(struct captures_options){.replay = "/nowhere"}, &e));
    assert_non_null(strstr(e.text, "/nowhere"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_capture_comes_back_as_it_was),
        cmocka_unit_test(any_bytes_in_any_pieces_come_back),
        cmocka_unit_test(what_is_wrong_is_told_with_its_line),
        cmocka_unit_test(files_written_by_hand_may_leave_times_out),
        cmocka_unit_test(a_capture_above_its_limit_is_truncated),
        cmocka_unit_test(the_key_is_of_what_is_asked),
        cmocka_unit_test(an_agents_turn_is_the_same_in_other_words),
        cmocka_unit_test(a_difference_is_told),
        cmocka_unit_test(what_is_saved_is_found_and_played_in_order),
        cmocka_unit_test(no_secret_is_in_the_folder),
        cmocka_unit_test(what_is_recorded_now_is_played_now),
        cmocka_unit_test(an_edited_request_counts),
        cmocka_unit_test(a_folder_is_read_again),
        cmocka_unit_test(what_is_recorded_elsewhere_stays),
        cmocka_unit_test(a_folder_with_a_wrong_file_is_refused),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
