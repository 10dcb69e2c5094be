/* SPDX-License-Identifier: 0BSD */
/*
 * Softmax over the last axis of int16 tensors, as ONNX means it: E / S / output scale, where the exponentials E of the
 * distances to the largest input are products of two tables' entries and S is their sum.
 *
 * input, output  [rows][depth], int16; a row is read before its first output is written, outputs in memory order
 * coarse, fine   round(2^62 exp(-256 i * input scale)) and round(2^62 exp(-i * input scale)) for i = 0 .. 255
 */
#ifndef TC_WIDE_ONNX_SOFTMAX_H
#define TC_WIDE_ONNX_SOFTMAX_H

#include <stdint.h>

#include "kernels/tc_inline.h"
#include "kernels/tc_requant.h"
#include "kernels/tc_wide_linear.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tc_wide_onnx_softmax_shape {
    int32_t rows;
    int32_t depth;
    int64_t factor; /* output scale, times 2^(61 + shift) */
    int32_t shift;
    int32_t zero_point;
} tc_wide_onnx_softmax_shape;

/* 2^46 exp(-distance * input scale). */
TC_INLINE uint64_t tc_wide_exponential(int32_t distance, const int64_t *coarse, const int64_t *fine)
{
    return (uint64_t)tc_wide_high_product(coarse[distance >> 8], fine[distance & 255]) >> 14;
}

TC_INLINE void tc_onnx_softmax_s16(const int16_t *input, int16_t *output, const int64_t *coarse, const int64_t *fine,
                                   const tc_wide_onnx_softmax_shape *shape)
{
    for (int32_t row = 0; row < shape->rows; ++row) {
        int32_t largest = INT16_MIN;
        for (int32_t i = 0; i < shape->depth; ++i) {
            largest = tc_max(largest, input[i]);
        }
        uint64_t total = 0;
        for (int32_t i = 0; i < shape->depth; ++i) {
            total += tc_wide_exponential(largest - input[i], coarse, fine);
        }
        const uint64_t product = (uint64_t)tc_wide_high_product((int64_t)(total << 3), shape->factor);
        const uint64_t divisor = product == 0u ? 1u : product;
        for (int32_t i = 0; i < shape->depth; ++i) {
            const uint64_t exponential = tc_wide_exponential(largest - input[i], coarse, fine);
            const uint64_t rounded = ((exponential << shape->shift) + (divisor >> 1)) / divisor;
            const int32_t value = rounded < 1048576u ? (int32_t)rounded : 1048576;
            output[i] = (int16_t)tc_clamp(value + shape->zero_point, -32768, 32767);
        }
        input += shape->depth;
        output += shape->depth;
    }
}

#ifdef __cplusplus
}
#endif

#endif
