/* SPDX-License-Identifier: Apache-2.0 */
/* The order of events in translated streams, as the client gets them, held against the client's own
 * grammar: always in sanitized builds, where a broken rule is fatal, elsewhere with check_order. */
#include <stdio.h>
#include <stdlib.h>

#include "gateway/relay.h"

#ifdef PENSTOCK_SANITIZED
#define IS_FATAL true
#else
#define IS_FATAL false
#endif

struct own_check {
    struct relay *relay;
    struct sse_parser parser;
    struct checker *checker;
};

void relay_check_own_open(struct relay *r) {
    if (!r->client->checker_new || !(IS_FATAL || r->worker->gateway->config->check_order))
        return;
    struct own_check *c = r->own_check = mem_zalloc(sizeof *c);
    c->relay = r;
    sse_parser_init(&c->parser, &(struct sse_options){.max_event_bytes = (size_t)1 << 30});
    c->checker = r->client->checker_new();
}

void relay_check_own_free(struct relay *r) {
    struct own_check *c = r->own_check;
    if (!c)
        return;
    r->own_check = NULL;
    sse_parser_dispose(&c->parser);
    r->client->checker_free(c->checker);
    mem_free(c);
}

static void report(const struct relay *r, const struct err *e, struct slice frame) {
    meter_add(&r->worker->meter->providers[r->upstream->index].order_broken_own, 1);
    log_event(LOG_ERROR, "own stream out of order", LOG_CSTR("id", r->request_id), LOG_CSTR("client", r->client->name),
              LOG_CSTR("upstream", r->up->name), LOG_CSTR("rule", e->text));
    if (!IS_FATAL)
        return;
    fprintf(stderr, "%s => %s: %s\n%.*s\n", r->up->name, r->client->name, e->text, SLICE_FMT(frame));
    abort();
}

static int on_own_frame(void *self, const struct sse_frame *f) {
    struct own_check *c = self;
    struct err e = {0};
    if ((f->flags & SSE_EVENT) && c->relay->client->checker_frame(c->checker, f, &e) < 0)
        report(c->relay, &e, f->raw);
    return 0;
}

void relay_check_own(struct relay *r, struct slice bytes) {
    struct sse_sink sink = {on_own_frame, r->own_check};
    struct err e = {0};
    if (sse_parser_feed(&r->own_check->parser, bytes, &sink, &e) < 0)
        report(r, &e, SLICE(""));
}

/* The client's leg ends well: with the dialect's own end, or an error event. */
void relay_check_own_end(struct relay *r) {
    struct sse_sink sink = {on_own_frame, r->own_check};
    struct err e = {0};
    int rc = sse_parser_finish(&r->own_check->parser, &sink, &e);
    if (rc == 0)
        rc = r->client->checker_end(r->own_check->checker, &e);
    if (rc < 0)
        report(r, &e, SLICE(""));
    relay_check_own_free(r);
}
