/* SPDX-License-Identifier: Apache-2.0 */
/* One model of GET /models, as clients of each family read it. No I/O; any thread. */
#ifndef PENSTOCK_DIALECT_MODEL_LIST_H
#define PENSTOCK_DIALECT_MODEL_LIST_H

#include "dialect/json_write.h"

/* created_s: Unix epoch. Rules: OpenAI's "The model object", Anthropic's "Models: list". The name
 * to show is the id: nobody here knows a better one. */
void model_write_openai(struct json_writer *w, struct slice id, struct slice owner,
                        int64_t created_s);
void model_write_anthropic(struct json_writer *w, struct slice id, int64_t created_s);

#endif
