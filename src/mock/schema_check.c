/* SPDX-License-Identifier: Apache-2.0 */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "mock/schema_check.h"

#include <math.h>
#include <pcre2.h>
#include <string.h>

enum { MAX_DEPTH = 96, MAX_ANCHOR_DEPTH = 32, MATCH_STEPS = 20000, PATTERN_MAX_BYTES = 2048 };

struct slice schema_text(yyjson_val *v) {
    return yyjson_is_str(v) ? slice_make(yyjson_get_str(v), yyjson_get_len(v)) : SLICE_NULL;
}

/* ---- references ---- */

static yyjson_val *find_anchor(yyjson_val *at, struct slice name, unsigned depth) {
    size_t i, max;
    yyjson_val *key, *child, *found = NULL;
    if (depth > MAX_ANCHOR_DEPTH) {
        return NULL;
    }
    if (slice_eq(schema_text(yyjson_obj_get(at, "$anchor")), name) ||
        slice_eq(schema_text(yyjson_obj_get(at, "$dynamicAnchor")), name)) {
        return at;
    }
    yyjson_obj_foreach(at, i, max, key, child) {
        found = found ? found : find_anchor(child, name, depth + 1);
    }
    yyjson_arr_foreach(at, i, max, child) {
        found = found ? found : find_anchor(child, name, depth + 1);
    }
    return found;
}

static int hex_digit(char c) {
    return c >= '0' && c <= '9'               ? c - '0'
           : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10
                                                : -1;
}

/* A fragment's percent escapes. */
static size_t unescape(struct slice s, char *to) {
    size_t n = 0;
    for (size_t i = 0; i < s.len; i++) {
        bool is_escape = s.ptr[i] == '%' && i + 2 < s.len && hex_digit(s.ptr[i + 1]) >= 0 &&
                         hex_digit(s.ptr[i + 2]) >= 0;
        to[n++] = is_escape ? (char)(hex_digit(s.ptr[i + 1]) * 16 + hex_digit(s.ptr[i + 2]))
                            : s.ptr[i];
        i += is_escape ? 2 : 0;
    }
    return n;
}

yyjson_val *schema_target(yyjson_val *root, struct slice ref) {
    char plain[256];
    if (ref.len == 0 || ref.ptr[0] != '#' || ref.len > sizeof plain) {
        return NULL;
    }
    if (ref.len == 1) {
        return root;
    }
    size_t len = unescape(slice_from(ref, 1), plain);
    return plain[0] == '/' ? yyjson_ptr_getn(root, plain, len)
                           : find_anchor(root, slice_make(plain, len), 0);
}

/* ---- words ---- */

static unsigned type_bits(struct slice name) {
    static const struct {
        const char *name;
        unsigned bits;
    } types[] = {{"null", SCHEMA_NULL},     {"boolean", SCHEMA_BOOL}, {"integer", SCHEMA_INTEGER},
                 {"number", SCHEMA_NUMBER}, {"string", SCHEMA_STRING}, {"array", SCHEMA_ARRAY},
                 {"object", SCHEMA_OBJECT}};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        if (slice_eq(name, slice_cstr(types[i].name))) {
            return types[i].bits;
        }
    }
    return 0;
}

unsigned schema_types(yyjson_val *schema) {
    yyjson_val *type = yyjson_obj_get(schema, "type"), *one;
    unsigned bits = type_bits(schema_text(type));
    size_t i, max;
    yyjson_arr_foreach(type, i, max, one) {
        bits |= type_bits(schema_text(one));
    }
    if (bits != 0 && yyjson_is_true(yyjson_obj_get(schema, "nullable"))) {
        bits |= SCHEMA_NULL;
    }
    return bits != 0 ? bits : SCHEMA_ANY;
}

double schema_number(yyjson_val *schema, const char *key, double absent) {
    yyjson_val *v = yyjson_obj_get(schema, key);
    return yyjson_is_num(v) ? yyjson_get_num(v) : absent;
}

size_t schema_code_points(struct slice text) {
    size_t n = 0;
    for (size_t i = 0; i < text.len; i++) {
        n += ((unsigned char)text.ptr[i] & 0xc0) != 0x80;
    }
    return n;
}

