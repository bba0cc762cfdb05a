/* SPDX-License-Identifier: Apache-2.0 */
#include <unistd.h>

#include "cli/command.h"
#include "client/chat.h"
#include "dialect/dialect.h"

struct chat_flags {
    struct chat_options o;
    const char *dialect;
    bool stream, color;
};

static const struct flag flags[] = {
    {.name = "model", .letter = 'm', .type = FLAG_TEXT, FLAG_FIELD(struct chat_flags, o.model),
     .argument = "NAME", .default_text = "$PENSTOCK_MODEL, else gpt-4o-mini",
     .description = "Which model answers."},
    {.name = "url", .letter = 'u', .type = FLAG_TEXT, FLAG_FIELD(struct chat_flags, o.base_url),
     .argument = "URL",
     .default_text = "$PENSTOCK_URL, else http://127.0.0.1:8080/v1",
     .description = "The API's base URL."},
    {.name = "dialect", .type = FLAG_TEXT, FLAG_FIELD(struct chat_flags, dialect),
     .argument = "NAME", .default_text = "chat", .choices = "chat|responses|messages|completions",
     .description = "The API that is spoken, whatever the model's provider speaks."},
    {.name = "system", .letter = 's', .type = FLAG_TEXT, FLAG_FIELD(struct chat_flags, o.system),
     .argument = "TEXT", .description = "A system message in front."},
    {.name = "max-tokens", .type = FLAG_COUNT, FLAG_FIELD(struct chat_flags, o.max_tokens),
     .argument = "N", .description = "The longest answer wanted."},
    {.name = "reasoning-effort", .type = FLAG_TEXT,
     FLAG_FIELD(struct chat_flags, o.reasoning_effort), .argument = "LEVEL",
     .description = "Passed on as it is: `low`, `medium`, `high`. Not with `--dialect completions`."},
    {.name = "api-key", .type = FLAG_TEXT, FLAG_FIELD(struct chat_flags, o.api_key),
     .argument = "KEY", .default_text = "$OPENAI_API_KEY ($ANTHROPIC_API_KEY), else none",
     .description = "The credential. Others on the machine can see command lines: prefer the "
                    "environment."},
    {.name = "stream", .type = FLAG_BOOL, FLAG_FIELD(struct chat_flags, stream),
     .default_text = "true", .description = "Ask for the answer as a whole."},
    {.name = "stats", .type = FLAG_BOOL, FLAG_FIELD(struct chat_flags, o.stats),
     .description = "Times and tokens on stderr at the end."},
    {.name = "json", .letter = 'j', .type = FLAG_BOOL, FLAG_FIELD(struct chat_flags, o.json),
     .description = "Print what came, as it came, and nothing else."},
    {.name = "ca-file", .type = FLAG_TEXT, FLAG_FIELD(struct chat_flags, o.ca_file),
     .argument = "FILE", .description = "Certificates to trust in place of the system's (PEM)."},
    {.name = "insecure", .letter = 'k', .type = FLAG_BOOL,
     FLAG_FIELD(struct chat_flags, o.insecure),
     .description = "Don't check the server's certificate."},
    {.name = "color", .type = FLAG_BOOL, FLAG_FIELD(struct chat_flags, color),
     .default_text = "true", .description = "No colours on a terminal either."},
    {.name = NULL},
};

static const char *const examples[] = {
    "# Through the gateway on this machine; the text grows as it comes",
    "penstock chat \"tell me a story\"",
    "# A question about a file, with times at the end",
    "penstock chat --stats --system \"Answer in one line.\" - < notes.txt",
    "# A conversation",
    "penstock chat --model gpt-4o",
    "# What a client of Anthropic's API sees",
    "penstock chat --dialect messages --json hello",
    NULL,
};

/* The arguments with blanks between, as `echo` has them. */
static const char *join(const struct command_line *line) {
    if (line->arguments.n == 0) return NULL;
    const char *text = line->arguments.items[0];
    for (unsigned i = 1; i < line->arguments.n; i++) {
        text = arena_printf(line->arena, "%s %s", text, line->arguments.items[i]);
    }
    return text;
}

static int run(const struct command *self, unsigned argc, char **argv) {
    struct chat_flags f = {.stream = true, .color = true, .dialect = "chat"};
    struct command_line line;
    int code;
    if (command_parse(self, argc, argv, &f, &line, &code)) {
        f.o.prompt = join(&line);
        f.o.dialect = dialect_find(slice_cstr(f.dialect));
        f.o.no_stream = !f.stream;
        f.o.no_color = !f.color || !term_color(STDOUT_FILENO);
        code = command_check_output(self, exit_from_client(chat_run(&f.o)));
    }
    command_line_dispose(&line);
    return code;
}

const struct command command_chat = {
    .name = "chat",
    .path = "chat",
    .summary = "Ask a model, and see the answer grow",
    .arguments = "[PROMPT...]",
    .max_arguments = 4096,
    .description =
        "Sends the prompt and prints the answer as it comes. `-` reads the prompt from standard "
        "input; without one, on a terminal, it is a conversation.",
    .flags = flags,
    .examples = examples,
    .run = run,
};
