/* SPDX-License-Identifier: Apache-2.0 */
/* Every fault of the table on the simulated loop, in every dialect, streamed and whole: it strikes,
 * it is counted, and a client sees of it what the table says. */
#include "fault_world.h"

/* ---- what a client sees ---- */

struct sight {
    char text[4096], finish[32];
    int64_t tokens_out;
};

static void take_text(const struct asker *a, char out[4096]) {
    assert_true(a->text.len < 4096);
    if (a->text.len) {
        memcpy(out, a->text.ptr, a->text.len);
    }
    out[a->text.len] = '\0';
}

static bool differs(const struct asker *a, const struct sight *well) {
    char text[4096];
    take_text(a, text);
    return strcmp(text, well->text) != 0 || strcmp(a->finish, well->finish) != 0 ||
           a->tokens_out != well->tokens_out;
}

static char sight_of(const struct asker *a, const struct sight *well) {
    if (!a->is_over) {
        return 't';
    }
    if (a->has_failed) {
        return 'h';
    }
    if (a->status >= 400) {
        return 's';
    }
    if (a->error_events > 0) {
        return 'e';
    }
    if (a->broken_frames > 0) {
        return 'j';
    }
    if (a->broken_rules > 0) {
        return 'g';
    }
    if (a->bad_forms > 0) {
        return 'f';
    }
    if (!a->is_complete) {
        return 'i';
    }
    return differs(a, well) ? '-' : '.';
}

/* Of an answer in one piece: it was read as if it were a stream so far. */
static char sight_of_whole(struct asker *a, const struct sight *well) {
    struct event_sink sink = {asker_event, a};
    struct slice body = buf_slice(&a->bytes);
    struct err e;
    if (!a->is_over || a->has_failed || a->status >= 400) {
        return !a->is_over ? 't' : a->has_failed ? 'h' : 's';
    }
    buf_reset(&a->text);
    a->tokens_out = -1;
    a->finish[0] = '\0';
    a->error_events = 0;
    if (slice_utf8_valid(body) < body.len) {
        return 'f';
    }
    if (a->dialect->decode_response(body, &sink, &e) < 0) {
        return 'j';
    }
    if (a->error_events > 0) {
        return 'e';
    }
    return differs(a, well) ? '-' : '.';
}

static char see(struct asker *a, bool stream, const struct sight *well) {
    return stream ? sight_of(a, well) : sight_of_whole(a, well);
}

static void look_well(const struct api *api, bool stream, struct sight *out) {
    struct asker a;
    open_fast();
    ask(&a, api, stream, "m");
    asker_finish(&a);
    assert_int_equal(a.status, 200);
    if (!stream) {
        const struct sight none = {"", "", 0};
        assert_int_equal(sight_of_whole(&a, &none), '-');
    } else {
        assert_true(a.is_complete && a.broken_rules == 0 && a.bad_forms == 0);
    }
    take_text(&a, out->text);
    assert_string_equal(out->text, TEXT);
    memcpy(out->finish, a.finish, sizeof out->finish);
    assert_true(out->finish[0] != '\0');
    out->tokens_out = a.tokens_out;
    assert_true(a.tokens_out > 0);
    asker_dispose(&a);
    world_close();
}

static void ask_metrics(char *out, size_t room) {
    struct asker a;
    sim_advance(3 * NS_PER_S);           /* doors are open again */
    asker_send(&a, HTTP_METHOD_GET, "/metrics", "");
    asker_finish(&a);
    if (a.status != 200) {
        fail_msg("/metrics: %u %s", a.status, a.error.text);
    }
    snprintf(out, room, "%.*s", (int)a.bytes.len, a.bytes.ptr);
    asker_dispose(&a);
}

static void check_counted(const char *name, unsigned n) {
    static char metrics[65536];
    char line[128];
    ask_metrics(metrics, sizeof metrics);
    snprintf(line, sizeof line, "penstock_mock_faults_total{fault=\"%s\"} %u\n", name, n);
    if (!strstr(metrics, line)) {
        fail_msg("%s has not been counted %u times", name, n);
    }
}

/* The table's own word for it is "Nothing". */
static bool strikes(const struct mock_fault *f, const struct api *api, bool stream) {
    if (f->kind == FAULT_ECHO_HEADERS) {
        return false;
    }
    if (stream) {
        return f->kind != FAULT_DOUBLE_USAGE || api->dialect != &dialect_responses;
    }
    bool has_choices = api->dialect == &dialect_chat || api->dialect == &dialect_completions;
    if ((f->kind == FAULT_WRONG_INDEX && !has_choices) || f->kind == FAULT_CUT_ARGUMENTS ||
        (f->kind == FAULT_NO_START && api->dialect == &dialect_completions)) {
        return false;
    }
    return !(f->whole && strncmp(f->whole, "Nothing:", 8) == 0);
}

static struct sim_options sim_of_looks;

static char look(const struct mock_fault *f, const struct api *api, bool stream,
                 const struct sight *well) {
    char model[64];
    struct asker a;
    struct mock_options o;
    mock_options_default(&o);
    o.ttft = o.itl = LAW_ZERO;
    world_open(&sim_of_looks, &o);
    snprintf(model, sizeof model, "fault/%s", f->name);
    ask(&a, api, stream, model);
    sim_run(asker_is_over, &a, sim_now_ns() + 100 * NS_PER_S);
    char c = f->kind == FAULT_ECHO_HEADERS ? '.' : see(&a, stream, well);
    asker_dispose(&a);
    settle();
    if (strikes(f, api, stream)) {
        check_counted(f->name, 1);
    }
    world_close();
    return c;
}

static unsigned look_at_all(bool stream) {
    struct sight well[API_COUNT];
    unsigned wrong = 0;
    for (unsigned k = 0; k < API_COUNT; k++) {
        look_well(api_at(k), stream, &well[k]);
    }
    for (unsigned i = 0; i < fault_count; i++) {
        const struct mock_fault *f = &fault_table[i];
        const char *wanted = stream ? f->seen : f->seen_whole;
        char seen[API_COUNT + 1] = "";
        for (unsigned k = 0; k < API_COUNT; k++) {
            seen[k] = look(f, api_at(k), stream, &well[k]);
        }
        if (!wanted || strcmp(seen, wanted) != 0) {
            print_error("%s%s: seen is \"%s\", the table says \"%s\"\n", f->name,
                        stream ? "" : ", whole", seen, wanted ? wanted : "");
            wrong++;
        }
    }
    return wrong;
}

static void test_what_a_client_sees_of_each(void **state) {
    (void)state;
    sim_of_looks = plain_sim;
    assert_int_equal(look_at_all(true), 0);
    assert_int_equal(look_at_all(false), 0);
}

/* The same through a narrow pipe, in any order: blocked writes and pauses do not meet badly. */
static void test_the_same_through_a_narrow_pipe(void **state) {
    (void)state;
    for (uint64_t seed = 2; seed < 4; seed++) {
        sim_of_looks = (struct sim_options){.seed = seed, .socket_buffer_bytes = 3000,
                                            .max_read_bytes = 5000, .max_write_bytes = 2500,
                                            .shuffle_events = true};
        assert_int_equal(look_at_all(true), 0);
        assert_int_equal(look_at_all(false), 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_a_client_sees_of_each),
        cmocka_unit_test(test_the_same_through_a_narrow_pipe),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
