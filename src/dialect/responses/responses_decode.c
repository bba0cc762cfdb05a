/* SPDX-License-Identifier: Apache-2.0 */
/* Frames (and whole bodies) to events; responses_blocks.c has those of the answer's items.
 *
 *   OPEN --completed, incomplete--> DONE      OPEN --failed, cancelled, error--> FAILED
 *
 * Both are final: what follows is ignored.
 *
 * A stream says twice whether all of it came: by its recaps, and by its sequence numbers, where it
 * counts: after one that was left out or came twice every block needs its recap, or the FINISH is
 * EVF_BROKEN. No more than that: gateways that take events out leave such gaps, too. */
#include "dialect/responses/responses-decode.h"

#include "base/mem.h"
#include "dialect/error_read.h"
#include "dialect/json_text.h"

#define MAX_SEQUENCE (UINT64_C(1) << 53)
#define SCRATCH_MAX_BYTES ((size_t)16 << 20)

struct decoder *responses_decoder_new(void) {
    struct decoder *d = mem_zalloc(sizeof *d);
    buf_init(&d->scratch, SCRATCH_MAX_BYTES);
    return d;
}

static void decoder_dispose(struct decoder *d) {
    buf_dispose(&d->scratch);
    mem_free(d->items);
    mem_free(d->mould);
}

void responses_decoder_free(struct decoder *d) {
    if (!d) return;
    decoder_dispose(d);
    mem_free(d);
}

uint64_t responses_decoder_next_sequence(const struct decoder *d) {
    return d->next_sequence;
}

/* ---- how it ends ---- */

static void put_usage(struct feed *x, yyjson_val *response) {
    yyjson_val *usage = yyjson_obj_get(response, "usage");
    if (yyjson_is_obj(usage))
        responses_read_usage(&x->doc, usage, &event_out_put(&x->out, EV_USAGE)->u.usage);
}

/* Behind the last block: something of the answer is missing, or may be. */
static bool is_broken(const struct feed *x, yyjson_val *output) {
    const struct decoder *d = x->d;
    for (uint32_t i = 0; i < d->n_items; i++)
        if (d->items[i].is_owed) return true;
    return x->problem || (d->has_gap && d->has_untold) ||
           (d->has_hole && yyjson_arr_size(output) < d->n_items);
}

static void put_complete(struct feed *x, yyjson_val *response, bool is_incomplete) {
    struct decoder *d = x->d;
    yyjson_val *details = yyjson_obj_get(response, "incomplete_details");
    struct slice reason = responses_member_str(details, "reason");
    yyjson_val *output = yyjson_obj_get(response, "output");
    responses_put_start(x, response);
    responses_put_output(x, output);
    responses_end_blocks(x);
    struct event *ev = event_out_put(&x->out, EV_FINISH);
    struct finish *f = &ev->u.finish;
    if (is_broken(x, output)) ev->flags = EVF_BROKEN;
    f->wire = SLICE("completed");
    f->reason = STOP_END;
    if (is_incomplete) {
        f->wire = reason.len > 0 ? reason : SLICE("incomplete");
        f->reason = responses_stop_reason(reason);
    }
    if (f->reason == STOP_END && d->any_call) f->reason = STOP_TOOL;
    put_usage(x, response);
    event_out_put(&x->out, EV_END);
    d->state = DEC_DONE;
}

static void put_error(struct feed *x, const struct json_doc *doc, struct slice otherwise) {
    struct error_scratch scratch;
    struct api_error *er = &event_out_put(&x->out, EV_ERROR)->u.error;
    error_read(doc, 0, &scratch, er);
    if (slice_eq(er->type, SLICE("error")))
        er->type = SLICE_NULL; /* of the event, not of the error */
    if (otherwise.len > 0 && (er->message.len == 0 || slice_eq(er->message, slice_trim(doc->text))))
        er->message = otherwise;
    if (slice_eq(er->raw, SLICE("{}"))) er->raw = SLICE_NULL;
    event_out_flush(&x->out, EVF_LAST_IN_FRAME); /* before the scratch goes */
    x->d->state = DEC_FAILED;
}

/* A response that failed, or was cancelled: its error is an object of its own. */
static void put_failed(struct feed *x, yyjson_val *response, bool is_cancelled) {
    yyjson_val *error = yyjson_obj_get(response, "error");
    struct json_doc inner = {.text = SLICE("{}")};
    if (yyjson_is_obj(yyjson_obj_get(response, "usage"))) responses_put_start(x, response);
    put_usage(x, response);
    if (yyjson_is_obj(error)) inner.text = responses_raw_of(x, error);
    if (json_doc_parse(&inner, inner.text, NULL)) inner.doc = NULL; /* it was parsed before */
    put_error(x, &inner,
              is_cancelled ? SLICE("the response was cancelled") : SLICE("the response failed"));
    json_doc_free(&inner);
}

