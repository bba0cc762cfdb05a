/* SPDX-License-Identifier: Apache-2.0 */
/* A capture in memory, and as text; capture_read.c reads it back. */
#include "mock/capture.h"

#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/json_scan.h"
#include "base/mem.h"
#include "dialect/json_doc.h"
#include "dialect/json_write.h"
#include "dialect/request_read.h"

enum { ID_LOOK_BYTES = 16 << 10 };

struct capture *capture_new(void) {
    struct capture *c = mem_zalloc(sizeof *c);
    atomic_init(&c->refs, 1);
    c->arena = arena_new();
    c->http_minor = 1;
    return c;
}

struct capture *capture_ref(const struct capture *c) {
    struct capture *own = (struct capture *)(uintptr_t)c;
    atomic_fetch_add_explicit(&own->refs, 1, memory_order_relaxed);
    return own;
}

void capture_unref(struct capture **c) {
    struct capture *gone = *c;
    *c = NULL;
    if (gone && atomic_fetch_sub_explicit(&gone->refs, 1, memory_order_acq_rel) == 1) {
        arena_free(gone->arena);
        mem_free(gone->body);
        mem_free(gone->chunks);
        mem_free(gone);
    }
}

void capture_add_chunk(struct capture *c, int64_t t_ns, unsigned read, struct slice bytes) {
    if (c->end == CAPTURE_TRUNCATED || bytes.len == 0) {
        return;
    }
    if (bytes.len > CAPTURE_MAX_BODY_BYTES - c->body_len || c->n_chunks == CAPTURE_MAX_CHUNKS) {
        c->end = CAPTURE_TRUNCATED;
        return;
    }
    if (c->n_chunks == c->cap_chunks) {
        c->cap_chunks = c->cap_chunks ? 2 * c->cap_chunks : 16;
        c->chunks = mem_realloc(c->chunks, c->cap_chunks * sizeof *c->chunks);
    }
    if (bytes.len > c->body_cap - c->body_len) {
        c->body_cap = 2 * c->body_cap + bytes.len;
        c->body = mem_realloc(c->body, c->body_cap);
    }
    c->chunks[c->n_chunks++] = (struct capture_chunk){
        .t_ns = t_ns, .read = read, .off = (uint32_t)c->body_len, .len = (uint32_t)bytes.len};
    memcpy(c->body + c->body_len, bytes.ptr, bytes.len);
    c->body_len += bytes.len;
}

void capture_set_headers(struct capture *c, const struct http_headers *from, bool of_request) {
    unsigned n = from->count < CAPTURE_MAX_HEADERS ? from->count : CAPTURE_MAX_HEADERS;
    struct http_header *to = arena_alloc(c->arena, (n + 1) * sizeof *to);
    for (unsigned i = 0; i < n; i++) {
        to[i].name = arena_dup(c->arena, from->items[i].name);
        to[i].value = arena_dup(c->arena, from->items[i].value);
    }
    if (of_request) {
        c->request_headers = to;
        c->n_request_headers = n;
    } else {
        c->headers = to;
        c->n_headers = n;
    }
}

/* ---- what a provider calls it ---- */

struct slice capture_request_id(const struct http_headers *answer) {
    struct slice id = http_headers_get(answer, SLICE("x-request-id"));
    id = id.ptr ? id : http_headers_get(answer, SLICE("request-id"));
    return id.ptr ? id : SLICE("");
}

/* Of an answer, or of the first event of a stream, which may have it in it. */
static struct slice id_in(struct slice object, struct arena *a) {
    static const char *const inside[] = {"response", "message"};
    struct slice id = json_member_string(object, SLICE("id"), a);
    for (size_t i = 0; i < 2 && id.len == 0; i++) {
        struct slice answer = json_member(object, slice_cstr(inside[i]), a);
        id = json_member_string(answer, SLICE("id"), a);
    }
    return slice_utf8_valid(id) == id.len ? id : SLICE_NULL;
}

struct slice capture_response_id(struct slice body, struct arena *a) {
    body = slice_sub(body, 0, ID_LOOK_BYTES);
    ptrdiff_t brace = slice_index(body, '{');
    return brace < 0 ? SLICE_NULL : id_in(slice_from(body, (size_t)brace), a);
}

bool capture_is_stream(const struct capture *c) {
    const struct http_headers h = {c->headers, c->n_headers};
    struct slice type = http_headers_get(&h, SLICE("content-type"));
    return slice_eq_nocase(slice_sub(type, 0, 17), SLICE("text/event-stream"));
}

const char *capture_end_name(enum capture_end end) {
    static const char *const names[] = {"complete", "cut", "reset", "truncated"};
    return names[end];
}

/* ---- writing ---- */

static void w_text(struct json_writer *w, const char *text) {
    jw(w, slice_cstr(text));
}

static void w_named(struct json_writer *w, const char *before, struct slice value) {
    w_text(w, before);
    jw_string(w, value);
}

