/* SPDX-License-Identifier: Apache-2.0 */
/* What the dialects' request decoders share. */
#ifndef PENSTOCK_DIALECT_REQUEST_READ_H
#define PENSTOCK_DIALECT_REQUEST_READ_H

#include "dialect/json_text.h"
#include "dialect/request.h"

/* The member's raw value; NULL when absent (or object is none). The last one wins. */
struct slice json_member(struct slice object, struct slice name, struct arena *a);
/* The decoded string of a member; NULL when absent or no string. */
struct slice json_member_string(struct slice object, struct slice name, struct arena *a);
/* 1, 0, or -1 when absent or no boolean. */
int json_member_bool(struct slice object, struct slice name, struct arena *a);

/* A growing array of parts in the arena. */
struct parts {
    struct part *list;
    unsigned n, cap;
};
/* Zeroed but for its kind. Valid until the next one is added. */
struct part *parts_add(struct parts *ps, struct arena *a, enum part_kind kind);

/* Appends at *end and moves it. */
struct field *field_add(struct arena *a, struct field ***end, struct slice key, struct slice value);
/* Appends a zeroed message, counts it. */
struct message *message_add(struct llm_request *rq, struct arena *a, enum role role);
struct tool *tool_add(struct llm_request *rq, struct arena *a);
/* A request with nothing in it: every "not said" set. */
void request_init(struct llm_request *rq, const char *origin);

#endif
