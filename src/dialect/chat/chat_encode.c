/* SPDX-License-Identifier: Apache-2.0 */
/* Events to chunks, as strict as the strictest client wants them: the role once a choice, tool
 * indexes dense and in order, a call's id, type and name once in its first fragment, `usage` on
 * every chunk or on none, an empty delta on the finish chunk, the usage chunk without choices,
 * `[DONE]` last. One chunk an event, but that token probabilities wait for the next chunk of their
 * choice, and citations without a place for the end of their block.
 *
 * Of another dialect's answer: our own id and model; a call without arguments gets "{}"; proofs of
 * reasoning go into reasoning_details, with the text where the proof is a signature of it. */
#include "dialect/chat/chat-private.h"

#include <stdio.h>

#include "base/mem.h"
#include "dialect/encode_kept.h"

#define HELD_MAX_BYTES ((size_t)16 << 20)
#define PREFIX_MAX_BYTES ((size_t)64 << 10)
#define CITATIONS_MAX_BYTES ((size_t)1 << 20)

struct out_choice {
    uint16_t index, next_tool;
    bool has_function_call, has_function_args;
    uint32_t n_thoughts; /* blocks of reasoning; the last one's index is one less */
    /* The open text block, and the code points in front of it and in it: of other dialects only. */
    uint32_t text_block;
    int64_t text_start, text_len;
};

struct out_tool {
    uint32_t block;
    uint16_t index; /* on the wire */
    bool has_args;
};


struct encoder {
    struct buf id, model, system_fingerprint, service_tier; /* what to say where START does not */
    int64_t created;
    bool include_usage, is_over;
    enum chat_origin origin;
    struct buf citations; /* of cited_block: without a place yet, one a line */
    uint32_t cited_block;
    struct buf item_id;   /* of the last block of reasoning */
    struct buf prefix;   /* of every chunk, up to the choices: made once, at START */
    struct buf logprobs; /* waiting for the next chunk of logprobs_choice */
    uint16_t logprobs_choice;
    struct usage_kept usage;
    struct out_choice *choices;
    struct out_tool *tools; /* open ones */
    unsigned n_choices, n_tools;
};

struct encoder *chat_encoder_new(const struct encoder_options *o) {
    struct encoder *x = mem_zalloc(sizeof *x);
    option_keep(&x->id, o->id);
    option_keep(&x->model, o->model);
    option_keep(&x->system_fingerprint, o->system_fingerprint);
    option_keep(&x->service_tier, o->service_tier);
    x->created = o->created;
    x->include_usage = o->include_usage;
    buf_init(&x->prefix, PREFIX_MAX_BYTES * 16);
    buf_init(&x->logprobs, HELD_MAX_BYTES);
    usage_kept_init(&x->usage);
    buf_init(&x->citations, CITATIONS_MAX_BYTES);
    buf_init(&x->item_id, PREFIX_MAX_BYTES);
    return x;
}

void chat_encoder_free(struct encoder *x) {
    if (!x) return;
    buf_dispose(&x->id);
    buf_dispose(&x->model);
    buf_dispose(&x->system_fingerprint);
    buf_dispose(&x->service_tier);
    buf_dispose(&x->prefix);
    buf_dispose(&x->logprobs);
    usage_kept_dispose(&x->usage);
    buf_dispose(&x->citations);
    buf_dispose(&x->item_id);
    mem_free(x->choices);
    mem_free(x->tools);
    mem_free(x);
}

/* ---- chunks ---- */

