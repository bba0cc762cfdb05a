/* SPDX-License-Identifier: Apache-2.0 */
/* Listeners of the real loop. */
#include "net/loop_uv-private.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"

#define DEFAULT_BACKLOG 1024
#define DEFAULT_UNIX_MODE 0660u
#define ACCEPTS_A_TURN 64
/* How long nothing is accepted when descriptors or kernel memory are short and the spare one did
 * not help. */
#define SHORTAGE_PAUSE_NS (20 * NS_PER_MS)

struct listener {
    uv_poll_t poll;
    struct loop *loop;
    accept_fn *fn;
    void *self;
    struct addr at;
    int fd;
    /* given up to accept and close one connection when there are no descriptors left */
    int spare_fd;
    bool is_paused, is_closed;
    bool has_inode;            /* the Unix socket file is ours */
    dev_t device;
    ino_t inode;
    uint64_t refused;
    struct timer shortage;
};

/* ---- accepting ---- */

static void on_connections(uv_poll_t *poll, int status, int events);

static void listener_poll(struct listener *ln) {
    bool is_on = !ln->is_paused && !timer_is_active(&ln->shortage);
    int rc = is_on ? uv_poll_start(&ln->poll, UV_READABLE, on_connections)
                   : uv_poll_stop(&ln->poll);
    assert(rc == 0);
    (void)rc;
}

