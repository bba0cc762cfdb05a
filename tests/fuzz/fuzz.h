/* SPDX-License-Identifier: Apache-2.0 */
/* What all fuzz targets share. */
#ifndef PENSTOCK_TESTS_FUZZ_H
#define PENSTOCK_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* libFuzzer's entry, which each target defines. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Says where and what before it gives up: a fuzzer's report alone tells neither. */
#define must(holds)                                                                                \
    do {                                                                                           \
        if (!(holds)) {                                                                            \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #holds);                    \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

#endif
