/* SPDX-License-Identifier: Apache-2.0 */
#include "mock/schema.h"

#include <math.h>
#include <stdlib.h>
#include <yyjson.h>

#include "base/json_scan.h"
#include "base/random.h"

enum {
    SCHEMA_MAX_BYTES = 1 << 18,
    SCHEMA_MAX_DEPTH = 64,
    FILL_MAX_DEPTH = 24,      /* of references followed and containers opened */
    FILL_LEAN_DEPTH = 6,      /* from here only what is required */
    FILL_MAX_ITEMS = 64,
    FILL_MAX_STRING = 4096,
    HINT_MAX_BYTES = 80
};

struct filler {
    yyjson_val *root;
    struct rng rng;
    struct slice text;        /* the user's, for hints */
    size_t names_at, numbers_at;
    struct buf *out;
};

static int fill(struct filler *f, yyjson_val *schema, struct slice name, unsigned depth);

static struct slice val_slice(yyjson_val *v) {
    return slice_make(yyjson_get_str(v), yyjson_get_len(v));
}

static int append_quoted(struct buf *out, struct slice text) {
    if (buf_append_byte(out, '"') < 0 || json_escape(out, text) < 0) {
        return -ERR_LIMIT;
    }
    return buf_append_byte(out, '"');
}

static int append_value(struct buf *out, yyjson_val *v) {
    size_t len = 0;
    char *json = yyjson_val_write(v, 0, &len);
    int rc = json ? buf_append(out, slice_make(json, len)) : -ERR_LIMIT;
    free(json);
    return rc;
}

/* ---- hints from the user's text ---- */

static bool is_upper(char c) {
    return c >= 'A' && c <= 'Z';
}

static bool is_word_byte(char c) {
    return (c >= '0' && c <= '9') || is_upper(c) || (c >= 'a' && c <= 'z') ||
           (unsigned char)c >= 0x80;
}

/* The next capitalised word that does not begin the text: names of people and places mostly. */
static struct slice hint_name(struct filler *f) {
    struct slice t = f->text;
    for (size_t i = f->names_at ? f->names_at : 1; i < t.len; i++) {
        if (is_upper(t.ptr[i]) && !is_word_byte(t.ptr[i - 1])) {
            size_t end = i;
            while (end < t.len && is_word_byte(t.ptr[end])) {
                end++;
            }
            f->names_at = end;
            if (end - i > 1) {
                return slice_sub(t, i, end - i);
            }
            i = end;
        }
    }
    return SLICE_NULL;
}

static bool hint_number(struct filler *f, double *out_value) {
    struct slice t = f->text;
    for (size_t i = f->numbers_at; i < t.len; i++) {
        if (t.ptr[i] >= '0' && t.ptr[i] <= '9' && (i == 0 || !is_word_byte(t.ptr[i - 1]))) {
            double value = 0;
            size_t end = i;
            for (; end < t.len && end - i < 9 && t.ptr[end] >= '0' && t.ptr[end] <= '9'; end++) {
                value = value * 10 + (t.ptr[end] - '0');
            }
            f->numbers_at = end;
            *out_value = value;
            return true;
        }
    }
    return false;
}

/* ---- strings ---- */

static const struct sample {
    const char *key;          /* a format, or a part of the property's name */
    const char *values[2];
} samples[] = {
    {"date-time", {"2025-03-14T09:26:53Z", "2024-11-05T18:00:00Z"}},
    {"date", {"2025-03-14", "2024-11-05"}},
    {"time", {"09:26:53Z", "18:00:00Z"}},
    {"duration", {"PT20M", "P1D"}},
    {"email", {"ada@example.com", "corin@example.org"}},
    {"hostname", {"example.com", "example.org"}},
    {"ipv4", {"192.0.2.7", "198.51.100.23"}},
    {"ipv6", {"2001:db8::7", "2001:db8::23"}},
    {"uuid", {"6f1c2f0e-52d4-4a57-9b5e-0c7c1f5d8a10", "b0a7c3de-93aa-4c1b-8e51-64f2f0a1c922"}},
    {"uri", {"https://example.com/a", "https://example.org/b"}},
    {"url", {"https://example.com/a", "https://example.org/b"}},
    {"city", {"Brest", "Lisbon"}},
    {"location", {"Brest", "Lisbon"}},
    {"place", {"Brest", "Lisbon"}},
    {"port", {"Brest", "Lisbon"}},
    {"country", {"France", "Portugal"}},
    {"name", {"Ada", "Corin"}},
    {"unit", {"metric", "celsius"}},
    {"lang", {"en", "fr"}},
    {"color", {"teal", "amber"}},
    {"title", {"A quiet morning", "The second bridge"}},
    {"", {"sample", "example"}},
};
enum { SAMPLE_COUNT = sizeof samples / sizeof samples[0] };

