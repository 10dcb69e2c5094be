/* SPDX-License-Identifier: 0BSD */
/*
 * DIV of int8 and int16 tensors: the arithmetic of tflite::reference_ops::DivElementwise.
 *
 * tc_quotient_s8 multiplies the dividend with a factor for each divisor; the compiler has checked all pairs of operands.
 *
 * tc_div_s8 does it step by step, with a table of reciprocals; tc_div_s16 computes those, too.
 *
 * reciprocals[d], d in 1..255: 1 / d without integer bits, times the power of two that brings it to [1/2, 1).
 *
 * A division by 0 gives the end of the range on the dividend's side, 0 / 0 gives 0. A shift by more than 31 bits, which
 * is undefined in LiteRT's C++, gives 0.
 *
 * Elements are read and written in memory order.
 */
#ifndef TC_DIV_H
#define TC_DIV_H

#include <stdint.h>

#include "cmsis_shim/tc_simd.h"
#include "kernels/tc_broadcast.h"
#include "kernels/tc_inline.h"
#include "kernels/tc_mapped.h"
#include "kernels/tc_pairs.h"
#include "kernels/tc_requant.h"
#include "kernels/tc_softmax.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TC_DIV_PLACES 22 /* the dividend is shifted to the left, since its product's upper half counts */

typedef struct tc_quotient_form {
    int32_t a_zero_point;
    tc_high_form high;
} tc_quotient_form;

TC_INLINE int32_t tc_dividend(const void *operand, const int32_t *table, int32_t at, const void *form)
{
    (void)table;
    const int32_t zero = ((const tc_quotient_form *)form)->a_zero_point * (1 << TC_DIV_PLACES);
    return ((const int8_t *)operand)[at] * (1 << TC_DIV_PLACES) - zero;
}

TC_INLINE int32_t tc_quotient_of(int32_t dividend, int32_t factor, const void *form)
{
    return tc_high_result(dividend, factor, &((const tc_quotient_form *)form)->high);
}

TC_MAPPED(tc_quotient_s8, int32_t, tc_dividend, tc_number_s32, tc_quotient_of)

typedef struct tc_div_form {
    int32_t a_zero_point;
    int32_t b_zero_point;
    int32_t multiplier;
    int32_t shift;
    tc_output_range range;
} tc_div_form;

typedef struct tc_div_parameters {
    const int32_t *reciprocals;
    const tc_div_form *form;
} tc_div_parameters;

/* What a division by 0 gives: more than any output. */
TC_INLINE int32_t tc_divided_by_zero(int32_t dividend)
{
    return dividend > 0 ? 1 << 16 : dividend < 0 ? -(1 << 16) : 0;
}

/* The quotient of differences to zero points, in units of the output; `magnitude`: of the divisor, at least 1. */
TC_INLINE int32_t tc_scaled_quotient(int32_t signed_dividend, int32_t magnitude, int32_t reciprocal,
                                     const tc_div_form *form)
{
    /* As far to the left as it fits into an int32: bits that repeat the sign, without the sign itself. */
    const uint32_t bits = (uint32_t)(signed_dividend < 0 ? ~signed_dividend : signed_dividend);
    const int32_t headroom = bits == 0u ? 31 : tc_leading_zeros(bits) - 1;
    const int32_t right = 31 - tc_leading_zeros((uint32_t)magnitude) + headroom - form->shift;
    const int32_t quotient = tc_saturating_rounding_doubling_high_mul(tc_shift_left(signed_dividend, headroom),
                                                                      reciprocal);
    const int32_t scaled = tc_saturating_rounding_doubling_high_mul(quotient, form->multiplier);
    return right > 31 ? 0 : tc_rounding_divide_by_pot(scaled, right);
}

TC_INLINE void tc_div_run(const int8_t *a, int32_t a_step, const int8_t *b, int32_t b_step, int8_t *output,
                          int32_t count, const void *given)
{
    const tc_div_parameters *parameters = (const tc_div_parameters *)given;
    const tc_div_form *form = parameters->form;
    const tc_output_range *range = &form->range;
    for (int32_t i = 0; i < count; ++i) {
        const int32_t dividend = a[i * a_step] - form->a_zero_point;
        const int32_t divisor = b[i * b_step] - form->b_zero_point;
        const int32_t magnitude = divisor < 0 ? -divisor : divisor;
        const int32_t reciprocal = parameters->reciprocals[magnitude];
        const int32_t quotient =
            divisor == 0 ? tc_divided_by_zero(dividend)
                         : tc_scaled_quotient(divisor < 0 ? -dividend : dividend, magnitude, reciprocal, form);
        output[i] = (int8_t)tc_clamp(tc_wrapping_add(quotient, range->zero_point), range->low, range->high);
    }
}

TC_INLINE void tc_div_s8(const int8_t *a, const int8_t *b, int8_t *output, const int32_t *reciprocals,
                         const tc_div_form *form, const tc_broadcast *shape)
{
    tc_div_parameters parameters;
    parameters.reciprocals = reciprocals;
    parameters.form = form;
    tc_broadcast_s8(a, b, output, shape, tc_div_run, &parameters);
}

/* Of values with the zero point 0. */
TC_INLINE int32_t tc_div_of_s16(int32_t dividend, int32_t divisor, const tc_div_form *form)
{
    if (divisor == 0) {
        return tc_divided_by_zero(dividend);
    }
    const int32_t magnitude = divisor < 0 ? -divisor : divisor;
    const uint32_t mantissa = (uint32_t)magnitude << tc_leading_zeros((uint32_t)magnitude);
    const int32_t reciprocal = tc_one_over_one_plus((int32_t)(mantissa - 0x80000000u));
    return tc_scaled_quotient(divisor < 0 ? -dividend : dividend, magnitude, reciprocal, form);
}

TC_INLINE void tc_div_s16(const int16_t *a, const int16_t *b, int16_t *output, const tc_div_form *form,
                          const tc_broadcast *shape)
{
    const int32_t count = shape->size[TC_BROADCAST_LOOPS - 1];
    const int32_t a_step = shape->a_stride[TC_BROADCAST_LOOPS - 1];
    const int32_t b_step = shape->b_stride[TC_BROADCAST_LOOPS - 1];
    TC_RUNS(shape->size)
    {
        const int16_t *run_a = a + TC_RUN_AT(shape->a_stride);
        const int16_t *run_b = b + TC_RUN_AT(shape->b_stride);
        for (int32_t i = 0; i < count; ++i) {
            const int32_t quotient = tc_div_of_s16(run_a[i * a_step], run_b[i * b_step], form);
            *output++ = (int16_t)tc_clamp(quotient, form->range.low, form->range.high);
        }
    }
}

#ifdef __cplusplus
}
#endif

#endif
