/* SPDX-License-Identifier: Apache-2.0 */
/* What a fault does to an answer in one piece. */
#include "mock/wire-private.h"

#include <inttypes.h>
#include <stdio.h>

#include "mock/fault_errors.h"
#include "mock/mock_clock.h"
#include "mock/wire_edit.h"

static void put(struct wire *w, struct slice bytes) {
    wire_append(w, &w->body, bytes);
}

static void put_with(struct wire *w, struct slice body, struct slice value, struct slice other) {
    size_t off = (size_t)(value.ptr - body.ptr);
    wire_strike(w);
    put(w, slice_sub(body, 0, off));
    put(w, other);
    put(w, slice_from(body, off + value.len));
}

/* Other bytes where the path leads to; the body as it is where it leads nowhere. */
static void put_changed(struct wire *w, struct slice body, const char *path, struct slice other) {
    struct slice value;
    if (path && json_at(body, path, &value)) {
        put_with(w, body, value, other);
    } else {
        put(w, body);
    }
}

/* Behind the last letter of the last string. */
static size_t last_string(struct slice body) {
    for (size_t i = body.len; i > 1; i--) {
        char c = (char)(body.ptr[i - 2] | 32);
        if (body.ptr[i - 1] == '"' && ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'))) {
            return i - 1;
        }
    }
    return body.len / 2;
}

/* ---- parts of it ---- */

static size_t cut_short(struct wire *w, struct slice body, size_t at, enum wire_end end) {
    wire_strike(w);
    w->was_cut = true;
    put(w, slice_sub(body, 0, at));
    w->end = end;
    return end == WIRE_WELL ? w->body.len : body.len;
}

static enum wire_end how_of(const struct wire *w) {
    static const enum wire_end ends[] = {WIRE_WELL, WIRE_FIN, WIRE_RST};
    static const enum wire_end cuts[] = {WIRE_RST, WIRE_FIN};
    int64_t how = wire_value(w, FAULT_KEY_HOW);
    return w->kind == FAULT_CUT ? cuts[how] : ends[how];
}

static void stall(struct wire *w, struct slice body) {
    int64_t for_ns = wire_value(w, FAULT_KEY_FOR);
    wire_strike(w);
    if (for_ns == INT64_MAX) {
        w->end = WIRE_HANG;
        w->is_mute = true;
    } else {
        w->gate_ns = mock_now_ns(w->o.worker) + for_ns;
        put(w, body);
    }
}

static void put_error(struct wire *w, unsigned *status) {
    struct api_error er;
    char space[FAULT_ERROR_TEXT_BYTES];
    wire_strike(w);
    if (w->kind == FAULT_ERROR_EVENT) {
        mock_fault_error_event(&w->use, w->o.api, &er);
        *status = er.status;
    } else {
        mock_fault_error(&w->use, w->o.api, SLICE_NULL, space, &er);
    }
    if (w->o.api->is_anthropic) {
        er.request_id = slice_cstr(w->request_id);
    }
    if (w->o.api->dialect->encode_error(&er, &w->body) < 0) {
        wire_finish_with(w, WIRE_RST);
    }
}

/* ---- members ---- */

static void put_usage(struct wire *w, struct slice body) {
    const struct wire_paths *p = wire_paths_of(w->o.api);
    char number[32];
    struct slice value;
    uint64_t n;
    for (unsigned i = 0; p->tokens[i]; i++) {
        if (json_at(body, p->tokens[i], &value) &&
            slice_to_u64(value, UINT64_C(1000000000000), &n)) {
            int len = snprintf(number, sizeof number, "%" PRIu64, n + 1000000);
            put_with(w, body, value, slice_make(number, (size_t)len));
            return;
        }
    }
    put(w, body);
}

static void put_cut_arguments(struct wire *w, struct slice body) {
    const struct wire_paths *p = wire_paths_of(w->o.api);
    struct slice value;
    for (unsigned i = 0; p->arguments[i]; i++) {
        if (json_at(body, p->arguments[i], &value) && value.len > 2) {
            bool is_text = value.ptr[0] == '"';
            put_with(w, body, is_text ? slice_make(value.ptr + value.len - 2, 1) : value,
                     is_text ? SLICE("") : SLICE("{}"));
            return;
        }
    }
    put(w, body);
}

static void put_member(struct wire *w, struct slice body, struct slice member) {
    wire_strike(w);
    put(w, SLICE("{"));
    put(w, member);
    put(w, slice_from(body, 1));
}

