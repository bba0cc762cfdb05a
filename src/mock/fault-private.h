/* SPDX-License-Identifier: Apache-2.0 */
/* What fault.c knows of parameters, for who writes of them. */
#ifndef PENSTOCK_MOCK_FAULT_PRIVATE_H
#define PENSTOCK_MOCK_FAULT_PRIVATE_H

#include "mock/fault.h"

enum fault_key_type { FAULT_KEY_NUMBER, FAULT_KEY_TIME, FAULT_KEY_SIZE, FAULT_KEY_CHOICE };

struct fault_key_row {
    const char *name, *argument;           /* argument NULL: one of the row's choices */
    enum fault_key_type type;
    int64_t max;
    const char *description;
};
extern const struct fault_key_row fault_keys[FAULT_KEY_COUNT];

struct fault_when_row {
    const char *name, *argument, *description;
};
extern const struct fault_when_row fault_when_keys[];     /* name NULL: the end */

#endif
