/* SPDX-License-Identifier: Apache-2.0 */
/* The one table of the mock's settings: `penstock mock --NAME`, a provider's key in `--config
 * FILE`, and a member of POST /penstock/config. Pure, any thread. */
#ifndef PENSTOCK_MOCK_SETTINGS_H
#define PENSTOCK_MOCK_SETTINGS_H

#include "base/buf.h"
#include "mock/options.h"

enum mock_setting_type {
    MOCK_SET_BOOL,        /* bool */
    MOCK_SET_TEXT,        /* const char *; an empty one is NULL */
    MOCK_SET_TEXTS,       /* const char *const *, and its count (unsigned) */
    MOCK_SET_COUNT,       /* unsigned or uint64_t */
    MOCK_SET_REAL,        /* double */
    MOCK_SET_DURATION,    /* int64_t, nanoseconds */
    MOCK_SET_CHOICE,      /* an enum: the place in choices */
    MOCK_SET_LAW,         /* struct law */
    MOCK_SET_BURST,       /* struct burst */
    MOCK_SET_OWN          /* what parse says; repeated values add up */
};

/* What a value may do, by where it comes from. */
enum mock_setting_use {
    MOCK_USE_PROVIDER,    /* may change while running */
    MOCK_USE_FIXED,       /* of a provider, from the start on */
    MOCK_USE_PROCESS      /* of all providers, from the start on */
};

struct mock_setting {
    const char *name;             /* "max_batch"; the flag is --max-batch */
    char letter;                  /* of the flag; 0: none */
    enum mock_setting_type type;
    enum mock_setting_use use;
    size_t offset, size;          /* of the field in struct mock_options */
    size_t count_offset;          /* TEXTS */
    const char *argument;         /* "TIME"; NULL for BOOL */
    const char *default_text;     /* as one would write it; NULL: none */
    const char *choices;          /* CHOICE: "a|b|c" */
    uint64_t max;                 /* COUNT; 0: no bound */
    /* OWN: all of it; TEXT: refuses what it may not be */
    int (*parse)(struct slice text, struct mock_options *o, struct arena *a, struct err *e);
    const char *description;      /* whole sentences, Markdown */
};

extern const struct mock_setting mock_settings[];
extern const unsigned mock_n_settings;

/* By name, '-' and '_' alike; NULL when there is none. */
const struct mock_setting *mock_setting_find(struct slice name);
/* Parses, checks and stores; lists grow by one. Memory is scope->arena's; the text is copied. What
 * the scope says of files holds for all settings: text from the network reads none. 0, or
 * -ERR_USAGE with what is wrong, without the setting's name. */
int mock_setting_store(const struct mock_setting *row, struct slice text, struct mock_options *o,
                       const struct law_scope *scope, struct err *e) MUST_CHECK;
/* Back to its default; a list is emptied. */
void mock_setting_reset(const struct mock_setting *row, struct mock_options *o);
bool mock_setting_is_given(const struct mock_setting *row, const struct mock_options *o);

/* ---- from files and control requests ---- */

/* A map of settings, YAML or JSON, over o. use_fixed: FIXED and PROCESS rows are allowed. Lists are
 * replaced. Faults with their places go to report. 0 or -ERR_USAGE, o is then half changed. */
int mock_settings_read(struct slice text, const char *source, bool use_fixed,
                       struct mock_options *o, struct arena *a, struct buf *report) MUST_CHECK;
/* A file of a whole mock: settings of all providers on top, and `providers: {NAME: {…}}` or a list
 * of maps. base: what the file starts from. out has room for MOCK_MAX_PROVIDERS. */
int mock_config_read(struct slice text, const char *source, const struct mock_options *base,
                     struct mock_options *out, unsigned *out_n, struct arena *a,
                     struct buf *report) MUST_CHECK;
/* All that is not a list or a secret, as a JSON object. */
int mock_settings_write(const struct mock_options *o, struct buf *out) MUST_CHECK;

#endif
