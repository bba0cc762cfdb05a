/* SPDX-License-Identifier: Apache-2.0 */
/* Walks over one JSON value that may be cut or wrong; notes its strings and where they stand. */
#include "base/mem.h"
#include "mock/mask.h"
#include "mock/scrub-private.h"

enum { MAX_DEPTH = 256, MAX_OBJECTS = 1 << 20, MAX_LEAVES = 1 << 22 };

struct step {
    uint32_t object;
    uint32_t position;
    bool has_key;                  /* of the member whose value comes */
    char key[SCRUB_NAME_BYTES];    /* cut when it is longer */
};

struct walker {
    struct scrub_walk *w;
    struct step stack[MAX_DEPTH];
    unsigned depth;
};

void scrub_walk_init(struct scrub_walk *w) {
    *w = (struct scrub_walk){0};
}

void scrub_walk_dispose(struct scrub_walk *w) {
    mem_free(w->objects);
    mem_free(w->leaves);
    *w = (struct scrub_walk){0};
}

static uint64_t hash_word(uint64_t h, uint64_t word) {
    return slice_hash(h, slice_make((const char *)&word, sizeof word));
}

static uint64_t hash_name(const char *name) {
    return slice_hash(SLICE_HASH_START, slice_cstr(name));
}

static bool is_at(const struct step *s, const char *name) {
    return s && s->has_key && strcmp(s->key, name) == 0;
}

static struct step *top(struct walker *k) {
    return k->depth > 0 ? &k->stack[k->depth - 1] : NULL;
}

static struct scrub_object *object_of(struct walker *k, const struct step *s) {
    return &k->w->objects[s->object];
}

/* ---- what is met ---- */

static bool push(struct walker *k, bool is_array, size_t at) {
    struct scrub_walk *w = k->w;
    struct step *up = top(k);
    if (k->depth == MAX_DEPTH || w->n_objects == MAX_OBJECTS) {
        return false;
    }
    if (w->n_objects == w->cap_objects) {
        w->cap_objects = w->cap_objects ? 2 * w->cap_objects : 16;
        w->objects = mem_realloc(w->objects, w->cap_objects * sizeof *w->objects);
    }
    struct scrub_object *o = &w->objects[w->n_objects];
    *o = (struct scrub_object){.parent = up ? up->object : SCRUB_NO_OBJECT,
                               .position = up ? up->position : 0,
                               .is_array = is_array};
    struct span here = {(uint32_t)at, (uint32_t)(w->text.len - at)};
    if (up && up->has_key) {
        o->step = hash_name(up->key);
    }
    if (is_at(up, "bytes")) {
        object_of(k, up)->bytes = here;
    } else if (is_at(up, "top_logprobs")) {
        object_of(k, up)->alternatives = here;
    }
    struct step *own = &k->stack[k->depth++];
    own->object = w->n_objects++;
    own->position = 0;
    own->has_key = false;
    return true;
}

static void pop(struct walker *k, size_t end) {
    k->depth--;
    struct step *up = top(k);
    if (is_at(up, "bytes")) {
        object_of(k, up)->bytes.len = (uint32_t)end - object_of(k, up)->bytes.off;
    } else if (is_at(up, "top_logprobs")) {
        object_of(k, up)->alternatives.len = (uint32_t)end - object_of(k, up)->alternatives.off;
    }
    if (up) {
        up->has_key = false;
    }
}

static bool add_leaf(struct walker *k, enum scrub_leaf_kind kind, size_t off, size_t len) {
    struct scrub_walk *w = k->w;
    const struct step *up = top(k);
    if (w->n_leaves == MAX_LEAVES) {
        return false;
    }
    if (w->n_leaves == w->cap_leaves) {
        w->cap_leaves = w->cap_leaves ? 2 * w->cap_leaves : 32;
        w->leaves = mem_realloc(w->leaves, w->cap_leaves * sizeof *w->leaves);
    }
    w->leaves[w->n_leaves++] = (struct scrub_leaf){
        .raw = {(uint32_t)off, (uint32_t)len},
        .object = up ? up->object : SCRUB_NO_OBJECT,
        .position = up ? up->position : 0,
        .key = up && up->has_key ? hash_name(up->key) : 0,
        .kind = kind,
        .is_secret = kind == SCRUB_STRING && up && up->has_key &&
                     mask_is_secret_name(slice_cstr(up->key))};
    return true;
}

/* Members that tell objects of one place apart. */
static void note_number(struct walker *k, struct slice number) {
    static const char *const names[] = {"index", "output_index", "content_index", "summary_index"};
    const struct step *up = top(k);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (is_at(up, names[i])) {
            uint64_t one = slice_hash(hash_name(names[i]), number);
            object_of(k, up)->ident += one | 1;
        }
    }
}

