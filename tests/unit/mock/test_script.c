/* SPDX-License-Identifier: Apache-2.0 */
/* Scripts of any kind, in every dialect: the stream is what its checker takes, adds up to the body
 * of the same answer, and says what the script says. */
#include "said.h"

#include "base/arena.h"
#include "base/random.h"

/* ---- random scripts ---- */

enum { MAX_BLOCKS = 12, MAX_PIECES = 6 };

static struct rng rng;

static unsigned below(unsigned n) {
    return (unsigned)rng_below(&rng, n);
}

static struct slice words(struct arena *a) {
    static const char *const all[] = {"Hello", " world", ".\n\n", "é", "世界", "👩‍👩‍👧", " the", "\"quoted\"", "\\", "\t",
                                      " 1234567", "internationalisation", " — ", "", "stop", " \n ", "{}", "a"};
    struct buf b = {.max = 4096};
    for (unsigned n = below(5); n > 0; n--) {
        assert_int_equal(buf_append(&b, slice_cstr(all[below(sizeof all / sizeof all[0])])), 0);
    }
    struct slice s = arena_dup(a, buf_slice(&b));
    buf_dispose(&b);
    return b.len ? s : SLICE("");
}

static const struct slice *text_pieces(struct arena *a, unsigned n) {
    struct slice *p = arena_alloc(a, MAX_PIECES * sizeof *p);
    for (unsigned i = 0; i < n; i++) {
        p[i] = words(a);
    }
    return p;
}

/* An object, in pieces that mean nothing. */
static const struct slice *argument_pieces(struct arena *a, unsigned n) {
    static const char *const all[] = {"{\"city\":\"Zürich\",\"days\":[1,2,3]}", "{}", "{\"a\":{\"b\":\"\\u00e9\\n\"},\"big\":12345678901234567890}"};
    struct slice *p = arena_alloc(a, MAX_PIECES * sizeof *p), rest = slice_cstr(all[below(3)]);
    for (unsigned i = 0; i < n; i++) {
        size_t len = i + 1 == n ? rest.len : below((unsigned)rest.len + 1);
        p[i] = slice_sub(rest, 0, len);
        rest = slice_from(rest, len);
    }
    return p;
}

static const struct annotation citations[] = {
    {ANNOTATION_URL, {"https://example.com/?q=\"a\"", 26}, {"Ünï", 5}, 0, 2},
    {ANNOTATION_URL, {"https://example.org/", 20}, {"", 0}, -1, -1},
};

static void random_block(struct arena *a, struct script_block *b) {
    static const enum block_kind kinds[] = {
        BLOCK_TEXT,    BLOCK_TEXT,      BLOCK_REASONING, BLOCK_REDACTED,
        BLOCK_REFUSAL, BLOCK_TOOL_CALL, BLOCK_TOOL_CALL, BLOCK_CUSTOM_TOOL_CALL};
    *b = (struct script_block){
        .kind = kinds[below(8)], .n_pieces = 1 + below(MAX_PIECES), .as_written = below(2)};
    bool is_json = b->kind == BLOCK_TOOL_CALL;
    b->pieces = is_json ? argument_pieces(a, b->n_pieces) : text_pieces(a, b->n_pieces);
    b->chunk_bytes = below(3) ? 0 : 1 + below(20);
    b->name = below(8) ? slice_cstr(arena_printf(a, "tool_%u", below(3))) : SLICE("");
    b->id = below(2) ? slice_cstr(arena_printf(a, "call-%u", (unsigned)rng_next(&rng))) : SLICE("");
    b->proof = below(3) == 0 ? SLICE_NULL : below(2) ? SLICE("") : SLICE("c2lnbmF0dXJl");
    if (b->kind == BLOCK_TEXT && below(3) == 0) {
        b->annotations = citations;
        b->n_annotations = 1 + below(2);
    }
    b->has_pause = below(4) == 0;
    b->pause = LAW_NS(5000000);
}

