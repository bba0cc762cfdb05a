/* SPDX-License-Identifier: Apache-2.0 */
/* What a prompt counts as: texts by the tokenizer (NULL: the model's), chat's way of counting
 * messages around them (3 a message, its role, its name and 1 for that, 3 for the reply), the
 * tools' and the schema's JSON, a fixed number an image. The same for the request to count and the
 * request to answer. Beyond 256 KiB a text is counted by its first 256 KiB. Pure, any thread. */
#ifndef PENSTOCK_MOCK_PROMPT_H
#define PENSTOCK_MOCK_PROMPT_H

#include "dialect/request.h"
#include "token/token.h"

struct prompt_count {
    uint64_t all;
    uint64_t messages;               /* of these, without what stands around them */
    uint64_t before_question;        /* the messages before the user's last one; all without one */
};
struct prompt_count count_prompt(const struct llm_request *rq, const struct tokenizer *t);

#endif
