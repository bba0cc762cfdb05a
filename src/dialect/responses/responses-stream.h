/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of Responses' streams and answers share. */
#ifndef PENSTOCK_DIALECT_RESPONSES_STREAM_H
#define PENSTOCK_DIALECT_RESPONSES_STREAM_H

#include "dialect/responses/responses-private.h"

/* ---- words (responses_words.c) ---- */

/* What an event's type means to us. Those of HOSTED belong to an item of a tool that the provider
 * runs; those of ASIDE to no item; UNKNOWN ones break OpenAI's own stream helper. */
enum responses_event {
    RE_UNKNOWN,
    RE_TEXT_DELTA,
    RE_ARGS_DELTA,
    RE_SUMMARY_DELTA,
    RE_THOUGHT_DELTA,
    RE_INPUT_DELTA,
    RE_REFUSAL_DELTA,
    RE_ITEM_ADDED,
    RE_ITEM_DONE,
    RE_PART_ADDED,
    RE_PART_DONE,
    RE_TEXT_DONE,
    RE_ANNOTATION,
    RE_REFUSAL_DONE,
    RE_ARGS_DONE,
    RE_INPUT_DONE,
    RE_SUMMARY_ADDED,
    RE_SUMMARY_PART_DONE,
    RE_SUMMARY_DONE,
    RE_THOUGHT_DONE,
    RE_CREATED,
    RE_QUEUED,
    RE_IN_PROGRESS,
    RE_COMPLETED,
    RE_INCOMPLETE,
    RE_FAILED,
    RE_CANCELLED, /* seen, not in the catalogue */
    RE_ERROR,
    RE_KEEPALIVE,
    RE_HOSTED,
    RE_ASIDE
};
enum responses_event responses_event_of(struct slice type);

enum responses_item_kind { RI_MESSAGE, RI_REASONING, RI_CALL, RI_CUSTOM_CALL, RI_OPAQUE };
enum responses_item_kind responses_item_kind_of(struct slice type);

/* What comes raw from an upstream is quoted in deeper JSON: not so deep that readers refuse it. */
#define QUOTE_MAX_DEPTH 100
bool responses_may_quote(struct slice raw);

/* `incomplete_details.reason` to a stop reason (translation.md 1.1), and back: empty when the
 * answer is complete. is_own: f->wire is in our words. */
enum stop_reason responses_stop_reason(struct slice incomplete_reason);
struct slice responses_incomplete_word(const struct finish *f, bool is_own);

/* usage: an object's member. */
void responses_read_usage(const struct json_doc *d, yyjson_val *usage, struct usage *out);
/* The object, or null when u (which may be NULL) tells nothing. is_own: u->wire is in our words. */
void responses_w_usage(struct json_writer *w, const struct usage *u, bool is_own);
/* Elements of an array of token objects, with commas between: `bytes` and `top_logprobs`, which
 * some leave out, are put in. Returns how many. */
unsigned responses_w_tokens(struct json_writer *w, struct slice tokens);

/* ---- errors (responses_error.c) ---- */

/* `"type":…` to `"param":…` of an error, without braces. */
void responses_w_error_fields(struct json_writer *w, const struct api_error *er);
/* The frame of the one form that every client raises (openai, the AI SDK, LangChain). */
void responses_w_error_frame(struct json_writer *w, const struct api_error *er, uint64_t sequence);

/* ---- the short cut for deltas (responses_mould.c) ---- */

struct responses_mould; /* freed by mem_free */
/* Whether `data` is the mould around another number and other plain strings. */
bool responses_mould_fits(struct responses_mould *m, struct slice data, struct span *out_text,
                          uint64_t *out_number);
/* Of a frame that meant one DELTA of the string at `text`. number: the digits of its
 * sequence_number; padding: the string of its obfuscation (between the quotes); len 0 when it has
 * none. False: none was made. */
bool responses_mould_make(struct responses_mould **m, struct slice data, struct span text,
                          struct span number, struct span padding);

/* ---- what was said, and what is said again (responses_said.c) ---- */

struct responses_said {
    uint64_t hash, len;           /* of what counts */
    uint64_t core_hash, core_len; /* up to the last of it that is no blank */
    bool is_json, in_string, is_escaped;
    bool is_damaged;              /* it holds U+FFFD: what it should say is not known */
};
void responses_said_begin(struct responses_said *s, bool is_json);
void responses_said_add(struct responses_said *s, struct slice text);
/* Whether `whole` is what was said, or goes on where that ended: then with the rest of it. */
bool responses_said_is(const struct responses_said *s, struct slice whole, struct slice *out_rest);

/* ---- streams ---- */

/* The sequence_number behind what it has decoded. */
uint64_t responses_decoder_next_sequence(const struct decoder *d);
/* No frames from now on (and no `out`): what is wanted is responses_encoder_write_response. */
void responses_encoder_set_quiet(struct encoder *x);

#endif
