/* SPDX-License-Identifier: Apache-2.0 */
/* Places in JSON text, and what stands there in each dialect. Pure. */
#ifndef PENSTOCK_MOCK_WIRE_EDIT_H
#define PENSTOCK_MOCK_WIRE_EDIT_H

#include "mock/api.h"

/* The value at a path like "choices.0.delta.content"; false: there is none. */
bool json_at(struct slice json, const char *path, struct slice *out_value);

#define WIRE_MAX_PATHS 6

/* Lists end with NULL; NULL: the dialect has no such thing. */
struct wire_paths {
    const char *pieces[WIRE_MAX_PATHS];        /* texts of an event */
    const char *index, *id;                    /* of an event */
    const char *tokens[3];                     /* output tokens, of an event */
    const char *usage[3];
    /* of a whole answer */
    const char *list, *whole_index, *role, *finish, *finish_none;
    const char *arguments[3];
};
const struct wire_paths *wire_paths_of(const struct api *api);

#endif
