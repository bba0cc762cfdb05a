/* SPDX-License-Identifier: Apache-2.0 */
/* Requests there and back: a random conversation in one dialect's words, sent to an upstream of
 * another, read there, and sent back: texts, pictures, tools, calls, results and what was set are
 * the same at each stop, but for what the table below says. Then tool loops: what proves reasoning
 * comes back to the provider byte by byte, through clients that know nothing of it. */
#include "dialect_test.h"

#include "base/random.h"
#include "translate_harness.h"

#define ROUNDS    1800
#define MAX_TURNS 8
#define MAX_CALLS 3
#define MAX_TOOLS 5

static bool is(const char *name, const char *other) {
    return strcmp(name, other) == 0;
}

/* ---- a conversation ---- */

struct call {
    struct slice id, args;           /* an object; a custom tool's: any text */
    unsigned tool;
};
struct turn {                        /* the user's, with results first, or the assistant's */
    bool is_assistant;
    struct slice texts[2];
    unsigned n_texts;
    const char *picture;             /* a URL; NULL: none */
    struct call calls[MAX_CALLS];
    struct slice results[MAX_CALLS];
    bool has_failed[MAX_CALLS], shows_picture[MAX_CALLS];
    unsigned n_calls;                /* results have their calls in the turn before */
};
struct tool_said {
    const char *name;
    bool is_custom, is_strict;
};
struct talk {
    uint64_t seed;
    struct rng g;
    struct arena *a;
    const char *from, *to;
    struct slice system[2];
    unsigned n_system;
    struct turn turns[MAX_TURNS];
    unsigned n;
    struct tool_said tools[MAX_TOOLS];
    unsigned n_tools, next_token, next_id;
    const char *choice;              /* auto, none, required, or NULL; "named": that tool */
    unsigned chosen;
    bool is_serial, has_schema, has_stops;
    const char *temperature, *effort;
};

#define PICTURE_DATA "data:image/png;base64,iVBORw0KGgo="
#define PICTURE_URL "https://a.example/p.png?a=1&b=%20"
#define SCHEMA                                                                                     \
    "{\"type\":\"object\",\"properties\":{\"n\":{\"type\":\"integer\",\"maximum\":"              \
    "9007199254740993,\"multipleOf\":1.50}},\"required\":[\"n\"],\"additionalProperties\":false}"
/* Of the answer: bounds of numbers would become words in a description. */
#define FORMAT                                                                                     \
    "{\"type\":\"object\",\"properties\":{\"n\":{\"type\":\"integer\",\"enum\":[9007199254740993,"       \
    "1.50]}},\"required\":[\"n\"],\"additionalProperties\":false}"

static bool dice(struct talk *t, unsigned one_in) {
    return rng_below(&t->g, one_in) == 0;
}

/* Every text has a token of its own, to be looked for on each wire. */
static struct slice new_text(struct talk *t) {
    static const char *const bits[] = {"",         " \"q\" \\", "\n\tx", "\xf0\x9f\x98\x80",
                                       "\xc3\xa9", "{\"a\":1}", "</system>", "data: x\n\nEND"};
    return slice_cstr(arena_printf(t->a, "tok%u.%s", t->next_token++, bits[rng_below(&t->g, 8)]));
}

static struct slice quoted(struct talk *t, struct slice s) {
    struct buf b;
    buf_init(&b, TEST_BYTES);
    put_quoted(&b, s);
    struct slice q = arena_dup(t->a, buf_slice(&b));
    buf_dispose(&b);
    return q;
}

#define LONG_NAME                                                                                  \
    "mcp__a_server_with_a_very_long_name__and_a_tool_of_it_whose_name_is_longer_still"

static void make_tools(struct talk *t) {
    static const char *const names[] = {"get_weather", "a.b", "a_b", "a b", LONG_NAME};
    t->n_tools = (unsigned)rng_below(&t->g, MAX_TOOLS + 1);
    for (unsigned i = 0; i < t->n_tools; i++) {
        t->tools[i] = (struct tool_said){.name = names[i]};
        t->tools[i].is_custom = !is(t->from, "messages") && i > 1 && dice(t, 2);
        t->tools[i].is_strict = !t->tools[i].is_custom && dice(t, 3);
    }
}