static struct script random_script(struct arena *a) {
    static const enum stop_reason stops[] = {STOP_END,  STOP_SEQUENCE, STOP_LENGTH,
                                             STOP_TOOL, STOP_FILTER,   STOP_PAUSE};
    struct script s = {
        .n_blocks = 1 + below(MAX_BLOCKS), .is_interleaved = below(2), .usage = SCRIPT_USAGE_NONE};
    struct script_block *blocks = arena_alloc(a, MAX_BLOCKS * sizeof *blocks);
    for (unsigned i = 0; i < s.n_blocks; i++) {
        random_block(a, &blocks[i]);
    }
    s.blocks = blocks;
    s.has_stop = below(3) == 0;
    s.stop = stops[below(6)];
    s.stop_sequence = SLICE("stop");
    s.id = below(3) ? SLICE("") : SLICE("said-1");
    s.model = below(3) ? SLICE("") : SLICE("another-model");
    return s;
}

/* ---- what is asked ---- */

static const struct dialect *const all_dialects[] = {&dialect_chat, &dialect_completions,
                                                     &dialect_responses, &dialect_messages};

static const char *ask(struct arena *a, const struct dialect *d, const char *extra,
                       int max_tokens) {
    const char *form = d == &dialect_responses     ? "{\"model\":\"m\",%s%s\"input\":\"hi\"}"
                       : d == &dialect_completions ? "{\"model\":\"m\",%s%s\"prompt\":\"hi\"}"
                                                   : "{\"model\":\"m\",%s%s\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}";
    const char *key = d == &dialect_responses ? "max_output_tokens" : "max_tokens";
    char bound[64] = "";
    if (max_tokens > 0 || d == &dialect_messages || d == &dialect_completions) {
        snprintf(bound, sizeof bound, "\"%s\":%d,", key, max_tokens > 0 ? max_tokens : 100000);
    }
    const char *open = strstr(form, "%s%s");
    return arena_printf(a, "%.*s%s%s%s", (int)(open - form), form, bound, extra, open + 4);
}

/* ---- comparing ---- */

/* All of one kind of a choice: dialects without blocks join them. */
static void joined(struct buf *out, const struct answer *an, unsigned choice,
                   enum block_kind kind) {
    const struct answer_block *b;
    unsigned n = answer_blocks(an, &b);
    buf_reset(out);
    for (unsigned i = 0; i < n; i++) {
        if (b[i].choice == choice && b[i].kind == kind) {
            assert_int_equal(buf_append(out, b[i].text), 0);
        }
    }
}

static void check_same_texts(const struct said *s, unsigned choice) {
    static const enum block_kind kinds[] = {BLOCK_TEXT, BLOCK_REASONING, BLOCK_REFUSAL};
    struct buf a = {.max = TEST_BYTES}, b = {.max = TEST_BYTES};
    for (unsigned k = 0; k < 3; k++) {
        joined(&a, s->streamed, choice, kinds[k]);
        joined(&b, s->whole, choice, kinds[k]);
        if (!slice_eq(buf_slice(&a), buf_slice(&b))) {
            fail_msg("%s: streamed %.*s\n%.*s\nwhole %.*s\n%.*s", s->dialect->name,
                     SLICE_FMT(buf_slice(&a)), SLICE_FMT(buf_slice(&s->wire)),
                     SLICE_FMT(buf_slice(&b)), SLICE_FMT(buf_slice(&s->body)));
        }
    }
    buf_dispose(&a);
    buf_dispose(&b);
}

static bool is_call(enum block_kind kind) {
    return kind == BLOCK_TOOL_CALL || kind == BLOCK_CUSTOM_TOOL_CALL || kind == BLOCK_FUNCTION_CALL;
}

