/* SPDX-License-Identifier: 0BSD */
/*
 * Fully connected layer whose weights have a factor for each block of inputs (docs/low_bit.md).
 *
 * input    [rows][inputs], int8
 * output   [rows][outputs], int8
 * weights  [outputs][inputs], int8
 * factors  [outputs][blocks], not negative; the last block may be shorter
 *
 * Outputs are written after the row of inputs was read for them.
 */
#ifndef TC_BLOCKWISE_H
#define TC_BLOCKWISE_H

#include <stdint.h>

#include "kernels/tc_dot.h"
#include "kernels/tc_finish.h"
#include "kernels/tc_inline.h"
#include "kernels/tc_requant.h"
#include "kernels/tc_wide_linear.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Where the sums of all blocks times their factors fit in 32 bits; `channels` is what `finish` needs (tc_finish.h). */
typedef struct tc_blockwise_shape {
    int32_t rows;
    int32_t inputs;
    int32_t outputs;
    int32_t block;
    tc_output_range range;
} tc_blockwise_shape;

TC_INLINE void tc_blockwise_s8(const int8_t *input, int8_t *output, const int8_t *weights, const int32_t *factors,
                               const void *channels, tc_finish *finish, const tc_blockwise_shape *shape)
{
    for (int32_t row = 0; row < shape->rows; ++row) {
        const int8_t *w = weights;
        const int32_t *factor = factors;
        for (int32_t channel = 0; channel < shape->outputs; ++channel) {
            int32_t sum = 0;
            for (int32_t begin = 0; begin < shape->inputs; begin += shape->block) {
                const int32_t count = tc_min(shape->block, shape->inputs - begin);
                sum += tc_dot_s8(input + begin, w + begin, count) * *factor++;
            }
            *output++ = (int8_t)finish(sum, channels, channel, &shape->range);
            w += shape->inputs;
        }
        input += shape->inputs;
    }
}

/* The same with sums of 63 bits. */
typedef struct tc_blockwise_wide_shape {
    int32_t rows;
    int32_t inputs;
    int32_t outputs;
    int32_t block;
    tc_wide_range range;
} tc_blockwise_wide_shape;

/* What such a sum begins with; the others as of tc_wide_channel. */
typedef struct tc_blockwise_channel {
    int64_t start;
    int64_t bias;
    int32_t multiplier;
    int32_t right;
} tc_blockwise_channel;

TC_INLINE void tc_blockwise_wide_s8(const int8_t *input, int8_t *output, const int8_t *weights, const int32_t *factors,
                                    const tc_blockwise_channel *channels, const tc_blockwise_wide_shape *shape)
{
    for (int32_t row = 0; row < shape->rows; ++row) {
        const int8_t *w = weights;
        const int32_t *factor = factors;
        for (int32_t channel = 0; channel < shape->outputs; ++channel) {
            int64_t sum = channels[channel].start;
            for (int32_t begin = 0; begin < shape->inputs; begin += shape->block) {
                const int32_t count = tc_min(shape->block, shape->inputs - begin);
                sum += (int64_t)tc_dot_s8(input + begin, w + begin, count) * *factor++;
            }
            const tc_blockwise_channel *of = &channels[channel];
            const tc_wide_channel finish = {of->bias, of->multiplier, of->right};
            *output++ = (int8_t)tc_wide_requantize(sum, &finish, &shape->range);
            w += shape->inputs;
        }
        input += shape->inputs;
    }
}

/* The same of int16 inputs, as they are, to int16 outputs. */
TC_INLINE void tc_blockwise_s16(const int16_t *input, int16_t *output, const int8_t *weights, const int32_t *factors,
                                const tc_wide_channel *channels, const tc_blockwise_wide_shape *shape)
{
    for (int32_t row = 0; row < shape->rows; ++row) {
        const int8_t *w = weights;
        const int32_t *factor = factors;
        for (int32_t channel = 0; channel < shape->outputs; ++channel) {
            int64_t sum = 0;
            for (int32_t begin = 0; begin < shape->inputs; begin += shape->block) {
                int64_t of_block = 0;
                tc_wide_run_1(&of_block, input + begin, 0, w + begin, tc_min(shape->block, shape->inputs - begin));
                sum += of_block * *factor++;
            }
            *output++ = tc_wide_requantize(sum, &channels[channel], &shape->range);
            w += shape->inputs;
        }
        input += shape->inputs;
    }
}

#ifdef __cplusplus
}
#endif

#endif
