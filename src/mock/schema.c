/* SPDX-License-Identifier: Apache-2.0 */
/* Values, from the outside in. */
#include "mock/schema.h"

#include <math.h>
#include <stdlib.h>

#include "base/json_scan.h"
#include "mock/schema-private.h"
#include "mock/schema_regex.h"

enum {
    SCHEMA_MAX_BYTES = 1 << 18,
    SCHEMA_MAX_DEPTH = 64,
    SCHEMA_TRIES = 16,        /* of the whole value */
    LEAN_TRIES = 8,           /* the last ones of them */
    CHECK_STEPS = 200000,
    EXTRA_NAMES = 3
};

static int fill(struct filler *f, const struct view *v, struct slice name, unsigned depth);

static bool is_lean(const struct filler *f, unsigned depth) {
    return f->is_lean || depth >= FILL_LEAN_DEPTH || f->values > FILL_MAX_VALUES;
}

static struct view view_of(struct filler *f, yyjson_val *schema, unsigned depth) {
    struct view v = {.n = 0};
    view_add(f, &v, schema, is_lean(f, depth));
    return v;
}

static int append_value(struct buf *out, yyjson_val *v) {
    size_t len = 0;
    char *json = yyjson_val_write(v, 0, &len);
    int rc = json ? buf_append(out, slice_make(json, len)) : -ERR_LIMIT;
    free(json);
    return rc;
}

/* ---- objects ---- */

/* What has been said of an object so far. */
struct object {
    const struct view *v;
    unsigned depth;
    size_t n;
    yyjson_mut_doc *said;        /* names */
    yyjson_mut_val *names;
};

static bool is_said(const struct object *o, struct slice name) {
    return yyjson_mut_obj_getn(o->names, name.ptr, name.len) != NULL;
}

static bool is_required(const struct view *v, struct slice name) {
    for (unsigned p = 0; p < v->n; p++) {
        size_t i, max;
        yyjson_val *item;
        yyjson_arr_foreach(yyjson_obj_get(v->parts[p], "required"), i, max, item) {
            if (slice_eq(schema_text(item), name)) {
                return true;
            }
        }
    }
    return false;
}

/* All that the parts say of a member: by its name, by patterns, else as one of the rest. */
static struct view member_view(struct filler *f, const struct object *o, struct slice name) {
    struct view out = {.n = 0};
    bool lean = is_lean(f, o->depth + 1), is_known;
    for (unsigned p = 0; p < o->v->n; p++) {
        yyjson_val *s = o->v->parts[p], *pattern, *schema;
        yyjson_val *own = yyjson_obj_getn(yyjson_obj_get(s, "properties"), name.ptr, name.len);
        bool is_covered = own != NULL;
        size_t i, max;
        view_add(f, &out, own, lean);
        yyjson_obj_foreach(yyjson_obj_get(s, "patternProperties"), i, max, pattern, schema) {
            if (schema_pattern_fits(schema_text(pattern), name, &is_known)) {
                is_covered = true;
                view_add(f, &out, schema, lean);
            }
        }
        if (!is_covered) {
            view_add(f, &out, yyjson_obj_get(s, "additionalProperties"), lean);
        }
    }
    return out;
}

static int add_member(struct filler *f, struct object *o, struct slice name) {
    struct view v = member_view(f, o, name);
    bool is_forbidden = v.is_never && !is_required(o->v, name);
    if (is_said(o, name) || is_forbidden) {
        return 0;
    }
    yyjson_mut_val *key = yyjson_mut_strncpy(o->said, name.ptr, name.len);
    if (!yyjson_mut_obj_add(o->names, key, yyjson_mut_null(o->said))) {
        return -ERR_LIMIT;
    }
    int rc = o->n++ > 0 ? buf_append_byte(f->out, ',') : 0;
    rc = rc ? rc : append_quoted(f->out, name);
    rc = rc ? rc : buf_append_byte(f->out, ':');
    return rc ? rc : fill(f, &v, name, o->depth + 1);
}

/* Optional ones: all of them where nothing is required, as callers do; at random among edges. */
static bool wants_member(struct filler *f, const struct object *o, struct slice name,
                         bool any_required) {
    if (is_required(o->v, name)) {
        return true;
    }
    if (is_lean(f, o->depth)) {
        return false;
    }
    return f->is_wild ? one_in(f, 2) : !any_required;
}

