/* SPDX-License-Identifier: Apache-2.0 */
#include "mock/prose.h"

/* A template is a sentence with holes: {H} hero, {F} friend, {P} place, {T} thing, {K} topic are
 * fixed for a text; {a} adjective, {n} small thing, {w} weather, {t} time, {m} manner, {v} view are
 * drawn each time. Adjectives and nouns of {a} {n} begin with a consonant, so that "a {a}" is
 * right. */
struct bank {
    const char *const *items;
    unsigned char count;
};
#define BANK(array) {array, sizeof(array) / sizeof((array)[0])}

static const char *const heroes[] = {"Mara", "Tobias", "Ines", "Corin", "Wilma", "Jonas", "Petra",
                                     "Silvan", "Greta", "Bruno", "Liv", "Matteo"};
static const char *const friends[] = {"the old ferryman", "a tame jackdaw", "the baker's sister",
                                      "a travelling clockmaker", "the lighthouse keeper",
                                      "a very patient donkey", "the miller's youngest",
                                      "a retired sea captain"};
static const char *const places[] = {"the harbour town", "the valley", "the mill by the river",
                                     "the city of bridges", "the mountain village",
                                     "the island", "the quarter behind the station",
                                     "the forest's edge"};
static const char *const things[] = {"brass key", "paper lantern", "map without names",
                                     "wooden flute", "glass float", "pocket compass",
                                     "letter without a stamp", "music box"};
static const char *const adjectives[] = {"quiet", "bright", "crooked", "gentle", "sudden", "silver",
                                         "warm", "restless", "forgotten", "steady", "narrow",
                                         "patient", "salt-stained", "golden", "half-finished",
                                         "careful"};
static const char *const nouns[] = {"lamp", "doorway", "boat", "song", "staircase", "garden",
                                    "window", "bell", "road", "kettle", "notebook", "bridge",
                                    "sail", "well", "fence", "market stall"};
static const char *const weathers[] = {"rain", "fog", "snow", "warm wind", "first frost",
                                       "summer haze", "thunder", "soft drizzle"};
static const char *const times[] = {"At dawn", "Before noon", "Late in the evening", "That night",
                                    "On the third day", "A little later", "By candlelight",
                                    "When the tide turned", "Towards autumn", "The next morning"};
static const char *const manners[] = {"without a word", "with great care", "as if by habit",
                                      "more slowly than usual", "in one breath", "with a smile",
                                      "against all advice", "almost by accident"};
static const char *const views[] = {"the roofs", "the river", "the orchard", "the far hills",
                                    "the empty square", "the water's edge", "the old wall",
                                    "the last houses"};

