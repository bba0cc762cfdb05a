/* SPDX-License-Identifier: Apache-2.0 */
/* Random answers of every upstream dialect for clients of every dialect: the client's grammar
 * holds, the client reads what was said as far as its dialect can carry it, streamed or whole,
 * however the stream was cut. What each dialect carries is written down here once more, beside the
 * code. */
#include "dialect_test.h"

#include "base/random.h"
#include "dialect/proof.h"
#include "translate_harness.h"

#define ROUNDS     3600
#define MAX_SAYS   12
#define MAX_PIECES 6
#define MAX_EVENTS 300

/* ---- what is said ---- */

enum says { SAYS_TEXT, SAYS_REFUSAL, SAYS_THOUGHT, SAYS_SEALED, SAYS_CALL, SAYS_CUSTOM };
struct said {
    enum says what;
    struct slice pieces[MAX_PIECES], text;   /* text: all pieces; of a thought: parts apart */
    unsigned n_pieces, part_before;          /* a thought's second part begins with it; 0: none */
    struct slice id, name, own_name;         /* a call's name as the client knows it */
    struct slice proof, item_id;
    bool is_declared_custom, has_citation;
    int64_t from, to;                        /* of the citation */
};
struct answer_said {
    struct said list[MAX_SAYS];
    unsigned n;
    struct finish finish;
    bool has_usage;
    struct usage usage;
};

struct pair {
    uint64_t seed;
    struct rng g;
    struct arena *a;
    const char *from, *to, *preset;
    struct harness h;
    struct answer_said said;
    bool wants_usage;
};

static bool is(const char *name, const char *other) {
    return strcmp(name, other) == 0;
}

static bool dice(struct pair *p, unsigned one_in) {
    return rng_below(&p->g, one_in) == 0;
}

/* ---- random things to say ---- */

static struct slice random_piece(struct pair *p) {
    static const char *const bits[] = {
        "a",    " whale",  "\"",      "\\",           "\n",           "\xc3\xa9", "\xe2\x82\xac",
        "{\"",  "}",       "\t\x01",  "\xf0\x9f\x98\x80", "\xe2\x80\xa8", "\x7f",     "\xef\xbf\xbf",
        "data: [DONE]\n\n", "\"}}\n\nevent: message_stop", "\xf4\x8f\xbf\xbf", "  ", "/", "\\u0041"};
    struct buf b;
    buf_init(&b, 4096);
    for (uint64_t n = 1 + rng_below(&p->g, 5); n > 0; n--)
        put(&b, slice_cstr(bits[rng_below(&p->g, sizeof bits / sizeof *bits)]));
    struct slice s = arena_dup(p->a, buf_slice(&b));
    buf_dispose(&b);
    return s;
}

static struct slice join(struct pair *p, const struct said *s) {
    struct buf b;
    buf_init(&b, TEST_BYTES);
    for (unsigned i = 0; i < s->n_pieces; i++) {
        if (s->part_before > 0 && i == s->part_before) put(&b, SLICE("\n\n"));
        put(&b, s->pieces[i]);
    }
    struct slice text = arena_dup(p->a, buf_slice(&b));
    buf_dispose(&b);
    return text;
}

/* A letter first: text that is nothing but blanks may be left out between calls. */
static void say_pieces(struct pair *p, struct said *s, unsigned least) {
    s->n_pieces = least + (unsigned)rng_below(&p->g, MAX_PIECES - least);
    for (unsigned i = 0; i < s->n_pieces; i++) s->pieces[i] = random_piece(p);
    if (s->n_pieces > 0) s->pieces[0] = SLICE("T");
    s->text = join(p, s);
}

static struct said *say(struct pair *p, enum says what) {
    assert_true(p->said.n < MAX_SAYS);
    struct said *s = &p->said.list[p->said.n++];
    *s = (struct said){.what = what};
    return s;
}

static int64_t code_points(struct slice s) {
    int64_t n = 0;
    for (size_t i = 0; i < s.len; i++) n += ((unsigned char)s.ptr[i] & 0xc0) != 0x80;
    return n;
}

static void say_text(struct pair *p) {
    struct said *s = say(p, SAYS_TEXT);
    say_pieces(p, s, 1);
    s->has_citation = dice(p, 3);
    s->from = 0;
    s->to = code_points(s->pieces[0]);
}

static struct slice random_proof(struct pair *p) {
    static const char *const proofs[] = {"c2lnbmF0dXJl", "EqQB+/8=", "a", "\xc3\xa9\"\\\n,{}"};
    return slice_cstr(proofs[rng_below(&p->g, 4)]);
}

static bool has_proofs(const struct pair *p) {
    return !is(p->to, "chat") || is(p->preset, "openrouter");
}

static void say_thought(struct pair *p) {
    struct said *s = say(p, SAYS_THOUGHT);
    bool is_proved = has_proofs(p) && !dice(p, 3);
    say_pieces(p, s, is_proved && !is(p->to, "chat") ? 0 : 1);
    if (is_proved) s->proof = random_proof(p);
    if (!is(p->to, "responses")) return;
    s->item_id = slice_cstr(arena_printf(p->a, "rs_%u", p->said.n));
    if (s->n_pieces > 2 && dice(p, 2)) s->part_before = 2;
    s->text = join(p, s);
}

