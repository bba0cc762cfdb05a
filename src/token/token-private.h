/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of this room know of each other. */
#ifndef PENSTOCK_TOKEN_TOKEN_PRIVATE_H
#define PENSTOCK_TOKEN_TOKEN_PRIVATE_H

#include <limits.h>

#include "token/pretoken.h"
#include "token/ranks.h"
#include "token/token.h"

struct tokenizer {
    enum encoding encoding;          /* PIECES: the rest is not set */
    struct pretokenizer pretokenizer;
    struct ranks ranks;
    char path[PATH_MAX];             /* of the file */
};

#endif
