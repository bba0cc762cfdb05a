/* SPDX-License-Identifier: Apache-2.0 */
/* The text that the mock gives for "count TAG to N", checked as it comes, without storing it. */
#ifndef PENSTOCK_CLIENT_EXPECT_H
#define PENSTOCK_CLIENT_EXPECT_H

#include "base/slice.h"

struct expect {
    char tag[24];
    uint64_t count, to;        /* the item at hand, and the last one */
    char item[64];
    unsigned item_len, at;
    bool is_wrong;
};

/* number: of the request, which its tag is made of. The list goes from 1 to `to`. */
void expect_start(struct expect *x, uint64_t number, uint64_t to);
/* "count TAG to N" into out; returns its length. */
size_t expect_prompt(const struct expect *x, char *out, size_t size);
void expect_feed(struct expect *x, struct slice text);
/* True when all of the text came, and nothing else. */
bool expect_is_met(const struct expect *x);

#endif
