/* SPDX-License-Identifier: 0BSD */
/*
 * Between float and 8-bit numbers, at the edges of a model.
 *
 * tc_quantize_*: value / scale in float, rounded to the nearest integer, plus the zero point, saturated. Halves go away
 * from zero as in tflite::reference_ops::AffineQuantize, or to even numbers as in ONNX's QuantizeLinear. A NaN becomes
 * the smallest value. No C library is needed.
 * tc_dequantize_*: tflite::reference_ops::Dequantize: scale * (q - zero_point), rounded once.
 *
 * Elements are read and written in memory order.
 */
#ifndef TC_QUANTIZE_H
#define TC_QUANTIZE_H

#include <stdint.h>

#include "kernels/tc_inline.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tc_quantize_shape {
    int32_t count;
    float scale;
    int32_t zero_point;
    int32_t low;
    int32_t high;
    int32_t ties_even;
} tc_quantize_shape;

/* The nearest integer, halves to even: where floats are 1 apart, the addition rounds so. For |value| < 2^22. */
TC_INLINE float tc_round_even(float value)
{
    const float shifter = 12582912.0f; /* 1.5 * 2^23 */
    return (value + shifter) - shifter;
}

/*
 * Truncation after adding the largest float below 1/2 with the value's sign rounds halves away from zero: with 1/2
 * itself, 0.49999997 + 0.5 would round up to 1. Exact below 2^22; the range is checked first.
 */
TC_INLINE int32_t tc_quantize_value(float value, const tc_quantize_shape *shape)
{
    const float quotient = value / shape->scale;
    if (!(quotient > (float)(shape->low - shape->zero_point))) {
        return shape->low;
    }
    if (quotient >= (float)(shape->high - shape->zero_point)) {
        return shape->high;
    }
    if (shape->ties_even) {
        return (int32_t)tc_round_even(quotient) + shape->zero_point;
    }
    return (int32_t)(quotient + (quotient < 0.0f ? -0.49999997f : 0.49999997f)) + shape->zero_point;
}

TC_INLINE void tc_quantize_s8(const float *input, int8_t *output, const tc_quantize_shape *shape)
{
    for (int32_t i = 0; i < shape->count; ++i) {
        output[i] = (int8_t)tc_quantize_value(input[i], shape);
    }
}

TC_INLINE void tc_quantize_u8(const float *input, uint8_t *output, const tc_quantize_shape *shape)
{
    for (int32_t i = 0; i < shape->count; ++i) {
        output[i] = (uint8_t)tc_quantize_value(input[i], shape);
    }
}

typedef struct tc_dequantize_shape {
    int32_t count;
    float scale;
    int32_t zero_point;
} tc_dequantize_shape;

TC_INLINE void tc_dequantize_s8(const int8_t *input, float *output, const tc_dequantize_shape *shape)
{
    for (int32_t i = 0; i < shape->count; ++i) {
        output[i] = (float)(input[i] - shape->zero_point) * shape->scale;
    }
}

TC_INLINE void tc_dequantize_u8(const uint8_t *input, float *output, const tc_dequantize_shape *shape)
{
    for (int32_t i = 0; i < shape->count; ++i) {
        output[i] = (float)(input[i] - shape->zero_point) * shape->scale;
    }
}

#ifdef __cplusplus
}
#endif

#endif
