/* SPDX-License-Identifier: Apache-2.0 */
/* Walks the table of commands: help, documents and completions must know all of it. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli/command.h"
#include "docs_page.h"

/* fn for each command and each of their children, hidden ones included. */
static void each_command(void (*fn)(const struct command *c, void *self), void *self) {
    for (unsigned i = 0; commands[i]; i++) {
        fn(commands[i], self);
        for (unsigned k = 0; commands[i]->children && commands[i]->children[k]; k++) {
            fn(commands[i]->children[k], self);
        }
    }
}

/* ---- the table itself ---- */

static void check_flag(const struct command *c, const struct flag *f) {
    struct flag_doc doc;
    flag_doc(f, &doc);
    if (!doc.description || !doc.description[0]) fail_msg("%s --%s: no description", c->path, f->name);
    if (doc.description[strlen(doc.description) - 1] != '.') {
        fail_msg("%s --%s: no whole sentence", c->path, f->name);
    }
    if ((f->type == FLAG_BOOL) != (f->argument == NULL)) {
        fail_msg("%s --%s: a value without a name, or a name without a value", c->path, f->name);
    }
    if (f->type == FLAG_CUSTOM) assert_non_null(f->parse);
    assert_true(f->size > 0);
    for (const struct flag *other = c->flags; other != f; other++) {
        assert_string_not_equal(f->name, other->name);
        if (f->letter) assert_int_not_equal(f->letter, other->letter);
    }
    assert_string_not_equal(f->name, "help");
    assert_int_not_equal(f->letter, 'h');
}

static void check_command(const struct command *c, void *self) {
    (void)self;
    assert_true(c->summary && c->summary[0]);
    assert_int_not_equal(c->summary[strlen(c->summary) - 1], '.');
    assert_true((c->run != NULL) != (c->children != NULL));
    size_t path = strlen(c->path), name = strlen(c->name);
    assert_true(path >= name);
    assert_string_equal(c->path + path - name, c->name);
    assert_int_equal(c->max_arguments > 0, c->arguments != NULL);
    for (const struct flag *f = c->flags; f && f->name; f++) check_flag(c, f);
}

static void test_rows_are_whole(void **state) {
    (void)state;
    each_command(check_command, NULL);
}

/* A setting with a flag that `serve` does not know would be a promise of docs/config.md that nobody
 * keeps. */
static void test_serve_has_the_settings_flags(void **state) {
    const struct setting_doc *docs;
    (void)state;
    unsigned n = config_setting_docs(&docs);
    for (unsigned i = 0; i < n; i++) {
        if (!docs[i].flag) continue;
        const struct flag *f = command_serve.flags;
        while (f->name && strcmp(f->name, docs[i].flag + 2) != 0) f++;
        if (!f->name) fail_msg("serve has no %s", docs[i].flag);
        assert_int_equal(f->type, FLAG_SETTING);
        assert_string_equal(f->setting, docs[i].name);
    }
    for (const struct flag *f = command_serve.flags; f->name; f++) {
        unsigned i = 0;
        while (f->setting && i < n && strcmp(docs[i].name, f->setting) != 0) i++;
        assert_true(!f->setting || i < n);
    }
}

/* ---- completions and documents ---- */

static void check_is_named(const struct command *c, void *self) {
    const char *text = self;
    if (c->is_hidden) return;
    if (!strstr(text, c->name)) fail_msg("not there: %s", c->path);
    for (const struct flag *f = c->flags; f && f->name; f++) {
        char spelling[64];
        flag_spelling(f, spelling, sizeof spelling);
        if (!strstr(text, spelling)) fail_msg("not there: %s %s", c->path, spelling);
    }
}

static struct buf made_by(int (*make)(struct buf *out)) {
    struct buf text;
    buf_init(&text, 1 << 20);
    assert_int_equal(make(&text), 0);
    assert_int_equal(buf_append_byte(&text, '\0'), 0);
    return text;
}