static bool match(const pcre2_code *code, struct slice text) {
    pcre2_match_context *limits = pcre2_match_context_create(NULL);
    pcre2_match_data *found = pcre2_match_data_create_from_pattern(code, NULL);
    int rc = -1;
    if (limits && found) {
        pcre2_set_match_limit(limits, MATCH_STEPS);
        pcre2_set_depth_limit(limits, MATCH_STEPS);
        rc = pcre2_match(code, (PCRE2_SPTR)(text.ptr ? text.ptr : ""), text.len, 0, 0, found,
                         limits);
    }
    pcre2_match_data_free(found);
    pcre2_match_context_free(limits);
    return rc >= 0;
}

/* Length of {3}, {3,} or {3,5} at the head of s, else 0. */
static size_t quantifier_at(struct slice s) {
    size_t digits = 0, i = 1;
    for (; i < s.len && s.ptr[i] >= '0' && s.ptr[i] <= '9'; i++) {
        digits++;
    }
    i += i < s.len && s.ptr[i] == ',';
    while (i < s.len && s.ptr[i] >= '0' && s.ptr[i] <= '9') {
        i++;
    }
    return digits > 0 && i < s.len && s.ptr[i] == '}' ? i + 1 : 0;
}

/* A brace that is no quantifier in ECMA-262 stands for itself; what PCRE2 makes of {,3} and { 3 }
 * depends on its version. Those of \p{L} and the like stay. out has twice the pattern's bytes. */
static size_t escape_braces(struct slice pattern, char *out) {
    size_t n = 0;
    bool is_named = false;
    for (size_t i = 0; i < pattern.len; i++) {
        char c = pattern.ptr[i];
        bool is_escape = c == '\\' && i + 1 < pattern.len;
        if (c == '{' && !is_named && quantifier_at(slice_from(pattern, i)) == 0) {
            out[n++] = '\\';
        }
        out[n++] = c;
        is_named = is_escape && strchr("pPuxkgoN", pattern.ptr[i + 1]) != NULL;
        if (is_escape) {
            out[n++] = pattern.ptr[++i];
        }
    }
    return n;
}

bool schema_pattern_fits(struct slice pattern, struct slice text, bool *out_is_known) {
    char escaped[2 * PATTERN_MAX_BYTES];
    int error;
    size_t at;
    *out_is_known = false;
    if (!pattern.ptr || pattern.len > PATTERN_MAX_BYTES) {
        return false;
    }
    size_t len = escape_braces(pattern, escaped);
    pcre2_code *code = pcre2_compile((PCRE2_SPTR)escaped, len,
                                     PCRE2_UTF | PCRE2_ALT_BSUX | PCRE2_DOLLAR_ENDONLY, &error,
                                     &at, NULL);
    if (!code) {
        return false;
    }
    *out_is_known = true;
    bool fits = match(code, text);
    pcre2_code_free(code);
    return fits;
}

/* ---- values ---- */

static unsigned type_of_value(yyjson_val *v) {
    if (yyjson_is_num(v)) {
        double n = yyjson_get_num(v);
        return !yyjson_is_real(v) || floor(n) == n ? SCHEMA_INTEGER : SCHEMA_FRACTION;
    }
    return yyjson_is_null(v)   ? SCHEMA_NULL
           : yyjson_is_bool(v) ? SCHEMA_BOOL
           : yyjson_is_str(v)  ? SCHEMA_STRING
           : yyjson_is_arr(v)  ? SCHEMA_ARRAY
                               : SCHEMA_OBJECT;
}

static bool is_listed(yyjson_val *list, yyjson_val *v) {
    size_t i, max;
    yyjson_val *one;
    yyjson_arr_foreach(list, i, max, one) {
        if (yyjson_equals(one, v)) {
            return true;
        }
    }
    return false;
}

/* As validators in floating point do it. */
static bool is_multiple(yyjson_val *v, double step) {
    double n = yyjson_get_num(v), quotient = n / step;
    if (step <= 0) {
        return true;
    }
    if (yyjson_is_int(v) && step == floor(step) && step < 9e15) {
        return yyjson_is_uint(v) ? yyjson_get_uint(v) % (uint64_t)step == 0
                                 : yyjson_get_sint(v) % (int64_t)step == 0;
    }
    return floor(quotient) == quotient;
}

static bool number_holds(yyjson_val *s, yyjson_val *v) {
    double n = yyjson_get_num(v);
    double low = schema_number(s, "minimum", -HUGE_VAL), high = schema_number(s, "maximum", HUGE_VAL);
    bool is_above = yyjson_is_true(yyjson_obj_get(s, "exclusiveMinimum"));
    bool is_below = yyjson_is_true(yyjson_obj_get(s, "exclusiveMaximum"));
    return n >= low && n <= high && !(is_above && n == low) && !(is_below && n == high) &&
           n > schema_number(s, "exclusiveMinimum", -HUGE_VAL) &&
           n < schema_number(s, "exclusiveMaximum", HUGE_VAL) &&
           is_multiple(v, schema_number(s, "multipleOf", 0));
}

