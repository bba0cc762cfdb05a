/* SPDX-License-Identifier: Apache-2.0 */
#include "client/chat.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "client/ask.h"
#include "client/turn.h"
#include "config/file.h"

enum { PROMPT_MAX_BYTES = 16 << 20, HISTORY_MAX_BYTES = 64 << 20, LINE_BYTES = 64 << 10 };

struct chat {
    const struct chat_options *o;
    const char *base_url, *api_key;
    const char *key_name;          /* the environment variable that it comes from */
    struct ask ask;
    struct client_target target;
    struct buf history;
    struct buf answer;
    bool color, out_is_terminal;
};

static const char *env_or(const char *said, const char *name, const char *otherwise) {
    const char *env = said ? NULL : getenv(name);
    return said ? said : env && env[0] ? env : otherwise;
}

static void chat_resolve(struct chat *c) {
    const char *fallback = "http://127.0.0.1:8080/v1";
    c->base_url = env_or(c->o->base_url, "PENSTOCK_URL", fallback);
    c->ask = (struct ask){.dialect = c->o->dialect ? c->o->dialect : &dialect_chat,
                          .model = slice_cstr(env_or(c->o->model, "PENSTOCK_MODEL", "gpt-4o-mini")),
                          .system = c->o->system,
                          .reasoning_effort = c->o->reasoning_effort,
                          .max_tokens = c->o->max_tokens,
                          .streams = !c->o->no_stream,
                          .include_usage = c->o->stats};
    c->key_name = c->ask.dialect == &dialect_messages ? "ANTHROPIC_API_KEY" : "OPENAI_API_KEY";
    c->api_key = env_or(c->o->api_key, c->key_name, NULL);
    c->out_is_terminal = isatty(STDOUT_FILENO) == 1;
    c->color = !c->o->no_color && !getenv("NO_COLOR") && c->out_is_terminal && isatty(STDERR_FILENO) == 1;
}

/* ---- one turn ---- */

static int too_long(void) {
    fprintf(stderr, "penstock chat: the conversation is too long\n");
    return CLIENT_USAGE;
}

/* One turn; the answer becomes part of the history when it came whole. */
static int ask(struct chat *c, struct slice prompt) {
    struct buf body;
    size_t before = c->history.len;
    buf_init(&body, HISTORY_MAX_BYTES);
    buf_reset(&c->answer);
    if (ask_add_turn(&c->ask, false, prompt, &c->history) < 0 ||
        ask_write(&c->ask, buf_slice(&c->history), &body) < 0) {
        buf_dispose(&body);
        return too_long();
    }
    const struct turn_request rq = {.target = &c->target,
                                    .base_url = c->base_url,
                                    .dialect = c->ask.dialect,
                                    .body = buf_slice(&body),
                                    .streams = !c->o->no_stream,
                                    .json = c->o->json,
                                    .stats = c->o->stats,
                                    .color = c->color,
                                    .out_is_terminal = c->out_is_terminal,
                                    .has_key = c->api_key != NULL,
                                    .key_name = c->key_name};
    int code = turn_run(&rq, &c->answer);
    buf_dispose(&body);
    if (code != CLIENT_OK) {
        c->history.len = before;          /* the question may be asked again */
        return code;
    }
    bool is_kept = ask_add_turn(&c->ask, true, buf_slice(&c->answer), &c->history) == 0;
    return is_kept ? CLIENT_OK : too_long();
}

/* ---- where questions come from ---- */

static struct slice strip_line_end(struct slice s) {
    while (s.len > 0 && (s.ptr[s.len - 1] == '\n' || s.ptr[s.len - 1] == '\r')) {
        s.len--;
    }
    return s;
}

static bool is_blank(struct slice s) {
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] == '\0' || !strchr(" \t\r\n", s.ptr[i])) {
            return false;
        }
    }
    return true;
}

static int ask_stdin(struct chat *c) {
    struct buf prompt;
    buf_init(&prompt, PROMPT_MAX_BYTES);
    struct err e;
    int code = CLIENT_USAGE;
    if (file_read_fd(STDIN_FILENO, &prompt, &e) < 0) {
        fprintf(stderr, "penstock chat: standard input: %s\n", e.text);
    } else if (is_blank(buf_slice(&prompt))) {
        fprintf(stderr, "penstock chat: nothing to ask: give a prompt, or text on standard input\n");
    } else {
        code = ask(c, strip_line_end(buf_slice(&prompt)));
    }
    buf_dispose(&prompt);
    return code;
}

static void greet(const struct chat *c) {
    fprintf(stderr, "%.*s on %s. Ctrl-C stops an answer, Ctrl-D or /exit ends, /clear forgets.\n",
            SLICE_FMT(c->ask.model), c->base_url);
}

/* A failed turn does not end the conversation. */
static int converse(struct chat *c) {
    static char line[LINE_BYTES];
    greet(c);
    for (;;) {
        fputs(c->color ? "\033[1m> \033[0m" : "> ", stderr);
        if (!fgets(line, sizeof line, stdin)) {
            fputc('\n', stderr);
            return CLIENT_OK;
        }
        struct slice said = slice_trim(strip_line_end(slice_cstr(line)));
        if (slice_eq(said, SLICE("/exit")) || slice_eq(said, SLICE("/quit"))) {
            return CLIENT_OK;
        }
        if (slice_eq(said, SLICE("/clear"))) {
            buf_reset(&c->history);
        } else if (said.len > 0) {
            (void)ask(c, said);
        }
    }
}

static int chat_dispatch(struct chat *c) {
    const char *prompt = c->o->prompt;
    if (prompt && strcmp(prompt, "-") != 0) {
        return ask(c, slice_cstr(prompt));
    }
    if (!prompt && isatty(STDIN_FILENO) == 1 && c->out_is_terminal) {
        return converse(c);
    }
    return ask_stdin(c);
}

int chat_run(const struct chat_options *o) {
    struct chat c = {.o = o};
    struct err e;
    chat_resolve(&c);
    if (o->reasoning_effort && c.ask.dialect == &dialect_completions) {
        fprintf(stderr, "penstock chat: the dialect completions has no reasoning effort\n");
        return CLIENT_USAGE;
    }
    const struct client_target_options to = {.base_url = c.base_url,
                                             .dialect = c.ask.dialect,
                                             .api_key = c.api_key,
                                             .ca_file = o->ca_file,
                                             .insecure = o->insecure};
    if (client_target_init(&c.target, &to, &e) < 0) {
        fprintf(stderr, "penstock chat: %s\n", e.text);
        return CLIENT_USAGE;
    }
    buf_init(&c.history, HISTORY_MAX_BYTES);
    buf_init(&c.answer, HISTORY_MAX_BYTES);
    int code = chat_dispatch(&c);
    buf_dispose(&c.history);
    buf_dispose(&c.answer);
    client_target_dispose(&c.target);
    return code;
}