static void make_call(struct talk *t, struct call *c) {
    c->tool = (unsigned)rng_below(&t->g, t->n_tools);
    c->id = slice_cstr(
        arena_printf(t->a, "%s%u", dice(t, 4) ? "call:\xc3\xa9/" : "toolu_", t->next_id++));
    c->args = new_text(t);
    if (!t->tools[c->tool].is_custom)
        c->args = slice_cstr(arena_printf(t->a, "{\"n\":9007199254740993,\"f\":1.50e+2,\"t\":%.*s}",
                                          SLICE_FMT(quoted(t, c->args))));
}

static void make_result(struct talk *t, struct turn *user, unsigned i) {
    bool has_pictures = is(t->from, "responses") && is(t->to, "messages");
    user->results[i] = dice(t, 6) ? SLICE("") : new_text(t);
    user->has_failed[i] = is(t->from, "messages") && user->results[i].len > 0 && dice(t, 4);
    if (is(t->from, "messages") && is(t->to, "responses")) has_pictures = true;
    user->shows_picture[i] = has_pictures && user->results[i].len > 0 && dice(t, 3);
}

static void make_turns(struct talk *t) {
    t->n = 1 + 2 * (unsigned)rng_below(&t->g, MAX_TURNS / 2);
    for (unsigned i = 0; i < t->n; i++) {
        struct turn *m = &t->turns[i];
        *m = (struct turn){.is_assistant = i % 2 == 1};
        if (m->is_assistant && t->n_tools > 0)
            m->n_calls = (unsigned)rng_below(&t->g, MAX_CALLS + 1);
        for (unsigned k = 0; k < m->n_calls; k++) make_call(t, &m->calls[k]);
        bool has_results = i > 0 && !m->is_assistant && t->turns[i - 1].n_calls > 0;
        if (has_results) m->n_calls = t->turns[i - 1].n_calls;
        for (unsigned k = 0; has_results && k < m->n_calls; k++) make_result(t, m, k);
        m->n_texts = m->n_calls > 0 ? (unsigned)rng_below(&t->g, 3) : 1u + dice(t, 2);
        for (unsigned k = 0; k < m->n_texts; k++) m->texts[k] = new_text(t);
        if (!m->is_assistant && dice(t, 3)) m->picture = dice(t, 2) ? PICTURE_DATA : PICTURE_URL;
    }
}

static void make_talk(struct talk *t, uint64_t seed, const char *from, const char *to) {
    static const char *const efforts[] = {"low", "medium", "high"};
    static const char *const choices[] = {NULL, "auto", "none", "required", "named"};
    *t = (struct talk){.seed = seed, .a = arena_new(), .from = from, .to = to};
    rng_seed(&t->g, seed);
    t->n_system = (unsigned)rng_below(&t->g, 3);
    for (unsigned i = 0; i < t->n_system; i++) t->system[i] = new_text(t);
    make_tools(t);
    make_turns(t);
    if (t->n_tools > 0) t->choice = choices[rng_below(&t->g, 5)];
    if (t->n_tools > 0) t->chosen = (unsigned)rng_below(&t->g, t->n_tools);
    if (t->tools[t->chosen].is_custom) t->chosen = 0;
    t->is_serial = t->n_tools > 0 && dice(t, 3) && !(t->choice && is(t->choice, "none"));
    t->has_schema = dice(t, 3);
    t->has_stops = !is(from, "responses") && dice(t, 3);
    /* who forces a call, or sets the temperature, does not get thoughts of Claude's */
    bool is_forced = t->choice && (is(t->choice, "required") || is(t->choice, "named"));
    if (!t->has_schema && dice(t, 2)) t->temperature = "0.70";
    else if (!is_forced && dice(t, 2)) t->effort = efforts[rng_below(&t->g, 3)];
}

/* ---- in a dialect's words ---- */

#define ADD(b, ...) assert_int_equal(buf_appendf(b, __VA_ARGS__), 0)
#define Q(t, s) SLICE_FMT(quoted(t, s))

