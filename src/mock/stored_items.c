/* SPDX-License-Identifier: Apache-2.0 */
/* Items of responses and conversations: their ids, and how they are listed. */
#include <stdio.h>

#include "base/json_scan.h"
#include "base/random.h"
#include "dialect/json_write.h"
#include "dialect/request_read.h"
#include "dialect/responses/responses_state.h"
#include "mock/stored-private.h"

enum { ID_DIGITS = 48 };

struct slice stored_id(const struct stored *s, const char *prefix, uint64_t serial,
                       struct arena *a) {
    struct rng r;
    char digits[ID_DIGITS + 1];
    rng_seed_nth(&r, s->seed, serial + 1);
    for (unsigned i = 0; i < ID_DIGITS; i += 16) {
        snprintf(digits + i, 17, "%016llx", (unsigned long long)rng_next(&r));
    }
    return slice_cstr(arena_printf(a, "%s%s", prefix, digits));
}

struct slice stored_item_id(struct slice item, struct arena *a) {
    return json_member_string(item, SLICE("id"), a);
}

static struct slice in_brackets(struct slice items, struct arena *a) {
    char *to = arena_alloc(a, items.len + 2);
    to[0] = '[';
    if (items.len > 0) memcpy(to + 1, items.ptr, items.len);
    to[items.len + 1] = ']';
    return slice_make(to, items.len + 2);
}

struct stored_list stored_split(struct slice items, struct arena *a) {
    struct slice array = in_brackets(items, a), item;
    struct stored_list list = {.n = 0};
    for (struct json_walk w = json_walk_begin(array); json_walk_element(&w, &item);) list.n++;
    list.items = arena_alloc(a, (list.n + 1) * sizeof *list.items);
    size_t i = 0;
    for (struct json_walk w = json_walk_begin(array); json_walk_element(&w, &item);) {
        list.items[i++] = item;
    }
    return list;
}

/* A message whose content is a text, as one with a part. */
static void w_message(struct json_writer *w, struct slice item, struct arena *a) {
    struct json_walk walk = json_walk_begin(item);
    struct slice key, value, role = json_member_string(item, SLICE("role"), a);
    bool is_assistant = slice_eq(role, SLICE("assistant"));
    bool has_status = json_member(item, SLICE("status"), a).ptr != NULL;
    jw(w, has_status ? SLICE("{") : SLICE("{\"status\":\"completed\","));
    for (bool first = true; json_walk_member(&walk, &key, &value); first = false) {
        jw(w, first ? SLICE("\"") : SLICE(",\""));
        jw_raw(w, key);
        jw(w, SLICE("\":"));
        bool is_text = json_text_is(value, '"') &&
                       slice_eq(json_text_unescape(key, a), SLICE("content"));
        if (is_text && is_assistant)
            jw(w, SLICE("[{\"type\":\"output_text\",\"annotations\":[],\"logprobs\":[],\"text\":"));
        else if (is_text) jw(w, SLICE("[{\"type\":\"input_text\",\"text\":"));
        jw_raw(w, value);
        if (is_text) jw(w, SLICE("}]"));
    }
    jw(w, SLICE("}"));
}

int stored_items_of(struct slice body, struct slice seed, struct arena *a, struct slice *out) {
    struct buf raw, listed;
    buf_init(&raw, STORED_MAX_BODY_BYTES);
    buf_init(&listed, STORED_MAX_BODY_BYTES);
    int rc = responses_input_items(body, seed, a, &raw);
    struct stored_list list = stored_split(buf_slice(&raw), a);
    struct json_writer w = jw_begin(&listed);
    for (size_t i = 0; i < list.n && rc == 0; i++) {
        struct slice type = json_member_string(list.items[i], SLICE("type"), a);
        jw(&w, i ? SLICE(",") : SLICE(""));
        if (slice_eq(type, SLICE("message"))) w_message(&w, list.items[i], a);
        else jw_raw(&w, list.items[i]);
    }
    rc = rc ? rc : jw_end(&w);
    *out = rc == 0 ? arena_dup(a, buf_slice(&listed)) : SLICE_NULL;
    buf_dispose(&raw);
    buf_dispose(&listed);
    return rc == 0 ? 0 : -ERR_PROTOCOL;
}

struct slice stored_with_member(struct slice object, struct slice name, struct slice value,
                                struct arena *a) {
    struct json_member m;
    if (!json_find_member(object, name, &m)) {
        return object;
    }
    struct slice rest = slice_from(object, m.value_off + m.value_len);
    char *to = arena_alloc(a, m.value_off + value.len + rest.len + 1);
    memcpy(to, object.ptr, m.value_off);
    memcpy(to + m.value_off, value.ptr, value.len);
    memcpy(to + m.value_off + value.len, rest.ptr, rest.len);
    return slice_make(to, m.value_off + value.len + rest.len);
}
