/* SPDX-License-Identifier: 0BSD */
/*
 * TFLite's requantisation with one factor, in four instructions: for right shifts of 1 to 15 bits.
 *
 *     clamp(zero_point + MultiplyByQuantizedMultiplier(value, multiplier, -right))
 *
 * Its first rounding is that of a rounded high multiplication, of twice the value:
 *     high = offset + round(2 * value * multiplier / 2^32), offset = zero_point * 2^right + 2^(right - 1)
 * The second sends halves away from zero, so negative values get one unit less before they are shifted:
 *     saturate((high - (value < 0)) >> right)
 * A value so small that its first rounding is 0 may lose that unit too: 2^(right - 1) absorbs it.
 */
#ifndef TC_REQUANT_SHORT_H
#define TC_REQUANT_SHORT_H

#include <stdint.h>

#include "kernels/tc_bytes.h"
#include "kernels/tc_inline.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tc_short_requant {
    int32_t multiplier;
    int32_t right;
    int32_t offset;
} tc_short_requant;

/* Of half of `doubled`, saturated to int8: SMMLAR, ADD with ASR, SSAT with ASR. */
TC_INLINE int32_t tc_requantize_short(int32_t doubled, const tc_short_requant *requant)
{
    const int32_t high = tc_smmlar(doubled, requant->multiplier, requant->offset);
    return tc_saturate8(high + (doubled >> 31), requant->right);
}

#ifdef __cplusplus
}
#endif

#endif
