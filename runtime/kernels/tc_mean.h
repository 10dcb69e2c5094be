/* SPDX-License-Identifier: 0BSD */
/*
 * MEAN of int8 tensors over any axes.
 *
 * The input is addressed by three loops over kept axes, each with its stride in bytes, and an innermost run of `inner`
 * kept elements; for each of those, three loops over reduced axes. Unused loops have size 1.
 * output  [kept_size[0]][kept_size[1]][kept_size[2]][inner], int8
 *
 * The arithmetic is that of tflite::reference_integer_ops::Mean: the sum of the inputs minus their zero point,
 * requantised by a multiplier that contains the division: in the short form where `requant.right` is not 0.
 *
 * Results are computed in memory order; four adjacent ones are read for, then written.
 */
#ifndef TC_MEAN_H
#define TC_MEAN_H

#include <stdbool.h>
#include <stdint.h>

#include "kernels/tc_average.h"
#include "kernels/tc_bytes.h"
#include "kernels/tc_inline.h"
#include "kernels/tc_requant.h"
#include "kernels/tc_requant_short.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tc_mean_shape {
    int32_t kept_size[3];
    int32_t kept_stride[3];
    int32_t inner;
    int32_t reduced_size[3];
    int32_t reduced_stride[3];
    int32_t minus_zero_points; /* -zero_point of the input, times the number of elements that are summed */
    int32_t multiplier;
    int32_t shift;
    tc_short_requant requant;
    tc_output_range range;
} tc_mean_shape;

TC_INLINE int8_t tc_mean_of(int32_t sum, const tc_mean_shape *shape)
{
    const int32_t centred = sum + shape->minus_zero_points;
    if (shape->requant.right != 0) {
        return (int8_t)tc_requantize_short(2 * centred, &shape->requant);
    }
    return (int8_t)tc_requantize(centred, shape->multiplier, shape->shift, &shape->range);
}

/* The means of `inner` adjacent elements. */
TC_INLINE void tc_mean_run(const int8_t *input, int8_t *output, const tc_mean_shape *shape)
{
    for (int32_t i = 0; i < shape->inner / 4 * 4; i += 4) {
        int32_t sums[4];
        tc_sum4_loops(input + i, shape->reduced_size, shape->reduced_stride, sums);
        tc_store4(output + i, tc_pack4(tc_mean_of(sums[0], shape), tc_mean_of(sums[1], shape),
                                       tc_mean_of(sums[2], shape), tc_mean_of(sums[3], shape)));
    }
    for (int32_t i = shape->inner / 4 * 4; i < shape->inner; ++i) {
        const int32_t sum = tc_sum_loops(input + i, shape->reduced_size, shape->reduced_stride);
        output[i] = tc_mean_of(sum, shape);
    }
}

TC_INLINE void tc_mean_s8(const int8_t *input, int8_t *output, const tc_mean_shape *shape)
{
    const int32_t *size = shape->kept_size;
    const int32_t *stride = shape->kept_stride;
    for (int32_t i = 0; i < size[0]; ++i) {
        for (int32_t j = 0; j < size[1]; ++j) {
            for (int32_t k = 0; k < size[2]; ++k) {
                tc_mean_run(input + i * stride[0] + j * stride[1] + k * stride[2], output, shape);
                output += shape->inner;
            }
        }
    }
}

#ifdef __cplusplus
}
#endif

#endif
