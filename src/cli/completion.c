/* SPDX-License-Identifier: Apache-2.0 */
/* Completion scripts from the command tables. Both are plain functions without helpers of their
 * own, so that they work wherever the shell does. */
#include <stdio.h>

#include "cli/command.h"

struct script {
    struct buf *out;
    int rc;
};

static void put(struct script *s, const char *format, ...) PRINTF_LIKE(2, 3);
static void put(struct script *s, const char *format, ...) {
    char text[1024];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (n < 0 || (size_t)n >= sizeof text) s->rc = -ERR_LIMIT;
    else s->rc |= buf_append(s->out, slice_make(text, (size_t)n));
}

static bool takes_file(const struct flag *f) {
    return f->argument && strcmp(f->argument, "FILE") == 0;
}

/* Calls fn for every command that has flags or arguments of its own. */
static void each_leaf(struct script *s, void (*fn)(struct script *s, const struct command *c)) {
    for (unsigned i = 0; commands[i]; i++) {
        const struct command *c = commands[i];
        if (c->is_hidden) continue;
        if (!c->children) fn(s, c);
        for (unsigned k = 0; c->children && c->children[k]; k++) {
            if (!c->children[k]->is_hidden) fn(s, c->children[k]);
        }
    }
}

/* Word by word: the alternatives of "a|b", blanks between. */
static void put_choices(struct script *s, const char *choices) {
    for (; *choices; choices++) put(s, "%c", *choices == '|' ? ' ' : *choices);
}

static void put_names(struct script *s, const struct command *const *list) {
    for (bool is_first = true; *list; list++) {
        if ((*list)->is_hidden) continue;
        put(s, "%s%s", is_first ? "" : " ", (*list)->name);
        is_first = false;
    }
}

/* ---- bash ---- */

/* Behind a flag that takes a value: what the value may be. */
static void put_bash_value(struct script *s, const struct command *c, const struct flag *f) {
    struct flag_doc doc;
    flag_doc(f, &doc);
    if (flag_is_bool(f)) return;
    put(s, "        '%s --%s'", c->path, f->name);
    if (f->letter) put(s, "|'%s -%c'", c->path, f->letter);
    put(s, ")");
    if (doc.choices[0]) {
        put(s, " words='");
        put_choices(s, doc.choices);
        put(s, "' ;;\n");
    } else {
        put(s, " %s ;;\n", takes_file(f) ? "files=1" : "none=1");
    }
}

static void put_bash_values(struct script *s, const struct command *c) {
    for (const struct flag *f = command_flags(c); f && f->name; f++) put_bash_value(s, c, f);
}

static void put_bash_flags(struct script *s, const struct command *c) {
    put(s, "        '%s') words='", c->path);
    for (const struct flag *f = command_flags(c); f && f->name; f++) {
        char text[64];
        put(s, "%s ", flag_spelling(f, text, sizeof text));
    }
    put(s, "--help");
    bool is_choice = c->arguments && strchr(c->arguments, '|');
    if (is_choice) {
        put(s, " ");
        put_choices(s, c->arguments);
    }
    put(s, "'%s ;;\n", c->arguments && strstr(c->arguments, "FILE") ? " files=1" : "");
}

static void put_bash_parent(struct script *s, const struct command *c) {
    put(s, "        '%s') words='", c->path);
    put_names(s, c->children);
    put(s, " --help' ;;\n");
}

int completion_bash(struct buf *out) {
    struct script s = {.out = out};
    put(&s, "# bash completion of penstock\n"
            "_penstock() {\n"
            "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}\n"
            "    local path=${COMP_WORDS[1]} words= files= none=\n"
            "    COMPREPLY=()\n"
            "    if [ \"$COMP_CWORD\" -eq 1 ]; then\n"
            "        COMPREPLY=($(compgen -W '");
    put_names(&s, commands);
    put(&s, " --help --version' -- \"$cur\"))\n"
            "        return\n"
            "    fi\n");
    for (unsigned i = 0; commands[i]; i++) {
        if (!commands[i]->children) continue;
        put(&s, "    [ \"$path\" = %s ] && [ \"$COMP_CWORD\" -gt 2 ] && path+=\" ${COMP_WORDS[2]}\"\n",
            commands[i]->name);
    }
    put(&s, "    case \"$path $prev\" in\n");
    each_leaf(&s, put_bash_values);
    put(&s, "        'help '*) words='");
    put_names(&s, commands);
    put(&s, "' ;;\n"
            "    esac\n"
            "    [ -n \"$none\" ] && return\n"
            "    if [ -z \"$words$files\" ]; then case \"$path\" in\n");
    each_leaf(&s, put_bash_flags);
    for (unsigned i = 0; commands[i]; i++) {
        if (commands[i]->children) put_bash_parent(&s, commands[i]);
    }
    put(&s, "    esac; fi\n"
            "    [ -n \"$words\" ] && COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
            "    [ -n \"$files\" ] && COMPREPLY+=($(compgen -f -- \"$cur\"))\n"
            "    return 0\n"
            "}\n"
            "complete -o filenames -F _penstock penstock\n");
    return s.rc != 0 ? -ERR_LIMIT : 0;
}

