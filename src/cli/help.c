/* SPDX-License-Identifier: Apache-2.0 */
/* --help for people at a terminal, and docs/cli.md: both from the command tables. */
#include <stdio.h>
#include <unistd.h>

#include "cli/command.h"

#define HELP_BYTES ((size_t)1 << 20)
#define FLAG_COLUMN 26 /* where descriptions start */

static const char tagline[] = "penstock - a streaming gateway for LLM APIs, a fake provider, and "
                              "clients for both";

struct page {
    struct buf *out;
    unsigned width, column;
    bool color;
    int rc;
};

/* ---- writing ---- */

static void put(struct page *p, const char *text) {
    p->rc |= buf_append(p->out, slice_cstr(text));
}

static void put_line(struct page *p, const char *text) {
    put(p, text);
    put(p, "\n");
    p->column = 0;
}

static void put_styled(struct page *p, const char *style, const char *text) {
    if (p->color) put(p, style);
    put(p, text);
    if (p->color) put(p, "\x1b[0m");
}

static void put_heading(struct page *p, const char *text) {
    put(p, "\n");
    put_styled(p, "\x1b[1m", text);
    put_line(p, "");
}

static void pad_to(struct page *p, unsigned column) {
    while (p->column < column) {
        put(p, " ");
        p->column++;
    }
}

static unsigned count_columns(struct slice s) {
    unsigned n = 0;
    for (size_t i = 0; i < s.len; i++)
        n += s.ptr[i] != '`' && ((unsigned char)s.ptr[i] & 0xc0) != 0x80;
    return n;
}

static void put_word(struct page *p, struct slice word) {
    for (size_t i = 0; i < word.len; i++) {
        if (word.ptr[i] != '`') p->rc |= buf_append_byte(p->out, word.ptr[i]);
    }
    p->column += count_columns(word);
}

/* Words from the current column on, later lines at `indent`; Markdown's backticks go, an empty line
 * ends a paragraph. */
static void put_wrapped(struct page *p, unsigned indent, const char *text) {
    pad_to(p, indent);
    for (bool is_first = true; *text; is_first = false) {
        size_t blanks = strspn(text, " \n");
        if (blanks >= 2 && text[0] == '\n') {
            put(p, "\n\n");
            p->column = 0;
            pad_to(p, indent);
            is_first = true;
        }
        text += blanks;
        struct slice word = {text, strcspn(text, " \n")};
        text += word.len;
        if (word.len == 0) break;
        if (!is_first && p->column + 1 + count_columns(word) > p->width) {
            put_line(p, "");
            pad_to(p, indent);
        } else if (!is_first) {
            pad_to(p, p->column + 1);
        }
        put_word(p, word);
    }
    put_line(p, "");
}

/* ---- flags ---- */

/* "a, b" of "a|b". */
static void spell_choices(const char *choices, char *out, size_t size) {
    size_t len = 0;
    for (; *choices && len + 3 < size; choices++) {
        out[len++] = *choices == '|' ? ',' : *choices;
        if (*choices == '|') out[len++] = ' ';
    }
    out[len] = '\0';
}

/* The description with what is to be known besides. Markdown. */
static const char *flag_text(const struct flag *f, struct arena *a) {
    struct flag_doc doc;
    char choices[256];
    flag_doc(f, &doc);
    spell_choices(doc.choices, choices, sizeof choices);
    bool has_default = doc.default_text && !flag_is_bool(f);
    return arena_printf(a, "%s%s%s%s%s%s%s%s%s%s", doc.description, choices[0] ? " One of " : "",
                        choices, choices[0] ? "." : "", has_default ? " Default: `" : "",
                        has_default ? doc.default_text : "", has_default ? "`." : "",
                        doc.env ? " Environment: `" : "", doc.env ? doc.env : "",
                        doc.env ? "`." : "");
}

static void put_flag(struct page *p, const struct flag *f, struct arena *a) {
    char spelling[64], letter[8] = "    ";
    if (f->letter) snprintf(letter, sizeof letter, "-%c, ", f->letter);
    flag_spelling(f, spelling, sizeof spelling);
    const char *head = arena_printf(a, "%s%s%s%s", letter, spelling, f->argument ? " " : "",
                                    f->argument ? f->argument : "");
    put(p, "  ");
    put_styled(p, "\x1b[36m", head);
    p->column = 2 + (unsigned)strlen(head);
    if (p->column + 2 > FLAG_COLUMN) put_line(p, "");
    put_wrapped(p, FLAG_COLUMN, flag_text(f, a));
}

