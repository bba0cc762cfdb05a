/* SPDX-License-Identifier: Apache-2.0 */
#include "token/ranks.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

uint64_t ranks_checksum(struct slice content) {
    uint64_t h = content.len;
    const unsigned char *p = (const unsigned char *)content.ptr;
    size_t len = content.len;
    for (; len >= 8; p += 8, len -= 8) {
        h = ranks_mix(h, ranks_load64(p));
    }
    for (; len > 0; p++, len--) {
        h = ranks_mix(h, *p);
    }
    return h;
}

static int bad(struct err *e, const char *what) {
    return err_set(e, ERR_PROTOCOL, "%s", what);
}

static int check_header(const struct ranks_header *h, size_t file_bytes, const char *name,
                        struct err *e) {
    char wanted[sizeof h->name] = "";
    strncpy(wanted, name, sizeof wanted - 1);
    if (memcmp(h->magic, RANKS_MAGIC, sizeof h->magic) != 0) return bad(e, "no file of token ranks");
    if (h->order != RANKS_ORDER) return bad(e, "made on a machine with another order of bytes");
    if (h->version != RANKS_VERSION) return bad(e, "made by another version of the program");
    if (memcmp(h->name, wanted, sizeof wanted) != 0) {
        return bad(e, "the ranks of another encoding");
    }
    uint64_t wanted_bytes = sizeof *h + (uint64_t)h->n_bytes +
                            4 * ((uint64_t)h->n_tokens + 1 + h->n_slots);
    if (wanted_bytes != file_bytes) return bad(e, "not of the length that its head says");
    bool sane = h->n_tokens >= 256 && h->n_tokens <= RANKS_TOKENS_MAX &&
                h->n_slots > h->n_tokens && (h->n_slots & (h->n_slots - 1)) == 0 &&
                h->longest_bytes >= 1 && h->longest_bytes <= RANKS_TOKEN_BYTES_MAX;
    return sane ? 0 : bad(e, "numbers in its head are out of bounds");
}

/* Every token lies in the bytes and has a length that callers have room for. */
static int check_offsets(const struct ranks *r, uint32_t n_bytes, struct err *e) {
    for (uint32_t i = 0; i < r->n_tokens; i++) {
        uint32_t from = r->offsets[i], to = r->offsets[i + 1];
        if (from >= to || to > n_bytes || to - from > r->longest_bytes) {
            return bad(e, "a token lies outside");
        }
    }
    return 0;
}

/* Every slot names a token, and some are free: a search ends. */
static int check_slots(const struct ranks *r, struct err *e) {
    uint32_t n_used = 0;
    for (uint32_t i = 0; i <= r->slot_mask; i++) {
        uint32_t id = r->slots[i] & RANKS_TOKENS_MAX;
        n_used += r->slots[i] != 0;
        if (r->slots[i] != 0 && (id == 0 || id > r->n_tokens)) {
            return bad(e, "a slot names no token");
        }
    }
    return n_used == r->n_tokens ? 0 : bad(e, "slots are not one for each token");
}

/* What cannot be merged is said byte by byte. */
static int check_single_bytes(const struct ranks *r, struct err *e) {
    for (unsigned b = 0; b < 256; b++) {
        unsigned char byte = (unsigned char)b;
        if (ranks_find(r, &byte, 1) == RANK_NONE) return bad(e, "a byte has no token");
    }
    return 0;
}

int ranks_open(struct slice file, const char *name, struct ranks *out, struct err *e) {
    struct ranks_header h;
    if (file.len < sizeof h) return bad(e, "no file of token ranks");
    memcpy(&h, file.ptr, sizeof h);
    int rc = check_header(&h, file.len, name, e);
    if (rc < 0) return rc;
    if (ranks_checksum(slice_from(file, sizeof h)) != h.checksum) return bad(e, "damaged");
    const uint32_t *numbers = (const void *)(file.ptr + sizeof h);
    *out = (struct ranks){
        .offsets = numbers,
        .slots = numbers + h.n_tokens + 1,
        .bytes = (const void *)(numbers + h.n_tokens + 1 + h.n_slots),
        .n_tokens = h.n_tokens,
        .slot_mask = h.n_slots - 1,
        .longest_bytes = h.longest_bytes,
    };
    if ((rc = check_offsets(out, h.n_bytes, e)) < 0 || (rc = check_slots(out, e)) < 0) return rc;
    return check_single_bytes(out, e);
}

static int map_file(int fd, struct slice *out, struct err *e) {
    struct stat st;
    if (fstat(fd, &st) < 0) return err_set_os(e, ERR_IO, errno, "cannot be read");
    if (!S_ISREG(st.st_mode) || st.st_size <= 0 || st.st_size > RANKS_FILE_BYTES_MAX) {
        return bad(e, "no file of token ranks");
    }
    void *at = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
    if (at == MAP_FAILED) return err_set_os(e, ERR_IO, errno, "cannot be mapped");
    *out = slice_make(at, (size_t)st.st_size);
    return 0;
}

int ranks_map(const char *path, const char *name, struct ranks *out, struct err *e) {
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return err_set_os(e, ERR_IO, errno, "cannot be opened");
    struct slice file = SLICE_NULL;
    int rc = map_file(fd, &file, e);
    close(fd);
    if (rc == 0 && (rc = ranks_open(file, name, out, e)) < 0) {
        munmap((void *)(uintptr_t)file.ptr, file.len);
    }
    return rc;
}
