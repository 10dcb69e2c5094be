/* SPDX-License-Identifier: 0BSD */
/*
 * Requantisation by a product: its rounded high word, a shift and a clamp, exact for every accumulator that can occur.
 *
 *     a = (sum << pre) + start
 *     y = clamp((offset + high word of (a * multiplier)) >> shift, low, high)
 *
 * The compiler found the constants and proved them (docs/numerics.md). Where TFLite's double rounding sends halves
 * away from zero, `extra` is subtracted from the offset of negative a.
 *
 * Per channel these are int32: start, multiplier, offset and, where the form needs it, extra.
 */
#ifndef TC_PRODUCT_REQUANT_H
#define TC_PRODUCT_REQUANT_H

#include <stdbool.h>
#include <stdint.h>

#include "cmsis_shim/tc_simd.h"
#include "kernels/tc_inline.h"
#include "kernels/tc_requant.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What a layer's channels have in common. */
typedef struct tc_product_requant {
    int32_t pre;
    int32_t shift; /* negative: every channel has its own, in `extra` */
    bool is_signed;
    int32_t low;
    int32_t high;
} tc_product_requant;

/* int32 words per channel. */
TC_INLINE uint32_t tc_product_requant_words(const tc_product_requant *requant)
{
    return requant->is_signed || requant->shift < 0 ? 4u : 3u;
}

TC_INLINE int32_t tc_product_requantize(int32_t sum, const int32_t *channel, const tc_product_requant *requant)
{
    const int32_t a = tc_wrapping_add(tc_shift_left(sum, requant->pre), channel[0]);
    int32_t offset = channel[2];
    if (requant->is_signed) {
        offset -= channel[3] & (a >> 31);
    }
    const int32_t shift = requant->shift < 0 ? channel[3] : requant->shift;
    const int32_t y = tc_smmla(a, channel[1], offset) >> shift;
    return tc_clamp8(y, requant->low, requant->high);
}

#ifdef __cplusplus
}
#endif

#endif
