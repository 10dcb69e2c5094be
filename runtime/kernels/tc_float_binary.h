/* SPDX-License-Identifier: 0BSD */
/* Functions of two float tensors that broadcast, see tc_pairs.h. */
#ifndef TC_FLOAT_BINARY_H
#define TC_FLOAT_BINARY_H

#include <math.h>
#include <stdint.h>

#include "kernels/tc_float_function.h"
#include "kernels/tc_inline.h"
#include "kernels/tc_pairs.h"

#ifdef __cplusplus
extern "C" {
#endif

TC_INLINE float tc_float_pow(float a, float b)
{
    return powf(a, b);
}

TC_INLINE float tc_float_floor_div(float a, float b)
{
    return floorf(tc_divide(a, b));
}

TC_INLINE float tc_float_atan2(float a, float b)
{
    return atan2f(a, b);
}

/* What division leaves, of a's sign. */
TC_INLINE float tc_float_fmod(float a, float b)
{
    return fmodf(a, b);
}

/* What division leaves, of b's sign. */
TC_INLINE float tc_float_floor_mod(float a, float b)
{
    const float remainder = fmodf(a, b);
    return remainder != 0.0f && (b < 0.0f) != (remainder < 0.0f) ? tc_opaque(remainder + b) : remainder;
}

TC_INLINE float tc_float_squared_difference(float a, float b)
{
    const float difference = tc_opaque(a - b);
    return tc_opaque(difference * difference);
}

TC_PAIRS(tc_float_binary, float, float, tc_float_function)

#ifdef __cplusplus
}
#endif

#endif
