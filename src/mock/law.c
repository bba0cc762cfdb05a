/* SPDX-License-Identifier: Apache-2.0 */
#include "mock/law.h"

#include "base/clock.h"

static const struct unit {
    const char *name;
    int64_t ns;
} units[] = {
    {"", NS_PER_MS},
    {"ns", 1},
    {"us", NS_PER_US},
    {"ms", NS_PER_MS},
    {"s", NS_PER_S},
};

/* Digits with an optional fraction, from the front of *io. */
static bool number_parse(struct slice *io, double *out_value) {
    double value = 0, scale = 1;
    size_t i = 0;
    bool in_fraction = false, any = false;
    for (; i < io->len && i < 18; i++) {
        char c = io->ptr[i];
        if (c == '.' && !in_fraction) {
            in_fraction = true;
            continue;
        }
        if (c < '0' || c > '9') {
            break;
        }
        any = true;
        value = value * 10 + (c - '0');
        scale = in_fraction ? scale * 10 : scale;
    }
    *io = slice_from(*io, i);
    *out_value = value / scale;
    return any;
}

static bool duration_parse(struct slice text, int64_t *out_ns) {
    double value;
    if (!number_parse(&text, &value)) {
        return false;
    }
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (slice_eq(text, slice_cstr(units[i].name))) {
            double ns = value * (double)units[i].ns + 0.5;
            *out_ns = (int64_t)ns;
            return ns <= (double)LAW_MAX_NS;
        }
    }
    return false;
}

static bool spread_parse(struct slice text, double *out_spread) {
    double percent;
    if (!number_parse(&text, &percent) || !slice_eq(text, SLICE("%")) || percent > 100) {
        return false;
    }
    *out_spread = percent / 100;
    return true;
}

int law_parse(struct slice text, struct law *out_law, struct err *e) {
    struct slice given = slice_trim(text);
    ptrdiff_t colon = slice_index(given, ':');
    struct slice mean = colon < 0 ? given : slice_sub(given, 0, (size_t)colon);
    struct law law = LAW_ZERO;
    if (!duration_parse(mean, &law.mean_ns) ||
        (colon >= 0 && !spread_parse(slice_from(given, (size_t)colon + 1), &law.spread))) {
        return err_set(e, ERR_USAGE, "'%.*s' is not a time: write 20ms, 1.5s, 0 or 20ms:10%%",
                       (int)(given.len < 60 ? given.len : 60), given.ptr ? given.ptr : "");
    }
    *out_law = law;
    return 0;
}

int64_t law_draw(const struct law *law, struct rng *r) {
    if (law->spread <= 0 || law->mean_ns == 0) {
        return law->mean_ns;
    }
    double swing = (rng_unit(r) * 2 - 1) * law->spread;
    return law->mean_ns + (int64_t)((double)law->mean_ns * swing);
}
