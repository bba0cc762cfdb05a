/* SPDX-License-Identifier: Apache-2.0 */
#include "mock/journal-private.h"

#include <inttypes.h>
#include <pthread.h>

#include "base/json_scan.h"
#include "base/mem.h"
#include "dialect/json_doc.h"
#include "mock/mask.h"

enum {
    PATH_BYTES = 1024,
    NAME_BYTES = 256,
    VALUE_BYTES = 1024,
    TEXT_BYTES = 4096,
    VIOLATIONS_BYTES = 32 << 10,
    MASKED_MAX_BYTES = 1 << 20,      /* of a body, with what masks add */
    CUT_TOKEN_BYTES = 512
};

struct journal {
    pthread_mutex_t lock;
    struct journal_entry **ring;     /* by seq % n_ring */
    unsigned n_ring;
    size_t max_bytes, bytes;
    uint64_t first, last;            /* kept: [first, last]; none when first > last */
    void (*changed)(void *self);
    void *self;
};

struct journal *journal_new(void) {
    struct journal *j = mem_zalloc(sizeof *j);
    pthread_mutex_init(&j->lock, NULL);
    j->first = 1;
    journal_limit(j, JOURNAL_ENTRIES, JOURNAL_MAX_BYTES);
    return j;
}

void journal_on_change(struct journal *j, void (*changed)(void *self), void *self) {
    j->changed = changed;
    j->self = self;
}

static void has_changed(const struct journal *j) {
    if (j->changed) {
        j->changed(j->self);
    }
}

/* ---- what is kept ---- */

static void entry_unref(struct journal_entry *en) {
    if (atomic_fetch_sub(&en->refs, 1) == 1) {
        arena_free(en->arena);
    }
}

static void drop_oldest(struct journal *j) {
    struct journal_entry **at = &j->ring[j->first++ % j->n_ring];
    j->bytes -= (*at)->bytes;
    entry_unref(*at);
    *at = NULL;
}

/* Until another entry of so many bytes may come. */
static void make_room(struct journal *j, size_t bytes) {
    while (j->first <= j->last &&
           (j->last - j->first + 1 >= j->n_ring || j->bytes + bytes > j->max_bytes)) {
        drop_oldest(j);
    }
}

static void drop_all(struct journal *j) {
    while (j->first <= j->last) {
        drop_oldest(j);
    }
}

void journal_free(struct journal **j) {
    if (!*j) {
        return;
    }
    drop_all(*j);
    pthread_mutex_destroy(&(*j)->lock);
    mem_free((*j)->ring);
    mem_free(*j);
    *j = NULL;
}

void journal_limit(struct journal *j, unsigned entries, size_t max_bytes) {
    pthread_mutex_lock(&j->lock);
    struct journal_entry **ring = entries > 0 ? mem_zalloc(entries * sizeof(*ring)) : NULL;
    while (j->first <= j->last && j->last - j->first + 1 > entries) {
        drop_oldest(j);
    }
    for (uint64_t seq = j->first; seq <= j->last; seq++) {
        ring[seq % entries] = j->ring[seq % j->n_ring];
    }
    mem_free(j->ring);
    j->ring = ring;
    j->n_ring = entries;
    j->max_bytes = max_bytes;
    pthread_mutex_unlock(&j->lock);
}

void journal_clear(struct journal *j) {
    pthread_mutex_lock(&j->lock);
    drop_all(j);
    pthread_mutex_unlock(&j->lock);
}

uint64_t journal_last(struct journal *j) {
    pthread_mutex_lock(&j->lock);
    uint64_t last = j->last;
    pthread_mutex_unlock(&j->lock);
    return last;
}

/* NULL: it has gone, or never was. */
static struct journal_entry *find(const struct journal *j, uint64_t seq) {
    return seq >= j->first && seq <= j->last ? j->ring[seq % j->n_ring] : NULL;
}

/* ---- the request's part, made without the lock ---- */

/* Whole characters. */
static struct slice cut(struct slice s, size_t max) {
    if (s.len > max) {
        s.len = max;
        while (s.len > 0 && ((unsigned char)s.ptr[s.len] & 0xc0) == 0x80) s.len--;
    }
    return s;
}

static struct slice keep(struct journal_entry *en, struct slice s, size_t max) {
    s = cut(s, max);
    return s.len > 0 ? arena_dup(en->arena, s) : SLICE("");
}

typedef int mask_fn(struct buf *out, struct slice text);

static struct slice keep_masked(struct journal_entry *en, mask_fn *mask, struct slice s,
                                size_t max) {
    struct buf shown;
    buf_init(&shown, MASKED_MAX_BYTES);
    int rc = mask(&shown, cut(s, max));
    struct slice kept = rc < 0 ? SLICE("") : keep(en, buf_slice(&shown), MASKED_MAX_BYTES);
    buf_dispose(&shown);
    return kept;
}

