/* SPDX-License-Identifier: 0BSD */
/* Functions of two floats, rounded once under every compiler flag (tc_float_exact.h). */
#ifndef TC_FLOAT_FUNCTION_H
#define TC_FLOAT_FUNCTION_H

#include "kernels/tc_float_exact.h"
#include "kernels/tc_inline.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef float tc_float_function(float a, float b);

TC_POINTED_AT float tc_float_add(float a, float b)
{
    return tc_opaque(a + b);
}

TC_POINTED_AT float tc_float_sub(float a, float b)
{
    return tc_opaque(a - b);
}

TC_POINTED_AT float tc_float_mul(float a, float b)
{
    return tc_opaque(a * b);
}

TC_POINTED_AT float tc_float_div(float a, float b)
{
    return tc_divide(a, b);
}

TC_POINTED_AT float tc_float_minimum(float a, float b)
{
    return a < b ? a : b;
}

TC_POINTED_AT float tc_float_maximum(float a, float b)
{
    return a > b ? a : b;
}

/* PRelu: `b` is the slope of negative values. */
TC_POINTED_AT float tc_float_prelu(float a, float b)
{
    return a < 0.0f ? tc_opaque(a * b) : a;
}

#ifdef __cplusplus
}
#endif

#endif
