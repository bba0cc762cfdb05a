/* SPDX-License-Identifier: Apache-2.0 */
/* The model's request as a messages body. What came in our own words and was not changed since goes
 * out as it came; requests of other dialects go as translation.md 1.3 to 1.10 says. */
#include <stdlib.h>

#include "dialect/json_text.h"
#include "dialect/messages/messages-request.h"
#include "dialect/peek.h"
#include "dialect/request_read.h"

/* ---- pieces ---- */

void messages_w_text(struct messages_writer *x, const char *json) {
    jw(&x->w, slice_cstr(json));
    x->has_member = true;
}

void messages_w_open(struct messages_writer *x, const char *bracket) {
    jw(&x->w, slice_cstr(bracket));
    x->has_member = false;
}

void messages_w_close(struct messages_writer *x, const char *bracket) {
    jw(&x->w, slice_cstr(bracket));
    x->has_member = true;
}

void messages_w_element(struct messages_writer *x) {
    if (x->has_member) jw(&x->w, SLICE(","));
    x->has_member = true;
}

static void w_key(struct messages_writer *x, struct slice name) {
    messages_w_element(x);
    jw_string(&x->w, name);
    jw(&x->w, SLICE(":"));
}

void messages_w_key(struct messages_writer *x, const char *name) {
    w_key(x, slice_cstr(name));
}

void messages_w_string(struct messages_writer *x, const char *name, struct slice value) {
    if (!value.ptr) return;
    messages_w_key(x, name);
    jw_string(&x->w, value);
}

static void w_raw(struct messages_writer *x, const char *name, struct slice json) {
    messages_w_key(x, name);
    jw_raw(&x->w, json);
}

static void w_true(struct messages_writer *x, const char *name) {
    messages_w_key(x, name);
    messages_w_text(x, "true");
}

void messages_w_fields(struct messages_writer *x, const struct field *f) {
    for (; f; f = f->next) {
        w_key(x, f->key);
        jw_raw(&x->w, f->value);
    }
}

void messages_drop(struct messages_writer *x, const char *name) {
    if (x->t) translation_drop(x->t, name);
}

struct slice messages_cache_control(const struct field *f) {
    for (; f; f = f->next) {
        if (slice_eq(f->key, SLICE("cache_control")) && json_text_is(f->value, '{'))
            return f->value;
    }
    return SLICE_NULL;
}

bool messages_is_said(struct slice value) {
    size_t at = value.len > 0 ? json_text_skip_space(value, 1) : 0;
    bool is_container = json_text_is(value, '{') || json_text_is(value, '[');
    if (value.len == 0 || json_text_is_null(value)) return false;
    return !is_container || (at < value.len && value.ptr[at] != '}' && value.ptr[at] != ']');
}

static bool is_from(const struct messages_writer *x, const char *dialect) {
    return x->rq->origin && strcmp(x->rq->origin, dialect) == 0;
}

/* ---- thinking (1.3) ---- */

static const struct effort {
    const char *name, *adaptive, *adaptive_low_top; /* without xhigh and max */
    int64_t budget_tokens;
} efforts[] = {
    {"minimal", "low", "low", 1024},      {"low", "low", "low", 1024},
    {"medium", "medium", "medium", 2048}, {"high", "high", "high", 4096},
    {"xhigh", "xhigh", "high", 8192},     {"max", "max", "high", 16384},
};
#define N_EFFORTS  (sizeof efforts / sizeof *efforts)
#define MIN_BUDGET 1024

static const struct effort *find_effort(struct slice name) {
    for (size_t i = 0; i < N_EFFORTS; i++) {
        if (slice_eq(name, slice_cstr(efforts[i].name))) return &efforts[i];
    }
    return NULL;
}

static const struct effort *effort_of_budget(int64_t budget_tokens) {
    size_t i = N_EFFORTS - 1;
    while (i > 0 && efforts[i].budget_tokens > budget_tokens)
        i--;
    return &efforts[i];
}

static const char *effort_name(const struct messages_writer *x) {
    if (is_from(x, "responses")) return "reasoning";
    return x->rq->reasoning.effort.len > 0 ? "reasoning_effort" : "thinking";
}

static const struct field *find_param(const struct messages_writer *x, const char *name) {
    for (const struct field *f = x->rq->params; f; f = f->next) {
        if (slice_eq(f->key, slice_cstr(name))) return f;
    }
    return NULL;
}

