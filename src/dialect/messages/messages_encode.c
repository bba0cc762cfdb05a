/* SPDX-License-Identifier: Apache-2.0 */
/* Events to frames, in the order that the strictest client wants: message_start once, one block
 * open at a time with dense indexes, a signature before the end of every thinking block, arguments
 * that make an object, one message_delta with everything, message_stop.
 *
 * message_start waits for the usage that its own frame brings, if START is not the last of its
 * frame; the stop reason waits for END, behind which no usage comes. Blocks of an upstream that
 * speaks another dialect begin with their first content: one that has none is not written. */
#include "dialect/messages/messages-private.h"

#include "base/mem.h"
#include "dialect/encode_kept.h"
#include "dialect/error_class.h"
#include "dialect/json_text.h"

#define HELD_MAX_BYTES   ((size_t)16 << 20)

#define FRAME(type)  "event: " type "\ndata: {\"type\":\"" type "\""
#define END_OF_FRAME "}\n\n"

struct encoder {
    struct buf id, model; /* what to say where START does not; the id that was said, later */
    struct buf held;      /* message_start, up to its usage */
    struct buf signature; /* of the open block, or its data; then what custom input is escaped in */
    struct buf stop;      /* the members of message_delta's delta */
    struct slice tier;    /* a literal */
    int64_t input_estimate;
    bool is_started, is_held, is_native, is_over, has_stop, any_tool, any_refusal;
    /* The block that is open in the model; is_begun: on the wire, too. */
    bool has_block, is_begun, has_args;
    enum block_kind kind;
    uint32_t block, next_index;
    struct usage_kept usage;
};

struct encoder *messages_encoder_new(const struct encoder_options *o) {
    struct encoder *x = mem_zalloc(sizeof *x);
    option_keep(&x->id, o->id);
    option_keep(&x->model, o->model);
    x->tier = messages_tier_from_openai(o->service_tier);
    x->input_estimate = o->input_estimate;
    buf_init(&x->held, HELD_MAX_BYTES);
    buf_init(&x->signature, HELD_MAX_BYTES);
    buf_init(&x->stop, HELD_MAX_BYTES);
    usage_kept_init(&x->usage);
    return x;
}

void messages_encoder_free(struct encoder *x) {
    if (!x) return;
    buf_dispose(&x->id);
    buf_dispose(&x->model);
    buf_dispose(&x->held);
    buf_dispose(&x->signature);
    buf_dispose(&x->stop);
    usage_kept_dispose(&x->usage);
    mem_free(x);
}

/* ---- the start ---- */

/* The upstream's own words where they are messages'; a client that was given an id and a model name
 * keeps them whoever answers. */
static struct slice choose(const struct encoder *x, const struct buf *option, struct slice told) {
    return told_or_ours(x->is_native, told, buf_slice(option));
}

static void hold_start(struct encoder *x, struct json_writer *w, const struct event_start *told) {
    struct json_writer held = jw_begin(&x->held);
    struct slice id = choose(x, &x->id, told->id);
    jw(&held, SLICE(FRAME("message_start") ",\"message\":{\"id\":"));
    jw_string(&held, id);
    jw(&held, SLICE(",\"type\":\"message\",\"role\":\"assistant\",\"model\":"));
    jw_string(&held, choose(x, &x->model, told->model));
    jw(&held, SLICE(",\"content\":[],\"stop_reason\":null,\"stop_sequence\":null,\"usage\":"));
    if (jw_end(&held)) w->rc = held.rc;
    if (id.ptr != x->id.ptr) {
        buf_reset(&x->id);
        if (buf_append(&x->id, slice_sub(id, 0, ENCODE_OPTION_BYTES))) w->rc = -ERR_LIMIT;
    }
    x->is_held = true;
}

static void release_start(struct encoder *x, struct json_writer *w) {
    struct usage guess = USAGE_NONE;
    const struct usage *told = usage_kept(&x->usage);
    if (!x->is_held) return;
    if ((!told || told->in_total < 0) && x->input_estimate > 0) {
        guess.in_total = x->input_estimate;
        told = &guess;
    }
    jw(w, buf_slice(&x->held));
    messages_w_usage(w, told, x->is_native, x->tier, USAGE_START);
    jw(w, SLICE("}" END_OF_FRAME));
    buf_dispose(&x->held);
    x->is_held = false;
    x->is_started = true;
}

