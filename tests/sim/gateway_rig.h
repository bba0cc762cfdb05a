/* SPDX-License-Identifier: Apache-2.0 */
/* A whole gateway on the simulated network: a worker, a scripted upstream, and raw clients.
 * Everything runs on one thread and one clock. */
#ifndef PENSTOCK_TESTS_GATEWAY_RIG_H
#define PENSTOCK_TESTS_GATEWAY_RIG_H

#include "base/buf.h"
#include "gateway/gateway-private.h"
#include "net/loop_sim.h"

#define RIG_MAX_CONNECTIONS 64

/* What the upstream does with each request: sends `answer`, then what `then` says. */
enum rig_then { RIG_KEEP, RIG_FIN, RIG_RST, RIG_SILENCE };
struct rig_script {
    struct slice answer;      /* raw HTTP bytes; may be empty */
    enum rig_then then;
    struct slice more;        /* sent when rig_upstream_send_more is called */
};

struct rig_upstream_conn {
    struct sock *sock;
    struct buf request;       /* everything that came, all requests */
    struct buf out;
    size_t requests;          /* complete ones */
    size_t parsed;
    bool saw_end;             /* the gateway closed or reset */
    bool fin_sent;
    struct rig *rig;
};

struct rig_client {
    struct sock *sock;
    struct buf out;           /* still to be sent */
    struct buf in;            /* everything received */
    bool reads;               /* false: lets bytes lie */
    bool saw_fin, saw_reset;
};

struct rig {
    struct loop *loop;
    struct config *config;
    struct gateway *gateway;
    struct worker *worker;
    struct listener *upstream;
    struct rig_script script;
    struct rig_upstream_conn connections[RIG_MAX_CONNECTIONS];
    unsigned n_connections;
};

/* yaml_more: further settings of the provider ("metering: observe\n", each line without
 * indentation), or NULL; top_more: top-level YAML. */
void rig_start(struct rig *r, const struct sim_options *o, const char *provider_more,
               const char *top_more);
/* The same with a provider of another dialect. */
void rig_start_dialect(struct rig *r, const struct sim_options *o, const char *dialect,
                       const char *provider_more, const char *top_more);
void rig_stop(struct rig *r);

void rig_client_open(struct rig *r, struct rig_client *c);
void rig_client_send(struct rig_client *c, struct slice bytes);
/* POST /v1/chat/completions with this body. */
void rig_client_post(struct rig_client *c, const char *body);
/* To any path, with further headers (each with its CR LF). */
void rig_client_post_to(struct rig_client *c, const char *path, const char *headers,
                        const char *body);
void rig_client_close(struct rig_client *c, bool with_reset);
void rig_client_dispose(struct rig_client *c);
void rig_client_read(struct rig_client *c, bool on);
void rig_upstream_send_more(struct rig *r, unsigned connection);

/* Runs until the client has a whole response (or its connection ended). */
bool rig_run_response(struct rig *r, struct rig_client *c);

/* Splits the received bytes: status, and the body freed of its framing. False when the response is
 * incomplete: no last chunk, too few bytes. The head is in out_head. */
bool rig_response(const struct rig_client *c, unsigned *out_status, struct slice *out_head,
                  struct buf *out_body);
/* Value of a header in a head; empty when absent. */
struct slice rig_header(struct slice head, const char *name);
uint64_t rig_ended(const struct rig *r, enum end_reason end, bool stream);

#endif
