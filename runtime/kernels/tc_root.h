/* SPDX-License-Identifier: 0BSD */
/* The reciprocal of a square root in fixed point. */
#ifndef TC_ROOT_H
#define TC_ROOT_H

#include <stdint.h>

#include "kernels/tc_inline.h"
#include "kernels/tc_requant.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tc_root {
    int32_t multiplier;
    int32_t shift;
} tc_root;

/* value * 2^exponent, saturated; for exponents of which 64 bits hold the result. */
TC_INLINE int32_t tc_saturating_left_shift(int32_t value, int32_t exponent)
{
    const int64_t wide = (int64_t)value * ((int64_t)1 << exponent);
    return wide > INT32_MAX ? INT32_MAX : wide < INT32_MIN ? INT32_MIN : (int32_t)wide;
}

/*
 * multiplier * 2^(shift - 31) ~ 1 / sqrt(value) by Newton's method in numbers with three integer bits, as TFLite's
 * GetInvSqrtQuantizedMultiplierExp; 0 counts as 1. value < 2^29
 */
TC_INLINE tc_root tc_inverse_square_root(int32_t value)
{
    tc_root factor = {INT32_MAX, 0};
    int32_t shift = 11;
    int32_t root = 1 << 28;
    if (value <= 1) {
        return factor;
    }
    for (; value < 1 << 27; value *= 4) {
        --shift;
    }
    value >>= 1;
    const int32_t half = (value >> 1) + (value & 1);
    for (int32_t i = 0; i < 5; ++i) {
        const int32_t square = tc_saturating_rounding_doubling_high_mul(root, root);
        const int32_t cube = tc_saturating_left_shift(tc_saturating_rounding_doubling_high_mul(square, root), 6);
        const int32_t more = tc_saturating_rounding_doubling_high_mul((1 << 28) + (1 << 27), root);
        root = tc_saturating_left_shift(more - tc_saturating_rounding_doubling_high_mul(half, cube), 3);
    }
    root = tc_saturating_rounding_doubling_high_mul(root, 1518500250); /* times half the square root of 2 */
    factor.multiplier = shift < 0 ? tc_shift_left(root, -shift) : root;
    factor.shift = shift < 0 ? 0 : -shift;
    return factor;
}

#ifdef __cplusplus
}
#endif

#endif
