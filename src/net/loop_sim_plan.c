/* SPDX-License-Identifier: Apache-2.0 */
/* What a test asked of the simulated network: names, connect faults, cuts and read sizes. */
#include "base/mem.h"
#include "net/loop_sim-private.h"

struct name {
    struct name *next;
    char *host;
    struct addr addrs[LOOP_MAX_ADDRS];
    unsigned count;
    int64_t delay_ns;
};

struct connect_fault {
    struct connect_fault *next;
    struct addr to;
    int os_errno;
};

/* For the connection that is `countdown` matching ones away. */
struct pipe_plan {
    struct pipe_plan *next;
    struct addr at;
    unsigned countdown;
    bool to_client;
    struct sim_plan_for_pipe plan;
};

static struct name *names;
static struct connect_fault *connect_faults;
static struct pipe_plan *pipe_plans;

void plan_reset(void) {
    while (names) {
        struct name *dying = names;
        names = dying->next;
        mem_free(dying->host);
        mem_free(dying);
    }
    while (connect_faults) {
        struct connect_fault *dying = connect_faults;
        connect_faults = dying->next;
        mem_free(dying);
    }
    while (pipe_plans) {
        struct pipe_plan *dying = pipe_plans;
        pipe_plans = dying->next;
        mem_free(dying->plan.read_sizes);
        mem_free(dying);
    }
}

static bool same_addr(const struct addr *a, const struct addr *b) {
    return addr_same_host(a, b) && addr_port(a) == addr_port(b);
}

/* ---- connect faults ---- */

void sim_connect_fault(const struct addr *to, int os_errno) {
    struct connect_fault *fault = connect_faults;
    while (fault && !same_addr(&fault->to, to)) fault = fault->next;
    if (!fault) {
        fault = mem_zalloc(sizeof *fault);
        fault->next = connect_faults;
        fault->to = *to;
        connect_faults = fault;
    }
    fault->os_errno = os_errno;
}

int plan_connect_errno(const struct addr *to) {
    for (struct connect_fault *fault = connect_faults; fault; fault = fault->next) {
        if (same_addr(&fault->to, to)) return fault->os_errno;
    }
    return 0;
}

/* ---- cuts and read sizes ---- */

static struct sim_plan_for_pipe *plan_add(const struct addr *at, unsigned nth, bool to_client) {
    struct pipe_plan *p = mem_zalloc(sizeof *p), **last = &pipe_plans;
    p->at = *at;
    p->countdown = nth;
    p->to_client = to_client;
    p->plan.cut = CUT_NONE;
    while (*last) last = &(*last)->next;
    *last = p;
    return &p->plan;
}

void sim_cut_after(const struct addr *at, unsigned nth, bool to_client, size_t bytes,
                   enum sim_cut how) {
    struct sim_plan_for_pipe *plan = plan_add(at, nth, to_client);
    plan->cut = (int)how;
    plan->cut_after_bytes = bytes;
}

void sim_read_sizes(const struct addr *at, unsigned nth, bool to_client, const size_t *sizes,
                    unsigned count) {
    struct sim_plan_for_pipe *plan = plan_add(at, nth, to_client);
    if (count == 0) return;
    plan->read_sizes = mem_alloc(count * sizeof *sizes);
    memcpy(plan->read_sizes, sizes, count * sizeof *sizes);
    plan->read_size_count = count;
}

static void plan_merge(struct sim_plan_for_pipe *into, struct sim_plan_for_pipe *from) {
    if (from->cut != CUT_NONE) {
        into->cut = from->cut;
        into->cut_after_bytes = from->cut_after_bytes;
    }
    if (!from->read_sizes) return;
    mem_free(into->read_sizes);
    into->read_sizes = from->read_sizes;
    into->read_size_count = from->read_size_count;
}

