/* SPDX-License-Identifier: Apache-2.0 */
/* YAML text to a small tree that knows where each value stands. Only what a configuration needs:
 * anchors, aliases, merge keys, tags and further documents are refused, and so are duplicate keys;
 * text, depth and the number of values are limited. */
#ifndef PENSTOCK_CONFIG_TREE_H
#define PENSTOCK_CONFIG_TREE_H

#include "base/arena.h"
#include "config/report.h"

#define TREE_MAX_BYTES ((size_t)4 << 20)
#define TREE_MAX_DEPTH 32
#define TREE_MAX_NODES 50000
#define TREE_MAX_KEYS 4096 /* in one map */

enum node_kind { NODE_SCALAR, NODE_LIST, NODE_MAP };

/* A map's children carry their key. Everything lives in the arena. */
struct node {
    enum node_kind kind;
    bool is_plain;               /* a scalar without quotes */
    struct place at;
    struct place key_at;
    struct slice key;            /* NUL-terminated; in a map only */
    struct slice text;           /* NUL-terminated, well-formed UTF-8 without NUL; scalars only */
    struct node *first, *last, *next;
    unsigned n_children;
};

/* source names the text in faults; it is borrowed as long as the tree. Faults go to r.
 * Returns the root, or NULL when the document is empty or (r then has faults) broken. */
struct node *tree_parse(struct slice text, const char *source, struct arena *a, struct report *r);
/* An empty value, "~" or "null", unquoted: as if the key were not there. */
bool node_is_null(const struct node *n);
/* "a map", "a list", "a value": for messages. */
const char *node_kind_name(const struct node *n);

#endif
