/* SPDX-License-Identifier: Apache-2.0 */
/* The HTTP client against any answer, over the simulated network.
 *
 * Byte 0: bit 0 HEAD, bits 1-2 how reads are cut, bit 3 FIN behind the answer, bit 4 pause in every
 * callback, bit 5 cancel in the second on_body, bit 6 a second call afterwards. Byte 1: seed. The
 * rest is what the server says, twice if there are two calls. Checked besides memory: one end at
 * most, nothing behind it, no connection left, no progress without end. */
#include <assert.h>

#include "base/clock.h"
#include "fuzz.h"
#include "http_script.h"
#include "net/loop_sim.h"

static uint8_t flags;

static void pause_if_asked(struct probe *p) {
    if (flags & 16) {
        http_call_pause(p->call);
    }
}

static void on_body_hook(struct probe *p) {
    if (flags & 32 && p->n_bodies == 2) {
        http_call_cancel(&p->call);
        p->n_fails++;
    } else {
        pause_if_asked(p);
    }
}

static void run_call(struct probe *p, struct http_pool *pool) {
    probe_init(p, pool);
    p->head_hook = pause_if_asked;
    p->body_hook = on_body_hook;
    struct http_call_request r = {
        .method = flags & 1 ? HTTP_METHOD_HEAD : HTTP_METHOD_GET,
        .target = SLICE("/"),
        .first_byte_timeout_ns = 5 * NS_PER_S,
        .idle_timeout_ns = 5 * NS_PER_S,
    };
    probe_send(p, &r);
    for (unsigned i = 0; !probe_is_over(p); i++) {
        assert(i < 100000);
        sim_run(probe_is_over, p, sim_now_ns() + 10 * NS_PER_S);
        if (!probe_is_over(p)) {
            http_call_resume(p->call);
        }
    }
    sim_run(NULL, NULL, sim_now_ns() + NS_PER_MS);
    assert(p->n_ends + p->n_fails == 1);
    assert(p->n_late == 0);
    assert(p->n_ends == 0 || p->n_heads == 1);
    probe_dispose(p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 2 || size > 100000) {
        return 0;
    }
    static const size_t read_cuts[] = {0, 1, 7, 100};
    flags = data[0];
    struct sim_options sim = {.seed = data[1], .max_read_bytes = read_cuts[flags >> 1 & 3]};
    struct slice wire = {(const char *)data + 2, size - 2};
    sim_start(&sim);
    struct err e;
    static struct script server;
    struct loop *loop = loop_new(&e);
    script_open(&server, loop, "127.0.0.1:9000");
    for (int i = 0; i < 3; i++) {
        script_add(&server, wire, flags & 8 ? THEN_FIN : THEN_KEEP);
    }
    struct http_pool *pool = script_pool(&server, NULL);
    struct probe p;
    run_call(&p, pool);
    if (flags & 64) {
        run_call(&p, pool);
    }
    assert(http_pool_stats(pool)->active == 0);
    assert(sim_open_connections() == http_pool_stats(pool)->idle);
    http_pool_close(&pool);
    script_close(&server);
    dial_forget(loop);
    loop_free(loop);
    sim_stop();
    return 0;
}
