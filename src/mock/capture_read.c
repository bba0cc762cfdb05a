/* SPDX-License-Identifier: Apache-2.0 */
/* A capture's file back into memory. Files are edited by hand and may come from anywhere. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json_scan.h"
#include "config/file.h"
#include "dialect/json_doc.h"
#include "dialect/json_text.h"
#include "mock/capture.h"

enum { FILE_DEPTH = WIRE_MAX_DEPTH + 4, SHOWN_NAME = 80 };
#define MAX_T_NS (INT64_C(1000) * 3600 * NS_PER_S)

struct reader {
    struct capture *c;
    struct arena *scratch;         /* of one line */
    bool has_meta, has_request, has_response, has_end;
    int64_t last_ns;
    uint32_t last_read;
};

/* ---- members ---- */

static int bad(struct err *e, const char *format, const char *name) {
    return err_set(e, ERR_USAGE, format, name);
}

/* One member that may be absent: found says. */
static bool member(struct slice object, const char *name, struct slice *out) {
    struct json_member m;
    if (!json_find_member(object, slice_cstr(name), &m)) {
        return false;
    }
    *out = m.value;
    return true;
}

static int read_string(struct slice object, const char *name, struct arena *a, struct slice *out,
                       struct err *e) {
    struct slice token;
    if (!member(object, name, &token)) {
        return 0;
    }
    if (!json_text_is(token, '"')) {
        return bad(e, "\"%s\" must be a string", name);
    }
    *out = arena_dup(a, json_text_string(token, a));
    return 0;
}

static int read_int(struct slice object, const char *name, int64_t min, int64_t max, int64_t *out,
                    struct err *e) {
    struct slice token;
    if (!member(object, name, &token)) {
        return 0;
    }
    if (!json_text_int(token, out) || *out < min || *out > max) {
        return err_set(e, ERR_USAGE, "\"%s\" must be a whole number from %" PRId64 " to %" PRId64,
                       name, min, max);
    }
    return 0;
}

static int read_bool(struct slice object, const char *name, bool *out, struct err *e) {
    struct slice token;
    if (!member(object, name, &token)) {
        return 0;
    }
    if (!slice_eq(token, SLICE("true")) && !slice_eq(token, SLICE("false"))) {
        return bad(e, "\"%s\" must be true or false", name);
    }
    *out = token.ptr[0] == 't';
    return 0;
}

static int read_time(struct slice object, int64_t *out, struct err *e) {
    return read_int(object, "t", 0, MAX_T_NS, out, e);
}

/* NULL in out: not base64. */
static struct slice unbase64(struct slice text, struct arena *a) {
    char *to = arena_alloc(a, text.len / 4 * 3 + 4);
    if (text.len % 4 != 0 || text.len > INT32_MAX) {
        return SLICE_NULL;
    }
    int len = text.len == 0 ? 0 : EVP_DecodeBlock((unsigned char *)to,
                                                  (const unsigned char *)text.ptr, (int)text.len);
    if (len < 0) {
        return SLICE_NULL;
    }
    for (size_t i = text.len; i > 0 && text.ptr[i - 1] == '=' && text.len - i < 2; i--) {
        len--;
    }
    return slice_make(to, len < 0 ? 0 : (size_t)len);
}

/* Text or base64, whichever is there; ptr NULL when neither is. */
static int read_bytes(struct slice object, const char *text_name, const char *base64_name,
                      struct arena *a, struct slice *out, struct err *e) {
    struct slice encoded = SLICE_NULL;
    int rc = read_string(object, text_name, a, out, e);
    if (rc == 0 && !out->ptr) {
        rc = read_string(object, base64_name, a, &encoded, e);
    }
    if (rc == 0 && encoded.ptr) {
        *out = unbase64(encoded, a);
        return out->ptr ? 0 : bad(e, "\"%s\" is not base64", base64_name);
    }
    return rc;
}

