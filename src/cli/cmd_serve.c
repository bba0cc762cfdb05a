/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <unistd.h>

#include "cli/load.h"
#include "gateway/serve.h"
#include "mock/mock.h"

struct serve_flags {
    struct load_flags load;
    bool banner;
};

static const struct flag flags[] = {
    LOAD_FLAGS(struct serve_flags),
    {.name = "banner", .type = FLAG_BOOL, FLAG_FIELD(struct serve_flags, banner),
     .default_text = "true", .description = "Don't say at start what is served and where."},
    {.name = NULL},
};

static const char *const examples[] = {
    "# Embedded defaults: OPENAI_API_KEY from the environment or .env, else the built-in mock",
    "penstock serve",
    "# A file, on every address of the machine, two threads",
    "penstock serve --config penstock.yaml --listen :8080 --workers 2",
    "# One setting changed, logs for machines",
    "penstock serve --set timeouts.idle=2m --log-format json --log-requests all",
    NULL,
};

static bool needs_mock(const struct config *c) {
    for (unsigned i = 0; i < c->n_providers; i++)
        if (c->providers[i].is_mock) return true;
    return false;
}

/* The built-in mock is a server of its own on a free port of loopback: the gateway's way to it is
 * the way to any upstream. */
static int serve(const struct config *c, bool banner) {
    struct serve_options o = {.banner = banner, .color = term_color(STDOUT_FILENO)};
    struct err e = {0};
    struct mock *mock = NULL;
    int code = EXIT_FAILED;
    if (needs_mock(c)) {
        struct mock_options m;
        mock_options_default(&m);
        mock = mock_start(&m, &e);
        o.mock_base_url = mock ? mock_base_url(mock) : NULL;
    }
    if (!e.text[0]) code = serve_run(c, &o, &e);
    if (e.text[0]) fprintf(stderr, "penstock serve: %s\n", e.text);
    mock_stop(&mock);
    return code;
}

static int run(const struct command *self, unsigned argc, char **argv) {
    struct serve_flags f = {.banner = true};
    struct command_line line;
    int code;
    if (command_parse(self, argc, argv, &f, &line, &code)) {
        struct config *c = load_config(&f.load, NULL);
        code = c ? serve(c, f.banner) : EXIT_CONFIG;
        config_free(&c);
    }
    command_line_dispose(&line);
    return code;
}

const struct command command_serve = {
    .name = "serve",
    .path = "serve",
    .summary = "Run the gateway",
    .description =
        "Accepts requests of Chat Completions, Completions, Responses and Messages, sends each to "
        "the provider that its model name is routed to, and passes the answer on token by "
        "token.\n\n"
        "A flag wins over an environment variable, that over the file, the file over the default. "
        "SIGTERM or SIGINT: no new connections, running answers may finish within "
        "`drain_timeout`; a second one ends at once.",
    .flags = flags,
    .examples = examples,
    .run = run,
};
