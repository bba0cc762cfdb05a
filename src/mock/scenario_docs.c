/* SPDX-License-Identifier: Apache-2.0 */
/* The reference in docs/scenarios.md, out of the schema's table. */
#include "mock/scenario_schema.h"

static const struct {
    const char *title, *text;
} sections[SCOPE_COUNT] = {
    [SCOPE_FILE] = {"A file", "A map with these keys, or the list of `scenarios` alone, or a single scenario."},
    [SCOPE_DEFAULTS] = {"defaults", ""},
    [SCOPE_SCENARIO] = {"A scenario", ""},
    [SCOPE_MATCH] = {"match",
                     "All conditions must hold. Where a list is given, one of it must fit. Texts of "
                     "several parts are joined by line ends."},
    [SCOPE_TEXT] = {"A condition on a text",
                    "A text alone is what it contains; a list is of such texts, or of maps that say "
                    "one thing each. In a map all that is said must hold."},
    [SCOPE_RESULT] = {"match.tool_result", ""},
    [SCOPE_RESPONSE] = {"respond, an entry of script or choices", "A text alone is its `text`."},
    [SCOPE_BLOCK] = {"blocks", "Each block is a map with one of `text`, `json`, `thinking`, "
                               "`redacted`, `refusal`, `tool_call` and `pause`."},
    [SCOPE_CALL] = {"tool_calls, tool_call", ""},
    [SCOPE_THOUGHT] = {"thinking", "As a map; a text or a list is its `text`."},
    [SCOPE_CITATION] = {"citations", ""},
    [SCOPE_STOP] = {"stop", "As a map."},
    [SCOPE_USAGE] = {"usage", "What is not said is as counted."},
    [SCOPE_ERROR] = {"error", "As a map; a number is its `status`."},
};

/* A cell's bars would end it. */
static int write_cell(struct buf *out, const char *text) {
    int rc = 0;
    for (const char *c = text; *c && rc == 0; c++) {
        rc |= *c == '|' ? buf_append(out, SLICE("\\|")) : buf_append_byte(out, *c);
    }
    return rc;
}

static int write_choices(struct buf *out, const char *choices) {
    int rc = buf_append(out, SLICE(": "));
    struct slice word;
    for (unsigned i = 0; (word = choice_word(choices, i)).ptr; i++) {
        rc |= buf_appendf(out, "%s`%.*s`", i ? ", " : "", SLICE_FMT(word));
    }
    return rc;
}

static int write_row(struct buf *out, const struct schema_row *row) {
    int rc = buf_appendf(out, "| `%s` | %s", row->name, row->type->name);
    rc |= row->choices ? write_choices(out, row->choices) : 0;
    rc |= buf_append(out, SLICE(" | ")) | write_cell(out, row->description);
    if (row->default_text) {
        rc |= buf_append(out, SLICE(" Default: ")) | write_cell(out, row->default_text) |
              buf_append(out, SLICE("."));
    }
    rc |= buf_append(out, SLICE(" | `")) | write_cell(out, row->name) |
          buf_append(out, SLICE(": ")) | write_cell(out, row->example);
    return rc | buf_append(out, SLICE("` |\n"));
}

static int write_section(struct buf *out, enum schema_scope scope) {
    int rc = buf_appendf(out, "\n### %s\n\n", sections[scope].title);
    if (sections[scope].text[0]) {
        rc |= buf_appendf(out, "%s\n\n", sections[scope].text);
    }
    rc |= buf_append(out, SLICE("| Key | Type | | Example |\n|---|---|---|---|\n"));
    for (unsigned i = 0; i < schema_n_rows && rc == 0; i++) {
        if (schema_rows[i].scope == scope) {
            rc |= write_row(out, &schema_rows[i]);
        }
    }
    return rc;
}

static int write_functions(struct buf *out) {
    const char *form, *description;
    int rc = buf_append(out, SLICE("\n### Templates\n\n"
                                   "In every text of an answer, names between `{{` and `}}` are filled "
                                   "in; an unknown one is a fault of the file. `{{\"{{\"}}` is two "
                                   "braces.\n\n| | |\n|---|---|\n"));
    for (unsigned i = 0; template_docs_row(i, &form, &description); i++) {
        rc |= buf_appendf(out, "| `%s` | ", form) | write_cell(out, description) |
              buf_append(out, SLICE(" |\n"));
    }
    return rc;
}

int scenario_docs(struct buf *out) {
    int rc = buf_append(out, SLICE("<!-- Made by `penstock mock --docs scenarios` from the table in "
                                   "src/mock/scenario_schema.c: change that. -->\n"));
    for (unsigned s = 0; s < SCOPE_COUNT && rc == 0; s++) {
        rc |= write_section(out, (enum schema_scope)s);
    }
    return rc | write_functions(out);
}
