/* SPDX-License-Identifier: Apache-2.0 */
/* Calls on their way to the client: by the names that it knows, with arguments that make one JSON
 * object where its dialect wants that, custom tools as what it declared. */
#include "dialect/shape-private.h"

#include "base/json_scan.h"
#include "base/random.h"
#include "dialect/json_doc.h"
#include "dialect/json_write.h"

/* ---- names and ids ---- */

static const struct tool_name *find_name(const struct translation *t, struct slice sent) {
    for (const struct tool_name *n = t->names; n; n = n->next) {
        if (slice_eq(n->sent, sent)) return n;
    }
    return NULL;
}

/* As the client gave it in its history, if it did. */
static struct slice restore_id(const struct translation *t, struct slice sent) {
    for (const struct tool_id *i = t->ids; i; i = i->next) {
        if (slice_eq(i->sent, sent)) return i->id;
    }
    return sent;
}

/* The same for the same answer, whoever asks. */
static struct slice make_id(const struct shaper *s, uint32_t block, char made[MADE_ID_BYTES]) {
    struct rng r;
    rng_seed(&r, s->seed ^ (block + UINT64_C(1)) * UINT64_C(0x9e3779b97f4a7c15));
    memcpy(made, "call_", 5);
    rng_base62(&r, made + 5, 24);
    return slice_make(made, 29);
}

/* ---- the beginning ---- */

static void begin_custom(const struct shaper *s, struct lane *l, const struct tool_name *name) {
    bool is_known = s->client == CLIENT_RESPONSES || s->is_native ||
                    (s->client == CLIENT_CHAT && name && name->kind == TOOL_CUSTOM);
    l->kind = is_known ? BLOCK_CUSTOM_TOOL_CALL : BLOCK_TOOL_CALL;
    if (is_known) return;
    l->mode = LANE_WHOLE;
    l->form = FORM_INPUT_TO_JSON;
}

static void begin_function(const struct shaper *s, struct lane *l, const struct tool_name *name) {
    l->kind = BLOCK_TOOL_CALL;
    if (name && name->is_custom) {
        l->kind = BLOCK_CUSTOM_TOOL_CALL;
        l->form = FORM_JSON_TO_INPUT;
        l->mode = LANE_ARGS;
    } else if (s->is_sequential) {
        l->mode = LANE_ARGS;
    }
}

void shape_tool_begin(struct shaper *s, struct lane *l, struct event_begin *begin,
                      char made[MADE_ID_BYTES]) {
    const struct tool_name *name = find_name(s->t, begin->name);
    l->is_nameless = begin->name.len == 0;
    l->begin_flags |= EVF_CONTENT;
    if (s->t->json_tool.len > 0 && slice_eq(begin->name, s->t->json_tool)) {
        *begin = (struct event_begin){.input_json = begin->input_json};
        l->is_hidden_tool = true;
        l->kind = BLOCK_TEXT;
        l->mode = LANE_ARGS;
        l->begin_flags = 0;
        return;
    }
    if (l->kind_in == BLOCK_CUSTOM_TOOL_CALL) begin_custom(s, l, name);
    else begin_function(s, l, name);
    if (name) {
        begin->name = name->name;
        begin->name_space = name->name_space;
    }
    begin->id = begin->id.len > 0 ? restore_id(s->t, begin->id) : make_id(s, l->block_in, made);
}

/* ---- arguments as they come ---- */

size_t json_track_feed(struct json_track *j, struct slice text) {
    size_t i = 0;
    for (; i < text.len && !j->is_complete; i++) {
        char c = text.ptr[i];
        if (j->in_string) {
            if (j->is_escaped) j->is_escaped = false;
            else if (c == '\\') j->is_escaped = true;
            else if (c == '"') j->in_string = false;
        } else if (c == '"') {
            j->in_string = true;
        } else if (c == '{' || c == '[') {
            j->depth++;
        } else if (c == '}' || c == ']') {
            j->is_complete = --j->depth == 0;
        }
    }
    return i;
}

static struct slice trim_front(struct slice text) {
    while (text.len > 0 && shape_is_blank(slice_sub(text, 0, 1))) text = slice_from(text, 1);
    return text;
}

/* Arguments that are no object. Messages' clients get one made of them; elsewhere they are a string
 * and nobody's business. */
static int args_of_another_kind(struct shaper *s, struct lane *l, struct slice text) {
    bool is_passed = s->client != CLIENT_MESSAGES && l->form == FORM_AS_IS;
    l->mode = is_passed ? LANE_PASS : LANE_WHOLE;
    if (is_passed) return shape_emit_text(s, l, text);
    l->form = l->form == FORM_JSON_TO_INPUT || l->is_hidden_tool ? FORM_AS_IS : FORM_VALUE_TO_JSON;
    return shape_hold(s, &l->hold, text);
}

