/* SPDX-License-Identifier: Apache-2.0 */
/* The table of rules, and what is done with violations. */
#include "mock/validate-private.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "dialect/json_write.h"

enum { MESSAGE_BYTES = 400, NUMBER_BYTES = 40 };

const struct rule validate_rules[RULE_COUNT] = {
    [RULE_UNREADABLE] = {"unreadable", RULE_ALL, RULE_ERROR, NULL, 0,
                         "The request cannot be read: no JSON, a required member is missing, or one "
                         "is of a wrong type. Always refused."},
    [RULE_HISTORY] = {"history", RULE_TALKS, RULE_ERROR, NULL, 0,
                      "The conversation does not fit together: a call without its result, a result "
                      "that nobody asked for, a thought or encrypted content that came back changed, "
                      "thinking with settings that exclude it. Always refused."},
    [RULE_CONTENT_TYPE] = {"content-type", RULE_ALL, RULE_ERROR, "unsupported_content_type", 415,
                           "The `content-type` is not `application/json`."},
    [RULE_VERSION_HEADER] = {"version-header", RULE_MESSAGES, RULE_ERROR, NULL, 0,
                             "The header `anthropic-version` is missing."},

    [RULE_UNKNOWN_PARAMETER] = {"unknown-parameter", RULE_ALL, RULE_WARNING, "unknown_parameter", 0,
                                "A member that the API does not know: a typing error, or another "
                                "provider's."},
    [RULE_TYPE] = {"type", RULE_ALL, RULE_ERROR, "invalid_type", 0,
                   "A parameter is of a wrong type."},
    [RULE_RANGE] = {"range", RULE_ALL, RULE_ERROR, "invalid_value", 0,
                    "A number is outside of its range: `temperature`, `top_p`, `n`, penalties, token "
                    "bounds …"},
    [RULE_CHOICE] = {"choice", RULE_ALL, RULE_ERROR, "invalid_value", 0,
                     "A word is not among those that the parameter takes."},
    [RULE_LENGTH] = {"length", RULE_ALL, RULE_ERROR, "array_above_max_length", 0,
                     "A list or a text is longer than the API takes: more than 4 `stop` sequences, "
                     "128 tools, names of 64 characters …"},
    [RULE_MISSING] = {"missing", RULE_ALL, RULE_ERROR, "missing_required_parameter", 0,
                      "A member that is needed where it stands is missing."},
    [RULE_METADATA] = {"metadata", RULE_ALL, RULE_ERROR, "invalid_value", 0,
                       "`metadata` has more than 16 pairs, a key above 64 or a value above 512 "
                       "characters, or a value that is no string. Messages: anything but `user_id`."},
    [RULE_LOGIT_BIAS] = {"logit-bias", RULE_CHAT | RULE_COMPLETIONS, RULE_ERROR, "invalid_value", 0,
                         "A key of `logit_bias` is no token id, or a value is not from -100 to 100."},
    [RULE_DEPRECATED] = {"deprecated", RULE_CHAT, RULE_WARNING, NULL, 0,
                         "`functions` and `function_call`: `tools` and `tool_choice` have taken their "
                         "place."},

    [RULE_STREAM_OPTIONS] = {"stream-options", RULE_RESPONSES, RULE_ERROR, NULL, 0,
                             "`stream_options` without `stream`. (Chat and completions always refuse "
                             "it.)"},
    [RULE_TOP_LOGPROBS] = {"top-logprobs", RULE_CHAT, RULE_ERROR, NULL, 0,
                           "`top_logprobs` without `logprobs`."},
    [RULE_TWO_MAX_TOKENS] = {"two-max-tokens", RULE_CHAT, RULE_ERROR,
                             "invalid_parameter_combination", 0,
                             "`max_tokens` and `max_completion_tokens` at the same time."},
    [RULE_REASONING_MAX_TOKENS] = {"reasoning-max-tokens", RULE_CHAT, RULE_ERROR,
                                   "unsupported_parameter", 0,
                                   "`max_tokens` with a model that reasons: it wants "
                                   "`max_completion_tokens`."},
    [RULE_REASONING_SAMPLING] = {"reasoning-sampling", RULE_CHAT | RULE_RESPONSES, RULE_ERROR,
                                 "unsupported_value", 0,
                                 "`temperature`, `top_p`, penalties, `logprobs` or `logit_bias` with a "
                                 "model that reasons."},
    [RULE_NO_REASONING] = {"no-reasoning", RULE_CHAT | RULE_RESPONSES, RULE_ERROR,
                           "unsupported_parameter", 0,
                           "An effort of reasoning is asked of a model that does not reason."},
    [RULE_SAMPLING_TWICE] = {"sampling-twice", RULE_MESSAGES, RULE_WARNING, NULL, 0,
                             "`temperature` and `top_p` at the same time: newer models refuse it."},
    [RULE_JSON_WORD] = {"json-word", RULE_CHAT | RULE_RESPONSES, RULE_ERROR, NULL, 0,
                        "A JSON object is asked for, and no message has the word \"json\" in it."},

    [RULE_EMPTY_CONTENT] = {"empty-content", RULE_CHAT | RULE_MESSAGES, RULE_ERROR, NULL, 0,
                            "A message without content, or a text block that is empty or blank, where "
                            "the API wants one."},
    [RULE_FIRST_MESSAGE] = {"first-message", RULE_MESSAGES, RULE_WARNING, NULL, 0,
                            "The first message is the assistant's: some models refuse it."},
    [RULE_PREFILL] = {"prefill", RULE_MESSAGES, RULE_ERROR, NULL, 0,
                      "The beginning of an answer (a last message of the assistant's) that ends in "
                      "white space, or is given while thinking is on."},
    [RULE_PART_TYPE] = {"part-type", RULE_TALKS, RULE_ERROR, "invalid_value", 0,
                        "A part or block of a type that the API does not know, or that does not "
                        "belong to its role."},
    [RULE_IMAGE] = {"image", RULE_TALKS, RULE_ERROR, "invalid_image_url", 0,
                    "An image without a source, or whose address is neither `https://` nor a `data:` "
                    "URL with base64, or of a type that is not taken."},
    [RULE_FILE] = {"file", RULE_TALKS, RULE_ERROR, "invalid_value", 0,
                   "A file or document without an id, an address or data; data without a name."},
    [RULE_AUDIO] = {"audio", RULE_CHAT, RULE_ERROR, "invalid_value", 0,
                    "Audio without data, or in another format than `wav` or `mp3`."},
    [RULE_ARGUMENTS] = {"arguments", RULE_CHAT | RULE_RESPONSES, RULE_WARNING, NULL, 0,
                        "The arguments of a call in the history are no JSON object."},
    [RULE_RESULTS_FIRST] = {"results-first", RULE_MESSAGES, RULE_ERROR, NULL, 0,
                            "In a turn of the user's, something stands before a `tool_result`."},
    [RULE_CACHE_POINTS] = {"cache-points", RULE_MESSAGES, RULE_ERROR, NULL, 0,
                           "More than 4 blocks have a `cache_control`."},

    [RULE_TOOL_NAME] = {"tool-name", RULE_TALKS, RULE_ERROR, "invalid_value", 0,
                        "A tool's name is missing, or does not match `^[a-zA-Z0-9_-]{1,64}$` "
                        "(Messages: 128)."},
    [RULE_TOOL_TWICE] = {"tool-twice", RULE_TALKS, RULE_ERROR, NULL, 0,
                         "Two tools have one name."},
    [RULE_TOOL_PARAMETERS] = {"tool-parameters", RULE_TALKS, RULE_ERROR,
                              "invalid_function_parameters", 0,
                              "A tool's schema is missing (Messages) or is not of `\"type\": "
                              "\"object\"`."},
    [RULE_TOOL_CHOICE] = {"tool-choice", RULE_TALKS, RULE_ERROR, NULL, 0,
                          "`tool_choice` or `parallel_tool_calls` without tools."},
    [RULE_TOOL_CHOICE_UNKNOWN] = {"tool-choice-unknown", RULE_TALKS, RULE_ERROR, NULL, 0,
                                  "`tool_choice` names a tool that is not offered."},
    [RULE_CALL_IDS] = {"call-ids", RULE_CHAT | RULE_RESPONSES, RULE_WARNING, NULL, 0,
                       "Two calls of the history have one id."},
    [RULE_USE_IDS] = {"use-ids", RULE_MESSAGES, RULE_ERROR, NULL, 0,
                      "Two `tool_use` blocks of the history have one id."},
    [RULE_STRICT_SCHEMA] = {"strict-schema", RULE_TALKS, RULE_ERROR, NULL, 0,
                            "A schema that is to be kept strictly does not say "
                            "`\"additionalProperties\": false` of an object, or does not require all "
                            "of its properties; its root is no object; a schema has no name."},
};