static void write_chat_parts(struct talk *t, const struct turn *m, struct buf *b) {
    ADD(b, "[");
    for (unsigned i = 0; i < m->n_texts; i++)
        ADD(b, "%s{\"type\":\"text\",\"text\":%.*s}", i ? "," : "", Q(t, m->texts[i]));
    if (m->picture)
        ADD(b, "%s{\"type\":\"image_url\",\"image_url\":{\"url\":\"%s\"}}", m->n_texts ? "," : "",
            m->picture);
    ADD(b, "]");
}

static void write_chat_calls(struct talk *t, const struct turn *m, struct buf *b) {
    if (m->n_calls > 0) ADD(b, ",\"tool_calls\":[");
    for (unsigned i = 0; i < m->n_calls; i++) {
        const struct call *c = &m->calls[i];
        bool is_custom = t->tools[c->tool].is_custom;
        ADD(b, "%s{\"id\":%.*s,\"type\":\"%s\",\"%s\":{\"name\":\"%s\",\"%s\":%.*s}}", i ? "," : "",
            Q(t, c->id), is_custom ? "custom" : "function", is_custom ? "custom" : "function",
            t->tools[c->tool].name, is_custom ? "input" : "arguments", Q(t, c->args));
    }
    if (m->n_calls > 0) ADD(b, "]");
}

static void write_chat_turn(struct talk *t, unsigned at, struct buf *b) {
    const struct turn *m = &t->turns[at];
    for (unsigned i = 0; !m->is_assistant && i < m->n_calls; i++)
        ADD(b, ",{\"role\":\"tool\",\"tool_call_id\":%.*s,\"content\":%.*s}",
            Q(t, t->turns[at - 1].calls[i].id), Q(t, m->results[i]));
    if (!m->is_assistant && m->n_texts == 0 && !m->picture) return;
    ADD(b, ",{\"role\":\"%s\",\"content\":", m->is_assistant ? "assistant" : "user");
    if (m->n_texts == 0 && m->is_assistant) ADD(b, "null");
    else write_chat_parts(t, m, b);
    if (m->is_assistant) write_chat_calls(t, m, b);
    ADD(b, "}");
}

static void write_chat_settings(struct talk *t, struct buf *b) {
    if (t->n_tools > 0) ADD(b, ",\"tools\":[");
    for (unsigned i = 0; i < t->n_tools; i++) {
        if (t->tools[i].is_custom)
            ADD(b, "%s{\"type\":\"custom\",\"custom\":{\"name\":\"%s\",\"description\":\"d%u\"}}",
                i ? "," : "", t->tools[i].name, i);
        else
            ADD(b,
                "%s{\"type\":\"function\",\"function\":{\"name\":\"%s\",\"description\":\"d%u\","
                "\"parameters\":" SCHEMA "%s}}",
                i ? "," : "", t->tools[i].name, i, t->tools[i].is_strict ? ",\"strict\":true" : "");
    }
    if (t->n_tools > 0) ADD(b, "]");
    if (t->choice && is(t->choice, "named"))
        ADD(b, ",\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":\"%s\"}}",
            t->tools[t->chosen].name);
    else if (t->choice) ADD(b, ",\"tool_choice\":\"%s\"", t->choice);
    if (t->is_serial) ADD(b, ",\"parallel_tool_calls\":false");
    if (t->has_stops) ADD(b, ",\"stop\":[\"END\",\"\xe2\x82\xac\"]");
    if (t->temperature) ADD(b, ",\"temperature\":%s", t->temperature);
    if (t->effort) ADD(b, ",\"reasoning_effort\":\"%s\"", t->effort);
    if (t->has_schema)
        ADD(b, ",\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"s\","
               "\"schema\":" FORMAT "}}");
}

static void write_chat(struct talk *t, struct buf *b) {
    ADD(b, "{\"model\":\"m\",\"max_completion_tokens\":30000,\"messages\":[");
    for (unsigned i = 0; i < t->n_system; i++)
        ADD(b, "%s{\"role\":\"system\",\"content\":%.*s}", i ? "," : "", Q(t, t->system[i]));
    size_t at = b->len;
    for (unsigned i = 0; i < t->n; i++) write_chat_turn(t, i, b);
    if (t->n_system == 0) b->ptr[at] = ' '; /* the first comma */
    ADD(b, "]");
    write_chat_settings(t, b);
    ADD(b, "}");
}

