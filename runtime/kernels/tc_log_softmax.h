/* SPDX-License-Identifier: 0BSD */
/*
 * The logarithm of softmax over the last axis: int8 of output scale 1/16 and zero point 127, and float.
 *
 * int8: the arithmetic of tflite::reference_integer_ops::LogSoftmax. Exponents and exponentials depend on nothing but
 * the distance to the largest element, and are tables; the logarithm of their sum is computed for each row.
 *
 * A row is read completely before its first output is written, and then once more, in step with the outputs.
 */
#ifndef TC_LOG_SOFTMAX_H
#define TC_LOG_SOFTMAX_H

#include <math.h>
#include <stdint.h>

#include "kernels/tc_float_exact.h"
#include "kernels/tc_bytes.h"
#include "kernels/tc_inline.h"
#include "kernels/tc_reduce.h"
#include "kernels/tc_requant.h"
#include "kernels/tc_softmax.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tc_log_softmax_entry {
    int32_t exponent;    /* -distance * scale, with five integer bits */
    int32_t exponential; /* of that, with twelve */
} tc_log_softmax_entry;

typedef struct tc_log_softmax_shape {
    int32_t rows;
    int32_t depth;
    int32_t max_distance; /* elements further away give -128 */
    int32_t multiplier;   /* from an exponent to a distance */
    int32_t shift;
} tc_log_softmax_shape;

typedef struct tc_float_log_softmax_shape {
    int32_t rows;
    int32_t depth;
} tc_float_log_softmax_shape;

/* value * 2^shift, saturated. */
TC_INLINE int32_t tc_saturating_shift_left(int32_t value, int32_t shift)
{
    const int64_t shifted = (int64_t)value * ((int64_t)1 << shift);
    return shifted > INT32_MAX ? INT32_MAX : shifted < INT32_MIN ? INT32_MIN : (int32_t)shifted;
}

/*
 * log(x) with five integer bits for x >= 1 with twelve, not 0: log_x_for_x_greater_than_or_equal_to_1 (common.h).
 * x = r * 2^n with r around sqrt(sqrt(1/2)), of two choices the nearer one; log(r) is a quotient of polynomials.
 */
static TC_NOINLINE int32_t tc_log_from_1(int32_t x)
{
    const int32_t root_of_half = 1518500250;
    const int32_t center = 1805811301; /* sqrt(sqrt(1/2)) */
    const int32_t quarter = 1 << 23;   /* with six integer bits, as the exponents */
    const int32_t zeros = tc_leading_zeros((uint32_t)x);
    const int32_t reduced =
        tc_saturating_rounding_doubling_high_mul(tc_saturating_shift_left(x, zeros - 1), root_of_half);
    const int32_t first = tc_saturating_shift_left(reduced, 1);
    const int32_t headroom =
        tc_leading_zeros((uint32_t)tc_saturating_rounding_doubling_high_mul(x, root_of_half)) - 1;
    const int32_t second = tc_saturating_shift_left(x, headroom);
    const int32_t exponent = tc_max((12 - zeros) * (1 << 25) + quarter, (12 - headroom) * (1 << 25) - quarter);
    const int32_t r = tc_min(first, second);
    const int32_t p = (int32_t)(((int64_t)r + center + 1) / 2);
    const int32_t q = 2 * (r - center);
    const int32_t square = tc_saturating_rounding_doubling_high_mul(q, q);
    const int32_t cube = tc_saturating_rounding_doubling_high_mul(q, square);
    const int32_t numerator = tc_saturating_rounding_doubling_high_mul(q, r) +
                              tc_saturating_rounding_doubling_high_mul(cube, 117049297);
    const int32_t slope = 1057819769 + q + tc_saturating_rounding_doubling_high_mul(127690142, square);
    const int32_t denominator = tc_saturating_rounding_doubling_high_mul(p, slope) +
                                tc_saturating_rounding_doubling_high_mul(638450708, q);
    const int32_t fraction = tc_saturating_rounding_doubling_high_mul(tc_rounding_divide_by_pot(numerator, 6),
                                                                      tc_one_over_one_plus(denominator));
    const int32_t whole = tc_saturating_rounding_doubling_high_mul(exponent, 1488522236);
    return tc_saturating_shift_left(whole + fraction, 1);
}

TC_INLINE void tc_log_softmax_s8(const int8_t *input, int8_t *output, const tc_log_softmax_entry *entries,
                                 const tc_log_softmax_shape *shape)
{
    for (int32_t row = 0; row < shape->rows; ++row) {
        const int32_t largest = tc_extreme_of_run(input, shape->depth, input[0], tc_max4, tc_max);
        int32_t sum = 0;
        for (int32_t i = 0; i < shape->depth; ++i) {
            sum += entries[largest - input[i]].exponential;
        }
        const int32_t logarithm = tc_log_from_1(sum);
        const int32_t lowest = tc_wrapping_add(logarithm, INT32_MIN);
        const int32_t farthest = tc_multiply_by_quantized_multiplier(lowest, shape->multiplier, shape->shift);
        const int32_t limit = -tc_max(-shape->max_distance - 1, farthest);
        /*
         * The difference to the logarithm isn't positive, so its rounding to 22 bits fewer, halves away from zero, adds one
         * less than half of 2^22. Where the difference wraps the distance is beyond the limit.
         */
        const uint32_t more = (127u << 22) + (1u << 21) - 1u - (uint32_t)logarithm;
        for (int32_t i = 0; i < shape->depth; ++i) {
            const int32_t distance = largest - input[i];
            const int32_t scaled = (int32_t)((uint32_t)entries[distance].exponent + more);
            output[i] = (int8_t)(distance < limit ? tc_saturate8(scaled, 22) : -128);
        }
        input += shape->depth;
        output += shape->depth;
    }
}

TC_INLINE void tc_float_log_softmax(const float *input, float *output, const tc_float_log_softmax_shape *shape)
{
    for (int32_t row = 0; row < shape->rows; ++row) {
        float largest = input[0];
        for (int32_t i = 1; i < shape->depth; ++i) {
            largest = input[i] > largest ? input[i] : largest;
        }
        float sum = 0.0f;
        for (int32_t i = 0; i < shape->depth; ++i) {
            sum += tc_opaque(expf(tc_opaque(input[i] - largest)));
        }
        const float logarithm = logf(sum);
        for (int32_t i = 0; i < shape->depth; ++i) {
            output[i] = tc_opaque(tc_opaque(input[i] - largest) - logarithm);
        }
        input += shape->depth;
        output += shape->depth;
    }
}

#ifdef __cplusplus
}
#endif

#endif
