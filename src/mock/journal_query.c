/* SPDX-License-Identifier: Apache-2.0 */
/* Which entries are shown, and how. */
#include <inttypes.h>
#include <stddef.h>

#include "base/clock.h"
#include "base/json_scan.h"
#include "dialect/json_text.h"
#include "dialect/json_write.h"
#include "http/url.h"
#include "mock/journal-private.h"

enum { SHOWN_BYTES = 60, STRING_MAX_BYTES = 1 << 20 };

static const char *const end_names[] = {[JOURNAL_OPEN] = NULL,
                                        [JOURNAL_COMPLETED] = "completed",
                                        [JOURNAL_CANCELLED] = "cancelled",
                                        [JOURNAL_BROKEN] = "failed by fault"};

/* ---- the query ---- */

void journal_query_init(struct journal_query *q) {
    *q = (struct journal_query){.limit = JOURNAL_SHOWN, .has_bodies = true};
}

#define FIELD(name) {#name, offsetof(struct journal_query, name)}
static const struct {
    const char *name;
    size_t offset;
} texts[] = {FIELD(provider),    FIELD(dialect), FIELD(model), FIELD(path),
             FIELD(session),     FIELD(scenario), FIELD(fault), FIELD(end),
             FIELD(answered_by), FIELD(contains), FIELD(request_id), FIELD(response_id)};
#undef FIELD

/* "429" or "4xx" */
static bool read_status(struct slice text, struct journal_query *out) {
    uint64_t n;
    bool is_class = text.len == 3 && slice_eq(slice_from(text, 1), SLICE("xx"));
    if (!slice_to_u64(is_class ? slice_sub(text, 0, 1) : text, 999, &n)) {
        return false;
    }
    out->status_from = (unsigned)(is_class ? n * 100 : n);
    out->status_to = out->status_from + (is_class ? 99 : 0);
    return out->status_from > 0;
}

static bool read_limit(struct slice text, struct journal_query *out) {
    uint64_t n = 0;
    bool ok = slice_to_u64(text, 1000000, &n) && n > 0;
    out->limit = (unsigned)n;
    return ok;
}

static bool read_bool(struct slice text, bool *out) {
    *out = slice_eq(text, SLICE("1")) || slice_eq(text, SLICE("true"));
    return *out || slice_eq(text, SLICE("0")) || slice_eq(text, SLICE("false"));
}

static bool read_number(struct slice name, struct slice value, struct journal_query *out,
                        bool *out_known) {
    *out_known = true;
    if (slice_eq(name, SLICE("status"))) return read_status(value, out);
    if (slice_eq(name, SLICE("limit"))) return read_limit(value, out);
    if (slice_eq(name, SLICE("body"))) return read_bool(value, &out->has_bodies);
    out->has_since = slice_eq(name, SLICE("since"));
    if (out->has_since) return slice_to_u64(value, UINT64_MAX, &out->since);
    *out_known = false;
    return false;
}

int journal_query_set(struct journal_query *out, struct slice name, struct slice value,
                      struct err *e) {
    bool is_known = false;
    if (value.len > JOURNAL_FILTER_BYTES) {
        return err_set(e, ERR_USAGE, "'%.*s' is longer than %d bytes",
                       SLICE_FMT(slice_sub(name, 0, SHOWN_BYTES)), JOURNAL_FILTER_BYTES);
    }
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        if (slice_eq(name, slice_cstr(texts[i].name))) {
            *(struct slice *)(void *)((char *)out + texts[i].offset) = value;
            return 0;
        }
    }
    bool had_since = out->has_since;
    if (read_number(name, value, out, &is_known)) {
        out->has_since |= had_since;
        return 0;
    }
    struct slice shown = slice_sub(is_known ? value : name, 0, SHOWN_BYTES);
    return is_known ? err_set(e, ERR_USAGE, "'%.*s' makes no sense here: %.*s", SLICE_FMT(name),
                              SLICE_FMT(shown))
                    : err_set(e, ERR_USAGE,
                              "the journal has no filter '%.*s'; there are provider, dialect, model, "
                              "path, session, request_id, response_id, scenario, fault, answered_by, "
                              "end, contains, status, since, limit and body",
                              SLICE_FMT(shown));
}

