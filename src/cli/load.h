/* SPDX-License-Identifier: Apache-2.0 */
/* The flags and steps that all commands with a configuration share. */
#ifndef PENSTOCK_CLI_LOAD_H
#define PENSTOCK_CLI_LOAD_H

#include "cli/command.h"

struct load_flags {
    const char *config, *env_file;
    bool mock;
    struct override_list overrides;
};

/* Rows for a flag table whose options struct has a `struct load_flags load`. Every setting with a
 * flag is here; a test says so. */
#define LOAD_FLAGS(options)                                                                        \
    {.name = "config", .letter = 'c', .type = FLAG_TEXT, FLAG_FIELD(options, load.config),         \
     .argument = "FILE", .default_text = "penstock.yaml, if it is there",                          \
     .description = "The configuration."},                                                         \
    {.name = "listen", .letter = 'l', .type = FLAG_SETTING, FLAG_FIELD(options, load.overrides),   \
     .argument = "ADDRESS", .setting = "listen",                                                   \
     .description = "Where clients connect: `host:port`, `:port` for every address of the "        \
                    "machine, or `unix:/path`. Repeatable."},                                      \
    {.name = "workers", .letter = 'w', .type = FLAG_SETTING, FLAG_FIELD(options, load.overrides),  \
     .argument = "N", .setting = "workers"},                                                       \
    {.name = "mock", .type = FLAG_BOOL, FLAG_FIELD(options, load.mock),                            \
     .description = "Adds the built-in mock under the model names `mock` and `mock-*`, and for "   \
                    "every model when there is no other."},                                        \
    {.name = "log-level", .type = FLAG_SETTING, FLAG_FIELD(options, load.overrides),               \
     .argument = "LEVEL", .setting = "log.level"},                                                 \
    {.name = "log-format", .type = FLAG_SETTING, FLAG_FIELD(options, load.overrides),              \
     .argument = "FORMAT", .setting = "log.format"},                                               \
    {.name = "log-requests", .type = FLAG_SETTING, FLAG_FIELD(options, load.overrides),            \
     .argument = "WHICH", .setting = "log.requests"},                                              \
    {.name = "drain-timeout", .type = FLAG_SETTING, FLAG_FIELD(options, load.overrides),           \
     .argument = "DURATION", .setting = "drain_timeout"},                                          \
    {.name = "set", .type = FLAG_ANY_SETTING, FLAG_FIELD(options, load.overrides),                 \
     .argument = "NAME=VALUE",                                                                     \
     .description = "Any setting by its dotted name (docs/config.md). Repeatable."},               \
    {.name = "env-file", .type = FLAG_TEXT, FLAG_FIELD(options, load.env_file),                    \
     .argument = "FILE", .default_text = ".env, if it is there",                                   \
     .description = "`NAME=VALUE` lines; the real environment wins."}

/* Loads; says what is wrong, or the warnings, on stderr. NULL when it has faults: the command shall
 * return EXIT_CONFIG. file: when not NULL, in place of --config. */
struct config *load_config(const struct load_flags *f, const char *file);

#endif