static void keep_headers(struct journal_entry *en, const struct http_headers *h) {
    struct http_header *list = arena_alloc(en->arena, (h->count + 1) * sizeof *list);
    struct buf shown;
    size_t total = 0;
    buf_init(&shown, VALUE_BYTES * 8);
    en->headers.items = list;
    for (unsigned i = 0; i < h->count; i++) {
        struct slice name = h->items[i].name;
        buf_reset(&shown);
        if (mask_header(&shown, name, cut(h->items[i].value, VALUE_BYTES)) < 0 ||
            total + name.len + shown.len > JOURNAL_HEADERS_BYTES) {
            continue;
        }
        total += name.len + shown.len;
        list[en->headers.count++] = (struct http_header){keep(en, name, NAME_BYTES),
                                                         keep(en, buf_slice(&shown), shown.len)};
    }
    buf_dispose(&shown);
}

/* What is left out of a long body begins before a word that may be the first half of a key. */
static struct slice cut_body(struct slice body) {
    if (body.len <= JOURNAL_BODY_BYTES) {
        return body;
    }
    body = cut(body, JOURNAL_BODY_BYTES);
    size_t whole = body.len;
    while (body.len > 0 && whole - body.len < CUT_TOKEN_BYTES &&
           !memchr(" \",:\n", body.ptr[body.len - 1], 5)) {
        body.len--;
    }
    return body;
}

static void keep_body(struct journal_entry *en, struct slice body) {
    struct slice kept = cut_body(body);
    en->body_bytes = body.len;
    en->body_is_cut = kept.len < body.len;
    en->body_is_json =
        !en->body_is_cut && json_scan_object(body, WIRE_MAX_DEPTH, NULL, NULL, NULL) == 0;
    en->body = keep_masked(en, mask_json, kept, JOURNAL_BODY_BYTES);
}

static struct journal_entry *entry_new(const struct journal_request *rq) {
    struct arena *a = arena_new();
    struct journal_entry *en = arena_alloc(a, sizeof *en);
    en->arena = a;
    atomic_init(&en->refs, 1);
    en->provider = rq->provider;
    en->dialect = rq->dialect;
    en->method = http_method_name(rq->ex->method);
    en->wall_ns = rq->wall_ns;
    en->stream = rq->stream;
    en->path = keep_masked(en, mask_text, rq->ex->path, PATH_BYTES);
    en->query = keep_masked(en, mask_query, rq->ex->query, PATH_BYTES);
    en->model = keep_masked(en, mask_text, rq->model, NAME_BYTES);
    en->session = keep_masked(en, mask_text, rq->session, NAME_BYTES);
    en->request_id = keep(en, rq->request_id, NAME_BYTES);
    keep_headers(en, &rq->ex->headers);
    keep_body(en, bytes_slice(rq->ex->body));
    en->answer = (struct journal_answer){
        .tokens_in = -1, .tokens_out = -1, .first_token_ns = -1, .duration_ns = -1};
    en->bytes = arena_used_bytes(a);
    return en;
}

/* ---- one request ---- */

static bool is_on(struct journal *j) {
    pthread_mutex_lock(&j->lock);
    bool is = j->n_ring > 0;
    pthread_mutex_unlock(&j->lock);
    return is;
}

uint64_t journal_open(struct journal *j, const struct journal_request *rq) {
    struct journal_entry *en = is_on(j) ? entry_new(rq) : NULL;
    uint64_t seq = 0;
    if (!en) {
        return 0;
    }
    pthread_mutex_lock(&j->lock);
    if (j->n_ring > 0) {
        make_room(j, en->bytes);
        en->seq = seq = ++j->last;
        j->ring[seq % j->n_ring] = en;
        j->bytes += en->bytes;
    }
    pthread_mutex_unlock(&j->lock);
    if (seq == 0) {
        entry_unref(en);
    } else {
        has_changed(j);
    }
    return seq;
}

/* Told again, the newer one stands. */
static void note_text(struct journal_entry *en, struct slice *to, struct slice s, size_t max) {
    if (s.len > 0) {
        *to = keep(en, s, max);
    }
}

static void weigh(struct journal *j, struct journal_entry *en) {
    size_t now = arena_used_bytes(en->arena);
    j->bytes += now - en->bytes;
    en->bytes = now;
}

static void note(struct journal_entry *en, const struct journal_notes *n) {
    en->answered_by = n->answered_by ? n->answered_by : en->answered_by;
    if (n->request_id.ptr) {
        en->request_id = keep(en, n->request_id, NAME_BYTES);
    }
    note_text(en, &en->response_id, n->response_id, NAME_BYTES);
    note_text(en, &en->scenario, n->scenario, NAME_BYTES);
    note_text(en, &en->place, n->place, NAME_BYTES);
    note_text(en, &en->fault, n->fault, NAME_BYTES);
    if (n->violations.len <= VIOLATIONS_BYTES && n->n_violations > 0) {   /* they quote the body */
        en->violations = keep_masked(en, mask_json, n->violations, VIOLATIONS_BYTES);
    }
    en->n_violations = n->n_violations > 0 ? n->n_violations : en->n_violations;
}

