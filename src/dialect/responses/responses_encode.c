/* SPDX-License-Identifier: Apache-2.0 */
/* Events to the stream of one response: items one after the other, each opened, filled and finished
 * by events that number themselves from 0.
 *
 * The transcript is the answer's `output` as it grows: finished items, and the open one up to where
 * its value stands. Every `.done` event and the terminal one copy from it, so that all say the very
 * same. A block that is over keeps its item until the next begins or the answer finishes: only then
 * is it known whether the item is complete (translation.md 4.4). */
#include "dialect/responses/responses-stream.h"

#include <stdio.h>

#include "base/json_scan.h"
#include "base/mem.h"
#include "dialect/encode_kept.h"
#include "dialect/json_text.h"
#include "dialect/responses/responses_state.h"

#define DEFAULT_MAX_BYTES ((size_t)16 << 20)
#define WORD_MAX_BYTES    ((size_t)64 << 10)
#define ID_MAX_BYTES      512

enum out_kind { OUT_NONE, OUT_MESSAGE, OUT_REASONING, OUT_CALL, OUT_CUSTOM_CALL, OUT_OPAQUE };
enum out_part { OP_TEXT, OP_REFUSAL, OP_SUMMARY, OP_THOUGHT };

struct out_item {
    enum out_kind kind;
    bool is_raw, has_part;
    uint32_t index, group;
    enum out_part part;              /* the open one */
    uint32_t n_parts, n_annotations; /* opened so far; of the open part */
    /* places in the transcript */
    size_t at, id_at, id_len, name_at, name_len, part_at, value_at;
};

struct encoder {
    struct buf id, model, service_tier;
    struct slice echo, echo_rest; /* around a service tier that the answer knows better */
    int64_t created;
    size_t max_bytes;
    uint64_t sequence;
    bool is_quiet; /* for whole answers: no frames */
    bool is_own;   /* the events are of our own dialect's decoder */
    bool is_queued;
    bool is_started, has_finish, has_ended, is_over;
    bool has_block; /* `block` is the open item's and has not ended */
    uint32_t block, n_items, max_group;
    struct finish finish;
    struct buf finish_wire;
    struct usage_kept usage;
    struct out_item item;
    struct buf transcript;
    struct json_writer t; /* into the transcript; its failure stays */
    struct buf head;      /* of the delta events of the open part, or call */
    /* of the open part: annotations and token probabilities, with commas; citations that wait for
     * its end, one a line; probabilities that wait for their delta. Of the open item: its proof. */
    struct buf annotations, logprobs, late, tokens, proof;
};

/* ---- life ---- */

static void copy_word(struct buf *to, struct slice s) {
    buf_reset(to);
    if (buf_append(to, slice_sub(s, 0, WORD_MAX_BYTES))) return; /* cannot be */
}

struct encoder *responses_encoder_new(const struct encoder_options *o) {
    struct encoder *x = mem_zalloc(sizeof *x);
    struct buf *words[] = {&x->id, &x->model, &x->service_tier, &x->finish_wire};
    x->max_bytes = o->max_bytes ? o->max_bytes : DEFAULT_MAX_BYTES;
    struct buf *kept[] = {&x->transcript, &x->annotations, &x->logprobs,
                          &x->late,       &x->tokens,      &x->proof};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        buf_init(words[i], WORD_MAX_BYTES);
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++)
        buf_init(kept[i], x->max_bytes);
    buf_init(&x->head, WORD_MAX_BYTES);
    usage_kept_init(&x->usage);
    copy_word(&x->id, o->id);
    copy_word(&x->model, o->model);
    copy_word(&x->service_tier, o->service_tier);
    x->created = o->created;
    x->echo = o->echo;
    x->is_queued = o->is_queued;
    x->t = jw_begin(&x->transcript);
    return x;
}

void responses_encoder_free(struct encoder *x) {
    if (!x) return;
    struct buf *all[] = {&x->id,         &x->model,      &x->service_tier, &x->finish_wire,
                         &x->transcript, &x->annotations,  &x->logprobs,
                         &x->late,       &x->tokens,     &x->proof,        &x->head};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        buf_dispose(all[i]);
    usage_kept_dispose(&x->usage);
    mem_free(x);
}

/* Bytes that count as the transcript's. */
static void keep(struct encoder *x, struct buf *b, struct slice s) {
    if (x->t.rc == 0) x->t.rc = buf_append(b, s);
}

static void keep_element(struct encoder *x, struct buf *b, struct slice s) {
    if (b->len > 0) keep(x, b, SLICE(","));
    keep(x, b, s);
}

static struct slice written(const struct encoder *x, size_t from) {
    return slice_from(buf_slice(&x->transcript), from);
}

/* ---- frames ---- */

static void begin_frame(struct json_writer *w, struct slice type) {
    jw(w, SLICE("event: "));
    jw(w, type);
    jw(w, SLICE("\ndata: {\"type\":\""));
    jw(w, type);
    jw(w, SLICE("\""));
}

