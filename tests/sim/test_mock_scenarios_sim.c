/* SPDX-License-Identifier: Apache-2.0 */
/* Scenarios through the mock: every file of examples/scenarios in every dialect, streamed and
 * whole, and the control requests. */
#include "mock_world.h"

#include <dirent.h>

static const struct sim_options plain_sim = {.seed = 1};

/* ---- a mock with files ---- */

static void open_with(const char *file) {
    static char path[4096];
    static const char *paths[1];
    struct mock_options o;
    mock_options_default(&o);
    o.ttft = LAW_NS(100 * NS_PER_MS);
    o.itl = LAW_NS(20 * NS_PER_MS);
    const char *root = getenv("PENSTOCK_SOURCE_ROOT");
    snprintf(path, sizeof path, "%s/examples/scenarios/%s", root ? root : ".", file ? file : "");
    paths[0] = path;
    o.scenarios = paths;
    o.n_scenarios = file ? 1 : 0;
    world_open(&plain_sim, &o);
}

/* ---- one question, in any dialect ---- */

struct question {
    const char *model;               /* NULL: "m" */
    const char *user;
    const char *system, *tool, *result, *schema, *metadata;
    bool image;
};

static const char *or_m(const char *model) {
    return model ? model : "m";
}

static void add(struct buf *b, const char *format, ...) PRINTF_LIKE(2, 3);
static void add(struct buf *b, const char *format, ...) {
    char text[2048];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    assert_int_equal(buf_append(b, slice_cstr(text)), 0);
}

static void write_chat(struct buf *b, const struct question *q) {
    if (q->tool) {
        add(b, "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"%s\"}}],", q->tool);
    }
    if (q->schema) {
        add(b, "\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"%s\","
               "\"schema\":{\"type\":\"object\"}}},", q->schema);
    }
    add(b, "\"messages\":[");
    if (q->system) {
        add(b, "{\"role\":\"system\",\"content\":\"%s\"},", q->system);
    }
    if (q->image) {
        add(b, "{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"%s\"},{\"type\":"
               "\"image_url\",\"image_url\":{\"url\":\"https://x/a.png\"}}]}", q->user);
    } else {
        add(b, "{\"role\":\"user\",\"content\":\"%s\"}", q->user);
    }
    if (q->result) {
        add(b, ",{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":\"c1\",\"type\":"
               "\"function\",\"function\":{\"name\":\"%s\",\"arguments\":\"{}\"}}]},{\"role\":"
               "\"tool\",\"tool_call_id\":\"c1\",\"content\":\"%s\"}", q->tool, q->result);
    }
    add(b, "]}");
}

static void write_responses(struct buf *b, const struct question *q) {
    if (q->tool) {
        add(b, "\"tools\":[{\"type\":\"function\",\"name\":\"%s\",\"parameters\":{\"type\":"
               "\"object\",\"properties\":{}},\"strict\":false}],", q->tool);
    }
    if (q->schema) {
        add(b, "\"text\":{\"format\":{\"type\":\"json_schema\",\"name\":\"%s\",\"schema\":{\"type\":"
               "\"object\"}}},", q->schema);
    }
    if (q->system) {
        add(b, "\"instructions\":\"%s\",", q->system);
    }
    add(b, "\"input\":[{\"role\":\"user\",\"content\":[{\"type\":\"input_text\",\"text\":\"%s\"}",
        q->user);
    if (q->image) {
        add(b, ",{\"type\":\"input_image\",\"image_url\":\"https://x/a.png\"}");
    }
    add(b, "]}");
    if (q->result) {
        add(b, ",{\"type\":\"function_call\",\"call_id\":\"c1\",\"name\":\"%s\",\"arguments\":\"{}\"},"
               "{\"type\":\"function_call_output\",\"call_id\":\"c1\",\"output\":\"%s\"}", q->tool,
            q->result);
    }
    add(b, "]}");
}

