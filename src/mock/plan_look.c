/* SPDX-License-Identifier: Apache-2.0 */
/* What a request asks for: its last words, what they are about, what the answer depends on. */
#include "mock/reply-private.h"
#include "mock/text_join.h"

/* ---- looking at the request ---- */

const struct message *request_last_message(const struct llm_request *rq) {
    const struct message *last = NULL;
    for (const struct message *m = rq->messages; m; m = m->next) {
        last = m;
    }
    return last;
}

const struct message *request_last_user_message(const struct llm_request *rq) {
    const struct message *last = NULL;
    for (const struct message *m = rq->messages; m; m = m->next) {
        last = m->role == ROLE_USER ? m : last;
    }
    return last;
}

void part_texts(const struct part *p, void (*fn)(void *self, struct slice text), void *self) {
    fn(self, p->text);
    for (unsigned i = 0; i < p->n_inner; i++) {
        fn(self, p->inner[i].text);
    }
}

static void join_message(const struct message *m, struct text_join *j) {
    for (unsigned i = 0; m && i < m->n_parts; i++) {
        if (m->parts[i].kind == PART_TEXT || m->parts[i].kind == PART_TOOL_RESULT) {
            text_join_part(j, &m->parts[i]);
        }
    }
}

struct slice message_text(const struct message *m, struct arena *a) {
    struct text_join j = TEXT_JOIN_BEGIN;
    join_message(m, &j);
    if (text_join_again(&j, a)) {
        join_message(m, &j);
    }
    return text_join_end(&j);
}

/* ---- what the answer depends on ---- */

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
uint64_t request_seed(const struct llm_request *rq, uint64_t seed) {
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

/* ---- what it is about ---- */

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

bool is_ascii_letter(char c) {
    return (c | 32) >= 'a' && (c | 32) <= 'z';
}

/* The longest word that is not one of ours: a fair guess at what the question is about. */
struct slice guess_topic(struct slice text) {
    struct slice best = SLICE_NULL;
    text = slice_sub(text, 0, 2000);
    for (size_t i = 0; i < text.len;) {
        size_t end = i;
        while (end < text.len &&
               (is_ascii_letter(text.ptr[end]) || (unsigned char)text.ptr[end] >= 0x80)) {
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

/* ---- how far the conversation is ---- */

bool is_tool_result(const struct message *m) {
    return m && (m->role == ROLE_TOOL || m->role == ROLE_FUNCTION);
}

/* In messages, the user may speak behind the results. */
bool request_has_results(const struct llm_request *rq) {
    bool any = false;
    for (const struct message *m = rq->messages; m; m = m->next) {
        any = is_tool_result(m) || (any && m->role != ROLE_ASSISTANT);
    }
    return any;
}