/* What the client asked for; `thinking` is an extension that chat clients send, too. */
static int read_ask(struct messages_writer *x, struct reasoning_ask *ask) {
    const struct field *f = find_param(x, "thinking");
    *ask = x->rq->reasoning;
    if (ask->thinking != THINKING_UNSET || !f || !messages_is_said(f->value)) return 0;
    return messages_read_thinking(f->value, x->a, ask, x->fault);
}

/* Budgets have a floor, and lie below max_tokens; the client's max_tokens stays. */
static void settle_budget(struct messages_writer *x, int64_t budget) {
    bool is_given = x->rq->env.max_tokens >= 0;
    if (budget < MIN_BUDGET) budget = MIN_BUDGET;
    if (is_given && budget >= x->max_tokens) budget = x->max_tokens - 1;
    if (budget < MIN_BUDGET || messages_lacks_reasoning(x)) {
        messages_drop(x, effort_name(x));
        return;
    }
    if (!is_given) x->max_tokens = budget + x->max_tokens;
    x->thinking = MESSAGES_THINKING_BUDGET;
    x->budget_tokens = budget;
}

static void settle_adaptive(struct messages_writer *x, const struct reasoning_ask *ask,
                            const struct effort *effort) {
    x->thinking = MESSAGES_THINKING_ADAPTIVE;
    if (effort)
        x->effort = slice_cstr(x->caps->top_effort ? effort->adaptive : effort->adaptive_low_top);
    if (ask->is_visible >= 0) x->display = ask->is_visible ? SLICE("summarized") : SLICE("omitted");
}

static int settle_thinking(struct messages_writer *x) {
    struct reasoning_ask ask;
    int rc = read_ask(x, &ask);
    if (rc) return rc;
    bool is_effort = ask.effort.len > 0 && !slice_eq(ask.effort, SLICE("default"));
    bool is_off = is_effort ? slice_eq(ask.effort, SLICE("none")) : ask.thinking == THINKING_OFF;
    const struct effort *effort = is_effort && !is_off ? find_effort(ask.effort) : NULL;
    if (is_effort && !is_off && !effort) {
        return request_refuse(
            x->fault, "invalid_value",
            is_from(x, "responses") ? "reasoning.effort" : "reasoning_effort",
            "Unknown reasoning effort '%.*s'. Supported values are: 'none', 'minimal', 'low', "
            "'medium', 'high', 'xhigh' and 'max'.",
            (int)(ask.effort.len < 32 ? ask.effort.len : 32), ask.effort.ptr);
    }
    bool is_asked = effort || ask.thinking == THINKING_BUDGET || ask.thinking == THINKING_ADAPTIVE;
    if (x->caps->thinking == THINKING_STYLE_NONE) {
        if (is_asked) messages_drop(x, effort_name(x));
    } else if (is_off) {
        x->thinking = MESSAGES_THINKING_OFF;
    } else if (is_asked && x->caps->thinking == THINKING_STYLE_ADAPTIVE) {
        if (!effort && ask.thinking == THINKING_BUDGET)
            effort = effort_of_budget(ask.budget_tokens);
        settle_adaptive(x, &ask, effort);
    } else if (is_asked) {
        int64_t budget = ask.thinking == THINKING_BUDGET ? ask.budget_tokens : 2048;
        settle_budget(x, effort ? effort->budget_tokens : budget);
    }
    return 0;
}

static bool is_thinking(const struct messages_writer *x) {
    return x->thinking >= MESSAGES_THINKING_ADAPTIVE;
}

static void w_thinking(struct messages_writer *x) {
    static const char *const types[] = {[MESSAGES_THINKING_OFF] = "disabled",
                                        [MESSAGES_THINKING_ADAPTIVE] = "adaptive",
                                        [MESSAGES_THINKING_BUDGET] = "enabled"};
    if (x->thinking == MESSAGES_THINKING_UNSAID) return;
    messages_w_key(x, "thinking");
    messages_w_open(x, "{");
    messages_w_string(x, "type", slice_cstr(types[x->thinking]));
    if (x->thinking == MESSAGES_THINKING_BUDGET) {
        messages_w_key(x, "budget_tokens");
        jw_int(&x->w, x->budget_tokens);
    }
    if (x->display.len > 0) messages_w_string(x, "display", x->display);
    messages_w_close(x, "}");
}

