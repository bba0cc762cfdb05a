/* SPDX-License-Identifier: Apache-2.0 */
/* The event-stream parser. Two steps a frame: find its end (each byte is looked at once, 16 or 32
 * at a time), then read its fields. The usual event, one data line whole in the fed bytes, is not
 * copied.
 *
 *   IN_STREAM --event above cut_through at the end of a read--> IN_PIECE --empty line--> IN_STREAM
 *       any --finish--> FINISHED        any --limit, sink said no--> FAILED (sticky)
 *
 * What real clients tolerate, and so what sse_frame_verdict lets pass: data that is blank or
 * missing, `id:`, `retry:`, lone CRs, a BOM, ill-formed UTF-8 and an event without its empty line
 * each break or confuse at least one SDK in wide use; comments, empty lines, several data lines, an
 * event name and unknown fields do not. */
#include "sse/sse.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#define DEFAULT_MAX_EVENT_BYTES ((size_t)16 << 20)
#define CEILING_EVENT_BYTES ((size_t)1 << 30) /* offsets in a frame are 32 bits */
#define KEEP_BYTES ((size_t)4096) /* storage above this is given back after each frame */
#define LINE_MEMO (sizeof((struct sse_parser *)0)->line_ends / sizeof(uint32_t))
#define BOM "\xef\xbb\xbf"
#define BOM_BYTES 3

/* ---- finding line ends ---- */

static inline bool is_eol(char c) {
    return c == '\n' || c == '\r';
}

#if defined(__SSE2__)
static inline __m128i load(const char *p) {
    return _mm_loadu_si128((const __m128i *)(const void *)p);
}

static inline __m128i eol_bytes_of(__m128i v) {
    return _mm_or_si128(_mm_cmpeq_epi8(v, _mm_set1_epi8('\n')),
                        _mm_cmpeq_epi8(v, _mm_set1_epi8('\r')));
}

/* How many bytes, in steps of 64, hold no line end. *high gets a bit when one of them is not ASCII.
 */
static inline size_t skip_blocks(const char *s, size_t len, unsigned *high) {
    size_t i = 0;
    for (; len - i >= 64; i += 64) {
        __m128i a = load(s + i), b = load(s + i + 16), c = load(s + i + 32), d = load(s + i + 48);
        __m128i hit = _mm_or_si128(_mm_or_si128(eol_bytes_of(a), eol_bytes_of(b)),
                                   _mm_or_si128(eol_bytes_of(c), eol_bytes_of(d)));
        if (_mm_movemask_epi8(hit)) break;
        *high |= (unsigned)_mm_movemask_epi8(_mm_or_si128(_mm_or_si128(a, b), _mm_or_si128(c, d)));
    }
    return i;
}
#endif

/* Index of the first CR or LF, or len. Sets *non_ascii when a byte before it has its high bit set.
 */
static size_t find_eol(const char *s, size_t len, bool *non_ascii) {
    size_t i = 0;
    unsigned high = 0;
    if (len > 0 && is_eol(s[0])) return 0;
#if defined(__SSE2__)
    for (i = skip_blocks(s, len, &high); len - i >= 16; i += 16) {
        __m128i v = load(s + i);
        unsigned hits = (unsigned)_mm_movemask_epi8(eol_bytes_of(v)),
                 top = (unsigned)_mm_movemask_epi8(v);
        if (hits) {
            if (high | (top & (hits - 1) & ~hits)) *non_ascii = true;
            return i + (size_t)__builtin_ctz(hits);
        }
        high |= top;
    }
#endif
    while (i < len && !is_eol(s[i])) high |= (unsigned char)s[i++] & 0x80u;
    if (high) *non_ascii = true;
    return i;
}

/* ---- fields of a complete event ---- */

struct fields {
    struct sse_parser *p;
    struct sse_frame *f;
    unsigned n_data;
    bool has_id;
    struct slice id;
};

