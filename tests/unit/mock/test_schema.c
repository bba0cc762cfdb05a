/* SPDX-License-Identifier: Apache-2.0 */
/* Values made from a schema satisfy it, by a checker of this test's own. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>
#include <yyjson.h>

#include "mock/schema.h"

static yyjson_val *root;

static bool satisfies(yyjson_val *v, yyjson_val *schema);

static bool has_type(yyjson_val *v, const char *type) {
    return strcmp(type, "object") == 0    ? yyjson_is_obj(v)
           : strcmp(type, "array") == 0   ? yyjson_is_arr(v)
           : strcmp(type, "string") == 0  ? yyjson_is_str(v)
           : strcmp(type, "boolean") == 0 ? yyjson_is_bool(v)
           : strcmp(type, "null") == 0    ? yyjson_is_null(v)
           : strcmp(type, "number") == 0  ? yyjson_is_num(v)
           : strcmp(type, "integer") == 0 ? yyjson_is_num(v) && floor(yyjson_get_num(v)) == yyjson_get_num(v)
                                          : false;
}

static bool has_any_type(yyjson_val *v, yyjson_val *type) {
    yyjson_val *one;
    yyjson_arr_iter it = yyjson_arr_iter_with(type);
    if (!type) {
        return true;
    }
    if (yyjson_is_str(type)) {
        return has_type(v, yyjson_get_str(type));
    }
    while ((one = yyjson_arr_iter_next(&it))) {
        if (has_type(v, yyjson_get_str(one))) {
            return true;
        }
    }
    return false;
}

static double bound(yyjson_val *schema, const char *key, double absent) {
    yyjson_val *b = yyjson_obj_get(schema, key);
    return b ? yyjson_get_num(b) : absent;
}

static bool number_fits(yyjson_val *v, yyjson_val *schema) {
    double n = yyjson_get_num(v), step = bound(schema, "multipleOf", 0);
    return n >= bound(schema, "minimum", -HUGE_VAL) && n <= bound(schema, "maximum", HUGE_VAL) &&
           n > bound(schema, "exclusiveMinimum", -HUGE_VAL) && n < bound(schema, "exclusiveMaximum", HUGE_VAL) &&
           (step <= 0 || fabs(remainder(n, step)) < 1e-9);
}

static bool object_fits(yyjson_val *v, yyjson_val *schema) {
    yyjson_val *key, *required, *properties = yyjson_obj_get(schema, "properties");
    yyjson_arr_iter need = yyjson_arr_iter_with(yyjson_obj_get(schema, "required"));
    while ((required = yyjson_arr_iter_next(&need))) {
        if (!yyjson_obj_get(v, yyjson_get_str(required))) {
            return false;
        }
    }
    yyjson_obj_iter it = yyjson_obj_iter_with(v);
    while ((key = yyjson_obj_iter_next(&it))) {
        yyjson_val *own = yyjson_obj_get(properties, yyjson_get_str(key));
        if (own ? !satisfies(yyjson_obj_iter_get_val(key), own)
                : yyjson_is_false(yyjson_obj_get(schema, "additionalProperties"))) {
            return false;
        }
    }
    return true;
}

static bool is_unique(yyjson_val *list) {
    for (size_t i = 0; i < yyjson_arr_size(list); i++) {
        for (size_t k = 0; k < i; k++) {
            if (yyjson_equals(yyjson_arr_get(list, i), yyjson_arr_get(list, k))) {
                return false;
            }
        }
    }
    return true;
}

static bool array_fits(yyjson_val *v, yyjson_val *schema) {
    size_t i, max, n = yyjson_arr_size(v);
    yyjson_val *item, *prefix = yyjson_obj_get(schema, "prefixItems"), *items = yyjson_obj_get(schema, "items");
    if (yyjson_is_true(yyjson_obj_get(schema, "uniqueItems")) && !is_unique(v)) {
        return false;
    }
    if ((double)n < bound(schema, "minItems", 0) || (double)n > bound(schema, "maxItems", HUGE_VAL)) {
        return false;
    }
    yyjson_arr_foreach(v, i, max, item) {
        yyjson_val *own = yyjson_arr_get(prefix, i) ? yyjson_arr_get(prefix, i) : items;
        if (own && !satisfies(item, own)) {
            return false;
        }
    }
    return true;
}

static bool is_one_of(yyjson_val *v, yyjson_val *values) {
    size_t i, max;
    yyjson_val *one;
    yyjson_arr_foreach(values, i, max, one) {
        if (yyjson_equals(v, one)) {
            return true;
        }
    }
    return false;
}

static bool satisfies_combined(yyjson_val *v, yyjson_val *schema) {
    size_t i, max;
    yyjson_val *one, *any = yyjson_obj_get(schema, "anyOf");
    bool fits = !any;
    yyjson_arr_foreach(any, i, max, one) {
        fits |= satisfies(v, one);
    }
    yyjson_arr_foreach(yyjson_obj_get(schema, "allOf"), i, max, one) {
        fits &= satisfies(v, one);
    }
    return fits;
}

static size_t code_points(yyjson_val *v) {
    size_t n = 0;
    for (const char *p = yyjson_get_str(v); *p; p++) {
        n += ((unsigned char)*p & 0xc0) != 0x80;
    }
    return n;
}

static bool satisfies(yyjson_val *v, yyjson_val *schema) {
    yyjson_val *ref = yyjson_obj_get(schema, "$ref");
    if (ref) {
        return satisfies(v, yyjson_ptr_get(root, yyjson_get_str(ref) + 1));
    }
    yyjson_val *values = yyjson_obj_get(schema, "enum"), *constant = yyjson_obj_get(schema, "const");
    if ((values && !is_one_of(v, values)) || (constant && !yyjson_equals(v, constant)) ||
        !has_any_type(v, yyjson_obj_get(schema, "type")) || !satisfies_combined(v, schema)) {
        return false;
    }
    if (yyjson_is_str(v)) {
        size_t n = code_points(v);
        return (double)n >= bound(schema, "minLength", 0) && (double)n <= bound(schema, "maxLength", HUGE_VAL);
    }
    return yyjson_is_num(v)   ? number_fits(v, schema)
           : yyjson_is_obj(v) ? object_fits(v, schema)
           : yyjson_is_arr(v) ? array_fits(v, schema)
                              : true;
}

static const char *const schemas[] = {
    "{}",
    "{\"type\":\"object\"}",
    "{\"type\":\"object\",\"properties\":{},\"additionalProperties\":false}",
    "{\"type\":\"object\",\"properties\":{\"city\":{\"type\":\"string\"},\"n\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":3}},"
    "\"required\":[\"city\",\"n\"],\"additionalProperties\":false}",
    "{\"type\":\"object\",\"properties\":{\"unit\":{\"enum\":[\"c\",\"f\",null,7]},\"k\":{\"const\":{\"a\":[1]}}},\"required\":[\"unit\",\"k\"]}",
    "{\"type\":\"object\",\"properties\":{\"x\":{\"type\":\"number\",\"exclusiveMinimum\":0,\"exclusiveMaximum\":1},"
    "\"y\":{\"type\":\"number\",\"multipleOf\":0.5,\"minimum\":-3.2,\"maximum\":-1},\"z\":{\"type\":\"integer\",\"exclusiveMinimum\":5,\"exclusiveMaximum\":7},"
    "\"big\":{\"type\":\"integer\",\"minimum\":1000000000000},\"neg\":{\"type\":\"integer\",\"maximum\":-10},\"even\":{\"type\":\"integer\",\"multipleOf\":2}},"
    "\"required\":[\"x\",\"y\",\"z\",\"big\",\"neg\",\"even\"]}",
    "{\"type\":\"object\",\"properties\":{\"s\":{\"type\":\"string\",\"minLength\":20},\"t\":{\"type\":\"string\",\"maxLength\":2},"
    "\"u\":{\"type\":\"string\",\"minLength\":3,\"maxLength\":3},\"e\":{\"type\":\"string\",\"maxLength\":0}},\"required\":[\"s\",\"t\",\"u\",\"e\"]}",
    "{\"type\":\"object\",\"properties\":{\"l\":{\"type\":\"array\",\"items\":{\"type\":\"boolean\"},\"minItems\":4},\"m\":{\"type\":\"array\",\"maxItems\":0,\"items\":{}},"
    "\"p\":{\"type\":\"array\",\"prefixItems\":[{\"type\":\"string\"},{\"type\":\"integer\"}],\"items\":{\"type\":\"null\"}}},\"required\":[\"l\",\"m\",\"p\"]}",
    "{\"type\":\"object\",\"properties\":{\"a\":{\"anyOf\":[{\"type\":\"integer\"},{\"type\":\"null\"}]},\"b\":{\"type\":[\"string\",\"null\"]},"
    "\"c\":{\"allOf\":[{\"properties\":{\"d\":{\"type\":\"integer\"}},\"required\":[\"d\"]},{\"properties\":{\"e\":{\"type\":\"null\"}},\"required\":[\"e\"]}]}},\"required\":[\"a\",\"b\",\"c\"]}",
    "{\"type\":\"object\",\"properties\":{\"node\":{\"$ref\":\"#/$defs/node\"}},\"required\":[\"node\"],\"$defs\":{\"node\":{\"type\":\"object\",\"properties\":"
    "{\"v\":{\"type\":\"integer\"},\"next\":{\"anyOf\":[{\"$ref\":\"#/$defs/node\"},{\"type\":\"null\"}]}},\"required\":[\"v\",\"next\"],\"additionalProperties\":false}}}",
    "{\"type\":\"object\",\"properties\":{\"u\":{\"type\":\"array\",\"uniqueItems\":true,\"minItems\":9,\"items\":{\"type\":\"string\"}},"
    "\"b\":{\"type\":\"array\",\"uniqueItems\":true,\"items\":{\"type\":\"boolean\"}},\"i\":{\"type\":\"array\",\"uniqueItems\":true,\"minItems\":5,"
    "\"items\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":5}}},\"required\":[\"u\",\"b\",\"i\"],\"additionalProperties\":false}",
    "{\"type\":\"object\",\"properties\":{\"big\":{\"type\":\"integer\",\"minimum\":9007199254740993},\"most\":{\"type\":\"integer\",\"minimum\":9223372036854775806,"
    "\"maximum\":9223372036854775807},\"least\":{\"type\":\"integer\",\"maximum\":-9007199254740993},\"odd\":{\"type\":\"integer\",\"minimum\":1.5,\"maximum\":2.5},"
    "\"cent\":{\"type\":\"number\",\"multipleOf\":0.01}},\"required\":[\"big\",\"most\",\"least\",\"odd\",\"cent\"],\"additionalProperties\":false}",
    "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"string\"},\"b\":{\"type\":\"string\"}},\"allOf\":[{\"required\":[\"a\"]},"
    "{\"properties\":{\"a\":{\"minLength\":30},\"c\":{\"type\":\"integer\"}},\"required\":[\"c\"]}]}",
    "{\"type\":\"object\",\"properties\":{\"x\":{\"anyOf\":[{\"type\":\"object\",\"properties\":{\"k\":{\"const\":1},\"x\":{\"$ref\":\"#\"}},\"required\":[\"k\",\"x\"],"
    "\"additionalProperties\":false},{\"type\":\"null\"}]}},\"required\":[\"x\"],\"additionalProperties\":false}",
    "{\"type\":\"object\",\"properties\":{\"quote\\\"d\":{\"type\":\"string\"},\"w\":{\"type\":\"string\",\"format\":\"date-time\"}},\"required\":[\"quote\\\"d\",\"w\"]}",
    "{\"type\":\"object\",\"properties\":{\"opts\":{\"type\":\"object\",\"properties\":{\"deep\":{\"type\":\"object\",\"properties\":{\"tags\":{\"type\":\"array\","
    "\"items\":{\"type\":\"string\",\"enum\":[\"x\",\"y\"]},\"minItems\":2,\"maxItems\":3}},\"required\":[\"tags\"]}},\"required\":[\"deep\"]}},\"required\":[\"opts\"]}",
};

static void check_schema(const char *text, enum schema_taste taste, uint64_t seed,
                         struct slice user) {
    struct buf out, again;
    buf_init(&out, 1 << 20);
    buf_init(&again, 1 << 20);
    assert_int_equal(schema_fill(slice_cstr(text), taste, user, seed, &out), 0);
    assert_int_equal(schema_fill(slice_cstr(text), taste, user, seed, &again), 0);
    assert_true(slice_eq(buf_slice(&out), buf_slice(&again)));
    yyjson_doc *schema = yyjson_read(text, strlen(text), 0),
               *value = yyjson_read(out.ptr, out.len, 0);
    root = yyjson_doc_get_root(schema);
    if (!value || !satisfies(yyjson_doc_get_root(value), root)) {
        fail_msg("%s\n  gave %.*s", text, SLICE_FMT(buf_slice(&out)));
    }
    yyjson_doc_free(schema);
    yyjson_doc_free(value);
    buf_dispose(&out);
    buf_dispose(&again);
}

static void test_values_satisfy_their_schema(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof schemas / sizeof schemas[0]; i++) {
        for (uint64_t seed = 0; seed < 50; seed++) {
            check_schema(schemas[i], SCHEMA_SENSIBLE, seed, SLICE("What is 2 and 4 in Brest or Montréal?"));
            check_schema(schemas[i], SCHEMA_WILD, seed, SLICE(""));
        }
    }
}

static void fill_one(const char *schema, struct slice user, struct buf *out) {
    buf_reset(out);
    assert_int_equal(schema_fill(slice_cstr(schema), SCHEMA_SENSIBLE, user, 1, out), 0);
    assert_int_equal(buf_append_byte(out, '\0'), 0);
}

static void test_words_of_the_user(void **state) {
    struct buf out;
    (void)state;
    buf_init(&out, 1 << 16);
    fill_one("{\"properties\":{\"city\":{\"type\":\"string\"},\"days\":{\"type\":\"integer\"}}}",
             SLICE("Weather in Lisbon for 3 days"), &out);
    assert_string_equal(out.ptr, "{\"city\":\"Lisbon\",\"days\":3}");
    fill_one("{\"properties\":{\"a\":{\"type\":\"integer\"},\"b\":{\"type\":\"integer\"}}}", SLICE("add 17 to 25"), &out);
    assert_string_equal(out.ptr, "{\"a\":17,\"b\":25}");
    fill_one("{\"properties\":{\"query\":{\"type\":\"string\"}}}", SLICE("find \"it\""), &out);
    assert_string_equal(out.ptr, "{\"query\":\"find \\\"it\\\"\"}");
    buf_dispose(&out);
}

/* Anything may come from the wire: it ends, within bounds, with an error or with JSON. */
static void test_hostile_schemas(void **state) {
    static const char *const hostile[] = {
        "[]", "7", "\"x\"", "{", "{\"$ref\":\"#\"}", "{\"$ref\":\"#/a\",\"a\":{\"$ref\":\"#/a\"}}",
        "{\"type\":\"object\",\"properties\":{\"a\":{\"$ref\":\"#\"}},\"required\":[\"a\"]}",
        "{\"type\":\"array\",\"minItems\":1e308,\"items\":{\"$ref\":\"#\"}}",
        "{\"type\":\"integer\",\"minimum\":1e300}", "{\"type\":\"number\",\"multipleOf\":1e-300,\"minimum\":5}",
        "{\"type\":\"number\",\"minimum\":5,\"maximum\":1}", "{\"type\":\"string\",\"minLength\":1e18}",
        "{\"type\":7,\"enum\":[],\"required\":{},\"properties\":[]}", "{\"allOf\":[{\"$ref\":\"#\"}]}"};
    (void)state;
    for (size_t i = 0; i < sizeof hostile / sizeof hostile[0]; i++) {
        struct buf out;
        buf_init(&out, 1 << 18);
        int rc = schema_fill(slice_cstr(hostile[i]), i % 2 ? SCHEMA_WILD : SCHEMA_SENSIBLE, SLICE("a B 3"), 3, &out);
        if (rc == 0) {
            yyjson_doc *doc = yyjson_read(out.ptr, out.len, 0);
            if (!doc) {
                fail_msg("%s gave %.*s", hostile[i], (int)(out.len < 200 ? out.len : 200), out.ptr);
            }
            yyjson_doc_free(doc);
        }
        buf_dispose(&out);
    }
}

