/* SPDX-License-Identifier: Apache-2.0 */
#include "mock/file_watch.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "config/file.h"
#include "config/tree.h"

enum {
    QUIET_MS = 100,                  /* so long must nothing happen */
    LATEST_MS = 1000,                /* but no longer than this is waited */
    PATH_BYTES = 4096,
    EVENT_BYTES = 16384
};

struct file_watch {
    struct file_watch_options o;
    int inotify, stop;
    uint64_t mark;                   /* of the files as they were last seen */
    pthread_t thread;
};

/* ---- what there is ---- */

/* A file that cannot be read counts as the reason why. */
static uint64_t mix_bytes(uint64_t h, const char *path) {
    struct buf text;
    struct err e;
    buf_init(&text, TREE_MAX_BYTES);
    int rc = file_read(path, &text, &e);
    h = slice_hash(h, rc < 0 ? slice_cstr(e.text) : buf_slice(&text));
    buf_dispose(&text);
    return h;
}

/* A pipe is not: what is in it comes once. */
static bool is_readable_again(const char *path) {
    struct stat st;
    return stat(path, &st) < 0 || S_ISREG(st.st_mode);
}

static uint64_t mix_file(const struct file_watch_options *o, uint64_t h, const char *path) {
    h = slice_hash(h, slice_cstr(path));
    if (!is_readable_again(path)) {
        return h;
    }
    if (!o->by_stamp) {
        return mix_bytes(h, path);
    }
    uint64_t stamp = file_watch_stamp(path);
    return slice_hash(h, slice_make((const char *)&stamp, sizeof stamp));
}

static uint64_t mix_folder(const struct file_watch_options *o, uint64_t h, const char *path) {
    struct dirent **entries;
    char name[PATH_BYTES];
    int n = scandir(path, &entries, o->is_one, alphasort);
    for (int i = 0; i < n; i++) {
        int len = snprintf(name, sizeof name, "%s/%s", path, entries[i]->d_name);
        h = len > 0 && (size_t)len < sizeof name ? mix_file(o, h, name) : h;
        free(entries[i]);
    }
    if (n >= 0) {
        free(entries);
    }
    return h;
}

static uint64_t look(const struct file_watch_options *o) {
    uint64_t h = SLICE_HASH_START;
    for (unsigned i = 0; i < o->n_paths; i++) {
        struct stat st;
        bool is_folder = stat(o->paths[i], &st) == 0 && S_ISDIR(st.st_mode);
        h = is_folder ? mix_folder(o, h, o->paths[i]) : mix_file(o, h, o->paths[i]);
    }
    return h;
}

uint64_t file_watch_stamp(const char *path) {
    struct stat st;
    if (stat(path, &st) < 0) {
        return 0;
    }
    const int64_t told[] = {(int64_t)st.st_size, (int64_t)st.st_mtim.tv_sec,
                            (int64_t)st.st_mtim.tv_nsec, (int64_t)st.st_ino};
    uint64_t h = slice_hash(SLICE_HASH_START, slice_make((const char *)told, sizeof told));
    return h ? h : 1;
}

/* ---- what is watched ---- */

/* The folder that path is in. */
static void folder_of(const char *path, char out[PATH_BYTES]) {
    size_t len = strlen(path);
    while (len > 1 && path[len - 1] == '/') len--;
    while (len > 0 && path[len - 1] != '/') len--;
    snprintf(out, PATH_BYTES, "%.*s", len > 0 && len < PATH_BYTES ? (int)len : 1,
             len > 0 && len < PATH_BYTES ? path : ".");
}

/* A file is replaced as often as written: its folder is what tells. A folder is replaced, too:
 * where it hangs tells, if we may look there. What is watched already stays so. */
static int watch_path(const struct file_watch *w, const char *path, struct err *e) {
    const uint32_t names = IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO;
    const uint32_t all = names | IN_CLOSE_WRITE | IN_ATTRIB | IN_MODIFY;
    struct stat st;
    char folder[PATH_BYTES], above[PATH_BYTES];
    bool is_folder = stat(path, &st) == 0 && S_ISDIR(st.st_mode);
    folder_of(path, folder);
    const char *at = is_folder ? path : folder;
    folder_of(at, above);
    (void)inotify_add_watch(w->inotify, above, names | IN_MASK_ADD);
    if (inotify_add_watch(w->inotify, at, all | IN_MASK_ADD) < 0) {
        return err_set_os(e, ERR_IO, errno, "cannot watch %s", at);
    }
    return 0;
}

/* What came in the place of what was. */
static void watch_again(const struct file_watch *w) {
    struct err e;
    for (unsigned i = 0; i < w->o.n_paths; i++) {
        (void)watch_path(w, w->o.paths[i], &e);
    }
}

/* ---- the thread ---- */

/* Waits for something, at most so long (-1: for ever). 1: files, 0: nothing, -1: the end. */
static int wait_for(const struct file_watch *w, int timeout_ms) {
    char events[EVENT_BYTES];
    struct pollfd fds[2] = {{.fd = w->inotify, .events = POLLIN},
                            {.fd = w->stop, .events = POLLIN}};
    int n = poll(fds, 2, timeout_ms);
    if (n < 0 && errno != EINTR) {
        return -1;
    }
    if (n <= 0) {
        return 0;
    }
    if (fds[1].revents) {
        return -1;
    }
    return read(w->inotify, events, sizeof events) > 0 ? 1 : 0;
}

static void *run(void *self) {
    struct file_watch *w = self;
    for (int what = 0; what >= 0;) {
        what = wait_for(w, -1);
        for (int waited = 0; what > 0 && waited < LATEST_MS; waited += QUIET_MS) {
            what = wait_for(w, QUIET_MS);
        }
        if (what >= 0) {
            watch_again(w);
        }
        uint64_t mark = what < 0 ? w->mark : look(&w->o);
        if (mark != w->mark) {
            w->mark = mark;
            w->o.changed(w->o.self);
        }
    }
    return NULL;
}

/* ---- life ---- */

/* Signals belong to others. */
static int start_thread(struct file_watch *w) {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int code = pthread_create(&w->thread, NULL, run, w);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return code;
}

static void release(struct file_watch *w) {
    if (w->inotify >= 0) {
        close(w->inotify);
    }
    if (w->stop >= 0) {
        close(w->stop);
    }
    mem_free(w);
}

struct file_watch *file_watch_start(const struct file_watch_options *o, struct err *e) {
    struct file_watch *w = mem_zalloc(sizeof *w);
    *w = (struct file_watch){.o = *o,
                             .inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK),
                             .stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
    int rc = w->inotify < 0 || w->stop < 0
                 ? err_set_os(e, ERR_IO, errno, "cannot watch files")
                 : 0;
    for (unsigned i = 0; i < o->n_paths && rc == 0; i++) {
        rc = watch_path(w, o->paths[i], e);
    }
    w->mark = rc == 0 ? look(o) : 0;
    int code = rc == 0 ? start_thread(w) : 0;
    if (code != 0) {
        rc = err_set_os(e, ERR_IO, code, "cannot watch files");
    }
    if (rc < 0) {
        release(w);
        return NULL;
    }
    return w;
}

void file_watch_stop(struct file_watch **w) {
    struct file_watch *watch = *w;
    const uint64_t one = 1;
    *w = NULL;
    if (!watch) {
        return;
    }
    while (write(watch->stop, &one, sizeof one) < 0 && errno == EINTR) {
    }
    pthread_join(watch->thread, NULL);
    release(watch);
}
