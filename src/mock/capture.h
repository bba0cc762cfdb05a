/* SPDX-License-Identifier: Apache-2.0 */
/* One recorded exchange, and its file: JSON Lines, for people to read, compare and edit.
 *
 *   {"penstock_capture":1,"dialect":"chat","path":"/chat/completions","created":"2025-…",
 *    "key":"32 hex digits","model":"gpt-4o","stream":true}
 *   {"request":{"method":"POST","target":"/v1/chat/completions","headers":[["name","value"],…],
 *    "body":{…}}}
 *   {"response":{"t":81000000,"http":"1.1","status":200,"headers":[["name","value"],…]}}
 *   {"t":81000000,"read":1,"text":"data: …\n\n"}
 *   …
 *   {"end":"complete","t":950000000}
 *
 * `t`: nanoseconds since the request came. A line with `text` (or `base64`, when the bytes are not
 * whole UTF-8) is one piece of the body as our HTTP client saw it: what one chunk of chunked
 * framing and one read from the socket have in common. Pieces of one `read` arrived together. A
 * request's body that is no JSON is `body_text` or `body_base64`. Header values that are not UTF-8
 * lose what is not. `scrubbed` in the request and the response tells how many places were
 * overwritten.
 *
 * key: whom the capture answers (capture_key.h). It is made from the request again when the file is
 * read and the request has its secrets still, so that an edited request counts. dialect is empty
 * for what is no dialect's endpoint. */
#ifndef PENSTOCK_MOCK_CAPTURE_H
#define PENSTOCK_MOCK_CAPTURE_H

#include <stdatomic.h>

#include "dialect/dialect.h"
#include "http/message.h"

#define CAPTURE_MAX_BODY_BYTES ((size_t)64 << 20)      /* of an answer */
#define CAPTURE_MAX_CHUNKS 1000000
#define CAPTURE_MAX_HEADERS 256
#define CAPTURE_MAX_FILE_BYTES ((size_t)192 << 20)
#define CAPTURE_KEY_BYTES 32                           /* hex digits */

/* How the answer ended: all of it came; its end came too early; the connection was reset; it was
 * more than we keep. */
enum capture_end { CAPTURE_COMPLETE, CAPTURE_CUT, CAPTURE_RESET, CAPTURE_TRUNCATED };

struct capture_chunk {
    int64_t t_ns;
    uint32_t read;                   /* counts from 1 */
    uint32_t off, len;               /* in the body */
};

/* Texts are the arena's; whoever makes one owns it until it is shared, then nobody changes it. */
struct capture {
    _Atomic unsigned refs;
    struct arena *arena;
    char file[200];                  /* its name without folder; empty: none yet */

    const struct dialect *dialect;   /* NULL: of no dialect */
    struct slice path;               /* of the endpoint, without /v1 */
    int64_t created_s;
    char key[CAPTURE_KEY_BYTES + 1];
    struct slice model;
    bool stream;

    struct slice method, target;
    struct http_header *request_headers;
    unsigned n_request_headers;
    struct slice request_body;
    unsigned request_scrubbed;

    unsigned status;
    unsigned http_minor;
    struct http_header *headers;
    unsigned n_headers;
    int64_t head_ns;
    bool was_encoded;                /* the body is decoded, its content-encoding is not told */
    unsigned response_scrubbed;

    char *body;                      /* from mem_alloc */
    size_t body_len, body_cap;
    struct capture_chunk *chunks;    /* from mem_alloc */
    unsigned n_chunks, cap_chunks;

    enum capture_end end;
    int64_t end_ns;
    struct slice why;                /* it was cut; may be empty */
};

struct capture *capture_new(void);
struct capture *capture_ref(const struct capture *c);
void capture_unref(struct capture **c);
static inline struct slice capture_body(const struct capture *c) {
    return slice_make(c->body, c->body_len);
}
/* As long as it fits: a capture above its limits becomes TRUNCATED and keeps no more. */
void capture_add_chunk(struct capture *c, int64_t t_ns, unsigned read, struct slice bytes);
/* Copies. */
void capture_set_headers(struct capture *c, const struct http_headers *from, bool of_request);
/* What a provider calls the request: x-request-id, or request-id. Empty: nothing. */
struct slice capture_request_id(const struct http_headers *answer);
/* The answer's own id, where the beginning of its body (whole, or a stream) has it; else empty. */
struct slice capture_response_id(struct slice body, struct arena *a);
/* A body of server-sent events. */
bool capture_is_stream(const struct capture *c);
const char *capture_end_name(enum capture_end end);

int capture_write(const struct capture *c, struct buf *out) MUST_CHECK;
/* text may be anything. NULL: e says what is wrong, "SOURCE:LINE: …". One that is TRUNCATED is read
 * as it is; key and request_scrubbed are as told. */
struct capture *capture_read(struct slice text, const char *source, struct err *e) MUST_CHECK;
/* A whole file. Blocks. */
struct capture *capture_load(const char *folder, const char *name, struct err *e) MUST_CHECK;

#endif
