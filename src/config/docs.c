/* SPDX-License-Identifier: Apache-2.0 */
/* The settings' table for readers: rows for help and tests, and docs/config.md. */
#include "config/settings.h"

#define MAX_ROWS 160
#define TYPE_BYTES 256

unsigned config_setting_docs(const struct setting_doc **out) {
    static struct setting_doc docs[MAX_ROWS];
    static char types[MAX_ROWS][TYPE_BYTES];
    for (unsigned i = 0; i < n_settings && i < MAX_ROWS; i++) {
        const struct setting *row = &settings[i];
        docs[i] = (struct setting_doc){
            .name = row->name,
            .type = setting_type_text(row, types[i], sizeof types[i]),
            .default_text = row->default_text,
            .env = row->env,
            .flag = row->flag,
            .description = row->description,
        };
    }
    *out = docs;
    return n_settings < MAX_ROWS ? n_settings : MAX_ROWS;
}

static const char intro[] =
    "# Configuration\n"
    "\n"
    "<!-- Made by `penstock config docs` from the table in src/config/settings.c: change that. -->\n"
    "\n"
    "`penstock serve` reads `penstock.yaml` in the folder where it starts, or the file that\n"
    "`--config` names. `penstock config check` finds every fault of a file, `penstock config show`\n"
    "prints what is in force and where each value came from.\n"
    "\n"
    "A flag wins over an environment variable, that over the file, and the file over the default.\n"
    "Any setting can be given as a flag: `--set timeouts.idle=2m`,\n"
    "`--set providers.openai.idle_timeout=5m`; lists with commas.\n"
    "\n"
    "```yaml\n"
    "listen: 127.0.0.1:8080\n"
    "workers: auto\n"
    "log: {level: info, format: human}\n"
    "\n"
    "providers:\n"
    "  openai: {preset: openai, api_key: \"${OPENAI_API_KEY}\"}\n"
    "  claude: {preset: anthropic, api_key: \"${ANTHROPIC_API_KEY}\"}\n"
    "  local:\n"
    "    preset: vllm\n"
    "    base_url: http://127.0.0.1:8000/v1\n"
    "  other:\n"
    "    dialect: chat\n"
    "    base_url: https://llm.example.com/v1\n"
    "    api_key: ${OTHER_KEY}\n"
    "\n"
    "models:\n"
    "  - {name: \"gpt-*\", provider: openai}\n"
    "  - {name: \"claude-*\", provider: claude}\n"
    "  - name: fast\n"
    "    targets:\n"
    "      - {provider: local, model: llama-3.1-8b}\n"
    "      - {provider: openai, model: gpt-4o-mini}\n"
    "```\n"
    "\n"
    "## Values\n"
    "\n"
    "| type | how it is written |\n"
    "|---|---|\n"
    "| string | text; quotes are needed where YAML would read something else into it |\n"
    "| secret | the same; never printed, logged or shown, `***` stands for it |\n"
    "| bool | `true`, `false` (also `yes`, `no`, `on`, `off`) |\n"
    "| int | digits; some have a word for 0, such as `auto` |\n"
    "| bytes | `4096`, `64KiB`, `16MiB` (powers of 1024), `64KB`, `16MB` (powers of 1000) |\n"
    "| duration | `500ms`, `10s`, `1.5s`, `5m`, `1h30m`, `1d`, `0`; a bare number has no unit and is refused |\n"
    "| enum | one of the words listed |\n"
    "| list of string | a YAML list; a single text is a list of one |\n"
    "\n"
    "`${NAME}` inside a value is the environment variable's value, `${NAME:-text}` has a default for\n"
    "an unset or empty one, and `$$` is a dollar. A variable that is not set is an error. What a\n"
    "variable holds is always plain text, never YAML. Inside `{ }` and `[ ]` such values need quotes.\n"
    "\n"
    "Variables also come from a `.env` file in the folder where the program starts, or from the one\n"
    "that `--env-file` names: `NAME=VALUE` lines, with `export`, quotes and `#` comments as a shell\n"
    "has them. The real environment wins over it.\n"
    "\n"
    "Anchors, aliases, merge keys, tags and several documents in a file are refused, and so are keys\n"
    "given twice.\n"
    "\n"
    "## Without a file\n"
    "\n"
    "With no file, or one that has no `providers`:\n"
    "\n"
    "- `OPENAI_API_KEY` (and `OPENAI_BASE_URL`, by default `https://api.openai.com/v1`) makes the\n"
    "  provider `openai`, for the models `gpt-*`, `o[0-9]*` and `chatgpt-*`.\n"
    "- `ANTHROPIC_API_KEY` (and `ANTHROPIC_BASE_URL`, by default `https://api.anthropic.com`) makes the\n"
    "  provider `anthropic`, for the models `claude-*`.\n"
    "- With neither a file nor a key, the built-in mock answers for every model, and says so in the\n"
    "  header `x-penstock-mock: 1`.\n"
    "\n"
    "`--mock` adds the mock to whatever else is there, under the model names `mock` and `mock-*`.\n"
    "An empty key counts as none.\n";

