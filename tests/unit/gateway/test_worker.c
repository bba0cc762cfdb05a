/* SPDX-License-Identifier: Apache-2.0 */
/* Two workers: how connections are shared out, and who stays until the end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sim/gateway_rig.c"

#define STREAM_REQUEST "{\"model\":\"m\",\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}"
#define STREAM_START "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}]}\n\n"
#define STREAM_END "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n"

struct pair {
    struct rig rig;                 /* rig.worker is the first, and has the listener */
    struct rig outside;             /* the loop of clients and upstream */
    struct worker *both[2];
};

static void pair_start(struct pair *p) {
    struct err e;
    struct addr at;
    rig_start(&p->rig, &(struct sim_options){.seed = 1}, NULL, "drain_timeout: 30s\n");
    p->both[0] = p->rig.worker;
    p->both[1] = worker_new(p->rig.gateway, 1, loop_new(&e));
    p->rig.gateway->workers = p->both;
    p->rig.gateway->n_workers = 2;
    listener_close(&p->rig.upstream);
    p->outside = (struct rig){.loop = loop_new(&e)};
    must(addr_parse(SLICE("127.0.0.1:9000"), &at, &e));
    must(listener_open(p->outside.loop, &at, &(struct listen_options){0}, on_upstream_accept,
                       &p->outside, &p->rig.upstream, &e));
    p->outside.script = (struct rig_script){
        .answer = SLICE(STREAM_START), .then = RIG_SILENCE, .more = SLICE(STREAM_END)};
}

static void pair_stop(struct pair *p) {
    struct loop *second = p->both[1]->loop;
    worker_free(p->both[1]);
    p->rig.gateway->n_workers = 1;
    worker_free(p->both[0]);
    p->rig.worker = NULL;
    listener_close(&p->rig.upstream);
    for (unsigned i = 0; i < p->outside.n_connections; i++) {
        sock_close(&p->outside.connections[i].sock);
        buf_dispose(&p->outside.connections[i].request);
        buf_dispose(&p->outside.connections[i].out);
    }
    loop_free(second);
    loop_free(p->outside.loop);
    rig_stop(&p->rig);
}

static void pass_time(int64_t ns) {
    sim_run(NULL, NULL, sim_now_ns() + ns);
}

static uint64_t open_count(const struct worker *w) {
    return meter_get(&http_server_stats(w->server)->connections_open);
}

static void connections_go_where_there_are_fewer(void **state) {
    (void)state;
    struct pair p;
    struct rig_client c[9];
    pair_start(&p);
    for (unsigned i = 0; i < 9; i++) {
        rig_client_open(&p.outside, &c[i]);
        pass_time(NS_PER_MS);
        uint64_t a = open_count(p.both[0]), b = open_count(p.both[1]);
        assert_int_equal(a + b, i + 1);
        assert_true(a >= b && a - b <= 2);
    }
    for (unsigned i = 0; i < 9; i++)
        rig_client_dispose(&c[i]);
    pair_stop(&p);
}

/* Puts one stream on the second worker, alone. */
static void stream_on_the_second(struct pair *p, struct rig_client *c) {
    struct rig_client others[2];
    for (unsigned i = 0; i < 2; i++)
        rig_client_open(&p->outside, &others[i]);
    pass_time(NS_PER_MS);
    rig_client_open(&p->outside, c);
    rig_client_post(c, STREAM_REQUEST);
    pass_time(NS_PER_MS);
    for (unsigned i = 0; i < 2; i++)
        rig_client_dispose(&others[i]);
    pass_time(NS_PER_MS);
    assert_int_equal(open_count(p->both[0]), 0);
    assert_int_equal(open_count(p->both[1]), 1);
    assert_non_null(p->both[1]->relays);
}

static void the_first_worker_stays_for_the_second_signal(void **state) {
    (void)state;
    struct pair p;
    struct rig_client c;
    pair_start(&p);
    stream_on_the_second(&p, &c);
    for (unsigned i = 0; i < 2; i++)
        worker_drain(p.both[i]);
    pass_time(NS_PER_S);
    assert_false(atomic_load(&p.both[0]->is_over));
    rig_upstream_send_more(&p.outside, 0);
    pass_time(5 * NS_PER_S);
    assert_true(atomic_load(&p.both[1]->is_over));
    assert_true(atomic_load(&p.both[0]->is_over));
    assert_non_null(memmem(c.in.ptr, c.in.len, "[DONE]", 6));
    assert_int_equal(atomic_load(&p.rig.gateway->cut_streams), 0);
    rig_client_dispose(&c);
    pair_stop(&p);
}

/* Handed over to a worker that has just gone. */
static void a_connection_on_its_way_is_closed(void **state) {
    (void)state;
    struct pair p;
    struct rig_client c[3];
    pair_start(&p);
    for (unsigned i = 0; i < 2; i++)
        rig_client_open(&p.outside, &c[i]);
    pass_time(NS_PER_MS);
    worker_stop(p.both[1]);
    pass_time(NS_PER_MS);
    rig_client_open(&p.outside, &c[2]);
    pass_time(NS_PER_MS);
    assert_int_equal(atomic_load(&p.both[1]->pending), 1);
    for (unsigned i = 0; i < 3; i++)
        rig_client_dispose(&c[i]);
    /* and no descriptor is left: the simulation would say so */
    pair_stop(&p);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(connections_go_where_there_are_fewer),
        cmocka_unit_test(the_first_worker_stays_for_the_second_signal),
        cmocka_unit_test(a_connection_on_its_way_is_closed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
