/* SPDX-License-Identifier: Apache-2.0 */
/* Structured log: one line an entry, human (colour on a terminal) or JSON, to a file descriptor
 * (stderr by default). Level is tested before anything is formatted. Values are typed fields: a
 * secret has its own type and is written as "***", whatever the level. Bodies are not logged.
 * Control characters in values are escaped, so that input cannot forge lines. Any thread; one
 * write(2) a line. A log never blocks the loop for longer than that write: when the descriptor
 * would block, the line is dropped and counted. */
#ifndef PENSTOCK_BASE_LOG_H
#define PENSTOCK_BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR, LOG_OFF };
enum log_format { LOG_HUMAN, LOG_JSON };

enum log_field_type { LOG_F_STR, LOG_F_INT, LOG_F_UINT, LOG_F_DUR_NS, LOG_F_BOOL, LOG_F_SECRET };

struct log_field {
    const char *name;
    enum log_field_type type;
    struct slice str;
    int64_t num;
};

#define LOG_STR(n, v) ((struct log_field){.name = (n), .type = LOG_F_STR, .str = (v)})
#define LOG_CSTR(n, v) ((struct log_field){.name = (n), .type = LOG_F_STR, .str = slice_cstr(v)})
#define LOG_INT(n, v) ((struct log_field){.name = (n), .type = LOG_F_INT, .num = (int64_t)(v)})
/* Human: 12.3ms; JSON: n_ms as number. */
#define LOG_DUR(n, ns) ((struct log_field){.name = (n), .type = LOG_F_DUR_NS, .num = (ns)})
#define LOG_FLAG(n, v) ((struct log_field){.name = (n), .type = LOG_F_BOOL, .num = (v)})
#define LOG_SECRET(n) ((struct log_field){.name = (n), .type = LOG_F_SECRET})

struct log_options {
    enum log_level level;
    enum log_format format;
    int fd;
    bool color;
};

/* Before threads. Without it, or with NULL: info, human, stderr, colour if that is a terminal. */
void log_setup(const struct log_options *options);
bool log_enabled(enum log_level level);
void log_write(enum log_level level, const char *event, const struct log_field *fields,
               unsigned n_fields);
uint64_t log_dropped(void);

/* log_event(LOG_INFO, "upstream connected", LOG_STR("provider", name), LOG_DUR("took", ns)); at
 * least one field, for C17's sake: use log_plain otherwise. */
#define log_event(level, event, ...)                                                               \
    do {                                                                                           \
        if (log_enabled(level)) {                                                                  \
            const struct log_field log_fields_[] = {__VA_ARGS__};                                  \
            log_write(level, event, log_fields_,                                                   \
                      (unsigned)(sizeof log_fields_ / sizeof log_fields_[0]));                     \
        }                                                                                          \
    } while (0)
#define log_plain(level, event) log_write(level, event, 0, 0)

#endif
