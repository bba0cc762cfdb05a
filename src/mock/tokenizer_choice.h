/* SPDX-License-Identifier: Apache-2.0 */
/* Which tokenizer a provider counts with. Any thread. */
#ifndef PENSTOCK_MOCK_TOKENIZER_CHOICE_H
#define PENSTOCK_MOCK_TOKENIZER_CHOICE_H

#include "mock/options.h"
#include "token/token.h"

/* By the option, else by the model's name. Never NULL. */
const struct tokenizer *mock_tokenizer(const struct mock_options *o, struct slice model);

#endif
