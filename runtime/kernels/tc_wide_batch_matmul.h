/* SPDX-License-Identifier: 0BSD */
/*
 * Products of int16 matrices that may both be computed, summed in 64 bits; operands as in tc_batch_matmul.h.
 *
 * a        matrices of rows x depth, b matrices of depth x columns, in any order of their axes
 * output   [batch][rows][columns], int16
 */
#ifndef TC_WIDE_BATCH_MATMUL_H
#define TC_WIDE_BATCH_MATMUL_H

#include <stdint.h>

#include "kernels/tc_batch_matmul.h"
#include "kernels/tc_inline.h"
#include "kernels/tc_wide_linear.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tc_wide_batch_matmul_shape {
    int32_t batch[3];
    int32_t depth;
    tc_batch_matmul_operand a;
    tc_batch_matmul_operand b;
    tc_wide_channel channel;
    tc_wide_range range;
} tc_wide_batch_matmul_shape;

TC_INLINE void tc_wide_batch_matmul_one(const int16_t *a, const int16_t *b, int16_t *output,
                                        const tc_wide_batch_matmul_shape *shape)
{
    const tc_batch_matmul_operand *left = &shape->a;
    const tc_batch_matmul_operand *right = &shape->b;
    for (int32_t row = 0; row < left->vectors; ++row) {
        for (int32_t column = 0; column < right->vectors; ++column) {
            const int16_t *left_vector = a + row * left->vector_stride;
            const int16_t *right_vector = b + column * right->vector_stride;
            int64_t sum = 0;
            for (int32_t i = 0; i < shape->depth; ++i) {
                sum += left_vector[i * left->depth_stride] * right_vector[i * right->depth_stride];
            }
            *output++ = tc_wide_requantize(sum, &shape->channel, &shape->range);
        }
    }
}

TC_INLINE void tc_wide_batch_matmul(const int16_t *a, const int16_t *b, int16_t *output,
                                    const tc_wide_batch_matmul_shape *shape)
{
    for (int32_t i = 0; i < shape->batch[0]; ++i) {
        for (int32_t j = 0; j < shape->batch[1]; ++j) {
            for (int32_t k = 0; k < shape->batch[2]; ++k) {
                tc_wide_batch_matmul_one(a + tc_batch_matmul_place(&shape->a, i, j, k),
                                         b + tc_batch_matmul_place(&shape->b, i, j, k), output, shape);
                output += shape->a.vectors * shape->b.vectors;
            }
        }
    }
}

#ifdef __cplusplus
}
#endif

#endif
