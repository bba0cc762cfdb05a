/* SPDX-License-Identifier: Apache-2.0 */
/* One loop of a mock: listeners, HTTP server, deliveries and parked control requests. Its loop's
 * thread, except where "any thread" is said. */
#ifndef PENSTOCK_MOCK_WORKER_H
#define PENSTOCK_MOCK_WORKER_H

#include "base/hist.h"
#include "dialect/event.h"
#include "http/server.h"
#include "mock/api.h"
#include "mock/hub.h"

struct delivery;
struct follower;
struct fault_gate;
struct mock_call;
struct http_pool;
struct parked;

/* Slots of a paced stream that leave in one write, at most; more are the next turn's. */
#define WORKER_MAX_DUES 64

/* self.h. By number of the window, even and odd. */
struct self_meter {
    struct hist windows[2];
    _Atomic int64_t numbers[2];
    _Atomic uint64_t blocked;            /* frames that were late through their client */
};

struct mock_worker {
    struct hub *hub;
    struct loop *loop;
    struct mock_time *time;              /* mock_clock.h; NULL: the machine's */
    struct snapshot *snapshot;           /* options as this worker last saw them */
    unsigned epoch;                      /* of it */
    struct mock_call *call;              /* in whose handler we are; NULL: in none */
    struct http_server *server;
    struct listener *listeners[MOCK_MAX_LISTEN];
    struct addr addrs[MOCK_MAX_LISTEN];  /* where they listen, or did */
    unsigned n_listeners;
    struct fault_gate *gate;             /* how new connections fare (fault_answer.h); or NULL */
    struct buf out;                      /* frames of one write */
    struct buf body;                     /* a whole answer on its way */
    struct http_pool *upstream_pool;     /* made with the first request that needs it (record.h) */
    struct delivery *deliveries;         /* all that are open */
    struct follower *followers;          /* of background responses */
    struct parked *parked;
    struct loop_task wake;
    _Atomic bool wake_posted;
    _Atomic bool step_granted;           /* since the last wake */
    _Atomic unsigned handovers;          /* connections on their way to us */
    struct hist late_ns;                 /* paced frames: written minus due */
    /* the same of late, and frames that are not counted there */
    struct self_meter self;
    int64_t dues[WORKER_MAX_DUES];       /* of the slots of one write */
    _Atomic uint64_t tokens;
    /* the answers of the model `static`, encoded once, by row of the table of apis */
    struct buf static_bodies[API_COUNT];
};

/* Everything but the listeners. */
void mock_worker_init(struct mock_worker *w, struct hub *h, struct loop *l);
int mock_worker_listen(struct mock_worker *w, const struct addr *addrs, unsigned n, bool first,
                       struct err *e) MUST_CHECK;
/* Stops listening, and begins again at the same addresses (false: it cannot, nothing changed). */
void mock_worker_deafen(struct mock_worker *w);
bool mock_worker_relisten(struct mock_worker *w);
/* Closes listeners, connections, deliveries and parked requests. The loop is the caller's. */
void mock_worker_close(struct mock_worker *w);
/* Empties a scratch buffer, and gives back what a large answer made of it. */
void mock_worker_scratch(struct buf *b);
/* Looks at parked requests again, and at stepped streams when a step was granted. Any thread. */
void mock_worker_wake(struct mock_worker *w, bool granted);

/* ---- answers, for the endpoints: in the words of the api that was called ---- */

void mock_respond_json(struct mock_worker *w, struct http_exchange *ex, unsigned status,
                       struct slice body);
void mock_respond_error(struct mock_worker *w, struct http_exchange *ex, const struct api_error *er,
                   unsigned retry_after_s);
void mock_respond_simple_error(struct mock_worker *w, struct http_exchange *ex, unsigned status,
                          const char *code, const char *format, ...) PRINTF_LIKE(5, 6);

/* Headers that every answer carries. request_id is written into id_space, numbers into text. */
#define WORKER_ID_BYTES 24
#define WORKER_MAX_HEADERS 48
struct head_facts;
/* "req_…": with facts the same each time, else a new one. */
void mock_request_id(const struct mock_worker *w, const struct head_facts *facts,
                     char out[WORKER_ID_BYTES]);
struct header_set {
    struct http_header items[WORKER_MAX_HEADERS];
    unsigned count;
    char id_space[WORKER_ID_BYTES];
    char text[512];
    size_t text_len;
};
/* facts: what is particular to this answer (call.h); NULL: nothing. Slices point into set and
 * facts. */
void header_set_init(struct mock_worker *w, struct header_set *set, const struct api *api,
                     struct slice content_type, const struct head_facts *facts);
void header_set_add(struct header_set *set, struct slice name, struct slice value);
void header_set_printf(struct header_set *set, struct slice name, const char *format, ...)
    PRINTF_LIKE(3, 4);

/* The options of the moment: valid until the handler returns. */
const struct mock_options *mock_options_now(struct mock_worker *w);