static int add_properties(struct filler *f, struct object *o) {
    bool any_required = false;
    int rc = 0;
    for (unsigned p = 0; p < o->v->n; p++) {
        any_required |= yyjson_arr_size(yyjson_obj_get(o->v->parts[p], "required")) > 0;
    }
    double most = view_most(o->v, "maxProperties", HUGE_VAL);
    for (unsigned p = 0; p < o->v->n; p++) {
        size_t i, max;
        yyjson_val *key, *schema;
        yyjson_obj_foreach(yyjson_obj_get(o->v->parts[p], "properties"), i, max, key, schema) {
            struct slice name = schema_text(key);
            bool has_room = (double)o->n < most || is_required(o->v, name);
            if (rc == 0 && has_room && wants_member(f, o, name, any_required)) {
                rc = add_member(f, o, name);
            }
        }
    }
    return rc;
}

/* Names that are asked for, and described nowhere. */
static int add_required(struct filler *f, struct object *o) {
    int rc = 0;
    for (unsigned p = 0; p < o->v->n; p++) {
        size_t i, max;
        yyjson_val *name;
        yyjson_arr_foreach(yyjson_obj_get(o->v->parts[p], "required"), i, max, name) {
            if (rc == 0 && yyjson_is_str(name)) {
                rc = add_member(f, o, schema_text(name));
            }
        }
    }
    return rc;
}

static int add_dependents(struct filler *f, struct object *o) {
    static const char *const keys[] = {"dependentRequired", "dependencies"};
    int rc = 0;
    for (unsigned p = 0; p < 2 * o->v->n; p++) {
        size_t i, max, k, n;
        yyjson_val *key, *names, *name;
        yyjson_obj_foreach(yyjson_obj_get(o->v->parts[p / 2], keys[p % 2]), i, max, key, names) {
            if (!is_said(o, schema_text(key))) {
                continue;
            }
            yyjson_arr_foreach(names, k, n, name) {
                rc = rc || !yyjson_is_str(name) ? rc : add_member(f, o, schema_text(name));
            }
        }
    }
    return rc;
}

/* A name that nobody has described by itself. */
static bool make_name(struct filler *f, const struct object *o, unsigned nth, struct buf *out) {
    yyjson_val *patterns = view_get(o->v, "patternProperties"), *names = view_get(o->v, "propertyNames");
    yyjson_val *rest = view_get(o->v, "additionalProperties"), *key;
    struct slice pattern = schema_text(yyjson_obj_get(names, "pattern"));
    const struct regex_say how = {.rng = &f->rng, .reach = 2 + nth};
    yyjson_obj_iter it = yyjson_obj_iter_with(patterns);
    bool by_pattern = (key = yyjson_obj_iter_next(&it)) && (yyjson_is_false(rest) || one_in(f, 2));
    pattern = by_pattern ? schema_text(key) : pattern;
    buf_reset(out);
    if (yyjson_arr_size(yyjson_obj_get(names, "enum")) > 0) {
        yyjson_val *list = yyjson_obj_get(names, "enum");
        struct slice one = schema_text(yyjson_arr_get(list, nth % yyjson_arr_size(list)));
        return buf_append(out, one) == 0;
    }
    if (pattern.ptr && regex_say(pattern, &how, out) == 0) {
        return true;
    }
    return buf_appendf(out, nth ? "item%u" : "item", nth + 1) == 0;
}

static bool name_fits(struct filler *f, const struct object *o, struct slice name) {
    yyjson_val *names = view_get(o->v, "propertyNames");
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_doc_set_root(doc, yyjson_mut_strncpy(doc, name.ptr ? name.ptr : "", name.len));
    yyjson_doc *plain = yyjson_mut_doc_imut_copy(doc, NULL);
    struct schema_check c = {.root = f->root, .steps = CHECK_STEPS};
    bool fits = !names || schema_holds(&c, names, yyjson_doc_get_root(plain));
    yyjson_doc_free(plain);
    yyjson_mut_doc_free(doc);
    return fits && !is_said(o, name) && !member_view(f, o, name).is_never;
}