static void add_data(struct fields *x, struct slice value) {
    struct sse_frame *f = x->f;
    struct buf *joined = &x->p->joined;
    f->flags |= SSE_DATA;
    if (x->n_data++ == 0) {
        f->data = value;
        f->data_off = (uint32_t)(value.ptr - f->raw.ptr);
        return;
    }
    if (x->n_data == 2) {
        buf_reset(joined);
        f->flags |= SSE_MULTILINE;
        if (buf_append(joined, f->data)) return;
    }
    /* The joined data is shorter than raw, and raw is under the same limit: neither can fail. */
    if (buf_append_byte(joined, '\n') || buf_append(joined, value)) return;
    f->data = buf_slice(joined);
}

static void set_retry(struct sse_parser *p, struct slice value) {
    uint64_t ms;
    if (slice_to_u64(value, UINT32_MAX, &ms)) p->reconnect_ms = (uint32_t)ms;
}

static void add_field(struct fields *x, struct slice name, struct slice value) {
    struct sse_frame *f = x->f;
    if (slice_eq(name, SLICE("data"))) {
        add_data(x, value);
    } else if (slice_eq(name, SLICE("event"))) {
        f->name = value;
    } else if (slice_eq(name, SLICE("id"))) {
        f->flags |= SSE_ID;
        if (slice_index(value, '\0') >= 0) return;
        x->id = value;
        x->has_id = true;
    } else if (slice_eq(name, SLICE("retry"))) {
        f->flags |= SSE_RETRY;
        set_retry(x->p, value);
    }
}

static void add_line(struct fields *x, struct slice line) {
    if (line.len > 5 && memcmp(line.ptr, "data:", 5) == 0) {
        size_t skip = line.ptr[5] == ' ' ? 6 : 5;
        add_data(x, slice_from(line, skip));
        return;
    }
    ptrdiff_t colon = slice_index(line, ':');
    if (colon == 0) return; /* a comment inside an event */
    size_t name_len = colon < 0 ? line.len : (size_t)colon;
    struct slice value = slice_from(line, colon < 0 ? line.len : name_len + 1);
    if (value.len > 0 && value.ptr[0] == ' ') value = slice_from(value, 1);
    add_field(x, slice_sub(line, 0, name_len), value);
}

static size_t eol_bytes(struct slice raw, size_t at) {
    if (at >= raw.len) return 0;
    return raw.ptr[at] == '\r' && at + 1 < raw.len && raw.ptr[at + 1] == '\n' ? 2 : 1;
}

static void read_fields(struct sse_parser *p, struct sse_frame *f) {
    struct fields x = {.p = p, .f = f};
    struct slice raw = f->raw;
    size_t at = p->at_start && f->flags & SSE_BOM ? BOM_BYTES : 0;
    for (unsigned i = 0; at < raw.len; i++) {
        bool high = false;
        size_t end = i < LINE_MEMO && i < p->n_lines
                         ? p->line_ends[i]
                         : at + find_eol(raw.ptr + at, raw.len - at, &high);
        if (end == at) break;
        add_line(&x, slice_make(raw.ptr + at, end - at));
        at = end + eol_bytes(raw, end);
    }
    if (f->name.len > 0) f->flags |= SSE_NAME;
    if (x.has_id) {
        buf_reset(&p->id);
        if (buf_append(&p->id, x.id)) return; /* cannot be: it is shorter than its event */
    }
}

/* ---- frames ---- */

static int fail(struct sse_parser *p, int rc) {
    p->state = SSE_FAILED;
    p->failure = rc;
    return rc;
}

static void trim(struct buf *b) {
    if (b->cap > KEEP_BYTES) {
        buf_dispose(b);
    } else {
        buf_reset(b);
    }
}

static void open_next(struct sse_parser *p) {
    if (p->carry.len > 0) trim(&p->carry);
    if (p->joined.len > 0) trim(&p->joined);
    p->scanned = 0;
    p->line_off = 0;
    p->n_lines = 0;
    p->at_start = p->has_field = p->non_ascii = p->lone_cr = false;
}

static int emit(struct sse_parser *p, struct sse_frame *f, const struct sse_sink *sink) {
    f->last_event_id = buf_slice(&p->id);
    p->frames++;
    int rc = sink->frame(sink->self, f);
    return rc ? fail(p, rc) : 0;
}

