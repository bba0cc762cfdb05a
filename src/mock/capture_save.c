/* SPDX-License-Identifier: Apache-2.0 */
/* The store's writer: captures are scrubbed and written on a thread of their own. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "mock/api.h"
#include "mock/capture_store-private.h"

enum { MAX_TRIES = 1000, WORD_BYTES = 40, TRUNCATED_KEEP_BYTES = 1 << 20 };
#define MAX_QUEUED_BYTES ((size_t)512 << 20)

/* ---- names ---- */

/* As much of the text as a file's name should hold. */
static void name_word(char out[WORD_BYTES + 1], struct slice text) {
    size_t n = 0;
    for (size_t i = 0; i < text.len && n < WORD_BYTES; i++) {
        char c = text.ptr[i];
        bool is_plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                        (c >= '0' && c <= '9') ||
                        c == '.' || c == '_';
        if (is_plain || (n > 0 && out[n - 1] != '-')) {
            out[n++] = is_plain ? c : '-';
        }
    }
    while (n > 0 && out[n - 1] == '-') {
        n--;
    }
    out[n] = '\0';
}

void captures_name(struct captures *s, struct capture *c) {
    uint64_t number = atomic_fetch_add(&s->number, 1) + 1;
    char kind[WORD_BYTES + 1], what[WORD_BYTES + 1];
    ptrdiff_t mark = slice_index(c->target, '?');
    struct slice path = slice_sub(c->target, 0, mark < 0 ? c->target.len : (size_t)mark);
    name_word(kind, c->dialect ? slice_cstr(c->dialect->name) : c->method);
    name_word(what, c->dialect ? c->model : api_path(path));
    snprintf(c->file, sizeof c->file, "%04" PRIu64 "-%s%s%s-%.8s.jsonl", number, kind,
             what[0] ? "-" : "", what, c->key);
}

/* Somebody else took the number. */
static void rename_next(struct captures *s, struct capture *c) {
    char rest[sizeof c->file];
    const char *dash = strchr(c->file, '-');
    snprintf(rest, sizeof rest, "%s", dash ? dash : "-");
    uint64_t number = atomic_fetch_add(&s->number, 1) + 1;
    snprintf(c->file, sizeof c->file, "%04" PRIu64 "%.180s", number, rest);
}

/* ---- scrubbing ---- */

static int scrub_headers(const struct captures *s, const struct scrub_secrets *secrets,
                         struct http_header *items, unsigned n) {
    for (unsigned i = 0; i < n; i++) {
        char *value = (char *)(uintptr_t)items[i].value.ptr;       /* the capture's own copy */
        int rc = scrub_header(s->scrub, secrets, items[i].name, value, items[i].value.len);
        if (rc < 0) {
            return rc;
        }
    }
    return 0;
}

static int scrub_capture(const struct captures *s, struct capture *c,
                         const struct scrub_secrets *secrets) {
    char *target = (char *)(uintptr_t)c->target.ptr;
    char *asked = (char *)(uintptr_t)c->request_body.ptr;
    int rc = scrub_target(s->scrub, secrets, target, c->target.len);
    rc = rc < 0 ? rc : scrub_headers(s, secrets, c->request_headers, c->n_request_headers);
    rc = rc < 0 ? rc : scrub_headers(s, secrets, c->headers, c->n_headers);
    rc = rc < 0 ? rc : scrub_body(s->scrub, secrets, SCRUB_GUESS, false, asked,
                                  c->request_body.len, &c->request_scrubbed);
    rc = rc < 0 ? rc : scrub_body(s->scrub, secrets,
                                  capture_is_stream(c) ? SCRUB_STREAM : SCRUB_GUESS,
                                  c->end != CAPTURE_COMPLETE, c->body, c->body_len,
                                  &c->response_scrubbed);
    return rc;
}

/* ---- files ---- */

static int write_all(int fd, struct slice text) {
    while (text.len > 0) {
        ssize_t n = write(fd, text.ptr, text.len);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return -1;
        }
        text = slice_from(text, (size_t)n);
    }
    return 0;
}

/* Never over another file. */
static int put_in_place(struct captures *s, struct capture *c, const char *beside) {
    char path[4096];
    for (unsigned i = 0; i < MAX_TRIES; i++) {
        snprintf(path, sizeof path, "%s/%s", s->folder, c->file);
        if (link(beside, path) == 0) {
            return 0;
        }
        if (errno == EPERM || errno == EOPNOTSUPP || errno == ENOSYS) {   /* no hard links there */
            return access(path, F_OK) == 0 ? -1 : rename(beside, path);
        }
        if (errno != EEXIST) {
            return -1;
        }
        rename_next(s, c);
    }
    return -1;
}

static int write_file(struct captures *s, struct capture *c, struct slice text) {
    char beside[4096];
    snprintf(beside, sizeof beside, "%s/.%s.%d.tmp", s->folder, c->file, (int)getpid());
    int fd = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0) {
        return -1;
    }
    int rc = write_all(fd, text);
    rc |= close(fd);
    rc = rc == 0 ? put_in_place(s, c, beside) : -1;
    int why = errno;
    (void)unlink(beside);
    errno = why;
    return rc;
}

