/* SPDX-License-Identifier: 0BSD */
/*
 * SQUARED_DIFFERENCE of int8 tensors: both operands aligned to one scale, the square of their difference scaled.
 *
 * tc_squared_difference_s8 brings the operand of the larger scale to the common one by a shift, the other one as
 * tc_requant_short.h does. It requantises in the same way a square, which isn't negative, of at most 2^30:
 *     saturate((offset + round(2 * square * multiplier / 2^32)) >> right), offset = zero_point * 2^right + 2^(right - 1)
 *
 * tc_square_s8 has a number for each value of an operand, whose difference times itself is the square in units of the output,
 * of which the upper 32 bits count. The compiler has checked all pairs of operands.
 *
 * tc_squared_difference_long_s8 computes step by step what LiteRT does, for all parameters.
 *
 * Elements are read and written in memory order. What a run repeats is read before its first output is written.
 */
#ifndef TC_SQUARED_DIFFERENCE_H
#define TC_SQUARED_DIFFERENCE_H

#include <stdint.h>

#include "kernels/tc_broadcast.h"
#include "kernels/tc_bytes.h"
#include "kernels/tc_inline.h"
#include "kernels/tc_mapped.h"
#include "kernels/tc_requant.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tc_common_scale {
    int32_t zero_point;
    int32_t multiplier;
    int32_t right; /* 0: the operand of the larger scale */
} tc_common_scale;

typedef struct tc_squared_difference_form {
    tc_common_scale a;
    tc_common_scale b;
    int32_t multiplier;
    int32_t right;
    int32_t offset;
} tc_squared_difference_form;

typedef struct tc_common_scale_long {
    int32_t zero_point;
    int32_t multiplier;
    int32_t shift;
} tc_common_scale_long;

typedef struct tc_squared_difference_long_form {
    tc_common_scale_long a;
    tc_common_scale_long b;
    int32_t multiplier;
    int32_t shift;
    tc_output_range range;
} tc_squared_difference_long_form;

/* MultiplyByQuantizedMultiplier(128 * (value - zero_point), multiplier, -right) */
TC_INLINE int32_t tc_to_common_scale(int32_t value, const tc_common_scale *scale)
{
    const int32_t centred = value - scale->zero_point;
    if (scale->right == 0) {
        return centred * 64;
    }
    const int32_t doubled = centred * 256;
    const int32_t half = (int32_t)(1u << (scale->right - 1));
    return (tc_smmlar(doubled, scale->multiplier, half) + (doubled >> 31)) >> scale->right;
}

TC_INLINE int8_t tc_scaled_square(int32_t difference, const tc_squared_difference_form *form)
{
    const int32_t doubled = difference * difference * 2;
    return (int8_t)tc_saturate8(tc_smmlar(doubled, form->multiplier, form->offset), form->right);
}

TC_INLINE void tc_squared_difference_run(const int8_t *a, int32_t a_step, const int8_t *b, int32_t b_step,
                                         int8_t *output, int32_t count, const void *parameters)
{
    const tc_squared_difference_form *form = (const tc_squared_difference_form *)parameters;
    if (a_step == 0) {
        const int32_t aligned = tc_to_common_scale(*a, &form->a);
        for (int32_t i = 0; i < count; ++i) {
            output[i] = tc_scaled_square(aligned - tc_to_common_scale(b[i * b_step], &form->b), form);
        }
    } else if (b_step == 0) {
        const int32_t aligned = tc_to_common_scale(*b, &form->b);
        for (int32_t i = 0; i < count; ++i) {
            output[i] = tc_scaled_square(tc_to_common_scale(a[i], &form->a) - aligned, form);
        }
    } else {
        for (int32_t i = 0; i < count; ++i) {
            output[i] = tc_scaled_square(tc_to_common_scale(a[i], &form->a) - tc_to_common_scale(b[i], &form->b), form);
        }
    }
}

TC_INLINE void tc_squared_difference_s8(const int8_t *a, const int8_t *b, int8_t *output,
                                        const tc_squared_difference_form *form, const tc_broadcast *shape)
{
    tc_broadcast_s8(a, b, output, shape, tc_squared_difference_run, form);
}

TC_INLINE int32_t tc_square_of(int32_t a, int32_t b, const void *given)
{
    return tc_high_result(a - b, a - b, (const tc_high_form *)given);
}

TC_MAPPED(tc_square_s8, int32_t, tc_number_s32, tc_number_s32, tc_square_of)

TC_INLINE int32_t tc_to_common_scale_long(int32_t value, const tc_common_scale_long *factor)
{
    return tc_multiply_by_quantized_multiplier((value - factor->zero_point) * 128, factor->multiplier, factor->shift);
}

TC_INLINE void tc_squared_difference_long_run(const int8_t *a, int32_t a_step, const int8_t *b, int32_t b_step,
                                              int8_t *output, int32_t count, const void *parameters)
{
    const tc_squared_difference_long_form *form = (const tc_squared_difference_long_form *)parameters;
    for (int32_t i = 0; i < count; ++i) {
        const int32_t difference = tc_to_common_scale_long(a[i * a_step], &form->a) - tc_to_common_scale_long(b[i * b_step], &form->b);
        output[i] = (int8_t)tc_requantize(difference * difference, form->multiplier, form->shift, &form->range);
    }
}

TC_INLINE void tc_squared_difference_long_s8(const int8_t *a, const int8_t *b, int8_t *output,
                                             const tc_squared_difference_long_form *form, const tc_broadcast *shape)
{
    tc_broadcast_s8(a, b, output, shape, tc_squared_difference_long_run, form);
}

#ifdef __cplusplus
}
#endif

#endif