static void say_sealed(struct pair *p) {
    struct said *s = say(p, SAYS_SEALED);
    s->proof = random_proof(p);
}

/* Arguments that are an object, spelt as nobody else would; with nothing behind it. */
static struct slice random_object(struct pair *p) {
    static const char *const members[] = {"\"n\":9007199254740993", "\"f\":1.50E+2", "\"l\":[{},[]]",
                                          "\"o\": {\"a\" :null}",   "\"\\u00e9\":\"\\ud83d\\ude00\""};
    struct buf b;
    buf_init(&b, 4096);
    put(&b, SLICE("{"));
    for (uint64_t n = rng_below(&p->g, 4), i = 0; i < n; i++)
        assert_int_equal(buf_appendf(&b, "\"%llu\":[{%s}],", (unsigned long long)i,
                                     members[rng_below(&p->g, 5)]),
                         0);
    put(&b, SLICE("\"t\":"));
    put_quoted(&b, random_piece(p));
    put(&b, SLICE("}"));
    struct slice s = arena_dup(p->a, buf_slice(&b));
    buf_dispose(&b);
    return s;
}

static void cut_pieces(struct pair *p, struct said *s, struct slice text) {
    s->text = text;
    s->n_pieces = 0;
    while (text.len > 0) {
        size_t n = s->n_pieces == MAX_PIECES - 1 ? text.len : 1 + (size_t)rng_below(&p->g, 30);
        while (n < text.len && ((unsigned char)text.ptr[n] & 0xc0) == 0x80) n++;
        s->pieces[s->n_pieces++] = slice_sub(text, 0, n);
        text = slice_from(text, n);
    }
}

static struct slice random_args(struct pair *p) {
    static const char *const odd[] = {"", "12", "[1,\"{\"]", "nope", "\"s\"", " {\"a\":1}\n", "{}"};
    bool may_be_odd = !is(p->to, "messages");
    return may_be_odd && dice(p, 3) ? slice_cstr(odd[rng_below(&p->g, 7)]) : random_object(p);
}

/* One of the names that the upstream was told, or one that nobody declared. */
static void name_call(struct pair *p, struct said *s) {
    const struct tool_name *n = p->h.t->names;
    bool is_custom = s->what == SAYS_CUSTOM;
    s->name = s->own_name = is_custom ? SLICE("free_text") : SLICE("unheard_of");
    for (; n; n = n->next) {
        bool is_sent_custom = n->kind == TOOL_CUSTOM && !n->is_custom;
        if (is_sent_custom != is_custom || dice(p, 3)) continue;
        s->name = n->sent;
        s->own_name = n->name;
        s->is_declared_custom = n->kind == TOOL_CUSTOM;
        return;
    }
}

static struct slice as_input(struct pair *p, struct slice text) {
    struct buf b;
    buf_init(&b, TEST_BYTES);
    put(&b, SLICE("{\"input\":"));
    put_quoted(&b, text);
    put(&b, SLICE("}"));
    struct slice s = arena_dup(p->a, buf_slice(&b));
    buf_dispose(&b);
    return s;
}

static void say_call(struct pair *p, enum says what) {
    struct said *s = say(p, what);
    s->id =
        slice_cstr(arena_printf(p->a, "%s_%u", dice(p, 2) ? "call" : "toolu.\xc3\xa9", p->said.n));
    if (is(p->to, "responses")) s->item_id = slice_cstr(arena_printf(p->a, "fc_%u", p->said.n));
    name_call(p, s);
    if (what == SAYS_CUSTOM) say_pieces(p, s, 0);
    else cut_pieces(p, s, s->is_declared_custom ? as_input(p, random_piece(p)) : random_args(p));
}

static void say_usage(struct pair *p) {
    struct usage *u = &p->said.usage;
    p->said.has_usage = is(p->to, "messages") || dice(p, 2);
    u->cache_read = (int64_t)rng_below(&p->g, 50);
    u->cache_write = (int64_t)rng_below(&p->g, 50);
    u->in_total = u->cache_read + u->cache_write + (int64_t)rng_below(&p->g, 1000);
    u->reasoning = (int64_t)rng_below(&p->g, 20);
    u->out_total = u->reasoning + INT64_C(4503599627370497);
    if (dice(p, 2)) u->out_total = u->reasoning + 7;
}

static bool says_any(const struct answer_said *a, enum says what, enum says or_what) {
    for (unsigned i = 0; i < a->n; i++) {
        if (a->list[i].what == what || a->list[i].what == or_what) return true;
    }
    return false;
}

