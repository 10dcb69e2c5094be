/*
 * Softmax of int8 values over the last axis: output scale 1/256, zero point -128.
 *
 * input, output  [rows][depth], int8, depth <= 4096
 *
 * The arithmetic is that of tflite::reference_ops::Softmax for int8: exponentials of (x - max) in fixed point without
 * integer bits, their sum with 12 integer bits, its reciprocal by three Newton-Raphson steps (gemmlowp
 * fixedpoint/fixedpoint.h). An exponential depends on nothing but max - x, which is in 0..255, and the compiler knows
 * all of them: `exponentials` holds those that matter; all further ones are too small to change the sum or an output.
 *
 * A row is read completely before its first output is written, and then once more, in step with the outputs.
 */
#ifndef TC_SOFTMAX_H
#define TC_SOFTMAX_H

#include <stdint.h>

#include "kernels/tc_inline.h"
#include "kernels/tc_requant.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tc_softmax_shape {
    int32_t rows;
    int32_t depth;
    int32_t exponentials; /* entries of the table */
} tc_softmax_shape;

/* 1 / (1 + a) for a in [0, 1), both without integer bits: gemmlowp one_over_one_plus_x_for_x_in_0_1 */
static inline int32_t tc_one_over_one_plus(int32_t a)
{
    const int32_t half_denominator = (int32_t)(((int64_t)a + INT32_MAX + 1) / 2);
    /* 48/17 - 32/17 * d, the usual first guess, with two integer bits */
    int32_t x = 1515870810 + tc_saturating_rounding_doubling_high_mul(half_denominator, -1010580540);
    for (int32_t step = 0; step < 3; ++step) {
        const int32_t error = (1 << 29) - tc_saturating_rounding_doubling_high_mul(half_denominator, x);
        x += tc_saturating_rounding_doubling_high_mul(x, error) * 4;
    }
    return x > INT32_MAX / 2 ? INT32_MAX : x * 2;
}

/* Leading zero bits of a value that isn't 0. */
TC_INLINE int32_t tc_leading_zeros(uint32_t value)
{
#if defined(__GNUC__)
    return __builtin_clz(value);
#else
    int32_t zeros = 0;
    for (; value < 0x80000000u; value <<= 1) {
        ++zeros;
    }
    return zeros;
#endif
}

TC_INLINE int32_t tc_softmax_exponential(int32_t distance, const int32_t *exponentials,
                                         const tc_softmax_shape *shape)
{
    return distance < shape->exponentials ? exponentials[distance] : 0;
}

TC_INLINE void tc_softmax_row(const int8_t *input, int8_t *output, const int32_t *exponentials,
                              const tc_softmax_shape *shape)
{
    int32_t largest = input[0];
    for (int32_t i = 1; i < shape->depth; ++i) {
        largest = tc_max(largest, input[i]);
    }
    int32_t sum = 0;
    for (int32_t i = 0; i < shape->depth; ++i) {
        sum += tc_rounding_divide_by_pot(tc_softmax_exponential(largest - input[i], exponentials, shape), 12);
    }
    /* 1 / sum = scale * 2^-(12 - headroom), scale without integer bits */
    const int32_t headroom = tc_leading_zeros((uint32_t)sum);
    const int32_t scale = tc_one_over_one_plus((int32_t)(((uint32_t)sum << headroom) - 0x80000000u));
    const int32_t shift = 12 - headroom + 31 - 8;
    for (int32_t i = 0; i < shape->depth; ++i) {
        const int32_t exponential = tc_softmax_exponential(largest - input[i], exponentials, shape);
        const int32_t product = tc_saturating_rounding_doubling_high_mul(scale, exponential);
        const int32_t probability = shift > 31 ? 0 : tc_rounding_divide_by_pot(product, shift);
        output[i] = (int8_t)tc_min(probability - 128, 127);
    }
}

TC_INLINE void tc_softmax_s8(const int8_t *input, int8_t *output, const int32_t *exponentials,
                             const tc_softmax_shape *shape)
{
    for (int32_t row = 0; row < shape->rows; ++row) {
        tc_softmax_row(input, output, exponentials, shape);
        input += shape->depth;
        output += shape->depth;
    }
}

#ifdef __cplusplus
}
#endif

#endif
