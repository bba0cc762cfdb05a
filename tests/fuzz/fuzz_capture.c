/* SPDX-License-Identifier: Apache-2.0 */
/* A capture's file may be anything. What is read can be written, and read again as the same; its
 * request can be looked at; and a body can be scrubbed, whatever it is, without changing its
 * length, its line ends, or anything that is done once more. */
#include "base/mem.h"
#include "fuzz.h"
#include "mock/capture_key.h"
#include "mock/scrub.h"

static void write_and_read(const struct capture *c) {
    struct buf text, again;
    struct err e;
    buf_init(&text, 1 << 26);
    buf_init(&again, 1 << 26);
    must(capture_write(c, &text) == 0);
    struct capture *read = capture_read(buf_slice(&text), "again", &e);
    must(read != NULL);
    must(slice_eq(capture_body(c), capture_body(read)));
    must(capture_write(read, &again) == 0);
    must(slice_eq(buf_slice(&text), buf_slice(&again)));
    capture_unref(&read);
    buf_dispose(&text);
    buf_dispose(&again);
}

static void look_at_request(const struct capture *c) {
    struct capture_norm n;
    char key[CAPTURE_KEY_BYTES + 1];
    capture_norm_init(&n);
    if (capture_norm_of(&n, c) == 0) {
        capture_norm_key(&n, key);
    }
    capture_norm_dispose(&n);
}

static void scrub_it(struct slice text, enum scrub_body_kind kind, bool is_cut) {
    static const char *const patterns[] = {"b[0-9]+c"};
    static struct scrub *rules;
    struct scrub_secrets own = {.n = 0};
    struct err e;
    unsigned n = 0;
    if (!rules) {
        rules = scrub_new(patterns, 1, &e);
        must(rules != NULL);
    }
    scrub_secrets_add(&own, SLICE("my-own-key-1"));
    char *body = mem_dup_cstr(text);
    if (scrub_body(rules, &own, kind, is_cut, body, text.len, &n) == 0) {
        for (size_t i = 0; i < text.len; i++) {
            bool was_end = text.ptr[i] == '\n' || text.ptr[i] == '\r';
            must(n > 0 ? !was_end || body[i] == text.ptr[i] : body[i] == text.ptr[i]);
        }
    }
    mem_free(body);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct slice text = slice_make((const char *)data, size);
    struct err e;
    struct capture *c = capture_read(text, "input", &e);
    if (c) {
        write_and_read(c);
        look_at_request(c);
        scrub_it(capture_body(c), capture_is_stream(c) ? SCRUB_STREAM : SCRUB_GUESS, true);
    }
    capture_unref(&c);
    scrub_it(text, SCRUB_GUESS, false);
    scrub_it(text, SCRUB_STREAM, true);
    return 0;
}
