/* SPDX-License-Identifier: Apache-2.0 */
/* make_ranks ENCODING IN OUT: writes the file of ranks that ranks.h describes. IN is the module
 * that js-tiktoken carries for the encoding (dist/ranks/ENCODING.js or .cjs): JSON with a member
 * "bpe_ranks", a string of lines "! RANK TOKEN TOKEN …", tokens in base64, each one's rank one
 * more than the one's before. What was read is checked against the encoding's published digest. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/json_scan.h"
#include "base/mem.h"
#include "base/sha256.h"
#include "token/ranks.h"

enum { IN_BYTES_MAX = 32 << 20 };

/* SHA-256 of the encodings' lines "BASE64 RANK\n", as tiktoken checks them. */
static const struct published {
    const char *name, *digest;
} published[] = {
    {"o200k_base", "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d"},
    {"cl100k_base", "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7"},
};

struct maker {
    const struct published *encoding;
    struct buf bytes, offsets, lines;    /* offsets: uint32_t each, of the tokens' ends, too */
    uint32_t n_tokens, longest;
};

static _Noreturn void die(const char *what, const char *name) {
    fprintf(stderr, "make_ranks: %s: %s\n", name, what);
    exit(1);
}

static void must(int rc) {
    if (rc < 0) die("too large", "input");
}

/* ---- reading ---- */

static void read_file(const char *path, struct buf *out) {
    FILE *f = fopen(path, "rb");
    if (!f) die(strerror(errno), path);
    for (;;) {
        char *room = buf_reserve(out, 65536);
        if (!room) die("too large", path);
        size_t n = fread(room, 1, 65536, f);
        buf_commit(out, n);
        if (n == 0) break;
    }
    if (ferror(f)) die("cannot be read", path);
    fclose(f);
}

/* The body of the string behind "bpe_ranks":, unescaped. */
static void find_ranks(struct slice module, struct buf *out) {
    static const char key[] = "\"bpe_ranks\":\"";
    const char *at = memmem(module.ptr, module.len, key, sizeof key - 1);
    if (!at) die("holds no \"bpe_ranks\"", "input");
    struct slice rest = slice_from(module, (size_t)(at - module.ptr) + sizeof key - 1);
    ptrdiff_t len = slice_index(rest, '"');  /* neither base64 nor numbers have quotes */
    if (len < 0) die("\"bpe_ranks\" has no end", "input");
    must(json_unescape(out, slice_sub(rest, 0, (size_t)len)));
}

