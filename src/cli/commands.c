/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/command.h"

const struct command *const commands[] = {
    &command_serve,   &command_mock,    &command_chat,       &command_bench,
    &command_config,  &command_version, &command_completion, &command_help,
    NULL,
};