/* ---- structured output (1.10) ---- */

static void settle_format(struct messages_writer *x) {
    const struct output_format *f = &x->rq->format;
    bool has_schema = f->kind == FORMAT_JSON_SCHEMA && f->schema.len > 0;
    if (f->kind != FORMAT_JSON_OBJECT && f->kind != FORMAT_JSON_SCHEMA) return;
    if (x->t && x->t->json_tool.len > 0) return; /* a tool stands in for it */
    x->sends_format = has_schema && x->caps->output_format;
    if (x->sends_format) return;
    x->format_line = SLICE("Answer with one JSON object and nothing else: no text around it, no "
                           "code fence.");
    if (!has_schema) return;
    struct slice schema = messages_compact(f->schema, x->a);
    x->format_line = slice_cstr(arena_printf(x->a, "%.*s It must match this JSON Schema:\n%.*s",
                                             SLICE_FMT(x->format_line), SLICE_FMT(schema)));
}

static void w_output_config(struct messages_writer *x) {
    if (x->effort.len == 0 && !x->sends_format) return;
    messages_w_key(x, "output_config");
    messages_w_open(x, "{");
    if (x->effort.len > 0) messages_w_string(x, "effort", x->effort);
    if (x->sends_format) {
        messages_w_key(x, "format");
        messages_w_open(x, "{");
        messages_w_string(x, "type", SLICE("json_schema"));
        messages_w_key(x, "schema");
        if (x->caps->family == PROOF_ANTHROPIC)
            messages_w_output_schema(&x->w, x->rq->format.schema, x->a);
        else
            jw_raw(&x->w, x->rq->format.schema);
        messages_w_close(x, "}");
    }
    messages_w_close(x, "}");
}

/* ---- tools (1.5) ---- */

/* Of a choice among some: whether this tool is one of them. */
static bool is_allowed(const struct messages_writer *x, const struct tool *t) {
    if (x->rq->tool_choice != TOOL_CHOICE_ALLOWED) return true;
    for (unsigned i = 0; i < x->rq->n_allowed; i++) {
        if (slice_eq(x->rq->allowed[i], t->name)) return true;
    }
    return false;
}

static bool has_tool_named(const struct messages_writer *x, struct slice name) {
    for (const struct tool *t = x->rq->tools; t; t = t->next) {
        if (t->kind != TOOL_OTHER && slice_eq(t->name, name)) return true;
    }
    return false;
}

/* The one hosted tool that Anthropic has, too. */
static bool is_web_search(const struct messages_writer *x, const struct tool *t) {
    return t->kind == TOOL_OTHER && x->caps->family == PROOF_ANTHROPIC &&
           slice_starts_with(t->type, SLICE("web_search")) && is_from(x, "responses") &&
           !has_tool_named(x, SLICE("web_search"));
}

static void w_web_search(struct messages_writer *x, const struct tool *t) {
    struct slice filters = json_member(t->raw, SLICE("filters"), x->a);
    struct slice domains = json_member(filters, SLICE("allowed_domains"), x->a);
    struct slice place = json_member(t->raw, SLICE("user_location"), x->a);
    messages_w_string(x, "type", SLICE("web_search_20250305"));
    messages_w_string(x, "name", SLICE("web_search"));
    if (json_text_is(domains, '[') && messages_is_said(domains))
        w_raw(x, "allowed_domains", domains);
    if (json_text_is(place, '{')) w_raw(x, "user_location", place);
}

/* Chat asks for it with a member of the root; NULL: it does not, or is not heard. */
static struct slice search_options(const struct messages_writer *x) {
    const struct field *f = is_from(x, "chat") ? find_param(x, "web_search_options") : NULL;
    bool is_heard = f && json_text_is(f->value, '{') && x->caps->family == PROOF_ANTHROPIC &&
                    x->rq->tool_choice != TOOL_CHOICE_ALLOWED &&
                    !has_tool_named(x, SLICE("web_search"));
    return is_heard ? f->value : SLICE_NULL;
}