static const struct answer_block *nth_of(const struct answer *an, unsigned choice, unsigned n,
                                         bool calls) {
    const struct answer_block *b;
    unsigned count = answer_blocks(an, &b);
    for (unsigned i = 0; i < count; i++) {
        bool fits = is_call(b[i].kind) == calls;
        if (b[i].choice == choice && fits && n-- == 0) {
            return &b[i];
        }
    }
    return NULL;
}

/* No arguments are none, or an empty object. */
static struct slice arguments_of(const struct answer_block *b) {
    return slice_eq(b->text, SLICE("{}")) ? SLICE("") : b->text;
}

/* Cut arguments are nothing that a body of messages can hold: they are left out of it. */
static void check_same_calls(const struct said *s, unsigned choice, bool is_cut) {
    for (unsigned i = 0;; i++) {
        bool is_last = !nth_of(s->streamed, choice, i + 1, true);
        const struct answer_block *a = nth_of(s->streamed, choice, i, true);
        const struct answer_block *b = nth_of(s->whole, choice, i, true);
        assert_int_equal(!a, !b);
        if (!a) {
            return;
        }
        assert_int_equal(a->kind, b->kind);
        assert_true(slice_eq(a->tool_id, b->tool_id) && slice_eq(a->tool_name, b->tool_name));
        bool may_differ = is_cut && is_last && s->dialect == &dialect_messages;
        if (!may_differ && !slice_eq(arguments_of(a), arguments_of(b))) {
            fail_msg("%s: streamed %.*s\nwhole %.*s", s->dialect->name, SLICE_FMT(a->text), SLICE_FMT(b->text));
        }
    }
}

/* Block for block, where the dialect has blocks. */
static void check_same_blocks(const struct said *s) {
    for (unsigned i = 0;; i++) {
        const struct answer_block *a = nth_block(s->streamed, 0, i), *b = nth_block(s->whole, 0, i);
        assert_int_equal(!a, !b);
        if (!a) {
            return;
        }
        assert_int_equal(a->kind, b->kind);
        assert_true(slice_eq(a->signature, b->signature));
        assert_true(is_call(a->kind) || slice_eq(a->text, b->text));
        if (!slice_eq(a->annotations_json, b->annotations_json)) {
            fail_msg("%s: streamed %.*s\nwhole %.*s", s->dialect->name, SLICE_FMT(a->annotations_json),
                     SLICE_FMT(b->annotations_json));
        }
    }
}

static void check_same_signatures(const struct said *s, unsigned choice) {
    struct buf seen[2] = {{.max = TEST_BYTES}, {.max = TEST_BYTES}};
    const struct answer *an[2] = {s->streamed, s->whole};
    for (unsigned k = 0; k < 2; k++) {
        const struct answer_block *b;
        unsigned n = answer_blocks(an[k], &b);
        for (unsigned i = 0; i < n; i++) {
            if (b[i].choice == choice && b[i].signature.len > 0) {
                assert_int_equal(buf_append(&seen[k], b[i].signature), 0);
            }
        }
    }
    assert_true(slice_eq(buf_slice(&seen[0]), buf_slice(&seen[1])));
    buf_dispose(&seen[0]);
    buf_dispose(&seen[1]);
}

static void check_same(const struct said *s) {
    const struct answer_choice *ca, *cb;
    const struct usage *ua = answer_usage(s->streamed), *ub = answer_usage(s->whole);
    unsigned n = answer_choices(s->streamed, &ca);
    assert_int_equal(n, answer_choices(s->whole, &cb));
    for (unsigned c = 0; c < n; c++) {
        bool is_cut = ca[c].finish.reason != STOP_END && ca[c].finish.reason != STOP_TOOL;
        assert_int_equal(ca[c].finish.reason, cb[c].finish.reason);
        assert_true(slice_eq(ca[c].finish.stop_sequence, cb[c].finish.stop_sequence));
        assert_true(slice_eq(ca[c].logprobs_json, cb[c].logprobs_json));
        assert_true(slice_eq(ca[c].annotations_json, cb[c].annotations_json));
        check_same_texts(s, c);
        check_same_calls(s, c, is_cut);
        check_same_signatures(s, c);
    }
    if (s->dialect->is_sequential) {
        check_same_blocks(s);
    }
    assert_int_equal(ua->out_total, ub->out_total);
    assert_int_equal(ua->in_total, ub->in_total);
    assert_int_equal(ua->reasoning, ub->reasoning);
    assert_int_equal(ua->out_total, s->tokens);
    assert_true(slice_eq(answer_start(s->streamed)->id, answer_start(s->whole)->id));
    assert_true(slice_eq(answer_start(s->streamed)->model, answer_start(s->whole)->model));
}

