/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the gateway share. A `struct gateway` is the process's, read-only for workers
 * but for its atomics; a `struct worker` is one thread's; a `struct relay` is one request's
 * (relay.h). */
#ifndef PENSTOCK_GATEWAY_PRIVATE_H
#define PENSTOCK_GATEWAY_PRIVATE_H

#include <pthread.h>

#include "base/clock.h"
#include "base/mem.h"
#include "config/config.h"
#include "http/client.h"
#include "http/server.h"
#include "http/url.h"
#include "meter/meter.h"
#include "net/conn.h"
#include "net/loop.h"

struct relay;
struct state;
struct worker;
struct endpoint;

/* Where a request's path leads. */
struct endpoint_match {
    const struct endpoint *endpoint;     /* NULL: nowhere */
    /* in whose words it is answered, errors included; never NULL */
    const struct dialect *client;
    /* of the upstream, behind its base URL: "/chat/completions" */
    struct slice path;
    struct slice model;                  /* named by an Azure-style path, as it is written */
    struct slice rest;                   /* behind a prefix: "gpt%2F4" of "/models/gpt%2F4" */
};

/* A provider as the workers see it: the config's row, and what was derived from it once. */
struct upstream {
    const struct config_provider *config;
    unsigned index;                      /* in config->providers and meter->providers */
    struct url url;
    /* "/v1/chat/completions?…": the base URL's path with the main dialect's endpoint and the
     * provider's query; NULL when the path names the model ("{model}" in base_url):
     * upstream_target */
    struct slice target;
    /* The credential's header: its name, and its value, a secret; empty when there is none. */
    struct slice auth_name, auth_value;
    struct tls_context *tls;             /* NULL: plain */
    /* an OpenAI-native host: openai-* request headers may go there */
    bool is_openai;
};
/* The target of one of its endpoints ("/embeddings"). model: the upstream's name for it. */
struct slice upstream_target(const struct upstream *u, struct slice path, struct slice model,
                             struct arena *a);
/* Speaks Anthropic's words in errors and headers; all others speak OpenAI's. */
bool dialect_is_anthropic(const struct dialect *d);
/* translate_error, or as it came while a dialect has none. */
void dialect_translate_error(const struct dialect *d, const struct api_error *in,
                             struct api_error *out);

struct gateway_listen {
    const struct config_listen *config;
    struct addr addr;                    /* after binding: with the real port */
    struct tls_context *tls;
};

struct gateway {
    const struct config *config;
    struct state *state;                 /* state.h */
    struct arena *arena;                 /* what upstreams and listens point into */
    struct upstream *upstreams;          /* config->n_providers */
    struct gateway_listen *listens;      /* config->n_listen */
    struct worker **workers;
    unsigned n_workers;
    int64_t start_wall_ns;
    uint64_t max_files;                  /* RLIMIT_NOFILE in force */
    _Atomic uint64_t streams;            /* admitted and not done, whole process */
    _Atomic bool draining, stopping;
    _Atomic unsigned cut_streams;        /* streams that the end of a drain cut */
};

/* Everything that is checked and derived before any thread starts. mock_base_url: for is_mock. */
int gateway_new(const struct config *c, const char *mock_base_url, struct gateway **out,
                struct err *e) MUST_CHECK;
void gateway_free(struct gateway **g);

/* ---- worker ---- */

struct worker {
    struct gateway *gateway;
    unsigned index;
    struct loop *loop;
    struct http_server *server;
    struct http_pool **pools;            /* one a provider; NULL until used */
    struct meter *meter;
    struct listener **listeners;         /* config->n_listen; NULL where this worker has none */
    struct listen_tag *listen_tags;
    struct relay *relays;                /* those alive, for drain */
    struct relay *free_relays;
    unsigned n_free_relays;
    /* what the current batch of upstream bytes makes for the client */
    struct buf out;
    struct buf edit;                     /* scratch for rewritten frames */
    /* the endpoint whose `serve` runs */
    struct endpoint_match match;
    /* the loop's slab as of the last request's end: for /metrics */
    _Atomic uint64_t slab_bytes;
    struct timer drain_timer;
    bool draining, has_cut;
    _Atomic bool is_over;                /* its loop ends, or has */
    int64_t drain_deadline_ns;

    /* Connections handed over by other workers. */
    pthread_mutex_t inbox_lock;
    struct handed *inbox;
    bool inbox_posted;
    struct loop_task inbox_task;
    struct loop_task drain_task;
    struct loop_task stop_task;
    _Atomic unsigned pending;            /* connections handed over, not yet taken */
    pthread_t thread;
    bool has_thread;
};

