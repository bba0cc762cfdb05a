/* SPDX-License-Identifier: Apache-2.0 */
/* The tables: messages' words, and the model's (translation.md 1.1, 1.2, 1.8). */
#include "dialect/messages/messages-private.h"

#include <stdio.h>

#include "base/json_scan.h"
#include "dialect/json_text.h"

/* ---- stop reasons ---- */

static const struct {
    const char *wire;
    enum stop_reason reason;
} reasons[] = {
    {"end_turn", STOP_END},
    {"max_tokens", STOP_LENGTH},
    {"stop_sequence", STOP_SEQUENCE},
    {"tool_use", STOP_TOOL},
    {"pause_turn", STOP_PAUSE},
    {"refusal", STOP_FILTER},
    {"model_context_window_exceeded", STOP_LENGTH},
    {"compaction", STOP_PAUSE},
};

enum stop_reason messages_stop_reason(struct slice wire) {
    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++) {
        if (slice_eq(wire, slice_cstr(reasons[i].wire))) return reasons[i].reason;
    }
    return STOP_END;
}

/* The word for clients: the upstream's own when it is in messages' words (is_native) and means the
 * same. */
static struct slice stop_word(const struct finish *f, bool is_native) {
    if (is_native && f->wire.len > 0 && messages_stop_reason(f->wire) == f->reason) return f->wire;
    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++) {
        if (reasons[i].reason == f->reason) return slice_cstr(reasons[i].wire);
    }
    return SLICE("end_turn"); /* STOP_ERROR ends in an error, not in a word */
}

void messages_w_stop(struct json_writer *w, const struct finish *f, bool is_native) {
    jw(w, SLICE("\"stop_reason\":"));
    jw_string(w, stop_word(f, is_native));
    jw(w, SLICE(",\"stop_sequence\":"));
    if (f->reason == STOP_SEQUENCE && f->stop_sequence.len > 0) {
        jw_string(w, f->stop_sequence);
    } else {
        jw(w, SLICE("null"));
    }
    if (!is_native || !json_text_is(f->details, '{')) return;
    jw(w, SLICE(",\"stop_details\":"));
    jw_raw(w, f->details);
}

/* ---- service tiers ---- */

struct slice messages_tier_to_openai(struct slice tier) {
    if (slice_eq(tier, SLICE("standard"))) return SLICE("default");
    return slice_eq(tier, SLICE("priority")) ? SLICE("priority") : SLICE_NULL;
}

struct slice messages_tier_from_openai(struct slice tier) {
    if (slice_eq(tier, SLICE("default"))) return SLICE("standard");
    return slice_eq(tier, SLICE("priority")) ? SLICE("priority") : SLICE_NULL;
}

/* ---- usage ---- */

#define COUNTER_MAX      INT64_C(9000000000000000) /* no sum of a few of them overflows */
#define WIRE_MAX_BYTES   ((size_t)8 << 10)
#define WIRE_MAX_MEMBERS 32

static void overlay(int64_t *counter, yyjson_val *object, const char *key) {
    yyjson_val *v = yyjson_obj_get(object, key);
    double n = yyjson_is_num(v) ? yyjson_get_num(v) : -1;
    if (n >= 0 && n < (double)COUNTER_MAX)
        *counter = yyjson_is_uint(v) ? (int64_t)yyjson_get_uint(v) : (int64_t)n;
}

void messages_overlay_usage(struct messages_usage *u, yyjson_val *object) {
    overlay(&u->input, object, "input_tokens");
    overlay(&u->cache_read, object, "cache_read_input_tokens");
    overlay(&u->cache_write, object, "cache_creation_input_tokens");
    overlay(&u->output, object, "output_tokens");
    overlay(&u->thinking, yyjson_obj_get(object, "output_tokens_details"), "thinking_tokens");
}

static int64_t known(int64_t n) {
    return n > 0 ? n : 0;
}

struct usage messages_usage_total(const struct messages_usage *u) {
    struct usage total = USAGE_NONE;
    if (u->input >= 0) total.in_total = u->input + known(u->cache_read) + known(u->cache_write);
    total.out_total = u->output;
    total.cache_read = u->cache_read;
    total.cache_write = u->cache_write;
    total.reasoning = u->thinking;
    return total;
}

static bool is_overlaid(struct slice later, struct slice key, struct slice *out_value) {
    struct json_member m;
    if (!json_find_member(later, key, &m) || json_text_is_null(m.value)) return false;
    *out_value = m.value;
    return true;
}

static void w_pair(struct json_writer *w, unsigned *n, struct slice key, struct slice value) {
    jw(w, (*n)++ > 0 ? SLICE(",\"") : SLICE("{\""));
    jw(w, key);
    jw(w, SLICE("\":"));
    jw(w, value);
}

static unsigned count_members(struct slice object) {
    struct json_walk walk = json_walk_begin(object);
    struct slice key, value;
    unsigned n = 0;
    while (n <= WIRE_MAX_MEMBERS && json_walk_member(&walk, &key, &value))
        n++;
    return n;
}

