/* SPDX-License-Identifier: Apache-2.0 */
#include "mock/worker.h"

#include <stdio.h>

#include "base/mem.h"
#include "dialect/dialect.h"
#include "mock/delivery.h"

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

void header_set_init(struct mock_worker *w, struct header_set *set, const struct api *api,
                     struct slice content_type) {
    set->count = 0;
    memcpy(set->id_space, "req_", 4);
    rng_base62(loop_rng(w->loop), set->id_space + 4, WORKER_ID_BYTES - 4);
    header_set_add(set, SLICE("content-type"), content_type);
    header_set_add(set, SLICE("x-penstock-mock"), SLICE("1"));
    if (api->is_anthropic) {
        header_set_add(set, SLICE("request-id"), slice_make(set->id_space, WORKER_ID_BYTES));
        header_set_add(set, SLICE("anthropic-ratelimit-requests-limit"), SLICE("10000"));
        header_set_add(set, SLICE("anthropic-ratelimit-requests-remaining"), SLICE("9999"));
        header_set_add(set, SLICE("anthropic-ratelimit-requests-reset"), SLICE("2030-01-01T00:00:00Z"));
        return;
    }
    header_set_add(set, SLICE("x-request-id"), slice_make(set->id_space, WORKER_ID_BYTES));
    header_set_add(set, SLICE("x-ratelimit-limit-requests"), SLICE("10000"));
    header_set_add(set, SLICE("x-ratelimit-remaining-requests"), SLICE("9999"));
    header_set_add(set, SLICE("x-ratelimit-reset-requests"), SLICE("6ms"));
}

void mock_respond_json(struct mock_worker *w, struct http_exchange *ex, unsigned status,
                       struct slice body) {
    struct header_set set;
    header_set_init(w, &set, api_of(ex), SLICE("application/json"));
    struct http_response r = {status, set.items, set.count};
    http_respond(ex, &r, body);
}

void mock_respond_error(struct mock_worker *w, struct http_exchange *ex, const struct api_error *er,
                   unsigned retry_after_s) {
    const struct api *api = api_of(ex);
    struct api_error told = *er;
    struct header_set set;
    struct buf body;
    char seconds[16], millis[16];
    buf_init(&body, ERROR_MAX_BYTES);
    header_set_init(w, &set, api, SLICE("application/json"));
    if (api->is_anthropic) {                  /* OpenAI's words are ours already */
        api->dialect->translate_error(er, &told);
        told.request_id = slice_make(set.id_space, WORKER_ID_BYTES);
    }
    if (api->dialect->encode_error(&told, &body) < 0) {
        buf_reset(&body);
    }
    if (retry_after_s > 0) {
        snprintf(seconds, sizeof seconds, "%u", retry_after_s);
        snprintf(millis, sizeof millis, "%u000", retry_after_s);
        header_set_add(&set, SLICE("retry-after"), slice_cstr(seconds));
        header_set_add(&set, SLICE("retry-after-ms"), slice_cstr(millis));
    }
    struct http_response r = {told.status, set.items, set.count};
    http_respond(ex, &r, buf_slice(&body));
    buf_dispose(&body);
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
    {HTTP_METHOD_GET, "/models", false, mock_endpoint_models},
    {HTTP_METHOD_GET, "/models/", true, mock_endpoint_model},
    {HTTP_METHOD_GET, "/responses/", true, mock_endpoint_response},
    {HTTP_METHOD_GET, "/health", false, control_health},
    {HTTP_METHOD_GET, "/metrics", false, control_metrics},
    {HTTP_METHOD_POST, "/penstock/step", false, control_step},
    {HTTP_METHOD_GET, "/penstock/wait", false, control_wait},
    {HTTP_METHOD_GET, "/penstock/journal", false, control_journal},
    {HTTP_METHOD_DELETE, "/penstock/journal", false, control_journal_clear},
};

static bool path_fits(const struct route *r, struct slice path) {
    struct slice own = slice_cstr(r->path);
    return r->is_prefix ? slice_starts_with(path, own) && path.len > own.len : slice_eq(path, own);
}

static bool method_fits(const struct route *r, enum http_method m) {
    return r->method == m || (r->method == HTTP_METHOD_GET && m == HTTP_METHOD_HEAD);
}

static void on_request(void *self, struct http_exchange *ex) {
    struct mock_worker *w = self;
    struct slice path = api_path(ex->path);
    bool path_known = false;
    hub_count(w->hub, COUNT_REQUESTS, 1);
    for (size_t i = 0; i < sizeof routes / sizeof routes[0]; i++) {
        bool fits = path_fits(&routes[i], path);
        path_known |= fits;
        if (fits && method_fits(&routes[i], ex->method)) {
            routes[i].serve(w, ex);
            return;
        }
    }
    int shown = (int)(ex->path.len < 200 ? ex->path.len : 200);
    if (path_known) {
        mock_respond_simple_error(w, ex, 405, "method_not_supported", "Not allowed to %s on %.*s.",
                             http_method_name(ex->method), shown, ex->path.ptr);
    } else {
        mock_respond_simple_error(w, ex, 404, "unknown_url", "Unknown request URL: %s %.*s.",
                             http_method_name(ex->method), shown, ex->path.ptr);
    }
}

/* ---- the HTTP application ---- */

static void on_head(void *self, struct http_exchange *ex) {
    (void)self;
    (void)ex;
}

static void on_writable(void *self, struct http_exchange *ex) {
    (void)self;
    struct owner *owner = ex->app;
    if (owner && owner->kind == OWNER_DELIVERY) {
        delivery_writable(ex->app);
    }
}

static void exchange_ended(struct http_exchange *ex, bool is_cancelled) {
    struct owner *owner = ex->app;
    ex->app = NULL;
    if (owner && owner->kind == OWNER_DELIVERY) {
        delivery_ended((struct delivery *)owner, is_cancelled);
    } else if (owner) {
        control_cancel((struct parked *)owner);
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

static void format_error(void *self, unsigned status, const char *message, struct buf *out,
                         const char **out_content_type) {
    (void)self;
    struct api_error er = {.status = status,
                           .message = slice_cstr(message),
                           .type = slice_cstr(error_type(status))};
    *out_content_type = "application/json";
    if (dialect_chat.encode_error(&er, out) < 0) {
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

void mock_worker_init(struct mock_worker *w, struct hub *h, struct loop *l) {
    struct http_limits limits;
    const struct http_app app = {.on_head = on_head, .on_request = on_request,
                                 .on_writable = on_writable, .on_cancel = on_cancel,
                                 .on_done = on_done, .format_error = format_error, .self = w};
    *w = (struct mock_worker){.hub = h, .loop = l};
    w->wake = (struct loop_task){.fn = on_wake, .self = w};
    buf_init(&w->out, OUT_MAX_BYTES);
    buf_init(&w->body, BODY_MAX_BYTES);
    hist_init(&w->late_ns);
    http_limits_default(&limits);
    w->server = http_server_new(l, &limits, &app);
    mock_endpoint_prepare(w);
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
        w->n_listeners++;
    }
    return 0;
}

void mock_worker_close(struct mock_worker *w) {
    for (unsigned i = 0; i < w->n_listeners; i++) {
        listener_close(&w->listeners[i]);
    }
    w->n_listeners = 0;
    http_server_close_all(w->server);
    http_server_free(w->server);
    w->server = NULL;
    buf_dispose(&w->out);
    buf_dispose(&w->body);
    mock_endpoint_dispose(w);
}
