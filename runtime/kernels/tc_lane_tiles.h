/* SPDX-License-Identifier: 0BSD */
/*
 * Convolution by the byte-lane product (tc_lane_conv2d.h) with the loop over output channels outside: for weights that are
 * read once from a slow memory, although no cache holds them all.
 *
 * weights  per pair of channels, as the block functions read them (tc_lane_block.h)
 * scratch  as for `tc_lane_conv2d_s8`, or all blocks expanded, then what is behind a block there; from the first border of 32 bytes behind word `copy` on a tile of weights, or two of
 *          them, `spacing` words apart, a multiple of 8
 *
 * A tile of weights, some pairs of channels, is copied to scratch; then all blocks of pixels are expanded and multiplied by
 * it, unless the first tile's expanded blocks are kept. With two places for tiles the next one is fetched meanwhile (tc_fetch.h). The input is read once per tile, so the
 * output must lie elsewhere.
 */
#ifndef TC_LANE_TILES_H
#define TC_LANE_TILES_H

#include <stdint.h>

#include "kernels/tc_align.h"
#include "kernels/tc_fetch.h"
#include "kernels/tc_inline.h"
#include "kernels/tc_lane.h"
#include "kernels/tc_lane_block.h"
#include "kernels/tc_lane_conv2d.h"
#include "kernels/tc_lane_pointwise.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tc_lane_tiles_shape {
    tc_lane_conv2d_shape conv; /* at least 2 output channels */
    int32_t pairs;             /* of channels in a tile; the last may have fewer, but not only the one that repeats a channel */
    int32_t copy;              /* words of scratch in front of the tiles */
    int32_t spacing;           /* words from one place for a tile to the other; 0 where there is one */
    int32_t keeps;             /* all blocks stay expanded; not with a function for all blocks of 4 */
} tc_lane_tiles_shape;

/* A tile that is in RAM. */
typedef struct tc_lane_tile {
    const int32_t *weights;
    const int32_t *weights_end; /* as in tc_lane_job */
    const int32_t *last_end;
    int32_t first;    /* channel */
    int32_t channels;
} tc_lane_tile;

/* Expands the next block of `pixels` (4 or 3), `count` of which exist. */
TC_INLINE void tc_lane_tiles_expand(const tc_lane_position *at, int32_t pixels, int32_t count, uint32_t *block,
                                    int8_t *after, const tc_lane_conv2d_shape *shape)
{
    if (count < pixels) {
        tc_lane_conv2d_expand_rest(at, block, after, shape);
    } else if (shape->gathers != 0) {
        tc_lane_expand_windows(at->input, at->y, at->x, (uint32_t)pixels, after, block, shape);
    } else {
        const uint32_t depth = (uint32_t)shape->input_channels;
        tc_lane_expand(at->input, depth, depth, (uint32_t)pixels, block);
    }
}

/* `number` blocks of `count` out of `pixels` pixels, the channels of a tile. */
TC_INLINE void tc_lane_tiles_blocks(tc_lane_position *at, const tc_lane_tile *tile, uint32_t *block, int8_t *after,
                                    int32_t pixels, int32_t count, int32_t number, int32_t keeps,
                                    tc_lane_block *compute, const tc_lane_conv2d_shape *shape)
{
    const int32_t words = 2 * pixels * shape->groups;
    tc_lane_job job = tc_lane_conv2d_job(tile->weights, block, pixels, shape);
    job.weights_end = tile->weights_end;
    job.last_end = tile->last_end;
    for (int32_t i = 0; i < number; i++) {
        int8_t *const output = at->output + tile->first;
        job.x_end = block + words;
        if (keeps == 0 || tile->first == 0) {
            tc_lane_tiles_expand(at, pixels, count, block, after, shape);
        }
        compute(block, tile->weights, count < pixels ? after : output, &job);
        for (int32_t pixel = 0; count < pixels && pixel < count; pixel++) {
            tc_memcpy(output + pixel * shape->output_channels, after + pixel * shape->output_channels,
                      (uint32_t)tile->channels);
        }
        tc_lane_advance(at, pixels, shape);
        block += keeps != 0 ? words : 0;
    }
}

