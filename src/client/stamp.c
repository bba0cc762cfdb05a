/* SPDX-License-Identifier: Apache-2.0 */
#include "client/stamp.h"

static bool take_number(struct slice *io, struct slice name, int64_t *out) {
    uint64_t ns;
    size_t digits = 0;
    if (!slice_starts_with(*io, name)) {
        return false;
    }
    struct slice rest = slice_from(*io, name.len);
    while (digits < rest.len && rest.ptr[digits] >= '0' && rest.ptr[digits] <= '9') {
        digits++;
    }
    if (!slice_to_u64(slice_sub(rest, 0, digits), INT64_MAX, &ns)) {
        return false;
    }
    *io = slice_from(rest, digits);
    *out = (int64_t)ns;
    return true;
}

bool stamp_parse(struct slice raw, struct stamp *out) {
    struct stamp s = {0, 0};
    struct slice rest = raw;
    if (!take_number(&rest, SLICE(": t="), &s.sent_ns)) {
        return false;
    }
    (void)take_number(&rest, SLICE(" due="), &s.due_ns);
    if (!slice_is_blank(rest)) {
        return false;
    }
    *out = s;
    return true;
}
