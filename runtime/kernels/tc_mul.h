/*
 * MUL of int8 tensors: the arithmetic of tflite::reference_integer_ops::Mul,
 *     clamp(zero_point + mul((a - a_zero) * (b - b_zero), multiplier, shift))
 *
 * tc_mul_long_s8 does it step by step, for all parameters.
 *
 * tc_mul_s8 serves shifts of -1 to -15 (right shifts) and needs four instructions per product. The first rounding is
 * that of a rounded high multiplication, of twice the product:
 *     high = offset + round(2 * product * multiplier / 2^32), offset = zero_point * 2^right + 2^(right - 1)
 * The second sends halves away from zero, so negative values get one unit less before they are shifted:
 *     clamp((high - (product < 0)) >> right)
 * A product so small that its first rounding is 0 may lose that unit too: 2^(right - 1) absorbs it.
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

typedef struct tc_mul_form {
    int32_t a_zero_point;
    int32_t b_zero_point;
    int32_t multiplier;
    int32_t right;
    int32_t offset;
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

/* Requantises half of `doubled`: SMMLAR, ADD with ASR, SSAT with ASR. */
static inline int32_t tc_mul_requantize(int32_t doubled, const tc_mul_form *form)
{
    const int32_t high = tc_smmlar(doubled, form->multiplier, form->offset);
    return tc_narrow(tc_saturate8(high + (doubled >> 31), form->right), form->low, form->high);
}

static inline uint32_t tc_mul_word(uint32_t a, uint32_t b, const tc_mul_form *form)
{
    const uint32_t minus_a_zero = tc_lanes(-form->a_zero_point, -form->a_zero_point);
    const uint32_t minus_b_zero = tc_lanes(-form->b_zero_point, -form->b_zero_point);
    const uint32_t even_a = tc_add_even(minus_a_zero, a);
    const uint32_t odd_a = tc_add_odd(minus_a_zero, a);
    const uint32_t half_even_b = tc_add_even(minus_b_zero, b);
    const uint32_t half_odd_b = tc_add_odd(minus_b_zero, b);
    const uint32_t even_b = tc_sadd16(half_even_b, half_even_b);
    const uint32_t odd_b = tc_sadd16(half_odd_b, half_odd_b);
    return tc_pack4(tc_mul_requantize(tc_low(even_a) * tc_low(even_b), form),
                    tc_mul_requantize(tc_low(odd_a) * tc_low(odd_b), form),
                    tc_mul_requantize(tc_high(even_a) * tc_high(even_b), form),
                    tc_mul_requantize(tc_high(odd_a) * tc_high(odd_b), form));
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
        const int32_t product = (a[i * a_step] - form->a_zero_point) * (b[i * b_step] - form->b_zero_point);
        output[i] = (int8_t)tc_mul_requantize(2 * product, form);
    }
}

static inline void tc_mul_s8(const int8_t *a, const int8_t *b, int8_t *output, const tc_mul_form *form,
                             const tc_broadcast *shape)
{
    tc_broadcast_s8(a, b, output, shape, tc_mul_run, form);
}

static inline void tc_mul_long_run(const int8_t *a, int32_t a_step, const int8_t *b, int32_t b_step, int8_t *output,
                                   int32_t count, const void *parameters)
{
    const tc_mul_long_form *form = (const tc_mul_long_form *)parameters;
    for (int32_t i = 0; i < count; ++i) {
        const int32_t product = (a[i * a_step] - form->a_zero_point) * (b[i * b_step] - form->b_zero_point);
        output[i] = (int8_t)tc_requantize(product, form->multiplier, form->shift, &form->range);
    }
}

static inline void tc_mul_long_s8(const int8_t *a, const int8_t *b, int8_t *output, const tc_mul_long_form *form,
                                  const tc_broadcast *shape)
{
    tc_broadcast_s8(a, b, output, shape, tc_mul_long_run, form);
}

#ifdef __cplusplus
}
#endif

#endif