static void write_messages(struct buf *b, const struct question *q) {
    add(b, "\"max_tokens\":1000,");
    if (q->tool) {
        add(b, "\"tools\":[{\"name\":\"%s\",\"input_schema\":{\"type\":\"object\"}}],", q->tool);
    }
    if (q->schema) {
        add(b, "\"output_config\":{\"format\":{\"type\":\"json_schema\",\"schema\":{\"type\":"
               "\"object\"}}},");
    }
    if (q->system) {
        add(b, "\"system\":\"%s\",", q->system);
    }
    add(b, "\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"%s\"}", q->user);
    if (q->image) {
        add(b, ",{\"type\":\"image\",\"source\":{\"type\":\"url\",\"url\":\"https://x/a.png\"}}");
    }
    add(b, "]}");
    if (q->result) {
        add(b, ",{\"role\":\"assistant\",\"content\":[{\"type\":\"tool_use\",\"id\":\"toolu_1\","
               "\"name\":\"%s\",\"input\":{}}]},{\"role\":\"user\",\"content\":[{\"type\":"
               "\"tool_result\",\"tool_use_id\":\"toolu_1\",\"content\":\"%s\"}]}", q->tool,
            q->result);
    }
    add(b, "]}");
}

static void ask(struct asker *a, const struct api *api, bool stream, const struct question *q) {
    struct buf b;
    char target[64];
    buf_init(&b, 4000);
    add(&b, "{\"model\":\"%s\",\"stream\":%s,", or_m(q->model), stream ? "true" : "false");
    if (q->metadata) {
        add(&b, "\"metadata\":{%s},", q->metadata);
    }
    if (api->dialect == &dialect_responses) {
        write_responses(&b, q);
    } else if (api->dialect == &dialect_messages) {
        write_messages(&b, q);
    } else {
        write_chat(&b, q);
    }
    assert_int_equal(buf_append_byte(&b, '\0'), 0);
    snprintf(target, sizeof target, "/v1%s", api->path);
    asker_send(a, HTTP_METHOD_POST, target, b.ptr);
    asker_finish(a);
    buf_dispose(&b);
}

/* ---- what came, on a line ---- */

static int take_event(void *self, const struct event *ev) {
    return answer_add(self, ev);
}

struct stream_reading {
    const struct dialect *dialect;
    struct decoder *decoder;
    struct event_sink sink;
};

static int take_frame(void *self, const struct sse_frame *f) {
    struct stream_reading *r = self;
    struct err e;
    return f->flags & SSE_DATA ? r->dialect->decoder_feed(r->decoder, f, &r->sink, &e) : 0;
}

static void read_stream(const struct asker *a, struct answer *an) {
    struct stream_reading r = {a->dialect, a->dialect->decoder_new(), {take_event, an}};
    const struct sse_sink frames = {take_frame, &r};
    struct sse_parser p;
    struct err e;
    sse_parser_init(&p, NULL);
    int rc = sse_parser_feed(&p, buf_slice(&a->bytes), &frames, &e);
    rc |= sse_parser_finish(&p, &frames, &e);
    rc |= a->dialect->decoder_finish(r.decoder, &r.sink, &e);
    (void)rc;                        /* what was cut shows in what was read */
    sse_parser_dispose(&p);
    a->dialect->decoder_free(r.decoder);
}

/* Chat's text is one, whatever its deltas stand between. */
static bool is_more_text(const struct answer_block *blocks, unsigned i) {
    for (unsigned k = 0; blocks[i].kind == BLOCK_TEXT && k < i; k++) {
        if (blocks[k].kind == BLOCK_TEXT) {
            return true;
        }
    }
    return false;
}

static void tell_block(struct buf *out, const struct answer_block *blocks, unsigned i, unsigned n) {
    const struct answer_block *b = &blocks[i];
    static const char *const words[BLOCK_KIND_COUNT] = {
        [BLOCK_TEXT] = "text",         [BLOCK_REASONING] = "think",
        [BLOCK_REFUSAL] = "refusal",   [BLOCK_TOOL_CALL] = "call",
        [BLOCK_REDACTED] = "redacted", [BLOCK_CUSTOM_TOOL_CALL] = "custom"};
    add(out, "%s%s%.*s", words[b->kind] ? words[b->kind] : "?", b->tool_name.len ? " " : "",
        SLICE_FMT(b->tool_name));
    add(out, "(%.*s", SLICE_FMT(b->text));
    for (unsigned k = i + 1; b->kind == BLOCK_TEXT && k < n; k++) {
        add(out, "%.*s", blocks[k].kind == BLOCK_TEXT ? (int)blocks[k].text.len : 0,
            blocks[k].text.ptr);
    }
    add(out, ")");
    for (unsigned k = 0; k < b->n_annotations; k++) {
        const struct annotation *at = &b->annotations[k];
        add(out, " cite %.*s %d-%d", SLICE_FMT(at->url), (int)at->start, (int)at->end);
    }
    add(out, " ");
}

