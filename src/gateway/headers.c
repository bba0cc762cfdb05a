/* SPDX-License-Identifier: Apache-2.0 */
/* Response headers: what every answer carries, what is passed on from the upstream, and what never
 * is. */
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
 * diagnostics. The families' own are of use to their own clients alone: limits are told in other
 * names and other forms of time. */
enum family { FAMILY_ANY, FAMILY_OPENAI, FAMILY_ANTHROPIC };
static const struct passed {
    struct slice name;                   /* a prefix when it ends in '-' */
    enum family family;
} passed[] = {
    {{"retry-after", 11}, FAMILY_ANY},
    {{"retry-after-ms", 14}, FAMILY_ANY},
    {{"x-should-retry", 14}, FAMILY_ANY},
    {{"openai-version", 14}, FAMILY_OPENAI},
    {{"openai-model", 12}, FAMILY_OPENAI},
    {{"openai-processing-ms", 20}, FAMILY_OPENAI},
    {{"x-ratelimit-", 12}, FAMILY_OPENAI},
    {{"anthropic-ratelimit-", 20}, FAMILY_ANTHROPIC},
    {{"anthropic-organization-id", 25}, FAMILY_ANTHROPIC},
    {{"x-generation-id", 15}, FAMILY_ANY},
    {{"apim-request-id", 15}, FAMILY_ANY},
    {{"x-ms-region", 11}, FAMILY_ANY},
    {{"x-penstock-mock", 15}, FAMILY_ANY},
    {{"x-penstock-mock-", 16}, FAMILY_ANY},
};

static enum family family_of(const struct dialect *d) {
    return dialect_is_anthropic(d) ? FAMILY_ANTHROPIC : FAMILY_OPENAI;
}

static bool is_passed(const struct relay *r, struct slice name) {
    enum family client = family_of(r->client), up = family_of(r->up);
    for (size_t i = 0; i < sizeof passed / sizeof passed[0]; i++) {
        const struct passed *p = &passed[i];
        bool is_prefix = p->name.ptr[p->name.len - 1] == '-';
        if (slice_eq_nocase(is_prefix ? slice_sub(name, 0, p->name.len) : name, p->name))
            return p->family == FAMILY_ANY || (p->family == client && p->family == up);
    }
    return false;
}

/* An SDK would sleep for all of a long retry-after, or come back early: it should ask its user. */
#define LONG_RETRY_S 60

static bool is_long_wait(struct slice retry_after) {
    uint64_t seconds;
    ptrdiff_t dot = slice_index(retry_after, '.');
    if (dot >= 0)
        retry_after = slice_sub(retry_after, 0, (size_t)dot);
    return slice_to_u64(retry_after, UINT64_MAX, &seconds) && seconds > LONG_RETRY_S;
}

static bool has_header(const struct out_headers *h, struct slice name) {
    for (unsigned i = 0; i < h->count; i++)
        if (slice_eq_nocase(h->items[i].name, name))
            return true;
    return false;
}

/* The answer's head dies with on_head: what will be needed at commit goes to the exchange's
 * arena. */
void relay_keep_headers(struct relay *r, const struct http_headers *from) {
    struct arena *a = r->ex->arena;
    struct out_headers *kept = arena_alloc(a, sizeof *kept);
    bool from_mock = r->upstream->config->is_mock;
    for (unsigned i = 0; i < from->count; i++) {
        struct slice name = from->items[i].name, value = from->items[i].value;
        if (slice_eq_nocase(name, SLICE("x-request-id")) ||
            slice_eq_nocase(name, SLICE("request-id")))
            out_headers_set(kept, SLICE("x-upstream-request-id"), arena_dup(a, value));
        else if (!is_passed(r, name) || (from_mock && slice_eq_nocase(name, SLICE("x-penstock-mock"))))
            continue;
        else if (kept->count < MAX_OUT_HEADERS - 12)
            out_headers_add(kept, arena_dup(a, name), arena_dup(a, value));
    }
    if (is_long_wait(http_headers_get(from, SLICE("retry-after"))) &&
        !has_header(kept, SLICE("x-should-retry")))
        out_headers_add(kept, SLICE("x-should-retry"), SLICE("false"));
    r->upstream_headers = kept;
}

void relay_answer_headers(struct relay *r, struct out_headers *h) {
    h->count = 0;
    out_headers_add(h, SLICE("x-request-id"), slice_cstr(r->request_id));
    if (dialect_is_anthropic(r->client))
        out_headers_add(h, SLICE("request-id"), slice_cstr(r->request_id));
    if (r->leg && r->leg->t && r->leg->t->dropped[0])
        out_headers_add(h, SLICE("x-penstock-dropped"), slice_cstr(r->leg->t->dropped));
    if (r->upstream && r->upstream->config->is_mock)
        out_headers_add(h, SLICE("x-penstock-mock"), SLICE("1"));
    if (r->upstream_headers)
        for (unsigned i = 0; i < r->upstream_headers->count; i++)
            out_headers_add(h, r->upstream_headers->items[i].name,
                            r->upstream_headers->items[i].value);
    if (r->ex && h->count <= MAX_OUT_HEADERS - 3)
        h->count += guard_cors_headers(r->worker, r->ex, h->items + h->count);
}