static int make_prefix(struct encoder *x, const struct event_start *told) {
    static const struct event_start nothing = {.created = -1};
    if (x->prefix.len > 0) return 0;
    x->origin = chat_origin_of(told);
    if (!told) told = &nothing;
    struct json_writer w = jw_begin(&x->prefix);
    struct slice tier = x->service_tier.len > 0 ? buf_slice(&x->service_tier) : told->service_tier;
    jw(&w, SLICE("data: {\"id\":"));
    jw_string(&w, told_or_ours(x->origin == CHAT_FROM_CHAT, told->id, buf_slice(&x->id)));
    jw(&w, SLICE(",\"object\":\"chat.completion.chunk\",\"created\":"));
    if (told->created >= 0) x->created = told->created;
    jw_int(&w, x->created);
    jw(&w, SLICE(",\"model\":"));
    jw_string(&w, told_or_ours(x->origin == CHAT_FROM_CHAT, told->model, buf_slice(&x->model)));
    jw_member(&w, SLICE("service_tier"), tier);
    jw_member(&w, SLICE("system_fingerprint"), buf_slice(&x->system_fingerprint));
    jw(&w, SLICE(",\"choices\":["));
    return jw_end(&w);
}

static void begin_chunk(struct encoder *x, struct json_writer *w, uint16_t choice) {
    jw(w, buf_slice(&x->prefix));
    jw(w, SLICE("{\"index\":"));
    jw_int(w, choice);
    jw(w, SLICE(",\"delta\":{"));
}

static void w_logprobs(struct encoder *x, struct json_writer *w, uint16_t choice) {
    if (x->logprobs.len == 0 || x->logprobs_choice != choice) {
        jw(w, SLICE("},\"logprobs\":null,\"finish_reason\":"));
        return;
    }
    jw(w, SLICE("},\"logprobs\":"));
    jw(w, buf_slice(&x->logprobs));
    jw(w, SLICE(",\"finish_reason\":"));
    buf_reset(&x->logprobs);
}

static void end_chunk(struct encoder *x, struct json_writer *w, uint16_t choice,
                      struct slice finish_reason) {
    w_logprobs(x, w, choice);
    if (finish_reason.len > 0) {
        jw_string(w, finish_reason);
    } else {
        jw(w, SLICE("null"));
    }
    jw(w, x->include_usage ? SLICE("}],\"usage\":null}\n\n") : SLICE("}]}\n\n"));
}

/* The choice's state; its role chunk when it is new. */
static struct out_choice *open_choice(struct encoder *x, struct json_writer *w, uint16_t index) {
    for (unsigned i = 0; i < x->n_choices; i++) {
        if (x->choices[i].index == index) return &x->choices[i];
    }
    x->choices = mem_realloc(x->choices, (x->n_choices + 1) * sizeof *x->choices);
    struct out_choice *c = &x->choices[x->n_choices++];
    *c = (struct out_choice){.index = index};
    jw(w, buf_slice(&x->prefix));
    jw(w, SLICE("{\"index\":"));
    jw_int(w, index);
    jw(w, SLICE(",\"delta\":{\"role\":\"assistant\",\"content\":\"\",\"refusal\":null},"
                    "\"logprobs\":null,\"finish_reason\":null"));
    jw(w, x->include_usage ? SLICE("}],\"usage\":null}\n\n") : SLICE("}]}\n\n"));
    return c;
}

/* ---- tool calls ---- */

/* A further fragment of a call. */
static void tool_chunk(struct encoder *x, struct json_writer *w, const struct event *ev,
                       struct out_tool *tool, struct slice args) {
    begin_chunk(x, w, ev->choice);
    jw(w, SLICE("\"tool_calls\":[{\"index\":"));
    jw_int(w, tool->index);
    jw(w, ev->block_kind == BLOCK_CUSTOM_TOOL_CALL ? SLICE(",\"custom\":{\"input\":\"")
                                                   : SLICE(",\"function\":{\"arguments\":\""));
    jw_escaped(w, args);
    jw(w, SLICE("\"}}]"));
    end_chunk(x, w, ev->choice, SLICE(""));
    tool->has_args |= args.len > 0;
}