static void tell_answer(const struct asker *a, bool stream, struct buf *out) {
    static const char *const stops[] = {"end", "sequence", "length", "tool", "filter", "pause",
                                        "error"};
    struct answer *an = answer_new(1 << 20);
    const struct event_sink sink = {take_event, an};
    const struct answer_block *blocks;
    const struct answer_choice *choices;
    struct err e;
    if (stream) {
        read_stream(a, an);
    } else {
        assert_int_equal(a->dialect->decode_response(buf_slice(&a->bytes), &sink, &e), 0);
    }
    unsigned n = answer_blocks(an, &blocks);
    for (unsigned i = 0; i < n; i++) {
        if (!is_more_text(blocks, i)) {
            tell_block(out, blocks, i, n);
        }
    }
    n = answer_choices(an, &choices);
    bool is_over = n > 0 && choices[0].has_finish && !a->has_failed;
    add(out, "%s", is_over ? stops[choices[0].finish.reason] : "cut");
    answer_free(an);
}

static void tell_error(const struct asker *a, struct buf *out) {
    struct arena *arena = arena_new();
    struct api_error er = {.status = 0};
    a->dialect->decode_error(a->status, buf_slice(&a->bytes), arena, &er);
    add(out, "%u %.*s %.*s: %.*s", a->status, SLICE_FMT(er.type), SLICE_FMT(er.code),
        SLICE_FMT(er.message));
    arena_free(arena);
}

/* ---- the examples ---- */

#define EVERYWHERE(text) {text, text, text}

