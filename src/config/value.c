/* SPDX-License-Identifier: Apache-2.0 */
#include "config/value.h"

#include <stdio.h>

#include "base/clock.h"

bool value_parse_bool(struct slice s, bool *out) {
    static const struct {
        const char *word;
        bool value;
    } words[] = {{"true", true}, {"false", false}, {"yes", true},
                 {"no", false},  {"on", true},     {"off", false}};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (!slice_eq_nocase(s, slice_cstr(words[i].word))) continue;
        *out = words[i].value;
        return true;
    }
    return false;
}

static size_t digit_run(struct slice s) {
    size_t n = 0;
    while (n < s.len && s.ptr[n] >= '0' && s.ptr[n] <= '9') n++;
    return n;
}

/* ---- bytes ---- */

/* Largest first: the first that divides a value is its shortest spelling. */
static const struct {
    const char *name;
    uint64_t bytes;
} byte_units[] = {
    {"GiB", UINT64_C(1) << 30}, {"GB", 1000000000}, {"MiB", UINT64_C(1) << 20}, {"MB", 1000000},
    {"KiB", UINT64_C(1) << 10}, {"KB", 1000},       {"B", 1},
};
#define BYTE_UNITS (sizeof byte_units / sizeof byte_units[0])

bool value_parse_bytes(struct slice s, uint64_t *out_bytes) {
    size_t n = digit_run(s);
    uint64_t count;
    if (!slice_to_u64(slice_sub(s, 0, n), UINT64_MAX, &count)) return false;
    struct slice unit = slice_from(s, n);
    if (unit.len > 1 && unit.ptr[0] == ' ') unit = slice_from(unit, 1);
    for (size_t i = 0; i < BYTE_UNITS; i++) {
        bool is_it = unit.len > 0 ? slice_eq_nocase(unit, slice_cstr(byte_units[i].name))
                                  : byte_units[i].bytes == 1;
        if (is_it) return !__builtin_mul_overflow(count, byte_units[i].bytes, out_bytes);
    }
    return false;
}

const char *value_format_bytes(uint64_t bytes, char out[VALUE_TEXT_BYTES]) {
    for (size_t i = 0; bytes > 0 && i < BYTE_UNITS - 1; i++) {
        if (bytes % byte_units[i].bytes != 0) continue;
        snprintf(out, VALUE_TEXT_BYTES, "%llu%s",
                 (unsigned long long)(bytes / byte_units[i].bytes), byte_units[i].name);
        return out;
    }
    snprintf(out, VALUE_TEXT_BYTES, "%llu", (unsigned long long)bytes);
    return out;
}

/* ---- durations ---- */

static const struct {
    const char *name;
    int64_t ns;
} time_units[] = {
    {"d", 86400 * NS_PER_S}, {"h", 3600 * NS_PER_S}, {"m", 60 * NS_PER_S},
    {"s", NS_PER_S},         {"ms", NS_PER_MS},      {"us", NS_PER_US},
};
#define TIME_UNITS (sizeof time_units / sizeof time_units[0])

static size_t letter_run(struct slice s) {
    size_t n = 0;
    while (n < s.len && s.ptr[n] >= 'a' && s.ptr[n] <= 'z') n++;
    return n;
}

static int find_time_unit(struct slice name) {
    for (size_t i = 0; i < TIME_UNITS; i++) {
        if (slice_eq(name, slice_cstr(time_units[i].name))) return (int)i;
    }
    return -1;
}

/* ".5" of a unit, as nanoseconds; more than nine digits would be below its resolution. */
static bool parse_fraction(struct slice digits, int64_t unit_ns, int64_t *out_ns) {
    if (digits.len == 0 || digits.len > 9) return false;
    *out_ns = 0;
    for (size_t i = 0; i < digits.len; i++) {
        unit_ns /= 10;
        *out_ns += (digits.ptr[i] - '0') * unit_ns;
    }
    return true;
}

/* One "1.5s" at the front of *s, of a unit smaller than *unit; moves both on. */
static bool take_time(struct slice *s, int *unit, int64_t *total_ns) {
    size_t n = digit_run(*s);
    uint64_t count;
    if (!slice_to_u64(slice_sub(*s, 0, n), INT64_MAX, &count)) return false;
    struct slice rest = slice_from(*s, n), fraction = SLICE_NULL;
    if (rest.len > 0 && rest.ptr[0] == '.') {
        rest = slice_from(rest, 1);
        fraction = slice_sub(rest, 0, digit_run(rest));
        if (fraction.len == 0) return false;
        rest = slice_from(rest, fraction.len);
    }
    n = letter_run(rest);
    int found = find_time_unit(slice_sub(rest, 0, n));
    if (found < 0 || found <= *unit) return false;
    int64_t ns = 0, part_ns;
    if (fraction.len > 0 && !parse_fraction(fraction, time_units[found].ns, &ns)) return false;
    if (__builtin_mul_overflow((int64_t)count, time_units[found].ns, &part_ns) ||
        __builtin_add_overflow(ns, part_ns, &ns) ||
        __builtin_add_overflow(*total_ns, ns, total_ns)) {
        return false;
    }
    *unit = found;
    *s = slice_from(rest, n);
    return true;
}

bool value_parse_duration(struct slice s, int64_t *out_ns) {
    int unit = -1;
    int64_t total_ns = 0;
    if (slice_eq(s, SLICE("0"))) s = SLICE_NULL;
    else if (s.len == 0) return false;
    while (s.len > 0) {
        if (!take_time(&s, &unit, &total_ns)) return false;
    }
    *out_ns = total_ns - total_ns % NS_PER_US; /* what can be spelled again */
    return true;
}

const char *value_format_duration(int64_t ns, char out[VALUE_TEXT_BYTES]) {
    size_t len = 0;
    snprintf(out, VALUE_TEXT_BYTES, "0");
    for (size_t i = 0; i < TIME_UNITS && ns > 0; i++) {
        int64_t count = ns / time_units[i].ns;
        ns %= time_units[i].ns;
        if (count == 0) continue;
        int n = snprintf(out + len, VALUE_TEXT_BYTES - len, "%lld%s", (long long)count,
                         time_units[i].name);
        len += (size_t)n;
    }
    return out;
}