static void w_base64(struct json_writer *w, struct slice bytes) {
    size_t room = 4 * ((bytes.len + 2) / 3) + 1;
    char *to = w->rc == 0 ? buf_reserve(w->out, room) : NULL;
    if (!to) {
        w->rc = w->rc ? w->rc : -ERR_LIMIT;
        return;
    }
    const unsigned char *from = (const unsigned char *)bytes.ptr;
    int len = EVP_EncodeBlock((unsigned char *)to, from, (int)bytes.len);
    buf_commit(w->out, (size_t)len);
}

/* `,"text":"…"`, or base64 of what is no text. */
static void w_bytes(struct json_writer *w, const char *text_key, const char *base64_key,
                    struct slice bytes) {
    if (slice_utf8_valid(bytes) == bytes.len) {
        w_named(w, text_key, bytes);
        return;
    }
    w_text(w, base64_key);
    w_text(w, "\"");
    w_base64(w, bytes);
    w_text(w, "\"");
}

static void w_headers(struct json_writer *w, const struct http_header *items, unsigned n) {
    w_text(w, ",\"headers\":[");
    for (unsigned i = 0; i < n; i++) {
        w_named(w, i ? ",[" : "[", items[i].name);
        w_named(w, ",", items[i].value);
        w_text(w, "]");
    }
    w_text(w, "]");
}

static void w_time(struct json_writer *w, int64_t unix_s) {
    char text[CLOCK_TEXT_BYTES];
    clock_utc_text(unix_s, text);
    w_named(w, ",\"created\":", slice_cstr(text));
}

static void w_meta(struct json_writer *w, const struct capture *c) {
    w_named(w, "{\"penstock_capture\":1,\"dialect\":",
            slice_cstr(c->dialect ? c->dialect->name : ""));
    w_named(w, ",\"path\":", c->path);
    w_time(w, c->created_s);
    w_named(w, ",\"key\":", slice_cstr(c->key));
    w_named(w, ",\"model\":", c->model);
    w_text(w, c->stream ? ",\"stream\":true}\n" : ",\"stream\":false}\n");
}

static bool is_json_value(struct slice body) {
    struct json_doc doc;
    struct err ignored;
    bool is_object = body.len > 0 && (body.ptr[0] == '{' || body.ptr[0] == '[');
    if (!is_object || slice_utf8_valid(body) != body.len ||
        json_doc_parse(&doc, body, &ignored) < 0) {
        return false;
    }
    json_doc_free(&doc);
    return true;
}

static void w_scrubbed(struct json_writer *w, unsigned n) {
    if (n > 0) {
        w_text(w, ",\"scrubbed\":");
        jw_int(w, n);
    }
}

static void w_request(struct json_writer *w, const struct capture *c) {
    w_named(w, "{\"request\":{\"method\":", c->method);
    w_named(w, ",\"target\":", c->target);
    w_headers(w, c->request_headers, c->n_request_headers);
    w_scrubbed(w, c->request_scrubbed);
    if (c->request_body.len > 0 && is_json_value(c->request_body)) {
        w_text(w, ",\"body\":");
        jw_raw(w, c->request_body);
    } else if (c->request_body.len > 0) {
        w_bytes(w, ",\"body_text\":", ",\"body_base64\":", c->request_body);
    }
    w_text(w, "}}\n");
}

static void w_response(struct json_writer *w, const struct capture *c) {
    w_text(w, "{\"response\":{\"t\":");
    jw_int(w, c->head_ns);
    w_text(w, c->http_minor ? ",\"http\":\"1.1\",\"status\":" : ",\"http\":\"1.0\",\"status\":");
    jw_int(w, c->status);
    w_headers(w, c->headers, c->n_headers);
    w_scrubbed(w, c->response_scrubbed);
    w_text(w, c->was_encoded ? ",\"decoded\":true}}\n" : "}}\n");
}

static void w_chunk(struct json_writer *w, const struct capture *c, const struct capture_chunk *k) {
    w_text(w, "{\"t\":");
    jw_int(w, k->t_ns);
    w_text(w, ",\"read\":");
    jw_int(w, k->read);
    w_bytes(w, ",\"text\":", ",\"base64\":", slice_sub(capture_body(c), k->off, k->len));
    w_text(w, "}\n");
}

int capture_write(const struct capture *c, struct buf *out) {
    struct json_writer w = jw_begin(out);
    w_meta(&w, c);
    w_request(&w, c);
    w_response(&w, c);
    for (unsigned i = 0; i < c->n_chunks; i++) {
        w_chunk(&w, c, &c->chunks[i]);
    }
    w_named(&w, "{\"end\":", slice_cstr(capture_end_name(c->end)));
    w_text(&w, ",\"t\":");
    jw_int(&w, c->end_ns);
    if (c->why.len > 0) {
        w_named(&w, ",\"why\":", c->why);
    }
    w_text(&w, "}\n");
    return jw_end(&w);
}
