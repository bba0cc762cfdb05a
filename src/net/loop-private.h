/* SPDX-License-Identifier: Apache-2.0 */
/* What other files of this room hang on a loop. Both loops implement it. */
#ifndef PENSTOCK_NET_LOOP_PRIVATE_H
#define PENSTOCK_NET_LOOP_PRIVATE_H

#include "net/loop.h"

enum loop_slot { LOOP_SLOT_DNS, LOOP_SLOT_COUNT };

struct loop_attachment {
    void *ptr;                    /* NULL until somebody sets it */
    void (*dispose)(void *ptr);   /* loop_free calls it, before anything else, if ptr is set */
};

struct loop_attachment *loop_attachment(struct loop *l, enum loop_slot slot);

#endif