/* The loop stays the caller's. */
struct worker *worker_new(struct gateway *g, unsigned index, struct loop *l);
/* Opens this worker's listeners. The first worker's decides the port when 0 was asked for. */
int worker_listen(struct worker *w, struct err *e) MUST_CHECK;
/* From any thread: stop accepting, let requests finish until the drain timeout, then end them and
 * stop the loop. */
void worker_drain(struct worker *w);
/* From any thread: end everything now and stop the loop. */
void worker_stop(struct worker *w);
void worker_free(struct worker *w);
struct http_pool *worker_pool(struct worker *w, const struct upstream *u);

/* ---- endpoints (endpoints.c) ---- */

extern const struct http_app gateway_app_template;   /* self is set by the worker */
/* By path, method and headers alone. */
struct endpoint_match endpoint_find(const struct http_exchange *ex);

/* ---- errors (fault.c) ---- */

/* One row a fault: what the client sees, and what it is counted as. */
struct fault {
    unsigned status;
    const char *type, *code;             /* code NULL: null */
    enum end_reason end;
    bool no_retry;                       /* x-should-retry: false */
    unsigned retry_after_s;              /* 0: not sent */
};
enum fault_id {
    FAULT_BAD_JSON,
    FAULT_BAD_REQUEST,
    FAULT_MODEL_NOT_FOUND,
    FAULT_NOT_FOUND,
    FAULT_UNKNOWN_URL,
    FAULT_METHOD,
    FAULT_CONTENT_TYPE,
    FAULT_TOO_LARGE,
    FAULT_FORBIDDEN_HOST,
    FAULT_FORBIDDEN_ORIGIN,
    FAULT_DRAINING,
    FAULT_OVERLOAD,
    FAULT_UPSTREAM_CONNECT,
    FAULT_UPSTREAM_TIMEOUT,
    FAULT_UPSTREAM_CUT,
    FAULT_UPSTREAM_PROTOCOL,
    FAULT_UPSTREAM_LIMIT,
    FAULT_UPSTREAM_AUTH,
    FAULT_UPSTREAM_BUSY,
    FAULT_INTERNAL,
    FAULT_COUNT
};
const struct fault *fault_get(enum fault_id id);
/* Which fault an upstream call's error is. */
enum fault_id fault_of_call(const struct err *e, bool any_answer_byte);

/* Answers an exchange that has no relay with an error in its client's words. */
void answer_fault(struct worker *w, struct http_exchange *ex, enum fault_id id, const char *param,
                  const char *message);
/* 405: the path has other methods, and these. */
void answer_not_allowed(struct worker *w, struct http_exchange *ex, const char *allow);
/* A fault as a dialect says it: status, type and code are its own. param NULL: null. code NULL: the
 * fault's own. Borrows the texts. */
struct api_error fault_error(enum fault_id id, const struct dialect *client, const char *code,
                             const char *param, const char *message);

/* ---- guard (guard.c) ---- */

/* Refuses what a web page could send on a user's behalf. True: refused, and answered. */
bool guard_refuses(struct worker *w, struct http_exchange *ex);
/* Headers that a listed origin gets on every answer; returns how many were put into out (at most
 * 3). */
unsigned guard_cors_headers(const struct worker *w, const struct http_exchange *ex,
                            struct http_header *out);
/* The answer to OPTIONS. */
void guard_preflight(struct worker *w, struct http_exchange *ex, const char *allow);

/* ---- response headers shared by all answers (headers.c) ---- */

#define MAX_OUT_HEADERS 40
struct out_headers {
    struct http_header items[MAX_OUT_HEADERS];
    unsigned count;
};
void out_headers_add(struct out_headers *h, struct slice name, struct slice value);
/* In the place of what is there under this name. value must be fit to be written. */
void out_headers_set(struct out_headers *h, struct slice name, struct slice value);

/* ---- simple endpoints ---- */

void endpoint_root(struct worker *w, struct http_exchange *ex);
void endpoint_models(struct worker *w, struct http_exchange *ex);
void endpoint_model(struct worker *w, struct http_exchange *ex);
void endpoint_health(struct worker *w, struct http_exchange *ex);
void endpoint_ready(struct worker *w, struct http_exchange *ex);
void endpoint_metrics(struct worker *w, struct http_exchange *ex);
/* Sends a small JSON body with the usual headers. */
void answer_json(struct worker *w, struct http_exchange *ex, unsigned status, struct slice body);

/* ---- banner (banner.c) ---- */

struct serve_options;
void banner_print(const struct gateway *g, const struct serve_options *o);

#endif
