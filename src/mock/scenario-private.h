/* SPDX-License-Identifier: Apache-2.0 */
/* Inside scenarios: what files become, and how a request is looked at. A set is one arena; nothing
 * in it changes once it is read. */
#ifndef PENSTOCK_MOCK_SCENARIO_PRIVATE_H
#define PENSTOCK_MOCK_SCENARIO_PRIVATE_H

#include <dirent.h>
#include <stdatomic.h>

#include "mock/scenario.h"
#include "mock/scenario_pattern.h"
#include "mock/template.h"

enum {
    SCENARIO_MAX = 4096,             /* of one set */
    SCENARIO_MAX_RESPONSES = 1024,   /* of one script */
    SCENARIO_MAX_CHOICES = 256,
    SCENARIO_MAX_BLOCKS = 256,       /* of one answer */
    SCENARIO_MAX_PIECES = 4096,      /* of one text */
    SCENARIO_MAX_HEADERS = 16,
    SCENARIO_MAX_CITATIONS = 64,
    SCENARIO_FOREVER = -1
};

/* ---- conditions ---- */

enum condition_kind {
    MATCH_DIALECT,
    MATCH_MODEL,
    MATCH_ROLE,
    MATCH_USER,
    MATCH_MESSAGE,
    MATCH_SYSTEM,
    MATCH_TOOL,
    MATCH_TOOL_RESULT,
    MATCH_IMAGE,
    MATCH_FORMAT,
    MATCH_SCHEMA,
    MATCH_STREAM,
    MATCH_HEADER,
    MATCH_PATH,
    MATCH_SESSION,
    MATCH_TURN,
    MATCH_CALL,
    MATCH_PROBABILITY,
    MATCH_NOT,
    MATCH_ANY_OF,
    MATCH_KIND_COUNT
};

struct range {
    int64_t first, last;             /* both are in it */
};

/* Any of the patterns; none: nothing is asked of the text. */
struct patterns {
    struct pattern *items;
    unsigned n;
};

struct condition {
    struct condition *next;
    enum condition_kind kind;
    const char *name;                /* of the schema's row */
    struct place at;
    struct patterns patterns;
    struct slice header;             /* MATCH_HEADER: its name */
    struct patterns result_of;       /* MATCH_TOOL_RESULT: the tool's name */
    bool is_anywhere;                /* MATCH_TOOL_RESULT: in earlier turns, too */
    bool flag;                       /* IMAGE, STREAM; TOOL_RESULT: whether there is to be one */
    unsigned words;                  /* DIALECT, ROLE, FORMAT: bits, by the row's choices */
    const char *choices;
    struct range *ranges;
    unsigned n_ranges;
    double probability;
    struct scenario_match *groups;   /* NOT, ANY_OF */
    unsigned n_groups;
};

struct scenario_match {
    struct scenario_match *next;     /* in a group */
    struct condition *first, *last;
    unsigned n;
    bool has_call;                   /* here or in a group */
};

/* ---- answers ---- */

struct pieces {
    struct template **items;
    unsigned n;
    bool as_written;
};

struct citation {
    struct template *url, *title, *quote;
    int64_t start, end;
    struct place at;
};

struct block {
    struct block *next;
    enum block_kind kind;
    struct place at;
    struct pieces pieces;
    unsigned chunk_bytes;
    struct template *name, *id;
    struct template *proof;          /* NULL: made up */
    struct citation *citations;
    unsigned n_citations;
    bool has_pause;
    struct law pause;
};

struct header_line {
    struct slice name;
    struct template *value;
};
struct header_lines {
    struct header_line *items;
    unsigned n;
};

/* What may stand in a scenario, in an answer, and in a file's defaults. */
struct terms {
    bool has_ttft, has_itl, has_tps, has_burst;
    struct law ttft, itl;
    double tps;
    struct burst burst;
    struct slice fault;
    struct header_lines headers;
};

struct error_answer {
    unsigned status, retry_after_s;
    struct template *type, *code, *message, *param;
};

struct response {
    struct block *blocks;
    unsigned n_blocks;
    bool is_interleaved;
    bool has_stop;
    enum stop_reason stop;
    struct slice stop_sequence;
    struct script_usage usage;
    struct template *id, *model;
    struct error_answer error;
    struct terms terms;
    /* one of these is the answer instead */
    struct response *choices;
    unsigned n_choices;
    uint64_t weight, total_weight;   /* its own; of the choices */
};

enum script_after { AFTER_REPEAT, AFTER_WRAP, AFTER_FALL_THROUGH };

struct scenario {
    struct slice name;
    const char *place;               /* "greeting.yaml:12" */
    struct slice about;
    struct scenario_match *match;
    bool is_continued;
    struct response *responses;
    unsigned n_responses;
    enum script_after after;
    int64_t times;                   /* how many answers it has; SCENARIO_FOREVER */
    bool has_times, is_script;
    struct terms terms;
};

struct scenario_set {
    _Atomic unsigned refs;
    struct arena *arena;
    struct scenario **items;
    unsigned n;
};

/* ---- folders ---- */

/* scandir's filter: *.yaml and *.yml count, hidden ones do not. */
int scenario_is_file(const struct dirent *entry);

/* ---- a request, looked at for conditions and templates; each text is joined once ---- */

struct view {
    const struct scenario_request *in;
    struct arena *arena;
    bool has_user, has_system, has_result;
    struct slice user, system, result;
};

/* All texts of a message, a line each. */
struct slice view_message_text(struct view *v, const struct message *m);
struct slice view_user(struct view *v);              /* of the last message of the user */
struct slice view_system(struct view *v);            /* of system and developer, a line each */
/* Of the results that came since the assistant spoke last. ptr NULL: there are none. */
struct slice view_result(struct view *v);
const struct message *view_last(const struct view *v);
/* The first message behind the last one of the assistant. */
const struct message *view_news(const struct view *v);
/* Which answer of the assistant this is to be, from 1. */
int64_t view_turn(const struct view *v);
bool view_has_image(const struct view *v);
/* The tool whose call a result answers; empty: not known. */
struct slice view_result_tool(const struct view *v, const struct message *m, const struct part *p);

/* ---- matching ---- */

enum truth { TRUTH_NO, TRUTH_MAYBE, TRUTH_YES };

struct judge {
    struct view *view;
    /* which call of the scenario it is; 0: not known yet (MAYBE) */
    uint64_t call;
    struct slice scenario;           /* its name: chance goes by it */
};

enum truth match_judge(const struct scenario_match *m, const struct judge *j);
enum truth condition_judge(const struct condition *c, const struct judge *j);
/* For people: "contains \"x\"", and what the request has. 0 or -ERR_LIMIT. */
int condition_wanted(const struct condition *c, struct buf *out) MUST_CHECK;
int condition_got(const struct condition *c, const struct judge *j, struct buf *out) MUST_CHECK;
/* Word number i of "a|b|c"; empty past the end. */
struct slice choice_word(const char *choices, unsigned i);

/* ---- answering ---- */

/* What is not said by the inner terms is taken from the outer. */
void terms_inherit(struct terms *inner, const struct terms *outer);
/* which: of a script's answers. n: which call. kept: terms of scenarios that let the search go on,
 * NULL: none. */
void scenario_respond(const struct scenario *s, unsigned which, const struct terms *kept,
                      struct template_facts *f, struct script *out);
/* Chance of its own for each use: the same for the same seed, serial and scenario. */
void scenario_rng(struct rng *r, const struct scenario_request *in, struct slice scenario,
                  const char *use);

#endif
