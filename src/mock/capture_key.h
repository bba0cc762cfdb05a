/* SPDX-License-Identifier: Apache-2.0 */
/* What a request asks, whatever its dialect and spelling: lines "place<TAB>value", by which a
 * capture is found, and which tell in what two requests differ.
 *
 * In it: model, conversation (roles, texts, calls with their arguments, results, media by their
 * hash), tools, choice of tools, sampling, stops, output format, further members that change an
 * answer. Not in it: dialect, `stream`, order and spelling of JSON, ids of calls (their order is),
 * thoughts of earlier turns, who asks (user, metadata …). Soft: what dialects have to say
 * differently (max_tokens, reasoning): it prefers one capture to another and excludes none. */
#ifndef PENSTOCK_MOCK_CAPTURE_KEY_H
#define PENSTOCK_MOCK_CAPTURE_KEY_H

#include "mock/capture.h"

struct capture_norm {
    struct buf lines;
    struct buf soft;
};

void capture_norm_init(struct capture_norm *n);
void capture_norm_dispose(struct capture_norm *n);

int capture_norm_request(struct capture_norm *n, const struct llm_request *rq) MUST_CHECK;
/* The same of a request's body. -ERR_USAGE: it cannot be decoded. */
int capture_norm_body(struct capture_norm *n, const struct dialect *d,
                      struct slice body) MUST_CHECK;
/* Of what is no dialect's endpoint: method, path, query without secrets, body. */
int capture_norm_plain(struct capture_norm *n, struct slice method, struct slice path,
                       struct slice query, struct slice body) MUST_CHECK;
/* Of the request in a capture. -ERR_USAGE: it cannot be decoded. */
int capture_norm_of(struct capture_norm *n, const struct capture *c) MUST_CHECK;

void capture_norm_key(const struct capture_norm *n, char out[CAPTURE_KEY_BYTES + 1]);
uint64_t capture_norm_soft(const struct capture_norm *n);
/* How many lines are alike, roughly: the larger the nearer. */
unsigned capture_norm_likeness(struct slice a, struct slice b);
/* The first difference of two `lines`, for people: `messages[1].text is "…", there "…"`. */
void capture_norm_difference(struct slice here, struct slice there, char *out, size_t size);

#endif
