/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"

#include <stdbool.h>
#include <time.h>

static struct clock_source fake; /* real clocks while its functions are NULL */

static int64_t read_clock(clockid_t id) {
    struct timespec t;
    clock_gettime(id, &t);
    return (int64_t)t.tv_sec * NS_PER_S + t.tv_nsec;
}

int64_t clock_mono_ns(void) {
    return fake.mono_ns ? fake.mono_ns(fake.self) : read_clock(CLOCK_MONOTONIC);
}

int64_t clock_wall_ns(void) {
    return fake.wall_ns ? fake.wall_ns(fake.self) : read_clock(CLOCK_REALTIME);
}

void clock_utc_text(int64_t wall_s, char out_text[CLOCK_TEXT_BYTES]) {
    time_t at = (time_t)wall_s;
    struct tm utc;
    bool is_told = gmtime_r(&at, &utc) &&
                   strftime(out_text, CLOCK_TEXT_BYTES, "%Y-%m-%dT%H:%M:%SZ", &utc) > 0;
    if (!is_told) out_text[0] = '\0';
}

void clock_set_source(const struct clock_source *source) {
    fake = source ? *source : (struct clock_source){0};
}
