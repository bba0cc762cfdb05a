/* SPDX-License-Identifier: Apache-2.0 */
#include "mock/burst.h"

#include <stdio.h>

#include "mock/law-private.h"

#define WEIGHT_MIN 1e-6
#define WEIGHT_MAX 1e6

/* ---- reading ---- */

static int refused(struct slice text, struct err *e) {
    return err_set(e, ERR_USAGE,
                   "'%.*s' is no number of tokens: write 4, 1-4, uniform(1, 4), speculative(4, 70%%) "
                   "or mixture(80:1, 20:4-8), 1 to %d tokens",
                   SLICE_FMT(slice_sub(text, 0, 60)), BURST_MAX);
}

static bool count_parse(struct slice text, uint64_t most, unsigned *out) {
    uint64_t n;
    if (!slice_to_u64(text, most, &n) || n == 0) {
        return false;
    }
    *out = (unsigned)n;
    return true;
}

/* "70%" or "0.7" */
static bool share_parse(struct slice text, double *out) {
    if (!law_number_parse(&text, out)) {
        return false;
    }
    bool is_percent = slice_eq(text, SLICE("%"));
    *out /= is_percent ? 100 : 1;
    return (text.len == 0 || is_percent) && *out <= 1;
}

static bool range_parse(struct slice least, struct slice most, struct burst_part *out) {
    out->acceptance = -1;
    return count_parse(least, BURST_MAX, &out->least) && count_parse(most, BURST_MAX, &out->most) &&
           out->least <= out->most;
}

static bool speculative_parse(struct slice drafts, struct slice acceptance,
                              struct burst_part *out) {
    unsigned n = 0;
    bool is_one =
        count_parse(drafts, BURST_MAX - 1, &n) && share_parse(acceptance, &out->acceptance);
    out->least = 1;
    out->most = n + 1;
    return is_one;
}

/* "name(x, y)": false when it is not of that form. */
static bool pair_parse(struct slice text, struct slice name, struct slice *out_x,
                       struct slice *out_y) {
    struct slice rest = slice_from(text, name.len), none;
    if (!slice_starts_with(text, name) || rest.len < 2 || rest.ptr[0] != '(' ||
        rest.ptr[rest.len - 1] != ')') {
        return false;
    }
    rest = slice_sub(rest, 1, rest.len - 2);
    return law_argument_next(&rest, out_x) && law_argument_next(&rest, out_y) &&
           !law_argument_next(&rest, &none);
}

static bool part_parse(struct slice text, struct burst_part *out) {
    struct slice x, y;
    ptrdiff_t dash = slice_index(text, '-');
    if (pair_parse(text, SLICE("uniform"), &x, &y)) {
        return range_parse(x, y, out);
    }
    if (pair_parse(text, SLICE("speculative"), &x, &y)) {
        return speculative_parse(x, y, out);
    }
    return dash < 0 ? range_parse(text, text, out)
                    : range_parse(slice_trim(slice_sub(text, 0, (size_t)dash)),
                                  slice_trim(slice_from(text, (size_t)dash + 1)), out);
}

static bool weight_parse(struct slice *io, double *out) {
    if (!law_number_parse(io, out) || io->len == 0 || io->ptr[0] != ':') {
        return false;
    }
    *io = slice_trim(slice_from(*io, 1));
    return *out >= WEIGHT_MIN && *out <= WEIGHT_MAX;
}

static bool mixture_parse(struct slice inside, struct burst *out) {
    struct slice item;
    while (law_argument_next(&inside, &item)) {
        struct burst_part *p = &out->parts[out->n_parts];
        if (out->n_parts == BURST_MAX_PARTS || !weight_parse(&item, &p->weight) ||
            !part_parse(item, p)) {
            return false;
        }
        out->n_parts++;
    }
    return true;
}

