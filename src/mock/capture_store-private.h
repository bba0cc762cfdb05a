/* SPDX-License-Identifier: Apache-2.0 */
/* What the two files of the store share. */
#ifndef PENSTOCK_MOCK_CAPTURE_STORE_PRIVATE_H
#define PENSTOCK_MOCK_CAPTURE_STORE_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>

#include "mock/capture_store.h"

struct captures_index;
struct file_watch;

/* A capture on its way to its file. */
struct captures_job {
    struct captures_job *next;
    struct capture *capture;
    size_t bytes;                        /* that it holds */
    struct scrub_secrets secrets;
    struct arena *arena;                 /* of the secrets */
};

struct captures {
    struct scrub *scrub;
    struct captures_index *index;
    bool plays;
    char *played_folder;                 /* NULL: none */
    char *folder;                        /* recorded to; NULL: none */
    bool is_one_folder;                  /* what is recorded is in the folder that is played */
    pthread_mutex_t files_lock;          /* who writes a file, or reads the folder again */
    struct file_watch *watch;            /* NULL: nobody watches */
    bool quiet;
    _Atomic uint64_t number;             /* of the last file */
    _Atomic uint64_t saved, failed, dropped, played, missed, loaded;

    /* the writer: its thread runs from the first capture on */
    pthread_mutex_t lock;
    pthread_cond_t wake, idle;
    pthread_t thread;
    struct captures_job *first, *last;
    size_t queued_bytes;
    bool has_thread, is_busy, is_closing;
};

/* One that was recorded just now. -ERR_USAGE: its request cannot be decoded, and it has no key. */
int captures_add_recorded(struct captures *s, struct capture *c);
void captures_writer_init(struct captures *s);
void captures_writer_dispose(struct captures *s);

#endif
