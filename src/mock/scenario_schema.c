/* SPDX-License-Identifier: Apache-2.0 */
#include "mock/scenario_schema.h"

#include <stdio.h>

#include "config/suggest.h"

static const struct schema_type
    template_type = {"text", read_template},
    plain_type = {"plain text", read_slice},
    bool_type = {"bool", read_bool},
    count_type = {"whole number", read_unsigned},
    number_type = {"whole number", read_int64},
    choice_type = {"word", read_choice},
    inner_type = {"map", read_inner},
    match_type = {"map", read_match},
    ttft_type = {"time", read_terms_ttft},
    itl_type = {"time", read_terms_itl},
    tps_type = {"number", read_terms_tps},
    burst_type = {"number of tokens", read_terms_burst},
    fault_type = {"fault", read_terms_fault},
    headers_type = {"map of names to texts", read_terms_headers},
    condition_text_type = {"condition on a text", read_condition_text},
    globs_type = {"pattern, or a list", read_condition_globs},
    words_type = {"word, or a list", read_condition_words},
    flag_type = {"bool", read_condition_flag},
    ranges_type = {"number or range, or a list", read_condition_ranges},
    probability_type = {"number", read_condition_probability},
    result_type = {"bool, or a condition", read_condition_result},
    match_headers_type = {"map of names to conditions", read_condition_headers},
    not_type = {"map of conditions", read_condition_not},
    any_of_type = {"list of maps of conditions", read_condition_any_of},
    result_tool_type = {"pattern, or a list", read_result_tool},
    present_type = {"bool", read_result_present},
    patterns_type = {"text, or a list", read_node},
    pieces_type = {"text, or a list of texts", read_node},
    json_type = {"anything", read_node},
    thought_type = {"text, list of texts, or map", read_node},
    redacted_type = {"true, or plain text", read_node},
    call_type = {"map", read_node},
    arguments_type = {"map, or a text", read_node},
    chunks_type = {"whole number, or a list of texts", read_node},
    list_type = {"list", read_node},
    pause_type = {"time", read_node},
    respond_type = {"text, or a map", read_respond},
    script_type = {"list of answers", read_script},
    times_type = {"whole number, or `forever`", read_times},
    stop_type = {"word, or a map", read_stop},
    stop_sequence_type = {"plain text", read_stop_sequence},
    error_type = {"status, or a map", read_error},
    thought_text_type = {"text, or a list of texts", read_thought_text};

#define AT(strct, field) .offset = offsetof(struct strct, field)

/* The same keys in a file's defaults, a scenario and an answer. */
#define TERMS(where, strct, field)                                                                 \
    {.scope = where, .name = "ttft", .type = &ttft_type, AT(strct, field), .example = "1.5s",      \
     .description = "Time to the first token, a law as `--ttft` takes it. Over the provider's "    \
                    "setting, under the request's own `x-penstock-ttft`."},                        \
    {.scope = where, .name = "itl", .type = &itl_type, AT(strct, field), .example = "20ms:10%",    \
     .description = "Time between two tokens, likewise."},                                         \
    {.scope = where, .name = "tps", .type = &tps_type, AT(strct, field), .example = "50",          \
     .description = "Tokens a second: the other way to say `itl`."},                               \
    {.scope = where, .name = "burst", .type = &burst_type, AT(strct, field), .example = "1-4",     \
     .description = "Tokens that leave together in one chunk, as `--burst` takes them."},          \
    {.scope = where, .name = "fault", .type = &fault_type, AT(strct, field),                       \
     .example = "cut", .description = "A fault, as `x-penstock-fault` spells it "                  \
                                      "(`penstock mock --list-faults`)."},                         \
    {.scope = where, .name = "headers", .type = &headers_type, AT(strct, field),                   \
     .example = "{x-region: eu-1}", .description = "Headers that the answer's head gets besides."}

