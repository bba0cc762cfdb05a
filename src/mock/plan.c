/* SPDX-License-Identifier: Apache-2.0 */
#include "dialect/estimate.h"
#include "mock/completion.h"
#include "mock/piece.h"
#include "mock/reply-private.h"
#include "mock/schema.h"
#include "mock/smalltalk.h"

enum {
    /* longer prompts are counted by this much, then by four bytes a token */
    COUNT_WHOLE_BYTES = 1 << 18,
    MESSAGE_TOKENS = 4,
    RESULT_QUOTE_BYTES = 400,
    CALL_NAME_PART_BYTES = 3,
    LOOK_BYTES = 16 << 10,            /* of the user's text are looked into for words */
    CACHE_MIN_TOKENS = 1024,          /* shorter beginnings are not cached */
    CACHE_STEP_TOKENS = 128
};

/* ---- looking at the request ---- */

static const struct message *last_message(const struct llm_request *rq) {
    const struct message *last = NULL;
    for (const struct message *m = rq->messages; m; m = m->next) {
        last = m;
    }
    return last;
}

static const struct message *last_user_message(const struct llm_request *rq) {
    const struct message *last = NULL;
    for (const struct message *m = rq->messages; m; m = m->next) {
        last = m->role == ROLE_USER ? m : last;
    }
    return last;
}

/* Calls fn for each text that a part holds: its own, and those of a result's parts. */
static void part_texts(const struct part *p, void (*fn)(void *self, struct slice text),
                       void *self) {
    fn(self, p->text);
    for (unsigned i = 0; i < p->n_inner; i++) {
        fn(self, p->inner[i].text);
    }
}

struct joined {
    struct slice only;               /* the last one */
    size_t total, texts;
    char *to;                        /* NULL: measuring */
    size_t at;
};

static void join_text(void *self, struct slice text) {
    struct joined *j = self;
    if (text.len == 0) {
        return;
    }
    if (j->to) {
        memcpy(j->to + j->at, text.ptr, text.len);
        j->at += text.len;
        j->to[j->at++] = '\n';
        return;
    }
    j->only = text;
    j->total += text.len + 1;
    j->texts++;
}

static void join_message(const struct message *m, struct joined *j) {
    for (unsigned i = 0; m && i < m->n_parts; i++) {
        if (m->parts[i].kind == PART_TEXT || m->parts[i].kind == PART_TOOL_RESULT) {
            part_texts(&m->parts[i], join_text, j);
        }
    }
}

/* One text part is borrowed; several are joined in the arena. */
static struct slice message_text(const struct message *m, struct arena *a) {
    struct joined j = {.only = {"", 0}};
    join_message(m, &j);
    if (j.texts <= 1) {
        return j.only;
    }
    j.to = arena_alloc(a, j.total);
    join_message(m, &j);
    return slice_make(j.to, j.at - 1);
}

/* ---- seed and counts ---- */

static uint64_t mix(uint64_t h, struct slice s) {
    return (slice_hash(h, s) ^ s.len) * UINT64_C(0x9e3779b97f4a7c15);
}

static void mix_text(void *self, struct slice text) {
    uint64_t *h = self;
    *h = mix(*h, text);
}

static bool is_thought(const struct part *p) {
    return p->kind == PART_REASONING || p->kind == PART_REDACTED;
}

/* What the answer depends on: the conversation and the request's own seed. Neither the model's name
 * nor the way of delivery: a gateway may rename the one, and both ways must say the same. Nor what
 * dialects differ in: system or developer, whether thoughts come back. */
static uint64_t request_seed(const struct llm_request *rq, uint64_t seed) {
    uint64_t h = SLICE_HASH_START ^ seed;
    for (const struct message *m = rq->messages; m; m = m->next) {
        enum role role = m->role == ROLE_DEVELOPER ? ROLE_SYSTEM : m->role;
        h = (h ^ (uint64_t)role) * SLICE_HASH_PRIME;
        for (unsigned i = 0; i < m->n_parts; i++) {
            if (!is_thought(&m->parts[i])) {
                part_texts(&m->parts[i], mix_text, &h);
            }
        }
    }
    return mix(h, rq->seed);
}

static uint64_t count_text(struct slice text) {
    struct slice head = slice_sub(text, 0, COUNT_WHOLE_BYTES);
    return piece_count(head) + (text.len - head.len) / 4;
}