static void begin_tool(struct encoder *x, struct json_writer *w, const struct event *ev) {
    struct out_choice *c = open_choice(x, w, ev->choice);
    const struct event_begin *t = &ev->u.begin;
    char made[48];
    struct slice id = t->id;
    if (c->next_tool == CHAT_MAX_TOOLS) {
        w->rc = -ERR_LIMIT;
        return;
    }
    if (id.len == 0) {
        int n = snprintf(made, sizeof made, CHAT_TOOL_ID_FORMAT, (unsigned long long)x->created,
                         ev->block);
        id = slice_make(made, (size_t)n);
    }
    x->tools = mem_realloc(x->tools, (x->n_tools + 1) * sizeof *x->tools);
    struct out_tool *tool = &x->tools[x->n_tools++];
    *tool = (struct out_tool){.block = ev->block, .index = c->next_tool};
    begin_chunk(x, w, ev->choice);
    jw(w, SLICE("\"tool_calls\":[{\"index\":"));
    jw_int(w, c->next_tool++);
    jw_member(w, SLICE("id"), id);
    bool is_custom = ev->block_kind == BLOCK_CUSTOM_TOOL_CALL;
    jw(w, is_custom ? SLICE(",\"type\":\"custom\",\"custom\":{\"name\":")
                        : SLICE(",\"type\":\"function\",\"function\":{\"name\":"));
    jw_string(w, t->name);
    jw(w, is_custom ? SLICE(",\"input\":\"\"}}]") : SLICE(",\"arguments\":\"\"}}]"));
    end_chunk(x, w, ev->choice, SLICE(""));
    if (t->input_json.len > 0) tool_chunk(x, w, ev, tool, t->input_json);
}

static struct out_tool *find_tool(struct encoder *x, uint32_t block) {
    for (unsigned i = x->n_tools; i > 0; i--) {
        if (x->tools[i - 1].block == block) return &x->tools[i - 1];
    }
    return NULL;
}

static void on_tool_delta(struct encoder *x, struct json_writer *w, const struct event *ev) {
    struct out_tool *tool = find_tool(x, ev->block);
    if (tool) tool_chunk(x, w, ev, tool, ev->text);
    else w->rc = -ERR_PROTOCOL; /* a delta of a block that never began */
}

static void end_tool(struct encoder *x, struct json_writer *w, const struct event *ev) {
    struct out_tool *tool = find_tool(x, ev->block);
    if (!tool) return;
    bool must_say = x->origin != CHAT_FROM_CHAT && ev->block_kind == BLOCK_TOOL_CALL;
    if (must_say && !tool->has_args) tool_chunk(x, w, ev, tool, SLICE("{}"));
    *tool = x->tools[--x->n_tools];
}

/* ---- one function an event ---- */

/* What goes around the text, for the kinds that are one string. */
static struct slice text_open(enum block_kind kind) {
    switch (kind) {
    case BLOCK_TEXT: return SLICE("\"content\":\"");
    case BLOCK_REASONING: return SLICE("\"reasoning_content\":\"");
    case BLOCK_REFUSAL: return SLICE("\"refusal\":\"");
    case BLOCK_FUNCTION_CALL: return SLICE("\"function_call\":{\"arguments\":\"");
    case BLOCK_AUDIO: return SLICE("\"audio\":{\"transcript\":\"");
    default: return SLICE_NULL;
    }
}

static int64_t code_points(struct slice text) {
    int64_t n = 0;
    for (size_t i = 0; i < text.len; i++) n += ((unsigned char)text.ptr[i] & 0xc0) != 0x80;
    return n;
}

/* The last block of reasoning's index. */
static void w_thought_index(struct json_writer *w, const struct out_choice *c) {
    jw(w, SLICE(",\"index\":"));
    jw_int(w, c->n_thoughts > 0 ? c->n_thoughts - 1 : 0);
    jw(w, SLICE("}]"));
}

static void text_chunk(struct encoder *x, struct json_writer *w, const struct event *ev,
                       struct slice text) {
    struct slice open = text_open(ev->block_kind);
    struct out_choice *c = open_choice(x, w, ev->choice);
    bool is_nested = ev->block_kind == BLOCK_FUNCTION_CALL || ev->block_kind == BLOCK_AUDIO;
    begin_chunk(x, w, ev->choice);
    jw(w, open);
    jw_escaped(w, text);
    jw(w, is_nested ? SLICE("\"}") : SLICE("\""));
    if (x->origin == CHAT_FROM_MESSAGES && ev->block_kind == BLOCK_REASONING) {
        /* its signature will follow: both must come back together */
        jw(w, SLICE(",\"reasoning_details\":[{\"type\":\"reasoning.text\",\"text\":\""));
        jw_escaped(w, text);
        jw(w, SLICE("\""));
        w_thought_index(w, c);
    }
    end_chunk(x, w, ev->choice, SLICE(""));
    if (x->origin != CHAT_FROM_CHAT && ev->block_kind == BLOCK_TEXT)
        c->text_len += code_points(text);
    c->has_function_args |= ev->block_kind == BLOCK_FUNCTION_CALL;
}

