/* SPDX-License-Identifier: 0BSD */
/*
 * Matrix products of floats.
 *
 * a       matrices [rows][depth], b matrices [depth][columns], output [batch][rows][columns]
 * The batch is three loops; strides in elements, 0 where an operand repeats.
 */
#ifndef TC_FLOAT_MATMUL_H
#define TC_FLOAT_MATMUL_H

#include <stdint.h>

#include "kernels/tc_float_exact.h"
#include "kernels/tc_inline.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tc_float_matmul_shape {
    int32_t size[3];
    int32_t a_stride[3];
    int32_t b_stride[3];
    int32_t rows;
    int32_t depth;
    int32_t columns;
} tc_float_matmul_shape;

TC_INLINE void tc_float_product(const float *a, const float *b, float *output, const tc_float_matmul_shape *shape)
{
    for (int32_t row = 0; row < shape->rows; ++row) {
        for (int32_t column = 0; column < shape->columns; ++column) {
            float sum = 0.0f;
            for (int32_t i = 0; i < shape->depth; ++i) {
                sum = tc_opaque(sum + tc_opaque(a[row * shape->depth + i] * b[i * shape->columns + column]));
            }
            *output++ = sum;
        }
    }
}

TC_INLINE void tc_float_matmul(const float *a, const float *b, float *output, const tc_float_matmul_shape *shape)
{
    const int32_t *size = shape->size;
    for (int32_t i = 0; i < size[0]; ++i) {
        for (int32_t j = 0; j < size[1]; ++j) {
            for (int32_t k = 0; k < size[2]; ++k) {
                const int32_t at_a = i * shape->a_stride[0] + j * shape->a_stride[1] + k * shape->a_stride[2];
                const int32_t at_b = i * shape->b_stride[0] + j * shape->b_stride[1] + k * shape->b_stride[2];
                tc_float_product(a + at_a, b + at_b, output, shape);
                output += shape->rows * shape->columns;
            }
        }
    }
}

#ifdef __cplusplus
}
#endif

#endif