int journal_query_read(struct slice text, struct arena *a, struct journal_query *out,
                       struct err *e) {
    int rc = 0;
    while (text.len > 0 && rc == 0) {
        ptrdiff_t amp = slice_index(text, '&');
        struct slice pair = amp < 0 ? text : slice_sub(text, 0, (size_t)amp);
        ptrdiff_t equals = slice_index(pair, '=');
        struct slice name = equals < 0 ? pair : slice_sub(pair, 0, (size_t)equals);
        if (name.len > 0) {
            rc = journal_query_set(out, name, url_query_get(pair, name, a), e);
        }
        text = amp < 0 ? SLICE_NULL : slice_from(text, (size_t)amp + 1);
    }
    return rc;
}

/* ---- whether an entry fits ---- */

static bool holds(struct slice text, struct slice part) {
    return part.len == 0 || (text.len > 0 && memmem(text.ptr, text.len, part.ptr, part.len));
}

/* However the client spelt its strings. */
static bool json_holds(struct slice json, struct slice part) {
    struct buf plain;
    bool found = false;
    buf_init(&plain, STRING_MAX_BYTES);
    for (size_t at = 0; at < json.len && !found;) {
        const char *quote = memchr(json.ptr + at, '"', json.len - at);
        if (!quote) {
            break;
        }
        at = (size_t)(quote - json.ptr);
        size_t end = json_text_value_end(json, at);
        struct slice raw = slice_sub(json, at + 1, end - at >= 2 ? end - at - 2 : 0);
        buf_reset(&plain);
        found = json_unescape(&plain, raw) == 0 ? holds(buf_slice(&plain), part) : holds(raw, part);
        at = end;
    }
    buf_dispose(&plain);
    return found || holds(json, part);
}

static bool word_fits(struct slice want, struct slice have) {
    return want.len == 0 || slice_eq_nocase(want, have);
}

/* A fault is asked for by its name, or by its whole spec. */
static bool fault_fits(struct slice want, struct slice have) {
    ptrdiff_t colon = slice_index(have, ':');
    return word_fits(want, have) ||
           (colon > 0 && slice_eq_nocase(want, slice_sub(have, 0, (size_t)colon)));
}

static bool id_fits(struct slice want, struct slice have) {
    return want.len == 0 || slice_eq(want, have);
}

static bool end_fits(struct slice want, enum journal_end end) {
    if (slice_eq(want, SLICE("failed"))) {
        return end == JOURNAL_BROKEN;
    }
    return want.len == 0 || slice_eq_nocase(want, end_names[end] ? slice_cstr(end_names[end])
                                                                 : SLICE("open"));
}

bool journal_request_fits(const struct journal_entry *en, const struct journal_query *q) {
    return word_fits(q->provider, slice_cstr(en->provider)) &&
           word_fits(q->dialect, slice_cstr(en->dialect)) &&
           slice_glob_or_any(q->model, en->model) && slice_glob_or_any(q->path, en->path) &&
           word_fits(q->session, en->session) &&
           (q->contains.len == 0 || json_holds(en->body, q->contains));
}

static bool status_fits(const struct journal_entry *en, const struct journal_query *q) {
    return q->status_to == 0 ||
           (en->answer.status >= q->status_from && en->answer.status <= q->status_to);
}

bool journal_answer_fits(const struct journal_entry *en, const struct journal_query *q) {
    return en->seq > q->since && id_fits(q->request_id, en->request_id) &&
           id_fits(q->response_id, en->response_id) && word_fits(q->scenario, en->scenario) &&
           fault_fits(q->fault, en->fault) &&
           word_fits(q->answered_by, slice_cstr(en->answered_by)) &&
           end_fits(q->end, en->answer.end) && status_fits(en, q);
}