static const struct example {
    const char *file;                /* the same as before: the same mock goes on */
    struct question q;
    const char *headers[4];          /* name, value */
    const char *scenario;            /* in the answer's head; NULL: none */
    const char *said[3];             /* chat, responses, messages; NULL: not asked */
    unsigned frames;                 /* with something in them, in chat's stream; 0: any */
    int64_t first_ms, last_ms;       /* of chat's stream, exactly; 0: any */
} table[] = {
    {"01-greeting.yaml", {.user = "Hi, you!"}, {NULL}, "greeting",
     EVERYWHERE("text(Hello! What can I do for you?) end"), 0, 100, 0},
    {"01-greeting.yaml", {.user = "echo: high"}, {NULL}, NULL, EVERYWHERE("text(high) end"), 0, 0, 0},

    {"02-pieces.yaml", {.user = "stream in pieces"}, {NULL}, "pieces",
     EVERYWHERE("text(The question is not whether it works,\nbut when it breaks.) end"), 5, 100,
     180},

    {"03-template.yaml", {.user = "Where is order B-77?", .model = "shop",
                          .metadata = "\"customer\":\"Ann\""}, {NULL}, "order-status",
     EVERYWHERE("text(You asked shop: \"Where is order B-77?\". This is your call number #, answer 1 "
                "of this conversation, for customer Ann.) end"), 0, 0, 0},

    {"04-choices.yaml", {.user = "flip a coin"}, {NULL}, "coin",
     EVERYWHERE("text(~s.) end"), 0, 0, 0},
    {"04-choices.yaml", {.user = "roll the dice"}, {NULL}, "dice",
     EVERYWHERE("text(You rolled a #.) end"), 0, 0, 0},

    {"05-tool-call.yaml", {.user = "Weather in Paris?", .tool = "get_weather"}, {NULL},
     "weather-call",
     EVERYWHERE("call get_weather({\"city\":\"Paris\",\"unit\":\"celsius\",\"days\":2}) tool"), 0,
     0, 0},
    {"05-tool-call.yaml", {.user = "Weather in Paris?", .tool = "get_weather", .result = "heavy rain"},
     {NULL}, "weather-answer", EVERYWHERE("text(The tool says: heavy rain. Take a coat.) end"), 0, 0,
     0},

    {"06-parallel-tools.yaml", {.user = "both cities", .tool = "get_weather"}, {NULL},
     "both-cities",
     EVERYWHERE("text(I will look up both.) call get_weather({\"city\":\"Paris\"}) call "
                "get_weather({\"city\":\"Rome\"}) tool"), 0, 0, 0},

    {"07-broken-arguments.yaml", {.user = "broken", .tool = "save"}, {NULL}, "not-json",
     {"call save({\"path\": \"/tmp/a\", \"text\": \"no end) tool",
      "call save({\"path\": \"/tmp/a\", \"text\": \"no end) tool", NULL}, 0, 0, 0},
    {"07-broken-arguments.yaml", {.user = "in pieces", .tool = "save"}, {NULL}, "cut-in-pieces",
     EVERYWHERE("call save({\"path\":\"/tmp/a\",\"text\":\"x\\n\"}) tool"), 0, 0, 0},

    {"08-thinking.yaml", {.user = "think aloud"}, {NULL}, "thinks-aloud",
     EVERYWHERE("think(Seventeen is odd, and neither three nor five divides it.) text(Yes, 17 is "
                "prime.) end"), 0, 0, 0},
    {"08-thinking.yaml", {.user = "think in secret"}, {NULL}, "thinks-in-secret",
     {"text(Yes, 19 is prime.) end", "text(Yes, 19 is prime.) end",
      "redacted() text(Yes, 19 is prime.) end"}, 0, 0, 0},

    {"09-blocks.yaml", {.user = "look it up", .tool = "open_page"}, {NULL}, "blocks",
     EVERYWHERE("think(They want to know what the page says.) text(Let me open the page.) call "
                "open_page({\"url\":\"https://example.com\"}) tool"), 0, 0, 0},

    {"10-refusal.yaml", {.user = "how to make poison"}, {NULL}, "refusal",
     {"refusal(I cannot help with that.) end", "refusal(I cannot help with that.) end",
      "text(I cannot help with that.) filter"}, 0, 0, 0},
    {"10-refusal.yaml", {.user = "something rude"}, {NULL}, "filtered",
     EVERYWHERE("text(Well, the word you are looking for is) filter"), 0, 0, 0},

    {"11-citations.yaml", {.user = "What is the capital of France?"}, {NULL}, "cited",
     {"text(Paris is the capital of France, and has been since 987.) cite https://example.com/paris "
      "0-30 cite https://example.com/capet 37-54 end",
      "text(Paris is the capital of France, and has been since 987.) cite https://example.com/paris "
      "0-30 cite https://example.com/capet 37-54 end", NULL}, 0, 0, 0},

    {"12-structured-output.yaml", {.user = "bill", .schema = "invoice_v1",
                                   .metadata = "\"customer\":\"Bob \\\"B\\\"\""}, {NULL}, "invoice",
     {"text({\"customer\":\"Bob \\\"B\\\"\",\"call\":#,\"total\":129.90,\"paid\":false,\"lines\":"
      "[{\"article\":\"Chair\",\"price\":99.9},{\"article\":\"Cushion\",\"price\":30}]}) end",
      "text({\"customer\":\"Bob \\\"B\\\"\",\"call\":#,\"total\":129.90,\"paid\":false,\"lines\":"
      "[{\"article\":\"Chair\",\"price\":99.9},{\"article\":\"Cushion\",\"price\":30}]}) end",
      NULL}, 0, 0, 0},

    {"15-errors.yaml", {.user = "spend all"}, {NULL}, "quota",
     {"429 insufficient_quota insufficient_quota: You exceeded your current quota.",
      "429 insufficient_quota insufficient_quota: You exceeded your current quota.",
      "429 insufficient_quota : You exceeded your current quota."}, 0, 0, 0},
    {"15-errors.yaml", {.user = "x", .model = "old-retired"}, {NULL}, "no-such-model",
     {"404 invalid_request_error model_not_found: The model `old-retired` does not exist or you do "
      "not have access to it.",
      "404 invalid_request_error model_not_found: The model `old-retired` does not exist or you do "
      "not have access to it.",
      "404 not_found_error : model: old-retired"}, 0, 0, 0},

    {"16-faults.yaml", {.user = "cut me off"}, {NULL}, "cut-stream", {NULL, NULL, NULL}, 4, 0, 0},

    {"17-timing.yaml", {.user = "take your time"}, {NULL}, "take-your-time",
     EVERYWHERE("text(Done.) end"), 0, 100, 0},
    {"17-timing.yaml", {.user = "take your time", .model = "slow-1"}, {NULL}, "take-your-time",
     EVERYWHERE("text(Done.) end"), 0, 2000, 0},
    {"17-timing.yaml", {.user = "echo: x", .model = "slow-1"}, {NULL}, "slow-models",
     EVERYWHERE("text(x) end"), 0, 2000, 0},
    {"17-timing.yaml", {.user = "hurry"}, {NULL}, "fast-burst",
     EVERYWHERE("text(I am as fast as I can be, and I leave four tokens at a time.) end"), 0, 20, 0},

    {"18-conditions.yaml", {.user = "a refund, please"}, {"x-tenant", "acme-7"}, "#",
     {"text(A colleague will call you about that, acme-7.) end", NULL, NULL}, 0, 0, 0},
    {"18-conditions.yaml", {.user = "echo: refund", .system = "internal use"},
     {"x-tenant", "acme-7"}, NULL, EVERYWHERE("text(refund) end"), 0, 0, 0},

    {"19-images-and-usage.yaml", {.user = "what is it", .image = true}, {NULL}, "picture",
     EVERYWHERE("text(I see a cat on a mat.) end"), 0, 0, 0},
};