static void say_finish(struct pair *p) {
    static const struct finish of_chat[] = {{.reason = STOP_LENGTH, .wire = {"length", 6}},
                                            {.reason = STOP_FILTER, .wire = {"content_filter", 14}}},
                               of_responses[] = {
                                   {.reason = STOP_LENGTH, .wire = {"max_output_tokens", 17}},
                                   {.reason = STOP_FILTER, .wire = {"content_filter", 14}}},
                               of_messages[] = {
                                   {.reason = STOP_LENGTH, .wire = {"max_tokens", 10}},
                                   {.reason = STOP_FILTER, .wire = {"refusal", 7}},
                                   {.reason = STOP_PAUSE, .wire = {"pause_turn", 10}},
                                   {.reason = STOP_SEQUENCE, .wire = {"stop_sequence", 13},
                                    .stop_sequence = {"\xc3\xa9\n", 3}}};
    bool has_call = says_any(&p->said, SAYS_CALL, SAYS_CUSTOM), is_chat = is(p->to, "chat");
    struct finish *f = &p->said.finish;
    if (dice(p, 2)) {
        *f = is_chat                    ? of_chat[rng_below(&p->g, 2)]
             : is(p->to, "responses") ? of_responses[rng_below(&p->g, 2)]
                                        : of_messages[rng_below(&p->g, 4)];
        return;
    }
    f->reason = has_call && !dice(p, 3) ? STOP_TOOL : STOP_END;
    if (is(p->to, "responses")) f->wire = SLICE("completed");
    else if (f->reason == STOP_TOOL) f->wire = is_chat ? SLICE("tool_calls") : SLICE("tool_use");
    else f->wire = is_chat ? SLICE("stop") : SLICE("end_turn");
}

/* Chat says each kind once, and in this order. */
static void say_as_chat(struct pair *p) {
    if (dice(p, 2)) say_thought(p);
    if (has_proofs(p) && dice(p, 3)) say_sealed(p);
    if (!dice(p, 3)) say_text(p);
    if (dice(p, 5)) {
        struct said *s = say(p, SAYS_REFUSAL);
        say_pieces(p, s, 1);
    }
    for (uint64_t n = rng_below(&p->g, 4); n > 0; n--)
        say_call(p, dice(p, 5) ? SAYS_CUSTOM : SAYS_CALL);
}

static void say_as_items(struct pair *p) {
    bool is_messages = is(p->to, "messages");
    for (uint64_t n = rng_below(&p->g, 6); n > 0; n--) {
        switch (rng_below(&p->g, 5)) {
        case 0: say_thought(p); break;
        case 1:
            if (is_messages) say_sealed(p);
            else say_pieces(p, say(p, SAYS_REFUSAL), 1);
            break;
        case 2: say_call(p, !is_messages && dice(p, 4) ? SAYS_CUSTOM : SAYS_CALL); break;
        default: say_text(p);
        }
    }
}

static void say_something(struct pair *p) {
    p->said = (struct answer_said){.n = 0};
    if (is(p->to, "chat")) say_as_chat(p);
    else say_as_items(p);
    say_finish(p);
    say_usage(p);
}

/* ---- as the upstream says it ---- */

struct script {
    struct event events[MAX_EVENTS];
    unsigned n;
};

static struct event *add(struct script *s, enum event_kind kind) {
    assert_true(s->n < MAX_EVENTS);
    s->events[s->n] = (struct event){.kind = kind};
    return &s->events[s->n++];
}

static enum block_kind kind_of(enum says what) {
    static const enum block_kind kinds[] = {
        [SAYS_TEXT] = BLOCK_TEXT,       [SAYS_REFUSAL] = BLOCK_REFUSAL,
        [SAYS_THOUGHT] = BLOCK_REASONING, [SAYS_SEALED] = BLOCK_REDACTED,
        [SAYS_CALL] = BLOCK_TOOL_CALL,  [SAYS_CUSTOM] = BLOCK_CUSTOM_TOOL_CALL};
    return kinds[what];
}

static struct event *add_of(struct script *x, const struct answer_said *all, const struct said *s,
                            enum event_kind kind) {
    struct event *ev = add(x, kind);
    ev->block = (uint32_t)(s - all->list);
    ev->block_kind = kind_of(s->what);
    return ev;
}

static void add_begin(struct pair *p, struct script *x, const struct said *s) {
    struct event *ev = add_of(x, &p->said, s, EV_BLOCK_BEGIN);
    bool is_words = s->what == SAYS_TEXT || s->what == SAYS_REFUSAL;
    ev->u.begin = (struct event_begin){.id = s->id, .name = s->name, .item_id = s->item_id};
    ev->u.begin.wire_index = ev->block;
    if (is_words && is(p->to, "responses")) {
        ev->u.begin.group = ev->block + 1;
        ev->u.begin.item_id = slice_cstr(arena_printf(p->a, "msg_%u", ev->block));
    }
    if (s->id.len > 0) ev->flags = EVF_CONTENT;
}

static void add_delta(struct pair *p, struct script *x, const struct said *s, unsigned i,
                      uint64_t *off) {
    if (s->part_before > 0 && i == s->part_before) add_of(x, &p->said, s, EV_PART);
    struct event *ev = add_of(x, &p->said, s, EV_DELTA);
    ev->flags = EVF_CONTENT;
    ev->text = s->pieces[i];
    ev->block_off = *off;
    *off += ev->text.len;
}

