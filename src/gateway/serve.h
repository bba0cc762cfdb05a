/* SPDX-License-Identifier: Apache-2.0 */
/* `penstock serve`, after the command line and the configuration: workers, listeners, signals,
 * drain. */
#ifndef PENSTOCK_GATEWAY_SERVE_H
#define PENSTOCK_GATEWAY_SERVE_H

#include <stdbool.h>

#include "base/err.h"
#include "config/config.h"

struct serve_options {
    /* print where it listens, what it serves, and a curl line, to stdout */
    bool banner;
    bool color;
    /* where the built-in mock listens ("http://127.0.0.1:41234/v1"); NULL when no provider is_mock
     * */
    const char *mock_base_url;
};

/* Blocks until shut down by SIGTERM or SIGINT. Returns a process exit code: 0 after a drain that
 * ended all, 1 when streams had to be cut or on a failure at run time (e tells), 4 when it cannot
 * listen (e tells). c must outlive the call. */
int serve_run(const struct config *c, const struct serve_options *o, struct err *e);

#endif
