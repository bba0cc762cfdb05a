/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <unistd.h>

#include "cli/command.h"
#include "mock/mock.h"

struct mock_flags {
    struct mock_options o;
    struct text_list listen, models;
    bool list_faults;
};

static int parse_law(struct slice text, void *field, struct err *e) {
    return law_parse(text, field, e);
}

static const struct flag flags[] = {
    {.name = "listen", .letter = 'l', .type = FLAG_TEXTS, FLAG_FIELD(struct mock_flags, listen),
     .argument = "ADDRESS", .default_text = "127.0.0.1:8000",
     .description = "Where clients connect: `host:port`, port 0 for any, or `unix:/path`. "
                    "Repeatable."},
    {.name = "workers", .letter = 'w', .type = FLAG_COUNT, FLAG_FIELD(struct mock_flags, o.workers),
     .argument = "N", .default_text = "1", .max = 1024, .description = "Threads that serve."},
    {.name = "ttft", .type = FLAG_CUSTOM, FLAG_FIELD(struct mock_flags, o.ttft), .parse = parse_law,
     .argument = "TIME", .default_text = "200ms",
     .description = "Time to the first token: `200ms`, or `200ms:10%` for a spread around it."},
    {.name = "itl", .type = FLAG_CUSTOM, FLAG_FIELD(struct mock_flags, o.itl), .parse = parse_law,
     .argument = "TIME", .default_text = "20ms",
     .description = "Time between two tokens, written likewise; `0`: as fast as the client reads."},
    {.name = "tokens", .letter = 'n', .type = FLAG_COUNT, FLAG_FIELD(struct mock_flags, o.tokens),
     .argument = "N", .max = 100000000,
     .description = "The exact length of every answer. Default: as it happens to be."},
    {.name = "text", .type = FLAG_TEXT, FLAG_FIELD(struct mock_flags, o.text), .argument = "TEXT",
     .description = "What every answer says. Default: made up from the request."},
    {.name = "model", .letter = 'm', .type = FLAG_TEXTS, FLAG_FIELD(struct mock_flags, models),
     .argument = "NAME",
     .description = "A model that there is; others are answered with 404. Repeatable. Default: "
                    "every name."},
    {.name = "seed", .type = FLAG_COUNT, FLAG_FIELD(struct mock_flags, o.seed), .argument = "N",
     .default_text = "0", .description = "Same seed and same request, same answer."},
    {.name = "stamp", .type = FLAG_BOOL, FLAG_FIELD(struct mock_flags, o.stamp),
     .description = "A comment with the time of sending before each frame, to measure delays with."},
    {.name = "step", .type = FLAG_BOOL, FLAG_FIELD(struct mock_flags, o.step),
     .description = "Streams wait after each token until `POST /penstock/step` lets them go on."},
    {.name = "tls-cert", .type = FLAG_TEXT, FLAG_FIELD(struct mock_flags, o.tls_cert),
     .argument = "FILE", .description = "Serve TLS with this certificate chain (PEM)."},
    {.name = "tls-key", .type = FLAG_TEXT, FLAG_FIELD(struct mock_flags, o.tls_key),
     .argument = "FILE", .description = "Its private key (PEM)."},
    {.name = "quiet", .letter = 'q', .type = FLAG_BOOL, FLAG_FIELD(struct mock_flags, o.quiet),
     .description = "No banner at start, no summary at the end."},
    {.name = "list-faults", .type = FLAG_BOOL, FLAG_FIELD(struct mock_flags, list_faults),
     .description = "Say which faults there are, and end."},
    {.name = NULL},
};

static const char *const examples[] = {
    "# 50 ms to the first token, then 100 tokens a second",
    "penstock mock --ttft 50ms --itl 10ms",
    "# Ask it through any client",
    "penstock chat --url http://127.0.0.1:8000/v1 \"tell me a story\"",
    "# What can go wrong, by model name",
    "penstock mock --list-faults",
    NULL,
};

static int list_faults(void) {
    for (unsigned i = 0; mock_fault_name(i); i++) {
        printf("fault/%-20s %s\n", mock_fault_name(i), mock_fault_description(i));
    }
    return EXIT_OK;
}

static int serve(struct mock_flags *f) {
    struct err e = {0};
    f->o.listen = f->listen.items;
    f->o.n_listen = f->listen.n;
    f->o.models = f->models.items;
    f->o.n_models = f->models.n;
    f->o.color = term_color(STDOUT_FILENO);
    int code = mock_run(&f->o, &e);
    if (code != EXIT_OK && e.text[0]) fprintf(stderr, "penstock mock: %s\n", e.text);
    return code;
}

static int run(const struct command *self, unsigned argc, char **argv) {
    struct mock_flags f = {0};
    struct command_line line;
    int code;
    mock_options_default(&f.o);
    if (command_parse(self, argc, argv, &f, &line, &code)) {
        if (f.listen.n > MOCK_MAX_LISTEN) code = command_usage_error(self, "too many addresses");
        else code = f.list_faults ? list_faults() : serve(&f);
    }
    command_line_dispose(&line);
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
    .flags = flags,
    .examples = examples,
    .run = run,
};
