/* SPDX-License-Identifier: Apache-2.0 */
#include "mock/journal.h"

#include <inttypes.h>
#include <pthread.h>

#include "base/clock.h"
#include "base/json_scan.h"
#include "base/mem.h"
#include "mock/mask.h"

enum { PATH_BYTES = 96, MODEL_BYTES = 96, VALUE_BYTES = 512 };

struct entry {
    uint64_t seq;
    int64_t wall_ns;
    bool stream;
    uint8_t path_len, model_len;
    uint16_t headers_len;
    const char *method;
    char path[PATH_BYTES], model[MODEL_BYTES];
    char headers[JOURNAL_HEADERS_BYTES];     /* name NUL value NUL …, masked */
};

struct journal {
    pthread_mutex_t lock;
    uint64_t total, since;                   /* since: total at the last clearing */
    struct buf scratch;
    struct entry entries[JOURNAL_ENTRIES];
};

struct journal *journal_new(void) {
    struct journal *j = mem_zalloc(sizeof *j);
    pthread_mutex_init(&j->lock, NULL);
    buf_init(&j->scratch, VALUE_BYTES * 8);
    return j;
}

void journal_free(struct journal **j) {
    if (!*j) {
        return;
    }
    pthread_mutex_destroy(&(*j)->lock);
    buf_dispose(&(*j)->scratch);
    mem_free(*j);
    *j = NULL;
}

static uint8_t copy_cut(char *to, struct slice from, size_t max) {
    size_t len = from.len < max ? from.len : max;
    if (len) {
        memcpy(to, from.ptr, len);
    }
    return (uint8_t)len;
}

static bool entry_put(struct entry *en, struct slice name, struct slice value) {
    size_t need = name.len + value.len + 2;
    if (en->headers_len + need > JOURNAL_HEADERS_BYTES) {
        return false;
    }
    char *to = en->headers + en->headers_len;
    memcpy(to, name.ptr, name.len);
    to[name.len] = '\0';
    if (value.len) {
        memcpy(to + name.len + 1, value.ptr, value.len);
    }
    to[name.len + value.len + 1] = '\0';
    en->headers_len = (uint16_t)(en->headers_len + need);
    return true;
}

static void entry_put_headers(struct journal *j, struct entry *en, const struct http_headers *h) {
    for (unsigned i = 0; i < h->count; i++) {
        buf_reset(&j->scratch);
        struct slice value = slice_sub(h->items[i].value, 0, VALUE_BYTES);
        if (mask_header(&j->scratch, h->items[i].name, value) == 0) {
            entry_put(en, h->items[i].name, buf_slice(&j->scratch));
        }
    }
}

void journal_add(struct journal *j, const struct http_exchange *ex, struct slice model,
                 bool stream) {
    pthread_mutex_lock(&j->lock);
    struct entry *en = &j->entries[j->total % JOURNAL_ENTRIES];
    en->seq = ++j->total;
    en->wall_ns = clock_wall_ns();
    en->stream = stream;
    en->method = http_method_name(ex->method);
    en->path_len = copy_cut(en->path, ex->path, PATH_BYTES);
    en->model_len = copy_cut(en->model, model, MODEL_BYTES);
    en->headers_len = 0;
    entry_put_headers(j, en, &ex->headers);
    pthread_mutex_unlock(&j->lock);
}

void journal_clear(struct journal *j) {
    pthread_mutex_lock(&j->lock);
    j->since = j->total;
    pthread_mutex_unlock(&j->lock);
}

static int write_string(struct buf *out, struct slice s) {
    return buf_append_byte(out, '"') | json_escape(out, s) | buf_append_byte(out, '"');
}

static int write_headers(const struct entry *en, struct buf *out) {
    int rc = buf_append_byte(out, '{');
    for (size_t at = 0; at < en->headers_len;) {
        struct slice name = slice_cstr(en->headers + at);
        struct slice value = slice_cstr(en->headers + at + name.len + 1);
        rc |= at ? buf_append_byte(out, ',') : 0;
        rc |= write_string(out, name) | buf_append_byte(out, ':') | write_string(out, value);
        at += name.len + value.len + 2;
    }
    return rc | buf_append_byte(out, '}');
}

static int write_entry(const struct entry *en, struct buf *out) {
    int rc = buf_appendf(out, "{\"seq\":%" PRIu64 ",\"time\":%.3f,\"method\":\"%s\",\"path\":", en->seq,
                         (double)en->wall_ns / 1e9, en->method);
    rc |= write_string(out, slice_make(en->path, en->path_len));
    rc |= buf_append(out, SLICE(",\"model\":"));
    rc |= write_string(out, slice_make(en->model, en->model_len));
    rc |= buf_appendf(out, ",\"stream\":%s,\"headers\":", en->stream ? "true" : "false");
    return rc | write_headers(en, out) | buf_append_byte(out, '}');
}

int journal_write(struct journal *j, struct buf *out) {
    pthread_mutex_lock(&j->lock);
    uint64_t first = j->total > JOURNAL_ENTRIES ? j->total - JOURNAL_ENTRIES : 0;
    first = first < j->since ? j->since : first;
    int rc = buf_appendf(out, "{\"total\":%" PRIu64 ",\"entries\":[", j->total);
    for (uint64_t i = first; i < j->total && rc == 0; i++) {
        rc |= i > first ? buf_append_byte(out, ',') : 0;
        rc |= write_entry(&j->entries[i % JOURNAL_ENTRIES], out);
    }
    rc |= buf_append(out, SLICE("]}\n"));
    pthread_mutex_unlock(&j->lock);
    return rc < 0 ? -ERR_LIMIT : 0;
}
