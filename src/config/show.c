/* SPDX-License-Identifier: Apache-2.0 */
/* `penstock config show`: what is in force, as a file that would load to the same, with a comment
 * behind each value that says where it came from. Secrets are "***". */
#include "config/settings.h"

#include <stdio.h>

#define COMMENT_COLUMN 48

struct printer {
    struct buf *out;
    int rc;
    size_t line_start;
};

static void put(struct printer *p, const char *format, ...) PRINTF_LIKE(2, 3);
static void put(struct printer *p, const char *format, ...) {
    char text[256];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    size_t len = n < (int)sizeof text ? (size_t)n : sizeof text - 1;
    p->rc |= buf_append(p->out, slice_make(text, len));
}

static void end_line(struct printer *p) {
    p->rc |= buf_append_byte(p->out, '\n');
    p->line_start = p->out->len;
}

/* "  # penstock.yaml:12", and the line's end. */
static void put_origin(struct printer *p, struct place at) {
    size_t width = p->out->len - p->line_start;
    put(p, "%*s  # ", width < COMMENT_COLUMN ? (int)(COMMENT_COLUMN - width) : 0, "");
    if (!at.source) put(p, "default");
    else if (at.line > 0) put(p, "%.200s:%u", at.source, at.line);
    else put(p, "%.200s", at.source);
    end_line(p);
}

static void put_indent(struct printer *p, unsigned level) {
    put(p, "%*s", (int)(level * 2), "");
}

static unsigned count_segments(const char *name) {
    unsigned n = 1;
    for (; *name; name++) n += *name == '.';
    return n;
}

static const char *segment(const char *name, unsigned index, int *out_len) {
    while (index-- > 0) name = strchr(name, '.') + 1;
    *out_len = (int)strcspn(name, ".");
    return name;
}

/* Group headings of `name` that the row before it, `last` (or NULL), has not opened. */
static void open_groups(struct printer *p, const char *name, const char *last, unsigned indent) {
    unsigned depth = count_segments(name) - 1;
    bool is_same = last != NULL;
    for (unsigned i = 0; i < depth; i++) {
        int len, last_len = -1;
        const char *text = segment(name, i, &len), *other = "";
        if (is_same && i + 1 < count_segments(last)) other = segment(last, i, &last_len);
        is_same = is_same && len == last_len && memcmp(text, other, (size_t)len) == 0;
        if (is_same) continue;
        put_indent(p, indent + i);
        put(p, "%.*s:", len, text);
        end_line(p);
    }
}

/* Rows that are left out because they say nothing. */
static bool is_silent(const struct setting *row, const struct scope *s) {
    bool is_given = s->places[setting_index(row)].source != NULL;
    bool is_text = row->type == SET_STRING || row->type == SET_SECRET;
    bool is_mock = strcmp(row->name, "providers.*.mock") == 0;
    const char *text = NULL;
    if (is_text) memcpy(&text, (const char *)s->base + row->offset, sizeof text);
    bool is_quirk = strncmp(row->name, "providers.*.quirks.", 19) == 0; /* the preset's */
    bool is_version = strcmp(row->name, "providers.*.api_version") == 0;
    if ((is_quirk || is_version) && !is_given) return true;
    return (is_text && !text) || (is_mock && !is_given &&
                                  !((const struct config_provider *)s->base)->is_mock);
}

/* All rows of the scope that have a field. */
static void put_rows(struct printer *p, const struct scope *s, unsigned indent,
                     const char *left_out) {
    const char *last = NULL;
    size_t skip = s->prefix[0] ? strlen(s->prefix) + 1 : 0;
    for (unsigned i = 0; i < n_settings; i++) {
        const struct setting *row = &settings[i];
        if (!setting_is_below(row, slice_cstr(s->prefix)) || row->size == 0) continue;
        const char *name = row->name + skip;
        bool is_left_out = left_out && strncmp(name, left_out, strlen(left_out)) == 0;
        if (strchr(name, '*') || is_left_out || is_silent(row, s)) continue;
        open_groups(p, name, last, indent);
        put_indent(p, indent + count_segments(name) - 1);
        const char *dot = strrchr(name, '.');
        put(p, "%s: ", dot ? dot + 1 : name);
        p->rc |= setting_print(row, s->base, p->out);
        put_origin(p, s->places[i]);
        last = name;
    }
}

