/* SPDX-License-Identifier: Apache-2.0 */
/* From a host and a port to a conn: look-up, race, handshake.
 *
 *   dial_start ──▶ resolving ──▶ racing ──▶ shaking hands ──▶ on_ready(conn)
 *        └── literal, Unix path ───▲                    (plain: at once)
 *
 * The race follows RFC 8305: one address after the other, families interleaved, 250 ms apart or as
 * soon as one fails; the first that connects wins and the others are closed. Failures leave by a
 * timer that is due at once, so that on_ready never runs before dial_start returned. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "net/conn-private.h"
#include "net/dns-private.h"

#define ATTEMPT_STAGGER_NS (250 * NS_PER_MS)
/* how soon a Unix socket whose queue of connections is full is tried again */
#define QUEUE_FULL_WAIT_NS NS_PER_MS
#define TARGET_BYTES 300

struct attempt {
    struct dial *dial;
    struct sock *sock;
};

struct dial {
    struct loop *loop;
    dial_fn *fn;
    void *self;
    char *host;                  /* or the path of a Unix socket */
    uint16_t port;
    bool is_unix, is_name;
    struct tls_context *tls;
    struct tls_session_slot *session;
    int64_t connect_timeout_ns, tls_timeout_ns;

    struct dns_wait wait;
    struct timer deadline;       /* of the running step, or due at once to report `failure` */
    struct timer stagger;
    struct err failure;

    unsigned addr_count, next, open_count;   /* next: the address that is tried next */
    struct addr addrs[LOOP_MAX_ADDRS];
    struct attempt attempts[LOOP_MAX_ADDRS];
    struct conn *conn;           /* while shaking hands */

    int64_t step_start_ns;
    struct dial_timing timing;
};

/* ---- endings ---- */

static void attempts_close(struct dial *d) {
    for (unsigned i = 0; i < d->next; i++) sock_close(&d->attempts[i].sock);
    d->open_count = 0;
    timer_stop(&d->stagger);
}

static void dial_free(struct dial *d) {
    dns_wait_stop(&d->wait);
    attempts_close(d);
    timer_stop(&d->deadline);
    conn_close(&d->conn);
    mem_free(d->host);
    mem_free(d);
}

void dial_cancel(struct dial **d) {
    if (!*d) return;
    dial_free(*d);
    *d = NULL;
}

/* Frees d, then tells: the owner may start the next dial at once. */
static void dial_ready(struct dial *d) {
    struct conn *c = d->conn;
    struct dial_timing timing = d->timing;
    dial_fn *fn = d->fn;
    void *self = d->self;
    d->conn = NULL;
    dial_free(d);
    fn(self, c, &timing, NULL);
}

static void dial_fail(struct dial *d) {
    struct err e = d->failure;
    struct dial_timing timing = d->timing;
    dial_fn *fn = d->fn;
    void *self = d->self;
    dial_free(d);
    fn(self, NULL, &timing, &e);
}

static void on_failure(struct timer *t, void *self) {
    (void)t;
    dial_fail(self);
}

static void fail_soon(struct dial *d) {
    loop_timer_start(d->loop, &d->deadline, loop_now_ns(d->loop), on_failure, d);
}

/* "api.example.com:443", "[::1]:443", "unix:/path"; cut when longer than a host may be. */
static const char *dial_target(const struct dial *d, char out[TARGET_BYTES]) {
    if (d->is_unix) snprintf(out, TARGET_BYTES, "unix:%s", d->host);
    else if (strchr(d->host, ':')) snprintf(out, TARGET_BYTES, "[%.255s]:%u", d->host, d->port);
    else snprintf(out, TARGET_BYTES, "%.255s:%u", d->host, d->port);
    return out;
}

static const char *step_name(const struct dial *d) {
    if (d->conn) return "the TLS handshake";
    return d->wait.link ? "the name look-up" : "connecting";
}

static void on_deadline(struct timer *t, void *self) {
    struct dial *d = self;
    char target[TARGET_BYTES];
    int64_t timeout_ns = d->conn ? d->tls_timeout_ns : d->connect_timeout_ns;
    (void)t;
    err_set(&d->failure, ERR_TIMEOUT, "connect to %.150s: %s took longer than %lld ms",
            dial_target(d, target), step_name(d), (long long)(timeout_ns / NS_PER_MS));
    dial_fail(d);
}

static void deadline_start(struct dial *d, int64_t timeout_ns) {
    timer_stop(&d->deadline);
    if (timeout_ns <= 0) return;
    loop_timer_start(d->loop, &d->deadline, loop_now_ns(d->loop) + timeout_ns, on_deadline, d);
}

static int64_t step_took(struct dial *d) {
    int64_t now_ns = loop_now_ns(d->loop), took_ns = now_ns - d->step_start_ns;
    d->step_start_ns = now_ns;
    return took_ns;
}

/* ---- TLS ---- */

static void on_handshake(void *self, struct conn *c, const struct err *e) {
    struct dial *d = self;
    d->timing.tls_ns = step_took(d);
    if (e) {
        char target[TARGET_BYTES];
        err_set(&d->failure, e->kind, "connect to %.90s: %s", dial_target(d, target), e->text);
        dial_fail(d);
        return;
    }
    d->timing.tls_resumed = conn_tls_is_resumed(c);
    dial_ready(d);
}

/* ---- the race ---- */

