/* SPDX-License-Identifier: Apache-2.0 */
/* How an event is spelt. */
#include "mock/wire-private.h"

#include <inttypes.h>
#include <stdio.h>

static struct slice line_end(const struct wire *w) {
    if (w->kind == FAULT_CRLF) {
        return SLICE("\r\n");
    }
    return w->kind == FAULT_CR ? SLICE("\r") : SLICE("\n");
}

static void put(struct wire *w, struct slice bytes) {
    wire_append(w, &w->body, bytes);
}

static void put_line(struct wire *w, struct slice field, struct slice value) {
    put(w, field);
    put(w, w->kind == FAULT_NO_SPACE ? SLICE(":") : SLICE(": "));
    put(w, value);
    put(w, line_end(w));
}

/* Where a newline may stand in JSON: behind the first brace, and the members' commas. Returns the
 * first line's length. */
static size_t json_line(struct slice json, unsigned *depth, bool *in_string) {
    for (size_t i = 0; i < json.len; i++) {
        char c = json.ptr[i];
        if (*in_string) {
            i += c == '\\';
            *in_string = c != '"';
        } else if (c == '"') {
            *in_string = true;
        } else if (c == '{' || c == '[') {
            if ((*depth)++ == 0 && i + 1 < json.len) {
                return i + 1;
            }
        } else if (c == '}' || c == ']') {
            (*depth)--;
        } else if (c == ',' && *depth == 1) {
            return i + 1;
        }
    }
    return json.len;
}

static void put_data(struct wire *w, struct slice data) {
    unsigned depth = 0;
    bool in_string = false,
         splits = w->kind == FAULT_MULTI_LINE && data.len > 0 && data.ptr[0] == '{';
    do {
        ptrdiff_t at = slice_index(data, '\n');
        size_t len = splits ? json_line(data, &depth, &in_string) : at < 0 ? data.len : (size_t)at;
        put_line(w, SLICE("data"), slice_sub(data, 0, len));
        data = slice_from(data, splits || at < 0 ? len : len + 1);
    } while (data.len > 0);
}

static void put_before(struct wire *w) {
    if (w->kind == FAULT_BOM && w->at_start) {
        put(w, SLICE("\xef\xbb\xbf"));
    }
    for (int64_t i = 0; w->kind == FAULT_COMMENTS && i < wire_value(w, FAULT_KEY_N); i++) {
        put(w, SLICE(": keep-alive\n\n"));
    }
    if (w->kind == FAULT_RETRY) {
        put(w, SLICE("retry: 3000\n\n"));
    }
    if (w->kind == FAULT_IDS) {
        char id[40];
        int len = snprintf(id, sizeof id, "id: %" PRIu64 "\n", w->events);
        put(w, slice_make(id, (size_t)len));
    }
    w->at_start = false;
}

static bool is_form(enum fault_kind kind) {
    return kind >= FAULT_CRLF && kind <= FAULT_RETRY;
}

void wire_form_put(struct wire *w, struct slice name, struct slice data) {
    w->events++;
    if (is_form(w->kind)) {
        wire_strike(w);
    }
    put_before(w);
    if (name.len > 0) {
        put_line(w, SLICE("event"), name);
    }
    put_data(w, data);
    put(w, line_end(w));
}

void wire_form_put_raw(struct wire *w, struct slice raw) {
    if (is_form(w->kind) && raw.len > 0 && raw.ptr[raw.len - 1] == '\n') {
        put(w, slice_sub(raw, 0, raw.len - 1));
        put(w, line_end(w));
    } else {
        put(w, raw);
    }
}
