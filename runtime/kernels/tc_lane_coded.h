/* SPDX-License-Identifier: 0BSD */
/*
 * The byte-lane product with weights in a prefix code (tc_coded.h) or as indices (tc_table_coded.h): a tile of output channels is decoded to scratch, as
 * tc_lane_tiles.h and tc_lane_row_tiles.h copy one, then all pixels or rows are multiplied by it.
 *
 * weights  the code of all weights, tile after tile
 * scratch  what the pixels need, `copy` words; from there on a tile of weights, `room` words, and the table of the code
 */
#ifndef TC_LANE_CODED_H
#define TC_LANE_CODED_H

#include <stdint.h>

#include "kernels/tc_coded.h"
#include "kernels/tc_inline.h"
#include "kernels/tc_lane_row_tiles.h"
#include "kernels/tc_lane_tiles.h"
#include "kernels/tc_table_coded.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tc_lane_code {
    uint32_t words;
    uint32_t bits; /* of an index into tables; 0 for a prefix code */
    uint32_t is_signed;
} tc_lane_code;

typedef struct tc_lane_decoder {
    tc_coded prefix;
    tc_table_coded tables;
} tc_lane_decoder;

TC_INLINE void tc_lane_decoder_begin(tc_lane_decoder *decoder, const uint32_t *weights, uint16_t *table,
                                     const tc_lane_code *code)
{
    if (code->bits != 0u) {
        decoder->tables = tc_table_coded_begin(weights, code->words, code->bits, code->is_signed, table);
    } else {
        decoder->prefix = tc_coded_begin(weights, code->words, table);
    }
}

TC_INLINE void tc_lane_decoder_next(tc_lane_decoder *decoder, void *to, uint32_t bytes, const tc_lane_code *code)
{
    if (code->bits != 0u) {
        tc_table_coded_next(&decoder->tables, to, bytes, code->bits);
    } else {
        tc_coded_next(&decoder->prefix, to, bytes);
    }
}

typedef struct tc_lane_coded_shape {
    tc_lane_tiles_shape tiles; /* `spacing` 0 */
    int32_t room;              /* words of a tile */
    tc_lane_code code;
} tc_lane_coded_shape;

/* `all`, `four` and `three` as in `tc_lane_tiles_s8`. */
TC_INLINE void tc_lane_coded_s8(const int8_t *input, int8_t *output, const uint32_t *weights, void *scratch,
                                tc_lane_pointwise *all, tc_lane_block *four, tc_lane_block *three,
                                const tc_lane_coded_shape *shape)
{
    const tc_lane_tiles_shape *const tiles = &shape->tiles;
    int32_t *const here = (int32_t *)scratch + tiles->copy;
    tc_lane_decoder decoder;
    tc_lane_decoder_begin(&decoder, weights, (uint16_t *)(here + shape->room), &shape->code);
    for (int32_t pair = 0; pair < (tiles->conv.output_channels + 1) / 2; pair += tiles->pairs) {
        const tc_lane_tile tile = tc_lane_tiles_at(here, pair, tiles);
        tc_lane_decoder_next(&decoder, here, (uint32_t)(4 * tc_lane_tiles_pairs(pair, tiles) * tiles->conv.pair_words),
                             &shape->code);
        tc_lane_tiles_pixels(input, output, &tile, (uint32_t *)scratch, tiles->keeps, all, four, three, &tiles->conv);
    }
}

typedef struct tc_lane_row_coded_shape {
    tc_lane_row_tiles_shape tiles; /* `spacing` 0 */
    int32_t room;                  /* words of a tile */
    tc_lane_code code;
} tc_lane_row_coded_shape;

TC_INLINE void tc_lane_row_coded_s8(const int8_t *input, int8_t *output, const uint32_t *weights, void *scratch,
                                    tc_lane_row *compute, const tc_lane_row_coded_shape *shape)
{
    const tc_lane_row_tiles_shape *const tiles = &shape->tiles;
    int32_t *const here = (int32_t *)scratch + tiles->copy;
    tc_lane_decoder decoder;
    tc_lane_decoder_begin(&decoder, weights, (uint16_t *)(here + shape->room), &shape->code);
    for (int32_t block = 0; block < (tiles->layer.outputs + 7) / 8; block += tiles->blocks) {
        tc_lane_decoder_next(&decoder, here,
                             (uint32_t)(4 * tc_lane_row_tiles_blocks(block, tiles) * tiles->layer.block_words),
                             &shape->code);
        tc_lane_row_tiles_rows(input, output, here, (uint32_t *)scratch, block, compute, tiles);
    }
}

#ifdef __cplusplus
}
#endif

#endif