static void attempt_won(struct dial *d, struct attempt *winner) {
    unsigned index = (unsigned)(winner - d->attempts);
    struct sock *sock = winner->sock;
    winner->sock = NULL;
    attempts_close(d);
    d->timing.connect_ns = step_took(d);
    d->timing.peer = d->addrs[index];
    if (d->is_name) dns_note_winner(d->loop, slice_cstr(d->host), &d->addrs[index]);
    d->conn = conn_new(d->loop, sock);
    if (!d->tls) {
        dial_ready(d);
        return;
    }
    deadline_start(d, d->tls_timeout_ns);
    conn_start_tls(d->conn, d->tls, slice_cstr(d->host), d->session, on_handshake, d);
}

/* Of several failures the most telling counts: that a family has no route says little. */
static void note_failure(struct dial *d, int os_errno) {
    int had = d->failure.os_errno;
    bool is_weak = had == 0 || had == ENETUNREACH || had == EHOSTUNREACH || had == EADDRNOTAVAIL ||
                   had == EAFNOSUPPORT;
    char target[TARGET_BYTES];
    if (!is_weak) return;
    err_set_os(&d->failure, ERR_CONNECT, os_errno, "connect to %.150s", dial_target(d, target));
}

static void attempt_next(struct dial *d);

static void on_stagger(struct timer *t, void *self) {
    (void)t;
    attempt_next(self);
}

static void on_attempt(void *self, unsigned events) {
    struct attempt *a = self;
    struct dial *d = a->dial;
    struct err e;
    (void)events;
    if (sock_connect_result(a->sock, &e) == 0) {
        attempt_won(d, a);
        return;
    }
    sock_close(&a->sock);
    d->open_count--;
    note_failure(d, e.os_errno);
    attempt_next(d);
}

/* Tries the next address that can be tried at all. */
static void attempt_next(struct dial *d) {
    timer_stop(&d->stagger);
    while (d->next < d->addr_count) {
        struct attempt *a = &d->attempts[d->next];
        const struct addr *to = &d->addrs[d->next++];
        struct err e;
        a->dial = d;
        if (sock_connect(d->loop, to, on_attempt, a, &a->sock, &e) < 0) {
            if (d->is_unix && e.os_errno == EAGAIN) {
                d->next--;                       /* its queue is full: TCP would wait, too */
                loop_timer_start(d->loop, &d->stagger, loop_now_ns(d->loop) + QUEUE_FULL_WAIT_NS,
                                 on_stagger, d);
                return;
            }
            note_failure(d, e.os_errno);
            continue;
        }
        d->open_count++;
        if (d->next < d->addr_count) {
            loop_timer_start(d->loop, &d->stagger, loop_now_ns(d->loop) + ATTEMPT_STAGGER_NS,
                             on_stagger, d);
        }
        return;
    }
    if (d->open_count == 0) fail_soon(d);
}

/* The next address of that family at or after `from`; count when there is none. */
static unsigned find_family(const struct dns_answer *answer, unsigned from, sa_family_t family,
                            bool is_same) {
    while (from < answer->count && (answer->addrs[from].u.sa.sa_family == family) != is_same)
        from++;
    return from;
}

/* RFC 8305, section 4: families interleaved, starting with that of the preferred address. */
static void take_interleaved(struct dial *d, const struct dns_answer *answer) {
    sa_family_t family = answer->addrs[0].u.sa.sa_family;
    unsigned at[2] = {find_family(answer, 0, family, false), find_family(answer, 0, family, true)};
    for (bool is_same = true; d->addr_count < answer->count; is_same = !is_same) {
        if (at[is_same] >= answer->count) continue;
        struct addr *a = &d->addrs[d->addr_count++];
        *a = answer->addrs[at[is_same]];
        addr_set_port(a, d->port);
        at[is_same] = find_family(answer, at[is_same] + 1, family, is_same);
    }
}

static void on_answer(void *self, const struct dns_answer *answer) {
    struct dial *d = self;
    d->timing.dns_ns = step_took(d);
    if (answer->count == 0) {
        d->failure = answer->e;
        fail_soon(d);
        return;
    }
    take_interleaved(d, answer);
    attempt_next(d);
}

/* ---- start ---- */

static void dial_begin(struct dial *d) {
    struct slice host = slice_cstr(d->host);
    struct dns_answer answer;
    if (d->is_unix) {
        if (addr_from_unix_path(host, &d->addrs[0], &d->failure) < 0) {
            fail_soon(d);
            return;
        }
        d->addr_count = 1;
    } else if (addr_from_literal(host, d->port, &d->addrs[0])) {
        d->addr_count = 1;
    } else {
        d->is_name = true;
        if (dns_get(d->loop, host, &d->wait, on_answer, d, &answer)) on_answer(d, &answer);
        return;
    }
    attempt_next(d);
}

struct dial *dial_start(struct loop *l, const struct dial_options *o, dial_fn *fn, void *self) {
    struct dial *d = mem_zalloc(sizeof *d);
    d->loop = l;
    d->fn = fn;
    d->self = self;
    d->is_unix = o->unix_path.len > 0;
    d->host = mem_dup_cstr(d->is_unix ? o->unix_path : o->host);
    d->port = o->port;
    d->tls = o->tls;
    d->session = o->session;
    d->connect_timeout_ns = o->connect_timeout_ns;
    d->tls_timeout_ns = o->tls_timeout_ns;
    d->step_start_ns = loop_now_ns(l);
    deadline_start(d, o->connect_timeout_ns);
    dial_begin(d);
    return d;
}
