/* SPDX-License-Identifier: 0BSD */
/*
 * A row times a matrix, 8 channels at a time, two products to a multiplication: for cores with some 30 registers.
 *
 * A word has a weight of four channels, w + 128 each: a' + 2^8 c' + 2^16 b' + 2^24 d'. Masked it is two lanes, and shifted
 * by 8 as well, with 2^8 b' between them:
 *     first  = sum of x (a' + 2^16 b')            = sum of x (a + 2^16 b) + 0x800080 X
 *     second = sum of x (c' + 2^8 b' + 2^16 d')   = sum of x (c + 2^16 d) + 0x800080 X + 2^8 (sum of x b + 128 X)
 * modulo 2^32, where X is the sum of the inputs. A group of taps ends before a lane may leave 16 bits (tc_packed.h); then
 * the first word gives b's sum, which the second one needs.
 *
 * input    [inputs], int8, an even number
 * output   [outputs], int8
 * weights  [outputs / 8, rounded up][inputs][2] words
 * groups   for each 8 channels the halves of their groups' numbers of taps, which are even, and a 0
 * channels per output channel: requantisation (tc_scalar_requant.h), whose sums begin with 0
 */
#ifndef TC_PAIRED_ROW_H
#define TC_PAIRED_ROW_H

#include "kernels/tc_packed.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Keeps a compiler from mixing taps, which takes registers that totals need, and from computing a pointer anew. */
#if defined(__GNUC__)
#define TC_PAIRED_ROW_IN_ORDER(pointer) __asm__ volatile("" : "+r"(pointer) : : "memory")
#else
#define TC_PAIRED_ROW_IN_ORDER(pointer)
#endif

typedef struct tc_paired_row_shape {
    int32_t inputs;
    int32_t outputs;
    tc_scalar_requant requant;
} tc_paired_row_shape;

/* A group's two words of four channels, less what the 128s add, to their totals; `inputs` is the group's X. */
TC_INLINE void tc_paired_row_take(tc_packed_pair *pairs, uint32_t first, uint32_t second, uint32_t inputs)
{
    const uint32_t added = inputs * 0x800080u;
    first -= added;
    const int32_t b = (int32_t)(first + 0x8000u) >> 16;
    second -= added + (((uint32_t)b + (inputs << 7)) << 8);
    pairs[0].both = (int32_t)((uint32_t)pairs[0].both + first);
    pairs[0].high += b;
    tc_packed_take(&pairs[1], second);
}

/* Of 8 channels; returns what follows in `groups`. */
static TC_NOINLINE const uint8_t *tc_paired_row_sums(const int8_t *x, const uint32_t *weights, const uint8_t *groups,
                                                     tc_packed_pair *pairs)
{
    tc_packed_pair sums[4] = {{0, 0}, {0, 0}, {0, 0}, {0, 0}}; /* in registers */
    for (uint32_t count = *groups++; count != 0u; count = *groups++) {
        uint32_t first[2] = {0, 0};
        uint32_t second[2] = {0, 0};
        uint32_t inputs = 0;
        for (const int8_t *const end = x + 2u * count; x != end; x += 2, weights += 4) {
#pragma GCC unroll 2
            for (uint32_t i = 0; i < 2u; i++) {
                const uint32_t value = (uint32_t)x[i];
                const uint32_t left = weights[2u * i];
                const uint32_t right = weights[2u * i + 1u];
                inputs += value;
                first[0] += value * (left & 0x00FF00FFu);
                second[0] += value * (left >> 8);
                first[1] += value * (right & 0x00FF00FFu);
                second[1] += value * (right >> 8);
                TC_PAIRED_ROW_IN_ORDER(weights);
            }
        }
        tc_paired_row_take(sums, first[0], second[0], inputs);
        tc_paired_row_take(sums + 2, first[1], second[1], inputs);
    }
#pragma GCC unroll 4
    for (uint32_t i = 0; i < 4u; i++) {
        pairs[i] = sums[i];
    }
    return groups;
}

TC_INLINE void tc_paired_row_s8(const int8_t *input, int8_t *output, const uint32_t *weights, const uint8_t *groups,
                                const int32_t *channels, const tc_paired_row_shape *shape)
{
    const int32_t words = (int32_t)tc_scalar_requant_words(&shape->requant);
    for (int32_t channel = 0; channel < shape->outputs; channel += 8, weights += 2 * shape->inputs) {
        tc_packed_pair pairs[4];
        groups = tc_paired_row_sums(input, weights, groups, pairs);
        const int32_t count = tc_min(8, shape->outputs - channel);
        for (int32_t c = 0; c < count; c++, channels += words) {
            const tc_packed_pair *pair = &pairs[c / 2];
            const int32_t sum = c % 2 == 0 ? tc_packed_first(pair) : pair->high;
            output[channel + c] = tc_scalar_requantize(sum, channels, &shape->requant);
        }
    }
}

#ifdef __cplusplus
}
#endif

#endif