static void add_citation(struct pair *p, struct script *x, const struct said *s) {
    struct event *ev = add_of(x, &p->said, s, EV_ANNOTATION);
    ev->u.annotation = (struct annotation){.kind = ANNOTATION_URL,
                                           .url = SLICE("https://a.example/\"q\""),
                                           .title = SLICE("T\n"),
                                           .start = s->from,
                                           .end = s->to};
    if (is(p->to, "messages"))
        ev->raw_json = SLICE("{\"type\":\"web_search_result_location\",\"url\":\"https://a.example/"
                             "\\\"q\\\"\",\"title\":\"T\\n\",\"encrypted_index\":\"e\","
                             "\"cited_text\":\"c\"}");
    else
        ev->raw_json = slice_cstr(arena_printf(
            p->a,
            is(p->to, "chat") ? "{\"type\":\"url_citation\",\"url_citation\":{\"url\":"
                                "\"https://a.example/\\\"q\\\"\",\"title\":\"T\\n\","
                                "\"start_index\":%lld,\"end_index\":%lld}}"
                              : "{\"type\":\"url_citation\",\"url\":\"https://a.example/"
                                "\\\"q\\\"\",\"title\":\"T\\n\",\"start_index\":%lld,"
                                "\"end_index\":%lld}",
            (long long)s->from, (long long)s->to));
}

static void add_said(struct pair *p, struct script *x, const struct said *s) {
    uint64_t off = 0;
    add_begin(p, x, s);
    for (unsigned i = 0; i < s->n_pieces; i++) add_delta(p, x, s, i, &off);
    if (s->has_citation) add_citation(p, x, s);
    if (s->proof.len > 0) add_of(x, &p->said, s, EV_SIGNATURE)->text = s->proof;
    add_of(x, &p->said, s, EV_BLOCK_END);
}

/* Chat's calls side by side. */
static void add_calls(struct pair *p, struct script *x, const struct said *first, unsigned n) {
    uint64_t offs[MAX_SAYS] = {0};
    unsigned done[MAX_SAYS] = {0}, left = 0, begun = 0;
    for (unsigned i = 0; i < n; i++) left += first[i].n_pieces;
    while (begun < n || left > 0) {
        unsigned i = (unsigned)rng_below(&p->g, begun + (begun < n));
        if (i == begun) {
            add_begin(p, x, &first[begun++]);
        } else if (done[i] < first[i].n_pieces) {
            add_delta(p, x, &first[i], done[i]++, &offs[i]);
            left--;
        }
    }
    for (unsigned i = 0; i < n; i++) add_of(x, &p->said, &first[i], EV_BLOCK_END);
}

static void write_script(struct pair *p, struct script *x) {
    const struct answer_said *all = &p->said;
    bool is_chat = is(p->to, "chat");
    unsigned i = 0;
    x->n = 0;
    add(x, EV_START)->u.start = (struct event_start){.origin = p->to,
                                                     .id = SLICE("up_1"),
                                                     .model = SLICE("up-model"),
                                                     .role = SLICE("assistant"),
                                                     .created = 1763700001};
    struct event usage = {.kind = EV_USAGE, .u.usage = all->usage};
    if (is(p->to, "messages")) *add(x, EV_USAGE) = usage;
    for (; i < all->n && !(is_chat && all->list[i].id.len > 0); i++) add_said(p, x, &all->list[i]);
    if (i < all->n) add_calls(p, x, &all->list[i], all->n - i);
    add(x, EV_FINISH)->u.finish = all->finish;
    if (all->has_usage) *add(x, EV_USAGE) = usage;
    add(x, EV_END);
}

static const struct encoder_options upstream_options = {
    .id = {"up_made", 7}, .model = {"up-model", 8}, .created = 1763700000, .include_usage = true};

static void write_stream(const struct dialect *d, const struct script *x, struct buf *out) {
    struct encoder *enc = d->encoder_new(&upstream_options);
    for (unsigned i = 0; i < x->n; i++)
        assert_int_equal(d->encoder_event(enc, &x->events[i], out), 0);
    d->encoder_free(enc);
}

static void write_body(const struct dialect *d, const struct script *x, struct buf *out) {
    struct answer *an = answer_new(TEST_BYTES);
    for (unsigned i = 0; i < x->n; i++) assert_int_equal(answer_add(an, &x->events[i]), 0);
    assert_int_equal(d->encode_response(an, &upstream_options, out), 0);
    answer_free(an);
}

/* ---- what the client must read ---- */

/* Facts of an answer in an order that both sides agree on: chat has one text, one refusal and one
 * run of reasoning; the others keep the order of what was said. */
struct facts {
    struct buf thought, text, refusal, rest, order, proofs, citations;
    int64_t text_points;
};

static void facts_init(struct facts *f) {
    struct buf *all[] = {&f->thought, &f->text,   &f->refusal,  &f->rest,
                         &f->order,   &f->proofs, &f->citations};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) buf_init(all[i], TEST_BYTES);
    f->text_points = 0;
}

static void facts_dispose(struct facts *f) {
    struct buf *all[] = {&f->thought, &f->text,   &f->refusal,  &f->rest,
                         &f->order,   &f->proofs, &f->citations};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) buf_dispose(all[i]);
}

