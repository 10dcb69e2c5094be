/* SPDX-License-Identifier: 0BSD */
/*
 * Trained parameters: int16 master weights, 256 times the int8 weights of the forward pass, and int32 biases; and a step of
 * gradient descent, a product of 61 bits that is rounded once.
 */
#ifndef TC_DESCENT_H
#define TC_DESCENT_H

#include <stdint.h>

#include "kernels/tc_block_float.h"
#include "kernels/tc_inline.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TC_MASTER_LIMIT 32640
#define TC_BIAS_LIMIT (1 << 30)

typedef struct tc_rounded_weights_shape {
    int32_t rows;
    int32_t trained; /* of a row */
    int32_t others;  /* of a row, which follow them */
} tc_rounded_weights_shape;

/* `others` may be null where there are none. */
TC_INLINE void tc_rounded_weights(const int16_t *master, int8_t *output, const int8_t *others,
                                  const tc_rounded_weights_shape *shape)
{
    for (int32_t row = 0; row < shape->rows; ++row) {
        for (int32_t i = 0; i < shape->trained; ++i) {
            *output++ = (int8_t)((*master++ + 128) >> 8);
        }
        for (int32_t i = 0; i < shape->others; ++i) {
            *output++ = *others++;
        }
    }
}

/* What a unit of a gradient is, in units of a parameter. */
typedef struct tc_descent_unit {
    int32_t mantissa; /* 15 bits */
    int32_t exponent;
} tc_descent_unit;

/* A parameter is [outer][channels][inner]. */
typedef struct tc_descent_shape {
    int32_t outer;
    int32_t channels;
    int32_t inner;
} tc_descent_shape;

/* `rate`: mantissa, exponent. */
TC_INLINE int32_t tc_descended(int32_t parameter, int32_t gradient, int32_t factor, int32_t shift, int32_t low,
                               int32_t high)
{
    const int64_t moved = parameter - tc_shift_wide((int64_t)gradient * factor, shift);
    return moved < low ? low : moved > high ? high : (int32_t)moved;
}

TC_INLINE void tc_descend_weights(const int16_t *parameter, const int32_t *gradient, const int32_t *exponent,
                                  const int32_t *rate, int16_t *output, const tc_descent_unit *units,
                                  const tc_descent_shape *shape)
{
    for (int32_t i = 0; i < shape->outer; ++i) {
        for (int32_t channel = 0; channel < shape->channels; ++channel) {
            const int32_t factor = units[channel].mantissa * rate[0];
            const int32_t shift = -(units[channel].exponent + rate[1] + *exponent);
            for (int32_t k = 0; k < shape->inner; ++k) {
                *output++ = (int16_t)tc_descended(*parameter++, *gradient++, factor, shift, -TC_MASTER_LIMIT,
                                                  TC_MASTER_LIMIT - 1);
            }
        }
    }
}

TC_INLINE void tc_descend_biases(const int32_t *parameter, const int32_t *gradient, const int32_t *exponent,
                                 const int32_t *rate, int32_t *output, const tc_descent_unit *units,
                                 const tc_descent_shape *shape)
{
    for (int32_t i = 0; i < shape->outer; ++i) {
        for (int32_t channel = 0; channel < shape->channels; ++channel) {
            const int32_t factor = units[channel].mantissa * rate[0];
            const int32_t shift = -(units[channel].exponent + rate[1] + *exponent);
            for (int32_t k = 0; k < shape->inner; ++k) {
                *output++ = tc_descended(*parameter++, *gradient++, factor, shift, -TC_BIAS_LIMIT, TC_BIAS_LIMIT);
            }
        }
    }
}

/* What accumulators have is in units that are so many bits finer than those of the parameters. */
#define TC_ACCUMULATOR_FRACTION_BITS 8

/* Changes int16 master weights by what was accumulated, and begins again. */
TC_INLINE void tc_apply_weights(int16_t *parameter, int32_t *accumulator, int32_t count)
{
    for (int32_t i = 0; i < count; ++i) {
        const int32_t moved = parameter[i] + tc_shift_right_rounded(accumulator[i], TC_ACCUMULATOR_FRACTION_BITS);
        parameter[i] = (int16_t)tc_clamp(moved, -TC_MASTER_LIMIT, TC_MASTER_LIMIT - 1);
        accumulator[i] = 0;
    }
}

/* The same of int32 biases. */
TC_INLINE void tc_apply_biases(int32_t *parameter, int32_t *accumulator, int32_t count)
{
    for (int32_t i = 0; i < count; ++i) {
        const int32_t moved = parameter[i] + tc_shift_right_rounded(accumulator[i], TC_ACCUMULATOR_FRACTION_BITS);
        parameter[i] = tc_clamp(moved, -TC_BIAS_LIMIT, TC_BIAS_LIMIT);
        accumulator[i] = 0;
    }
}

#ifdef __cplusplus
}
#endif

#endif