static void write_item_parts(struct talk *t, const struct turn *m, struct buf *b) {
    for (unsigned i = 0; i < m->n_texts; i++)
        ADD(b, "%s{\"type\":\"%s\",\"text\":%.*s%s}", i ? "," : "",
            m->is_assistant ? "output_text" : "input_text", Q(t, m->texts[i]),
            m->is_assistant ? ",\"annotations\":[]" : "");
    if (m->picture)
        ADD(b, "%s{\"type\":\"input_image\",\"image_url\":\"%s\",\"detail\":\"auto\"}",
            m->n_texts ? "," : "", m->picture);
}

static void write_output(struct talk *t, unsigned at, unsigned i, struct buf *b) {
    const struct turn *m = &t->turns[at];
    const struct call *c = &t->turns[at - 1].calls[i];
    ADD(b, ",{\"type\":\"%s\",\"call_id\":%.*s,\"output\":",
        t->tools[c->tool].is_custom ? "custom_tool_call_output" : "function_call_output",
        Q(t, c->id));
    if (m->shows_picture[i])
        ADD(b,
            "[{\"type\":\"input_text\",\"text\":%.*s},{\"type\":\"input_image\",\"image_url\":"
            "\"" PICTURE_DATA "\"}]}",
            Q(t, m->results[i]));
    else
        ADD(b, "%.*s}", Q(t, m->results[i]));
}

static void write_items(struct talk *t, unsigned at, struct buf *b) {
    const struct turn *m = &t->turns[at];
    for (unsigned i = 0; !m->is_assistant && i < m->n_calls; i++) write_output(t, at, i, b);
    if (m->n_texts > 0 || m->picture) {
        ADD(b, ",{\"type\":\"message\",\"role\":\"%s\",\"content\":[",
            m->is_assistant ? "assistant" : "user");
        write_item_parts(t, m, b);
        ADD(b, "]}");
    }
    for (unsigned i = 0; m->is_assistant && i < m->n_calls; i++) {
        const struct call *c = &m->calls[i];
        bool is_custom = t->tools[c->tool].is_custom;
        ADD(b, ",{\"type\":\"%s\",\"call_id\":%.*s,\"name\":\"%s\",\"%s\":%.*s}",
            is_custom ? "custom_tool_call" : "function_call", Q(t, c->id), t->tools[c->tool].name,
            is_custom ? "input" : "arguments", Q(t, c->args));
    }
}

static void write_responses_settings(struct talk *t, struct buf *b) {
    if (t->n_tools > 0) ADD(b, ",\"tools\":[");
    for (unsigned i = 0; i < t->n_tools; i++) {
        if (t->tools[i].is_custom)
            ADD(b, "%s{\"type\":\"custom\",\"name\":\"%s\",\"description\":\"d%u\"}", i ? "," : "",
                t->tools[i].name, i);
        else
            ADD(b,
                "%s{\"type\":\"function\",\"name\":\"%s\",\"description\":\"d%u\",\"parameters\":"
                SCHEMA ",\"strict\":%s}",
                i ? "," : "", t->tools[i].name, i, t->tools[i].is_strict ? "true" : "false");
    }
    if (t->n_tools > 0) ADD(b, "]");
    if (t->choice && is(t->choice, "named"))
        ADD(b, ",\"tool_choice\":{\"type\":\"function\",\"name\":\"%s\"}",
            t->tools[t->chosen].name);
    else if (t->choice) ADD(b, ",\"tool_choice\":\"%s\"", t->choice);
    if (t->is_serial) ADD(b, ",\"parallel_tool_calls\":false");
    if (t->temperature) ADD(b, ",\"temperature\":%s", t->temperature);
    if (t->effort) ADD(b, ",\"reasoning\":{\"effort\":\"%s\"}", t->effort);
    if (t->has_schema)
        ADD(b, ",\"text\":{\"format\":{\"type\":\"json_schema\",\"name\":\"s\",\"schema\":" FORMAT
               "}}");
}