static void begin_text(struct out_choice *c, uint32_t block) {
    c->text_start += c->text_len;
    c->text_len = 0;
    c->text_block = block;
}

static void begin_thought(struct encoder *x, struct out_choice *c, const struct event *ev) {
    c->n_thoughts++;
    buf_reset(&x->item_id);
    if (buf_append(&x->item_id, ev->u.begin.item_id)) buf_reset(&x->item_id); /* absurdly long */
}

static void on_begin(struct encoder *x, struct json_writer *w, const struct event *ev) {
    switch (ev->block_kind) {
    case BLOCK_TOOL_CALL:
    case BLOCK_CUSTOM_TOOL_CALL: begin_tool(x, w, ev); break;
    case BLOCK_FUNCTION_CALL:
        open_choice(x, w, ev->choice)->has_function_call = true;
        begin_chunk(x, w, ev->choice);
        jw(w, SLICE("\"function_call\":{\"name\":"));
        jw_string(w, ev->u.begin.name);
        jw(w, SLICE(",\"arguments\":\"\"}"));
        end_chunk(x, w, ev->choice, SLICE(""));
        if (ev->u.begin.input_json.len > 0) text_chunk(x, w, ev, ev->u.begin.input_json);
        break;
    case BLOCK_AUDIO:
        open_choice(x, w, ev->choice);
        begin_chunk(x, w, ev->choice);
        jw(w, SLICE("\"audio\":{\"id\":"));
        jw_string(w, ev->u.begin.id);
        jw(w, SLICE("}"));
        end_chunk(x, w, ev->choice, SLICE(""));
        break;
    case BLOCK_REASONING:
    case BLOCK_REDACTED: begin_thought(x, open_choice(x, w, ev->choice), ev); break;
    case BLOCK_TEXT: begin_text(open_choice(x, w, ev->choice), ev->block); break;
    default: open_choice(x, w, ev->choice); break;
    }
}

static void on_delta(struct encoder *x, struct json_writer *w, const struct event *ev) {
    bool is_tool = ev->block_kind == BLOCK_TOOL_CALL || ev->block_kind == BLOCK_CUSTOM_TOOL_CALL;
    if (ev->flags & EVF_RECAP || ev->text.len == 0) return;
    if (is_tool) on_tool_delta(x, w, ev);
    else if (text_open(ev->block_kind).len > 0) text_chunk(x, w, ev, ev->text);
}

/* A further part of a summary: who reads one text gets a blank line. */
static void on_part(struct encoder *x, struct json_writer *w, const struct event *ev) {
    if (ev->block_kind == BLOCK_REASONING) text_chunk(x, w, ev, SLICE("\n\n"));
}

/* Responses seals a summary with encrypted content, which has an id; the others sign the text. */
static void on_signature(struct encoder *x, struct json_writer *w, const struct event *ev) {
    if (ev->text.len == 0) return;
    struct out_choice *c = open_choice(x, w, ev->choice);
    bool is_sealed = ev->block_kind == BLOCK_REDACTED || x->origin == CHAT_FROM_RESPONSES;
    begin_chunk(x, w, ev->choice);
    jw(w, SLICE("\"reasoning_details\":[{\"type\":"));
    jw(w, is_sealed ? SLICE("\"reasoning.encrypted\",\"data\":")
                    : SLICE("\"reasoning.text\",\"signature\":"));
    jw_string(w, ev->text);
    if (is_sealed) jw_member(w, SLICE("id"), buf_slice(&x->item_id));
    else if (x->origin == CHAT_FROM_MESSAGES) jw_member(w, SLICE("format"), CHAT_SIGNATURE_FORMAT);
    w_thought_index(w, c);
    end_chunk(x, w, ev->choice, SLICE(""));
}