static const struct {
    const char *prefix, *title, *text;
} sections[] = {
    {"", "Top level", ""},
    {"tls", "tls", "For all of `listen` at once."},
    {"log", "log", ""},
    {"providers", "providers",
     "A map of names to providers. `providers.*.x` is the key `x` of each. What is left out comes from "
     "the [preset](#presets)."},
    {"quirks", "providers.*.quirks",
     "What an upstream takes beyond what its dialect says, or does not take. It matters only where a "
     "request is translated: a client of the upstream's own dialect is passed through untouched. The "
     "defaults are the preset's, and for models known by name (Claude's generations, OpenAI's models "
     "with and without reasoning) the model's; what is set here wins over both."},
    {"models", "models",
     "A list. An entry has `targets`, or the short form with `provider` and `model` in the entry."},
    {"limits", "limits", ""},
    {"timeouts", "timeouts", "On the clients' side; the upstreams' are in `providers`."},
    {"state", "state", ""},
    {"cors", "cors", ""},
};

#define QUIRKS "providers.*.quirks."

/* The section that a row belongs to: its first segment's, when that has one. */
static bool is_in_section(const struct setting_doc *doc, const char *prefix) {
    size_t len = strcspn(doc->name, ".");
    if (strcmp(doc->type, "reserved") == 0) return false;
    if (strncmp(doc->name, QUIRKS, strlen(QUIRKS)) == 0) return strcmp(prefix, "quirks") == 0;
    for (size_t i = 1; i < sizeof sections / sizeof sections[0]; i++) {
        if (slice_eq(slice_make(doc->name, len), slice_cstr(sections[i].prefix))) {
            return strcmp(prefix, sections[i].prefix) == 0;
        }
    }
    return prefix[0] == '\0';
}

/* A "|" would end the cell. */
static int put_cell(struct buf *out, const char *text) {
    int rc = 0;
    for (; *text; text++) {
        if (*text == '|') rc |= buf_append_byte(out, '\\');
        rc |= buf_append_byte(out, *text);
    }
    return rc;
}

/* "1 to 1024 threads; 0 is `auto`." */
static int put_range(struct buf *out, const struct setting *row) {
    if (row->type < SET_INT || row->type > SET_DURATION || !row->max) return 0;
    int rc = buf_appendf(out, " %s to %s", row->min ? row->min : "0", row->max);
    if (row->unit) rc |= buf_appendf(out, " %s", row->unit);
    if (row->zero) rc |= buf_appendf(out, "; 0 is `%s`", row->zero);
    return buf_append_byte(out, '.') | rc;
}

static int put_row(struct buf *out, const struct setting_doc *doc, const struct setting *row) {
    int rc = buf_appendf(out, "| `%s` | ", doc->name);
    rc |= put_cell(out, doc->type);
    if (doc->default_text) rc |= buf_appendf(out, " | `%s` | ", doc->default_text);
    else rc |= buf_append(out, SLICE(" | | "));
    rc |= put_cell(out, doc->description);
    rc |= put_range(out, row);
    if (doc->flag) rc |= buf_appendf(out, " Flag: `%s`.", doc->flag);
    if (doc->env) rc |= buf_appendf(out, " Environment: `%s`.", doc->env);
    return buf_append(out, SLICE(" |\n")) | rc;
}

static int put_reserved(struct buf *out, const struct setting_doc *docs, unsigned n) {
    int rc = buf_append(out, SLICE("\n## Reserved\n\nThese keys come in a later version; until then "
                                   "they are refused.\n\n"));
    for (unsigned i = 0; i < n; i++) {
        if (strcmp(docs[i].type, "reserved") != 0) continue;
        rc |= buf_appendf(out, "- `%s`: %s\n", docs[i].name, docs[i].description);
    }
    return rc;
}

/* ---- presets ---- */

