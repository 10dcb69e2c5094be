/* SPDX-License-Identifier: 0BSD */
/*
 * Sums, differences and products of int16 tensors that broadcast, and factors for each sign, with the rounding of
 * tc_requant_short.h: for factors that are right shifts.
 *
 * Shapes are those of tc_broadcast.h. An element is read before it is written, in memory order; what a run repeats
 * is read before the run's first output is written.
 */
#ifndef TC_WIDE_PAIRS_H
#define TC_WIDE_PAIRS_H

#include <stdint.h>

#include "cmsis_shim/tc_simd.h"
#include "kernels/tc_bytes.h"
#include "kernels/tc_inline.h"
#include "kernels/tc_pairs.h"
#include "kernels/tc_requant.h"

#ifdef __cplusplus
extern "C" {
#endif

/* value * multiplier * 2^(-right - 31), rounded twice; no shift, no second rounding. A factor of 1 has `right` -1. */
typedef struct tc_wide_short {
    int32_t multiplier;
    int32_t right;
} tc_wide_short;

/* Of half of `doubled`. */
TC_INLINE int32_t tc_wide_shortly(int32_t doubled, const tc_wide_short *factor)
{
    if (factor->right < 0) {
        return doubled >> 1;
    }
    if (factor->right == 0) {
        return tc_smmlar(doubled, factor->multiplier, 0);
    }
    const int32_t half = 1 << (factor->right - 1);
    return (tc_smmlar(doubled, factor->multiplier, half) + (doubled >> 31)) >> factor->right;
}

/* The same, limited to a range. */
TC_INLINE int16_t tc_wide_limited(int32_t doubled, const tc_wide_short *factor, int32_t low, int32_t high)
{
    if (low > -32768 || high < 32767) {
        return (int16_t)tc_clamp(tc_wide_shortly(doubled, factor), low, high);
    }
    if (factor->right <= 0) {
        return (int16_t)tc_ssat16(tc_wide_shortly(doubled, factor));
    }
    const int32_t half = 1 << (factor->right - 1);
    return (int16_t)tc_saturate16(tc_smmlar(doubled, factor->multiplier, half) + (doubled >> 31), factor->right);
}

/* Twice a product of two int16, saturated: the compiler has checked that the only one that doesn't fit gives the same. */
TC_INLINE int32_t tc_wide_doubled(int32_t product)
{
#if TC_DSP
    return __qadd(product, product);
#else
    return product == 1 << 30 ? INT32_MAX : product * 2;
#endif
}

/* An operand of a sum, 15 bits to the left, times its factor; half of it needs no rounding. */
TC_INLINE int32_t tc_wide_aligned(int32_t value, const tc_wide_short *factor)
{
    const int32_t is_half = factor->right == 0 && factor->multiplier == 1 << 30;
    return is_half ? value * 16384 : tc_wide_shortly(value * 65536, factor);
}

typedef struct tc_wide_pairs_form {
    tc_wide_short first; /* of operands of sums and differences */
    tc_wide_short second;
    tc_wide_short output;
    int32_t low;
    int32_t high;
} tc_wide_pairs_form;

typedef int16_t tc_wide_pair(int32_t a, int32_t b, const tc_wide_pairs_form *form);

TC_INLINE int16_t tc_wide_pair_add(int32_t a, int32_t b, const tc_wide_pairs_form *form)
{
    const int32_t sum = tc_wide_aligned(a, &form->first) + tc_wide_aligned(b, &form->second);
    return tc_wide_limited(sum * 2, &form->output, form->low, form->high);
}

TC_INLINE int16_t tc_wide_pair_sub(int32_t a, int32_t b, const tc_wide_pairs_form *form)
{
    const int32_t difference = tc_wide_aligned(a, &form->first) - tc_wide_aligned(b, &form->second);
    return tc_wide_limited(difference * 2, &form->output, form->low, form->high);
}

TC_INLINE int16_t tc_wide_pair_mul(int32_t a, int32_t b, const tc_wide_pairs_form *form)
{
    return tc_wide_limited(tc_wide_doubled(a * b), &form->output, form->low, form->high);
}

TC_INLINE void tc_wide_pairs(const int16_t *a, const int16_t *b, int16_t *output, tc_wide_pair *function,
                             const tc_wide_pairs_form *form, const tc_broadcast *shape)
{
    const int32_t count = shape->size[TC_BROADCAST_LOOPS - 1];
    const int32_t a_step = shape->a_stride[TC_BROADCAST_LOOPS - 1];
    const int32_t b_step = shape->b_stride[TC_BROADCAST_LOOPS - 1];
    TC_RUNS(shape->size)
    {
        const int16_t *run_a = a + TC_RUN_AT(shape->a_stride);
        const int16_t *run_b = b + TC_RUN_AT(shape->b_stride);
        const int32_t first_a = *run_a;
        const int32_t first_b = *run_b;
        for (int32_t i = 0; i < count / 4 * 4; i += 4) {
            const int32_t a0 = a_step == 0 ? first_a : run_a[i];
            const int32_t a1 = a_step == 0 ? first_a : run_a[i + 1];
            const int32_t a2 = a_step == 0 ? first_a : run_a[i + 2];
            const int32_t a3 = a_step == 0 ? first_a : run_a[i + 3];
            output[i] = function(a0, b_step == 0 ? first_b : run_b[i], form);
            output[i + 1] = function(a1, b_step == 0 ? first_b : run_b[i + 1], form);
            output[i + 2] = function(a2, b_step == 0 ? first_b : run_b[i + 2], form);
            output[i + 3] = function(a3, b_step == 0 ? first_b : run_b[i + 3], form);
        }
        for (int32_t i = count / 4 * 4; i < count; ++i) {
            output[i] = function(a_step == 0 ? first_a : run_a[i], b_step == 0 ? first_b : run_b[i], form);
        }
        output += count;
    }
}

typedef struct tc_wide_signs_shape {
    int32_t count;
    tc_wide_short positive;
    tc_wide_short negative;
    int32_t low;
    int32_t high;
} tc_wide_signs_shape;

/* A factor for each sign. */
TC_INLINE void tc_wide_signs(const int16_t *input, int16_t *output, const tc_wide_signs_shape *shape)
{
    const int32_t same = shape->positive.multiplier == shape->negative.multiplier &&
                         shape->positive.right == shape->negative.right;
    for (int32_t i = 0; i < shape->count; ++i) {
        const int32_t doubled = input[i] * 2;
        if (same || doubled >= 0) {
            output[i] = tc_wide_limited(doubled, &shape->positive, shape->low, shape->high);
        } else {
            output[i] = tc_wide_limited(doubled, &shape->negative, shape->low, shape->high);
        }
    }
}

#ifdef __cplusplus
}
#endif

#endif
