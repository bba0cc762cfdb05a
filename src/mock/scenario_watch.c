/* SPDX-License-Identifier: Apache-2.0 */
#include "mock/scenario_watch.h"

#include <dirent.h>
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
#include "base/slice.h"

enum {
    QUIET_MS = 100,                  /* so long must nothing happen */
    LATEST_MS = 1000,                /* but no longer than this is waited */
    PATH_BYTES = 4096,
    EVENT_BYTES = 16384
};

struct scenario_watch {
    const char *const *paths;
    unsigned n_paths;
    void (*changed)(void *self);
    void *self;
    int inotify, stop;
    uint64_t mark;                   /* of the files as they were last seen */
    pthread_t thread;
};

/* ---- what there is ---- */

static uint64_t mix_file(uint64_t h, const char *path) {
    char bytes[EVENT_BYTES];
    FILE *f = fopen(path, "rbe");
    h = slice_hash(h, slice_cstr(path));
    if (!f) {
        return slice_hash(h, SLICE("gone"));
    }
    for (size_t n; (n = fread(bytes, 1, sizeof bytes, f)) > 0;) {
        h = slice_hash(h, slice_make(bytes, n));
    }
    fclose(f);
    return h;
}

static int is_yaml(const struct dirent *d) {
    const char *dot = strrchr(d->d_name, '.');
    return d->d_name[0] != '.' && dot && (strcmp(dot, ".yaml") == 0 || strcmp(dot, ".yml") == 0);
}

static uint64_t mix_folder(uint64_t h, const char *path) {
    struct dirent **entries;
    char name[PATH_BYTES];
    int n = scandir(path, &entries, is_yaml, alphasort);
    for (int i = 0; i < n; i++) {
        int len = snprintf(name, sizeof name, "%s/%s", path, entries[i]->d_name);
        h = len > 0 && (size_t)len < sizeof name ? mix_file(h, name) : h;
        free(entries[i]);
    }
    if (n >= 0) {
        free(entries);
    }
    return h;
}

static uint64_t look(const struct scenario_watch *w) {
    uint64_t h = SLICE_HASH_START;
    for (unsigned i = 0; i < w->n_paths; i++) {
        struct stat st;
        bool is_folder = stat(w->paths[i], &st) == 0 && S_ISDIR(st.st_mode);
        h = is_folder ? mix_folder(h, w->paths[i]) : mix_file(h, w->paths[i]);
    }
    return h;
}

/* ---- the thread ---- */

/* Waits for something, at most so long (-1: for ever). 1: files, 0: nothing, -1: the end. */
static int wait_for(const struct scenario_watch *w, int timeout_ms) {
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
    struct scenario_watch *w = self;
    for (int what = 0; what >= 0;) {
        what = wait_for(w, -1);
        for (int waited = 0; what > 0 && waited < LATEST_MS; waited += QUIET_MS) {
            what = wait_for(w, QUIET_MS);
        }
        uint64_t mark = what < 0 ? w->mark : look(w);
        if (mark != w->mark) {
            w->mark = mark;
            w->changed(w->self);
        }
    }
    return NULL;
}

/* ---- life ---- */

/* Signals belong to others. */
static int start_thread(struct scenario_watch *w) {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int code = pthread_create(&w->thread, NULL, run, w);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return code;
}

/* A file is replaced as often as written: its folder is what tells. */
static int watch_path(const struct scenario_watch *w, const char *path, struct err *e) {
    const uint32_t what = IN_CLOSE_WRITE | IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO |
                          IN_ATTRIB | IN_MODIFY;
    struct stat st;
    char folder[PATH_BYTES];
    const char *slash = strrchr(path, '/');
    size_t len = slash ? (size_t)(slash - path) + 1 : 0;
    bool is_folder = stat(path, &st) == 0 && S_ISDIR(st.st_mode);
    snprintf(folder, sizeof folder, "%.*s", (int)(len < sizeof folder ? len : 0), path);
    const char *at = is_folder ? path : len ? folder : ".";
    if (inotify_add_watch(w->inotify, at, what) < 0) {
        return err_set_os(e, ERR_IO, errno, "cannot watch %s", at);
    }
    return 0;
}

static void release(struct scenario_watch *w) {
    if (w->inotify >= 0) {
        close(w->inotify);
    }
    if (w->stop >= 0) {
        close(w->stop);
    }
    mem_free(w);
}

struct scenario_watch *scenario_watch_start(const char *const *paths, unsigned n,
                                            void (*changed)(void *self), void *self,
                                            struct err *e) {
    struct scenario_watch *w = mem_zalloc(sizeof *w);
    *w = (struct scenario_watch){.paths = paths, .n_paths = n, .changed = changed, .self = self,
                                 .inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK),
                                 .stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
    int rc = w->inotify < 0 || w->stop < 0
                 ? err_set_os(e, ERR_IO, errno, "cannot watch the scenarios")
                 : 0;
    for (unsigned i = 0; i < n && rc == 0; i++) {
        rc = watch_path(w, paths[i], e);
    }
    w->mark = rc == 0 ? look(w) : 0;
    int code = rc == 0 ? start_thread(w) : 0;
    if (code != 0) {
        rc = err_set_os(e, ERR_IO, code, "cannot watch the scenarios");
    }
    if (rc < 0) {
        release(w);
        return NULL;
    }
    return w;
}

void scenario_watch_stop(struct scenario_watch **w) {
    struct scenario_watch *watch = *w;
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