/* The fields as text, in `text`: rare, the cost of a copy is fine. */
static void decode_fields(struct sse_frame *f, struct buf *text) {
    struct slice name = f->name, data = f->data;
    buf_init(text, (name.len + data.len) * 3);
    if (sse_decode_utf8(text, name)) return; /* cannot be: there is room */
    size_t name_len = text->len;
    if (sse_decode_utf8(text, data)) return;
    f->name = slice_sub(buf_slice(text), 0, name_len);
    f->data = slice_from(buf_slice(text), name_len);
}

/* `raw` is the whole open frame. */
static int emit_open(struct sse_parser *p, struct slice raw, uint32_t flags,
                     const struct sse_sink *sink) {
    struct sse_frame f = {.raw = raw, .flags = flags};
    struct buf text = {0};
    if (p->non_ascii && slice_starts_with(raw, SLICE(BOM))) f.flags |= SSE_BOM;
    if (p->lone_cr) f.flags |= SSE_LONE_CR;
    if (p->non_ascii && slice_utf8_valid(raw) != raw.len) f.flags |= SSE_BAD_UTF8;
    if (flags & SSE_EVENT) read_fields(p, &f);
    if (f.flags & SSE_BAD_UTF8) decode_fields(&f, &text);
    p->last_passed = sse_frame_verdict(&f) == SSE_PASS;
    int rc = emit(p, &f, sink);
    buf_dispose(&text);
    if (rc == 0) open_next(p);
    return rc;
}

/* ---- scanning ---- */

/* One call of feed: `at` is where the scan stands in `in`, `start` where the open frame's new bytes
 * begin. */
struct scan {
    struct sse_parser *p;
    const struct sse_sink *sink;
    struct err *e;
    struct slice in;
    size_t start, at;
};

static inline size_t frame_off(const struct scan *s, size_t at) {
    return s->p->carry.len + (at - s->start);
}

static char frame_byte(const struct scan *s, size_t off) {
    const struct buf *carry = &s->p->carry;
    return off < carry->len ? carry->ptr[off] : s->in.ptr[s->start + off - carry->len];
}

static int too_big(struct scan *s) {
    struct sse_parser *p = s->p;
    return fail(p, err_set(s->e, ERR_LIMIT, "an event of the stream is larger than %zu bytes",
                           p->options.max_event_bytes));
}

/* Where the open line's content starts: behind the BOM when it is the first of the stream. `end` is
 * the line's end so far. */
static size_t line_content(const struct scan *s, size_t end) {
    const struct sse_parser *p = s->p;
    size_t off = p->line_off;
    if (!p->at_start || off != 0 || end < BOM_BYTES) return off;
    for (size_t i = 0; i < BOM_BYTES; i++) {
        if (frame_byte(s, i) != BOM[i]) return off;
    }
    return BOM_BYTES;
}

/* The open frame ends at s->at. */
static int end_frame(struct scan *s, uint32_t flags) {
    struct sse_parser *p = s->p;
    struct slice fresh = slice_make(s->in.ptr + s->start, s->at - s->start), raw = fresh;
    if (p->carry.len > 0) {
        if (buf_append(&p->carry, fresh)) return too_big(s);
        raw = buf_slice(&p->carry);
    }
    s->start = s->at;
    return emit_open(p, raw, flags, s->sink);
}

/* A line ended at s->at, a CR or LF. Takes its terminator and decides what it was. */
static int take_line(struct scan *s) {
    struct sse_parser *p = s->p;
    size_t end = frame_off(s, s->at), content = line_content(s, end);
    if (end >= p->options.max_event_bytes) return too_big(s);
    bool is_cr = s->in.ptr[s->at++] == '\r', lone = false;
    if (is_cr) {
        p->skip_lf = s->at == s->in.len;
        lone = !p->skip_lf && s->in.ptr[s->at] != '\n';
        if (!p->skip_lf && !lone) s->at++;
    }
    if (content == end) return end_frame(s, p->has_field ? SSE_EVENT : SSE_BLANK);
    if (!p->has_field && frame_byte(s, content) == ':') return end_frame(s, SSE_COMMENT);
    p->has_field = true;
    if (lone) p->lone_cr = true;
    if (p->n_lines < LINE_MEMO) p->line_ends[p->n_lines] = (uint32_t)end;
    p->n_lines++;
    p->line_off = (uint32_t)frame_off(s, s->at);
    p->scanned = p->line_off;
    return 0;
}