static int read_header(struct slice pair, struct arena *a, struct http_header *out, struct err *e) {
    struct json_walk w = json_walk_begin(pair);
    struct slice name, value, more;
    if (!json_text_is(pair, '[') || !json_walk_element(&w, &name) ||
        !json_walk_element(&w, &value) || json_walk_element(&w, &more) ||
        !json_text_is(name, '"') || !json_text_is(value, '"')) {
        return err_set(e, ERR_USAGE, "a header must be [\"name\",\"value\"]");
    }
    *out = (struct http_header){arena_dup(a, json_text_string(name, a)),
                                arena_dup(a, json_text_string(value, a))};
    if (!http_header_is_valid(out->name, out->value)) {
        return err_set(e, ERR_USAGE, "the header \"%.*s\" cannot be sent",
                       SLICE_FMT(slice_sub(out->name, 0, SHOWN_NAME)));
    }
    return 0;
}

static int read_headers(struct slice object, struct arena *a, struct http_header **out,
                        unsigned *out_n, struct err *e) {
    struct slice list, item;
    if (!member(object, "headers", &list)) {
        return 0;
    }
    if (!json_text_is(list, '[')) {
        return err_set(e, ERR_USAGE, "\"headers\" must be a list");
    }
    *out = arena_alloc(a, CAPTURE_MAX_HEADERS * sizeof **out);
    for (struct json_walk w = json_walk_begin(list); json_walk_element(&w, &item);) {
        if (*out_n == CAPTURE_MAX_HEADERS) {
            return err_set(e, ERR_USAGE, "more than %d headers", CAPTURE_MAX_HEADERS);
        }
        int rc = read_header(item, a, &(*out)[*out_n], e);
        if (rc < 0) {
            return rc;
        }
        ++*out_n;
    }
    return 0;
}

/* ---- lines ---- */

static int read_created(struct slice object, struct capture *c, struct err *e) {
    struct slice text = SLICE_NULL;
    struct tm tm = {0};
    int rc = read_string(object, "created", c->arena, &text, e);
    if (rc < 0 || text.len == 0) {
        return rc;
    }
    int n = sscanf(text.ptr, "%4d-%2d-%2dT%2d:%2d:%2dZ", &tm.tm_year, &tm.tm_mon, &tm.tm_mday,
                   &tm.tm_hour, &tm.tm_min, &tm.tm_sec);
    if (n != 6 || tm.tm_year < 1970 || tm.tm_mon < 1 || tm.tm_mon > 12) {
        return err_set(e, ERR_USAGE, "\"created\" must be a time such as 2025-01-31T12:00:00Z");
    }
    tm.tm_year -= 1900;
    tm.tm_mon--;
    c->created_s = (int64_t)timegm(&tm);
    return 0;
}

static int read_key(struct slice object, struct capture *c, struct err *e) {
    struct slice text = SLICE_NULL;
    int rc = read_string(object, "key", c->arena, &text, e);
    if (rc < 0 || text.len == 0) {
        return rc;
    }
    for (size_t i = 0; i < text.len; i++) {
        char h = text.ptr[i];
        if (text.len != CAPTURE_KEY_BYTES || !((h >= '0' && h <= '9') || (h >= 'a' && h <= 'f'))) {
            return err_set(e, ERR_USAGE, "\"key\" must be %d hex digits, or be left out",
                           CAPTURE_KEY_BYTES);
        }
    }
    memcpy(c->key, text.ptr, CAPTURE_KEY_BYTES);
    return 0;
}

static int read_meta(struct reader *r, struct slice line, struct err *e) {
    struct capture *c = r->c;
    int64_t version = 0;
    struct slice dialect = SLICE("");
    if (r->has_meta) {
        return err_set(e, ERR_USAGE, "a second head: one exchange a file");
    }
    r->has_meta = true;
    int rc = read_int(line, "penstock_capture", 0, INT64_MAX, &version, e);
    if (rc == 0 && version != 1) {
        return err_set(e, ERR_USAGE, "version %" PRId64 " is not known; this penstock reads 1",
                       version);
    }
    rc = rc < 0 ? rc : read_string(line, "dialect", c->arena, &dialect, e);
    rc = rc < 0 ? rc : read_string(line, "path", c->arena, &c->path, e);
    rc = rc < 0 ? rc : read_string(line, "model", c->arena, &c->model, e);
    rc = rc < 0 ? rc : read_bool(line, "stream", &c->stream, e);
    rc = rc < 0 ? rc : read_created(line, c, e);
    rc = rc < 0 ? rc : read_key(line, c, e);
    c->dialect = dialect.len ? dialect_find(dialect) : NULL;
    if (rc == 0 && dialect.len > 0 && !c->dialect) {
        return err_set(e, ERR_USAGE, "there is no dialect \"%.*s\"",
                       SLICE_FMT(slice_sub(dialect, 0, SHOWN_NAME)));
    }
    return rc;
}

