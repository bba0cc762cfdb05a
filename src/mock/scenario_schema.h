/* SPDX-License-Identifier: Apache-2.0 */
/* The one table of what may stand in a scenario file: a row parses and checks a key, says what is
 * wrong with it, and documents it. Inside scenarios only. */
#ifndef PENSTOCK_MOCK_SCENARIO_SCHEMA_H
#define PENSTOCK_MOCK_SCENARIO_SCHEMA_H

#include <stddef.h>

#include "mock/scenario-private.h"

/* A kind of map. */
enum schema_scope {
    SCOPE_FILE,
    SCOPE_DEFAULTS,
    SCOPE_SCENARIO,
    SCOPE_MATCH,
    SCOPE_TEXT,          /* a condition on a text */
    SCOPE_RESULT,        /* a condition on results of tools */
    SCOPE_RESPONSE,
    SCOPE_BLOCK,
    SCOPE_CALL,
    SCOPE_THOUGHT,
    SCOPE_CITATION,
    SCOPE_STOP,
    SCOPE_USAGE,
    SCOPE_ERROR,
    SCOPE_COUNT
};

struct schema_row;

/* A file while it is read. */
struct reader {
    struct arena *arena;
    struct report *report;
    struct law_scope laws;
    bool ignore_case;                /* of texts that do not say it themselves */
    char path[160];                  /* where we are: "scenarios[2].match.user" */
    size_t path_len;
};

/* base: the struct of the row's scope. */
typedef void schema_read_fn(struct reader *rd, const struct schema_row *row, const struct node *n,
                            void *base);

struct schema_type {
    const char *name;                /* for the documents */
    schema_read_fn *read;
};

struct schema_row {
    enum schema_scope scope;
    const char *name;
    const struct schema_type *type;
    size_t offset;                   /* of the field in the scope's struct */
    enum schema_scope inner;         /* of a map's members */
    enum condition_kind condition;   /* SCOPE_MATCH */
    const char *choices;             /* "a|b|c" */
    int64_t min, max;                /* of numbers; both 0: any that is not negative */
    const char *default_text;        /* NULL: none */
    const char *example;             /* YAML on one line, without the key */
    const char *description;         /* Markdown, whole sentences */
};

extern const struct schema_row schema_rows[];
extern const unsigned schema_n_rows;

/* What the scopes' structs are: SCOPE_FILE file_draft, SCOPE_DEFAULTS file_defaults, SCOPE_SCENARIO
 * scenario, SCOPE_MATCH scenario_match, SCOPE_TEXT text_draft, SCOPE_RESULT result_draft,
 * SCOPE_RESPONSE response_draft, SCOPE_BLOCK block_draft, SCOPE_CALL call_draft, SCOPE_THOUGHT
 * thought_draft, SCOPE_CITATION citation, SCOPE_STOP response, SCOPE_USAGE script_usage,
 * SCOPE_ERROR error_answer. */
struct file_defaults {
    struct terms terms;
    enum script_after after;
    bool ignore_case;
};
struct file_draft {
    int64_t version;
    struct file_defaults defaults;
    const struct node *scenarios;
};
struct text_draft {
    const struct node *patterns[4];  /* by pattern_kind */
    bool has_case, ignore_case;
};
struct result_draft {
    struct text_draft text;
    struct patterns tool;
    bool has_present, present, anywhere;
};
struct call_draft {
    struct template *name, *id;
    const struct node *arguments, *input, *chunks;
};
struct thought_draft {
    struct pieces text;
    struct template *signature;
};
/* What an answer or a block of it says; the reader makes blocks of it. */
struct block_draft {
    const struct node *text, *json, *thinking, *redacted, *refusal, *tool_call;
    const struct node *citations, *pause;
    struct template *signature;
    unsigned chunks;
};
struct response_draft {
    struct block_draft short_form;
    const struct node *blocks, *tool_calls, *choices;
    struct response r;
    int64_t weight;                  /* -1: not said */
};

/* ---- reading ---- */

/* All members of the map; unknown ones are faults. */
void schema_read_map(struct reader *rd, enum schema_scope scope, const struct node *map,
                     void *base);