static void end_frame(struct encoder *x, struct json_writer *w) {
    jw(w, SLICE(",\"sequence_number\":"));
    jw_int(w, (int64_t)x->sequence++);
    jw(w, SLICE("}\n\n"));
}

static void w_output_index(const struct encoder *x, struct json_writer *w) {
    jw(w, SLICE(",\"output_index\":"));
    jw_int(w, x->item.index);
}

/* Which item an inner event is of. */
static void w_place(const struct encoder *x, struct json_writer *w) {
    jw(w, SLICE(",\"item_id\":\""));
    jw(w, slice_sub(buf_slice(&x->transcript), x->item.id_at, x->item.id_len));
    jw(w, SLICE("\""));
    w_output_index(x, w);
}

static void w_item_frame(struct encoder *x, struct json_writer *w, struct slice type,
                         struct slice tail) {
    begin_frame(w, type);
    w_output_index(x, w);
    jw(w, SLICE(",\"item\":"));
    jw(w, written(x, x->item.at));
    jw(w, tail);
    end_frame(x, w);
}

/* ---- the response object ---- */

static const char default_echo[] =
    "\"background\":false,\"instructions\":null,\"max_output_tokens\":null,"
    "\"max_tool_calls\":null,\"metadata\":{},\"parallel_tool_calls\":true,"
    "\"previous_response_id\":null,\"prompt_cache_key\":null,"
    "\"reasoning\":{\"effort\":null,\"summary\":null},\"safety_identifier\":null,"
    "\"store\":true,\"temperature\":1,"
    "\"text\":{\"format\":{\"type\":\"text\"},\"verbosity\":\"medium\"},"
    "\"tool_choice\":\"auto\",\"tools\":[],\"top_logprobs\":0,\"top_p\":1,"
    "\"truncation\":\"disabled\",\"user\":null";

static void w_response(const struct encoder *x, struct json_writer *w, struct slice status,
                       struct slice incomplete, bool is_final) {
    jw(w, SLICE("{\"id\":"));
    jw_string(w, buf_slice(&x->id));
    jw(w, SLICE(",\"object\":\"response\",\"created_at\":"));
    jw_int(w, x->created);
    jw(w, SLICE(",\"status\":\""));
    jw(w, status);
    jw(w, SLICE("\",\"completed_at\":null,\"error\":null,\"incomplete_details\":"));
    if (incomplete.len > 0) {
        jw(w, SLICE("{\"reason\":"));
        jw_string(w, incomplete);
        jw(w, SLICE("}"));
    } else {
        jw(w, SLICE("null"));
    }
    jw(w, SLICE(",\"model\":"));
    jw_string(w, buf_slice(&x->model));
    jw(w, SLICE(",\"output\":["));
    if (is_final) jw(w, buf_slice(&x->transcript));
    jw(w, SLICE("],"));
    jw(w, x->echo.len > 0 ? x->echo : slice_cstr(default_echo));
    jw(w, x->echo_rest);
    jw_member(w, SLICE("service_tier"), buf_slice(&x->service_tier));
    jw(w, SLICE(",\"usage\":"));
    responses_w_usage(w, is_final ? usage_kept(&x->usage) : NULL, x->is_own);
    jw(w, SLICE("}"));
}

static struct slice incomplete_word(const struct encoder *x) {
    struct finish f = x->finish;
    f.wire = buf_slice(&x->finish_wire);
    return x->has_finish ? responses_incomplete_word(&f, x->is_own) : SLICE_NULL;
}

static void w_final_response(const struct encoder *x, struct json_writer *w) {
    struct slice reason = incomplete_word(x);
    w_response(x, w, reason.len > 0 ? SLICE("incomplete") : SLICE("completed"), reason, true);
}

static void w_lifecycle(struct encoder *x, struct json_writer *w, struct slice type,
                        struct slice status) {
    begin_frame(w, type);
    jw(w, SLICE(",\"response\":"));
    w_response(x, w, status, SLICE_NULL, false);
    end_frame(x, w);
}

/* The request's own service_tier, with the comma before it, goes when the answer tells one. Not
 * found first: encode_echo never begins with it. */
static void cut_tier(struct encoder *x) {
    struct slice echo = x->echo;
    for (size_t at = 0, end; at < echo.len; at = end + 1) {
        size_t key_end = json_text_value_end(echo, at);
        end = json_text_value_end(echo, key_end + 1);
        if (at == 0 || !slice_eq(slice_sub(echo, at, key_end - at), SLICE("\"service_tier\"")))
            continue;
        x->echo = slice_sub(echo, 0, at - 1);
        x->echo_rest = slice_from(echo, end);
        return;
    }
}

/* told: NULL when the first event is another. Another dialect's ids and models are not for the
 * client. */