static void put_terminal(struct feed *x, enum responses_event event, yyjson_val *response) {
    struct slice status = responses_member_str(response, "status");
    if (slice_eq(status, SLICE("cancelled")))
        event = RE_CANCELLED;
    else if (slice_eq(status, SLICE("failed")))
        event = RE_FAILED;
    else if (slice_eq(status, SLICE("incomplete")) && event == RE_COMPLETED)
        event = RE_INCOMPLETE;
    if (event == RE_FAILED || event == RE_CANCELLED) {
        put_failed(x, response, event == RE_CANCELLED);
    } else if (yyjson_is_obj(response)) {
        put_complete(x, response, event == RE_INCOMPLETE);
    } else {
        x->problem = "a terminal event without its response";
    }
}

/* ---- one event ---- */

static yyjson_val **member_of(struct members *m, struct slice key) {
#define IS(name) (memcmp(key.ptr, name, sizeof(name) - 1) == 0)
    switch (key.len) {
    case 4:
        return IS("type")   ? &m->type
               : IS("text") ? &m->text
               : IS("part") ? &m->part
               : IS("item") ? &m->item
                            : NULL;
    case 5:
        return IS("delta") ? &m->delta : IS("input") ? &m->text : IS("error") ? &m->error : NULL;
    case 7: return IS("item_id") ? &m->item_id : IS("refusal") ? &m->text : NULL;
    case 8: return IS("response") ? &m->response : IS("logprobs") ? &m->logprobs : NULL;
    case 9: return IS("arguments") ? &m->text : NULL;
    case 10: return IS("annotation") ? &m->annotation : NULL;
    case 11: return IS("obfuscation") ? &m->obfuscation : NULL;
    case 12: return IS("output_index") ? &m->output_index : NULL;
    case 13:
        return IS("content_index")   ? &m->content_index
               : IS("summary_index") ? &m->summary_index
                                     : NULL;
    case 15: return IS("sequence_number") ? &m->sequence_number : NULL;
    default: return NULL;
    }
#undef IS
}

static void read_members(yyjson_val *root, struct members *m) {
    size_t i, n;
    yyjson_val *key, *value;
    *m = (struct members){0};
    yyjson_obj_foreach(root, i, n, key, value) {
        yyjson_val **member = member_of(m, json_doc_str(key));
        if (member) *member = value;
    }
}

/* Some servers number a part of their events: those without may have been counted, too. */
static void note_number(struct decoder *d, uint64_t number) {
    bool is_next = d->has_number && number > d->last_number && number <= d->next_sequence;
    if (!is_next && d->n_steps >= STEPS_OF_A_COUNT) {
        d->has_gap = true;
        d->has_hole |= number > d->next_sequence;
    }
    if (!is_next)
        d->n_steps = 0;
    else if (d->n_steps < STEPS_OF_A_COUNT)
        d->n_steps++;
    d->has_number = true;
    d->last_number = number;
}

/* number: MAX_SEQUENCE or more when there is none. A later 0 is a place that nobody filled. */
static void take_number(struct decoder *d, uint64_t number) {
    if (number < MAX_SEQUENCE && (number > 0 || !d->has_number)) {
        note_number(d, number);
        d->next_sequence = number;
    }
    if (d->next_sequence < MAX_SEQUENCE) d->next_sequence++;
}

static void on_event(struct feed *x, enum responses_event event) {
    switch (event) {
    case RE_CREATED:
    case RE_QUEUED:
    case RE_IN_PROGRESS: responses_put_start(x, x->m.response); break;
    case RE_COMPLETED:
    case RE_INCOMPLETE:
    case RE_FAILED:
    case RE_CANCELLED: put_terminal(x, event, x->m.response); break;
    case RE_KEEPALIVE: event_out_put(&x->out, EV_PING); break;
    case RE_PART_ADDED:
    case RE_SUMMARY_ADDED:
    case RE_SUMMARY_PART_DONE:
    case RE_ERROR: break;
    default: responses_put_item_event(x, event); break;
    }
}

static void put_object(struct feed *x, bool is_named_error) {
    yyjson_val *root = x->doc.doc->root;
    read_members(root, &x->m);
    struct slice type = json_doc_str(x->m.type);
    enum responses_event event = responses_event_of(type);
    yyjson_val *number = x->m.sequence_number;
    take_number(x->d, yyjson_is_uint(number) ? yyjson_get_uint(number) : MAX_SEQUENCE);
    bool is_error = event == RE_ERROR || is_named_error;
    if (is_error || (event == RE_UNKNOWN && error_is_in(root, "output"))) {
        put_error(x, &x->doc, SLICE_NULL);
    } else if (type.len == 0) {
        x->problem = "an event without its type";
    } else {
        on_event(x, event);
    }
}

/* ---- frames ---- */

static struct span number_span(const struct feed *x, yyjson_val *number) {
    if (!yyjson_is_uint(number)) return (struct span){0, 0};
    struct slice raw = responses_raw_of(x, number);
    return (struct span){(uint32_t)(raw.ptr - x->doc.text.ptr), (uint32_t)raw.len};
}

static struct span padding_span(const struct feed *x, yyjson_val *string) {
    if (json_doc_str(string).len == 0) return (struct span){0, 0};
    return json_doc_string_span(&x->doc, string);
}

