/* SPDX-License-Identifier: Apache-2.0 */
/* What the prompt counts as, and how much of it was cached. */
#include "dialect/json_text.h"
#include "mock/reply-private.h"

enum {
    COUNT_WHOLE_BYTES = 1 << 18,      /* longer texts are counted by this much */
    MESSAGE_TOKENS = 3,
    NAME_TOKENS = 1,
    PRIMING_TOKENS = 3,               /* every reply begins with its own head */
    IMAGE_TOKENS = 765,               /* 1024 × 1024 in high detail */
    SMALL_IMAGE_TOKENS = 85,
    MEDIA_TOKENS = 1500,              /* of a document or sound that is not in the request */
    MEDIA_BYTES_PER_TOKEN = 48,       /* of base64 */
    CACHE_MIN_TOKENS = 1024,          /* shorter beginnings are not cached */
    CACHE_STEP_TOKENS = 128
};

struct counting {
    const struct tokenizer *tokenizer;
    uint64_t n;
};

static void add_text(void *self, struct slice text) {
    struct counting *c = self;
    struct slice head = slice_sub(text, 0, COUNT_WHOLE_BYTES);
    if (text.len == 0) {
        return;
    }
    uint64_t n = tokenizer_count(c->tokenizer, head);
    c->n += head.len == text.len ? n : (uint64_t)((double)n * (double)text.len / (double)head.len);
}

static void add_media(struct counting *c, const struct part *p) {
    uint64_t by_size = p->encoded.len / MEDIA_BYTES_PER_TOKEN;
    if (p->kind == PART_IMAGE) {
        c->n += slice_eq(p->detail, SLICE("low")) ? SMALL_IMAGE_TOKENS : IMAGE_TOKENS;
    } else if (p->text.len == 0) {
        c->n += by_size > MEDIA_TOKENS ? by_size : MEDIA_TOKENS;
    }
}

/* A prompt of tokens is the list as it came. */
static bool is_token_list(const struct llm_request *rq, const struct part *p) {
    return rq->is_completion && json_text_is(p->raw, '[') && p->raw.ptr == p->text.ptr;
}

static uint64_t list_length(struct slice list) {
    struct json_walk w = json_walk_begin(list);
    struct slice element;
    uint64_t n = 0;
    while (json_walk_element(&w, &element)) {
        n++;
    }
    return n;
}

static void add_part(struct counting *c, const struct llm_request *rq, const struct part *p) {
    if (is_token_list(rq, p)) {
        c->n += list_length(p->raw);
        return;
    }
    part_texts(p, add_text, c);
    add_text(c, p->kind == PART_TOOL_RESULT ? SLICE_NULL : p->name);
    bool is_media = p->kind == PART_IMAGE || p->kind == PART_AUDIO || p->kind == PART_FILE;
    if (is_media) {
        add_media(c, p);
    }
    for (unsigned i = 0; i < p->n_inner; i++) {
        if (p->inner[i].kind == PART_IMAGE || p->inner[i].kind == PART_FILE) {
            add_media(c, &p->inner[i]);
        }
    }
}

static struct slice role_word(enum role role) {
    static const char *const words[] = {[ROLE_SYSTEM] = "system",       [ROLE_DEVELOPER] = "system",
                                        [ROLE_USER] = "user",           [ROLE_ASSISTANT] = "assistant",
                                        [ROLE_TOOL] = "tool",           [ROLE_FUNCTION] = "function"};
    return slice_cstr(words[role]);
}

static void add_message(struct counting *c, const struct llm_request *rq,
                        const struct message *m) {
    if (!rq->is_completion) {
        c->n += m->name.len > 0 ? MESSAGE_TOKENS + NAME_TOKENS : MESSAGE_TOKENS;
        add_text(c, role_word(m->role));
        add_text(c, m->name);
    }
    for (unsigned i = 0; i < m->n_parts; i++) {
        add_part(c, rq, &m->parts[i]);
    }
}

static void add_tool(struct counting *c, const struct tool *t) {
    if (t->raw.len > 0) {
        add_text(c, t->raw);
        return;
    }
    add_text(c, t->name);
    add_text(c, t->description);
    add_text(c, t->parameters);
}

struct prompt_count count_prompt(const struct llm_request *rq, const struct tokenizer *t) {
    const struct message *question = request_last_user_message(rq);
    struct counting c = {t ? t : tokenizer_get(encoding_of_model(rq->env.model)), 0};
    struct prompt_count out = {.before_question = 0};
    for (const struct message *m = rq->messages; m; m = m->next) {
        out.before_question = m == question ? c.n : out.before_question;
        add_message(&c, rq, m);
    }
    out.messages = c.n;
    out.before_question = question ? out.before_question : c.n;
    c.n += rq->is_completion ? 0 : PRIMING_TOKENS;
    for (const struct tool *tool = rq->tools; tool; tool = tool->next) {
        add_tool(&c, tool);
    }
    add_text(&c, rq->format.schema);
    out.all = c.n;
    return out;
}

/* ---- the cache ---- */

static bool any_cache_control(const struct field *f) {
    for (; f; f = f->next) {
        if (slice_eq(f->key, SLICE("cache_control"))) {
            return true;
        }
    }
    return false;
}

/* Anthropic caches where it is told to. */
bool reply_asks_for_cache(const struct llm_request *rq) {
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
void plan_cache(struct plan *p, const struct llm_request *rq, const struct prompt_count *prompt,
                int64_t told) {
    bool is_messages = p->dialect == &dialect_messages, has_answered = false;
    for (const struct message *m = rq->messages; m; m = m->next) {
        has_answered |= m->role == ROLE_ASSISTANT;
    }
    if (told >= 0) {
        p->cache_read = (uint64_t)told < p->prompt_tokens ? (uint64_t)told : p->prompt_tokens;
        return;
    }
    if (p->prompt_tokens < CACHE_MIN_TOKENS || (is_messages && !reply_asks_for_cache(rq))) {
        return;
    }
    uint64_t before = has_answered ? prompt->before_question : prompt->messages;
    before = before < p->prompt_tokens ? before : p->prompt_tokens;
    if (before < CACHE_MIN_TOKENS) {
        return;
    }
    before -= before % CACHE_STEP_TOKENS;
    p->cache_read = has_answered ? before : 0;
    p->cache_write = is_messages && !has_answered ? before : 0;
}
