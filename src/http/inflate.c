/* SPDX-License-Identifier: Apache-2.0 */
#include "http/inflate.h"

#include <zlib.h>

#include "base/mem.h"

#define INFLATE_OUT_BYTES 16384
#define WINDOW_GZIP (15 + 16)
#define WINDOW_ZLIB 15
#define WINDOW_RAW (-15)

struct inflater {
    z_stream stream;
    enum inflate_format format;
    enum err_kind failed;
    bool is_open;          /* zlib is initialised */
    bool is_at_end;        /* a member is whole, nothing of another has come */
    bool has_more;
    bool has_first;        /* deflate: first byte seen, second not yet */
    unsigned char first;
    uint64_t in_bytes, out_bytes;
    unsigned char out[INFLATE_OUT_BYTES];
};

static voidpf zlib_alloc(voidpf self, uInt items, uInt size) {
    (void)self;
    return mem_zalloc((size_t)items * size);
}

static void zlib_free(voidpf self, voidpf address) {
    (void)self;
    mem_free(address);
}

struct inflater *inflater_new(enum inflate_format format) {
    struct inflater *z = mem_alloc(sizeof *z);
    memset(z, 0, offsetof(struct inflater, out));
    z->format = format;
    z->stream.zalloc = zlib_alloc;
    z->stream.zfree = zlib_free;
    return z;
}

void inflater_free(struct inflater **z) {
    if (!*z) {
        return;
    }
    if ((*z)->is_open) {
        inflateEnd(&(*z)->stream);
    }
    mem_free(*z);
    *z = NULL;
}

bool inflater_has_more(const struct inflater *z) {
    return z->has_more;
}

bool inflater_may_end(const struct inflater *z) {
    return z->is_at_end || z->in_bytes == 0;
}

static int fail(struct inflater *z, enum err_kind kind, const char *why, struct err *e) {
    z->failed = kind;
    return err_set(e, kind, "cannot decode the answer's %s body: %s",
                   z->format == INFLATE_GZIP ? "gzip" : "deflate", why);
}

/* Servers disagree on what "deflate" is. A zlib header is a multiple of 31 with method 8; a raw
 * stream that looks like one by chance starts with a stored or fixed block of odd shape, which no
 * encoder writes. */
static bool is_zlib_header(unsigned char first, unsigned char second) {
    return (first & 0x0f) == 8 && (first >> 4) <= 7 && ((unsigned)first << 8 | second) % 31 == 0;
}

/* Initialises zlib once the format is known. True when it is; false: more input is needed, all of
 * it was taken. */
static bool open_stream(struct inflater *z, struct slice in) {
    int window = WINDOW_GZIP;
    if (z->format == INFLATE_DEFLATE) {
        unsigned char bytes[2];
        unsigned n = 0;
        if (z->has_first) {
            bytes[n++] = z->first;
        }
        for (size_t i = 0; i < in.len && n < 2; i++) {
            bytes[n++] = (unsigned char)in.ptr[i];
        }
        if (n < 2) {
            z->first = n ? bytes[0] : z->first;
            z->has_first = n > 0;
            return false;
        }
        window = is_zlib_header(bytes[0], bytes[1]) ? WINDOW_ZLIB : WINDOW_RAW;
    }
    /* Memory does not run out here (base/mem.h), and the version is the one we were built with. */
    z->is_open = inflateInit2(&z->stream, window) == Z_OK;
    return true;
}

static bool is_over_ratio(const struct inflater *z) {
    return z->out_bytes > INFLATE_FREE_BYTES && z->out_bytes / INFLATE_MAX_RATIO > z->in_bytes;
}

/* One step of zlib over the stream's input. Returns 1: go on; 0: input used up or stopped;
 * negative: failed. */
static int inflate_step(struct inflater *z, inflate_sink_fn *sink, void *self, struct err *e) {
    if (z->is_at_end && z->stream.avail_in > 0) {
        if (z->format != INFLATE_GZIP) {
            return fail(z, ERR_PROTOCOL, "bytes follow its end", e);
        }
        inflateReset(&z->stream);
        z->is_at_end = false;
    }
    uInt before = z->stream.avail_in;
    z->stream.next_out = z->out;
    z->stream.avail_out = INFLATE_OUT_BYTES;
    int rc = inflate(&z->stream, Z_SYNC_FLUSH);
    size_t made = INFLATE_OUT_BYTES - z->stream.avail_out;
    z->in_bytes += before - z->stream.avail_in;
    z->out_bytes += made;
    if (rc != Z_OK && rc != Z_STREAM_END && rc != Z_BUF_ERROR) {
        return fail(z, ERR_PROTOCOL, z->stream.msg ? z->stream.msg : "corrupt", e);
    }
    if (is_over_ratio(z)) {
        return fail(z, ERR_LIMIT, "it expands to more than 1000 times its size", e);
    }
    z->is_at_end = rc == Z_STREAM_END;
    z->has_more = !z->is_at_end && z->stream.avail_out == 0;
    bool wants_more = made == 0 || sink(self, slice_make((const char *)z->out, made));
    if (made == 0 && z->stream.avail_in > 0 && z->stream.avail_in == before) {
        return fail(z, ERR_PROTOCOL, "corrupt", e);
    }
    return wants_more && (z->has_more || z->stream.avail_in > 0);
}

ssize_t inflater_feed(struct inflater *z, struct slice in, inflate_sink_fn *sink, void *self,
                      struct err *e) {
    if (z->failed) {
        return fail(z, z->failed, "it failed before", e);
    }
    if (!z->is_open && !open_stream(z, in)) {
        z->in_bytes += in.len;
        return (ssize_t)in.len;
    }
    if (!z->is_open) {
        return fail(z, ERR_INTERNAL, "zlib does not start", e);
    }
    if (z->has_first) {
        unsigned char first = z->first;
        z->has_first = false;
        z->in_bytes--;   /* it is counted again */
        ssize_t rc = inflater_feed(z, slice_make((const char *)&first, 1), sink, self, e);
        if (rc < 0) {
            return rc;
        }
    }
    z->stream.next_in = (unsigned char *)(uintptr_t)in.ptr;
    z->stream.avail_in = (uInt)in.len;
    int rc = 1;
    while (rc > 0) {
        rc = inflate_step(z, sink, self, e);
    }
    size_t used = in.len - z->stream.avail_in;
    z->stream.next_in = NULL;
    z->stream.avail_in = 0;
    return rc < 0 ? rc : (ssize_t)used;
}