static uint64_t capability_value(const struct capabilities *caps, const struct capability_doc *d) {
    uint32_t narrow = 0;
    uint64_t wide = 0;
    const char *at = (const char *)caps + d->offset;
    if (d->size == 1) return *(const bool *)at;
    if (d->size == sizeof wide) memcpy(&wide, at, sizeof wide);
    else memcpy(&narrow, at, sizeof narrow);
    return d->size == sizeof wide ? wide : narrow;
}

static int put_capability(struct buf *out, const struct capability_doc *d, uint64_t v) {
    if (d->kind == CAPABILITY_IS_ENUM)
        return buf_appendf(out, "`%s: %s`", d->name, d->choices[v]);
    if (d->kind == CAPABILITY_IS_BOOL)
        return buf_appendf(out, "`%s: %s`", d->name, v ? "true" : "false");
    return buf_appendf(out, "`%s: %llu`", d->name, (unsigned long long)v);
}

/* The quirks that differ from those of a server of which nothing but the dialect is known. */
static int put_quirks(struct buf *out, const struct preset *p, const struct preset *plain) {
    int rc = 0;
    unsigned n = 0;
    for (unsigned i = 0; i < CAPABILITY_COUNT; i++) {
        const struct capability_doc *d = &capability_docs[i];
        uint64_t v = capability_value(&p->caps, d);
        if (v == capability_value(&plain->caps, d)) continue;
        if (n++ > 0) rc |= buf_append(out, SLICE(", "));
        rc |= put_capability(out, d, v);
    }
    return rc;
}

static int put_also(struct buf *out, const struct preset *p) {
    int rc = buf_appendf(out, "`%s`", p->dialect);
    for (const char *const *d = p->also; *d; d++) rc |= buf_appendf(out, ", `%s`", *d);
    if (p->has_embeddings) rc |= buf_append(out, SLICE(", embeddings"));
    if (p->has_moderations) rc |= buf_append(out, SLICE(", moderations"));
    return rc;
}

static int put_preset(struct buf *out, const struct preset *p) {
    const struct preset *plain = preset_find(p->dialect);
    int rc = buf_appendf(out, "| `%s` | ", p->name);
    rc |= put_also(out, p);
    if (p->base_url) rc |= buf_appendf(out, " | `%s` | ", p->base_url);
    else rc |= buf_append(out, SLICE(" | | "));
    if (p->api_key_env) rc |= buf_appendf(out, "`%s`, ", p->api_key_env);
    rc |= buf_appendf(out, "`%s` | ", p->auth_header);
    if (p != plain) rc |= put_quirks(out, p, plain);
    rc |= buf_append(out, SLICE(" | "));
    rc |= put_cell(out, p->note);
    return buf_append(out, SLICE(" |\n")) | rc;
}

static const char presets_intro[] =
    "\n## presets\n\n"
    "`preset: NAME` fills in what a provider's settings leave open: dialects, address, the header of\n"
    "its key, metering and quirks. The variable is where the key is looked for when there is no\n"
    "`api_key`, if `base_url` is the vendor's own. Without `preset`, the host of `base_url` decides for\n"
    "vendors that are known by it, and else the row named after the dialect, `chat`, `completions`,\n"
    "`responses` or `messages`, applies. Quirks are listed where they differ from that row.\n\n"
    "| preset | dialects and more | base_url | key: variable, header | quirks | what is odd |\n"
    "|---|---|---|---|---|---|\n";

static int put_presets(struct buf *out) {
    unsigned n;
    const struct preset *p = presets(&n);
    int rc = buf_append(out, slice_cstr(presets_intro));
    for (unsigned i = 0; i < n; i++) rc |= put_preset(out, &p[i]);
    return rc;
}

int config_docs_markdown(struct buf *out) {
    const struct setting_doc *docs;
    unsigned n = config_setting_docs(&docs);
    int rc = buf_append(out, slice_cstr(intro));
    for (size_t s = 0; s < sizeof sections / sizeof sections[0]; s++) {
        rc |= buf_appendf(out, "\n## %s\n\n", sections[s].title);
        if (sections[s].text[0]) rc |= buf_appendf(out, "%s\n\n", sections[s].text);
        rc |= buf_append(out, SLICE("| setting | type | default | |\n|---|---|---|---|\n"));
        for (unsigned i = 0; i < n; i++) {
            if (is_in_section(&docs[i], sections[s].prefix))
                rc |= put_row(out, &docs[i], &settings[i]);
        }
    }
    rc |= put_presets(out);
    return put_reserved(out, docs, n) | rc ? -ERR_LIMIT : 0;
}
