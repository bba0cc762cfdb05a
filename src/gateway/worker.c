/* SPDX-License-Identifier: Apache-2.0 */
/* One worker: a loop's server, pools, meter and relays; connections shared out evenly; drain. */
#include "gateway/relay.h"

/* While draining: how often to look whether the last connection is gone, and how long a cut
 * stream's last bytes may take. */
#define DRAIN_LOOK_NS (10 * NS_PER_MS)
#define CUT_GRACE_NS (500 * NS_PER_MS)

struct listen_tag {
    struct worker *worker;
    unsigned index;
};

struct handed {
    struct handed *next;
    int fd;
    struct addr from;
    unsigned listen;
};

/* ---- sharing out connections ---- */

static uint64_t worker_load(const struct worker *w) {
    return meter_get(&http_server_stats(w->server)->connections_open) + atomic_load(&w->pending);
}

/* SO_REUSEPORT alone leaves one of two workers idle in one of six trials with four connections. A
 * worker keeps what it accepted unless another has at least two fewer. */
static struct worker *least_loaded(struct worker *here) {
    struct gateway *g = here->gateway;
    struct worker *best = here;
    uint64_t least = worker_load(here);
    if (least == 0)
        return here;
    least--;
    for (unsigned i = 0; i < g->n_workers; i++) {
        uint64_t load = worker_load(g->workers[i]);
        if (g->workers[i] != here && load < least) {
            least = load;
            best = g->workers[i];
        }
    }
    return best;
}

static void take(struct worker *w, int fd, const struct addr *from, unsigned listen) {
    if (w->draining)
        loop_close_fd(w->loop, fd);
    else
        http_server_accept(w->server, fd, from, w->gateway->listens[listen].tls);
}

static void hand_over(struct worker *to, int fd, const struct addr *from, unsigned listen) {
    struct handed *h = mem_alloc(sizeof *h);
    *h = (struct handed){.fd = fd, .from = *from, .listen = listen};
    atomic_fetch_add(&to->pending, 1);
    pthread_mutex_lock(&to->inbox_lock);
    h->next = to->inbox;
    to->inbox = h;
    bool must_post = !to->inbox_posted;
    to->inbox_posted = true;
    pthread_mutex_unlock(&to->inbox_lock);
    if (must_post)
        loop_post(to->loop, &to->inbox_task);
}

static void on_inbox(struct loop_task *task, void *self) {
    (void)task;
    struct worker *w = self;
    pthread_mutex_lock(&w->inbox_lock);
    struct handed *h = w->inbox;
    w->inbox = NULL;
    w->inbox_posted = false;
    pthread_mutex_unlock(&w->inbox_lock);
    while (h) {
        struct handed *next = h->next;
        atomic_fetch_sub(&w->pending, 1);
        take(w, h->fd, &h->from, h->listen);
        mem_free(h);
        h = next;
    }
}

static void on_accept(void *self, int fd, const struct addr *from) {
    struct listen_tag *tag = self;
    struct worker *to = least_loaded(tag->worker);
    if (to == tag->worker)
        take(to, fd, from, tag->index);
    else
        hand_over(to, fd, from, tag->index);
}

/* ---- drain and stop ---- */

static void close_listeners(struct worker *w) {
    for (unsigned i = 0; i < w->gateway->config->n_listen; i++)
        listener_close(&w->listeners[i]);
}

static void end_all(struct worker *w) {
    close_listeners(w);
    http_server_close_all(w->server);
    timer_stop(&w->drain_timer);
    atomic_store(&w->is_over, true);
    loop_stop(w->loop);
}

/* Signals come to the first worker: it stays until the others are through, or a second signal would
 * find nobody. */
static bool may_end(const struct worker *w) {
    const struct gateway *g = w->gateway;
    for (unsigned i = 1; w->index == 0 && i < g->n_workers; i++)
        if (!atomic_load(&g->workers[i]->is_over))
            return false;
    return worker_load(w) == 0 && !w->relays;
}

static void cut_relays(struct worker *w) {
    for (struct relay *r = w->relays, *next; r; r = next) {
        next = r->next;
        relay_cut(r);
    }
}

static void on_drain_timer(struct timer *t, void *self) {
    struct worker *w = self;
    int64_t now_ns = loop_now_ns(w->loop);
    if (now_ns >= w->drain_deadline_ns && !w->has_cut) {
        w->has_cut = true;
        cut_relays(w);
    }
    if (may_end(w) || now_ns >= w->drain_deadline_ns + CUT_GRACE_NS)
        end_all(w);
    else
        loop_timer_start(w->loop, t, now_ns + DRAIN_LOOK_NS, on_drain_timer, w);
}

static void on_drain(struct loop_task *task, void *self) {
    (void)task;
    struct worker *w = self;
    w->draining = true;
    close_listeners(w);
    http_server_drain(w->server);
    w->drain_deadline_ns = loop_now_ns(w->loop) + w->gateway->config->timeouts.drain_ns;
    loop_timer_start(w->loop, &w->drain_timer, loop_now_ns(w->loop), on_drain_timer, w);
}