/* Everything of a kind that the script has, and nothing else. */
static void check_is_said(const struct said *s, const struct script *script, enum block_kind kind) {
    struct buf want = {.max = TEST_BYTES}, got = {.max = TEST_BYTES};
    for (unsigned i = 0; i < script->n_blocks; i++) {
        for (unsigned k = 0; script->blocks[i].kind == kind && k < script->blocks[i].n_pieces;
             k++) {
            assert_int_equal(buf_append(&want, script->blocks[i].pieces[k]), 0);
        }
    }
    joined(&got, s->whole, 0, kind);
    if (!slice_eq(buf_slice(&got), buf_slice(&want))) {
        fail_msg("%s: wanted %.*s\ngot %.*s", s->dialect->name, SLICE_FMT(buf_slice(&want)), SLICE_FMT(buf_slice(&got)));
    }
    buf_dispose(&want);
    buf_dispose(&got);
}

static void check_calls_are_said(const struct said *s, const struct script *script) {
    unsigned n = 0;
    for (unsigned i = 0; i < script->n_blocks; i++) {
        const struct script_block *b = &script->blocks[i];
        if (!is_call(b->kind)) {
            continue;
        }
        const struct answer_block *got = nth_of(s->whole, 0, n++, true);
        assert_non_null(got);
        assert_true(slice_eq(got->tool_name, b->name.len ? b->name : SLICE("tool")));
        assert_true(b->id.len ? slice_eq(got->tool_id, b->id) : got->tool_id.len > 10);
    }
    assert_null(nth_of(s->whole, 0, n, true));
}

/* ---- the properties ---- */

static void test_any_script_in_every_dialect(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < 1500; seed++) {
        struct arena *a = arena_new();
        const struct dialect *d = all_dialects[seed % 4];
        rng_seed(&rng, seed);
        struct script script = random_script(a);
        bool is_bounded = below(3) == 0, has_stops = below(4) == 0, has_odds = below(4) == 0;
        const char *extra = has_stops && d == &dialect_messages ? "\"stop_sequences\":[\"stop\",\"é\"],"
                            : has_stops && d != &dialect_responses ? "\"stop\":[\"stop\",\"é\"],"
                            : has_odds && d == &dialect_chat       ? "\"n\":3,\"logprobs\":true,\"top_logprobs\":2,"
                            : has_odds && d == &dialect_completions ? "\"logprobs\":2,\"echo\":true,"
                                                                    : "";
        struct reply_options o = {
            .seed = seed, .created = 1700000000, .cached = -1, .script = &script};
        o.tokenizer = below(2) ? NULL : tokenizer_get(ENCODING_PIECES);
        o.burst = burst_between(1, below(2) ? 1 : 1 + below(9));
        struct said s;
        say(&s, d, ask(a, d, extra, is_bounded ? 16 + (int)below(40) : 0), &o);
        check_same(&s);
        assert_int_equal(s.slot_tokens, s.tokens);
        if (!is_bounded && !*extra && d != &dialect_completions) {
            check_is_said(&s, &script, BLOCK_TEXT);
            check_is_said(&s, &script, BLOCK_REASONING);
            check_calls_are_said(&s, &script);
        }
        forget(&s);
        arena_free(a);
    }
}

