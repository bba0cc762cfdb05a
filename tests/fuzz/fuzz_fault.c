/* SPDX-License-Identifier: Apache-2.0 */
/* Specs of faults, which come in headers and model names: parsed or refused with a reason; and
 * places in JSON that may be none. First line: the spec; the rest: the text. */
#include "fuzz.h"
#include "mock/fault.h"
#include "mock/wire_edit.h"

static void check_spec(struct slice spec) {
    struct fault_use use;
    struct fault_when when;
    struct err e = {.text = ""};
    int rc = fault_parse(spec, &use, NULL, &e);
    must((rc == 0) == (e.text[0] == '\0'));
    if (fault_parse(spec, &use, &when, &e) == 0) {
        struct fault_use again;
        must(fault_parse(slice_cstr(use.spec), &again, &when, &e) == 0);
        must(memcmp(use.values, again.values, sizeof use.values) == 0);
        must(when.rate >= 0 && when.rate <= 1);
    }
}

static void check_places(struct slice json) {
    static const char *const more[] = {"choices.0.delta.tool_calls.0.function.arguments", "a.1.b.0",
                                       "0", "message.id", "response.usage.output_tokens"};
    struct slice value;
    for (size_t i = 0; i < sizeof more / sizeof more[0]; i++) {
        if (!json_at(json, more[i], &value)) {
            continue;
        }
        must(value.ptr >= json.ptr && value.ptr + value.len <= json.ptr + json.len);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct slice all = slice_make((const char *)data, size);
    ptrdiff_t line = slice_index(all, '\n');
    check_spec(line < 0 ? all : slice_sub(all, 0, (size_t)line));
    check_places(line < 0 ? all : slice_from(all, (size_t)line + 1));
    return 0;
}
