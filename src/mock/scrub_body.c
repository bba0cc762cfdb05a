/* SPDX-License-Identifier: Apache-2.0 */
/* Takes a body apart (events of a stream, JSON values, plain text), searches every string alone,
 * and joins those of one place ("lane") for a second search. */
#include "base/mem.h"
#include "mock/scrub-private.h"

enum { MAX_LANES = 1 << 17, EVENT_MAX_LINES = 1 << 20 };

struct lane {
    uint64_t id, path;
    size_t last_off;               /* of its last string in the body */
    struct scrub_view view;
};

/* A token of log probabilities and what hides with it. */
struct companion {
    uint32_t off, len;
    struct span region;
    bool has_keys;                 /* the alternatives are the names of members */
};

struct body_scrub {
    struct scrub_job job;
    struct scrub_walk walk;
    struct scrub_view one;         /* of the string at hand */
    bool is_stream;
    struct lane *lanes;
    size_t n_lanes, cap_lanes;
    uint32_t *table;               /* of lanes + 1, by id */
    size_t table_size;
    struct companion *companions;
    size_t n_companions, cap_companions;
    struct buf scratch;            /* an event of several lines, without its line heads */
};

/* ---- lanes ---- */

static void table_put(struct body_scrub *b, uint64_t id, uint32_t index) {
    size_t at = id & (b->table_size - 1);
    while (b->table[at] != 0) {
        at = (at + 1) & (b->table_size - 1);
    }
    b->table[at] = index + 1;
}

static void table_grow(struct body_scrub *b) {
    mem_free(b->table);
    b->table_size = b->table_size ? 2 * b->table_size : 64;
    b->table = mem_zalloc(b->table_size * sizeof *b->table);
    for (size_t i = 0; i < b->n_lanes; i++) {
        table_put(b, b->lanes[i].id, (uint32_t)i);
    }
}

static struct lane *lane_find(struct body_scrub *b, uint64_t id) {
    for (size_t at = id & (b->table_size - 1); b->table_size > 0 && b->table[at] != 0;
         at = (at + 1) & (b->table_size - 1)) {
        struct lane *l = &b->lanes[b->table[at] - 1];
        if (l->id == id) {
            return l;
        }
    }
    return NULL;
}

static struct lane *lane_new(struct body_scrub *b, uint64_t id, uint64_t path) {
    if (b->n_lanes == MAX_LANES) {
        return NULL;
    }
    if (2 * b->n_lanes >= b->table_size) {
        table_grow(b);
    }
    if (b->n_lanes == b->cap_lanes) {
        b->cap_lanes = b->cap_lanes ? 2 * b->cap_lanes : 16;
        b->lanes = mem_realloc(b->lanes, b->cap_lanes * sizeof *b->lanes);
    }
    struct lane *l = &b->lanes[b->n_lanes];
    *l = (struct lane){.id = id, .path = path};
    scrub_view_init(&l->view, NULL);
    table_put(b, id, (uint32_t)b->n_lanes++);
    return l;
}

/* Of a value that was cut before it said whose it is: the lane of its place that was spoken in
 * last. */
static struct lane *lane_guess(struct body_scrub *b, uint64_t path) {
    struct lane *best = NULL;
    for (size_t i = 0; i < b->n_lanes; i++) {
        struct lane *l = &b->lanes[i];
        if (l->path == path && (!best || l->last_off > best->last_off)) {
            best = l;
        }
    }
    return best;
}

static struct lane *lane_of(struct body_scrub *b, uint64_t id, uint64_t path, bool is_open) {
    struct lane *l = lane_find(b, id);
    l = l || !is_open ? l : lane_guess(b, path);
    return l ? l : lane_new(b, id, path);
}

/* ---- strings ---- */

static void scan_plain(struct body_scrub *b, struct slice text, size_t from, bool may_be_cut) {
    scrub_view_reset(&b->one);
    scrub_view_add(&b->one, text, from);
    scrub_scan(&b->job, &b->one, may_be_cut);
}