static void start(struct encoder *x, struct json_writer *w, const struct event_start *told) {
    if (x->is_started) return;
    x->is_started = true;
    x->is_own = told && told->origin && strcmp(told->origin, dialect_responses.name) == 0;
    bool is_ours = told && (x->is_own || !told->origin);
    if (told && told->created >= 0) x->created = told->created;
    if (told && told->id.len > 0 && (is_ours || x->id.len == 0)) copy_word(&x->id, told->id);
    if (told && told->model.len > 0 && (is_ours || x->model.len == 0))
        copy_word(&x->model, told->model);
    if (told && told->service_tier.len > 0) copy_word(&x->service_tier, told->service_tier);
    if (x->service_tier.len > 0) cut_tier(x);
    struct slice first = x->is_queued ? SLICE("queued") : SLICE("in_progress");
    w_lifecycle(x, w, SLICE("response.created"), first);
    if (x->is_queued) w_lifecycle(x, w, SLICE("response.queued"), first);
    w_lifecycle(x, w, SLICE("response.in_progress"), SLICE("in_progress"));
}

/* ---- parts ---- */

static const struct part_words {
    struct slice open, empty_tail; /* of the part's object, around its value; when that is empty */
    struct slice index_key, value_key;
    struct slice added, delta, done, part_done;
} part_words[] = {
#define S(text)                                                                                    \
    { text, sizeof(text) - 1 }
    [OP_TEXT] = {S("{\"type\":\"output_text\",\"text\":\""),
                 S("\",\"annotations\":[],\"logprobs\":[]}"), S(",\"content_index\":"),
                 S(",\"text\":\""), S("response.content_part.added"),
                 S("response.output_text.delta"), S("response.output_text.done"),
                 S("response.content_part.done")},
    [OP_REFUSAL] = {S("{\"type\":\"refusal\",\"refusal\":\""), S("\"}"), S(",\"content_index\":"),
                    S(",\"refusal\":\""), S("response.content_part.added"),
                    S("response.refusal.delta"), S("response.refusal.done"),
                    S("response.content_part.done")},
    [OP_SUMMARY] = {S("{\"type\":\"summary_text\",\"text\":\""), S("\"}"), S(",\"summary_index\":"),
                    S(",\"text\":\""), S("response.reasoning_summary_part.added"),
                    S("response.reasoning_summary_text.delta"),
                    S("response.reasoning_summary_text.done"),
                    S("response.reasoning_summary_part.done")},
    [OP_THOUGHT] = {S("{\"type\":\"reasoning_text\",\"text\":\""), S("\"}"),
                    S(",\"content_index\":"), S(",\"text\":\""), S("response.content_part.added"),
                    S("response.reasoning_text.delta"), S("response.reasoning_text.done"),
                    S("response.content_part.done")},
#undef S
};

static void w_part_place(const struct encoder *x, struct json_writer *w) {
    w_place(x, w);
    jw(w, part_words[x->item.part].index_key);
    jw_int(w, x->item.n_parts - 1);
}

/* Everything of the coming delta events up to the delta itself. */
static void make_head(struct encoder *x, struct slice type) {
    buf_reset(&x->head);
    struct json_writer w = jw_begin(&x->head);
    begin_frame(&w, type);
    if (x->item.has_part)
        w_part_place(x, &w);
    else
        w_place(x, &w);
    jw(&w, SLICE(",\"delta\":\""));
    if (jw_end(&w)) x->t.rc = -ERR_LIMIT;
}

static void open_part(struct encoder *x, struct json_writer *w, enum out_part part) {
    const struct part_words *words = &part_words[part];
    struct out_item *it = &x->item;
    if (it->n_parts++ > 0) jw(&x->t, SLICE(","));
    it->has_part = true;
    it->part = part;
    it->n_annotations = 0;
    it->part_at = x->transcript.len;
    jw(&x->t, words->open);
    it->value_at = x->transcript.len;
    make_head(x, words->delta);
    begin_frame(w, words->added);
    w_part_place(x, w);
    jw(w, SLICE(",\"part\":"));
    jw(w, words->open);
    jw(w, words->empty_tail);
    end_frame(x, w);
}

static void w_delta(struct encoder *x, struct json_writer *w, struct slice text) {
    bool is_text = x->item.has_part && x->item.part == OP_TEXT;
    size_t at = x->transcript.len;
    jw_escaped(&x->t, text);
    jw(w, buf_slice(&x->head));
    jw(w, written(x, at));
    if (is_text) {
        jw(w, SLICE("\",\"logprobs\":["));
        jw(w, buf_slice(&x->tokens));
        jw(w, SLICE("]"));
    } else {
        jw(w, SLICE("\""));
    }
    end_frame(x, w);
    if (!is_text || x->tokens.len == 0) return;
    keep_element(x, &x->logprobs, buf_slice(&x->tokens));
    buf_reset(&x->tokens);
}

/* ---- annotations ---- */

