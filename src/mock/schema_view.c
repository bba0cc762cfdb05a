/* SPDX-License-Identifier: Apache-2.0 */
#include "mock/schema-private.h"

enum { COST_DEPTH = 8, COST_STEPS = 400, CHECK_STEPS = 20000 };

/* ---- which alternative ends soonest ---- */

struct costing {
    yyjson_val *root;
    unsigned steps;
};

static unsigned cost_of(struct costing *c, yyjson_val *schema, unsigned depth);

static unsigned cost_of_members(struct costing *c, yyjson_val *schema, unsigned depth) {
    yyjson_val *properties = yyjson_obj_get(schema, "properties"), *name;
    size_t i, max;
    unsigned most = 0;
    yyjson_arr_foreach(yyjson_obj_get(schema, "required"), i, max, name) {
        struct slice key = schema_text(name);
        yyjson_val *own = key.ptr ? yyjson_obj_getn(properties, key.ptr, key.len) : NULL;
        unsigned cost = own ? 1 + cost_of(c, own, depth + 1) : 0;
        most = cost > most ? cost : most;
    }
    return most;
}

static unsigned least_of(struct costing *c, yyjson_val *list, unsigned depth) {
    size_t i, max;
    yyjson_val *one;
    unsigned least = COST_DEPTH;
    yyjson_arr_foreach(list, i, max, one) {
        unsigned cost = cost_of(c, one, depth);
        least = cost < least ? cost : least;
    }
    return least;
}

/* How deep its smallest value is; COST_DEPTH: perhaps without end. */
static unsigned cost_of(struct costing *c, yyjson_val *schema, unsigned depth) {
    if (depth >= COST_DEPTH || c->steps == 0) {
        return COST_DEPTH;
    }
    c->steps--;
    yyjson_val *target = schema_target(c->root, schema_text(yyjson_obj_get(schema, "$ref")));
    yyjson_val *any = yyjson_obj_get(schema, "anyOf");
    any = any ? any : yyjson_obj_get(schema, "oneOf");
    unsigned cost = target ? cost_of(c, target, depth + 1) : 0;
    unsigned of_members = cost_of_members(c, schema, depth);
    unsigned of_items = 0, of_any = yyjson_arr_size(any) > 0 ? least_of(c, any, depth + 1) : 0;
    if (schema_number(schema, "minItems", 0) > 0) {
        of_items = 1 + cost_of(c, yyjson_obj_get(schema, "items"), depth + 1);
    }
    cost = of_members > cost ? of_members : cost;
    cost = of_items > cost ? of_items : cost;
    return of_any > cost ? of_any : cost;
}

static yyjson_val *cheapest(struct filler *f, yyjson_val *list) {
    struct costing c = {f->root, COST_STEPS};
    size_t i, max;
    yyjson_val *one, *best = NULL;
    unsigned least = UINT32_MAX;
    yyjson_arr_foreach(list, i, max, one) {
        unsigned cost = cost_of(&c, one, 0);
        if (cost < least) {
            least = cost;
            best = one;
        }
    }
    return best;
}

/* The first one is the usual one. */
static yyjson_val *choose(struct filler *f, yyjson_val *list, bool is_lean) {
    size_t n = yyjson_arr_size(list);
    if (n == 0) {
        return NULL;
    }
    if (is_lean) {
        return cheapest(f, list);
    }
    bool is_first = !f->is_wild && f->salt == 0;
    return yyjson_arr_get(list, is_first ? 0 : (size_t)rng_below(&f->rng, n));
}

/* ---- gathering ---- */

static bool is_in(const struct view *v, yyjson_val *schema) {
    for (unsigned i = 0; i < v->n; i++) {
        if (v->parts[i] == schema) {
            return true;
        }
    }
    return false;
}

static void add_condition(struct filler *f, struct view *v, yyjson_val *schema, bool is_lean) {
    yyjson_val *when = yyjson_obj_get(schema, "if");
    if (!when) {
        return;
    }
    if (f->salt == 0 || one_in(f, 2)) {
        view_add(f, v, when, is_lean);
        view_add(f, v, yyjson_obj_get(schema, "then"), is_lean);
    } else {
        view_add(f, v, yyjson_obj_get(schema, "else"), is_lean);
    }
}