static void add_companion(struct body_scrub *b, const struct scrub_leaf *l, struct span region,
                          bool has_keys, size_t base) {
    if (region.len == 0) {
        return;
    }
    if (b->n_companions == b->cap_companions) {
        b->cap_companions = b->cap_companions ? 2 * b->cap_companions : 64;
        b->companions = mem_realloc(b->companions, b->cap_companions * sizeof *b->companions);
    }
    region.off += (uint32_t)base;
    b->companions[b->n_companions++] =
        (struct companion){l->raw.off + (uint32_t)base, l->raw.len, region, has_keys};
}

static void note_companions(struct body_scrub *b, const struct scrub_leaf *l, size_t base) {
    struct span regions[2] = {{0, 0}, {0, 0}};
    bool has_keys;
    if (scrub_leaf_companions(&b->walk, l, regions, &has_keys)) {
        add_companion(b, l, regions[0], has_keys, base);
        add_companion(b, l, regions[1], has_keys, base);
    }
}

static bool joins(const struct body_scrub *b, const struct scrub_leaf *l) {
    struct span regions[2];
    bool has_keys;
    return l->kind == SCRUB_STRING &&
           (b->is_stream || scrub_leaf_companions(&b->walk, l, regions, &has_keys));
}

static void take_leaf(struct body_scrub *b, const struct scrub_leaf *l, struct slice text,
                      size_t base) {
    struct slice raw = slice_sub(text, l->raw.off, l->raw.len);
    size_t from = base + l->raw.off;
    bool is_last = from + raw.len == b->job.len;
    if (joins(b, l)) {
        struct lane *lane = lane_of(b, scrub_leaf_lane(&b->walk, l), scrub_leaf_path(&b->walk, l),
                                    b->walk.is_open);
        if (lane) {
            scrub_view_add_json(&lane->view, raw, from);
            lane->last_off = from;
        }
    }
    if (l->is_secret && raw.len > 0) {
        scrub_hide(&b->job, from, raw.len, '*');
        b->job.n_hidden++;
        return;
    }
    scrub_view_reset(&b->one);
    b->one.is_number = l->kind == SCRUB_NUMBER;
    scrub_view_add_json(&b->one, raw, from);
    scrub_scan(&b->job, &b->one, b->job.is_cut && is_last);
    note_companions(b, l, base);
}

/* ---- JSON ---- */

static bool is_blank_from(struct slice text, size_t *at) {
    while (*at < text.len && (text.ptr[*at] == ' ' || text.ptr[*at] == '\t' ||
                              text.ptr[*at] == '\r' || text.ptr[*at] == '\n')) {
        ++*at;
    }
    return *at == text.len;
}

/* JSON values one after another; what is none is plain text. text stands at base of the body, or
 * is a copy of what does. */
static void take_json(struct body_scrub *b, struct slice text, size_t base) {
    size_t at = 0;
    while (b->job.rc == 0 && !is_blank_from(text, &at)) {
        size_t end = scrub_walk_value(&b->walk, text, at);
        for (size_t i = 0; i < b->walk.n_leaves; i++) {
            take_leaf(b, &b->walk.leaves[i], text, base);
        }
        bool is_stuck = end < text.len && (b->walk.is_open || end == at);
        if (is_stuck) {
            scan_plain(b, slice_from(text, end), base + end, b->job.is_cut);
            break;
        }
        at = end;
    }
}

static bool is_json(struct slice text) {
    size_t at = 0;
    return !is_blank_from(text, &at) &&
           (text.ptr[at] == '{' || text.ptr[at] == '[' || text.ptr[at] == '"');
}

/* ---- streams ---- */

struct line {
    size_t off, len;               /* without its end */
};

/* Offset of the next line. */
static size_t read_line(struct slice body, size_t at, struct line *out) {
    size_t end = at;
    while (end < body.len && body.ptr[end] != '\n' && body.ptr[end] != '\r') {
        end++;
    }
    *out = (struct line){at, end - at};
    if (end < body.len && body.ptr[end] == '\r') {
        end++;
        return end < body.len && body.ptr[end] == '\n' ? end + 1 : end;
    }
    return end < body.len ? end + 1 : end;
}