/* ---- single things ---- */

/* What the slots are: text, "<name>" of a call, "~" before one that comes later than usual. */
static const char *slots_of(struct arena *a, const struct dialect *d, const char *body,
                            const struct reply_options *given) {
    struct buf out = {.max = 1 << 20};
    struct reply_options o = *given;
    struct llm_request rq;
    struct event ev;
    o.dialect = d;
    decode(d, body, a, &rq);
    struct reply *r = reply_new(&rq, &o);
    int rc = reply_pause(r) ? buf_append_byte(&out, '~') : 0;
    for (enum reply_step step; (step = reply_next(r, &ev)) != REPLY_OVER;) {
        if (step == REPLY_TOKEN) {
            rc |= ev.kind == EV_BLOCK_BEGIN ? buf_appendf(&out, "<%.*s>", SLICE_FMT(ev.u.begin.name))
                                            : buf_appendf(&out, "%.*s|", SLICE_FMT(ev.text));
            rc |= reply_pause(r) ? buf_append_byte(&out, '~') : 0;
        }
    }
    assert_int_equal(rc, 0);
    const char *text = arena_printf(a, "%.*s", SLICE_FMT(buf_slice(&out)));
    reply_free(&r);
    buf_dispose(&out);
    return text;
}

static struct script script_of(const struct script_block *blocks, unsigned n) {
    return (struct script){.blocks = blocks, .n_blocks = n, .usage = SCRIPT_USAGE_NONE};
}

static struct reply_options saying(const struct script *s) {
    return (struct reply_options){.created = 1, .cached = -1, .script = s};
}

#define CHT "{\"model\":\"m\",%s\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}"
#define PLAIN_CHT "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}"
#define PLAIN_MSG "{\"model\":\"m\",\"max_tokens\":99,\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}"
#define PLAIN_RSP "{\"model\":\"m\",\"input\":\"hi\"}"

static const struct slice written[] = {{"He", 2}, {"llo wor", 7}, {"", 0}, {"ld", 2}, {"\xe4\xb8", 2}, {"\x96!", 2}};
static const struct slice arguments[] = {{"{\"city\":", 8}, {"\"Oslo\"}", 7}};
static const struct slice short_text[] = {{"one two three", 13}};

static void test_pieces_are_slots_as_written(void **state) {
    struct arena *a = arena_new();
    struct script_block b = {
        .kind = BLOCK_TEXT, .pieces = written, .n_pieces = 6, .as_written = true};
    struct script s = script_of(&b, 1);
    struct reply_options o = saying(&s);
    (void)state;
    /* a character is never torn, and nothing at all is no delta */
    assert_string_equal(slots_of(a, &dialect_chat, PLAIN_CHT, &o), "He|llo wor|ld|世|!|");
    b.as_written = false;
    b.chunk_bytes = 4;
    assert_string_equal(slots_of(a, &dialect_messages, PLAIN_MSG, &o), "Hell|o wo|rld世|!|");
    b.chunk_bytes = 0;
    o.tokenizer = tokenizer_get(ENCODING_PIECES);
    assert_string_equal(slots_of(a, &dialect_responses, PLAIN_RSP, &o), "Hello| world世|!|");
    o.burst = burst_between(2, 2);
    assert_string_equal(slots_of(a, &dialect_chat, PLAIN_CHT, &o), "Hello world世|!|");
    arena_free(a);
}

