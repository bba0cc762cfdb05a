/* SPDX-License-Identifier: Apache-2.0 */
#include "mock/timing.h"

#include <math.h>

#include "base/clock.h"
#include "mock/mock_clock.h"
#include "mock/prefix_cache.h"

enum {
    /* Of a longer answer the engine does not know the end: counting it would take more than a few
     * milliseconds of the loop's time. */
    SLOTS_MAX = 1 << 15,
    RETRY_AFTER_S = 1
};

/* Of chunks as long as they are in the mean. */
static struct law law_of_speed(double tokens_a_second, const struct burst *burst) {
    double ns = (double)NS_PER_S * burst_mean(burst) / tokens_a_second;
    return LAW_NS(ns < (double)LAW_MAX_NS ? (int64_t)(ns + 0.5) : LAW_MAX_NS);
}

void timing_of(const struct mock_call *c, struct timing *out) {
    const struct mock_options *o = c->o;
    const struct script *s = c->script;
    const struct knobs *k = &c->k;
    *out = (struct timing){.ttft = o->ttft, .itl = o->itl, .prefill = o->prefill};
    out->burst = k->has_burst ? k->burst : s && s->has_burst ? s->burst : o->burst;
    if (o->tps > 0) {
        out->itl = law_of_speed(o->tps, &out->burst);
    }
    if (s) {
        out->ttft = s->has_ttft ? s->ttft : out->ttft;
        out->itl = s->tps > 0   ? law_of_speed(s->tps, &out->burst)
                   : s->has_itl ? s->itl
                                : out->itl;
        out->is_own = s->has_ttft || s->has_itl || s->tps > 0;
    }
    out->ttft = k->has_ttft ? k->ttft : out->ttft;
    out->prefill = k->has_prefill ? k->prefill : out->prefill;
    if (k->has_itl) {
        out->itl = k->itl;
    } else if (k->tps > 0) {
        out->itl = law_of_speed(k->tps, &out->burst);
    }
    out->is_own |= k->has_ttft || k->has_itl || k->tps > 0;
}

void timing_use_prefix_cache(const struct mock_call *c, struct reply *r) {
    if (c->o->prefix_cache == 0 || c->k.cached >= 0) {
        return;
    }
    bool is_messages = c->api->dialect == &dialect_messages;
    /* Anthropic caches where it is told to */
    if (is_messages && !reply_asks_for_cache(&c->rq)) {
        reply_set_cache(r, 0, 0);
        return;
    }
    struct prefix_use use =
        prefix_cache_use(c->w->hub->prefix_cache, c->o->prefix_cache, c->o->prefix_ttl_ns, &c->rq,
                         reply_prompt_tokens(r), mock_now_ns(c->w));
    reply_set_cache(r, use.read, is_messages ? use.written : 0);
}

/* The same reply, gone through in silence. */
static uint64_t count_slots(const struct llm_request *rq, const struct reply_options *ro) {
    struct reply *r = reply_new(rq, ro);
    struct event ev;
    uint64_t slots = 1;
    enum reply_step step;
    while (slots < SLOTS_MAX && (step = reply_next(r, &ev)) != REPLY_OVER) {
        slots += step == REPLY_TOKEN;
    }
    reply_free(&r);
    return slots < SLOTS_MAX ? slots : ENGINE_ENDLESS;
}

bool timing_start(const struct mock_call *c, const struct timing *t, const struct reply_options *ro,
                  const struct reply *r, struct schedule *s) {
    const struct mock_options *o = c->o;
    struct hub *h = c->w->hub;
    bool is_stepped = c->k.step_key.ptr && c->rq.env.stream;
    bool has_engine = o->max_batch > 0 && !t->is_own && !is_stepped;
    uint64_t prompt = reply_prompt_tokens(r), cached = reply_cached_tokens(r);
    const struct engine_options eo = {.max_batch = o->max_batch, .queue = o->queue, .step = t->itl,
                                      .prefill = o->prefill, .batch_cost_ns = o->batch_cost_ns,
                                      .prefill_budget = o->prefill_budget};
    struct schedule_plan p = {.seed = o->seed, .serial = c->facts.serial};
    if (!is_stepped) {
        p.ttft = t->ttft;
        p.itl = t->itl;
        p.prefill = t->prefill;
        p.uncached = prompt > cached ? prompt - cached : 0;
        p.hidden = (uint64_t)ceil((double)reply_hidden_tokens(r) / burst_mean(&t->burst));
        p.slowdown = o->slowdown;
        p.running = &h->counters[COUNT_OPEN];
        p.first_pause = reply_pause(r);
    }
    if (has_engine) {
        p.engine = h->engine;
        p.engine_options = &eo;
        p.slots = count_slots(&c->rq, ro);
    }
    return schedule_start(s, &p, mock_now_ns(c->w));
}

void timing_refuse(struct mock_worker *w, struct http_exchange *ex, const struct mock_options *o) {
    bool is_429 = o->on_full == MOCK_FULL_429;
    struct api_error er = {.status = is_429 ? 429 : 503,
                           .message = is_429 ? SLICE("Too many requests are waiting: please try again "
                                                     "later.")
                                             : SLICE("The engine is currently overloaded, please try "
                                                     "again later."),
                           .type = is_429 ? SLICE("requests") : SLICE("server_error"),
                           .code = is_429 ? SLICE("rate_limit_exceeded") : SLICE_NULL};
    mock_respond_error(w, ex, &er, RETRY_AFTER_S);
}
