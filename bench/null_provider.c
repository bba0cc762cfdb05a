/* SPDX-License-Identifier: Apache-2.0 */
/* The least a paced provider can do: whatever is asked, one and the same frame, written once every
 * ITL_US to each connection with one send. No HTTP parser, no encoder, no timers but a queue. What
 * it costs is what the kernel asks for a token; what is slower than this is the price of being a
 * provider; benchmarks print both.
 *
 * usage: null_provider PORT ITL_US      (on 127.0.0.1)
 * On SIGTERM it prints its lateness: {"tokens":N,"p50_ns":N,"p99_ns":N,"max_ns":N} */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { US = 1000, MAX_FD = 1 << 20, BUCKETS = 1 << 20 };

/* Every stream has the same pace: the one that was served last is due last. */
struct stream {
    struct stream *next;
    int64_t due_ns;
    int fd;
    bool is_gone;
};

static struct stream *first, **last = &first;
static struct stream *of_fd[MAX_FD];
static uint64_t late_us[BUCKETS], tokens;
static int64_t late_max_ns;
static volatile sig_atomic_t is_over;

static const char frame[] =
    "d2\r\ndata: {\"id\":\"chatcmpl-000000000000000000000000\",\"object\":\"chat.completion.chunk\","
    "\"created\":1700000000,\"model\":\"bench\",\"choices\":[{\"index\":0,\"delta\":{\"content\":"
    "\"token \"},\"logprobs\":null,\"finish_reason\":null}]}\n\n\r\n";
static const char head[] = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
                           "transfer-encoding: chunked\r\n\r\n";

static int64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

static void on_term(int signo) {
    (void)signo;
    is_over = 1;
}

static void enqueue(struct stream *s) {
    s->next = NULL;
    *last = s;
    last = &s->next;
}

static void record(int64_t late_ns) {
    int64_t us = late_ns / US;
    late_us[us < BUCKETS ? us : BUCKETS - 1]++;
    late_max_ns = late_ns > late_max_ns ? late_ns : late_max_ns;
    tokens++;
}

static int64_t quantile_ns(double q) {
    uint64_t seen = 0;
    for (int i = 0; i < BUCKETS; i++) {
        seen += late_us[i];
        if ((double)seen >= q * (double)tokens)
            return (int64_t)i * US;
    }
    return 0;
}

static int listen_on(const char *port) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof a) != 0 || listen(fd, 16384) != 0) {
        perror("null_provider");
        exit(1);
    }
    return fd;
}

static void watch(int poll_fd, int fd) {
    struct epoll_event ev = {.events = EPOLLIN | EPOLLRDHUP, .data.fd = fd};
    epoll_ctl(poll_fd, EPOLL_CTL_ADD, fd, &ev);
}

static void accept_all(int poll_fd, int listen_fd) {
    int one = 1, fd;
    while ((fd = accept4(listen_fd, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        watch(poll_fd, fd);
    }
}

/* The request, in one piece or several: the first bytes start the stream. */
static void read_from(int poll_fd, int fd, int64_t itl_ns) {
    static char scratch[65536];
    ssize_t n = recv(fd, scratch, sizeof scratch, 0);
    struct stream *s = of_fd[fd];
    if (n > 0 && !s) {
        s = calloc(1, sizeof *s);
        if (!s || send(fd, head, sizeof head - 1, MSG_NOSIGNAL) < 0)
            abort();
        s->fd = fd;
        s->due_ns = now_ns() + itl_ns;
        of_fd[fd] = s;
        enqueue(s);
    } else if (n == 0 || (n < 0 && errno != EAGAIN)) {
        epoll_ctl(poll_fd, EPOLL_CTL_DEL, fd, NULL);
        if (s)
            s->is_gone = true;           /* its descriptor is closed when its turn comes */
        else
            close(fd);
    }
}

static void write_due(int64_t itl_ns) {
    int64_t now = now_ns();
    while (first && first->due_ns <= now) {
        struct stream *s = first;
        first = s->next;
        last = first ? last : &first;
        if (s->is_gone) {
            of_fd[s->fd] = NULL;
            close(s->fd);
            free(s);
            continue;
        }
        (void)!send(s->fd, frame, sizeof frame - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
        record(now_ns() - s->due_ns);
        s->due_ns += itl_ns;
        enqueue(s);
    }
}

static void wait_and_read(int poll_fd, int listen_fd, int64_t itl_ns) {
    struct epoll_event events[256];
    int64_t left_ns = first ? first->due_ns - now_ns() : itl_ns;
    struct timespec t = {0, left_ns > 0 ? left_ns % 1000000000 : 0};
    int n = epoll_pwait2(poll_fd, events, 256, &t, NULL);
    for (int i = 0; i < n; i++) {
        if (events[i].data.fd == listen_fd)
            accept_all(poll_fd, listen_fd);
        else
            read_from(poll_fd, events[i].data.fd, itl_ns);
    }
}

int main(int argc, char **argv) {
    if (argc != 3)
        return 2;
    int64_t itl_ns = atol(argv[2]) * INT64_C(1000);
    int poll_fd = epoll_create1(0), listen_fd = listen_on(argv[1]);
    struct sigaction term = {.sa_handler = on_term};
    sigaction(SIGTERM, &term, NULL);
    watch(poll_fd, listen_fd);
    while (!is_over) {
        wait_and_read(poll_fd, listen_fd, itl_ns);
        write_due(itl_ns);
    }
    printf("{\"tokens\":%" PRIu64 ",\"p50_ns\":%" PRId64 ",\"p99_ns\":%" PRId64 ",\"max_ns\":%" PRId64 "}\n",
           tokens, quantile_ns(0.5), quantile_ns(0.99), late_max_ns);
    return 0;
}
