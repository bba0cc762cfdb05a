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
    const struct dialect *dialect;   /* the main one: what foreign clients' requests become */
    const char *dialect_name;
    /* Further ones that it speaks at the same base URL: a client of one of them gets it untouched.
     * Which one a request goes out in: provider_dialect(). */
    const struct dialect *also[4];
    unsigned n_also;
    const char *const *also_names;   /* as configured, with "embeddings" and "moderations" */
    bool has_embeddings, has_moderations;   /* these endpoints of OpenAI's are there */
    /* its /responses keeps answers: GET /responses/{id} and previous_response_id are its own, where
     * the client's dialect is passed through. Else the gateway's (state) */
    bool keeps_responses;
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
    /* the row it started from: the one named, its host's, or its dialect's; never NULL */
    const struct preset *preset;
    const char *preset_name;         /* as configured; NULL: not */
    /* The preset's, with what the config changed. A request's: provider_caps(). */
    struct capabilities caps;
    uint64_t caps_given;             /* bits (1 << enum capability) that the config said */
    /* how api_key is sent: "authorization" (as Bearer), or another header's name; never NULL */
    const char *auth_header;
    /* put behind every path: "api-version=2024-10-21"; NULL: none */
    const char *query;
    /* anthropic-version that is sent where messages is spoken; never NULL */
    const char *api_version;
};

/* The dialect in which a client's request goes to this provider: its own if the provider speaks it,
 * else the provider's main one. */
static inline const struct dialect *provider_dialect(const struct config_provider *p,
                                                     const struct dialect *client) {
    for (unsigned i = 0; i < p->n_also; i++) {
        if (p->also[i] == client) return client;
    }
    return p->dialect; /* the client's, or to be translated to */
}
/* What the provider takes, for a model under the upstream's name: generations of one vendor's
 * models differ. */
static inline void provider_caps(const struct config_provider *p, struct slice model,
                                 struct capabilities *out) {
    *out = p->caps;
    capabilities_for_model(p->preset, p->caps_given, model, out);
}
/* What stands behind the base URL's path for an endpoint. Anthropic's SDK is given a base without
 * /v1 and adds it, OpenAI's with: where both are there, one is enough. */
static inline struct slice provider_path(struct slice base_path, struct slice path) {
    struct slice v1 = SLICE("/v1");
    bool has_both = base_path.len >= v1.len && slice_starts_with(path, SLICE("/v1/")) &&
                    slice_eq(slice_from(base_path, base_path.len - v1.len), v1);
    return has_both ? slice_from(path, v1.len) : path;
}

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
 * Warnings go to report as well (prefix "warning: ") when it succeeds. report: caller's buf. 0 or
 * -ERR_USAGE. Reads files: before the loops run. */
int config_load(const struct config_sources *sources, struct config **out,
                struct buf *report) MUST_CHECK;
void config_free(struct config **c);   /* clears the pointer; NULL is fine */
/* The effective configuration as YAML, secrets as "***", with a comment behind each value that says
 * where it came from. 0 or -ERR_LIMIT. */
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
/* Returns how many rows; they live as long as the program. */
unsigned config_setting_docs(const struct setting_doc **out);
/* docs/config.md, whole. */
int config_docs_markdown(struct buf *out) MUST_CHECK;

#endif
