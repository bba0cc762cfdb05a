/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "mock/schema-private.h"

/* What JavaScript counts exactly, and what 64 bits hold. */
#define SAFE_MAX INT64_C(9007199254740991)
enum { NUMBER_BYTES = 40, USUAL_STEPS = 100 };

/* ---- hints ---- */

static bool is_word_byte(char c) {
    return (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z') ||
           (unsigned char)c >= 0x80;
}

/* The next number of the user's text. */
static bool hint_number(struct filler *f, int64_t *out_value) {
    struct slice t = f->text;
    for (size_t i = f->numbers_at; i < t.len; i++) {
        if (t.ptr[i] >= '0' && t.ptr[i] <= '9' && (i == 0 || !is_word_byte(t.ptr[i - 1]))) {
            int64_t value = 0;
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

/* ---- trying ---- */

/* Whether the text, read as others read it, holds. */
static bool holds(struct filler *f, const struct view *v, const char *text) {
    yyjson_doc *doc = yyjson_read(text, strlen(text), 0);
    bool does = doc && view_holds(f, v, yyjson_doc_get_root(doc));
    yyjson_doc_free(doc);
    return does;
}

/* ---- whole numbers ---- */

struct whole_range {
    int64_t low, high, step;
};

/* A bound within 64 bits; what is beyond is cut. */
static int64_t to_whole(double d) {
    return d <= -9.2233720368547748e18  ? INT64_MIN
           : d >= 9.2233720368547748e18 ? INT64_MAX
                                        : (int64_t)d;
}

/* As a double cannot say it: bounds of 64 bits are told by themselves. */
static int64_t whole_bound(const struct view *v, const char *key, double d) {
    for (unsigned i = 0; i < v->n; i++) {
        yyjson_val *own = yyjson_obj_get(v->parts[i], key);
        if (yyjson_is_int(own) && yyjson_get_num(own) == d) {
            bool is_large = yyjson_is_uint(own) && yyjson_get_uint(own) > INT64_MAX;
            return is_large ? INT64_MAX : yyjson_get_sint(own);
        }
    }
    return to_whole(d);
}

static int64_t plus(int64_t a, int64_t b) {
    int64_t sum;
    return __builtin_add_overflow(a, b, &sum) ? (b > 0 ? INT64_MAX : INT64_MIN) : sum;
}

static int64_t times(int64_t a, int64_t b) {
    int64_t product;
    return __builtin_mul_overflow(a, b, &product) ? ((a < 0) != (b < 0) ? INT64_MIN : INT64_MAX)
                                                  : product;
}

/* Bounds that are not told are near the ones that are, or small. */
static struct whole_range whole_range(struct filler *f, const struct view *v) {
    double low = view_least(v, "minimum", -HUGE_VAL), high = view_most(v, "maximum", HUGE_VAL);
    double above = view_least(v, "exclusiveMinimum", -HUGE_VAL);
    double below = view_most(v, "exclusiveMaximum", HUGE_VAL);
    double step = view_least(v, "multipleOf", 0);
    struct whole_range r = {.step = step >= 1 && step == floor(step) && step < 9e15 ? (int64_t)step
                                                                                    : 1};
    r.low = isinf(low) ? INT64_MIN : whole_bound(v, "minimum", low);
    r.low += !isinf(low) && low > (double)r.low && r.low < INT64_MAX;      /* a fraction: up */
    r.high = isinf(high) ? INT64_MAX : whole_bound(v, "maximum", high);
    r.high -= !isinf(high) && high < (double)r.high && r.high > INT64_MIN;
    if (!isinf(above) && above >= low) {
        r.low = plus(whole_bound(v, "exclusiveMinimum", floor(above)), 1);
    }
    if (!isinf(below) && below <= high) {
        r.high = plus(whole_bound(v, "exclusiveMaximum", ceil(below)), -1);
    }
    bool has_low = !isinf(low) || !isinf(above), has_high = !isinf(high) || !isinf(below);
    bool is_far = f->is_wild && !f->is_lean && one_in(f, 2);
    int64_t span = is_far ? SAFE_MAX : times(USUAL_STEPS, r.step);
    if (!has_low && !has_high) {
        r.low = f->is_wild && !f->is_lean ? -span : r.step == 1;
        r.high = span;
    } else if (!has_low) {
        r.low = r.high < 0 || f->is_wild ? plus(r.high, -span) : 0;
    } else if (!has_high) {
        r.high = plus(r.low, span);
    }
    return r;
}

/* The first multiple that is not below. */
static int64_t first_multiple(const struct whole_range *r) {
    int64_t rest = r->low % r->step;
    return rest == 0 ? r->low : plus(r->low - rest, rest > 0 ? r->step : 0);
}

static uint64_t steps_in(const struct whole_range *r, int64_t first) {
    return first > r->high ? 0 : ((uint64_t)r->high - (uint64_t)first) / (uint64_t)r->step;
}

static int64_t draw_whole(struct filler *f, const struct whole_range *r, unsigned nth) {
    int64_t first = first_multiple(r);
    uint64_t steps = steps_in(r, first), pick;
    if (first > r->high) {
        return r->low;
    }
    bool is_edge = f->is_wild && !f->is_lean && one_in(f, 3);
    if (is_edge || nth >= FILL_TRIES / 2) {
        pick = one_in(f, 2) ? 0 : steps;
    } else {
        bool is_near = !f->is_wild || f->is_lean || one_in(f, 2);
        uint64_t most =
            is_near && steps > USUAL_STEPS - 1 && f->salt == 0 ? USUAL_STEPS - 1 : steps;
        pick = most == UINT64_MAX ? rng_next(&f->rng) : rng_below(&f->rng, most + 1);
    }
    return (int64_t)((uint64_t)first + pick * (uint64_t)r->step);
}

static int fill_whole(struct filler *f, const struct view *v) {
    struct whole_range r = whole_range(f, v);
    char text[NUMBER_BYTES];
    int64_t n;
    for (unsigned i = 0; i == 0 || (i < FILL_TRIES && may_work(f)); i++) {
        bool is_hint = i == 0 && f->salt == 0 && hint_number(f, &n);
        n = is_hint ? n : draw_whole(f, &r, i);
        bool is_zero = i + 1 == FILL_TRIES && r.low <= 0 && r.high >= 0;
        snprintf(text, sizeof text, "%" PRId64, is_zero ? 0 : n);
        if (holds(f, v, text)) {
            break;
        }
    }
    return buf_append(f->out, slice_cstr(text));
}

/* ---- fractions ---- */

struct real_range {
    double low, high, step;
};

static struct real_range real_range(const struct filler *f, const struct view *v) {
    double step = view_least(v, "multipleOf", 0);
    double low = fmax(view_least(v, "minimum", -HUGE_VAL), view_least(v, "exclusiveMinimum", -HUGE_VAL));
    double high = fmin(view_most(v, "maximum", HUGE_VAL), view_most(v, "exclusiveMaximum", HUGE_VAL));
    double usual = step > 0 ? step : 0.25, span = usual * (int)USUAL_STEPS;
    if (f->is_wild && !f->is_lean) {
        span *= 1e4;
    }
    if (isinf(low) && isinf(high)) {
        low = f->is_wild ? -span : 0;
        high = span;
    } else if (isinf(low)) {
        low = high < 0 || f->is_wild ? high - span : fmin(0, high);
    } else if (isinf(high)) {
        high = low + span;
    }
    return (struct real_range){low, high, step};
}

/* As short as it may be, so that others read the same number. */
static void print_real(char text[NUMBER_BYTES], double d) {
    for (int digits = 6; digits <= 17; digits += digits < 15 ? 3 : 1) {
        snprintf(text, NUMBER_BYTES, "%.*g", digits, d);
        if (strtod(text, NULL) == d) {
            return;
        }
    }
}

static double draw_real(struct filler *f, const struct real_range *r, unsigned nth) {
    double step = r->step > 0 ? r->step : nth < FILL_TRIES / 2 ? 0.25 : (r->high - r->low) / 64;
    double first = ceil(r->low / step), last = floor(r->high / step);
    if (!(last >= first) || step <= 0) {
        return nth % 2 ? (r->low + r->high) / 2 : r->low;
    }
    double steps = fmin(last - first, 1e15);
    if (f->is_wild && !f->is_lean && one_in(f, 6)) {
        return one_in(f, 2) ? first * step : last * step;
    }
    double near = f->is_wild ? steps : fmin(steps, USUAL_STEPS - 1);
    return (first + (double)rng_below(&f->rng, (uint64_t)near + 1)) * step;
}

static int fill_real(struct filler *f, const struct view *v) {
    struct real_range r = real_range(f, v);
    char text[NUMBER_BYTES];
    int64_t hint;
    for (unsigned i = 0; i == 0 || (i < 2 * FILL_TRIES && may_work(f)); i++) {
        bool is_hint = i == 0 && f->salt == 0 && hint_number(f, &hint);
        print_real(text, is_hint ? (double)hint : draw_real(f, &r, i));
        if (holds(f, v, text)) {
            break;
        }
    }
    return buf_append(f->out, slice_cstr(text));
}

int fill_number(struct filler *f, const struct view *v, bool is_integer) {
    return is_integer ? fill_whole(f, v) : fill_real(f, v);
}
