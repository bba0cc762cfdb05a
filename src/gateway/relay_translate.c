/* SPDX-License-Identifier: Apache-2.0 */
/* Between two dialects: the request on its way up, and each event on its way down.
 *
 * The request is decoded, adapted and encoded in the exchange's arena, which dies at the first
 * event of a stream. What the answer needs of it (names, ids, stops) is copied into the leg's
 * own. */
#include <stdio.h>

#include "dialect/estimate.h"
#include "gateway/state.h"

#define ID_RANDOM_BYTES 24

/* ---- the request ---- */

static struct tool_name *keep_names(struct arena *a, const struct tool_name *from) {
    struct tool_name *first = NULL, **end = &first;
    for (; from; from = from->next) {
        struct tool_name *kept = arena_alloc(a, sizeof *kept);
        *kept = *from;
        kept->next = NULL;
        kept->name = arena_dup(a, from->name);
        kept->name_space = arena_dup(a, from->name_space);
        kept->sent = arena_dup(a, from->sent);
        *end = kept;
        end = &kept->next;
    }
    return first;
}

static struct tool_id *keep_ids(struct arena *a, const struct tool_id *from) {
    struct tool_id *first = NULL, **end = &first;
    for (; from; from = from->next) {
        struct tool_id *kept = arena_alloc(a, sizeof *kept);
        *kept = (struct tool_id){.id = arena_dup(a, from->id), .sent = arena_dup(a, from->sent)};
        *end = kept;
        end = &kept->next;
    }
    return first;
}

/* All that it points to lives in a, then. */
static struct translation *keep_translation(struct arena *a, const struct translation *from,
                                            const struct capabilities *caps) {
    struct translation *t = arena_alloc(a, sizeof *t);
    *t = *from;
    t->arena = a;
    t->caps = caps;
    t->names = keep_names(a, from->names);
    t->ids = keep_ids(a, from->ids);
    t->json_tool = arena_dup(a, from->json_tool);
    t->stops = arena_alloc(a, (from->n_stops + 1) * sizeof *t->stops);
    for (unsigned i = 0; i < from->n_stops; i++)
        t->stops[i] = arena_dup(a, from->stops[i]);
    return t;
}

static struct translation_leg *leg_new(struct relay *r) {
    struct arena *a = arena_new();
    struct translation_leg *leg = arena_alloc(a, sizeof *leg);
    leg->arena = a;
    buf_init(&leg->request, 2 * r->worker->gateway->config->limits.body_bytes + (1u << 20));
    r->leg = leg;
    return leg;
}

static void stream_open(struct relay *r) {
    struct translation_leg *leg = r->leg;
    leg->shaper = shaper_new(leg->t, relay_transcript_bytes(r));
    leg->encoder = r->client->encoder_new(&leg->options);
    relay_check_own_open(r);
}

/* What the answer repeats of the request, in the client's words: before it is adapted to others. */
static int keep_echo(struct relay *r, struct llm_request *rq) {
    struct buf echo;
    if (!r->client->encode_echo)
        return 0;
    struct llm_request repeated = *rq;
    state_echo(r, &repeated);
    buf_init(&echo, 2 * r->worker->gateway->config->limits.body_bytes + (64u << 10));
    int rc = r->client->encode_echo(&repeated, &echo);
    if (rc == 0)
        r->leg->options.echo = arena_dup(r->leg->arena, buf_slice(&echo));
    buf_dispose(&echo);
    return rc;
}

static int make_request(struct relay *r, struct slice upstream_model, struct request_fault *fault) {
    struct arena *a = r->ex->arena;
    struct translation_leg *leg = r->leg;
    struct llm_request rq;
    int rc = r->client->decode_request(r->body, a, &rq, fault);
    if (rc < 0)
        return rc;
    struct slice model = upstream_model.ptr ? upstream_model : rq.env.model;
    provider_caps(r->upstream->config, model, &leg->caps);
    struct translation *t = translation_new(a, r->client, r->up, &leg->caps);
    leg->options = relay_encoder_options(r, leg->arena);
    leg->options.model = arena_dup(leg->arena, rq.env.model);
    if (r->client == &dialect_messages)
        leg->options.input_estimate = request_estimate_tokens(&rq);
    rc = keep_echo(r, &rq);
    rq.env.model = model;
    state_recall_reasoning(r, &rq, a);
    if (rc == 0)
        rc = request_translate(&rq, t, &leg->request, fault);
    if (rc == 0)
        leg->t = keep_translation(leg->arena, t, &leg->caps);
    return rc;
}