/* '#' stands for a number, '~' for letters. */
static bool fits(const char *wanted, const char *got) {
    while (*wanted && *got) {
        if (*wanted == '~') {
            while (got[1] && got[1] != '.') {
                got++;
            }
            wanted++;
            continue;
        }
        if (*wanted == '#' && *got >= '0' && *got <= '9') {
            while (*got >= '0' && *got <= '9') {
                got++;
            }
            wanted++;
            continue;
        }
        if (*wanted++ != *got++) {
            return false;
        }
    }
    return *wanted == *got;
}

static void check_times(const struct example *x, const struct asker *a) {
    if (x->frames && a->frames != x->frames) {
        fail_msg("%s: %u frames, not %u", x->file, a->frames, x->frames);
    }
    if (x->first_ms) {
        assert_int_equal(a->received[0] - a->start_ns, x->first_ms * NS_PER_MS);
    }
    if (x->last_ms) {
        assert_int_equal(a->received[a->frames - 1] - a->start_ns, x->last_ms * NS_PER_MS);
    }
}

static void check_head(const struct example *x, const struct asker *a) {
    char line[128];
    snprintf(line, sizeof line, "x-penstock-scenario: %s\n", x->scenario ? x->scenario : "");
    bool is_any = x->scenario && strcmp(x->scenario, "#") == 0;
    bool is_told = strstr(a->head_text, x->scenario ? line : "x-penstock-scenario:") != NULL;
    if (!is_any && is_told != (x->scenario != NULL)) {
        fail_msg("%s: %s in %s", x->file, line, a->head_text);
    }
}

static void ask_example(const struct example *x, unsigned dialect, bool stream) {
    static const struct dialect *const dialects_asked[] = {&dialect_chat, &dialect_responses,
                                                           &dialect_messages};
    const char *wanted = x->said[dialect];
    struct asker a;
    struct buf told;
    ask(&a, api_of_dialect(dialects_asked[dialect]), stream, &x->q);
    buf_init(&told, 1 << 20);
    if (a.status >= 400) {
        tell_error(&a, &told);
    } else {
        tell_answer(&a, stream, &told);
        assert_int_equal(a.broken_frames + (wanted && stream ? a.broken_rules : 0), 0);
    }
    assert_int_equal(buf_append_byte(&told, '\0'), 0);
    if (wanted && !fits(wanted, told.ptr)) {
        fail_msg("%s, %s, stream %d:\nwanted %s\ngot    %s\n%.*s", x->file,
                 dialects_asked[dialect]->name, stream, wanted, told.ptr,
                 SLICE_FMT(buf_slice(&a.bytes)));
    }
    check_head(x, &a);
    if (dialect == 0 && stream) {
        check_times(x, &a);
    }
    buf_dispose(&told);
    asker_dispose(&a);
}

static void set_headers(const char *const *headers) {
    for (unsigned i = 0; i < 4; i++) {
        asker_headers[i] = headers ? headers[i] : NULL;
    }
}