static bool contains_nocase(struct slice text, struct slice part) {
    for (size_t i = 0; i + part.len <= text.len; i++) {
        if (slice_eq_nocase(slice_sub(text, i, part.len), part)) {
            return true;
        }
    }
    return false;
}

static bool wants_whole_text(struct slice name) {
    static const char *const names[] = {"query", "question", "prompt", "message", "input", "text"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (slice_eq_nocase(name, slice_cstr(names[i]))) {
            return true;
        }
    }
    return slice_eq(name, SLICE("q"));
}

static struct slice sample_for(struct filler *f, struct slice format, struct slice name) {
    for (size_t i = 0; i < SAMPLE_COUNT; i++) {
        struct slice key = slice_cstr(samples[i].key);
        bool fits = format.len ? slice_eq(format, key) : contains_nocase(name, key);
        if (fits) {
            return slice_cstr(samples[i].values[rng_below(&f->rng, 2)]);
        }
    }
    return slice_cstr(samples[SAMPLE_COUNT - 1].values[0]);
}

static struct slice string_value(struct filler *f, yyjson_val *schema, struct slice name) {
    struct slice format = val_slice(yyjson_obj_get(schema, "format"));
    if (format.len) {
        return sample_for(f, format, name);
    }
    if (wants_whole_text(name) && f->text.len) {
        struct slice cut = slice_sub(f->text, 0, HINT_MAX_BYTES);
        return slice_sub(cut, 0, slice_utf8_valid(cut));
    }
    struct slice hint = hint_name(f);
    return hint.len ? hint : sample_for(f, SLICE_NULL, name);
}

static size_t size_bound(yyjson_val *schema, const char *key, size_t absent, size_t most) {
    yyjson_val *v = yyjson_obj_get(schema, key);
    if (!yyjson_is_num(v)) {
        return absent;
    }
    double d = yyjson_get_num(v);
    return d <= 0 ? 0 : d > (double)most ? most : (size_t)d;
}

/* Lengths count code points in schemas; ours are counted the same way. */
static struct slice cut_code_points(struct slice s, size_t most, size_t *out_count) {
    size_t n = 0, i = 0;
    while (i < s.len && n < most) {
        i++;
        while (i < s.len && ((unsigned char)s.ptr[i] & 0xc0) == 0x80) {
            i++;
        }
        n++;
    }
    *out_count = n;
    return slice_sub(s, 0, i);
}

static int fill_string(struct filler *f, yyjson_val *schema, struct slice name) {
    size_t least = size_bound(schema, "minLength", 0, FILL_MAX_STRING);
    size_t most = size_bound(schema, "maxLength", FILL_MAX_STRING, FILL_MAX_STRING);
    size_t count = 0;
    struct slice value = cut_code_points(string_value(f, schema, name), most, &count);
    if (buf_append_byte(f->out, '"') < 0 || json_escape(f->out, value) < 0) {
        return -ERR_LIMIT;
    }
    for (; count < least; count++) {
        if (buf_append_byte(f->out, "abcdefgh"[count % 8]) < 0) {
            return -ERR_LIMIT;
        }
    }
    return buf_append_byte(f->out, '"');
}

/* ---- numbers ---- */

struct range {
    double low, high, step;
};

static double number_or(yyjson_val *schema, const char *key, double absent) {
    yyjson_val *v = yyjson_obj_get(schema, key);
    return yyjson_is_num(v) ? yyjson_get_num(v) : absent;
}

static struct range range_of(yyjson_val *schema, bool is_integer) {
    double step = number_or(schema, "multipleOf", 0);
    step = step > 0 ? step : is_integer ? 1 : 0.25;
    if (is_integer && step != floor(step)) {
        step = 1;
    }
    double low = number_or(schema, "minimum", -HUGE_VAL);
    double high = number_or(schema, "maximum", HUGE_VAL);
    double above = number_or(schema, "exclusiveMinimum", -HUGE_VAL);
    double below = number_or(schema, "exclusiveMaximum", HUGE_VAL);
    if (above >= low) {
        low = (floor(above / step) + 1) * step;
    }
    if (below <= high) {
        high = (ceil(below / step) - 1) * step;
    }
    if (isinf(low) && isinf(high)) {
        return (struct range){1, 100, step};
    }
    if (isinf(low)) {
        low = high < 0 ? high - 100 * step : 0;
    }
    return (struct range){low, isinf(high) ? low + 100 * step : high, step};
}