/* The place is one level deeper there: {"type":"approximate","approximate":{…}}. */
static void w_search_options(struct messages_writer *x, struct slice options) {
    struct slice place = json_member(options, SLICE("user_location"), x->a),
                 inner = json_member(place, SLICE("approximate"), x->a), key, value;
    struct json_walk w = json_walk_begin(inner);
    messages_w_element(x);
    messages_w_open(x, "{");
    messages_w_string(x, "type", SLICE("web_search_20250305"));
    messages_w_string(x, "name", SLICE("web_search"));
    if (json_text_is(inner, '{')) {
        messages_w_key(x, "user_location");
        messages_w_open(x, "{");
        messages_w_string(x, "type", SLICE("approximate"));
        while (json_walk_member(&w, &key, &value)) {
            struct field f = {.key = json_text_unescape(key, x->a), .value = value};
            if (!slice_eq(f.key, SLICE("type"))) messages_w_fields(x, &f);
        }
        messages_w_close(x, "}");
    }
    messages_w_close(x, "}");
}

/* A tool that takes free text, as a function of one string. */
static void w_custom(struct messages_writer *x, const struct tool *t) {
    struct slice format = messages_compact(t->format, x->a), text = t->description;
    if (json_text_is(format, '{') &&
        !slice_eq(json_member_string(format, SLICE("type"), x->a), SLICE("text"))) {
        text = slice_cstr(arena_printf(x->a, "%.*s\nThe input must have this format: %.*s",
                                       SLICE_FMT(text), SLICE_FMT(format)));
    }
    messages_w_string(x, "name", t->name);
    if (text.len > 0) messages_w_string(x, "description", text);
    w_raw(x, "input_schema",
          SLICE("{\"type\":\"object\",\"properties\":{\"input\":{\"type\":\"string\"}},"
                "\"required\":[\"input\"]}"));
}

static void w_function(struct messages_writer *x, const struct tool *t) {
    messages_w_string(x, "name", t->name);
    if (t->description.len > 0) messages_w_string(x, "description", t->description);
    messages_w_key(x, "input_schema");
    if (x->is_native)
        jw_raw(&x->w, t->parameters.len > 0 ? t->parameters : SLICE("null"));
    else
        messages_w_input_schema(&x->w, t->parameters, x->a);
    if (t->strict == 1) w_true(x, "strict");
}

static struct slice tool_cache_control(struct messages_writer *x, const struct tool *t) {
    struct slice own = messages_cache_control(t->extras);
    if (own.ptr) return own;
    struct slice outer = json_member(t->raw, SLICE("cache_control"), x->a);
    return json_text_is(outer, '{') ? outer : SLICE_NULL;
}

static void w_tool(struct messages_writer *x, const struct tool *t) {
    messages_w_element(x);
    if (x->is_native && t->raw.len > 0) {
        jw_raw(&x->w, t->raw);
        return;
    }
    messages_w_open(x, "{");
    if (t->kind == TOOL_FUNCTION)
        w_function(x, t);
    else if (t->kind == TOOL_CUSTOM)
        w_custom(x, t);
    else
        w_web_search(x, t);
    if (x->is_native) messages_w_fields(x, t->extras);
    struct slice cache = x->is_native ? SLICE_NULL : tool_cache_control(x, t);
    if (cache.ptr) w_raw(x, "cache_control", cache);
    messages_w_close(x, "}");
}

static bool is_writable(struct messages_writer *x, const struct tool *t) {
    if (x->is_native || t->kind != TOOL_OTHER) return is_allowed(x, t);
    if (is_web_search(x, t)) return x->rq->tool_choice != TOOL_CHOICE_ALLOWED;
    messages_drop(x, arena_printf(x->a, "tools[].%.*s", (int)(t->type.len < 64 ? t->type.len : 64),
                                  t->type.ptr ? t->type.ptr : ""));
    return false;
}

static bool is_call(const struct part *p) {
    return (p->kind == PART_TOOL_CALL || p->kind == PART_CUSTOM_TOOL_CALL ||
            p->kind == PART_FUNCTION_CALL) &&
           p->name.len > 0;
}

/* A history with calls wants definitions: of the first names seen. True: some were written. */
#define SYNTHESISED_MAX 128

