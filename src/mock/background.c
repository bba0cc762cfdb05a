/* SPDX-License-Identifier: Apache-2.0 */
#include "mock/background.h"

#include <pthread.h>

#include "base/json_scan.h"
#include "base/mem.h"
#include "dialect/json_text.h"
#include "dialect/request_read.h"
#include "dialect/responses/responses_state.h"
#include "mock/delivery.h"
#include "mock/journal_line.h"
#include "mock/stored.h"
#include "mock/wire.h"

enum {
    ID_MAX_BYTES = 512,
    EVENTS_MAX_BYTES = 16 << 20,     /* of one job */
    OBJECT_MAX_BYTES = 64 << 20,
    PORTION_BYTES = 64 << 10,        /* that a follower writes at once */
    OPENING_EVENTS = 2               /* created and queued: what is shown before the first slot */
};

#define CANCELLED                                                                                  \
    "\"code\":\"response_cancelled\",\"message\":\"The response was cancelled.\",\"param\":null"

struct job {
    struct job *prev, *next;         /* the provider's, under its lock; only while it is made */
    struct background *all;
    struct mock_worker *worker;
    _Atomic unsigned refs;           /* the delivery's, the followers', the asker's */
    struct stored_note *note;
    pthread_mutex_t lock;            /* of what follows */
    struct buf id, object;           /* the response, with the status of its begin */
    struct buf events;
    size_t visible;                  /* bytes of events that followers may see */
    unsigned n_followers;
    bool is_counted, is_listed, has_begun, is_over, is_cancelled, has_failed;
};

struct background {
    pthread_mutex_t lock;
    struct job *jobs;
    unsigned n;
};

struct background *background_new(void) {
    struct background *b = mem_zalloc(sizeof *b);
    pthread_mutex_init(&b->lock, NULL);
    return b;
}

void background_free(struct background **b) {
    if (*b) {
        pthread_mutex_destroy(&(*b)->lock);
        mem_free(*b);
    }
    *b = NULL;
}

/* ---- jobs ---- */

static struct job *job_new(struct mock_call *c) {
    struct job *j = mem_zalloc(sizeof *j);
    j->all = c->w->hub->background;
    j->worker = c->w;
    j->note = stored_note_new(c->stored, &c->turn);
    atomic_init(&j->refs, 2);        /* the delivery's, and the asker's */
    pthread_mutex_init(&j->lock, NULL);
    buf_init(&j->id, ID_MAX_BYTES);
    buf_init(&j->object, OBJECT_MAX_BYTES);
    buf_init(&j->events, EVENTS_MAX_BYTES);
    return j;
}

static void job_unref(struct job *j) {
    if (atomic_fetch_sub(&j->refs, 1) > 1) {
        return;
    }
    stored_note_free(&j->note);
    pthread_mutex_destroy(&j->lock);
    buf_dispose(&j->id);
    buf_dispose(&j->object);
    buf_dispose(&j->events);
    mem_free(j);
}

static void list(struct job *j) {
    struct background *b = j->all;
    pthread_mutex_lock(&b->lock);
    j->next = b->jobs;
    if (j->next) j->next->prev = j;
    b->jobs = j;
    j->is_listed = true;
    pthread_mutex_unlock(&b->lock);
}

/* Counted from before it is made until it is over. */
static bool count(struct job *j) {
    struct background *b = j->all;
    pthread_mutex_lock(&b->lock);
    j->is_counted = b->n < BACKGROUND_MAX_JOBS;
    b->n += j->is_counted;
    pthread_mutex_unlock(&b->lock);
    return j->is_counted;
}

static void unlist(struct job *j) {
    struct background *b = j->all;
    pthread_mutex_lock(&b->lock);
    if (j->is_listed) {
        if (j->prev) j->prev->next = j->next;
        else b->jobs = j->next;
        if (j->next) j->next->prev = j->prev;
        j->is_listed = false;
    }
    b->n -= j->is_counted;
    j->is_counted = false;
    pthread_mutex_unlock(&b->lock);
}

static bool is_asked(const struct job *j, const struct mock_call *c, struct slice id) {
    return slice_eq(buf_slice(&j->id), id) &&
           stored_is_same_part(c->stored, stored_note_part(j->note));
}

