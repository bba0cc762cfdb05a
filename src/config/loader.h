/* SPDX-License-Identifier: Apache-2.0 */
/* A configuration while it is being made. Room-private. The order of things:
 *
 *   load.c      defaults; .env; the file's tree                     (config_load)
 *   apply.c     tree → fields and drafts, environment variables and flags over them
 *   embedded.c  providers and models where the file has none, and the mock
 *   preset.c    what a provider's settings leave open
 *   check.c     what needs the whole picture: routes, addresses, credentials; drafts → arrays
 *
 * Every step goes on after a fault, so that all are found. */
#ifndef PENSTOCK_CONFIG_LOADER_H
#define PENSTOCK_CONFIG_LOADER_H

#include "config/settings.h"
#include "config/tree.h"

#define MAX_PROVIDERS 256
#define MAX_MODELS 4096
#define MAX_TARGETS 64
#define MAX_LISTEN 64

struct listen_draft {
    struct listen_draft *next;
    struct config_listen listen;
    struct place at;
};

struct loader {
    const struct config_sources *sources;
    struct arena *arena;               /* the configuration's */
    struct arena *scratch;             /* dies with the load: tree, drafts, .env */
    struct report report;
    struct env env;
    struct loaded *out;
    struct scope top;
    struct listen_draft *listen, **listen_end;
    struct provider_draft *providers, **providers_end;
    struct model_draft *models, **models_end;
    unsigned n_listen, n_providers, n_models;
    bool has_file, has_providers, has_models;   /* the file, and what it speaks of */
    bool has_key;                      /* OPENAI_API_KEY or another that the defaults read */
};

/* ---- apply.c ---- */

/* The document's root. */
void apply_root(struct loader *l, const struct node *root);
/* Environment variables of the rows; the process's and .env's. */
void apply_environment(struct loader *l);
/* --set, --workers and the like; after the providers are there. */
void apply_flags(struct loader *l);
/* A provider with the defaults of its rows; NULL when there are too many or the name is wrong. */
struct provider_draft *add_provider(struct loader *l, struct slice name, struct place at);
struct model_draft *add_model(struct loader *l, struct place at);
struct target_draft *add_target(struct loader *l, struct model_draft *m, struct place at);
struct scope provider_scope(struct loader *l, struct provider_draft *p);
/* Replaces the listeners by these: "a, b". */
void apply_listen_text(struct loader *l, struct slice text, struct place at, bool is_appended);

/* ---- embedded.c ---- */

void add_embedded(struct loader *l);

/* ---- preset.c ---- */

/* What the provider's settings leave open, from its preset. */
void preset_apply(struct loader *l, struct provider_draft *p);

/* ---- check.c ---- */

/* Fills out's arrays from the drafts. */
void check_and_freeze(struct loader *l);

/* ---- load.c ---- */

/* config_load with the file's text given; reads no file of its own but sources->env_file. For tests
 * and fuzzing. */
int config_load_text(const struct config_sources *sources, struct slice text, const char *name,
                     struct config **out, struct buf *report) MUST_CHECK;

#endif