/* The value of a data line, as a line. */
static bool data_of(struct slice body, const struct line *l, struct line *out) {
    struct slice text = slice_sub(body, l->off, l->len);
    if (!slice_starts_with(text, SLICE("data"))) {
        return false;
    }
    size_t skip = 4;
    if (skip < text.len && text.ptr[skip] != ':') {
        return false;
    }
    skip += skip < text.len;
    skip += skip < text.len && text.ptr[skip] == ' ';
    *out = (struct line){l->off + skip, l->len - skip};
    return true;
}

static void lane_add_plain(struct body_scrub *b, struct slice text, size_t from) {
    struct lane *l = lane_of(b, 1, 1, false);
    if (l) {
        scrub_view_add(&l->view, text, from);
        l->last_off = from;
    }
}

static void take_plain_data(struct body_scrub *b, struct slice body, const struct line *data,
                            size_t n) {
    scrub_view_reset(&b->one);
    for (size_t i = 0; i < n; i++) {
        struct slice text = slice_sub(body, data[i].off, data[i].len);
        if (i > 0) {
            scrub_view_add_gap(&b->one, '\n');
        }
        scrub_view_add(&b->one, text, data[i].off);
        lane_add_plain(b, text, data[i].off);
    }
    scrub_scan(&b->job, &b->one, false);
}

/* Several lines of one event, as one text of the same length: all between them is blank. */
static struct slice join_lines(struct body_scrub *b, struct slice body, const struct line *data,
                               size_t n) {
    size_t from = data[0].off, end = data[n - 1].off + data[n - 1].len;
    buf_reset(&b->scratch);
    if (buf_append(&b->scratch, slice_sub(body, from, end - from)) < 0) {
        mem_exhausted(end - from);
    }
    for (size_t i = 0; i + 1 < n; i++) {
        size_t gap = data[i].off + data[i].len;
        memset(b->scratch.ptr + (gap - from), ' ', data[i + 1].off - gap);
    }
    return buf_slice(&b->scratch);
}

static void take_event(struct body_scrub *b, struct slice body, const struct line *data, size_t n) {
    if (n == 0) {
        return;
    }
    struct slice text = n == 1 ? slice_sub(body, data[0].off, data[0].len)
                               : join_lines(b, body, data, n);
    if (is_json(text)) {
        take_json(b, text, data[0].off);
    } else {
        take_plain_data(b, body, data, n);
    }
}

static void take_stream(struct body_scrub *b, struct slice body) {
    struct line line, data_line, *data = NULL;
    size_t n = 0, cap = 0, at = slice_starts_with(body, SLICE("\xef\xbb\xbf")) ? 3 : 0;
    while (at < body.len && b->job.rc == 0) {
        at = read_line(body, at, &line);
        if (line.len == 0 || n == EVENT_MAX_LINES) {
            take_event(b, body, data, n);
            n = 0;
        }
        if (data_of(body, &line, &data_line)) {
            if (n == cap) {
                cap = cap ? 2 * cap : 8;
                data = mem_realloc(data, cap * sizeof *data);
            }
            data[n++] = data_line;
        } else if (line.len > 0) {
            scan_plain(b, slice_sub(body, line.off, line.len), line.off, false);
        }
    }
    take_event(b, body, data, n);
    mem_free(data);
}

/* ---- companions ---- */

static int by_place(const void *a, const void *b) {
    const struct scrub_mark *x = a, *y = b;
    return x->off < y->off ? -1 : x->off > y->off;
}

/* "115" and the like, in a list of bytes: the letter x, or an asterisk. */
static size_t hide_number(struct scrub_job *j, size_t at, size_t end) {
    static const char *const by_digits[] = {"", "9", "42", "120"};
    size_t n = 0;
    while (at + n < end && j->body[at + n] >= '0' && j->body[at + n] <= '9') {
        n++;
    }
    if (n >= 1 && n <= 3) {
        memcpy(j->body + at, by_digits[n], n);
    }
    return at + n;
}