static void write_responses(struct talk *t, struct buf *b) {
    ADD(b, "{\"model\":\"m\",\"max_output_tokens\":30000,\"input\":[");
    size_t at = b->len;
    for (unsigned i = 0; i < t->n_system; i++)
        ADD(b, ",{\"role\":\"developer\",\"content\":%.*s}", Q(t, t->system[i]));
    for (unsigned i = 0; i < t->n; i++) write_items(t, i, b);
    b->ptr[at] = ' ';
    ADD(b, "]");
    write_responses_settings(t, b);
    ADD(b, "}");
}

static const char *source_of(const char *picture) {
    return is(picture, PICTURE_URL)
               ? "{\"type\":\"image\",\"source\":{\"type\":\"url\",\"url\":\"" PICTURE_URL "\"}}"
               : "{\"type\":\"image\",\"source\":{\"type\":\"base64\",\"media_type\":\"image/png\","
                 "\"data\":\"iVBORw0KGgo=\"}}";
}

static void write_blocks(struct talk *t, unsigned at, struct buf *b) {
    const struct turn *m = &t->turns[at];
    for (unsigned i = 0; !m->is_assistant && i < m->n_calls; i++) {
        ADD(b, ",{\"type\":\"tool_result\",\"tool_use_id\":%.*s,\"content\":[",
            Q(t, t->turns[at - 1].calls[i].id));
        if (m->results[i].len > 0)
            ADD(b, "{\"type\":\"text\",\"text\":%.*s}", Q(t, m->results[i]));
        if (m->shows_picture[i]) ADD(b, ",%s", source_of(PICTURE_DATA));
        ADD(b, "]%s}", m->has_failed[i] ? ",\"is_error\":true" : "");
    }
    for (unsigned i = 0; i < m->n_texts; i++)
        ADD(b, ",{\"type\":\"text\",\"text\":%.*s}", Q(t, m->texts[i]));
    if (m->picture) ADD(b, ",%s", source_of(m->picture));
    for (unsigned i = 0; m->is_assistant && i < m->n_calls; i++)
        ADD(b, ",{\"type\":\"tool_use\",\"id\":%.*s,\"name\":\"%s\",\"input\":%.*s}",
            Q(t, m->calls[i].id), t->tools[m->calls[i].tool].name, SLICE_FMT(m->calls[i].args));
}

static void write_messages_settings(struct talk *t, struct buf *b) {
    const char *serial = t->is_serial ? ",\"disable_parallel_tool_use\":true" : "";
    if (t->n_tools > 0) ADD(b, ",\"tools\":[");
    for (unsigned i = 0; i < t->n_tools; i++)
        ADD(b, "%s{\"name\":\"%s\",\"description\":\"d%u\",\"input_schema\":" SCHEMA "%s}",
            i ? "," : "", t->tools[i].name, i, t->tools[i].is_strict ? ",\"strict\":true" : "");
    if (t->n_tools > 0) ADD(b, "]");
    if (t->choice && is(t->choice, "named"))
        ADD(b, ",\"tool_choice\":{\"type\":\"tool\",\"name\":\"%s\"%s}", t->tools[t->chosen].name,
            serial);
    else if (t->choice || t->is_serial)
        ADD(b, ",\"tool_choice\":{\"type\":\"%s\"%s}",
            !t->choice || is(t->choice, "auto") ? "auto" : is(t->choice, "none") ? "none" : "any",
            serial);
    if (t->has_stops) ADD(b, ",\"stop_sequences\":[\"END\",\"\xe2\x82\xac\"]");
    if (t->temperature) ADD(b, ",\"temperature\":%s", t->temperature);
    if (t->effort || t->has_schema) ADD(b, ",\"output_config\":{");
    if (t->effort) ADD(b, "\"effort\":\"%s\"", t->effort);
    if (t->has_schema)
        ADD(b, "%s\"format\":{\"type\":\"json_schema\",\"schema\":" FORMAT "}",
            t->effort ? "," : "");
    if (t->effort || t->has_schema) ADD(b, "}");
    if (t->effort) ADD(b, ",\"thinking\":{\"type\":\"adaptive\"}");
}