static int write_overlaid(struct buf *out, struct slice first, struct slice later) {
    struct json_writer w = jw_begin(out);
    struct json_walk walk = json_walk_begin(first);
    struct slice key, value;
    struct json_member m;
    unsigned n = 0;
    while (json_walk_member(&walk, &key, &value)) {
        is_overlaid(later, key, &value);
        w_pair(&w, &n, key, value);
    }
    walk = json_walk_begin(later);
    while (json_walk_member(&walk, &key, &value)) {
        if (!json_find_member(first, key, &m)) w_pair(&w, &n, key, value);
    }
    jw(&w, n > 0 ? SLICE("}") : SLICE("{}"));
    return jw_end(&w);
}

void messages_overlay_wire(struct buf *wire, struct slice later) {
    struct buf next;
    buf_init(&next, WIRE_MAX_BYTES);
    wire->max = WIRE_MAX_BYTES;
    if (count_members(later) > WIRE_MAX_MEMBERS ||
        count_members(buf_slice(wire)) > WIRE_MAX_MEMBERS ||
        write_overlaid(&next, buf_slice(wire), later)) {
        buf_reset(&next);
    }
    buf_dispose(wire);
    *wire = next;
}

/* ---- writing usage ---- */

static void w_counter(struct json_writer *w, struct slice key, int64_t n) {
    jw(w, key);
    jw_int(w, known(n));
}

/* Some upstreams count what was cached beside the rest, not in it (1.2). */
static int64_t uncached(const struct usage *u) {
    int64_t cached = known(u->cache_read) + known(u->cache_write);
    if (known(u->cache_read) > known(u->in_total)) return known(u->in_total);
    return known(known(u->in_total) - cached);
}

static bool is_counter(struct slice key) {
    static const char *const names[] = {"input_tokens", "cache_creation_input_tokens",
                                        "cache_read_input_tokens", "output_tokens",
                                        "output_tokens_details"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (slice_eq(key, slice_cstr(names[i]))) return true;
    }
    return false;
}

/* What the upstream tells beside the counters. */
static void w_extras(struct json_writer *w, struct slice wire) {
    struct json_walk walk = json_walk_begin(wire);
    struct slice key, value;
    while (json_walk_member(&walk, &key, &value)) {
        if (is_counter(key)) continue;
        jw(w, SLICE(",\""));
        jw_raw(w, key);
        jw(w, SLICE("\":"));
        jw_raw(w, value);
    }
}

static void w_input(struct json_writer *w, const struct usage *u) {
    w_counter(w, SLICE("\"input_tokens\":"), uncached(u));
    w_counter(w, SLICE(",\"cache_creation_input_tokens\":"), u->cache_write);
    w_counter(w, SLICE(",\"cache_read_input_tokens\":"), u->cache_read);
    jw(w, SLICE(","));
}

static void w_output(struct json_writer *w, const struct usage *u, bool is_native) {
    struct json_member details;
    w_counter(w, SLICE("\"output_tokens\":"), u->out_total);
    if (u->reasoning < 0 || (u->reasoning == 0 && !is_native)) return;
    jw(w, SLICE(",\"output_tokens_details\":"));
    if (is_native && json_find_member(u->wire, SLICE("output_tokens_details"), &details)) {
        jw_raw(w, details.value);
    } else {
        w_counter(w, SLICE("{\"thinking_tokens\":"), u->reasoning);
        jw(w, SLICE("}"));
    }
}

/* The upstream's counters are written as they were understood, not as they came: some are none. */
void messages_w_usage(struct json_writer *w, const struct usage *u, bool is_native,
                      struct slice tier, enum usage_form form) {
    static const struct usage none = {-1, -1, -1, -1, -1, {NULL, 0}};
    if (!u) u = &none;
    jw(w, SLICE("{"));
    if (u->in_total >= 0 || form != USAGE_END) w_input(w, u);
    if (form == USAGE_START)
        jw(w, SLICE("\"output_tokens\":0"));
    else
        w_output(w, u, is_native);
    if (is_native)
        w_extras(w, u->wire);
    else if (form != USAGE_END)
        jw_member(w, SLICE("service_tier"), tier);
    jw(w, SLICE("}"));
}

/* ---- ids and origins ---- */

bool messages_is_native(const struct event_start *start) {
    return start->origin && strcmp(start->origin, dialect_messages.name) == 0;
}

void messages_w_tool_id(struct json_writer *w, struct slice told, struct slice message_id,
                        uint32_t block) {
    char made[48];
    if (told.len > 0) {
        jw_string(w, told);
        return;
    }
    int n = snprintf(made, sizeof made, "\"toolu_%016llx%u\"",
                     (unsigned long long)slice_hash(SLICE_HASH_START, message_id), block);
    jw(w, slice_make(made, (size_t)n));
}
