/* SPDX-License-Identifier: 0BSD */
/*
 * The gradient of a function of single int8 values, by a table of its slopes.
 */
#ifndef TC_FUNCTION_GRADIENT_H
#define TC_FUNCTION_GRADIENT_H

#include <stdint.h>

#include "kernels/tc_block_float.h"
#include "kernels/tc_inline.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tc_function_shape {
    int32_t count;
    int32_t exponent_change;
} tc_function_shape;

/* Products of 15 bits each, renormalised; the output may be the gradient's memory. */
TC_INLINE void tc_function_gradient(const int16_t *gradient, const int32_t *exponent, const int8_t *input,
                                    int16_t *output, int32_t *output_exponent, const int16_t *slopes,
                                    const tc_function_shape *shape)
{
    uint32_t bits = 0u;
    for (int32_t i = 0; i < shape->count; ++i) {
        bits = tc_or_magnitude(bits, gradient[i] * slopes[(uint8_t)input[i]]);
    }
    const int32_t shift = tc_renormalizing_shift(bits, *exponent + shape->exponent_change, output_exponent);
    for (int32_t i = 0; i < shape->count; ++i) {
        output[i] = tc_gradient_value(gradient[i] * slopes[(uint8_t)input[i]], shift);
    }
}

#ifdef __cplusplus
}
#endif

#endif