static void add_call_fact(struct buf *b, bool is_custom, struct slice name, struct slice id,
                          struct slice args) {
    assert_int_equal(buf_appendf(b, "%s %.*s(%.*s): ", is_custom ? "custom" : "call",
                                 SLICE_FMT(name), SLICE_FMT(id)),
                     0);
    put(b, args.len > 0 || is_custom ? args : SLICE("{}"));
    put(b, SLICE("\n"));
}

static void add_citation_fact(struct buf *b, int64_t from, int64_t to) {
    assert_int_equal(buf_appendf(b, "cites https://a.example/\"q\" T\n %lld-%lld\n",
                                 (long long)from, (long long)to),
                     0);
}

static void add_proof_fact(struct buf *b, enum proof_family family, struct slice item_id,
                           struct slice proof) {
    assert_int_equal(buf_appendf(b, "proof of %d, item %.*s: %.*s\n", (int)family,
                                 SLICE_FMT(item_id), SLICE_FMT(proof)),
                     0);
}

static void close_facts(const struct pair *p, struct facts *f, struct buf *out) {
    bool is_ordered = is(p->from, "messages") || is(p->from, "responses");
    const struct {
        const char *name;
        const struct buf *b;
    } all[] = {{"thought", &f->thought}, {"text", &f->text}, {"refusal", &f->refusal}};
    for (size_t i = 0; !is_ordered && i < 3; i++) {
        if (all[i].b->len == 0) continue;
        assert_int_equal(
            buf_appendf(out, "%s: %.*s\n", all[i].name, SLICE_FMT(buf_slice(all[i].b))), 0);
    }
    put(out, buf_slice(&f->order));
    put(out, buf_slice(&f->proofs));
    put(out, buf_slice(&f->citations));
    put(out, buf_slice(&f->rest));
}

static void add_words(const struct pair *p, struct facts *f, const char *kind, struct buf *b,
                      struct slice text) {
    bool is_ordered = is(p->from, "messages") || is(p->from, "responses");
    if (!is_ordered) put(b, text);
    else if (text.len > 0)
        assert_int_equal(buf_appendf(&f->order, "%s: %.*s\n", kind, SLICE_FMT(text)), 0);
}

static enum proof_family family_of_upstream(const struct pair *p) {
    return is(p->to, "messages")    ? PROOF_ANTHROPIC
           : is(p->to, "responses") ? PROOF_OPENAI
                                    : PROOF_NONE;
}

static struct slice trimmed(struct slice s) {
    while (s.len > 0 && (s.ptr[0] == ' ' || s.ptr[0] == '\n')) s = slice_from(s, 1);
    while (s.len > 0 && (s.ptr[s.len - 1] == ' ' || s.ptr[s.len - 1] == '\n')) s.len--;
    return s;
}

/* translation.md 1.7: messages have objects; the others have strings. */
static struct slice args_for(struct pair *p, const struct said *s) {
    struct slice args = is(p->from, "chat") ? s->text : trimmed(s->text);
    bool is_object = args.len == 0 || trimmed(args).ptr[0] == '{';
    if (!is(p->from, "messages") || is_object) return args;
    if (!slice_eq(args, SLICE("nope")))
        return slice_cstr(arena_printf(p->a, "{\"value\":%.*s}", SLICE_FMT(args)));
    return SLICE("{\"_raw\":\"nope\"}");
}

static void expect_call(struct pair *p, struct facts *f, const struct said *s) {
    bool is_native = is(p->from, p->to), knows_custom = !is(p->from, "messages");
    if (is(p->from, "completions")) return;
    if (s->what == SAYS_CUSTOM) {
        bool stays = is_native || is(p->from, "responses") || s->is_declared_custom;
        add_call_fact(&f->order, stays && knows_custom, s->own_name, s->id,
                      stays && knows_custom ? s->text : as_input(p, s->text));
    } else if (s->is_declared_custom && !is_native) {
        struct buf text; /* what as_input put around it */
        buf_init(&text, TEST_BYTES);
        assert_int_equal(json_unescape(&text, slice_sub(s->text, 10, s->text.len - 12)), 0);
        add_call_fact(&f->order, true, s->own_name, s->id, buf_slice(&text));
        buf_dispose(&text);
    } else {
        add_call_fact(&f->order, false, s->own_name, s->id, args_for(p, s));
    }
}

static void expect_proof(const struct pair *p, struct facts *f, const struct said *s) {
    bool is_ordered = is(p->from, "messages") || is(p->from, "responses");
    if (s->proof.len == 0 || is(p->from, "completions")) return;
    add_proof_fact(is_ordered ? &f->order : &f->proofs, family_of_upstream(p), s->item_id,
                   s->proof);
}

static void expect_text(const struct pair *p, struct facts *f, const struct said *s) {
    bool is_native = is(p->from, p->to);
    int64_t points = code_points(s->text), start = is(p->from, "chat") ? f->text_points : 0;
    add_words(p, f, "text", &f->text, s->text);
    f->text_points += points;
    if (!s->has_citation || is(p->from, "completions")) return;
    if (is(p->from, "messages")) {
        if (is_native) add_citation_fact(&f->order, -1, -1);
        return;
    }
    bool is_placed = !is(p->to, "messages");
    add_citation_fact(is(p->from, "chat") ? &f->citations : &f->order,
                      is_placed ? start + s->from : start,
                      is_placed ? start + s->to : start + points);
}

