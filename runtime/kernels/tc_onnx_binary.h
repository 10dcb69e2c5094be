/* SPDX-License-Identifier: 0BSD */
/*
 * ONNX's Add, Sub, Mul, Div, Min and Max of int8 tensors, in float: both operands dequantised, the function, then
 * QuantizeLinear: division by the output's scale, the nearest integer, halves to even, saturation.
 *
 * Every operation rounds to float, under every compiler flag (tc_float_exact.h).
 *
 * Elements are read before they are written, in memory order, so that an operand of the output's shape may be the
 * output's own memory.
 */
#ifndef TC_ONNX_BINARY_H
#define TC_ONNX_BINARY_H

#include <stdint.h>

#include "kernels/tc_broadcast.h"
#include "kernels/tc_float_exact.h"
#include "kernels/tc_float_function.h"
#include "kernels/tc_inline.h"
#include "kernels/tc_requant.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tc_onnx_binary_form {
    float a_scale;
    float b_scale;
    float output_scale;
    int32_t a_zero_point;
    int32_t b_zero_point;
    tc_output_range range;
} tc_onnx_binary_form;

#define TC_NO_NUMBER (-(1 << 30))

/* A NaN, which only 0 / 0 gives, is the smallest value, whatever the range. */
TC_INLINE int32_t tc_onnx_binary_of(int32_t a, int32_t b, const tc_onnx_binary_form *form, tc_float_function *function,
                                    int divides)
{
    const float first = tc_opaque((float)(a - form->a_zero_point) * form->a_scale);
    const float second = tc_opaque((float)(b - form->b_zero_point) * form->b_scale);
    const float quotient = tc_divide(function(first, second), form->output_scale);
    const int32_t rounded = tc_round_even(quotient, TC_NO_NUMBER);
    if (divides && rounded == TC_NO_NUMBER) {
        return -128;
    }
    return tc_clamp(rounded + form->range.zero_point, form->range.low, form->range.high);
}

#define TC_ONNX_BINARY(name, divides)                                                                                  \
    TC_INLINE void tc_onnx_##name##_run(const int8_t *a, int32_t a_step, const int8_t *b, int32_t b_step,              \
                                        int8_t *output, int32_t count, const void *parameters)                         \
    {                                                                                                                  \
        const tc_onnx_binary_form *form = (const tc_onnx_binary_form *)parameters;                                     \
        for (int32_t i = 0; i < count; ++i) {                                                                          \
            output[i] = (int8_t)tc_onnx_binary_of(a[i * a_step], b[i * b_step], form, tc_float_##name, divides);       \
        }                                                                                                              \
    }                                                                                                                  \
    TC_INLINE void tc_onnx_##name##_s8(const int8_t *a, const int8_t *b, int8_t *output,                               \
                                       const tc_onnx_binary_form *form, const tc_broadcast *shape)                     \
    {                                                                                                                  \
        tc_broadcast_s8(a, b, output, shape, tc_onnx_##name##_run, form);                                              \
    }

TC_ONNX_BINARY(add, 0)
TC_ONNX_BINARY(sub, 0)
TC_ONNX_BINARY(mul, 0)
TC_ONNX_BINARY(div, 1)
TC_ONNX_BINARY(minimum, 0)
TC_ONNX_BINARY(maximum, 0)

#undef TC_ONNX_BINARY

#ifdef __cplusplus
}
#endif

#endif