static void test_calls_take_turns_where_they_can(void **state) {
    struct arena *a = arena_new();
    const struct script_block blocks[] = {
        {.kind = BLOCK_REASONING, .pieces = short_text, .n_pieces = 1},
        {.kind = BLOCK_TOOL_CALL, .pieces = arguments, .n_pieces = 2, .as_written = true, .name = SLICE("x")},
        {.kind = BLOCK_TEXT, .pieces = short_text, .n_pieces = 1},
        {.kind = BLOCK_TOOL_CALL, .pieces = arguments, .n_pieces = 2, .as_written = true, .name = SLICE("y")}};
    struct script s = script_of(blocks, 4);
    struct reply_options o = saying(&s);
    (void)state;
    o.tokenizer = tokenizer_get(ENCODING_PIECES);
    s.is_interleaved = true;
    assert_string_equal(slots_of(a, &dialect_chat, PLAIN_CHT, &o),
                        "one| two| three|one|<x><y> two|{\"city\":|{\"city\":| three|\"Oslo\"}|\"Oslo\"}|");
    assert_string_equal(slots_of(a, &dialect_messages, PLAIN_MSG, &o),
                        "one| two| three|<x>{\"city\":|\"Oslo\"}|one| two| three|<y>{\"city\":|\"Oslo\"}|");
    s.is_interleaved = false;
    assert_string_equal(slots_of(a, &dialect_chat, PLAIN_CHT, &o),
                        "one| two| three|<x>{\"city\":|\"Oslo\"}|one| two| three|<y>{\"city\":|\"Oslo\"}|");
    arena_free(a);
}

static void test_pauses_come_before_their_block(void **state) {
    struct arena *a = arena_new();
    const struct script_block blocks[] = {{.kind = BLOCK_REASONING,
                                           .pieces = short_text,
                                           .n_pieces = 1,
                                           .has_pause = true,
                                           .pause = LAW_NS(1)},
                                          {.kind = BLOCK_TEXT, .pieces = short_text, .n_pieces = 1},
                                          {.kind = BLOCK_TOOL_CALL,
                                           .pieces = arguments,
                                           .n_pieces = 2,
                                           .as_written = true,
                                           .name = SLICE("x"),
                                           .has_pause = true,
                                           .pause = LAW_NS(7)}};
    struct script s = script_of(blocks, 3);
    struct reply_options o = saying(&s);
    (void)state;
    o.tokenizer = tokenizer_get(ENCODING_PIECES);
    assert_string_equal(slots_of(a, &dialect_chat, PLAIN_CHT, &o),
                        "~one| two| three|one| two| three|~<x>{\"city\":|\"Oslo\"}|");
    s.is_interleaved = true;       /* the call waits for the thought alone */
    assert_string_equal(slots_of(a, &dialect_chat, PLAIN_CHT, &o),
                        "~one| two| three|one|~<x> two|{\"city\":| three|\"Oslo\"}|");
    assert_string_equal(slots_of(a, &dialect_chat, arena_printf(a, CHT, "\"max_tokens\":6,"), &o), "~one| two| three|one|~<x> two|");
    arena_free(a);
}

static void check_has(const struct said *s, const struct buf *where, const char *part) {
    struct buf text = {.max = TEST_BYTES};
    assert_int_equal(buf_append(&text, buf_slice(where)) | buf_append_byte(&text, '\0'), 0);
    if (!strstr(text.ptr, part)) {
        fail_msg("%s: no %s in %s", s->dialect->name, part, text.ptr);
    }
    buf_dispose(&text);
}

static void check_says(const struct dialect *d, const char *body, const struct script *script,
                       const char *in_stream, const char *in_body) {
    struct said s;
    struct reply_options o = saying(script);
    o.tokenizer = tokenizer_get(ENCODING_PIECES);
    say(&s, d, body, &o);
    check_has(&s, &s.wire, in_stream);
    check_has(&s, &s.body, in_body);
    forget(&s);
}

