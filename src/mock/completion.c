/* SPDX-License-Identifier: Apache-2.0 */
#include "mock/completion.h"

#include "dialect/peek.h"
#include "dialect/request_read.h"

enum { MAX_STOPS = 4 };

struct reader {
    struct arena *a;
    struct llm_request *rq;
    struct request_fault *fault;
};

static int add_prompt(struct reader *r, struct slice value) {
    struct parts ps = {0};
    if (r->rq->n_messages == COMPLETION_MAX_PROMPTS) {
        return request_refuse(r->fault, "invalid_value", "prompt",
                              "Invalid 'prompt': this mock takes at most %d prompts.",
                              COMPLETION_MAX_PROMPTS);
    }
    struct message *m = message_add(r->rq, r->a, ROLE_USER);
    struct part *p = parts_add(&ps, r->a, PART_TEXT);
    p->text = json_text_is(value, '"') ? json_text_string(value, r->a) : value;
    p->raw = value;
    m->content_is_string = true;
    m->parts = ps.list;
    m->n_parts = ps.n;
    return 0;
}

/* Strings and lists of tokens are a prompt each; tokens are one. */
static int read_prompts(struct reader *r, struct slice value) {
    struct json_walk w = json_walk_begin(value);
    struct slice element;
    bool is_list = json_text_is(value, '[') && json_walk_element(&w, &element) &&
                   (json_text_is(element, '"') || json_text_is(element, '['));
    if (!is_list) {
        return add_prompt(r, value);
    }
    w = json_walk_begin(value);
    while (json_walk_element(&w, &element)) {
        int rc = add_prompt(r, element);
        if (rc) {
            return rc;
        }
    }
    return 0;
}

static void read_stop(struct reader *r, struct slice value) {
    struct json_walk w = json_walk_begin(value);
    struct slice element;
    r->rq->stop = arena_alloc(r->a, MAX_STOPS * sizeof r->rq->stop[0]);
    if (json_text_is(value, '"')) {
        r->rq->stop[r->rq->n_stop++] = json_text_string(value, r->a);
    }
    while (r->rq->n_stop < MAX_STOPS && json_walk_element(&w, &element)) {
        r->rq->stop[r->rq->n_stop++] = json_text_string(element, r->a);
    }
}

/* Here a number: how many alternatives; 0: the token's own alone. */
static void read_logprobs(struct reader *r, struct slice value) {
    int64_t n;
    if (json_text_int(value, &n) && n >= 0) {
        r->rq->logprobs = 1;
        r->rq->top_logprobs = n;
    }
}

static int read_root(struct reader *r, struct slice body) {
    struct json_walk w = json_walk_begin(slice_from(body, r->rq->env.root_open));
    struct field **end = &r->rq->params;
    struct slice key, value;
    int rc = 0;
    while (rc == 0 && json_walk_member(&w, &key, &value)) {
        key = json_text_unescape(key, r->a);
        field_add(r->a, &end, key, value);
        if (slice_eq(key, SLICE("prompt"))) {
            rc = read_prompts(r, value);
        } else if (slice_eq(key, SLICE("stop"))) {
            read_stop(r, value);
        } else if (slice_eq(key, SLICE("user"))) {
            r->rq->user = json_text_string(value, r->a);
        } else if (slice_eq(key, SLICE("seed"))) {
            r->rq->seed = value;
        } else if (slice_eq(key, SLICE("logprobs"))) {
            read_logprobs(r, value);
        }
    }
    return rc;
}

static int read_own(struct slice body, struct arena *a, struct llm_request *out,
                    struct request_fault *fault) {
    struct reader r = {a, out, fault};
    request_init(out, dialect_completions.name);
    int rc = dialect_completions.peek_request(body, a, &out->env, fault);
    out->is_completion = true;
    rc = rc ? rc : read_root(&r, body);
    return rc || out->messages ? rc : add_prompt(&r, SLICE("\"<|endoftext|>\""));
}

int completion_decode(struct slice body, struct arena *a, struct llm_request *out,
                      struct request_fault *fault) {
    int rc = dialect_completions.decode_request(body, a, out, fault);
    bool is_ours = rc && fault->code && strcmp(fault->code, "unsupported_parameter") == 0;
    return is_ours ? read_own(body, a, out, fault) : rc;
}

bool completion_echoes(const struct llm_request *rq) {
    for (const struct field *f = rq->is_completion ? rq->params : NULL; f; f = f->next) {
        if (slice_eq(f->key, SLICE("echo"))) {
            return slice_eq(f->value, SLICE("true"));
        }
    }
    return false;
}