/* Of maps, and as edges where more may be told than is described. */
static size_t wanted_extras(struct filler *f, const struct object *o) {
    double least = view_least(o->v, "minProperties", 0);
    double most = view_most(o->v, "maxProperties", HUGE_VAL);
    yyjson_val *rest = view_get(o->v, "additionalProperties");
    bool is_map = yyjson_is_obj(rest) || yyjson_obj_size(view_get(o->v, "patternProperties")) > 0;
    size_t wanted = (double)o->n < least ? (size_t)fmin(least - (double)o->n, FILL_MAX_ITEMS) : 0;
    if (is_map && wanted == 0 && !is_lean(f, o->depth)) {
        wanted = f->is_wild ? (size_t)rng_below(&f->rng, EXTRA_NAMES) : o->n == 0;
    }
    double room = most - (double)o->n;
    return room < (double)wanted ? (room > 0 ? (size_t)room : 0) : wanted;
}

static int add_extras(struct filler *f, struct object *o) {
    size_t wanted = wanted_extras(f, o);
    struct buf name = {.max = FILL_MAX_STRING * 2};
    int rc = 0;
    for (unsigned nth = 0; wanted > 0 && rc == 0 && nth < FILL_TRIES + FILL_MAX_ITEMS; nth++) {
        if (!may_work(f)) {
            break;
        }
        if (make_name(f, o, nth, &name) && name_fits(f, o, buf_slice(&name))) {
            rc = add_member(f, o, buf_slice(&name));
            wanted--;
        }
    }
    buf_dispose(&name);
    return rc;
}

static int fill_object(struct filler *f, const struct view *v, unsigned depth) {
    struct object o = {.v = v, .depth = depth, .said = yyjson_mut_doc_new(NULL)};
    o.names = yyjson_mut_obj(o.said);
    int rc = buf_append_byte(f->out, '{');
    rc = rc ? rc : add_properties(f, &o);
    rc = rc ? rc : add_required(f, &o);
    rc = rc ? rc : add_dependents(f, &o);
    rc = rc ? rc : add_extras(f, &o);
    yyjson_mut_doc_free(o.said);
    return rc ? rc : buf_append_byte(f->out, '}');
}

/* ---- arrays ---- */

/* All that the parts say of a place. */
static struct view item_view(struct filler *f, const struct view *v, size_t at, unsigned depth) {
    struct view out = {.n = 0};
    for (unsigned p = 0; p < v->n; p++) {
        yyjson_val *items = yyjson_obj_get(v->parts[p], "items");
        yyjson_val *prefix = yyjson_obj_get(v->parts[p], "prefixItems"), *rest = items;
        if (yyjson_is_arr(items)) {
            prefix = items;
            rest = yyjson_obj_get(v->parts[p], "additionalItems");
        }
        yyjson_val *own = yyjson_arr_get(prefix, at);
        view_add(f, &out, own ? own : rest, is_lean(f, depth));
    }
    return out;
}

/* Those that must be there are of what the array is to contain. */
static void want_contained(struct filler *f, const struct view *v, size_t at, unsigned depth,
                           struct view *io_item) {
    yyjson_val *contains = view_get(v, "contains");
    if (contains && (double)at < view_least(v, "minContains", 1)) {
        view_add(f, io_item, contains, is_lean(f, depth));
    }
}

static size_t places_of(const struct view *v) {
    yyjson_val *prefix = view_get(v, "prefixItems"), *items = view_get(v, "items");
    return yyjson_is_arr(items) ? yyjson_arr_size(items) : yyjson_arr_size(prefix);
}

static size_t wanted_items(struct filler *f, const struct view *v, unsigned depth) {
    double least = view_least(v, "minItems", 0), most = view_most(v, "maxItems", FILL_MAX_ITEMS);
    double contained = view_get(v, "contains") ? view_least(v, "minContains", 1) : 0;
    size_t places = places_of(v), count = 0;
    least = fmin(fmax(least, contained), FILL_MAX_ITEMS);
    if (!is_lean(f, depth)) {
        count = 1 + (size_t)rng_below(&f->rng, 2);
        count = f->is_wild && one_in(f, 3)
                    ? (size_t)rng_below(&f->rng, 2) * (size_t)rng_below(&f->rng, 9)
                    : count;
        count = places > count && !(f->is_wild && one_in(f, 4)) ? places : count;
    }
    return (size_t)((double)count < least ? least : (double)count > most ? most : (double)count);
}

