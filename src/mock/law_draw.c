/* SPDX-License-Identifier: Apache-2.0 */
/* Draws, and the theory that they are tested against. Every part is cut at 0 and at LAW_MAX_NS: a
 * longer time counts as that, in draws, means and quantiles alike. */
#include <assert.h>
#include <math.h>

#include "mock/law-private.h"

#define MOST ((double)LAW_MAX_NS)

/* ---- draws ---- */

/* Never 0: its logarithm is taken. */
static double unit_above_zero(struct rng *r) {
    return 1 - rng_unit(r);
}

/* Marsaglia's polar method; the second number of the pair is let go, so that a draw depends on
 * nothing but the generator. */
static double normal_draw(struct rng *r) {
    double x, y, square;
    do {
        x = rng_unit(r) * 2 - 1;
        y = rng_unit(r) * 2 - 1;
        square = x * x + y * y;
    } while (square >= 1 || square == 0);
    return x * sqrt(-2 * log(square) / square);
}

/* Marsaglia and Tsang, "A simple method for generating gamma variables" (2000); below 1 from
 * shape + 1. */
static double gamma_draw(double shape, struct rng *r) {
    if (shape < 1) {
        double u = unit_above_zero(r);
        return gamma_draw(shape + 1, r) * pow(u, 1 / shape);
    }
    double d = shape - 1.0 / 3, c = 1 / sqrt(9 * d);
    for (;;) {
        double x = normal_draw(r), v = 1 + c * x;
        v = v * v * v;
        if (v > 0 && log(unit_above_zero(r)) < x * x / 2 + d - d * v + d * log(v)) {
            return d * v;
        }
    }
}

/* The value at place q of what was measured. */
static double points_at(const struct law_part *p, double q) {
    unsigned last = p->n_points - 1;
    if (!p->quantiles) {
        double at = q * last;
        unsigned i = (unsigned)at < last ? (unsigned)at : last;
        unsigned next = i < last ? i + 1 : last;
        return p->values[i] + (at - i) * (p->values[next] - p->values[i]);
    }
    if (q <= p->quantiles[0]) {
        return p->values[0];
    }
    /* quantiles[low] < q <= quantiles[high], or past the end */
    unsigned low = 0, high = last;
    while (low + 1 < high) {
        unsigned middle = (low + high) / 2;
        if (p->quantiles[middle] < q) {
            low = middle;
        } else {
            high = middle;
        }
    }
    if (high == low || q >= p->quantiles[high]) {
        return p->values[high];
    }
    double share = (q - p->quantiles[low]) / (p->quantiles[high] - p->quantiles[low]);
    return p->values[low] + share * (p->values[high] - p->values[low]);
}

static double part_draw(const struct law_part *p, struct rng *r) {
    switch (p->kind) {
    case LAW_CONSTANT:    return p->a;
    case LAW_UNIFORM:     return p->a + (p->b - p->a) * rng_unit(r);
    case LAW_NORMAL:      return p->a + p->b * normal_draw(r);
    case LAW_LOGNORMAL:   return p->a * exp(p->b * normal_draw(r));
    case LAW_GAMMA:       return p->b * gamma_draw(p->a, r);
    case LAW_EXPONENTIAL: return -p->a * log(unit_above_zero(r));
    case LAW_PARETO:      return p->a * pow(unit_above_zero(r), -1 / p->b);
    case LAW_EMPIRICAL:   return points_at(p, rng_unit(r));
    }
    return 0;
}

static const struct law_part *part_choose(const struct law_shape *s, struct rng *r) {
    unsigned i = 0;
    if (s->n_parts > 1) {
        double u = rng_unit(r);
        while (i + 1 < s->n_parts && u >= s->parts[i].up_to) {
            i++;
        }
    }
    return &s->parts[i];
}

int64_t law_draw(const struct law *law, struct rng *r) {
    if (law->shape) {
        double ns = part_draw(part_choose(law->shape, r), r);
        return !(ns > 0) ? 0 : ns >= MOST ? LAW_MAX_NS : (int64_t)(ns + 0.5);
    }
    if (law->spread <= 0 || law->mean_ns == 0) {
        return law->mean_ns;
    }
    double swing = (rng_unit(r) * 2 - 1) * law->spread;
    return law->mean_ns + (int64_t)((double)law->mean_ns * swing);
}

/* ---- theory ---- */

static double normal_cdf(double z) {
    return erfc(-z / sqrt(2)) / 2;
}

static double normal_density(double z) {
    return exp(-z * z / 2) / sqrt(2 * M_PI);
}

/* The regularised lower incomplete gamma function: its series below a + 1, else the continued
 * fraction of the upper one (Lentz). */
static double gamma_lower(double a, double x) {
    int sign;
    double scale = exp(a * log(x) - x - lgamma_r(a, &sign));
    if (x < a + 1) {
        double term = 1 / a, sum = term;
        for (unsigned n = 1; n < 100000 && term > sum * 1e-16; n++) {
            term *= x / (a + n);
            sum += term;
        }
        return sum * scale;
    }
    double b = x + 1 - a, c = 1e300, d = 1 / b, h = d, step = 0;
    for (unsigned n = 1; n < 100000 && fabs(step - 1) > 1e-16; n++) {
        double k = -(double)n * (n - a);
        b += 2;
        d = 1 / (k * d + b);
        c = b + k / c;
        step = d * c;
        h *= step;
    }
    return 1 - scale * h;
}

