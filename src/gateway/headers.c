/* SPDX-License-Identifier: Apache-2.0 */
/* Response headers: what every answer carries, what is passed on from the upstream, and what never
 * is. */
#include <stdio.h>

#include "gateway/relay.h"

void out_headers_add(struct out_headers *h, struct slice name, struct slice value) {
    if (h->count < MAX_OUT_HEADERS)   /* validity is checked where headers are written */
        h->items[h->count++] = (struct http_header){name, value};
}

void out_headers_set(struct out_headers *h, struct slice name, struct slice value) {
    for (unsigned i = 0; i < h->count; i++)
        if (slice_eq_nocase(h->items[i].name, name)) {
            h->items[i].value = value;
            return;
        }
    out_headers_add(h, name, value);
}

/* Names and prefixes of upstream headers that clients use: limits, retry advice, provider's
 * diagnostics. */
static const struct slice passed_exact[] = {
    {"retry-after", 11},      {"retry-after-ms", 14},  {"x-should-retry", 14},
    {"openai-version", 14},   {"openai-model", 12},    {"openai-processing-ms", 20},
    {"x-generation-id", 15},  {"apim-request-id", 15}, {"x-ms-region", 11},
    {"x-penstock-mock", 15},
};
static const struct slice passed_prefix[] = {{"x-ratelimit-", 12}, {"x-penstock-mock-", 16}};

static bool is_passed(struct slice name) {
    for (size_t i = 0; i < sizeof passed_exact / sizeof passed_exact[0]; i++)
        if (slice_eq_nocase(name, passed_exact[i]))
            return true;
    for (size_t i = 0; i < sizeof passed_prefix / sizeof passed_prefix[0]; i++)
        if (slice_eq_nocase(slice_sub(name, 0, passed_prefix[i].len), passed_prefix[i]))
            return true;
    return false;
}

/* The answer's head dies with on_head: what will be needed at commit goes to the exchange's arena.
 * */
void relay_keep_headers(struct relay *r, const struct http_headers *from) {
    struct arena *a = r->ex->arena;
    struct out_headers *kept = arena_alloc(a, sizeof *kept);
    bool from_mock = r->upstream->config->is_mock;
    for (unsigned i = 0; i < from->count; i++) {
        struct slice name = from->items[i].name, value = from->items[i].value;
        if (slice_eq_nocase(name, SLICE("x-request-id")))
            out_headers_add(kept, SLICE("x-upstream-request-id"), arena_dup(a, value));
        else if (!is_passed(name) || (from_mock && slice_eq_nocase(name, SLICE("x-penstock-mock"))))
            continue;
        else if (kept->count < MAX_OUT_HEADERS - 12)
            out_headers_add(kept, arena_dup(a, name), arena_dup(a, value));
    }
    r->upstream_headers = kept;
}

void relay_answer_headers(struct relay *r, struct out_headers *h) {
    h->count = 0;
    out_headers_add(h, SLICE("x-request-id"), slice_cstr(r->request_id));
    if (r->upstream && r->upstream->config->is_mock)
        out_headers_add(h, SLICE("x-penstock-mock"), SLICE("1"));
    if (r->upstream_headers)
        for (unsigned i = 0; i < r->upstream_headers->count; i++)
            out_headers_add(h, r->upstream_headers->items[i].name,
                            r->upstream_headers->items[i].value);
    if (r->ex && h->count <= MAX_OUT_HEADERS - 3)
        h->count += guard_cors_headers(r->worker, r->ex, h->items + h->count);
}