static bool is_asked(const struct example *x, unsigned dialect, bool stream) {
    /* the one that wants no stream, and those that a dialect has no words for */
    bool is_whole_alone = strcmp(x->file, "18-conditions.yaml") == 0 && x->scenario && stream;
    bool nobody = !x->said[0] && !x->said[1] && !x->said[2];
    return !is_whole_alone && (x->said[dialect] || (nobody && dialect == 0 && stream));
}

/* Those that go on from request to request, below. */
static const char *const asked_below[] = {"13-script.yaml", "14-nth-call.yaml", "20-chance.yaml"};

static bool is_tested(const char *file) {
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        if (strcmp(table[i].file, file) == 0) {
            return true;
        }
    }
    for (size_t i = 0; i < sizeof asked_below / sizeof asked_below[0]; i++) {
        if (strcmp(asked_below[i], file) == 0) {
            return true;
        }
    }
    return false;
}

/* Each has a comment on top, and none is forgotten. */
static void check_file(const char *folder, const char *file) {
    char path[4600], line[64] = "";
    snprintf(path, sizeof path, "%s/%s", folder, file);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    assert_non_null(fgets(line, sizeof line, f));
    fclose(f);
    assert_true(strncmp(line, "# ", 2) == 0);
    if (!is_tested(file)) {
        fail_msg("%s: nobody asks it", file);
    }
}

static void test_all_files_are_asked(void **state) {
    const char *root = getenv("PENSTOCK_SOURCE_ROOT");
    char folder[4096];
    struct dirent *entry;
    unsigned n = 0;
    (void)state;
    snprintf(folder, sizeof folder, "%s/examples/scenarios", root ? root : ".");
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    while ((entry = readdir(dir))) {
        if (strstr(entry->d_name, ".yaml")) {
            check_file(folder, entry->d_name);
            n++;
        }
    }
    closedir(dir);
    assert_int_equal(n, 20);
}

static void test_examples(void **state) {
    const char *file = "";
    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        if (strcmp(file, table[i].file) != 0) {
            if (*file) {
                world_close();
            }
            file = table[i].file;
            open_with(file);
        }
        set_headers(table[i].headers);
        for (unsigned d = 0; d < 3; d++) {
            for (unsigned stream = 0; stream < 2; stream++) {
                if (is_asked(&table[i], d, stream)) {
                    ask_example(&table[i], d, stream);
                }
            }
        }
    }
    set_headers(NULL);
    world_close();
}

/* ---- examples that go on from request to request ---- */

static void assert_holds(const struct asker *a, const char *part) {
    assert_non_null(memmem(a->bytes.ptr, a->bytes.len, part, strlen(part)));
}

static void expect_text(const char *user, const char *model, unsigned status, const char *text) {
    struct asker a;
    const struct question q = {.user = user, .model = model};
    ask(&a, api_of_dialect(&dialect_chat), true, &q);
    assert_int_equal(buf_append_byte(&a.text, '\0'), 0);
    if (a.status != status || (status == 200 && strcmp(a.text.ptr, text) != 0)) {
        fail_msg("%s: %u %s", user, a.status, a.text.ptr);
    }
    asker_dispose(&a);
}

static void in_session(const char *name) {
    asker_headers[0] = name ? "x-penstock-session" : NULL;
    asker_headers[1] = name;
    asker_headers[2] = NULL;
}

static void test_a_script_goes_on_by_session(void **state) {
    (void)state;
    open_with("13-script.yaml");
    in_session("ann");
    expect_text("Hi", "interviewer", 200, "What is your name?");
    in_session("bob");
    expect_text("Hi", "interviewer", 200, "What is your name?");
    in_session("ann");
    expect_text("Ann", "interviewer", 200, "Thank you, Ann. And what do you do?");
    expect_text("Tests", "interviewer", 200, "That was all.");
    expect_text("Hi", "interviewer", 200, "What is your name?");
    in_session("bob");
    expect_text("Bob", "interviewer", 200, "Thank you, Bob. And what do you do?");
    in_session(NULL);
    world_close();
}

