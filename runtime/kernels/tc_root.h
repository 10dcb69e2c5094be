/* SPDX-License-Identifier: 0BSD */
/* The reciprocal of a square root in fixed point. */
#ifndef TC_ROOT_H
#define TC_ROOT_H

#include <stdint.h>

#include "kernels/tc_bytes.h"
#include "kernels/tc_inline.h"
#include "kernels/tc_requant.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tc_root {
    int32_t multiplier;
    int32_t shift;
} tc_root;

/* round(a * b / 2^31), halves upwards; |a| < 2^30. */
TC_INLINE int32_t tc_root_product(int32_t a, int32_t b)
{
    return tc_smmlar(a * 2, b, 0);
}

/*
 * multiplier * 2^(shift - 31) ~ 1 / sqrt(value) by Newton's method in numbers with three integer bits, as TFLite's
 * GetInvSqrtQuantizedMultiplierExp; 0 counts as 1. value < 2^29
 *
 * `value` becomes a number in [2^26, 2^28). With all of these the root stays below 2^29 and the cube below 2^31, so that
 * nothing of what TFLite saturates needs it.
 */
TC_INLINE tc_root tc_inverse_square_root(int32_t value)
{
    tc_root factor = {INT32_MAX, 0};
    int32_t root = 1 << 28;
    if (value <= 1) {
        return factor;
    }
    const int32_t fours = (tc_leading_zeros((uint32_t)value) - 3) >> 1;
    const int32_t shift = 11 - fours;
    value = value << (2 * fours) >> 1;
    const int32_t half = (value >> 1) + (value & 1);
#if defined(__GNUC__)
#pragma GCC unroll 5
#endif
    for (int32_t i = 0; i < 5; ++i) {
        const int32_t cube = tc_root_product(tc_root_product(root, root), root) * 64;
        const int32_t more = (root * 3 + 8) >> 4; /* the product with 3 / 2 */
        root = (more - tc_root_product(half, cube)) * 8;
    }
    root = tc_root_product(root, 1518500250); /* times half the square root of 2 */
    factor.multiplier = shift < 0 ? tc_shift_left(root, -shift) : root;
    factor.shift = shift < 0 ? 0 : -shift;
    return factor;
}

#ifdef __cplusplus
}
#endif

#endif
