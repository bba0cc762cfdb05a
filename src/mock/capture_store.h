/* SPDX-License-Identifier: Apache-2.0 */
/* A provider's captures: the folder that is recorded to, with the thread that writes it, and those
 * that are played, by what they answer. Any thread, except where "blocks" is said.
 *
 * Files are named 0001-chat-gpt-4o-1a2b3c4d.jsonl: a number that counts on from the folder's last,
 * dialect, model, beginning of the key. They appear whole (written beside, then renamed) and never
 * replace one another. */
#ifndef PENSTOCK_MOCK_CAPTURE_STORE_H
#define PENSTOCK_MOCK_CAPTURE_STORE_H

#include <stdio.h>

#include "mock/capture_key.h"
#include "mock/scrub.h"

struct captures;

struct captures_options {
    const char *record;              /* folder to write to, made when it is not there; NULL: none */
    /* folder to play from; NULL: none. What is recorded is played, too */
    const char *replay;
    const char *const *scrub;        /* the user's patterns */
    unsigned n_scrub;
};

/* Blocks: reads what is to be played. NULL: e says which folder, file and line is wrong. */
struct captures *captures_open(const struct captures_options *o, struct err *e) MUST_CHECK;
/* Reads the folder that is played again whenever its files change, on a thread of its own: all of
 * them are good then, or what was there stays, and stderr tells why. quiet: it does not tell when
 * all went well. 0, or -ERR_IO. */
int captures_watch(struct captures *s, bool quiet, struct err *e) MUST_CHECK;
/* Reads it now: whether it is in force. Blocks. */
bool captures_reload(struct captures *s);
/* Blocks until all is written. NULL is fine. */
void captures_close(struct captures **s);

/* ---- recording ---- */

bool captures_records(const struct captures *s);
/* Gives the capture its file's name. */
void captures_name(struct captures *s, struct capture *c);
/* Hides secrets in a text of one line, in place; false: it cannot be shown. */
bool captures_scrub_text(const struct captures *s, const struct scrub_secrets *secrets, char *text,
                         size_t len);
/* Takes over the caller's reference; nobody may change the capture any more. It is scrubbed and
 * written later. */
void captures_save(struct captures *s, struct capture **c, const struct scrub_secrets *secrets);
/* Blocks until all that was saved is written. */
void captures_flush(struct captures *s);
struct captures_counts {
    uint64_t saved, failed, dropped, loaded, played, missed;
};
void captures_count(struct captures *s, struct captures_counts *out);

/* ---- playing ---- */

bool captures_plays(const struct captures *s);
/* The next one of the key: those that fit best (same soft part, dialect, streamed or not) in the
 * order of their files, the last of them again and again. A reference, or NULL. */
struct capture *captures_pick(struct captures *s, const char *key, uint64_t soft,
                              const struct dialect *dialect, bool stream);
/* For a miss: the nearest one and what differs, as a sentence. */
void captures_explain(struct captures *s, const struct capture_norm *n, char *out, size_t size);

/* A table of a folder for people. Blocks. */
int captures_list(const char *folder, FILE *out, struct err *e) MUST_CHECK;

#endif