static void note_string(struct walker *k, struct slice raw) {
    const struct step *up = top(k);
    if (is_at(up, "token")) {
        object_of(k, up)->has_token = true;
    } else if (k->depth == 1 && is_at(up, "type")) {
        scrub_plain(raw, k->w->root_type, sizeof k->w->root_type);
    }
}

/* ---- the text ---- */

static bool is_space(char c) {
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* Of the closing quote, or the text's end. */
static size_t string_end(struct slice text, size_t at) {
    while (at < text.len && text.ptr[at] != '"') {
        at += text.ptr[at] == '\\' ? 2 : 1;
    }
    return at < text.len ? at : text.len;
}

static bool names_member(struct walker *k, struct slice text, size_t end) {
    const struct step *up = top(k);
    if (!up || object_of(k, up)->is_array || up->has_key) {
        return false;
    }
    for (end++; end < text.len && is_space(text.ptr[end]);) {
        end++;
    }
    return end >= text.len || text.ptr[end] == ':';
}

/* Returns where to go on; the text's length + 1: it is too much. */
static size_t take_string(struct walker *k, struct slice text, size_t at) {
    size_t end = string_end(text, at + 1);
    struct slice raw = slice_sub(text, at + 1, end - at - 1);
    struct step *up = top(k);
    bool is_key = names_member(k, text, end);
    if (!add_leaf(k, is_key ? SCRUB_KEY : SCRUB_STRING, at + 1, raw.len)) {
        return text.len + 1;
    }
    if (is_key) {
        up->has_key = true;
        scrub_plain(raw, up->key, sizeof up->key);
    } else {
        note_string(k, raw);
        if (up) {
            up->has_key = false;
        }
    }
    return end < text.len ? end + 1 : end;
}

static bool is_number_char(char c) {
    return (c >= '0' && c <= '9') || c == '-' || c == '+' || c == '.' || c == 'e' || c == 'E';
}

static size_t take_plain(struct walker *k, struct slice text, size_t at) {
    size_t end = at;
    struct step *up = top(k);
    bool is_number = text.ptr[at] == '-' || (text.ptr[at] >= '0' && text.ptr[at] <= '9');
    while (end < text.len && (is_number ? is_number_char(text.ptr[end])
                                        : text.ptr[end] >= 'a' && text.ptr[end] <= 'z')) {
        end++;
    }
    if (is_number) {
        note_number(k, slice_sub(text, at, end - at));
        if (end - at >= 4 && !add_leaf(k, SCRUB_NUMBER, at, end - at)) {
            return text.len + 1;
        }
    }
    if (up) {
        up->has_key = false;
    }
    return end;
}

static bool begins_plain(struct slice text, size_t at) {
    char c = text.ptr[at];
    struct slice rest = slice_from(text, at);
    return c == '-' || (c >= '0' && c <= '9') || slice_starts_with(rest, SLICE("true")) ||
           slice_starts_with(rest, SLICE("false")) || slice_starts_with(rest, SLICE("null"));
}

/* One token. Returns where to go on, `at` itself for what is no JSON. */
static size_t take(struct walker *k, struct slice text, size_t at) {
    char c = text.ptr[at];
    struct step *up = top(k);
    switch (c) {
    case '{':
    case '[':
        return push(k, c == '[', at) ? at + 1 : at;
    case '}':
    case ']':
        if (!up) {
            return at;
        }
        pop(k, at + 1);
        return at + 1;
    case ',':
        if (!up) {
            return at;
        }
        up->position++;
        up->has_key = false;
        return at + 1;
    case ':':
        return up && up->has_key ? at + 1 : at;
    case '"': {
        size_t next = take_string(k, text, at);
        return next > text.len ? at : next;
    }
    default:
        break;
    }
    size_t next = begins_plain(text, at) ? take_plain(k, text, at) : at;
    return next > text.len ? at : next;
}

/* ---- where things stand ---- */

/* What a stream's events with this root type have in common with others: a block's opening and its
 * deltas are one text. */
enum root_kind { ROOT_PLAIN, ROOT_BLOCK_START, ROOT_RESPONSES_TEXT, ROOT_RESPONSES_OTHER };

static bool ends_with(const char *s, const char *end) {
    size_t len = strlen(end), all = strlen(s);
    return all >= len && strcmp(s + all - len, end) == 0;
}

static enum root_kind root_kind_of(const char *type) {
    if (strcmp(type, "content_block_start") == 0) {
        return ROOT_BLOCK_START;
    }
    if (strncmp(type, "response.", 9) != 0) {
        return ROOT_PLAIN;
    }
    return ends_with(type, ".delta") || ends_with(type, ".added") ? ROOT_RESPONSES_TEXT
                                                                  : ROOT_RESPONSES_OTHER;
}

static void place_member(struct scrub_object *o, const struct scrub_object *up, bool up_is_root,
                         enum root_kind kind) {
    uint64_t step = o->step;
    if (up_is_root && kind == ROOT_RESPONSES_TEXT &&
        (step == hash_name("part") || step == hash_name("item"))) {
        o->path = up->path;
        o->lane = up->lane;
        return;
    }
    if (up_is_root && kind == ROOT_BLOCK_START && step == hash_name("content_block")) {
        step = hash_name("delta");
    }
    o->path = hash_word(up->path, step);
    o->lane = hash_word(up->lane, step);
}

static void place_objects(struct scrub_walk *w) {
    enum root_kind kind = root_kind_of(w->root_type);
    uint64_t start = SLICE_HASH_START;
    if (kind == ROOT_RESPONSES_OTHER) {
        start = hash_name(w->root_type);
    } else if (kind == ROOT_RESPONSES_TEXT) {
        start = slice_hash(start, SLICE("response.text"));
    }
    for (uint32_t i = 0; i < w->n_objects; i++) {
        struct scrub_object *o = &w->objects[i];
        const struct scrub_object *up =
            o->parent == SCRUB_NO_OBJECT ? NULL : &w->objects[o->parent];
        if (!up) {
            o->path = o->lane = start;
        } else if (up->is_array) {
            bool is_token = o->has_token && up->step != hash_name("top_logprobs");
            o->path = hash_word(up->path, 1);
            o->lane = hash_word(up->lane, o->ident ? 2 : is_token ? 3 : o->position + 4);
        } else {
            place_member(o, up, o->parent == 0, kind);
        }
        if (o->ident) {
            o->lane = hash_word(o->lane, o->ident);
        }
    }
}

static uint64_t leaf_key(const struct scrub_walk *w, const struct scrub_leaf *l) {
    static const char *const said[] = {"text", "arguments", "input", "refusal"};
    bool is_text = root_kind_of(w->root_type) == ROOT_RESPONSES_TEXT;
    for (size_t i = 0; is_text && i < sizeof said / sizeof said[0]; i++) {
        if (l->key == hash_name(said[i])) {
            return hash_name("delta");
        }
    }
    return l->key;
}

uint64_t scrub_leaf_path(const struct scrub_walk *w, const struct scrub_leaf *l) {
    uint64_t path = l->object == SCRUB_NO_OBJECT ? 0 : w->objects[l->object].path;
    return hash_word(path, leaf_key(w, l));
}

uint64_t scrub_leaf_lane(const struct scrub_walk *w, const struct scrub_leaf *l) {
    if (l->object == SCRUB_NO_OBJECT) {
        return 0;
    }
    const struct scrub_object *o = &w->objects[l->object];
    uint64_t lane = hash_word(o->lane, leaf_key(w, l));
    return o->is_array && o->step != hash_name("tokens") ? hash_word(lane, l->position) : lane;
}

bool scrub_leaf_companions(const struct scrub_walk *w, const struct scrub_leaf *l,
                           struct span out[2], bool *out_keys) {
    if (l->object == SCRUB_NO_OBJECT || l->kind != SCRUB_STRING) {
        return false;
    }
    const struct scrub_object *o = &w->objects[l->object];
    *out_keys = o->is_array && o->step == hash_name("tokens");
    if (*out_keys && o->parent != SCRUB_NO_OBJECT) {
        out[0] = w->objects[o->parent].alternatives;
        out[1] = (struct span){0, 0};
        return true;
    }
    if (o->is_array || l->key != hash_name("token")) {
        return false;
    }
    out[0] = o->alternatives;
    out[1] = o->bytes;
    return true;
}

size_t scrub_walk_value(struct scrub_walk *w, struct slice text, size_t at) {
    struct walker k;
    k.w = w;                             /* the stack is made as it grows */
    k.depth = 0;
    w->text = text;
    w->n_objects = 0;
    w->n_leaves = 0;
    w->root_type[0] = '\0';
    bool has_begun = false;
    while (at < text.len) {
        if (is_space(text.ptr[at])) {
            at++;
            continue;
        }
        if (has_begun && k.depth == 0) {
            break;
        }
        size_t next = take(&k, text, at);
        if (next == at) {
            break;
        }
        has_begun = true;
        at = next;
    }
    w->is_open = k.depth > 0;
    place_objects(w);
    return at;
}
