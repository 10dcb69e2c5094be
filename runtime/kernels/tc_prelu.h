/* SPDX-License-Identifier: 0BSD */
/*
 * PRELU of int8 tensors: the arithmetic of tflite::reference_ops::BroadcastPrelu4DSlow, a factor for elements and one
 * for products of negative elements with their slopes.
 *
 * tc_prelu_s8 looks the elements up that aren't negative, and has the short form of tc_requant_short.h for the others.
 * tc_prelu_long_s8 does it step by step, for all parameters.
 *
 * Elements are read and written in memory order.
 */
#ifndef TC_PRELU_H
#define TC_PRELU_H

#include <stdint.h>

#include "kernels/tc_broadcast.h"
#include "kernels/tc_inline.h"
#include "kernels/tc_mapped.h"
#include "kernels/tc_requant.h"
#include "kernels/tc_requant_short.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tc_prelu_form {
    int32_t a_zero_point;
    int32_t b_zero_point;
    tc_short_requant requant;
} tc_prelu_form;

typedef struct tc_prelu_parameters {
    const int8_t *table;
    const tc_prelu_form *form;
} tc_prelu_parameters;

typedef struct tc_prelu_long_form {
    int32_t a_zero_point;
    int32_t b_zero_point;
    int32_t multiplier; /* of elements that aren't negative */
    int32_t shift;
    int32_t slope_multiplier; /* of the others, times their slopes */
    int32_t slope_shift;
    tc_output_range range;
} tc_prelu_long_form;

TC_INLINE int32_t tc_prelu_element(const void *operand, const int32_t *table, int32_t at, const void *given)
{
    (void)table;
    (void)given;
    return ((const int8_t *)operand)[at];
}

/* The short requantisation wants products doubled. */
TC_INLINE int32_t tc_prelu_doubled_slope(const void *operand, const int32_t *table, int32_t at, const void *given)
{
    (void)table;
    return ((const int8_t *)operand)[at] * 2 - ((const tc_prelu_parameters *)given)->form->b_zero_point * 2;
}

TC_INLINE int32_t tc_prelu_of(int32_t value, int32_t doubled_slope, const void *given)
{
    const tc_prelu_parameters *parameters = (const tc_prelu_parameters *)given;
    const tc_prelu_form *form = parameters->form;
    const int32_t element = value - form->a_zero_point;
    if (element >= 0) {
        return parameters->table[value & 0xFF];
    }
    return tc_requantize_short(element * doubled_slope, &form->requant);
}

TC_MAPPED(tc_prelu_mapped, int32_t, tc_prelu_element, tc_prelu_doubled_slope, tc_prelu_of)

TC_INLINE void tc_prelu_s8(const int8_t *a, const int8_t *b, int8_t *output, const int8_t *table,
                           const tc_prelu_form *form, const tc_broadcast *shape)
{
    tc_prelu_parameters parameters;
    parameters.table = table;
    parameters.form = form;
    tc_prelu_mapped(a, b, output, NULL, NULL, &parameters, shape);
}

TC_INLINE void tc_prelu_long_run(const int8_t *a, int32_t a_step, const int8_t *b, int32_t b_step, int8_t *output,
                                 int32_t count, const void *parameters)
{
    const tc_prelu_long_form *form = (const tc_prelu_long_form *)parameters;
    for (int32_t i = 0; i < count; ++i) {
        const int32_t element = a[i * a_step] - form->a_zero_point;
        const int32_t slope = b[i * b_step] - form->b_zero_point;
        if (element >= 0) {
            output[i] = (int8_t)tc_requantize(element, form->multiplier, form->shift, &form->range);
        } else {
            output[i] = (int8_t)tc_requantize(element * slope, form->slope_multiplier, form->slope_shift, &form->range);
        }
    }
}

TC_INLINE void tc_prelu_long_s8(const int8_t *a, const int8_t *b, int8_t *output, const tc_prelu_long_form *form,
                                const tc_broadcast *shape)
{
    tc_broadcast_s8(a, b, output, shape, tc_prelu_long_run, form);
}

#ifdef __cplusplus
}
#endif

#endif