static void expect_one(struct pair *p, struct facts *f, const struct said *s) {
    switch (s->what) {
    case SAYS_TEXT: expect_text(p, f, s); break;
    case SAYS_REFUSAL:
        if (is(p->from, "messages")) add_words(p, f, "text", &f->text, s->text);
        else if (is(p->from, "completions")) put(&f->text, s->text);
        else add_words(p, f, "refusal", &f->refusal, s->text);
        break;
    case SAYS_THOUGHT:
        if (!is(p->from, "completions")) add_words(p, f, "thought", &f->thought, s->text);
        expect_proof(p, f, s);
        break;
    case SAYS_SEALED: expect_proof(p, f, s); break;
    case SAYS_CALL:
    case SAYS_CUSTOM: expect_call(p, f, s); break;
    }
}

/* translation.md 1.1 */
static enum stop_reason expected_reason(const struct pair *p) {
    enum stop_reason told = p->said.finish.reason;
    bool any_call = says_any(&p->said, SAYS_CALL, SAYS_CUSTOM);
    bool any_refusal = says_any(&p->said, SAYS_REFUSAL, SAYS_REFUSAL);
    if (told == STOP_TOOL) told = STOP_END;
    bool has_no_word = told == STOP_SEQUENCE || told == STOP_PAUSE;
    if (has_no_word && !is(p->from, "messages")) told = STOP_END;
    if (told != STOP_END || is(p->from, "completions")) return told;
    if (any_call) return STOP_TOOL;
    return any_refusal && is(p->from, "messages") ? STOP_FILTER : STOP_END;
}

static struct slice finish_word(const struct pair *p, enum stop_reason reason) {
    static const char *const of_openai[] = {"stop", "stop", "length", "tool_calls", "content_filter"},
                             *const of_responses[] = {"completed", "completed", "max_output_tokens",
                                                      "completed", "content_filter"},
                             *const of_messages[] = {"end_turn", "stop_sequence", "max_tokens",
                                                     "tool_use", "refusal", "pause_turn"};
    enum stop_reason told = p->said.finish.reason;
    /* it has no word elsewhere, and is no call that waits for its result */
    if ((told == STOP_PAUSE || told == STOP_SEQUENCE) && !is(p->from, "messages"))
        reason = STOP_END;
    assert_in_range(reason, 0, is(p->from, "messages") ? 5 : 4);
    return slice_cstr(is(p->from, "messages")    ? of_messages[reason]
                      : is(p->from, "responses") ? of_responses[reason]
                                                 : of_openai[reason]);
}

static void add_ending(const struct pair *p, struct facts *f, enum stop_reason reason,
                       struct slice word, struct slice sequence, const struct usage *u) {
    bool tells_none = is(p->from, "messages") && !p->said.has_usage;
    assert_int_equal(buf_appendf(&f->rest, "finish %s (%.*s) %.*s\n", stop_reason_name(reason),
                                 SLICE_FMT(word), SLICE_FMT(sequence)),
                     0);
    if (!u || tells_none ||
        (!p->wants_usage && !is(p->from, "messages") && !is(p->from, "responses")))
        return;
    const int64_t counters[] = {u->in_total, u->out_total, u->cache_read, u->cache_write,
                                u->reasoning};
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(
            buf_appendf(&f->rest, " %lld", (long long)(counters[i] > 0 ? counters[i] : 0)), 0);
}

static void expect(struct pair *p, struct buf *out) {
    struct facts f;
    facts_init(&f);
    for (unsigned i = 0; i < p->said.n; i++) expect_one(p, &f, &p->said.list[i]);
    bool is_messages = is(p->from, "messages");
    enum stop_reason reason = expected_reason(p);
    add_ending(p, &f, reason, finish_word(p, reason),
               is_messages ? p->said.finish.stop_sequence : SLICE_NULL,
               p->said.has_usage ? &p->said.usage : NULL);
    close_facts(p, &f, out);
    facts_dispose(&f);
}

/* ---- what it reads ---- */

static void read_proof(const struct pair *p, struct facts *f, const struct answer_block *b) {
    bool is_ordered = is(p->from, "messages") || is(p->from, "responses");
    struct proof own = {.family = family_of_upstream(p), .payload = b->signature,
                        .item_id = b->item_id};
    if (b->signature.len == 0) return;
    bool is_wrapped = proof_unwrap(b->signature, p->a, &own);
    if (is_wrapped == is(p->from, p->to))
        fail_msg("seed %llu: native proofs go as they are, others wrapped",
                 (unsigned long long)p->seed);
    add_proof_fact(is_ordered ? &f->order : &f->proofs, own.family,
                   is(p->to, "responses") ? own.item_id : SLICE_NULL, own.payload);
}

