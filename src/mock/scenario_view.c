/* SPDX-License-Identifier: Apache-2.0 */
#include "mock/scenario-private.h"

#include "dialect/request_read.h"
#include "mock/text_join.h"

/* ---- texts ---- */

/* Which messages, and which of their parts. */
struct selection {
    const struct message *first, *end;
    unsigned roles;                  /* bits */
    bool results;                    /* results of tools; else texts and refusals */
};

static bool is_wanted(const struct part *p, bool results) {
    return results ? p->kind == PART_TOOL_RESULT
                   : p->kind == PART_TEXT || p->kind == PART_REFUSAL;
}

static void join_selection(struct text_join *j, const struct selection *s) {
    for (const struct message *m = s->first; m != s->end; m = m->next) {
        if (!(s->roles >> m->role & 1)) {
            continue;
        }
        for (unsigned i = 0; i < m->n_parts; i++) {
            if (is_wanted(&m->parts[i], s->results)) {
                text_join_part(j, &m->parts[i]);
            }
        }
    }
}

/* One text is borrowed; several are joined in the arena. */
static struct slice join(struct view *v, const struct selection *s) {
    struct text_join j = TEXT_JOIN_BEGIN;
    join_selection(&j, s);
    if (text_join_again(&j, v->arena)) {
        join_selection(&j, s);
    }
    return text_join_end(&j);
}

#define ALL_ROLES (~0u)
#define ROLE_BIT(role) (1u << (role))

struct slice view_message_text(struct view *v, const struct message *m) {
    bool is_result = m->role == ROLE_TOOL || m->role == ROLE_FUNCTION;
    const struct selection s = {m, m->next, ALL_ROLES, is_result};
    return join(v, &s);
}

struct slice view_user(struct view *v) {
    const struct message *last = NULL;
    if (v->has_user) {
        return v->user;
    }
    for (const struct message *m = v->in->rq->messages; m; m = m->next) {
        last = m->role == ROLE_USER ? m : last;
    }
    v->user = last ? view_message_text(v, last) : SLICE("");
    v->has_user = true;
    return v->user;
}

struct slice view_system(struct view *v) {
    if (!v->has_system) {
        const struct selection s = {v->in->rq->messages, NULL,
                                    ROLE_BIT(ROLE_SYSTEM) | ROLE_BIT(ROLE_DEVELOPER), false};
        v->system = join(v, &s);
        v->has_system = true;
    }
    return v->system;
}

const struct message *view_news(const struct view *v) {
    const struct message *first = v->in->rq->messages;
    for (const struct message *m = first; m; m = m->next) {
        first = m->role == ROLE_ASSISTANT ? m->next : first;
    }
    return first;
}

static bool has_result(const struct message *first) {
    for (const struct message *m = first; m; m = m->next) {
        for (unsigned i = 0; i < m->n_parts; i++) {
            if (m->parts[i].kind == PART_TOOL_RESULT) {
                return true;
            }
        }
    }
    return false;
}

struct slice view_result(struct view *v) {
    if (!v->has_result) {
        const struct selection s = {view_news(v), NULL, ALL_ROLES, true};
        v->result = has_result(s.first) ? join(v, &s) : SLICE_NULL;
        v->has_result = true;
    }
    return v->result;
}

/* ---- shape ---- */

const struct message *view_last(const struct view *v) {
    const struct message *last = NULL;
    for (const struct message *m = v->in->rq->messages; m; m = m->next) {
        last = m;
    }
    return last;
}

int64_t view_turn(const struct view *v) {
    int64_t turn = 1;
    for (const struct message *m = v->in->rq->messages; m; m = m->next) {
        turn += m->role == ROLE_ASSISTANT;
    }
    return turn;
}

static bool holds_image(const struct part *p, unsigned n) {
    for (unsigned i = 0; i < n; i++) {
        if (p[i].kind == PART_IMAGE || holds_image(p[i].inner, p[i].n_inner)) {
            return true;
        }
    }
    return false;
}

bool view_has_image(const struct view *v) {
    for (const struct message *m = v->in->rq->messages; m; m = m->next) {
        if (holds_image(m->parts, m->n_parts)) {
            return true;
        }
    }
    return false;
}

static bool is_call(const struct part *p) {
    return p->kind == PART_TOOL_CALL || p->kind == PART_CUSTOM_TOOL_CALL ||
           p->kind == PART_FUNCTION_CALL;
}

struct slice view_result_tool(const struct view *v, const struct message *m,
                              const struct part *p) {
    struct slice name = m->role == ROLE_FUNCTION ? m->name : SLICE("");
    for (const struct message *before = v->in->rq->messages; before != m; before = before->next) {
        for (unsigned i = 0; p->id.len && i < before->n_parts; i++) {
            const struct part *call = &before->parts[i];
            name = is_call(call) && slice_eq(call->id, p->id) ? call->name : name;
        }
    }
    return name.len ? name : p->name;
}

/* ---- session ---- */

static struct slice metadata(const struct llm_request *rq) {
    for (const struct field *f = rq->params; f; f = f->next) {
        if (slice_eq(f->key, SLICE("metadata")) && f->value.len && f->value.ptr[0] == '{') {
            return f->value;
        }
    }
    return rq->metadata;
}

struct slice scenario_session(const struct http_headers *headers, const struct llm_request *rq,
                              struct arena *a) {
    struct slice said = http_headers_get(headers, SLICE("x-penstock-session"));
    if (said.len == 0) {
        said = json_member_string(metadata(rq), SLICE("session"), a);
    }
    return said.len ? said : rq->user;
}
