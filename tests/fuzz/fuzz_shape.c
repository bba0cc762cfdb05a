/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as an upstream's events: see shape_random.h for what must hold. */
#include "fuzz.h"
#include "shape_random.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size <= 4096) shape_random_check(data, size);
    return 0;
}