static int append_number(struct buf *out, double value, bool is_integer) {
    if (is_integer && fabs(value) < 9e15) {
        return buf_appendf(out, "%.0f", value);
    }
    return buf_appendf(out, "%.15g", value);
}

static int fill_number(struct filler *f, yyjson_val *schema, bool is_integer) {
    struct range r = range_of(schema, is_integer);
    double hint, first = ceil(r.low / r.step) * r.step;
    if (hint_number(f, &hint) && hint >= r.low && hint <= r.high &&
        fabs(remainder(hint, r.step)) < 1e-9) {
        return append_number(f->out, hint, is_integer);
    }
    if (first > r.high) {        /* a step does not fit between the bounds */
        return append_number(f->out, r.low, is_integer);
    }
    double steps = floor((r.high - first) / r.step);
    uint64_t pick = rng_below(&f->rng, (uint64_t)fmin(steps, 99) + 1);
    return append_number(f->out, first + (double)pick * r.step, is_integer);
}

/* ---- containers ---- */

static bool is_required(yyjson_val *schema, struct slice name) {
    yyjson_val *item;
    yyjson_arr_iter it = yyjson_arr_iter_with(yyjson_obj_get(schema, "required"));
    while ((item = yyjson_arr_iter_next(&it))) {
        if (slice_eq(val_slice(item), name)) {
            return true;
        }
    }
    return false;
}

static int fill_members(struct filler *f, yyjson_val *schema, unsigned depth, bool *io_first) {
    yyjson_val *properties = yyjson_obj_get(schema, "properties");
    bool all = yyjson_arr_size(yyjson_obj_get(schema, "required")) == 0 && depth < FILL_LEAN_DEPTH;
    yyjson_val *key;
    yyjson_obj_iter it = yyjson_obj_iter_with(properties);
    while ((key = yyjson_obj_iter_next(&it))) {
        struct slice name = val_slice(key);
        if (!all && !is_required(schema, name)) {
            continue;
        }
        if ((!*io_first && buf_append_byte(f->out, ',') < 0) || append_quoted(f->out, name) < 0 ||
            buf_append_byte(f->out, ':') < 0) {
            return -ERR_LIMIT;
        }
        *io_first = false;
        int rc = fill(f, yyjson_obj_iter_get_val(key), name, depth + 1);
        if (rc < 0) {
            return rc;
        }
    }
    return 0;
}

static yyjson_val *resolve(struct filler *f, yyjson_val *schema);

static int fill_object(struct filler *f, yyjson_val *schema, unsigned depth) {
    bool first = true;
    if (buf_append_byte(f->out, '{') < 0 || fill_members(f, schema, depth, &first) < 0) {
        return -ERR_LIMIT;
    }
    yyjson_val *part;
    yyjson_arr_iter it = yyjson_arr_iter_with(yyjson_obj_get(schema, "allOf"));
    while ((part = yyjson_arr_iter_next(&it))) {
        if (fill_members(f, resolve(f, part), depth, &first) < 0) {
            return -ERR_LIMIT;
        }
    }
    return buf_append_byte(f->out, '}');
}

static int fill_array(struct filler *f, yyjson_val *schema, struct slice name, unsigned depth) {
    size_t least = size_bound(schema, "minItems", 0, FILL_MAX_ITEMS);
    size_t most = size_bound(schema, "maxItems", FILL_MAX_ITEMS, FILL_MAX_ITEMS);
    yyjson_val *prefix = yyjson_obj_get(schema, "prefixItems");
    size_t count = depth < FILL_LEAN_DEPTH ? 1 + (size_t)rng_below(&f->rng, 2) : 0;
    count = yyjson_arr_size(prefix) > count ? yyjson_arr_size(prefix) : count;
    count = count < least ? least : count > most ? most : count;
    if (buf_append_byte(f->out, '[') < 0) {
        return -ERR_LIMIT;
    }
    for (size_t i = 0; i < count; i++) {
        yyjson_val *item = yyjson_arr_get(prefix, i);
        item = item ? item : yyjson_obj_get(schema, "items");
        if (i > 0 && buf_append_byte(f->out, ',') < 0) {
            return -ERR_LIMIT;
        }
        int rc = fill(f, item, name, depth + 1);
        if (rc < 0) {
            return rc;
        }
    }
    return buf_append_byte(f->out, ']');
}

