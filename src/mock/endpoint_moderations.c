/* SPDX-License-Identifier: Apache-2.0 */
/* POST /moderations: a category is found by a word of its own; scores are made up, and the same for
 * the same text. */
#include "base/random.h"
#include "dialect/json_write.h"
#include "mock/input.h"
#include "mock/smalltalk.h"

enum { ID_BYTES = 37, MAX_WORDS = 3 };

static const struct category {
    const char *name;
    const char *words[MAX_WORDS];    /* that it is found by; none: never */
    bool sees_images;
    bool is_new;                     /* not of the models that read texts alone */
} categories[] = {
    {"harassment", {"idiot", "stupid"}, false, false},
    {"harassment/threatening", {"threaten"}, false, false},
    {"hate", {"hate"}, false, false},
    {"hate/threatening", {NULL}, false, false},
    {"illicit", {"steal", "shoplift"}, false, true},
    {"illicit/violent", {"bomb"}, false, true},
    {"self-harm", {"suicide"}, true, false},
    {"self-harm/instructions", {NULL}, true, false},
    {"self-harm/intent", {NULL}, true, false},
    {"sexual", {"naked"}, true, false},
    {"sexual/minors", {NULL}, false, false},
    {"violence", {"kill", "murder"}, true, false},
    {"violence/graphic", {"blood", "gore"}, true, false},
};
enum { CATEGORY_COUNT = sizeof categories / sizeof categories[0] };

/* The three members of a result that have one for each category. */
enum column { COLUMN_FLAG, COLUMN_SCORE, COLUMN_TYPES };

struct result {
    struct json_writer *j;
    const struct input *in;
    bool is_omni;
    struct rng rng;                  /* scores of what is not found */
};

static bool is_found(const struct category *c, struct slice text) {
    for (unsigned i = 0; i < MAX_WORDS && c->words[i]; i++) {
        if (text_has_word(text, slice_cstr(c->words[i]))) {
            return true;
        }
    }
    return false;
}

/* What of the input the model has looked at for this. */
static struct slice types_of(const struct result *r, const struct category *c) {
    bool has_text = r->in->text.len > 0 || r->in->images == 0;
    bool has_images = r->in->images > 0 && c->sees_images;
    return has_text && has_images ? SLICE("[\"text\",\"image\"]")
           : has_text             ? SLICE("[\"text\"]")
           : has_images           ? SLICE("[\"image\"]")
                                  : SLICE("[]");
}

static void w_score(struct result *r, bool found) {
    double little = rng_unit(&r->rng);
    if (found) {
        jw(r->j, SLICE("0.98"));
    } else if (r->j->rc == 0) {
        r->j->rc = buf_appendf(r->j->out, "%.7f", 1e-6 + little * little * 0.004);
    }
}

static void w_cell(struct result *r, enum column what, const struct category *c) {
    bool found = is_found(c, r->in->text);
    switch (what) {
    case COLUMN_FLAG:
        jw(r->j, found ? SLICE("true") : SLICE("false"));
        break;
    case COLUMN_SCORE:
        w_score(r, found);
        break;
    case COLUMN_TYPES:
        jw(r->j, types_of(r, c));
        break;
    }
}

static void w_column(struct result *r, struct slice name, enum column what) {
    unsigned n = 0;
    jw(r->j, name);
    for (unsigned i = 0; i < CATEGORY_COUNT; i++) {
        if (categories[i].is_new && !r->is_omni) {
            continue;
        }
        jw(r->j, n++ ? SLICE(",\"") : SLICE("{\""));
        jw(r->j, slice_cstr(categories[i].name));
        jw(r->j, SLICE("\":"));
        w_cell(r, what, &categories[i]);
    }
    jw(r->j, SLICE("}"));
}

static void w_result(struct json_writer *j, const struct mock_call *c, const struct input_ask *k,
                     const struct input *in) {
    struct result r = {.j = j, .in = in};
    bool is_flagged = false;
    r.is_omni = !slice_starts_with(k->env.model, SLICE("text-moderation"));
    rng_seed(&r.rng, slice_hash(SLICE_HASH_START ^ c->o->seed, in->text));
    for (unsigned i = 0; i < CATEGORY_COUNT; i++) {
        is_flagged |= is_found(&categories[i], in->text) && (r.is_omni || !categories[i].is_new);
    }
    jw(j, is_flagged ? SLICE("{\"flagged\":true") : SLICE("{\"flagged\":false"));
    w_column(&r, SLICE(",\"categories\":"), COLUMN_FLAG);
    w_column(&r, SLICE(",\"category_scores\":"), COLUMN_SCORE);
    if (r.is_omni) {
        w_column(&r, SLICE(",\"category_applied_input_types\":"), COLUMN_TYPES);
    }
    jw(j, SLICE("}"));
}

static void answer_moderations(struct mock_call *c) {
    struct mock_worker *w = c->w;
    struct input_ask k;
    struct rng r;
    char id[ID_BYTES];
    if (!input_take(c, &k, "omni-moderation-latest", true)) {
        return;
    }
    rng_seed_nth(&r, c->o->seed, c->facts.serial);
    memcpy(id, "modr-", 5);
    rng_base62(&r, id + 5, sizeof id - 5);
    mock_call_note_response(c, slice_make(id, sizeof id));
    mock_worker_scratch(&w->body);
    struct json_writer j = jw_begin(&w->body);
    jw(&j, SLICE("{\"id\":\""));
    jw(&j, slice_make(id, sizeof id));
    jw(&j, SLICE("\",\"model\":"));
    jw_string(&j, k.env.model);
    jw(&j, SLICE(",\"results\":["));
    for (unsigned i = 0; i < k.n; i++) {
        jw(&j, i ? SLICE(",") : SLICE(""));
        w_result(&j, c, &k, &k.list[i]);
    }
    jw(&j, SLICE("]}"));
    mock_respond_json(w, c->ex, jw_end(&j) < 0 ? 500 : 200, buf_slice(&w->body));
}

void mock_endpoint_moderations(struct mock_worker *w, struct http_exchange *ex) {
    struct mock_call c;
    if (mock_call_begin(&c, w, ex)) {
        answer_moderations(&c);
    }
    mock_call_end(&c);
}