static bool w_seen_tools(struct messages_writer *x) {
    struct slice seen[SYNTHESISED_MAX];
    unsigned n = 0;
    for (const struct message *m = x->rq->messages; m; m = m->next) {
        for (unsigned i = 0; i < m->n_parts && n < SYNTHESISED_MAX; i++) {
            struct slice name = m->parts[i].name;
            unsigned at = 0;
            if (!is_call(&m->parts[i])) continue;
            while (at < n && !slice_eq(seen[at], name))
                at++;
            if (at == n) seen[n++] = name;
        }
    }
    if (n == 0) return false;
    messages_w_key(x, "tools");
    messages_w_open(x, "[");
    for (unsigned i = 0; i < n; i++) {
        messages_w_element(x);
        messages_w_open(x, "{");
        messages_w_string(x, "name", seen[i]);
        w_raw(x, "input_schema", SLICE("{\"type\":\"object\",\"properties\":{}}"));
        messages_w_close(x, "}");
    }
    messages_w_close(x, "]");
    return true;
}

static void open_tools(struct messages_writer *x, unsigned n) {
    if (n > 0) return;
    messages_w_key(x, "tools");
    messages_w_open(x, "[");
}

/* True: there are some. */
static bool w_tools(struct messages_writer *x) {
    struct slice search = search_options(x);
    unsigned n = 0;
    for (const struct tool *t = x->rq->tools; t; t = t->next) {
        if (!is_writable(x, t)) continue;
        open_tools(x, n++);
        w_tool(x, t);
    }
    if (search.ptr) {
        open_tools(x, n++);
        w_search_options(x, search);
    }
    if (n > 0) messages_w_close(x, "]");
    return n > 0;
}

/* ---- tool_choice (1.4) ---- */

static bool is_forced(const struct llm_request *rq) {
    return rq->tool_choice == TOOL_CHOICE_REQUIRED || rq->tool_choice == TOOL_CHOICE_NAMED ||
           rq->tool_choice == TOOL_CHOICE_NAMED_CUSTOM;
}

static int refuse_choice(struct messages_writer *x, const char *why) {
    return request_refuse(x->fault, "invalid_value", "tool_choice", "Invalid 'tool_choice': %s",
                          why);
}

static const char *choice_type(const struct messages_writer *x) {
    switch (x->rq->tool_choice) {
    case TOOL_CHOICE_NONE: return "none";
    case TOOL_CHOICE_REQUIRED: return "any";
    case TOOL_CHOICE_NAMED:
    case TOOL_CHOICE_NAMED_CUSTOM: return "tool";
    case TOOL_CHOICE_ALLOWED: return x->rq->allowed_is_required ? "any" : "auto";
    case TOOL_CHOICE_ABSENT: return x->rq->parallel_tools == 0 ? "auto" : NULL;
    default: return "auto";
    }
}

static void w_choice(struct messages_writer *x) {
    const char *type = choice_type(x);
    if (!type) return;
    bool must_call = strcmp(type, "any") == 0 || strcmp(type, "tool") == 0;
    if (must_call && is_thinking(x)) {
        type = "auto"; /* thinking and a forced call exclude each other */
        messages_drop(x, "tool_choice");
    }
    messages_w_key(x, "tool_choice");
    messages_w_open(x, "{");
    messages_w_string(x, "type", slice_cstr(type));
    if (strcmp(type, "tool") == 0) messages_w_string(x, "name", x->rq->tool_choice_name);
    if (x->rq->parallel_tools == 0 && strcmp(type, "none") != 0)
        w_true(x, "disable_parallel_tool_use");
    messages_w_close(x, "}");
}

static int w_foreign_tools(struct messages_writer *x) {
    if (x->rq->tool_choice == TOOL_CHOICE_OTHER)
        return refuse_choice(x, "this model's provider does not have that tool.");
    if (w_tools(x)) {
        w_choice(x);
    } else if (x->rq->tool_choice == TOOL_CHOICE_ALLOWED && x->rq->tools) {
        return refuse_choice(x, "none of the allowed tools is among 'tools'.");
    } else if (is_forced(x->rq)) {
        return refuse_choice(x, "there is no tool that this model's provider could call.");
    } else if (w_seen_tools(x)) {
        w_raw(x, "tool_choice", SLICE("{\"type\":\"none\"}")); /* nobody could answer a call */
    }
    return 0;
}

/* ---- sampling (1.8) ---- */

static double number(struct slice s) {
    char text[64];
    if (s.len == 0 || s.len >= sizeof text) return 0;
    memcpy(text, s.ptr, s.len);
    text[s.len] = '\0';
    return strtod(text, NULL);
}