static int read_request(struct reader *r, struct slice object, struct err *e) {
    struct capture *c = r->c;
    int64_t scrubbed = 0;
    struct slice body = SLICE_NULL;
    if (r->has_request) {
        return err_set(e, ERR_USAGE, "a second request: one exchange a file");
    }
    r->has_request = true;
    int rc = read_string(object, "method", c->arena, &c->method, e);
    rc = rc < 0 ? rc : read_string(object, "target", c->arena, &c->target, e);
    rc = rc < 0 ? rc
                : read_headers(object, c->arena, &c->request_headers, &c->n_request_headers, e);
    rc = rc < 0 ? rc : read_int(object, "scrubbed", 0, INT32_MAX, &scrubbed, e);
    c->request_scrubbed = (unsigned)scrubbed;
    if (rc == 0 && member(object, "body", &body)) {
        c->request_body = arena_dup(c->arena, body);
        return 0;
    }
    return rc < 0 ? rc
                  : read_bytes(object, "body_text", "body_base64", c->arena, &c->request_body, e);
}

static int read_response(struct reader *r, struct slice object, struct err *e) {
    struct capture *c = r->c;
    int64_t scrubbed = 0, status = 0;
    struct slice http = SLICE("1.1");
    if (r->has_response) {
        return err_set(e, ERR_USAGE, "a second response: one exchange a file");
    }
    r->has_response = true;
    int rc = read_time(object, &c->head_ns, e);
    rc = rc < 0 ? rc : read_int(object, "status", 200, 599, &status, e);
    rc = rc < 0 ? rc : read_string(object, "http", c->arena, &http, e);
    rc = rc < 0 ? rc : read_headers(object, c->arena, &c->headers, &c->n_headers, e);
    rc = rc < 0 ? rc : read_int(object, "scrubbed", 0, INT32_MAX, &scrubbed, e);
    rc = rc < 0 ? rc : read_bool(object, "decoded", &c->was_encoded, e);
    if (rc == 0 && status == 0) {
        return err_set(e, ERR_USAGE, "\"status\" is missing");
    }
    c->status = (unsigned)status;
    c->response_scrubbed = (unsigned)scrubbed;
    c->http_minor = !slice_eq(http, SLICE("1.0"));
    r->last_ns = c->head_ns;
    return rc;
}

static int read_chunk(struct reader *r, struct slice line, struct err *e) {
    struct slice bytes = SLICE_NULL;
    int64_t t_ns = r->last_ns, read = (int64_t)r->last_read + 1;
    if (!r->has_response) {
        return err_set(e, ERR_USAGE, "a piece of the body before the response");
    }
    int rc = read_time(line, &t_ns, e);
    rc = rc < 0 ? rc : read_int(line, "read", 1, UINT32_MAX - 1, &read, e);
    rc = rc < 0 ? rc : read_bytes(line, "text", "base64", r->scratch, &bytes, e);
    if (rc < 0) {
        return rc;
    }
    if (t_ns < r->last_ns || read < r->last_read) {
        return err_set(e, ERR_USAGE, "\"%s\" goes backwards", t_ns < r->last_ns ? "t" : "read");
    }
    r->last_ns = t_ns;
    r->last_read = (uint32_t)read;
    capture_add_chunk(r->c, t_ns, (unsigned)read, bytes);
    if (r->c->end == CAPTURE_TRUNCATED) {
        return err_set(e, ERR_LIMIT, "the body is larger than %zu MiB or has more than %d pieces",
                       CAPTURE_MAX_BODY_BYTES >> 20, CAPTURE_MAX_CHUNKS);
    }
    return 0;
}

static int read_end(struct reader *r, struct slice line, struct err *e) {
    struct capture *c = r->c;
    struct slice name = SLICE_NULL;
    if (!r->has_response) {
        return err_set(e, ERR_USAGE, "the end before the response");
    }
    r->has_end = true;
    c->end_ns = r->last_ns;
    int rc = read_string(line, "end", c->arena, &name, e);
    rc = rc < 0 ? rc : read_time(line, &c->end_ns, e);
    rc = rc < 0 ? rc : read_string(line, "why", c->arena, &c->why, e);
    if (rc == 0 && c->end_ns < r->last_ns) {
        return err_set(e, ERR_USAGE, "\"t\" goes backwards");
    }
    for (unsigned i = CAPTURE_COMPLETE; rc == 0 && i <= CAPTURE_TRUNCATED; i++) {
        if (slice_eq(name, slice_cstr(capture_end_name((enum capture_end)i)))) {
            c->end = (enum capture_end)i;
            return 0;
        }
    }
    return rc < 0 ? rc : err_set(e, ERR_USAGE, "\"end\" must be complete, cut, reset or truncated");
}