static void w_annotation(struct encoder *x, struct json_writer *w, struct slice json) {
    if (x->t.rc) return;
    begin_frame(w, SLICE("response.output_text.annotation.added"));
    w_part_place(x, w);
    jw(w, SLICE(",\"annotation_index\":"));
    jw_int(w, x->item.n_annotations++);
    jw(w, SLICE(",\"annotation\":"));
    jw(w, json);
    end_frame(x, w);
}

/* The new one is the end of x->annotations from `at` on. */
static void add_annotation(struct encoder *x, struct json_writer *w, struct json_writer *list,
                           size_t at) {
    if (jw_end(list))
        x->t.rc = -ERR_LIMIT;
    else
        w_annotation(x, w, slice_from(buf_slice(&x->annotations), at));
}

static struct json_writer begin_annotation(struct encoder *x, size_t *out_at) {
    struct json_writer list = jw_begin(&x->annotations);
    if (x->annotations.len > 0) jw(&list, SLICE(","));
    *out_at = x->annotations.len;
    return list;
}

/* rest: `"url":…,"title":…`. */
static void cite(struct encoder *x, struct json_writer *w, int64_t from, int64_t to,
                 struct slice rest) {
    size_t at;
    struct json_writer list = begin_annotation(x, &at);
    jw(&list, SLICE("{\"type\":\"url_citation\",\"start_index\":"));
    jw_int(&list, from);
    jw(&list, SLICE(",\"end_index\":"));
    jw_int(&list, to);
    jw(&list, SLICE(","));
    jw(&list, rest);
    jw(&list, SLICE("}"));
    add_annotation(x, w, &list, at);
}

/* In escaped text. */
static int64_t count_code_points(struct slice s) {
    int64_t n = 0;
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] == '\\')
            i += i + 1 < s.len && s.ptr[i + 1] == 'u' ? 5 : 1;
        else if (((unsigned char)s.ptr[i] & 0xc0) == 0x80)
            continue;
        n++;
    }
    return n;
}

/* Citations of which nobody said where they stand cover the whole part. */
static void cite_late(struct encoder *x, struct json_writer *w) {
    struct slice rest = buf_slice(&x->late);
    if (rest.len == 0 || x->t.rc) return;
    int64_t end = count_code_points(written(x, x->item.value_at));
    for (ptrdiff_t n; (n = slice_index(rest, '\n')) >= 0; rest = slice_from(rest, (size_t)n + 1))
        cite(x, w, 0, end, slice_sub(rest, 0, (size_t)n));
    buf_reset(&x->late);
}

static void on_annotation(struct encoder *x, struct json_writer *w, const struct event *ev) {
    const struct annotation *a = &ev->u.annotation;
    bool is_url = a->kind == ANNOTATION_URL, has_place = a->start >= 0 && a->end >= 0;
    bool is_here = x->item.kind == OUT_MESSAGE && x->item.has_part && x->item.part == OP_TEXT &&
                   ev->block == x->block;
    if (!is_here) return;
    if (x->is_own && json_text_is(ev->raw_json, '{') && responses_may_quote(ev->raw_json) &&
        (has_place || !is_url)) {
        size_t at;
        struct json_writer list = begin_annotation(x, &at);
        jw_raw(&list, ev->raw_json);
        add_annotation(x, w, &list, at);
        return;
    }
    if (!is_url || a->url.len == 0) return;
    size_t at = x->late.len;
    struct json_writer late = jw_begin(&x->late);
    jw(&late, SLICE("\"url\":"));
    jw_string(&late, a->url);
    jw(&late, SLICE(",\"title\":"));
    jw_string(&late, a->title);
    if (!has_place) jw(&late, SLICE("\n"));
    if (jw_end(&late)) x->t.rc = -ERR_LIMIT;
    if (x->t.rc || !has_place) return;
    cite(x, w, a->start, a->end, slice_from(buf_slice(&x->late), at));
    x->late.len = at;
}

static void close_part(struct encoder *x, struct json_writer *w) {
    const struct part_words *words = &part_words[x->item.part];
    bool is_text = x->item.part == OP_TEXT;
    if (!x->item.has_part) return;
    cite_late(x, w);
    begin_frame(w, words->done);
    w_part_place(x, w);
    jw(w, words->value_key);
    jw(w, written(x, x->item.value_at));
    jw(w, SLICE("\""));
    if (is_text) {
        jw(w, SLICE(",\"logprobs\":["));
        jw(w, buf_slice(&x->logprobs));
        jw(w, SLICE("]"));
    }
    end_frame(x, w);
    if (is_text) {
        jw(&x->t, SLICE("\",\"annotations\":["));
        jw(&x->t, buf_slice(&x->annotations));
        jw(&x->t, SLICE("],\"logprobs\":["));
        jw(&x->t, buf_slice(&x->logprobs));
        jw(&x->t, SLICE("]}"));
    } else {
        jw(&x->t, SLICE("\"}"));
    }
    begin_frame(w, words->part_done);
    w_part_place(x, w);
    jw(w, SLICE(",\"part\":"));
    jw(w, written(x, x->item.part_at));
    end_frame(x, w);
    buf_reset(&x->annotations);
    buf_reset(&x->logprobs);
    x->item.has_part = false;
}

