/* SPDX-License-Identifier: 0BSD */
/*
 * Losses of a training step and their gradients. Losses have 16 fractional bits.
 */
#ifndef TC_LOSSES_H
#define TC_LOSSES_H

#include <stdint.h>

#include "kernels/tc_block_float.h"
#include "kernels/tc_inline.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TC_LOSS_BITS 16
#define TC_PROBABILITY_BITS 14
#define TC_LOG_2 45426 /* with 16 fractional bits */

/* log2(value) with 16 fractional bits, rounded down; of a value from 1 on. A bit for each squaring. */
TC_INLINE int32_t tc_binary_logarithm(uint32_t value)
{
    int32_t result = tc_bit_length(value) - 1;
    uint64_t mantissa = (uint64_t)value << (31 - result);
    for (int32_t i = 0; i < TC_LOSS_BITS; ++i) {
        mantissa = mantissa * mantissa >> 31;
        const uint32_t bit = (uint32_t)(mantissa >> 32);
        mantissa >>= bit;
        result = 2 * result + (int32_t)bit;
    }
    return result;
}

/* From a distance between logits to one between exponents of 2 with 8 fractional bits: mantissa * 2^exponent. */
typedef struct tc_cross_entropy_shape {
    int32_t classes;
    int32_t mantissa;
    int32_t exponent;
} tc_cross_entropy_shape;

TC_INLINE int32_t tc_logit_distance(int32_t below, const tc_cross_entropy_shape *shape)
{
    const int64_t distance = tc_shift_wide((int64_t)below * shape->mantissa, -shape->exponent);
    return distance < 1 << 20 ? (int32_t)distance : 1 << 20;
}

/* powers: 2^(-i / 256) with 15 fractional bits; scratch: int32_t [classes]. */
TC_INLINE void tc_cross_entropy_gradient(const int8_t *logits, const int32_t *label, int16_t *gradient,
                                         int32_t *exponent, int32_t *loss, const uint16_t *powers, void *scratch,
                                         const tc_cross_entropy_shape *shape)
{
    int32_t *parts = (int32_t *)scratch;
    const int32_t class_ = tc_clamp(*label, 0, shape->classes - 1);
    int32_t largest = logits[0];
    for (int32_t i = 1; i < shape->classes; ++i) {
        largest = tc_max(largest, logits[i]);
    }
    uint32_t total = 0u;
    for (int32_t i = 0; i < shape->classes; ++i) {
        const int32_t distance = tc_logit_distance(largest - logits[i], shape);
        parts[i] = tc_shift_right_rounded(powers[distance & 255], tc_min(distance >> 8, 31));
        total += (uint32_t)parts[i];
    }
    for (int32_t i = 0; i < shape->classes; ++i) {
        parts[i] = (int32_t)((((uint32_t)parts[i] << TC_PROBABILITY_BITS) + total / 2u) / total);
    }
    parts[class_] -= 1 << TC_PROBABILITY_BITS;
    tc_renormalize(parts, gradient, shape->classes, -TC_PROBABILITY_BITS, exponent);
    const int32_t distance = tc_logit_distance(largest - logits[class_], shape);
    const int32_t bits = tc_binary_logarithm(total) - (15 << TC_LOSS_BITS) + distance * 256;
    *loss = (int32_t)(((int64_t)tc_max(bits, 0) * TC_LOG_2 + (1 << (TC_LOSS_BITS - 1))) >> TC_LOSS_BITS);
}

typedef struct tc_squared_error_shape {
    int32_t count;
    int32_t output_mantissa; /* of the scales, at one exponent */
    int32_t target_mantissa;
    int32_t exponent;
    int32_t output_zero_point;
    int32_t target_zero_point;
    int32_t mean_mantissa; /* of 2 / count */
    int32_t mean_exponent;
} tc_squared_error_shape;

TC_INLINE int32_t tc_output_error(int32_t output, int32_t target, const tc_squared_error_shape *shape)
{
    return (output - shape->output_zero_point) * shape->output_mantissa -
           (target - shape->target_zero_point) * shape->target_mantissa;
}

TC_INLINE void tc_squared_error_gradient(const int8_t *output, const int8_t *target, int16_t *gradient,
                                         int32_t *exponent, int32_t *loss, const tc_squared_error_shape *shape)
{
    uint32_t bits = 0u;
    int64_t squares = 0;
    for (int32_t i = 0; i < shape->count; ++i) {
        const int32_t error = tc_output_error(output[i], target[i], shape);
        const int64_t narrow = tc_shift_right_rounded(error, 8);
        bits = tc_or_magnitude(bits, error);
        squares += narrow * narrow;
    }
    int32_t found;
    const int32_t shift = tc_renormalizing_shift(bits, shape->exponent, &found);
    for (int32_t i = 0; i < shape->count; ++i) {
        const int32_t value = tc_gradient_value(tc_output_error(output[i], target[i], shape), shift);
        gradient[i] = (int16_t)tc_scaled_gradient(value, shape->mean_mantissa, TC_GRADIENT_BITS);
    }
    *exponent = found + TC_GRADIENT_BITS + shape->mean_exponent;
    int32_t places = 0;
    for (; squares > INT32_MAX; squares >>= 1) {
        ++places;
    }
    /* The mean of squares is half the factor 2 / count times their sum. */
    const int32_t change = -(places + 2 * (shape->exponent + 8) + shape->mean_exponent - 1 + TC_LOSS_BITS);
    const int64_t mean = tc_shift_wide(squares * shape->mean_mantissa, change);
    *loss = mean < INT32_MAX ? (int32_t)mean : INT32_MAX;
}

#ifdef __cplusplus
}
#endif

#endif
