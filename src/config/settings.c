/* SPDX-License-Identifier: Apache-2.0 */
#include "config/settings.h"

#include <assert.h>
#include <stdio.h>

#include "config/value.h"

/* ---- the table ---- */

#define FIELD(type, member) offsetof(type, member), sizeof(((type *)0)->member)
#define TOP(member) FIELD(struct loaded, config.member)
#define PROVIDER(member) FIELD(struct config_provider, member)
#define NO_FIELD 0, 0

static const char *const log_levels[] = {"debug", "info", "warn", "error", "off", NULL};
static const char *const log_formats[] = {"human", "json", NULL};
static const char *const log_requests[] = {"off", "errors", "all", NULL};
static const char *const auths[] = {"key", "passthrough", "none", NULL};
static const char *const meterings[] = {"inject", "observe", NULL};
static const char *const client_gones[] = {"cancel", "drain", NULL};
static const char *const strategies[] = {"fallback", NULL};
static const char *const dialect_names[] = {"chat", "completions", "responses", "messages", NULL};
static const char *const preset_names[] = {
    "openai", "anthropic", "azure", "openrouter", "groq", "mistral", "deepseek", "together",
    "fireworks", "xai", "gemini-openai", "ollama", "vllm", "llamacpp", NULL,
};

/* The enums' values are indexes into these lists. */
_Static_assert(LOG_DEBUG == 0 && LOG_OFF == 4 && LOG_HUMAN == 0 && LOG_JSON == 1, "log");
_Static_assert(LOG_REQUESTS_OFF == 0 && LOG_REQUESTS_ALL == 2, "log.requests");
_Static_assert(AUTH_KEY == 0 && AUTH_NONE == 2 && METERING_INJECT == 0, "providers");
_Static_assert(CLIENT_GONE_CANCEL == 0 && STRATEGY_FALLBACK == 0, "on_client_gone, strategy");

