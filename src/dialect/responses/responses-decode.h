/* SPDX-License-Identifier: Apache-2.0 */
/* What the two files of the responses decoder share: responses_decode.c reads frames,
 * responses_blocks.c says what they tell of the answer's items. */
#ifndef PENSTOCK_DIALECT_RESPONSES_DECODE_H
#define PENSTOCK_DIALECT_RESPONSES_DECODE_H

#include "dialect/event_out.h"
#include "dialect/responses/responses-stream.h"

#define STEPS_OF_A_COUNT 2 /* steps of one after which a stream is known to count */

enum decoder_state { DEC_OPEN, DEC_DONE, DEC_FAILED };

struct item {
    uint32_t output_index, block, group;
    uint32_t part, n_told;  /* the open part; parts below n_told have been said */
    uint32_t n_annotations; /* of the open block */
    uint64_t id_hash, off, part_off;
    enum responses_item_kind kind;
    enum block_kind block_kind;
    bool is_open, is_begun, is_done; /* its block is; it had one; the item is over */
    bool has_text;                   /* in the open block */
    bool is_raw;
    bool is_told;                    /* the open part's recap came, and is what was said */
    bool is_owed;                    /* a call's deltas, which could not be said */
    struct responses_said said;      /* in the open part */
};

struct decoder {
    enum decoder_state state;
    uint32_t next_block, n_items, cap_items;
    uint64_t next_sequence;
    uint64_t last_number; /* that an event had */
    uint8_t n_steps;      /* of one, in a row */
    bool has_number;
    bool has_gap, has_hole; /* its numbers leap or fall back; they leap */
    bool has_untold;      /* a block that said something has ended without its recap */
    bool is_started, any_call, last_was_delta; /* the mould is the last frame's */
    uint32_t mould_item;
    struct item *items;
    struct responses_mould *mould;
    struct buf scratch; /* token probabilities of one event, in the model's form */
};

/* The members of an event that mean something. */
struct members {
    yyjson_val *type, *sequence_number, *output_index, *item_id, *content_index, *summary_index,
        *delta, *text, *part, *item, *annotation, *response, *logprobs, *error, *obfuscation;
};

struct feed {
    struct json_doc doc;
    struct decoder *d;
    struct event_out out;
    struct members m;
    const char *problem;
};

static inline struct slice responses_member_str(yyjson_val *obj, const char *key) {
    return json_doc_str(yyjson_obj_get(obj, key));
}
/* As it came. */
static inline struct slice responses_raw_of(const struct feed *x, yyjson_val *member) {
    return json_doc_member_raw(&x->doc, member);
}
/* START, once. response NULL: there is none. */
void responses_put_start(struct feed *x, yyjson_val *response);
/* An event that is about the answer's items, or about nothing that we know: x->m. */
void responses_put_item_event(struct feed *x, enum responses_event event);
/* The terminal event's list: what of it has not been said. */
void responses_put_output(struct feed *x, yyjson_val *output);
/* Ends the blocks that are open. */
void responses_end_blocks(struct feed *x);

#endif