static int base64_value(char c) {
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

static void add_base64(struct maker *m, struct slice text) {
    unsigned bits = 0, n_bits = 0;
    if (text.len == 0 || text.len % 4 != 0) die("a token is no base64", "input");
    for (size_t i = 0; i < text.len && text.ptr[i] != '='; i++) {
        int value = base64_value(text.ptr[i]);
        if (value < 0) die("a token is no base64", "input");
        bits = (bits << 6 | (unsigned)value) & 0xffff;
        n_bits += 6;
        if (n_bits >= 8) {
            n_bits -= 8;
            must(buf_append_byte(&m->bytes, (char)(bits >> n_bits & 0xff)));
        }
    }
}

static void add_offset(struct maker *m) {
    uint32_t end = (uint32_t)m->bytes.len;
    must(buf_append(&m->offsets, slice_make((const char *)&end, sizeof end)));
}

static void add_token(struct maker *m, struct slice base64) {
    size_t before = m->bytes.len;
    add_base64(m, base64);
    add_offset(m);
    size_t len = m->bytes.len - before;
    if (len == 0 || len > RANKS_TOKEN_BYTES_MAX) die("a token is too long", "input");
    if (m->n_tokens == RANKS_TOKENS_MAX) die("too many tokens", "input");
    must(buf_append(&m->lines, base64));
    must(buf_appendf(&m->lines, " %u\n", m->n_tokens));
    m->longest = len > m->longest ? (uint32_t)len : m->longest;
    m->n_tokens++;
}

/* Cuts off what goes to the first of these bytes, or all. */
static struct slice take(struct slice *rest, char until) {
    ptrdiff_t at = slice_index(*rest, until);
    struct slice head = at < 0 ? *rest : slice_sub(*rest, 0, (size_t)at);
    *rest = slice_from(*rest, head.len + 1);
    return head;
}

static void read_line(struct maker *m, struct slice line) {
    uint64_t rank;
    if (!slice_eq(take(&line, ' '), SLICE("!")) ||
        !slice_to_u64(take(&line, ' '), RANKS_TOKENS_MAX, &rank) || rank != m->n_tokens) {
        die("its ranks are not in order", "input");
    }
    while (line.len > 0) add_token(m, take(&line, ' '));
}

static void read_ranks(struct maker *m, struct slice text) {
    add_offset(m);
    while (text.len > 0) {
        struct slice line = take(&text, '\n');
        if (line.len > 0) read_line(m, line);
    }
    char digest[SHA256_HEX_BYTES + 1];
    sha256_hex(buf_slice(&m->lines), digest);
    if (strcmp(digest, m->encoding->digest) != 0) {
        die("these are not the ranks that were published", m->encoding->name);
    }
}

/* ---- writing ---- */

static uint32_t *make_slots(const struct maker *m, uint32_t n_slots) {
    uint32_t *slots = mem_zalloc(n_slots * sizeof *slots);
    const uint32_t *offsets = (const void *)m->offsets.ptr;
    for (uint32_t id = 0; id < m->n_tokens; id++) {
        const unsigned char *token = (const unsigned char *)m->bytes.ptr + offsets[id];
        uint64_t hash = ranks_hash(token, offsets[id + 1] - offsets[id]);
        uint32_t at = (uint32_t)hash & (n_slots - 1);
        while (slots[at] != 0) at = (at + 1) & (n_slots - 1);
        slots[at] = ranks_tag(hash) | (id + 1);
    }
    return slots;
}

static void make_file(const struct maker *m, struct buf *out) {
    struct ranks_header h = {.order = RANKS_ORDER, .version = RANKS_VERSION,
                             .n_tokens = m->n_tokens, .n_slots = 1024,
                             .n_bytes = (uint32_t)m->bytes.len, .longest_bytes = m->longest};
    while (h.n_slots < 2 * m->n_tokens) h.n_slots *= 2;
    memcpy(h.magic, RANKS_MAGIC, sizeof h.magic);
    memcpy(h.name, m->encoding->name, strlen(m->encoding->name));
    uint32_t *slots = make_slots(m, h.n_slots);
    must(buf_append(out, slice_make((const char *)&h, sizeof h)));
    must(buf_append(out, buf_slice(&m->offsets)));
    must(buf_append(out, slice_make((const char *)slots, h.n_slots * sizeof *slots)));
    must(buf_append(out, buf_slice(&m->bytes)));
    mem_free(slots);
    h.checksum = ranks_checksum(slice_from(buf_slice(out), sizeof h));
    memcpy(out->ptr, &h, sizeof h);
}

/* All or nothing: running programs have the old file mapped. */
static void write_file(const char *path, struct slice content) {
    struct buf part;
    buf_init(&part, 1 << 16);
    must(buf_appendf(&part, "%s.part", path));
    must(buf_append_byte(&part, '\0'));
    FILE *f = fopen(part.ptr, "wb");
    if (!f) die(strerror(errno), part.ptr);
    bool is_written = fwrite(content.ptr, 1, content.len, f) == content.len;
    if (fclose(f) != 0 || !is_written || chmod(part.ptr, 0644) != 0 ||
        rename(part.ptr, path) != 0) {
        unlink(part.ptr);
        die(strerror(errno), path);
    }
    buf_dispose(&part);
}

static const struct published *find_encoding(const char *name) {
    for (unsigned i = 0; i < sizeof published / sizeof published[0]; i++) {
        if (strcmp(name, published[i].name) == 0) return &published[i];
    }
    die("unknown encoding", name);
}

int main(int argc, char **argv) {
    if (argc != 4) die("usage: make_ranks ENCODING IN OUT", "arguments");
    struct maker m = {.encoding = find_encoding(argv[1])};
    struct buf *all[] = {&m.bytes, &m.offsets, &m.lines, &(struct buf){0}, &(struct buf){0},
                         &(struct buf){0}};
    enum { N = sizeof all / sizeof all[0] };
    for (unsigned i = 0; i < N; i++) buf_init(all[i], IN_BYTES_MAX);
    struct buf *module = all[3], *ranks = all[4], *file = all[5];
    read_file(argv[2], module);
    find_ranks(buf_slice(module), ranks);
    read_ranks(&m, buf_slice(ranks));
    make_file(&m, file);
    struct ranks check;
    struct err e;
    if (ranks_open(buf_slice(file), argv[1], &check, &e) < 0) die(e.text, argv[1]);
    write_file(argv[3], buf_slice(file));
    for (unsigned i = 0; i < N; i++) buf_dispose(all[i]);
    return 0;
}