/* A row for each capability; the defaults are the preset's. */
#define QUIRK_BOOL(words) .choices = NULL
#define QUIRK_ENUM(words) .choices = words
#define QUIRK_INT(words) .min = "16", .max = "10000000", .unit = words
#define QUIRK(field, is, words, text)                                                              \
    {.name = "providers.*.quirks." #field, .type = SET_##is, PROVIDER(caps.field),                 \
     QUIRK_##is(words), .description = text},

/* clang-format off */
const struct setting settings[] = {
    {.name = "listen", .type = SET_LISTEN, NO_FIELD, .default_text = "127.0.0.1:8080",
     .env = "PENSTOCK_LISTEN", .flag = "--listen",
     .description = "Where clients connect: `host:port`, `[::1]:8080`, `:8080` (every address of the machine) or `unix:/path`. One, a list, or a list of maps with `address` and `tls`. Names other than `localhost` are not looked up. Port 0 takes any free port."},
    {.name = "listen.*.address", .type = SET_STRING, FIELD(struct config_listen, address),
     .description = "The address, in the form with maps."},
    {.name = "listen.*.tls.cert", .type = SET_STRING, FIELD(struct config_listen, tls_cert),
     .description = "PEM file with the certificate chain of this address."},
    {.name = "listen.*.tls.key", .type = SET_STRING, FIELD(struct config_listen, tls_key),
     .description = "PEM file with its private key."},
    {.name = "tls.cert", .type = SET_STRING, FIELD(struct loaded, tls_cert), .env = "PENSTOCK_TLS_CERT",
     .description = "PEM file with the certificate chain for every address of `listen` that has none of its own (Unix sockets stay plain)."},
    {.name = "tls.key", .type = SET_STRING, FIELD(struct loaded, tls_key), .env = "PENSTOCK_TLS_KEY",
     .description = "PEM file with its private key."},
    {.name = "workers", .type = SET_INT, TOP(workers), .default_text = "auto", .max = "1024", .unit = "threads", .zero = "auto",
     .env = "PENSTOCK_WORKERS", .flag = "--workers",
     .description = "Threads that serve, each with its own event loop. `auto`: one for each CPU that the process may use."},
    {.name = "drain_timeout", .type = SET_DURATION, TOP(timeouts.drain_ns), .default_text = "30s", .max = "1d",
     .env = "PENSTOCK_DRAIN_TIMEOUT", .flag = "--drain-timeout",
     .description = "After SIGTERM or SIGINT: how long running answers may go on before they are ended with an error event."},
    {.name = "metrics", .type = SET_BOOL, TOP(metrics_enabled), .default_text = "true", .env = "PENSTOCK_METRICS",
     .description = "Serves `GET /metrics`, in Prometheus' text format."},
    {.name = "allowed_hosts", .type = SET_STRINGS, TOP(allowed.hosts), .env = "PENSTOCK_ALLOWED_HOSTS",
     .description = "Names that requests may carry in their `Host` header, besides IP addresses, `localhost` and what `listen` says. Without client authentication other names are refused, so that no web page can reach the gateway through a name of its own."},

    {.name = "check_order", .type = SET_BOOL, TOP(check_order), .default_text = "false", .env = "PENSTOCK_CHECK_ORDER",
     .description = "Checks the order of events in every stream, the upstreams' and the gateway's own, against the dialect's rules: what breaks them ends with an error event and is counted. Costs a second look at every event. Builds with sanitizers always check what the gateway translates."},

    {.name = "log.level", .type = SET_ENUM, TOP(log.level), .default_text = "info", .choices = log_levels,
     .env = "PENSTOCK_LOG_LEVEL", .flag = "--log-level",
     .description = "The least important lines that are still written."},
    {.name = "log.format", .type = SET_ENUM, TOP(log.format), .default_text = "human", .choices = log_formats,
     .env = "PENSTOCK_LOG_FORMAT", .flag = "--log-format",
     .description = "`human`, or `json` with one object a line. Both go to stderr."},
    {.name = "log.requests", .type = SET_ENUM, TOP(log.requests), .default_text = "errors", .choices = log_requests,
     .env = "PENSTOCK_LOG_REQUESTS", .flag = "--log-requests",
     .description = "Which requests get a line when they end. Bodies and credentials are never logged."},

    {.name = "providers", .type = SET_PROVIDERS, NO_FIELD,
     .description = "The upstreams, by name: letters, digits, `-` and `_`. The name is what `models` refers to, and a label of the metrics. Without this key the [embedded defaults](#without-a-file) apply."},
    {.name = "providers.*.dialect", .type = SET_STRING, PROVIDER(dialect_name), .default_text = "chat", .choices = dialect_names,
     .description = "The API that the upstream speaks: `chat` (OpenAI's Chat Completions), `completions` (the older one of OpenAI's), `responses` (OpenAI's Responses) or `messages` (Anthropic's Messages). Clients of any of the four reach any provider; requests and answers are translated."},
    {.name = "providers.*.preset", .type = SET_STRING, PROVIDER(preset_name), .choices = preset_names,
     .description = "A kind of upstream, whose defaults stand for what is not set here: see [presets](#presets). Without it the host of `base_url` tells, for vendors that are known by it."},
    {.name = "providers.*.also", .type = SET_STRINGS, PROVIDER(also_names),
     .description = "Further APIs at the same `base_url`: dialects, `embeddings`, `moderations`. A client's request in one of these dialects goes there as it is; in any other it is translated to `dialect`. Default: the preset's."},
    {.name = "providers.*.keeps_responses", .type = SET_BOOL, PROVIDER(keeps_responses), .default_text = "false",
     .description = "Where `responses` is spoken: the upstream keeps its answers, so that `store`, `previous_response_id` and `GET /v1/responses/{id}` are its own. Else the gateway keeps them ([state](#state)). Default: the preset's."},
    {.name = "providers.*.base_url", .type = SET_STRING, PROVIDER(base_url), .min = "1",
     .description = "What the official SDK of that dialect would be given: with `/v1` for OpenAI's, without for Anthropic's. Schemes: `http`, `https`, and `http+unix` with the socket's path percent-encoded as the host (`http+unix://%2Frun%2Fllm.sock/v1`). `{model}` in the path stands for the upstream's name of the model. Required, but for `mock: true` and presets that have one."},
    {.name = "providers.*.api_key", .type = SET_SECRET, PROVIDER(api_key),
     .description = "The credential that the gateway sends upstream. Best written as `${NAME}`. An empty one counts as none. A named preset at its vendor's own host finds it in the vendor's usual variable."},
    {.name = "providers.*.auth_header", .type = SET_STRING, PROVIDER(auth_header),
     .description = "The request header that carries `api_key`: `authorization` (behind `Bearer`), `x-api-key`, `api-key`, or another name. Default: the preset's."},
    {.name = "providers.*.query", .type = SET_STRING, PROVIDER(query),
     .description = "A query that is put behind every path, without its `?`: `api-version=2024-10-21`."},
    {.name = "providers.*.api_version", .type = SET_STRING, PROVIDER(api_version),
     .description = "The header `anthropic-version` that requests to `messages` upstreams carry. Default: `2023-06-01`."},
    {.name = "providers.*.auth", .type = SET_ENUM, PROVIDER(auth), .default_text = "key", .choices = auths,
     .description = "`key`: send `api_key`. `passthrough`: send the client's own credential on. `none`: send none."},
    {.name = "providers.*.metering", .type = SET_ENUM, PROVIDER(metering), .default_text = "inject", .choices = meterings,
     .description = "`inject`: ask the upstream for token usage when the client did not, and cut it out again, so that the client sees what it would have seen. `observe`: count only what comes by itself; streams then pass byte for byte."},
    {.name = "providers.*.on_client_gone", .type = SET_ENUM, PROVIDER(on_client_gone), .default_text = "cancel", .choices = client_gones,
     .description = "When the client leaves in the middle of an answer. `cancel`: close the upstream at once. `drain`: read on to the usage at the end, within bounds; write `{drain: {bytes: 1MiB, time: 10s}}` to set them."},
    {.name = "providers.*.on_client_gone.drain.bytes", .type = SET_BYTES, PROVIDER(drain_bytes), .default_text = "1MiB", .max = "1GiB",
     .description = "The most that a drain reads."},
    {.name = "providers.*.on_client_gone.drain.time", .type = SET_DURATION, PROVIDER(drain_time_ns), .default_text = "10s", .max = "10m",
     .description = "The longest that a drain lasts."},
    {.name = "providers.*.connect_timeout", .type = SET_DURATION, PROVIDER(connect_timeout_ns), .default_text = "5s", .min = "1ms", .max = "5m",
     .description = "To look the host's name up and connect."},
    {.name = "providers.*.tls_timeout", .type = SET_DURATION, PROVIDER(tls_timeout_ns), .default_text = "5s", .min = "1ms", .max = "5m",
     .description = "For the TLS handshake."},
    {.name = "providers.*.first_byte_timeout", .type = SET_DURATION, PROVIDER(first_byte_timeout_ns), .default_text = "10m", .min = "1ms", .max = "1d",
     .description = "From the request sent to the head of the answer. An answer that is not streamed takes all of its time here."},
    {.name = "providers.*.idle_timeout", .type = SET_DURATION, PROVIDER(idle_timeout_ns), .default_text = "2m", .min = "1ms", .max = "1d",
     .description = "The longest silence inside an answer before it counts as dead."},
    {.name = "providers.*.retry_stale", .type = SET_BOOL, PROVIDER(retry_stale), .default_text = "true",
     .description = "When a kept connection turns out to be closed before a byte of the answer came, send the request once more on a fresh one."},
    {.name = "providers.*.max_connections", .type = SET_INT, PROVIDER(max_connections), .default_text = "unlimited", .max = "1000000", .unit = "connections a worker", .zero = "unlimited",
     .description = "Connections to this upstream that may be open at once. Requests beyond that are refused with 503."},
    {.name = "providers.*.max_idle_connections", .type = SET_INT, PROVIDER(max_idle_connections), .default_text = "1024", .max = "1000000", .unit = "connections a worker",
     .description = "Connections that are kept open for the next request."},
    {.name = "providers.*.ca_file", .type = SET_STRING, PROVIDER(ca_file),
     .description = "PEM file with the certificates to trust in place of the system's."},
    {.name = "providers.*.tls_verify", .type = SET_BOOL, PROVIDER(tls_verify), .default_text = "true",
     .description = "Check the upstream's certificate. Without it anybody on the way can read the key."},
    {.name = "providers.*.forward_headers", .type = SET_STRINGS, PROVIDER(forward_headers),
     .description = "Further request headers of the client that go upstream. Credentials, `Host` and those of the connection itself cannot be listed."},
    {.name = "providers.*.mock", .type = SET_BOOL, PROVIDER(is_mock), .default_text = "false",
     .description = "This provider is the built-in mock: it needs no `base_url` and no key, and its answers carry `x-penstock-mock: 1`."},
    CAPABILITIES(QUIRK)

    {.name = "models", .type = SET_MODELS, NO_FIELD,
     .description = "What clients may ask for, a list. An exact name wins over patterns; of these the first that matches."},
    {.name = "models.*.name", .type = SET_STRING, FIELD(struct model_draft, name), .min = "1",
     .description = "The name in the request, or a pattern: `*` any run, `?` one character, `[a-z]` a class."},
    {.name = "models.*.targets", .type = SET_TARGETS, NO_FIELD,
     .description = "Who answers, a list in order of preference. Today the first one is asked, and no "
                    "other."},
    {.name = "models.*.targets.*.provider", .type = SET_STRING, FIELD(struct target_draft, provider), .min = "1",
     .description = "A name of `providers`."},
    {.name = "models.*.targets.*.model", .type = SET_STRING, FIELD(struct target_draft, model),
     .description = "The model's name upstream. Default: what the client said."},
    {.name = "models.*.strategy", .type = SET_ENUM, FIELD(struct model_draft, strategy), .default_text = "fallback", .choices = strategies,
     .description = "How one of several targets is chosen. `fallback`: the next one when the one before "
                    "fails, which is not built yet."},
    {.name = "models.*.provider", .type = SET_STRING, FIELD(struct model_draft, provider), .min = "1",
     .description = "The short form, for a single target: its provider."},
    {.name = "models.*.model", .type = SET_STRING, FIELD(struct model_draft, model),
     .description = "The short form: the model's name upstream."},

    {.name = "limits.request_line", .type = SET_BYTES, TOP(limits.request_line_bytes), .default_text = "8KiB", .min = "64", .max = "1MiB", .env = "PENSTOCK_LIMITS_REQUEST_LINE",
     .description = "The longest request line; above it 414."},
    {.name = "limits.headers", .type = SET_BYTES, TOP(limits.header_bytes), .default_text = "64KiB", .min = "256", .max = "16MiB", .env = "PENSTOCK_LIMITS_HEADERS",
     .description = "All headers of a request together; above it 431."},
    {.name = "limits.header_count", .type = SET_INT, TOP(limits.header_count), .default_text = "128", .min = "1", .max = "10000", .unit = "headers", .env = "PENSTOCK_LIMITS_HEADER_COUNT",
     .description = "Headers in a request; above it 431."},
    {.name = "limits.body", .type = SET_BYTES, TOP(limits.body_bytes), .default_text = "32MiB", .min = "1KiB", .max = "1GiB", .env = "PENSTOCK_LIMITS_BODY",
     .description = "The largest request body; above it 413."},
    {.name = "limits.event", .type = SET_BYTES, TOP(limits.event_bytes), .default_text = "16MiB", .min = "1KiB", .max = "1GiB", .env = "PENSTOCK_LIMITS_EVENT",
     .description = "The largest single event in an upstream's stream; a larger one ends the answer with an error."},
    {.name = "limits.response", .type = SET_BYTES, TOP(limits.response_bytes), .default_text = "1MiB", .max = "1GiB", .env = "PENSTOCK_LIMITS_RESPONSE",
     .description = "The largest answer that is not streamed and still held whole to be checked and metered. A larger one is passed on as it comes."},
    {.name = "limits.transcript", .type = SET_BYTES, TOP(limits.transcript_bytes), .default_text = "16MiB", .min = "64KiB", .max = "1GiB", .env = "PENSTOCK_LIMITS_TRANSCRIPT",
     .description = "The most that is kept of one answer where it must be: for `responses` clients, whose last event repeats it, and where it is stored. Above it the answer ends with an error."},
    {.name = "limits.cut_through", .type = SET_BYTES, TOP(limits.cut_through_bytes), .default_text = "64KiB", .min = "1KiB", .max = "1GiB", .env = "PENSTOCK_LIMITS_CUT_THROUGH",
     .description = "An event above this size that nobody needs to read is forwarded as it comes, not when it is whole."},
    {.name = "limits.max_connections", .type = SET_INT, TOP(limits.max_connections), .default_text = "unlimited", .max = "10000000", .unit = "connections", .zero = "unlimited", .env = "PENSTOCK_LIMITS_MAX_CONNECTIONS",
     .description = "Client connections open at once in the whole process. More are answered with 503. Descriptors limit in any case."},
    {.name = "limits.max_connections_per_ip", .type = SET_INT, TOP(limits.max_connections_per_ip), .default_text = "unlimited", .max = "10000000", .unit = "connections", .zero = "unlimited", .env = "PENSTOCK_LIMITS_MAX_CONNECTIONS_PER_IP",
     .description = "The same for a single client address."},
    {.name = "limits.max_streams", .type = SET_INT, TOP(limits.max_streams), .default_text = "unlimited", .max = "10000000", .unit = "requests", .zero = "unlimited", .env = "PENSTOCK_LIMITS_MAX_STREAMS",
     .description = "Requests to upstreams that run at once in the whole process. More are answered with 503."},

    {.name = "timeouts.head", .type = SET_DURATION, TOP(timeouts.head_ns), .default_text = "10s", .min = "1ms", .max = "10m", .env = "PENSTOCK_TIMEOUTS_HEAD",
     .description = "For a client to send the request line and headers; then 408."},
    {.name = "timeouts.body", .type = SET_DURATION, TOP(timeouts.body_ns), .default_text = "30s", .min = "1ms", .max = "10m", .env = "PENSTOCK_TIMEOUTS_BODY",
     .description = "The longest silence inside a request body; then 408."},
    {.name = "timeouts.idle", .type = SET_DURATION, TOP(timeouts.idle_ns), .default_text = "75s", .min = "1ms", .max = "1d", .env = "PENSTOCK_TIMEOUTS_IDLE",
     .description = "How long a client's connection is kept between requests."},
    {.name = "timeouts.write", .type = SET_DURATION, TOP(timeouts.write_ns), .default_text = "5m", .min = "1ms", .max = "1d", .env = "PENSTOCK_TIMEOUTS_WRITE",
     .description = "How long a client may take nothing of what waits for it before it counts as gone."},
    {.name = "timeouts.hold", .type = SET_DURATION, TOP(timeouts.hold_ns), .default_text = "10s", .max = "10m", .env = "PENSTOCK_TIMEOUTS_HOLD",
     .description = "How long the head of a streamed answer waits for the upstream's first event, so that a failure can still have its own status. Afterwards errors come inside the stream."},
    {.name = "timeouts.heartbeat", .type = SET_DURATION, TOP(timeouts.heartbeat_ns), .default_text = "15s", .max = "1h", .zero = "off", .env = "PENSTOCK_TIMEOUTS_HEARTBEAT",
     .description = "Silence in a stream before a comment line is sent, so that nobody on the way takes the connection for dead."},

    {.name = "state.ttl", .type = SET_DURATION, TOP(state.ttl_ns), .default_text = "24h", .min = "1h", .max = "365d", .env = "PENSTOCK_STATE_TTL",
     .description = "How long the gateway keeps what `responses` clients may come back to (answers, conversations), and reasoning that clients leave out of their next turn. Only where the upstream keeps none. In memory: a restart forgets it."},
    {.name = "state.max_bytes", .type = SET_BYTES, TOP(state.max_bytes), .default_text = "64MiB", .min = "64KiB", .max = "64GiB", .env = "PENSTOCK_STATE_MAX_BYTES",
     .description = "The most memory for it. What was used least recently goes first."},

    {.name = "cors.origins", .type = SET_STRINGS, TOP(cors.origins), .env = "PENSTOCK_CORS_ORIGINS",
     .description = "Origins of web pages that may use the gateway (`https://app.example.com`, or `*` for all). Empty: none may."},

    {.name = "policies", .type = SET_RESERVED, NO_FIELD, .description = "What is checked or changed on the way."},
    {.name = "database", .type = SET_RESERVED, NO_FIELD, .description = "Where state is kept."},
    {.name = "shared_state", .type = SET_RESERVED, NO_FIELD, .description = "State that several gateways share."},
};
/* clang-format on */
const unsigned n_settings = sizeof settings / sizeof settings[0];

const struct setting *setting_find(struct slice name) {
    for (unsigned i = 0; i < n_settings; i++) {
        if (slice_eq(name, slice_cstr(settings[i].name))) return &settings[i];
    }
    return NULL;
}

bool setting_is_below(const struct setting *row, struct slice group) {
    struct slice name = slice_cstr(row->name);
    return group.len == 0 || (slice_starts_with(name, group) && name.len > group.len &&
                              name.ptr[group.len] == '.');
}

struct place *setting_places_new(struct arena *a) {
    return arena_alloc(a, (n_settings + 1) * sizeof(struct place));
}

static void join_choices(const struct setting *row, const char *between, char *out, size_t size) {
    size_t len = 0;
    out[0] = '\0';
    for (unsigned i = 0; row->choices[i] && len < size; i++) {
        int n = snprintf(out + len, size - len, "%s%s", i > 0 ? between : "", row->choices[i]);
        len += n > 0 ? (size_t)n : 0;
    }
}

const char *setting_type_text(const struct setting *row, char *out, size_t size) {
    static const char *const names[] = {
        [SET_STRING] = "string",        [SET_SECRET] = "secret",
        [SET_BOOL] = "bool",            [SET_INT] = "int",
        [SET_BYTES] = "bytes",          [SET_DURATION] = "duration",
        [SET_ENUM] = "enum",            [SET_STRINGS] = "list of string",
        [SET_LISTEN] = "address or list", [SET_PROVIDERS] = "map of name to provider",
        [SET_MODELS] = "list of model", [SET_TARGETS] = "list of target",
        [SET_RESERVED] = "reserved",
    };
    if (row->choices) {
        char choices[256];
        join_choices(row, "|", choices, sizeof choices);
        snprintf(out, size, "enum(%s)", choices);
    } else {
        snprintf(out, size, "%s", names[row->type]);
    }
    return out;
}

/* ---- fields ---- */

static void *field_of(const struct setting *row, void *base) {
    return (char *)base + row->offset;
}

static uint64_t field_number(const struct setting *row, const void *base) {
    const char *field = (const char *)base + row->offset;
    uint64_t wide;
    uint32_t narrow;
    if (row->size == sizeof narrow) {
        memcpy(&narrow, field, sizeof narrow);
        return narrow;
    }
    memcpy(&wide, field, sizeof wide);
    return wide;
}

/* Integers, enums and durations: 4 or 8 bytes. */
static void field_set_number(const struct setting *row, void *base, uint64_t value) {
    assert(row->size == sizeof(uint32_t) || row->size == sizeof(uint64_t));
    uint32_t narrow = (uint32_t)value;
    if (row->size == sizeof narrow) memcpy(field_of(row, base), &narrow, sizeof narrow);
    else memcpy(field_of(row, base), &value, sizeof value);
}

static const char *field_string(const struct setting *row, const void *base) {
    const char *text;
    memcpy(&text, (const char *)base + row->offset, sizeof text);
    return text;
}

static const char *const *field_strings(const struct setting *row, const void *base) {
    const char *const *list;
    memcpy(&list, (const char *)base + row->offset, sizeof list);
    return list;
}

/* ---- text to field ---- */

static bool parse_number(const struct setting *row, struct slice text, uint64_t *out) {
    int64_t ns;
    if (row->zero && slice_eq_nocase(text, slice_cstr(row->zero))) {
        *out = 0;
        return true;
    }
    if (row->type == SET_INT) return slice_to_u64(text, UINT64_MAX, out);
    if (row->type == SET_BYTES) return value_parse_bytes(text, out);
    if (!value_parse_duration(text, &ns)) return false;
    *out = (uint64_t)ns;
    return true;
}

static bool is_in_range(const struct setting *row, uint64_t value) {
    uint64_t bound;
    if (row->zero && value == 0) return true;
    if (row->min && parse_number(row, slice_cstr(row->min), &bound) && value < bound) return false;
    return !row->max || !parse_number(row, slice_cstr(row->max), &bound) || value <= bound;
}

/* "a duration (10s, 500ms, 1h30m) from 1ms to 5m" */
static void describe_expected(const struct setting *row, char *out, size_t size) {
    static const char *const texts[] = {
        [SET_STRING] = "a text",
        [SET_SECRET] = "a text",
        [SET_BOOL] = "true or false",
        [SET_INT] = "a whole number",
        [SET_BYTES] = "a size (4096, 64KiB, 16MB)",
        [SET_DURATION] = "a duration (10s, 500ms, 1h30m)",
        [SET_STRINGS] = "a text or a list of texts",
    };
    char choices[256];
    if (row->choices) {
        join_choices(row, ", ", choices, sizeof choices);
        snprintf(out, size, "one of %s", choices);
        return;
    }
    snprintf(out, size, "%s%s%s%s%s%s%s", texts[row->type], row->max ? " from " : "",
             row->max ? row->min ? row->min : "0" : "", row->max ? " to " : "",
             row->max ? row->max : "", row->zero ? ", or " : "", row->zero ? row->zero : "");
}

static bool refuse(const struct setting *row, const struct scalar *v, struct report *r) {
    char expected[320];
    describe_expected(row, expected, sizeof expected);
    bool is_secret = row->type == SET_SECRET;
    if (!v->shown || is_secret) report_fault(r, v->at, v->path, "expected %s", expected);
    else report_fault(r, v->at, v->path, "expected %s, got \"%.60s\"", expected, v->shown);
    return false;
}

/* Nothing that YAML could not carry, a header line could not hold, or a terminal would act upon. */
static bool is_clean_text(struct slice s) {
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i],
                      d = i + 1 < s.len ? (unsigned char)s.ptr[i + 1] : 0;
        if (c < 0x20 || c == 0x7f || (c == 0xc2 && d < 0xa0)) return false;
        if (c == 0xef && i + 2 < s.len) {
            unsigned char e = (unsigned char)s.ptr[i + 2];
            if ((d == 0xbb && e == 0xbf) || (d == 0xbf && e >= 0xbe)) return false;
        }
    }
    return slice_utf8_valid(s) == s.len;
}