static int make_text(struct capture *c, struct buf *out) {
    int rc = capture_write(c, out);
    if (rc < 0) {                            /* mostly escapes: its beginning is kept for a look */
        c->end = CAPTURE_TRUNCATED;
        while (c->n_chunks > 0 && c->chunks[c->n_chunks - 1].off > TRUNCATED_KEEP_BYTES) {
            c->n_chunks--;
        }
        rc = capture_write(c, out);
    }
    return rc;
}

static bool save(struct captures *s, struct captures_job *job) {
    struct capture *c = job->capture;
    struct buf text;
    if (scrub_capture(s, c, &job->secrets) < 0) {
        log_event(LOG_ERROR, "a capture is not kept: the search for secrets took too long",
                  LOG_CSTR("file", c->file));
        return false;
    }
    buf_init(&text, CAPTURE_MAX_FILE_BYTES);
    pthread_mutex_lock(&s->files_lock);
    bool is_saved = make_text(c, &text) == 0 && write_file(s, c, buf_slice(&text)) == 0;
    if (!is_saved) {
        log_event(LOG_ERROR, "a capture cannot be written", LOG_CSTR("folder", s->folder),
                  LOG_CSTR("file", c->file), LOG_CSTR("why", strerror(errno)));
    }
    if (is_saved && s->plays && c->end != CAPTURE_TRUNCATED) {
        (void)captures_add_recorded(s, c);
    }
    pthread_mutex_unlock(&s->files_lock);
    buf_dispose(&text);
    return is_saved;
}

/* ---- the thread ---- */

static void job_free(struct captures_job *job) {
    capture_unref(&job->capture);
    arena_free(job->arena);
    mem_free(job);
}

static struct captures_job *next_job(struct captures *s) {
    pthread_mutex_lock(&s->lock);
    s->is_busy = false;
    while (!s->first && !s->is_closing) {
        pthread_cond_broadcast(&s->idle);
        pthread_cond_wait(&s->wake, &s->lock);
    }
    struct captures_job *job = s->first;
    if (job) {
        s->first = job->next;
        s->last = s->first ? s->last : NULL;
        s->is_busy = true;
    }
    pthread_cond_broadcast(&s->idle);
    pthread_mutex_unlock(&s->lock);
    return job;
}

static void *writer_main(void *self) {
    struct captures *s = self;
    for (struct captures_job *job; (job = next_job(s));) {
        size_t bytes = job->bytes;
        atomic_fetch_add(save(s, job) ? &s->saved : &s->failed, 1);
        job_free(job);
        pthread_mutex_lock(&s->lock);
        s->queued_bytes -= bytes;
        pthread_mutex_unlock(&s->lock);
    }
    return NULL;
}

void captures_writer_init(struct captures *s) {
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->wake, NULL);
    pthread_cond_init(&s->idle, NULL);
}

void captures_writer_dispose(struct captures *s) {
    pthread_mutex_lock(&s->lock);
    s->is_closing = true;
    pthread_cond_broadcast(&s->wake);
    pthread_mutex_unlock(&s->lock);
    if (s->has_thread) {
        pthread_join(s->thread, NULL);
    }
    pthread_cond_destroy(&s->wake);
    pthread_cond_destroy(&s->idle);
    pthread_mutex_destroy(&s->lock);
}

/* Signals are the main thread's. With the lock. */
static bool start_thread(struct captures *s) {
    sigset_t all, before;
    if (!s->has_thread) {
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before);
        s->has_thread = pthread_create(&s->thread, NULL, writer_main, s) == 0;
        pthread_sigmask(SIG_SETMASK, &before, NULL);
    }
    return s->has_thread;
}

static bool enqueue(struct captures *s, struct captures_job *job) {
    pthread_mutex_lock(&s->lock);
    bool fits = s->queued_bytes + job->bytes <= MAX_QUEUED_BYTES && start_thread(s);
    if (fits) {
        *(s->last ? &s->last->next : &s->first) = job;
        s->last = job;
        s->queued_bytes += job->bytes;
        pthread_cond_signal(&s->wake);
    }
    pthread_mutex_unlock(&s->lock);
    return fits;
}

void captures_save(struct captures *s, struct capture **c, const struct scrub_secrets *secrets) {
    struct captures_job *job = mem_zalloc(sizeof *job);
    job->capture = *c;
    *c = NULL;
    job->bytes = job->capture->body_cap + job->capture->request_body.len +
                 job->capture->n_chunks * sizeof(struct capture_chunk);
    job->arena = arena_new();
    for (unsigned i = 0; i < secrets->n; i++) {
        job->secrets.items[job->secrets.n++] = arena_dup(job->arena, secrets->items[i]);
    }
    if (!enqueue(s, job)) {
        log_event(LOG_WARN, "a capture is dropped: the disk is too slow",
                  LOG_CSTR("file", job->capture->file));
        atomic_fetch_add(&s->dropped, 1);
        job_free(job);
    }
}

void captures_flush(struct captures *s) {
    pthread_mutex_lock(&s->lock);
    while (s->first || s->is_busy) {
        pthread_cond_wait(&s->idle, &s->lock);
    }
    pthread_mutex_unlock(&s->lock);
}
