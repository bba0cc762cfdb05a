/* SPDX-License-Identifier: Apache-2.0 */
#include "client/chat.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/json_scan.h"
#include "client/turn.h"

enum { PROMPT_MAX_BYTES = 16 << 20, HISTORY_MAX_BYTES = 64 << 20, LINE_BYTES = 64 << 10 };

struct chat {
    const struct chat_options *o;
    const char *base_url, *model, *api_key;
    struct client_target target;
    struct buf history;            /* messages, separated by commas */
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
    c->model = env_or(c->o->model, "PENSTOCK_MODEL", "gpt-4o-mini");
    c->api_key = env_or(c->o->api_key, "OPENAI_API_KEY", NULL);
    c->out_is_terminal = isatty(STDOUT_FILENO) == 1;
    c->color = !c->o->no_color && !getenv("NO_COLOR") && c->out_is_terminal && isatty(STDERR_FILENO) == 1;
}

/* ---- the request ---- */

static int add_message(struct buf *history, const char *role, struct slice text) {
    int rc = history->len ? buf_append_byte(history, ',') : 0;
    rc |= buf_appendf(history, "{\"role\":\"%s\",\"content\":\"", role);
    rc |= json_escape(history, text);
    return rc | buf_append(history, SLICE("\"}"));
}

static int add_member(struct buf *out, const char *name, const char *text) {
    int rc = buf_appendf(out, ",\"%s\":\"", name);
    rc |= json_escape(out, slice_cstr(text));
    return rc | buf_append_byte(out, '"');
}

static int write_body(const struct chat *c, struct buf *out) {
    const struct chat_options *o = c->o;
    int rc = buf_append(out, SLICE("{\"model\":\"")) | json_escape(out, slice_cstr(c->model));
    rc |= buf_append_byte(out, '"');
    if (!o->no_stream) {
        rc |= buf_append(out, SLICE(",\"stream\":true"));
    }
    if (!o->no_stream && o->stats) {
        rc |= buf_append(out, SLICE(",\"stream_options\":{\"include_usage\":true}"));
    }
    if (o->reasoning_effort) {
        rc |= add_member(out, "reasoning_effort", o->reasoning_effort);
    }
    if (o->max_tokens > 0) {
        rc |= buf_appendf(out, ",\"max_tokens\":%lld", (long long)o->max_tokens);
    }
    rc |= buf_append(out, SLICE(",\"messages\":[")) | buf_append(out, buf_slice(&c->history));
    return rc | buf_append(out, SLICE("]}"));
}

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
    if (add_message(&c->history, "user", prompt) < 0 || write_body(c, &body) < 0) {
        buf_dispose(&body);
        return too_long();
    }
    const struct turn_request rq = {.target = &c->target,
                                    .base_url = c->base_url,
                                    .body = buf_slice(&body),
                                    .streams = !c->o->no_stream,
                                    .json = c->o->json,
                                    .stats = c->o->stats,
                                    .color = c->color,
                                    .out_is_terminal = c->out_is_terminal,
                                    .has_key = c->api_key != NULL};
    int code = turn_run(&rq, &c->answer);
    buf_dispose(&body);
    if (code != CLIENT_OK) {
        c->history.len = before;          /* the question may be asked again */
        return code;
    }
    return add_message(&c->history, "assistant", buf_slice(&c->answer)) < 0 ? too_long() : CLIENT_OK;
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
    char portion[8192];
    size_t n;
    while ((n = fread(portion, 1, sizeof portion, stdin)) > 0) {
        if (buf_append(&prompt, slice_make(portion, n)) < 0) {
            buf_dispose(&prompt);
            fprintf(stderr, "penstock chat: standard input holds more than %d MiB\n", PROMPT_MAX_BYTES >> 20);
            return CLIENT_USAGE;
        }
    }
    int code = CLIENT_USAGE;
    if (is_blank(buf_slice(&prompt))) {
        fprintf(stderr, "penstock chat: nothing to ask: give a prompt, or text on standard input\n");
    } else {
        code = ask(c, strip_line_end(buf_slice(&prompt)));
    }
    buf_dispose(&prompt);
    return code;
}

static void greet(const struct chat *c) {
    fprintf(stderr, "%s on %s. Ctrl-C stops an answer, Ctrl-D or /exit ends, /clear forgets.\n", c->model,
            c->base_url);
}

static int restart(struct chat *c) {
    buf_reset(&c->history);
    return c->o->system ? add_message(&c->history, "system", slice_cstr(c->o->system)) : 0;
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
            if (restart(c) < 0) {
                return too_long();
            }
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
    const struct client_target_options to = {.base_url = c.base_url, .api_key = c.api_key,
                                      .ca_file = o->ca_file, .insecure = o->insecure};
    if (client_target_init(&c.target, &to, &e) < 0) {
        fprintf(stderr, "penstock chat: %s\n", e.text);
        return CLIENT_USAGE;
    }
    buf_init(&c.history, HISTORY_MAX_BYTES);
    buf_init(&c.answer, HISTORY_MAX_BYTES);
    int code = restart(&c) < 0 ? too_long() : chat_dispatch(&c);
    buf_dispose(&c.history);
    buf_dispose(&c.answer);
    client_target_dispose(&c.target);
    return code;
}
