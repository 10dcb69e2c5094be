/* SPDX-License-Identifier: 0BSD */
/*
 * Products of int8 matrices that may both be computed.
 *
 * a        matrices of rows x depth, b matrices of depth x columns, in any order of their axes
 * output   [batch][rows][columns], int8
 *
 * The batch is three loops; strides in elements, 0 where an operand repeats. The output shares no memory with the
 * operands: each of them is read again for every row or column of the other.
 */
#ifndef TC_BATCH_MATMUL_H
#define TC_BATCH_MATMUL_H

#include <stdint.h>

#include "cmsis_shim/tc_simd.h"
#include "kernels/tc_finish.h"
#include "kernels/tc_inline.h"
#include "kernels/tc_requant.h"

#ifdef __cplusplus
extern "C" {
#endif

/* An operand: its vectors are rows of a or columns of b. */
typedef struct tc_batch_matmul_operand {
    int32_t batch_stride[3];
    int32_t vectors;
    int32_t vector_stride; /* from a vector to the next */
    int32_t depth_stride;  /* along a vector */
    int32_t zero_point;
} tc_batch_matmul_operand;

typedef struct tc_batch_matmul_shape {
    int32_t batch[3];
    int32_t depth;
    tc_batch_matmul_operand a;
    tc_batch_matmul_operand b;
    tc_output_range range;
} tc_batch_matmul_shape;

TC_INLINE void tc_batch_matmul_one(const int8_t *a, const int8_t *b, int8_t *output, const void *channel,
                                   tc_finish *finish, const tc_batch_matmul_shape *shape)
{
    const tc_batch_matmul_operand *left = &shape->a;
    const tc_batch_matmul_operand *right = &shape->b;
    for (int32_t row = 0; row < left->vectors; ++row) {
        for (int32_t column = 0; column < right->vectors; ++column) {
            const int8_t *left_vector = a + row * left->vector_stride;
            const int8_t *right_vector = b + column * right->vector_stride;
            int32_t sum = 0;
            for (int32_t i = 0; i < shape->depth; ++i) {
                const int32_t product = (left_vector[i * left->depth_stride] - left->zero_point) *
                                        (right_vector[i * right->depth_stride] - right->zero_point);
                sum = tc_wrapping_add(sum, product);
            }
            *output++ = (int8_t)finish(sum, channel, 0, &shape->range);
        }
    }
}

TC_INLINE int32_t tc_batch_matmul_place(const tc_batch_matmul_operand *operand, int32_t i, int32_t j, int32_t k)
{
    return i * operand->batch_stride[0] + j * operand->batch_stride[1] + k * operand->batch_stride[2];
}

TC_INLINE void tc_batch_matmul_s8(const int8_t *a, const int8_t *b, int8_t *output, const void *channel,
                                  tc_finish *finish, const tc_batch_matmul_shape *shape)
{
    for (int32_t i = 0; i < shape->batch[0]; ++i) {
        for (int32_t j = 0; j < shape->batch[1]; ++j) {
            for (int32_t k = 0; k < shape->batch[2]; ++k) {
                tc_batch_matmul_one(a + tc_batch_matmul_place(&shape->a, i, j, k),
                                    b + tc_batch_matmul_place(&shape->b, i, j, k), output, channel, finish, shape);
                output += shape->a.vectors * shape->b.vectors;
            }
        }
    }
}

#ifdef __cplusplus
}
#endif

#endif
