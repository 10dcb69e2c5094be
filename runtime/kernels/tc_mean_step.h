/* SPDX-License-Identifier: 0BSD */
/*
 * Mean of int8 tensors over any axes, with any requantisation.
 *
 * The loops are those of tc_mean.h: three over kept axes, each with its stride in bytes, an innermost run of `inner` kept
 * elements, and for each of those three over reduced axes. Unused loops have size 1.
 * step  what `finish` needs (tc_finish.h), with -input_zero_point * (number of summed elements) folded in
 *
 * Results are computed in memory order; four adjacent ones are read for, then written.
 */
#ifndef TC_MEAN_STEP_H
#define TC_MEAN_STEP_H

#include <stdbool.h>
#include <stdint.h>

#include "kernels/tc_average.h"
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

/* The results of `inner` adjacent elements. */
TC_INLINE void tc_mean_step_run(const int8_t *input, int8_t *output, const void *step, tc_finish *finish,
                                const tc_mean_step_shape *shape)
{
    for (int32_t i = 0; i < shape->inner / 4 * 4; i += 4) {
        int32_t sums[4];
        tc_sum4_loops(input + i, shape->reduced_size, shape->reduced_stride, sums);
        for (int32_t lane = 0; lane < 4; ++lane) {
            output[i + lane] = (int8_t)finish(sums[lane], step, 0, &shape->range);
        }
    }
    for (int32_t i = shape->inner / 4 * 4; i < shape->inner; ++i) {
        const int32_t sum = tc_sum_loops(input + i, shape->reduced_size, shape->reduced_stride);
        output[i] = (int8_t)finish(sum, step, 0, &shape->range);
    }
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
                tc_mean_step_run(first, output, step, finish, shape);
                output += shape->inner;
            }
        }
    }
}

#ifdef __cplusplus
}
#endif

#endif