/* Among wild values there are empty lists, escapes and large numbers; among sensible ones none. */
static void test_edges_come_by_seed(void **state) {
    static const char schema[] = "{\"type\":\"object\",\"properties\":{\"l\":{\"type\":\"array\",\"items\":{\"type\":\"string\"}},"
                                 "\"n\":{\"type\":\"integer\"}},\"required\":[\"l\",\"n\"],\"additionalProperties\":false}";
    unsigned empty = 0, escaped = 0, large = 0;
    struct buf out;
    (void)state;
    buf_init(&out, 1 << 20);
    for (uint64_t seed = 0; seed < 400; seed++) {
        enum schema_taste taste = seed % 2 ? SCHEMA_WILD : SCHEMA_SENSIBLE;
        buf_reset(&out);
        assert_int_equal(schema_fill(slice_cstr(schema), taste, SLICE(""), seed, &out), 0);
        assert_int_equal(buf_append_byte(&out, '\0'), 0);
        yyjson_doc *doc = yyjson_read(out.ptr, out.len - 1, 0);
        yyjson_val *n = yyjson_obj_get(yyjson_doc_get_root(doc), "n");
        bool is_empty = strstr(out.ptr, "\"l\":[]"), is_escaped = strstr(out.ptr, "\\u");
        bool is_large = fabs(yyjson_get_num(n)) > 4294967296.0;
        assert_true(taste == SCHEMA_WILD || !(is_empty || is_escaped || is_large));
        empty += is_empty;
        escaped += is_escaped;
        large += is_large;
        yyjson_doc_free(doc);
    }
    assert_in_range(empty, 10, 150);
    assert_in_range(escaped, 5, 150);
    assert_in_range(large, 10, 190);
    buf_dispose(&out);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values_satisfy_their_schema),
        cmocka_unit_test(test_edges_come_by_seed),
        cmocka_unit_test(test_words_of_the_user),
        cmocka_unit_test(test_hostile_schemas),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