/* ---- items ---- */

/* The item's own id where it has one that is not in use, else one made of the response's. */
static void w_item_id(struct encoder *x, const struct event_begin *b, const char *prefix) {
    struct slice base = buf_slice(&x->id);
    bool is_again = b->group > 0 && b->group <= x->max_group;
    if (slice_starts_with(base, SLICE("resp_"))) base = slice_from(base, 5);
    x->item.id_at = x->transcript.len;
    if (b->item_id.len > 0 && b->item_id.len <= ID_MAX_BYTES && !is_again) {
        jw_escaped(&x->t, b->item_id);
    } else {
        jw(&x->t, slice_cstr(prefix));
        jw_escaped(&x->t, slice_sub(base, 0, ID_MAX_BYTES));
        jw(&x->t, SLICE("_"));
        jw_int(&x->t, x->item.index);
    }
    x->item.id_len = x->transcript.len - x->item.id_at;
    if (b->group > x->max_group) x->max_group = b->group;
}

static void open_item(struct encoder *x, enum out_kind kind, const struct event *ev) {
    x->item = (struct out_item){.kind = kind, .index = x->n_items++};
    if (x->transcript.len > 0) jw(&x->t, SLICE(","));
    x->item.at = x->transcript.len;
    x->block = ev->block;
    x->has_block = true;
}

static void open_message(struct encoder *x, struct json_writer *w, const struct event *ev) {
    open_item(x, OUT_MESSAGE, ev);
    x->item.group = ev->u.begin.group;
    jw(&x->t, SLICE("{\"id\":\""));
    w_item_id(x, &ev->u.begin, "msg_");
    jw(&x->t, SLICE("\",\"type\":\"message\",\"role\":\"assistant\",\"content\":["));
    w_item_frame(x, w, SLICE("response.output_item.added"), SLICE("],\"status\":\"in_progress\"}"));
}

static void open_reasoning(struct encoder *x, struct json_writer *w, const struct event *ev) {
    open_item(x, OUT_REASONING, ev);
    x->item.is_raw = x->is_own && ev->u.begin.is_raw;
    jw(&x->t, SLICE("{\"id\":\""));
    w_item_id(x, &ev->u.begin, "rs_");
    jw(&x->t, x->item.is_raw ? SLICE("\",\"type\":\"reasoning\",\"summary\":[],\"content\":[")
                             : SLICE("\",\"type\":\"reasoning\",\"summary\":["));
    w_item_frame(x, w, SLICE("response.output_item.added"), SLICE("]}"));
}

static void w_call_id(struct encoder *x, struct slice id) {
    jw(&x->t, SLICE(",\"call_id\":\""));
    if (id.len > 0) {
        jw_escaped(&x->t, id);
    } else {
        struct slice base = buf_slice(&x->id);
        if (slice_starts_with(base, SLICE("resp_"))) base = slice_from(base, 5);
        jw(&x->t, SLICE("call_"));
        jw_escaped(&x->t, slice_sub(base, 0, ID_MAX_BYTES));
        jw(&x->t, SLICE("_"));
        jw_int(&x->t, x->item.index);
    }
    jw(&x->t, SLICE("\",\"name\":\""));
}

static void open_call(struct encoder *x, struct json_writer *w, const struct event *ev) {
    bool is_custom = ev->block_kind == BLOCK_CUSTOM_TOOL_CALL;
    open_item(x, is_custom ? OUT_CUSTOM_CALL : OUT_CALL, ev);
    jw(&x->t, SLICE("{\"id\":\""));
    w_item_id(x, &ev->u.begin, is_custom ? "ctc_" : "fc_");
    jw(&x->t, is_custom ? SLICE("\",\"type\":\"custom_tool_call\"")
                        : SLICE("\",\"type\":\"function_call\""));
    w_call_id(x, ev->u.begin.id);
    x->item.name_at = x->transcript.len;
    jw_escaped(&x->t, ev->u.begin.name);
    x->item.name_len = x->transcript.len - x->item.name_at;
    jw(&x->t, SLICE("\""));
    jw_member(&x->t, SLICE("namespace"), ev->u.begin.name_space);
    jw(&x->t, is_custom ? SLICE(",\"input\":\"") : SLICE(",\"arguments\":\""));
    x->item.value_at = x->transcript.len;
    make_head(x, is_custom ? SLICE("response.custom_tool_call_input.delta")
                           : SLICE("response.function_call_arguments.delta"));
    w_item_frame(x, w, SLICE("response.output_item.added"),
                 SLICE("\",\"status\":\"in_progress\"}"));
    if (ev->u.begin.input_json.len > 0) w_delta(x, w, ev->u.begin.input_json);
}

