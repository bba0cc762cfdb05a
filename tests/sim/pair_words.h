/* SPDX-License-Identifier: Apache-2.0 */
/* One answer in the words of each dialect, as upstreams send it: a text, a call with its arguments
 * in pieces, usage; and what requests and errors look like. For tests that go over all pairs. */
#ifndef PENSTOCK_TESTS_PAIR_WORDS_H
#define PENSTOCK_TESTS_PAIR_WORDS_H

#define PAIR_TEXT "Hello w\303\266rld \360\237\230\200"
#define PAIR_ARGS "{\"city\":\"Paris\"}"
#define PAIR_ARGS_QUOTED "{\\\"city\\\":\\\"Paris\\\"}"
#define PAIR_IN 10
#define PAIR_OUT 5

/* ---- chat ---- */

#define CHAT_CHUNK(delta, finish)                                                                  \
    "data: {\"id\":\"c-1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"up\","   \
    "\"choices\":[{\"index\":0,\"delta\":" delta ",\"finish_reason\":" finish "}]}\n\n"
#define CHAT_TEXT_PART                                                                             \
    CHAT_CHUNK("{\"role\":\"assistant\",\"content\":\"\"}", "null")                                \
    CHAT_CHUNK("{\"content\":\"Hello w\303\266\"}", "null")                                        \
    CHAT_CHUNK("{\"content\":\"rld \360\237\230\200\"}", "null")
