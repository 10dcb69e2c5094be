/* SPDX-License-Identifier: 0BSD */
/*
 * Functions of one float, element by element; `a` and `b` are constants of the layer (ONNX's alpha and beta or gamma, the
 * bounds of Clip). They need the C library's single-precision functions (-lm).
 *
 * The compiler must keep infinities and NaNs, in which some of these end for large arguments, and the order of
 * operations: see the #error below. Clang doesn't tell of -funsafe-math-optimizations alone, which costs some last bits.
 *
 * Elements are read and written in memory order.
 */
#ifndef TC_FLOAT_UNARY_H
#define TC_FLOAT_UNARY_H

#include <math.h>
#include <stdint.h>

#include "kernels/tc_float_exact.h"
#include "kernels/tc_inline.h"

#if (defined(__FAST_MATH__) || (defined(__FINITE_MATH_ONLY__) && __FINITE_MATH_ONLY__) || \
     defined(__ASSOCIATIVE_MATH__) || defined(__RECIPROCAL_MATH__)) && \
    !defined(TC_ALLOW_FAST_MATH)
#error "Functions of floats: compile this file without -ffast-math, -Ofast and their parts, or accept other last bits, \
infinities and NaNs by -DTC_ALLOW_FAST_MATH."
#endif

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tc_float_unary_shape {
    int32_t count;
    float a;
    float b;
} tc_float_unary_shape;

typedef float tc_float_map(float x, float a, float b);

#define TC_FLOAT_MAP(name, expression)                                                                                 \
    TC_POINTED_AT float tc_map_##name(float x, float a, float b)                                                       \
    {                                                                                                                  \
        (void)a;                                                                                                       \
        (void)b;                                                                                                       \
        return expression;                                                                                             \
    }

/* Comparisons, which are instructions; fminf and fmaxf are calls of the C library for the sake of NaNs. */
TC_POINTED_AT float tc_map_at_least(float x, float low)
{
    return x < low ? low : x;
}

TC_POINTED_AT float tc_map_at_most(float x, float high)
{
    return x > high ? high : x;
}

TC_FLOAT_MAP(abs, fabsf(x))
TC_FLOAT_MAP(acos, acosf(x))
TC_FLOAT_MAP(acosh, acoshf(x))
TC_FLOAT_MAP(asin, asinf(x))
TC_FLOAT_MAP(asinh, asinhf(x))
TC_FLOAT_MAP(atan, atanf(x))
TC_FLOAT_MAP(atanh, atanhf(x))
TC_FLOAT_MAP(ceil, ceilf(x))
TC_FLOAT_MAP(celu, x > 0.0f ? x : a * (expf(x / a) - 1.0f))
TC_FLOAT_MAP(clip, tc_map_at_most(tc_map_at_least(x, a), b))
TC_FLOAT_MAP(cos, cosf(x))
TC_FLOAT_MAP(cosh, coshf(x))
TC_FLOAT_MAP(elu, x < 0.0f ? a * expm1f(x) : x)
TC_FLOAT_MAP(erf, erff(x))
TC_FLOAT_MAP(exp, expf(x))
TC_FLOAT_MAP(floor, floorf(x))
TC_FLOAT_MAP(gelu, 0.5f * x * erfcf(x * -0.70710678f))
TC_FLOAT_MAP(gelu_tanh, 0.5f * x * (1.0f + tanhf(0.79788456f * (x + tc_opaque(0.044715f * x * x * x)))))
TC_FLOAT_MAP(hard_sigmoid, tc_map_at_least(tc_map_at_most(tc_opaque(a * x) + b, 1.0f), 0.0f))
TC_FLOAT_MAP(hard_swish,
             tc_divide(tc_opaque(x * tc_map_at_most(tc_map_at_least(tc_opaque(x + 3.0f), 0.0f), 6.0f)), 6.0f))
TC_FLOAT_MAP(leaky_relu, x < 0.0f ? a * x : x)
TC_FLOAT_MAP(log, logf(x))
TC_FLOAT_MAP(mish, x * tanhf(log1pf(expf(x))))
TC_FLOAT_MAP(neg, -x)
TC_FLOAT_MAP(reciprocal, 1.0f / x)
TC_FLOAT_MAP(relu, x > 0.0f ? x : 0.0f)
TC_FLOAT_MAP(round, rintf(x))
TC_FLOAT_MAP(rsqrt, 1.0f / tc_square_root(x))
TC_FLOAT_MAP(selu, b * (x < 0.0f ? a * (expf(x) - 1.0f) : x))
TC_FLOAT_MAP(logistic, 1.0f / (1.0f + expf(-x)))
TC_FLOAT_MAP(sign, x > 0.0f ? 1.0f : x < 0.0f ? -1.0f : 0.0f)
TC_FLOAT_MAP(sin, sinf(x))
TC_FLOAT_MAP(sinh, sinhf(x))
TC_FLOAT_MAP(softplus, log1pf(expf(x)))
TC_FLOAT_MAP(softsign, x / (1.0f + fabsf(x)))
TC_FLOAT_MAP(sqrt, tc_square_root(x))
TC_FLOAT_MAP(square, x * x)
TC_FLOAT_MAP(tan, tanf(x))
TC_FLOAT_MAP(tanh, tanhf(x))
TC_FLOAT_MAP(thresholded_relu, x > a ? x : 0.0f)

#undef TC_FLOAT_MAP

TC_INLINE void tc_float_unary(const float *input, float *output, tc_float_map *map, const tc_float_unary_shape *shape)
{
    for (int32_t i = 0; i < shape->count; ++i) {
        output[i] = map(input[i], shape->a, shape->b);
    }
}

#ifdef __cplusplus
}
#endif

#endif