static void test_citations_in_each_dialects_words(void **state) {
    const struct script_block blocks[] = {{.kind = BLOCK_TEXT, .pieces = short_text, .n_pieces = 1},
                                          {.kind = BLOCK_TEXT,
                                           .pieces = short_text,
                                           .n_pieces = 1,
                                           .annotations = citations,
                                           .n_annotations = 2}};
    struct script s = script_of(blocks, 2);
    (void)state;
    check_says(&dialect_chat, PLAIN_CHT, &s,
               "\"annotations\":[{\"type\":\"url_citation\",\"url_citation\":{\"start_index\":13,\"end_index\":15,\"url\":\"https://example.com/?q=\\\"a\\\"\"",
               "\"start_index\":13,\"end_index\":26,\"url\":\"https://example.org/\"");
    check_says(&dialect_responses, PLAIN_RSP, &s, "event: response.output_text.annotation.added",
               "{\"type\":\"url_citation\",\"start_index\":0,\"end_index\":2,");
    check_says(&dialect_messages, PLAIN_MSG, &s, "{\"type\":\"citations_delta\",\"citation\":{\"type\":\"web_search_result_location\"",
               "\"cited_text\":\"on\"}");
}

static void test_what_a_script_overrides(void **state) {
    const struct script_block text = {.kind = BLOCK_TEXT, .pieces = short_text, .n_pieces = 1};
    struct script s = script_of(&text, 1);
    (void)state;
    check_says(&dialect_messages, PLAIN_MSG, &s, "\"stop_reason\":\"end_turn\"", "\"output_tokens\":3");
    s.has_stop = true;
    s.stop = STOP_PAUSE;
    s.id = SLICE("msg_mine");
    s.model = SLICE("other");
    s.usage = (struct script_usage){1000, 77, 900, -1, 5};
    check_says(&dialect_messages, PLAIN_MSG, &s, "\"id\":\"msg_mine\"", "\"stop_reason\":\"pause_turn\"");
    check_says(&dialect_messages, PLAIN_MSG, &s, "\"output_tokens\":77", "\"cache_read_input_tokens\":900");
    check_says(&dialect_chat, PLAIN_CHT, &s, "\"model\":\"other\"", "\"prompt_tokens\":1000,\"completion_tokens\":77");
    check_says(&dialect_chat, PLAIN_CHT, &s, "\"reasoning_tokens\":5", "\"cached_tokens\":900");
    s.stop = STOP_FILTER;
    check_says(&dialect_chat, PLAIN_CHT, &s, "\"finish_reason\":\"content_filter\"", "\"finish_reason\":\"content_filter\"");
    check_says(&dialect_responses, PLAIN_RSP, &s, "event: response.incomplete", "{\"reason\":\"content_filter\"}");
    check_says(&dialect_messages, PLAIN_MSG, &s, "\"stop_reason\":\"refusal\"", "\"stop_reason\":\"refusal\"");
    s.stop = STOP_SEQUENCE;
    s.stop_sequence = SLICE("END");
    check_says(&dialect_messages, PLAIN_MSG, &s, "\"stop_sequence\":\"END\"", "\"stop_sequence\":\"END\"");
}

/* Bounds of the request hold, unless the script says how it ends. */
static void test_bounds_hold_for_scripts(void **state) {
    const struct script_block text = {
        .kind = BLOCK_TEXT, .pieces = short_text, .n_pieces = 1, .as_written = true};
    struct script s = script_of(&text, 1);
    struct arena *a = arena_new();
    struct reply_options o = saying(&s);
    const char *two = arena_printf(a, CHT, "\"max_tokens\":2,"), *stop = arena_printf(a, CHT, "\"stop\":\" three\",");
    (void)state;
    o.tokenizer = tokenizer_get(ENCODING_PIECES);
    assert_string_equal(slots_of(a, &dialect_chat, two, &o), "one two|");
    assert_string_equal(slots_of(a, &dialect_chat, stop, &o), "one two|");
    check_says(&dialect_chat, two, &s, "\"finish_reason\":\"length\"", "\"completion_tokens\":2");
    s.has_stop = true;
    assert_string_equal(slots_of(a, &dialect_chat, two, &o), "one two three|");
    assert_string_equal(slots_of(a, &dialect_chat, stop, &o), "one two three|");
    arena_free(a);
}

