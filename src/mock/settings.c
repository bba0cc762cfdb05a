/* SPDX-License-Identifier: Apache-2.0 */
#include "mock/settings.h"

#include <stddef.h>
#include <stdlib.h>

#include "base/clock.h"
#include "config/value.h"
#include "mock/fault.h"
#include "mock/limit.h"
#include "mock/replay.h"
#include "mock/scrub.h"
#include "mock/profile.h"

#define FIELD(member)                                                                              \
    .offset = offsetof(struct mock_options, member),                                               \
    .size = sizeof(((struct mock_options *)0)->member)
#define LIST(member) FIELD(member), .count_offset = offsetof(struct mock_options, n_##member)

const struct mock_setting mock_settings[] = {
    /* ---- the provider ---- */
    {.name = "listen", .letter = 'l', .type = MOCK_SET_TEXTS, .use = MOCK_USE_FIXED, LIST(listen),
     .argument = "ADDRESS", .default_text = "127.0.0.1:8000",
     .description = "Where clients connect: `host:port`, port 0 for any, or `unix:/path`. "
                    "Repeatable: each further one is a provider of its own, with the flags behind "
                    "it; flags before the first are for all."},
    {.name = "name", .type = MOCK_SET_TEXT, .use = MOCK_USE_FIXED, FIELD(name), .argument = "NAME",
     .description = "The provider's name, in the journal and in `/penstock`."},
    {.name = "tls_cert", .type = MOCK_SET_TEXT, .use = MOCK_USE_FIXED, FIELD(tls_cert),
     .argument = "FILE", .description = "Serve TLS with this certificate chain (PEM)."},
    {.name = "tls_key", .type = MOCK_SET_TEXT, .use = MOCK_USE_FIXED, FIELD(tls_key),
     .argument = "FILE", .description = "Its private key (PEM)."},
    {.name = "seed", .type = MOCK_SET_COUNT, .use = MOCK_USE_FIXED, FIELD(seed), .argument = "N",
     .default_text = "0", .description = "Same seed and same requests: same answers, same schedule."},

    /* ---- when it answers ---- */
    {.name = "ttft", .type = MOCK_SET_LAW, FIELD(ttft), .argument = "TIME",
     .default_text = "200ms",
     .description = "Time to the first token: `200ms`, `200ms:10%` for a spread around it, or a law "
                    "such as `lognormal(300ms, 0.4)`."},
    {.name = "itl", .type = MOCK_SET_LAW, FIELD(itl), .argument = "TIME", .default_text = "20ms",
     .description = "Time between two tokens, written likewise; `0`: as fast as the client reads."},
    {.name = "tps", .type = MOCK_SET_REAL, FIELD(tps), .argument = "N",
     .description = "Tokens a second, another way to say `itl`; wins over it."},
    {.name = "prefill", .type = MOCK_SET_LAW, FIELD(prefill), .argument = "TIME", .default_text = "0",
     .description = "Time that each token of the prompt adds to the first token, cached ones left "
                    "out: `80us`."},
    {.name = "burst", .type = MOCK_SET_BURST, FIELD(burst), .argument = "N", .default_text = "1",
     .description = "Tokens that come at once, 1 to 64: `4`, `1-4`, or a law such as "
                    "`speculative(4, 70%)`; `itl` is the time between two bursts."},
    {.name = "slowdown", .type = MOCK_SET_REAL, FIELD(slowdown), .argument = "SHARE",
     .default_text = "0",
     .description = "How much slower everything gets for each further answer under way: at `0.01`, "
                    "101 of them take twice as long."},
    {.name = "max_batch", .type = MOCK_SET_COUNT, FIELD(max_batch), .argument = "N",
     .default_text = "0", .max = 65536,
     .description = "Answer like an engine with continuous batching: so many requests at once, in "
                    "steps of `itl`; the first token comes when there was a seat and the prompt has "
                    "been read (`prefill`), and `ttft` has no part in it. 0: off."},
    {.name = "queue", .type = MOCK_SET_COUNT, FIELD(queue), .argument = "N", .default_text = "1000",
     .max = 1000000, .description = "How many requests may wait for a seat; more are refused."},
    {.name = "on_full", .type = MOCK_SET_CHOICE, FIELD(on_full), .argument = "STATUS",
     .choices = "429|503", .default_text = "429",
     .description = "What a request is refused with when the queue is full."},
    {.name = "batch_cost", .type = MOCK_SET_DURATION, FIELD(batch_cost_ns), .argument = "TIME",
     .default_text = "0",
     .description = "Time that each request in the batch adds to a step: `50us`."},
    {.name = "prefill_budget", .type = MOCK_SET_COUNT, FIELD(prefill_budget), .argument = "N",
     .default_text = "2048", .max = 1000000000,
     .description = "Tokens of prompts that the engine reads in a step at most; 0: no bound."},
    {.name = "prefix_cache", .type = MOCK_SET_COUNT, FIELD(prefix_cache), .argument = "TOKENS",
     .default_text = "0", .max = 100000000,
     .description = "Remember beginnings of prompts, so many tokens of them: usage then shows what "
                    "was cached, and `prefill` is paid for the rest. 0: nothing is kept, and usage "
                    "shows what the history of the request makes likely."},
    {.name = "prefix_ttl", .type = MOCK_SET_DURATION, FIELD(prefix_ttl_ns), .argument = "TIME",
     .default_text = "0",
     .description = "Forget a beginning that nobody used for so long: `5m`. 0: never."},
    {.name = "profile", .type = MOCK_SET_TEXT, FIELD(profile), .argument = "NAME",
     .parse = mock_profile_check,
     .description = "Times like those of a well-known model, or of a model on a GPU; what is given "
                    "besides wins. See --list-profiles."},
    {.name = "late_bound", .type = MOCK_SET_DURATION, FIELD(late_bound_ns), .argument = "TIME",
     .default_text = "1ms",
     .description = "When more than 1 % of the frames leave later than this after they were due, "
                    "`/penstock/self` and the summary say that results are limited by the mock."},
    {.name = "stamp", .type = MOCK_SET_BOOL, FIELD(stamp),
     .description = "A comment with the time of sending, and the time it was due, before each frame, "
                    "to measure delays with."},
    {.name = "step", .type = MOCK_SET_BOOL, FIELD(step),
     .description = "Streams wait after each token until `POST /penstock/step` lets them go on."},

    /* ---- what it answers ---- */
    {.name = "scenario", .letter = 's', .type = MOCK_SET_TEXTS, .use = MOCK_USE_FIXED,
     LIST(scenarios), .argument = "PATH",
     .description = "A file of scenarios, or a folder of them; read again when it changes. "
                    "Repeatable."},
    {.name = "text", .type = MOCK_SET_TEXT, FIELD(text), .argument = "TEXT",
     .description = "What every answer says. Default: made up from the request."},
    {.name = "echo", .type = MOCK_SET_BOOL, FIELD(echo),
     .description = "Every answer is the last user text."},
    {.name = "tokens", .letter = 'n', .type = MOCK_SET_COUNT, FIELD(tokens), .argument = "N",
     .max = 100000000,
     .description = "The exact length of every answer. Default: as it happens to be."},
    {.name = "tokenizer", .type = MOCK_SET_CHOICE, FIELD(tokenizer), .argument = "NAME",
     .choices = "auto|o200k|cl100k|pieces", .default_text = "auto",
     .description = "What counts and cuts texts. `auto`: the encoding of the model that is asked "
                    "for; `pieces`: words and marks, which needs no data."},

    /* ---- recorded answers ---- */
    {.name = "upstream", .type = MOCK_SET_TEXT, .use = MOCK_USE_FIXED, FIELD(upstream),
     .argument = "URL",
     .description = "Pass on what nothing else answers to the provider at this base URL "
                    "(`https://api.openai.com/v1`), and its answers back as they come."},
    {.name = "upstream_key", .type = MOCK_SET_TEXT, .use = MOCK_USE_FIXED, FIELD(upstream_key),
     .argument = "VARIABLE",
     .description = "Environment variable with the key to send there. Default: the client's own "
                    "credentials are passed on."},
    {.name = "record", .type = MOCK_SET_TEXT, .use = MOCK_USE_FIXED, FIELD(record),
     .argument = "FOLDER",
     .description = "Keep what goes through the upstream, byte for byte and with its times, a file an "
                    "exchange, secrets left out."},
    {.name = "replay", .type = MOCK_SET_TEXT, .use = MOCK_USE_FIXED, FIELD(replay),
     .argument = "FOLDER",
     .description = "Answer from what was recorded, in whatever dialect is asked, streamed or not."},
    {.name = "speed", .type = MOCK_SET_TEXT, FIELD(speed), .parse = replay_speed_check,
     .argument = "FACTOR", .default_text = "1x",
     .description = "How fast recorded answers are played: `1x`, `10x`, or `max`, as fast as the "
                    "client reads."},
    {.name = "on_miss", .type = MOCK_SET_CHOICE, FIELD(on_miss), .argument = "WHAT",
     .choices = "error|generate|record", .default_text = "error",
     .description = "What becomes of a request that no recording answers: 404 with the nearest one "
                    "and what differs, an answer of the generator's, or the upstream's, recorded."},
    {.name = "scrub", .type = MOCK_SET_TEXTS, .use = MOCK_USE_FIXED, LIST(scrub),
     .parse = scrub_pattern_check, .argument = "REGEX",
     .description = "Further secrets to keep out of recordings, besides credentials and what looks "
                    "like a known kind of key. Repeatable."},

    /* ---- who may ask for what ---- */
    {.name = "model", .letter = 'm', .type = MOCK_SET_TEXTS, LIST(models), .argument = "NAME",
     .description = "A model that there is. Repeatable. Default: every name."},
    {.name = "models", .type = MOCK_SET_CHOICE, FIELD(models_are), .argument = "WHICH",
     .choices = "auto|open|closed", .default_text = "auto",
     .description = "Whether models that are not listed are answered (`open`) or are 404 (`closed`). "
                    "`auto`: closed when there is a list."},
    {.name = "key", .type = MOCK_SET_OWN, .parse = mock_key_parse,
     .argument = "KEY[,rpm=N][,tpm=N][,tier=NAME]",
     .description = "A key that clients must come with, as a bearer token or x-api-key, with limits "
                    "of its own. Repeatable. Default: any key, or none."},
    {.name = "rpm", .type = MOCK_SET_COUNT, FIELD(rpm), .argument = "N", .max = 1000000000,
     .description = "Requests a minute for each key; above it 429. Default: no limit."},
    {.name = "tpm", .type = MOCK_SET_COUNT, FIELD(tpm), .argument = "N", .max = 1000000000000,
     .description = "Tokens a minute for each key, of prompts and answers. Default: no limit."},
    {.name = "cors", .type = MOCK_SET_TEXT, FIELD(cors), .argument = "ORIGIN", .default_text = "*",
     .description = "The origin whose pages may call the API from a browser; `*`: all; `off`: none."},
    {.name = "strict", .type = MOCK_SET_BOOL, FIELD(strict),
     .description = "Refuse requests that break a rule of their API, with the provider's own error, "
                    "instead of noting it."},

    /* ---- what is kept ---- */
    {.name = "journal", .type = MOCK_SET_COUNT, .use = MOCK_USE_FIXED, FIELD(journal),
     .argument = "N", .default_text = "1000", .max = 1000000,
     .description = "Requests that `GET /penstock/journal` remembers, 64 MiB of them at most; `0`: "
                    "none."},
    {.name = "stored", .type = MOCK_SET_COUNT, .use = MOCK_USE_FIXED, FIELD(stored),
     .argument = "BYTES", .default_text = "67108864", .max = UINT64_C(1) << 40,
     .description = "Memory for stored responses and conversations; the least used go first."},
    {.name = "stored_ttl", .type = MOCK_SET_DURATION, .use = MOCK_USE_FIXED, FIELD(stored_ttl_ns),
     .argument = "TIME", .default_text = "30d",
     .description = "How long responses and conversations are kept."},

    /* ---- how it fails ---- */
    {.name = "fault", .type = MOCK_SET_TEXTS, LIST(faults), .argument = "SPEC",
     .parse = fault_check,
     .description = "A fault for requests in general: `429:rate=5%`, `stall:period=60s,duration=5s`. "
                    "Repeatable; see --list-faults."},

    /* ---- the process ---- */
    {.name = "workers", .letter = 'w', .type = MOCK_SET_COUNT, .use = MOCK_USE_PROCESS,
     FIELD(workers), .argument = "N", .default_text = "1", .max = 1024,
     .description = "Threads that serve."},
    {.name = "clock", .type = MOCK_SET_CHOICE, .use = MOCK_USE_PROCESS, FIELD(clock),
     .argument = "WHICH", .choices = "real|virtual|manual", .default_text = "real",
     .description = "`virtual`: time jumps to whatever is due next, so that nothing waits and every "
                    "run is the same; `manual`: it moves by `POST /penstock/clock` alone."},
    {.name = "ready_file", .type = MOCK_SET_TEXT, .use = MOCK_USE_PROCESS, FIELD(ready_file),
     .argument = "FILE",
     .description = "Write the addresses there, as JSON, once it listens, and take the file away at "
                    "the end; for tests that use port 0."},
    {.name = "json", .type = MOCK_SET_BOOL, .use = MOCK_USE_PROCESS, FIELD(json),
     .description = "One line of JSON on stdout instead of the banner once it listens, with all "
                    "addresses, and one at the end instead of the summary."},
    {.name = "exit_with_parent", .type = MOCK_SET_BOOL, .use = MOCK_USE_PROCESS,
     FIELD(exit_with_parent),
     .description = "End when the process that started the mock ends, however it does."},
    {.name = "quiet", .letter = 'q', .type = MOCK_SET_BOOL, .use = MOCK_USE_PROCESS, FIELD(quiet),
     .description = "No banner at start, no summary at the end."},
};
const unsigned mock_n_settings = sizeof mock_settings / sizeof mock_settings[0];
_Static_assert(sizeof mock_settings / sizeof mock_settings[0] <= MOCK_MAX_SETTINGS,
               "struct mock_options has room for a mark of each setting");

