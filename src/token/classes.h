/* SPDX-License-Identifier: Apache-2.0 */
/* What a code point is to the tokenizers' patterns: Unicode's general categories, grouped. */
#ifndef PENSTOCK_TOKEN_CLASSES_H
#define PENSTOCK_TOKEN_CLASSES_H

#include <stddef.h>
#include <stdint.h>

enum class {
    CLASS_OTHER,  /* none of these; bytes that are not UTF-8, too */
    CLASS_UPPER,  /* Lu, Lt */
    CLASS_LOWER,  /* Ll */
    CLASS_LETTER, /* Lm, Lo */
    CLASS_MARK,   /* M */
    CLASS_NUMBER, /* N */
    CLASS_SPACE,  /* White_Space */
    CLASS_END     /* no code point at all: the text ends */
};

enum { CLASS_BLOCK = 128, CLASS_BLOCKS = 0x110000 / CLASS_BLOCK };

struct class_map {
    const uint8_t *blocks;              /* CLASS_BLOCK classes each; the first one is ASCII's */
    uint16_t block_of[CLASS_BLOCKS];
};

/* Made at the first call; any thread. */
const struct class_map *class_map_get(void);

/* code <= 0x10ffff. */
static inline enum class class_of(const struct class_map *m, uint32_t code) {
    size_t block = m->block_of[code / CLASS_BLOCK];
    return (enum class)m->blocks[block * CLASS_BLOCK + code % CLASS_BLOCK];
}

#endif