/* ---- any value ---- */

/* Follows "#/a/b" inside the schema document; what cannot be followed stays as it is. */
static yyjson_val *resolve(struct filler *f, yyjson_val *schema) {
    for (unsigned hops = 0; hops < 8; hops++) {
        struct slice ref = val_slice(yyjson_obj_get(schema, "$ref"));
        if (!slice_starts_with(ref, SLICE("#"))) {
            break;
        }
        yyjson_val *to =
            ref.len == 1 ? f->root : yyjson_ptr_getn(f->root, ref.ptr + 1, ref.len - 1);
        if (!to) {
            break;
        }
        schema = to;
    }
    return schema;
}

static const char *type_of(yyjson_val *schema) {
    yyjson_val *type = yyjson_obj_get(schema, "type");
    if (yyjson_is_arr(type)) {
        type = yyjson_arr_get_first(type);
    }
    if (yyjson_is_str(type)) {
        return yyjson_get_str(type);
    }
    bool object = yyjson_obj_get(schema, "properties") || yyjson_obj_get(schema, "allOf");
    bool array = yyjson_obj_get(schema, "items") || yyjson_obj_get(schema, "prefixItems");
    return object ? "object" : array ? "array" : "string";
}

static yyjson_val *fixed_value(struct filler *f, yyjson_val *schema) {
    yyjson_val *v = yyjson_obj_get(schema, "const");
    yyjson_val *choices = yyjson_obj_get(schema, "enum");
    if (!v && yyjson_arr_size(choices) > 0) {
        v = yyjson_arr_get(choices, (size_t)rng_below(&f->rng, yyjson_arr_size(choices)));
    }
    return v ? v : yyjson_obj_get(schema, "default");
}

static int fill_typed(struct filler *f, yyjson_val *schema, struct slice name, unsigned depth) {
    const char *type = type_of(schema);
    if (strcmp(type, "object") == 0) {
        return fill_object(f, schema, depth);
    }
    if (strcmp(type, "array") == 0) {
        return fill_array(f, schema, name, depth);
    }
    if (strcmp(type, "integer") == 0 || strcmp(type, "number") == 0) {
        return fill_number(f, schema, type[0] == 'i');
    }
    if (strcmp(type, "boolean") == 0) {
        return buf_append(f->out, rng_below(&f->rng, 2) ? SLICE("true") : SLICE("false"));
    }
    if (strcmp(type, "null") == 0) {
        return buf_append(f->out, SLICE("null"));
    }
    return fill_string(f, schema, name);
}

static int fill(struct filler *f, yyjson_val *schema, struct slice name, unsigned depth) {
    if (depth > FILL_MAX_DEPTH) {
        return buf_append(f->out, SLICE("null"));
    }
    schema = resolve(f, schema);
    yyjson_val *fixed = fixed_value(f, schema);
    if (fixed) {
        return append_value(f->out, fixed);
    }
    yyjson_val *any = yyjson_obj_get(schema, "anyOf");
    any = any ? any : yyjson_obj_get(schema, "oneOf");
    if (yyjson_arr_size(any) > 0 && !yyjson_obj_get(schema, "properties")) {
        /* The last one when deep: recursive types end in null there by custom. */
        yyjson_val *pick =
            depth < FILL_LEAN_DEPTH ? yyjson_arr_get_first(any) : yyjson_arr_get_last(any);
        return fill(f, pick, name, depth + 1);
    }
    return fill_typed(f, schema, name, depth);
}

int schema_fill(struct slice schema, struct slice user_text, uint64_t seed, struct buf *out) {
    if (slice_is_empty(schema)) {
        return buf_append(out, SLICE("{}"));
    }
    if (schema.len > SCHEMA_MAX_BYTES || !json_depth_ok(schema, SCHEMA_MAX_DEPTH)) {
        return -ERR_LIMIT;
    }
    yyjson_doc *doc = yyjson_read(schema.ptr, schema.len, 0);
    struct filler f = {.root = yyjson_doc_get_root(doc), .text = user_text, .out = out};
    rng_seed(&f.rng, seed);
    int rc = yyjson_is_obj(f.root) ? fill(&f, f.root, SLICE_NULL, 0) : -ERR_PROTOCOL;
    yyjson_doc_free(doc);
    return rc;
}
