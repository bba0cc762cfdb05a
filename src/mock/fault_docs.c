/* SPDX-License-Identifier: Apache-2.0 */
/* docs/faults.md, out of the table. */
#include "mock/api.h"
#include "mock/fault-private.h"

#define TEXT(out, ...) buf_appendf(out, __VA_ARGS__)

/* ---- the letters ---- */

static const struct sight {
    char letter;
    const char *meaning;
} sights[] = {
    {'s', "the status says it"},
    {'h', "HTTP or the connection breaks"},
    {'t', "only a time-out ends it"},
    {'e', "an error event says it"},
    {'j', "an event's data is not the dialect's JSON"},
    {'g', "the events are not in the dialect's order"},
    {'f', "a frame is no UTF-8, or lacks its end"},
    {'i', "the stream is over without having been finished"},
    {'-', "nothing: the answer is wrong, and looks right"},
    {'.', "nothing: the answer is right"},
};

static const struct outcome {
    char letter;
    const char *meaning;
} outcomes[] = {
    {'x', "an exception"},
    {'=', "the right answer"},
    {'~', "another answer than the right one, and no exception"},
    {'t', "it waits until its time-out"},
};

/* ---- parts ---- */

static int put_intro(struct buf *out) {
    return buf_append(out, SLICE(
        "<!-- Made by `penstock mock --docs faults`: change src/mock/fault_table.c instead. -->\n"
        "# Faults of the mock\n\n"
        "`penstock mock` fails on demand, in one request or in many. A fault is asked for by its name, with "
        "parameters behind a colon:\n\n"
        "```\n"
        "cut                        the connection is reset after three tokens\n"
        "cut:after=5,how=fin        closed after five\n"
        "stall:after=3,for=2s       two seconds of silence, then the rest\n"
        "429:type=tokens,retry=20s  the rate limit of tokens\n"
        "```\n\n"
        "| By | For |\n|---|---|\n"
        "| header `x-penstock-fault: cut:after=5` | this request |\n"
        "| `\"metadata\": {\"fault\": \"cut:after=5\"}` in the body | this request; passes through gateways |\n"
        "| `\"model\": \"fault/cut:after=5\"` | this request; for clients that set nothing else |\n"
        "| `fault:` of a scenario's answer | requests that the scenario answers |\n"
        "| `--fault cut:rate=5%`, `fault:` in `--config`, `POST /penstock/config` | the provider's requests |\n\n"
        "The first one of this order that there is strikes. A request that asks for a fault is told so in the "
        "answer's head: `x-penstock-fault: cut`. Those of a scenario and of the provider are not told: they are to "
        "look like real ones. Every fault that struck is counted in `/metrics` "
        "(`penstock_mock_faults_total{fault=\"cut\"}`) and stands in its request's entry of "
        "`/penstock/journal`.\n\n"
        "Answers come to harm whoever makes them: the generator, a scenario, a recording that is replayed, a "
        "background response. Of a background response the stream that a client reads is struck, at once or later "
        "(`GET /v1/responses/{id}?stream=true`); what is made and kept is well. What a recording proxy passes on is "
        "not struck: with a fault the generator answers.\n\n"));
}

static int put_parameters(struct buf *out) {
    int rc = buf_append(out, SLICE("## Parameters\n\n| Parameter | |\n|---|---|\n"));
    for (unsigned i = 0; i < FAULT_KEY_COUNT; i++) {
        const struct fault_key_row *k = &fault_keys[i];
        rc |= TEXT(out, "| `%s%s%s` | %s |\n", k->name, k->argument ? "=" : "=…",
                   k->argument ? k->argument : "", k->description);
    }
    rc |= buf_append(out, SLICE("\nFaults of the whole provider take these besides. What they draw by lot comes "
                                "from `--seed`, the request and how many of the same came before it: the same "
                                "requests meet the same faults, in whatever order they come.\n\n"
                                "| Parameter | |\n|---|---|\n"));
    for (unsigned i = 0; fault_when_keys[i].name; i++) {
        rc |= TEXT(out, "| `%s=%s` | %s |\n", fault_when_keys[i].name, fault_when_keys[i].argument,
                   fault_when_keys[i].description);
    }
    return rc | buf_append(out, SLICE(
        "\n```sh\n"
        "penstock mock --fault 529:rate=2% --fault stall:for=5s,rate=1%,model=gpt-*\n"
        "penstock mock --fault 503:start=60s,duration=10s,period=5m   # ten seconds in every five minutes\n"
        "curl -s localhost:8000/penstock/config -d '{\"fault\": [\"refuse:for=3s,count=1\"]}'\n"
        "```\n\n"));
}

