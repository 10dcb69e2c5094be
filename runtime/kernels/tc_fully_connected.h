/* SPDX-License-Identifier: 0BSD */
/*
 * Fully connected layer: every row of int8 inputs times an int8 matrix.
 *
 * input    [rows][inputs], int8
 * output   [rows][outputs], int8
 * weights  [outputs][inputs], int8
 * channels per output: what `finish` needs (tc_finish.h), with -input_zero_point * sum(weights) folded in
 *
 * LiteRT multiplies the accumulator by a float64 factor and rounds halves away from zero. tc_finish_once has a
 * fixed-point factor that rounds alike for every accumulator that can occur: the compiler has checked. For the rare
 * layers without one, tc_finish_double computes in double. Adding the bias wraps at 32 bits, and so does adding the
 * zero point; a product beyond int32_t becomes INT32_MIN, as on x86-64.
 *
 * Outputs are written after the row of inputs was read for them, up to four at a time.
 */
#ifndef TC_FULLY_CONNECTED_H
#define TC_FULLY_CONNECTED_H

#include <stdint.h>

#include "kernels/tc_dot.h"
#include "kernels/tc_finish.h"
#include "kernels/tc_float_exact.h"
#include "kernels/tc_inline.h"
#include "kernels/tc_requant.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tc_fully_connected_shape {
    int32_t rows;
    int32_t inputs;
    int32_t outputs;
    tc_output_range range;
} tc_fully_connected_shape;

/* The factor of one output as LiteRT has it. */
typedef struct tc_double_channel {
    double factor;
    int64_t bias; /* an int32; 64 bits because of the alignment of double */
} tc_double_channel;

TC_INLINE int32_t tc_finish_double(int32_t sum, const void *channels, int32_t channel, const tc_output_range *range)
{
    const tc_double_channel *parameters = (const tc_double_channel *)channels + channel;
    const double product = tc_wrapping_add((int32_t)parameters->bias, sum) * parameters->factor;
    const int32_t rounded = tc_round_away_double(tc_opaque_double(product));
    return tc_clamp(tc_wrapping_add(rounded, range->zero_point), range->low, range->high);
}

TC_INLINE void tc_fully_connected_s8(const int8_t *input, int8_t *output, const int8_t *weights, const void *channels,
                                     tc_finish *finish, const tc_fully_connected_shape *shape)
{
    const int32_t inputs = shape->inputs;
    const int32_t outputs = shape->outputs;
    for (int32_t row = 0; row < shape->rows; ++row) {
        for (int32_t channel = 0; channel < outputs / 4 * 4; channel += 4) {
            int32_t sums[4] = {0, 0, 0, 0};
            tc_dot4_s8(input, weights + channel * inputs, inputs, inputs, sums);
            for (int32_t i = 0; i < 4; ++i) {
                output[channel + i] = (int8_t)finish(sums[i], channels, channel + i, &shape->range);
            }
        }
        for (int32_t channel = outputs / 4 * 4; channel < outputs; ++channel) {
            const int32_t sum = tc_dot_s8(input, weights + channel * inputs, inputs);
            output[channel] = (int8_t)finish(sum, channels, channel, &shape->range);
        }
        input += inputs;
        output += outputs;
    }
}

/* The same for weights minus a zero point, within [-255, 255]; one output at a time. */
TC_INLINE void tc_fully_connected_wide_s8(const int8_t *input, int8_t *output, const int16_t *weights,
                                          const void *channels, tc_finish *finish,
                                          const tc_fully_connected_shape *shape)
{
    for (int32_t row = 0; row < shape->rows; ++row) {
        for (int32_t channel = 0; channel < shape->outputs; ++channel) {
            const int16_t *factors = weights + channel * shape->inputs;
            int32_t sum = 0;
            for (int32_t i = 0; i < shape->inputs; ++i) {
                sum = tc_wrapping_add(sum, input[i] * factors[i]);
            }
            output[channel] = (int8_t)finish(sum, channels, channel, &shape->range);
        }
        input += shape->inputs;
        output += shape->outputs;
    }
}

#ifdef __cplusplus
}
#endif

#endif
