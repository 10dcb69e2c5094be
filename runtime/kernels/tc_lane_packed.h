/* SPDX-License-Identifier: 0BSD */
/*
 * Convolution by the byte-lane product (tc_lane_tiles.h) with weights of 4, 3 or 2 bits: a tile of output channels is unpacked
 * to scratch, as the block functions read it, then all blocks of pixels are multiplied by it.
 *
 * weights  per pair of channels, or with 3 and 2 bits two pairs: starts, words with weights, then the parameters of each
 *          channel (tc_requant_block.h). A weight is stored as weight + 8, 4 or 2; a byte of a word has those of one input:
 *              4 bits   both channels', the first one's in its lower half; a word per 4 inputs
 *              2 bits   four channels', the first one's in its lowest bits; a word per 4 inputs
 *              3 bits   the same with their lower 2 bits, and for two such words, behind them, one with their highest bits,
 *                       those for the first word's weights in its lower half; the last word may be alone with its own
 * scratch  as for `tc_lane_conv2d_s8`; behind word `copy` the tile
 *
 * The input is read once per tile, so the output must lie elsewhere.
 */
#ifndef TC_LANE_PACKED_H
#define TC_LANE_PACKED_H

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

typedef struct tc_lane_packed_shape {
    tc_lane_tiles_shape tiles; /* `spacing` 0 */
    int32_t parameters;        /* words behind the weights of a pair of channels */
    int32_t bits;              /* of a weight */
} tc_lane_packed_shape;

/* One channel's weights of 4 inputs from the lowest bits of four bytes: lanes 256 w1 + w0 and 256 w3 + w2. */
TC_INLINE int32_t tc_lane_packed_4(uint32_t bytes)
{
    return (int32_t)tc_ssub16(bytes & 0x0F0F0F0Fu, 0x08080808u);
}
TC_INLINE int32_t tc_lane_packed_2(uint32_t bytes)
{
    return (int32_t)tc_ssub16(bytes & 0x03030303u, 0x02020202u);
}
/* `high`: the highest bits, the lowest ones of its bytes. */
TC_INLINE int32_t tc_lane_packed_3(uint32_t bytes, uint32_t high)
{
    return (int32_t)tc_ssub16((bytes & 0x03030303u) | (high & 0x01010101u) << 2, 0x04040404u);
}

/* Words up to `end`, an even number of them and not none. */
TC_INLINE void tc_lane_packed_twos(int32_t **to, const int32_t **from, const int32_t *end)
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
        out[0] = tc_lane_packed_4((uint32_t)in[0]);
        out[1] = tc_lane_packed_4((uint32_t)in[0] >> 4);
    }
#endif
    *to = out;
    *from = in;
}

/* The weights of a pair of channels, 4 bits each, `groups` x 4 inputs; returns what is behind them. */
TC_INLINE const int32_t *tc_lane_packed_pair(int32_t *to, const int32_t *from, int32_t groups)
{
    const int32_t *const end = from + groups;
    if (groups % 2 != 0) {
        const uint32_t word = (uint32_t)*from++;
        to[0] = tc_lane_packed_4(word);
        to[1] = tc_lane_packed_4(word >> 4);
        to += 2;
    }
    if (from != end) {
        tc_lane_packed_twos(&to, &from, end);
    }
    return end;
}

/* Of two pairs, which lie `pair_words` apart, 2 bits each. */
TC_INLINE const int32_t *tc_lane_packed_quad_2(int32_t *to, const int32_t *from, int32_t groups, int32_t pair_words)
{
    for (const int32_t *const end = from + groups; from != end; from++, to += 2) {
        const uint32_t word = (uint32_t)*from;
        to[0] = tc_lane_packed_2(word);
        to[1] = tc_lane_packed_2(word >> 2);
        to[pair_words] = tc_lane_packed_2(word >> 4);
        to[pair_words + 1] = tc_lane_packed_2(word >> 6);
    }
    return from;
}