/* With a reference; NULL: nothing of this id is being made. */
static struct job *find(const struct mock_call *c, struct slice id) {
    struct background *b = c->w->hub->background;
    pthread_mutex_lock(&b->lock);
    struct job *j = b->jobs;
    while (j && !is_asked(j, c, id)) j = j->next;
    if (j) atomic_fetch_add(&j->refs, 1);
    pthread_mutex_unlock(&b->lock);
    return j;
}

/* Behind the n-th blank line from `at` on; SIZE_MAX: there are not so many. */
static size_t behind_events(struct slice text, size_t at, uint64_t n) {
    while (n > 0) {
        const char *end = at < text.len ? memmem(text.ptr + at, text.len - at, "\n\n", 2) : NULL;
        if (!end) {
            return SIZE_MAX;
        }
        at = (size_t)(end - text.ptr) + 2;
        n--;
    }
    return at;
}

/* ---- the delivery's side ---- */

static void wake_followers(struct job *j, unsigned n) {
    if (n > 0) {
        hub_wake(j->worker->hub);
    }
}

/* The first event has the response in it. Locked. */
static void take_object(struct job *j) {
    struct slice text = buf_slice(&j->events), mark = SLICE("data: ");
    struct arena *a = arena_new();
    const char *at = memmem(text.ptr, text.len, mark.ptr, mark.len);
    struct slice data =
        at ? slice_make(at + mark.len, text.len - (size_t)(at + mark.len - text.ptr)) : SLICE_NULL;
    data.len = data.ptr ? json_text_value_end(data, 0) : 0;
    struct slice object = json_member(data, SLICE("response"), a);
    j->has_failed |= buf_append(&j->object, object) < 0 ||
                     buf_append(&j->id, json_member_string(object, SLICE("id"), a)) < 0;
    arena_free(a);
}

void job_write(struct job *j, struct slice frames) {
    pthread_mutex_lock(&j->lock);
    frames = j->is_cancelled ? SLICE_NULL : frames;
    bool is_first = j->events.len == 0 && frames.len > 0;
    j->has_failed |= buf_append(&j->events, frames) < 0;
    if (is_first) {
        size_t shown = behind_events(buf_slice(&j->events), 0, OPENING_EVENTS);
        take_object(j);
        j->visible = shown == SIZE_MAX ? j->events.len : shown;
    } else if (frames.len > 0) {
        j->has_begun = true;
        j->visible = j->events.len;
    }
    unsigned n = j->n_followers;
    pthread_mutex_unlock(&j->lock);
    if (is_first) {
        list(j);
    }
    wake_followers(j, n);
}

static struct slice object_as(const struct job *j, const char *status, struct arena *a) {
    return stored_with_member(buf_slice(&j->object), SLICE("status"), slice_cstr(status), a);
}

/* Locked. What is left when the encoder has no word for the end. */
static void fail(struct job *j, struct arena *a) {
    struct slice object = stored_with_member(
        object_as(j, "\"failed\"", a), SLICE("error"),
        SLICE("{\"code\":\"server_error\",\"message\":\"The response could not be made.\"}"), a);
    buf_reset(&j->object);
    (void)!buf_append(&j->object, object);
    j->has_failed = true;
}

/* Locked. */
static void take_final(struct job *j, const struct encoder *x, struct arena *a) {
    struct buf final;
    buf_init(&final, OBJECT_MAX_BYTES);
    if (!x || j->has_failed || responses_encoder_write_response(x, &final) < 0) {
        fail(j, a);
    } else {
        buf_reset(&j->object);
        (void)!buf_append(&j->object, buf_slice(&final));
    }
    buf_dispose(&final);
}

/* Kept first, unlisted then: whoever asks finds it in one of the two places. */
void job_end(struct job **at, const struct encoder *x) {
    struct job *j = *at;
    struct arena *a = arena_new();
    *at = NULL;
    pthread_mutex_lock(&j->lock);
    bool is_new = !j->is_cancelled && j->id.len > 0;
    if (is_new) {
        take_final(j, x, a);
        stored_keep(j->note, buf_slice(&j->object), buf_slice(&j->events));
    }
    j->is_over = true;
    j->visible = is_new ? j->events.len : j->visible;
    unsigned n = j->n_followers;
    pthread_mutex_unlock(&j->lock);
    unlist(j);
    wake_followers(j, n);
    job_unref(j);
    arena_free(a);
}

bool job_is_cancelled(struct job *j) {
    pthread_mutex_lock(&j->lock);
    bool is = j->is_cancelled;
    pthread_mutex_unlock(&j->lock);
    return is;
}

/* ---- looking at one ---- */

