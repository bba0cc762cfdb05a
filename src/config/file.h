/* SPDX-License-Identifier: Apache-2.0 */
/* Whole files, read within a limit: the one place where configurations, scenarios, captures and
 * requests come in from a disk or a pipe. Blocks; any thread. */
#ifndef PENSTOCK_CONFIG_FILE_H
#define PENSTOCK_CONFIG_FILE_H

#include "base/buf.h"

/* Appends all that path holds to out, whose max_bytes is the limit. Follows links; a FIFO is read
 * to its end.
 *
 * returns   0, -ERR_IO (e->os_errno tells: ENOENT when there is none) or -ERR_LIMIT; out then holds
 *           what came before.
 * e         says what is wrong and the limit ("cannot be read: …", "larger than 4 MiB"), not which
 *           file: the caller names it where its messages have their place. */
int file_read(const char *path, struct buf *out, struct err *e) MUST_CHECK;
/* The same from a descriptor, to its end; fd stays open and the caller's. */
int file_read_fd(int fd, struct buf *out, struct err *e) MUST_CHECK;

#endif