static bool check_text(const struct scalar *v, struct slice text, struct report *r) {
    if (is_clean_text(text)) return true;
    report_fault(r, v->at, v->path, "holds a control character, or bytes that are not UTF-8");
    return false;
}

static bool store_string(const struct setting *row, void *base, const struct scalar *v,
                         struct arena *a, struct report *r) {
    struct slice text = v->text;
    if (row->type == SET_SECRET) { /* a line end from a file is the usual accident */
        while (text.len > 0 && strchr(" \t\r\n", text.ptr[text.len - 1])) text.len--;
        while (text.len > 0 && strchr(" \t\r\n", text.ptr[0])) text = slice_from(text, 1);
    }
    if (!check_text(v, text, r)) return false;
    if (row->min && text.len == 0) {
        report_fault(r, v->at, v->path, "is empty");
        return false;
    }
    const char *value = text.len > 0 ? arena_dup(a, text).ptr : NULL;
    memcpy(field_of(row, base), &value, sizeof value);
    return true;
}

static bool store_choice(const struct setting *row, void *base, const struct scalar *v,
                         struct report *r) {
    for (unsigned i = 0; row->choices[i]; i++) {
        if (!slice_eq(v->text, slice_cstr(row->choices[i]))) continue;
        if (row->type == SET_ENUM) field_set_number(row, base, i);
        else memcpy(field_of(row, base), &row->choices[i], sizeof row->choices[i]);
        return true;
    }
    return refuse(row, v, r);
}