static void test_completions_know_everything(void **state) {
    (void)state;
    struct buf bash = made_by(completion_bash), zsh = made_by(completion_zsh);
    each_command(check_is_named, bash.ptr);
    each_command(check_is_named, zsh.ptr);
    assert_null(strstr(bash.ptr, "'config docs'"));
    assert_non_null(strstr(bash.ptr, "words='debug info warn error off'"));
    assert_non_null(strstr(zsh.ptr, ":LEVEL:(debug info warn error off)"));
    buf_dispose(&bash);
    buf_dispose(&zsh);
}

/* What bash itself makes of it, where there is one. Each line: what is typed, a word that must be
 * among the answers. */
static void test_bash_completes(void **state) {
    static const char *const cases[][2] = {
        {"penstock se", "serve"},
        {"penstock serve --lis", "--listen"},
        {"penstock serve --log-level w", "warn"},
        {"penstock serve -w 2 --no-b", "--no-banner"},
        {"penstock config ch", "check"},
        {"penstock config show --env", "--env-file"},
        {"penstock help vers", "version"},
        {"penstock completion z", "zsh"},
    };
    (void)state;
    if (access("/bin/bash", X_OK) != 0) skip();
    struct buf bash = made_by(completion_bash);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct buf script;
        buf_init(&script, 1 << 20);
        assert_int_equal(buf_appendf(&script,
                                     "%s\nCOMP_WORDS=(%s); COMP_CWORD=$((${#COMP_WORDS[@]}-1)); _penstock\n"
                                     "for w in \"${COMPREPLY[@]}\"; do [ \"$w\" = '%s' ] && exit 0; done; exit 1\n%c",
                                     bash.ptr, cases[i][0], cases[i][1], '\0'), 0);
        char path[] = "/tmp/penstock-completion-XXXXXX", line[128];
        int fd = mkstemp(path);
        assert_true(fd >= 0);
        assert_int_equal(write(fd, script.ptr, script.len - 1), script.len - 1);
        close(fd);
        snprintf(line, sizeof line, "/bin/bash %s", path);
        int rc = system(line);
        unlink(path);
        if (rc != 0) fail_msg("%s: no %s", cases[i][0], cases[i][1]);
        buf_dispose(&script);
    }
    buf_dispose(&bash);
}

static void test_docs_file_is_current(void **state) {
    (void)state;
    struct buf file = docs_page("cli.md"), page = made_by(help_markdown);
    each_command(check_is_named, page.ptr);
    page.len--; /* its NUL */
    assert_page_is(&file, buf_slice(&page), "penstock help --markdown > docs/cli.md");
    buf_dispose(&file);
    buf_dispose(&page);
}

/* ---- help ---- */

static void check_help(const struct command *c, void *self) {
    unsigned width = *(unsigned *)self;
    struct buf plain, color;
    buf_init(&plain, 1 << 20);
    buf_init(&color, 1 << 20);
    assert_int_equal(help_command(c, width, false, &plain), 0);
    assert_int_equal(help_command(c, width, true, &color), 0);
    assert_null(memchr(plain.ptr, 0x1b, plain.len));
    assert_non_null(memchr(color.ptr, 0x1b, color.len));
    assert_int_equal(buf_append_byte(&plain, '\0'), 0);
    check_is_named(c, plain.ptr);
    assert_null(strchr(plain.ptr, '`'));
    bool is_example = false;
    for (const char *line = plain.ptr; *line;) {
        size_t len = strcspn(line, "\n");
        is_example = is_example || strncmp(line, "Examples", 8) == 0;
        if (len > width && !is_example) fail_msg("%s: too wide: %.*s", c->path, (int)len, line);
        if (len > 0 && line[len - 1] == ' ') fail_msg("%s: blanks at the end of a line", c->path);
        line += len + (line[len] == '\n');
    }
    buf_dispose(&plain);
    buf_dispose(&color);
}

static void test_help_fits(void **state) {
    (void)state;
    for (unsigned width = 60; width <= 100; width += 20) each_command(check_help, &width);
}

/* ---- dispatch ---- */

