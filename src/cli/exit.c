/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/exit.h"

#include "client/chat.h"

int exit_from_client(int client_exit) {
    switch (client_exit) {
    case CLIENT_OK: return EXIT_OK;
    case CLIENT_USAGE: return EXIT_USAGE;
    case CLIENT_UNREACHABLE: return EXIT_UNREACHABLE;
    case CLIENT_INTERRUPTED: return EXIT_INTERRUPTED;
    default: return EXIT_FAILED;
    }
}
