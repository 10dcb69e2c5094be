/* SPDX-License-Identifier: 0BSD */
/*
 * Block-floating gradients of a training step: int16 values within [-32767, 32767] and one exponent for all of them; the
 * real number is value * 2^exponent. Everything rounds halves upwards.
 */
#ifndef TC_BLOCK_FLOAT_H
#define TC_BLOCK_FLOAT_H

#include <stdint.h>

#include "cmsis_shim/tc_simd.h"
#include "kernels/tc_inline.h"
#include "kernels/tc_requant.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TC_GRADIENT_BITS 15
#define TC_GRADIENT_LARGEST 32767
/* Of a gradient that is 0 everywhere: it changes nothing where it joins another one. */
#define TC_EXPONENT_OF_ZERO (-4096)

TC_INLINE uint32_t tc_magnitude(int32_t value)
{
    return value < 0 ? 0u - (uint32_t)value : (uint32_t)value;
}

/* The number of bits up to the highest one that is set; of 0 it is 0. */
TC_INLINE int32_t tc_bit_length(uint32_t value)
{
#if defined(__GNUC__)
    return value == 0u ? 0 : 32 - __builtin_clz(value);
#else
    int32_t bits = 0;
    for (; value != 0u; value >>= 1) {
        ++bits;
    }
    return bits;
#endif
}

/* value / 2^shift for a shift in [0, 31]. */
TC_INLINE int32_t tc_shift_right_rounded(int32_t value, int32_t shift)
{
    return shift == 0 ? value : (value >> shift) + ((value >> (shift - 1)) & 1);
}

/* value / 2^shift for |value| < 2^62; a negative shift multiplies, at most by 2^31, what is first limited to 32 bits. */
TC_INLINE int64_t tc_shift_wide(int64_t value, int32_t shift)
{
    if (shift < 0) {
        const int64_t limited = value > INT32_MAX ? INT32_MAX : value < -INT32_MAX ? -INT32_MAX : value;
        return limited * ((int64_t)1 << tc_min(-shift, 31));
    }
    const int32_t places = tc_min(shift, 62);
    return places == 0 ? value : (value + ((int64_t)1 << (places - 1))) >> places;
}

/* A gradient's value of a sum, by the shift that `tc_renormalizing_shift` finds. */
TC_INLINE int16_t tc_gradient_value(int32_t sum, int32_t shift)
{
    const int32_t value = shift < 0 ? sum * (1 << -shift) : tc_shift_right_rounded(sum, shift);
    return (int16_t)tc_clamp(value, -TC_GRADIENT_LARGEST, TC_GRADIENT_LARGEST);
}

/* Which shift gives the largest of some sums 15 bits, and the exponent of what it makes of sums in units of 2^exponent. */
TC_INLINE int32_t tc_renormalizing_shift(uint32_t largest, int32_t exponent, int32_t *found)
{
    const int32_t shift = largest == 0u ? 0 : tc_bit_length(largest) - TC_GRADIENT_BITS;
    *found = largest == 0u ? TC_EXPONENT_OF_ZERO : exponent + shift;
    return shift;
}

/* `bits` with those of a value's magnitude. */
TC_INLINE uint32_t tc_or_magnitude(uint32_t bits, int32_t value)
{
#if TC_THUMB2
    uint32_t spare;
    __asm__("add %1, %2, %2, asr #31\n\t"
            "eor %1, %1, %2, asr #31\n\t"
            "orr %0, %0, %1"
            : "+r"(bits), "=&r"(spare)
            : "r"(value));
    return bits;
#else
    return bits | tc_magnitude(value);
#endif
}

/* A number with as many bits as the largest of some sums. */
TC_INLINE uint32_t tc_largest_bits(const int32_t *sums, int32_t count)
{
    uint32_t bits = 0u;
#if defined(__GNUC__)
#pragma GCC unroll 4
#endif
    for (int32_t i = 0; i < count; ++i) {
        bits = tc_or_magnitude(bits, sums[i]);
    }
    return bits;
}

/* Two gradient values of sums as lanes; `shift` from 1 on. SSAT leaves -32768, which is pushed against int16's end. */
TC_INLINE uint32_t tc_gradient_lanes(int32_t low, int32_t high, int32_t shift)
{
    const int32_t first = tc_ssat16_of_half((low >> (shift - 1)) + 1);
    const int32_t second = tc_ssat16_of_half((high >> (shift - 1)) + 1);
    const uint32_t lanes = tc_pkhbt((uint32_t)first, (uint32_t)second, 16);
    return tc_sadd16(tc_qsub16(lanes, 0x00010001u), 0x00010001u);
}

/* Gradient values of sums, by the shift that `tc_renormalizing_shift` finds. */
TC_INLINE void tc_gradient_values(const int32_t *sums, int16_t *values, int32_t count, int32_t shift)
{
    int32_t i = 0;
#if TC_DSP
    if (shift > 0) {
#if defined(__GNUC__)
#pragma GCC unroll 4
#endif
        for (; i + 2 <= count; i += 2) {
            tc_store_lanes(values + i, tc_gradient_lanes(sums[i], sums[i + 1], shift));
        }
    }
#endif
    for (; i < count; ++i) {
        values[i] = tc_gradient_value(sums[i], shift);
    }
}

TC_INLINE void tc_renormalize(const int32_t *sums, int16_t *values, int32_t count, int32_t exponent, int32_t *found)
{
    const int32_t shift = tc_renormalizing_shift(tc_largest_bits(sums, count), exponent, found);
    tc_gradient_values(sums, values, count, shift);
}

/* The same of rows that are `pitch` sums apart; sums between them are 0. */
TC_INLINE void tc_renormalize_rows(const int32_t *sums, int32_t pitch, int16_t *values, int32_t rows, int32_t count,
                                   int32_t exponent, int32_t *found)
{
    if (pitch == count) {
        tc_renormalize(sums, values, rows * count, exponent, found);
        return;
    }
    const int32_t shift = tc_renormalizing_shift(tc_largest_bits(sums, rows * pitch), exponent, found);
    for (int32_t row = 0; row < rows; ++row, sums += pitch, values += count) {
        tc_gradient_values(sums, values, count, shift);
    }
}

/* A value times a mantissa of up to 15 bits, in units that are 2^shift times as large. */
TC_INLINE int32_t tc_scaled_gradient(int32_t value, int32_t mantissa, int32_t shift)
{
    return tc_shift_right_rounded(value * mantissa, shift);
}

/* (low, high) / 2^shift as lanes, 15 <= shift <= 31. */
TC_INLINE uint32_t tc_shifted_lanes(int32_t low, int32_t high, int32_t shift)
{
    const uint32_t upper = shift < 16 ? (uint32_t)high << (16 - shift) : (uint32_t)(high >> (shift - 16));
    return tc_pkhbt((uint32_t)(low >> shift), upper, 0);
}

#ifdef __cplusplus
}
#endif

#endif