/* The frame was one DELTA of an open block, and nothing else. */
static void make_mould(struct feed *x) {
    struct decoder *d = x->d;
    const struct event *ev = &x->out.ev;
    if (x->out.n_events != 1 || ev->kind != EV_DELTA || ev->flags & EVF_RECAP || ev->val.len == 0)
        return;
    struct item *it = d->n_items > 0 ? &d->items[d->n_items - 1] : NULL;
    for (; it && !(it->is_open && it->block == ev->block); it--) {
        if (it == d->items) return;
    }
    if (!it) return;
    d->mould_item = (uint32_t)(it - d->items);
    d->last_was_delta =
        responses_mould_make(&d->mould, x->doc.text, ev->val, number_span(x, x->m.sequence_number),
                             padding_span(x, x->m.obfuscation));
}

static int feed_json(struct feed *x, const struct sse_frame *f, struct err *e) {
    bool is_named_error = slice_eq(f->name, SLICE("error"));
    int rc = json_doc_parse(&x->doc, f->data, e);
    if (rc && !is_named_error) return rc;
    if (rc)
        put_error(x, &x->doc, SLICE_NULL);
    else if (yyjson_is_obj(x->doc.doc->root))
        put_object(x, is_named_error);
    else if (error_is_in(x->doc.doc->root, "output"))
        put_error(x, &x->doc, SLICE_NULL);
    else
        x->problem = "an event is not a JSON object";
    event_out_flush(&x->out, EVF_LAST_IN_FRAME);
    if (x->out.rc == 0 && !x->problem && !rc) make_mould(x);
    json_doc_free(&x->doc);
    if (x->out.rc) return x->out.rc;
    return x->problem ? err_set(e, ERR_PROTOCOL, "%s", x->problem) : 0;
}

static int put_quick(struct decoder *d, struct slice data, struct span text, uint64_t number,
                     const struct event_sink *sink) {
    struct item *it = &d->items[d->mould_item];
    take_number(d, number);
    struct event ev = {.kind = EV_DELTA,
                       .flags = EVF_CONTENT | EVF_LAST_IN_FRAME,
                       .block_kind = it->block_kind,
                       .block = it->block,
                       .text = slice_sub(data, text.off, text.len),
                       .block_off = it->off,
                       .val = text};
    it->off += text.len;
    responses_said_add(&it->said, ev.text);
    return sink->emit(sink->self, &ev);
}

int responses_decoder_feed(struct decoder *d, const struct sse_frame *f,
                           const struct event_sink *sink, struct err *e) {
    struct span text;
    uint64_t number;
    if (!(f->flags & SSE_DATA) || f->data.len == 0 || d->state != DEC_OPEN) return 0;
    if (d->last_was_delta && !slice_eq(f->name, SLICE("error")) &&
        responses_mould_fits(d->mould, f->data, &text, &number))
        return put_quick(d, f->data, text, number, sink);
    d->last_was_delta = false;
    if (slice_eq(slice_trim(f->data), SLICE("[DONE]"))) return 0; /* chat's, from some servers */
    struct feed x;
    x.d = d;
    event_out_begin(&x.out, sink);
    x.problem = NULL;
    return feed_json(&x, f, e);
}

int responses_decoder_finish(struct decoder *d, const struct event_sink *sink, struct err *e) {
    (void)sink;
    if (d->state != DEC_OPEN) return 0;
    return err_set(e, ERR_PROTOCOL, "the stream ended before its terminal event");
}

/* ---- whole answers ---- */

static void put_body(struct feed *x) {
    yyjson_val *root = x->doc.doc->root;
    struct slice status = responses_member_str(root, "status");
    bool has_output = yyjson_is_arr(yyjson_obj_get(root, "output"));
    bool has_ended = slice_eq(status, SLICE("failed")) || slice_eq(status, SLICE("cancelled"));
    if (!has_output && !has_ended && error_is_in(root, "output")) {
        put_error(x, &x->doc, SLICE_NULL);
    } else if (!yyjson_is_obj(root) || (!has_output && !has_ended)) {
        x->problem = "an answer without output";
    } else if (slice_eq(status, SLICE("queued")) || slice_eq(status, SLICE("in_progress"))) {
        x->problem = "an answer that is not finished";
    } else {
        responses_put_start(x, root);
        put_terminal(x, RE_COMPLETED, root);
    }
}

int responses_decode_response(struct slice body, const struct event_sink *sink, struct err *e) {
    struct decoder d = {.state = DEC_OPEN};
    struct feed x = {.d = &d, .out.sink = sink};
    int rc = json_doc_parse(&x.doc, body, e);
    if (rc) return rc;
    buf_init(&d.scratch, SCRATCH_MAX_BYTES);
    put_body(&x);
    event_out_flush(&x.out, EVF_LAST_IN_FRAME);
    json_doc_free(&x.doc);
    decoder_dispose(&d);
    if (x.out.rc) return x.out.rc;
    return x.problem ? err_set(e, ERR_PROTOCOL, "%s", x.problem) : 0;
}