/* cli_main with stdout and stderr in a file, which is read back. */
static int run(char *text, size_t size, char **words) {
    char path[] = "/tmp/penstock-cli-XXXXXX";
    int argc = 0, fd = mkstemp(path), out = dup(1), err = dup(2);
    assert_true(fd >= 0 && out >= 0 && err >= 0);
    unlink(path);
    while (words[argc]) argc++;
    fflush(stdout);
    fflush(stderr);
    dup2(fd, 1);
    dup2(fd, 2);
    int code = cli_main(argc, words);
    fflush(stdout);
    fflush(stderr);
    dup2(out, 1);
    dup2(err, 2);
    close(out);
    close(err);
    ssize_t n = pread(fd, text, size - 1, 0);
    close(fd);
    assert_true(n >= 0);
    text[n] = '\0';
    return code;
}

static void test_exit_codes(void **state) {
    static const struct {
        const char *words[5];
        int code;
        const char *expected;
    } cases[] = {
        {{NULL}, EXIT_USAGE, "Usage"},
        {{"--help"}, EXIT_OK, "Exit codes"},
        {{"help"}, EXIT_OK, "Exit codes"},
        {{"help", "config", "check"}, EXIT_OK, "penstock config check - Find every fault"},
        {{"help", "nothing"}, EXIT_USAGE, "there is no command \"nothing\""},
        {{"--version"}, EXIT_OK, "penstock "},
        {{"version", "--json"}, EXIT_OK, "{\"penstock\":\""},
        {{"version", "extra"}, EXIT_USAGE, "unexpected argument \"extra\""},
        {{"help", "mok"}, EXIT_USAGE, "did you mean mock?\nTry: penstock --help\n"},
        {{"-v"}, EXIT_USAGE, "penstock: unknown flag -v\n"},
        {{"srve"}, EXIT_USAGE, "unknown command \"srve\"; did you mean serve?"},
        {{"config"}, EXIT_USAGE, "penstock config: which command?"},
        {{"config", "--help"}, EXIT_OK, "Commands"},
        {{"config", "chek"}, EXIT_USAGE, "penstock config: unknown command \"chek\"; did you mean check?"},
        {{"config", "check", "/nowhere/x.yaml"}, EXIT_CONFIG, "/nowhere/x.yaml: cannot be read"},
        {{"serve", "--workers", "x"}, EXIT_CONFIG, "--workers: workers: expected a whole number"},
        {{"serve", "--lisen=x"}, EXIT_USAGE, "penstock serve: unknown flag --lisen; did you mean --listen?\nTry: penstock serve --help\n"},
        {{"serve", "--help"}, EXIT_OK, "--drain-timeout DURATION"},
        {{"mock", "--itl", "fast"}, EXIT_USAGE, "penstock mock: "},
        {{"mock", "--list-faults"}, EXIT_OK, "fault/"},
        {{"mock", "--docs"}, EXIT_USAGE, "--docs needs a value: faults|scenarios|rules"},
        {{"mock", "--upstream", "nowhere"}, EXIT_USAGE, "the upstream nowhere: URL has no scheme"},
        {{"chat", "--url", "nowhere", "x"}, EXIT_USAGE, "chat: nowhere: URL has no scheme"},
        {{"completion"}, EXIT_USAGE, "expected bash or zsh"},
        {{"completion", "fish"}, EXIT_USAGE, "expected bash or zsh"},
        {{"completion", "bash"}, EXIT_OK, "complete -o filenames -F _penstock penstock"},
    };
    static char text[200000];
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char copies[6][64] = {"penstock"}, *words[7] = {copies[0]};
        for (unsigned k = 0; k < 5 && cases[i].words[k]; k++) {
            words[k + 1] = strcpy(copies[k + 1], cases[i].words[k]);
        }
        int code = run(text, sizeof text, words);
        if (code != cases[i].code || !strstr(text, cases[i].expected)) {
            fail_msg("case %zu: exit code %d, expected %d and \"%s\" in:\n%.2000s", i, code,
                     cases[i].code, cases[i].expected, text);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows_are_whole),
        cmocka_unit_test(test_serve_has_the_settings_flags),
        cmocka_unit_test(test_completions_know_everything),
        cmocka_unit_test(test_bash_completes),
        cmocka_unit_test(test_docs_file_is_current),
        cmocka_unit_test(test_help_fits),
        cmocka_unit_test(test_exit_codes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
