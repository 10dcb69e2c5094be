/* SPDX-License-Identifier: 0BSD */
/*
 * Products of float matrices, laid out as in tc_batch_matmul.h; zero points and the range of the output mean nothing.
 */
#ifndef TC_FLOAT_BATCH_MATMUL_H
#define TC_FLOAT_BATCH_MATMUL_H

#include <stdint.h>

#include "kernels/tc_batch_matmul.h"
#include "kernels/tc_float_exact.h"
#include "kernels/tc_inline.h"

#ifdef __cplusplus
extern "C" {
#endif

TC_INLINE void tc_float_batch_matmul_one(const float *a, const float *b, float *output, const tc_batch_matmul_shape *shape)
{
    for (int32_t row = 0; row < shape->a.vectors; ++row) {
        for (int32_t column = 0; column < shape->b.vectors; ++column) {
            const float *left = a + row * shape->a.vector_stride;
            const float *right = b + column * shape->b.vector_stride;
            float sum = 0.0f;
            for (int32_t i = 0; i < shape->depth; ++i) {
                sum = tc_opaque(sum + tc_opaque(left[i * shape->a.depth_stride] * right[i * shape->b.depth_stride]));
            }
            *output++ = sum;
        }
    }
}

TC_INLINE void tc_float_batch_matmul(const float *a, const float *b, float *output, const tc_batch_matmul_shape *shape)
{
    for (int32_t i = 0; i < shape->batch[0]; ++i) {
        for (int32_t j = 0; j < shape->batch[1]; ++j) {
            for (int32_t k = 0; k < shape->batch[2]; ++k) {
                tc_float_batch_matmul_one(a + tc_batch_matmul_place(&shape->a, i, j, k),
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