/* All blocks; those of 4 pixels by `all`, which expands them itself, if there is such a function, else by `four`. */
TC_INLINE void tc_lane_tiles_pixels(const int8_t *input, int8_t *output, const tc_lane_tile *tile, uint32_t *block,
                                    int32_t keeps, tc_lane_pointwise *all, tc_lane_block *four, tc_lane_block *three,
                                    const tc_lane_conv2d_shape *shape)
{
    tc_lane_position at = {input, output, 0, 0};
    uint32_t *const threes = block + (keeps != 0 ? 8 * shape->fours * shape->groups : 0);
    uint32_t *const last = threes + (keeps != 0 ? 6 * shape->threes * shape->groups : 0);
    const int32_t largest = shape->fours > 0 ? 8 : 6;
    int8_t *const after = (int8_t *)(last + (keeps == 0 ? largest : shape->rest > 0 ? 6 : 0) * shape->groups);
    if (all != NULL) {
        /* Called for block after block: it takes the outputs of the next one to follow all channels of this one. */
        tc_lane_pointwise_job job = {block, input, tile->weights_end, tile->last_end};
        for (int32_t i = 0; i < shape->fours; i++) {
            job.input_end += 4 * shape->input_channels;
            all(at.input, tile->weights, at.output + tile->first, &job);
            tc_lane_advance(&at, 4, shape);
        }
    } else if (shape->fours > 0) {
        tc_lane_tiles_blocks(&at, tile, block, after, 4, 4, shape->fours, keeps, four, shape);
    }
    if (shape->threes > 0) {
        tc_lane_tiles_blocks(&at, tile, threes, after, 3, 3, shape->threes, keeps, three, shape);
    }
    if (shape->rest > 0) {
        tc_lane_tiles_blocks(&at, tile, last, after, 3, shape->rest, 1, keeps, three, shape);
    }
}

TC_INLINE int32_t tc_lane_tiles_pairs(int32_t pair, const tc_lane_tiles_shape *shape)
{
    const int32_t left = (shape->conv.output_channels + 1) / 2 - pair;
    return left < shape->pairs ? left : shape->pairs;
}

/* The tile that begins with a pair of channels, at `here`. */
TC_INLINE tc_lane_tile tc_lane_tiles_at(const int32_t *here, int32_t pair, const tc_lane_tiles_shape *shape)
{
    const int32_t channels = shape->conv.output_channels;
    const int32_t pairs = tc_lane_tiles_pairs(pair, shape);
    const int32_t beside = channels / 2 - pair < pairs ? channels / 2 - pair : pairs;
    const tc_lane_tile tile = {
        here,
        here + beside * shape->conv.pair_words,
        here + pairs * shape->conv.pair_words,
        2 * pair,
        channels - 2 * pair < 2 * pairs ? channels - 2 * pair : 2 * pairs,
    };
    return tile;
}

TC_INLINE void tc_lane_tiles_fetch(int32_t *to, const int32_t *weights, int32_t pair, const tc_lane_tiles_shape *shape)
{
    const int32_t words = shape->conv.pair_words;
    tc_fetch_begin(to, weights + pair * words, (uint32_t)(4 * tc_lane_tiles_pairs(pair, shape) * words));
}

/* `all`, `four` and `three` may be null where they aren't needed. */
TC_INLINE void tc_lane_tiles_s8(const int8_t *input, int8_t *output, const int32_t *weights, void *scratch,
                                tc_lane_pointwise *all, tc_lane_block *four, tc_lane_block *three,
                                const tc_lane_tiles_shape *shape)
{
    const int32_t total = (shape->conv.output_channels + 1) / 2;
    uint32_t *const block = (uint32_t *)scratch;
    int32_t *here = tc_fetch_place(scratch, shape->copy);
    int32_t *other = here + shape->spacing;
    tc_lane_tiles_fetch(here, weights, 0, shape);
    for (int32_t pair = 0; pair < total; pair += shape->pairs) {
        const int32_t next = pair + shape->pairs;
        const tc_lane_tile tile = tc_lane_tiles_at(here, pair, shape);
        tc_fetch_wait();
        if (shape->spacing > 0 && next < total) {
            tc_lane_tiles_fetch(other, weights, next, shape);
        }
        tc_lane_tiles_pixels(input, output, &tile, block, shape->keeps, all, four, three, &shape->conv);
        if (shape->spacing == 0 && next < total) {
            tc_lane_tiles_fetch(here, weights, next, shape);
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