static void put_padding(struct wire *w, struct slice body) {
    static const char xs[] = "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx";
    put_member(w, slice_sub(body, 0, 1), SLICE("\"padding\":\""));
    for (int64_t left = wire_value(w, FAULT_KEY_BYTES); left > 0; left -= 64) {
        put(w, slice_make(xs, left < 64 ? (size_t)left : 64));
    }
    put(w, SLICE("\","));
    put(w, slice_from(body, 1));
}

static void put_lines(struct wire *w, struct slice body) {
    wire_strike(w);
    put(w, slice_sub(body, 0, 1));
    put(w, SLICE("\n"));
    put(w, slice_from(body, 1));
    put(w, SLICE("\n"));
}

static void put_around(struct wire *w, struct slice before, int64_t n, struct slice body,
                       struct slice behind) {
    wire_strike(w);
    for (int64_t i = 0; i < n; i++) {
        put(w, before);
    }
    put(w, body);
    put(w, behind);
}

/* ---- all of it ---- */

/* What changes bytes and leaves the end as it is. */
static void change(struct wire *w, struct slice body, unsigned *status) {
    const struct wire_paths *p = wire_paths_of(w->o.api);
    size_t at;
    switch (w->kind) {
    case FAULT_STALL: stall(w, body); break;
    case FAULT_ERROR_EVENT:
    case FAULT_ERROR_200: put_error(w, status); break;
    case FAULT_EMPTY_BODY: wire_strike(w); break;
    case FAULT_DOUBLE_DONE: put_around(w, body, 1, body, SLICE("")); break;
    case FAULT_AFTER_END: put_around(w, body, 1, SLICE(""), SLICE("and more")); break;
    case FAULT_BAD_LINE: wire_strike(w); put(w, slice_from(body, 1)); break;
    case FAULT_BAD_UTF8:
        at = last_string(body);
        put_with(w, body, slice_make(body.ptr + at, 0), SLICE("\xff"));
        break;
    case FAULT_WRONG_JSON_TYPE: put_changed(w, body, p->list, SLICE("7")); break;
    case FAULT_WRONG_INDEX: put_changed(w, body, p->whole_index, SLICE("7")); break;
    case FAULT_CHANGED_ID: put_changed(w, body, "id", SLICE("\"\"")); break;
    case FAULT_NO_START: put_changed(w, body, p->role, SLICE("null")); break;
    case FAULT_NO_FINISH: put_changed(w, body, p->finish, slice_cstr(p->finish_none)); break;
    case FAULT_NO_USAGE: put_changed(w, body, "usage", SLICE("null")); break;
    case FAULT_WRONG_USAGE: put_usage(w, body); break;
    case FAULT_CUT_ARGUMENTS: put_cut_arguments(w, body); break;
    case FAULT_GIANT_FRAME: put_padding(w, body); break;
    case FAULT_UNKNOWN_EVENT: put_member(w, body, SLICE("\"surprise\":true,")); break;
    case FAULT_CRLF: put_around(w, SLICE("\r\n"), 1, body, SLICE("\r\n")); break;
    case FAULT_CR: put_around(w, SLICE("\r"), 1, body, SLICE("\r")); break;
    case FAULT_BOM: put_around(w, SLICE("\xef\xbb\xbf"), 1, body, SLICE("")); break;
    case FAULT_COMMENTS:
        put_around(w, SLICE("\n"), wire_value(w, FAULT_KEY_N), body, SLICE(""));
        break;
    case FAULT_MULTI_LINE: put_lines(w, body); break;
    default: put(w, body); break;
    }
}

size_t wire_whole_take(struct wire *w, struct slice body, unsigned *status) {
    switch (w->kind) {
    case FAULT_CUT:
        return cut_short(w, body, body.len / 2, how_of(w));
    case FAULT_TLS_ABORT:
        return cut_short(w, body, body.len / 2, WIRE_DROP);
    case FAULT_HANG_AFTER_END:
        return cut_short(w, body, body.len / 2, WIRE_HANG);
    case FAULT_FIN:
    case FAULT_MALFORMED:
    case FAULT_TRUNCATED_JSON:
        return cut_short(w, body, body.len / 2, WIRE_WELL);
    case FAULT_CUT_EVENT:
        return cut_short(w, body, body.len / 2, how_of(w));
    case FAULT_CUT_STRING:
        return cut_short(w, body, last_string(body), how_of(w));
    case FAULT_CUT_UTF8: {
        size_t len = cut_short(w, body, last_string(body), how_of(w));
        put(w, SLICE("\xc3"));
        return w->end == WIRE_WELL ? w->body.len : len;
    }
    default:
        change(w, body, status);
        return w->body.len;
    }
}
