/* SPDX-License-Identifier: Apache-2.0 */
#include "mock/announce.h"

#include <errno.h>
#include <inttypes.h>
#include <unistd.h>

#include "dialect/json_write.h"
#include "mock/capture_store.h"
#include "mock/self.h"
#include "mock/scenario_book.h"
#include "token/token.h"
#include "version.h"

enum { READY_BYTES = 256 << 10, PATH_BYTES = 4096 };

/* ---- to people ---- */

static void print_models(const struct mock_options *o, FILE *to) {
    if (o->n_models == 0) {
        fprintf(to, "any model name\n");
        return;
    }
    for (unsigned i = 0; i < o->n_models; i++) {
        fprintf(to, "%s%s", i ? ", " : "models: ", o->models[i]);
    }
    fprintf(to, "\n");
}

static void print_scenarios(const struct hub *h, FILE *to) {
    struct scenario_set *set = h->scenarios ? scenario_book_set(h->scenarios) : NULL;
    unsigned n = set ? scenario_set_count(set) : 0;
    if (n > 0) {
        fprintf(to, "  %u scenario%s, read again when the files change\n", n, n == 1 ? "" : "s");
    }
    scenario_set_unref(&set);
}

/* "first token after 200ms, then one every 20ms" */
static void print_times(const struct mock_options *o, FILE *to) {
    char ttft[LAW_TEXT_BYTES], itl[LAW_TEXT_BYTES];
    if (o->max_batch > 0) {
        fprintf(to, "first token after a seat in a batch of %u, then ", o->max_batch);
    } else if (law_is_zero(&o->ttft)) {
        fprintf(to, "first token at once, then ");
    } else {
        fprintf(to, "first token after %s, then ", law_print(&o->ttft, ttft));
    }
    if (o->tps > 0) {
        fprintf(to, "%g a second", o->tps);
    } else if (law_is_zero(&o->itl)) {
        fprintf(to, "as fast as it is read");
    } else {
        fprintf(to, "one every %s", law_print(&o->itl, itl));
    }
}

static void print_captures(const struct hub *h, FILE *to) {
    static const char *const misses[] = {
        [MOCK_MISS_ERROR] = "404",
        [MOCK_MISS_GENERATE] = "made up",
        [MOCK_MISS_RECORD] = "fetched and kept"};
    const struct mock_options *o = h->fixed;
    if (o->replay) {
        struct captures_counts n;
        captures_count(h->captures, &n);
        fprintf(to, "  %" PRIu64 " capture%s of %s, played at %s; what they do not answer is %s\n",
                n.loaded, n.loaded == 1 ? "" : "s", o->replay, o->speed, misses[o->on_miss]);
    }
    if (o->upstream) {
        fprintf(to, "  what is not answered here goes to %s%s%s\n", o->upstream,
                o->record ? ", and is kept in " : "", o->record ? o->record : "");
    }
}

static void print_faults(const struct mock_options *o, FILE *to) {
    for (unsigned i = 0; i < o->n_faults; i++) {
        fprintf(to, "%s%s", i ? "; " : "  faults: ", o->faults[i]);
    }
    if (o->n_faults > 0) {
        fprintf(to, "\n");
    }
}

static void print_provider(const struct hub *h, const char *bold, const char *off, FILE *to) {
    const struct mock_options *o = h->fixed;
    fprintf(to, "%spenstock mock%s answers on %s%s%s", bold, off, bold, h->base_url, off);
    if (o->name) {
        fprintf(to, " as %s", o->name);
    }
    for (unsigned i = 1; i < h->n_addrs; i++) {
        char text[ADDR_TEXT_BYTES];
        fprintf(to, "%s%s", i == 1 ? " and " : ", ", addr_text(&h->addrs[i], text));
    }
    fprintf(to, "\n  ");
    print_times(o, to);
    fprintf(to, "; seed %" PRIu64 "; ", o->seed);
    print_models(o, to);
    print_scenarios(h, to);
    print_captures(h, to);
    print_faults(o, to);
}

static void print_banner(const struct hub *hubs, unsigned n, FILE *to) {
    bool color = hubs[0].fixed->color;
    const char *bold = color ? "\033[1m" : "", *dim = color ? "\033[2m" : "";
    const char *off = color ? "\033[0m" : "";
    for (unsigned k = 0; k < n; k++) {
        print_provider(&hubs[k], bold, off, to);
    }
    if (!tokenizer_is_exact(tokenizer_get(ENCODING_O200K))) {
        fprintf(to, "  tokens are counted by word pieces: the ranks of o200k_base are not here (make ranks)\n");
    }
    fprintf(to, "  %sfault on demand: model fault/429, fault/cut, … ; see penstock mock --list-faults%s\n",
            dim, off);
    fprintf(to, "  try:  curl -N %s/chat/completions -H 'content-type: application/json' \\\n"
                "          -d '{\"model\":\"mock\",\"stream\":true,\"messages\":[{\"role\":\"user\","
                "\"content\":\"tell me a story\"}]}'\n", hubs[0].base_url);
}

