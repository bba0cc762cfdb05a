/* SPDX-License-Identifier: Apache-2.0 */
/* Tells when files, or what is in folders, has changed: a thread with inotify, which waits until
 * nothing has happened for a moment. Only a change of the files' bytes or names counts, or of their
 * stamps. */
#ifndef PENSTOCK_MOCK_FILE_WATCH_H
#define PENSTOCK_MOCK_FILE_WATCH_H

#include <dirent.h>
#include <stdint.h>

#include "base/err.h"

struct file_watch;

struct file_watch_options {
    const char *const *paths;        /* files and folders; borrowed by the watch */
    unsigned n_paths;
    int (*is_one)(const struct dirent *entry);   /* which of a folder's files count */
    bool by_stamp;                   /* they are too large to be read each time */
    void (*changed)(void *self);     /* on the watch's thread */
    void *self;
};
/* NULL: e tells. */
struct file_watch *file_watch_start(const struct file_watch_options *o, struct err *e);
/* Not from inside changed. NULL is fine; clears the pointer. */
void file_watch_stop(struct file_watch **w);

/* Size, time and place of a file, as one number; 0: it cannot be looked at. */
uint64_t file_watch_stamp(const char *path);

#endif
