/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <unistd.h>

#include "base/mem.h"
#include "cli/command.h"
#include "config/file.h"
#include "config/tree.h"
#include "mock/capture_store.h"
#include "mock/explain.h"
#include "mock/fault.h"
#include "mock/mock.h"
#include "mock/profile.h"
#include "mock/scenario.h"
#include "mock/settings.h"
#include "mock/validate.h"

enum { REPORT_BYTES = 64 << 10, DOCS_BYTES = 1 << 20 };

struct mock_flags {
    struct override_list settings;       /* in the order of coming */
    const char *config;
    const char *explain, *explain_path;
    struct text_list explain_headers;
    const char *docs, *list_captures;
    bool list_faults, list_profiles;
};

/* ---- the flags: those of the table of settings, and ours ---- */

static const struct flag own_flags[] = {
    {.name = "config", .letter = 'c', .type = FLAG_TEXT, FLAG_FIELD(struct mock_flags, config),
     .argument = "FILE",
     .description = "A YAML file of settings, by the names of these flags, and of `providers`, each "
                    "with its own. Flags win over it."},
    {.name = "explain", .type = FLAG_TEXT, FLAG_FIELD(struct mock_flags, explain),
     .argument = "FILE",
     .description = "Say which scenario answers this request (the body, JSON; `-`: stdin), or which "
                    "comes nearest and why it does not, and end. Exit code 1 when none matches."},
    {.name = "path", .type = FLAG_TEXT, FLAG_FIELD(struct mock_flags, explain_path),
     .argument = "PATH",
     .description = "With `--explain`: where the request goes. Default: what its body looks like."},
    {.name = "header", .type = FLAG_TEXTS, FLAG_FIELD(struct mock_flags, explain_headers),
     .argument = "LINE", .description = "With `--explain`: a header, `name: value`. Repeatable."},
    {.name = "list-faults", .type = FLAG_BOOL, FLAG_FIELD(struct mock_flags, list_faults),
     .description = "Say which faults there are (with `--json`: as JSON), and end."},
    {.name = "list-captures", .type = FLAG_TEXT, FLAG_FIELD(struct mock_flags, list_captures),
     .argument = "FOLDER", .description = "Say what was recorded there, and end."},
    {.name = "list-profiles", .type = FLAG_BOOL, FLAG_FIELD(struct mock_flags, list_profiles),
     .description = "Say which profiles there are, and end."},
    {.name = "docs", .type = FLAG_TEXT, FLAG_FIELD(struct mock_flags, docs), .argument = "WHICH",
     .choices = "faults|scenarios|rules",
     .description = "Print a reference (Markdown), and end."},
};
enum { OWN_COUNT = sizeof own_flags / sizeof own_flags[0] };

static const char *dashed(const char *name, char *space) {
    size_t i = 0;
    for (; name[i]; i++) space[i] = name[i] == '_' ? '-' : name[i];
    space[i] = '\0';
    return space;
}

static void flag_of_setting(const struct mock_setting *row, char *name, struct flag *out) {
    bool is_bool = row->type == MOCK_SET_BOOL;
    *out = (struct flag){.name = dashed(row->name, name),
                         .letter = row->letter,
                         .type = is_bool ? FLAG_NAMED_BOOL : FLAG_NAMED,
                         FLAG_FIELD(struct mock_flags, settings),
                         .argument = row->argument,
                         .default_text = row->default_text,
                         .choices = row->choices,
                         .description = row->description};
}

static const struct flag *make_flags(void) {
    static struct flag flags[MOCK_MAX_SETTINGS + OWN_COUNT + 1];
    static char names[MOCK_MAX_SETTINGS][32];
    unsigned n = 0;
    if (flags[0].name) return flags;
    for (unsigned i = 0; i < mock_n_settings; i++) {
        flag_of_setting(&mock_settings[i], names[i], &flags[n++]);
    }
    for (unsigned i = 0; i < OWN_COUNT; i++) flags[n++] = own_flags[i];
    return flags;
}

static const char *const examples[] = {
    "# 50 ms to the first token, then 100 tokens a second",
    "penstock mock --ttft 50ms --itl 10ms",
    "# Ask it through any client",
    "penstock chat --url http://127.0.0.1:8000/v1 \"tell me a story\"",
    "# Answers from a file",
    "penstock mock --scenario examples/scenarios",
    "# Which scenario answers this request, and why not another",
    "penstock mock --scenario examples/scenarios --explain request.json",
    "# Two providers in one process, the second one slow and failing",
    "penstock mock --listen 127.0.0.1:8001 --listen 127.0.0.1:8002 --ttft 2s --fault 529:rate=10%",
    "# Keep what a real provider answers, and answer from it later, ten times as fast",
    "penstock mock --record captures --upstream https://api.openai.com/v1",
    "penstock mock --replay captures --speed 10x",
    "# What can go wrong, by model name",
    "penstock mock --list-faults",
    NULL,
};

