/* SPDX-License-Identifier: Apache-2.0 */
/* "Did you mean …?": the nearest of the words that are offered, by edit distance (insertion,
 * deletion, substitution and swap of neighbours count one each; case counts nothing). */
#ifndef PENSTOCK_CONFIG_SUGGEST_H
#define PENSTOCK_CONFIG_SUGGEST_H

#include "base/slice.h"

struct suggestion {
    struct slice word;      /* what the user wrote; borrowed */
    struct slice nearest;   /* ptr NULL: nothing near enough yet. The winner is borrowed. */
    unsigned distance;
};

void suggestion_init(struct suggestion *s, struct slice word);
void suggestion_offer(struct suggestion *s, struct slice candidate);

#endif
