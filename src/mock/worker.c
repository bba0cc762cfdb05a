/* SPDX-License-Identifier: Apache-2.0 */
#include "mock/worker.h"

#include <stdio.h>

#include "base/mem.h"
#include "dialect/dialect.h"
#include "mock/background.h"
#include "mock/call.h"
#include "mock/control_scenarios.h"
#include "mock/delivery.h"
#include "mock/fault_answer.h"
#include "mock/fault_book.h"
#include "mock/mock_clock.h"
#include "mock/self.h"
#include "mock/wire.h"
#include "mock/record.h"
#include "mock/replay.h"

enum {
    OUT_MAX_BYTES = 8 << 20,
    BODY_MAX_BYTES = 128 << 20,
    SCRATCH_KEEP_BYTES = 1 << 20,
    ERROR_MAX_BYTES = 64 << 10,
    ERROR_TEXT_BYTES = 512
};

/* ---- answers ---- */

void header_set_add(struct header_set *set, struct slice name, struct slice value) {
    if (set->count < WORKER_MAX_HEADERS) {
        set->items[set->count++] = (struct http_header){name, value};
    }
}

void header_set_printf(struct header_set *set, struct slice name, const char *format, ...) {
    va_list args;
    size_t room = sizeof set->text - set->text_len;
    va_start(args, format);
    int len = vsnprintf(set->text + set->text_len, room, format, args);
    va_end(args);
    if (len >= 0 && (size_t)len < room) {
        header_set_add(set, name, slice_make(set->text + set->text_len, (size_t)len));
        set->text_len += (size_t)len;
    }
}

void mock_request_id(const struct mock_worker *w, const struct head_facts *facts,
                     char out[WORKER_ID_BYTES]) {
    struct rng own;
    bool is_seeded = facts && facts->has_serial;
    if (is_seeded) {
        rng_seed_nth(&own, ~w->hub->fixed->seed, facts->serial);
    }
    memcpy(out, "req_", 4);
    rng_base62(is_seeded ? &own : loop_rng(w->loop), out + 4, WORKER_ID_BYTES - 4);
}

static void add_facts(struct header_set *set, const struct head_facts *facts) {
    if (facts->scenario[0]) {
        header_set_add(set, SLICE("x-penstock-scenario"), slice_cstr(facts->scenario));
    }
    if (facts->fault) {
        header_set_add(set, SLICE("x-penstock-fault"), slice_cstr(facts->fault));
    }
    if (facts->violations > 0) {
        header_set_printf(set, SLICE("x-penstock-violations"), "%u", facts->violations);
    }
    if (facts->cors[0]) {
        header_set_add(set, SLICE("access-control-allow-origin"), slice_cstr(facts->cors));
        header_set_add(set, SLICE("access-control-expose-headers"), SLICE("*"));
    }
    for (size_t at = 0; at < facts->extra_len;) {
        struct slice name = slice_cstr(facts->extra + at);
        struct slice value = slice_cstr(facts->extra + at + name.len + 1);
        header_set_add(set, name, value);
        at += name.len + value.len + 2;
    }
}

void header_set_init(struct mock_worker *w, struct header_set *set, const struct api *api,
                     struct slice content_type, const struct head_facts *facts) {
    set->count = 0;
    set->text_len = 0;
    mock_request_id(w, facts, set->id_space);
    header_set_add(set, SLICE("content-type"), content_type);
    header_set_add(set, SLICE("x-penstock-mock"), SLICE("1"));
    header_set_add(set, api->is_anthropic ? SLICE("request-id") : SLICE("x-request-id"),
                   slice_make(set->id_space, WORKER_ID_BYTES));
    limit_headers(w, set, api, facts ? &facts->limits : NULL);
    if (facts) {
        add_facts(set, facts);
    }
}

const struct mock_options *mock_options_now(struct mock_worker *w) {
    struct hub *h = w->hub;
    unsigned epoch = atomic_load(&h->epoch);
    if (!w->snapshot || w->epoch != epoch) {
        snapshot_unref(&w->snapshot);
        w->epoch = epoch;
        w->snapshot = hub_snapshot(h);
    }
    return &w->snapshot->o;
}