static void write_messages(struct talk *t, struct buf *b) {
    ADD(b, "{\"model\":\"m\",\"max_tokens\":30000,\"system\":[");
    for (unsigned i = 0; i < t->n_system; i++)
        ADD(b, "%s{\"type\":\"text\",\"text\":%.*s}", i ? "," : "", Q(t, t->system[i]));
    ADD(b, "],\"messages\":[");
    for (unsigned i = 0; i < t->n; i++) {
        ADD(b, "%s{\"role\":\"%s\",\"content\":[", i ? "," : "",
            t->turns[i].is_assistant ? "assistant" : "user");
        size_t at = b->len;
        write_blocks(t, i, b);
        if (b->len > at) b->ptr[at] = ' ';
        ADD(b, "]}");
    }
    ADD(b, "]");
    write_messages_settings(t, b);
    ADD(b, "}");
}

/* ---- what a request says, whatever its dialect ---- */

struct told {
    struct talk *t;
    const struct llm_request *rq;
    struct buf *out;
    struct slice ids[64];            /* of calls, in order */
    unsigned n_calls;
    bool in_system;
};

static void tell_text(struct told *x, const char *what, struct slice s) {
    ADD(x->out, "%s: %.*s\n", what, SLICE_FMT(s));
}

static void tell_picture(struct told *x, const struct part *p) {
    static const char data[] = "data:";
    if (p->url.len > 0 && !slice_starts_with(p->url, slice_cstr(data)))
        tell_text(x, "picture", p->url);
    else if (p->url.len > 0)
        tell_text(x, "picture", p->url);
    else
        ADD(x->out, "picture: data:%.*s;base64,%.*s\n", SLICE_FMT(p->media_type),
            SLICE_FMT(p->encoded));
}

/* By its place among the tools: names may have been made to fit. */
static unsigned tool_index(const struct llm_request *rq, struct slice name) {
    unsigned n = 0;
    for (const struct tool *tool = rq->tools; tool; tool = tool->next, n++) {
        if (slice_eq(tool->name, name)) return n;
    }
    return 99;
}

static bool is_call(const struct part *p) {
    return p->kind == PART_TOOL_CALL || p->kind == PART_CUSTOM_TOOL_CALL;
}

static void tell_call(struct told *x, const struct part *p) {
    bool is_custom = p->kind == PART_CUSTOM_TOOL_CALL;
    assert_true(x->n_calls < 64);
    x->ids[x->n_calls++] = p->id;
    ADD(x->out, "call %u of tool %u: ", x->n_calls, tool_index(x->rq, p->name));
    if (is_custom) ADD(x->out, "{\"input\":%.*s}\n", Q(x->t, p->text));
    else ADD(x->out, "%.*s\n", SLICE_FMT(p->text));
}

static void tell_result(struct told *x, const struct part *p) {
    unsigned n = x->n_calls;
    while (n > 0 && !slice_eq(x->ids[n - 1], p->id)) n--;
    ADD(x->out, "result %u: %s%.*s", n, p->is_error ? "Error: " : "", SLICE_FMT(p->text));
    for (unsigned i = 0; i < p->n_inner; i++) {
        if (p->inner[i].kind == PART_TEXT) ADD(x->out, "%.*s", SLICE_FMT(p->inner[i].text));
    }
    ADD(x->out, "\n");
    for (unsigned i = 0; i < p->n_inner; i++) {
        if (p->inner[i].kind == PART_IMAGE) tell_picture(x, &p->inner[i]);
    }
}