/* endpoint_answer.c: POST to the endpoint of a dialect */
void mock_endpoint_answer(struct mock_worker *w, struct http_exchange *ex);
void mock_endpoint_count(struct mock_worker *w, struct http_exchange *ex);
void mock_endpoint_prepare(struct mock_worker *w);
void mock_endpoint_dispose(struct mock_worker *w);
void mock_respond_fault_of_request(struct mock_worker *w, struct http_exchange *ex,
                                   const struct request_fault *f, unsigned status);
/* A call of any endpoint of the API: its key is known. False: it has been answered, since the key
 * is wrong. mock_call_end is called in either case. */
bool mock_call_begin(struct mock_call *c, struct mock_worker *w, struct http_exchange *ex);
void mock_call_end(struct mock_call *c);
/* 404: there is no such path. */
void mock_respond_unknown_url(struct mock_worker *w, struct http_exchange *ex);
/* A request that no route takes: 405 when its path has one (allow: their methods), else 404. */
void mock_refuse_stray(struct mock_worker *w, struct http_exchange *ex, const char *allow);
/* c->rq is there. False: it has been answered, since a limit is met, a knob makes no sense, the
 * model does not exist, or the fault is a status. prompt_tokens: for the limit. */
bool mock_call_admit(struct mock_call *c, uint64_t prompt_tokens);
/* Answers how many tokens the prompt has: {HEAD"input_tokens":N}. c->rq is there. */
void mock_call_count(struct mock_call *c, const char *head);
bool mock_knows_model(const struct mock_options *o, struct slice model);

/* call.c: the rate limits' headers, as the provider spells them; view NULL: as of somebody with
 * plenty */
struct limit_view;
void limit_headers(const struct mock_worker *w, struct header_set *set, const struct api *api,
                   const struct limit_view *view);
/* A browser's question before its request. False: CORS is off, or it is no path of the API. */
bool mock_answer_preflight(struct mock_worker *w, struct http_exchange *ex);

/* endpoint_models.c: GET /models, /models/{id} */
void mock_endpoint_models(struct mock_worker *w, struct http_exchange *ex);
void mock_endpoint_model(struct mock_worker *w, struct http_exchange *ex);
/* endpoint_responses.c: POST /responses/input_tokens; GET, POST, DELETE
 * /responses/{id}[/input_items|/cancel] */
void mock_endpoint_input_tokens(struct mock_worker *w, struct http_exchange *ex);
void mock_endpoint_response(struct mock_worker *w, struct http_exchange *ex);
/* endpoint_compact.c: POST /responses/compact */
void mock_endpoint_compact(struct mock_worker *w, struct http_exchange *ex);
/* endpoint_conversations.c: POST /conversations; GET, POST, DELETE
 * /conversations/{id}[/items[/{id}]] */
void mock_endpoint_conversations(struct mock_worker *w, struct http_exchange *ex);
void mock_endpoint_conversation(struct mock_worker *w, struct http_exchange *ex);

/* endpoint_vectors.c: POST /embeddings, /moderations */
void mock_endpoint_embeddings(struct mock_worker *w, struct http_exchange *ex);
void mock_endpoint_moderations(struct mock_worker *w, struct http_exchange *ex);

/* endpoint_tokenize.c: POST /tokenize, /detokenize */
void mock_endpoint_tokenize(struct mock_worker *w, struct http_exchange *ex);
void mock_endpoint_detokenize(struct mock_worker *w, struct http_exchange *ex);

/* control.c: /penstock/…, /metrics, /health */
void control_index(struct mock_worker *w, struct http_exchange *ex);
/* Row i of the table of routes; false: past the end. */
bool mock_route_at(unsigned i, enum http_method *out_method, const char **out_path);
void control_step(struct mock_worker *w, struct http_exchange *ex);
void control_wait(struct mock_worker *w, struct http_exchange *ex);
void control_journal(struct mock_worker *w, struct http_exchange *ex);
void control_journal_entry(struct mock_worker *w, struct http_exchange *ex);
void control_journal_clear(struct mock_worker *w, struct http_exchange *ex);
void control_expect(struct mock_worker *w, struct http_exchange *ex);
void control_metrics(struct mock_worker *w, struct http_exchange *ex);
void control_health(struct mock_worker *w, struct http_exchange *ex);
/* parked requests that can be answered are */
void control_recheck(struct mock_worker *w);
/* GET, POST /penstock/config */
void control_config(struct mock_worker *w, struct http_exchange *ex);
void control_configure(struct mock_worker *w, struct http_exchange *ex);

/* Whoever answers later: an exchange's app pointer, first member of what it is of. */
struct owner;
struct owner_ops {
    /* all queued bytes are out; NULL: of no interest */
    void (*writable)(struct owner *self);
    /* the exchange is over (is_cancelled: the client left): the last call, frees */
    void (*ended)(struct owner *self, bool is_cancelled);
};
struct owner {
    const struct owner_ops *ops;
};

#endif
