/* SPDX-License-Identifier: Apache-2.0 */
/* The subcommands: one table (commands.c), one file each. Thin: flags in, one call of a room, exit
 * code out. */
#ifndef PENSTOCK_CLI_COMMAND_H
#define PENSTOCK_CLI_COMMAND_H

#include "cli/exit.h"
#include "cli/flags.h"

struct command {
    const char *name;                     /* "serve"; of a child "check" */
    const char *path;                     /* as it is called, without the program: "config check" */
    const char *summary;                  /* one line, no full stop */
    const char *arguments;                /* "[PROMPT...]"; NULL: none */
    unsigned max_arguments;
    const char *description;              /* Markdown paragraphs; may be NULL */
    const struct flag *flags;             /* ends with a NULL name; NULL: none */
    /* instead of flags: from a table of another kind, made once; see command_flags */
    const struct flag *(*make_flags)(void);
    /* command lines and, in front of each, a comment "# …"; NULL-terminated */
    const char *const *examples;
    const struct command *const *children;/* NULL-terminated; NULL: none. Then run is NULL. */
    bool is_hidden;                       /* left out of help, docs and completion */
    /* what stands behind the name; returns an exit code */
    int (*run)(const struct command *self, unsigned argc, char **argv);
};

extern const struct command command_serve, command_mock, command_chat, command_bench,
    command_config, command_version, command_completion, command_help;
extern const struct command *const commands[];   /* NULL-terminated, in the order of help */

/* A whole command line, program name included; returns the exit code. */
int cli_main(int argc, char **argv);

/* One parsed command line. Dispose whatever command_parse returned. */
struct command_line {
    struct arena *arena;
    struct arguments arguments;
};
/* Parses the flags into options and checks the arguments' number. True: go on. False: help is
 * printed, or the fault is said; the command shall return *out_exit. */
bool command_parse(const struct command *c, unsigned argc, char **argv, void *options,
                   struct command_line *out, int *out_exit);
void command_line_dispose(struct command_line *l);
/* Ends with a NULL name; NULL: none. */
const struct flag *command_flags(const struct command *c);
/* "penstock serve: TEXT" and how to get help, on stderr; returns EXIT_USAGE. */
int command_usage_error(const struct command *c, const char *text);
/* At the end of a command that prints: EXIT_OK becomes EXIT_FAILED, with a line on stderr, when
 * standard output did not take all of it (a full disk). c: NULL is the program itself. */
int command_check_output(const struct command *c, int code);

/* NULL when there is none. The list is NULL-terminated. */
const struct command *command_find(const struct command *const *list, const char *name);
/* The nearest visible name, or NULL. */
const char *command_suggest(const struct command *const *list, const char *name);

/* ---- help.c ---- */

/* What --help prints; width in columns. */
int help_command(const struct command *c, unsigned width, bool color, struct buf *out) MUST_CHECK;
int help_overview(unsigned width, bool color, struct buf *out) MUST_CHECK;
/* docs/cli.md, whole. */
int help_markdown(struct buf *out) MUST_CHECK;
void help_print_command(const struct command *c);
void help_print_overview(void);

/* ---- completion.c ---- */

int completion_bash(struct buf *out) MUST_CHECK;
int completion_zsh(struct buf *out) MUST_CHECK;

/* ---- term.c ---- */

/* A terminal, and neither NO_COLOR nor TERM=dumb forbids it. */
bool term_color(int fd);
/* Columns to write in: the terminal's, at most 100; 80 elsewhere. */
unsigned term_width(int fd);

#endif
