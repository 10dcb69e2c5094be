/*
 * MUL of int8 tensors.
 *
 * tc_mul_exact_s8 is the arithmetic of tflite::reference_integer_ops::Mul, for all parameters:
 *     clamp(zero_point + mul((a - a_zero) * (b - b_zero), multiplier, shift))
 *
 * tc_mul_s8 scales the first operand before the product and keeps 12 bits below the binary point:
 *     scaled = first_start + ((256 a * first) >> 16)
 *     product = (scaled * (b - b_zero)) >> 16
 *     clamp((start + product - ((unsigned)product >> sign_shift)) >> 12)
 * The definition rounds twice, which shifts the thresholds of negative products by one unit of the first rounding; the
 * subtrahend, 0 or 2^(32 - sign_shift) - 1, is that unit. The compiler checks for all 65,536 pairs of operands that it gives the same results before it uses it.
 *
 * Four elements are read before they are written, in memory order, so that an operand of the output's shape may be
 * the output's own memory.
 */
#ifndef TC_MUL_H
#define TC_MUL_H

#include <stdint.h>

#include "kernels/tc_broadcast.h"
#include "kernels/tc_bytes.h"
#include "kernels/tc_requant.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tc_mul_exact_form {
    int32_t a_zero_point;
    int32_t b_zero_point;
    int32_t multiplier;
    int32_t shift;
    tc_output_range range;
} tc_mul_exact_form;

typedef struct tc_mul_form {
    int32_t first;
    int32_t first_start;
    int32_t b_zero_point;
    int32_t sign_shift;
    int32_t start;
    int32_t low;
    int32_t high;
} tc_mul_form;

/* The product at 12 fractional bits to an int8: SUB with LSR, ADD, SSAT with ASR #12. */
static inline int32_t tc_mul_finish(int32_t product, const tc_mul_form *form)
{
    const int32_t unit = (int32_t)((uint32_t)product >> form->sign_shift);
    int32_t value = product - unit + form->start;
#if TC_DSP
    __asm__("ssat %0, #8, %0, asr #12" : "+r"(value));
#else
    value = tc_clamp(value >> 12, -128, 127);
#endif
    return tc_narrow(value, form->low, form->high);
}

static inline uint32_t tc_mul_word(uint32_t a, uint32_t b, const tc_mul_form *form)
{
    const uint32_t minus_zero_point = tc_lanes(-form->b_zero_point, -form->b_zero_point);
    const uint32_t even_a = tc_even_times_256(a);
    const uint32_t odd_a = tc_odd_times_256(a);
    const uint32_t even_b = tc_add_even(minus_zero_point, b);
    const uint32_t odd_b = tc_add_odd(minus_zero_point, b);
    const int32_t scaled0 = tc_multiply_low(form->first_start, form->first, even_a);
    const int32_t scaled1 = tc_multiply_low(form->first_start, form->first, odd_a);
    const int32_t scaled2 = tc_multiply_high(form->first_start, form->first, even_a);
    const int32_t scaled3 = tc_multiply_high(form->first_start, form->first, odd_a);
    const int32_t product0 = tc_scale_low(scaled0, even_b);
    const int32_t product1 = tc_scale_low(scaled1, odd_b);
    const int32_t product2 = tc_scale_high(scaled2, even_b);
    const int32_t product3 = tc_scale_high(scaled3, odd_b);
    return tc_pack4(tc_mul_finish(product0, form), tc_mul_finish(product1, form), tc_mul_finish(product2, form),
                    tc_mul_finish(product3, form));
}

static inline void tc_mul_run(const int8_t *a, int32_t a_step, const int8_t *b, int32_t b_step, int8_t *output,
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

static inline void tc_mul_s8(const int8_t *a, const int8_t *b, int8_t *output, const tc_mul_form *form,
                             const tc_broadcast *shape)
{
    tc_broadcast_s8(a, b, output, shape, tc_mul_run, form);
}

static inline void tc_mul_exact_run(const int8_t *a, int32_t a_step, const int8_t *b, int32_t b_step, int8_t *output,
                                    int32_t count, const void *parameters)
{
    const tc_mul_exact_form *form = (const tc_mul_exact_form *)parameters;
    for (int32_t i = 0; i < count; ++i) {
        const int32_t product = (a[i * a_step] - form->a_zero_point) * (b[i * b_step] - form->b_zero_point);
        output[i] = (int8_t)tc_requantize(product, form->multiplier, form->shift, &form->range);
    }
}

static inline void tc_mul_exact_s8(const int8_t *a, const int8_t *b, int8_t *output, const tc_mul_exact_form *form,
                                   const tc_broadcast *shape)
{
    tc_broadcast_s8(a, b, output, shape, tc_mul_exact_run, form);
}

#ifdef __cplusplus
}
#endif

#endif
