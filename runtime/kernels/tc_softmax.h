/* SPDX-License-Identifier: 0BSD */
/*
 * Softmax of int8 values over the last axis: output scale 1/256, zero point -128.
 *
 * input, output  [rows][depth], int8, depth < 4096
 *
 * The arithmetic is that of tflite::reference_ops::Softmax for int8: exponentials of (x - max) in fixed point without
 * integer bits, their sum with 12 integer bits, its reciprocal by three Newton-Raphson steps (gemmlowp
 * fixedpoint/fixedpoint.h).
 *
 * tc_softmax_computed_s8 computes the exponentials. tc_softmax_s8 looks them up: one depends on nothing but max - x,
 * which is in 0..255. The table begins where they become large enough to change the sum or an output.
 *
 * A row is read completely before its first output is written, and then once more, in step with the outputs.
 */
#ifndef TC_SOFTMAX_H
#define TC_SOFTMAX_H

#include <stdint.h>

#include "cmsis_shim/tc_simd.h"
#include "kernels/tc_bytes.h"
#include "kernels/tc_distance.h"
#include "kernels/tc_inline.h"
#include "kernels/tc_requant.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tc_softmax_shape {
    int32_t rows;
    int32_t depth;
    int32_t exponentials; /* entries of the table */
    int32_t fours;        /* whether to compute four elements at a time, which takes more code */
} tc_softmax_shape;

typedef struct tc_softmax_computed_shape {
    int32_t rows;
    int32_t depth;
    int32_t multiplier; /* the exponent is (x - max) * 2^shift * multiplier / 2^31, with five integer bits */
    int32_t shift;
    int32_t max_distance; /* exponentials further away from the maximum count as 0 */
} tc_softmax_computed_shape;

/* exp(a) for a in [-1/4, 0), both without integer bits: a Taylor polynomial around -1/8. */
static inline int32_t tc_exp_of_small(int32_t a)
{
    const int32_t exp_of_minus_eighth = 1895147668;
    const int32_t one_third = 715827883;
    const int32_t x = a + (1 << 28);
    const int32_t x2 = tc_saturating_rounding_doubling_high_mul(x, x);
    const int32_t x3 = tc_saturating_rounding_doubling_high_mul(x2, x);
    const int32_t x4_over_4 = tc_rounding_divide_by_pot(tc_saturating_rounding_doubling_high_mul(x2, x2), 2);
    const int32_t third = tc_saturating_rounding_doubling_high_mul(x4_over_4 + x3, one_third);
    const int32_t tail = tc_rounding_divide_by_pot(third + x2, 1);
    return exp_of_minus_eighth + tc_saturating_rounding_doubling_high_mul(x + tail, exp_of_minus_eighth);
}

/* exp(a) without integer bits, for a <= 0 with five: the polynomial times exp of a sum of powers of two. */
static TC_NOINLINE int32_t tc_exp_of_negative(int32_t a)
{
    /* exp(-1/4), exp(-1/2), exp(-1) ... exp(-16) */
    static const int32_t factors[7] = {1672461947, 1302514674, 790015084, 290630308, 39332535, 720401, 242};
    const int32_t quarter = 1 << 24;
    const int32_t small = (a & (quarter - 1)) - quarter;
    const int32_t rest = small - a;
    int32_t result = tc_exp_of_small(small * 32);
    for (int32_t i = 0; i < 7; ++i) {
        if ((rest >> (24 + i)) & 1) {
            result = tc_saturating_rounding_doubling_high_mul(result, factors[i]);
        }
    }
    return a == 0 ? INT32_MAX : result;
}

/* What a step of Newton's method adds to half of `twice`, an estimate of `half`'s reciprocal with two integer bits. */
TC_INLINE int32_t tc_reciprocal_step(int32_t twice, int32_t half)
{
    const int32_t error = (1 << 29) - tc_smmlar(half, twice, 0);
    return tc_smmlar(twice, error, 0) * 4;
}

/*
 * 1 / (1 + a) for a in [0, 1), both without integer bits: gemmlowp one_over_one_plus_x_for_x_in_0_1. Products are rounded
 * to 31 bits, that is, products of twice a factor to 32. The estimates have two integer bits and come closer from
 * below: all in front of the last one are smaller than 2 by more than 2^-17, so that twice of them fits. The last one may be
 * 2, which is what the largest number stands for.
 */
TC_INLINE int32_t tc_one_over_one_plus(int32_t a)
{
    const int32_t half_denominator = (int32_t)(((uint32_t)a + 0x80000000u) >> 1);
    /* 48/17 - 32/17 * d, the usual first guess */
    int32_t estimate = tc_smmlar(half_denominator, -2021161080, 1515870810);
#if TC_DSP /* without shifts between the steps */
    int32_t twice = estimate * 2;
    twice += tc_reciprocal_step(twice, half_denominator) * 2;
    twice += tc_reciprocal_step(twice, half_denominator) * 2;
    estimate = (twice >> 1) + tc_reciprocal_step(twice, half_denominator);
#else
    for (int32_t step = 0; step < 3; ++step) { /* many instructions without SMMLAR */
        estimate += tc_reciprocal_step(estimate * 2, half_denominator);
    }
#endif
    return estimate > INT32_MAX / 2 ? INT32_MAX : estimate * 2;
}

