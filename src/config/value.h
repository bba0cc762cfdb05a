/* SPDX-License-Identifier: Apache-2.0 */
/* Scalars as people write them: "64KiB", "1h30m", "yes". Whole slices, no surrounding blanks.
 * Pure functions, any thread. */
#ifndef PENSTOCK_CONFIG_VALUE_H
#define PENSTOCK_CONFIG_VALUE_H

#include "base/slice.h"

/* true false yes no on off */
bool value_parse_bool(struct slice s, bool *out);
/* Plain digits, or digits with B, KB, MB, GB (powers of 1000), KiB, MiB, GiB (of 1024); case does
 * not count, nor does one blank before the unit. False on overflow. */
bool value_parse_bytes(struct slice s, uint64_t *out_bytes);
/* "0", or numbers with units, largest first: d h m s ms us ("1h30m", "1.5s", "500ms"). No bare
 * numbers but 0: nobody knows their unit. False on overflow. */
bool value_parse_duration(struct slice s, int64_t *out_ns);

#define VALUE_TEXT_BYTES 64
/* The shortest text that parses to the same value; returns out. */
const char *value_format_bytes(uint64_t bytes, char out[VALUE_TEXT_BYTES]);
const char *value_format_duration(int64_t ns, char out[VALUE_TEXT_BYTES]);

#endif
