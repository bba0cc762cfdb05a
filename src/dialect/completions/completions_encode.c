/* SPDX-License-Identifier: Apache-2.0 */
/* Events to chunks of text: no role, a last chunk without text that has the finish reason, the
 * usage chunk when it was asked for, "[DONE]". Reasoning and calls are left out: there is no place
 * for them (translation.md 4.7). */
#include "dialect/completions/completions-private.h"

#include "base/mem.h"
#include "dialect/encode_kept.h"

#define PREFIX_MAX_BYTES ((size_t)64 << 10)
#define HELD_MAX_BYTES ((size_t)16 << 20)

struct encoder {
    struct buf id, model, system_fingerprint; /* what to say where START does not */
    int64_t created;
    bool include_usage, is_over, is_own;
    struct buf prefix;   /* of every chunk, up to the choices: made once */
    struct buf logprobs; /* waiting for the next chunk of logprobs_choice */
    uint16_t logprobs_choice;
    struct usage_kept usage;
};

struct encoder *completions_encoder_new(const struct encoder_options *o) {
    struct encoder *x = mem_zalloc(sizeof *x);
    option_keep(&x->id, o->id);
    option_keep(&x->model, o->model);
    option_keep(&x->system_fingerprint, o->system_fingerprint);
    x->created = o->created;
    x->include_usage = o->include_usage;
    buf_init(&x->prefix, PREFIX_MAX_BYTES * 16);
    buf_init(&x->logprobs, HELD_MAX_BYTES);
    usage_kept_init(&x->usage);
    return x;
}

void completions_encoder_free(struct encoder *x) {
    if (!x) return;
    buf_dispose(&x->id);
    buf_dispose(&x->model);
    buf_dispose(&x->system_fingerprint);
    buf_dispose(&x->prefix);
    buf_dispose(&x->logprobs);
    usage_kept_dispose(&x->usage);
    mem_free(x);
}

/* ---- chunks ---- */

static bool is_own(const struct event_start *told) {
    return !told || !told->origin || strcmp(told->origin, dialect_completions.name) == 0;
}

static int make_prefix(struct encoder *x, const struct event_start *told) {
    static const struct event_start nothing = {.created = -1};
    if (x->prefix.len > 0) return 0;
    x->is_own = is_own(told);
    if (!told) told = &nothing;
    if (told->created >= 0) x->created = told->created;
    struct json_writer w = jw_begin(&x->prefix);
    jw(&w, SLICE("data: {\"id\":"));
    jw_string(&w, told_or_ours(x->is_own, told->id, buf_slice(&x->id)));
    jw(&w, SLICE(",\"object\":\"text_completion\",\"created\":"));
    jw_int(&w, x->created);
    jw(&w, SLICE(",\"model\":"));
    jw_string(&w, told_or_ours(x->is_own, told->model, buf_slice(&x->model)));
    jw_member(&w, SLICE("system_fingerprint"), buf_slice(&x->system_fingerprint));
    jw(&w, SLICE(",\"choices\":["));
    return jw_end(&w);
}

static void chunk(struct encoder *x, struct json_writer *w, uint16_t choice, struct slice text,
                  struct slice finish_reason) {
    bool has_logprobs = x->logprobs.len > 0 && x->logprobs_choice == choice;
    jw(w, buf_slice(&x->prefix));
    jw(w, SLICE("{\"text\":"));
    jw_string(w, text);
    jw(w, SLICE(",\"index\":"));
    jw_int(w, choice);
    jw(w, SLICE(",\"logprobs\":"));
    jw(w, has_logprobs ? buf_slice(&x->logprobs) : SLICE("null"));
    jw(w, SLICE(",\"finish_reason\":"));
    if (finish_reason.len > 0) jw_string(w, finish_reason);
    else jw(w, SLICE("null"));
    jw(w, x->include_usage ? SLICE("}],\"usage\":null}\n\n") : SLICE("}]}\n\n"));
    if (has_logprobs) buf_reset(&x->logprobs);
}