/* ---- places ---- */

bool is_said(struct slice value) {
    return value.ptr && !json_text_is_null(value);
}

struct slice member_of(struct check *c, struct slice object, const char *name) {
    return json_member(object, slice_cstr(name), c->a);
}

struct slice string_in(struct check *c, struct slice object, const char *name) {
    return json_member_string(object, slice_cstr(name), c->a);
}

bool is_word(const char *words, struct slice word) {
    for (const char *w = words; *w;) {
        size_t len = strcspn(w, "|");
        if (slice_eq(word, slice_make(w, len))) return true;
        w += len + (w[len] == '|');
    }
    return false;
}

double number_of(struct slice spelt) {
    char text[NUMBER_BYTES];
    int len = (int)(spelt.len < NUMBER_BYTES ? spelt.len : NUMBER_BYTES - 1);
    snprintf(text, sizeof text, "%.*s", len, spelt.len ? spelt.ptr : "");
    return strtod(text, NULL);
}

unsigned count_elements(struct slice array) {
    struct json_walk w = json_walk_begin(array);
    struct slice one;
    unsigned n = 0;
    while (json_text_is(array, '[') && json_walk_element(&w, &one)) n++;
    return n;
}

const char *place_of(struct check *c, const char *path, const char *name) {
    return path[0] ? arena_printf(c->a, "%s.%s", path, name) : name;
}