/* The exponential of -distance; `form` is what the function needs to know. */
typedef int32_t tc_softmax_exponential(int32_t distance, const void *form);

TC_INLINE void tc_softmax_rows(const int8_t *input, int8_t *output, int32_t rows, int32_t depth,
                               tc_softmax_exponential *exponential, const void *form)
{
    for (; rows > 0; --rows) {
        int32_t largest = input[0];
        for (int32_t i = 1; i < depth; ++i) {
            largest = tc_max(largest, input[i]);
        }
        int32_t sum = 0;
        for (int32_t i = 0; i < depth; ++i) {
            sum += tc_rounding_divide_by_pot(exponential(largest - input[i], form), 12);
        }
        /* 1 / sum = scale * 2^-(12 - headroom), scale without integer bits */
        const int32_t headroom = tc_leading_zeros((uint32_t)sum);
        const int32_t scale = tc_one_over_one_plus((int32_t)(((uint32_t)sum << headroom) - 0x80000000u));
        const int32_t shift = 12 - headroom + 31 - 8;
        for (int32_t i = 0; i < depth; ++i) {
            const int32_t numerator = exponential(largest - input[i], form);
            const int32_t product = tc_saturating_rounding_doubling_high_mul(scale, numerator);
            const int32_t probability = shift > 31 ? 0 : tc_rounding_divide_by_pot(product, shift);
            output[i] = (int8_t)tc_min(probability - 128, 127);
        }
        input += depth;
        output += depth;
    }
}

/* Entries are 2 e - 2^31 for the exponentials e of distances (tc_distance.h): sum + e, rounded to 12 bits fewer, - 2^18. */
TC_INLINE int32_t tc_softmax_add(int32_t sum, int32_t entry)
{
#if TC_DSP
    return tc_smmlar(entry, 1 << 19, sum);
#else
    return sum + (((entry >> 12) + 1) >> 1);
#endif
}

/* How many elements of a row are computed four at a time. */
TC_INLINE int32_t tc_softmax_grouped(const tc_softmax_shape *shape)
{
    return TC_THUMB1 || !shape->fours ? 0 : shape->depth / 4 * 4;
}

/* Four elements at `places`. */
TC_INLINE int32_t tc_softmax_add_four(int32_t sum, uint32_t places, const int32_t *entries)
{
    sum = tc_softmax_add(sum, entries[places & 0xFFu]);
    sum = tc_softmax_add(sum, entries[(places >> 8) & 0xFFu]);
    sum = tc_softmax_add(sum, entries[(places >> 16) & 0xFFu]);
    return tc_softmax_add(sum, entries[places >> 24]);
}

TC_INLINE int32_t tc_softmax_add_eight(int32_t sum, const int8_t *input, const int32_t *entries, uint32_t floors)
{
    sum = tc_softmax_add_four(sum, tc_four_places(input, floors), entries);
    return tc_softmax_add_four(sum, tc_four_places(input + 4, floors), entries);
}

/* Without loops for rows of 16, of which they are an eighth of the instructions. */
TC_INLINE int32_t tc_softmax_sum(const int8_t *input, int32_t depth, int32_t grouped, const int32_t *entries,
                                 uint32_t floors)
{
    int32_t sum = depth << 18;
    int32_t i = 0;
    if (grouped == 16) {
        sum = tc_softmax_add_eight(sum, input, entries, floors);
        i = 8;
    }
    for (; i + 8 <= grouped; i += 8) {
        sum = tc_softmax_add_eight(sum, input + i, entries, floors);
    }
    if (i < grouped) {
        sum = tc_softmax_add_four(sum, tc_four_places(input + i, floors), entries);
        i += 4;
    }
    for (; i < depth; ++i) {
        sum = tc_softmax_add(sum, entries[tc_place(input[i], floors)]);
    }
    return sum;
}

/*
 * A probability is e * scale with both roundings in one shift, since halves of numbers that aren't negative go upwards:
 *
 *     (e * scale + 2^30 + 2^(shift + 30)) >> (shift + 31)
 *         = (hi(entry * scale + 2^31) + scale / 2 + 2^(shift - 1)) >> shift
 *
 * for an even scale, in 32 bits without a sign. With the least shift it may be 256.
 */
#define TC_SOFTMAX_LEAST_SHIFT 23

typedef struct tc_softmax_factor {
    int32_t scale;
    int32_t start;
    int32_t shift;
} tc_softmax_factor;

/* By the sum of a row's exponentials; `start` is the caller's to set, where a shift of up to 31 leaves anything. */
TC_INLINE tc_softmax_factor tc_softmax_factor_of(uint32_t sum)
{
    const int32_t headroom = tc_leading_zeros(sum);
    tc_softmax_factor factor;
    /* INT32_MAX, the only odd one, gives what this one gives: the compiler has looked at the exponentials. */
    factor.scale = tc_min(tc_one_over_one_plus((int32_t)((sum << headroom) - 0x80000000u)), INT32_MAX - 1);
    factor.start = 0;
    factor.shift = 12 - headroom + 31 - 8;
    return factor;
}