void view_add(struct filler *f, struct view *v, yyjson_val *schema, bool is_lean) {
    size_t i, max;
    yyjson_val *one;
    v->is_never |= yyjson_is_false(schema);
    if (!yyjson_is_obj(schema) || v->n == VIEW_MAX || is_in(v, schema)) {
        return;
    }
    v->parts[v->n++] = schema;
    view_add(f, v, schema_target(f->root, schema_text(yyjson_obj_get(schema, "$ref"))), is_lean);
    yyjson_arr_foreach(yyjson_obj_get(schema, "allOf"), i, max, one) {
        view_add(f, v, one, is_lean);
    }
    view_add(f, v, choose(f, yyjson_obj_get(schema, "anyOf"), is_lean), is_lean);
    view_add(f, v, choose(f, yyjson_obj_get(schema, "oneOf"), is_lean), is_lean);
    add_condition(f, v, schema, is_lean);
}

/* ---- what all of them say ---- */

/* Words that speak of one type alone. */
static unsigned implied_types(yyjson_val *schema) {
    static const struct {
        const char *key;
        unsigned bits;
    } words[] = {{"properties", SCHEMA_OBJECT},       {"required", SCHEMA_OBJECT},
                 {"additionalProperties", SCHEMA_OBJECT}, {"patternProperties", SCHEMA_OBJECT},
                 {"minProperties", SCHEMA_OBJECT},    {"propertyNames", SCHEMA_OBJECT},
                 {"items", SCHEMA_ARRAY},             {"prefixItems", SCHEMA_ARRAY},
                 {"minItems", SCHEMA_ARRAY},          {"contains", SCHEMA_ARRAY},
                 {"minLength", SCHEMA_STRING},        {"maxLength", SCHEMA_STRING},
                 {"pattern", SCHEMA_STRING},          {"format", SCHEMA_STRING},
                 {"minimum", SCHEMA_NUMBER},          {"maximum", SCHEMA_NUMBER},
                 {"exclusiveMinimum", SCHEMA_NUMBER}, {"exclusiveMaximum", SCHEMA_NUMBER},
                 {"multipleOf", SCHEMA_NUMBER}};
    unsigned bits = 0;
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        bits |= yyjson_obj_get(schema, words[i].key) ? words[i].bits : 0;
    }
    return bits;
}

unsigned view_types(const struct view *v) {
    unsigned types = SCHEMA_ANY, implied = 0;
    for (unsigned i = 0; i < v->n; i++) {
        types &= schema_types(v->parts[i]);
        implied |= implied_types(v->parts[i]);
    }
    return types == SCHEMA_ANY && implied ? implied : types;
}

yyjson_val *view_get(const struct view *v, const char *key) {
    yyjson_val *found = NULL;
    for (unsigned i = 0; i < v->n && !found; i++) {
        found = yyjson_obj_get(v->parts[i], key);
    }
    return found;
}

double view_least(const struct view *v, const char *key, double absent) {
    double least = absent;
    for (unsigned i = 0; i < v->n; i++) {
        double own = schema_number(v->parts[i], key, absent);
        least = own > least ? own : least;
    }
    return least;
}

double view_most(const struct view *v, const char *key, double absent) {
    double most = absent;
    for (unsigned i = 0; i < v->n; i++) {
        double own = schema_number(v->parts[i], key, absent);
        most = own < most ? own : most;
    }
    return most;
}

bool view_holds(struct filler *f, const struct view *v, yyjson_val *value) {
    struct schema_check c = {.root = f->root, .steps = CHECK_STEPS};
    bool holds = !v->is_never;
    for (unsigned i = 0; i < v->n && holds; i++) {
        holds = schema_holds(&c, v->parts[i], value);
    }
    charge_steps(f, CHECK_STEPS - c.steps);
    return holds;
}
