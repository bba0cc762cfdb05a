/* SPDX-License-Identifier: Apache-2.0 */
/* Inside a reply: plan*.c decides what is said, reply*.c says it. */
#ifndef PENSTOCK_MOCK_REPLY_PRIVATE_H
#define PENSTOCK_MOCK_REPLY_PRIVATE_H

#include "mock/completion.h"
#include "mock/reply.h"
#include "mock/seal.h"
#include "mock/source.h"

enum {
    REPLY_MAX_CHOICES = 128,
    REPLY_MAX_VOICES = 1024,
    REPLY_MAX_STOPS = 16,
    REPLY_MAX_STOP_BYTES = 256,
    REPLY_STORE_BYTES = 16 << 20,     /* texts and arguments of one plan */
    REPLY_ID_BYTES = 32               /* of the answer, of a call, of an item */
};

/* ---- the plan ---- */

/* What a slot is. */
enum cutting {
    CUT_TOKENS,
    CUT_ITEMS,                        /* of a count */
    CUT_PIECES,                       /* as somebody wrote them */
    CUT_CHUNKS,                       /* of so many bytes */
    CUT_NOT                           /* all at once, and not counted: the prompt's echo */
};

/* One block of the answer. Spans are into the plan's store. */
struct segment {
    enum block_kind kind;
    enum source_kind source;
    enum cutting cutting;
    enum prose_kind prose;            /* SOURCE_PROSE */
    struct span text;                 /* the text; the topic of prose; the tag of a count */
    struct span name, name_space, id; /* of a call; an empty id is made up */
    struct span proof;                /* when has_proof; empty: none */
    bool has_proof;                   /* else it is made up where there is one */
    bool is_hidden;                   /* thought of and counted, but not said */
    bool is_silent;                   /* hidden, and no block shows it */
    bool has_pause;
    struct law pause;
    uint32_t chunk_bytes;             /* CUT_CHUNKS */
    uint32_t first_cut, n_cuts;       /* CUT_PIECES: where each ends, into the plan's cuts */
    uint32_t first_note, n_notes;     /* into the plan's notes */
    uint64_t count_to;                /* SOURCE_COUNT */
};

/* A citation: its places are the block's. */
struct note {
    enum annotation_kind kind;
    struct span url, title;
    int64_t start, end;               /* -1: not told */
};

/* Segments that are said one after another. Several tracks of a choice take turns. */
struct track {
    unsigned first, end;
    bool waits;                       /* until the first track's leading thoughts are over */
};

struct plan {
    const struct dialect *dialect;
    const struct tokenizer *tokenizer;
    struct buf store;
    struct segment *segments;
    struct track *tracks;
    uint32_t *cuts;
    struct note *notes;
    unsigned n_segments, n_tracks, n_cuts, n_notes;
    unsigned cap_segments, cap_tracks, cap_cuts, cap_notes;
    unsigned n_choices;
    /* choice i answers prompt i / choices_per_prompt, on so many tracks */
    unsigned choices_per_prompt, tracks_per_prompt;
    unsigned lead_end;                /* segments of the first track that others wait for */
    struct span stops[REPLY_MAX_STOPS];
    unsigned n_stops;
    size_t longest_stop;
    struct span id, model;            /* empty id: made up */
    uint64_t seed;                    /* of this answer: the mock's, mixed with the request */
    uint64_t exact_tokens;            /* 0: natural */
    uint64_t max_tokens;              /* UINT64_MAX: no bound */
    struct burst burst;
    uint64_t prompt_tokens, cache_read, cache_write;
    struct script_usage usage;        /* said by somebody; -1: as counted */
    uint64_t seal_seed;               /* the mock's own */
    bool proves;                      /* thoughts get a proof */
    enum stop_reason stop;            /* when all has been said */
    struct span stop_sequence;        /* with that */
    bool calls_are_functions;         /* legacy function_call */
    bool logprobs;
    unsigned top_logprobs;
};

/* plan must be zeroed. */
void plan_make(struct plan *p, const struct llm_request *rq, const struct reply_options *o);
void plan_dispose(struct plan *p);
static inline struct slice plan_text(const struct plan *p, struct span s) {
    return s.len ? slice_make(p->store.ptr + s.off, s.len) : slice_make("", 0);
}

/* Of the files that make it: */
/* Empty when the store is full. */
struct span plan_store(struct plan *p, struct slice text);
struct segment *plan_add(struct plan *p, enum block_kind kind, enum source_kind source,
                         struct slice text);
/* All segments that are on no track yet. */
void plan_add_track(struct plan *p, unsigned first, bool waits);
void plan_add_cut(struct plan *p, size_t end);
void plan_add_note(struct plan *p, const struct annotation *a);