const struct schema_row *schema_find(enum schema_scope scope, struct slice name);
/* Steps into a member or an element, for messages; leave with the length that was returned. */
size_t reader_enter(struct reader *rd, const char *format, ...) PRINTF_LIKE(2, 3);
void reader_leave(struct reader *rd, size_t mark);
void reader_fault(struct reader *rd, struct place at, const char *format, ...) PRINTF_LIKE(3, 4);
/* A scalar that is not null, or a fault. */
bool reader_scalar(struct reader *rd, const struct node *n, const char *wanted);
/* Place of the word in "a|b|c"; -1: a fault was told. */
int reader_word(struct reader *rd, const struct node *n, const char *choices);
bool reader_int(struct reader *rd, const struct node *n, int64_t min, int64_t max, int64_t *out);

/* scenario_read.c */
void read_template(struct reader *rd, const struct schema_row *row, const struct node *n,
                   void *base);
void read_slice(struct reader *rd, const struct schema_row *row, const struct node *n, void *base);
void read_bool(struct reader *rd, const struct schema_row *row, const struct node *n, void *base);
void read_unsigned(struct reader *rd, const struct schema_row *row, const struct node *n,
                   void *base);
void read_int64(struct reader *rd, const struct schema_row *row, const struct node *n, void *base);
void read_node(struct reader *rd, const struct schema_row *row, const struct node *n, void *base);
/* A map of the row's inner scope, in the field. */
void read_inner(struct reader *rd, const struct schema_row *row, const struct node *n, void *base);
void read_choice(struct reader *rd, const struct schema_row *row, const struct node *n,
                 void *base);
void read_terms_ttft(struct reader *rd, const struct schema_row *row, const struct node *n,
                     void *base);
void read_terms_itl(struct reader *rd, const struct schema_row *row, const struct node *n,
                    void *base);
void read_terms_tps(struct reader *rd, const struct schema_row *row, const struct node *n,
                    void *base);
void read_terms_burst(struct reader *rd, const struct schema_row *row, const struct node *n,
                      void *base);
void read_terms_fault(struct reader *rd, const struct schema_row *row, const struct node *n,
                      void *base);
void read_terms_headers(struct reader *rd, const struct schema_row *row, const struct node *n,
                        void *base);
/* ttft with a unit of its own: for pauses, too. */
bool reader_law(struct reader *rd, const struct node *n, struct law *out);
/* A text, or a list of texts that leave as they are written. */
void reader_pieces(struct reader *rd, const struct node *n, struct pieces *out);
struct template *reader_template(struct reader *rd, const struct node *n);

/* scenario_read_match.c */
void read_match(struct reader *rd, const struct schema_row *row, const struct node *n, void *base);
void read_condition_text(struct reader *rd, const struct schema_row *row, const struct node *n,
                         void *base);
void read_condition_globs(struct reader *rd, const struct schema_row *row, const struct node *n,
                          void *base);
void read_condition_words(struct reader *rd, const struct schema_row *row, const struct node *n,
                          void *base);
void read_condition_flag(struct reader *rd, const struct schema_row *row, const struct node *n,
                         void *base);
void read_condition_ranges(struct reader *rd, const struct schema_row *row, const struct node *n,
                           void *base);
void read_condition_probability(struct reader *rd, const struct schema_row *row,
                                const struct node *n, void *base);
void read_condition_result(struct reader *rd, const struct schema_row *row, const struct node *n,
                           void *base);
void read_condition_headers(struct reader *rd, const struct schema_row *row, const struct node *n,
                            void *base);
void read_condition_not(struct reader *rd, const struct schema_row *row, const struct node *n,
                        void *base);
void read_condition_any_of(struct reader *rd, const struct schema_row *row, const struct node *n,
                           void *base);
void read_result_tool(struct reader *rd, const struct schema_row *row, const struct node *n,
                      void *base);
void read_result_present(struct reader *rd, const struct schema_row *row, const struct node *n,
                         void *base);

/* scenario_read_respond.c */
void read_respond(struct reader *rd, const struct schema_row *row, const struct node *n,
                  void *base);
void read_script(struct reader *rd, const struct schema_row *row, const struct node *n,
                 void *base);
void read_times(struct reader *rd, const struct schema_row *row, const struct node *n, void *base);
void read_stop(struct reader *rd, const struct schema_row *row, const struct node *n, void *base);
void read_stop_sequence(struct reader *rd, const struct schema_row *row, const struct node *n,
                        void *base);
void read_error(struct reader *rd, const struct schema_row *row, const struct node *n, void *base);
void read_thought_text(struct reader *rd, const struct schema_row *row, const struct node *n,
                       void *base);

#endif