static void close_call(struct encoder *x, struct json_writer *w, bool is_incomplete) {
    bool is_custom = x->item.kind == OUT_CUSTOM_CALL;
    if (!is_custom && !is_incomplete && x->transcript.len == x->item.value_at)
        w_delta(x, w, SLICE("{}"));
    struct slice value = written(x, x->item.value_at);
    begin_frame(w, is_custom ? SLICE("response.custom_tool_call_input.done")
                             : SLICE("response.function_call_arguments.done"));
    w_place(x, w);
    if (!is_custom) {
        jw(w, SLICE(",\"name\":\""));
        jw(w, slice_sub(buf_slice(&x->transcript), x->item.name_at, x->item.name_len));
        jw(w, SLICE("\""));
    }
    jw(w, is_custom ? SLICE(",\"input\":\"") : SLICE(",\"arguments\":\""));
    jw(w, value);
    jw(w, SLICE("\""));
    end_frame(x, w);
    jw(&x->t, is_incomplete ? SLICE("\",\"status\":\"incomplete\"}")
                            : SLICE("\",\"status\":\"completed\"}"));
}

static void close_reasoning(struct encoder *x, bool is_incomplete) {
    jw(&x->t, SLICE("]"));
    jw_member(&x->t, SLICE("encrypted_content"), buf_slice(&x->proof));
    jw(&x->t, is_incomplete ? SLICE(",\"status\":\"incomplete\"}") : SLICE("}"));
    buf_reset(&x->proof);
}

static void close_item(struct encoder *x, struct json_writer *w, bool is_incomplete) {
    if (x->item.kind == OUT_NONE) return;
    close_part(x, w);
    switch (x->item.kind) {
    case OUT_MESSAGE:
        jw(&x->t, is_incomplete ? SLICE("],\"status\":\"incomplete\"}")
                                : SLICE("],\"status\":\"completed\"}"));
        break;
    case OUT_REASONING: close_reasoning(x, is_incomplete); break;
    case OUT_CALL:
    case OUT_CUSTOM_CALL: close_call(x, w, is_incomplete); break;
    case OUT_OPAQUE:
    case OUT_NONE: break;
    }
    w_item_frame(x, w, SLICE("response.output_item.done"), SLICE(""));
    x->item.kind = OUT_NONE;
    x->has_block = false;
}

/* ---- hosted tools: in our own words or not at all ---- */

/* The member's token when it is a string with something in it. */
static bool find_word(struct slice object, struct slice key, struct json_member *out) {
    return json_text_is(object, '{') && json_find_member(object, key, out) &&
           json_text_is(out->value, '"') && out->value.len > 2;
}

static struct slice word_of(const struct json_member *m) {
    return slice_sub(m->value, 1, m->value.len - 2);
}

static bool is_hosted_item(struct slice raw) {
    struct json_member id, type;
    return responses_may_quote(raw) && find_word(raw, SLICE("id"), &id) &&
           find_word(raw, SLICE("type"), &type) &&
           responses_item_kind_of(word_of(&type)) == RI_OPAQUE;
}

static bool is_same_item(struct slice a, struct slice b) {
    struct json_member of_a, of_b;
    return is_hosted_item(b) && find_word(a, SLICE("id"), &of_a) &&
           find_word(b, SLICE("id"), &of_b) && slice_eq(of_a.value, of_b.value) &&
           find_word(a, SLICE("type"), &of_a) && find_word(b, SLICE("type"), &of_b) &&
           slice_eq(of_a.value, of_b.value);
}

static void w_opaque_item(struct encoder *x, struct slice raw) {
    struct json_member id;
    x->transcript.len = x->item.at;
    jw_raw(&x->t, raw);
    if (x->t.rc || !find_word(written(x, x->item.at), SLICE("id"), &id)) return;
    x->item.id_at = (size_t)(id.value.ptr - x->transcript.ptr) + 1;
    x->item.id_len = id.value.len - 2;
}

static void open_opaque(struct encoder *x, struct json_writer *w, const struct event *ev) {
    if (!x->is_own || !is_hosted_item(ev->raw_json)) return;
    open_item(x, OUT_OPAQUE, ev);
    w_opaque_item(x, ev->raw_json);
    w_item_frame(x, w, SLICE("response.output_item.added"), SLICE(""));
}

static bool is_place_key(struct slice key) {
    return slice_eq(key, SLICE("type")) || slice_eq(key, SLICE("sequence_number")) ||
           slice_eq(key, SLICE("output_index")) || slice_eq(key, SLICE("item_id"));
}

static void w_hosted(struct encoder *x, struct json_writer *w, struct slice type,
                     struct slice raw) {
    struct json_walk walk = json_walk_begin(raw);
    struct slice key, value;
    begin_frame(w, type);
    w_place(x, w);
    while (json_walk_member(&walk, &key, &value)) {
        if (is_place_key(key)) continue;
        jw(w, SLICE(",\""));
        jw_raw(w, key);
        jw(w, SLICE("\":"));
        jw_raw(w, value);
    }
    end_frame(x, w);
}

