/* SPDX-License-Identifier: Apache-2.0 */
/* The one table of all settings, and how a row's value gets from text into its field and back.
 * Room-private: others see it through config_setting_docs. */
#ifndef PENSTOCK_CONFIG_SETTINGS_H
#define PENSTOCK_CONFIG_SETTINGS_H

#include "config/config.h"
#include "config/env.h"
#include "config/report.h"

enum setting_type {
    SET_STRING,     /* const char *; NULL when empty. With choices: one of them. */
    SET_SECRET,     /* the same, never printed */
    SET_BOOL,       /* bool */
    SET_INT,        /* unsigned or uint64_t */
    SET_BYTES,      /* uint64_t */
    SET_DURATION,   /* int64_t, nanoseconds */
    SET_ENUM,       /* an enum; the index into choices */
    SET_STRINGS,    /* const char *const *, NULL-terminated */
    SET_LISTEN,     /* the rest has no field: structures that load.c builds */
    SET_PROVIDERS,
    SET_MODELS,
    SET_TARGETS,
    SET_RESERVED,   /* a key of a later version */
};

/* What a row's offset counts from is said by the front of its name:
 *   providers.*          struct config_provider
 *   models.*.targets.*   struct target_draft
 *   models.*             struct model_draft
 *   listen.*             struct config_listen
 *   anything else        struct loaded */
struct setting {
    const char *name;
    enum setting_type type;
    size_t offset, size;          /* of the field */
    const char *default_text;     /* NULL: none */
    /* as one would write them; NULL: no bound. A text with min "1" may not be empty. */
    const char *min, *max;
    const char *unit;             /* of a SET_INT: "threads" */
    const char *zero;             /* a word that stands for 0: "auto", "off", "unlimited" */
    const char *const *choices;   /* NULL-terminated */
    const char *env, *flag;
    const char *description;      /* Markdown; whole sentences */
};

extern const struct setting settings[];
extern const unsigned n_settings;

struct model_draft {
    struct model_draft *next;
    const char *name, *provider, *model;
    enum model_strategy strategy;
    struct target_draft *targets, *last_target;
    bool has_targets;             /* the long form was used, however badly */
    struct place at;
    struct place *places;         /* one a row; a NULL source: not given */
};
struct target_draft {
    struct target_draft *next;
    const char *provider, *model;
    struct place at;
    struct place *places;
};
struct provider_draft {
    struct provider_draft *next;
    struct config_provider p;
    struct place at;
    struct place *places;
};

/* The whole of what config_load makes: the part that all rooms see, and where it all came from. */
struct loaded {
    struct config config;         /* first: config_show gets here from it */
    const char *tls_cert, *tls_key;
    struct place *places;
    struct place **provider_places;
    struct place *model_places, *listen_places;
};

/* A struct whose fields rows describe, while it is being filled. */
struct scope {
    void *base;
    const char *prefix;           /* of the rows: "" or "providers.*" */
    const char *path;             /* for messages: "" or "providers.openai" */
    struct place *places;
};

/* One scalar on its way into a field. */
struct scalar {
    struct slice text;            /* NUL-terminated */
    struct place at;
    const char *path;
    const char *shown;            /* how messages quote it; NULL: not at all */
    bool is_appended;             /* to a list: behind what is there */
};

/* By full dotted name; NULL when there is none. */
const struct setting *setting_find(struct slice name);
static inline unsigned setting_index(const struct setting *row) {
    return (unsigned)(row - settings);
}
/* Does a row's name begin with these, segment by segment: "log" of "log.level"? */
bool setting_is_below(const struct setting *row, struct slice group);
/* "enum(a|b)", "duration": the type's name for docs. */
const char *setting_type_text(const struct setting *row, char *out, size_t size);

/* Parses, checks and stores. False: a fault is reported and the field is as before. */
bool setting_store(const struct setting *row, const struct scope *s, const struct scalar *v,
                   struct arena *a, struct report *r);
/* All rows of the prefix (not those further below) get their default. */
void setting_store_defaults(const struct scope *s, struct arena *a);
/* A new array of n_settings places, none given, and one more for the struct as a whole. */
struct place *setting_places_new(struct arena *a);
/* The row's value as YAML on one line; secrets as "***"; nothing for an empty string. */
int setting_print(const struct setting *row, const void *base, struct buf *out) MUST_CHECK;
/* A double-quoted YAML scalar with ${ and $$ kept from being expanded. */
int yaml_print_string(const char *text, struct buf *out) MUST_CHECK;

#endif