const char *place_at(struct check *c, const char *path, unsigned i) {
    return arena_printf(c->a, "%s[%u]", path, i);
}

const char *dotted(struct check *c, const char *path) {
    char *to = arena_printf(c->a, "%s", path), *at = to;
    for (const char *from = path; *from; from++) {
        if (*from != ']') *at++ = *from == '[' ? '.' : *from;
    }
    *at = '\0';
    return to;
}

/* ---- violations ---- */

static void add(struct violations *v, struct arena *a, enum rule_id rule, const char *code,
                const char *path, const char *message) {
    v->n++;
    v->n_errors += validate_rules[rule].severity == RULE_ERROR;
    if (v->n > VIOLATIONS_MAX) {
        return;
    }
    struct violation *one = arena_alloc(a, sizeof *one);
    *one = (struct violation){.rule = rule, .path = path, .message = message, .code = code,
                              .param = path[0] ? path : NULL};
    if (v->last) v->last->next = one;
    else v->first = one;
    v->last = one;
}

static void violate_list(struct check *c, enum rule_id rule, const char *code, const char *path,
                         const char *format, va_list args) {
    char text[MESSAGE_BYTES];
    if (c->out->n >= VIOLATIONS_MAX) {
        c->out->n++;
        c->out->n_errors += validate_rules[rule].severity == RULE_ERROR;
        return;
    }
    vsnprintf(text, sizeof text, format, args);
    struct slice message = slice_cstr(text);
    message.len = slice_utf8_valid(message);
    add(c->out, c->a, rule, code, path, arena_dup(c->a, message).ptr);
}