static void on_opaque(struct encoder *x, struct json_writer *w, const struct event *ev) {
    struct slice raw = ev->raw_json;
    struct json_member type, item = {.value = raw};
    bool is_here = x->item.kind == OUT_OPAQUE && x->has_block && ev->block == x->block;
    if (!is_here || !responses_may_quote(raw) || !find_word(raw, SLICE("type"), &type)) return;
    enum responses_event event = responses_event_of(word_of(&type));
    if (event == RE_HOSTED) {
        w_hosted(x, w, word_of(&type), raw);
        return;
    }
    if (event == RE_ITEM_DONE && !json_find_member(raw, SLICE("item"), &item)) return;
    if (!is_same_item(written(x, x->item.at), item.value)) return;
    w_opaque_item(x, item.value);
    close_item(x, w, false);
}

/* ---- events ---- */

/* A message takes parts of its group; text and refusal of dialects that have no groups, when they
 * follow each other. */
static bool joins_message(const struct encoder *x, const struct event *ev) {
    if (x->item.kind != OUT_MESSAGE) return false;
    if (ev->u.begin.group > 0 || x->item.group > 0) return ev->u.begin.group == x->item.group;
    return (x->item.part == OP_REFUSAL) != (ev->block_kind == BLOCK_REFUSAL);
}

static void begin_message_part(struct encoder *x, struct json_writer *w, const struct event *ev) {
    if (joins_message(x, ev)) {
        close_part(x, w);
    } else {
        close_item(x, w, false);
        open_message(x, w, ev);
    }
    x->block = ev->block;
    x->has_block = true;
    open_part(x, w, ev->block_kind == BLOCK_REFUSAL ? OP_REFUSAL : OP_TEXT);
}

static void on_begin(struct encoder *x, struct json_writer *w, const struct event *ev) {
    if (x->has_block && ev->block_kind != BLOCK_AUDIO) {
        w->rc = -ERR_PROTOCOL; /* one at a time: what would come for the open one had no place */
        return;
    }
    if (ev->block_kind == BLOCK_TEXT || ev->block_kind == BLOCK_REFUSAL) {
        begin_message_part(x, w, ev);
        return;
    }
    if (ev->block_kind == BLOCK_AUDIO) return; /* refused before anything was asked */
    close_item(x, w, false);
    switch (ev->block_kind) {
    case BLOCK_REASONING:
    case BLOCK_REDACTED: open_reasoning(x, w, ev); break;
    case BLOCK_TOOL_CALL:
    case BLOCK_FUNCTION_CALL:
    case BLOCK_CUSTOM_TOOL_CALL: open_call(x, w, ev); break;
    case BLOCK_OPAQUE: open_opaque(x, w, ev); break;
    case BLOCK_TEXT:
    case BLOCK_REFUSAL:
    case BLOCK_AUDIO:
    case BLOCK_KIND_COUNT: break;
    }
}

/* Of a block that we write, but that is not open: nothing can be done with it. */
static bool is_lost(const struct encoder *x, struct json_writer *w, const struct event *ev) {
    if (x->has_block && ev->block == x->block) return false;
    if (ev->block_kind != BLOCK_AUDIO && ev->block_kind != BLOCK_OPAQUE) w->rc = -ERR_PROTOCOL;
    return true;
}

static void need_thought(struct encoder *x, struct json_writer *w) {
    if (!x->item.has_part) open_part(x, w, x->item.is_raw ? OP_THOUGHT : OP_SUMMARY);
}

static void on_delta(struct encoder *x, struct json_writer *w, const struct event *ev) {
    if (ev->flags & EVF_RECAP || ev->text.len == 0 || is_lost(x, w, ev)) return;
    if (x->item.kind == OUT_REASONING) need_thought(x, w);
    w_delta(x, w, ev->text);
}

static void on_part(struct encoder *x, struct json_writer *w, const struct event *ev) {
    if (is_lost(x, w, ev) || x->item.kind != OUT_REASONING) return;
    need_thought(x, w);
    close_part(x, w);
    need_thought(x, w);
}

static void on_signature(struct encoder *x, struct json_writer *w, const struct event *ev) {
    if (!is_lost(x, w, ev) && x->item.kind == OUT_REASONING) keep(x, &x->proof, ev->text);
}

static void on_logprobs(struct encoder *x, const struct event *ev) {
    if (ev->block_kind == BLOCK_REFUSAL || !responses_may_quote(ev->raw_json)) return;
    struct json_writer w = jw_begin(&x->tokens);
    if (x->tokens.len > 0) jw(&w, SLICE(","));
    if (responses_w_tokens(&w, ev->raw_json) == 0) x->tokens.len = w.start;
    if (jw_end(&w)) x->t.rc = -ERR_LIMIT;
}

static void on_block_end(struct encoder *x, struct json_writer *w, const struct event *ev) {
    if (!x->has_block || ev->block != x->block) return;
    x->has_block = false;
    if (x->item.kind == OUT_OPAQUE) close_item(x, w, false);
}

