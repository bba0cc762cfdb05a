/* SPDX-License-Identifier: Apache-2.0 */
/* Texts with {{…}} in them. Compiled when a scenario is read, so that an unknown name is a fault of
 * the file; filled in for each request. A compiled one lives in its arena and never changes. */
#ifndef PENSTOCK_MOCK_TEMPLATE_H
#define PENSTOCK_MOCK_TEMPLATE_H

#include "base/random.h"
#include "config/tree.h"
#include "mock/scenario.h"

struct template;

/* What is filled in. */
struct template_facts {
    const struct scenario_request *in;
    struct arena *arena;
    struct slice scenario;
    uint64_t n;                      /* which call of the scenario this is, from 1 */
    struct rng *rng;                 /* {{uuid}}, {{random}} */
    size_t room;                     /* bytes that may still be written; goes down */
};

/* A faulty one is reported at the place, under the path. Never NULL. */
struct template *template_compile(struct slice text, struct place at, const char *path,
                                  struct arena *a, struct report *r);
/* A YAML value as JSON text, with what its texts hold between {{ }} filled in and escaped. */
struct template *template_compile_json(const struct node *n, const char *path, struct arena *a,
                                       struct report *r);
/* In the facts' arena; cut at a character's border where f->room ends. ptr is never NULL. */
struct slice template_fill(const struct template *t, struct template_facts *f);
/* Bytes that are there whatever the request is. */
size_t template_bytes(const struct template *t);

/* Functions, for the documents: false past the end. */
bool template_docs_row(unsigned i, const char **out_form, const char **out_description);

#endif
