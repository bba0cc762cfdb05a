/* SPDX-License-Identifier: Apache-2.0 */
/* Inside the making of values: what holds at a place is a list of schemas, all of which must. */
#ifndef PENSTOCK_MOCK_SCHEMA_PRIVATE_H
#define PENSTOCK_MOCK_SCHEMA_PRIVATE_H

#include "base/random.h"
#include "mock/schema.h"
#include "mock/schema_check.h"

enum {
    VIEW_MAX = 24,
    FILL_MAX_DEPTH = 24,      /* of containers opened */
    FILL_LEAN_DEPTH = 6,      /* from here only what is required */
    FILL_MAX_VALUES = 1000,   /* from here, too */
    FILL_MAX_WORK = 8000,    /* values and tries, of all attempts together */
    FILL_MAX_ITEMS = 256,
    FILL_MAX_STRING = 4096,
    FILL_TRIES = 24           /* of a string, a number, an item */
};

struct filler {
    yyjson_val *root;
    struct rng rng;
    struct slice text;        /* the user's, for hints */
    size_t names_at, numbers_at;
    bool is_wild;
    bool is_lean;             /* as little as may be: the last tries */
    unsigned values;          /* made so far */
    unsigned work;            /* that may still be done */
    unsigned salt;            /* not 0: another value than before is wanted */
    struct buf *out;
};

/* The schemas that hold at one place, with references followed and alternatives chosen. */
struct view {
    yyjson_val *parts[VIEW_MAX];
    unsigned n;
    bool is_never;            /* false is among them */
};

/* schema_view.c */
void view_add(struct filler *f, struct view *v, yyjson_val *schema, bool is_lean);
unsigned view_types(const struct view *v);
/* The first that has the key. */
yyjson_val *view_get(const struct view *v, const char *key);
/* The strictest of all: the highest `least`, the lowest `most`. */
double view_least(const struct view *v, const char *key, double absent);
double view_most(const struct view *v, const char *key, double absent);
bool view_holds(struct filler *f, const struct view *v, yyjson_val *value);

/* schema_string.c, schema_number.c: 0 or -ERR_LIMIT */
int fill_string(struct filler *f, const struct view *v, struct slice name);
int fill_number(struct filler *f, const struct view *v, bool is_integer);
int append_quoted(struct buf *out, struct slice text) MUST_CHECK;
/* Long checks are work, too. */
static inline void charge_steps(struct filler *f, unsigned steps) {
    unsigned work = steps / 32;
    f->work = f->work > work ? f->work - work : 0;
}
/* False: all work that may be done has been done. */
static inline bool may_work(struct filler *f) {
    if (f->work > 0) {
        f->work--;
    }
    return f->work > 0;
}
/* One in n. */
static inline bool one_in(struct filler *f, unsigned n) {
    return rng_below(&f->rng, n) == 0;
}

#endif
