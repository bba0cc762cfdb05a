/* SPDX-License-Identifier: Apache-2.0 */
/* What `penstock mock` tells of itself when it begins and when it ends: to people, or, with --json
 * and --ready-file, to the programs that started it. */
#ifndef PENSTOCK_MOCK_ANNOUNCE_H
#define PENSTOCK_MOCK_ANNOUNCE_H

#include <stdio.h>

#include "mock/hub.h"

/* Everything listens. The process's settings (quiet, json, color) are the first hub's. */
void announce_ready(const struct hub *hubs, unsigned n, FILE *to);
/* Takes a file of an earlier run away, before anything listens: nobody shall read it. */
void announce_clear_file(const char *path);
/* {"pid":1,"version":"0.1.0","url":…,"base_url":…,"port":…,"providers":[{"name":…,"addresses":[…],"url":…,
 * "base_url":…,"port":…}]} on one line. It appears whole. */
int announce_ready_file(const struct hub *hubs, unsigned n, const char *path,
                        struct err *e) MUST_CHECK;
void announce_end(struct hub *hubs, unsigned n, const struct mock_counters *c, FILE *to);

#endif