static int put_row(const struct mock_fault *f, struct buf *out) {
    int rc = TEXT(out, "### `%s`\n\n%s\n", f->name, f->description);
    for (unsigned i = 0; i < FAULT_MAX_SETTINGS && f->settings[i].default_text; i++) {
        const struct fault_setting *s = &f->settings[i];
        rc |= TEXT(out, "%s`%s=%s`", i ? ", " : "\nParameters: ", fault_keys[s->key].name,
                   s->default_text);
        rc |= s->choices ? TEXT(out, " (`%s`)", s->choices) : 0;
    }
    rc |= f->settings[0].default_text ? TEXT(out, ".\n") : 0;
    rc |= f->whole ? TEXT(out, "\nNot streamed: %s\n", f->whole) : 0;
    rc |= f->rule ? TEXT(out, "\nBreaks `%s`.\n", f->rule) : 0;
    return rc | buf_append_byte(out, '\n');
}

static int put_rows(struct buf *out) {
    int rc = buf_append(out, SLICE("## The faults\n\n"));
    for (unsigned i = 0; i < fault_count; i++) {
        rc |= put_row(&fault_table[i], out);
    }
    return rc;
}

static int put_rules(struct buf *out) {
    int rc = buf_append(out, SLICE("## The rules that they break\n\n| Rule | |\n|---|---|\n"));
    for (unsigned i = 0; i < fault_rule_count; i++) {
        rc |= TEXT(out, "| `%s` | %s |\n", fault_rules[i].id, fault_rules[i].meaning);
    }
    return rc | buf_append_byte(out, '\n');
}

static int put_legend(struct buf *out) {
    int rc = buf_append(out, SLICE(
        "## Who notices\n\n"
        "What a client can see of a stream with each fault, at its defaults. The columns with a dialect's name are "
        "our own reader's word (HTTP client, event parser, decoder and checker of the dialect); the next one is its "
        "word on answers in one piece, in the same four dialects; the last ones are what official Python SDKs do "
        "with a stream (openai: Chat and Responses; anthropic: Messages). Tests hold all of it true.\n\n"));
    for (unsigned i = 0; i < sizeof sights / sizeof sights[0]; i++) {
        rc |= TEXT(out, "- `%c` %s\n", sights[i].letter, sights[i].meaning);
    }
    rc |= buf_append(out, SLICE("\nOf the SDKs:\n\n"));
    for (unsigned i = 0; i < sizeof outcomes / sizeof outcomes[0]; i++) {
        rc |= TEXT(out, "- `%c` %s\n", outcomes[i].letter, outcomes[i].meaning);
    }
    return rc | buf_append_byte(out, '\n');
}

static int put_matrix(struct buf *out) {
    int rc = buf_append(out, SLICE("| Fault |"));
    for (unsigned k = 0; k < API_COUNT; k++) {
        rc |= TEXT(out, " %s |", api_at(k)->dialect->name);
    }
    rc |= buf_append(out, SLICE(" not streamed | SDK chat | SDK responses | SDK messages |\n"
                                "|---|---|---|---|---|---|---|---|---|\n"));
    for (unsigned i = 0; i < fault_count; i++) {
        const struct mock_fault *f = &fault_table[i];
        rc |= TEXT(out, "| `%s` |", f->name);
        for (unsigned k = 0; k < API_COUNT; k++) {
            rc |= TEXT(out, " `%c` |", f->seen[k]);
        }
        rc |= TEXT(out, " `%s` |", f->seen_whole);
        for (unsigned k = 0; k < 3; k++) {
            rc |= f->sdk ? TEXT(out, " `%c` |", f->sdk[k]) : TEXT(out, " |");
        }
        rc |= buf_append_byte(out, '\n');
    }
    return rc | buf_append_byte(out, '\n');
}

static int put_names(struct buf *out, const char *const text,
                     bool (*fits)(const struct mock_fault *f)) {
    int rc = TEXT(out, "%s", text);
    for (unsigned i = 0, n = 0; i < fault_count; i++) {
        if (fits(&fault_table[i])) {
            rc |= TEXT(out, "%s`%s`", n++ ? ", " : "", fault_table[i].name);
        }
    }
    return rc | buf_append(out, SLICE(".\n\n"));
}

static bool fools_sdks(const struct mock_fault *f) {
    return f->sdk && f->rule && strchr(f->sdk, '~');
}

static bool fools_all(const struct mock_fault *f) {
    return strchr(f->seen, '-') != NULL;
}

static bool breaks_sdks(const struct mock_fault *f) {
    return f->sdk && !f->rule && f->level != FAULT_LEVEL_STATUS && strpbrk(f->sdk, "x~") &&
           strcmp(f->name, "error-event") != 0;
}

int fault_docs(struct buf *out) {
    int rc = put_intro(out) | put_parameters(out) | put_rows(out) | put_rules(out) |
             put_legend(out) | put_matrix(out) |
             put_names(out, "What SDKs take for a good answer, in one of their dialects at least: ",
                       fools_sdks) |
             put_names(out, "What nobody can see in the stream alone, in one dialect at least: ",
                       fools_all) |
             put_names(out, "What breaks no rule, and breaks an SDK: ", breaks_sdks);
    if (rc < 0) {
        return -ERR_LIMIT;
    }
    out->len--;                          /* one line end is enough */
    return 0;
}
