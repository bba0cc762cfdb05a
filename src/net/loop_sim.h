/* SPDX-License-Identifier: Apache-2.0 */
/* Controls of the simulated loop. All loops of a process share one simulated network and one clock,
 * driven from one thread. Determinism: same seed, same program, same bytes at the same instants in
 * the same order.
 *
 * The network behaves like a kernel's: FIN and RST come after the bytes before them; bytes that
 * were ready when an RST came can still be read; a close with unread bytes sends RST; bytes for a
 * closed side are answered by RST; SOCK_HUP shows also while reads are not wanted. After a turn
 * loop_read_buffer holds rubbish, so that a pointer which was kept shows.
 *
 * A loop that loop_stop was called on takes no part in sim_run until loop_run was called for it. */
#ifndef PENSTOCK_NET_LOOP_SIM_H
#define PENSTOCK_NET_LOOP_SIM_H

#include "net/loop.h"

struct sim_options {
    uint64_t seed;
    size_t socket_buffer_bytes;      /* what one direction holds before writes block; 0: 64 KiB */
    size_t max_read_bytes;           /* a read gives 1 … this many (seeded); 0: all there is */
    size_t max_write_bytes;          /* a writev takes 1 … this many (seeded); 0: all that fits */
    int64_t latency_min_ns, latency_max_ns;   /* delay of each write's delivery, order kept within a
                                               * direction; 0,0: the next turn */
    bool shuffle_events;             /* seeded order of ready sockets within a turn */
};
/* Resets the network; the clock is at 1 s and is the process' clock source. No loop may exist. A
 * loop_new without it starts with seed 1 and no options. */
void sim_start(const struct sim_options *options);
/* Aborts, and says why, when a socket, descriptor, listener or look-up leaked. */
void sim_stop(void);

/* Runs turns of all loops, moving the clock to the next deadline or delivery when nothing is ready,
 * until `done` says so, nothing can happen any more, or the clock passes until_ns (it is at
 * until_ns then). Returns true when done() did. done may be NULL. */
bool sim_run(bool (*done)(void *self), void *self, int64_t until_ns);
/* moves the clock, firing what is due on the way */
void sim_advance(int64_t ns);
int64_t sim_now_ns(void);

/* DNS table: host → addresses; a host that is not here, or has none, fails with ERR_DNS.
 * "127.0.0.1"-like literals resolve by themselves. A second call for a host replaces the first. */
void sim_name(const char *host, const struct addr *addrs, unsigned count, int64_t delay_ns);
/* Connects to this address: 0 works as usual; ECONNREFUSED; ETIMEDOUT means that nothing ever
 * answers. */
void sim_connect_fault(const struct addr *to, int os_errno);
/* Cuts the nth connection (0: the next one) from now on to `at`, the listener's address or the one
 * that was connected to, once `bytes` bytes have been delivered in the direction towards the
 * connecting side (to_client) or the accepting side; 0: as soon as it is connected.
 *   FIN    the receiver sees an orderly end, the sender RST
 *   RST    both see RST
 *   STALL  nothing more arrives in that direction; the sender's writes fill up */
enum sim_cut { SIM_CUT_FIN, SIM_CUT_RST, SIM_CUT_STALL };
void sim_cut_after(const struct addr *at, unsigned nth, bool to_client, size_t bytes,
                   enum sim_cut how);
/* The exact sizes of the next reads in that direction of the nth connection (0: the next one); then
 * back to max_read_bytes. A read waits until it can have its size, or the direction has ended. */
void sim_read_sizes(const struct addr *at, unsigned nth, bool to_client, const size_t *sizes,
                    unsigned count);
/* What loop_on_signal waits for, in the loop's next turn. */
void sim_raise(struct loop *l, int signo);
unsigned sim_open_connections(void);

#endif