static const char *const story_openings[] = {
    "Once, in {P}, there lived someone called {H} who could never leave a question alone.",
    "{H} found the {T} on a {a} morning, under a {n} that nobody had moved for years.",
    "The {w} had hardly passed over {P} when {H} heard the knock.",
    "Nobody in {P} remembered who had lost the {T}, and that was why {H} kept it.",
};
static const char *const story_middles[] = {
    "{t} {H} followed a {a} path down to {v}.",
    "The {T} lay in a coat pocket, heavier than it looked.",
    "\"You are early,\" said {F}, and poured two cups of tea.",
    "There was {w} over {v}, and somewhere behind it a {n}.",
    "{H} turned the {T} over {m}.",
    "{t} {F} came by with a {a} {n} and no explanation.",
    "Past {v} the road grew {a}, then {a}, then it was hardly a road at all.",
    "\"Every {n} has a second side,\" {F} explained, \"you only have to wait for it.\"",
    "It took most of the day to carry the {n} across {v}, {m}.",
    "{H} counted the steps, lost the number, and began again.",
    "{t} the whole of {P} smelled of {w} and fresh bread.",
    "A {a} light moved behind a {n}, and then it moved again.",
    "They did not speak of the {T}, but both of them thought of nothing else.",
    "Where the {n} had been there was now only a {a} shape in the dust.",
    "{H} wrote it all down {m}, for a day when it would make sense.",
    "{t} a stranger asked the way to {v}, and {F} gave three different answers.",
    "The {a} {n} creaked once, as if it agreed.",
    "\"Then we go together,\" said {H}, and {F} nodded {m}.",
    "From {v} one could see all of {P}, small as a toy.",
    "The {w} let up, and the {n} began to shine.",
};
static const char *const story_endings[] = {
    "And when {H} finally used the {T}, it fitted, as some things do when one has waited long enough.",
    "{H} gave the {T} to {F}, went home by way of {v}, and slept better than in years.",
    "If you come through {P} today, you can still see the {T} in the window, and {H} will tell you the rest.",
};
static const char *const essay_openings[] = {
    "A good way into {K} is to look at what stays the same while everything else changes.",
    "Let us take {K} step by step, beginning with what we can see.",
    "The short answer about {K} is simple; the longer one is more useful.",
    "Most of what matters about {K} fits into a few sentences, so here they are.",
};
static const char *const essay_middles[] = {
    "First, it helps to name the parts, because a part with a name can be moved on purpose.",
    "With {K}, small and regular beats large and rare almost every time.",
    "Think of it as a {a} {n}: it works as long as nobody leans on it from the wrong side.",
    "A common mistake is to measure only the average, and to be surprised by the rest.",
    "The order matters: what comes in first should not have to wait for what comes in last.",
    "In practice one starts with a {a} version, watches it, and only then makes it larger.",
    "There is a limit to how much of {K} can be planned, and it is lower than it feels.",
    "Whoever has carried a {n} through {w} knows the principle already.",
    "If two explanations fit, keep the one that can be proved wrong before {w} sets in.",
    "The cost is rarely where one expects it, so it is worth looking twice.",
    "This is also why one sees {K} differently from close up than from across {v}.",
    "What cannot be seen cannot be repaired, and what is repaired {m} stays repaired.",
    "It is fine to be slow at the start, as long as each step can be taken back.",
    "When in doubt, write it down as you would tell it to {F}.",
    "The interesting cases of {K} are the ones at the border, where two rules meet.",
    "Seen this way, a {a} detail turns out to hold up the whole {n}.",
};
static const char *const essay_endings[] = {
    "That is the heart of {K}; the rest is practice.",
    "Start with one of these, see what it changes, and let {K} surprise you a little.",
    "Ask for any of these points, and we can go deeper.",
};
static const char *const thought_openings[] = {
    "The question is about {K}, so let me see what is really being asked.",
    "First I want to be sure what {K} means here.",
};
static const char *const thought_middles[] = {
    "There are at least two readings, and the plain one seems right.",
    "I could start from an example, a {a} {n} perhaps, and go on from there.",
    "The answer should be short enough to be read at once.",
    "Checking it once more from the other end gives the same result.",
    "Nothing in the request speaks against that.",
    "What about the case where there is no {n} at all? It changes nothing.",
};
static const char *const thought_endings[] = {
    "Good, that is enough to answer.",
    "So the answer can be given directly.",
};

static const struct genre {
    struct bank openings, middles, endings;
    unsigned char min_sentences, more_sentences, paragraph;
} genres[PROSE_KIND_COUNT] = {
    [PROSE_STORY] = {BANK(story_openings), BANK(story_middles), BANK(story_endings), 10, 8, 4},
    [PROSE_ESSAY] = {BANK(essay_openings), BANK(essay_middles), BANK(essay_endings), 5, 5, 4},
    [PROSE_THOUGHT] = {BANK(thought_openings), BANK(thought_middles), BANK(thought_endings), 3, 2,
                       9},
};

static const struct hole {
    char letter;
    unsigned char cast;      /* index into prose.cast plus one; 0: drawn each time */
    struct bank bank;
} holes[] = {
    {'H', 1, BANK(heroes)},     {'F', 2, BANK(friends)}, {'P', 3, BANK(places)},
    {'T', 4, BANK(things)},     {'a', 0, BANK(adjectives)}, {'n', 0, BANK(nouns)},
    {'w', 0, BANK(weathers)},   {'t', 0, BANK(times)},   {'m', 0, BANK(manners)},
    {'v', 0, BANK(views)},
};

static const struct hole *hole_find(char letter) {
    for (size_t i = 0; i < sizeof holes / sizeof holes[0]; i++) {
        if (holes[i].letter == letter) {
            return &holes[i];
        }
    }
    return NULL;
}

static const char *draw(struct prose *p, const struct bank *b) {
    return b->items[rng_below(&p->rng, b->count)];
}

static const char *hole_fill(struct prose *p, char letter) {
    if (letter == 'K') {
        return p->topic;
    }
    const struct hole *h = hole_find(letter);
    if (!h) {
        return "";
    }
    return h->cast ? h->bank.items[p->cast[h->cast - 1]] : draw(p, &h->bank);
}

