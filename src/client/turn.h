/* SPDX-License-Identifier: Apache-2.0 */
/* One question and its answer over the network, printed as it comes. Blocks; has a loop of its
 * own. */
#ifndef PENSTOCK_CLIENT_TURN_H
#define PENSTOCK_CLIENT_TURN_H

#include "client/chat.h"
#include "client/target.h"

struct turn_request {
    const struct client_target *target;
    const char *base_url;          /* for messages */
    const struct dialect *dialect;
    struct slice body;
    bool streams;
    bool json, stats, color;
    bool out_is_terminal;
    bool has_key;                  /* for hints */
    const char *key_name;          /* the environment variable that a key comes from */
};

/* Appends the answer's text to out_text (for the next turn's history). Returns an exit code (enum
 * client_exit); errors are on stderr already. */
int turn_run(const struct turn_request *rq, struct buf *out_text);

#endif