static void test_thoughts_and_proofs(void **state) {
    struct script_block blocks[] = {{.kind = BLOCK_REASONING, .pieces = short_text, .n_pieces = 1, .proof = SLICE("Z2l2ZW4=")},
                                    {.kind = BLOCK_REDACTED, .proof = SLICE("aGlkZGVu")}};
    struct script s = script_of(blocks, 2);
    (void)state;
    check_says(&dialect_messages, PLAIN_MSG, &s, "{\"type\":\"signature_delta\",\"signature\":\"Z2l2ZW4=\"}",
               "{\"type\":\"redacted_thinking\",\"data\":\"aGlkZGVu\"}");
    check_says(&dialect_responses, PLAIN_RSP, &s, "\"encrypted_content\":\"Z2l2ZW4=\"", "\"encrypted_content\":\"aGlkZGVu\"");
    check_says(&dialect_chat, PLAIN_CHT, &s, "\"reasoning_content\":\"one\"", "\"signature\":\"Z2l2ZW4=\"");
    blocks[0].proof = SLICE_NULL;
    check_says(&dialect_messages, PLAIN_MSG, &s, "\"signature\":\"bW9jay1z", "\"signature\":\"bW9jay1z");
}

/* As long as a scenario may be, in any number of blocks. */
static void test_many_blocks(void **state) {
    struct script_block blocks[256];
    struct script s = script_of(blocks, 256);
    struct reply_options o = saying(&s);
    (void)state;
    for (unsigned i = 0; i < 256; i++) {
        blocks[i] = (struct script_block){.kind = i % 2 ? BLOCK_TOOL_CALL : BLOCK_TEXT,
                                          .pieces = i % 2 ? arguments : short_text,
                                          .n_pieces = i % 2 ? 2 : 1,
                                          .name = SLICE("t")};
    }
    for (unsigned k = 0; k < 2; k++) {
        struct said said;
        s.is_interleaved = k;
        say(&said, &dialect_chat, PLAIN_CHT, &o);
        check_same(&said);
        assert_non_null(nth_of(said.whole, 0, 127, true));
        assert_null(nth_of(said.whole, 0, 128, true));
        forget(&said);
    }
}

/* Every delta of a text has its tokens, but for the last one; and they add up. */
static void test_bursts(void **state) {
    struct arena *a = arena_new();
    (void)state;
    for (unsigned most = 1; most < 12; most++) {
        struct reply_options o = {
            .seed = most, .cached = -1, .tokens = 500, .burst = burst_between(1, most)};
        struct llm_request rq;
        struct event ev;
        uint64_t tokens = 0, slots = 0;
        decode(&dialect_chat, PLAIN_CHT, a, &rq);
        struct reply *r = reply_new(&rq, &o);
        for (enum reply_step step; (step = reply_next(r, &ev)) != REPLY_OVER;) {
            if (step == REPLY_TOKEN) {
                assert_in_range(reply_slot_tokens(r), 1, most);
                tokens += reply_slot_tokens(r);
                slots++;
            }
        }
        assert_int_equal(tokens, 500);
        assert_int_equal(reply_tokens(r), 500);
        assert_in_range(slots, 800 / (most + 1), 1300 / (most + 1));
        reply_free(&r);
    }
    arena_free(a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_any_script_in_every_dialect),
        cmocka_unit_test(test_pieces_are_slots_as_written),
        cmocka_unit_test(test_calls_take_turns_where_they_can),
        cmocka_unit_test(test_pauses_come_before_their_block),
        cmocka_unit_test(test_citations_in_each_dialects_words),
        cmocka_unit_test(test_what_a_script_overrides),
        cmocka_unit_test(test_bounds_hold_for_scripts),
        cmocka_unit_test(test_thoughts_and_proofs),
        cmocka_unit_test(test_many_blocks),
        cmocka_unit_test(test_bursts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