static bool store_number(const struct setting *row, void *base, const struct scalar *v,
                         struct report *r) {
    uint64_t value;
    if (!parse_number(row, v->text, &value) || !is_in_range(row, value)) return refuse(row, v, r);
    field_set_number(row, base, value);
    return true;
}

#define LIST_MAX 1026u

static unsigned count_strings(const char *const *list) {
    unsigned n = 0;
    while (list && list[n]) n++;
    return n;
}

/* "a, b": environment variables and flags write lists with commas. */
static bool store_strings(const struct setting *row, void *base, const struct scalar *v,
                          struct arena *a, struct report *r) {
    const char *const *old = v->is_appended ? field_strings(row, base) : NULL;
    unsigned n = count_strings(old), room = n + 2;
    for (size_t i = 0; i < v->text.len; i++) room += v->text.ptr[i] == ',';
    if (room > LIST_MAX) {
        report_fault(r, v->at, v->path, "too long a list: more than %u", LIST_MAX - 2);
        return false;
    }
    const char **list = arena_alloc(a, room * sizeof *list);
    if (n > 0) memcpy(list, old, n * sizeof *list);
    for (struct slice rest = v->text; rest.len > 0;) {
        ptrdiff_t comma = slice_index(rest, ',');
        struct slice item = slice_trim(comma < 0 ? rest : slice_sub(rest, 0, (size_t)comma));
        rest = comma < 0 ? SLICE_NULL : slice_from(rest, (size_t)comma + 1);
        if (item.len == 0) continue;
        if (!check_text(v, item, r)) return false;
        list[n++] = arena_dup(a, item).ptr;
    }
    memcpy(field_of(row, base), &list, sizeof list);
    return true;
}

