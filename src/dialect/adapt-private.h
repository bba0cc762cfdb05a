/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of request_adapt share. */
#ifndef PENSTOCK_DIALECT_ADAPT_PRIVATE_H
#define PENSTOCK_DIALECT_ADAPT_PRIVATE_H

#include "dialect/string_map.h"
#include "dialect/translation.h"

struct adapter {
    struct llm_request *rq;
    struct translation *t;
    struct arena *a;
    const struct capabilities *caps;
    struct request_fault *fault;
    bool from_messages, from_responses, to_chat, to_messages, to_responses;
    bool takes_custom;               /* the upstream has custom tools */
};

static inline bool part_is_call(const struct part *p) {
    return p->kind == PART_TOOL_CALL || p->kind == PART_CUSTOM_TOOL_CALL ||
           p->kind == PART_FUNCTION_CALL;
}
static inline bool part_is_reasoning(const struct part *p) {
    return p->kind == PART_REASONING || p->kind == PART_REDACTED;
}
static inline bool message_is_system(const struct message *m) {
    return m->role == ROLE_SYSTEM || m->role == ROLE_DEVELOPER;
}
static inline bool message_is_result(const struct message *m) {
    return m->role == ROLE_TOOL || m->role == ROLE_FUNCTION;
}

/* ---- names (adapt_names.c) ---- */

/* Tools, choices and calls of the history by names that the upstream takes; custom tools as
 * functions where it has none. Fills t->names. */
void adapt_names(struct adapter *ad);

/* ---- turns (adapt_turns.c) ---- */

/* Each call followed by its result and nothing else; ids that the upstream takes. Fills t->ids. */
void adapt_turns(struct adapter *ad);

#endif
