/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "cli/load.h"

#define TEXT_BYTES ((size_t)16 << 20)

struct config_flags {
    struct load_flags load;
};

static const struct flag flags[] = {
    LOAD_FLAGS(struct config_flags),
    {.name = NULL},
};

/* Writes it out; returns the exit code. */
static int print(const struct command *self, struct buf *text, int rc) {
    if (rc == 0) fwrite(text->ptr, 1, text->len, stdout);
    buf_dispose(text);
    return command_check_output(self, rc == 0 ? EXIT_OK : EXIT_FAILED);
}

static int print_summary(const struct command *self, const struct config *c) {
    struct buf text;
    (void)self;
    buf_init(&text, TEXT_BYTES);
    int rc = buf_appendf(&text, "%s: no faults; %u provider%s, %u model name%s\n", c->source,
                         c->n_providers, c->n_providers == 1 ? "" : "s", c->n_models,
                         c->n_models == 1 ? "" : "s");
    return print(self, &text, rc);
}

static int print_effective(const struct command *self, const struct config *c) {
    struct buf text;
    buf_init(&text, TEXT_BYTES);
    int rc = config_show(c, &text);
    return print(self, &text, rc);
}

static int with_config(const struct command *self, unsigned argc, char **argv,
                       int (*use)(const struct command *self, const struct config *c)) {
    struct config_flags f = {0};
    struct command_line line;
    int code;
    if (command_parse(self, argc, argv, &f, &line, &code)) {
        struct config *c =
            load_config(&f.load, line.arguments.n > 0 ? line.arguments.items[0] : NULL);
        code = c ? use(self, c) : EXIT_CONFIG;
        config_free(&c);
    }
    command_line_dispose(&line);
    return code;
}

static int run_check(const struct command *self, unsigned argc, char **argv) {
    return with_config(self, argc, argv, print_summary);
}

static int run_show(const struct command *self, unsigned argc, char **argv) {
    return with_config(self, argc, argv, print_effective);
}

static int run_docs(const struct command *self, unsigned argc, char **argv) {
    struct command_line line;
    int code;
    if (command_parse(self, argc, argv, NULL, &line, &code)) {
        struct buf text;
        buf_init(&text, TEXT_BYTES);
        int rc = config_docs_markdown(&text);
        code = print(self, &text, rc);
    }
    command_line_dispose(&line);
    return code;
}

static const char *const check_examples[] = {
    "# The file that penstock serve would read here",
    "penstock config check",
    "# Another one",
    "penstock config check staging.yaml",
    NULL,
};

static const char *const show_examples[] = {
    "# What is in force, and why",
    "PENSTOCK_WORKERS=2 penstock config show --set timeouts.idle=2m",
    NULL,
};

static const struct command command_check = {
    .name = "check",
    .path = "config check",
    .summary = "Find every fault of a configuration",
    .arguments = "[FILE]",
    .max_arguments = 1,
    .description = "Reads it as `penstock serve` would, with the environment and the flags given "
                   "here, and starts nothing. Each fault is a line with file, line, column, "
                   "setting, and what was expected.",
    .flags = flags,
    .examples = check_examples,
    .run = run_check,
};

static const struct command command_show = {
    .name = "show",
    .path = "config show",
    .summary = "Print the configuration in force",
    .arguments = "[FILE]",
    .max_arguments = 1,
    .description = "Every setting with its value and where it came from, as YAML that would load "
                   "to the same. Secrets are `***`.",
    .flags = flags,
    .examples = show_examples,
    .run = run_show,
};

static const struct command command_docs = {
    .name = "docs",
    .path = "config docs",
    .summary = "Print docs/config.md",
    .is_hidden = true,
    .run = run_docs,
};

static const struct command *const children[] = {&command_check, &command_show, &command_docs,
                                                 NULL};

const struct command command_config = {
    .name = "config",
    .path = "config",
    .summary = "Check or show the configuration",
    .children = children,
};