static void add_count(void *self, struct slice text) {
    uint64_t *n = self;
    *n += count_text(text);
}

static uint64_t count_messages(const struct llm_request *rq, const struct message *end) {
    uint64_t n = 0;
    for (const struct message *m = rq->messages; m != end; m = m->next) {
        n += MESSAGE_TOKENS;
        for (unsigned i = 0; i < m->n_parts; i++) {
            part_texts(&m->parts[i], add_count, &n);
        }
    }
    return n;
}

/* messages: what its count_tokens says. */
static uint64_t count_prompt(const struct llm_request *rq, const struct dialect *d) {
    if (d == &dialect_messages) {
        return (uint64_t)request_estimate_tokens(rq);
    }
    uint64_t n = 3 + count_messages(rq, NULL);
    for (const struct tool *t = rq->tools; t; t = t->next) {
        n += t->raw.len / 4;
    }
    return n;
}

static bool any_cache_control(const struct field *f) {
    for (; f; f = f->next) {
        if (slice_eq(f->key, SLICE("cache_control"))) {
            return true;
        }
    }
    return false;
}

/* Anthropic caches where it is told to. */
static bool asks_for_cache(const struct llm_request *rq) {
    bool asks = rq->cache_control.len > 0;
    for (const struct tool *t = rq->tools; t; t = t->next) {
        asks |= any_cache_control(t->extras);
    }
    for (const struct message *m = rq->messages; m; m = m->next) {
        asks |= any_cache_control(m->extras);
        for (unsigned i = 0; i < m->n_parts; i++) {
            asks |= any_cache_control(m->parts[i].extras);
        }
    }
    return asks;
}

/* Nothing is kept: everything before the last question was cached if the mock has answered before,
 * and is written to the cache if not. */
static void plan_cache(struct plan *p, const struct llm_request *rq, int64_t told) {
    bool is_messages = p->dialect == &dialect_messages, has_answered = false;
    for (const struct message *m = rq->messages; m; m = m->next) {
        has_answered |= m->role == ROLE_ASSISTANT;
    }
    if (told >= 0) {
        p->cache_read = (uint64_t)told < p->prompt_tokens ? (uint64_t)told : p->prompt_tokens;
        return;
    }
    if (p->prompt_tokens < CACHE_MIN_TOKENS || (is_messages && !asks_for_cache(rq))) {
        return;
    }
    uint64_t before = count_messages(rq, has_answered ? last_user_message(rq) : NULL);
    before = before < p->prompt_tokens ? before : p->prompt_tokens;
    if (before < CACHE_MIN_TOKENS) {
        return;
    }
    before -= before % CACHE_STEP_TOKENS;
    p->cache_read = has_answered ? before : 0;
    p->cache_write = is_messages && !has_answered ? before : 0;
}

/* ---- adding segments ---- */

static struct span plan_store(struct plan *p, struct slice text) {
    struct span s = {(uint32_t)p->store.len, 0};
    if (buf_append(&p->store, text) == 0) {
        s.len = (uint32_t)text.len;
    }
    return s;
}

static struct segment *plan_add(struct plan *p, enum block_kind kind, enum source_kind source,
                                struct slice text) {
    struct segment *seg = &p->segments[p->n_segments++];
    *seg = (struct segment){.kind = kind, .source = source, .text = plan_store(p, text)};
    return seg;
}

static void plan_add_prose(struct plan *p, enum block_kind kind, enum prose_kind prose,
                           struct slice topic) {
    plan_add(p, kind, SOURCE_PROSE, topic)->prose = prose;
}

/* ---- what to say ---- */

static bool is_stop_word(struct slice word) {
    static const char *const words[] = {
        "about", "again",  "could", "does",  "explain", "from",  "give",  "have",  "into", "just",
        "like",  "please", "should", "short", "some",   "tell",  "than",  "that",  "them", "then",
        "there", "these",  "they",  "this",  "what",    "when",  "where", "which", "will", "with",
        "would", "write",  "your",  "describe", "paragraph", "words"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (slice_eq_nocase(word, slice_cstr(words[i]))) {
            return true;
        }
    }
    return false;
}

static bool is_letter(char c) {
    return (c | 32) >= 'a' && (c | 32) <= 'z';
}