static void put_flags(struct page *p, const struct command *c) {
    static const struct flag help = {.name = "help", .letter = 'h', .type = FLAG_BOOL,
                                     .description = "This text."};
    struct arena *a = arena_new();
    put_heading(p, "Flags");
    for (const struct flag *f = command_flags(c); f && f->name; f++) put_flag(p, f, a);
    put_flag(p, &help, a);
    arena_free(a);
}

/* ---- one command ---- */

static void put_command_list(struct page *p, const struct command *const *list) {
    for (; *list; list++) {
        if ((*list)->is_hidden) continue;
        put(p, "  ");
        put_styled(p, "\x1b[36m", (*list)->name);
        p->column = 2 + (unsigned)strlen((*list)->name);
        put_wrapped(p, 14, (*list)->summary);
    }
}

static void put_examples(struct page *p, const struct command *c) {
    if (!c->examples) return;
    put_heading(p, "Examples");
    for (unsigned i = 0; c->examples[i]; i++) {
        put(p, "  ");
        put_styled(p, c->examples[i][0] == '#' ? "\x1b[2m" : "", c->examples[i]);
        put_line(p, "");
    }
}

static void put_usage(struct page *p, const struct command *c) {
    put(p, "penstock ");
    put(p, c->path);
    if (c->children) put(p, " COMMAND");
    if (command_flags(c)) put(p, " [flags]");
    if (c->arguments) {
        put(p, " ");
        put(p, c->arguments);
    }
    put_line(p, "");
}

int help_command(const struct command *c, unsigned width, bool color, struct buf *out) {
    struct page p = {.out = out, .width = width, .color = color};
    put_styled(&p, "\x1b[1m", "penstock ");
    put_styled(&p, "\x1b[1m", c->path);
    put(&p, " - ");
    p.column = (unsigned)strlen(c->path) + 12;
    put_wrapped(&p, 0, c->summary);
    put_heading(&p, "Usage");
    put(&p, "  ");
    put_usage(&p, c);
    if (c->description) {
        put(&p, "\n");
        put_wrapped(&p, 0, c->description);
    }
    if (c->children) {
        put_heading(&p, "Commands");
        put_command_list(&p, c->children);
    } else {
        put_flags(&p, c);
    }
    put_examples(&p, c);
    return p.rc != 0 ? -ERR_LIMIT : 0;
}

/* ---- the overview ---- */

static const struct {
    enum exit_code code;
    const char *text;
} exit_codes[] = {
#define X(symbol, code, description) {EXIT_##symbol, description},
    EXIT_CODES(X)
#undef X
};
#define EXIT_CODE_COUNT (sizeof exit_codes / sizeof exit_codes[0])

int help_overview(unsigned width, bool color, struct buf *out) {
    struct page p = {.out = out, .width = width, .color = color};
    put_wrapped(&p, 0, tagline);
    put_heading(&p, "Usage");
    put_line(&p, "  penstock COMMAND [flags]");
    put_heading(&p, "Commands");
    put_command_list(&p, commands);
    put_heading(&p, "First steps");
    put_line(&p, "  penstock serve                   the gateway, on 127.0.0.1:8080");
    put_line(&p, "  penstock mock                    a fake provider, on 127.0.0.1:8000");
    put_line(&p, "  penstock chat \"tell me a story\"  in a second terminal: asks the gateway");
    put_heading(&p, "Exit codes");
    for (size_t i = 0; i < EXIT_CODE_COUNT; i++) {
        char text[16];
        snprintf(text, sizeof text, "  %d", (int)exit_codes[i].code);
        put(&p, text);
        p.column = (unsigned)strlen(text);
        put_wrapped(&p, 7, exit_codes[i].text);
    }
    put(&p, "\n");
    put_wrapped(&p, 0, "More about a command: penstock help COMMAND");
    return p.rc != 0 ? -ERR_LIMIT : 0;
}

static void print(struct buf *text, int rc) {
    if (rc == 0) fwrite(text->ptr, 1, text->len, stdout);
    buf_dispose(text);
}

void help_print_command(const struct command *c) {
    struct buf text;
    buf_init(&text, HELP_BYTES);
    int rc = help_command(c, term_width(STDOUT_FILENO), term_color(STDOUT_FILENO), &text);
    print(&text, rc);
}

void help_print_overview(void) {
    struct buf text;
    buf_init(&text, HELP_BYTES);
    int rc = help_overview(term_width(STDOUT_FILENO), term_color(STDOUT_FILENO), &text);
    print(&text, rc);
}

/* ---- docs/cli.md ---- */