/* True: it was written. */
static bool w_temperature(struct messages_writer *x) {
    struct slice s = x->rq->temperature;
    double value = number(s);
    if (!s.ptr) return false;
    if (!x->caps->sampling || (is_thinking(x) && value != 1.0)) {
        messages_drop(x, "temperature");
        return false;
    }
    if (value > 1.0) s = SLICE("1.0");
    if (value < 0.0) s = SLICE("0");
    w_raw(x, "temperature", s);
    return true;
}

static void w_sampling(struct messages_writer *x) {
    const struct llm_request *rq = x->rq;
    bool has_temperature = w_temperature(x);
    double top_p = number(rq->top_p);
    bool takes_top_p =
        x->caps->sampling && !has_temperature && !(is_thinking(x) && (top_p < 0.95 || top_p > 1.0));
    if (rq->top_p.ptr && takes_top_p)
        w_raw(x, "top_p", rq->top_p);
    else if (rq->top_p.ptr)
        messages_drop(x, "top_p");
    if (rq->top_k.ptr && x->caps->sampling && !is_thinking(x))
        w_raw(x, "top_k", rq->top_k);
    else if (rq->top_k.ptr)
        messages_drop(x, "top_k");
}

/* ---- the rest ---- */

static void w_stop(struct messages_writer *x) {
    unsigned n = 0;
    for (unsigned i = 0; i < x->rq->n_stop; i++) {
        if (!x->is_native && slice_is_blank(x->rq->stop[i])) continue;
        if (n++ == 0) {
            messages_w_key(x, "stop_sequences");
            messages_w_open(x, "[");
        }
        messages_w_element(x);
        jw_string(&x->w, x->rq->stop[i]);
    }
    if (n > 0) messages_w_close(x, "]");
}

static void w_service_tier(struct messages_writer *x) {
    struct slice tier = x->rq->service_tier;
    if (tier.len == 0) return;
    if (slice_eq(tier, SLICE("auto")))
        messages_w_string(x, "service_tier", tier);
    else if (slice_eq(tier, SLICE("default")))
        messages_w_string(x, "service_tier", SLICE("standard_only"));
    else
        messages_drop(x, "service_tier");
}

static void w_user(struct messages_writer *x) {
    struct slice user = x->rq->user.len > 0 ? x->rq->user : x->rq->safety_identifier;
    if (user.len == 0) return;
    messages_w_key(x, "metadata");
    messages_w_open(x, "{");
    messages_w_string(x, "user_id", user);
    messages_w_close(x, "}");
}

/* Typed fields that have no word here. */
static void note_fields(struct messages_writer *x) {
    const struct llm_request *rq = x->rq;
    const struct {
        const char *name;
        bool is_there;
    } fields[] = {
        {"frequency_penalty", rq->frequency_penalty.ptr},
        {"logit_bias", messages_is_said(rq->logit_bias)},
        {"metadata", messages_is_said(rq->metadata)},
        {"presence_penalty", rq->presence_penalty.ptr},
        {"prompt_cache_key", rq->prompt_cache_key.len > 0},
        {"seed", rq->seed.ptr},
        {"store", rq->store == 1 && !is_from(x, "responses")},
        {"verbosity", rq->verbosity.len > 0},
    };
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        if (fields[i].is_there) messages_drop(x, fields[i].name);
    }
}

static void note_params(struct messages_writer *x) {
    bool searches = search_options(x).ptr;
    for (const struct field *f = x->rq->params; f; f = f->next) {
        bool is_search = slice_eq(f->key, SLICE("web_search_options")) &&
                         json_text_is(f->value, '{'); /* {} asks for it, too */
        if (is_search && searches) continue;
        if (f->is_understood || (!messages_is_said(f->value) && !is_search)) continue;
        if (slice_eq(f->key, SLICE("thinking")) && x->thinking != MESSAGES_THINKING_UNSAID)
            continue;
        if (x->t) translation_drop_slice(x->t, f->key);
    }
}

/* What would silently mean something else. */
static int check_fields(struct messages_writer *x) {
    const struct llm_request *rq = x->rq;
    if (rq->env.n > 1) {
        return request_refuse(x->fault, "unsupported_parameter", "n",
                              "This model's provider gives one answer a request: 'n' must be 1.");
    }
    if (rq->logprobs == 1 || rq->top_logprobs > 0) {
        return request_refuse(x->fault, "unsupported_parameter",
                              rq->logprobs == 1 ? "logprobs" : "top_logprobs",
                              "This model's provider does not tell log probabilities.");
    }
    if (rq->wants_audio) {
        return request_refuse(x->fault, "unsupported_parameter", "modalities",
                              "This model's provider does not answer in audio.");
    }
    return 0;
}