/* The longest word that is not one of ours: a fair guess at what the question is about. */
static struct slice guess_topic(struct slice text) {
    struct slice best = SLICE_NULL;
    text = slice_sub(text, 0, 2000);
    for (size_t i = 0; i < text.len;) {
        size_t end = i;
        while (end < text.len &&
               (is_letter(text.ptr[end]) || (unsigned char)text.ptr[end] >= 0x80)) {
            end++;
        }
        struct slice word = slice_sub(text, i, end - i);
        if (word.len > best.len && word.len >= 4 && word.len < PROSE_TOPIC_BYTES &&
            !is_stop_word(word)) {
            best = word;
        }
        i = end + 1;
    }
    return best;
}

/* "count TAG to N" at the start of the text. */
static bool parse_count(struct slice text, struct slice *out_tag, uint64_t *out_to) {
    if (!slice_starts_with(text, SLICE("count "))) {
        return false;
    }
    struct slice rest = slice_from(text, 6);
    ptrdiff_t end = slice_index(rest, ' ');
    if (end <= 0 || !slice_starts_with(slice_from(rest, (size_t)end), SLICE(" to "))) {
        return false;
    }
    *out_tag = slice_sub(rest, 0, (size_t)end);
    struct slice number = slice_from(rest, (size_t)end + 4);
    while (number.len &&
           (number.ptr[number.len - 1] == '\n' || number.ptr[number.len - 1] == '\r')) {
        number.len--;
    }
    return slice_to_u64(number, UINT64_C(1000000000), out_to);
}

static bool wants_story(struct slice text) {
    return text_has_word(text, SLICE("story")) || text_has_word(text, SLICE("tale")) ||
           text_has_word(text, SLICE("novel"));
}

static void plan_prose(struct plan *p, struct slice user_text) {
    bool story = wants_story(slice_sub(user_text, 0, 2000));
    plan_add_prose(p, BLOCK_TEXT, story ? PROSE_STORY : PROSE_ESSAY, guess_topic(user_text));
}

static void plan_said_text(struct plan *p, struct slice text) {
    plan_add(p, BLOCK_TEXT, p->exact_tokens ? SOURCE_REPEAT : SOURCE_FIXED, text);
}

/* A JSON answer: by the schema when one is given. False: the request asks for plain text. */
static bool plan_json(struct plan *p, const struct llm_request *rq, struct slice user_text) {
    const struct output_format *f = &rq->format;
    if (f->kind != FORMAT_JSON_OBJECT && f->kind != FORMAT_JSON_SCHEMA) {
        return false;
    }
    struct segment *seg = plan_add(p, BLOCK_TEXT, SOURCE_FIXED, SLICE_NULL);
    size_t before = p->store.len;
    user_text = slice_sub(user_text, 0, LOOK_BYTES);
    if (f->schema.len == 0 || schema_fill(f->schema, user_text, p->seed, &p->store) < 0) {
        p->store.len = before;
        seg->text = plan_store(p, SLICE("{\"answer\":\"This is a JSON object, as asked.\"}"));
        return true;
    }
    seg->text = (struct span){(uint32_t)before, (uint32_t)(p->store.len - before)};
    return true;
}

static void plan_tool_result(struct plan *p, struct slice result) {
    struct slice quote = slice_sub(result, 0, RESULT_QUOTE_BYTES);
    quote = slice_sub(quote, 0, slice_utf8_valid(quote));
    struct segment *seg = plan_add(p, BLOCK_TEXT, SOURCE_FIXED, SLICE("The tool answered: "));
    seg->text.len += plan_store(p, quote).len;
    seg->text.len += plan_store(p, SLICE("\n\nThat settles your question.")).len;
}

static bool is_tool_result(const struct message *m) {
    return m && (m->role == ROLE_TOOL || m->role == ROLE_FUNCTION);
}

/* Whether tools have answered since the mock spoke last: in messages, the user may speak behind. */
static bool has_results(const struct llm_request *rq) {
    bool any = false;
    for (const struct message *m = rq->messages; m; m = m->next) {
        any = is_tool_result(m) || (any && m->role != ROLE_ASSISTANT);
    }
    return any;
}

