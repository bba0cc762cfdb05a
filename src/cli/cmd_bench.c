/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "cli/command.h"
#include "client/bench.h"
#include "dialect/dialect.h"

struct bench_flags {
    struct bench_options o;
    const char *mode, *dialect;
    struct text_list headers;
};

static const struct flag flags[] = {
    {.name = "url", .letter = 'u', .type = FLAG_TEXT, FLAG_FIELD(struct bench_flags, o.url),
     .argument = "URL", .default_text = "http://127.0.0.1:8080/v1",
     .description = "Base URL of the endpoint, as an SDK would be given it."},
    {.name = "dialect", .type = FLAG_TEXT, FLAG_FIELD(struct bench_flags, dialect),
     .argument = "NAME", .default_text = "chat", .choices = "chat|responses|messages|completions",
     .description = "The API that is spoken."},
    {.name = "mode", .type = FLAG_TEXT, FLAG_FIELD(struct bench_flags, mode), .argument = "MODE",
     .default_text = "stream", .choices = "requests|stream|stall",
     .description = "Whole answers, streams, or streams that are not read on after their first "
                    "content."},
    {.name = "connections", .letter = 'c', .type = FLAG_COUNT,
     FLAG_FIELD(struct bench_flags, o.connections), .argument = "N", .default_text = "1",
     .max = 1000000, .description = "Requests in flight at once."},
    {.name = "threads", .letter = 't', .type = FLAG_COUNT,
     FLAG_FIELD(struct bench_flags, o.threads), .argument = "N", .default_text = "1", .max = 256,
     .description = "Threads that send them."},
    {.name = "requests", .letter = 'n', .type = FLAG_COUNT,
     FLAG_FIELD(struct bench_flags, o.requests), .argument = "N",
     .description = "Stop after so many. Default: by duration."},
    {.name = "duration", .letter = 'd', .type = FLAG_DURATION,
     FLAG_FIELD(struct bench_flags, o.duration_ns), .argument = "TIME",
     .description = "End after this time; what still runs then counts as unfinished. Default: "
                    "10s without --requests."},
    {.name = "warmup", .type = FLAG_DURATION, FLAG_FIELD(struct bench_flags, o.warmup_ns),
     .argument = "TIME", .default_text = "0", .description = "What starts in this time is not measured."},
    {.name = "ramp", .type = FLAG_DURATION, FLAG_FIELD(struct bench_flags, o.ramp_ns),
     .argument = "TIME", .description = "Spread the first starts over this time. Default: 0.1 ms a connection."},
    {.name = "rate", .type = FLAG_REAL, FLAG_FIELD(struct bench_flags, o.rate), .argument = "N",
     .description = "Open loop: starts a second, whatever the answers do. Default: closed loop."},
    {.name = "timeout", .type = FLAG_DURATION, FLAG_FIELD(struct bench_flags, o.timeout_ns),
     .argument = "TIME", .default_text = "30s", .description = "The longest silence on a request."},
    {.name = "model", .letter = 'm', .type = FLAG_TEXT, FLAG_FIELD(struct bench_flags, o.model),
     .argument = "NAME", .default_text = "bench", .description = "The model that is asked."},
    {.name = "prompt", .type = FLAG_TEXT, FLAG_FIELD(struct bench_flags, o.prompt),
     .argument = "TEXT", .description = "What is asked. Default: the request's number."},
    {.name = "max-tokens", .type = FLAG_COUNT, FLAG_FIELD(struct bench_flags, o.max_tokens),
     .argument = "N", .description = "Length of an answer. Default: the provider's."},
    {.name = "usage", .type = FLAG_BOOL, FLAG_FIELD(struct bench_flags, o.include_usage),
     .description = "Ask for usage at the end of each stream."},
    {.name = "verify", .type = FLAG_BOOL, FLAG_FIELD(struct bench_flags, o.verify),
     .description = "Have the mock count with a tag for each request, and check every byte."},
    {.name = "header", .letter = 'H', .type = FLAG_TEXTS, FLAG_FIELD(struct bench_flags, headers),
     .argument = "NAME:VALUE", .description = "A further request header. Repeatable."},
    {.name = "api-key", .type = FLAG_TEXT, FLAG_FIELD(struct bench_flags, o.api_key),
     .argument = "KEY",
     .description = "Sent as a bearer token; with `--dialect messages` as `x-api-key`."},
    {.name = "ca-file", .type = FLAG_TEXT, FLAG_FIELD(struct bench_flags, o.ca_file),
     .argument = "FILE", .description = "Certificates to trust (PEM). Default: the system's."},
    {.name = "insecure", .letter = 'k', .type = FLAG_BOOL,
     FLAG_FIELD(struct bench_flags, o.insecure), .description = "Do not verify certificates."},
    {.name = "json", .type = FLAG_BOOL, FLAG_FIELD(struct bench_flags, o.json),
     .description = "The report as one JSON object."},
    {.name = NULL},
};

static const char *const examples[] = {
    "# 64 streams for ten seconds",
    "penstock bench --url http://127.0.0.1:8080/v1 -c 64 --duration 10s",
    "# 2,000 at once, every text checked, as JSON",
    "penstock bench -c 2000 -n 2000 --verify --json",
    NULL,
};

static enum bench_mode mode_of(const char *text) {
    if (strcmp(text, "requests") == 0) return BENCH_REQUESTS;
    return strcmp(text, "stall") == 0 ? BENCH_STALL : BENCH_STREAM;
}

static int run(const struct command *self, unsigned argc, char **argv) {
    struct bench_flags f = {.mode = "stream", .dialect = "chat"};
    struct command_line line;
    struct err e = {0};
    int code;
    bench_options_default(&f.o);
    f.o.url = "http://127.0.0.1:8080/v1";
    if (command_parse(self, argc, argv, &f, &line, &code)) {
        f.o.mode = mode_of(f.mode);
        f.o.dialect = dialect_find(slice_cstr(f.dialect));
        if (f.headers.n > BENCH_MAX_HEADERS) {
            code = command_usage_error(self, "too many headers");
        } else {
            f.o.n_headers = f.headers.n;
            memcpy(f.o.headers, f.headers.items, f.headers.n * sizeof f.headers.items[0]);
            code = command_check_output(self, exit_from_client(bench_run(&f.o, &e)));
            if (e.text[0]) fprintf(stderr, "penstock bench: %s\n", e.text);
        }
    }
    command_line_dispose(&line);
    return code;
}

const struct command command_bench = {
    .name = "bench",
    .path = "bench",
    .summary = "Measure an endpoint under load",
    .description =
        "Drives an endpoint with many requests and reports rates, time to first "
        "token, inter-token latency and, with a stamping mock on the same machine, the delay of "
        "each event. Says when it, not the server, was the limit.",
    .flags = flags,
    .examples = examples,
    .run = run,
};