static void flush_logprobs(struct encoder *x, struct json_writer *w) {
    if (x->logprobs.len == 0) return;
    begin_chunk(x, w, x->logprobs_choice);
    end_chunk(x, w, x->logprobs_choice, SLICE(""));
}

static void on_logprobs(struct encoder *x, struct json_writer *w, const struct event *ev) {
    bool is_refusal = ev->block_kind == BLOCK_REFUSAL;
    open_choice(x, w, ev->choice);
    flush_logprobs(x, w);
    struct json_writer held = jw_begin(&x->logprobs);
    jw(&held, is_refusal ? SLICE("{\"content\":null,\"refusal\":") : SLICE("{\"content\":"));
    if (x->origin == CHAT_FROM_CHAT) jw_raw(&held, ev->raw_json);
    else chat_w_tokens(&held, ev->raw_json);
    jw(&held, is_refusal ? SLICE("}") : SLICE(",\"refusal\":null}"));
    x->logprobs_choice = ev->choice;
    if (jw_end(&held)) w->rc = held.rc;
}

/* ---- annotations ---- */

static void annotation_chunk(struct encoder *x, struct json_writer *w, uint16_t choice,
                             const struct annotation *a, struct slice raw) {
    begin_chunk(x, w, choice);
    jw(w, SLICE("\"annotations\":["));
    if (raw.len > 0) jw_raw(w, raw);
    else chat_w_citation(w, a);
    jw(w, SLICE("]"));
    end_chunk(x, w, choice, SLICE(""));
}

/* Its place is its block's, which is not over yet. */
static void hold_citation(struct encoder *x, const struct event *ev) {
    size_t before = x->citations.len;
    if (before > 0 && x->cited_block != ev->block) return;
    struct json_writer held = jw_begin(&x->citations);
    x->cited_block = ev->block;
    jw_string(&held, ev->u.annotation.url);
    jw(&held, SLICE("\n"));
    jw_string(&held, ev->u.annotation.title);
    jw(&held, SLICE("\n"));
    if (jw_end(&held)) return; /* more than anyone reads: left out */
}

static void on_annotation(struct encoder *x, struct json_writer *w, const struct event *ev) {
    struct out_choice *c = open_choice(x, w, ev->choice);
    struct annotation a = ev->u.annotation;
    if (x->origin == CHAT_FROM_CHAT) {
        annotation_chunk(x, w, ev->choice, NULL, ev->raw_json);
    } else if (a.kind == ANNOTATION_URL && a.url.len > 0 && ev->block == c->text_block) {
        if (a.start < 0 || a.end < a.start) {
            hold_citation(x, ev);
            return;
        }
        a.start += c->text_start;
        a.end += c->text_start;
        annotation_chunk(x, w, ev->choice, &a, SLICE_NULL);
    }
}

static struct slice next_line(struct slice *rest) {
    size_t end = (size_t)slice_index(*rest, '\n');
    struct slice line = slice_sub(*rest, 0, end);
    *rest = slice_from(*rest, end + 1);
    return line;
}

static void end_text(struct encoder *x, struct json_writer *w, const struct event *ev) {
    struct slice held = buf_slice(&x->citations);
    if (held.len == 0 || x->cited_block != ev->block) return;
    const struct out_choice *c = open_choice(x, w, ev->choice);
    begin_chunk(x, w, ev->choice);
    for (unsigned n = 0; held.len > 0; n++) {
        struct slice url = next_line(&held), title = next_line(&held);
        jw(w, n == 0 ? SLICE("\"annotations\":[") : SLICE(","));
        chat_w_citation_json(w, url, title, c->text_start, c->text_start + c->text_len);
    }
    jw(w, SLICE("]"));
    end_chunk(x, w, ev->choice, SLICE(""));
    buf_reset(&x->citations);
}

