/* SPDX-License-Identifier: Apache-2.0 */
/* A pattern that a text may fit: contains, equals, a glob, a regular expression. Compiled into an
 * arena; any thread may test. A test's work is bounded: a regular expression that would take longer
 * fits nothing, and says that it was too costly. */
#ifndef PENSTOCK_MOCK_SCENARIO_PATTERN_H
#define PENSTOCK_MOCK_SCENARIO_PATTERN_H

#include "base/arena.h"
#include "base/err.h"

#define PATTERN_MAX_BYTES 4096       /* of a glob, a regex, or whatever is without case */

enum pattern_kind { PATTERN_CONTAINS, PATTERN_EQUALS, PATTERN_GLOB, PATTERN_REGEX };

struct pattern {
    enum pattern_kind kind;
    bool ignore_case;
    struct slice text;
    void *code;                      /* compiled, where it needs to be */
};

/* text must live as long as the pattern. 0 or -ERR_USAGE. */
int pattern_compile(enum pattern_kind kind, struct slice text, bool ignore_case, struct arena *a,
                    struct pattern *out, struct err *e) MUST_CHECK;

enum pattern_result { PATTERN_MISSES, PATTERN_FITS, PATTERN_TOO_COSTLY };
enum pattern_result pattern_test(const struct pattern *p, struct slice subject);
const char *pattern_kind_name(enum pattern_kind k);

#endif
