/* SPDX-License-Identifier: 0BSD */
/*
 * Fully connected layer of floats whose weights are integers times a scale for each block of inputs.
 *
 * input    [rows][inputs]
 * output   [rows][outputs]
 * weights  [outputs][bytes]: of 8 bits int8, of 4 bits two in a byte, the first one in the lower half, each block from a
 *          whole byte on
 * scales   [outputs][blocks]; the last block may be shorter
 * lows     [outputs][blocks], or null for -8: what is added to a number of 4 bits
 * bias     [outputs], or null
 */
#ifndef TC_FLOAT_BLOCKS_H
#define TC_FLOAT_BLOCKS_H

#include <stdint.h>

#include "kernels/tc_float_bounds.h"
#include "kernels/tc_float_exact.h"
#include "kernels/tc_inline.h"
#include "kernels/tc_requant.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tc_float_blocks_shape {
    int32_t rows;
    int32_t inputs;
    int32_t outputs;
    int32_t block;
    tc_float_bounds bounds;
} tc_float_blocks_shape;

/* sum + x * weight */
TC_INLINE float tc_float_blocks_add(float sum, float x, int32_t weight)
{
    return tc_opaque(sum + tc_opaque(x * (float)weight));
}

TC_INLINE float tc_float_blocks_finish(float sum, const float *bias, int32_t channel,
                                       const tc_float_blocks_shape *shape)
{
    return tc_float_bounded(bias ? tc_opaque(sum + bias[channel]) : sum, &shape->bounds);
}

TC_INLINE void tc_float_blocks_8(const float *input, float *output, const int8_t *weights, const float *scales,
                                 const float *bias, const tc_float_blocks_shape *shape)
{
    for (int32_t row = 0; row < shape->rows; ++row) {
        const int8_t *w = weights;
        const float *scale = scales;
        for (int32_t channel = 0; channel < shape->outputs; ++channel) {
            float sum = 0.0f;
            for (int32_t begin = 0; begin < shape->inputs; begin += shape->block) {
                const int32_t end = tc_min(begin + shape->block, shape->inputs);
                float of_block = 0.0f;
                for (int32_t i = begin; i < end; ++i) {
                    of_block = tc_float_blocks_add(of_block, input[i], *w++);
                }
                sum = tc_opaque(sum + tc_opaque(of_block * *scale++));
            }
            *output++ = tc_float_blocks_finish(sum, bias, channel, shape);
        }
        input += shape->inputs;
    }
}

TC_INLINE void tc_float_blocks_4(const float *input, float *output, const uint8_t *weights, const float *scales,
                                 const int8_t *lows, const float *bias, const tc_float_blocks_shape *shape)
{
    for (int32_t row = 0; row < shape->rows; ++row) {
        const uint8_t *w = weights;
        const float *scale = scales;
        const int8_t *lowest = lows;
        for (int32_t channel = 0; channel < shape->outputs; ++channel) {
            float sum = 0.0f;
            for (int32_t begin = 0; begin < shape->inputs; begin += shape->block) {
                const int32_t end = tc_min(begin + shape->block, shape->inputs);
                const int32_t low = lows ? *lowest++ : -8;
                float of_block = 0.0f;
                int32_t i = begin;
                for (; i + 1 < end; i += 2) {
                    const int32_t both = *w++;
                    of_block = tc_float_blocks_add(of_block, input[i], (both & 15) + low);
                    of_block = tc_float_blocks_add(of_block, input[i + 1], (both >> 4) + low);
                }
                if (i < end) {
                    of_block = tc_float_blocks_add(of_block, input[i], (*w++ & 15) + low);
                }
                sum = tc_opaque(sum + tc_opaque(of_block * *scale++));
            }
            *output++ = tc_float_blocks_finish(sum, bias, channel, shape);
        }
        input += shape->inputs;
    }
}

#ifdef __cplusplus
}
#endif

#endif
