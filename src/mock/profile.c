/* SPDX-License-Identifier: Apache-2.0 */
#include "mock/profile.h"

#include <assert.h>

#include "config/suggest.h"
#include "mock/settings.h"

/* Services: what a client sees, with the provider's load inside the spread. Engines (NAME@GPU): a
 * step is the reading of the weights and what is around it, prefill the arithmetic of a token. */
static const struct profile profiles[] = {
    {"gpt-4o", "ttft=lognormal(450ms,0.45) itl=gamma(mean=11ms,cv=0.9) prefill=15us",
     "OpenAI's service, a large model without reasoning"},
    {"gpt-4o-mini", "ttft=lognormal(380ms,0.4) itl=gamma(mean=12ms,cv=0.9) prefill=8us",
     "OpenAI's service, a small model"},
    {"gpt-4.1", "ttft=lognormal(500ms,0.4) itl=gamma(mean=12ms,cv=0.9) prefill=12us",
     "OpenAI's service, long contexts"},
    {"gpt-5", "ttft=lognormal(1.2s,0.5) itl=gamma(mean=12ms,cv=0.8) prefill=12us",
     "OpenAI's service; thinking comes on top, token by token"},
    {"o3", "ttft=lognormal(1.5s,0.5) itl=gamma(mean=13ms,cv=0.8) prefill=15us",
     "OpenAI's service, reasoning; hidden tokens come on top"},
    {"o4-mini", "ttft=lognormal(1s,0.5) itl=gamma(mean=8ms,cv=0.8) prefill=8us",
     "OpenAI's service, fast reasoning; hidden tokens come on top"},
    {"claude-opus", "ttft=lognormal(1.6s,0.4) itl=gamma(mean=60ms,cv=0.6) burst=1-5 prefill=25us",
     "Anthropic's service, the large model"},
    {"claude-sonnet", "ttft=lognormal(1s,0.4) itl=gamma(mean=45ms,cv=0.6) burst=1-5 prefill=15us",
     "Anthropic's service, the middle model"},
    {"claude-haiku", "ttft=lognormal(550ms,0.4) itl=gamma(mean=24ms,cv=0.6) burst=1-5 prefill=8us",
     "Anthropic's service, the small model"},
    {"gemini-flash",
     "ttft=lognormal(400ms,0.4) itl=gamma(mean=150ms,cv=0.5) burst=24-40 prefill=5us",
     "Google's service: few chunks, of many tokens each"},
    {"llama-3.3-70b@lpu", "ttft=lognormal(220ms,0.3) itl=gamma(mean=3.5ms,cv=0.4) prefill=20us",
     "a service on chips made for it"},

    {"llama-3.1-8b@l4", "itl=60ms:5% prefill=260us batch_cost=120us max_batch=64",
     "one L4, 16 bit"},
    {"llama-3.1-8b@rtx4090", "itl=18ms:5% prefill=190us batch_cost=80us max_batch=64",
     "one RTX 4090, 16 bit"},
    {"llama-3.1-8b@a100", "itl=11ms:5% prefill=100us batch_cost=40us max_batch=256",
     "one A100 80 GB, 16 bit"},
    {"llama-3.1-8b@h100", "itl=7ms:5% prefill=40us batch_cost=25us max_batch=256",
     "one H100, 16 bit"},
    {"llama-3.1-70b@4xa100", "itl=30ms:5% prefill=250us batch_cost=100us max_batch=128",
     "four A100 80 GB, 16 bit"},
    {"llama-3.1-70b@4xh100", "itl=18ms:5% prefill=80us batch_cost=60us max_batch=256",
     "four H100, 16 bit"},
    {"llama-3.1-405b@8xh100", "itl=28ms:5% prefill=130us batch_cost=90us max_batch=128",
     "eight H100, 8 bit"},
    {"mixtral-8x7b@2xa100", "itl=14ms:8% prefill=90us batch_cost=90us max_batch=128",
     "two A100 80 GB, 16 bit; experts differ from step to step"},
    {"qwen2.5-7b@a10", "itl=32ms:5% prefill=230us batch_cost=90us max_batch=64",
     "one A10, 16 bit"},
    {"llama-3.2-3b@cpu", "itl=95ms:15% prefill=14ms batch_cost=40ms max_batch=4 queue=32",
     "sixteen cores, 4 bit"},
};

const struct profile *profile_at(unsigned i) {
    return i < sizeof profiles / sizeof profiles[0] ? &profiles[i] : NULL;
}

const struct profile *profile_find(struct slice name) {
    const struct profile *p;
    for (unsigned i = 0; (p = profile_at(i)) != NULL; i++) {
        if (slice_eq(name, slice_cstr(p->name))) {
            return p;
        }
    }
    return NULL;
}

int mock_profile_check(struct slice text, struct mock_options *o, struct arena *a, struct err *e) {
    struct suggestion s;
    const struct profile *p;
    (void)o;
    (void)a;
    if (profile_find(text)) {
        return 0;
    }
    suggestion_init(&s, text);
    for (unsigned i = 0; (p = profile_at(i)) != NULL; i++) {
        suggestion_offer(&s, slice_cstr(p->name));
    }
    if (s.nearest.ptr) {
        return err_set(e, ERR_USAGE, "there is no profile '%.*s'; did you mean %.*s?",
                       SLICE_FMT(slice_sub(text, 0, 60)), SLICE_FMT(s.nearest));
    }
    return err_set(e, ERR_USAGE, "there is no profile '%.*s': see penstock mock --list-profiles",
                   SLICE_FMT(slice_sub(text, 0, 60)));
}

/* ---- applying ---- */

static const char *const touched[] = {"ttft",       "itl",   "prefill", "burst",
                                      "batch_cost", "queue", "max_batch"};

static struct slice word_next(struct slice *io_rest) {
    *io_rest = slice_trim(*io_rest);
    ptrdiff_t gap = slice_index(*io_rest, ' ');
    struct slice word = gap < 0 ? *io_rest : slice_sub(*io_rest, 0, (size_t)gap);
    *io_rest = slice_from(*io_rest, word.len);
    return word;
}

static void set(struct mock_options *o, struct slice name, struct slice value, struct arena *a) {
    const struct mock_setting *row = mock_setting_find(name);
    const struct law_scope scope = {.arena = a};
    struct err e;
    assert(row);
    if (!mock_setting_is_given(row, o)) {
        int rc = mock_setting_store(row, value, o, &scope, &e);
        assert(rc == 0);
        (void)rc;
        o->given[row - mock_settings] = 0;
    }
}

static void forget(struct mock_options *o) {
    for (size_t i = 0; i < sizeof touched / sizeof touched[0]; i++) {
        const struct mock_setting *row = mock_setting_find(slice_cstr(touched[i]));
        if (!mock_setting_is_given(row, o)) {
            mock_setting_reset(row, o);
        }
    }
}

void mock_profile_apply(struct mock_options *o, struct arena *a) {
    const struct profile *p = o->profile ? profile_find(slice_cstr(o->profile)) : NULL;
    if (o->is_profiled) {
        forget(o);
    }
    o->is_profiled = p != NULL;
    struct slice rest = slice_cstr(p ? p->settings : NULL), word;
    while ((word = word_next(&rest)).len > 0) {
        size_t at = (size_t)slice_index(word, '=');
        set(o, slice_sub(word, 0, at), slice_from(word, at + 1), a);
    }
}
