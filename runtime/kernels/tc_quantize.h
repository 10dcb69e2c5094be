/* SPDX-License-Identifier: 0BSD */
/*
 * Between float and 8-bit numbers, at the edges of a model.
 *
 * tc_quantize_*: value / scale in float, rounded to the nearest integer, plus the zero point, saturated.
 *   As in tflite::reference_ops::AffineQuantize halves go away from zero; what has no int32_t, a NaN too, becomes INT32_MIN
 *   before the zero point is added modulo 2^32, which is how LiteRT does it on x86-64.
 *   As in ONNX's QuantizeLinear (ties_even) halves go to even numbers, and a NaN becomes the smallest value.
 * tc_dequantize_*: tflite::reference_ops::Dequantize: scale * (q - zero_point), rounded once.
 *
 * Elements are read and written in memory order.
 */
#ifndef TC_QUANTIZE_H
#define TC_QUANTIZE_H

#include <stdint.h>

#include "cmsis_shim/tc_simd.h"
#include "kernels/tc_float_exact.h"
#include "kernels/tc_inline.h"
#include "kernels/tc_requant.h"

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

/* The limits are those of the type if nothing is fused: one instruction. */
TC_INLINE int32_t tc_quantize_limited(int32_t value, const tc_quantize_shape *shape)
{
    if (shape->low == -128 && shape->high == 127) {
        return tc_ssat8(value);
    }
    if (shape->low == 0 && shape->high == 255) {
        return tc_usat8(value);
    }
    return tc_clamp(value, shape->low, shape->high);
}

TC_INLINE int32_t tc_quantize_value(float value, float scale, const tc_quantize_shape *shape)
{
    const float quotient = tc_opaque(tc_opaque(value) / scale);
    const int32_t rounded = shape->ties_even ? tc_round_even(quotient, INT32_MIN / 2) : tc_round_away(quotient);
    return tc_quantize_limited(tc_wrapping_add(rounded, shape->zero_point), shape);
}

/* The scale is opaque anew for each element: no flag makes its reciprocal a constant of the loop. */
TC_INLINE void tc_quantize_s8(const float *input, int8_t *output, const tc_quantize_shape *shape)
{
    float scale = shape->scale;
    for (int32_t i = 0; i < shape->count; ++i) {
        scale = tc_opaque(scale);
        output[i] = (int8_t)tc_quantize_value(input[i], scale, shape);
    }
}

TC_INLINE void tc_quantize_u8(const float *input, uint8_t *output, const tc_quantize_shape *shape)
{
    float scale = shape->scale;
    for (int32_t i = 0; i < shape->count; ++i) {
        scale = tc_opaque(scale);
        output[i] = (uint8_t)tc_quantize_value(input[i], scale, shape);
    }
}

TC_INLINE void tc_quantize_s16(const float *input, int16_t *output, const tc_quantize_shape *shape)
{
    float scale = shape->scale;
    for (int32_t i = 0; i < shape->count; ++i) {
        scale = tc_opaque(scale);
        output[i] = (int16_t)tc_quantize_value(input[i], scale, shape);
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

TC_INLINE void tc_dequantize_s16(const int16_t *input, float *output, const tc_dequantize_shape *shape)
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