/* ---- rows ---- */

static bool same_name(struct slice a, const char *b) {
    size_t i = 0;
    for (; i < a.len && b[i]; i++) {
        if (a.ptr[i] != b[i] && !(a.ptr[i] == '-' && b[i] == '_')) {
            return false;
        }
    }
    return i == a.len && b[i] == '\0';
}

const struct mock_setting *mock_setting_find(struct slice name) {
    for (unsigned i = 0; i < mock_n_settings; i++) {
        if (same_name(name, mock_settings[i].name)) {
            return &mock_settings[i];
        }
    }
    return NULL;
}

bool mock_setting_is_given(const struct mock_setting *row, const struct mock_options *o) {
    return o->given[row - mock_settings];
}

/* ---- storing ---- */

static int store_bool(struct slice text, bool *out, struct err *e) {
    if (!value_parse_bool(text, out)) {
        return err_set(e, ERR_USAGE, "expected true or false");
    }
    return 0;
}

static int store_count(const struct mock_setting *row, struct slice text, void *field,
                       struct err *e) {
    uint64_t value, max = row->max > 0 ? row->max : INT64_MAX;
    if (!slice_to_u64(text, max, &value)) {
        return err_set(e, ERR_USAGE, "expected a whole number up to %llu, got \"%.*s\"",
                       (unsigned long long)max, SLICE_FMT(slice_sub(text, 0, 60)));
    }
    unsigned narrow = (unsigned)value;
    if (row->size == sizeof narrow) memcpy(field, &narrow, sizeof narrow);
    else memcpy(field, &value, sizeof value);
    return 0;
}