int shape_tool_args(struct shaper *s, struct lane *l, struct slice text) {
    if (!l->track.is_begun) {
        text = trim_front(text);
        if (text.len == 0) return 0;
        l->has_content = true;
        if (text.ptr[0] != '{') return args_of_another_kind(s, l, text);
        l->track.is_begun = true;
    }
    text = slice_sub(text, 0, json_track_feed(&l->track, text));
    return l->form == FORM_AS_IS ? shape_emit_text(s, l, text) : shape_hold(s, &l->hold, text);
}

/* Blanks, and a bracket too many, were nothing before it closed, either. */
int shape_tool_late(struct shaper *s, const struct lane *l, struct slice text) {
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (c == '}' || c == ']' || shape_is_blank(slice_make(&c, 1))) continue;
        return err_set(s->e, ERR_PROTOCOL,
                       "the upstream sent more arguments for the tool call \"%.*s\", which was "
                       "complete",
                       (int)(l->lens[LANE_NAME] < 64 ? l->lens[LANE_NAME] : 64),
                       lane_string(l, LANE_NAME).ptr);
    }
    return 0;
}

/* ---- the end ---- */

/* Whether the text is one JSON value. */
static bool is_json(struct slice text) {
    struct json_doc d;
    if (json_doc_parse(&d, text, NULL)) return false;
    json_doc_free(&d);
    return true;
}

/* `queue` is empty while a lane is open: the room where its whole is rewritten. */
static int write_json(struct shaper *s, struct lane *l, struct slice key, bool is_raw) {
    struct json_writer w = jw_begin(&l->queue);
    jw(&w, SLICE("{\""));
    jw(&w, key);
    jw(&w, SLICE("\":"));
    if (is_raw) jw_raw(&w, buf_slice(&l->hold));
    else jw_string(&w, buf_slice(&l->hold));
    jw(&w, SLICE("}"));
    int rc = jw_end(&w);
    if (rc == 0) rc = shape_emit_text(s, l, buf_slice(&l->queue));
    buf_reset(&l->queue);
    return rc;
}

/* The places of the input in arguments that were cut: {"input":"the rest of it */
static struct slice cut_input(struct slice json) {
    static const char *const steps[] = {"{", "\"input\"", ":", "\""};
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        struct slice step = slice_cstr(steps[i]);
        json = trim_front(json);
        if (!slice_starts_with(json, step)) return SLICE_NULL;
        json = slice_from(json, step.len);
    }
    size_t end = 0;
    while (end < json.len && json.ptr[end] != '"') {
        size_t step = json.ptr[end] == '\\' ? 2 : 1;
        if (step == 2 && end + 1 < json.len && json.ptr[end + 1] == 'u') step = 6;
        if (end + step > json.len) break; /* an escape that was cut, too */
        end += step;
    }
    return slice_sub(json, 0, end);
}

static int emit_input(struct shaper *s, struct lane *l) {
    struct slice json = buf_slice(&l->hold);
    struct json_doc d;
    int rc;
    if (json_doc_parse(&d, json, NULL)) {
        struct slice cut = cut_input(json);
        rc = cut.ptr ? json_unescape(&l->queue, cut) : buf_append(&l->queue, json);
        if (rc == -ERR_PROTOCOL) rc = buf_append(&l->queue, json);
        if (rc == 0) rc = shape_emit_text(s, l, buf_slice(&l->queue));
        buf_reset(&l->queue);
        return rc;
    }
    yyjson_val *input = yyjson_obj_get(d.doc->root, "input");
    rc = shape_emit_text(s, l, yyjson_is_str(input) ? json_doc_str(input) : json);
    json_doc_free(&d);
    return rc;
}

/* A call without arguments has the empty object; responses' encoder says that itself, when it knows
 * that the call was not cut. */
static int end_args(struct shaper *s, struct lane *l) {
    struct slice told = lane_string(l, LANE_INPUT);
    if (l->has_content) return 0;
    if (told.len > 0) return shape_emit_text(s, l, told);
    return s->client == CLIENT_RESPONSES && !l->is_hidden_tool ? 0
                                                               : shape_emit_text(s, l, SLICE("{}"));
}

int shape_tool_end(struct shaper *s, struct lane *l) {
    if (l->kind_in != BLOCK_CUSTOM_TOOL_CALL && !l->has_content && l->form == FORM_JSON_TO_INPUT) {
        int rc = shape_hold(s, &l->hold, lane_string(l, LANE_INPUT));
        return rc || l->hold.len == 0 ? rc : emit_input(s, l);
    }
    switch (l->form) {
    case FORM_JSON_TO_INPUT: return emit_input(s, l);
    case FORM_INPUT_TO_JSON: return write_json(s, l, SLICE("input"), false);
    case FORM_VALUE_TO_JSON:
        return is_json(buf_slice(&l->hold)) ? write_json(s, l, SLICE("value"), true)
                                            : write_json(s, l, SLICE("_raw"), false);
    case FORM_AS_IS: break;
    }
    if (l->mode == LANE_WHOLE) return shape_emit_text(s, l, buf_slice(&l->hold));
    return l->kind_in == BLOCK_CUSTOM_TOOL_CALL ? 0 : end_args(s, l);
}