/* "refuse", or "refuse: WORDS". */
static bool plan_refusal(struct plan *p, struct slice user_text) {
    if (slice_starts_with(user_text, SLICE("refuse: "))) {
        plan_add(p, BLOCK_REFUSAL, SOURCE_FIXED, slice_from(user_text, 8));
        return true;
    }
    if (!slice_eq(user_text, SLICE("refuse"))) {
        return false;
    }
    plan_add(p, BLOCK_REFUSAL, SOURCE_FIXED, SLICE("I cannot help with that."));
    return true;
}

static void plan_text_answer(struct plan *p, const struct llm_request *rq,
                             const struct reply_options *o, struct slice user_text,
                             struct arena *scratch) {
    struct slice tag, talk;
    uint64_t count_to;
    if (o->text.ptr) {
        plan_said_text(p, o->text);
    } else if (is_tool_result(last_message(rq)) && !p->exact_tokens) {
        plan_tool_result(p, message_text(last_message(rq), scratch));
    } else if (plan_refusal(p, user_text) || plan_json(p, rq, user_text)) {
        return;
    } else if (slice_starts_with(user_text, SLICE("echo: "))) {
        plan_said_text(p, slice_from(user_text, 6));
    } else if (parse_count(user_text, &tag, &count_to)) {
        plan_add(p, BLOCK_TEXT, SOURCE_COUNT, tag)->count_to = p->exact_tokens ? 0 : count_to;
    } else if (!p->exact_tokens && (talk = smalltalk_answer(user_text, p->seed)).ptr) {
        plan_said_text(p, talk);
    } else {
        plan_prose(p, user_text);
    }
}

/* ---- tools ---- */

struct call_list {
    const struct tool *tools[REPLY_MAX_CALLS];
    unsigned count;
};

static void call_add(struct call_list *calls, const struct tool *t) {
    if (calls->count < REPLY_MAX_CALLS) {
        calls->tools[calls->count++] = t;
    }
}

/* Does the text speak of the tool: one part of its name ("weather" of get_weather), or all of
 * it? */
static bool tool_is_mentioned(const struct tool *t, struct slice text) {
    static const char *const verbs[] = {"get", "set", "run", "make", "find", "list", "fetch", "do",
                                        "call", "the", "tool", "create"};
    for (size_t i = 0; i < t->name.len;) {
        size_t end = i;
        while (end < t->name.len && is_letter(t->name.ptr[end]) &&
               (end == i || t->name.ptr[end] >= 'a')) {
            end++;
        }
        struct slice part = slice_sub(t->name, i, end - i);
        bool is_verb = false;
        for (size_t v = 0; v < sizeof verbs / sizeof verbs[0]; v++) {
            is_verb |= slice_eq_nocase(part, slice_cstr(verbs[v]));
        }
        if (!is_verb && part.len >= CALL_NAME_PART_BYTES && text_has_word(text, part)) {
            return true;
        }
        i = end + 1 - (end > i && end < t->name.len && is_letter(t->name.ptr[end]) ? 1 : 0);
    }
    return t->name.len && text_has_word(text, t->name);
}

static bool tool_is_allowed(const struct llm_request *rq, const struct tool *t) {
    for (unsigned i = 0; i < rq->n_allowed; i++) {
        if (slice_eq(rq->allowed[i], t->name)) {
            return true;
        }
    }
    return false;
}

static bool tool_is_callable(const struct llm_request *rq, const struct tool *t) {
    if (t->kind == TOOL_OTHER) {
        return false;
    }
    switch (rq->tool_choice) {
    case TOOL_CHOICE_NAMED:
    case TOOL_CHOICE_NAMED_CUSTOM:
        return slice_eq(t->name, rq->tool_choice_name);
    case TOOL_CHOICE_ALLOWED:
        return tool_is_allowed(rq, t);
    default:
        return true;
    }
}

static bool choice_is_binding(const struct llm_request *rq) {
    if (rq->tool_choice == TOOL_CHOICE_ALLOWED) {
        return rq->allowed_is_required;
    }
    return rq->tool_choice == TOOL_CHOICE_REQUIRED || rq->tool_choice == TOOL_CHOICE_NAMED ||
           rq->tool_choice == TOOL_CHOICE_NAMED_CUSTOM;
}

