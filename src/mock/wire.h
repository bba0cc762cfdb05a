/* SPDX-License-Identifier: Apache-2.0 */
/* What a fault does to an answer on its way: stands between who makes the answer and the HTTP
 * server, for answers with a fault alone. Everything goes out as a raw response. Takes frames and
 * gives bytes; it has a timer of its own, so whoever uses it knows nothing of stalls and cuts: it
 * writes, is told to wait, and goes on when go_on says so (perhaps never). One loop's thread. */
#ifndef PENSTOCK_MOCK_WIRE_H
#define PENSTOCK_MOCK_WIRE_H

#include "mock/api.h"
#include "mock/fault.h"
#include "mock/worker.h"

struct wire;
struct mock_call;

struct wire_options {
    struct mock_worker *worker;
    struct http_exchange *ex;
    const struct api *api;
    const struct fault_use *use;         /* copied; fault_is_on_the_wire */
    uint64_t serial;                     /* of the request: what is drawn by lot comes from it */
    /* there is room again, after a wire_write that said 0; never inside a call of the wire's */
    void (*go_on)(void *self);
    void *self;
};
struct wire *wire_new(const struct wire_options *o);
/* For the call's exchange; NULL: nothing is to happen to it on its way. */
struct wire *wire_of_call(const struct mock_call *c, void (*go_on)(void *self), void *self);
void wire_free(struct wire **w);

/* As http_start, http_write, http_end and http_respond; the response is borrowed until return. Each
 * may end the exchange: on_done then runs, and frees the wire, before it returns (wire_write: < 0
 * then). An event may come in several wire_writes; it leaves when it is whole. */
void wire_start(struct wire *w, const struct http_response *r);
int wire_write(struct wire *w, struct slice frames) MUST_CHECK;
void wire_end(struct wire *w);
void wire_respond(struct wire *w, const struct http_response *r, struct slice body);
/* An answer in one piece of somebody who has no more to do with it: takes over the exchange. */
void wire_respond_alone(struct mock_worker *w, struct http_exchange *ex, const struct api *api,
                        const struct fault_use *use, const struct http_response *r,
                        struct slice body);
/* The same of a stream that is there as a whole. */
void wire_stream_alone(struct mock_worker *w, struct http_exchange *ex, const struct api *api,
                       const struct fault_use *use, const struct http_response *r,
                       struct slice frames);
/* The fault has ended the answer before all of it was said, or in another way than well. */
bool wire_is_cut(const struct wire *w);
/* on_writable of the exchange */
void wire_writable(struct wire *w);

#endif