const struct schema_row schema_rows[] = {
    /* ---- a file ---- */
    {.scope = SCOPE_FILE, .name = "version", .type = &number_type, AT(file_draft, version),
     .min = 1, .max = 1, .default_text = "1", .example = "1",
     .description = "The version of this format."},
    {.scope = SCOPE_FILE, .name = "defaults", .type = &inner_type, .inner = SCOPE_DEFAULTS,
     AT(file_draft, defaults), .example = "{ignore_case: true}",
     .description = "What holds for the scenarios of this file that do not say it themselves."},
    {.scope = SCOPE_FILE, .name = "scenarios", .type = &list_type, AT(file_draft, scenarios),
     .example = "[{name: hello, respond: Hello}]",
     .description = "The scenarios, in the order in which they are tried. A file may also be this "
                    "list alone, or a single scenario."},

    {.scope = SCOPE_DEFAULTS, .name = "ignore_case", .type = &bool_type,
     AT(file_defaults, ignore_case), .default_text = "false", .example = "true",
     .description = "Whether conditions on texts see capital and small letters as the same."},
    {.scope = SCOPE_DEFAULTS, .name = "after", .type = &choice_type, AT(file_defaults, after),
     .choices = "repeat|wrap|fall_through", .default_text = "repeat", .example = "wrap",
     .description = "What comes after the last answer of a `script`."},
    TERMS(SCOPE_DEFAULTS, file_defaults, terms),

    /* ---- a scenario ---- */
    {.scope = SCOPE_SCENARIO, .name = "name", .type = &plain_type, AT(scenario, name),
     .max = SCENARIO_NAME_BYTES, .default_text = "the file's name and a number",
     .example = "greeting",
     .description = "Letters, digits and `-_./:+@#`; unique in all files. Answers carry it in the "
                    "header `x-penstock-scenario`, and counts go by it when files change."},
    {.scope = SCOPE_SCENARIO, .name = "about", .type = &plain_type, AT(scenario, about),
     .example = "What a user sees who says hello.", .description = "For readers."},
    {.scope = SCOPE_SCENARIO, .name = "match", .type = &match_type, AT(scenario, match),
     .inner = SCOPE_MATCH, .default_text = "every request", .example = "{user: hello}",
     .description = "The conditions; all must hold."},
    {.scope = SCOPE_SCENARIO, .name = "continue", .type = &bool_type, AT(scenario, is_continued),
     .default_text = "false", .example = "true",
     .description = "Gives no answer, but timing, fault and headers to whichever comes after it: "
                    "the search goes on. What the one that answers says itself, wins."},
    {.scope = SCOPE_SCENARIO, .name = "respond", .type = &respond_type, AT(scenario, responses),
     .inner = SCOPE_RESPONSE, .example = "{text: Hello}",
     .description = "The answer. A text alone is its `text`. Without an answer the generator makes "
                    "one up, with this scenario's timing, fault and headers."},
    {.scope = SCOPE_SCENARIO, .name = "script", .type = &script_type, AT(scenario, responses),
     .inner = SCOPE_RESPONSE, .example = "[First answer, {text: Second answer}]",
     .description = "Answers that are given one after the other, counted for each session apart: "
                    "`x-penstock-session`, `metadata.session`, or the request's `user`; requests "
                    "without one are a session together. In place of `respond`."},
    {.scope = SCOPE_SCENARIO, .name = "after", .type = &choice_type, AT(scenario, after),
     .choices = "repeat|wrap|fall_through", .default_text = "repeat", .example = "wrap",
     .description = "What comes after the last answer of the script: `repeat` that one, `wrap` to "
                    "the first, or `fall_through`: the scenario matches no more."},
    {.scope = SCOPE_SCENARIO, .name = "times", .type = &times_type, AT(scenario, times), .min = 1,
     .max = 1000000000, .default_text = "forever; pushed ones: once for each answer",
     .example = "2", .description = "How many answers it gives; then it matches no more."},
    TERMS(SCOPE_SCENARIO, scenario, terms),

    /* ---- match ---- */
    {.scope = SCOPE_MATCH, .name = "dialect", .type = &words_type, .condition = MATCH_DIALECT,
     .choices = "chat|completions|responses|messages", .example = "[chat, responses]",
     .description = "The API that was called."},
    {.scope = SCOPE_MATCH, .name = "model", .type = &globs_type, .condition = MATCH_MODEL,
     .example = "\"gpt-4*\"", .description = "The model's name: `*` any run, `?` one character, "
                                            "`[a-z]` a class."},
    {.scope = SCOPE_MATCH, .name = "role", .type = &words_type, .condition = MATCH_ROLE,
     .choices = "system|developer|user|assistant|tool|function", .example = "tool",
     .description = "Whose the last message is. Results of tools are of `tool` in every dialect."},
    {.scope = SCOPE_MATCH, .name = "user", .type = &condition_text_type, .condition = MATCH_USER,
     .inner = SCOPE_TEXT, .example = "{regex: \"^(hi|hello)\\\\b\", ignore_case: true}",
     .description = "The user's last message."},
    {.scope = SCOPE_MATCH, .name = "message", .type = &condition_text_type,
     .condition = MATCH_MESSAGE, .inner = SCOPE_TEXT, .example = "password",
     .description = "Any message, whosever it is: one at least must fit."},
    {.scope = SCOPE_MATCH, .name = "system", .type = &condition_text_type,
     .condition = MATCH_SYSTEM, .inner = SCOPE_TEXT, .example = "\"You are a pirate\"",
     .description = "The system's and the developer's texts, joined by line ends."},
    {.scope = SCOPE_MATCH, .name = "tool", .type = &globs_type, .condition = MATCH_TOOL,
     .example = "get_*", .description = "The name of a tool that is offered."},
    {.scope = SCOPE_MATCH, .name = "tool_result", .type = &result_type,
     .condition = MATCH_TOOL_RESULT, .inner = SCOPE_RESULT,
     .example = "{tool: get_weather, contains: rain}",
     .description = "Results of tools since the assistant spoke last: `true`, `false`, or what one "
                    "of them is like. A text alone is what it contains."},
    {.scope = SCOPE_MATCH, .name = "image", .type = &flag_type, .condition = MATCH_IMAGE,
     .example = "true", .description = "Whether there is an image in any message."},
    {.scope = SCOPE_MATCH, .name = "response_format", .type = &words_type,
     .condition = MATCH_FORMAT, .choices = "text|json_object|json_schema|other",
     .example = "json_schema", .description = "The form of the answer that is asked for."},
    {.scope = SCOPE_MATCH, .name = "schema", .type = &globs_type, .condition = MATCH_SCHEMA,
     .example = "invoice_*", .description = "The name of the JSON schema that is asked for."},
    {.scope = SCOPE_MATCH, .name = "stream", .type = &flag_type, .condition = MATCH_STREAM,
     .example = "true", .description = "Whether the answer is to be streamed."},
    {.scope = SCOPE_MATCH, .name = "header", .type = &match_headers_type,
     .condition = MATCH_HEADER, .inner = SCOPE_TEXT, .example = "{x-team: \"blue*\"}",
     .description = "Headers of the request; each must be there and fit. A text alone is a glob "
                    "here: `\"*\"` is any value."},
    {.scope = SCOPE_MATCH, .name = "path", .type = &globs_type, .condition = MATCH_PATH,
     .example = "\"/v1/chat/*\"", .description = "The path, without its query."},
    {.scope = SCOPE_MATCH, .name = "session", .type = &globs_type, .condition = MATCH_SESSION,
     .example = "test-7", .description = "The request's session; empty when it has none."},
    {.scope = SCOPE_MATCH, .name = "turn", .type = &ranges_type, .condition = MATCH_TURN,
     .min = 1, .max = 1000000, .example = "2-",
     .description = "Which answer of the assistant this is to be in the conversation, from 1: "
                    "`2`, `2-4`, `2-` (from then on), or a list of such."},
    {.scope = SCOPE_MATCH, .name = "call", .type = &ranges_type, .condition = MATCH_CALL,
     .min = 1, .max = 1000000000, .example = "[1, 3]",
     .description = "How many times all the other conditions have held, this one included; counted "
                    "for each session apart."},
    {.scope = SCOPE_MATCH, .name = "probability", .type = &probability_type,
     .condition = MATCH_PROBABILITY, .example = "0.2",
     .description = "How often it holds, by chance: `0.2` or `20%`. The same seed and the same "
                    "order of requests give the same."},
    {.scope = SCOPE_MATCH, .name = "not", .type = &not_type, .condition = MATCH_NOT,
     .inner = SCOPE_MATCH, .example = "{user: please}",
     .description = "Holds unless all of these do."},
    {.scope = SCOPE_MATCH, .name = "any_of", .type = &any_of_type, .condition = MATCH_ANY_OF,
     .inner = SCOPE_MATCH, .example = "[{user: hi}, {turn: 1}]",
     .description = "Holds when one of the maps does."},

    {.scope = SCOPE_TEXT, .name = "contains", .type = &patterns_type,
     AT(text_draft, patterns[PATTERN_CONTAINS]), .example = "hello",
     .description = "The text holds it (one of the list)."},
    {.scope = SCOPE_TEXT, .name = "equals", .type = &patterns_type,
     AT(text_draft, patterns[PATTERN_EQUALS]), .example = "hello",
     .description = "The text is it (one of the list)."},
    {.scope = SCOPE_TEXT, .name = "glob", .type = &patterns_type,
     AT(text_draft, patterns[PATTERN_GLOB]), .example = "\"hello*\"",
     .description = "The whole text fits the pattern: `*` any run, `?` one character, `[a-z]` a "
                    "class."},
    {.scope = SCOPE_TEXT, .name = "regex", .type = &patterns_type,
     AT(text_draft, patterns[PATTERN_REGEX]), .example = "\"^hello\\\\b\"",
     .description = "A regular expression (PCRE2) is found in the text. One that takes a million "
                    "steps is given up and counts as not found."},
    {.scope = SCOPE_TEXT, .name = "ignore_case", .type = &bool_type, AT(text_draft, ignore_case),
     .default_text = "the file's default", .example = "true",
     .description = "Capital and small letters are the same."},

    {.scope = SCOPE_RESULT, .name = "tool", .type = &result_tool_type, AT(result_draft, tool),
     .example = "get_weather", .description = "The tool that answered."},
    {.scope = SCOPE_RESULT, .name = "present", .type = &present_type,
     AT(result_draft, present), .default_text = "true", .example = "false",
     .description = "`false`: there must be no such result."},
    {.scope = SCOPE_RESULT, .name = "anywhere", .type = &bool_type, AT(result_draft, anywhere),
     .default_text = "false", .example = "true",
     .description = "Results of earlier turns count, too."},
    {.scope = SCOPE_RESULT, .name = "contains", .type = &patterns_type,
     AT(result_draft, text.patterns[PATTERN_CONTAINS]), .example = "rain",
     .description = "As with other texts."},
    {.scope = SCOPE_RESULT, .name = "equals", .type = &patterns_type,
     AT(result_draft, text.patterns[PATTERN_EQUALS]), .example = "\"42\"",
     .description = "As with other texts."},
    {.scope = SCOPE_RESULT, .name = "glob", .type = &patterns_type,
     AT(result_draft, text.patterns[PATTERN_GLOB]), .example = "\"error*\"",
     .description = "As with other texts."},
    {.scope = SCOPE_RESULT, .name = "regex", .type = &patterns_type,
     AT(result_draft, text.patterns[PATTERN_REGEX]), .example = "\"[0-9]+ degrees\"",
     .description = "As with other texts."},
    {.scope = SCOPE_RESULT, .name = "ignore_case", .type = &bool_type,
     AT(result_draft, text.ignore_case), .default_text = "the file's default", .example = "true",
     .description = "As with other texts."},

    /* ---- answers ---- */
    {.scope = SCOPE_RESPONSE, .name = "text", .type = &pieces_type,
     AT(response_draft, short_form.text), .example = "[\"Hel\", \"lo\"]",
     .description = "What is said. One text leaves token by token; the texts of a list leave as "
                    "they are written, a delta each."},
    {.scope = SCOPE_RESPONSE, .name = "json", .type = &json_type,
     AT(response_draft, short_form.json), .example = "{ok: true, items: []}",
     .description = "What is said, as JSON: structured output. A text that is a `{{json …}}`, "
                    "`{{n}}`, `{{turn}}`, `{{random …}}` or `{{now unix}}` alone keeps its type."},
    {.scope = SCOPE_RESPONSE, .name = "chunks", .type = &count_type,
     AT(response_draft, short_form.chunks), .min = 1, .max = 1000000, .example = "5",
     .description = "`text` or `json` leaves in deltas of so many bytes (whole characters), not in "
                    "tokens."},
    {.scope = SCOPE_RESPONSE, .name = "thinking", .type = &thought_type, .inner = SCOPE_THOUGHT,
     AT(response_draft, short_form.thinking), .example = "Let me see.",
     .description = "A thought before the text."},
    {.scope = SCOPE_RESPONSE, .name = "redacted", .type = &redacted_type,
     AT(response_draft, short_form.redacted), .example = "true",
     .description = "A hidden thought (Messages: `redacted_thinking`), with made-up data, or this."},
    {.scope = SCOPE_RESPONSE, .name = "refusal", .type = &pieces_type,
     AT(response_draft, short_form.refusal), .example = "I cannot help with that.",
     .description = "A refusal, in the dialect's form."},
    {.scope = SCOPE_RESPONSE, .name = "citations", .type = &list_type, .inner = SCOPE_CITATION,
     AT(response_draft, short_form.citations), .example = "[{url: \"https://example.com\"}]",
     .description = "What the text is annotated with."},
    {.scope = SCOPE_RESPONSE, .name = "tool_calls", .type = &list_type, .inner = SCOPE_CALL,
     AT(response_draft, tool_calls),
     .example = "[{name: get_weather, arguments: {city: Paris}}]",
     .description = "Calls of tools, behind the text. Several are parallel calls."},
    {.scope = SCOPE_RESPONSE, .name = "blocks", .type = &list_type, .inner = SCOPE_BLOCK,
     AT(response_draft, blocks), .example = "[{text: First}, {pause: 1s}, {text: Then}]",
     .description = "The general form: everything that is said, in its order. In place of `text`, "
                    "`json`, `thinking`, `redacted`, `refusal` and `tool_calls`."},
    {.scope = SCOPE_RESPONSE, .name = "interleaved", .type = &bool_type,
     AT(response_draft, r.is_interleaved), .default_text = "false", .example = "true",
     .description = "Deltas of the blocks take turns, where the dialect can have several open."},
    {.scope = SCOPE_RESPONSE, .name = "pause", .type = &pause_type,
     AT(response_draft, short_form.pause), .example = "500ms",
     .description = "More time before the first word, beside `ttft`."},
    {.scope = SCOPE_RESPONSE, .name = "stop", .type = &stop_type, .inner = SCOPE_STOP,
     AT(response_draft, r), .choices = "end|length|tool|filter|pause",
     .default_text = "tool with calls, else end", .example = "length",
     .description = "Why the answer ends: `end`, `length`, `tool`, `filter`, `pause`, or a stop "
                    "sequence: `{sequence: \"END\"}`."},
    {.scope = SCOPE_RESPONSE, .name = "usage", .type = &inner_type, .inner = SCOPE_USAGE,
     AT(response_draft, r.usage), .example = "{input: 1200, cached: 1024}",
     .description = "Token counts, in place of what was counted."},
    {.scope = SCOPE_RESPONSE, .name = "id", .type = &template_type, AT(response_draft, r.id),
     .default_text = "made up", .example = "\"chatcmpl-{{n}}\"", .description = "The answer's id."},
    {.scope = SCOPE_RESPONSE, .name = "model", .type = &template_type, AT(response_draft, r.model),
     .default_text = "the request's", .example = "gpt-4o-2024-08-06",
     .description = "The model that the answer names."},
    {.scope = SCOPE_RESPONSE, .name = "error", .type = &error_type, .inner = SCOPE_ERROR,
     AT(response_draft, r.error), .example = "{status: 429, retry_after: 2}",
     .description = "An error in place of an answer, with the provider's true body. A number alone "
                    "is its status."},
    {.scope = SCOPE_RESPONSE, .name = "choices", .type = &list_type, .inner = SCOPE_RESPONSE,
     AT(response_draft, choices), .example = "[{weight: 3, text: \"Yes\"}, {text: \"No\"}]",
     .description = "One of these answers, by chance. What they leave open of timing, fault and "
                    "headers comes from here."},
    {.scope = SCOPE_RESPONSE, .name = "weight", .type = &number_type, AT(response_draft, weight),
     .max = 1000000, .default_text = "1", .example = "3",
     .description = "In `choices`: its part of the chance."},
    TERMS(SCOPE_RESPONSE, response_draft, r.terms),

    {.scope = SCOPE_BLOCK, .name = "text", .type = &pieces_type, AT(block_draft, text),
     .example = "Hello", .description = "As above."},
    {.scope = SCOPE_BLOCK, .name = "json", .type = &json_type, AT(block_draft, json),
     .example = "{ok: true}", .description = "As above."},
    {.scope = SCOPE_BLOCK, .name = "thinking", .type = &thought_type, AT(block_draft, thinking),
     .inner = SCOPE_THOUGHT, .example = "Let me see.", .description = "A thought."},
    {.scope = SCOPE_BLOCK, .name = "signature", .type = &template_type,
     AT(block_draft, signature), .default_text = "made up, such that it is taken back",
     .example = "\"\"", .description = "Of this `thinking`; empty: none."},
    {.scope = SCOPE_BLOCK, .name = "redacted", .type = &redacted_type, AT(block_draft, redacted),
     .example = "true", .description = "A hidden thought."},
    {.scope = SCOPE_BLOCK, .name = "refusal", .type = &pieces_type, AT(block_draft, refusal),
     .example = "No.", .description = "A refusal."},
    {.scope = SCOPE_BLOCK, .name = "tool_call", .type = &call_type, AT(block_draft, tool_call),
     .inner = SCOPE_CALL, .example = "{name: get_time}", .description = "One call of a tool."},
    {.scope = SCOPE_BLOCK, .name = "pause", .type = &pause_type, AT(block_draft, pause),
     .example = "2s", .description = "More time before the next block."},
    {.scope = SCOPE_BLOCK, .name = "chunks", .type = &count_type, AT(block_draft, chunks),
     .min = 1, .max = 1000000, .example = "5", .description = "Of a text or JSON, as above."},
    {.scope = SCOPE_BLOCK, .name = "citations", .type = &list_type, .inner = SCOPE_CITATION,
     AT(block_draft, citations), .example = "[{url: \"https://example.com\"}]",
     .description = "Of this `text`."},

    {.scope = SCOPE_CALL, .name = "name", .type = &template_type, AT(call_draft, name),
     .example = "get_weather", .description = "The tool. Required."},
    {.scope = SCOPE_CALL, .name = "arguments", .type = &arguments_type,
     AT(call_draft, arguments), .default_text = "{}", .example = "{city: \"{{last_user}}\"}",
     .description = "A map is written as JSON; a text goes out as it is, whether or not it is "
                    "JSON."},
    {.scope = SCOPE_CALL, .name = "input", .type = &pieces_type, AT(call_draft, input),
     .example = "ls -l", .description = "Of a custom tool, which takes a text. In place of "
                                       "`arguments`."},
    {.scope = SCOPE_CALL, .name = "chunks", .type = &chunks_type, AT(call_draft, chunks),
     .default_text = "tokens", .example = "['{\"ci', 'ty\":\"Paris\"}']",
     .description = "How the arguments leave: in deltas of so many bytes, or, as a list in place "
                    "of `arguments`, piece for piece as written."},
    {.scope = SCOPE_CALL, .name = "id", .type = &template_type, AT(call_draft, id),
     .default_text = "made up", .example = "call_1", .description = "The call's id."},

    {.scope = SCOPE_THOUGHT, .name = "text", .type = &thought_text_type, AT(thought_draft, text),
     .example = "Let me see.", .description = "What is thought."},
    {.scope = SCOPE_THOUGHT, .name = "signature", .type = &template_type,
     AT(thought_draft, signature), .default_text = "made up, such that it is taken back",
     .example = "c2lnbmVk", .description = "Its proof; empty: none."},

    {.scope = SCOPE_CITATION, .name = "url", .type = &template_type, AT(citation, url),
     .example = "https://example.com/a", .description = "Where it is from. Required."},
    {.scope = SCOPE_CITATION, .name = "title", .type = &template_type, AT(citation, title),
     .example = "An example", .description = "The page's title."},
    {.scope = SCOPE_CITATION, .name = "start", .type = &number_type, AT(citation, start),
     .max = 10000000, .example = "0",
     .description = "The first character of the text that it belongs to."},
    {.scope = SCOPE_CITATION, .name = "end", .type = &number_type, AT(citation, end),
     .max = 10000000, .example = "12", .description = "The character behind its last."},
    {.scope = SCOPE_CITATION, .name = "quote", .type = &template_type, AT(citation, quote),
     .example = "the first line", .description = "In place of `start` and `end`: these words of the "
                                                "text."},

    {.scope = SCOPE_STOP, .name = "sequence", .type = &stop_sequence_type, .example = "END",
     .description = "The stop sequence that was met."},

    {.scope = SCOPE_USAGE, .name = "input", .type = &number_type, AT(script_usage, in_total),
     .max = 1000000000000, .example = "1200", .description = "All tokens of the prompt."},
    {.scope = SCOPE_USAGE, .name = "output", .type = &number_type, AT(script_usage, out_total),
     .max = 1000000000000, .example = "40", .description = "All tokens of the answer."},
    {.scope = SCOPE_USAGE, .name = "cached", .type = &number_type, AT(script_usage, cache_read),
     .max = 1000000000000, .example = "1024",
     .description = "Tokens of the prompt that were read from a cache."},
    {.scope = SCOPE_USAGE, .name = "cache_write", .type = &number_type,
     AT(script_usage, cache_write), .max = 1000000000000, .example = "1024",
     .description = "Tokens of the prompt that were written to a cache."},
    {.scope = SCOPE_USAGE, .name = "reasoning", .type = &number_type,
     AT(script_usage, reasoning), .max = 1000000000000, .example = "128",
     .description = "Tokens of the answer that were thought, not said."},

    {.scope = SCOPE_ERROR, .name = "status", .type = &count_type, AT(error_answer, status),
     .min = 400, .max = 599, .example = "429", .description = "The HTTP status. Required."},
    {.scope = SCOPE_ERROR, .name = "type", .type = &template_type, AT(error_answer, type),
     .default_text = "the status's usual one", .example = "rate_limit_error",
     .description = "The error's type."},
    {.scope = SCOPE_ERROR, .name = "code", .type = &template_type, AT(error_answer, code),
     .default_text = "the status's usual one", .example = "rate_limit_exceeded",
     .description = "The error's code."},
    {.scope = SCOPE_ERROR, .name = "message", .type = &template_type, AT(error_answer, message),
     .default_text = "the status's usual one", .example = "Slow down.",
     .description = "The error's text."},
    {.scope = SCOPE_ERROR, .name = "param", .type = &template_type, AT(error_answer, param),
     .default_text = "none", .example = "messages", .description = "The parameter at fault."},
    {.scope = SCOPE_ERROR, .name = "retry_after", .type = &count_type,
     AT(error_answer, retry_after_s), .max = 86400, .example = "2",
     .description = "Seconds in the header `retry-after`."},
};
const unsigned schema_n_rows = sizeof schema_rows / sizeof schema_rows[0];

