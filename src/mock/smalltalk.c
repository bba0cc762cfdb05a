/* SPDX-License-Identifier: Apache-2.0 */
#include "mock/smalltalk.h"

/* Longer texts are work, not talk. */
enum { TALK_MAX_BYTES = 120, TALK_WORDS = 6, TALK_ANSWERS = 3 };

static const struct talk {
    const char *words[TALK_WORDS];      /* any of these phrases */
    const char *answers[TALK_ANSWERS];
} talks[] = {
    {{"joke", "funny"},
     {"Why did the token arrive late? It was waiting for the rest of the sentence.",
      "A buffer walks into a bar and orders everything at once, but only after closing time.",
      "I would tell you a joke about timeouts, but you have to wait for it."}},
    {{"weather", "forecast"},
     {"No window in here, but let us say: light wind, a few clouds, and a very steady stream all day.",
      "Mild and dry, with scattered tokens in the afternoon. Take a light jacket.",
      "Fog in the valleys at first, later sunny. I made that up, as befits a mock."}},
    {{"news", "headlines"},
     {"Today's headline: everything arrived in order, and nobody noticed.",
      "In the news: a small town on the river opens its third bridge. The first two are jealous.",
      "Nothing broke today. More as the story develops."}},
    {{"haiku", "poem"},
     {"Water through a gate,\nword by word the river speaks;\nnothing is held back.",
      "A late lamp is lit.\nOne by one the letters come\nand sit down to wait.",
      "Small stones in a stream:\neach one lets the water pass,\neach one hums a bit."}},
    {{"how are you", "are you okay", "how's it"},
     {"Very well, thank you. I am a mock, so every day is much like the seed it started from.",
      "Flowing nicely, thanks for asking. And you?",
      "Couldn't be steadier. What can I do for you?"}},
    {{"who are you", "what are you", "your name"},
     {"I am Penstock's built-in mock: I answer like a language model, but I make it all up from a seed.",
      "A mock model. I am quick, cheap, always available, and never right on purpose.",
      "I am a stand-in for a real model, so that you can try everything without a key."}},
    {{"stream", "streaming"},
     {"Watch closely: each of these words leaves on its own, on schedule, and should reach your screen "
      "one after another. If they come all at once, something between us is holding them back.",
      "This is a stream. Every word is an event of its own; you should see this sentence grow.",
      "One word, then the next, then the next: that is all there is to streaming, and it is easy to "
      "get wrong."}},
    {{"thanks", "thank you", "thx"},
     {"You are welcome.", "Any time.", "With pleasure. Anything else?"}},
    {{"bye", "goodbye", "good night"},
     {"Goodbye, and come back soon.", "See you. I will be here, with the same seed.", "Take care."}},
    {{"ping"}, {"pong", "pong", "pong"}},
    {{"test", "testing"},
     {"Test received, and answered.", "It works: you can hear me.", "Loud and clear."}},
    {{"hello", "hi", "hey", "good morning", "good evening", "greetings"},
     {"Hello! What shall we talk about?", "Hi there. How can I help?",
      "Good to see you. Ask me anything, and I will make something up."}},
};

static bool is_letter(char c) {
    return (c | 32) >= 'a' && (c | 32) <= 'z';
}

bool text_has_word(struct slice text, struct slice word) {
    for (size_t i = 0; i + word.len <= text.len; i++) {
        bool starts = i == 0 || !is_letter(text.ptr[i - 1]);
        bool ends = i + word.len == text.len || !is_letter(text.ptr[i + word.len]);
        if (starts && ends && slice_eq_nocase(slice_sub(text, i, word.len), word)) {
            return true;
        }
    }
    return false;
}

static bool talk_fits(const struct talk *t, struct slice text) {
    for (unsigned i = 0; i < TALK_WORDS && t->words[i]; i++) {
        if (text_has_word(text, slice_cstr(t->words[i]))) {
            return true;
        }
    }
    return false;
}

struct slice smalltalk_answer(struct slice user_text, uint64_t seed) {
    if (user_text.len > TALK_MAX_BYTES || text_has_word(user_text, SLICE("story"))) {
        return SLICE_NULL;
    }
    for (size_t i = 0; i < sizeof talks / sizeof talks[0]; i++) {
        if (talk_fits(&talks[i], user_text)) {
            return slice_cstr(talks[i].answers[seed % TALK_ANSWERS]);
        }
    }
    return SLICE_NULL;
}
