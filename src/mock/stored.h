/* SPDX-License-Identifier: Apache-2.0 */
/* What one provider remembers for clients of the Responses API: answers with what they were made
 * from, and conversations. In memory, bounded by bytes and by time; what was used least goes first.
 * An answer is kept with its own input and the id of the one before, so that a conversation of n
 * turns costs n turns. Any thread. */
#ifndef PENSTOCK_MOCK_STORED_H
#define PENSTOCK_MOCK_STORED_H

#include "base/arena.h"
#include "base/buf.h"
#include "dialect/request.h"
#include "store/store.h"

struct stored;

struct stored *stored_new(uint64_t max_bytes, int64_t ttl_ns, uint64_t seed);
void stored_free(struct stored **s);
/* The part of it that belongs to who comes with this key: nothing of it is found in another part,
 * and nothing of others in it. Of the key a hash is kept. In the arena; s must outlive it. */
struct stored *stored_of_key(struct stored *s, struct slice key, struct arena *a);
bool stored_is_same_part(const struct stored *s, const struct stored *other);
void stored_get_stats(struct stored *s, struct store_stats *out);

/* ---- a turn ---- */

struct stored_turn {
    /* to be decoded: earlier items in front, references resolved */
    struct slice body;
    struct slice previous;           /* previous_response_id; ptr NULL: none */
    struct slice conversation;       /* as the body had it, raw; ptr NULL: none */
    struct slice conversation_id;
    struct slice input;              /* its own items, with commas, each with an id */
    bool is_stored, is_background;
};
/* body: what peek_request accepts; slices live in the arena, or are the body's. seed: of the ids of
 * items that have none (stored_id). 0, or -ERR_USAGE with the fault and its status. */
int stored_turn_read(struct stored *s, struct slice body, struct slice seed, struct arena *a,
                     struct stored_turn *out, struct request_fault *fault,
                     unsigned *out_status) MUST_CHECK;
/* Whether its answer has to be told to stored_keep. */
bool stored_turn_is_kept(const struct stored_turn *t);

/* Outlives the request, and the part s of the store. */
struct stored_note;
struct stored_note *stored_note_new(struct stored *s, const struct stored_turn *t);
const struct stored *stored_note_part(const struct stored_note *n);
void stored_note_free(struct stored_note **n);          /* NULL is fine */
/* All that the answer is made from, oldest first, with commas. */
struct slice stored_note_input(const struct stored_note *n, struct arena *a);
/* The answer, a response object that is over: for GET, for previous_response_id, and into its
 * conversation. events: its stream, where it can be read again; else empty. */
void stored_keep(const struct stored_note *n, struct slice response, struct slice events);

/* ---- looking things up; slices live in the arena ---- */

struct stored_response {
    struct slice response, events;   /* events empty: none were kept */
    bool is_background;
};
bool stored_response_get(struct stored *s, struct slice id, struct arena *a,
                         struct stored_response *out);
bool stored_response_delete(struct stored *s, struct slice id);
/* All that an answer was made from, oldest first, with commas. False: there is no such answer. */
bool stored_response_input(struct stored *s, struct slice id, struct arena *a, struct slice *out);

/* metadata: a raw object or empty. Returns the conversation object. */
struct slice stored_conversation_new(struct stored *s, struct slice id, int64_t created,
                                     struct slice metadata, struct slice items, struct arena *a);
bool stored_conversation_get(struct stored *s, struct slice id, struct arena *a, struct slice *out);
bool stored_conversation_set(struct stored *s, struct slice id, struct slice metadata,
                             struct arena *a, struct slice *out);
bool stored_conversation_delete(struct stored *s, struct slice id);
/* Items with commas between. */
bool stored_items_get(struct stored *s, struct slice conversation, struct arena *a,
                      struct slice *out);
bool stored_items_add(struct stored *s, struct slice conversation, struct slice items,
                      struct arena *a);
/* False: there is no such item. */
bool stored_items_delete(struct stored *s, struct slice conversation, struct slice item,
                         struct arena *a);

/* ---- items ---- */

/* "<prefix><48 hex digits>" of the seed and a serial: the same in every run. */
struct slice stored_id(const struct stored *s, const char *prefix, uint64_t serial,
                       struct arena *a);
/* Items of a body {"input": …} as they are listed: each with an id, messages with a list of parts.
 * 0, -ERR_PROTOCOL. */
int stored_items_of(struct slice body, struct slice seed, struct arena *a,
                    struct slice *out) MUST_CHECK;
struct stored_list {
    struct slice *items;
    size_t n;
};
/* Of a text with commas. */
struct stored_list stored_split(struct slice items, struct arena *a);
struct slice stored_item_id(struct slice item, struct arena *a);
/* The same object with another value of this member, which it has. */
struct slice stored_with_member(struct slice object, struct slice name, struct slice value,
                                struct arena *a);

#endif