void plan_take(const struct addr *to, const struct addr *at, bool to_client,
               struct sim_plan_for_pipe *out_plan) {
    *out_plan = (struct sim_plan_for_pipe){.cut = CUT_NONE};
    for (struct pipe_plan **link = &pipe_plans; *link;) {
        struct pipe_plan *p = *link;
        bool is_match =
            p->to_client == to_client && (same_addr(&p->at, to) || same_addr(&p->at, at));
        if (!is_match || p->countdown-- > 0) {
            link = &p->next;
            continue;
        }
        *link = p->next;
        plan_merge(out_plan, &p->plan);
        mem_free(p);
    }
}

/* ---- names ---- */

struct loop_lookup {
    struct loop_lookup *next;   /* in loop->lookups_done */
    struct loop *loop;
    loop_names_fn *fn;          /* NULL: cancelled */
    void *self;
    uint16_t port;
    char *host;
};

static struct name *name_find(struct slice host) {
    struct name *name = names;
    while (name && !slice_eq_nocase(slice_cstr(name->host), host)) name = name->next;
    return name;
}

void sim_name(const char *host, const struct addr *addrs, unsigned count, int64_t delay_ns) {
    struct name *name = name_find(slice_cstr(host));
    if (!name) {
        name = mem_zalloc(sizeof *name);
        name->host = mem_dup_cstr(slice_cstr(host));
        name->next = names;
        names = name;
    }
    name->count = count < LOOP_MAX_ADDRS ? count : LOOP_MAX_ADDRS;
    name->delay_ns = delay_ns;
    for (unsigned i = 0; i < name->count; i++) name->addrs[i] = addrs[i];
}

static void lookup_free(struct loop_lookup *lookup) {
    mem_free(lookup->host);
    mem_free(lookup);
}

static void lookup_done(void *self, size_t unused) {
    struct loop_lookup *lookup = self;
    (void)unused;
    if (!lookup->fn) {
        lookup_free(lookup);
        return;
    }
    struct loop_lookup **last = &lookup->loop->lookups_done;
    while (*last) last = &(*last)->next;
    *last = lookup;
}

struct loop_lookup *loop_lookup_start(struct loop *l, struct slice host, uint16_t port,
                                      loop_names_fn *fn, void *self) {
    struct loop_lookup *lookup = mem_zalloc(sizeof *lookup);
    struct name *name = name_find(host);
    *lookup = (struct loop_lookup){
        .loop = l, .fn = fn, .self = self, .port = port, .host = mem_dup_cstr(host)};
    sim.open_lookups++;
    sim_plan(sim.now_ns + (name ? name->delay_ns : 0), lookup_done, lookup, 0);
    return lookup;
}

void loop_lookup_cancel(struct loop_lookup **lookup) {
    if (!*lookup) return;
    (*lookup)->fn = NULL;   /* freed when its event comes, or with the others that are done */
    *lookup = NULL;
    sim.open_lookups--;
}

static unsigned resolve(const struct loop_lookup *lookup, struct addr *out_addrs) {
    struct slice host = slice_cstr(lookup->host);
    struct name *name = name_find(host);
    if (!name) return addr_from_literal(host, lookup->port, &out_addrs[0]) ? 1 : 0;
    for (unsigned i = 0; i < name->count; i++) {
        out_addrs[i] = name->addrs[i];
        addr_set_port(&out_addrs[i], lookup->port);
    }
    return name->count;
}

static void lookup_tell(struct loop_lookup *lookup) {
    struct addr addrs[LOOP_MAX_ADDRS];
    struct err e = {0};
    unsigned count = resolve(lookup, addrs);
    if (count == 0) {
        err_set(&e, ERR_DNS, "cannot resolve '%s': unknown node or service", lookup->host);
    }
    sim.open_lookups--;
    lookup->fn(lookup->self, addrs, count, count > 0 ? NULL : &e);
}

unsigned plan_run_lookups(struct loop *l) {
    unsigned count = 0;
    while (l->lookups_done) {
        struct loop_lookup *lookup = l->lookups_done;
        l->lookups_done = lookup->next;
        if (lookup->fn) {
            lookup_tell(lookup);
            count++;
        }
        lookup_free(lookup);
    }
    return count;
}