static void on_error(struct encoder *x, struct json_writer *w, const struct api_error *er) {
    responses_w_error_frame(w, er, x->sequence++);
    x->is_over = true;
}

static void on_finish(struct encoder *x, struct json_writer *w, const struct event *ev) {
    if (x->has_finish) return;
    if (ev->u.finish.reason == STOP_ERROR) {
        struct api_error er = {.status = 502,
                               .message = SLICE("the upstream ended the answer with an error"),
                               .type = SLICE("server_error"),
                               .code = SLICE("upstream_error")};
        on_error(x, w, &er);
        return;
    }
    x->has_finish = true;
    x->finish.reason = ev->u.finish.reason;
    copy_word(&x->finish_wire, ev->u.finish.wire);
    /* those of a last token without text */
    if (x->item.kind == OUT_MESSAGE && x->item.has_part && x->tokens.len > 0)
        keep_element(x, &x->logprobs, buf_slice(&x->tokens));
    buf_reset(&x->tokens);
    close_item(x, w, incomplete_word(x).len > 0);
}

static void on_end(struct encoder *x, struct json_writer *w) {
    close_item(x, w, false);
    bool is_incomplete = incomplete_word(x).len > 0;
    begin_frame(w, is_incomplete ? SLICE("response.incomplete") : SLICE("response.completed"));
    jw(w, SLICE(",\"response\":"));
    w_final_response(x, w);
    end_frame(x, w);
    x->has_ended = x->is_over = true;
}

static void write_event(struct encoder *x, struct json_writer *w, const struct event *ev) {
    switch (ev->kind) {
    case EV_START: break; /* done */
    case EV_BLOCK_BEGIN: on_begin(x, w, ev); break;
    case EV_DELTA: on_delta(x, w, ev); break;
    case EV_SIGNATURE: on_signature(x, w, ev); break;
    case EV_LOGPROBS: on_logprobs(x, ev); break;
    case EV_ANNOTATION: on_annotation(x, w, ev); break;
    case EV_PART: on_part(x, w, ev); break;
    case EV_BLOCK_END: on_block_end(x, w, ev); break;
    case EV_FINISH: on_finish(x, w, ev); break;
    case EV_USAGE: usage_keep(&x->usage, &ev->u.usage); break;
    case EV_ERROR: on_error(x, w, &ev->u.error); break;
    case EV_PING: jw(w, SSE_HEARTBEAT); break;
    case EV_OPAQUE: on_opaque(x, w, ev); break;
    case EV_END: on_end(x, w); break;
    case EV_KIND_COUNT: break;
    }
}

/* The answer is too long to be repeated at its end: what this event wrote is taken back. */
static int stop_full(struct encoder *x, struct json_writer *w, uint64_t sequence) {
    char text[96];
    int n = snprintf(text, sizeof text,
                     "the answer is longer than the %zu bytes that are kept of one", x->max_bytes);
    struct api_error er = {.status = 502,
                           .message = slice_make(text, (size_t)n),
                           .type = SLICE("server_error"),
                           .code = SLICE("upstream_error")};
    x->sequence = sequence;
    x->is_over = true;
    if (x->is_quiet) return -ERR_LIMIT;
    w->out->len = w->start;
    w->rc = 0;
    on_error(x, w, &er);
    if (jw_end(w)) return -ERR_LIMIT; /* not even that */
    return -ERR_LIMIT;
}

int responses_encoder_event(struct encoder *x, const struct event *ev, struct buf *out) {
    bool is_after = x->has_finish && ev->kind != EV_USAGE && ev->kind != EV_END &&
                    ev->kind != EV_ERROR && ev->kind != EV_PING;
    bool is_bare = ev->kind == EV_PING || ev->kind == EV_ERROR || ev->kind == EV_USAGE;
    if (x->is_over || is_after || (ev->choice > 0 && !is_bare && ev->kind != EV_END)) return 0;
    struct json_writer w = {out, out ? out->len : 0, x->is_quiet ? 1 : 0};
    uint64_t sequence = x->sequence;
    if (!is_bare) start(x, &w, ev->kind == EV_START ? &ev->u.start : NULL);
    write_event(x, &w, ev);
    if (x->t.rc) return stop_full(x, &w, sequence);
    if (x->is_quiet) return w.rc < 0 ? w.rc : 0;
    return jw_end(&w);
}

/* ---- what stays ---- */

void responses_encoder_set_quiet(struct encoder *x) {
    x->is_quiet = true;
}

struct slice responses_encoder_output(const struct encoder *x) {
    return x->item.kind == OUT_NONE ? buf_slice(&x->transcript) : SLICE_NULL;
}

int responses_encoder_write_response(const struct encoder *x, struct buf *out) {
    if (!x->has_ended) return -ERR_PROTOCOL;
    struct json_writer w = jw_begin(out);
    w_final_response(x, &w);
    return jw_end(&w);
}
