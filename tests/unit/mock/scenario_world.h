/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of scenarios share: sets out of texts, and requests to match them with. */
#ifndef PENSTOCK_TESTS_UNIT_SCENARIO_WORLD_H
#define PENSTOCK_TESTS_UNIT_SCENARIO_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "mock/api.h"
#include "mock/scenario-private.h"

struct world {
    struct arena *arena;
    struct scenario_state *state;
    struct scenario_set *set;
    struct llm_request rq;
    struct http_header items[16];
    struct http_headers headers;
    struct scenario_request in;
    struct script script;
};

static inline int world_open(void **state) {
    struct world *w = calloc(1, sizeof *w);
    assert_non_null(w);
    w->arena = arena_new();
    w->state = scenario_state_new();
    *state = w;
    return 0;
}

static inline int world_close(void **state) {
    struct world *w = *state;
    scenario_set_unref(&w->set);
    scenario_state_free(&w->state);
    arena_free(w->arena);
    free(w);
    return 0;
}

/* A set of this text, which must have no fault. */
static inline struct scenario_set *set_of(const char *yaml) {
    struct report r;
    report_init(&r);
    struct scenario_set *set = scenario_set_parse(slice_cstr(yaml), "t.yaml", &r);
    if (!set) {
        fail_msg("%s\n%.*s", yaml, SLICE_FMT(buf_slice(&r.faults)));
    }
    report_dispose(&r);
    return set;
}

static inline void world_use(struct world *w, const char *yaml) {
    scenario_set_unref(&w->set);
    w->set = set_of(yaml);
}

/* The request of this body; with the headers that it had before. */
static inline void world_ask(struct world *w, const char *path, const char *body) {
    struct request_fault fault;
    const struct api *api = api_of_path(slice_cstr(path));
    assert_non_null(api);
    struct slice text = arena_dup(w->arena, slice_cstr(body));
    if (api->dialect->decode_request(text, w->arena, &w->rq, &fault) != 0) {
        fail_msg("%s: %s", body, fault.message);
    }
    w->headers.items = w->items;
    w->in = (struct scenario_request){.dialect = api->dialect,
                                      .rq = &w->rq,
                                      .headers = &w->headers,
                                      .path = slice_cstr(path),
                                      .body = text,
                                      .seed = w->in.seed,
                                      .serial = w->in.serial,
                                      .wall_ns = INT64_C(1735689600) * 1000000000,
                                      .session = scenario_session(&w->headers, &w->rq, w->arena)};
}

static inline void world_header(struct world *w, const char *name, const char *value) {
    w->items[w->headers.count++] = (struct http_header){slice_cstr(name), slice_cstr(value)};
}

/* One message of the user, in chat. */
static inline void world_say(struct world *w, const char *user) {
    char body[4096];
    snprintf(body, sizeof body, "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"%s\"}]}",
             user);
    world_ask(w, "/v1/chat/completions", body);
}

static inline bool world_find(struct world *w) {
    w->in.serial++;
    return scenario_find(w->set, w->state, &w->in, w->arena, &w->script);
}

/* What the found script says in its first block; NULL: nothing was found, "" when there is none. */
static inline const char *world_text(struct world *w) {
    if (!world_find(w)) {
        return NULL;
    }
    char *all = arena_printf(w->arena, "%s", "");
    for (unsigned i = 0; w->script.n_blocks && i < w->script.blocks[0].n_pieces; i++) {
        all = arena_printf(w->arena, "%s%.*s", all, SLICE_FMT(w->script.blocks[0].pieces[i]));
    }
    return all;
}

/* The first block's text to a message of the user. */
static inline const char *world_answer(struct world *w, const char *user) {
    world_say(w, user);
    return world_text(w);
}

#define assert_says(w, user, text) assert_string_equal(world_answer(w, user), text)
#define assert_silent(w, user) assert_null(world_answer(w, user))
#define assert_slice(s, text)                                                                      \
    do {                                                                                           \
        assert_int_equal((s).len, strlen(text));                                                   \
        assert_memory_equal((s).ptr, text, strlen(text));                                          \
    } while (0)

#endif
