/* SPDX-License-Identifier: Apache-2.0 */
/* Command-line flags as tables: parsing, --help, docs/cli.md and completion come from the same
 * rows.
 *   --name value   --name=value   -n value   -nvalue   --bool   --no-bool   --bool=false   -ab
 * Flags and arguments may mix; "--" ends the flags; "-" alone is an argument. */
#ifndef PENSTOCK_CLI_FLAGS_H
#define PENSTOCK_CLI_FLAGS_H

#include "base/arena.h"
#include "base/err.h"
#include "config/config.h"

#define FLAG_LIST_MAX 256
struct text_list {
    const char *items[FLAG_LIST_MAX];
    unsigned n;
};
struct override_list {
    struct config_override items[FLAG_LIST_MAX];
    unsigned n;
};

enum flag_type {
    FLAG_BOOL,       /* bool */
    FLAG_TEXT,       /* const char * */
    FLAG_COUNT,      /* unsigned, uint64_t or int64_t; digits */
    FLAG_REAL,       /* double, not negative */
    FLAG_DURATION,   /* int64_t, nanoseconds */
    FLAG_TEXTS,      /* struct text_list; repeatable */
    FLAG_SETTING,    /* struct override_list; the value of the setting that the row names */
    FLAG_ANY_SETTING,/* the same; name=value */
    FLAG_NAMED,      /* struct override_list; the flag's own name and value, in order of coming */
    FLAG_NAMED_BOOL, /* the same, without an argument: "true" */
    FLAG_CUSTOM      /* what parse says */
};

/* Where a value goes: offset and size in the command's options struct. */
#define FLAG_FIELD(type, member)                                                                   \
    .offset = offsetof(type, member), .size = sizeof(((type *)0)->member)

struct flag {
    const char *name;          /* "config"; NULL ends a table */
    char letter;               /* 'c', or 0 */
    enum flag_type type;
    size_t offset, size;
    const char *argument;      /* "FILE" (files are completed), "DURATION" …; NULL for FLAG_BOOL */
    const char *default_text;  /* for help; a FLAG_BOOL with "true" is shown as --no-name */
    const char *choices;       /* "human|json": checked; NULL: anything */
    /* a row of the configuration: its description, default and choices apply */
    const char *setting;
    uint64_t max;              /* of a FLAG_COUNT; 0: no bound */
    int (*parse)(struct slice text, void *field, struct err *e);
    const char *description;
};

enum flags_result { FLAGS_OK, FLAGS_HELP };

/* What stands beside the flags. */
struct arguments {
    const char **items;
    unsigned n;
};

/* Fills options from argv[0 … argc-1] (without program and command name). FLAGS_OK, FLAGS_HELP when
 * -h or --help is among them, or -ERR_USAGE; e then names the flag, and the nearest one when it is
 * unknown. Texts are borrowed from argv or live in a. */
int flags_parse(const struct flag *flags, unsigned argc, char **argv, void *options,
                struct arena *a, struct arguments *out, struct err *e) MUST_CHECK;

/* For help, docs and completion; with the setting's words where the row names one. */
struct flag_doc {
    const char *description, *default_text;   /* default_text may be NULL */
    char choices[160];                        /* "a|b", or empty */
    const char *env;                          /* or NULL */
};
void flag_doc(const struct flag *f, struct flag_doc *out);
/* Takes no argument. */
bool flag_is_bool(const struct flag *f);
/* "--no-banner" for a bool that is on by default, else "--config". */
const char *flag_spelling(const struct flag *f, char *out, size_t size);

#endif
