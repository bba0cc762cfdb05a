/* SPDX-License-Identifier: Apache-2.0 */
/* Where files of ranks are looked for. $PENSTOCK_DATA_DIR, if it is set, is the only place; else
 * share/penstock beside the program and up to two folders above it (a build tree, an installation),
 * and the folder that the build was told (--prefix). */
#ifndef PENSTOCK_TOKEN_FIND_H
#define PENSTOCK_TOKEN_FIND_H

#include <limits.h>

#include "token/ranks.h"

/* Maps NAME.ranks of the first place that has it. 0 with *out_path set, -ERR_IO when no place has
 * it, -ERR_PROTOCOL when that file cannot be used: then out_path says which, e says why. */
int ranks_find_file(const char *name, struct ranks *out, char out_path[PATH_MAX], struct err *e)
    MUST_CHECK;

#endif