void journal_note(struct journal *j, uint64_t seq, const struct journal_notes *n) {
    pthread_mutex_lock(&j->lock);
    struct journal_entry *en = find(j, seq);
    if (en) {
        note(en, n);
        weigh(j, en);
    }
    pthread_mutex_unlock(&j->lock);
    if (en) {
        has_changed(j);
    }
}

static bool close_entry(struct journal *j, struct journal_entry *en,
                        const struct journal_answer *a) {
    if (en->answer.end != JOURNAL_OPEN) {
        return false;
    }
    struct slice finish = en->answer.finish_reason;
    note_text(en, &finish, a->finish_reason, NAME_BYTES);
    en->answer = *a;
    en->answer.finish_reason = finish;
    if (a->status >= 400) {
        en->response_id = SLICE("");     /* the one that was begun is not what was sent */
    }
    weigh(j, en);
    return true;
}

void journal_close(struct journal *j, uint64_t seq, const struct journal_answer *a) {
    pthread_mutex_lock(&j->lock);
    struct journal_entry *en = find(j, seq);
    bool is_first = en && close_entry(j, en, a);
    pthread_mutex_unlock(&j->lock);
    if (is_first) {
        has_changed(j);
    }
}

/* ---- reading ---- */

/* The first one kept that is later; one behind the last when there is none. */
static uint64_t behind(const struct journal *j, uint64_t since) {
    return since < j->first ? j->first : since < j->last ? since + 1 : j->last + 1;
}

/* With since: the first ones behind it; else the last ones that fit. */
static uint64_t first_shown(const struct journal *j, const struct journal_query *q) {
    uint64_t seq = j->last + 1, from = j->first;
    if (q->has_since) {
        return behind(j, q->since);
    }
    for (unsigned n = 0; seq > from && n < q->limit; seq--) {
        n += journal_entry_fits(find(j, seq - 1), q);
    }
    return seq;
}

int journal_write(struct journal *j, const struct journal_query *q, struct buf *out) {
    pthread_mutex_lock(&j->lock);
    unsigned n = 0;
    int rc = buf_appendf(out, "{\"total\":%" PRIu64 ",\"last\":%" PRIu64 ",\"entries\":[", j->last,
                         j->last);
    for (uint64_t seq = first_shown(j, q); seq <= j->last && n < q->limit && rc == 0; seq++) {
        const struct journal_entry *en = find(j, seq);
        if (!journal_entry_fits(en, q)) {
            continue;
        }
        rc |= n++ ? buf_append_byte(out, ',') : 0;
        rc |= journal_entry_write(en, q->has_bodies, out);
    }
    pthread_mutex_unlock(&j->lock);
    rc |= buf_append(out, SLICE("]}\n"));
    return rc < 0 ? -ERR_LIMIT : 0;
}

bool journal_write_one(struct journal *j, uint64_t seq, struct buf *out) {
    pthread_mutex_lock(&j->lock);
    const struct journal_entry *en = find(j, seq);
    int rc = en ? journal_entry_write(en, true, out) : -ERR_USAGE;
    pthread_mutex_unlock(&j->lock);
    return rc == 0;
}

static struct journal_view view_of(struct journal_entry *en, const struct journal_query *q) {
    atomic_fetch_add(&en->refs, 1);
    return (struct journal_view){.entry = en,
                                 .seq = en->seq,
                                 .dialect = en->dialect,
                                 .provider = en->provider,
                                 .path = en->path,
                                 .session = en->session,
                                 .headers = en->headers,
                                 .body = en->body,
                                 .body_is_cut = en->body_is_cut,
                                 .answer_fits = journal_answer_fits(en, q)};
}

unsigned journal_hold(struct journal *j, const struct journal_query *q, struct arena *a,
                      struct journal_view **out) {
    pthread_mutex_lock(&j->lock);
    uint64_t from = behind(j, q->since);
    unsigned n = from <= j->last ? (unsigned)(j->last - from + 1) : 0;
    *out = arena_alloc(a, (n + 1) * sizeof **out);
    for (unsigned i = 0; i < n; i++) {
        (*out)[i] = view_of(find(j, from + i), q);
    }
    pthread_mutex_unlock(&j->lock);
    return n;
}

void journal_release(struct journal_view *views, unsigned n) {
    for (unsigned i = 0; i < n; i++) {
        entry_unref(views[i].entry);
    }
}