static void on_start(struct encoder *x, struct json_writer *w, const struct event *ev) {
    if (x->is_started || x->is_held) return;
    x->is_native = messages_is_native(&ev->u.start);
    if (x->tier.len == 0) x->tier = messages_tier_from_openai(ev->u.start.service_tier);
    hold_start(x, w, &ev->u.start);
    if (ev->flags & EVF_LAST_IN_FRAME) release_start(x, w);
}

static void need_start(struct encoder *x, struct json_writer *w) {
    static const struct event_start none = {.created = -1};
    if (!x->is_started && !x->is_held) hold_start(x, w, &none);
    release_start(x, w);
}

static void on_usage(struct encoder *x, struct json_writer *w, const struct usage *u) {
    usage_keep(&x->usage, u);
    release_start(x, w);
}

/* ---- blocks ---- */

static void begin_frame(struct encoder *x, struct json_writer *w, struct slice head) {
    jw(w, head);
    jw_int(w, x->next_index - 1);
}

/* content_block_start, up to what it begins with. */
static void w_block_start(struct encoder *x, struct json_writer *w) {
    x->is_begun = true;
    x->next_index++;
    begin_frame(x, w, SLICE(FRAME("content_block_start") ",\"index\":"));
    jw(w, SLICE(",\"content_block\":"));
}

static void w_delta_start(struct encoder *x, struct json_writer *w) {
    begin_frame(x, w, SLICE(FRAME("content_block_delta") ",\"index\":"));
    jw(w, SLICE(",\"delta\":"));
}

/* open: the delta up to its string. */
static void w_delta(struct encoder *x, struct json_writer *w, struct slice open,
                    struct slice text) {
    w_delta_start(x, w);
    jw(w, open);
    jw_escaped(w, text);
    jw(w, SLICE("\"}" END_OF_FRAME));
}

#define TEXT_DELTA      SLICE("{\"type\":\"text_delta\",\"text\":\"")
#define THINKING_DELTA  SLICE("{\"type\":\"thinking_delta\",\"thinking\":\"")
#define INPUT_DELTA     SLICE("{\"type\":\"input_json_delta\",\"partial_json\":\"")
#define SIGNATURE_DELTA SLICE("{\"type\":\"signature_delta\",\"signature\":\"")

static bool is_prose(enum block_kind kind) {
    return kind == BLOCK_TEXT || kind == BLOCK_REFUSAL || kind == BLOCK_REASONING;
}

static bool is_call(enum block_kind kind) {
    return kind == BLOCK_TOOL_CALL || kind == BLOCK_CUSTOM_TOOL_CALL || kind == BLOCK_FUNCTION_CALL;
}

static void begin_prose(struct encoder *x, struct json_writer *w) {
    if (x->is_begun) return;
    w_block_start(x, w);
    jw(w, x->kind == BLOCK_REASONING
              ? SLICE("{\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"\"}" END_OF_FRAME)
              : SLICE("{\"type\":\"text\",\"text\":\"\"}" END_OF_FRAME));
}

/* A custom tool's input is one string of an object: translation.md 4.1. */
static void w_input(struct encoder *x, struct json_writer *w, struct slice text) {
    bool is_first = !x->has_args;
    x->has_args = true;
    if (x->kind != BLOCK_CUSTOM_TOOL_CALL) {
        w_delta(x, w, INPUT_DELTA, text);
        return;
    }
    buf_reset(&x->signature);
    struct json_writer input = jw_begin(&x->signature);
    if (is_first) jw(&input, SLICE("{\"input\":\""));
    jw_escaped(&input, text);
    if (jw_end(&input)) w->rc = input.rc;
    w_delta(x, w, INPUT_DELTA, buf_slice(&x->signature));
}

static void begin_call(struct encoder *x, struct json_writer *w, const struct event *ev) {
    x->any_tool = true;
    w_block_start(x, w);
    jw(w, SLICE("{\"type\":\"tool_use\",\"id\":"));
    messages_w_tool_id(w, ev->u.begin.id, buf_slice(&x->id), ev->block);
    jw(w, SLICE(",\"name\":"));
    jw_string(w, ev->u.begin.name);
    jw(w, SLICE(",\"input\":{}}" END_OF_FRAME));
    if (ev->u.begin.input_json.len > 0) w_input(x, w, ev->u.begin.input_json);
}

