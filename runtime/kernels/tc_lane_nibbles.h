/* SPDX-License-Identifier: 0BSD */
/*
 * Convolution by the byte-lane product (tc_lane_tiles.h) with weights of 4 bits: a tile of output channels is unpacked to
 * scratch, as the block functions read it, then all blocks of pixels are multiplied by it.
 *
 * weights  per pair of channels: 2 starts, a word per 4 inputs, then the parameters of each channel (tc_requant_block.h).
 *          A byte of a word has both channels' weights for one input, the first channel's in its lower half; each is
 *          stored as weight + 8
 * scratch  as for `tc_lane_conv2d_s8`; behind word `copy` the tile
 *
 * The input is read once per tile, so the output must lie elsewhere.
 */
#ifndef TC_LANE_NIBBLES_H
#define TC_LANE_NIBBLES_H

#include <stdint.h>

#include "cmsis_shim/tc_simd.h"
#include "kernels/tc_inline.h"
#include "kernels/tc_lane_block.h"
#include "kernels/tc_lane_conv2d.h"
#include "kernels/tc_lane_pointwise.h"
#include "kernels/tc_lane_tiles.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tc_lane_nibbles_shape {
    tc_lane_tiles_shape tiles; /* `spacing` 0 */
    int32_t parameters;        /* words behind the weights of a pair of channels */
} tc_lane_nibbles_shape;

/* One channel's weights of 4 inputs from the lower halves of four bytes: lanes 256 w1 + w0 and 256 w3 + w2. */
TC_INLINE uint32_t tc_lane_nibbles_word(uint32_t halves)
{
    return tc_ssub16(halves & 0x0F0F0F0Fu, 0x08080808u);
}

/* Words up to `end`, an even number of them and not none. */
TC_INLINE void tc_lane_nibbles_twos(int32_t **to, const int32_t **from, const int32_t *end)
{
    int32_t *out = *to;
    const int32_t *in = *from;
#if TC_DSP
    __asm__ volatile("1:\n\t"
                     "ldmia %1!, {r3, r5}\n\t"
                     "and r4, %3, r3, lsr #4\n\t"
                     "and r6, %3, r5, lsr #4\n\t"
                     "and r3, r3, %3\n\t"
                     "and r5, r5, %3\n\t"
                     "ssub16 r3, r3, %4\n\t"
                     "ssub16 r4, r4, %4\n\t"
                     "ssub16 r5, r5, %4\n\t"
                     "ssub16 r6, r6, %4\n\t"
                     "stmia %0!, {r3, r4, r5, r6}\n\t"
                     "cmp %1, %2\n\t"
                     "bne 1b\n\t"
                     : "+r"(out), "+r"(in)
                     : "r"(end), "r"(0x0F0F0F0Fu), "r"(0x08080808u)
                     : "r3", "r4", "r5", "r6", "cc", "memory");
#else
    for (; in != end; in++, out += 2) {
        out[0] = (int32_t)tc_lane_nibbles_word((uint32_t)in[0]);
        out[1] = (int32_t)tc_lane_nibbles_word((uint32_t)in[0] >> 4);
    }
#endif
    *to = out;
    *from = in;
}

/* `pairs` of channels, of `groups` words each; returns where the next pair is packed. */
static TC_NOINLINE const int32_t *tc_lane_nibbles_unpack(int32_t *to, const int32_t *from, int32_t pairs, int32_t groups,
                                                         int32_t parameters)
{
    for (int32_t pair = 0; pair < pairs; pair++) {
        to[0] = from[0];
        to[1] = from[1];
        to += 2;
        from += 2;
        const int32_t *const words_end = from + groups;
        if (groups % 2 != 0) {
            const uint32_t word = (uint32_t)*from++;
            to[0] = (int32_t)tc_lane_nibbles_word(word);
            to[1] = (int32_t)tc_lane_nibbles_word(word >> 4);
            to += 2;
        }
        if (from != words_end) {
            tc_lane_nibbles_twos(&to, &from, words_end);
        }
        for (int32_t i = 0; i < parameters; i++) {
            *to++ = *from++;
        }
    }
    return from;
}

/* `all`, `four` and `three` as in `tc_lane_tiles_s8`. */
TC_INLINE void tc_lane_nibbles_s8(const int8_t *input, int8_t *output, const int32_t *weights, void *scratch,
                                  tc_lane_pointwise *all, tc_lane_block *four, tc_lane_block *three,
                                  const tc_lane_nibbles_shape *shape)
{
    const tc_lane_tiles_shape *const tiles = &shape->tiles;
    const int32_t channels = tiles->conv.output_channels;
    const int32_t words = tiles->conv.pair_words;
    uint32_t *const block = (uint32_t *)scratch;
    int32_t *const here = (int32_t *)scratch + tiles->copy;
    for (int32_t pair = 0; pair < (channels + 1) / 2; pair += tiles->pairs) {
        const int32_t pairs = tc_lane_tiles_pairs(pair, tiles);
        const int32_t beside = channels / 2 - pair < pairs ? channels / 2 - pair : pairs;
        const tc_lane_tile tile = {
            here,
            here + beside * words,
            here + pairs * words,
            2 * pair,
            channels - 2 * pair < 2 * pairs ? channels - 2 * pair : 2 * pairs,
        };
        weights = tc_lane_nibbles_unpack(here, weights, pairs, tiles->conv.groups, shape->parameters);
        tc_lane_tiles_pixels(input, output, &tile, block, tiles->keeps, all, four, three, &tiles->conv);
    }
}

#ifdef __cplusplus
}
#endif

#endif