static void test_a_flaky_provider_recovers(void **state) {
    struct asker a;
    const struct question q = {.user = "be flaky"};
    (void)state;
    open_with("14-nth-call.yaml");
    ask(&a, api_of_dialect(&dialect_chat), false, &q);
    assert_int_equal(a.status, 503);
    assert_non_null(strstr(a.head_text, "retry-after: 1\n"));
    assert_holds(&a, "this was attempt 1.");
    asker_dispose(&a);
    expect_text("be flaky", "m", 503, NULL);
    expect_text("be flaky", "m", 200, "Here I am again.");
    expect_text("be flaky", "m", 200, "Here I am again.");
    world_close();
}

static void test_chance_is_the_same_again(void **state) {
    char first[64], again[64];
    (void)state;
    for (unsigned round = 0; round < 2; round++) {
        open_with("20-chance.yaml");
        for (unsigned i = 0; i < 63; i++) {
            struct asker a;
            const struct question q = {.user = "gamble"};
            ask(&a, api_of_dialect(&dialect_chat), false, &q);
            (round ? again : first)[i] = a.status == 500 ? 'x' : '.';
            asker_dispose(&a);
        }
        first[63] = again[63] = '\0';
        world_close();
    }
    assert_string_equal(first, again);
    assert_non_null(strchr(first, 'x'));
    assert_non_null(strchr(first, '.'));
}

static void test_headers_and_usage_of_examples(void **state) {
    struct asker a;
    (void)state;
    open_with("17-timing.yaml");
    ask(&a, api_of_dialect(&dialect_messages), true,
        &(struct question){.user = "take your time", .model = "slow-2"});
    assert_non_null(strstr(a.head_text, "x-served-by: slow-"));
    asker_dispose(&a);
    world_close();
    open_with("19-images-and-usage.yaml");
    ask(&a, api_of_dialect(&dialect_chat), false,
        &(struct question){.user = "?", .image = true});
    assert_holds(&a, "\"prompt_tokens\":2200");
    assert_holds(&a, "\"cached_tokens\":2048");
    assert_holds(&a, "\"model\":\"vision-2025-01-31\"");
    asker_dispose(&a);
    world_close();
}

/* ---- control requests ---- */

static void control(enum http_method method, const char *target, const char *body, unsigned status,
                    const char *part) {
    struct asker a;
    asker_send(&a, method, target, body);
    asker_finish(&a);
    assert_int_equal(buf_append_byte(&a.bytes, '\0'), 0);
    if (a.status != status || !strstr(a.bytes.ptr, part)) {
        fail_msg("%s: %u %s, not %s", target, a.status, a.bytes.ptr, part);
    }
    asker_dispose(&a);
}

static void test_pushing_answers(void **state) {
    (void)state;
    open_with("01-greeting.yaml");
    control(HTTP_METHOD_POST, "/penstock/scenarios",
            "[{\"respond\":\"one\"},{\"name\":\"two\",\"match\":{\"user\":\"b\"},\"respond\":\"two "
            "{{last_user}}\"}]", 200, "{\"pushed\":[\"body#1\",\"two\"]}");
    control(HTTP_METHOD_GET, "/penstock/scenarios", "", 200,
            "\"pushed\":[{\"name\":\"body#1\",\"left\":1,\"matched\":0,\"answered\":0},");
    expect_text("hello", "m", 200, "one");
    expect_text("hello", "m", 200, "Hello! What can I do for you?");
    expect_text("b", "m", 200, "two b");
    expect_text("echo: b", "m", 200, "b");
    control(HTTP_METHOD_GET, "/penstock/scenarios", "", 200,
            "\"matched\":1,\"answered\":1}],\"pushed\":[]}");
    control(HTTP_METHOD_POST, "/penstock/scenarios", "respond: {text: yaml}\ntimes: forever\n", 200,
            "body#1");
    expect_text("x", "m", 200, "yaml");
    control(HTTP_METHOD_DELETE, "/penstock/scenarios?name=none", "", 200, "{\"removed\":0");
    control(HTTP_METHOD_DELETE, "/penstock/scenarios", "", 200, "{\"removed\":1,\"reset\":false}");
    expect_text("echo: x", "m", 200, "x");
    control(HTTP_METHOD_DELETE, "/penstock/scenarios?reset=1", "", 200, "\"reset\":true");
    control(HTTP_METHOD_GET, "/penstock/scenarios", "", 200, "\"matched\":0,\"answered\":0}]");
    world_close();
}

