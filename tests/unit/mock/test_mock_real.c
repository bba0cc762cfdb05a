/* SPDX-License-Identifier: Apache-2.0 */
/* The embeddable mock on real threads and sockets: it starts, answers, and stops while streams are
 * open. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <sys/socket.h>
#include <unistd.h>

#include "mock/mock.h"

static int dial(const struct mock *m) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    unsigned port;
    assert_int_equal(sscanf(mock_base_url(m), "http://127.0.0.1:%u/v1", &port), 1);
    at.sin_port = htons((uint16_t)port);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof at), 0);
    return fd;
}

static void ask(int fd, const char *body) {
    char request[1024];
    int n = snprintf(request, sizeof request,
                     "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
                     "content-length: %zu\r\n\r\n%s", strlen(body), body);
    assert_int_equal(write(fd, request, (size_t)n), n);
}

/* Reads until the text has come. */
static void read_until(int fd, const char *wanted) {
    static char got[1 << 20];
    size_t len = 0;
    for (;;) {
        ssize_t n = read(fd, got + len, sizeof got - 1 - len);
        assert_true(n > 0);
        len += (size_t)n;
        got[len] = '\0';
        if (strstr(got, wanted)) {
            return;
        }
    }
}

#define BODY(extra, text) "{\"model\":\"m\"," extra "\"messages\":[{\"role\":\"user\",\"content\":\"" text "\"}]}"

static void test_start_answer_stop(void **state) {
    (void)state;
    for (unsigned workers = 1; workers <= 4; workers++) {
        struct mock_options o;
        struct err e;
        int fds[12];
        mock_options_default(&o);
        o.ttft = o.itl = LAW_ZERO;
        o.workers = workers;
        struct mock *m = mock_start(&o, &e);
        assert_non_null(m);
        for (unsigned i = 0; i < 12; i++) {
            fds[i] = dial(m);
            ask(fds[i], BODY("", "count x to 5"));
            read_until(fds[i], "xn1 xn2 xn3 xn4 xn5");
            ask(fds[i], BODY("\"stream\":true,", "count y to 5"));
            read_until(fds[i], "[DONE]");
        }
        ask(fds[0], BODY("\"stream\":true,\"metadata\":{\"tokens\":\"1000000000\"},", "tell me a story"));
        read_until(fds[0], "data: ");
        mock_stop(&m);
        assert_null(m);
        for (unsigned i = 0; i < 12; i++) {
            close(fds[i]);
        }
    }
}

/* A stepped stream and its control requests meet, whichever workers they came to. */
static void test_steps_between_workers(void **state) {
    struct mock_options o;
    struct err e;
    (void)state;
    mock_options_default(&o);
    o.workers = 4;
    struct mock *m = mock_start(&o, &e);
    assert_non_null(m);
    for (unsigned i = 0; i < 8; i++) {
        int stream = dial(m), control = dial(m);
        ask(stream, BODY("\"stream\":true,\"user\":\"step:k\",", "count z to 2"));
        read_until(stream, "assistant");
        for (unsigned k = 1; k <= 3; k++) {
            static const char step[] = "POST /penstock/step?key=k HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n";
            char wanted[40];
            assert_int_equal(write(control, step, sizeof step - 1), sizeof step - 1);
            snprintf(wanted, sizeof wanted, "\"written\":%u", k);
            read_until(control, wanted);
            snprintf(wanted, sizeof wanted, "zn%u", k);
            read_until(stream, k < 3 ? wanted : "[DONE]");
        }
        close(stream);
        close(control);
    }
    mock_stop(&m);
}

/* One engine and one prefix cache for all workers: everybody gets a seat, whoever leaves meanwhile.
 * */
static void test_engine_between_workers(void **state) {
    static const char self[] = "GET /penstock/self HTTP/1.1\r\nhost: x\r\n\r\n";
    struct mock_options o;
    struct err e;
    int fds[32];
    (void)state;
    mock_options_default(&o);
    o.workers = 4;
    o.itl = LAW_NS(100000);
    o.max_batch = 3;
    o.prefix_cache = 10000;
    o.prefill = LAW_NS(1000);
    struct mock *m = mock_start(&o, &e);
    assert_non_null(m);
    for (unsigned i = 0; i < 32; i++) {
        fds[i] = dial(m);
        ask(fds[i], i % 3 ? BODY("\"stream\":true,", "count y to 20") : BODY("", "count y to 20"));
        if (i % 5 == 4) {
            close(fds[i]);
        }
    }
    for (unsigned i = 0; i < 32; i++) {
        if (i % 5 != 4) {
            read_until(fds[i], i % 3 ? "[DONE]" : "yn20");
        }
    }
    assert_int_equal(write(fds[0], self, sizeof self - 1), sizeof self - 1);
    read_until(fds[0], "\"most_running\":3");
    for (unsigned i = 0; i < 32; i++) {
        if (i % 5 != 4) {
            close(fds[i]);
        }
    }
    mock_stop(&m);
}

/* A day passes while one looks. */
static void test_virtual_time(void **state) {
    struct mock_options o;
    struct err e;
    (void)state;
    mock_options_default(&o);
    o.workers = 4;
    o.clock = MOCK_CLOCK_VIRTUAL;
    o.ttft = LAW_NS(INT64_C(86400) * 1000000000);
    struct mock *m = mock_start(&o, &e);
    assert_non_null(m);
    int fd = dial(m), other = dial(m);
    ask(fd, BODY("\"stream\":true,", "count y to 5"));
    ask(other, BODY("", "count x to 5"));
    read_until(fd, "[DONE]");
    read_until(other, "xn5");
    close(fd);
    close(other);
    mock_stop(&m);
}

static void test_refusals(void **state) {
    static const char *const bad[] = {"not an address"};
    struct mock_options o;
    struct err e = {0};
    (void)state;
    mock_options_default(&o);
    o.listen = bad;
    o.n_listen = 1;
    assert_null(mock_start(&o, &e));
    assert_true(strlen(e.text) > 0);
    mock_options_default(&o);
    o.tls_cert = "only-a-certificate.pem";
    assert_null(mock_start(&o, &e));
    assert_non_null(strstr(e.text, "key"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_start_answer_stop),
        cmocka_unit_test(test_steps_between_workers),
        cmocka_unit_test(test_engine_between_workers),
        cmocka_unit_test(test_virtual_time),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