/* Whether the last item of the list from `start` on has been there before. */
static bool is_again(const struct filler *f, size_t start) {
    struct buf list = {.max = f->out->max};
    bool is_double = false;
    int rc = buf_append(&list, slice_from(buf_slice(f->out), start)) | buf_append_byte(&list, ']');
    yyjson_doc *doc = rc ? NULL : yyjson_read(list.ptr, list.len, 0);
    yyjson_val *root = yyjson_doc_get_root(doc), *last = yyjson_arr_get_last(root), *one;
    size_t i, max;
    yyjson_arr_foreach(root, i, max, one) {
        is_double |= one != last && yyjson_equals(one, last);
    }
    yyjson_doc_free(doc);
    buf_dispose(&list);
    return is_double;
}

/* Another one, when all have to differ. False: there is none. */
static int add_item(struct filler *f, const struct view *v, size_t start, size_t at,
                    struct slice name, unsigned depth, bool *out_is_new) {
    bool must_differ = yyjson_is_true(view_get(v, "uniqueItems"));
    unsigned salt = f->salt;
    size_t before = f->out->len;
    int rc = 0;
    *out_is_new = false;
    for (unsigned i = 0; rc == 0 && !*out_is_new && i < (must_differ ? FILL_TRIES * 2 : 1); i++) {
        if (i > 0 && !may_work(f)) {
            break;
        }
        f->out->len = before;
        f->salt = i > 0 ? i + (unsigned)at : salt;
        struct view item = item_view(f, v, at, depth + 1);
        want_contained(f, v, at, depth + 1, &item);
        if (item.is_never) {
            break;
        }
        rc = at > 0 ? buf_append_byte(f->out, ',') : 0;
        rc = rc ? rc : fill(f, &item, name, depth + 1);
        *out_is_new = !must_differ || !is_again(f, start);
    }
    f->salt = salt;
    if (!*out_is_new) {
        f->out->len = before;
    }
    return rc;
}

static int fill_array(struct filler *f, const struct view *v, struct slice name, unsigned depth) {
    size_t wanted = wanted_items(f, v, depth), start = f->out->len;
    int rc = buf_append_byte(f->out, '[');
    bool is_new = true;
    for (size_t i = 0; i < wanted && rc == 0 && is_new && may_work(f); i++) {
        rc = add_item(f, v, start, i, name, depth, &is_new);
    }
    return rc ? rc : buf_append_byte(f->out, ']');
}

/* ---- any value ---- */

/* One of a list that everything else holds for; NULL when there is none. */
static yyjson_val *pick_listed(struct filler *f, const struct view *v, yyjson_val *list) {
    size_t n = yyjson_arr_size(list), from = n ? (size_t)rng_below(&f->rng, n) : 0;
    for (size_t i = 0; i < n; i++) {
        yyjson_val *one = yyjson_arr_get(list, (from + i) % n);
        if (view_holds(f, v, one)) {
            return one;
        }
    }
    return NULL;
}

static yyjson_val *fixed_value(struct filler *f, const struct view *v) {
    yyjson_val *constant = view_get(v, "const"), *list = view_get(v, "enum");
    yyjson_val *usual = view_get(v, "default");
    if (constant) {
        return constant;
    }
    if (yyjson_arr_size(list) > 0) {
        yyjson_val *pick = pick_listed(f, v, list);
        return pick ? pick
                    : yyjson_arr_get(list, (size_t)rng_below(&f->rng, yyjson_arr_size(list)));
    }
    if (f->is_wild || f->salt || !usual) {
        return NULL;
    }
    return view_holds(f, v, usual) ? usual : NULL;
}