static bool store_bool(const struct setting *row, void *base, const struct scalar *v,
                       struct report *r) {
    bool value;
    if (!value_parse_bool(v->text, &value)) return refuse(row, v, r);
    memcpy(field_of(row, base), &value, sizeof value);
    return true;
}

bool setting_store(const struct setting *row, const struct scope *s, const struct scalar *v,
                   struct arena *a, struct report *r) {
    bool is_ok = false;
    if (row->choices) is_ok = store_choice(row, s->base, v, r);
    else if (row->type == SET_BOOL) is_ok = store_bool(row, s->base, v, r);
    else if (row->type == SET_STRINGS) is_ok = store_strings(row, s->base, v, a, r);
    else if (row->type <= SET_SECRET) is_ok = store_string(row, s->base, v, a, r);
    else if (row->type <= SET_DURATION) is_ok = store_number(row, s->base, v, r);
    s->places[setting_index(row)] = v->at; /* given, even when wrong: nobody shall say "missing" */
    return is_ok;
}

void setting_store_defaults(const struct scope *s, struct arena *a) {
    struct report r;
    report_init(&r);
    for (unsigned i = 0; i < n_settings; i++) {
        const struct setting *row = &settings[i];
        if (row->size == 0 || !setting_is_below(row, slice_cstr(s->prefix))) continue;
        const char *rest = row->name + strlen(s->prefix);
        if (strchr(rest, '*')) continue; /* of a struct further below */
        struct scalar v = {.text = slice_cstr(row->default_text)};
        bool is_set = row->default_text || row->type == SET_STRINGS;
        bool is_ok = !is_set || setting_store(row, s, &v, a, &r);
        assert(is_ok); /* a test walks the rows, too */
        (void)is_ok;
    }
    report_dispose(&r);
}