static int store_real(struct slice text, double *out, struct arena *a, struct err *e) {
    const char *plain = arena_dup(a, text).ptr;
    char *end = NULL;
    double value = text.len > 0 ? strtod(plain, &end) : -1;
    if (!end || *end != '\0' || !(value >= 0 && value < 1e15)) {
        return err_set(e, ERR_USAGE, "expected a number, got \"%.*s\"",
                       SLICE_FMT(slice_sub(text, 0, 60)));
    }
    *out = value;
    return 0;
}

static int store_duration(struct slice text, int64_t *out, struct err *e) {
    if (!value_parse_duration(text, out)) {
        return err_set(e, ERR_USAGE, "expected a duration (10s, 500ms), got \"%.*s\"",
                       SLICE_FMT(slice_sub(text, 0, 60)));
    }
    return 0;
}

static int store_choice(const struct mock_setting *row, struct slice text, void *field,
                        struct err *e) {
    struct slice rest = slice_cstr(row->choices);
    for (unsigned i = 0; rest.len > 0; i++) {
        ptrdiff_t bar = slice_index(rest, '|');
        struct slice word = bar < 0 ? rest : slice_sub(rest, 0, (size_t)bar);
        if (slice_eq(word, text)) {
            memcpy(field, &i, sizeof i);
            return 0;
        }
        rest = bar < 0 ? SLICE_NULL : slice_from(rest, (size_t)bar + 1);
    }
    return err_set(e, ERR_USAGE, "expected one of %s, got \"%.*s\"", row->choices,
                   SLICE_FMT(slice_sub(text, 0, 60)));
}

