/* SPDX-License-Identifier: Apache-2.0 */
/* How often the mock counts a prompt, by the tokenizer, for one answer: once, whoever needs the
 * number. The room's own counting is linked here behind a counter. */
#include "mock_world.h"

#include "mock/reply-private.h"

struct prompt_count counted_count_prompt(const struct llm_request *rq, const struct tokenizer *t);
#define count_prompt counted_count_prompt
#include "../../src/mock/plan_count.c"
#undef count_prompt

static unsigned counted;

struct prompt_count count_prompt(const struct llm_request *rq, const struct tokenizer *t) {
    counted++;
    return counted_count_prompt(rq, t);
}

static const struct sim_options plain_sim = {.seed = 1};

static void open_limited(unsigned max_batch) {
    struct mock_options o;
    mock_options_default(&o);
    o.ttft = o.itl = LAW_NS(1000);
    o.rpm = 1000;
    o.tpm = 1000000;
    o.max_batch = max_batch;
    world_open(&plain_sim, &o);
}

static void expect_once(const char *target, const char *body) {
    struct asker a;
    counted = 0;
    asker_send(&a, HTTP_METHOD_POST, target, body);
    asker_finish(&a);
    assert_int_equal(a.status, 200);
    assert_non_null(memmem(a.bytes.ptr, a.bytes.len, "_tokens\":", 9));
    if (counted != 1) {
        fail_msg("%s: counted %u times", target, counted);
    }
    asker_dispose(&a);
}

/* For the limit, for usage, and for the engine, which wants to know how long the answer is. */
static void test_a_prompt_is_counted_once(void **state) {
    (void)state;
    for (unsigned max_batch = 0; max_batch < 3; max_batch += 2) {
        open_limited(max_batch);
        counted = 0;
        expect_once("/v1/chat/completions", "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}");
        expect_once("/v1/chat/completions", "{\"model\":\"m\",\"stream\":true,\"stream_options\":{\"include_usage\":true},"
                                            "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}");
        expect_once("/v1/messages", "{\"model\":\"m\",\"max_tokens\":50,\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}");
        expect_once("/v1/messages/count_tokens", "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}");
        expect_once("/v1/responses", "{\"model\":\"m\",\"input\":\"hi\"}");
        expect_once("/v1/completions", "{\"model\":\"m\",\"prompt\":\"hi\"}");
        world_close();
    }
}

/* Of a long conversation usage says what was cached: no second count for that. */
static void test_the_cached_part_is_of_the_same_count(void **state) {
    static const char begin[] = "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"";
    static const char end[] = "\"},{\"role\":\"assistant\",\"content\":\"yes\"},{\"role\":\"user\",\"content\":\"on\"}]}";
    char body[4096];
    size_t at = sizeof begin - 1;
    struct asker a;
    (void)state;
    memcpy(body, begin, at);
    for (; at < 3600; at += 2) {
        memcpy(body + at, "a ", 2);
    }
    memcpy(body + at, end, sizeof end);
    open_limited(0);
    expect_once("/v1/chat/completions", body);
    asker_send(&a, HTTP_METHOD_POST, "/v1/chat/completions", body);
    asker_finish(&a);
    assert_non_null(memmem(a.bytes.ptr, a.bytes.len, "\"cached_tokens\":1", 17));
    asker_dispose(&a);
    world_close();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_prompt_is_counted_once),
        cmocka_unit_test(test_the_cached_part_is_of_the_same_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
