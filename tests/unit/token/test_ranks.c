/* SPDX-License-Identifier: Apache-2.0 */
/* Files of ranks: what is wrong with one is found before it is used. */
#include "token_test.h"

#include <stddef.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "token/find.h"
#include "token/ranks.h"

enum { TOKENS = 258, SLOTS = 1024, N_BYTES = 256 + 2 + 3 };

/* A file of the 256 bytes, "ab" and "abc". */
static void make_file(struct buf *out) {
    struct ranks_header h = {.magic = RANKS_MAGIC, .order = RANKS_ORDER,
                             .version = RANKS_VERSION, .name = "o200k_base", .n_tokens = TOKENS,
                             .n_slots = SLOTS, .n_bytes = N_BYTES, .longest_bytes = 3};
    uint32_t offsets[TOKENS + 1], slots[SLOTS] = {0};
    unsigned char bytes[N_BYTES];
    for (unsigned i = 0; i < 256; i++) bytes[i] = (unsigned char)i;
    memcpy(bytes + 256, "ababc", 5);
    for (unsigned i = 0; i <= 256; i++) offsets[i] = i;
    offsets[257] = 258;
    offsets[258] = 261;
    for (uint32_t id = 0; id < TOKENS; id++) {
        uint64_t hash = ranks_hash(bytes + offsets[id], offsets[id + 1] - offsets[id]);
        uint32_t at = (uint32_t)hash & (SLOTS - 1);
        while (slots[at]) at = (at + 1) & (SLOTS - 1);
        slots[at] = ranks_tag(hash) | (id + 1);
    }
    buf_reset(out);
    append(out, slice_make((const char *)&h, sizeof h));
    append(out, slice_make((const char *)offsets, sizeof offsets));
    append(out, slice_make((const char *)slots, sizeof slots));
    append(out, slice_make((const char *)bytes, sizeof bytes));
}

static struct ranks_header *header(struct buf *b) {
    return (void *)b->ptr;
}

static uint32_t *numbers(struct buf *b) {
    return (void *)(b->ptr + sizeof(struct ranks_header));
}

static void sign(struct buf *b) {
    header(b)->checksum = ranks_checksum(slice_from(buf_slice(b), sizeof(struct ranks_header)));
}

static void refused(struct buf *b, const char *why) {
    struct ranks r;
    struct err e;
    assert_int_equal(ranks_open(buf_slice(b), "o200k_base", &r, &e), -ERR_PROTOCOL);
    assert_string_equal(e.text, why);
}

static void test_tokens_are_found(void **state) {
    (void)state;
    struct buf b;
    struct ranks r;
    struct err e;
    buf_init(&b, 1 << 20);
    make_file(&b);
    sign(&b);
    assert_int_equal(ranks_open(buf_slice(&b), "o200k_base", &r, &e), 0);
    assert_int_equal(ranks_find(&r, (const unsigned char *)"ab", 2), 256);
    assert_int_equal(ranks_find(&r, (const unsigned char *)"abc", 3), 257);
    assert_int_equal(ranks_find(&r, (const unsigned char *)"a", 1), 'a');
    assert_int_equal(ranks_find(&r, (const unsigned char *)"bc", 2), RANK_NONE);
    assert_int_equal(ranks_find(&r, (const unsigned char *)"abcd", 4), RANK_NONE);
    buf_dispose(&b);
}

static void test_heads_that_are_wrong(void **state) {
    static const struct {
        size_t field;
        uint32_t value;
        const char *why;
    } rows[] = {
        {offsetof(struct ranks_header, magic), 1, "no file of token ranks"},
        {offsetof(struct ranks_header, order), 0x04030201, "made on a machine with another order of bytes"},
        {offsetof(struct ranks_header, version), 99, "made by another version of the program"},
        {offsetof(struct ranks_header, name), 'x', "the ranks of another encoding"},
        {offsetof(struct ranks_header, n_tokens), UINT32_MAX, "not of the length that its head says"},
        {offsetof(struct ranks_header, n_slots), 2 * SLOTS, "not of the length that its head says"},
        {offsetof(struct ranks_header, n_bytes), 0, "not of the length that its head says"},
        {offsetof(struct ranks_header, longest_bytes), 0, "numbers in its head are out of bounds"},
        {offsetof(struct ranks_header, longest_bytes), 257, "numbers in its head are out of bounds"},
        {offsetof(struct ranks_header, checksum), 1, "damaged"},
    };
    (void)state;
    struct buf b;
    buf_init(&b, 1 << 20);
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        make_file(&b);
        sign(&b);
        memcpy(b.ptr + rows[i].field, &rows[i].value, sizeof rows[i].value);
        refused(&b, rows[i].why);
    }
    make_file(&b);
    sign(&b);
    b.len = sizeof(struct ranks_header) - 1;
    refused(&b, "no file of token ranks");
    make_file(&b);
    sign(&b);
    b.len--;
    refused(&b, "not of the length that its head says");
    buf_dispose(&b);
}