bool background_get(struct mock_call *c, struct slice id, struct slice *out) {
    struct arena *a = c->ex->arena;
    struct job *j = find(c, id);
    if (!j) {
        return false;
    }
    pthread_mutex_lock(&j->lock);
    bool is_final = j->is_over || j->is_cancelled;
    struct slice now = is_final ? buf_slice(&j->object)
                                : object_as(j, j->has_begun ? "\"in_progress\"" : "\"queued\"", a);
    *out = arena_dup(a, now);
    pthread_mutex_unlock(&j->lock);
    job_unref(j);
    return true;
}

bool background_input(struct mock_call *c, struct slice id, struct slice *out) {
    struct job *j = find(c, id);
    if (!j) {
        return false;
    }
    *out = stored_note_input(j->note, c->ex->arena);
    job_unref(j);
    return true;
}

/* Locked. A stream of the API ends with a word, and has none of its own for this: with an error,
 * which no client takes for the whole answer. */
static void end_events(struct job *j) {
    struct slice seen = slice_sub(buf_slice(&j->events), 0, j->visible);
    unsigned n = 0;
    for (size_t at = 0; (at = behind_events(seen, at, 1)) != SIZE_MAX;) n++;
    j->events.len = j->visible;
    int rc = buf_appendf(&j->events,
                         "event: error\ndata: {\"type\":\"error\",\"sequence_number\":%u,"
                         "\"error\":{\"type\":\"invalid_request_error\"," CANCELLED "}," CANCELLED
                         "}\n\n",
                         n);
    j->visible = rc < 0 ? j->visible : j->events.len;
}

/* Locked. */
static void cancel(struct job *j, struct arena *a) {
    struct slice object = object_as(j, "\"cancelled\"", a);
    buf_reset(&j->object);
    (void)!buf_append(&j->object, object);
    j->is_cancelled = true;
    end_events(j);
    stored_keep(j->note, buf_slice(&j->object), buf_slice(&j->events));
}

bool background_cancel(struct mock_call *c, struct slice id, struct slice *out) {
    struct arena *a = c->ex->arena;
    struct job *j = find(c, id);
    if (!j) {
        return false;
    }
    pthread_mutex_lock(&j->lock);
    if (!j->is_over && !j->is_cancelled) {
        cancel(j, a);
    }
    *out = arena_dup(a, buf_slice(&j->object));
    pthread_mutex_unlock(&j->lock);
    unlist(j);
    hub_wake(c->w->hub);
    job_unref(j);
    return true;
}

/* ---- following one ---- */

struct follower {
    struct owner owner;              /* first */
    struct follower *prev, *next;    /* the worker's */
    struct mock_worker *worker;
    struct http_exchange *ex;
    struct job *job;
    struct wire *wire;               /* with a fault: between us and the exchange; else NULL */
    struct journal_line line;
    size_t at;                       /* in the job's events */
    uint64_t skip;                   /* events still to be passed over */
    bool is_blocked, is_over;
};

static void follower_ended(struct owner *self, bool is_cancelled) {
    struct follower *f = (struct follower *)self;
    if (f->prev) f->prev->next = f->next;
    else f->worker->followers = f->next;
    if (f->next) f->next->prev = f->prev;
    pthread_mutex_lock(&f->job->lock);
    f->job->n_followers--;
    pthread_mutex_unlock(&f->job->lock);
    job_unref(f->job);
    bool is_broken = f->wire && wire_is_cut(f->wire);
    journal_line_end(&f->line, f->worker,
                     is_cancelled ? JOURNAL_CANCELLED
                     : is_broken  ? JOURNAL_BROKEN
                                  : JOURNAL_COMPLETED, -1, -1);
    wire_free(&f->wire);
    mem_free(f);
}

/* The next portion into the worker's buffer. Returns whether all is said. */
static bool take_portion(struct follower *f, struct buf *out) {
    struct job *j = f->job;
    pthread_mutex_lock(&j->lock);
    struct slice all = slice_sub(buf_slice(&j->events), 0, j->visible);
    for (size_t next; f->skip > 0 && (next = behind_events(all, f->at, 1)) != SIZE_MAX; f->skip--) {
        f->at = next;
    }
    struct slice portion = f->skip > 0 ? SLICE_NULL : slice_sub(all, f->at, PORTION_BYTES);
    bool is_final = j->is_over || j->is_cancelled;
    if (buf_append(out, portion) == 0) {
        f->at += portion.len;
    }
    bool is_all = is_final && (f->at >= all.len || f->skip > 0);
    pthread_mutex_unlock(&j->lock);
    return is_all;
}