static void end_function(struct encoder *x, struct json_writer *w, const struct event *ev) {
    bool has_args = open_choice(x, w, ev->choice)->has_function_args;
    if (x->origin != CHAT_FROM_CHAT && !has_args) text_chunk(x, w, ev, SLICE("{}"));
}

static void on_block_end(struct encoder *x, struct json_writer *w, const struct event *ev) {
    if (ev->block_kind == BLOCK_TEXT) end_text(x, w, ev);
    else if (ev->block_kind == BLOCK_FUNCTION_CALL) end_function(x, w, ev);
    else end_tool(x, w, ev);
}

static void on_opaque(struct encoder *x, struct json_writer *w, const struct event *ev) {
    if (x->origin != CHAT_FROM_CHAT || ev->block_kind != BLOCK_AUDIO || ev->raw_json.len == 0)
        return;
    open_choice(x, w, ev->choice);
    begin_chunk(x, w, ev->choice);
    jw(w, ev->raw_json.ptr[0] == '"' ? SLICE("\"audio\":{\"data\":")
                                         : SLICE("\"audio\":{\"expires_at\":"));
    jw_raw(w, ev->raw_json);
    jw(w, SLICE("}"));
    end_chunk(x, w, ev->choice, SLICE(""));
}

static void on_error(struct encoder *x, struct json_writer *w, const struct api_error *er) {
    if (w->rc == 0) w->rc = chat_encode_error_event(er, NULL, w->out);
    x->is_over = true;
}

static void on_finish(struct encoder *x, struct json_writer *w, const struct event *ev) {
    if (ev->u.finish.reason == STOP_ERROR) {
        struct api_error er = {.status = 502,
                               .message = SLICE("the upstream ended the answer with an error"),
                               .type = SLICE("server_error"),
                               .code = SLICE("upstream_error")};
        on_error(x, w, &er);
        return;
    }
    bool has_function_call = open_choice(x, w, ev->choice)->has_function_call;
    begin_chunk(x, w, ev->choice);
    end_chunk(x, w, ev->choice, chat_finish_word(&ev->u.finish, has_function_call));
}

static void on_usage(struct encoder *x, const struct event *ev) {
    bool is_told = ev->u.usage.in_total >= 0 || ev->u.usage.out_total >= 0;
    if (!x->include_usage || !is_told) return;
    usage_keep(&x->usage, &ev->u.usage);
}

static void on_end(struct encoder *x, struct json_writer *w) {
    flush_logprobs(x, w);
    chat_w_end(w, buf_slice(&x->prefix), usage_kept(&x->usage));
    x->is_over = true;
}

static void write_event(struct encoder *x, struct json_writer *w, const struct event *ev) {
    switch (ev->kind) {
    case EV_START: open_choice(x, w, ev->choice); break;
    case EV_BLOCK_BEGIN: on_begin(x, w, ev); break;
    case EV_DELTA: on_delta(x, w, ev); break;
    case EV_SIGNATURE: on_signature(x, w, ev); break;
    case EV_LOGPROBS: on_logprobs(x, w, ev); break;
    case EV_ANNOTATION: on_annotation(x, w, ev); break;
    case EV_BLOCK_END: on_block_end(x, w, ev); break;
    case EV_FINISH: on_finish(x, w, ev); break;
    case EV_USAGE: on_usage(x, ev); break;
    case EV_ERROR: on_error(x, w, &ev->u.error); break;
    case EV_PART: on_part(x, w, ev); break;
    case EV_PING: jw(w, SSE_HEARTBEAT); break;
    case EV_OPAQUE: on_opaque(x, w, ev); break;
    case EV_END: on_end(x, w); break;
    case EV_KIND_COUNT: break;
    }
}

int chat_encoder_event(struct encoder *x, const struct event *ev, struct buf *out) {
    if (x->is_over) return 0;
    struct json_writer w = jw_begin(out);
    if (x->prefix.len == 0 && ev->kind != EV_PING)
        w.rc = make_prefix(x, ev->kind == EV_START ? &ev->u.start : NULL);
    if (w.rc == 0) write_event(x, &w, ev);
    return jw_end(&w);
}
