/* SPDX-License-Identifier: Apache-2.0 */
#include "meter/meter.h"

#include "base/mem.h"

static const struct {
    const char *name;
    bool is_error;
} end_reasons[] = {
#define X(symbol, text, is_error, description) [END_##symbol] = {text, is_error},
    END_REASONS(X)
#undef X
};

const char *end_reason_name(enum end_reason r) {
    return (unsigned)r < END_REASON_COUNT ? end_reasons[r].name : "unknown";
}

bool end_reason_is_error(enum end_reason r) {
    return (unsigned)r >= END_REASON_COUNT || end_reasons[r].is_error;
}

struct meter *meter_new(unsigned n_providers) {
    size_t n = (size_t)n_providers + 1; /* the last: requests that reached none */
    struct meter *m = mem_zalloc(sizeof *m + n * sizeof m->providers[0]);
    m->n_providers = n_providers;
    for (size_t i = 0; i < n; i++) {
        struct meter_provider *p = &m->providers[i];
        hist_init(&p->ttft_ns);
        hist_init(&p->itl_ns);
        hist_init(&p->duration_ns[0]);
        hist_init(&p->duration_ns[1]);
    }
    return m;
}

void meter_free(struct meter *m) {
    mem_free(m);
}