static void choose_calls(const struct llm_request *rq, struct slice text, struct call_list *calls) {
    const struct tool *first = NULL;
    for (const struct tool *t = rq->tools; t; t = t->next) {
        if (!tool_is_callable(rq, t)) {
            continue;
        }
        first = first ? first : t;
        if (tool_is_mentioned(t, text)) {
            call_add(calls, t);
        }
    }
    if (calls->count == 0 && first && choice_is_binding(rq)) {
        call_add(calls, first);
    }
    bool parallel = rq->parallel_tools != 0 && !rq->tools_are_functions;
    if (!parallel && calls->count > 1) {
        calls->count = 1;
    }
    if (parallel && calls->count == 1 && text_has_word(text, SLICE("both"))) {
        call_add(calls, calls->tools[0]);
    }
}

/* The arguments of several calls to one tool take different hints from the text: each call looks at
 * the part behind the last " and ". */
static struct slice call_hint(struct slice text, const struct call_list *calls, unsigned i) {
    if (i == 0 || calls->tools[i] != calls->tools[i - 1]) {
        return text;
    }
    for (size_t at = text.len; at-- > 0;) {
        if (slice_starts_with(slice_from(text, at), SLICE(" and "))) {
            return slice_from(text, at);
        }
    }
    return text;
}

static void plan_add_call(struct plan *p, const struct llm_request *rq, const struct tool *t,
                          struct slice hint, unsigned nth) {
    enum block_kind kind = rq->tools_are_functions      ? BLOCK_FUNCTION_CALL
                           : t->kind == TOOL_CUSTOM ? BLOCK_CUSTOM_TOOL_CALL
                                                    : BLOCK_TOOL_CALL;
    struct segment *seg = plan_add(p, kind, SOURCE_FIXED, SLICE_NULL);
    seg->name = plan_store(p, t->name);
    seg->name_space = plan_store(p, t->name_space);
    if (t->kind == TOOL_CUSTOM) {
        seg->text = plan_store(p, hint.len ? slice_sub(hint, 0, 200) : SLICE("sample input"));
        return;
    }
    size_t before = p->store.len;
    if (schema_fill(t->parameters, hint, p->seed + nth, &p->store) < 0) {
        p->store.len = before;
        seg->text = plan_store(p, SLICE("{}"));
        return;
    }
    seg->text = (struct span){(uint32_t)before, (uint32_t)(p->store.len - before)};
}

/* True when the answer is tool calls. Once a result is in, the answer is text: agent loops end. */
static bool plan_calls(struct plan *p, const struct llm_request *rq, struct slice user_text) {
    if (!rq->tools || rq->tool_choice == TOOL_CHOICE_NONE || has_results(rq)) {
        return false;
    }
    struct call_list calls = {.count = 0};
    user_text = slice_sub(user_text, 0, LOOK_BYTES);
    choose_calls(rq, user_text, &calls);
    for (unsigned i = 0; i < calls.count; i++) {
        plan_add_call(p, rq, calls.tools[i], call_hint(user_text, &calls, i), i);
    }
    p->calls_are_functions = rq->tools_are_functions;
    if (calls.count > 0) {
        p->stop = STOP_TOOL;
    }
    return calls.count > 0;
}

/* ---- the plan ---- */

/* Anthropic's effort is of everything; thinking is asked for on its own. */
static bool wants_thinking(const struct plan *p, const struct llm_request *rq) {
    const struct reasoning_ask *ask = &rq->reasoning;
    bool by_effort = ask->effort.len > 0 && !slice_eq(ask->effort, SLICE("none"));
    if (ask->thinking != THINKING_UNSET) {
        return ask->thinking == THINKING_BUDGET || ask->thinking == THINKING_ADAPTIVE;
    }
    if (p->dialect == &dialect_responses) {
        return by_effort || ask->summary.len > 0;
    }
    return by_effort && p->dialect == &dialect_chat;
}

static bool is_hidden(const struct plan *p, const struct llm_request *rq) {
    bool has_no_summary = p->dialect == &dialect_responses && rq->reasoning.summary.len == 0;
    return has_no_summary || rq->reasoning.is_visible == 0;
}

/* As the knob says, as the text says ("think: QUESTION"), or as the request asks. */
static void plan_thought(struct plan *p, const struct llm_request *rq, enum reply_thinking how,
                         bool is_told, struct slice user_text) {
    bool is_redacted = how == REPLY_THINK_REDACTED && p->dialect == &dialect_messages;
    bool is_forced = is_told || how == REPLY_THINK_ALOUD || how == REPLY_THINK_REDACTED;
    if (how == REPLY_THINK_NOT || p->dialect == &dialect_completions ||
        (!is_forced && !wants_thinking(p, rq))) {
        return;
    }
    if (is_redacted) {
        plan_add(p, BLOCK_REDACTED, SOURCE_FIXED, SLICE_NULL);
        return;
    }
    plan_add_prose(p, BLOCK_REASONING, PROSE_THOUGHT, guess_topic(user_text));
    p->segments[p->n_segments - 1].is_hidden = !is_forced && is_hidden(p, rq);
}

