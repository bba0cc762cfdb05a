/* SPDX-License-Identifier: Apache-2.0 */
/* The simulated loop's inside: loop_sim.c turns loops and moves the clock, loop_sim_net.c is the
 * network, loop_sim_plan.c the names, faults and cuts that a test asked for. */
#ifndef PENSTOCK_NET_LOOP_SIM_PRIVATE_H
#define PENSTOCK_NET_LOOP_SIM_PRIVATE_H

#include "net/loop-private.h"
#include "net/loop_sim.h"

struct signal_watch;

/* What happens at an instant. Order: time, then when it was planned. */
typedef void sim_event_fn(void *self, size_t number);
struct sim_event {
    int64_t at_ns;
    uint64_t seq;
    sim_event_fn *fn;
    void *self;
    size_t number;
};

struct sim {
    bool is_started;
    struct sim_options options;
    struct rng rng;
    int64_t now_ns;
    uint64_t seq;
    struct sim_event *events;   /* a binary heap */
    size_t event_count, event_room;
    struct loop *loops;
    unsigned open_sides, open_lookups, open_listeners, open_connections;
};
extern struct sim sim;

struct loop {
    struct loop *next;
    struct wheel *wheel;
    struct rng rng;
    struct slab *slab;
    char *read_buffer;
    size_t read_buffer_used;  /* in this turn */
    struct loop_stats stats;
    struct loop_attachment attachments[LOOP_SLOT_COUNT];
    struct loop_task *turn_end_head, **turn_end_tail;
    struct loop_task *posted_head, **posted_tail;
    struct signal_watch *signals;
    /* in the order of their making; closed ones stay until nobody walks the list */
    struct sock *socks, **socks_tail;
    struct listener *listeners;
    struct loop_lookup *lookups_done;
    unsigned open_socks;
    bool stop;
};

/* loop_sim.c */
/* The network's memory is not the program's: it does not count in mem_alloc_count. Zeroed. */
void *sim_alloc(size_t bytes);
void sim_plan(int64_t at_ns, sim_event_fn *fn, void *self, size_t number);
_Noreturn void sim_die(const char *why);

/* loop_sim_net.c. Both: how many callbacks ran. */
unsigned net_run_sockets(struct loop *l);
unsigned net_run_listeners(struct loop *l);
void net_sweep(struct loop *l);   /* frees closed sockets */
void net_reset(void);             /* forgets addresses and descriptors that were given out */

/* loop_sim_plan.c */
enum { CUT_NONE = -1 };
struct sim_plan_for_pipe {
    int cut;                      /* enum sim_cut or CUT_NONE */
    size_t cut_after_bytes;
    size_t *read_sizes;           /* the pipe's to free; NULL: none */
    unsigned read_size_count;
};
/* The test's plans for a new connection to `to`, served by the listener at `at`. Uses them up. */
void plan_take(const struct addr *to, const struct addr *at, bool to_client,
               struct sim_plan_for_pipe *out_plan);
int plan_connect_errno(const struct addr *to);
unsigned plan_run_lookups(struct loop *l);
void plan_reset(void);

#endif
