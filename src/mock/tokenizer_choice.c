/* SPDX-License-Identifier: Apache-2.0 */
#include "mock/tokenizer_choice.h"

const struct tokenizer *mock_tokenizer(const struct mock_options *o, struct slice model) {
    switch (o->tokenizer) {
    case MOCK_TOKENIZER_AUTO:
        break;
    case MOCK_TOKENIZER_O200K:
        return tokenizer_get(ENCODING_O200K);
    case MOCK_TOKENIZER_CL100K:
        return tokenizer_get(ENCODING_CL100K);
    case MOCK_TOKENIZER_PIECES:
        return tokenizer_get(ENCODING_PIECES);
    }
    return tokenizer_get(encoding_of_model(model));
}
