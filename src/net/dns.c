/* SPDX-License-Identifier: Apache-2.0 */
#include "net/dns-private.h"

#include "base/clock.h"
#include "base/mem.h"
#include "net/loop-private.h"
#include "net/conn.h"

#define DEFAULT_TTL_NS (30 * NS_PER_S)
#define FAILURE_TTL_NS (1 * NS_PER_S)
#define MAX_NAMES 256

struct dns_name {
    struct dns_name *next;
    struct dns_cache *cache;
    char *host;
    struct loop_lookup *lookup;   /* running; otherwise the answer counts until expires_ns */
    int64_t expires_ns;
    struct dns_wait *waiting;
    bool has_winner;
    struct addr winner;
    struct dns_answer answer;
};

/* Hosts come from the configuration: few. A list in the order of use is found through faster than a
 * table. */
struct dns_cache {
    struct loop *loop;
    struct dns_name *names;
    unsigned count;
    int64_t ttl_ns;
};

/* ---- who waits ---- */

static void wait_link(struct dns_wait **head, struct dns_wait *w) {
    w->next = *head;
    w->link = head;
    if (w->next) w->next->link = &w->next;
    *head = w;
}

void dns_wait_stop(struct dns_wait *w) {
    if (!w->link) return;
    *w->link = w->next;
    if (w->next) w->next->link = w->link;
    w->link = NULL;
}

/* ---- names ---- */

static void name_free(struct dns_name *name) {
    loop_lookup_cancel(&name->lookup);
    while (name->waiting) dns_wait_stop(name->waiting);
    mem_free(name->host);
    mem_free(name);
}

static struct dns_name *name_find(struct dns_cache *cache, struct slice host) {
    for (struct dns_name **at = &cache->names; *at; at = &(*at)->next) {
        struct dns_name *name = *at;
        if (!slice_eq_nocase(slice_cstr(name->host), host)) continue;
        *at = name->next;   /* to the front */
        name->next = cache->names;
        cache->names = name;
        return name;
    }
    return NULL;
}

/* Makes room by dropping the least recently used name that no look-up runs for. */
static void drop_oldest(struct dns_cache *cache) {
    struct dns_name **oldest = NULL;
    for (struct dns_name **at = &cache->names; *at; at = &(*at)->next) {
        if (!(*at)->lookup) oldest = at;
    }
    if (!oldest) return;
    struct dns_name *name = *oldest;
    *oldest = name->next;
    cache->count--;
    name_free(name);
}

static struct dns_name *name_add(struct dns_cache *cache, struct slice host) {
    if (cache->count >= MAX_NAMES) drop_oldest(cache);
    struct dns_name *name = mem_zalloc(sizeof *name);
    name->cache = cache;
    name->host = mem_dup_cstr(host);
    name->next = cache->names;
    cache->names = name;
    cache->count++;
    return name;
}

static void winner_first(struct dns_name *name) {
    struct dns_answer *answer = &name->answer;
    for (unsigned i = 0; name->has_winner && i < answer->count; i++) {
        if (!addr_same_host(&answer->addrs[i], &name->winner)) continue;
        struct addr first = answer->addrs[i];
        memmove(&answer->addrs[1], &answer->addrs[0], i * sizeof first);
        answer->addrs[0] = first;
        return;
    }
}

/* ---- the cache ---- */

static void cache_free(void *ptr) {
    struct dns_cache *cache = ptr;
    while (cache->names) {
        struct dns_name *name = cache->names;
        cache->names = name->next;
        name_free(name);
    }
    mem_free(cache);
}

static struct dns_cache *cache_of(struct loop *l) {
    struct loop_attachment *slot = loop_attachment(l, LOOP_SLOT_DNS);
    if (!slot->ptr) {
        struct dns_cache *cache = mem_zalloc(sizeof *cache);
        cache->loop = l;
        cache->ttl_ns = DEFAULT_TTL_NS;
        *slot = (struct loop_attachment){.ptr = cache, .dispose = cache_free};
    }
    return slot->ptr;
}

void dial_set_dns_ttl(struct loop *l, int64_t ttl_ns) {
    cache_of(l)->ttl_ns = ttl_ns;
}

void dial_forget(struct loop *l) {
    struct loop_attachment *slot = loop_attachment(l, LOOP_SLOT_DNS);
    if (slot->ptr) cache_free(slot->ptr);
    slot->ptr = NULL;
}

/* A waiter may do anything: cancel another one, dial the same name anew, forget the cache. So the
 * answer and the list are on the stack, and `name` is not touched once the first was called. */
static void on_names(void *self, const struct addr *addrs, unsigned count, const struct err *e) {
    struct dns_name *name = self;
    struct dns_cache *cache = name->cache;
    name->lookup = NULL;
    name->answer.count = count;
    for (unsigned i = 0; i < count; i++) name->answer.addrs[i] = addrs[i];
    if (e) name->answer.e = *e;
    name->expires_ns = loop_now_ns(cache->loop) + (count > 0 ? cache->ttl_ns : FAILURE_TTL_NS);
    winner_first(name);

    struct dns_answer answer = name->answer;
    struct dns_wait *waiting = NULL;
    while (name->waiting) {   /* turned around: first come, first served */
        struct dns_wait *w = name->waiting;
        dns_wait_stop(w);
        wait_link(&waiting, w);
    }
    while (waiting) {
        struct dns_wait *w = waiting;
        dns_wait_stop(w);
        w->fn(w->self, &answer);
    }
}

bool dns_get(struct loop *l, struct slice host, struct dns_wait *w, dns_fn *fn, void *self,
             struct dns_answer *out_answer) {
    struct dns_cache *cache = cache_of(l);
    struct dns_name *name = name_find(cache, host);
    if (name && !name->lookup && loop_now_ns(l) < name->expires_ns) {
        *out_answer = name->answer;
        return true;
    }
    if (!name) name = name_add(cache, host);
    if (!name->lookup)
        name->lookup = loop_lookup_start(l, slice_cstr(name->host), 0, on_names, name);
    w->fn = fn;
    w->self = self;
    wait_link(&name->waiting, w);
    return false;
}

void dns_note_winner(struct loop *l, struct slice host, const struct addr *winner) {
    struct dns_name *name = name_find(cache_of(l), host);
    if (!name) return;
    name->has_winner = true;
    name->winner = *winner;
    winner_first(name);
}