TC_INLINE int32_t tc_softmax_start(const tc_softmax_factor *factor)
{
    return (factor->scale >> 1) + (1 << (factor->shift - 1));
}

/* What is written is 128 less. Up to 256. */
TC_INLINE uint32_t tc_softmax_probability(int32_t entry, const tc_softmax_factor *factor)
{
    return (uint32_t)tc_smmlar(entry, factor->scale, factor->start) >> factor->shift;
}

/* Two probabilities as bytes 0 and 2, limited to 255 where one may be larger. */
TC_INLINE uint32_t tc_softmax_two(int32_t first, int32_t second, int32_t limited, const tc_softmax_factor *factor)
{
    uint32_t both = tc_pkhbt(tc_softmax_probability(first, factor), tc_softmax_probability(second, factor), 16);
#if TC_DSP
    if (limited) {
        __asm__("usat16 %0, #8, %0" : "+r"(both));
    }
    return both;
#else
    both -= limited ? (both >> 8) & 0x10001u : 0u; /* 256 */
    return both;
#endif
}

/* Of four inputs. */
TC_INLINE void tc_softmax_four(const int8_t *input, int8_t *output, const int32_t *entries, uint32_t floors,
                               int32_t limited, const tc_softmax_factor *factor)
{
    const uint32_t places = tc_four_places(input, floors);
    const uint32_t even = tc_softmax_two(entries[places & 0xFFu], entries[(places >> 16) & 0xFFu], limited, factor);
    const uint32_t odd = tc_softmax_two(entries[(places >> 8) & 0xFFu], entries[places >> 24], limited, factor);
    tc_store4(output, (even | odd << 8) ^ 0x80808080u);
}

TC_INLINE void tc_softmax_eight(const int8_t *input, int8_t *output, const int32_t *entries, uint32_t floors,
                                const tc_softmax_factor *factor)
{
    tc_softmax_four(input, output, entries, floors, 0, factor);
    tc_softmax_four(input + 4, output + 4, entries, floors, 0, factor);
}

TC_INLINE void tc_softmax_outputs(const int8_t *input, int8_t *output, int32_t depth, int32_t grouped,
                                  const int32_t *entries, uint32_t floors, const tc_softmax_factor *factor)
{
    int32_t i = 0;
    if (factor->shift > TC_SOFTMAX_LEAST_SHIFT) { /* with which no probability is above 255 */
        if (grouped == 16) {
            tc_softmax_eight(input, output, entries, floors, factor);
            i = 8;
        }
        for (; i + 8 <= grouped; i += 8) {
            tc_softmax_eight(input + i, output + i, entries, floors, factor);
        }
    }
    for (; i < grouped; i += 4) {
        tc_softmax_four(input + i, output + i, entries, floors, 1, factor);
    }
    for (; i < depth; ++i) {
        const uint32_t one = tc_softmax_probability(entries[tc_place(input[i], floors)], factor);
        output[i] = (int8_t)(tc_usat8((int32_t)one) - 128);
    }
}

TC_INLINE void tc_softmax_s8(const int8_t *input, int8_t *output, const int32_t *exponentials,
                             const tc_softmax_shape *shape)
{
    const int32_t depth = shape->depth;
    const int32_t grouped = tc_softmax_grouped(shape);
    for (int32_t row = 0; row < shape->rows; ++row) {
        const int32_t largest = tc_largest(input, depth);
        const tc_places places = tc_places_below(largest, shape->exponentials);
        const int32_t *const from = exponentials + places.first;
        const uint32_t sum = (uint32_t)tc_softmax_sum(input, depth, grouped, from, places.floors);
        tc_softmax_factor factor = tc_softmax_factor_of(sum);
        if (factor.shift <= 31) {
            factor.start = tc_softmax_start(&factor);
            tc_softmax_outputs(input, output, depth, grouped, from, places.floors, &factor);
        } else {
            for (int32_t i = 0; i < depth; ++i) {
                output[i] = -128;
            }
        }
        input += depth;
        output += depth;
    }
}

TC_INLINE int32_t tc_softmax_compute(int32_t distance, const void *form)
{
    const tc_softmax_computed_shape *shape = (const tc_softmax_computed_shape *)form;
    if (distance > shape->max_distance) {
        return 0;
    }
    const int32_t scaled = tc_shift_left(-distance, shape->shift);
    return tc_exp_of_negative(tc_saturating_rounding_doubling_high_mul(scaled, shape->multiplier));
}

TC_INLINE void tc_softmax_computed_s8(const int8_t *input, int8_t *output, const tc_softmax_computed_shape *shape)
{
    tc_softmax_rows(input, output, shape->rows, shape->depth, tc_softmax_compute, shape);
}

#ifdef __cplusplus
}
#endif

#endif