void violate(struct check *c, enum rule_id rule, const char *path, const char *format, ...) {
    va_list args;
    va_start(args, format);
    violate_list(c, rule, validate_rules[rule].code, path, format, args);
    va_end(args);
}

void violate_code(struct check *c, enum rule_id rule, const char *code, const char *path,
                  const char *format, ...) {
    va_list args;
    va_start(args, format);
    violate_list(c, rule, code, path, format, args);
    va_end(args);
}

void violate_missing(struct check *c, const char *path) {
    if (c->is_anthropic) violate(c, RULE_MISSING, path, "%s: Field required", dotted(c, path));
    else violate(c, RULE_MISSING, path, "Missing required parameter: '%s'.", path);
}

void violate_type(struct check *c, const char *path, const char *expected, struct slice got) {
    if (c->is_anthropic) {
        const char *noun = strchr(expected, ' ');
        violate(c, RULE_TYPE, path, "%s: Input should be a valid %s", dotted(c, path),
                noun ? noun + 1 : expected);
        return;
    }
    violate(c, RULE_TYPE, path, "Invalid type for '%s': expected %s, but got %s instead.", path,
            expected, json_text_type(got));
}

/* "low|medium|high" as "'low', 'medium' and 'high'". */
static const char *words_listed(struct check *c, const char *words, const char *last) {
    struct buf b;
    int rc = 0;
    buf_init(&b, MESSAGE_BYTES);
    for (const char *w = words; *w;) {
        size_t len = strcspn(w, "|");
        bool is_last = w[len] == '\0';
        rc |= b.len == 0 ? 0 : buf_appendf(&b, "%s", is_last ? last : ", ");
        rc |= buf_appendf(&b, "'%.*s'", (int)len, w);
        w += len + !is_last;
    }
    const char *text = rc ? words : arena_dup(c->a, buf_slice(&b)).ptr;
    buf_dispose(&b);
    return text;
}

void violate_choice(struct check *c, enum rule_id rule, const char *path, struct slice got,
                    const char *words) {
    if (c->is_anthropic) {
        violate(c, rule, path, "%s: Input should be %s", dotted(c, path),
                words_listed(c, words, " or "));
    } else {
        violate(c, rule, path, "Invalid value: '%.*s'. Supported values are: %s.", SHOW(got),
                words_listed(c, words, " and "));
    }
}

void validate_refused(struct violations *v, enum rule_id rule, const struct request_fault *fault,
                      struct arena *a) {
    const char *param = arena_printf(a, "%s", fault->param);
    add(v, a, rule, fault->code, param, arena_printf(a, "%s", fault->message));
}

const struct violation *validate_error(const struct violations *v) {
    const struct violation *at = v->first;
    while (at && validate_rules[at->rule].severity != RULE_ERROR) at = at->next;
    return at;
}

void validate_api_error(const struct violation *v, struct api_error *out) {
    unsigned status = validate_rules[v->rule].status;
    *out = (struct api_error){.status = status > 0 ? status : 400,
                              .message = slice_cstr(v->message),
                              .type = SLICE("invalid_request_error"),
                              .code = slice_cstr(v->code),
                              .param = slice_cstr(v->param)};
}

/* ---- headers ---- */

static void check_headers(struct check *c) {
    const struct http_headers *h = c->in->headers;
    if (!h) {
        return;
    }
    struct slice type = http_headers_get(h, SLICE("content-type")), json = SLICE("application/json");
    struct slice media = slice_sub(type, 0, json.len);
    if (!slice_eq_nocase(media, json)) {
        violate(c, RULE_CONTENT_TYPE, "",
                "Unsupported content type: '%.*s'. This API method only accepts "
                "'application/json' requests.",
                SHOW(type));
    }
    if (c->is_anthropic && !http_headers_get(h, SLICE("anthropic-version")).ptr) {
        violate(c, RULE_VERSION_HEADER, "", "anthropic-version: header is required");
    }
}

/* ---- all of it ---- */

