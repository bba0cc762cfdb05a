/* SPDX-License-Identifier: Apache-2.0 */
#include "mock/fault_answer.h"

#include <inttypes.h>

#include "base/clock.h"
#include "mock/call.h"
#include "mock/fault_book.h"
#include "mock/fault_errors.h"
#include "mock/mock_clock.h"

enum { BODY_JSON, BODY_HTML, BODY_TEXT, BODY_EMPTY, ERROR_BYTES = 16 << 10 };
enum { LIMIT_OF_REQUESTS = 500, LIMIT_OF_TOKENS = 30000, TOKENS_LEFT = 100 };

/* ---- errors ---- */

static bool is_rate_limit(const struct fault_use *use) {
    return strcmp(use->row->name, "429") == 0 && use->values[FAULT_KEY_TYPE] < 2;
}

static bool is_quota(const struct fault_use *use) {
    return strcmp(use->row->name, "quota") == 0 ||
           (strcmp(use->row->name, "429") == 0 && use->values[FAULT_KEY_TYPE] == 2);
}

/* The head's facts as they would be with the limit met. */
static void spend_limits(const struct fault_use *use, struct head_facts *f) {
    bool is_tokens = use->values[FAULT_KEY_TYPE] == 1;
    int64_t reset_ns = use->values[FAULT_KEY_RETRY];
    f->limits.requests = (struct limit_bucket){LIMIT_OF_REQUESTS,
                                               is_tokens ? LIMIT_OF_REQUESTS - 1 : 0, reset_ns};
    f->limits.tokens = (struct limit_bucket){LIMIT_OF_TOKENS,
                                             is_tokens ? TOKENS_LEFT : LIMIT_OF_TOKENS, reset_ns};
}

static void add_retry(const struct fault_use *use, struct header_set *set) {
    int64_t retry_ns = use->values[FAULT_KEY_RETRY];
    if (is_quota(use)) {
        header_set_add(set, SLICE("x-should-retry"), SLICE("false"));
    } else if (retry_ns > 0) {
        header_set_printf(set, SLICE("retry-after"), "%" PRId64,
                          (retry_ns + NS_PER_S - 1) / NS_PER_S);
        header_set_printf(set, SLICE("retry-after-ms"), "%" PRId64, retry_ns / NS_PER_MS);
    }
}

static int write_body(const struct api *api, const struct api_error *er, int64_t which,
                      struct buf *out) {
    const char *text = http_status_text(er->status);
    switch (which) {
    case BODY_HTML:
        return buf_appendf(out, "<html>\r\n<head><title>%u %s</title></head>\r\n<body>\r\n<h1>%u %s"
                           "</h1>\r\n<hr>proxy\r\n</body>\r\n</html>\r\n", er->status, text,
                           er->status, text);
    case BODY_TEXT:
        return buf_appendf(out, "%s\n", text);
    case BODY_EMPTY:
        return 0;
    default:
        return api->dialect->encode_error(er, out);
    }
}

static int64_t body_of(const struct fault_use *use) {
    if (strcmp(use->row->name, "html-error") == 0) {
        return BODY_HTML;
    }
    return strcmp(use->row->name, "empty-error") == 0 ? BODY_EMPTY : use->values[FAULT_KEY_BODY];
}

static void respond_status(struct mock_worker *w, struct http_exchange *ex,
                           const struct fault_use *use, struct slice model) {
    static const char *const types[] = {"application/json", "text/html", "text/plain",
                                        "application/octet-stream"};
    const struct api *api = api_of(ex);
    struct head_facts facts = {.has_serial = false};
    char space[FAULT_ERROR_TEXT_BYTES];
    struct api_error er;
    struct header_set set;
    struct buf body;
    int64_t which = body_of(use);
    mock_fault_error(use, api, model, space, &er);
    if (use->values[FAULT_KEY_STATUS] >= 400) {
        er.status = (unsigned)use->values[FAULT_KEY_STATUS];
    }
    if (mock_facts(w)) {
        facts = *mock_facts(w);
    }
    if (is_rate_limit(use)) {
        spend_limits(use, &facts);
    }
    header_set_init(w, &set, api, slice_cstr(types[which]), &facts);
    if (api->is_anthropic) {
        er.request_id = slice_make(set.id_space, WORKER_ID_BYTES);
    }
    add_retry(use, &set);
    buf_init(&body, ERROR_BYTES);
    if (write_body(api, &er, which, &body) < 0) {
        buf_reset(&body);
    }
    struct http_response r = {er.status, set.items, set.count};
    if (w->call) {
        w->call->status = er.status;
    }
    http_respond(ex, &r, buf_slice(&body));
    buf_dispose(&body);
}