static bool string_holds(yyjson_val *s, yyjson_val *v) {
    struct slice text = schema_text(v), pattern = schema_text(yyjson_obj_get(s, "pattern"));
    double n = (double)schema_code_points(text);
    bool is_known = false;
    bool fits = !pattern.ptr || schema_pattern_fits(pattern, text, &is_known) || !is_known;
    return fits && n >= schema_number(s, "minLength", 0) &&
           n <= schema_number(s, "maxLength", HUGE_VAL);
}

/* ---- arrays ---- */

static bool is_unique(struct schema_check *c, yyjson_val *list) {
    size_t i, max;
    yyjson_val *one;
    yyjson_arr_foreach(list, i, max, one) {
        yyjson_val *other = one;
        for (size_t k = i + 1; k < max && c->steps > 0; k++) {
            other = unsafe_yyjson_get_next(other);
            c->steps--;
            if (yyjson_equals(one, other)) {
                return false;
            }
        }
    }
    return true;
}

static bool contains_hold(struct schema_check *c, yyjson_val *s, yyjson_val *v) {
    size_t i, max, n = 0;
    yyjson_val *one, *contains = yyjson_obj_get(s, "contains");
    if (!contains) {
        return true;
    }
    yyjson_arr_foreach(v, i, max, one) {
        n += schema_holds(c, contains, one);
    }
    return (double)n >= schema_number(s, "minContains", 1) &&
           (double)n <= schema_number(s, "maxContains", HUGE_VAL);
}

/* Places have schemas of their own in prefixItems, or (before 2020) in items. */
static bool items_hold(struct schema_check *c, yyjson_val *s, yyjson_val *v) {
    yyjson_val *items = yyjson_obj_get(s, "items"), *prefix = yyjson_obj_get(s, "prefixItems"), *one;
    yyjson_val *rest = items;
    size_t i, max;
    if (yyjson_is_arr(items)) {
        prefix = items;
        rest = yyjson_obj_get(s, "additionalItems");
    }
    yyjson_arr_foreach(v, i, max, one) {
        yyjson_val *own = yyjson_arr_get(prefix, i);
        own = own ? own : rest;
        if (own && !schema_holds(c, own, one)) {
            return false;
        }
    }
    return true;
}

static bool array_holds(struct schema_check *c, yyjson_val *s, yyjson_val *v) {
    double n = (double)yyjson_arr_size(v);
    return n >= schema_number(s, "minItems", 0) && n <= schema_number(s, "maxItems", HUGE_VAL) &&
           items_hold(c, s, v) && contains_hold(c, s, v) &&
           (!yyjson_is_true(yyjson_obj_get(s, "uniqueItems")) || is_unique(c, v));
}

/* ---- objects ---- */

static bool member_holds(struct schema_check *c, yyjson_val *s, yyjson_val *key,
                         yyjson_val *value) {
    yyjson_val *own = yyjson_obj_getn(yyjson_obj_get(s, "properties"), yyjson_get_str(key),
                                      yyjson_get_len(key));
    yyjson_val *patterns = yyjson_obj_get(s, "patternProperties"), *pattern, *schema;
    bool is_covered = own != NULL, is_known;
    size_t i, max;
    if (own && !schema_holds(c, own, value)) {
        return false;
    }
    yyjson_obj_foreach(patterns, i, max, pattern, schema) {
        if (!schema_pattern_fits(schema_text(pattern), schema_text(key), &is_known)) {
            continue;
        }
        is_covered = true;
        if (!schema_holds(c, schema, value)) {
            return false;
        }
    }
    yyjson_val *rest = yyjson_obj_get(s, "additionalProperties");
    yyjson_val *names = yyjson_obj_get(s, "propertyNames");
    return (is_covered || !rest || schema_holds(c, rest, value)) &&
           (!names || schema_holds(c, names, key));
}

static bool has_all(yyjson_val *names, yyjson_val *v) {
    size_t i, max;
    yyjson_val *name;
    yyjson_arr_foreach(names, i, max, name) {
        if (yyjson_is_str(name) &&
            !yyjson_obj_getn(v, yyjson_get_str(name), yyjson_get_len(name))) {
            return false;
        }
    }
    return true;
}

