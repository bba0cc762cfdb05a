/* SPDX-License-Identifier: Apache-2.0 */
/* Variables: the process's environment, behind it a .env file; and ${NAME} inside values. */
#ifndef PENSTOCK_CONFIG_ENV_H
#define PENSTOCK_CONFIG_ENV_H

#include "base/arena.h"
#include "config/report.h"

#define ENV_FILE_MAX_BYTES ((size_t)1 << 20)

struct env_var {
    struct env_var *next;
    struct slice name, value;   /* NUL-terminated */
};

struct env {
    const char *(*get)(const char *name);
    struct env_var *vars;       /* of the .env file, the last one first */
    const char *file;           /* its name, or NULL */
    struct arena *arena;
};

/* NAME=VALUE lines, `export ` before them, # comments, 'literal' and "escaped \n" values, which may
 * span lines. A malformed line is left out: a fault if is_strict, else a warning. Values never
 * appear in messages. text may be freed afterwards, source not. */
void env_parse_file(struct env *e, struct slice text, const char *source, bool is_strict,
                    struct report *r);
/* The environment's value, else .env's; NULL when neither has the name. Valid as long as the
 * arena. */
const char *env_get(const struct env *e, const char *name);

enum expand_result {
    EXPAND_SAME,        /* no variable in it; *out is the text, with $$ made $ */
    EXPAND_DONE,        /* *out holds values of variables: don't quote it in messages */
    EXPAND_FAILED
};
/* ${NAME}, ${NAME:-default} (also for an empty one), $$. On failure message (one line, arena) says
 * why and names the variable; it never holds a value. */
enum expand_result env_expand(const struct env *e, struct slice text, struct slice *out,
                              const char **out_message);

#endif