/* ---- cut-through ---- */

static int emit_piece(struct sse_parser *p, struct slice raw, uint32_t flags,
                      const struct sse_sink *sink) {
    struct sse_frame f = {.raw = raw, .flags = SSE_PIECE | flags};
    p->last_passed = true;
    return emit(p, &f, sink);
}

/* The event in `s` is too large to wait for, and it is one: a comment ends at its line's end. */
static bool may_cut_through(const struct scan *s, size_t open_bytes) {
    const struct sse_parser *p = s->p;
    if (p->options.cut_through_bytes == 0 || open_bytes <= p->options.cut_through_bytes)
        return false;
    if (p->has_field) return true;
    size_t content = line_content(s, open_bytes);
    return (content > 0 || !p->at_start || open_bytes >= BOM_BYTES) && content < open_bytes &&
           frame_byte(s, content) != ':';
}

static int begin_piece(struct scan *s) {
    struct sse_parser *p = s->p;
    size_t open_bytes = frame_off(s, s->in.len);
    p->piece_line_open = open_bytes > p->line_off;
    p->state = SSE_IN_PIECE;
    struct slice fresh = slice_from(s->in, s->start);
    int rc = 0;
    if (p->carry.len > 0) rc = emit_piece(p, buf_slice(&p->carry), 0, s->sink);
    if (rc == 0 && fresh.len > 0) rc = emit_piece(p, fresh, 0, s->sink);
    bool skip_lf = p->skip_lf;
    if (rc == 0) open_next(p);
    p->skip_lf = skip_lf;
    return rc;
}

/* Goes on with an event in pieces: all of the input, or up to the event's end. */
static int scan_piece(struct scan *s) {
    struct sse_parser *p = s->p;
    bool high = false, ended = false;
    while (!ended && s->at < s->in.len) {
        size_t n = find_eol(s->in.ptr + s->at, s->in.len - s->at, &high);
        if (n > 0) p->piece_line_open = true;
        s->at += n;
        if (s->at == s->in.len) break;
        bool is_cr = s->in.ptr[s->at++] == '\r';
        p->skip_lf = is_cr && s->at == s->in.len;
        if (is_cr && !p->skip_lf && s->in.ptr[s->at] == '\n') s->at++;
        ended = !p->piece_line_open;
        p->piece_line_open = false;
    }
    struct slice raw = slice_make(s->in.ptr + s->start, s->at - s->start);
    if (ended) p->state = SSE_IN_STREAM;
    s->start = s->at;
    return emit_piece(p, raw, ended ? SSE_PIECE_LAST : 0, s->sink);
}

/* The byte after a CR that ended the last read. */
static int take_skipped_lf(struct scan *s) {
    struct sse_parser *p = s->p;
    bool is_lf = s->in.ptr[0] == '\n', in_frame = p->carry.len > 0;
    p->skip_lf = false;
    if (!is_lf) {
        if (in_frame) p->lone_cr = true;
        return 0;
    }
    s->at = 1;
    if (in_frame) {
        p->scanned = p->line_off = (uint32_t)frame_off(s, 1);
        return 0;
    }
    s->start = 1;
    if (p->state == SSE_IN_PIECE) return emit_piece(p, slice_make(s->in.ptr, 1), 0, s->sink);
    struct sse_frame f = {.raw = slice_make(s->in.ptr, 1), .flags = SSE_BLANK | SSE_TAIL};
    if (!p->last_passed) f.flags |= SSE_ORPHAN;
    return emit(p, &f, s->sink);
}

/* ---- public ---- */

void sse_parser_init(struct sse_parser *p, const struct sse_options *o) {
    *p = (struct sse_parser){.at_start = true, .last_passed = true};
    if (o) p->options = *o;
    size_t *max = &p->options.max_event_bytes;
    if (*max == 0) *max = DEFAULT_MAX_EVENT_BYTES;
    if (*max > CEILING_EVENT_BYTES) *max = CEILING_EVENT_BYTES;
    buf_init(&p->carry, *max + 2);
    buf_init(&p->joined, *max + 2);
    buf_init(&p->id, *max + 2);
}

void sse_parser_dispose(struct sse_parser *p) {
    buf_dispose(&p->carry);
    buf_dispose(&p->joined);
    buf_dispose(&p->id);
}