/* Every string, and every number of a list; names of members only where they are the tokens. */
static void hide_region(struct scrub_job *j, const struct companion *c) {
    size_t at = c->region.off, end = at + c->region.len;
    bool is_list = false;
    while (at < end) {
        char ch = j->body[at];
        if (ch == '"') {
            size_t close = at + 1;
            while (close < end && j->body[close] != '"') {
                close += j->body[close] == '\\' ? 2 : 1;
            }
            close = close < end ? close : end;
            bool is_key = close + 1 < end && j->body[close + 1] == ':';
            if (c->has_keys || !is_key) {
                scrub_blank(j, at + 1, close - at - 1, '*');
            }
            at = close + 1;
        } else if (is_list && ch >= '0' && ch <= '9') {
            at = hide_number(j, at, end);
        } else {
            is_list = ch == '[' || (is_list && (ch == ',' || ch == ' '));
            at++;
        }
    }
}

static bool is_marked(const struct scrub_job *j, const struct scrub_mark *ends, size_t off,
                      size_t len) {
    size_t low = 0, high = j->n_marks;
    while (low < high) {                  /* the first mark at or behind the token's end */
        size_t middle = low + (high - low) / 2;
        if (j->marks[middle].off < off + len) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low > 0 && ends[low - 1].off > off;
}

static void hide_companions(struct body_scrub *b) {
    struct scrub_job *j = &b->job;
    if (j->n_marks == 0 || b->n_companions == 0) {
        return;
    }
    qsort(j->marks, j->n_marks, sizeof *j->marks, by_place);
    /* how far the marks up to each one reach */
    struct scrub_mark *ends = mem_alloc(j->n_marks * sizeof *ends);
    uint32_t reach = 0;
    for (size_t i = 0; i < j->n_marks; i++) {
        uint32_t end = j->marks[i].off + j->marks[i].len;
        reach = end > reach ? end : reach;
        ends[i].off = reach;
    }
    for (size_t i = 0; i < b->n_companions; i++) {
        if (is_marked(j, ends, b->companions[i].off, b->companions[i].len)) {
            hide_region(j, &b->companions[i]);
        }
    }
    mem_free(ends);
}

/* ---- the whole ---- */

static bool looks_like_stream(struct slice body) {
    static const char *const heads[] = {"data:", "event:", ":", "id:", "retry:", "\xef\xbb\xbf"};
    for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++) {
        if (slice_starts_with(body, slice_cstr(heads[i]))) {
            return true;
        }
    }
    return false;
}

static void take_body(struct body_scrub *b, enum scrub_body_kind kind, struct slice body) {
    b->is_stream = kind == SCRUB_STREAM || looks_like_stream(body);
    if (b->is_stream) {
        take_stream(b, body);
    } else if (is_json(body)) {
        take_json(b, body, 0);
    } else {
        scan_plain(b, body, 0, b->job.is_cut);
    }
    for (size_t i = 0; i < b->n_lanes; i++) {
        scrub_scan(&b->job, &b->lanes[i].view, b->job.is_cut);
    }
    hide_companions(b);
}

static void body_scrub_dispose(struct body_scrub *b) {
    for (size_t i = 0; i < b->n_lanes; i++) {
        scrub_view_dispose(&b->lanes[i].view);
    }
    mem_free(b->lanes);
    mem_free(b->table);
    mem_free(b->companions);
    buf_dispose(&b->scratch);
    scrub_view_dispose(&b->one);
    scrub_walk_dispose(&b->walk);
}

int scrub_body(const struct scrub *s, const struct scrub_secrets *secrets,
               enum scrub_body_kind kind, bool is_cut, char *body, size_t len, unsigned *out_n) {
    struct body_scrub b = {0};
    if (len == 0) {
        if (out_n) {
            *out_n = 0;
        }
        return 0;
    }
    scrub_job_open(&b.job, s, secrets, body, len);
    b.job.is_cut = is_cut;
    buf_init(&b.scratch, len);
    scrub_view_init(&b.one, NULL);
    scrub_walk_init(&b.walk);
    take_body(&b, kind, slice_make(body, len));
    if (out_n) {
        *out_n = b.job.n_hidden;
    }
    body_scrub_dispose(&b);
    return scrub_job_close(&b.job);
}
