/* SPDX-License-Identifier: Apache-2.0 */
#include "config/file.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

enum { READ_BYTES = 16384 };

static int too_large(size_t max_bytes, struct err *e) {
    size_t mib = max_bytes >> 20;
    return mib << 20 == max_bytes ? err_set(e, ERR_LIMIT, "larger than %zu MiB", mib)
                                  : err_set(e, ERR_LIMIT, "larger than %zu bytes", max_bytes);
}

int file_read_fd(int fd, struct buf *out, struct err *e) {
    for (;;) {
        char beyond;    /* at the limit: is there another byte? */
        size_t left = out->max - out->len, want = left < READ_BYTES ? left : READ_BYTES;
        char *to = want > 0 ? buf_reserve(out, want) : &beyond;
        ssize_t n = read(fd, to, want > 0 ? want : 1);
        if (n == 0) return 0;
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return err_set_os(e, ERR_IO, errno, "cannot be read");
        if (want == 0) return too_large(out->max, e);
        buf_commit(out, (size_t)n);
    }
}

int file_read(const char *path, struct buf *out, struct err *e) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return err_set_os(e, ERR_IO, errno, "cannot be read");
    int rc = file_read_fd(fd, out, e);
    close(fd);
    return rc;
}
