/* SPDX-License-Identifier: Apache-2.0 */
#include "token/classes.h"

#include <pthread.h>
#include <string.h>

#include "base/mem.h"

/* Only in the table's rows. */
enum { OTHER = CLASS_OTHER, UPPER = CLASS_UPPER, LOWER = CLASS_LOWER, LETTER = CLASS_LETTER,
       MARK = CLASS_MARK, NUMBER = CLASS_NUMBER, SPACE = CLASS_SPACE, PAIRS };

static const struct {
    uint32_t first, count;
    uint8_t class;
} rows[] = {
#include "token/class_table.h"
};
enum { ROWS = sizeof rows / sizeof rows[0] };

static struct class_map map;
static pthread_once_t made = PTHREAD_ONCE_INIT;

/* The part of a row that lies in the block. */
static void row_to_block(unsigned row, uint32_t start, uint8_t block[CLASS_BLOCK]) {
    uint32_t end = rows[row].first + rows[row].count;
    uint32_t from = rows[row].first > start ? rows[row].first : start;
    uint32_t to = end < start + CLASS_BLOCK ? end : start + CLASS_BLOCK;
    for (uint32_t code = from; code < to; code++) {
        bool is_upper = (code - rows[row].first) % 2 == 0;
        uint8_t of_pair = is_upper ? UPPER : LOWER;
        block[code - start] = rows[row].class == PAIRS ? of_pair : rows[row].class;
    }
}

/* Equal blocks are kept once: most are all of one class. */
static unsigned block_index(uint8_t *blocks, unsigned *n, const uint8_t block[CLASS_BLOCK]) {
    for (unsigned i = 0; i < *n; i++) {
        if (memcmp(blocks + (size_t)i * CLASS_BLOCK, block, CLASS_BLOCK) == 0) {
            return i;
        }
    }
    memcpy(blocks + (size_t)*n * CLASS_BLOCK, block, CLASS_BLOCK);
    return (*n)++;
}

static void make_map(void) {
    /* No more blocks than rows that begin or end in them, and the one that is all OTHER. */
    uint8_t *blocks = mem_alloc((size_t)(2 * ROWS + 1) * CLASS_BLOCK);
    unsigned n = 0, row = 0;
    for (uint32_t b = 0; b < CLASS_BLOCKS; b++) {
        uint8_t block[CLASS_BLOCK] = {0};
        uint32_t start = b * CLASS_BLOCK;
        while (row < ROWS && rows[row].first + rows[row].count <= start) {
            row++;
        }
        for (unsigned i = row; i < ROWS && rows[i].first < start + CLASS_BLOCK; i++) {
            row_to_block(i, start, block);
        }
        map.block_of[b] = (uint16_t)block_index(blocks, &n, block);
    }
    map.blocks = mem_realloc(blocks, (size_t)n * CLASS_BLOCK);
}

const struct class_map *class_map_get(void) {
    pthread_once(&made, make_map);
    return &map;
}
