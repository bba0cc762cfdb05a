/* SPDX-License-Identifier: Apache-2.0 */
/* A client and an upstream that send anything, of any two dialects: what is sent up is JSON that
 * the upstream's dialect takes; what comes back is in the client's grammar, the same for every
 * split, and no longer than what came in explains; refusals have words.
 *
 * Input: a letter that picks the pair, one that picks the upstream's preset, one that picks the
 * splits; the request; a line "~~~"; the upstream's stream; a line "~~~"; its whole answer. A
 * request that is refused is followed by one that is not, so that the streams are always seen. */
#include "base/json_scan.h"
#include "base/random.h"
#include "fuzz.h"
#include "translate_harness.h"

#define MARK SLICE("\n~~~\n")

static const char *const clients[] = {"chat", "responses", "messages", "completions"};
static const char *const upstreams[] = {"chat", "responses", "messages"};
static const char *const presets_of[3][8] = {
    {"chat", "openai", "vllm", "mistral", "openrouter", "deepseek", "llamacpp", "ollama"},
    {"responses", "openai", "vllm", "xai", "responses", "azure", "openai", "vllm"},
    {"messages", "anthropic", "vllm", "llamacpp", "ollama", "messages", "anthropic", "messages"}};

/* Of each client's dialect: with tools of its own kinds, stops, and usage in the stream. */
static const char *const plain_requests[] = {
    "{\"model\":\"m\",\"stream\":true,\"stream_options\":{\"include_usage\":true},\"stop\":[\"END\","
    "\"e!\",\"1\",\"2\",\"3\"],\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],\"tools\":[{"
    "\"type\":\"function\",\"function\":{\"name\":\"a.b\"}},{\"type\":\"custom\",\"custom\":{"
    "\"name\":\"patch\"}}]}",
    "{\"model\":\"m\",\"stream\":true,\"input\":\"x\",\"tools\":[{\"type\":\"function\",\"name\":"
    "\"a.b\"},{\"type\":\"custom\",\"name\":\"patch\"}]}",
    "{\"model\":\"m\",\"stream\":true,\"max_tokens\":9,\"stop_sequences\":[\"END\",\"e!\"],"
    "\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],\"tools\":[{\"name\":\"a.b\","
    "\"input_schema\":{}}]}",
    "{\"model\":\"m\",\"stream\":true,\"stream_options\":{\"include_usage\":true},\"stop\":\"END\","
    "\"prompt\":\"x\"}"};

struct input {
    unsigned client, upstream;
    const char *preset;
    uint64_t seed;
    struct slice request, stream, answer;
};

static struct slice next_section(struct slice *rest) {
    const char *at = rest->len > 0 ? memmem(rest->ptr, rest->len, MARK.ptr, MARK.len) : NULL;
    struct slice section = at ? slice_sub(*rest, 0, (size_t)(at - rest->ptr)) : *rest;
    *rest = slice_from(*rest, section.len + MARK.len);
    return section;
}

static bool read_input(struct slice in, struct input *out) {
    if (in.len < 3) return false;
    unsigned pair = (unsigned char)in.ptr[0] % 12, preset = (unsigned char)in.ptr[1] % 8;
    *out = (struct input){.client = pair / 3, .upstream = pair % 3};
    out->preset = presets_of[out->upstream][preset];
    out->seed = (unsigned char)in.ptr[2];
    in = slice_from(in, 3);
    out->request = next_section(&in);
    out->stream = next_section(&in);
    out->answer = next_section(&in);
    return true;
}

/* ---- the request ---- */

static void check_words(const struct request_fault *fault) {
    must(fault->message[0] &&
         slice_utf8_valid(slice_cstr(fault->message)) == strlen(fault->message));
    must(slice_utf8_valid(slice_cstr(fault->param)) == strlen(fault->param));
}

static void check_sent(const struct harness *h, struct slice client, struct slice sent) {
    struct arena *a = arena_new();
    struct llm_request again;
    struct request_fault fault;
    struct err e;
    must(sent.len <= client.len * 16 + 4096);
    if (json_scan_object(sent, JSON_DEPTH_MAX, NULL, NULL, &e)) {
        fprintf(stderr, "%s: %.*s\n", e.text, SLICE_FMT(sent));
        abort();
    }
    must(slice_utf8_valid(sent) == sent.len);
    if (h->to->decode_request(sent, a, &again, &fault)) {
        fprintf(stderr, "%s: %.*s\n", fault.message, SLICE_FMT(sent));
        abort();
    }
    must(slice_eq(again.env.model, h->rq.env.model) && again.env.stream == h->rq.env.stream);
    for (const char *c = h->t->dropped; *c; c++) must(*c > ' ' && *c < 0x7f);
    arena_free(a);
}