int burst_parse(struct slice text, struct burst *out, struct err *e) {
    struct slice given = slice_trim(text), mixture = SLICE("mixture(");
    struct burst b = {.n_parts = 0};
    bool is_mixture = slice_starts_with(given, mixture) && given.ptr[given.len - 1] == ')', is_one;
    if (is_mixture) {
        is_one = mixture_parse(slice_sub(given, mixture.len, given.len - mixture.len - 1), &b);
    } else {
        b.n_parts = 1;
        b.parts[0].weight = 1;
        is_one = part_parse(given, &b.parts[0]);
    }
    if (!is_one) {
        return refused(given, e);
    }
    *out = b;
    return 0;
}

/* ---- drawing ---- */

static double weights_of(const struct burst *b) {
    double sum = 0;
    for (unsigned i = 0; i < b->n_parts; i++) {
        sum += b->parts[i].weight;
    }
    return sum;
}

static const struct burst_part *part_choose(const struct burst *b, struct rng *r) {
    const struct burst_part *p = &b->parts[0], *last = p + b->n_parts - 1;
    double at = b->n_parts > 1 ? rng_unit(r) * weights_of(b) : 0;
    while (p < last && at >= p->weight) {
        at -= p->weight;
        p++;
    }
    return p;
}

unsigned burst_draw(const struct burst *b, struct rng *r) {
    if (b->n_parts == 0) {
        return 1;
    }
    const struct burst_part *p = part_choose(b, r);
    if (p->acceptance < 0) {
        return p->least == p->most ? p->least
                                   : p->least + (unsigned)rng_below(r, p->most - p->least + 1);
    }
    unsigned n = p->least;
    while (n < p->most && rng_unit(r) < p->acceptance) {
        n++;
    }
    return n;
}

bool burst_is_constant(const struct burst *b) {
    const struct burst_part *p = &b->parts[0];
    return b->n_parts == 0 || (b->n_parts == 1 && p->acceptance < 0 && p->least == p->most);
}

/* Each further token comes with the probability that all before it were accepted. */
static double part_mean(const struct burst_part *p) {
    double mean = p->least, reached = 1;
    if (p->acceptance < 0) {
        return (p->least + p->most) / 2.0;
    }
    for (unsigned n = p->least; n < p->most; n++) {
        reached *= p->acceptance;
        mean += reached;
    }
    return mean;
}

double burst_mean(const struct burst *b) {
    double sum = weights_of(b), mean = b->n_parts > 0 ? 0 : 1;
    for (unsigned i = 0; i < b->n_parts; i++) {
        mean += part_mean(&b->parts[i]) * b->parts[i].weight / sum;
    }
    return mean;
}

/* ---- printing ---- */

static int print_part(const struct burst_part *p, char *out, size_t room) {
    char number[LAW_NUMBER_BYTES];
    if (p->acceptance >= 0) {
        return snprintf(out, room, "speculative(%u, %s)", p->most - p->least,
                        law_number_print(p->acceptance, number));
    }
    return p->least == p->most ? snprintf(out, room, "%u", p->least)
                               : snprintf(out, room, "%u-%u", p->least, p->most);
}

const char *burst_print(const struct burst *b, char out[BURST_TEXT_BYTES]) {
    const struct burst one = burst_between(1, 1);
    char weight[LAW_NUMBER_BYTES];
    size_t at = 0;
    if (b->n_parts < 2) {
        print_part(b->n_parts ? &b->parts[0] : &one.parts[0], out, BURST_TEXT_BYTES);
        return out;
    }
    for (unsigned i = 0; i < b->n_parts; i++) {
        at += (size_t)snprintf(out + at, BURST_TEXT_BYTES - at, "%s%s:", i ? ", " : "mixture(",
                               law_number_print(b->parts[i].weight, weight));
        at += (size_t)print_part(&b->parts[i], out + at, BURST_TEXT_BYTES - at);
    }
    snprintf(out + at, BURST_TEXT_BYTES - at, ")");
    return out;
}