static void note_status(struct mock_worker *w, unsigned status) {
    if (w->call) {
        w->call->status = status;
    }
}

void mock_respond_json(struct mock_worker *w, struct http_exchange *ex, unsigned status,
                       struct slice body) {
    struct header_set set;
    note_status(w, status);
    header_set_init(w, &set, api_of(ex), SLICE("application/json"), mock_facts(w));
    struct http_response r = {status, set.items, set.count};
    const struct fault_use *fault = w->call ? w->call->k.fault : NULL;
    if (fault && fault_is_on_the_wire(fault->row)) {
        wire_respond_alone(w, ex, api_of(ex), fault, &r, body);
    } else {
        http_respond(ex, &r, body);
    }
}

static void respond_error(struct mock_worker *w, struct http_exchange *ex, const struct api *api,
                          const struct api_error *er, unsigned retry_after_s) {
    struct api_error told = *er;
    struct header_set set;
    struct buf body;
    buf_init(&body, ERROR_MAX_BYTES);
    header_set_init(w, &set, api, SLICE("application/json"), mock_facts(w));
    if (api->is_anthropic) {                  /* OpenAI's words are ours already */
        api->dialect->translate_error(er, &told);
        told.request_id = slice_make(set.id_space, WORKER_ID_BYTES);
    }
    if (api->dialect->encode_error(&told, &body) < 0) {
        buf_reset(&body);
    }
    if (retry_after_s > 0) {
        header_set_printf(&set, SLICE("retry-after"), "%u", retry_after_s);
        header_set_printf(&set, SLICE("retry-after-ms"), "%u000", retry_after_s);
    }
    note_status(w, told.status);
    struct http_response r = {told.status, set.items, set.count};
    http_respond(ex, &r, buf_slice(&body));
    buf_dispose(&body);
}

void mock_respond_error(struct mock_worker *w, struct http_exchange *ex, const struct api_error *er,
                   unsigned retry_after_s) {
    respond_error(w, ex, api_of(ex), er, retry_after_s);
}

void mock_respond_unknown_url(struct mock_worker *w, struct http_exchange *ex) {
    char text[ERROR_TEXT_BYTES];
    struct api_error er = {.status = 404,
                           .type = SLICE("invalid_request_error"),
                           .code = SLICE("unknown_url")};
    snprintf(text, sizeof text, "Unknown request URL: %s %.*s.", http_method_name(ex->method),
             SLICE_FMT(slice_sub(ex->path, 0, 200)));
    er.message = slice_cstr(text);
    er.message.len = slice_utf8_valid(er.message);
    respond_error(w, ex, api_of_stranger(ex), &er, 0);
}

static const char *error_type(unsigned status) {
    return status == 429 ? "requests" : status >= 500 ? "server_error" : "invalid_request_error";
}

