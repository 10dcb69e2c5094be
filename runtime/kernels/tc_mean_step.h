/* SPDX-License-Identifier: 0BSD */
/*
 * Mean of int8 tensors over any axes, with any requantisation.
 *
 * The loops are those of tc_mean.h: three over kept axes, each with its stride in bytes, an innermost run of `inner` kept
 * elements, and for each of those three over reduced axes. Unused loops have size 1.
 * step  what `finish` needs (tc_finish.h), with -input_zero_point * (number of summed elements) folded in
 *
 * Results are computed one by one in memory order.
 */
#ifndef TC_MEAN_STEP_H
#define TC_MEAN_STEP_H

#include <stdint.h>

#include "kernels/tc_finish.h"
#include "kernels/tc_inline.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tc_mean_step_shape {
    int32_t kept_size[3];
    int32_t kept_stride[3];
    int32_t inner;
    int32_t reduced_size[3];
    int32_t reduced_stride[3];
    tc_output_range range;
} tc_mean_step_shape;

TC_INLINE int32_t tc_mean_step_sum(const int8_t *input, const int32_t size[3], const int32_t stride[3])
{
    int32_t sum = 0;
    for (int32_t i = 0; i < size[0]; ++i) {
        for (int32_t j = 0; j < size[1]; ++j) {
            for (int32_t k = 0; k < size[2]; ++k) {
                sum += input[i * stride[0] + j * stride[1] + k * stride[2]];
            }
        }
    }
    return sum;
}

TC_INLINE void tc_mean_step_s8(const int8_t *input, int8_t *output, const void *step, tc_finish *finish,
                               const tc_mean_step_shape *shape)
{
    const int32_t *size = shape->kept_size;
    const int32_t *stride = shape->kept_stride;
    for (int32_t i = 0; i < size[0]; ++i) {
        for (int32_t j = 0; j < size[1]; ++j) {
            for (int32_t k = 0; k < size[2]; ++k) {
                const int8_t *first = input + i * stride[0] + j * stride[1] + k * stride[2];
                for (int32_t run = 0; run < shape->inner; ++run) {
                    const int32_t sum = tc_mean_step_sum(first + run, shape->reduced_size, shape->reduced_stride);
                    *output++ = (int8_t)finish(sum, step, 0, &shape->range);
                }
            }
        }
    }
}

#ifdef __cplusplus
}
#endif

#endif