static void plan_stops(struct plan *p, const struct llm_request *rq) {
    for (unsigned i = 0; i < rq->n_stop && p->n_stops < REPLY_MAX_STOPS; i++) {
        struct slice stop = rq->stop[i];
        if (stop.len == 0 || stop.len > REPLY_MAX_STOP_BYTES) {
            continue;
        }
        p->stops[p->n_stops++] = plan_store(p, stop);
        p->longest_stop = stop.len > p->longest_stop ? stop.len : p->longest_stop;
    }
}

static void plan_logprobs(struct plan *p, const struct llm_request *rq) {
    p->logprobs = rq->logprobs == 1;
    if (rq->top_logprobs > 0) {
        p->top_logprobs = rq->top_logprobs < 20 ? (unsigned)rq->top_logprobs : 20;
    }
}

static void plan_turn(struct plan *p, const struct llm_request *rq, const struct reply_options *o,
                      struct arena *scratch) {
    struct slice user_text = message_text(last_user_message(rq), scratch);
    bool is_told = slice_starts_with(user_text, SLICE("think: "));
    user_text = is_told ? slice_from(user_text, 7) : user_text;
    plan_thought(p, rq, o->thinking, is_told, user_text);
    if (!plan_calls(p, rq, user_text)) {
        plan_text_answer(p, rq, o, user_text, scratch);
    }
    p->segments_per_prompt = p->n_segments;
}

/* Completions: choices of its own for each prompt, in the order of the prompts. */
static void plan_prompts(struct plan *p, const struct llm_request *rq,
                         const struct reply_options *o, struct arena *scratch) {
    bool echoes = completion_echoes(rq);
    unsigned prompts = 0, n = p->n_choices;
    for (const struct message *m = rq->messages; m; m = m->next, prompts++) {
        struct slice prompt = message_text(m, scratch);
        if (echoes) {
            plan_add(p, BLOCK_TEXT, SOURCE_FIXED, prompt)->is_echo = true;
        }
        plan_text_answer(p, rq, o, prompt, scratch);
    }
    p->segments_per_prompt = echoes ? 2 : 1;
    p->choices_per_prompt = n * prompts > REPLY_MAX_CHOICES ? REPLY_MAX_CHOICES / prompts : n;
    p->n_choices = p->choices_per_prompt * prompts;
}

void plan_make(struct plan *p, const struct llm_request *rq, const struct reply_options *o) {
    buf_init(&p->store, REPLY_STORE_BYTES);
    p->dialect = o->dialect ? o->dialect : &dialect_chat;
    p->seed = request_seed(rq, o->seed);
    p->seal_seed = o->seed;
    p->proves = p->dialect == &dialect_messages || rq->wants_encrypted_reasoning;
    p->exact_tokens = o->tokens;
    bool may_be_none = rq->is_completion || p->dialect == &dialect_messages;
    p->max_tokens = rq->env.max_tokens > 0 || (rq->env.max_tokens == 0 && may_be_none)
                        ? (uint64_t)rq->env.max_tokens
                        : UINT64_MAX;
    p->n_choices = rq->env.n < 1 || !p->dialect->has_choices ? 1
                   : rq->env.n > REPLY_MAX_CHOICES           ? REPLY_MAX_CHOICES
                                                             : (unsigned)rq->env.n;
    p->stop = STOP_END;
    p->model = plan_store(p, rq->env.model);
    p->prompt_tokens = count_prompt(rq, p->dialect);
    plan_cache(p, rq, o->cached);
    plan_stops(p, rq);
    plan_logprobs(p, rq);
    struct arena *scratch = arena_new();
    if (rq->is_completion) {
        plan_prompts(p, rq, o, scratch);
    } else {
        plan_turn(p, rq, o, scratch);
    }
    arena_free(scratch);
}

void plan_dispose(struct plan *p) {
    buf_dispose(&p->store);
}