static void read_thought(const struct pair *p, struct facts *f, const struct answer_block *b) {
    struct buf text;
    size_t at = 0;
    buf_init(&text, TEST_BYTES);
    for (unsigned i = 0; i < b->n_parts; i++) {
        put(&text, slice_sub(b->text, at, b->parts[i] - at));
        put(&text, SLICE("\n\n"));
        at = b->parts[i];
    }
    put(&text, slice_from(b->text, at));
    add_words(p, f, "thought", &f->thought, buf_slice(&text));
    buf_dispose(&text);
    read_proof(p, f, b);
}

static void read_block(const struct pair *p, struct facts *f, const struct answer_block *b) {
    switch (b->kind) {
    case BLOCK_TEXT: add_words(p, f, "text", &f->text, b->text); break;
    case BLOCK_REFUSAL: add_words(p, f, "refusal", &f->refusal, b->text); break;
    case BLOCK_REASONING:
    case BLOCK_REDACTED: read_thought(p, f, b); break;
    case BLOCK_TOOL_CALL:
    case BLOCK_CUSTOM_TOOL_CALL:
        add_call_fact(&f->order, b->kind == BLOCK_CUSTOM_TOOL_CALL, b->tool_name, b->tool_id,
                      b->text);
        break;
    default: fail_msg("what is %s", block_kind_name(b->kind));
    }
    for (unsigned i = 0; i < b->n_annotations; i++) {
        const struct annotation *a = &b->annotations[i];
        assert_slices(a->url, SLICE("https://a.example/\"q\""));
        assert_slices(a->title, SLICE("T\n"));
        add_citation_fact(is(p->from, "chat") ? &f->citations : &f->order, a->start, a->end);
    }
}

static void read_answer(const struct pair *p, const struct answer *an, bool has_usage,
                        struct buf *out) {
    const struct answer_block *b;
    const struct answer_choice *c;
    const struct usage *u = answer_usage(an);
    struct facts f;
    facts_init(&f);
    unsigned n = answer_blocks(an, &b);
    for (unsigned i = 0; i < n; i++) read_block(p, &f, &b[i]);
    assert_int_equal(answer_choices(an, &c), 1);
    bool is_told = has_usage && u && (u->in_total >= 0 || u->out_total >= 0);
    add_ending(p, &f, c->finish.reason, c->finish.wire, c->finish.stop_sequence,
               is_told ? u : NULL);
    close_facts(p, &f, out);
    facts_dispose(&f);
}

static int collect(void *self, const struct event *ev) {
    assert_int_not_equal(ev->kind, EV_ERROR);
    return answer_add(self, ev);
}

struct stream_reader {
    const struct dialect *d;
    struct decoder *decoder;
    const struct event_sink *sink;
};

static int read_frame(void *self, const struct sse_frame *f) {
    struct stream_reader *r = self;
    return f->flags & SSE_EVENT ? r->d->decoder_feed(r->decoder, f, r->sink, NULL) : 0;
}

static void read_stream(const struct pair *p, struct slice stream, struct buf *out) {
    struct answer *an = answer_new(TEST_BYTES);
    struct event_sink sink = {collect, an};
    struct stream_reader r = {p->h.from, p->h.from->decoder_new(), &sink};
    struct sse_sink frames = {read_frame, &r};
    struct sse_parser parser;
    struct err e = {.text = ""};
    if (!harness_read(&p->h, stream, NULL, &e)) fail_msg("%s:\n%.*s", e.text, SLICE_FMT(stream));
    sse_parser_init(&parser, NULL);
    assert_int_equal(sse_parser_feed(&parser, stream, &frames, NULL), 0);
    assert_int_equal(sse_parser_finish(&parser, &frames, NULL), 0);
    assert_int_equal(r.d->decoder_finish(r.decoder, &sink, NULL), 0);
    read_answer(p, an, true, out);
    sse_parser_dispose(&parser);
    r.d->decoder_free(r.decoder);
    answer_free(an);
}

static void read_body(const struct pair *p, struct slice body, struct buf *out) {
    struct answer *an = answer_new(TEST_BYTES);
    struct event_sink sink = {collect, an};
    struct err e = {.text = ""};
    if (p->h.from->decode_response(body, &sink, &e)) fail_msg("%s: %.*s", e.text, SLICE_FMT(body));
    read_answer(p, an, p->wants_usage || !p->h.from->strip_usage, out);
    answer_free(an);
}

/* ---- the pipeline ---- */

#define LONG_NAME                                                                                  \
    "mcp__a_server_with_a_very_long_name__and_a_tool_whose_name_is_even_longer_than_that"

