/* SPDX-License-Identifier: Apache-2.0 */
/* What is the same for every endpoint of the API: who asks, how much of it, from where. */
#include "mock/call.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "mock/fault_answer.h"
#include "mock/mock_clock.h"
#include "mock/scenario.h"

enum { SHOWN_BYTES = 200, PREFLIGHT_SECONDS = 600 };

/* ---- heads ---- */

void head_facts_add(struct head_facts *f, struct slice name, struct slice value) {
    size_t need = name.len + value.len + 2;
    if (name.len == 0 || f->extra_len + need > sizeof f->extra) {
        return;
    }
    char *to = f->extra + f->extra_len;
    memcpy(to, name.ptr, name.len);
    to[name.len] = '\0';
    if (value.len > 0) {
        memcpy(to + name.len + 1, value.ptr, value.len);
    }
    to[need - 1] = '\0';
    f->extra_len += need;
}

/* As OpenAI spells a duration: "6ms", "1.5s", "6m0s". */
static void put_reset(struct header_set *set, struct slice name, int64_t ns) {
    int64_t ms = (ns + NS_PER_MS - 1) / NS_PER_MS, minutes = ms / 60000;
    if (ms < 1000) {
        header_set_printf(set, name, "%" PRId64 "ms", ms);
    } else if (minutes == 0) {
        header_set_printf(set, name, "%gs", (double)ms / 1000);
    } else {
        header_set_printf(set, name, "%" PRId64 "m%gs", minutes, (double)(ms % 60000) / 1000);
    }
}

static void openai_bucket(struct header_set *set, const struct limit_bucket *b, struct slice limit,
                          struct slice remaining, struct slice reset) {
    header_set_printf(set, limit, "%" PRIu64, b->limit);
    header_set_printf(set, remaining, "%" PRIu64, b->remaining);
    put_reset(set, reset, b->reset_ns);
}

/* As Anthropic tells a time: RFC 3339. */
static void put_instant(struct header_set *set, struct slice name, int64_t wall_ns) {
    char text[CLOCK_TEXT_BYTES];
    clock_utc_text((wall_ns + NS_PER_S - 1) / NS_PER_S, text);
    header_set_printf(set, name, "%s", text);
}

static void anthropic_bucket(struct header_set *set, const struct limit_bucket *b,
                             int64_t wall_ns, struct slice limit, struct slice remaining,
                             struct slice reset) {
    header_set_printf(set, limit, "%" PRIu64, b->limit);
    header_set_printf(set, remaining, "%" PRIu64, b->remaining);
    put_instant(set, reset, wall_ns + b->reset_ns);
}

void limit_headers(const struct mock_worker *w, struct header_set *set, const struct api *api,
                   const struct limit_view *view) {
    int64_t wall_ns = mock_wall_ns(w);
    static const struct limit_bucket plenty = {10000, 9999, 6 * NS_PER_MS};
    const struct limit_bucket *requests =
        view && view->requests.limit > 0 ? &view->requests : &plenty;
    bool has_tokens = view && view->tokens.limit > 0;
    if (api->is_anthropic) {
        anthropic_bucket(set, requests, wall_ns, SLICE("anthropic-ratelimit-requests-limit"),
                         SLICE("anthropic-ratelimit-requests-remaining"),
                         SLICE("anthropic-ratelimit-requests-reset"));
        if (has_tokens) {
            anthropic_bucket(set, &view->tokens, wall_ns, SLICE("anthropic-ratelimit-tokens-limit"),
                             SLICE("anthropic-ratelimit-tokens-remaining"),
                             SLICE("anthropic-ratelimit-tokens-reset"));
        }
        return;
    }
    openai_bucket(set, requests, SLICE("x-ratelimit-limit-requests"),
                  SLICE("x-ratelimit-remaining-requests"), SLICE("x-ratelimit-reset-requests"));
    if (has_tokens) {
        openai_bucket(set, &view->tokens, SLICE("x-ratelimit-limit-tokens"),
                      SLICE("x-ratelimit-remaining-tokens"), SLICE("x-ratelimit-reset-tokens"));
    }
}

/* ---- browsers ---- */

static bool is_control(const struct http_exchange *ex) {
    struct slice path = api_path(ex->path);
    return slice_starts_with(path, SLICE("/penstock/")) || slice_eq(path, SLICE("/penstock"));
}

static const char *cors_of(const struct mock_options *o, const struct http_exchange *ex) {
    const char *cors = o->cors;
    bool is_off = !cors || strcmp(cors, "off") == 0 || is_control(ex);
    return is_off ? NULL : cors;
}