/* An assistant's texts may become one, and instructions, too. */
static void tell_message(struct told *x, const struct message *m) {
    bool is_system = m->role == ROLE_SYSTEM || m->role == ROLE_DEVELOPER;
    bool is_assistant = m->role == ROLE_ASSISTANT;
    if (is_assistant) ADD(x->out, "assistant: ");
    for (unsigned i = 0; i < m->n_parts; i++) {
        const struct part *p = &m->parts[i];
        if (p->kind != PART_TEXT) continue;
        if (is_system) {
            ADD(x->out, "%s%.*s", x->in_system ? "\n" : "system: ", SLICE_FMT(p->text));
            x->in_system = true;
        } else if (is_assistant) {
            ADD(x->out, "%.*s", SLICE_FMT(p->text));
        }
    }
    if (x->in_system && !is_system) ADD(x->out, "\n"), x->in_system = false;
    if (is_assistant) ADD(x->out, "\n");
    for (unsigned i = 0; i < m->n_parts; i++) {
        const struct part *p = &m->parts[i];
        if (is_call(p)) tell_call(x, p);
        else if (p->kind == PART_TOOL_RESULT) tell_result(x, p);
        else if (p->kind == PART_IMAGE) tell_picture(x, p);
        else if (p->kind == PART_TEXT && !is_system && !is_assistant) tell_text(x, "user", p->text);
        else if (p->kind != PART_TEXT) fail_msg("a part of kind %d", (int)p->kind);
    }
}

static const char *effort_word(const struct reasoning_ask *r, struct talk *t) {
    if (r->effort.len > 0) return arena_printf(t->a, "%.*s", SLICE_FMT(r->effort));
    if (r->thinking != THINKING_BUDGET) return "";
    return r->budget_tokens >= 4096 ? "high" : r->budget_tokens >= 2048 ? "medium" : "low";
}

static void tell_settings(struct told *x) {
    const struct llm_request *rq = x->rq;
    enum tool_choice_kind choice = rq->tool_choice;
    unsigned n = 0;
    for (const struct tool *tool = rq->tools; tool; tool = tool->next) {
        bool is_custom = n < x->t->n_tools && x->t->tools[n].is_custom;
        ADD(x->out, "tool %u: %.*s %d %.*s\n", n++, SLICE_FMT(tool->description), tool->strict == 1,
            SLICE_FMT(is_custom ? SLICE_NULL : tool->parameters));
    }
    /* what is not said is auto */
    if (choice == TOOL_CHOICE_ABSENT) choice = TOOL_CHOICE_AUTO;
    ADD(x->out, "choice %d %d, serial %d, cap %lld, temperature %.*s, effort %s, schema %.*s\n",
        (int)choice, choice == TOOL_CHOICE_NAMED ? (int)tool_index(rq, rq->tool_choice_name) : -1,
        rq->parallel_tools == 0, (long long)rq->env.max_tokens, SLICE_FMT(rq->temperature),
        effort_word(&rq->reasoning, x->t), SLICE_FMT(rq->format.schema));
}

static void tell(struct talk *t, const struct llm_request *rq, struct told *x, struct buf *out) {
    *x = (struct told){.t = t, .rq = rq, .out = out};
    for (const struct message *m = rq->messages; m; m = m->next) tell_message(x, m);
    tell_settings(x);
}

/* ---- there and back ---- */

static const char *preset_of(const struct talk *t, const char *dialect) {
    if (is(dialect, "chat")) return "openai";
    if (is(dialect, "responses")) return "responses";
    return t->temperature ? "messages" : "anthropic"; /* who knows the one, and who the other */
}

static void fail_at(const struct talk *t, const char *what, const char *why, struct slice body) {
    fail_msg("seed %llu, %s to %s, %s: %s\n%.*s", (unsigned long long)t->seed, t->from, t->to, what,
             why, SLICE_FMT(body));
}

static void read_request(struct talk *t, const char *dialect, struct slice body, struct told *x,
                         struct buf *out) {
    struct request_fault fault = {.message = ""};
    struct llm_request *rq = arena_alloc(t->a, sizeof *rq);
    if (dialect_find(slice_cstr(dialect))->decode_request(body, t->a, rq, &fault))
        fail_at(t, dialect, fault.message, body);
    tell(t, rq, x, out);
}

/* Stops that the upstream is told and those that are looked for in its answer. */
static void check_stops(const struct talk *t, const struct harness *h) {
    static const char *const stops[] = {"END", "\xe2\x82\xac"};
    unsigned n = h->rq.n_stop + h->t->n_stops;
    assert_int_equal(n, t->has_stops ? 2 : 0);
    for (unsigned i = 0; i < n; i++)
        assert_slices(i < h->rq.n_stop ? h->rq.stop[i] : h->t->stops[i - h->rq.n_stop],
                      slice_cstr(stops[i]));
    assert_true(!is(t->to, "responses") || h->rq.n_stop == 0);
}