static unsigned bit_of(const struct dialect *d) {
    return d == &dialect_messages      ? RULE_MESSAGES
           : d == &dialect_responses   ? RULE_RESPONSES
           : d == &dialect_completions ? RULE_COMPLETIONS
                                       : RULE_CHAT;
}

void validate_request(const struct validate_request *in, struct arena *a, struct violations *out) {
    struct check c = {.in = in,
                      .a = a,
                      .out = out,
                      .dialect = bit_of(in->api->dialect),
                      .is_anthropic = in->api->is_anthropic};
    check_headers(&c);
    check_params(&c);
    check_settings(&c);
    switch (c.dialect) {
    case RULE_CHAT: check_chat_messages(&c); break;
    case RULE_RESPONSES: check_responses_items(&c); break;
    case RULE_MESSAGES: check_messages_messages(&c); break;
    default: return;
    }
    check_tools(&c);
}

/* ---- writing ---- */

static const char *severity_name(enum rule_severity s) {
    return s == RULE_ERROR ? "error" : "warning";
}

int validate_write(const struct violations *v, struct buf *out) {
    struct json_writer w = jw_begin(out);
    for (const struct violation *at = v->first; at; at = at->next) {
        const struct rule *rule = &validate_rules[at->rule];
        jw(&w, at == v->first ? SLICE("{\"rule\":") : SLICE(",{\"rule\":"));
        jw_string(&w, slice_cstr(rule->id));
        jw(&w, SLICE(",\"severity\":"));
        jw_string(&w, slice_cstr(severity_name(rule->severity)));
        jw(&w, SLICE(",\"path\":"));
        jw_string(&w, slice_cstr(at->path));
        jw(&w, SLICE(",\"message\":"));
        jw_string(&w, slice_cstr(at->message));
        jw(&w, SLICE("}"));
    }
    return jw_end(&w);
}

static int write_dialects(unsigned bits, struct buf *out) {
    static const struct {
        unsigned bit;
        const char *name;
    } names[] = {{RULE_CHAT, "chat"},
                 {RULE_COMPLETIONS, "completions"},
                 {RULE_RESPONSES, "responses"},
                 {RULE_MESSAGES, "messages"}};
    int rc = bits == RULE_ALL ? buf_append(out, SLICE("all")) : 0;
    bool has_one = false;
    for (size_t i = 0; bits != RULE_ALL && i < sizeof names / sizeof names[0]; i++) {
        if (bits & names[i].bit) {
            rc |= buf_appendf(out, "%s%s", has_one ? ", " : "", names[i].name);
            has_one = true;
        }
    }
    return rc;
}

static const char docs_head[] =
    "# Rules\n\n"
    "`penstock mock` looks at every request with the eyes of its API. What is wrong with it stands in "
    "the request's entry of the\njournal (`violations`: rule, severity, JSON path, message), in the "
    "answer's header `x-penstock-violations: N`, and in `/metrics`\n"
    "(`penstock_mock_violations_total{rule=\"…\"}`). The request is answered all the same.\n\n"
    "With `--strict` the first `error` is answered instead, as the provider would: status, `type`, "
    "`code`, `param` and message. A\n`warning` never is. What cannot be read (`unreadable`, "
    "`history`) is refused in either case.\n\n"
    "This page is made from the table in `src/mock/validate.c`: `penstock mock --docs rules > "
    "docs/validation.md`.\n\n";

int validate_write_docs(struct buf *out) {
    int rc = buf_append(out, slice_cstr(docs_head));
    rc |= buf_append(out, SLICE("| rule | APIs | severity | what is wrong |\n|---|---|---|---|\n"));
    for (unsigned i = 0; i < RULE_COUNT; i++) {
        const struct rule *rule = &validate_rules[i];
        rc |= buf_appendf(out, "| `%s` | ", rule->id);
        rc |= write_dialects(rule->dialects, out);
        rc |= buf_appendf(out, " | %s | %s |\n", severity_name(rule->severity), rule->what);
    }
    return rc < 0 ? -ERR_LIMIT : 0;
}