/* Lists are copied to grow. */
enum { LIST_MAX = 2000 };

static bool has_room_in_list(const struct mock_setting *row, const struct mock_options *o) {
    return *(const unsigned *)(const void *)((const char *)o + row->count_offset) < LIST_MAX;
}

static void store_in_list(const struct mock_setting *row, struct slice text, struct mock_options *o,
                          struct arena *a) {
    const char *const **list = (const char *const **)(void *)((char *)o + row->offset);
    unsigned *count = (unsigned *)(void *)((char *)o + row->count_offset);
    const char **grown = arena_alloc(a, (*count + 2) * sizeof *grown);
    if (*count > 0) memcpy(grown, *list, *count * sizeof *grown);
    grown[(*count)++] = arena_dup(a, text).ptr;
    *list = grown;
}

static int store_value(const struct mock_setting *row, struct slice text, struct mock_options *o,
                       const struct law_scope *scope, struct err *e) {
    struct arena *a = scope->arena;
    void *field = (char *)o + row->offset;
    switch (row->type) {
    case MOCK_SET_BOOL: return store_bool(text, field, e);
    case MOCK_SET_COUNT: return store_count(row, text, field, e);
    case MOCK_SET_REAL: return store_real(text, field, a, e);
    case MOCK_SET_DURATION: return store_duration(text, field, e);
    case MOCK_SET_CHOICE: return store_choice(row, text, field, e);
    case MOCK_SET_LAW: return law_parse(text, scope, field, e);
    case MOCK_SET_BURST: return burst_parse(text, field, e);
    case MOCK_SET_OWN: return row->parse(text, o, a, e);
    case MOCK_SET_TEXTS:
        if (row->parse && row->parse(text, o, a, e) < 0) return -ERR_USAGE;
        if (!has_room_in_list(row, o)) return err_set(e, ERR_USAGE, "more than %d", LIST_MAX);
        store_in_list(row, text, o, a);
        return 0;
    case MOCK_SET_TEXT:
        if (row->parse && text.len > 0 && row->parse(text, o, a, e) < 0) return -ERR_USAGE;
        break;
    }
    *(const char **)field = text.len > 0 ? arena_dup(a, text).ptr : NULL;
    return 0;
}

