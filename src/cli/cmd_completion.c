/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "cli/command.h"

static const char *const examples[] = {
    "# For this shell",
    "source <(penstock completion bash)",
    "# For every zsh of this user",
    "penstock completion zsh > ~/.zfunc/_penstock",
    NULL,
};

static int print(const char *shell, const struct command *self) {
    struct buf text;
    buf_init(&text, 1 << 20);
    int rc = -ERR_USAGE;
    if (strcmp(shell, "bash") == 0) rc = completion_bash(&text);
    else if (strcmp(shell, "zsh") == 0) rc = completion_zsh(&text);
    else return command_usage_error(self, "expected bash or zsh");
    if (rc == 0) fwrite(text.ptr, 1, text.len, stdout);
    buf_dispose(&text);
    return command_check_output(self, rc == 0 ? EXIT_OK : EXIT_FAILED);
}

static int run(const struct command *self, unsigned argc, char **argv) {
    struct command_line line;
    int code;
    if (command_parse(self, argc, argv, NULL, &line, &code)) {
        if (line.arguments.n == 0) code = command_usage_error(self, "expected bash or zsh");
        else code = print(line.arguments.items[0], self);
    }
    command_line_dispose(&line);
    return code;
}

const struct command command_completion = {
    .name = "completion",
    .path = "completion",
    .summary = "Print completions for a shell",
    .arguments = "bash|zsh",
    .max_arguments = 1,
    .examples = examples,
    .run = run,
};