#define CHAT_CALL_PART                                                                             \
    CHAT_CHUNK("{\"tool_calls\":[{\"index\":0,\"id\":\"call_1\",\"type\":\"function\","            \
               "\"function\":{\"name\":\"weather\",\"arguments\":\"\"}}]}", "null")                \
    CHAT_CHUNK("{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"{\\\"city\\\":\"}}]}", "null") \
    CHAT_CHUNK("{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"\\\"Paris\\\"}\"}}]}", "null")
#define CHAT_USAGE "{\"prompt_tokens\":10,\"completion_tokens\":5,\"total_tokens\":15}"
#define CHAT_USAGE_CHUNK                                                                           \
    "data: {\"id\":\"c-1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"up\","   \
    "\"choices\":[],\"usage\":" CHAT_USAGE "}\n\n"
#define CHAT_STREAM                                                                                \
    CHAT_TEXT_PART CHAT_CALL_PART CHAT_CHUNK("{}", "\"tool_calls\"") CHAT_USAGE_CHUNK "data: [DONE]\n\n"
#define CHAT_WHOLE                                                                                 \
    "{\"id\":\"c-1\",\"object\":\"chat.completion\",\"created\":1,\"model\":\"up\",\"choices\":["  \
    "{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"" PAIR_TEXT "\","              \
    "\"tool_calls\":[{\"id\":\"call_1\",\"type\":\"function\",\"function\":{\"name\":\"weather\"," \
    "\"arguments\":\"" PAIR_ARGS_QUOTED "\"}}]},\"logprobs\":null,"                                \
    "\"finish_reason\":\"tool_calls\"}],\"usage\":" CHAT_USAGE "}"
#define CHAT_ERROR                                                                                 \
    "{\"error\":{\"message\":\"Slow down\",\"type\":\"requests\",\"param\":null,"                  \
    "\"code\":\"rate_limit_exceeded\"}}"
#define CHAT_ERROR_EVENT                                                                           \
    "data: {\"error\":{\"message\":\"Slow down\",\"type\":\"requests\",\"param\":null,"            \
    "\"code\":\"rate_limit_exceeded\"}}\n\n"

/* ---- completions ---- */

#define COMPLETIONS_CHUNK(text, finish)                                                            \
    "data: {\"id\":\"cmpl-1\",\"object\":\"text_completion\",\"created\":1,\"model\":\"up\","      \
    "\"choices\":[{\"index\":0,\"text\":\"" text "\",\"logprobs\":null,\"finish_reason\":" finish "}]}\n\n"
#define COMPLETIONS_TEXT_PART                                                                      \
    COMPLETIONS_CHUNK("Hello w\303\266", "null") COMPLETIONS_CHUNK("rld \360\237\230\200", "null")
#define COMPLETIONS_STREAM                                                                         \
    COMPLETIONS_TEXT_PART COMPLETIONS_CHUNK("", "\"stop\"")                                        \
    "data: {\"id\":\"cmpl-1\",\"object\":\"text_completion\",\"created\":1,\"model\":\"up\","      \
    "\"choices\":[],\"usage\":" CHAT_USAGE "}\n\ndata: [DONE]\n\n"
#define COMPLETIONS_WHOLE                                                                          \
    "{\"id\":\"cmpl-1\",\"object\":\"text_completion\",\"created\":1,\"model\":\"up\","            \
    "\"choices\":[{\"index\":0,\"text\":\"" PAIR_TEXT "\",\"logprobs\":null,"                      \
    "\"finish_reason\":\"stop\"}],\"usage\":" CHAT_USAGE "}"

/* ---- messages ---- */

#define MESSAGES_EVENT(type, rest)                                                                 \
    "event: " type "\ndata: {\"type\":\"" type "\"" rest "}\n\n"
#define MESSAGES_START                                                                             \
    MESSAGES_EVENT("message_start", ",\"message\":{\"id\":\"msg_up\",\"type\":\"message\","        \
                   "\"role\":\"assistant\",\"model\":\"up\",\"content\":[],\"stop_reason\":null,"  \
                   "\"stop_sequence\":null,\"usage\":{\"input_tokens\":10,"                        \
                   "\"cache_creation_input_tokens\":0,\"cache_read_input_tokens\":0,"              \
                   "\"output_tokens\":1}}")
#define MESSAGES_DELTA(index, delta)                                                               \
    MESSAGES_EVENT("content_block_delta", ",\"index\":" index ",\"delta\":" delta)
#define MESSAGES_TEXT_PART                                                                         \
    MESSAGES_START                                                                                 \
    MESSAGES_EVENT("content_block_start", ",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}") \
    MESSAGES_EVENT("ping", "")                                                                     \
    MESSAGES_DELTA("0", "{\"type\":\"text_delta\",\"text\":\"Hello w\303\266\"}")                  \
    MESSAGES_DELTA("0", "{\"type\":\"text_delta\",\"text\":\"rld \360\237\230\200\"}")             \
    MESSAGES_EVENT("content_block_stop", ",\"index\":0")
#define MESSAGES_CALL_PART                                                                         \
    MESSAGES_EVENT("content_block_start", ",\"index\":1,\"content_block\":{\"type\":\"tool_use\"," \
                   "\"id\":\"toolu_1\",\"name\":\"weather\",\"input\":{}}")                        \
    MESSAGES_DELTA("1", "{\"type\":\"input_json_delta\",\"partial_json\":\"\"}")                   \
    MESSAGES_DELTA("1", "{\"type\":\"input_json_delta\",\"partial_json\":\"{\\\"city\\\":\"}")     \
    MESSAGES_DELTA("1", "{\"type\":\"input_json_delta\",\"partial_json\":\"\\\"Paris\\\"}\"}")     \
    MESSAGES_EVENT("content_block_stop", ",\"index\":1")
#define MESSAGES_STREAM                                                                            \
    MESSAGES_TEXT_PART MESSAGES_CALL_PART                                                          \
    MESSAGES_EVENT("message_delta", ",\"delta\":{\"stop_reason\":\"tool_use\","                    \
                   "\"stop_sequence\":null},\"usage\":{\"output_tokens\":5}")                      \
    MESSAGES_EVENT("message_stop", "")
#define MESSAGES_WHOLE                                                                             \
    "{\"id\":\"msg_up\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"up\","             \
    "\"content\":[{\"type\":\"text\",\"text\":\"" PAIR_TEXT "\"},{\"type\":\"tool_use\","          \
    "\"id\":\"toolu_1\",\"name\":\"weather\",\"input\":" PAIR_ARGS "}],"                           \
    "\"stop_reason\":\"tool_use\",\"stop_sequence\":null,\"usage\":{\"input_tokens\":10,"          \
    "\"cache_creation_input_tokens\":0,\"cache_read_input_tokens\":0,\"output_tokens\":5}}"
#define MESSAGES_ERROR                                                                             \
    "{\"type\":\"error\",\"error\":{\"type\":\"rate_limit_error\",\"message\":\"Slow down\"}}"
#define MESSAGES_ERROR_EVENT                                                                       \
    "event: error\ndata: " MESSAGES_ERROR "\n\n"

/* ---- responses ---- */

#define RESPONSES_OBJECT(status, output, usage)                                                    \
    "{\"id\":\"resp_up\",\"object\":\"response\",\"created_at\":1,\"status\":\"" status "\","      \
    "\"error\":null,\"incomplete_details\":null,\"instructions\":null,\"max_output_tokens\":null," \
    "\"model\":\"up\",\"output\":[" output "],\"parallel_tool_calls\":true,"                       \
    "\"previous_response_id\":null,\"reasoning\":{\"effort\":null,\"summary\":null},"              \
    "\"store\":false,\"temperature\":1.0,\"text\":{\"format\":{\"type\":\"text\"}},"               \
    "\"tool_choice\":\"auto\",\"tools\":[],\"top_p\":1.0,\"truncation\":\"disabled\","             \
    "\"usage\":" usage ",\"metadata\":{}}"
#define RESPONSES_USAGE                                                                            \
    "{\"input_tokens\":10,\"input_tokens_details\":{\"cached_tokens\":0},\"output_tokens\":5,"     \
    "\"output_tokens_details\":{\"reasoning_tokens\":0},\"total_tokens\":15}"
#define RESPONSES_TEXT_ITEM                                                                        \
    "{\"id\":\"msg_r\",\"type\":\"message\",\"status\":\"completed\",\"role\":\"assistant\","      \
    "\"content\":[{\"type\":\"output_text\",\"text\":\"" PAIR_TEXT "\",\"annotations\":[],"        \
    "\"logprobs\":[]}]}"
#define RESPONSES_CALL_ITEM                                                                        \
    "{\"id\":\"fc_r\",\"type\":\"function_call\",\"status\":\"completed\",\"call_id\":\"call_1\"," \
    "\"name\":\"weather\",\"arguments\":\"" PAIR_ARGS_QUOTED "\"}"
#define RESPONSES_EVENT(type, seq, rest)                                                           \
    "event: " type "\ndata: {\"type\":\"" type "\",\"sequence_number\":" seq "," rest "}\n\n"
#define RESPONSES_TEXT_AT "\"item_id\":\"msg_r\",\"output_index\":0,\"content_index\":0,"
#define RESPONSES_CALL_AT "\"item_id\":\"fc_r\",\"output_index\":1,"
#define RESPONSES_TEXT_PART                                                                        \
    RESPONSES_EVENT("response.created", "0", "\"response\":" RESPONSES_OBJECT("in_progress", "", "null")) \
    RESPONSES_EVENT("response.in_progress", "1", "\"response\":" RESPONSES_OBJECT("in_progress", "", "null")) \
    RESPONSES_EVENT("response.output_item.added", "2", "\"output_index\":0,\"item\":{\"id\":\"msg_r\"," \
                    "\"type\":\"message\",\"status\":\"in_progress\",\"role\":\"assistant\",\"content\":[]}") \
    RESPONSES_EVENT("response.content_part.added", "3", RESPONSES_TEXT_AT                          \
                    "\"part\":{\"type\":\"output_text\",\"text\":\"\",\"annotations\":[],\"logprobs\":[]}") \
    RESPONSES_EVENT("response.output_text.delta", "4", RESPONSES_TEXT_AT "\"delta\":\"Hello w\303\266\",\"logprobs\":[]") \
    RESPONSES_EVENT("response.output_text.delta", "5", RESPONSES_TEXT_AT "\"delta\":\"rld \360\237\230\200\",\"logprobs\":[]")
#define RESPONSES_STREAM                                                                           \
    RESPONSES_TEXT_PART                                                                            \
    RESPONSES_EVENT("response.output_text.done", "6", RESPONSES_TEXT_AT "\"text\":\"" PAIR_TEXT "\",\"logprobs\":[]") \
    RESPONSES_EVENT("response.content_part.done", "7", RESPONSES_TEXT_AT                           \
                    "\"part\":{\"type\":\"output_text\",\"text\":\"" PAIR_TEXT "\",\"annotations\":[],\"logprobs\":[]}") \
    RESPONSES_EVENT("response.output_item.done", "8", "\"output_index\":0,\"item\":" RESPONSES_TEXT_ITEM) \
    RESPONSES_EVENT("response.output_item.added", "9", "\"output_index\":1,\"item\":{\"id\":\"fc_r\"," \
                    "\"type\":\"function_call\",\"status\":\"in_progress\",\"call_id\":\"call_1\"," \
                    "\"name\":\"weather\",\"arguments\":\"\"}")                                    \
    RESPONSES_EVENT("response.function_call_arguments.delta", "10", RESPONSES_CALL_AT "\"delta\":\"{\\\"city\\\":\"") \
    RESPONSES_EVENT("response.function_call_arguments.delta", "11", RESPONSES_CALL_AT "\"delta\":\"\\\"Paris\\\"}\"") \
    RESPONSES_EVENT("response.function_call_arguments.done", "12", RESPONSES_CALL_AT               \
                    "\"name\":\"weather\",\"arguments\":\"" PAIR_ARGS_QUOTED "\"")                 \
    RESPONSES_EVENT("response.output_item.done", "13", "\"output_index\":1,\"item\":" RESPONSES_CALL_ITEM) \
    RESPONSES_EVENT("response.completed", "14", "\"response\":"                                    \
                    RESPONSES_OBJECT("completed", RESPONSES_TEXT_ITEM "," RESPONSES_CALL_ITEM, RESPONSES_USAGE))
#define RESPONSES_WHOLE                                                                            \
    RESPONSES_OBJECT("completed", RESPONSES_TEXT_ITEM "," RESPONSES_CALL_ITEM, RESPONSES_USAGE)
#define RESPONSES_ERROR_EVENT                                                                      \
    "event: error\ndata: {\"type\":\"error\",\"code\":\"rate_limit_exceeded\","                    \
    "\"message\":\"Slow down\",\"param\":null,\"sequence_number\":6}\n\n"

/* ---- the table ---- */

struct pair_words {
    const char *dialect, *path;          /* of the client's endpoint */
    const char *stream, *text_part, *whole;
    const char *error, *error_event;
    /* of a request: the rest behind model and stream, with a tool where there are tools */
    const char *request;
};

#define CHAT_TOOLS                                                                                 \
    ",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"weather\",\"parameters\":"        \
    "{\"type\":\"object\",\"properties\":{\"city\":{\"type\":\"string\"}}}}}]"

static const struct pair_words pair_words[] = {
    {"chat", "/v1/chat/completions", CHAT_STREAM, CHAT_TEXT_PART, CHAT_WHOLE, CHAT_ERROR, CHAT_ERROR_EVENT,
     "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]" CHAT_TOOLS},
    {"messages", "/v1/messages", MESSAGES_STREAM, MESSAGES_TEXT_PART, MESSAGES_WHOLE, MESSAGES_ERROR, MESSAGES_ERROR_EVENT,
     "\"max_tokens\":100,\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}],\"tools\":[{\"name\":\"weather\","
     "\"input_schema\":{\"type\":\"object\",\"properties\":{\"city\":{\"type\":\"string\"}}}}]"},
    {"responses", "/v1/responses", RESPONSES_STREAM, RESPONSES_TEXT_PART, RESPONSES_WHOLE, CHAT_ERROR, RESPONSES_ERROR_EVENT,
     "\"input\":\"hi\",\"store\":false,\"tools\":[{\"type\":\"function\",\"name\":\"weather\",\"strict\":false,\"parameters\":"
     "{\"type\":\"object\",\"properties\":{\"city\":{\"type\":\"string\"}}}}]"},
    {"completions", "/v1/completions", COMPLETIONS_STREAM, COMPLETIONS_TEXT_PART, COMPLETIONS_WHOLE, CHAT_ERROR, CHAT_ERROR_EVENT,
     "\"prompt\":\"hi\""},
};
#define N_PAIR_WORDS (sizeof pair_words / sizeof pair_words[0])

#endif