/* Two neighbouring sentences never share a template, nor do any within PROSE_RECENT. */
static const char *draw_fresh(struct prose *p, const struct bank *b) {
    unsigned window = b->count > PROSE_RECENT + 2 ? PROSE_RECENT : b->count / 2;
    unsigned pick = 0;
    for (bool used = true; used;) {
        pick = (unsigned)rng_below(&p->rng, b->count);
        used = false;
        for (unsigned i = 0; i < window; i++) {
            used |= p->recent[i] == pick + 1;
        }
    }
    memmove(p->recent + 1, p->recent, PROSE_RECENT - 1);
    p->recent[0] = (unsigned char)(pick + 1);
    return b->items[pick];
}

static bool is_sentence_start(struct slice sentence, size_t at) {
    return at == 0 || (at == 1 && sentence.ptr[0] == '"');
}

/* A hole at the start of a sentence gets a capital; a time ("At dawn") inside one loses it. */
static int append_fill(struct buf *out, const char *fill, bool at_start, char letter) {
    size_t before = out->len;
    if (buf_append(out, slice_cstr(fill)) < 0) {
        return -ERR_LIMIT;
    }
    if (out->len == before) {
        return 0;
    }
    char *first = &out->ptr[before];
    if (at_start && *first >= 'a' && *first <= 'z') {
        *first = (char)(*first - 32);
    } else if (!at_start && letter == 't' && *first >= 'A' && *first <= 'Z') {
        *first = (char)(*first + 32);
    }
    return 0;
}

static int append_sentence(struct prose *p, const char *pattern, struct buf *out) {
    struct slice s = slice_cstr(pattern);
    for (size_t i = 0; i < s.len;) {
        if (s.ptr[i] == '{' && i + 2 < s.len) {
            char letter = s.ptr[i + 1];
            if (append_fill(out, hole_fill(p, letter), is_sentence_start(s, i), letter) < 0) {
                return -ERR_LIMIT;
            }
            i += 3;
            continue;
        }
        size_t run = 0;
        while (i + run < s.len && s.ptr[i + run] != '{') {
            run++;
        }
        if (buf_append(out, slice_sub(s, i, run)) < 0) {
            return -ERR_LIMIT;
        }
        i += run;
    }
    return 1;
}

void prose_init(struct prose *p, enum prose_kind kind, uint64_t seed, struct slice topic,
                bool endless) {
    const struct genre *g = &genres[kind];
    *p = (struct prose){.kind = kind};
    rng_seed(&p->rng, seed);
    for (size_t i = 0; i < sizeof holes / sizeof holes[0]; i++) {
        if (holes[i].cast) {
            p->cast[holes[i].cast - 1] = (unsigned char)rng_below(&p->rng, holes[i].bank.count);
        }
    }
    unsigned length = g->min_sentences + (unsigned)rng_below(&p->rng, g->more_sentences + 1u);
    p->planned = endless ? 0 : length;
    p->until_break = g->paragraph;
    if (slice_is_empty(topic)) {
        topic = SLICE("this");
    }
    size_t len = topic.len < PROSE_TOPIC_BYTES - 1 ? topic.len : PROSE_TOPIC_BYTES - 1;
    len = slice_utf8_valid(slice_sub(topic, 0, len));
    memcpy(p->topic, topic.ptr, len);
}

/* Between two paragraphs; told with the sentence before it, so that what has been made ends where
 * a word begins. */
static int append_break(struct prose *p, struct buf *out) {
    if (p->planned && p->sentence >= p->planned) {
        return 0;
    }
    p->at_break = p->until_break == 0;
    if (!p->at_break) {
        p->until_break--;
        return 0;
    }
    p->until_break = genres[p->kind].paragraph - 1u + (unsigned)rng_below(&p->rng, 3);
    return buf_append(out, SLICE("\n\n"));
}

static const char *draw_sentence(struct prose *p) {
    const struct genre *g = &genres[p->kind];
    if (p->sentence == 0) {
        return draw(p, &g->openings);
    }
    bool is_last = p->planned && p->sentence + 1 == p->planned;
    return is_last ? draw(p, &g->endings) : draw_fresh(p, &g->middles);
}

int prose_next(struct prose *p, struct buf *out) {
    if (p->planned && p->sentence >= p->planned) {
        return 0;
    }
    if (p->sentence > 0 && !p->at_break && buf_append_byte(out, ' ') < 0) {
        return -ERR_LIMIT;
    }
    const char *pattern = draw_sentence(p);
    p->sentence++;
    return append_sentence(p, pattern, out) < 0 || append_break(p, out) < 0 ? -ERR_LIMIT : 1;
}