static void check_tokens(const struct talk *t, struct slice wire) {
    for (unsigned i = 0; i < t->next_token; i++) {
        char token[32];
        snprintf(token, sizeof token, "tok%u.", i);
        if (!memmem(wire.ptr, wire.len, token, strlen(token)))
            fail_at(t, "lost", token, wire);
    }
}

static bool is_word(struct slice id) {
    for (size_t i = 0; i < id.len; i++) {
        if (!strchr("abcdefghijklmnopqrstuvwxyz_0123456789", id.ptr[i])) return false;
    }
    return true;
}

/* Ids go as they are, where the upstream takes any, or takes these. */
static void check_ids(const struct talk *t, const struct told *before, const struct told *after) {
    assert_int_equal(before->n_calls, after->n_calls);
    for (unsigned i = 0; i < before->n_calls; i++) {
        if (is_word(before->ids[i]) || !is(t->to, "messages"))
            assert_slices(after->ids[i], before->ids[i]);
        else
            assert_true(is_word(slice_sub(after->ids[i], 0, 4)));
    }
}

static void assert_same(const struct talk *t, const char *what, const struct buf *got,
                        const struct buf *expected, struct slice wire) {
    if (slice_eq(buf_slice(got), buf_slice(expected))) return;
    print_error("seed %llu, %s to %s, %s:\n%.*s\n", (unsigned long long)t->seed, t->from, t->to,
                what, SLICE_FMT(wire));
    assert_slices(buf_slice(got), buf_slice(expected));
}

static void check_round(uint64_t seed, const char *from, const char *to) {
    struct buf body, there, back, said, heard, again;
    struct buf *const all[] = {&body, &there, &back, &said, &heard, &again};
    struct request_fault fault = {.message = ""};
    struct told of_said, of_heard, of_again;
    struct harness h;
    struct talk t;
    for (size_t i = 0; i < 6; i++) buf_init(all[i], TEST_BYTES);
    make_talk(&t, seed, from, to);
    if (is(from, "chat")) write_chat(&t, &body);
    else if (is(from, "responses")) write_responses(&t, &body);
    else write_messages(&t, &body);
    read_request(&t, from, buf_slice(&body), &of_said, &said);
    if (harness_open(&h, from, to, preset_of(&t, to), buf_slice(&body), &there, &fault))
        fail_at(&t, "there", fault.message, buf_slice(&body));
    check_tokens(&t, buf_slice(&there));
    check_stops(&t, &h);
    harness_close(&h);
    read_request(&t, to, buf_slice(&there), &of_heard, &heard);
    assert_same(&t, "there", &heard, &said, buf_slice(&there));
    check_ids(&t, &of_said, &of_heard);
    if (harness_open(&h, to, from, preset_of(&t, from), buf_slice(&there), &back, &fault))
        fail_at(&t, "back", fault.message, buf_slice(&there));
    check_tokens(&t, buf_slice(&back));
    harness_close(&h);
    read_request(&t, from, buf_slice(&back), &of_again, &again);
    assert_same(&t, "back", &again, &said, buf_slice(&back));
    for (size_t i = 0; i < 6; i++) buf_dispose(all[i]);
    arena_free(t.a);
}

static void requests_go_there_and_back(void **state) {
    static const char *const pairs[6][2] = {{"chat", "responses"},     {"chat", "messages"},
                                            {"responses", "chat"},     {"responses", "messages"},
                                            {"messages", "responses"}, {"messages", "chat"}};
    const char *only = getenv("PENSTOCK_TEST_SEED");
    (void)state;
    for (uint64_t seed = 0; seed < ROUNDS; seed++) {
        if (only && strtoull(only, NULL, 10) != seed) continue;
        check_round(seed, pairs[seed % 6][0], pairs[seed % 6][1]);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(requests_go_there_and_back)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
