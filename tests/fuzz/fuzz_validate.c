/* SPDX-License-Identifier: Apache-2.0 */
/* Any request that a dialect takes: rules that are its own, told in words, twice the same; and what
 * the journal keeps of it is JSON of the same shape. The first byte chooses the dialect. */
#include "base/json_scan.h"
#include "dialect/json_doc.h"
#include "fuzz.h"
#include "mock/completion.h"
#include "mock/mask.h"
#include "mock/validate.h"

#define MAX_BYTES ((size_t)256 << 20)

static void write_all(const struct api *api, struct slice body, const struct llm_request *rq,
                      struct arena *a, struct buf *out) {
    static const unsigned bits[API_COUNT] = {RULE_CHAT, RULE_COMPLETIONS, RULE_RESPONSES,
                                             RULE_MESSAGES};
    const struct validate_request in = {.api = api, .body = body, .rq = rq};
    struct violations v = {.n = 0};
    struct api_error er;
    unsigned i = 0;
    while (api_at(i) != api) i++;
    validate_request(&in, a, &v);
    for (const struct violation *at = v.first; at; at = at->next) {
        must(validate_rules[at->rule].dialects & bits[i]);
        must(at->message[0] != '\0');
        must(slice_utf8_valid(slice_cstr(at->message)) == strlen(at->message));
    }
    if (validate_error(&v)) {
        validate_api_error(validate_error(&v), &er);
        must(er.status >= 400 && er.message.len > 0);
    }
    must(v.n_errors <= v.n);
    must(buf_append(out, SLICE("{\"v\":[")) == 0 && validate_write(&v, out) == 0 &&
         buf_append(out, SLICE("]}")) == 0);
    must(json_scan_object(buf_slice(out), JSON_DEPTH_MAX, NULL, NULL, NULL) == 0);
}

static void check_rules(const struct api *api, struct slice body, struct arena *a) {
    struct llm_request rq;
    struct request_fault fault;
    struct buf first, second;
    int rc = api->dialect == &dialect_completions
                 ? completion_decode(body, a, &rq, &fault)
                 : api->dialect->decode_request(body, a, &rq, &fault);
    if (rc < 0) {
        return;
    }
    buf_init(&first, MAX_BYTES);
    buf_init(&second, MAX_BYTES);
    write_all(api, body, &rq, a, &first);
    write_all(api, body, &rq, a, &second);
    must(slice_eq(buf_slice(&first), buf_slice(&second)));
    buf_dispose(&first);
    buf_dispose(&second);
}

static void check_mask(struct slice body) {
    struct buf shown;
    buf_init(&shown, MAX_BYTES);
    must(mask_json(&shown, body) == 0);
    if (json_scan_object(body, WIRE_MAX_DEPTH, NULL, NULL, NULL) == 0) {
        must(json_scan_object(buf_slice(&shown), WIRE_MAX_DEPTH, NULL, NULL, NULL) == 0);
    }
    buf_reset(&shown);
    must(mask_text(&shown, body) == 0);
    buf_reset(&shown);
    must(mask_query(&shown, body) == 0);
    buf_dispose(&shown);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0) {
        return 0;
    }
    struct slice body = slice_make((const char *)data + 1, size - 1);
    struct arena *a = arena_new();
    check_rules(api_at(data[0] % API_COUNT), body, a);
    check_mask(body);
    arena_free(a);
    return 0;
}
