/* SPDX-License-Identifier: Apache-2.0 */
/* Errors across dialects: one table of classes, with each vendor's status, type and code
 * (translation.md 5.1, 5.2). */
#ifndef PENSTOCK_DIALECT_ERROR_CLASS_H
#define PENSTOCK_DIALECT_ERROR_CLASS_H

#include "dialect/event.h"

enum error_class {
    ERROR_INVALID_REQUEST,
    ERROR_CONTEXT_LENGTH,
    ERROR_AUTHENTICATION,
    ERROR_QUOTA,
    ERROR_PERMISSION,
    ERROR_MODEL_NOT_FOUND,
    ERROR_NOT_FOUND,
    ERROR_METHOD,
    ERROR_REQUEST_TIMEOUT,
    ERROR_CONFLICT,
    ERROR_TOO_LARGE,
    ERROR_CONTENT_TYPE,
    ERROR_UNPROCESSABLE,
    ERROR_RATE_LIMIT,
    ERROR_OVERLOADED,
    ERROR_TIMEOUT,
    ERROR_GATEWAY,                   /* unreachable, unreadable, the gateway's own credential */
    ERROR_SERVER,
    ERROR_CLASS_COUNT
};
const char *error_class_name(enum error_class c);

/* From status, type, code and message, whatever vendor's they are. */
enum error_class error_classify(const struct api_error *er);
/* `in`'s message, param and request id with the vendor's own status, type and code. Where `in` is
 * in these words already, it stays. Slices are in's or literals, but for a message that Anthropic's
 * clients look for ("prompt is too long"): this thread's, until its next call. */
#define ERROR_MESSAGE_BYTES 1280
/* The error's own type, else OpenAI's usual one for its status. */
struct slice openai_error_type(const struct api_error *er);
void error_for_openai(const struct api_error *in, struct api_error *out);
void error_for_anthropic(const struct api_error *in, struct api_error *out);

#endif