/* ---- zsh ---- */

/* The first sentence, without what _arguments would act upon. */
static void put_zsh_text(struct script *s, const char *text) {
    for (; *text; text++) {
        if (*text == '.' && (text[1] == ' ' || text[1] == '\0')) return;
        if (*text == ':' && text[1] == ' ') return;
        if (!strchr("[]'`:\\$\"", *text)) put(s, "%c", *text);
    }
}

static void put_zsh_flag(struct script *s, const struct flag *f) {
    struct flag_doc doc;
    char spelling[64];
    flag_doc(f, &doc);
    flag_spelling(f, spelling, sizeof spelling);
    bool is_list = f->type == FLAG_TEXTS || f->type == FLAG_SETTING || f->type == FLAG_ANY_SETTING;
    put(s, " \\\n            ");
    if (f->letter && is_list) put(s, "'*'{-%c,%s}'[", f->letter, spelling);
    else if (f->letter) put(s, "'(-%c %s)'{-%c,%s}'[", f->letter, spelling, f->letter, spelling);
    else put(s, "'%s%s[", is_list ? "*" : "", spelling);
    put_zsh_text(s, doc.description);
    put(s, "]");
    if (!flag_is_bool(f)) put(s, ":%s:", f->argument);
    if (doc.choices[0]) {
        put(s, "(");
        put_choices(s, doc.choices);
        put(s, ")");
    } else if (takes_file(f)) {
        put(s, "_files");
    }
    put(s, "'");
}

static void put_zsh_leaf(struct script *s, const struct command *c) {
    put(s, "        '%s') _arguments", c->path);
    for (const struct flag *f = command_flags(c); f && f->name; f++) put_zsh_flag(s, f);
    put(s, " \\\n            '(-h --help)'{-h,--help}'[This text]'");
    if (c->arguments && strchr(c->arguments, '|')) {
        put(s, " \\\n            '1:word:(");
        put_choices(s, c->arguments);
        put(s, ")'");
    } else if (c->arguments && strstr(c->arguments, "FILE")) {
        put(s, " \\\n            '*:file:_files'");
    }
    put(s, " ;;\n");
}

static void put_zsh_commands(struct script *s, const char *name,
                             const struct command *const *list) {
    put(s, "    %s=(", name);
    for (; *list; list++) {
        if ((*list)->is_hidden) continue;
        put(s, "\n        '%s:", (*list)->name);
        put_zsh_text(s, (*list)->summary);
        put(s, "'");
    }
    put(s, ")\n");
}

int completion_zsh(struct buf *out) {
    struct script s = {.out = out};
    put(&s, "#compdef penstock\n"
            "# zsh completion of penstock\n"
            "_penstock() {\n"
            "    local -a commands children\n"
            "    local path_=${words[2]}\n");
    put_zsh_commands(&s, "commands", commands);
    put(&s, "    if (( CURRENT == 2 )); then _describe command commands; return; fi\n"
            "    if [[ $path_ == help ]]; then _describe command commands; return; fi\n"
            "    shift words; (( CURRENT-- ))\n");
    for (unsigned i = 0; commands[i]; i++) {
        if (!commands[i]->children) continue;
        put(&s, "    if [[ $path_ == %s ]]; then\n", commands[i]->name);
        put_zsh_commands(&s, "    children", commands[i]->children);
        put(&s, "        if (( CURRENT == 2 )); then _describe command children; return; fi\n"
                "        path_+=\" ${words[2]}\"\n"
                "        shift words; (( CURRENT-- ))\n"
                "    fi\n");
    }
    put(&s, "    case $path_ in\n");
    each_leaf(&s, put_zsh_leaf);
    put(&s, "    esac\n"
            "}\n"
            "if [ \"$funcstack[1]\" = _penstock ]; then _penstock \"$@\"; else compdef _penstock penstock; fi\n");
    return s.rc != 0 ? -ERR_LIMIT : 0;
}