/* ---- reading by the table ---- */

const struct schema_row *schema_find(enum schema_scope scope, struct slice name) {
    for (unsigned i = 0; i < schema_n_rows; i++) {
        if (schema_rows[i].scope == scope && slice_eq(slice_cstr(schema_rows[i].name), name)) {
            return &schema_rows[i];
        }
    }
    return NULL;
}

size_t reader_enter(struct reader *rd, const char *format, ...) {
    size_t mark = rd->path_len, room = sizeof rd->path - mark;
    va_list args;
    va_start(args, format);
    int n = vsnprintf(rd->path + mark, room, format, args);
    va_end(args);
    rd->path_len += n < 0 ? 0 : (size_t)n < room ? (size_t)n : room - 1;
    return mark;
}

void reader_leave(struct reader *rd, size_t mark) {
    rd->path_len = mark;
    rd->path[mark] = '\0';
}

void reader_fault(struct reader *rd, struct place at, const char *format, ...) {
    char text[ERR_TEXT_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    report_fault(rd->report, at, rd->path, "%s", text);
}

static void fault_unknown(struct reader *rd, enum schema_scope scope, const struct node *n) {
    struct suggestion s;
    suggestion_init(&s, n->key);
    for (unsigned i = 0; i < schema_n_rows; i++) {
        bool is_single = scope == SCOPE_FILE && schema_rows[i].scope == SCOPE_SCENARIO;
        if (schema_rows[i].scope == scope || is_single) {
            suggestion_offer(&s, slice_cstr(schema_rows[i].name));
        }
    }
    if (s.nearest.ptr) {
        reader_fault(rd, n->key_at, "there is no such key; did you mean %.*s?",
                     SLICE_FMT(s.nearest));
    } else {
        reader_fault(rd, n->key_at, "there is no such key");
    }
}

void schema_read_map(struct reader *rd, enum schema_scope scope, const struct node *map,
                     void *base) {
    if (map->kind != NODE_MAP) {
        reader_fault(rd, map->at, "expected a map, got %s", node_kind_name(map));
        return;
    }
    for (const struct node *n = map->first; n; n = n->next) {
        const struct schema_row *row = schema_find(scope, n->key);
        size_t mark = reader_enter(rd, "%s%.*s", rd->path_len ? "." : "",
                                   SLICE_FMT(slice_sub(n->key, 0, 40)));
        if (!row) {
            fault_unknown(rd, scope, n);
        } else if (!node_is_null(n)) {
            row->type->read(rd, row, n, base);
        }
        reader_leave(rd, mark);
    }
}
