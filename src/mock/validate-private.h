/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the validation share: places, and violations in either provider's words. Raw
 * values are JSON that a parser has accepted. */
#ifndef PENSTOCK_MOCK_VALIDATE_PRIVATE_H
#define PENSTOCK_MOCK_VALIDATE_PRIVATE_H

#include "dialect/json_text.h"
#include "dialect/request_read.h"
#include "mock/validate.h"

struct check {
    const struct validate_request *in;
    struct arena *a;
    struct violations *out;
    unsigned dialect;                /* RULE_CHAT … */
    bool is_anthropic;
};

/* path: as in struct violation; it becomes the error's param. */
void violate(struct check *c, enum rule_id rule, const char *path, const char *format, ...)
    PRINTF_LIKE(4, 5);
void violate_code(struct check *c, enum rule_id rule, const char *code, const char *path,
                  const char *format, ...) PRINTF_LIKE(5, 6);
void violate_missing(struct check *c, const char *path);
/* expected: "a string" */
void violate_type(struct check *c, const char *path, const char *expected, struct slice got);
/* words: "low|medium|high" */
void violate_choice(struct check *c, enum rule_id rule, const char *path, struct slice got,
                    const char *words);
/* "messages[1].content" as Anthropic writes it: "messages.1.content". */
const char *dotted(struct check *c, const char *path);
/* "messages[1]" and "content" are "messages[1].content"; with an empty path the name alone. */
const char *place_of(struct check *c, const char *path, const char *name);
const char *place_at(struct check *c, const char *path, unsigned i);

bool is_said(struct slice value);            /* there, and not null */
bool is_word(const char *words, struct slice word);
struct slice member_of(struct check *c, struct slice object, const char *name);
struct slice string_in(struct check *c, struct slice object, const char *name);
/* Of a number as it is spelt. */
double number_of(struct slice spelt);
unsigned count_elements(struct slice array);
#define SHOWN_VALUE_BYTES 64
#define SHOW(s) (int)((s).len < SHOWN_VALUE_BYTES ? (s).len : SHOWN_VALUE_BYTES), (s).len ? (s).ptr : ""

/* validate_params.c: members of the root, by a table */
void check_params(struct check *c);
/* validate_settings.c: settings and each other, models that reason */
void check_settings(struct check *c);
/* validate_content.c, validate_items.c: messages and items */
void check_chat_messages(struct check *c);
void check_messages_messages(struct check *c);
void check_responses_items(struct check *c);
/* validate_parts.c */
void check_chat_part(struct check *c, const char *path, struct slice part, struct slice role);
void check_messages_block(struct check *c, const char *path, struct slice block, const char *types);
void check_responses_part(struct check *c, const char *path, struct slice part, struct slice role);
/* validate_tools.c */
void check_tools(struct check *c);
/* 1 to max letters, digits, "_" and "-". */
bool rule_name_fits(struct slice s, size_t max);
/* The rules of strict schemas; what: "response_format 'x'". */
void check_strict_schema(struct check *c, const char *path, const char *code, const char *what,
                         struct slice schema);

#endif