/* "|" would end a table's cell. */
static void put_cell(struct page *p, const char *text) {
    for (; *text; text++) {
        if (*text == '|') put(p, "\\");
        p->rc |= buf_append_byte(p->out, *text);
    }
}

static void put_markdown_flag(struct page *p, const struct flag *f, struct arena *a) {
    char spelling[64];
    put(p, "| ");
    if (f->letter) put(p, arena_printf(a, "`-%c`, ", f->letter));
    put(p, arena_printf(a, "`%s", flag_spelling(f, spelling, sizeof spelling)));
    if (f->argument) put(p, arena_printf(a, " %s", f->argument));
    put(p, "` | ");
    put_cell(p, flag_text(f, a));
    put_line(p, " |");
}

static void put_markdown_flags(struct page *p, const struct command *c) {
    struct arena *a = arena_new();
    put_line(p, "| flag | |\n|---|---|");
    for (const struct flag *f = command_flags(c); f->name; f++) put_markdown_flag(p, f, a);
    put_line(p, "");
    arena_free(a);
}

static void put_markdown_command(struct page *p, const struct command *c) {
    if (c->is_hidden) return;
    put(p, "## penstock ");
    put_line(p, c->path);
    put_line(p, "");
    put(p, c->summary);
    put(p, ".\n\n```\n");
    put_usage(p, c);
    put_line(p, "```\n");
    if (c->description) {
        put(p, c->description);
        put_line(p, "\n");
    }
    if (command_flags(c)) put_markdown_flags(p, c);
    if (c->examples) {
        put_line(p, "```sh");
        for (unsigned i = 0; c->examples[i]; i++) put_line(p, c->examples[i]);
        put_line(p, "```\n");
    }
    for (unsigned i = 0; c->children && c->children[i]; i++)
        put_markdown_command(p, c->children[i]);
}

int help_markdown(struct buf *out) {
    struct page p = {.out = out};
    put_line(&p, "# Command line\n");
    put_line(&p, "<!-- Made by `penstock help --markdown` from the tables in src/cli: change those. -->\n");
    put_line(&p, "`penstock COMMAND --help` and `penstock help COMMAND` say the same. Flags are written");
    put_line(&p, "`--name value` or `--name=value`, and may stand before or after arguments; `--` ends them.");
    put_line(&p, "Output is coloured only on a terminal, and never with `NO_COLOR` set.\n");
    for (unsigned i = 0; commands[i]; i++) put_markdown_command(&p, commands[i]);
    put_line(&p, "## Exit codes\n\n| code | |\n|---|---|");
    for (size_t i = 0; i < EXIT_CODE_COUNT; i++) {
        p.rc |= buf_appendf(out, "| %d | %s |\n", (int)exit_codes[i].code, exit_codes[i].text);
    }
    return p.rc != 0 ? -ERR_LIMIT : 0;
}

/* ---- the command ---- */

struct help_flags {
    bool markdown;
};

/* Not listed by --help: the documents' business. */
static const struct flag flags[] = {
    {.name = "markdown", .type = FLAG_BOOL, FLAG_FIELD(struct help_flags, markdown),
     .description = "Print docs/cli.md."},
    {.name = NULL},
};

static int help_on(const struct arguments *words) {
    const struct command *const *list = commands;
    const struct command *c = NULL;
    for (unsigned i = 0; i < words->n; i++) {
        c = list ? command_find(list, words->items[i]) : NULL;
        if (!c) {
            char text[128];
            const char *nearest = list ? command_suggest(list, words->items[i]) : NULL;
            snprintf(text, sizeof text, "there is no command \"%.60s\"%s%s%s", words->items[i],
                     nearest ? "; did you mean " : "", nearest ? nearest : "", nearest ? "?" : "");
            return command_usage_error(NULL, text);
        }
        list = c->children;
    }
    if (c) help_print_command(c);
    else help_print_overview();
    return EXIT_OK;
}

static int run(const struct command *self, unsigned argc, char **argv) {
    struct help_flags f = {0};
    struct command_line line;
    struct command with_flags = *self;
    int code;
    with_flags.flags = flags;
    if (command_parse(&with_flags, argc, argv, &f, &line, &code)) {
        code = EXIT_OK;
        if (f.markdown) {
            struct buf text;
            buf_init(&text, HELP_BYTES);
            int rc = help_markdown(&text);
            print(&text, rc);
        } else {
            code = help_on(&line.arguments);
        }
        code = command_check_output(self, code);
    }
    command_line_dispose(&line);
    return code;
}

const struct command command_help = {
    .name = "help",
    .path = "help",
    .summary = "Say what a command does",
    .arguments = "[COMMAND...]",
    .max_arguments = 2,
    .run = run,
};
