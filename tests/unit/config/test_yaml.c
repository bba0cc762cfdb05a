/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "config/tree.h"

struct parsed {
    struct arena *arena;
    struct report report;
    struct node *root;
};

static struct parsed parse(struct slice text) {
    struct parsed p = {.arena = arena_new()};
    report_init(&p.report);
    p.root = tree_parse(text, "t.yaml", p.arena, &p.report);
    return p;
}

static void dispose(struct parsed *p) {
    report_dispose(&p->report);
    arena_free(p->arena);
}

static void test_tree_knows_places(void **state) {
    (void)state;
    struct parsed p = parse(SLICE("a: 1\nb:\n  - x\n  - {k: 'v w'}\n"));
    assert_non_null(p.root);
    assert_int_equal(p.root->kind, NODE_MAP);
    assert_int_equal(p.root->n_children, 2);
    const struct node *a = p.root->first, *b = a->next;
    assert_string_equal(a->key.ptr, "a");
    assert_string_equal(a->text.ptr, "1");
    assert_true(a->is_plain);
    assert_int_equal(a->at.line, 1);
    assert_int_equal(a->at.column, 4);
    assert_int_equal(b->kind, NODE_LIST);
    assert_int_equal(b->key_at.line, 2);
    const struct node *map = b->first->next;
    assert_int_equal(map->kind, NODE_MAP);
    assert_string_equal(map->first->key.ptr, "k");
    assert_string_equal(map->first->text.ptr, "v w");
    assert_false(map->first->is_plain);
    assert_int_equal(map->first->at.line, 4);
    assert_int_equal(map->first->at.column, 9);
    dispose(&p);
}

static void test_empty_is_no_fault(void **state) {
    static const char *const texts[] = {"", "# only a comment\n", "\n\n"};
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct parsed p = parse(slice_cstr(texts[i]));
        assert_null(p.root);
        assert_int_equal(p.report.n_faults, 0);
        dispose(&p);
    }
}

static void test_null_words(void **state) {
    (void)state;
    static const bool expected[] = {true, true, false, false, false};
    struct parsed p = parse(SLICE("[~, null, '', \"null\", x]"));
    unsigned i = 0;
    for (const struct node *n = p.root->first; n; n = n->next, i++) {
        assert_int_equal(node_is_null(n), expected[i]);
    }
    assert_int_equal(i, 5);
    dispose(&p);
}

static const struct {
    const char *text, *expected;
} refused[] = {
    {"a: &x 1\n", "t.yaml:1:4: anchors (&name) are not supported"},
    {"a: *x\n", "t.yaml:1:4: aliases (*name) are not supported"},
    {"a: 1\nb: {<<: {c: 1}}\n", "t.yaml:2:5: merge keys (<<) are not supported"},
    {"a: !!int 1\n", "t.yaml:1:4: tags (!name) are not supported"},
    {"a: 1\n---\nb: 2\n", "t.yaml:2:1: a second document (---)"},
    {"a: 1\nb: 2\na: 3\n", "t.yaml:3:1: a is given twice, first in line 1"},
    {"a: {b: 1, b: 2}\n", "t.yaml:1:11: b is given twice, first in line 1"},
    {"{[a]: 1}\n", "t.yaml:1:2: a key must be a plain word"},
    {"a: [1\n", "not valid YAML"},
    {"a: \"x\\0y\"\n", "t.yaml:1:4: a NUL character"},
    {"a:\n\tb: 1\n", "indent with blanks, not tabs"},
    {"a: {b: ${X}}\n", "${...} inside { } or [ ] needs quotes"},
    {"a: \x01\n", "t.yaml:1:4: not valid YAML"},
    {"a: \xff\n", "t.yaml:1:4: not valid YAML"},
};

static void test_refused(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        struct parsed p = parse(slice_cstr(refused[i].text));
        assert_int_equal(buf_append_byte(&p.report.faults, '\0'), 0);
        if (p.report.n_faults == 0 || !strstr(p.report.faults.ptr, refused[i].expected)) {
            fail_msg("case %zu: expected %s\ngot %s", i, refused[i].expected, p.report.faults.ptr);
        }
        dispose(&p);
    }
}

static void test_depth_is_limited(void **state) {
    (void)state;
    for (size_t depth = TREE_MAX_DEPTH - 1; depth <= TREE_MAX_DEPTH + 1; depth++) {
        char text[2 * TREE_MAX_DEPTH + 8];
        memset(text, '[', depth);
        memset(text + depth, ']', depth);
        struct parsed p = parse(slice_make(text, 2 * depth));
        assert_int_equal(p.root != NULL, depth <= TREE_MAX_DEPTH);
        dispose(&p);
    }
}

/* Ten million brackets must cost nothing: the depth ends it, and the size before that. */
static void test_hostile_sizes(void **state) {
    (void)state;
    size_t len = TREE_MAX_BYTES;
    char *text = mem_alloc(len + 1);
    memset(text, '[', len + 1);
    struct parsed deep = parse(slice_make(text, len));
    assert_int_equal(deep.report.n_faults, 1);
    dispose(&deep);
    struct parsed large = parse(slice_make(text, len + 1));
    assert_int_equal(large.report.n_faults, 1);
    assert_int_equal(buf_append_byte(&large.report.faults, '\0'), 0);
    assert_non_null(strstr(large.report.faults.ptr, "larger than 4 MiB"));
    dispose(&large);
    mem_free(text);
}

static void test_counts_are_limited(void **state) {
    (void)state;
    struct buf text;
    int rc = 0;
    buf_init(&text, 1 << 20);
    for (unsigned i = 0; i <= TREE_MAX_NODES; i++) rc |= buf_append(&text, SLICE("- a\n"));
    struct parsed list = parse(buf_slice(&text));
    assert_null(list.root);
    dispose(&list);
    buf_reset(&text);
    for (unsigned i = 0; i <= TREE_MAX_KEYS; i++) rc |= buf_appendf(&text, "k%u: 1\n", i);
    struct parsed map = parse(buf_slice(&text));
    assert_null(map.root);
    dispose(&map);
    assert_int_equal(rc, 0);
    buf_dispose(&text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tree_knows_places), cmocka_unit_test(test_empty_is_no_fault),
        cmocka_unit_test(test_null_words),        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_depth_is_limited),  cmocka_unit_test(test_hostile_sizes),
        cmocka_unit_test(test_counts_are_limited),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
