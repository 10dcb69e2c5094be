/* SPDX-License-Identifier: 0BSD */
/*
 * Softmax over the last axis of int8 tensors, as ONNX means it: E / S / output scale, where the exponentials E of the
 * distances to the largest input come from a table and S is their sum.
 *
 * input, output  [rows][depth], int8; a row is read before its first output is written, outputs in memory order
 * exponentials   round(2^30 exp(-d * input scale)) for d = 0 .. count - 1; further ones are 0
 */
#ifndef TC_ONNX_SOFTMAX_H
#define TC_ONNX_SOFTMAX_H

#include <stdint.h>

#include "kernels/tc_inline.h"
#include "kernels/tc_requant.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tc_onnx_softmax_shape {
    int32_t rows;
    int32_t depth;
    int32_t count;
    uint32_t factor; /* 1 / output scale, times 2^(drop + kept) */
    int32_t drop;
    int32_t kept;
    int32_t zero_point;
} tc_onnx_softmax_shape;

TC_INLINE uint64_t tc_onnx_exponential(int32_t distance, const int32_t *exponentials,
                                       const tc_onnx_softmax_shape *shape)
{
    return distance < shape->count ? (uint64_t)(uint32_t)exponentials[distance] : 0u;
}

TC_INLINE void tc_onnx_softmax_s8(const int8_t *input, int8_t *output, const int32_t *exponentials,
                                  const tc_onnx_softmax_shape *shape)
{
    for (int32_t row = 0; row < shape->rows; ++row) {
        int32_t largest = INT8_MIN;
        for (int32_t i = 0; i < shape->depth; ++i) {
            largest = tc_max(largest, input[i]);
        }
        uint64_t total = 0;
        for (int32_t i = 0; i < shape->depth; ++i) {
            total += tc_onnx_exponential(largest - input[i], exponentials, shape);
        }
        total <<= shape->kept;
        for (int32_t i = 0; i < shape->depth; ++i) {
            const uint64_t exponential = tc_onnx_exponential(largest - input[i], exponentials, shape);
            const uint64_t product = (exponential * shape->factor) >> shape->drop;
            const uint64_t rounded = (product + (total >> 1)) / total;
            const int32_t value = rounded < 1048576u ? (int32_t)rounded : 1048576;
            output[i] = (int8_t)tc_clamp(value + shape->zero_point, -128, 127);
        }
        input += shape->depth;
        output += shape->depth;
    }
}

#ifdef __cplusplus
}
#endif

#endif