/* ---- from flags to providers ---- */

struct assembly {
    struct mock_options providers[MOCK_MAX_PROVIDERS];
    unsigned n;
    struct law_scope scope;
};

static int store(struct assembly *a, const struct mock_setting *row, struct slice value,
                 struct mock_options *o, struct err *e) {
    struct err why;
    if (mock_setting_store(row, value, o, &a->scope, &why) == 0) return 0;
    char name[32];
    return err_set(e, ERR_USAGE, "--%s: %s", dashed(row->name, name), why.text);
}

/* "A,B": one provider on both. */
static int store_listen(struct assembly *a, const struct mock_setting *row, struct slice value,
                        struct mock_options *o, struct err *e) {
    for (;;) {
        ptrdiff_t comma = slice_index(value, ',');
        struct slice one = comma < 0 ? value : slice_sub(value, 0, (size_t)comma);
        if (o->n_listen == MOCK_MAX_LISTEN) return err_set(e, ERR_USAGE, "--listen: too many addresses");
        if (store(a, row, one, o, e) < 0) return -ERR_USAGE;
        if (comma < 0) return 0;
        value = slice_from(value, (size_t)comma + 1);
    }
}

/* What is the process's may stand anywhere. */
static int store_in_all(struct assembly *a, const struct mock_setting *row, struct slice value,
                        struct mock_options *common, struct err *e) {
    int rc = store(a, row, value, common, e);
    for (unsigned k = 0; k < a->n && rc == 0; k++) rc = store(a, row, value, &a->providers[k], e);
    return rc;
}

/* Flags before the first --listen are for all, those behind one are its provider's. */
static int read_flags(struct assembly *a, const struct override_list *list, struct err *e) {
    struct mock_options common;
    mock_options_default(&common);
    struct mock_options *now = &common;
    for (unsigned i = 0; i < list->n; i++) {
        const struct mock_setting *row = mock_setting_find(slice_cstr(list->items[i].name));
        struct slice value = slice_cstr(list->items[i].value);
        bool is_listen = strcmp(row->name, "listen") == 0;
        if (is_listen && a->n == MOCK_MAX_PROVIDERS) {
            return err_set(e, ERR_USAGE, "--listen: at most %d providers", MOCK_MAX_PROVIDERS);
        }
        if (is_listen) {
            now = &a->providers[a->n++];
            *now = common;
        }
        int rc = is_listen                       ? store_listen(a, row, value, now, e)
                 : row->use == MOCK_USE_PROCESS ? store_in_all(a, row, value, &common, e)
                                                : store(a, row, value, now, e);
        if (rc < 0) return rc;
    }
    if (a->n == 0) a->providers[a->n++] = common;
    return 0;
}

/* ---- from a file ---- */

/* Faults are said by line; e is then empty. */
static int read_config(struct assembly *a, const struct mock_flags *f, struct err *e) {
    struct mock_options base;
    struct buf text, report;
    mock_options_default(&base);
    buf_init(&text, TREE_MAX_BYTES);
    buf_init(&report, REPORT_BYTES);
    int rc = file_read(f->config, &text, e);
    if (rc < 0) {
        rc = err_set(e, ERR_USAGE, "--config: %s %s", f->config, e->text);
    } else {
        rc = mock_config_read(buf_slice(&text), f->config, &base, a->providers, &a->n,
                              a->scope.arena, &report);
        fprintf(stderr, "%.*s", (int)report.len, report.ptr ? report.ptr : "");
    }
    buf_dispose(&text);
    buf_dispose(&report);
    return rc;
}

static int override_all(struct assembly *a, const struct override_list *list, struct err *e) {
    for (unsigned i = 0; i < list->n; i++) {
        const struct mock_setting *row = mock_setting_find(slice_cstr(list->items[i].name));
        if (strcmp(row->name, "listen") == 0 && a->n > 1) {
            return err_set(e, ERR_USAGE, "--listen: the file has %u providers; say it there", a->n);
        }
        for (unsigned k = 0; k < a->n; k++) {
            if (store(a, row, slice_cstr(list->items[i].value), &a->providers[k], e) < 0) {
                return -ERR_USAGE;
            }
        }
    }
    return 0;
}