/* The first type that is told and possible; null is for edges. */
static unsigned pick_type(struct filler *f, const struct view *v, unsigned depth) {
    unsigned types = view_types(v), n = 0, pick = 0;
    if (depth == 0 && types == SCHEMA_ANY) {
        return SCHEMA_OBJECT;
    }
    if (types == SCHEMA_ANY && f->salt == 0) {
        return SCHEMA_STRING;
    }
    if ((types & SCHEMA_NULL) && (is_lean(f, depth) || (f->is_wild && one_in(f, 4)))) {
        return SCHEMA_NULL;
    }
    types = types & ~(unsigned)SCHEMA_NULL ? types & ~(unsigned)SCHEMA_NULL : types;
    types = (types & SCHEMA_NUMBER) == SCHEMA_NUMBER ? types & ~(unsigned)SCHEMA_INTEGER : types;
    static const unsigned order[] = {SCHEMA_STRING, SCHEMA_FRACTION, SCHEMA_INTEGER, SCHEMA_BOOL,
                                     SCHEMA_OBJECT, SCHEMA_ARRAY, SCHEMA_NULL};
    for (unsigned i = 0; i < 7; i++) {
        bool is_possible = (types & order[i]) != 0;
        bool is_taken = is_possible && (n++ == 0 || ((f->is_wild || f->salt) && one_in(f, n)));
        pick = is_taken ? order[i] : pick;
    }
    return pick;
}

static int fill_typed(struct filler *f, const struct view *v, struct slice name, unsigned depth) {
    switch (pick_type(f, v, depth)) {
    case SCHEMA_OBJECT:
        return fill_object(f, v, depth);
    case SCHEMA_ARRAY:
        return fill_array(f, v, name, depth);
    case SCHEMA_INTEGER:
        return fill_number(f, v, true);
    case SCHEMA_FRACTION:
        return fill_number(f, v, false);
    case SCHEMA_BOOL:
        return buf_append(f->out, rng_below(&f->rng, 2) ? SLICE("true") : SLICE("false"));
    case SCHEMA_STRING:
        return fill_string(f, v, name);
    default:
        return buf_append(f->out, SLICE("null"));
    }
}

static int fill(struct filler *f, const struct view *v, struct slice name, unsigned depth) {
    f->values++;
    if (depth > FILL_MAX_DEPTH || !may_work(f)) {
        return buf_append(f->out, SLICE("null"));
    }
    yyjson_val *fixed = fixed_value(f, v);
    return fixed ? append_value(f->out, fixed) : fill_typed(f, v, name, depth);
}

/* ---- the whole value ---- */

static bool is_valid(struct filler *f, size_t from) {
    struct slice made = slice_from(buf_slice(f->out), from);
    yyjson_doc *doc = yyjson_read(made.ptr, made.len, 0);
    struct schema_check c = {.root = f->root, .steps = CHECK_STEPS};
    bool holds = doc && schema_holds(&c, f->root, yyjson_doc_get_root(doc));
    yyjson_doc_free(doc);
    charge_steps(f, CHECK_STEPS - c.steps);
    return holds;
}

static int fill_checked(yyjson_val *root, enum schema_taste taste, struct slice text, uint64_t seed,
                        struct buf *out) {
    size_t before = out->len;
    unsigned work = FILL_MAX_WORK;
    int rc = 0;
    for (unsigned i = 0; i < SCHEMA_TRIES && work > 0; i++) {
        struct filler f = {.root = root,
                           .work = work,
                           .text = text,
                           .out = out,
                           .is_wild = taste == SCHEMA_WILD && i < SCHEMA_TRIES - LEAN_TRIES,
                           .is_lean = i >= SCHEMA_TRIES - LEAN_TRIES,
                           .salt = i};
        out->len = before;
        rng_seed(&f.rng, seed + i * UINT64_C(0x9e3779b97f4a7c15));
        struct view v = view_of(&f, root, 0);
        rc = fill(&f, &v, SLICE_NULL, 0);
        if (rc < 0 || is_valid(&f, before)) {
            break;
        }
        work = f.work;
    }
    return rc;
}

int schema_fill(struct slice schema, enum schema_taste taste, struct slice user_text, uint64_t seed,
                struct buf *out) {
    if (slice_is_empty(schema)) {
        return buf_append(out, SLICE("{}"));
    }
    if (schema.len > SCHEMA_MAX_BYTES || !json_depth_ok(schema, SCHEMA_MAX_DEPTH)) {
        return -ERR_LIMIT;
    }
    yyjson_doc *doc = yyjson_read(schema.ptr, schema.len, 0);
    yyjson_val *root = yyjson_doc_get_root(doc);
    int rc = yyjson_is_obj(root) ? fill_checked(root, taste, user_text, seed, out) : -ERR_PROTOCOL;
    yyjson_doc_free(doc);
    return rc;
}