/* ---- to programs ---- */

static struct slice port_of(struct slice url) {
    size_t at = url.len;
    while (at > 0 && url.ptr[at - 1] >= '0' && url.ptr[at - 1] <= '9') {
        at--;
    }
    bool is_port = at > 0 && url.ptr[at - 1] == ':' && !slice_starts_with(url, SLICE("http+unix"));
    return is_port ? slice_from(url, at) : SLICE("null");
}

/* "url":…,"base_url":…,"port":… */
static void w_address(struct json_writer *j, const struct hub *h) {
    struct slice base = slice_cstr(h->base_url);
    struct slice url = slice_sub(base, 0, base.len - 3);         /* without "/v1" */
    jw(j, SLICE("\"url\":"));
    jw_string(j, url);
    jw(j, SLICE(",\"base_url\":"));
    jw_string(j, base);
    jw(j, SLICE(",\"port\":"));
    jw(j, port_of(url));
}

static void w_provider(struct json_writer *j, const struct hub *h) {
    jw_string_or_null(j, SLICE("{\"name\":"), slice_cstr(h->fixed->name));
    jw(j, SLICE(",\"addresses\":["));
    for (unsigned i = 0; i < h->n_addrs; i++) {
        char text[ADDR_TEXT_BYTES];
        jw(j, i ? SLICE(",") : SLICE(""));
        jw_string(j, slice_cstr(addr_text(&h->addrs[i], text)));
    }
    jw(j, SLICE("],"));
    w_address(j, h);
    jw(j, SLICE("}"));
}

static int write_ready(const struct hub *hubs, unsigned n, FILE *to) {
    struct buf out;
    buf_init(&out, READY_BYTES);
    struct json_writer j = jw_begin(&out);
    jw(&j, SLICE("{\"pid\":"));
    jw_int(&j, getpid());
    jw(&j, SLICE(",\"version\":\"" PENSTOCK_VERSION "\","));
    w_address(&j, &hubs[0]);
    jw(&j, SLICE(",\"providers\":["));
    for (unsigned k = 0; k < n; k++) {
        jw(&j, k ? SLICE(",") : SLICE(""));
        w_provider(&j, &hubs[k]);
    }
    jw(&j, SLICE("]}\n"));
    bool is_written = jw_end(&j) == 0 && fwrite(out.ptr, 1, out.len, to) == out.len;
    buf_dispose(&out);
    return is_written ? 0 : -ERR_IO;
}

void announce_clear_file(const char *path) {
    (void)unlink(path);
}

int announce_ready_file(const struct hub *hubs, unsigned n, const char *path, struct err *e) {
    char temporary[PATH_BYTES];
    int len = snprintf(temporary, sizeof temporary, "%s.%ld", path, (long)getpid());
    FILE *f = len > 0 && len < PATH_BYTES ? fopen(temporary, "we") : NULL;
    if (!f) {
        return err_set_os(e, ERR_IO, errno, "--ready-file: %s cannot be written", path);
    }
    int rc = write_ready(hubs, n, f);
    if (fclose(f) != 0 || rc < 0 || rename(temporary, path) != 0) {
        return err_set_os(e, ERR_IO, errno, "--ready-file: %s cannot be written", path);
    }
    return 0;
}

void announce_ready(const struct hub *hubs, unsigned n, FILE *to) {
    const struct mock_options *o = hubs[0].fixed;
    if (o->json) {
        (void)write_ready(hubs, n, to);
    } else if (!o->quiet) {
        print_banner(hubs, n, to);
    }
    fflush(to);
}

/* ---- the end ---- */

static void print_summary(const struct mock_counters *c, FILE *to) {
    fprintf(to, "\n%" PRIu64 " requests, %" PRIu64 " answers (%" PRIu64 " completed, %" PRIu64
                " cancelled), %" PRIu64 " tokens\n",
            c->requests, c->started, c->completed, c->cancelled, c->tokens);
}

static void write_summary(const struct mock_counters *c, FILE *to) {
    fprintf(to, "{\"requests\":%" PRIu64 ",\"answers\":%" PRIu64 ",\"completed\":%" PRIu64
                ",\"cancelled\":%" PRIu64 ",\"tokens\":%" PRIu64 ",\"late_ns\":{\"p50\":%" PRIu64
                ",\"p99\":%" PRIu64 ",\"max\":%" PRIu64 "}}\n",
            c->requests, c->started, c->completed, c->cancelled, c->tokens, c->late_p50_ns,
            c->late_p99_ns, c->late_max_ns);
}

void announce_end(struct hub *hubs, unsigned n, const struct mock_counters *c, FILE *to) {
    const struct mock_options *o = hubs[0].fixed;
    if (o->quiet) {
        return;
    }
    if (o->json) {
        write_summary(c, to);
        return;
    }
    print_summary(c, to);
    for (unsigned k = 0; k < n; k++) {
        self_print_summary(to, &hubs[k]);
    }
}