/* plan_look.c: what is asked */
const struct message *request_last_message(const struct llm_request *rq);
const struct message *request_last_user_message(const struct llm_request *rq);
/* One text part is borrowed; several are joined in the arena. */
struct slice message_text(const struct message *m, struct arena *a);
/* Calls fn for each text that a part holds: its own, and those of a result's parts. */
void part_texts(const struct part *p, void (*fn)(void *self, struct slice text), void *self);
uint64_t request_seed(const struct llm_request *rq, uint64_t seed);
bool is_tool_result(const struct message *m);
/* Whether tools have answered since the mock spoke last. */
bool request_has_results(const struct llm_request *rq);
struct slice guess_topic(struct slice text);
bool is_ascii_letter(char c);

/* plan_count.c */
void plan_cache(struct plan *p, const struct llm_request *rq, const struct prompt_count *prompt,
                int64_t told);
/* plan_think.c */
void plan_thought(struct plan *p, const struct llm_request *rq, enum reply_thinking how,
                  bool is_told, struct slice user_text);
/* plan_text.c */
void plan_text_answer(struct plan *p, const struct llm_request *rq, const struct reply_options *o,
                      struct slice user_text, struct arena *scratch);
/* plan_calls.c: true when the answer is tool calls */
bool plan_calls(struct plan *p, const struct llm_request *rq, struct slice user_text);
/* plan_script.c */
/* What a script says of the answer as a whole, whoever makes up its words. */
void plan_script_facts(struct plan *p, const struct script *s);
void plan_script(struct plan *p, const struct llm_request *rq, const struct script *s);

/* ---- saying it ---- */

/* A voice's states:
 *
 *   OPEN ──begin──▶ SAY ──text at its end──▶ NOTES ──▶ CLOSE ──more segments──▶ OPEN
 *                  │   ▲                   citations    (a thought's proof, if any, then its end)
 *         logprobs ▼   │ their text                     │ the last one, a bound or a stop was met
 *                  ODDS                                 ▼
 *                             FINISH, when it is the last voice of its choice ──▶ SILENT */
enum voice_state {
    VOICE_OPEN,
    VOICE_SAY,
    VOICE_ODDS,
    VOICE_NOTES,
    VOICE_CLOSE,
    VOICE_FINISH,
    VOICE_SILENT
};

struct choice {
    unsigned first_voice, live_voices;
    uint64_t seed;
    uint64_t tokens;                /* all that were said */
    size_t text_points;             /* code points that have odds (completions) */
    enum stop_reason stop;
    struct span stop_sequence;
    bool is_cut;                    /* by a bound or a stop: nothing follows */
};

struct voice {
    enum voice_state state;
    enum voice_state then;          /* ODDS: where the text leads */
    unsigned choice;
    unsigned segment, end;          /* the one that is said, or comes next */
    bool waits;
    uint32_t block;
    uint64_t block_off, block_tokens;
    uint32_t next_cut, next_note;   /* of the segment */
    size_t covered;                 /* bytes ahead that tokens already counted reach over */
    struct source source;
    struct token_cut cut;
    struct seal seal;
    bool is_sealed;                 /* no proof is owed */
};

struct reply {
    struct plan plan;
    const struct api *api;
    struct rng rng;                 /* ids and odds */
    struct rng burst_rng;
    char id_space[REPLY_ID_BYTES], call_id[REPLY_ID_BYTES], proof[SEAL_BYTES];
    struct slice id;
    int64_t created;
    bool is_started, has_opening_usage, has_pinged, has_usage, is_ended;
    unsigned turn, live;            /* voices; choices */
    uint32_t next_block;
    uint32_t slot_tokens;
    uint64_t tokens, reasoning_tokens, hidden_tokens;
    /* the piece on its way, and the tokens it is made of when it was cut by them */
    struct slice piece;
    uint32_t piece_tokens;
    uint32_t token_lens[BURST_MAX];
    unsigned n_token_lens;          /* 0: not by tokens */
    struct buf odds;
    struct choice *choices;
    unsigned n_voices;
    struct voice voices[];
};

/* reply_voice.c */
enum reply_step voice_next(struct reply *r, struct voice *v, struct event *out);
/* Thoughts that nobody sees are thought before the answer begins. */
void voice_think_hidden(struct reply *r, struct voice *v);
/* For its choice's leading thoughts to be over. */
bool voice_waits(const struct reply *r, const struct voice *v);
/* What the voice's next slot is of. */
enum voice_prospect { VOICE_HAS_NOTHING, VOICE_GOES_ON, VOICE_OPENS };
enum voice_prospect voice_prospect(const struct reply *r, const struct voice *v,
                                   const struct segment **out_next);
void voice_event(const struct reply *r, const struct voice *v, enum event_kind kind,
                 struct event *out);
/* prefix and so many letters and digits. */
struct slice reply_make_id(struct reply *r, char space[REPLY_ID_BYTES], const char *prefix,
                           size_t letters);

/* reply_odds.c: of the piece, in the dialect's form; before the delta they belong to. */
void reply_odds(struct reply *r, struct voice *v, struct event *out);
/* reply_notes.c: the voice's next citation, in the dialect's form */
void reply_note(struct reply *r, struct voice *v, struct event *out);

#endif