/* Numbers that lead outside, in a file whose checksum is right. */
static void test_places_that_are_wrong(void **state) {
    enum { FIRST_SLOT = TOKENS + 1 };
    static const struct {
        unsigned number;
        uint32_t value;
        const char *why;
    } rows[] = {
        {TOKENS, N_BYTES + 1, "a token lies outside"},
        {0, UINT32_MAX, "a token lies outside"},
        {5, 4, "a token lies outside"},          /* goes back */
        {5, 6, "a token lies outside"},          /* an empty one behind it */
    };
    (void)state;
    struct buf b;
    buf_init(&b, 1 << 20);
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        make_file(&b);
        numbers(&b)[rows[i].number] = rows[i].value;
        sign(&b);
        refused(&b, rows[i].why);
    }
    make_file(&b);
    header(&b)->longest_bytes = 2;           /* "abc" is longer */
    sign(&b);
    refused(&b, "a token lies outside");
    make_file(&b);
    unsigned slot = FIRST_SLOT, free_slot = FIRST_SLOT;
    while (numbers(&b)[slot] == 0) slot++;
    while (numbers(&b)[free_slot] != 0) free_slot++;
    uint32_t was = numbers(&b)[slot];
    numbers(&b)[slot] = TOKENS + 1;
    sign(&b);
    refused(&b, "a slot names no token");
    numbers(&b)[slot] = 1u << RANKS_ID_BITS; /* a hash without an id */
    sign(&b);
    refused(&b, "a slot names no token");
    numbers(&b)[slot] = 0;
    sign(&b);
    refused(&b, "slots are not one for each token");
    numbers(&b)[slot] = was ^ 1u << RANKS_ID_BITS; /* not found any more */
    sign(&b);
    refused(&b, "a byte has no token");
    for (unsigned i = free_slot; i < FIRST_SLOT + SLOTS; i++) numbers(&b)[i] = 1; /* a full table */
    sign(&b);
    refused(&b, "slots are not one for each token");
    buf_dispose(&b);
}

/* ---- where it is looked for ---- */

static char folder[] = "/tmp/penstock-ranks-XXXXXX";

static void write_file(const char *name, struct slice content) {
    char path[200];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(content.ptr, 1, content.len, f), content.len);
    fclose(f);
}

static int find(const char *name, struct ranks *r, char path[PATH_MAX], struct err *e) {
    char *was = getenv("PENSTOCK_DATA_DIR");
    char *kept = was ? mem_dup_cstr(slice_cstr(was)) : NULL;
    setenv("PENSTOCK_DATA_DIR", folder, 1);
    int rc = ranks_find_file(name, r, path, e);
    if (kept) setenv("PENSTOCK_DATA_DIR", kept, 1);
    else unsetenv("PENSTOCK_DATA_DIR");
    mem_free(kept);
    return rc;
}

static void test_files_are_found_or_not(void **state) {
    (void)state;
    struct buf b;
    struct ranks r;
    struct err e;
    char path[PATH_MAX], name[200];
    buf_init(&b, 1 << 20);
    assert_non_null(mkdtemp(folder));
    assert_int_equal(find("o200k_base", &r, path, &e), -ERR_IO);
    assert_string_equal(path, "");
    make_file(&b);
    sign(&b);
    write_file("o200k_base.ranks", buf_slice(&b));
    assert_int_equal(find("o200k_base", &r, path, &e), 0);
    assert_int_equal(ranks_find(&r, (const unsigned char *)"abc", 3), 257);
    write_file("cl100k_base.ranks", SLICE("no ranks"));
    assert_int_equal(find("cl100k_base", &r, path, &e), -ERR_PROTOCOL);
    assert_string_equal(e.text, "no file of token ranks");
    assert_non_null(strstr(path, "cl100k_base.ranks"));
    snprintf(name, sizeof name, "%s/folder.ranks", folder);
    assert_int_equal(mkdir(name, 0700), 0);
    assert_int_equal(find("folder", &r, path, &e), -ERR_PROTOCOL);
    rmdir(name);
    for (unsigned i = 0; i < 2; i++) {
        snprintf(name, sizeof name, "%s/%s.ranks", folder, i ? "cl100k_base" : "o200k_base");
        unlink(name);
    }
    assert_int_equal(rmdir(folder), 0);
    buf_dispose(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tokens_are_found),
        cmocka_unit_test(test_heads_that_are_wrong),
        cmocka_unit_test(test_places_that_are_wrong),
        cmocka_unit_test(test_files_are_found_or_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
