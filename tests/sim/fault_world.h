/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of the mock's faults share: asking in any dialect for an answer with a known
 * text. */
#ifndef PENSTOCK_TESTS_SIM_FAULT_WORLD_H
#define PENSTOCK_TESTS_SIM_FAULT_WORLD_H

#include "mock_world.h"

#include "mock/fault.h"

static const struct sim_options plain_sim = {.seed = 1};

#define TEXT "h\xc3\xa9llo w\xc3\xb6rld one two three four five six seven eight nine ten"

static inline void open_with_faults(const char *const *specs, unsigned n) {
    struct mock_options o;
    mock_options_default(&o);
    o.ttft = o.itl = LAW_ZERO;
    o.faults = specs;
    o.n_faults = n;
    world_open(&plain_sim, &o);
}

static inline void open_fast(void) {
    open_with_faults(NULL, 0);
}

static inline void write_request(const struct api *api, bool stream, const char *model,
                                 const char *extra, char out[2048]) {
    bool has_options = stream && (api->dialect == &dialect_chat ||
                                  api->dialect == &dialect_completions);
    const char *options = has_options ? "\"stream_options\":{\"include_usage\":true}," : "";
    const char *tokens = api->is_anthropic ? "\"max_tokens\":4000," : "";
    const char *words = api->dialect == &dialect_completions ? "\"prompt\":\"echo: " TEXT "\""
                      : api->dialect == &dialect_responses ? "\"input\":\"echo: " TEXT "\""
                      : "\"messages\":[{\"role\":\"user\",\"content\":\"echo: " TEXT "\"}]";
    snprintf(out, 2048, "{\"model\":\"%s\",\"stream\":%s,%s%s%s%s}", model,
             stream ? "true" : "false", options, tokens, extra, words);
}

static inline void ask(struct asker *a, const struct api *api, bool stream, const char *model) {
    char body[2048], target[64];
    snprintf(target, sizeof target, "/v1%s", api->path);
    write_request(api, stream, model, "", body);
    asker_send(a, HTTP_METHOD_POST, target, body);
}

#endif