static const char *request_of(const struct pair *p) {
    if (is(p->from, "chat"))
        return p->wants_usage
                   ? "{\"model\":\"m\",\"stream\":true,\"stream_options\":{\"include_usage\":true},"
                     "\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],\"tools\":[{\"type\":"
                     "\"function\",\"function\":{\"name\":\"a.b\"}},{\"type\":\"custom\","
                     "\"custom\":{\"name\":\"apply.patch\"}},{\"type\":\"function\",\"function\":{"
                     "\"name\":\"" LONG_NAME "\"}}]}"
                   : "{\"model\":\"m\",\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":"
                     "\"x\"}],\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"a.b\"}}]}";
    if (is(p->from, "responses"))
        return "{\"model\":\"m\",\"stream\":true,\"input\":\"x\",\"tools\":[{\"type\":\"function\","
               "\"name\":\"a.b\"},{\"type\":\"custom\",\"name\":\"apply.patch\"},{\"type\":"
               "\"function\",\"name\":\"" LONG_NAME "\"}]}";
    if (is(p->from, "messages"))
        return "{\"model\":\"m\",\"stream\":true,\"max_tokens\":9,\"messages\":[{\"role\":\"user\","
               "\"content\":\"x\"}],\"tools\":[{\"name\":\"a.b\",\"input_schema\":{}},{\"name\":"
               "\"" LONG_NAME "\",\"input_schema\":{}}]}";
    return p->wants_usage ? "{\"model\":\"m\",\"stream\":true,\"stream_options\":{\"include_usage\":"
                            "true},\"prompt\":\"x\"}"
                          : "{\"model\":\"m\",\"stream\":true,\"prompt\":\"x\"}";
}

static void open_pair(struct pair *p, uint64_t seed, unsigned which) {
    static const char *const clients[] = {"chat", "responses", "messages", "completions"};
    static const char *const upstreams[] = {"chat", "responses", "messages"};
    static const char *const chats[] = {"chat", "openai", "openrouter", "vllm"};
    struct request_fault fault = {.message = ""};
    struct buf sent;
    *p = (struct pair){.seed = seed,
                       .a = arena_new(),
                       .from = clients[which / 3],
                       .to = upstreams[which % 3]};
    rng_seed(&p->g, seed);
    p->preset = which % 3 == 0 ? chats[rng_below(&p->g, 4)] : p->to;
    p->wants_usage = dice(p, 2);
    buf_init(&sent, TEST_BYTES);
    if (harness_open(&p->h, p->from, p->to, p->preset, slice_cstr(request_of(p)), &sent, &fault))
        fail_msg("%s", fault.message);
    buf_dispose(&sent);
    say_something(p);
}

static void close_pair(struct pair *p) {
    harness_close(&p->h);
    arena_free(p->a);
}

static void assert_same(const struct pair *p, const char *what, const struct buf *got,
                        const struct buf *expected) {
    if (!slice_eq(buf_slice(got), buf_slice(expected)))
        print_error("seed %llu, %s, client %s, upstream %s (%s)\n", (unsigned long long)p->seed,
                    what, p->from, p->to, p->preset);
    assert_slices(buf_slice(got), buf_slice(expected));
}

/* Said, streamed and whole: three times the same. */
static void check_forms(struct pair *p, struct slice stream, struct slice body) {
    struct buf out, cut, expected, got, answer;
    struct buf *const all[] = {&out, &cut, &expected, &got, &answer};
    struct api_error er = {.status = 0};
    struct err e = {.text = ""};
    for (size_t i = 0; i < 5; i++) buf_init(all[i], TEST_BYTES);
    expect(p, &expected);
    harness_stream(&p->h, stream, 0, 0, &out);
    read_stream(p, buf_slice(&out), &got);
    assert_same(p, "streamed", &got, &expected);
    for (int i = 0; i < 2; i++) {
        buf_reset(&cut);
        harness_stream(&p->h, stream, 1 + (size_t)rng_below(&p->g, i ? 200 : 9),
                       (size_t)rng_below(&p->g, stream.len), &cut);
        assert_same(p, "split", &cut, &out);
    }
    buf_reset(&got);
    if (response_translate(p->h.t, body, &p->h.options, TEST_BYTES, &answer, NULL, &er, &e))
        fail_msg("%s%.*s: %.*s", e.text, SLICE_FMT(er.message), SLICE_FMT(body));
    read_body(p, buf_slice(&answer), &got);
    assert_same(p, "whole", &got, &expected);
    for (size_t i = 0; i < 5; i++) buf_dispose(all[i]);
}

static void check_round(uint64_t seed, unsigned which) {
    static struct script x;
    struct pair p;
    struct buf stream, body;
    buf_init(&stream, TEST_BYTES);
    buf_init(&body, TEST_BYTES);
    open_pair(&p, seed, which);
    write_script(&p, &x);
    write_stream(p.h.to, &x, &stream);
    write_body(p.h.to, &x, &body);
    if (getenv("PENSTOCK_TEST_SHOW"))
        fprintf(stderr, "# seed %llu, %s to %s (%s)\n%.*s\n%.*s\n", (unsigned long long)seed,
                p.from, p.to, p.preset, SLICE_FMT(buf_slice(&stream)), SLICE_FMT(buf_slice(&body)));
    check_forms(&p, buf_slice(&stream), buf_slice(&body));
    buf_dispose(&stream);
    buf_dispose(&body);
    close_pair(&p);
}

static void clients_read_what_was_said(void **state) {
    (void)state;
    const char *only = getenv("PENSTOCK_TEST_SEED");
    for (uint64_t seed = 0; seed < ROUNDS; seed++) {
        if (!only || strtoull(only, NULL, 10) == seed) check_round(seed, (unsigned)(seed % 12));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(clients_read_what_was_said)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
