/* SPDX-License-Identifier: 0BSD */
/*
 * A fully connected layer of one row whose weights are trained: they are rounded as they are read, so that there is no memory
 * for int8 weights, which would be read once.
 *
 * masters     int16 [channels][inputs], 256 times the weights; inputs is an even number
 * input       int8 [inputs]
 * bias        int32 [channels]
 * parameters  per channel: start, then the requantisation (tc_requant_block.h)
 * scratch     int16_t [inputs]: the inputs minus their zero point
 */
#ifndef TC_TRAINED_MASTERS_H
#define TC_TRAINED_MASTERS_H

#include <stddef.h>
#include <stdint.h>

#include "cmsis_shim/tc_simd.h"
#include "kernels/tc_added_bias.h"
#include "kernels/tc_align.h"
#include "kernels/tc_inline.h"
#include "kernels/tc_requant_block.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TC_MASTERS_TOGETHER 4

typedef struct tc_trained_masters_shape {
    int32_t inputs;
    int32_t zero_point;
    int32_t left; /* by how many bits sums are shifted for the requantisation */
    tc_added_bias added;
    tc_requant_block requant;
} tc_trained_masters_shape;

/* Two master weights as lanes of weights. */
TC_INLINE uint32_t tc_two_rounded(const int16_t *masters)
{
    return tc_sxtb16(tc_sadd16(tc_load4(masters), 0x00800080u), 8);
}

TC_INLINE int8_t tc_masters_output(int32_t sum, int32_t bias, const int32_t *parameters,
                                   const tc_trained_masters_shape *shape)
{
    const uint32_t start = (uint32_t)tc_with_bias(parameters[0], bias, shape->added);
    return tc_requantize_block((int32_t)(((uint32_t)sum << shape->left) + start), parameters + 1, &shape->requant);
}

/* `bias` may be null. */
TC_INLINE void tc_trained_masters(const int16_t *masters, const int8_t *input, const int32_t *bias, int8_t *output,
                                  const int32_t *parameters, void *scratch, const tc_trained_masters_shape *shape)
{
    const int32_t inputs = shape->inputs;
    const int32_t channels = shape->added.channels;
    const int32_t words = 1 + (int32_t)tc_requant_block_words(&shape->requant);
    int16_t *const x = (int16_t *)scratch;
    for (int32_t i = 0; i < inputs; ++i) {
        x[i] = (int16_t)(input[i] - shape->zero_point);
    }
    const int32_t whole = channels / TC_MASTERS_TOGETHER * TC_MASTERS_TOGETHER;
    for (int32_t channel = 0; channel < whole; channel += TC_MASTERS_TOGETHER) {
        const int16_t *const rows = masters + channel * inputs;
        int32_t sums[TC_MASTERS_TOGETHER] = {0, 0, 0, 0};
#if defined(__GNUC__)
#pragma GCC unroll 2
#endif
        for (int32_t i = 0; i < inputs; i += 2) {
            const uint32_t two = tc_load4(x + i);
#if defined(__GNUC__)
#pragma GCC unroll 4
#endif
            for (int32_t row = 0; row < TC_MASTERS_TOGETHER; ++row) {
                sums[row] = tc_smlad(tc_two_rounded(rows + row * inputs + i), two, sums[row]);
            }
        }
#if defined(__GNUC__)
#pragma GCC unroll 4
#endif
        for (int32_t row = 0; row < TC_MASTERS_TOGETHER; ++row) {
            const int32_t own = channel + row;
            output[own] = tc_masters_output(sums[row], bias == NULL ? 0 : bias[own], parameters + own * words, shape);
        }
    }
    for (int32_t channel = whole; channel < channels; ++channel) {
        int32_t sum = 0;
        for (int32_t i = 0; i < inputs; i += 2) {
            sum = tc_smlad(tc_two_rounded(masters + channel * inputs + i), tc_load4(x + i), sum);
        }
        output[channel] = tc_masters_output(sum, bias == NULL ? 0 : bias[channel], parameters + channel * words, shape);
    }
}

#ifdef __cplusplus
}
#endif

#endif
