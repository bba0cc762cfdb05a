/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/command.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "config/suggest.h"

const struct command *command_find(const struct command *const *list, const char *name) {
    for (; *list; list++) {
        if (strcmp((*list)->name, name) == 0) return *list;
    }
    return NULL;
}

const char *command_suggest(const struct command *const *list, const char *name) {
    struct suggestion s;
    suggestion_init(&s, slice_cstr(name));
    for (; *list; list++) {
        if (!(*list)->is_hidden) suggestion_offer(&s, slice_cstr((*list)->name));
    }
    return s.nearest.ptr; /* a name of the table: NUL-terminated */
}

int command_usage_error(const struct command *c, const char *text) {
    fprintf(stderr, "penstock%s%s: %s\n", c ? " " : "", c ? c->path : "", text);
    fprintf(stderr, "Try: penstock%s%s --help\n", c ? " " : "", c ? c->path : "");
    return EXIT_USAGE;
}

int command_check_output(const struct command *c, int code) {
    bool is_written = fflush(stdout) == 0 && !ferror(stdout);
    if (is_written || code != EXIT_OK) return code;
    fprintf(stderr, "penstock%s%s: cannot write to standard output\n", c ? " " : "",
            c ? c->path : "");
    return EXIT_FAILED;
}

bool command_parse(const struct command *c, unsigned argc, char **argv, void *options,
                   struct command_line *out, int *out_exit) {
    static const struct flag none[] = {{.name = NULL}};
    struct err e;
    *out = (struct command_line){.arena = arena_new()};
    const struct flag *flags = command_flags(c);
    int rc = flags_parse(flags ? flags : none, argc, argv, options, out->arena,
                         &out->arguments, &e);
    if (rc == FLAGS_HELP) {
        help_print_command(c);
        *out_exit = command_check_output(c, EXIT_OK);
        return false;
    }
    if (rc == FLAGS_OK && out->arguments.n <= c->max_arguments) return true;
    if (rc == FLAGS_OK) {
        err_set(&e, ERR_USAGE, "unexpected argument \"%.60s\"",
                out->arguments.items[c->max_arguments]);
    }
    *out_exit = command_usage_error(c, e.text);
    return false;
}

const struct flag *command_flags(const struct command *c) {
    return c->make_flags ? c->make_flags() : c->flags;
}

void command_line_dispose(struct command_line *l) {
    arena_free(l->arena);
    l->arena = NULL;
}

/* ---- dispatch ---- */

static int unknown_command(const struct command *parent, const struct command *const *list,
                           const char *name) {
    char text[160];
    const char *nearest = command_suggest(list, name);
    if (name[0] == '-') {
        snprintf(text, sizeof text, "unknown flag %.60s", name);
        return command_usage_error(parent, text);
    }
    snprintf(text, sizeof text, "unknown command \"%.60s\"%s%s%s", name,
             nearest ? "; did you mean " : "", nearest ? nearest : "", nearest ? "?" : "");
    return command_usage_error(parent, text);
}

static bool is_help(const char *text) {
    return strcmp(text, "--help") == 0 || strcmp(text, "-h") == 0;
}

static int dispatch(const struct command *parent, const struct command *const *list, unsigned argc,
                    char **argv) {
    if (argc == 0) return command_usage_error(parent, "which command?");
    if (is_help(argv[0])) {
        if (parent) help_print_command(parent);
        else help_print_overview();
        return command_check_output(parent, EXIT_OK);
    }
    if (!parent && (strcmp(argv[0], "--version") == 0 || strcmp(argv[0], "-V") == 0)) {
        return command_version.run(&command_version, argc - 1, argv + 1);
    }
    const struct command *c = command_find(list, argv[0]);
    if (!c) return unknown_command(parent, list, argv[0]);
    if (c->children) return dispatch(c, c->children, argc - 1, argv + 1);
    return c->run(c, argc - 1, argv + 1);
}

/* ---- standard streams ---- */

/* Whoever started us may have closed 0, 1 or 2: a socket that got such a number would be printed
 * to. They are opened the wrong way round, so that what is printed still fails. */
static void occupy_standard_descriptors(void) {
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        int flags = fd == STDIN_FILENO ? O_WRONLY : O_RDONLY;
        if (fcntl(fd, F_GETFD) < 0) (void)!open("/dev/null", flags);
    }
}

int cli_main(int argc, char **argv) {
    occupy_standard_descriptors();
    if (argc < 2) {
        help_print_overview();
        return EXIT_USAGE;
    }
    return dispatch(NULL, commands, (unsigned)argc - 1, argv + 1);
}