static void on_stop(struct loop_task *task, void *self) {
    (void)task;
    struct worker *w = self;
    w->draining = true;
    cut_relays(w);
    end_all(w);
}

void worker_drain(struct worker *w) {
    loop_post(w->loop, &w->drain_task);
}

void worker_stop(struct worker *w) {
    loop_post(w->loop, &w->stop_task);
}

/* ---- making and unmaking ---- */

static void server_limits(const struct config *c, unsigned n_workers, struct http_limits *out) {
    http_limits_default(out);
    out->request_line_bytes = c->limits.request_line_bytes;
    out->header_bytes = c->limits.header_bytes;
    out->header_count = (unsigned)c->limits.header_count;
    out->body_bytes = c->limits.body_bytes;
    out->head_timeout_ns = c->timeouts.head_ns;
    out->body_timeout_ns = c->timeouts.body_ns;
    out->idle_timeout_ns = c->timeouts.idle_ns;
    out->write_timeout_ns = c->timeouts.write_ns;
    out->max_connections = (unsigned)((c->limits.max_connections + n_workers - 1) / n_workers);
    out->max_connections_per_ip = (unsigned)c->limits.max_connections_per_ip;
}

static struct http_pool *pool_new(struct worker *w, const struct upstream *u) {
    const struct config_provider *p = u->config;
    struct http_origin origin = {.scheme_host = u->url.authority,
                                 .host = u->url.host,
                                 .port = u->url.port,
                                 .unix_path = u->url.unix_path,
                                 .tls = u->tls};
    struct http_pool_options o;
    http_pool_options_default(&o);
    o.max_connections = (unsigned)p->max_connections;
    o.max_idle = (unsigned)p->max_idle_connections;
    o.connect_timeout_ns = p->connect_timeout_ns;
    o.tls_timeout_ns = p->tls_timeout_ns;
    o.retry_stale = p->retry_stale;
    return http_pool_new(w->loop, &origin, &o);
}

struct http_pool *worker_pool(struct worker *w, const struct upstream *u) {
    return w->pools[u->index];
}

struct worker *worker_new(struct gateway *g, unsigned index, struct loop *l) {
    const struct config *c = g->config;
    struct worker *w = mem_zalloc(sizeof *w);
    w->gateway = g;
    w->index = index;
    w->loop = l;
    w->inbox_task = (struct loop_task){.fn = on_inbox, .self = w};
    w->drain_task = (struct loop_task){.fn = on_drain, .self = w};
    w->stop_task = (struct loop_task){.fn = on_stop, .self = w};
    pthread_mutex_init(&w->inbox_lock, NULL);
    buf_init(&w->out, c->limits.event_bytes + c->limits.response_bytes + (1u << 20));
    buf_init(&w->edit, c->limits.event_bytes + (1u << 20));
    struct http_limits limits;
    server_limits(c, g->n_workers ? g->n_workers : 1, &limits);
    struct http_app app = gateway_app_template;
    app.self = w;
    w->server = http_server_new(l, &limits, &app);
    w->meter = meter_new(c->n_providers);
    w->pools = mem_zalloc((c->n_providers + 1) * sizeof *w->pools);
    for (unsigned i = 0; i < c->n_providers; i++)
        if (c->providers[i].dialect)
            w->pools[i] = pool_new(w, &g->upstreams[i]);
    w->listeners = mem_zalloc((c->n_listen + 1) * sizeof *w->listeners);
    w->listen_tags = mem_zalloc((c->n_listen + 1) * sizeof *w->listen_tags);
    return w;
}

int worker_listen(struct worker *w, struct err *e) {
    struct gateway *g = w->gateway;
    for (unsigned i = 0; i < g->config->n_listen; i++) {
        struct gateway_listen *at = &g->listens[i];
        bool is_first = w->index == 0, is_shared = g->n_workers > 1 && !addr_is_unix(&at->addr);
        if (!is_first && !is_shared)
            continue;
        struct listen_options o = {.shared = is_shared, .first = is_first};
        w->listen_tags[i] = (struct listen_tag){w, i};
        int rc = listener_open(w->loop, &at->addr, &o, on_accept, &w->listen_tags[i],
                               &w->listeners[i], e);
        if (rc < 0)
            return rc;
        at->addr = *listener_addr(w->listeners[i]);
    }
    return 0;
}

void worker_free(struct worker *w) {
    if (!w)
        return;
    w->draining = true;                  /* what was handed over and not taken is closed */
    close_listeners(w);
    timer_stop(&w->drain_timer);
    http_server_close_all(w->server);
    for (unsigned i = 0; i < w->gateway->config->n_providers; i++)
        if (w->pools[i])
            http_pool_close(&w->pools[i]);
    cut_relays(w);
    for (struct relay *r = w->free_relays, *next; r; r = next) {
        next = r->next;
        mem_free(r);
    }
    on_inbox(&w->inbox_task, w);
    http_server_free(w->server);
    dial_forget(w->loop);
    buf_dispose(&w->out);
    buf_dispose(&w->edit);
    pthread_mutex_destroy(&w->inbox_lock);
    meter_free(w->meter);
    mem_free(w->pools);
    mem_free(w->listeners);
    mem_free(w->listen_tags);
    mem_free(w);
}