bool mock_answer_preflight(struct mock_worker *w, struct http_exchange *ex) {
    const char *cors = cors_of(mock_options_now(w), ex);
    struct slice asked = http_headers_get(&ex->headers, SLICE("access-control-request-headers"));
    if (!cors) {
        return false;
    }
    char age[16];
    snprintf(age, sizeof age, "%d", PREFLIGHT_SECONDS);
    const struct http_header headers[] = {
        {SLICE("access-control-allow-origin"), slice_cstr(cors)},
        {SLICE("access-control-allow-methods"), SLICE("GET, POST, DELETE, OPTIONS")},
        {SLICE("access-control-allow-headers"), asked.ptr ? asked : SLICE("*")},
        {SLICE("access-control-max-age"), slice_cstr(age)},
        {SLICE("vary"), SLICE("origin, access-control-request-headers")},
    };
    const struct http_response r = {204, headers, sizeof headers / sizeof headers[0]};
    http_respond(ex, &r, SLICE_NULL);
    return true;
}

/* ---- keys ---- */

static struct slice key_of(const struct http_exchange *ex) {
    struct slice bearer = http_headers_get(&ex->headers, SLICE("authorization"));
    struct slice plain = http_headers_get(&ex->headers, SLICE("x-api-key"));
    plain = plain.ptr ? plain : http_headers_get(&ex->headers, SLICE("api-key"));
    if (bearer.len > 7 && slice_eq_nocase(slice_sub(bearer, 0, 7), SLICE("bearer "))) {
        return slice_trim(slice_from(bearer, 7));
    }
    return plain;
}

/* As OpenAI shows a key in its error: ends alone. */
static void mask_key(struct slice key, char out[32]) {
    if (key.len < 12) {
        snprintf(out, 32, "****");
    } else {
        snprintf(out, 32, "%.*s****%.*s", 4, key.ptr, 4, key.ptr + key.len - 4);
    }
}

static void refuse_key(struct mock_call *c) {
    struct api_error er = {.status = 401};
    char shown[32], text[300];
    mask_key(c->key, shown);
    if (c->api->is_anthropic) {
        er.type = SLICE("authentication_error");
        er.message = c->key.len > 0 ? SLICE("invalid x-api-key") : SLICE("x-api-key header is required");
    } else if (c->key.len == 0) {
        er.type = SLICE("invalid_request_error");
        er.message = SLICE("You didn't provide an API key. You need to provide your API key in an "
                           "Authorization header using Bearer auth (i.e. Authorization: Bearer "
                           "YOUR_KEY).");
    } else {
        er.type = SLICE("invalid_request_error");
        er.code = SLICE("invalid_api_key");
        snprintf(text, sizeof text, "Incorrect API key provided: %s.", shown);
        er.message = slice_cstr(text);
    }
    mock_respond_error(c->w, c->ex, &er, 0);
}

static void begin(struct mock_call *c, struct mock_worker *w, struct http_exchange *ex) {
    *c = (struct mock_call){.w = w, .ex = ex, .api = api_of(ex), .o = mock_options_now(w)};
    const char *cors = cors_of(c->o, ex);     /* asked for anew, the options may be others */
    c->start_ns = mock_now_ns(w);
    c->key = key_of(ex);
    c->facts.serial = serials_take(&w->hub->serials, ex->path, bytes_slice(ex->body));
    c->facts.has_serial = true;
    if (cors) {
        snprintf(c->facts.cors, sizeof c->facts.cors, "%s", cors);
    }
    w->call = c;
}

/* Where keys matter, each has what it stored for itself. */
static struct stored *stored_of(const struct mock_call *c) {
    struct stored *all = c->w->hub->stored;
    return c->o->n_keys > 0 ? stored_of_key(all, c->key, c->ex->arena) : all;
}

bool mock_call_begin(struct mock_call *c, struct mock_worker *w, struct http_exchange *ex) {
    begin(c, w, ex);
    if (c->o->n_keys > 0 && !mock_key_find(c->o, c->key)) {
        mock_call_journal(c, SLICE_NULL, false);
        refuse_key(c);
        return false;
    }
    c->stored = stored_of(c);
    return true;
}

static void open_journal(struct mock_call *c, const char *dialect, struct slice model,
                         bool stream) {
    struct hub *h = c->w->hub;
    char id[WORKER_ID_BYTES];
    mock_request_id(c->w, &c->facts, id);
    c->session = scenario_session(&c->ex->headers, &c->rq, c->ex->arena);
    const struct journal_request rq = {.ex = c->ex,
                                       .provider = h->fixed->name,
                                       .dialect = dialect,
                                       .model = model,
                                       .session = c->session,
                                       .request_id = slice_make(id, sizeof id),
                                       .stream = stream,
                                       .wall_ns = mock_wall_ns(c->w)};
    c->journal = journal_open(h->journal, &rq);
}

