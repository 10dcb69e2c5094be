/* SPDX-License-Identifier: 0BSD */
/*
 * Functions of two float tensors that broadcast.
 *
 * Loops over the output's axes, outermost first, unused ones of size 1; strides in elements, 0 where an operand repeats.
 * Elements are read and written in the output's memory order.
 */
#ifndef TC_FLOAT_BINARY_H
#define TC_FLOAT_BINARY_H

#include <math.h>
#include <stdint.h>

#include "kernels/tc_float_function.h"
#include "kernels/tc_inline.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TC_FLOAT_LOOPS 6

typedef struct tc_float_binary_shape {
    int32_t count;
    int32_t size[TC_FLOAT_LOOPS];
    int32_t a_stride[TC_FLOAT_LOOPS];
    int32_t b_stride[TC_FLOAT_LOOPS];
} tc_float_binary_shape;

TC_INLINE float tc_float_pow(float a, float b)
{
    return powf(a, b);
}

TC_INLINE void tc_float_binary(const float *a, const float *b, float *output, tc_float_function *function,
                               const tc_float_binary_shape *shape)
{
    int32_t at[TC_FLOAT_LOOPS] = {0, 0, 0, 0, 0, 0};
    int32_t a_at = 0;
    int32_t b_at = 0;
    for (int32_t i = 0; i < shape->count; ++i) {
        output[i] = function(a[a_at], b[b_at]);
        for (int32_t axis = TC_FLOAT_LOOPS - 1; axis >= 0; --axis) {
            a_at += shape->a_stride[axis];
            b_at += shape->b_stride[axis];
            if (++at[axis] < shape->size[axis]) {
                break;
            }
            a_at -= shape->a_stride[axis] * shape->size[axis];
            b_at -= shape->b_stride[axis] * shape->size[axis];
            at[axis] = 0;
        }
    }
}

#ifdef __cplusplus
}
#endif

#endif
