/* SPDX-License-Identifier: Apache-2.0 */
/* How the program ends: one list for code, help and docs/cli.md. */
#ifndef PENSTOCK_CLI_EXIT_H
#define PENSTOCK_CLI_EXIT_H

/* X(symbol, code, description) */
#define EXIT_CODES(X)                                                                              \
    X(OK, 0, "Done, or shut down as asked.")                                                       \
    X(FAILED, 1, "Failed at run time; for clients also: the server answered with an error.")       \
    X(USAGE, 2,                                                                                    \
      "Called wrongly: an unknown command or flag, a bad value; scenarios with faults.")           \
    X(CONFIG, 3, "The configuration has faults; all of them are listed on stderr.")                \
    X(LISTEN, 4, "An address cannot be listened on.")                                              \
    X(UNREACHABLE, 5, "A client got no connection to its server.")                                 \
    X(INTERRUPTED, 130, "A client was stopped by Ctrl-C.")
enum exit_code {
#define X(symbol, code, description) EXIT_##symbol = code,
    EXIT_CODES(X)
#undef X
};

/* Of what chat_run and bench_run return (enum client_exit). */
int exit_from_client(int client_exit);

#endif