static void count_dropped(struct relay *r) {
    const char *dropped = r->leg->t->dropped;
    uint64_t n = *dropped != 0;
    for (; *dropped; dropped++)
        n += *dropped == ',';
    meter_add(&r->worker->meter->providers[r->upstream->index].dropped_fields, n);
}

bool relay_translate(struct relay *r, const char *upstream_model) {
    struct request_fault fault = {0};
    leg_new(r);
    int rc = make_request(r, slice_cstr(upstream_model), &fault);
    if (rc == -ERR_USAGE) {
        relay_refuse_request(r, &fault);
    } else if (rc < 0) {
        relay_refuse(r, FAULT_TOO_LARGE, NULL, NULL,
                     "The request is too large to be translated for its provider.");
    } else {
        count_dropped(r);
        if (r->stream)
            stream_open(r);
    }
    return rc == 0;
}

bool relay_readdress_proofs(struct relay *r) {
    struct request_fault fault = {0};
    struct arena *a = r->ex->arena;
    struct capabilities caps;
    struct llm_request rq;
    struct buf body;
    buf_init(&body, 2 * r->worker->gateway->config->limits.body_bytes + (1u << 20));
    int rc = r->client->decode_request(r->body, a, &rq, &fault);
    if (rc == 0) {
        provider_caps(r->upstream->config, rq.env.model, &caps);
        struct translation *t = translation_new(a, r->client, r->client, &caps);
        rc = request_translate(&rq, t, &body, &fault);
    }
    if (rc == 0)
        r->body = arena_dup(a, buf_slice(&body));
    else if (rc == -ERR_USAGE)
        relay_refuse_request(r, &fault);
    else
        relay_refuse(r, FAULT_TOO_LARGE, NULL, NULL, "The request is too large to be rewritten for its provider.");
    buf_dispose(&body);
    return rc == 0;
}

/* ---- what we say ourselves ---- */

static struct slice id_prefix(const struct dialect *d) {
    static const struct {
        struct slice name, prefix;
    } rows[] = {{{"completions", 11}, {"cmpl-", 5}},
                {{"responses", 9}, {"resp_", 5}},
                {{"messages", 8}, {"msg_", 4}}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (slice_eq(slice_cstr(d->name), rows[i].name))
            return rows[i].prefix;
    return SLICE("chatcmpl-");
}

struct encoder_options relay_encoder_options(const struct relay *r, struct arena *a) {
    struct slice prefix = id_prefix(r->client);
    char *id = arena_alloc(a, prefix.len + ID_RANDOM_BYTES);
    memcpy(id, prefix.ptr, prefix.len);
    rng_base62(loop_rng(r->worker->loop), id + prefix.len, ID_RANDOM_BYTES);
    return (struct encoder_options){.id = {id, prefix.len + ID_RANDOM_BYTES},
                                    .created = clock_wall_ns() / NS_PER_S,
                                    .include_usage = r->include_usage,
                                    .max_bytes = relay_transcript_bytes(r)};
}

/* ---- events ---- */

struct to_client {
    struct relay *relay;
    bool content;
};

static int on_shaped(void *self, const struct event *ev) {
    struct to_client *to = self;
    struct relay *r = to->relay;
    if ((ev->flags & (EVF_CONTENT | EVF_RECAP)) == EVF_CONTENT)
        to->content = true;
    if (ev->kind != EV_ERROR)
        return r->client->encoder_event(r->leg->encoder, ev, &r->worker->out);
    struct event theirs = *ev;
    dialect_translate_error(r->client, &ev->u.error, &theirs.u.error);
    theirs.u.error.request_id = slice_cstr(r->request_id);
    return r->client->encoder_event(r->leg->encoder, &theirs, &r->worker->out);
}

int relay_translate_event(struct relay *r, const struct event *ev, bool *out_content,
                          struct err *e) {
    struct to_client to = {.relay = r};
    struct event_sink sink = {on_shaped, &to};
    e->text[0] = 0;
    int rc = shaper_event(r->leg->shaper, ev, &sink, e);
    *out_content |= to.content;
    if (rc < 0 && !e->text[0])
        snprintf(e->text, sizeof e->text, "%s", rc == -ERR_LIMIT ? "The answer is larger than limits.transcript allows."
                                                                 : "The provider's events cannot be told in the client's dialect.");
    return rc;
}

void relay_leg_free(struct relay *r) {
    struct translation_leg *leg = r->leg;
    if (!leg)
        return;
    r->leg = NULL;
    if (leg->encoder)
        r->client->encoder_free(leg->encoder);
    shaper_free(leg->shaper);
    buf_dispose(&leg->request);
    arena_free(leg->arena);
}
