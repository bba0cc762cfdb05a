/* SPDX-License-Identifier: Apache-2.0 */
/* tiktoken 0.12's table. Models of older encodings (text-davinci-003 …) are not here: they are
 * unknown, as those of other providers. */
#include "token/token.h"

struct row {
    const char *name;
    enum encoding encoding;
};

/* Whole names first. */
static const struct row models[] = {
    {"o1", ENCODING_O200K},
    {"o3", ENCODING_O200K},
    {"o4-mini", ENCODING_O200K},
    {"gpt-5", ENCODING_O200K},
    {"gpt-4.1", ENCODING_O200K},
    {"gpt-4o", ENCODING_O200K},
    {"gpt-4", ENCODING_CL100K},
    {"gpt-3.5-turbo", ENCODING_CL100K},
    {"gpt-3.5", ENCODING_CL100K},
    {"gpt-35-turbo", ENCODING_CL100K},
    {"davinci-002", ENCODING_CL100K},
    {"babbage-002", ENCODING_CL100K},
    {"text-embedding-ada-002", ENCODING_CL100K},
    {"text-embedding-3-small", ENCODING_CL100K},
    {"text-embedding-3-large", ENCODING_CL100K},
};

/* Then beginnings, in this order: "ft:gpt-4o" stands before "ft:gpt-4". */
static const struct row prefixes[] = {
    {"o1-", ENCODING_O200K},
    {"o3-", ENCODING_O200K},
    {"o4-mini-", ENCODING_O200K},
    {"gpt-5-", ENCODING_O200K},
    {"gpt-4.5-", ENCODING_O200K},
    {"gpt-4.1-", ENCODING_O200K},
    {"chatgpt-4o-", ENCODING_O200K},
    {"gpt-4o-", ENCODING_O200K},
    {"gpt-4-", ENCODING_CL100K},
    {"gpt-3.5-turbo-", ENCODING_CL100K},
    {"gpt-35-turbo-", ENCODING_CL100K},
    {"gpt-oss-", ENCODING_O200K},        /* o200k_harmony: the same but for special tokens */
    {"ft:gpt-4o", ENCODING_O200K},
    {"ft:gpt-4", ENCODING_CL100K},
    {"ft:gpt-3.5-turbo", ENCODING_CL100K},
    {"ft:davinci-002", ENCODING_CL100K},
    {"ft:babbage-002", ENCODING_CL100K},
};

enum encoding encoding_of_model(struct slice model) {
    for (unsigned i = 0; i < sizeof models / sizeof models[0]; i++) {
        if (slice_eq(model, slice_cstr(models[i].name))) return models[i].encoding;
    }
    for (unsigned i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++) {
        if (slice_starts_with(model, slice_cstr(prefixes[i].name))) return prefixes[i].encoding;
    }
    return ENCODING_O200K;
}
