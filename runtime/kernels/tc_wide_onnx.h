/* SPDX-License-Identifier: 0BSD */
/*
 * ONNX's Add, Sub, Mul, Div, Min, Max and PRelu of int16 tensors: both operands dequantised, the function, then QuantizeLinear:
 * division by the output's scale, the nearest integer, halves to even, saturation. Every operation rounds to float, under
 * every compiler flag (tc_float_exact.h).
 *
 * Slopes of PRelu are floats.
 *
 * Sums, differences and products have a form in integers, too. It is the real number within an error that the compiler
 * knows, as what floats make of it is: only so near to a tie are floats computed.
 *
 * Shapes are those of tc_broadcast.h. An element is read before it is written, in memory order.
 */
#ifndef TC_WIDE_ONNX_H
#define TC_WIDE_ONNX_H

#include <stdint.h>

#include "kernels/tc_broadcast.h"
#include "kernels/tc_float_exact.h"
#include "kernels/tc_float_function.h"
#include "kernels/tc_inline.h"
#include "kernels/tc_pairs.h"
#include "kernels/tc_requant.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * The real number is (a * first + b * second + offset >> drop) / 2^fraction of a sum, and
 * (((a - a_zero_point) * (b - b_zero_point) >> 2) * first + offset >> drop) / 2^fraction of a product; the offset has the
 * output's zero point and the half that rounds. `near` is the error, in units of 2^-fraction.
 */
typedef struct tc_wide_onnx_form {
    float a_scale;
    float b_scale;
    float output_scale;
    int32_t a_zero_point;
    int32_t b_zero_point;
    tc_output_range range;
    int64_t offset;
    int32_t first;
    int32_t second;
    int32_t drop;
    int32_t fraction;
    uint32_t near;
} tc_wide_onnx_form;

#define TC_WIDE_NO_NUMBER (-(1 << 30))

/* A NaN, which only 0 / 0 gives, is the smallest value, whatever the range. */
TC_INLINE int32_t tc_wide_onnx_in_floats(int32_t a, int32_t b, const tc_wide_onnx_form *form,
                                         tc_float_function *function, int divides)
{
    const float first = tc_opaque((float)(a - form->a_zero_point) * form->a_scale);
    const float second = tc_opaque((float)(b - form->b_zero_point) * form->b_scale);
    const int32_t rounded = tc_round_even(tc_divide(function(first, second), form->output_scale), TC_WIDE_NO_NUMBER);
    if (divides && rounded == TC_WIDE_NO_NUMBER) {
        return -32768;
    }
    return tc_clamp(rounded + form->range.zero_point, form->range.low, form->range.high);
}

TC_INLINE int64_t tc_wide_onnx_sum(int32_t a, int32_t b, const tc_wide_onnx_form *form)
{
    return form->offset + (int64_t)a * form->first + (int64_t)b * form->second;
}

TC_INLINE int64_t tc_wide_onnx_product(int32_t a, int32_t b, const tc_wide_onnx_form *form)
{
    const int64_t product = (int64_t)(a - form->a_zero_point) * (b - form->b_zero_point);
    return form->offset + (int64_t)(int32_t)(product >> 2) * form->first;
}

/* `b` is the slope of negative elements. */
TC_INLINE int32_t tc_wide_onnx_prelu_of(int32_t a, float b, const tc_wide_onnx_form *form)
{
    const float number = tc_opaque((float)(a - form->a_zero_point) * form->a_scale);
    const float quotient = tc_divide(tc_float_prelu(number, b), form->output_scale);
    return tc_clamp(tc_round_even(quotient, 0) + form->range.zero_point, form->range.low, form->range.high);
}

/* Defines name(a, b, output, form, shape): `element` is an expression of x and y, which is an `operand`. */
#define TC_WIDE_ONNX_LOOPS(name, operand, element)                                                                     \
    TC_PAIRS_OF(name, int16_t, operand, int16_t, const tc_wide_onnx_form *form, element)

#define TC_WIDE_ONNX_IN_FLOATS(kind, divides)                                                                          \
    TC_WIDE_ONNX_LOOPS(tc_wide_onnx_##kind, int16_t, tc_wide_onnx_in_floats(x, y, form, tc_float_##kind, divides))

#define TC_WIDE_ONNX_IN_INTEGERS(kind, real)                                                                           \
    TC_INLINE int32_t tc_wide_onnx_##kind##_of(int32_t a, int32_t b, const tc_wide_onnx_form *form)                    \
    {                                                                                                                  \
        const int64_t value = real(a, b, form) >> form->drop;                                                          \
        const uint32_t above = ((uint32_t)value + form->near) & ((1u << form->fraction) - 1u);                         \
        if (above < 2u * form->near) {                                                                                 \
            return tc_wide_onnx_in_floats(a, b, form, tc_float_##kind, 0);                                             \
        }                                                                                                              \
        return tc_clamp((int32_t)(value >> form->fraction), form->range.low, form->range.high);                        \
    }                                                                                                                  \
    TC_WIDE_ONNX_LOOPS(tc_wide_onnx_short_##kind, int16_t, tc_wide_onnx_##kind##_of(x, y, form))

TC_WIDE_ONNX_IN_FLOATS(add, 0)
TC_WIDE_ONNX_IN_FLOATS(sub, 0)
TC_WIDE_ONNX_IN_FLOATS(mul, 0)
TC_WIDE_ONNX_IN_FLOATS(div, 1)
TC_WIDE_ONNX_IN_FLOATS(minimum, 0)
TC_WIDE_ONNX_IN_FLOATS(maximum, 0)

TC_WIDE_ONNX_LOOPS(tc_wide_onnx_prelu, float, tc_wide_onnx_prelu_of(x, y, form))

TC_WIDE_ONNX_IN_INTEGERS(add, tc_wide_onnx_sum)
TC_WIDE_ONNX_IN_INTEGERS(sub, tc_wide_onnx_sum)
TC_WIDE_ONNX_IN_INTEGERS(mul, tc_wide_onnx_product)

#undef TC_WIDE_ONNX_IN_FLOATS
#undef TC_WIDE_ONNX_IN_INTEGERS
#undef TC_WIDE_ONNX_LOOPS

#ifdef __cplusplus
}
#endif

#endif