void mock_call_journal(struct mock_call *c, struct slice model, bool stream) {
    open_journal(c, c->api->dialect->name, model, stream);
}

void mock_call_note_response(struct mock_call *c, struct slice id) {
    journal_note(c->w->hub->journal, c->journal, &(struct journal_notes){.response_id = id});
}

void mock_call_end(struct mock_call *c) {
    c->w->call = NULL;
    if (c->journal && !c->is_passed_on) {
        const struct journal_answer a = {.status = c->status, .tokens_in = -1, .tokens_out = -1,
                                         .first_token_ns = -1,
                                         .duration_ns = mock_now_ns(c->w) - c->start_ns,
                                         .end = JOURNAL_COMPLETED};
        journal_close(c->w->hub->journal, c->journal, &a);
    }
}

void mock_refuse_stray(struct mock_worker *w, struct http_exchange *ex, const char *allow) {
    const char *method = http_method_name(ex->method);
    struct slice path = slice_sub(ex->path, 0, SHOWN_BYTES);
    struct mock_call c;
    begin(&c, w, ex);
    if (!is_control(ex)) {
        open_journal(&c, NULL, SLICE_NULL, false);
    }
    if (*allow) {
        head_facts_add(&c.facts, SLICE("allow"), slice_cstr(allow));
        mock_respond_simple_error(w, ex, 405, "method_not_supported", "Not allowed to %s on %.*s.",
                                  method, SLICE_FMT(path));
    } else {
        mock_respond_unknown_url(w, ex);
    }
    mock_call_end(&c);
}

/* ---- limits ---- */

static void refuse_limit(struct mock_call *c, enum limit_verdict why, int64_t wait_ns,
                         uint64_t tokens) {
    bool is_tokens = why == LIMIT_TOKENS;
    const struct limit_bucket *b =
        is_tokens ? &c->facts.limits.tokens : &c->facts.limits.requests;
    unsigned wait_s = (unsigned)((wait_ns + NS_PER_S - 1) / NS_PER_S);
    char text[400];
    struct api_error er = {.status = 429};
    if (c->api->is_anthropic) {
        er.type = SLICE("rate_limit_error");
        snprintf(text, sizeof text, "This request would exceed the rate limit of %" PRIu64 " %s per minute.",
                 b->limit, is_tokens ? "tokens" : "requests");
    } else {
        er.type = is_tokens ? SLICE("tokens") : SLICE("requests");
        er.code = SLICE("rate_limit_exceeded");
        struct slice model = slice_sub(c->rq.env.model, 0, SHOWN_BYTES);
        snprintf(text, sizeof text,
                 "Rate limit reached for %.*s on %s per min (%s): Limit %" PRIu64 ", Used %" PRIu64
                 ", Requested %" PRIu64 ". Please try again in %.3gs.",
                 SLICE_FMT(model), is_tokens ? "tokens" : "requests", is_tokens ? "TPM" : "RPM",
                 b->limit, b->limit - b->remaining, is_tokens ? tokens : 1,
                 (double)wait_ns / (double)NS_PER_S);
    }
    er.message = slice_cstr(text);
    er.message.len = slice_utf8_valid(er.message);
    mock_respond_error(c->w, c->ex, &er, wait_s);
}

static bool take_limit(struct mock_call *c, uint64_t tokens) {
    int64_t wait_ns;
    enum limit_verdict v = limits_take(c->w->hub->limits, c->o, c->key, tokens, c->start_ns,
                                       &c->facts.limits, &wait_ns);
    if (v != LIMIT_OK) {
        refuse_limit(c, v, wait_ns, tokens);
    }
    return v == LIMIT_OK;
}

/* ---- knobs, models, faults ---- */

static bool refuses(struct mock_call *c) {
    struct slice model = c->rq.env.model;
    if (!c->k.fault && !mock_knows_model(c->o, model)) {
        mock_respond_simple_error(c->w, c->ex, 404, "model_not_found",
                                  "The model `%.*s` does not exist or you do not have access to it.",
                                  SLICE_FMT(slice_sub(model, 0, SHOWN_BYTES)));
        return true;
    }
    return c->k.fault && fault_strikes(c);
}

bool mock_call_admit(struct mock_call *c, uint64_t prompt_tokens) {
    struct err e;
    if (!take_limit(c, prompt_tokens)) {
        return false;
    }
    if (knobs_read(c->o, &c->ex->headers, &c->rq, c->ex->arena, &c->k, &e) < 0) {
        mock_respond_simple_error(c->w, c->ex, 400, "invalid_value", "%s", e.text);
        return false;
    }
    return !refuses(c);
}