int mock_setting_store(const struct mock_setting *row, struct slice text, struct mock_options *o,
                       const struct law_scope *scope, struct err *e) {
    int rc = store_value(row, text, o, scope, e);
    if (rc == 0) o->given[row - mock_settings] = 1;
    return rc;
}

void mock_setting_reset(const struct mock_setting *row, struct mock_options *o) {
    struct mock_options fresh;
    mock_options_default(&fresh);
    if (row->type == MOCK_SET_OWN) {
        o->keys = NULL;
        o->n_keys = 0;
    } else {
        memcpy((char *)o + row->offset, (const char *)&fresh + row->offset, row->size);
    }
    if (row->type == MOCK_SET_TEXTS) {
        memcpy((char *)o + row->count_offset, (const char *)&fresh + row->count_offset,
               sizeof(unsigned));
    }
    o->given[row - mock_settings] = 0;
}

/* ---- options ---- */

void mock_options_default(struct mock_options *out) {
    *out = (struct mock_options){
        .workers = 1,
        .ttft = {.mean_ns = 200 * NS_PER_MS},
        .itl = {.mean_ns = 20 * NS_PER_MS},
        .burst = burst_between(1, 1),
        .queue = 1000,
        .prefill_budget = 2048,
        .late_bound_ns = NS_PER_MS,
        .cors = "*",
        .speed = "1x",
        .journal = 1000,
        .stored = 64 << 20,
        .stored_ttl_ns = 30 * 24 * 3600 * NS_PER_S,
    };
}

static const char *copy_text(struct arena *a, const char *text) {
    return text ? arena_dup(a, slice_cstr(text)).ptr : NULL;
}

static void copy_texts(const struct mock_setting *row, struct mock_options *o, struct arena *a) {
    const char *const **list = (const char *const **)(void *)((char *)o + row->offset);
    unsigned count = *(unsigned *)(void *)((char *)o + row->count_offset);
    const char **copy = arena_alloc(a, (count + 1) * sizeof *copy);
    for (unsigned i = 0; i < count; i++) copy[i] = copy_text(a, (*list)[i]);
    *list = copy;
}

static void copy_keys(struct mock_options *o, struct arena *a) {
    struct mock_key *keys = arena_alloc(a, (o->n_keys + 1) * sizeof *keys);
    for (unsigned i = 0; i < o->n_keys; i++) {
        keys[i] = o->keys[i];
        keys[i].key = copy_text(a, o->keys[i].key);
    }
    o->keys = keys;
}

void mock_options_copy(struct mock_options *out, const struct mock_options *o, struct arena *a) {
    *out = *o;
    for (unsigned i = 0; i < mock_n_settings; i++) {
        const struct mock_setting *row = &mock_settings[i];
        const char **text = (const char **)(void *)((char *)out + row->offset);
        if (row->type == MOCK_SET_TEXT) *text = copy_text(a, *text);
        else if (row->type == MOCK_SET_TEXTS) copy_texts(row, out, a);
        else if (row->type == MOCK_SET_LAW) {
            struct law *law = (struct law *)(void *)((char *)out + row->offset);
            *law = law_copy(law, a);
        }
    }
    copy_keys(out, a);
}
