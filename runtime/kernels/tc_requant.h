/* SPDX-License-Identifier: 0BSD */
/*
 * Fixed-point arithmetic of the quantised operators, in the long form that serves every parameter.
 *
 * Equal, bit for bit, to TensorFlow Lite's reference kernels in their default build (double rounding):
 * gemmlowp fixedpoint/fixedpoint.h and TFLite kernels/internal/common.h.
 */
#ifndef TC_REQUANT_H
#define TC_REQUANT_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What one output channel needs: its accumulator starts at `bias`, which has -zero_point * sum(weights) folded in. */
typedef struct tc_channel {
    int32_t bias;
    int32_t multiplier; /* 0 or in [2^30, 2^31): the factor is multiplier * 2^(shift - 31) */
    int32_t shift;      /* in [-31, 30]; positive is to the left */
} tc_channel;

/* The quantisation of an output: value + zero_point, clamped to [low, high]. */
typedef struct tc_output_range {
    int32_t zero_point;
    int32_t low;
    int32_t high;
} tc_output_range;

static inline int32_t tc_min(int32_t a, int32_t b)
{
    return a < b ? a : b;
}

static inline int32_t tc_max(int32_t a, int32_t b)
{
    return a > b ? a : b;
}

static inline int32_t tc_clamp(int32_t value, int32_t low, int32_t high)
{
    return tc_min(tc_max(value, low), high);
}

/* a + b as the register holds it: wraps, where a signed addition would be undefined. */
static inline int32_t tc_wrapping_add(int32_t a, int32_t b)
{
    return (int32_t)((uint32_t)a + (uint32_t)b);
}

/* value * 2^shift as the register holds it: wraps, where a signed shift would be undefined. */
static inline int32_t tc_shift_left(int32_t value, int32_t shift)
{
    return (int32_t)((uint32_t)value << shift);
}

/* round(a * b / 2^31), halves upwards; saturates the one product that doesn't fit, INT32_MIN squared. */
static inline int32_t tc_saturating_rounding_doubling_high_mul(int32_t a, int32_t b)
{
    if (a == INT32_MIN && b == INT32_MIN) {
        return INT32_MAX;
    }
    return (int32_t)(((int64_t)a * b + ((int64_t)1 << 30)) >> 31);
}

/* value / 2^exponent, halves away from zero; 0 <= exponent <= 31. */
static inline int32_t tc_rounding_divide_by_pot(int32_t value, int32_t exponent)
{
    const int32_t mask = (int32_t)(((uint32_t)1 << exponent) - 1u);
    const int32_t remainder = value & mask;
    const int32_t threshold = (mask >> 1) + (value < 0 ? 1 : 0);
    return (value >> exponent) + (remainder > threshold ? 1 : 0);
}

/* value * multiplier * 2^(shift - 31), rounded twice: by the high product, then by the right shift. */
static inline int32_t tc_multiply_by_quantized_multiplier(int32_t value, int32_t multiplier, int32_t shift)
{
    const int32_t left = tc_max(shift, 0);
    const int32_t right = tc_max(-shift, 0);
    const int32_t product = tc_saturating_rounding_doubling_high_mul(tc_shift_left(value, left), multiplier);
    return tc_rounding_divide_by_pot(product, right);
}

/* The same for an accumulator on its way to an 8-bit output. The zero point is added as in a register, too. */
static inline int32_t tc_requantize(int32_t accumulator, int32_t multiplier, int32_t shift,
                                    const tc_output_range *range)
{
    const int32_t scaled = tc_multiply_by_quantized_multiplier(accumulator, multiplier, shift);
    return tc_clamp(tc_wrapping_add(scaled, range->zero_point), range->low, range->high);
}

/* The same with one rounding of the whole product, halves upwards, which fits in an int32_t. */
static inline int32_t tc_requantize_once(int32_t accumulator, int32_t multiplier, int32_t shift,
                                         const tc_output_range *range)
{
    const int64_t product = (int64_t)accumulator * multiplier;
    const int32_t scaled = (int32_t)((product + ((int64_t)1 << (30 - shift))) >> (31 - shift));
    const int32_t zero_point = range->zero_point;
    return tc_clamp(scaled, range->low - zero_point, range->high - zero_point) + zero_point;
}

#ifdef __cplusplus
}
#endif

#endif
