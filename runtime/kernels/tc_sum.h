/* SPDX-License-Identifier: 0BSD */
/*
 * ADD and SUB of int8 tensors: the arithmetic of tflite::reference_integer_ops::Add and reference_ops::Sub,
 *     clamp(zero_point + mul(mul((a - a_zero) << 20, first) +- mul((b - b_zero) << 20, second), result))
 *
 * tc_sum_long_s8 does it step by step, for all parameters.
 *
 * tc_sum_s8 and tc_sum_flat_s8 are linear, with 20 bits below the binary point; the zero points and the rounding are
 * in `start`:
 *     clamp((start + ((256 a * first) >> 16) + ((256 b * second) >> 16)) >> 20)
 * The compiler checks for all 65,536 pairs of operands that this gives the same results before it uses it.
 *
 * Four elements are read before they are written, in memory order, so that an operand of the output's shape may be
 * the output's own memory.
 */
#ifndef TC_SUM_H
#define TC_SUM_H

#include <stdint.h>

#include "kernels/tc_broadcast.h"
#include "kernels/tc_bytes.h"
#include "kernels/tc_inline.h"
#include "kernels/tc_requant.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TC_SUM_BITS 20

typedef struct tc_sum_form {
    int32_t first;
    int32_t second;
    int32_t start;
    int32_t low;
    int32_t high;
} tc_sum_form;

typedef struct tc_sum_flat_form {
    int32_t count;
    int32_t first;
    int32_t second;
    int32_t start;
    int32_t low;
    int32_t high;
} tc_sum_flat_form;

typedef struct tc_factor {
    int32_t multiplier;
    int32_t shift;
} tc_factor;

typedef struct tc_sum_long_form {
    int32_t a_zero_point;
    int32_t b_zero_point;
    tc_factor first;
    tc_factor second;
    tc_factor result;
    int32_t sign; /* 1 for ADD, -1 for SUB */
    tc_output_range range;
} tc_sum_long_form;

/* Four sums, clamped to int8. */
TC_INLINE uint32_t tc_sum_word(uint32_t a, uint32_t b, int32_t first, int32_t second, int32_t start)
{
    const uint32_t even_a = tc_even_times_256(a);
    const uint32_t odd_a = tc_odd_times_256(a);
    const uint32_t even_b = tc_even_times_256(b);
    const uint32_t odd_b = tc_odd_times_256(b);
    const int32_t sum0 = tc_multiply_low(tc_multiply_low(start, first, even_a), second, even_b);
    const int32_t sum1 = tc_multiply_low(tc_multiply_low(start, first, odd_a), second, odd_b);
    const int32_t sum2 = tc_multiply_high(tc_multiply_high(start, first, even_a), second, even_b);
    const int32_t sum3 = tc_multiply_high(tc_multiply_high(start, first, odd_a), second, odd_b);
    return tc_pack4(tc_saturate8(sum0, TC_SUM_BITS), tc_saturate8(sum1, TC_SUM_BITS),
                    tc_saturate8(sum2, TC_SUM_BITS), tc_saturate8(sum3, TC_SUM_BITS));
}

/*
 * Operands of the output's shape. The numbers of a layer are read at run time, so all such layers share one function;
 * `clamped`, a constant of the caller: whether the range is narrower than int8.
 */
TC_INLINE void tc_sum_flat_s8(const int8_t *a, const int8_t *b, int8_t *output, const tc_sum_flat_form *form,
                              int32_t clamped)
{
    int32_t count = form->count;
    const int32_t first = form->first;
    const int32_t second = form->second;
    const int32_t start = form->start;
    const uint32_t low = tc_splat4(form->low);
    const uint32_t high = tc_splat4(form->high);
    for (; count >= 8; count -= 8) {
        const uint32_t word0 = tc_sum_word(tc_load4(a), tc_load4(b), first, second, start);
        tc_store4(output, clamped ? tc_min4(tc_max4(word0, low), high) : word0);
        const uint32_t word1 = tc_sum_word(tc_load4(a + 4), tc_load4(b + 4), first, second, start);
        tc_store4(output + 4, clamped ? tc_min4(tc_max4(word1, low), high) : word1);
        a += 8;
        b += 8;
        output += 8;
    }
    for (; count > 0; --count) {
        const uint32_t word = tc_sum_word(tc_splat4(*a++), tc_splat4(*b++), first, second, start);
        *output++ = (int8_t)((clamped ? tc_min4(tc_max4(word, low), high) : word) & 0xFFu);
    }
}

TC_INLINE void tc_sum_run(const int8_t *a, int32_t a_step, const int8_t *b, int32_t b_step, int8_t *output,
                          int32_t count, const void *parameters)
{
    const tc_sum_form *form = (const tc_sum_form *)parameters;
    int32_t i = 0;
    for (; i <= count - 4; i += 4) {
        const uint32_t word_a = tc_load4_step(a + i * a_step, a_step);
        const uint32_t word_b = tc_load4_step(b + i * b_step, b_step);
        const uint32_t word = tc_sum_word(word_a, word_b, form->first, form->second, form->start);
        tc_store4(output + i, tc_clamp4(word, form->low, form->high));
    }
    for (; i < count; ++i) {
        const uint32_t word_a = tc_splat4(a[i * a_step]);
        const uint32_t word_b = tc_splat4(b[i * b_step]);
        const uint32_t word = tc_sum_word(word_a, word_b, form->first, form->second, form->start);
        output[i] = (int8_t)(tc_clamp4(word, form->low, form->high) & 0xFFu);
    }
}

TC_INLINE void tc_sum_s8(const int8_t *a, const int8_t *b, int8_t *output, const tc_sum_form *form,
                         const tc_broadcast *shape)
{
    tc_broadcast_s8(a, b, output, shape, tc_sum_run, form);
}

static inline int32_t tc_scale(int32_t value, const tc_factor *factor)
{
    return tc_multiply_by_quantized_multiplier(value, factor->multiplier, factor->shift);
}

TC_INLINE void tc_sum_long_run(const int8_t *a, int32_t a_step, const int8_t *b, int32_t b_step, int8_t *output,
                               int32_t count, const void *parameters)
{
    const tc_sum_long_form *form = (const tc_sum_long_form *)parameters;
    const int32_t zero_point = form->range.zero_point;
    for (int32_t i = 0; i < count; ++i) {
        const int32_t first = tc_scale((a[i * a_step] - form->a_zero_point) * (1 << 20), &form->first);
        const int32_t second = tc_scale((b[i * b_step] - form->b_zero_point) * (1 << 20), &form->second);
        const int32_t sum = tc_scale(first + form->sign * second, &form->result);
        output[i] = (int8_t)tc_clamp(tc_wrapping_add(sum, zero_point), form->range.low, form->range.high);
    }
}

TC_INLINE void tc_sum_long_s8(const int8_t *a, const int8_t *b, int8_t *output, const tc_sum_long_form *form,
                              const tc_broadcast *shape)
{
    tc_broadcast_s8(a, b, output, shape, tc_sum_long_run, form);
}

#ifdef __cplusplus
}
#endif

#endif
