/* SPDX-License-Identifier: Apache-2.0 */
/* What is said where nothing is called: the text that was asked for, JSON by a schema, small talk,
 * prose. */
#include "mock/reply-private.h"
#include "mock/schema.h"
#include "mock/smalltalk.h"

enum {
    RESULT_QUOTE_BYTES = 400,
    TOPIC_LOOK_BYTES = 2000,
    LOOK_BYTES = 16 << 10,            /* of the user's text are looked into for words */
    DEMO_NUMBERS = 20
};

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
    bool story = wants_story(slice_sub(user_text, 0, TOPIC_LOOK_BYTES));
    plan_add(p, BLOCK_TEXT, SOURCE_PROSE, guess_topic(user_text))->prose =
        story ? PROSE_STORY : PROSE_ESSAY;
}

/* Over and over with a blank between, when a length is wanted: the blank is stored before it. */
static void plan_said_text(struct plan *p, struct slice text) {
    if (p->exact_tokens == 0) {
        plan_add(p, BLOCK_TEXT, SOURCE_FIXED, text);
        return;
    }
    struct segment *seg = plan_add(p, BLOCK_TEXT, SOURCE_REPEAT, SLICE(" "));
    seg->text.len += plan_store(p, text).len;
}

/* "1 2 3 …", each a delta of its own, so that one sees whether it streams. */
static void plan_demo(struct plan *p) {
    struct segment *seg = plan_add(p, BLOCK_TEXT, SOURCE_FIXED, SLICE_NULL);
    size_t from = p->store.len;
    seg->cutting = CUT_PIECES;
    seg->first_cut = p->n_cuts;
    for (unsigned i = 1; i <= DEMO_NUMBERS; i++) {
        if (buf_appendf(&p->store, "%s%u", i > 1 ? " " : "", i) == 0) {
            plan_add_cut(p, p->store.len - from);
        }
    }
    seg->n_cuts = p->n_cuts - seg->first_cut;
    seg->text = (struct span){(uint32_t)from, (uint32_t)(p->store.len - from)};
}

static bool wants_demo(struct slice text) {
    return slice_eq_nocase(slice_sub(text, 0, 13), SLICE("stream a demo")) ||
           slice_eq_nocase(slice_sub(text, 0, 14), SLICE("streaming demo"));
}

static void plan_count_to(struct plan *p, struct slice tag, uint64_t to) {
    struct segment *seg = plan_add(p, BLOCK_TEXT, SOURCE_COUNT, tag);
    seg->count_to = p->exact_tokens ? 0 : to;
    seg->cutting = CUT_ITEMS;
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
    if (f->schema.len == 0 ||
        schema_fill(f->schema, SCHEMA_WILD, user_text, p->seed, &p->store) < 0) {
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

void plan_text_answer(struct plan *p, const struct llm_request *rq, const struct reply_options *o,
                      struct slice user_text, struct arena *scratch) {
    struct slice tag, talk;
    uint64_t count_to;
    if (o->text.ptr) {
        plan_said_text(p, o->text);
    } else if (o->is_echo) {
        plan_said_text(p, user_text);
    } else if (is_tool_result(request_last_message(rq)) && !p->exact_tokens) {
        plan_tool_result(p, message_text(request_last_message(rq), scratch));
    } else if (plan_refusal(p, user_text) || plan_json(p, rq, user_text)) {
        return;
    } else if (slice_starts_with(user_text, SLICE("echo: "))) {
        plan_said_text(p, slice_from(user_text, 6));
    } else if (parse_count(user_text, &tag, &count_to)) {
        plan_count_to(p, tag, count_to);
    } else if (!p->exact_tokens && wants_demo(user_text)) {
        plan_demo(p);
    } else if (!p->exact_tokens && (talk = smalltalk_answer(user_text, p->seed)).ptr) {
        plan_said_text(p, talk);
    } else {
        plan_prose(p, user_text);
    }
}
