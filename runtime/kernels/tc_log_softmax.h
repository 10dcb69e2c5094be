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
#include "kernels/tc_distance.h"
#include "kernels/tc_inline.h"
#include "kernels/tc_requant.h"
#include "kernels/tc_softmax.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tc_log_softmax_entry {
    int32_t exponent;    /* -distance * scale, with five integer bits, but at least -24 */
    int32_t exponential; /* of that, with twelve */
} tc_log_softmax_entry;

typedef struct tc_log_softmax_shape {
    int32_t rows;
    int32_t depth;
    int32_t count;      /* of entries: of the distances count - 1 ... 0; there is no larger distance, or all give -128 */
    int32_t wide;       /* a scale so large that the largest elements give -128, too, if the logarithm is large enough: */
    int32_t multiplier; /* from an exponent to a distance */
    int32_t shift;
} tc_log_softmax_shape;

typedef struct tc_float_log_softmax_shape {
    int32_t rows;
    int32_t depth;
} tc_float_log_softmax_shape;

/*
 * log(x) with five integer bits for x >= 1 with twelve, not 0: log_x_for_x_greater_than_or_equal_to_1 (common.h).
 * x = r * 2^n with r around sqrt(sqrt(1/2)), of two choices the nearer one; log(r) is a quotient of polynomials.
 * Products are those of numbers without integer bits, one of which is small enough to be taken twice.
 */
static TC_NOINLINE int32_t tc_log_from_1(int32_t x)
{
    const int32_t root_of_half = 1518500250;
    const int32_t center = 1805811301; /* sqrt(sqrt(1/2)) */
    const int32_t quarter = 1 << 23;   /* with six integer bits, as the exponents */
    const int32_t zeros = tc_leading_zeros((uint32_t)x);
    const int32_t reduced = tc_saturating_rounding_doubling_high_mul(tc_shift_left(x, zeros - 1), root_of_half);
    const int32_t first = reduced < 1 << 30 ? reduced * 2 : INT32_MAX;
    const int32_t headroom =
        tc_leading_zeros((uint32_t)tc_saturating_rounding_doubling_high_mul(x, root_of_half)) - 1;
    const uint32_t shifted = (uint32_t)x << headroom;
    const int32_t second = shifted <= (uint32_t)INT32_MAX ? (int32_t)shifted : INT32_MAX;
    const int32_t exponent = tc_max((12 - zeros) * (1 << 25) + quarter, (12 - headroom) * (1 << 25) - quarter);
    const int32_t r = tc_min(first, second);
    const int32_t p = (int32_t)(((uint32_t)r + (uint32_t)center + 1u) >> 1);
    const int32_t q = 2 * (r - center);
    const int32_t square = tc_smmlar(q * 2, q, 0);
    const int32_t cube = tc_smmlar(q * 2, square, 0);
    const int32_t numerator = tc_smmlar(cube, 2 * 117049297, tc_smmlar(q * 2, r, 0));
    const int32_t slope = tc_smmlar(square, 2 * 127690142, 1057819769 + q);
    const int32_t denominator = tc_smmlar(q, 2 * 638450708, tc_saturating_rounding_doubling_high_mul(p, slope));
    const int32_t scaled = (numerator + (1 << 5) + (numerator >> 31)) >> 6; /* halves away from 0 */
    const int32_t fraction = tc_smmlar(scaled * 2, tc_one_over_one_plus(denominator), 0);
    return tc_smmlar(exponent * 2, 1488522236, fraction) * 2;
}

TC_INLINE int32_t tc_log_softmax_sum(const int8_t *input, int32_t depth, const tc_log_softmax_entry *entries,
                                     uint32_t floors)
{
    int32_t sum = 0;
    for (int32_t i = 0; i < depth / 4 * 4; i += 4) {
        const uint32_t four = tc_four_places(input + i, floors);
        sum += entries[four & 0xFFu].exponential + entries[(four >> 8) & 0xFFu].exponential;
        sum += entries[(four >> 16) & 0xFFu].exponential + entries[four >> 24].exponential;
    }
    for (int32_t i = depth / 4 * 4; i < depth; ++i) {
        sum += entries[tc_place(input[i], floors)].exponential;
    }
    return sum;
}

/* What is added to an exponent: the difference isn't positive, so that halves away from zero take one less than half. */
TC_INLINE void tc_log_softmax_outputs(const int8_t *input, int8_t *output, int32_t depth,
                                      const tc_log_softmax_entry *entries, uint32_t floors, int32_t more)
{
    for (int32_t i = 0; i < depth / 4 * 4; i += 4) {
        const uint32_t four = tc_four_places(input + i, floors);
        output[i] = (int8_t)tc_saturate8(entries[four & 0xFFu].exponent + more, 22);
        output[i + 1] = (int8_t)tc_saturate8(entries[(four >> 8) & 0xFFu].exponent + more, 22);
        output[i + 2] = (int8_t)tc_saturate8(entries[(four >> 16) & 0xFFu].exponent + more, 22);
        output[i + 3] = (int8_t)tc_saturate8(entries[four >> 24].exponent + more, 22);
    }
    for (int32_t i = depth / 4 * 4; i < depth; ++i) {
        output[i] = (int8_t)tc_saturate8(entries[tc_place(input[i], floors)].exponent + more, 22);
    }
}

/*
 * The reference gives -128 wherever the difference to the logarithm would leave its 32 bits. At most one distance more or
 * less does, since it says so in distances, rounded; with a scale of at most 30 a difference that near is -128 anyway.
 * With a larger one all distances but 0 give it, and 0 may.
 */
TC_INLINE void tc_log_softmax_s8(const int8_t *input, int8_t *output, const tc_log_softmax_entry *entries,
                                 const tc_log_softmax_shape *shape)
{
    const int32_t depth = shape->depth;
    for (int32_t row = 0; row < shape->rows; ++row) {
        const int32_t largest = tc_largest(input, depth);
        const tc_places places = tc_places_below(largest, shape->count);
        const tc_log_softmax_entry *const from = entries + places.first;
        const int32_t logarithm = tc_log_from_1(tc_log_softmax_sum(input, depth, from, places.floors));
        int32_t more = (127 << 22) + (1 << 21) - 1 - logarithm;
        if (shape->wide) {
            const int32_t lowest = tc_wrapping_add(logarithm, INT32_MIN);
            const int32_t farthest = tc_multiply_by_quantized_multiplier(lowest, shape->multiplier, shape->shift);
            more = farthest < 0 ? more : -(1 << 29);
        }
        tc_log_softmax_outputs(input, output, depth, from, places.floors, more);
        input += depth;
        output += depth;
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