/* ---- connections ---- */

static void shut_door(struct mock_worker *w, enum fault_door door, const struct fault_use *use) {
    int64_t now_ns = mock_door_now_ns(w), for_ns = use->values[FAULT_KEY_FOR];
    fault_book_set_door(w->hub->faults, door, for_ns == INT64_MAX ? INT64_MAX : now_ns + for_ns);
    hub_wake(w->hub);
}

bool fault_answers(struct mock_worker *w, struct http_exchange *ex, const struct fault_use *use,
                   struct slice model) {
    const struct mock_fault *row = use->row;      /* use goes with the exchange */
    switch (row->kind) {
    case FAULT_STATUS:
        respond_status(w, ex, use, model);
        break;
    case FAULT_NO_ANSWER:
        http_exchange_drop_request(ex);      /* it is over when the client leaves */
        break;
    case FAULT_RESET:
    case FAULT_RESET_EARLY:
        http_end_raw(ex, HTTP_RAW_RST);
        break;
    case FAULT_CLOSE:
        http_start_raw(ex);
        http_end_raw(ex, HTTP_RAW_FIN);
        break;
    case FAULT_REFUSE:
        shut_door(w, FAULT_DOOR_SHUT, use);
        http_end_raw(ex, HTTP_RAW_RST);
        break;
    case FAULT_ACCEPT_RESET:
        shut_door(w, FAULT_DOOR_RESETS, use);
        http_end_raw(ex, HTTP_RAW_RST);
        break;
    case FAULT_TLS_HANDSHAKE:
        shut_door(w, FAULT_DOOR_TRIPS, use);
        http_end_raw(ex, HTTP_RAW_RST);
        break;
    default:
        return false;
    }
    fault_book_count(w->hub->faults, row);
    return true;
}

bool fault_strikes(struct mock_call *c) {
    const struct fault_use *use = c->k.fault;
    const struct journal_notes notes = {.fault = slice_cstr(use->spec)};
    journal_note(c->w->hub->journal, c->journal, &notes);
    c->facts.fault = use->is_asked ? use->row->name : NULL;
    if (use->row->level == FAULT_LEVEL_CONNECTION && !fault_is_on_the_wire(use->row)) {
        const struct journal_answer none = {.tokens_in = -1, .tokens_out = -1,
                                            .first_token_ns = -1, .end = JOURNAL_BROKEN};
        journal_close(c->w->hub->journal, c->journal, &none);
    }
    return fault_answers(c->w, c->ex, use, c->rq.env.model);
}

/* Of an endpoint that reads no knobs: the header alone can ask. */
static bool is_asked_by_header(const struct mock_call *c, struct fault_use *out) {
    struct slice asked = http_headers_get(&c->ex->headers, SLICE("x-penstock-fault"));
    struct err e;
    if (!asked.ptr || fault_parse(asked, out, NULL, &e) < 0) {
        return false;
    }
    out->is_asked = true;
    return true;
}

bool fault_strikes_unasked(struct mock_call *c) {
    const struct fault_request rq = {.now_ns = mock_now_ns(c->w), .serial = c->facts.serial,
                                     .model = c->rq.env.model, .path = c->ex->path};
    struct fault_use *use;
    struct err e;
    if (c->k.fault) {
        return false;
    }
    use = arena_alloc(c->ex->arena, sizeof *use);
    bool has_own = is_asked_by_header(c, use);
    has_own = has_own || (c->script && c->script->fault.len > 0 &&
                   fault_parse(c->script->fault, use, NULL, &e) == 0);
    if (!has_own && !fault_book_pick(c->w->hub->faults, &rq, false, use)) {
        return false;
    }
    c->k.fault = use;
    return fault_strikes(c);
}

bool fault_strikes_early(struct mock_worker *w, struct http_exchange *ex) {
    struct slice asked = http_headers_get(&ex->headers, SLICE("x-penstock-fault"));
    struct fault_use use;
    struct err e;
    struct fault_request rq = {.now_ns = mock_now_ns(w),
                               .serial = serials_take(&w->hub->serials, ex->path, SLICE("head")),
                               .path = ex->path};
    bool is_asked = asked.ptr && fault_parse(asked, &use, NULL, &e) == 0 &&
                    use.row->kind == FAULT_RESET_EARLY;
    if (is_asked || (!asked.ptr && fault_book_pick(w->hub->faults, &rq, true, &use))) {
        return fault_answers(w, ex, &use, SLICE_NULL);
    }
    return false;
}
