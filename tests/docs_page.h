/* SPDX-License-Identifier: Apache-2.0 */
/* Pages of docs/ that the program writes itself: a test for each holds the file against it. */
#ifndef PENSTOCK_TESTS_DOCS_PAGE_H
#define PENSTOCK_TESTS_DOCS_PAGE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "config/file.h"

/* The page of this name ("cli.md"), NUL-terminated behind len. Skips the test where the source tree
 * is not known, so call it before anything is allocated. */
static inline struct buf docs_page(const char *name) {
    const char *root = getenv("PENSTOCK_SOURCE_ROOT");
    char path[4096];
    struct buf page;
    struct err e;
    if (!root) skip();
    snprintf(path, sizeof path, "%s/docs/%s", root, name);
    buf_init(&page, 1 << 20);
    if (file_read(path, &page, &e) < 0) fail_msg("%s: %s", path, e.text);
    assert_int_equal(buf_append_byte(&page, '\0'), 0);
    page.len--;
    return page;
}

/* renew: the command that writes it. */
static inline void assert_page_is(const struct buf *page, struct slice want, const char *renew) {
    if (!slice_eq(buf_slice(page), want)) fail_msg("out of date; renew it: %s", renew);
}

#endif
