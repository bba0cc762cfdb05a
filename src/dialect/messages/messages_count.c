/* SPDX-License-Identifier: Apache-2.0 */
#include "dialect/estimate.h"

enum {
    TEXT_BYTES_PER_TOKEN = 4,
    MESSAGE_TOKENS = 4,
    CALL_TOKENS = 8,
    TOOL_TOKENS = 8,
    TOOLS_TOKENS = 200,
    IMAGE_TOKENS = 1200,
    FILE_BYTES_PER_TOKEN = 48,
    FILE_TOKENS = 1500
};

struct count {
    int64_t bytes;  /* of text */
    int64_t tokens; /* of everything else */
};

static void count_text(struct count *c, struct slice s) {
    c->bytes += (int64_t)s.len;
}

static void count_file(struct count *c, const struct part *p) {
    int64_t tokens = (int64_t)(p->encoded.len / FILE_BYTES_PER_TOKEN);
    count_text(c, p->text);
    count_text(c, p->filename);
    count_text(c, p->context);
    if (p->text.len == 0) c->tokens += tokens > FILE_TOKENS ? tokens : FILE_TOKENS;
}

static void count_part(struct count *c, const struct part *p) {
    switch (p->kind) {
    case PART_IMAGE: c->tokens += IMAGE_TOKENS; break;
    case PART_FILE:
    case PART_AUDIO: count_file(c, p); break;
    case PART_REDACTED: break;
    case PART_OPAQUE: count_text(c, p->raw); break;
    case PART_TOOL_CALL:
    case PART_CUSTOM_TOOL_CALL:
    case PART_FUNCTION_CALL:
    case PART_TOOL_RESULT:
        c->tokens += CALL_TOKENS;
        count_text(c, p->name);
        count_text(c, p->text);
        for (unsigned i = 0; i < p->n_inner; i++)
            count_part(c, &p->inner[i]);
        break;
    default: count_text(c, p->text); break;
    }
}

static void count_tool(struct count *c, const struct tool *t) {
    c->tokens += TOOL_TOKENS;
    if (t->kind == TOOL_OTHER) {
        count_text(c, t->raw);
        return;
    }
    count_text(c, t->name);
    count_text(c, t->description);
    count_text(c, t->parameters);
    count_text(c, t->format);
}

int64_t request_estimate_tokens(const struct llm_request *rq) {
    struct count c = {0};
    for (const struct message *m = rq->messages; m; m = m->next) {
        c.tokens += MESSAGE_TOKENS;
        count_text(&c, m->name);
        for (unsigned i = 0; i < m->n_parts; i++)
            count_part(&c, &m->parts[i]);
    }
    if (rq->tools) c.tokens += TOOLS_TOKENS;
    for (const struct tool *t = rq->tools; t; t = t->next)
        count_tool(&c, t);
    count_text(&c, rq->format.schema);
    c.tokens += (c.bytes + TEXT_BYTES_PER_TOKEN - 1) / TEXT_BYTES_PER_TOKEN;
    return c.tokens > 0 ? c.tokens : 1;
}
