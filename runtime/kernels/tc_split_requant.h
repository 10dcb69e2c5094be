/* SPDX-License-Identifier: 0BSD */
/*
 * Requantisation by two 32-bit products, for cores without a long multiplication, exact for every sum that can occur:
 *
 *     a = clamp(sum + start, low, high)
 *     t = a * m_high + (a * m_low >> low_bits) + offset    modulo 2^32; minus `step` where a is negative, in the signed form
 *     y = t >> 24
 *
 * with m = m_high * 2^low_bits + m_low. The clamp leaves what moves y, so it is the output's as well, and makes a so small
 * that a * m_low fits into 32 bits. The compiler found the constants and proved them (docs/numerics.md).
 *
 * Per channel these are int32: start, high, m, offset; in the signed form low and step as well, else low is -high.
 */
#ifndef TC_SPLIT_REQUANT_H
#define TC_SPLIT_REQUANT_H

#include <stdbool.h>
#include <stdint.h>

#include "cmsis_shim/tc_simd.h"
#include "kernels/tc_inline.h"
#include "kernels/tc_requant.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What a layer's channels have in common. */
typedef struct tc_split_requant {
    uint32_t low_bits;
    bool is_signed;
} tc_split_requant;

/* int32 words per channel. */
TC_INLINE uint32_t tc_split_requant_words(const tc_split_requant *requant)
{
    return requant->is_signed ? 6u : 4u;
}

/* Of a sum that `start` is part of. */
TC_INLINE int8_t tc_split_requantize(int32_t sum, const int32_t *channel, const tc_split_requant *requant)
{
    const int32_t a = tc_clamp(sum, requant->is_signed ? channel[4] : -channel[1], channel[1]);
    const uint32_t m = (uint32_t)channel[2];
    const int32_t low = a * (int32_t)(m & ((1u << requant->low_bits) - 1u));
    uint32_t t = (uint32_t)a * (m >> requant->low_bits) + (uint32_t)(low >> requant->low_bits) + (uint32_t)channel[3];
    if (requant->is_signed && a < 0) {
        t -= (uint32_t)channel[5];
    }
    return (int8_t)((int32_t)t >> 24);
}

#ifdef __cplusplus
}
#endif

#endif
