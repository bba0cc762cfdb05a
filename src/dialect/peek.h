/* SPDX-License-Identifier: Apache-2.0 */
/* What the dialects' peeks share: one validating scan over a body that keeps the values of the
 * members that are acted on, and the checks of their types. Errors are faults in OpenAI's words. */
#ifndef PENSTOCK_DIALECT_PEEK_H
#define PENSTOCK_DIALECT_PEEK_H

#include "dialect/request.h"

#define PEEK_KEYS_MAX 16

struct peek {
    struct slice body;
    struct arena *a;
    struct request_fault *fault;
    const char *const *names;        /* the members that are acted on */
    unsigned n_names;
    unsigned n_members;              /* all that the body has */
    struct slice values[PEEK_KEYS_MAX];   /* by names; ptr NULL: absent */
};

/* All return 0, or -ERR_USAGE with the fault filled. */
int peek_scan(struct peek *p) MUST_CHECK;
int peek_model(struct peek *p, unsigned key, struct envelope *out) MUST_CHECK;
/* An array of objects with one element at least. */
int peek_messages(struct peek *p, unsigned key) MUST_CHECK;
int peek_bool(struct peek *p, unsigned key, bool *out) MUST_CHECK;
/* Within [min, max]; absent and null leave *out as it is. */
int peek_int(struct peek *p, unsigned key, int64_t min, int64_t max, int64_t *out) MUST_CHECK;
/* out->stream is set before. */
int peek_stream_options(struct peek *p, unsigned key, struct envelope *out) MUST_CHECK;
/* root_open and root_is_empty. */
void peek_root(const struct peek *p, struct envelope *out);

/* Of a whole request, which peek found valid: what the model takes for it is many times its bytes
 * where these are full of small objects. */
#define REQUEST_MAX_OBJECTS (1u << 19)
int request_check_size(struct slice body, struct request_fault *fault) MUST_CHECK;

/* ---- faults ---- */

int request_refuse(struct request_fault *fault, const char *code, const char *param,
                   const char *format, ...) PRINTF_LIKE(4, 5);
int request_refuse_missing(struct request_fault *fault, const char *param);
int request_refuse_type(struct request_fault *fault, const char *param, const char *expected,
                        struct slice got);

#endif
