/*
 * ADD and SUB of int8 tensors.
 *
 * tc_sum_long_s8 is the arithmetic of tflite::reference_integer_ops::Add and reference_ops::Sub, for all parameters:
 *     clamp(zero_point + mul(mul((a - a_zero) << 20, first) +- mul((b - b_zero) << 20, second), result))
 *
 * tc_sum_s8 is a linear form with 20 bits below the binary point; the zero points and the rounding are in `start`:
 *     clamp((start + ((256 a * first) >> 16) + ((256 b * second) >> 16)) >> 20)
 * The compiler checks for all 65,536 pairs of operands that it gives the same results before it uses it.
 *
 * Four elements are read before they are written, in memory order, so that an operand of the output's shape may be
 * the output's own memory.
 */
#ifndef TC_SUM_H
#define TC_SUM_H

#include <stdint.h>

#include "kernels/tc_broadcast.h"
#include "kernels/tc_bytes.h"
#include "kernels/tc_requant.h"

#ifdef __cplusplus
extern "C" {
#endif

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

typedef struct tc_sum_form {
    int32_t first;
    int32_t second;
    int32_t start;
    int32_t low;
    int32_t high;
} tc_sum_form;

#define TC_SUM_BITS 20

static inline int32_t tc_sum_finish(int32_t sum, const tc_sum_form *form)
{
    return tc_narrow(tc_saturate8(sum, TC_SUM_BITS), form->low, form->high);
}

static inline uint32_t tc_sum_word(uint32_t a, uint32_t b, const tc_sum_form *form)
{
    const uint32_t even_a = tc_even_times_256(a);
    const uint32_t odd_a = tc_odd_times_256(a);
    const uint32_t even_b = tc_even_times_256(b);
    const uint32_t odd_b = tc_odd_times_256(b);
    const int32_t sum0 = tc_multiply_low(form->start, form->first, even_a);
    const int32_t sum1 = tc_multiply_low(form->start, form->first, odd_a);
    const int32_t sum2 = tc_multiply_high(form->start, form->first, even_a);
    const int32_t sum3 = tc_multiply_high(form->start, form->first, odd_a);
    return tc_pack4(tc_sum_finish(tc_multiply_low(sum0, form->second, even_b), form),
                    tc_sum_finish(tc_multiply_low(sum1, form->second, odd_b), form),
                    tc_sum_finish(tc_multiply_high(sum2, form->second, even_b), form),
                    tc_sum_finish(tc_multiply_high(sum3, form->second, odd_b), form));
}

static inline void tc_sum_run(const int8_t *a, int32_t a_step, const int8_t *b, int32_t b_step, int8_t *output,
                              int32_t count, const void *parameters)
{
    const tc_sum_form *form = (const tc_sum_form *)parameters;
    int32_t i = 0;
    for (; i <= count - 4; i += 4) {
        const uint32_t word_a = tc_load4_step(a + i * a_step, a_step);
        const uint32_t word_b = tc_load4_step(b + i * b_step, b_step);
        tc_store4(output + i, tc_sum_word(word_a, word_b, form));
    }
    for (; i < count; ++i) {
        const uint32_t word = tc_sum_word(tc_splat4(a[i * a_step]), tc_splat4(b[i * b_step]), form);
        output[i] = (int8_t)(word & 0xFFu);
    }
}

static inline void tc_sum_s8(const int8_t *a, const int8_t *b, int8_t *output, const tc_sum_form *form,
                             const tc_broadcast *shape)
{
    tc_broadcast_s8(a, b, output, shape, tc_sum_run, form);
}

static inline int32_t tc_scale(int32_t value, const tc_factor *factor)
{
    return tc_multiply_by_quantized_multiplier(value, factor->multiplier, factor->shift);
}

static inline void tc_sum_long_run(const int8_t *a, int32_t a_step, const int8_t *b, int32_t b_step, int8_t *output,
                                    int32_t count, const void *parameters)
{
    const tc_sum_long_form *form = (const tc_sum_long_form *)parameters;
    const int32_t zero_point = form->range.zero_point;
    for (int32_t i = 0; i < count; ++i) {
        const int32_t first = tc_scale((a[i * a_step] - form->a_zero_point) * (1 << 20), &form->first);
        const int32_t second = tc_scale((b[i * b_step] - form->b_zero_point) * (1 << 20), &form->second);
        const int32_t sum = tc_scale(first + form->sign * second, &form->result);
        output[i] = (int8_t)tc_clamp(sum + zero_point, form->range.low, form->range.high);
    }
}

static inline void tc_sum_long_s8(const int8_t *a, const int8_t *b, int8_t *output, const tc_sum_long_form *form,
                                   const tc_broadcast *shape)
{
    tc_broadcast_s8(a, b, output, shape, tc_sum_long_run, form);
}

#ifdef __cplusplus
}
#endif

#endif
