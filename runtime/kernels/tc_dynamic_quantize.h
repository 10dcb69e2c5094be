/* SPDX-License-Identifier: 0BSD */
/*
 * ONNX's DynamicQuantizeLinear: a tensor as int8 (its uint8 minus 128) by the range of its elements and 0.
 *
 * input       [count], float; it is read completely before the first output is written
 * output      [count], int8, in memory order
 * scale       one float: (largest - smallest) / 255, or 1
 * zero_point  one int8
 */
#ifndef TC_DYNAMIC_QUANTIZE_H
#define TC_DYNAMIC_QUANTIZE_H

#include <stdint.h>

#include "kernels/tc_float_exact.h"
#include "kernels/tc_hybrid.h"
#include "kernels/tc_inline.h"
#include "kernels/tc_requant.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tc_dynamic_quantize_shape {
    int32_t count;
} tc_dynamic_quantize_shape;

TC_INLINE void tc_dynamic_quantize(const float *input, int8_t *output, float *scale, int8_t *zero_point,
                                   const tc_dynamic_quantize_shape *shape)
{
    const tc_hybrid_span span = tc_hybrid_span_of(input, shape->count);
    const float range = tc_opaque(span.high - span.low);
    const float step = range > 0.0f ? tc_divide(range, 255.0f) : 1.0f;
    const int32_t zero = tc_clamp(tc_round_even(tc_divide(0.0f - span.low, step), 0), 0, 255) - 128;
    *scale = step;
    *zero_point = (int8_t)zero;
#if TC_FLOAT_UNIT
    if (span.finite && step > 1e-30f) { /* quotients are at most 256 */
        const float shifter = 12582912.0f; /* 1.5 * 2^23: floats are 1 apart there, so that the sum is rounded */
        const int32_t minus = zero - (int32_t)tc_float_bits(shifter);
        int32_t i = 0;
        for (; i < shape->count / 4 * 4; i += 4) {
            const float a = tc_opaque(tc_divide(input[i], step) + shifter);
            const float b = tc_opaque(tc_divide(input[i + 1], step) + shifter);
            const float c = tc_opaque(tc_divide(input[i + 2], step) + shifter);
            const float d = tc_opaque(tc_divide(input[i + 3], step) + shifter);
            output[i] = (int8_t)tc_ssat8((int32_t)tc_float_bits(a) + minus);
            output[i + 1] = (int8_t)tc_ssat8((int32_t)tc_float_bits(b) + minus);
            output[i + 2] = (int8_t)tc_ssat8((int32_t)tc_float_bits(c) + minus);
            output[i + 3] = (int8_t)tc_ssat8((int32_t)tc_float_bits(d) + minus);
        }
        for (; i < shape->count; ++i) {
            const float rounded = tc_opaque(tc_divide(input[i], step) + shifter);
            output[i] = (int8_t)tc_ssat8((int32_t)tc_float_bits(rounded) + minus);
        }
        return;
    }
#endif
    for (int32_t i = 0; i < shape->count; ++i) {
        output[i] = (int8_t)tc_ssat8(tc_round_even(tc_divide(input[i], step), 0) + zero);
    }
}

#ifdef __cplusplus
}
#endif

#endif
