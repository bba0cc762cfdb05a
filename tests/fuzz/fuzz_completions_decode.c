/* SPDX-License-Identifier: Apache-2.0 */
/* The same upstream, speaking completions. */
#define DIALECT dialect_completions
#include "fuzz_chat_decode.c"