static int spare_open(void) {
    return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void on_shortage_over(struct timer *t, void *self) {
    struct listener *ln = self;
    (void)t;
    if (ln->spare_fd < 0) ln->spare_fd = spare_open();
    listener_poll(ln);
}

static int accept_one(struct listener *ln, struct addr *from) {
    *from = (struct addr){.len = sizeof from->u};
    return accept4(ln->fd, &from->u.sa, &from->len, SOCK_NONBLOCK | SOCK_CLOEXEC);
}

/* A connection that nobody can take is better closed than left waiting: its client can go on. */
static bool refuse_one(struct listener *ln) {
    struct addr from;
    if (ln->spare_fd < 0) return false;
    close(ln->spare_fd);
    int fd = accept_one(ln, &from);
    if (fd >= 0) {
        close(fd);
        ln->refused++;
        stat_add(&ln->loop->stats.refused, 1);
    }
    ln->spare_fd = spare_open();
    return fd >= 0;
}

static void wait_out_shortage(struct listener *ln) {
    loop_timer_start(ln->loop, &ln->shortage, loop_now_ns(ln->loop) + SHORTAGE_PAUSE_NS,
                     on_shortage_over, ln);
    listener_poll(ln);
}

/* True when the next accept is worth trying. */
static bool is_passing_error(int os_errno) {
    switch (os_errno) {
    case EINTR:
    case ECONNABORTED:
    case EPERM:
    case EPROTO:
    case ENETDOWN:
    case ENOPROTOOPT:
    case EHOSTDOWN:
    case ENONET: case EHOSTUNREACH: case EOPNOTSUPP: case ENETUNREACH:
        return true;   /* of the one connection (accept(2)): the rest of the queue is fine */
    default:
        return false;
    }
}

static bool accept_failed(struct listener *ln, int os_errno) {
    if (os_errno == EAGAIN || os_errno == EWOULDBLOCK) return false;
    if (is_passing_error(os_errno)) return true;
    if ((os_errno == EMFILE || os_errno == ENFILE) && refuse_one(ln)) return true;
    wait_out_shortage(ln);
    return false;
}

static void on_connections(uv_poll_t *poll, int status, int events) {
    struct listener *ln = poll->data;
    (void)events;
    loop_enter(ln->loop);
    if (status < 0) {
        wait_out_shortage(ln);
        return;
    }
    for (int i = 0; i < ACCEPTS_A_TURN && !ln->is_closed && !ln->is_paused; i++) {
        struct addr from;
        int fd = accept_one(ln, &from);
        if (fd >= 0) ln->fn(ln->self, fd, &from);
        else if (!accept_failed(ln, errno)) return;
    }
}

/* ---- opening ---- */

static int listen_failed(const struct addr *at, int os_errno, struct err *e) {
    char text[ADDR_TEXT_BYTES];
    return err_set_os(e, ERR_IO, os_errno, "listen on %s", addr_text(at, text));
}

static int tcp_listen(const struct addr *at, bool reuse_port, int backlog, struct err *e) {
    int fd = socket_open(at);
    if (fd < 0) return listen_failed(at, -fd, e);
    socket_set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    if (reuse_port) socket_set(fd, SOL_SOCKET, SO_REUSEPORT, 1);
    if (at->u.sa.sa_family == AF_INET6) socket_set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
    if (bind(fd, &at->u.sa, at->len) < 0 || listen(fd, backlog) < 0) {
        int os_errno = errno;
        close(fd);
        return listen_failed(at, os_errno, e);
    }
    return fd;
}

/* With SO_REUSEPORT two processes of one user could share an address; without it the kernel
 * says. */
static int probe(const struct addr *at, const struct listen_options *o, struct err *e) {
    if (!o->shared || !o->first || addr_port(at) == 0) return 0;
    int fd = tcp_listen(at, false, 1, e);
    if (fd < 0) return fd;
    close(fd);
    return 0;
}

/* Removes a socket file that nobody serves; refuses one that is served, and what is no socket. */
static int unix_make_room(const struct addr *at, struct err *e) {
    struct stat st;
    if (lstat(at->u.un.sun_path, &st) < 0) return errno == ENOENT ? 0 : listen_failed(at, errno, e);
    if (!S_ISSOCK(st.st_mode)) {
        return err_set(e, ERR_IO, "listen on unix:%s: the file exists and is not a socket",
                       at->u.un.sun_path);
    }
    int fd = socket_open(at);
    if (fd < 0) return listen_failed(at, -fd, e);
    int os_errno = connect(fd, &at->u.sa, at->len) < 0 ? errno : 0;
    close(fd);
    if (os_errno == 0 || os_errno == EAGAIN) return listen_failed(at, EADDRINUSE, e);
    if (os_errno != ECONNREFUSED) return listen_failed(at, os_errno, e);
    if (unlink(at->u.un.sun_path) < 0 && errno != ENOENT) return listen_failed(at, errno, e);
    return 0;
}

static int unix_bind(int fd, const struct addr *at, unsigned mode, int backlog) {
    /* The mode of the unbound socket is that of the file to come: there is no moment with wider
     * rights. */
    if (fchmod(fd, mode) < 0) return -errno;
    if (bind(fd, &at->u.sa, at->len) < 0) return -errno;
    /* against the umask */
    if (chmod(at->u.un.sun_path, mode) == 0 && listen(fd, backlog) == 0) return 0;
    int os_errno = errno;
    unlink(at->u.un.sun_path);
    return -os_errno;
}

static int unix_listen(const struct addr *at, const struct listen_options *o, int backlog,
                       struct err *e) {
    int rc = unix_make_room(at, e);
    if (rc < 0) return rc;
    int fd = socket_open(at);
    if (fd < 0) return listen_failed(at, -fd, e);
    rc = unix_bind(fd, at, o->unix_mode ? o->unix_mode : DEFAULT_UNIX_MODE, backlog);
    if (rc == 0) return fd;
    close(fd);
    return listen_failed(at, -rc, e);
}

static int open_fd(const struct addr *at, const struct listen_options *o, struct err *e) {
    int backlog = o->backlog > 0 ? o->backlog : DEFAULT_BACKLOG;
    if (addr_is_unix(at)) return unix_listen(at, o, backlog, e);
    int rc = probe(at, o, e);
    return rc < 0 ? rc : tcp_listen(at, o->shared, backlog, e);
}

static void note_inode(struct listener *ln) {
    struct stat st;
    if (!addr_is_unix(&ln->at) || lstat(ln->at.u.un.sun_path, &st) < 0) return;
    ln->has_inode = true;
    ln->device = st.st_dev;
    ln->inode = st.st_ino;
}

int listener_open(struct loop *l, const struct addr *at, const struct listen_options *options,
                  accept_fn *fn, void *self, struct listener **out_listener, struct err *e) {
    static const struct listen_options defaults;
    int fd = open_fd(at, options ? options : &defaults, e);
    if (fd < 0) return fd;
    struct listener *ln = mem_zalloc(sizeof *ln);
    *ln = (struct listener){
        .loop = l, .fn = fn, .self = self, .at = *at, .fd = fd, .spare_fd = spare_open()};
    if (!addr_is_unix(at)) {
        ln->at.len = sizeof ln->at.u;
        if (getsockname(fd, &ln->at.u.sa, &ln->at.len) < 0) ln->at = *at;
    }
    note_inode(ln);
    int rc = uv_poll_init(&l->uv, &ln->poll, fd);
    assert(rc == 0);
    (void)rc;
    ln->poll.data = ln;
    listener_poll(ln);
    *out_listener = ln;
    return 0;
}

/* ---- the rest ---- */

const struct addr *listener_addr(const struct listener *ln) {
    return &ln->at;
}

void listener_pause(struct listener *ln, bool paused) {
    if (ln->is_paused == paused) return;
    ln->is_paused = paused;
    listener_poll(ln);
}

uint64_t listener_refused(const struct listener *ln) {
    return ln->refused;
}

static void unlink_own(const struct listener *ln) {
    struct stat st;
    if (!ln->has_inode || lstat(ln->at.u.un.sun_path, &st) < 0) return;
    if (st.st_dev == ln->device && st.st_ino == ln->inode) unlink(ln->at.u.un.sun_path);
}

static void on_listener_closed(uv_handle_t *handle) {
    mem_free(handle->data);
}

void listener_close(struct listener **ln) {
    if (!*ln) return;
    struct listener *dying = *ln;
    *ln = NULL;
    dying->is_closed = true;
    timer_stop(&dying->shortage);
    unlink_own(dying);
    uv_close((uv_handle_t *)&dying->poll, on_listener_closed);
    close(dying->fd);
    if (dying->spare_fd >= 0) close(dying->spare_fd);
}

void loop_close_fd(struct loop *l, int fd) {
    (void)l;
    close(fd);
}
