/* SPDX-License-Identifier: Apache-2.0 */
/* Times like those of well-known models: --profile NAME. Orders of magnitude as they are usually
 * seen, not measurements of anybody's service today: for what must be exact, give laws. */
#ifndef PENSTOCK_MOCK_PROFILE_H
#define PENSTOCK_MOCK_PROFILE_H

#include "mock/options.h"

/* One row: settings by name, as one would write them. */
struct profile {
    const char *name;
    const char *settings;            /* "ttft=450ms itl=11ms …": no blanks inside a value */
    const char *description;
};

/* NULL past the end. */
const struct profile *profile_at(unsigned i);
const struct profile *profile_find(struct slice name);

/* Settings that the user did not give become what the profile says; after a profile was taken away,
 * the defaults. Memory is the arena's. */
void mock_profile_apply(struct mock_options *o, struct arena *a);
/* For settings.c: 0 or -ERR_USAGE, with a suggestion. */
int mock_profile_check(struct slice text, struct mock_options *o, struct arena *a, struct err *e);

#endif