static int assemble(struct assembly *a, const struct mock_flags *f, struct err *e) {
    if (!f->config) return read_flags(a, &f->settings, e);
    int rc = read_config(a, f, e);
    return rc == 0 ? override_all(a, &f->settings, e) : rc;
}

/* ---- running ---- */

static int print(int (*write)(struct buf *out)) {
    struct buf text;
    buf_init(&text, DOCS_BYTES);
    bool is_whole = write(&text) == 0;
    if (is_whole) fwrite(text.ptr, 1, text.len, stdout);
    buf_dispose(&text);
    return command_check_output(&command_mock, is_whole ? EXIT_OK : EXIT_FAILED);
}

static bool has_flag(const struct mock_flags *f, const char *name) {
    bool has = false;
    for (unsigned i = 0; i < f->settings.n; i++) {
        if (strcmp(f->settings.items[i].name, name) == 0) {
            has = strcmp(f->settings.items[i].value, "true") == 0;
        }
    }
    return has;
}

static int list_profiles(struct buf *out) {
    int rc = 0;
    for (unsigned i = 0; profile_at(i) && rc == 0; i++) {
        const struct profile *p = profile_at(i);
        rc = buf_appendf(out, "%-24s %s\n%-24s %s\n", p->name, p->description, "", p->settings);
    }
    return rc;
}

static int list_captures(const char *folder) {
    struct err e;
    if (captures_list(folder, stdout, &e) == 0) return command_check_output(&command_mock, EXIT_OK);
    fprintf(stderr, "penstock mock: %s\n", e.text);
    return EXIT_FAILED;
}

static int print_docs(const char *which) {
    bool is_faults = strcmp(which, "faults") == 0, is_rules = strcmp(which, "rules") == 0;
    return print(is_faults ? fault_docs : is_rules ? validate_write_docs : scenario_docs);
}

static int explain(const struct mock_flags *f, const struct mock_options *o) {
    const struct mock_explain x = {.request = f->explain,
                                   .path = f->explain_path,
                                   .headers = f->explain_headers.items,
                                   .n_headers = f->explain_headers.n,
                                   .scenarios = o->scenarios,
                                   .n_scenarios = o->n_scenarios,
                                   .seed = o->seed,
                                   .json = has_flag(f, "json")};
    return command_check_output(&command_mock, mock_explain(&x, stdout, stderr));
}

static int serve(const struct command *self, struct mock_flags *f, struct arena *arena) {
    struct err e = {0};
    struct assembly *a = arena_alloc(arena, sizeof *a);
    a->scope = (struct law_scope){.arena = arena, .reads_files = true};
    if (assemble(a, f, &e) < 0) return e.text[0] ? command_usage_error(self, e.text) : EXIT_CONFIG;
    if (f->explain) return explain(f, &a->providers[0]);
    a->providers[0].color = term_color(STDOUT_FILENO);
    int code = mock_run(a->providers, a->n, &e);
    if (code != EXIT_OK && e.text[0]) fprintf(stderr, "penstock mock: %s\n", e.text);
    return code;
}

static int run(const struct command *self, unsigned argc, char **argv) {
    struct mock_flags *f = mem_zalloc(sizeof *f);
    struct command_line line;
    int code;
    if (command_parse(self, argc, argv, f, &line, &code)) {
        code = f->list_faults     ? print(has_flag(f, "json") ? fault_list_json : fault_list)
               : f->list_profiles ? print(list_profiles)
               : f->list_captures ? list_captures(f->list_captures)
               : f->docs          ? print_docs(f->docs)
                                  : serve(self, f, line.arena);
    }
    command_line_dispose(&line);
    mem_free(f);
    return code;
}

const struct command command_mock = {
    .name = "mock",
    .path = "mock",
    .summary = "Run a fake provider",
    .description =
        "Speaks Chat Completions, Completions, Responses and Messages like the real providers: same "
        "request, same answer, on a schedule that you set. `echo: TEXT` as the last message makes it say TEXT. A model named "
        "`fault/NAME` makes it fail in that way.\n\n"
        "A request can ask for its own `x-penstock-ttft`, `x-penstock-itl`, `x-penstock-tokens`, "
        "`x-penstock-text`, `x-penstock-thinking` and `x-penstock-fault`, as headers or in the body's `metadata` (there "
        "without `x-penstock-`).",
    .make_flags = make_flags,
    .examples = examples,
    .run = run,
};