/* False: it was refused. */
static bool open_request(const struct input *in, struct slice request, struct harness *h) {
    struct request_fault fault = {.message = ""};
    struct buf sent;
    buf_init(&sent, HARNESS_BYTES);
    int rc = harness_open(h, clients[in->client], upstreams[in->upstream], in->preset, request,
                          &sent, &fault);
    must(rc == 0 || rc == -ERR_USAGE);
    if (rc) check_words(&fault);
    else check_sent(h, request, buf_slice(&sent));
    buf_dispose(&sent);
    return rc == 0;
}

/* ---- answers ---- */

/* What the upstream itself left incomplete cannot be mended. */
static bool is_excused(const struct err *e) {
    return strstr(e->text, "arguments are cut") != NULL;
}

static void check_client(const struct harness *h, struct slice in, struct slice out) {
    struct err e = {.text = ""};
    /* a frame says at least 8 bytes; its chunks repeat the model's name, three objects the echo */
    size_t frame = 1000 + h->options.model.len * 6;
    must(out.len <= (in.len / 8 + 64) * frame + in.len * 64 + h->echo.len * 4);
    if (!harness_read(h, out, NULL, &e) && !is_excused(&e)) {
        fprintf(stderr, "%s:\n%.*s\n", e.text, SLICE_FMT(out));
        abort();
    }
    must(slice_utf8_valid(out) == out.len);
}

static void check_streams(const struct harness *h, const struct input *in) {
    struct buf whole, cut;
    struct rng r;
    buf_init(&whole, HARNESS_BYTES);
    buf_init(&cut, HARNESS_BYTES);
    rng_seed(&r, in->seed);
    harness_stream(h, in->stream, 0, 0, &whole);
    check_client(h, in->stream, buf_slice(&whole));
    for (unsigned i = 0; i < 2; i++) {
        buf_reset(&cut);
        harness_stream(h, in->stream, 1 + (size_t)rng_below(&r, i ? 80 : 7),
                       (size_t)rng_below(&r, in->stream.len + 1), &cut);
        if (!slice_eq(buf_slice(&cut), buf_slice(&whole))) {
            fprintf(stderr, "whole:\n%.*s\ncut:\n%.*s\n", SLICE_FMT(buf_slice(&whole)),
                    SLICE_FMT(buf_slice(&cut)));
            abort();
        }
    }
    buf_dispose(&whole);
    buf_dispose(&cut);
}

static int ignore(void *self, const struct event *ev) {
    (void)self;
    must(ev->kind != EV_ERROR);
    return 0;
}

static void check_body(const struct harness *h, struct slice answer, struct slice body) {
    struct event_sink sink = {ignore, NULL};
    struct err e;
    must(body.len <= answer.len * 64 + h->options.model.len * 6 + h->echo.len + 4096);
    must(json_scan_object(body, JSON_DEPTH_MAX, NULL, NULL, NULL) == 0);
    must(slice_utf8_valid(body) == body.len);
    if (h->from->decode_response(body, &sink, &e)) {
        fprintf(stderr, "%s: %.*s\n", e.text, SLICE_FMT(body));
        abort();
    }
}

static void check_answer(const struct harness *h, struct slice answer) {
    struct api_error er = {.status = 0}, own;
    struct usage usage;
    struct err e = {.text = ""};
    struct buf body;
    buf_init(&body, HARNESS_BYTES);
    int rc = response_translate(h->t, answer, &h->options, HARNESS_BYTES, &body, &usage, &er, &e);
    must(rc == 0 || rc == -ERR_USAGE || rc == -ERR_PROTOCOL || rc == -ERR_LIMIT);
    if (rc == 0) {
        check_body(h, answer, buf_slice(&body));
    } else if (rc == -ERR_USAGE) {
        h->from->translate_error(&er, &own);
        buf_reset(&body);
        must(h->from->encode_error(&own, &body) == 0);
        must(json_scan_object(buf_slice(&body), JSON_DEPTH_MAX, NULL, NULL, NULL) == 0);
    } else {
        must(e.text[0]);
    }
    buf_dispose(&body);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct input in;
    struct harness h;
    if (!read_input(slice_make((const char *)data, size), &in)) return 0;
    if (!open_request(&in, in.request, &h)) {
        harness_close(&h);
        must(open_request(&in, slice_cstr(plain_requests[in.client]), &h));
    }
    check_streams(&h, &in);
    check_answer(&h, in.answer);
    harness_close(&h);
    return 0;
}