static int read_object(struct reader *r, struct slice line, struct err *e) {
    struct slice inner;
    if (member(line, "penstock_capture", &inner)) {
        return read_meta(r, line, e);
    }
    if (!r->has_meta) {
        return err_set(e, ERR_USAGE,
                       "not a capture: its first line must have \"penstock_capture\"");
    }
    if (r->has_end) {
        return err_set(e, ERR_USAGE, "something follows the end");
    }
    bool is_request = member(line, "request", &inner);
    if (is_request || member(line, "response", &inner)) {
        if (!json_text_is(inner, '{')) {
            return err_set(e, ERR_USAGE, "\"%s\" must be an object",
                           is_request ? "request" : "response");
        }
        return is_request ? read_request(r, inner, e) : read_response(r, inner, e);
    }
    if (member(line, "end", &inner)) {
        return read_end(r, line, e);
    }
    if (member(line, "text", &inner) || member(line, "base64", &inner)) {
        return read_chunk(r, line, e);
    }
    return err_set(e, ERR_USAGE, "neither request, response, text, base64 nor end");
}

static int read_line(struct reader *r, struct slice line, struct err *e) {
    int rc = json_scan_object(line, FILE_DEPTH, NULL, NULL, e);
    if (rc == 0 && slice_utf8_valid(line) != line.len) {
        rc = err_set(e, ERR_USAGE, "not UTF-8");
    }
    if (rc == 0) {
        r->scratch = arena_new();
        rc = read_object(r, line, e);
        arena_free(r->scratch);
    }
    return rc;
}

static int read_lines(struct reader *r, struct slice text, unsigned *out_line, struct err *e) {
    int rc = 0;
    while (text.len > 0 && rc == 0) {
        ptrdiff_t end = slice_index(text, '\n');
        struct slice line = slice_sub(text, 0, end < 0 ? text.len : (size_t)end);
        ++*out_line;
        text = slice_from(text, line.len + (end >= 0));
        if (!slice_is_blank(line)) {
            rc = read_line(r, line, e);
        }
    }
    if (rc == 0 && !(r->has_meta && r->has_request && r->has_response && r->has_end)) {
        return err_set(e, ERR_USAGE, "the file ends without its %s",
                       !r->has_meta       ? "head"
                       : !r->has_request  ? "request"
                       : !r->has_response ? "response"
                                          : "end");
    }
    return rc;
}

struct capture *capture_read(struct slice text, const char *source, struct err *e) {
    struct reader r = {.c = capture_new()};
    struct err why = {0};
    unsigned line = 0;
    if (read_lines(&r, text, &line, &why) < 0) {
        err_set(e, ERR_USAGE, "%s:%u: %s", source, line ? line : 1, why.text);
        capture_unref(&r.c);
        return NULL;
    }
    if (r.c->end == CAPTURE_COMPLETE && !r.c->dialect && r.c->path.len == 0) {
        r.c->path = r.c->target;
    }
    return r.c;
}

/* ---- files ---- */

struct capture *capture_load(const char *folder, const char *name, struct err *e) {
    char path[4096];
    struct buf text;
    struct stat st;
    struct err why;
    struct capture *c = NULL;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        err_set_os(e, ERR_IO, errno, "cannot open %s", path);
        return NULL;
    }
    buf_init(&text, CAPTURE_MAX_FILE_BYTES);
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
        err_set(e, ERR_USAGE, "%s is not a file", path);
    } else if (file_read_fd(fd, &text, &why) < 0) {
        err_set(e, why.kind, "%s: %s", path, why.text);
    } else {
        c = capture_read(buf_slice(&text), path, e);
    }
    buf_dispose(&text);
    close(fd);
    if (c) {
        snprintf(c->file, sizeof c->file, "%s", name);
    }
    return c;
}
