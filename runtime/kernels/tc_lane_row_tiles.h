/* SPDX-License-Identifier: 0BSD */
/*
 * Rows times a matrix by the byte-lane product (tc_lane_fully_connected.h) with the loop over output channels outside: the
 * weights are brought to RAM tile by tile (tc_fetch.h), each byte once, the next tile while the core works on one.
 *
 * weights  per 8 channels, as the block function reads them
 * scratch  an expanded row; from the first border of 32 bytes behind word `copy` on a tile of weights, or two of them,
 *          `spacing` words apart, a multiple of 8
 */
#ifndef TC_LANE_ROW_TILES_H
#define TC_LANE_ROW_TILES_H

#include <stdint.h>

#include "kernels/tc_fetch.h"
#include "kernels/tc_inline.h"
#include "kernels/tc_lane.h"
#include "kernels/tc_lane_fully_connected.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tc_lane_row_tiles_shape {
    tc_lane_fully_connected_shape layer;
    int32_t blocks;  /* of 8 channels in a tile; the last may have fewer */
    int32_t copy;    /* words of scratch in front of the tiles */
    int32_t spacing; /* words from one place for a tile to the other; 0 where there is one */
} tc_lane_row_tiles_shape;

/* How many a tile has that begins with a block. */
TC_INLINE int32_t tc_lane_row_tiles_blocks(int32_t block, const tc_lane_row_tiles_shape *shape)
{
    const int32_t left = (shape->layer.outputs + 7) / 8 - block;
    return left < shape->blocks ? left : shape->blocks;
}

/* All rows times the tile `here`, which begins with a block. */
TC_INLINE void tc_lane_row_tiles_rows(const int8_t *input, int8_t *output, const int32_t *here, uint32_t *row,
                                      int32_t block, tc_lane_row *compute, const tc_lane_row_tiles_shape *shape)
{
    const int32_t outputs = shape->layer.outputs;
    const int32_t inputs = shape->layer.inputs;
    tc_lane_fully_connected_shape tile = shape->layer;
    tile.outputs = outputs - 8 * block < 8 * shape->blocks ? outputs - 8 * block : 8 * shape->blocks;
    for (int32_t i = 0; i < shape->layer.rows; i++) {
        if (shape->layer.rows > 1 || block == 0) {
            tc_lane_expand_row(input + i * inputs, (uint32_t)inputs, row);
        }
        tc_lane_fully_connected_row(row, row + 2 * ((inputs + 3) / 4), output + i * outputs + 8 * block, here, compute,
                                    compute, &tile);
    }
}

TC_INLINE void tc_lane_row_tiles_fetch(int32_t *to, const int32_t *weights, int32_t block,
                                       const tc_lane_row_tiles_shape *shape)
{
    const int32_t words = shape->layer.block_words;
    tc_fetch_begin(to, weights + block * words, (uint32_t)(4 * tc_lane_row_tiles_blocks(block, shape) * words));
}

TC_INLINE void tc_lane_row_tiles_s8(const int8_t *input, int8_t *output, const int32_t *weights, void *scratch,
                                    tc_lane_row *compute, const tc_lane_row_tiles_shape *shape)
{
    const int32_t total = (shape->layer.outputs + 7) / 8;
    uint32_t *const row = (uint32_t *)scratch;
    int32_t *here = tc_fetch_place(scratch, shape->copy);
    int32_t *other = here + shape->spacing;
    tc_lane_row_tiles_fetch(here, weights, 0, shape);
    for (int32_t block = 0; block < total; block += shape->blocks) {
        const int32_t next = block + shape->blocks;
        tc_fetch_wait();
        if (shape->spacing > 0 && next < total) {
            tc_lane_row_tiles_fetch(other, weights, next, shape);
        }
        tc_lane_row_tiles_rows(input, output, here, row, block, compute, shape);
        if (shape->spacing == 0 && next < total) {
            tc_lane_row_tiles_fetch(here, weights, next, shape);
        }
        int32_t *const free = here;
        here = other;
        other = free;
    }
}

#ifdef __cplusplus
}
#endif

#endif
