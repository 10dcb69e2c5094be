/* SPDX-License-Identifier: 0BSD */
/*
 * Functions of one and of two int16 values with the zero point 0. Elements are read and written in memory order.
 */
#ifndef TC_WIDE_FUNCTION_H
#define TC_WIDE_FUNCTION_H

#include <math.h>
#include <stdint.h>

#include "kernels/tc_float_exact.h"
#include "kernels/tc_inline.h"
#include "kernels/tc_pairs.h"
#include "kernels/tc_requant.h"
#include "kernels/tc_root.h"
#include "kernels/tc_wide.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tc_wide_count {
    int32_t count;
} tc_wide_count;

/* A function whose 512 intervals `table` has, as tc_wide_lookup reads it, but for steps of more than 16 bits: they wrap. */
TC_INLINE void tc_wide_function_table(const int16_t *input, int16_t *output, const int16_t *table,
                                      const tc_wide_count *shape)
{
    for (int32_t i = 0; i < shape->count; ++i) {
        const int32_t value = input[i];
        const int16_t *const at = table + 256 + (value >> 7);
        const int16_t step = (int16_t)(at[1] - at[0]);
        output[i] = (int16_t)(at[0] + ((step * (value & 127) + 64) >> 7));
    }
}

/* -32768 stays: the number is negated as a register holds it. */
TC_INLINE void tc_wide_neg(const int16_t *input, int16_t *output, const tc_wide_count *shape)
{
    for (int32_t i = 0; i < shape->count; ++i) {
        output[i] = (int16_t)(uint16_t)(0u - (uint32_t)input[i]);
    }
}

typedef struct tc_wide_scaled_shape {
    int32_t count;
    tc_wide_factor factor;
} tc_wide_scaled_shape;

TC_INLINE void tc_wide_abs(const int16_t *input, int16_t *output, const tc_wide_scaled_shape *shape)
{
    for (int32_t i = 0; i < shape->count; ++i) {
        const int32_t value = input[i];
        const int32_t scaled = tc_wide_scaled(value < 0 ? -value : value, &shape->factor);
        output[i] = (int16_t)tc_clamp(scaled, -32768, 32767);
    }
}

/* 1 / sqrt(value) with 20 bits of a fraction, then `factor`: what isn't positive gives the largest output. */
TC_INLINE void tc_wide_rsqrt(const int16_t *input, int16_t *output, const tc_wide_scaled_shape *shape)
{
    for (int32_t i = 0; i < shape->count; ++i) {
        const tc_root root = tc_inverse_square_root(input[i]);
        const int32_t fixed = tc_multiply_by_quantized_multiplier(1, root.multiplier, root.shift + 20);
        const int32_t scaled = tc_wide_scaled(fixed, &shape->factor);
        output[i] = (int16_t)(input[i] > 0 ? tc_clamp(scaled, -32768, 32767) : 32767);
    }
}

typedef struct tc_wide_sqrt_shape {
    int32_t count;
    float input_scale;
    float output_scale;
} tc_wide_sqrt_shape;

/* Rounded towards zero; of a negative number 0. */
TC_INLINE void tc_wide_sqrt(const int16_t *input, int16_t *output, const tc_wide_sqrt_shape *shape)
{
    for (int32_t i = 0; i < shape->count; ++i) {
        const float value = tc_opaque(shape->input_scale * (float)tc_max(input[i], 0));
        const float root = tc_divide(tc_opaque(tc_square_root(value)), shape->output_scale);
        output[i] = (int16_t)(root < 32767.0f ? (int32_t)root : 32767);
    }
}

/* Functions of two values, and the loops around them. */
typedef int16_t tc_s16_function(int16_t a, int16_t b);

TC_INLINE int16_t tc_maximum_s16(int16_t a, int16_t b)
{
    return a > b ? a : b;
}

TC_INLINE int16_t tc_minimum_s16(int16_t a, int16_t b)
{
    return a < b ? a : b;
}

TC_PAIRS(tc_pairs_s16, int16_t, int16_t, tc_s16_function)

#ifdef __cplusplus
}
#endif

#endif
