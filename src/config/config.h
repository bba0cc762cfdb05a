/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration of `penstock serve`: an immutable snapshot that workers share. One table
 * (settings.c) drives parsing, checks, `--help`, docs/config.md and `config show`. Precedence: flag
 * > environment > file > default. All strings are NUL-terminated, owned by the config, never NULL
 * unless said. */
#ifndef PENSTOCK_CONFIG_CONFIG_H
#define PENSTOCK_CONFIG_CONFIG_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/log.h"
#include "dialect/capabilities.h"
#include "dialect/dialect.h"

enum provider_auth { AUTH_KEY, AUTH_PASSTHROUGH, AUTH_NONE };
enum metering { METERING_INJECT, METERING_OBSERVE };
enum client_gone { CLIENT_GONE_CANCEL, CLIENT_GONE_DRAIN };
enum model_strategy { STRATEGY_FALLBACK };   /* weighted and others come later */
enum log_requests { LOG_REQUESTS_OFF, LOG_REQUESTS_ERRORS, LOG_REQUESTS_ALL };

struct config_listen {
    const char *address;             /* "127.0.0.1:8080", "unix:/run/penstock.sock" */
    const char *tls_cert, *tls_key;  /* NULL: plain */
};

struct config_provider {
    const char *name;
    /* NULL: a dialect of the table that this build does not speak yet (messages, responses): models
     * on it are refused at load, except where they come from the embedded defaults, which leave
     * them out and say so */
    const struct dialect *dialect;
    const char *dialect_name;
    const char *base_url;
    enum provider_auth auth;
    const char *api_key;             /* NULL: none. A secret: never printed. */
    enum metering metering;
    enum client_gone on_client_gone;
    uint64_t drain_bytes;
    int64_t drain_time_ns;
    int64_t connect_timeout_ns, tls_timeout_ns, first_byte_timeout_ns, idle_timeout_ns;
    bool retry_stale;
    uint64_t max_connections, max_idle_connections;   /* per worker */
    const char *ca_file;             /* NULL: system's */
    bool tls_verify;
    bool is_mock;                    /* the built-in mock: its base_url is filled in at start */
    /* NULL-terminated: further request headers of the client that go upstream */
    const char *const *forward_headers;
    const struct preset *preset;     /* the row it started from: its own, or its dialect's */
    struct capabilities caps;        /* the preset's, with what the config changed */
    const char *auth_header;         /* how api_key is sent: "authorization" (Bearer), "x-api-key", "api-key" */
    const char *query;               /* put behind every path: "api-version=2024-10-21"; NULL: none */
    const char *api_version;         /* anthropic-version that is sent; messages only */
};

struct config_target {
    unsigned provider;               /* index into providers */
    const char *model;               /* the upstream's name; NULL: as the client said */
};

struct config_model {
    const char *name;                /* exact name or glob */
    bool is_glob;
    struct config_target *targets;
    unsigned n_targets;
    enum model_strategy strategy;
};

struct config {
    struct arena *arena;
    const char *source;              /* "penstock.yaml", or "embedded defaults" */

    struct config_listen *listen;
    unsigned n_listen;
    unsigned workers;                /* 0: auto */
    struct { enum log_level level; enum log_format format; enum log_requests requests; } log;

    struct config_provider *providers;
    unsigned n_providers;
    struct config_model *models;
    unsigned n_models;

    struct {
        uint64_t request_line_bytes, header_bytes, header_count, body_bytes;
        uint64_t event_bytes;            /* largest SSE event from an upstream; 16 MiB */
        /* largest non-streamed answer that is held whole for checks and metering; above it the
         * answer is passed on as it comes; 1 MiB */
        uint64_t response_bytes;
        uint64_t cut_through_bytes;      /* 64 KiB */
        uint64_t transcript_bytes;       /* of one answer, where it must be kept; 16 MiB */
        /* whole process; 0: no limit (descriptors still limit) */
        uint64_t max_connections, max_connections_per_ip, max_streams;
    } limits;
    /* What the gateway remembers for responses clients whose upstream does not (conversations,
     * stored answers), and reasoning that clients drop: in memory. */
    struct { int64_t ttl_ns; uint64_t max_bytes; } state;
    /* every stream that goes out and comes in is checked against its dialect's grammar */
    bool check_order;
    struct {
        int64_t head_ns, body_ns, idle_ns, write_ns;   /* client side */
        int64_t drain_ns;                /* drain_timeout */
        /* how long the response head waits for the upstream's first event; 10 s */
        int64_t hold_ns;
        /* silence before a comment is sent to a streaming client; 15 s; 0: off */
        int64_t heartbeat_ns;
    } timeouts;
    /* NULL-terminated list; empty: CORS off */
    struct { const char *const *origins; } cors;
    /* NULL-terminated: further Host names that may be used without client auth */
    struct { const char *const *hosts; } allowed;
    bool metrics_enabled;

    /* How the embedded defaults came about, for the banner. */
    /* neither config nor key: everything is answered by the mock */
    bool is_mock_only;
    bool mock_asked;                 /* --mock */
};

/* A flag given on the command line: the setting's dotted name and its text ("workers", "2"). */
struct config_override {
    const char *name, *value;
};
struct config_sources {
    /* --config; NULL: ./penstock.yaml if there, else embedded defaults */
    const char *file;
    const char *env_file;                 /* NULL: ./.env if there */
    const struct config_override *flags;
    unsigned n_flags;
    bool mock;                            /* --mock */
    const char *(*getenv_fn)(const char *name);   /* NULL: getenv */
};

/* Loads, checks and freezes. On failure *out is NULL and `report` holds every fault found, a line
 * each:
 *   penstock.yaml:12:5: providers.openai.bas_url: unknown setting; did you mean base_url?
 * Warnings go to report as well (prefix "warning: ") when it succeeds. report: caller's buf. */
int config_load(const struct config_sources *sources, struct config **out,
                struct buf *report) MUST_CHECK;
void config_free(struct config **c);
/* The effective configuration as YAML, secrets as "***", with a comment behind each value that says
 * where it came from. */
int config_show(const struct config *c, struct buf *out) MUST_CHECK;

/* The models that a name maps to: exact first, then the first glob in order. NULL when none.
 * Case-sensitive. */
const struct config_model *config_route(const struct config *c, struct slice name);

/* ---- the table, for help, docs and tests ---- */
struct setting_doc {
    const char *name;          /* "providers.*.base_url" */
    /* "duration", "bytes", "string", "secret", "bool", "int", "enum(a|b)", "list of string" */
    const char *type;
    const char *default_text;
    const char *env;           /* environment variable, or NULL */
    const char *flag;          /* "--listen", or NULL */
    const char *description;   /* one or more sentences, Markdown */
};
unsigned config_setting_docs(const struct setting_doc **out);
/* docs/config.md, whole. */
int config_docs_markdown(struct buf *out) MUST_CHECK;

#endif