static void on_begin(struct encoder *x, struct json_writer *w, const struct event *ev) {
    if (x->has_block || (is_call(ev->block_kind) && ev->u.begin.name.len == 0)) {
        w->rc = -ERR_PROTOCOL; /* not shaped */
        return;
    }
    x->has_block = true;
    x->is_begun = x->has_args = false;
    x->kind = ev->block_kind;
    x->block = ev->block;
    buf_reset(&x->signature);
    if (is_call(x->kind)) {
        begin_call(x, w, ev);
    } else if (x->is_native && is_prose(x->kind)) {
        begin_prose(x, w);
    } else if (x->is_native && x->kind == BLOCK_OPAQUE && json_text_is(ev->raw_json, '{')) {
        w_block_start(x, w);
        jw_raw(w, ev->raw_json);
        jw(w, SLICE(END_OF_FRAME));
    }
}

static void on_delta(struct encoder *x, struct json_writer *w, const struct event *ev) {
    if (ev->text.len == 0) return;
    if (is_call(x->kind)) {
        w_input(x, w, ev->text);
    } else if (is_prose(x->kind)) {
        x->any_refusal |= x->kind == BLOCK_REFUSAL;
        begin_prose(x, w);
        w_delta(x, w, x->kind == BLOCK_REASONING ? THINKING_DELTA : TEXT_DELTA, ev->text);
    }
}

/* It may come in pieces; clients take the last one for the whole. */
static void on_signature(struct encoder *x, struct json_writer *w, const struct event *ev) {
    if (x->kind != BLOCK_REASONING && x->kind != BLOCK_REDACTED) return;
    int rc = buf_append(&x->signature, ev->text);
    if (rc) w->rc = rc;
}

static void on_part(struct encoder *x, struct json_writer *w) {
    if (x->kind != BLOCK_REASONING || !x->is_begun) return;
    w_delta(x, w, THINKING_DELTA, SLICE("\n\n"));
}

static void on_annotation(struct encoder *x, struct json_writer *w, const struct event *ev) {
    if (!x->is_native || x->kind != BLOCK_TEXT || !json_text_is(ev->raw_json, '{')) return;
    begin_prose(x, w);
    w_delta_start(x, w);
    jw(w, SLICE("{\"type\":\"citations_delta\",\"citation\":"));
    jw_raw(w, ev->raw_json);
    jw(w, SLICE("}" END_OF_FRAME));
}

static void on_opaque(struct encoder *x, struct json_writer *w, const struct event *ev) {
    if (x->kind != BLOCK_OPAQUE || !x->is_begun || !json_text_is(ev->raw_json, '{')) return;
    w_delta_start(x, w);
    jw_raw(w, ev->raw_json);
    jw(w, SLICE(END_OF_FRAME));
}

/* What has to be said before a block ends. */
static void w_rest(struct encoder *x, struct json_writer *w) {
    if (x->kind == BLOCK_REASONING) {
        if (x->signature.len > 0) begin_prose(x, w);
        if (x->is_begun) w_delta(x, w, SIGNATURE_DELTA, buf_slice(&x->signature));
    } else if (x->kind == BLOCK_REDACTED && x->signature.len > 0) {
        w_block_start(x, w);
        jw(w, SLICE("{\"type\":\"redacted_thinking\",\"data\":"));
        jw_string(w, buf_slice(&x->signature));
        jw(w, SLICE("}" END_OF_FRAME));
    } else if (x->kind == BLOCK_CUSTOM_TOOL_CALL) {
        if (!x->has_args) w_input(x, w, SLICE(""));
        w_delta(x, w, INPUT_DELTA, SLICE("\"}"));
    } else if (is_call(x->kind) && !x->has_args) {
        w_delta(x, w, INPUT_DELTA, SLICE("{}"));
    }
}

static void end_block(struct encoder *x, struct json_writer *w) {
    if (!x->has_block) return;
    w_rest(x, w);
    if (x->is_begun) {
        begin_frame(x, w, SLICE(FRAME("content_block_stop") ",\"index\":"));
        jw(w, SLICE(END_OF_FRAME));
    }
    x->has_block = false;
}