static void put_string_line(struct printer *p, unsigned indent, const char *key, const char *text,
                            struct place at) {
    put_indent(p, indent);
    put(p, "%s: ", key);
    p->rc |= yaml_print_string(text, p->out);
    put_origin(p, at);
}

static void put_listen(struct printer *p, const struct loaded *l) {
    const struct config *c = &l->config;
    put(p, "listen:");
    end_line(p);
    for (unsigned i = 0; i < c->n_listen; i++) {
        struct place at = l->listen_places[i];
        put_string_line(p, 1, "- address", c->listen[i].address, at);
        if (!c->listen[i].tls_cert) continue;
        put(p, "    tls:");
        end_line(p);
        put_string_line(p, 3, "cert", c->listen[i].tls_cert, at);
        put_string_line(p, 3, "key", c->listen[i].tls_key, at);
    }
}

/* {drain: {bytes, time}}: a map cannot stand beside the scalar that it replaces. */
static void put_client_gone(struct printer *p, const struct scope *s) {
    static const char *const names[] = {"providers.*.on_client_gone.drain.bytes",
                                        "providers.*.on_client_gone.drain.time"};
    const struct setting *row = setting_find(SLICE("providers.*.on_client_gone"));
    const struct config_provider *provider = s->base;
    put(p, "    on_client_gone:");
    if (provider->on_client_gone == CLIENT_GONE_CANCEL) put(p, " cancel");
    put_origin(p, s->places[setting_index(row)]);
    if (provider->on_client_gone == CLIENT_GONE_CANCEL) return;
    put(p, "      drain:");
    end_line(p);
    for (unsigned i = 0; i < 2; i++) {
        row = setting_find(slice_cstr(names[i]));
        put(p, "        %s: ", strrchr(names[i], '.') + 1);
        p->rc |= setting_print(row, provider, p->out);
        put_origin(p, s->places[setting_index(row)]);
    }
}

static void put_providers(struct printer *p, const struct loaded *l) {
    const struct config *c = &l->config;
    put(p, "providers:%s", c->n_providers == 0 ? " {}" : "");
    end_line(p);
    for (unsigned i = 0; i < c->n_providers; i++) {
        struct scope s = {&c->providers[i], "providers.*", "", l->provider_places[i]};
        put(p, "  %s:", c->providers[i].name);
        put_origin(p, l->provider_places[i][n_settings]);
        put_rows(p, &s, 2, "on_client_gone");
        put_client_gone(p, &s);
    }
}

static void put_models(struct printer *p, const struct loaded *l) {
    const struct config *c = &l->config;
    put(p, "models:%s", c->n_models == 0 ? " []" : "");
    end_line(p);
    for (unsigned i = 0; i < c->n_models; i++) {
        const struct config_model *m = &c->models[i];
        put_string_line(p, 1, "- name", m->name, l->model_places[i]);
        put(p, "    targets:");
        end_line(p);
        for (unsigned t = 0; t < m->n_targets; t++) {
            put(p, "      - {provider: %s", c->providers[m->targets[t].provider].name);
            if (m->targets[t].model) {
                put(p, ", model: ");
                p->rc |= yaml_print_string(m->targets[t].model, p->out);
            }
            put(p, "}");
            end_line(p);
        }
    }
}

int config_show(const struct config *c, struct buf *out) {
    const struct loaded *l = (const struct loaded *)(const void *)c; /* its first member */
    struct printer p = {.out = out, .line_start = out->len};
    /* The scope's base is not written through here. */
    struct scope top = {(void *)(uintptr_t)l, "", "", l->places};
    put_listen(&p, l);
    put_rows(&p, &top, 0, "tls");
    put_providers(&p, l);
    put_models(&p, l);
    return p.rc != 0 ? -ERR_LIMIT : 0;
}