bool journal_view_asks(const struct journal_view *v, const struct journal_query *q) {
    return journal_request_fits(v->entry, q);
}

/* ---- writing ---- */

static void w_name(struct json_writer *w, const char *name) {
    jw(w, SLICE(",\""));
    jw(w, slice_cstr(name));
    jw(w, SLICE("\":"));
}

static void w_text(struct json_writer *w, const char *name, struct slice s) {
    w_name(w, name);
    if (s.len > 0) jw_string(w, s);
    else jw(w, SLICE("null"));
}

static void w_count(struct json_writer *w, const char *name, int64_t n, bool is_known) {
    w_name(w, name);
    if (is_known) jw_int(w, n);
    else jw(w, SLICE("null"));
}

static void w_millis(struct json_writer *w, const char *name, int64_t ns) {
    w_name(w, name);
    if (ns < 0) jw(w, SLICE("null"));
    else if (w->rc == 0) w->rc = buf_appendf(w->out, "%.3f", (double)ns / NS_PER_MS);
}

static void w_headers(struct json_writer *w, const struct http_headers *h) {
    jw(w, SLICE(",\"headers\":{"));
    for (unsigned i = 0; i < h->count; i++) {
        jw(w, i ? SLICE(",") : SLICE(""));
        jw_string(w, h->items[i].name);
        jw(w, SLICE(":"));
        jw_string(w, h->items[i].value);
    }
    jw(w, SLICE("}"));
}

static void w_body(struct json_writer *w, const struct journal_entry *en) {
    w_name(w, "body");
    if (en->body_is_json) jw_raw(w, en->body);
    else if (en->body_bytes > 0) jw_string(w, en->body);
    else jw(w, SLICE("null"));
}

static void w_request(struct json_writer *w, const struct journal_entry *en, bool has_body) {
    w_text(w, "provider", slice_cstr(en->provider));
    w_name(w, "method");
    jw_string(w, slice_cstr(en->method));
    w_name(w, "path");
    jw_string(w, en->path);
    w_text(w, "query", en->query);
    w_text(w, "dialect", slice_cstr(en->dialect));
    w_name(w, "model");
    jw_string(w, en->model);
    w_name(w, "stream");
    jw(w, en->stream ? SLICE("true") : SLICE("false"));
    w_text(w, "session", en->session);
    w_headers(w, &en->headers);
    if (has_body) w_body(w, en);
    w_count(w, "body_bytes", (int64_t)en->body_bytes, true);
    w_name(w, "body_is_cut");
    jw(w, en->body_is_cut ? SLICE("true") : SLICE("false"));
}

static void w_answer(struct json_writer *w, const struct journal_entry *en) {
    const struct journal_answer *an = &en->answer;
    w_text(w, "request_id", en->request_id);
    w_text(w, "response_id", en->response_id);
    w_text(w, "answered_by", slice_cstr(en->answered_by));
    w_text(w, "scenario", en->scenario);
    w_text(w, "place", en->place);
    w_text(w, "fault", en->fault);
    w_name(w, "violations");
    jw(w, SLICE("["));
    jw(w, en->violations);
    jw(w, SLICE("]"));
    w_count(w, "status", an->status, an->status > 0);
    w_count(w, "tokens_in", an->tokens_in, an->tokens_in >= 0);
    w_count(w, "tokens_out", an->tokens_out, an->tokens_out >= 0);
    w_text(w, "finish_reason", an->finish_reason);
    w_millis(w, "first_token_ms", an->first_token_ns);
    w_millis(w, "duration_ms", an->duration_ns);
    w_text(w, "end", slice_cstr(end_names[an->end]));
}

int journal_entry_write(const struct journal_entry *en, bool has_body, struct buf *out) {
    struct json_writer w = jw_begin(out);
    w.rc = buf_appendf(out, "{\"seq\":%" PRIu64 ",\"time\":%.3f", en->seq,
                       (double)en->wall_ns / 1e9);
    w_request(&w, en, has_body);
    w_answer(&w, en);
    jw(&w, SLICE("}"));
    return jw_end(&w);
}
