/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/load.h"

#include <stdio.h>
#include <unistd.h>

#define REPORT_BYTES (512 * 1024)

static const char red[] = "\x1b[31m", yellow[] = "\x1b[33m", plain[] = "\x1b[0m";

/* Line by line, the part that matters in colour. */
static void print_report(struct slice report, bool is_fault) {
    bool color = term_color(STDERR_FILENO);
    while (report.len > 0) {
        ptrdiff_t end = slice_index(report, '\n');
        struct slice line = end < 0 ? report : slice_sub(report, 0, (size_t)end);
        bool is_warning = slice_starts_with(line, SLICE("warning: "));
        if (color && is_warning) {
            fprintf(stderr, "%swarning:%s%.*s\n", yellow, plain, SLICE_FMT(slice_from(line, 8)));
        } else {
            fprintf(stderr, "%s%.*s%s\n", color && is_fault ? red : "", SLICE_FMT(line),
                    color && is_fault ? plain : "");
        }
        report = end < 0 ? SLICE_NULL : slice_from(report, (size_t)end + 1);
    }
}

/* Machines read JSON logs: the warnings come as lines of it. */
static void log_report(struct slice report) {
    while (report.len > 0) {
        ptrdiff_t end = slice_index(report, '\n');
        struct slice line = end < 0 ? report : slice_sub(report, 0, (size_t)end);
        if (slice_starts_with(line, SLICE("warning: "))) line = slice_from(line, 9);
        log_event(LOG_WARN, "configuration", LOG_STR("warning", line));
        report = end < 0 ? SLICE_NULL : slice_from(report, (size_t)end + 1);
    }
}

struct config *load_config(const struct load_flags *f, const char *file) {
    struct config_sources sources = {
        .file = file ? file : f->config, .env_file = f->env_file,
        .flags = f->overrides.items, .n_flags = f->overrides.n, .mock = f->mock,
    };
    struct config *c;
    struct buf report;
    buf_init(&report, REPORT_BYTES);
    int rc = config_load(&sources, &c, &report);
    if (rc == 0) {
        struct log_options options = {.level = c->log.level, .format = c->log.format,
                                      .fd = STDERR_FILENO, .color = term_color(STDERR_FILENO)};
        log_setup(&options);
    }
    if (rc == 0 && c->log.format == LOG_JSON) log_report(buf_slice(&report));
    else print_report(buf_slice(&report), rc < 0);
    buf_dispose(&report);
    return rc < 0 ? NULL : c;
}