/* ---- field to text ---- */

int yaml_print_string(const char *text, struct buf *out) {
    int rc = buf_append_byte(out, '"');
    for (const char *p = text; *p; p++) {
        if (*p == '"' || *p == '\\') rc |= buf_append_byte(out, '\\');
        if (*p == '$') rc |= buf_append_byte(out, '$');
        rc |= buf_append_byte(out, *p);
    }
    return buf_append_byte(out, '"') < 0 || rc != 0 ? -ERR_LIMIT : 0;
}

static int print_strings(const char *const *list, struct buf *out) {
    int rc = buf_append_byte(out, '[');
    for (unsigned i = 0; list && list[i]; i++) {
        if (i > 0) rc |= buf_append(out, SLICE(", "));
        rc |= yaml_print_string(list[i], out);
    }
    return buf_append_byte(out, ']') < 0 || rc != 0 ? -ERR_LIMIT : 0;
}

static int print_number(const struct setting *row, uint64_t value, struct buf *out) {
    char text[VALUE_TEXT_BYTES];
    if (row->zero && value == 0) return buf_appendf(out, "%s", row->zero);
    switch (row->type) {
    case SET_ENUM: return buf_appendf(out, "%s", row->choices[value]);
    case SET_BYTES: return buf_appendf(out, "%s", value_format_bytes(value, text));
    case SET_DURATION: return buf_appendf(out, "%s", value_format_duration((int64_t)value, text));
    default: return buf_appendf(out, "%llu", (unsigned long long)value);
    }
}

int setting_print(const struct setting *row, const void *base, struct buf *out) {
    if (row->type == SET_STRINGS) return print_strings(field_strings(row, base), out);
    if (row->type == SET_BOOL) {
        bool value;
        memcpy(&value, (const char *)base + row->offset, sizeof value);
        return buf_appendf(out, "%s", value ? "true" : "false");
    }
    if (row->type != SET_STRING && row->type != SET_SECRET) {
        return print_number(row, field_number(row, base), out);
    }
    const char *text = field_string(row, base);
    if (!text) return 0;
    if (row->choices) return buf_appendf(out, "%s", text);
    return yaml_print_string(row->type == SET_SECRET ? "***" : text, out);
}