/* The same with 3 bits. */
TC_INLINE void tc_lane_packed_group_3(int32_t *to, uint32_t word, uint32_t high, int32_t pair_words)
{
    to[0] = tc_lane_packed_3(word, high);
    to[1] = tc_lane_packed_3(word >> 2, high >> 1);
    to[pair_words] = tc_lane_packed_3(word >> 4, high >> 2);
    to[pair_words + 1] = tc_lane_packed_3(word >> 6, high >> 3);
}

TC_INLINE const int32_t *tc_lane_packed_quad_3(int32_t *to, const int32_t *from, int32_t groups, int32_t pair_words)
{
    for (; groups >= 2; groups -= 2, from += 3, to += 4) {
        tc_lane_packed_group_3(to, (uint32_t)from[0], (uint32_t)from[2], pair_words);
        tc_lane_packed_group_3(to + 2, (uint32_t)from[1], (uint32_t)from[2] >> 4, pair_words);
    }
    if (groups > 0) {
        tc_lane_packed_group_3(to, (uint32_t)from[0], (uint32_t)from[1], pair_words);
        from += 2;
    }
    return from;
}

/* `pairs` of channels, of `groups` x 4 inputs; returns where the next ones are packed. */
TC_INLINE const int32_t *tc_lane_packed_unpack(int32_t *to, const int32_t *from, int32_t pairs, int32_t groups,
                                               int32_t pair_words, int32_t parameters, int bits)
{
    const int32_t together = bits == 4 ? 1 : 2;
    for (int32_t pair = 0; pair < pairs; pair += together) {
        for (int32_t i = 0; i < together; i++, from += 2) {
            to[i * pair_words] = from[0];
            to[i * pair_words + 1] = from[1];
        }
        from = bits == 4   ? tc_lane_packed_pair(to + 2, from, groups)
               : bits == 3 ? tc_lane_packed_quad_3(to + 2, from, groups, pair_words)
                           : tc_lane_packed_quad_2(to + 2, from, groups, pair_words);
        for (int32_t i = 0; i < together; i++, to += pair_words) {
            for (int32_t at = pair_words - parameters; at < pair_words; at++) {
                to[at] = *from++;
            }
        }
    }
    return from;
}

#define TC_LANE_PACKED_UNPACK(bits) \
    static TC_NOINLINE const int32_t *tc_lane_packed_unpack_##bits(int32_t *to, const int32_t *from, int32_t pairs, \
                                                                   int32_t groups, int32_t pair_words, \
                                                                   int32_t parameters) \
    { \
        return tc_lane_packed_unpack(to, from, pairs, groups, pair_words, parameters, bits); \
    }
TC_LANE_PACKED_UNPACK(4)
TC_LANE_PACKED_UNPACK(3)
TC_LANE_PACKED_UNPACK(2)

/* `all`, `four` and `three` as in `tc_lane_tiles_s8`. */
TC_INLINE void tc_lane_packed_s8(const int8_t *input, int8_t *output, const int32_t *weights, void *scratch,
                                 tc_lane_pointwise *all, tc_lane_block *four, tc_lane_block *three,
                                 const tc_lane_packed_shape *shape)
{
    const tc_lane_tiles_shape *const tiles = &shape->tiles;
    const int32_t channels = tiles->conv.output_channels;
    const int32_t words = tiles->conv.pair_words;
    uint32_t *const block = (uint32_t *)scratch;
    int32_t *const here = (int32_t *)scratch + tiles->copy;
    for (int32_t pair = 0; pair < (channels + 1) / 2; pair += tiles->pairs) {
        const int32_t pairs = tc_lane_tiles_pairs(pair, tiles);
        const tc_lane_tile tile = tc_lane_tiles_at(here, pair, tiles);
        weights = (shape->bits == 4   ? tc_lane_packed_unpack_4
                   : shape->bits == 3 ? tc_lane_packed_unpack_3
                                      : tc_lane_packed_unpack_2)(here, weights, pairs, tiles->conv.groups, words,
                                                                 shape->parameters);
        tc_lane_tiles_pixels(input, output, &tile, block, tiles->keeps, all, four, three, &tiles->conv);
    }
}

#ifdef __cplusplus
}
#endif

#endif