/* What a member's presence asks for: a list of names, or a schema. */
static bool dependents_hold(struct schema_check *c, yyjson_val *s, yyjson_val *v) {
    static const char *const keys[] = {"dependentRequired", "dependentSchemas", "dependencies"};
    for (unsigned k = 0; k < 3; k++) {
        size_t i, max;
        yyjson_val *name, *what;
        yyjson_obj_foreach(yyjson_obj_get(s, keys[k]), i, max, name, what) {
            if (!yyjson_obj_getn(v, yyjson_get_str(name), yyjson_get_len(name))) {
                continue;
            }
            if (yyjson_is_arr(what) ? !has_all(what, v) : !schema_holds(c, what, v)) {
                return false;
            }
        }
    }
    return true;
}

static bool object_holds(struct schema_check *c, yyjson_val *s, yyjson_val *v) {
    double n = (double)yyjson_obj_size(v);
    size_t i, max;
    yyjson_val *key, *value;
    if (n < schema_number(s, "minProperties", 0) || n > schema_number(s, "maxProperties", HUGE_VAL) ||
        !has_all(yyjson_obj_get(s, "required"), v)) {
        return false;
    }
    yyjson_obj_foreach(v, i, max, key, value) {
        if (!member_holds(c, s, key, value)) {
            return false;
        }
    }
    return dependents_hold(c, s, v);
}

/* ---- combinations ---- */

static size_t count_holding(struct schema_check *c, yyjson_val *list, yyjson_val *v) {
    size_t i, max, n = 0;
    yyjson_val *one;
    yyjson_arr_foreach(list, i, max, one) {
        n += schema_holds(c, one, v);
    }
    return n;
}

static bool condition_holds(struct schema_check *c, yyjson_val *s, yyjson_val *v) {
    yyjson_val *when = yyjson_obj_get(s, "if");
    if (!when) {
        return true;
    }
    yyjson_val *what = yyjson_obj_get(s, schema_holds(c, when, v) ? "then" : "else");
    return !what || schema_holds(c, what, v);
}

static bool combined_hold(struct schema_check *c, yyjson_val *s, yyjson_val *v) {
    yyjson_val *all = yyjson_obj_get(s, "allOf"), *any = yyjson_obj_get(s, "anyOf"),
               *one = yyjson_obj_get(s, "oneOf"), *none = yyjson_obj_get(s, "not");
    bool has_any = yyjson_arr_size(any) > 0, has_one = yyjson_arr_size(one) > 0;
    return (!all || count_holding(c, all, v) == yyjson_arr_size(all)) &&
           (!has_any || count_holding(c, any, v) > 0) &&
           (!has_one || count_holding(c, one, v) == 1) && !(none && schema_holds(c, none, v)) &&
           condition_holds(c, s, v);
}

static bool is_of_type(yyjson_val *s, yyjson_val *v) {
    return (schema_types(s) & type_of_value(v)) != 0;
}

static bool own_words_hold(struct schema_check *c, yyjson_val *s, yyjson_val *v) {
    yyjson_val *list = yyjson_obj_get(s, "enum"), *constant = yyjson_obj_get(s, "const");
    if (!is_of_type(s, v) || (yyjson_is_arr(list) && !is_listed(list, v)) ||
        (constant && !yyjson_equals(constant, v))) {
        return false;
    }
    return yyjson_is_str(v)   ? string_holds(s, v)
           : yyjson_is_num(v) ? number_holds(s, v)
           : yyjson_is_arr(v) ? array_holds(c, s, v)
           : yyjson_is_obj(v) ? object_holds(c, s, v)
                              : true;
}

static bool reference_holds(struct schema_check *c, yyjson_val *s, yyjson_val *v) {
    yyjson_val *target = schema_target(c->root, schema_text(yyjson_obj_get(s, "$ref")));
    return !target || schema_holds(c, target, v);
}

bool schema_holds(struct schema_check *c, yyjson_val *schema, yyjson_val *value) {
    if (yyjson_is_bool(schema)) {
        return yyjson_get_bool(schema);
    }
    if (c->steps == 0 || c->depth >= MAX_DEPTH || !yyjson_is_obj(schema)) {
        return true;
    }
    c->steps--;
    c->depth++;
    bool holds = own_words_hold(c, schema, value) && combined_hold(c, schema, value) &&
                 reference_holds(c, schema, value);
    c->depth--;
    return holds;
}
