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
struct parked;

/* Slots of a paced stream that leave in one write, at most; more are the next turn's. */
#define WORKER_MAX_DUES 64

struct mock_worker {
    struct hub *hub;
    struct loop *loop;
    struct http_server *server;
    struct listener *listeners[MOCK_MAX_LISTEN];
    unsigned n_listeners;
    struct buf out;                      /* frames of one write */
    struct buf body;                     /* a whole answer on its way */
    struct delivery *deliveries;         /* all that are open */
    struct parked *parked;
    struct loop_task wake;
    _Atomic bool wake_posted;
    _Atomic bool step_granted;           /* since the last wake */
    _Atomic unsigned handovers;          /* connections on their way to us */
    struct hist late_ns;                 /* paced tokens: written minus due */
    int64_t dues[WORKER_MAX_DUES];       /* of the slots of one write */
    _Atomic uint64_t tokens;
    /* the answers of the model `static`, encoded once, by row of the table of apis */
    struct buf static_bodies[API_COUNT];
};

/* Everything but the listeners. */
void mock_worker_init(struct mock_worker *w, struct hub *h, struct loop *l);
int mock_worker_listen(struct mock_worker *w, const struct addr *addrs, unsigned n, bool first,
                       struct err *e) MUST_CHECK;
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

/* Headers that every answer carries. request_id is written into id_space. */
#define WORKER_ID_BYTES 24
#define WORKER_MAX_HEADERS 12
struct header_set {
    struct http_header items[WORKER_MAX_HEADERS];
    unsigned count;
    char id_space[WORKER_ID_BYTES];
};
void header_set_init(struct mock_worker *w, struct header_set *set, const struct api *api,
                     struct slice content_type);
void header_set_add(struct header_set *set, struct slice name, struct slice value);

/* endpoint_answer.c: POST to the endpoint of a dialect */
void mock_endpoint_answer(struct mock_worker *w, struct http_exchange *ex);
void mock_endpoint_count(struct mock_worker *w, struct http_exchange *ex);
void mock_endpoint_prepare(struct mock_worker *w);
void mock_endpoint_dispose(struct mock_worker *w);
void mock_respond_fault_of_request(struct mock_worker *w, struct http_exchange *ex,
                                   const struct request_fault *f, unsigned status);
/* False: it has been answered, since a knob makes no sense, the model does not exist, or the fault
 * is a status. */
struct knobs;
bool mock_read_knobs(struct mock_worker *w, struct http_exchange *ex,
                     const struct llm_request *rq, struct knobs *out);
bool mock_knows_model(const struct mock_options *o, struct slice model);

/* endpoint_models.c: GET /models, /models/{id}, /responses/{id} */
void mock_endpoint_models(struct mock_worker *w, struct http_exchange *ex);
void mock_endpoint_model(struct mock_worker *w, struct http_exchange *ex);
void mock_endpoint_response(struct mock_worker *w, struct http_exchange *ex);

/* endpoint_vectors.c: POST /embeddings, /moderations */
void mock_endpoint_embeddings(struct mock_worker *w, struct http_exchange *ex);
void mock_endpoint_moderations(struct mock_worker *w, struct http_exchange *ex);

/* control.c: /penstock/…, /metrics, /health */
void control_step(struct mock_worker *w, struct http_exchange *ex);
void control_wait(struct mock_worker *w, struct http_exchange *ex);
void control_journal(struct mock_worker *w, struct http_exchange *ex);
void control_journal_clear(struct mock_worker *w, struct http_exchange *ex);
void control_metrics(struct mock_worker *w, struct http_exchange *ex);
void control_health(struct mock_worker *w, struct http_exchange *ex);
/* parked requests that can be answered are */
void control_recheck(struct mock_worker *w);
void control_cancel(struct parked *p);               /* its client is gone */

/* An exchange's app pointer is one of the two. */
enum owner_kind { OWNER_DELIVERY, OWNER_PARKED };
struct owner {
    enum owner_kind kind;
};

#endif
