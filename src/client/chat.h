/* SPDX-License-Identifier: Apache-2.0 */
/* `penstock chat`: one question, or a conversation, printed as it grows. */
#ifndef PENSTOCK_CLIENT_CHAT_H
#define PENSTOCK_CLIENT_CHAT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

/* Exit codes of the clients. */
enum client_exit {
    CLIENT_OK = 0,
    CLIENT_FAILED = 1,        /* an error answer, an error event, or a stream that broke */
    CLIENT_USAGE = 2,
    CLIENT_UNREACHABLE = 3,   /* no connection */
    CLIENT_INTERRUPTED = 130  /* Ctrl-C */
};

struct dialect;

struct chat_options {
    /* NULL: environment PENSTOCK_URL, then http://127.0.0.1:8080/v1. Not OPENAI_BASE_URL: that is
     * where the gateway goes. */
    const char *base_url;
    const struct dialect *dialect;   /* NULL: chat */
    const char *model;         /* NULL: environment PENSTOCK_MODEL, then "gpt-4o-mini" */
    const char *system;        /* NULL: none */
    /* NULL: environment OPENAI_API_KEY (messages: ANTHROPIC_API_KEY), then none */
    const char *api_key;
    const char *prompt;        /* NULL or "-": standard input; NULL on a terminal: a conversation */
    const char *reasoning_effort;   /* NULL: not said */
    int64_t max_tokens;        /* 0: not said */
    bool no_stream;
    /* print the events' data lines (or the body) as they came, nothing else */
    bool json;
    bool stats;                /* TTFT, ITL, tokens/s on stderr at the end */
    bool no_color;
    const char *ca_file;       /* NULL: the system's */
    bool insecure;             /* do not verify certificates */
};

/* Runs to the end and returns an exit code (enum client_exit); what went wrong is on stderr
 * already. */
int chat_run(const struct chat_options *o);

#endif