/* ---- the end ---- */

static void on_error(struct encoder *x, struct json_writer *w, const struct api_error *told) {
    struct api_error er;
    error_for_anthropic(told, &er);
    if (w->rc == 0) w->rc = messages_encode_error_event(&er, NULL, w->out);
    x->is_over = true;
}

static void end_in_error(struct encoder *x, struct json_writer *w, struct slice message) {
    struct api_error er = {.status = 500, .message = message, .type = SLICE("api_error")};
    on_error(x, w, &er);
}

static void on_finish(struct encoder *x, struct json_writer *w, const struct finish *told) {
    struct finish f = *told;
    if (x->has_stop) return;
    if (f.reason == STOP_ERROR) {
        end_in_error(x, w, SLICE("the upstream ended the answer with an error"));
        return;
    }
    end_block(x, w);
    if (f.reason == STOP_END && x->any_tool)
        f.reason = STOP_TOOL;
    else if (f.reason == STOP_END && x->any_refusal)
        f.reason = STOP_FILTER;
    struct json_writer stop = jw_begin(&x->stop);
    messages_w_stop(&stop, &f, x->is_native);
    if (jw_end(&stop)) w->rc = stop.rc;
    x->has_stop = true;
}

static void on_end(struct encoder *x, struct json_writer *w) {
    if (!x->has_stop) {
        end_in_error(x, w, SLICE("the upstream ended the answer without saying why"));
        return;
    }
    jw(w, SLICE(FRAME("message_delta") ",\"delta\":{"));
    jw(w, buf_slice(&x->stop));
    jw(w, SLICE("},\"usage\":"));
    messages_w_usage(w, usage_kept(&x->usage), x->is_native, x->tier, USAGE_END);
    jw(w, SLICE(END_OF_FRAME FRAME("message_stop") END_OF_FRAME));
    x->is_over = true;
}

/* ---- events ---- */

static void write_of_block(struct encoder *x, struct json_writer *w, const struct event *ev) {
    if (ev->kind == EV_BLOCK_BEGIN) {
        on_begin(x, w, ev);
        return;
    }
    if (!x->has_block || ev->block != x->block) {
        w->rc = -ERR_PROTOCOL; /* not shaped */
        return;
    }
    switch (ev->kind) {
    case EV_DELTA: on_delta(x, w, ev); break;
    case EV_SIGNATURE: on_signature(x, w, ev); break;
    case EV_ANNOTATION: on_annotation(x, w, ev); break;
    case EV_PART: on_part(x, w); break;
    case EV_OPAQUE: on_opaque(x, w, ev); break;
    default: end_block(x, w); break;
    }
}

/* Nothing is said of it here, wherever it stands. */
static bool is_left_out(const struct encoder *x, const struct event *ev) {
    if (ev->flags & EVF_RECAP || ev->kind == EV_LOGPROBS || ev->choice > 0) return true;
    if (x->has_stop && ev->kind < EV_FINISH) return true;
    if (ev->kind == EV_OPAQUE && ev->block == BLOCK_NONE) return true;
    return !x->is_native && (ev->kind == EV_ANNOTATION || ev->kind == EV_OPAQUE);
}

static void write_event(struct encoder *x, struct json_writer *w, const struct event *ev) {
    switch (ev->kind) {
    case EV_START: on_start(x, w, ev); return;
    case EV_USAGE: on_usage(x, w, &ev->u.usage); return;
    case EV_ERROR: on_error(x, w, &ev->u.error); return;
    case EV_PING:
        release_start(x, w);
        jw(w, dialect_messages.heartbeat);
        return;
    default: break;
    }
    need_start(x, w);
    if (ev->kind == EV_FINISH)
        on_finish(x, w, &ev->u.finish);
    else if (ev->kind == EV_END)
        on_end(x, w);
    else
        write_of_block(x, w, ev);
}

int messages_encoder_event(struct encoder *x, const struct event *ev, struct buf *out) {
    if (x->is_over || is_left_out(x, ev)) return 0;
    struct json_writer w = jw_begin(out);
    write_event(x, &w, ev);
    return jw_end(&w);
}
