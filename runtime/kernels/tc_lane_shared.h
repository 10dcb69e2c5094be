/* SPDX-License-Identifier: 0BSD */
/*
 * The byte-lane product with weights that are pieces of a wider network's (tc_shared.h): a tile of output channels is put
 * together in scratch, as tc_lane_tiles.h and tc_lane_row_tiles.h copy one, then all pixels or rows are multiplied by it.
 *
 * weights  of the wider network
 * own      what is between its pieces, coded
 * scratch  what the pixels need, `copy` words; from there on a tile of weights
 */
#ifndef TC_LANE_SHARED_H
#define TC_LANE_SHARED_H

#include <stdint.h>

#include "kernels/tc_inline.h"
#include "kernels/tc_lane_row_tiles.h"
#include "kernels/tc_lane_tiles.h"
#include "kernels/tc_shared.h"

#ifdef __cplusplus
extern "C" {
#endif

/* `all`, `four` and `three` as in `tc_lane_tiles_s8`. */
TC_INLINE void tc_lane_shared_s8(const int8_t *input, int8_t *output, const int32_t *weights, const uint8_t *own,
                                 void *scratch, tc_lane_pointwise *all, tc_lane_block *four, tc_lane_block *three,
                                 const tc_shared_step *steps, const tc_lane_tiles_shape *tiles)
{
    int32_t *const here = (int32_t *)scratch + tiles->copy;
    tc_shared_reader reader = tc_shared_begin((const uint32_t *)(const void *)weights, own, steps);
    for (int32_t pair = 0; pair < (tiles->conv.output_channels + 1) / 2; pair += tiles->pairs) {
        const tc_lane_tile tile = tc_lane_tiles_at(here, pair, tiles);
        tc_shared_next(&reader, (uint32_t *)here,
                       (uint32_t)(tc_lane_tiles_pairs(pair, tiles) * tiles->conv.pair_words));
        tc_lane_tiles_pixels(input, output, &tile, (uint32_t *)scratch, tiles->keeps, all, four, three, &tiles->conv);
    }
}

TC_INLINE void tc_lane_row_shared_s8(const int8_t *input, int8_t *output, const int32_t *weights, const uint8_t *own,
                                     void *scratch, tc_lane_row *compute, const tc_shared_step *steps,
                                     const tc_lane_row_tiles_shape *tiles)
{
    int32_t *const here = (int32_t *)scratch + tiles->copy;
    tc_shared_reader reader = tc_shared_begin((const uint32_t *)(const void *)weights, own, steps);
    for (int32_t block = 0; block < (tiles->layer.outputs + 7) / 8; block += tiles->blocks) {
        tc_shared_next(&reader, (uint32_t *)here,
                       (uint32_t)(tc_lane_row_tiles_blocks(block, tiles) * tiles->layer.block_words));
        tc_lane_row_tiles_rows(input, output, here, (uint32_t *)scratch, block, compute, tiles);
    }
}

#ifdef __cplusplus
}
#endif

#endif