/* What is left of the input belongs to the open frame. */
static int carry_over(struct scan *s) {
    struct sse_parser *p = s->p;
    size_t open_bytes = frame_off(s, s->in.len);
    if (may_cut_through(s, open_bytes)) return begin_piece(s);
    if (buf_append(&p->carry, slice_from(s->in, s->start))) return too_big(s);
    p->scanned = open_bytes;
    return 0;
}

static int scan_lines(struct scan *s) {
    struct sse_parser *p = s->p;
    while (s->at < s->in.len) {
        if (p->state == SSE_IN_PIECE) {
            int rc = scan_piece(s);
            if (rc) return rc;
            continue;
        }
        size_t max = p->options.max_event_bytes, off = frame_off(s, s->at);
        size_t left = s->in.len - s->at, room = off < max ? max - off : 0;
        size_t look = left < room ? left : room;
        s->at += find_eol(s->in.ptr + s->at, look, &p->non_ascii);
        if (s->at == s->in.len) break;
        if (!is_eol(s->in.ptr[s->at])) return too_big(s);
        int rc = take_line(s);
        if (rc) return rc;
    }
    return s->start < s->in.len ? carry_over(s) : 0;
}

int sse_parser_feed(struct sse_parser *p, struct slice bytes, const struct sse_sink *sink,
                    struct err *e) {
    if (p->state == SSE_FAILED) return p->failure;
    if (p->state == SSE_FINISHED) return err_set(e, ERR_INTERNAL, "bytes after the stream's end");
    if (bytes.len == 0) return 0;
    struct scan s = {.p = p, .sink = sink, .e = e, .in = bytes};
    int rc = p->skip_lf ? take_skipped_lf(&s) : 0;
    return rc ? rc : scan_lines(&s);
}

int sse_parser_finish(struct sse_parser *p, const struct sse_sink *sink, struct err *e) {
    if (p->state == SSE_FAILED) return p->failure;
    if (p->state == SSE_FINISHED) return err_set(e, ERR_INTERNAL, "the stream has already ended");
    int rc = 0;
    if (p->state == SSE_IN_PIECE) {
        rc = emit_piece(p, SLICE(""), SSE_PIECE_LAST | SSE_UNTERMINATED, sink);
    } else if (p->carry.len > 0) {
        struct scan s = {.p = p};
        size_t content = line_content(&s, p->carry.len);
        uint32_t kind = SSE_EVENT;
        if (!p->has_field && content == p->carry.len) kind = SSE_BLANK;
        else if (!p->has_field && frame_byte(&s, content) == ':') kind = SSE_COMMENT;
        rc = emit_open(p, buf_slice(&p->carry), kind | SSE_UNTERMINATED, sink);
    }
    if (rc == 0) p->state = SSE_FINISHED;
    return rc;
}

bool sse_parser_at_border(const struct sse_parser *p) {
    return p->state != SSE_IN_PIECE && p->carry.len == 0;
}

size_t sse_parser_held_bytes(const struct sse_parser *p) {
    return p->carry.cap + p->joined.cap + p->id.cap;
}

static bool is_space(char c) {
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static struct slice trim_all(struct slice s) {
    while (s.len > 0 && is_space(s.ptr[0])) s = slice_from(s, 1);
    while (s.len > 0 && is_space(s.ptr[s.len - 1])) s.len--;
    return s;
}

enum sse_verdict sse_frame_verdict(const struct sse_frame *f) {
    if (f->flags & SSE_PIECE) return SSE_PASS;
    if (f->flags & SSE_ORPHAN) return SSE_DROP;
    bool broken = f->flags & SSE_REPAIR_MASK;
    if (!(f->flags & SSE_EVENT)) return broken ? SSE_DROP : SSE_PASS;
    struct slice text = f->data;
    if (text.len == 0 || is_space(text.ptr[0]) || is_space(text.ptr[text.len - 1])) {
        text = trim_all(text);
        if (text.len == 0) return SSE_DROP;
        if (slice_eq(text, SLICE("[DONE]"))) return SSE_REPAIR;
    }
    return broken ? SSE_REPAIR : SSE_PASS;
}
