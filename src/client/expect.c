/* SPDX-License-Identifier: Apache-2.0 */
#include "client/expect.h"

#include <inttypes.h>
#include <stdio.h>

static void next_item(struct expect *x) {
    x->count++;
    int n = snprintf(x->item, sizeof x->item, "%s%sn%" PRIu64, x->count > 1 ? " " : "", x->tag, x->count);
    x->item_len = (unsigned)n;
    x->at = 0;
}

void expect_start(struct expect *x, uint64_t number, uint64_t to) {
    *x = (struct expect){.to = to};
    snprintf(x->tag, sizeof x->tag, "s%" PRIu64, number % UINT64_C(1000000000000));
}

size_t expect_prompt(const struct expect *x, char *out, size_t size) {
    int n = snprintf(out, size, "count %s to %" PRIu64, x->tag, x->to);
    return n < 0 || (size_t)n >= size ? 0 : (size_t)n;
}

void expect_feed(struct expect *x, struct slice text) {
    while (text.len > 0 && !x->is_wrong) {
        if (x->at == x->item_len) {
            if (x->count == x->to) {
                x->is_wrong = true;       /* more than was asked for */
                return;
            }
            next_item(x);
        }
        size_t left = x->item_len - x->at;
        size_t n = text.len < left ? text.len : left;
        x->is_wrong = memcmp(text.ptr, x->item + x->at, n) != 0;
        x->at += (unsigned)n;
        text = slice_from(text, n);
    }
}

bool expect_is_met(const struct expect *x) {
    return !x->is_wrong && x->count == x->to && x->at == x->item_len;
}
