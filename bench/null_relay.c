/* SPDX-License-Identifier: Apache-2.0 */
/* The least a relay can do: accept, connect, copy bytes both ways with epoll, recv and send. No
 * parsing, no pooling, no framing. What is slower than this is the price of being a gateway;
 * benchmarks report the difference.
 *
 * usage: null_relay LISTEN_PORT UPSTREAM_PORT      (both on 127.0.0.1) */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

struct end {
    int fd;
    struct end *other;
    struct end *next_dead;
    bool is_dead;
};

static int poll_fd;
static char scratch[65536];

static void watch(struct end *e) {
    struct epoll_event ev = {.events = EPOLLIN | EPOLLRDHUP, .data.ptr = e};
    epoll_ctl(poll_fd, EPOLL_CTL_ADD, e->fd, &ev);
}

static struct sockaddr_in loopback(const char *port) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return a;
}

static void accept_one(int listen_fd, const struct sockaddr_in *upstream) {
    int one = 1, fd = accept4(listen_fd, NULL, NULL, SOCK_NONBLOCK);
    if (fd < 0)
        return;
    int up = socket(AF_INET, SOCK_STREAM, 0);
    if (up < 0 || connect(up, (const struct sockaddr *)upstream, sizeof *upstream) != 0) {
        close(fd);
        if (up >= 0)
            close(up);
        return;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(up, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    struct end *a = calloc(1, sizeof *a), *b = calloc(1, sizeof *b);
    if (!a || !b)
        abort();
    *a = (struct end){.fd = fd, .other = b};
    *b = (struct end){.fd = up, .other = a};
    watch(a);
    watch(b);
}

/* Blocking sends: enough for a client that reads. */
static bool send_all(int fd, const char *data, ssize_t len) {
    while (len > 0) {
        ssize_t n = send(fd, data, (size_t)len, MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN && errno != EINTR)
            return false;
        if (n > 0) {
            data += n;
            len -= n;
        }
    }
    return true;
}

static struct end *dead;

static void kill_pair(struct end *e) {
    struct end *pair[2] = {e, e->other};
    for (int i = 0; i < 2; i++) {
        close(pair[i]->fd);
        pair[i]->is_dead = true;
        pair[i]->next_dead = dead;
        dead = pair[i];
    }
}

static void serve(struct end *e) {
    ssize_t n = recv(e->fd, scratch, sizeof scratch, MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0 || !send_all(e->other->fd, scratch, n))
        kill_pair(e);
}

int main(int argc, char **argv) {
    if (argc != 3) {
        fprintf(stderr, "usage: null_relay LISTEN_PORT UPSTREAM_PORT\n");
        return 2;
    }
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    struct sockaddr_in at = loopback(argv[1]), upstream = loopback(argv[2]);
    int one = 1, listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    setsockopt(listen_fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listen_fd, (struct sockaddr *)&at, sizeof at) != 0 || listen(listen_fd, 4096) != 0) {
        perror("null_relay: listen");
        return 1;
    }
    poll_fd = epoll_create1(0);
    struct epoll_event ev = {.events = EPOLLIN, .data.ptr = NULL}, got[1024];
    epoll_ctl(poll_fd, EPOLL_CTL_ADD, listen_fd, &ev);
    for (;;) {
        int n = epoll_wait(poll_fd, got, 1024, -1);
        for (int i = 0; i < n; i++) {
            struct end *e = got[i].data.ptr;
            if (!e)
                accept_one(listen_fd, &upstream);
            else if (!e->is_dead)
                serve(e);
        }
        while (dead) {
            struct end *next = dead->next_dead;
            free(dead);
            dead = next;
        }
    }
}