static void flush_logprobs(struct encoder *x, struct json_writer *w) {
    if (x->logprobs.len > 0) chunk(x, w, x->logprobs_choice, SLICE(""), SLICE_NULL);
}

/* ---- one function an event ---- */

static void on_delta(struct encoder *x, struct json_writer *w, const struct event *ev) {
    bool is_text = ev->block_kind == BLOCK_TEXT || ev->block_kind == BLOCK_REFUSAL;
    if (is_text && !(ev->flags & EVF_RECAP) && ev->text.len > 0)
        chunk(x, w, ev->choice, ev->text, SLICE_NULL);
}

static void on_opaque(struct encoder *x, struct json_writer *w, const struct event *ev) {
    if (!x->is_own || ev->block_kind != BLOCK_TEXT) return;
    flush_logprobs(x, w);
    struct json_writer held = jw_begin(&x->logprobs);
    jw_raw(&held, ev->raw_json);
    x->logprobs_choice = ev->choice;
    if (jw_end(&held)) w->rc = held.rc;
}

static void on_error(struct encoder *x, struct json_writer *w, const struct api_error *er) {
    if (w->rc == 0) w->rc = chat_encode_error_event(er, NULL, w->out);
    x->is_over = true;
}

struct slice completions_finish_word(enum stop_reason reason) {
    switch (reason) {
    case STOP_LENGTH: return SLICE("length");
    case STOP_FILTER: return SLICE("content_filter");
    case STOP_END:
    case STOP_SEQUENCE:
    case STOP_TOOL:
    case STOP_PAUSE:
    case STOP_ERROR: break;
    }
    return SLICE("stop");
}

static void on_finish(struct encoder *x, struct json_writer *w, const struct event *ev) {
    static const struct api_error failed = {
        .status = 502,
        .message = {"the upstream ended the answer with an error", 43},
        .type = {"server_error", 12},
        .code = {"upstream_error", 14}};
    if (ev->u.finish.reason == STOP_ERROR) on_error(x, w, &failed);
    else chunk(x, w, ev->choice, SLICE(""), completions_finish_word(ev->u.finish.reason));
}

static void on_usage(struct encoder *x, const struct usage *u) {
    if (!x->include_usage || (u->in_total < 0 && u->out_total < 0)) return;
    usage_keep(&x->usage, u);
}

static void on_end(struct encoder *x, struct json_writer *w) {
    flush_logprobs(x, w);
    chat_w_end(w, buf_slice(&x->prefix), usage_kept(&x->usage));
    x->is_over = true;
}

static void write_event(struct encoder *x, struct json_writer *w, const struct event *ev) {
    switch (ev->kind) {
    case EV_DELTA: on_delta(x, w, ev); break;
    case EV_OPAQUE: on_opaque(x, w, ev); break;
    case EV_FINISH: on_finish(x, w, ev); break;
    case EV_USAGE: on_usage(x, &ev->u.usage); break;
    case EV_ERROR: on_error(x, w, &ev->u.error); break;
    case EV_PING: jw(w, SSE_HEARTBEAT); break;
    case EV_END: on_end(x, w); break;
    case EV_START:
    case EV_BLOCK_BEGIN:
    case EV_BLOCK_END:
    case EV_SIGNATURE:
    case EV_LOGPROBS:
    case EV_ANNOTATION:
    case EV_PART:
    case EV_KIND_COUNT: break;
    }
}

int completions_encoder_event(struct encoder *x, const struct event *ev, struct buf *out) {
    if (x->is_over) return 0;
    struct json_writer w = jw_begin(out);
    if (x->prefix.len == 0 && ev->kind != EV_PING)
        w.rc = make_prefix(x, ev->kind == EV_START ? &ev->u.start : NULL);
    if (w.rc == 0) write_event(x, &w, ev);
    return jw_end(&w);
}
