/* SPDX-License-Identifier: Apache-2.0 */
/* How the mock fails on demand: one table. A row is asked for by the model name `fault/NAME`, by
 * the header x-penstock-fault, or by metadata.fault. */
#ifndef PENSTOCK_MOCK_FAULT_H
#define PENSTOCK_MOCK_FAULT_H

#include "dialect/event.h"

enum fault_kind {
    FAULT_STATUS,
    FAULT_CUT,
    FAULT_FIN,
    FAULT_STALL,
    FAULT_ERROR_EVENT,
    FAULT_SLOW_HEAD,
    FAULT_NO_DONE,
    FAULT_MALFORMED,
    FAULT_ECHO_HEADERS
};

struct mock_fault {
    const char *name;
    enum fault_kind kind;
    unsigned status;                          /* STATUS and ERROR_EVENT: the rest, too */
    const char *type, *code, *param, *message;
    unsigned retry_after_s;                   /* 0: no header */
    const char *description;
};

/* Faults in mid-stream strike after this many tokens. */
#define FAULT_AFTER_TOKENS 3

/* NULL: there is none of this name. */
const struct mock_fault *mock_fault_find(struct slice name);
void mock_fault_error(const struct mock_fault *f, struct api_error *out);

#endif
