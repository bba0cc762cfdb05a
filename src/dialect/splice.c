/* SPDX-License-Identifier: Apache-2.0 */
#include "dialect/splice.h"

#include "base/json_scan.h"
#include "dialect/json_text.h"

#define MODEL_MAX_BYTES ((size_t)64 << 10)

/* Bytes [off, off + len) of the body become `with`. */
struct edit {
    struct span at;
    struct slice with;
};

static int quote(struct slice text, struct arena *a, struct slice *out) {
    struct buf b;
    buf_init(&b, MODEL_MAX_BYTES + 2);
    int rc = buf_append_byte(&b, '"');
    if (rc == 0) rc = json_escape(&b, text);
    if (rc == 0) rc = buf_append_byte(&b, '"');
    if (rc == 0) *out = arena_dup(a, buf_slice(&b));
    buf_dispose(&b);
    return rc;
}

static bool is_empty_object(struct slice object) {
    size_t at = json_text_skip_space(object, 1);
    return at < object.len && object.ptr[at] == '}';
}

static bool usage_edit(struct slice body, const struct envelope *env, struct edit *out) {
    struct span options = env->stream_options_token, flag = env->include_usage_token;
    if (!env->stream || env->include_usage) return false;
    if (flag.len > 0) {
        *out = (struct edit){flag, SLICE("true")};
    } else if (env->has_stream_options) {
        bool is_empty = is_empty_object(slice_sub(body, options.off, options.len));
        *out = (struct edit){{options.off + 1, 0},
                             is_empty ? SLICE("\"include_usage\":true")
                                      : SLICE("\"include_usage\":true,")};
    } else if (options.len > 0) { /* null */
        *out = (struct edit){options, SLICE("{\"include_usage\":true}")};
    } else {
        *out = (struct edit){{env->root_open + 1, 0},
                             env->root_is_empty
                                 ? SLICE("\"stream_options\":{\"include_usage\":true}")
                                 : SLICE("\"stream_options\":{\"include_usage\":true},")};
    }
    return true;
}

int request_splice(struct slice body, const struct envelope *env, struct slice new_model,
                   bool force_include_usage, struct arena *a,
                   struct slice out_pieces[SPLICE_PIECES], unsigned *out_n) {
    struct edit edits[2];
    unsigned n_edits = 0, n = 0;
    size_t at = 0;
    if (new_model.ptr) {
        edits[0].at = env->model_token;
        int rc = quote(new_model, a, &edits[0].with);
        if (rc) return rc;
        n_edits = 1;
    }
    if (force_include_usage && usage_edit(body, env, &edits[n_edits])) n_edits++;
    if (n_edits == 2 && edits[1].at.off < edits[0].at.off) {
        struct edit first = edits[1];
        edits[1] = edits[0];
        edits[0] = first;
    }
    for (unsigned i = 0; i < n_edits; i++) {
        struct span s = edits[i].at;
        if (s.off > at) out_pieces[n++] = slice_sub(body, at, s.off - at);
        out_pieces[n++] = edits[i].with;
        at = s.off + s.len;
    }
    if (at < body.len) out_pieces[n++] = slice_from(body, at);
    *out_n = n;
    return 0;
}
