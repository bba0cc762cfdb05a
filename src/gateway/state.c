/* SPDX-License-Identifier: Apache-2.0 */
/* The gateway's memory: whose it is, and how a record is written. */
#include <stdio.h>
#include <sys/random.h>

#include "base/mem.h"
#include "base/sha256.h"
#include "dialect/json_text.h"
#include "dialect/request_read.h"
#include "gateway/state-private.h"

static bool keeps_responses(const struct config_provider *p) {
    bool speaks = p->dialect && strcmp(p->dialect->name, "responses") == 0;
    for (unsigned i = 0; i < p->n_also; i++)
        speaks = speaks || strcmp(p->also[i]->name, "responses") == 0;
    return speaks && p->keeps_responses;
}

static int find_keeper(const struct config *c) {
    int keeper = -1;
    for (unsigned i = 0; i < c->n_providers; i++) {
        if (!keeps_responses(&c->providers[i]))
            continue;
        if (keeper >= 0)
            return -1;
        keeper = (int)i;
    }
    return keeper;
}

struct state *state_new(const struct config *c) {
    struct state *s = mem_zalloc(sizeof *s);
    s->config = c;
    s->store = store_memory_new(c->state.max_bytes);
    s->ttl_ns = c->state.ttl_ns;
    s->keeper = find_keeper(c);
    s->max_body_bytes = 2 * c->limits.body_bytes + (64u << 10);
    return s;
}

void state_free(struct state **s) {
    if (!*s)
        return;
    store_free(&(*s)->store);
    mem_free(*s);
    *s = NULL;
}

void state_get_stats(struct state *s, struct store_stats *out) {
    store_get_stats(s->store, out);
}

/* A digest: what is stored says nothing of the credential. */
void state_tenant(struct slice credential, struct tenant *out) {
    char hex[SHA256_HEX_BYTES + 1];
    sha256_hex(credential, hex);
    memcpy(out->id, hex, TENANT_BYTES);
    if (credential.len == 0)
        memset(out->id, '0', TENANT_BYTES);
    out->id[TENANT_BYTES] = '\0';
}

struct slice state_seed(struct arena *a) {
    unsigned char bytes[12];
    char hex[2 * sizeof bytes + 1];
    if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes)
        memset(bytes, 0, sizeof bytes);
    for (size_t i = 0; i < sizeof bytes; i++)
        snprintf(hex + 2 * i, 3, "%02x", bytes[i]);
    return arena_dup(a, slice_cstr(hex));
}

/* ---- records ---- */

struct slice state_inside(struct slice array) {
    if (!json_text_is(array, '['))
        return SLICE_NULL;
    size_t from = json_text_skip_space(array, 1), to = array.len - 1;
    while (to > from && memchr(" \t\r\n", array.ptr[to - 1], 4))
        to--;
    return to > from ? slice_sub(array, from, to - from) : SLICE_NULL;
}

bool state_record_read(struct slice text, struct arena *a, struct state_record *out) {
    out->previous = json_member_string(text, SLICE("previous"), a);
    out->input = state_inside(json_member(text, SLICE("input"), a));
    out->response = json_member(text, SLICE("response"), a);
    out->output = state_inside(json_member(out->response, SLICE("output"), a));
    return json_text_is(out->response, '{');
}

void state_piece_push(struct state_piece **list, struct slice text, struct arena *a) {
    if (text.len == 0)
        return;
    struct state_piece *p = arena_alloc(a, sizeof *p);
    p->text = arena_dup(a, text);
    p->next = *list;
    *list = p;
}

int state_pieces_join(const struct state_piece *list, struct buf *out) {
    int rc = 0;
    for (const struct state_piece *p = list; p && rc == 0; p = p->next) {
        rc = p == list ? 0 : buf_append_byte(out, ',');
        if (rc == 0)
            rc = buf_append(out, p->text);
    }
    return rc;
}

int state_native_read(const struct state *s, const struct tenant *tenant, struct slice value) {
    if (value.len <= TENANT_BYTES || memcmp(value.ptr, tenant->id, TENANT_BYTES) != 0)
        return -2;
    struct slice name = slice_from(value, TENANT_BYTES);
    for (unsigned i = 0; i < s->config->n_providers; i++) {
        if (slice_eq(name, slice_cstr(s->config->providers[i].name)))
            return (int)i;
    }
    return -2;
}