static void test_pushing_for_a_session(void **state) {
    (void)state;
    open_with(NULL);
    control(HTTP_METHOD_POST, "/penstock/scenarios?session=s1", "{\"respond\":\"mine\"}", 200, "body");
    expect_text("echo: x", "m", 200, "x");
    in_session("s1");
    expect_text("echo: x", "m", 200, "mine");
    in_session(NULL);
    world_close();
}

static void test_pushing_what_is_broken(void **state) {
    (void)state;
    open_with(NULL);
    control(HTTP_METHOD_POST, "/penstock/scenarios", "[{\"respnd\":\"x\"}]", 400,
            "\"body:1:3: [0].respnd: there is no such key; did you mean respond?\"");
    control(HTTP_METHOD_POST, "/penstock/scenarios", "", 400, "a scenario, or a list");
    control(HTTP_METHOD_POST, "/penstock/scenarios", "[{", 400, "not valid YAML");
    control(HTTP_METHOD_POST, "/penstock/scenarios",
            "{\"respond\":\"x\",\"ttft\":\"empirical(/etc/passwd)\"}", 400, "ttft");
    world_close();
}

static void test_explain_and_journal(void **state) {
    (void)state;
    open_with("05-tool-call.yaml");
    control(HTTP_METHOD_POST, "/penstock/explain",
            "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"the weather\"}]}", 200,
            "{\"matched\":null,\"place\":null,\"continued\":[],\"nearest\":{\"name\":\"weather-call\"");
    control(HTTP_METHOD_POST, "/penstock/explain?path=/v1/responses",
            "{\"model\":\"m\",\"input\":\"weather\",\"tools\":[{\"type\":\"function\",\"name\":"
            "\"get_weather\",\"parameters\":{}}]}", 200, "{\"matched\":\"weather-call\"");
    control(HTTP_METHOD_POST, "/penstock/explain?path=/v1/models", "{}", 400, "/penstock/explain");
    control(HTTP_METHOD_POST, "/penstock/explain", "{\"model\":5}", 400, "model");
    struct asker a;
    ask(&a, api_of_dialect(&dialect_chat), false,
        &(struct question){.user = "weather", .tool = "get_weather"});
    asker_dispose(&a);
    control(HTTP_METHOD_GET, "/penstock/journal", "", 200, "\"scenario\":\"weather-call\"");
    control(HTTP_METHOD_GET, "/penstock/journal", "", 200, "05-tool-call.yaml:");
    world_close();
}

/* ---- what has no place ---- */

/* The legacy API says text alone: what is left out is told. */
static void test_what_completions_leaves_out(void **state) {
    static const char script[] =
        "{\"respond\":{\"blocks\":[{\"thinking\":\"hm\"},{\"text\":\"Hello\"},{\"tool_call\":{\"name\":\"f\","
        "\"arguments\":{}}}]},\"times\":\"forever\"}";
    struct asker a;
    (void)state;
    open_with(NULL);
    control(HTTP_METHOD_POST, "/penstock/scenarios", script, 200, "");
    asker_send(&a, HTTP_METHOD_POST, "/v1/completions", "{\"model\":\"m\",\"prompt\":\"hi\"}");
    asker_finish(&a);
    assert_non_null(strstr(a.head_text, "x-penstock-left-out: thinking, tool_calls\n"));
    assert_non_null(memmem(a.bytes.ptr, a.bytes.len, "\"text\":\"Hello\"", 14));
    asker_dispose(&a);
    asker_chat(&a, false, "m", "hi", "");
    asker_finish(&a);
    assert_null(strstr(a.head_text, "x-penstock-left-out"));
    asker_dispose(&a);
    world_close();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_files_are_asked),
        cmocka_unit_test(test_examples),
        cmocka_unit_test(test_a_script_goes_on_by_session),
        cmocka_unit_test(test_a_flaky_provider_recovers),
        cmocka_unit_test(test_chance_is_the_same_again),
        cmocka_unit_test(test_headers_and_usage_of_examples),
        cmocka_unit_test(test_pushing_answers),
        cmocka_unit_test(test_pushing_for_a_session),
        cmocka_unit_test(test_pushing_what_is_broken),
        cmocka_unit_test(test_explain_and_journal),
        cmocka_unit_test(test_what_completions_leaves_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