void mock_respond_simple_error(struct mock_worker *w, struct http_exchange *ex, unsigned status,
                          const char *code, const char *format, ...) {
    char text[ERROR_TEXT_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    struct api_error er = {.status = status,
                           .message = slice_cstr(text),
                           .type = slice_cstr(error_type(status)),
                           .code = slice_cstr(code)};
    er.message.len = slice_utf8_valid(er.message);
    mock_respond_error(w, ex, &er, 0);
}

/* ---- routes ---- */

static const struct route {
    enum http_method method;
    const char *path;                /* with or without /v1 in front */
    bool is_prefix;
    void (*serve)(struct mock_worker *w, struct http_exchange *ex);
} routes[] = {
    {HTTP_METHOD_POST, "/chat/completions", false, mock_endpoint_answer},
    {HTTP_METHOD_POST, "/completions", false, mock_endpoint_answer},
    {HTTP_METHOD_POST, "/responses", false, mock_endpoint_answer},
    {HTTP_METHOD_POST, "/messages", false, mock_endpoint_answer},
    {HTTP_METHOD_POST, "/messages/count_tokens", false, mock_endpoint_count},
    {HTTP_METHOD_POST, "/embeddings", false, mock_endpoint_embeddings},
    {HTTP_METHOD_POST, "/moderations", false, mock_endpoint_moderations},
    {HTTP_METHOD_POST, "/tokenize", false, mock_endpoint_tokenize},
    {HTTP_METHOD_POST, "/detokenize", false, mock_endpoint_detokenize},
    {HTTP_METHOD_POST, "/penstock/tokenize", false, mock_endpoint_tokenize},
    {HTTP_METHOD_POST, "/penstock/detokenize", false, mock_endpoint_detokenize},
    {HTTP_METHOD_GET, "/models", false, mock_endpoint_models},
    {HTTP_METHOD_GET, "/models/", true, mock_endpoint_model},
    {HTTP_METHOD_POST, "/responses/input_tokens", false, mock_endpoint_input_tokens},
    {HTTP_METHOD_POST, "/responses/compact", false, mock_endpoint_compact},
    {HTTP_METHOD_GET, "/responses/", true, mock_endpoint_response},
    {HTTP_METHOD_POST, "/responses/", true, mock_endpoint_response},
    {HTTP_METHOD_DELETE, "/responses/", true, mock_endpoint_response},
    {HTTP_METHOD_POST, "/conversations", false, mock_endpoint_conversations},
    {HTTP_METHOD_GET, "/conversations/", true, mock_endpoint_conversation},
    {HTTP_METHOD_POST, "/conversations/", true, mock_endpoint_conversation},
    {HTTP_METHOD_DELETE, "/conversations/", true, mock_endpoint_conversation},
    {HTTP_METHOD_GET, "/health", false, control_health},
    {HTTP_METHOD_GET, "/metrics", false, control_metrics},
    {HTTP_METHOD_GET, "/penstock", false, control_index},
    {HTTP_METHOD_POST, "/penstock/step", false, control_step},
    {HTTP_METHOD_GET, "/penstock/wait", false, control_wait},
    {HTTP_METHOD_GET, "/penstock/scenarios", false, control_scenarios},
    {HTTP_METHOD_POST, "/penstock/scenarios", false, control_scenarios_push},
    {HTTP_METHOD_DELETE, "/penstock/scenarios", false, control_scenarios_clear},
    {HTTP_METHOD_POST, "/penstock/explain", false, control_explain},
    {HTTP_METHOD_GET, "/penstock/journal", false, control_journal},
    {HTTP_METHOD_DELETE, "/penstock/journal", false, control_journal_clear},
    {HTTP_METHOD_GET, "/penstock/journal/", true, control_journal_entry},
    {HTTP_METHOD_POST, "/penstock/expect", false, control_expect},
    {HTTP_METHOD_GET, "/penstock/self", false, control_self},
    {HTTP_METHOD_GET, "/penstock/clock", false, control_clock},
    {HTTP_METHOD_POST, "/penstock/clock", false, control_clock_move},
    {HTTP_METHOD_GET, "/penstock/config", false, control_config},
    {HTTP_METHOD_POST, "/penstock/config", false, control_configure},
};

bool mock_route_at(unsigned i, enum http_method *out_method, const char **out_path) {
    if (i >= sizeof routes / sizeof routes[0]) {
        return false;
    }
    *out_method = routes[i].method;
    *out_path = routes[i].path;
    return true;
}

static bool path_fits(const struct route *r, struct slice path) {
    struct slice own = slice_cstr(r->path);
    return r->is_prefix ? slice_starts_with(path, own) && path.len > own.len : slice_eq(path, own);
}

static bool method_fits(const struct route *r, enum http_method m) {
    return r->method == m || (r->method == HTTP_METHOD_GET && m == HTTP_METHOD_HEAD);
}

static bool is_known(struct slice path) {
    for (size_t i = 0; i < sizeof routes / sizeof routes[0]; i++) {
        if (path_fits(&routes[i], path)) {
            return true;
        }
    }
    return false;
}

static void on_request(void *self, struct http_exchange *ex) {
    struct mock_worker *w = self;
    struct slice path = api_path(ex->path);
    char allow[HTTP_ALLOW_BYTES] = "";
    hub_count(w->hub, COUNT_REQUESTS, 1);
    if (ex->method == HTTP_METHOD_OPTIONS && mock_answer_preflight(w, ex)) {
        return;
    }
    if (replay_takes(w, ex)) {
        return;
    }
    for (size_t i = 0; i < sizeof routes / sizeof routes[0]; i++) {
        if (!path_fits(&routes[i], path)) {
            continue;
        }
        http_allow_add(allow, routes[i].method);
        if (method_fits(&routes[i], ex->method)) {
            routes[i].serve(w, ex);
            return;
        }
    }
    mock_refuse_stray(w, ex, allow);
}

/* ---- the HTTP application ---- */

static void on_head(void *self, struct http_exchange *ex) {
    (void)fault_strikes_early(self, ex);
}

static void on_writable(void *self, struct http_exchange *ex) {
    (void)self;
    struct owner *owner = ex->app;
    if (owner && owner->ops->writable) {
        owner->ops->writable(owner);
    }
}

static void exchange_ended(struct http_exchange *ex, bool is_cancelled) {
    struct owner *owner = ex->app;
    ex->app = NULL;
    if (owner) {
        owner->ops->ended(owner, is_cancelled);
    }
}

static void on_cancel(void *self, struct http_exchange *ex) {
    (void)self;
    exchange_ended(ex, true);
}

static void on_done(void *self, struct http_exchange *ex) {
    (void)self;
    exchange_ended(ex, false);
}

static void format_error(void *self, unsigned status, const char *message,
                         const struct http_exchange *about, struct buf *out,
                         const char **out_content_type) {
    (void)self;
    const struct api *api =
        is_known(api_path(about->path)) ? api_of(about) : api_of_stranger(about);
    const struct api_error er = {.status = status,
                                 .message = slice_cstr(message),
                                 .type = slice_cstr(error_type(status))};
    struct api_error told = er;
    if (api->is_anthropic) {
        api->dialect->translate_error(&er, &told);
    }
    *out_content_type = "application/json";
    if (api->dialect->encode_error(&told, out) < 0) {
        buf_reset(out);
    }
}

/* ---- accepting: connections go to the worker with the fewest ---- */

struct handover {
    struct loop_task task;
    struct mock_worker *to;
    int fd;
    struct addr from;
};

static void adopt(struct mock_worker *w, int fd, const struct addr *from) {
    http_server_accept(w->server, fd, from, w->hub->tls);
}

static void on_handover(struct loop_task *task, void *self) {
    (void)task;
    struct handover *h = self;
    adopt(h->to, h->fd, &h->from);
    atomic_fetch_sub(&h->to->handovers, 1);
    mem_free(h);
}

static uint64_t load_of(const struct mock_worker *w) {
    return atomic_load_explicit(&http_server_stats(w->server)->connections_open,
                                memory_order_relaxed) +
           atomic_load_explicit(&w->handovers, memory_order_relaxed);
}

static void on_accept(void *self, int fd, const struct addr *from) {
    struct mock_worker *w = self, *least = w;
    struct hub *hub = w->hub;
    if (fault_gate_takes(w, fd)) {
        return;
    }
    for (unsigned i = 0; i < hub->n_workers; i++) {
        if (load_of(hub->workers[i]) + 1 < load_of(least)) {
            least = hub->workers[i];
        }
    }
    if (least == w) {
        adopt(w, fd, from);
        return;
    }
    struct handover *h = mem_zalloc(sizeof *h);
    *h = (struct handover){.to = least, .fd = fd, .from = *from};
    h->task = (struct loop_task){.fn = on_handover, .self = h};
    atomic_fetch_add(&least->handovers, 1);
    loop_post(least->loop, &h->task);
}

/* ---- life ---- */

static void on_wake(struct loop_task *task, void *self) {
    (void)task;
    struct mock_worker *w = self;
    atomic_store(&w->wake_posted, false);
    bool granted = atomic_exchange(&w->step_granted, false);
    for (struct delivery *d = w->deliveries, *next; d && granted; d = next) {
        next = delivery_next(d);
        delivery_recheck_step(d);
    }
    control_recheck(w);
    background_recheck(w);
    fault_gate_check(w);
}

void mock_worker_scratch(struct buf *b) {
    if (b->cap > SCRATCH_KEEP_BYTES) {
        buf_dispose(b);
    }
    buf_reset(b);
}

void mock_worker_wake(struct mock_worker *w, bool granted) {
    if (granted) {
        atomic_store(&w->step_granted, true);
    }
    if (!atomic_load(&w->hub->is_closing) && !atomic_exchange(&w->wake_posted, true)) {
        loop_post(w->loop, &w->wake);
    }
}

/* Answers are the same in every run, their date with them. */
static int64_t wall_ns(void *self) {
    return mock_wall_ns(self);
}

void mock_worker_init(struct mock_worker *w, struct hub *h, struct loop *l) {
    struct http_limits limits;
    const struct http_app app = {.on_head = on_head, .on_request = on_request,
                                 .on_writable = on_writable, .on_cancel = on_cancel,
                                 .on_done = on_done, .format_error = format_error, .self = w};
    *w = (struct mock_worker){.hub = h, .loop = l, .time = h->time};
    w->wake = (struct loop_task){.fn = on_wake, .self = w};
    buf_init(&w->out, OUT_MAX_BYTES);
    buf_init(&w->body, BODY_MAX_BYTES);
    hist_init(&w->late_ns);
    hist_init(&w->self.windows[0]);
    hist_init(&w->self.windows[1]);
    http_limits_default(&limits);
    w->server = http_server_new(l, &limits, &app);
    if (w->time) {
        http_server_set_date(w->server, wall_ns, w);
    }
    mock_endpoint_prepare(w);
    fault_book_set(h->faults, h->fixed->faults, h->fixed->n_faults, mock_now_ns(w));
}

int mock_worker_listen(struct mock_worker *w, const struct addr *addrs, unsigned n, bool first,
                       struct err *e) {
    for (unsigned i = 0; i < n; i++) {
        bool shared = w->hub->n_workers > 1 && !addr_is_unix(&addrs[i]);
        const struct listen_options lo = {.backlog = 4096, .shared = shared, .first = first};
        if (!first && !shared) {
            continue;             /* the first worker accepts for all */
        }
        int rc =
            listener_open(w->loop, &addrs[i], &lo, on_accept, w, &w->listeners[w->n_listeners], e);
        if (rc < 0) {
            return rc;
        }
        w->addrs[w->n_listeners] = *listener_addr(w->listeners[w->n_listeners]);
        w->n_listeners++;
    }
    return 0;
}

void mock_worker_deafen(struct mock_worker *w) {
    for (unsigned i = 0; i < w->n_listeners; i++) {
        listener_close(&w->listeners[i]);
    }
}

bool mock_worker_relisten(struct mock_worker *w) {
    for (unsigned i = 0; i < w->n_listeners; i++) {
        bool shared = w->hub->n_workers > 1 && !addr_is_unix(&w->addrs[i]);
        const struct listen_options lo = {.backlog = 4096, .shared = shared};
        struct err e;
        if (listener_open(w->loop, &w->addrs[i], &lo, on_accept, w, &w->listeners[i], &e) < 0) {
            mock_worker_deafen(w);
            return false;
        }
    }
    return true;
}

void mock_worker_close(struct mock_worker *w) {
    for (unsigned i = 0; i < w->n_listeners; i++) {
        listener_close(&w->listeners[i]);
    }
    w->n_listeners = 0;
    fault_gate_free(w);
    http_server_close_all(w->server);
    delivery_drop_jobs(w);
    http_server_free(w->server);
    record_close_worker(w);
    w->server = NULL;
    buf_dispose(&w->out);
    buf_dispose(&w->body);
    mock_endpoint_dispose(w);
    snapshot_unref(&w->snapshot);
}
