/* SPDX-License-Identifier: 0BSD */
/*
 * Mean, sum, maximum or minimum of floats over axes.
 *
 * Six loops, outermost first, unused ones of size 1: those over kept axes in the output's order, then those over reduced
 * axes; strides in elements of the input.
 */
#ifndef TC_FLOAT_REDUCE_H
#define TC_FLOAT_REDUCE_H

#include <stdint.h>

#include "kernels/tc_float_function.h"
#include "kernels/tc_inline.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tc_float_reduce_shape {
    int32_t kept_size[3];
    int32_t kept_stride[3];
    int32_t reduced_size[3];
    int32_t reduced_stride[3];
    float divisor; /* 1 but for a mean */
} tc_float_reduce_shape;

TC_INLINE float tc_float_reduced(const float *input, tc_float_function *function, const tc_float_reduce_shape *shape)
{
    const int32_t *size = shape->reduced_size;
    const int32_t *stride = shape->reduced_stride;
    float result = 0.0f;
    for (int32_t i = 0; i < size[0]; ++i) {
        for (int32_t j = 0; j < size[1]; ++j) {
            for (int32_t k = 0; k < size[2]; ++k) {
                const float value = input[i * stride[0] + j * stride[1] + k * stride[2]];
                result = i + j + k == 0 ? value : function(result, value);
            }
        }
    }
    return tc_divide(result, shape->divisor);
}

TC_INLINE void tc_float_reduce(const float *input, float *output, tc_float_function *function,
                               const tc_float_reduce_shape *shape)
{
    const int32_t *size = shape->kept_size;
    const int32_t *stride = shape->kept_stride;
    for (int32_t i = 0; i < size[0]; ++i) {
        for (int32_t j = 0; j < size[1]; ++j) {
            for (int32_t k = 0; k < size[2]; ++k) {
                *output++ = tc_float_reduced(input + i * stride[0] + j * stride[1] + k * stride[2], function, shape);
            }
        }
    }
}

#ifdef __cplusplus
}
#endif

#endif