/* As http_write. */
static int follower_write(struct follower *f, struct slice portion) {
    return f->wire ? wire_write(f->wire, portion) : http_write(f->ex, &portion, 1);
}

/* f may be gone afterwards. */
static void follower_end(struct follower *f) {
    f->is_over = true;
    if (f->wire) {
        wire_end(f->wire);
    } else {
        http_end(f->ex);
    }
}

/* f may be gone afterwards. */
static void follower_pump(struct follower *f) {
    struct mock_worker *w = f->worker;
    bool is_all = false;
    while (!is_all) {
        buf_reset(&w->out);
        is_all = take_portion(f, &w->out);
        struct slice portion = buf_slice(&w->out);
        if (portion.len == 0) {
            break;
        }
        int written = follower_write(f, portion);
        if (written < 0) {
            return;                  /* on_cancel follows or has run */
        }
        f->is_blocked = written == 0;
        if (f->is_blocked && (!is_all || f->wire)) {
            return;
        }
    }
    if (is_all) {
        follower_end(f);
    } else if (!f->wire) {
        http_flush_head(f->ex);
    }
}

static void follower_goes_on(void *self) {
    struct follower *f = self;
    f->is_blocked = false;
    if (!f->is_over) {
        follower_pump(f);
    }
}

static void follower_writable(struct owner *self) {
    struct follower *f = (struct follower *)self;
    if (f->wire) {
        wire_writable(f->wire);
    } else {
        follower_goes_on(f);
    }
}

static const struct owner_ops follower_ops = {follower_writable, follower_ended};

/* The reference becomes the follower's. */
static void follow(struct mock_call *c, struct job *j, uint64_t skip) {
    struct mock_worker *w = c->w;
    struct follower *f = mem_zalloc(sizeof *f);
    struct header_set set;
    *f = (struct follower){.owner = {&follower_ops}, .worker = w, .ex = c->ex, .job = j,
                           .next = w->followers, .skip = skip};
    if (f->next) f->next->prev = f;
    w->followers = f;
    journal_line_begin(&f->line, c, buf_slice(&j->id));
    c->ex->app = f;
    c->is_passed_on = true;
    pthread_mutex_lock(&j->lock);
    j->n_followers++;
    pthread_mutex_unlock(&j->lock);
    header_set_init(w, &set, c->api, SLICE("text/event-stream; charset=utf-8"), &c->facts);
    header_set_add(&set, SLICE("cache-control"), SLICE("no-cache"));
    struct http_response head = {200, set.items, set.count};
    f->wire = wire_of_call(c, follower_goes_on, f);
    if (f->wire) {
        wire_start(f->wire, &head);
        (void)!wire_write(f->wire, SLICE(""));       /* the head goes ahead */
    } else {
        http_start(c->ex, &head, -1);
    }
    follower_pump(f);
}

bool background_follow(struct mock_call *c, struct slice id, uint64_t skip) {
    struct job *j = find(c, id);
    if (j) {
        follow(c, j, skip);
    }
    return j != NULL;
}

void background_recheck(struct mock_worker *w) {
    for (struct follower *f = w->followers, *next; f; f = next) {
        next = f->next;
        if (!f->is_blocked && !f->is_over) {
            follower_pump(f);
        }
    }
    delivery_drop_cancelled(w);
}

/* ---- POST ---- */

static void respond_begun(struct mock_call *c, struct job *j) {
    struct slice object;
    pthread_mutex_lock(&j->lock);
    object = arena_dup(c->ex->arena, buf_slice(&j->object));
    pthread_mutex_unlock(&j->lock);
    mock_respond_json(c->w, c->ex, 200, object);
}

void background_start(struct mock_call *c) {
    bool streams = c->rq.env.stream;
    struct job *j = c->job = job_new(c);
    c->rq.env.stream = true;         /* it is made as one, whoever takes it */
    if (!count(j)) {
        mock_respond_simple_error(c->w, c->ex, 429, "rate_limit_exceeded",
                                  "Too many background responses are being made.");
        job_unref(j);
    } else if (!delivery_start_job(c)) {
        unlist(j);
        job_unref(j);
    } else if (streams) {
        follow(c, j, 0);
        return;
    } else {
        respond_begun(c, j);
    }
    job_unref(j);
}