static void settle_max_tokens(struct messages_writer *x) {
    enum { OF_COMPLETIONS = 16, OTHERWISE = 4096 };
    int64_t usual = x->caps->default_max_tokens > 0 ? x->caps->default_max_tokens : OTHERWISE;
    if (x->rq->is_completion) usual = OF_COMPLETIONS;
    x->max_tokens = x->rq->env.max_tokens >= 0 ? x->rq->env.max_tokens : usual;
}

static int foreign(struct messages_writer *x) {
    int rc = check_fields(x);
    settle_max_tokens(x);
    if (rc == 0) rc = settle_thinking(x);
    if (rc) return rc;
    settle_format(x);
    messages_w_open(x, "{");
    messages_w_string(x, "model", x->rq->env.model);
    messages_w_key(x, "max_tokens");
    jw_int(&x->w, x->max_tokens);
    messages_w_turns(x);
    rc = x->refused ? x->refused : w_foreign_tools(x);
    if (rc) return rc;
    w_thinking(x);
    w_output_config(x);
    w_sampling(x);
    w_stop(x);
    w_service_tier(x);
    w_user(x);
    if (x->rq->cache_control.len > 0) w_raw(x, "cache_control", x->rq->cache_control);
    if (x->rq->env.stream) w_true(x, "stream");
    messages_w_close(x, "}");
    note_fields(x);
    note_params(x);
    return 0;
}

/* ---- our own dialect ---- */

static void native_choice(struct messages_writer *x) {
    if (x->rq->tool_choice_raw.len > 0)
        w_raw(x, "tool_choice", x->rq->tool_choice_raw);
    else
        w_choice(x);
}

/* The envelope's fields are what it says, the others as they came. */
static void native_params(struct messages_writer *x) {
    const struct envelope *env = &x->rq->env;
    bool has_stream = false, has_max = false;
    for (const struct field *f = x->rq->params; f; f = f->next) {
        int64_t n;
        bool is_stream = slice_eq(f->key, SLICE("stream"));
        bool is_max = slice_eq(f->key, SLICE("max_tokens"));
        w_key(x, f->key);
        if (is_stream && slice_eq(f->value, SLICE("true")) != env->stream)
            messages_w_text(x, env->stream ? "true" : "false");
        else if (is_max && env->max_tokens >= 0 &&
                 !(json_text_int(f->value, &n) && n == env->max_tokens))
            jw_int(&x->w, env->max_tokens);
        else
            jw_raw(&x->w, f->value);
        has_stream |= is_stream;
        has_max |= is_max;
    }
    if (env->stream && !has_stream) w_true(x, "stream");
    if (env->max_tokens < 0 || has_max) return;
    messages_w_key(x, "max_tokens");
    jw_int(&x->w, env->max_tokens);
}

static void native(struct messages_writer *x) {
    messages_w_open(x, "{");
    messages_w_string(x, "model", x->rq->env.model);
    messages_w_turns(x);
    w_tools(x);
    native_choice(x);
    w_stop(x);
    native_params(x);
    messages_w_close(x, "}");
}

int messages_encode_request(const struct llm_request *rq, struct translation *t, struct buf *out,
                            struct request_fault *fault) {
    static const struct capabilities plain = {.family = PROOF_ANTHROPIC,
                                              .thinking = THINKING_STYLE_BUDGET,
                                              .prefill = true,
                                              .sampling = true,
                                              .images_by_url = true};
    struct request_fault unread;
    struct messages_writer x = {.w = jw_begin(out),
                                .rq = rq,
                                .t = t,
                                .caps = t && t->caps ? t->caps : &plain,
                                .fault = fault ? fault : &unread,
                                .a = arena_new()};
    x.is_native = rq->origin && strcmp(rq->origin, dialect_messages.name) == 0;
    int rc = 0;
    if (x.is_native)
        native(&x);
    else
        rc = foreign(&x);
    if (rc == 0) rc = x.refused;
    if (rc) x.w.rc = rc; /* takes back what was written */
    arena_free(x.a);
    return jw_end(&x.w);
}
