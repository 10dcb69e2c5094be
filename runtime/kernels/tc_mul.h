/* SPDX-License-Identifier: 0BSD */
/*
 * MUL of int8 tensors: the arithmetic of tflite::reference_integer_ops::Mul,
 *     clamp(zero_point + mul((a - a_zero) * (b - b_zero), multiplier, shift))
 *
 * tc_mul_long_s8 does it step by step, for all parameters.
 *
 * tc_mul_s8 is the short form of tc_requant_short.h, for right shifts of 1 to 15 bits.
 *
 * Four elements are read before they are written, in memory order, so that an operand of the output's shape may be
 * the output's own memory.
 */
#ifndef TC_MUL_H
#define TC_MUL_H

#include <stdint.h>

#include "kernels/tc_broadcast.h"
#include "kernels/tc_bytes.h"
#include "kernels/tc_inline.h"
#include "kernels/tc_requant.h"
#include "kernels/tc_requant_short.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tc_mul_form {
    int32_t a_zero_point;
    int32_t b_zero_point;
    tc_short_requant requant;
    int32_t low;
    int32_t high;
} tc_mul_form;

typedef struct tc_mul_long_form {
    int32_t a_zero_point;
    int32_t b_zero_point;
    int32_t multiplier;
    int32_t shift;
    tc_output_range range;
} tc_mul_long_form;

TC_INLINE uint32_t tc_mul_word(uint32_t a, uint32_t b, const tc_mul_form *form)
{
    const uint32_t minus_a_zero = tc_lanes(-form->a_zero_point, -form->a_zero_point);
    const uint32_t minus_b_zero = tc_lanes(-form->b_zero_point, -form->b_zero_point);
    const uint32_t even_a = tc_add_even(minus_a_zero, a);
    const uint32_t odd_a = tc_add_odd(minus_a_zero, a);
    const uint32_t half_even_b = tc_add_even(minus_b_zero, b);
    const uint32_t half_odd_b = tc_add_odd(minus_b_zero, b);
    /* The short requantisation wants the products doubled. */
    const uint32_t even_b = tc_sadd16(half_even_b, half_even_b);
    const uint32_t odd_b = tc_sadd16(half_odd_b, half_odd_b);
    const uint32_t word = tc_pack4(tc_requantize_short(tc_low(even_a) * tc_low(even_b), &form->requant),
                                   tc_requantize_short(tc_low(odd_a) * tc_low(odd_b), &form->requant),
                                   tc_requantize_short(tc_high(even_a) * tc_high(even_b), &form->requant),
                                   tc_requantize_short(tc_high(odd_a) * tc_high(odd_b), &form->requant));
    return tc_clamp4(word, form->low, form->high);
}

TC_INLINE void tc_mul_run(const int8_t *a, int32_t a_step, const int8_t *b, int32_t b_step, int8_t *output,
                          int32_t count, const void *parameters)
{
    const tc_mul_form *form = (const tc_mul_form *)parameters;
    int32_t i = 0;
    for (; i <= count - 4; i += 4) {
        const uint32_t word_a = tc_load4_step(a + i * a_step, a_step);
        const uint32_t word_b = tc_load4_step(b + i * b_step, b_step);
        tc_store4(output + i, tc_mul_word(word_a, word_b, form));
    }
    for (; i < count; ++i) {
        const uint32_t word = tc_mul_word(tc_splat4(a[i * a_step]), tc_splat4(b[i * b_step]), form);
        output[i] = (int8_t)(word & 0xFFu);
    }
}

TC_INLINE void tc_mul_s8(const int8_t *a, const int8_t *b, int8_t *output, const tc_mul_form *form,
                         const tc_broadcast *shape)
{
    tc_broadcast_s8(a, b, output, shape, tc_mul_run, form);
}

TC_INLINE void tc_mul_long_run(const int8_t *a, int32_t a_step, const int8_t *b, int32_t b_step, int8_t *output,
                               int32_t count, const void *parameters)
{
    const tc_mul_long_form *form = (const tc_mul_long_form *)parameters;
    for (int32_t i = 0; i < count; ++i) {
        const int32_t product = (a[i * a_step] - form->a_zero_point) * (b[i * b_step] - form->b_zero_point);
        output[i] = (int8_t)tc_requantize(product, form->multiplier, form->shift, &form->range);
    }
}

TC_INLINE void tc_mul_long_s8(const int8_t *a, const int8_t *b, int8_t *output, const tc_mul_long_form *form,
                              const tc_broadcast *shape)
{
    tc_broadcast_s8(a, b, output, shape, tc_mul_long_run, form);
}

#ifdef __cplusplus
}
#endif

#endif