static double points_cdf(const struct law_part *p, double ns) {
    unsigned last = p->n_points - 1, low = 0, high = p->n_points;
    while (low < high) {                  /* the first one above ns */
        unsigned middle = (low + high) / 2;
        if (p->values[middle] <= ns) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    if (low == 0 || low > last) {
        return low == 0 ? 0 : 1;
    }
    double below = p->quantiles ? p->quantiles[low - 1] : (double)(low - 1) / last;
    double above = p->quantiles ? p->quantiles[low] : (double)low / last;
    double share = (ns - p->values[low - 1]) / (p->values[low] - p->values[low - 1]);
    return below + share * (above - below);
}

static double step_or(double ns, double at, double width, double inside) {
    return width > 0 ? inside : ns >= at;
}

static double part_cdf(const struct law_part *p, double ns) {
    if (ns < 0 || ns >= MOST) {
        return ns >= 0;
    }
    switch (p->kind) {
    case LAW_CONSTANT:
        return ns >= p->a;
    case LAW_UNIFORM:
        return ns < p->a ? 0 : ns >= p->b ? 1 : (ns - p->a) / (p->b - p->a);
    case LAW_NORMAL:
        return step_or(ns, p->a, p->b, normal_cdf((ns - p->a) / p->b));
    case LAW_LOGNORMAL:
        return ns == 0 ? 0 : step_or(ns, p->a, p->b, normal_cdf(log(ns / p->a) / p->b));
    case LAW_GAMMA:
        return ns == 0 ? 0 : gamma_lower(p->a, ns / p->b);
    case LAW_EXPONENTIAL:
        return p->a > 0 ? -expm1(-ns / p->a) : 1;
    case LAW_PARETO:
        return ns < p->a ? 0 : 1 - pow(p->a / ns, p->b);
    case LAW_EMPIRICAL:
        return points_cdf(p, ns);
    }
    return 1;
}

static double points_mean(const struct law_part *p) {
    double sum = 0;
    unsigned last = p->n_points - 1;
    if (last == 0) {
        return p->values[0];
    }
    for (unsigned i = 0; i < last; i++) {
        double width = p->quantiles ? p->quantiles[i + 1] - p->quantiles[i] : 1.0 / last;
        sum += width * (p->values[i] + p->values[i + 1]) / 2;
    }
    if (p->quantiles) {
        sum += p->quantiles[0] * p->values[0] + (1 - p->quantiles[last]) * p->values[last];
    }
    return sum;
}

/* Of max(0, X); that it is cut above is too far off to count. */
static double normal_mean(double mean, double sd) {
    double z = sd > 0 ? mean / sd : 0;
    return sd > 0 ? mean * normal_cdf(z) + sd * normal_density(z) : mean;
}

static double lognormal_mean(double median, double sigma) {
    double mean = median * exp(sigma * sigma / 2), z = log(MOST / median);
    if (sigma == 0) {
        return median;
    }
    return mean * normal_cdf(z / sigma - sigma) + MOST * normal_cdf(-z / sigma);
}

static double gamma_mean(double shape, double scale) {
    double below = gamma_lower(shape + 1, MOST / scale);
    return shape * scale * below + MOST * (1 - gamma_lower(shape, MOST / scale));
}

static double pareto_mean(double least, double alpha) {
    double beyond = pow(least / MOST, alpha) * MOST;      /* what is cut counts as MOST */
    if (fabs(alpha - 1) < 1e-9) {
        return least * log(MOST / least) + beyond;
    }
    return alpha / (alpha - 1) * (least - beyond) + beyond;
}

double law_part_mean(const struct law_part *p) {
    switch (p->kind) {
    case LAW_CONSTANT:    return p->a;
    case LAW_UNIFORM:     return (p->a + p->b) / 2;
    case LAW_NORMAL:      return normal_mean(p->a, p->b);
    case LAW_LOGNORMAL:   return lognormal_mean(p->a, p->b);
    case LAW_GAMMA:       return gamma_mean(p->a, p->b);
    case LAW_EXPONENTIAL: return p->a > 0 ? -p->a * expm1(-MOST / p->a) : 0;
    case LAW_PARETO:      return pareto_mean(p->a, p->b);
    case LAW_EMPIRICAL:   return points_mean(p);
    }
    return 0;
}

double law_mean_ns(const struct law *law) {
    const struct law_shape *s = law->shape;
    double mean = 0, sum = 0;
    if (!s) {
        return (double)law->mean_ns;
    }
    for (unsigned i = 0; i < s->n_parts; i++) {
        mean += law_part_mean(&s->parts[i]) * s->parts[i].weight;
        sum += s->parts[i].weight;
    }
    return mean / sum;
}

double law_cdf(const struct law *law, double ns) {
    const struct law_shape *s = law->shape;
    double share = 0, before = 0;
    if (!s) {
        double swing = (double)law->mean_ns * law->spread;
        const struct law_part p = {.kind = swing > 0 ? LAW_UNIFORM : LAW_CONSTANT,
                                   .a = (double)law->mean_ns - swing,
                                   .b = (double)law->mean_ns + swing};
        return part_cdf(&p, ns);
    }
    for (unsigned i = 0; i < s->n_parts; i++) {
        share += part_cdf(&s->parts[i], ns) * (s->parts[i].up_to - before);
        before = s->parts[i].up_to;
    }
    return share;
}

int64_t law_quantile_ns(const struct law *law, double q) {
    int64_t low = 0, high = LAW_MAX_NS;
    assert(q >= 0 && q <= 1);
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        if (law_cdf(law, (double)middle) >= q) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return low;
}
