/* SPDX-License-Identifier: Apache-2.0 */
/* Any text as a scenario file: faults with places, or a set that can be asked, explained and
 * listed, twice the same. */
#include "fuzz.h"
#include "mock/scenario.h"

static const char body[] =
    "{\"model\":\"m\",\"stream\":true,\"user\":\"u\",\"metadata\":{\"a\":[1,{\"b\":\"c\"}]},"
    "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"get_weather\"}}],\"messages\":["
    "{\"role\":\"system\",\"content\":\"Be brief\"},{\"role\":\"user\",\"content\":\"hello there\"},"
    "{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":\"c1\",\"type\":\"function\","
    "\"function\":{\"name\":\"get_weather\",\"arguments\":\"{}\"}}]},"
    "{\"role\":\"tool\",\"tool_call_id\":\"c1\",\"content\":\"rain\"}]}";

struct asked {
    struct arena *arena;
    struct llm_request rq;
    struct http_header header;
    struct http_headers headers;
    struct scenario_request in;
};

static void ask_init(struct asked *a) {
    struct request_fault fault;
    *a = (struct asked){.arena = arena_new(), .header = {SLICE("x-a"), SLICE("b")}};
    a->headers = (struct http_headers){&a->header, 1};
    must(dialect_chat.decode_request(slice_cstr(body), a->arena, &a->rq, &fault) == 0);
    a->in = (struct scenario_request){.dialect = &dialect_chat, .rq = &a->rq,
                                      .headers = &a->headers,
                                      .path = SLICE("/v1/chat/completions"), .body = slice_cstr(body),
                                      .serial = 1, .session = SLICE("u")};
}

/* What a script says, as a number. */
static uint64_t digest(const struct script *s) {
    uint64_t h = slice_hash(SLICE_HASH_START, s->scenario);
    size_t total = 0;
    for (unsigned i = 0; i < s->n_blocks; i++) {
        for (unsigned k = 0; k < s->blocks[i].n_pieces; k++) {
            h = slice_hash(h, s->blocks[i].pieces[k]);
            total += s->blocks[i].pieces[k].len;
        }
    }
    for (unsigned i = 0; i < 2 * s->n_headers; i++) {
        h = slice_hash(h, s->headers[i]);
    }
    must(total <= SCENARIO_ANSWER_BYTES);
    return h;
}

static uint64_t ask(const struct scenario_set *set, const struct scenario_request *in) {
    struct scenario_state *st = scenario_state_new();
    uint64_t h = 0;
    for (unsigned i = 0; i < 3; i++) {
        struct arena *a = arena_new();
        struct script s;
        h = h * 31 + (scenario_find(set, st, in, a, &s) ? digest(&s) : 0);
        arena_free(a);
    }
    scenario_state_free(&st);
    return h;
}

static void tell(struct scenario_set *set, const struct scenario_request *in) {
    struct scenario_state *st = scenario_state_new();
    struct buf out;
    struct err e;
    buf_init(&out, (size_t)64 << 20);
    must(scenario_explain_text(set, st, in, &out) == 0);
    must(scenario_explain_json(set, st, in, &out) == 0);
    must(scenario_list_files(set, st, &out) == 0);
    if (scenario_push(st, set, SLICE(""), &e) == 0) {
        struct arena *a = arena_new();
        struct script s;
        (void)scenario_find(NULL, st, in, a, &s);
        arena_free(a);
    }
    must(scenario_list_pushed(st, &out) == 0);
    buf_dispose(&out);
    scenario_state_free(&st);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct report r;
    report_init(&r);
    struct scenario_set *set = scenario_set_parse(slice_make((const char *)data, size), "t.yaml", &r);
    must((set == NULL) == (r.n_faults > 0));
    must(slice_utf8_valid(buf_slice(&r.faults)) == r.faults.len);
    if (set) {
        struct asked a;
        ask_init(&a);
        must(ask(set, &a.in) == ask(set, &a.in));
        tell(set, &a.in);
        arena_free(a.arena);
    }
    scenario_set_unref(&set);
    report_dispose(&r);
    return 0;
}
