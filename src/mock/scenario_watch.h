/* SPDX-License-Identifier: Apache-2.0 */
/* Tells when files, or what is in folders, has changed: a thread with inotify, which waits until
 * nothing has happened for a moment. Only a change of the files' bytes or names counts. */
#ifndef PENSTOCK_MOCK_SCENARIO_WATCH_H
#define PENSTOCK_MOCK_SCENARIO_WATCH_H

#include "base/err.h"

struct scenario_watch;

/* changed is called on the watch's thread. Paths are borrowed by the watch. NULL: e tells. */
struct scenario_watch *scenario_watch_start(const char *const *paths, unsigned n,
                                            void (*changed)(void *self), void *self,
                                            struct err *e);
/* Not from inside changed. NULL is fine; clears the pointer. */
void scenario_watch_stop(struct scenario_watch **w);

#endif
