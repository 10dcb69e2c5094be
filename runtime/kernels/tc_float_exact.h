/* SPDX-License-Identifier: 0BSD */
/*
 * Float arithmetic that is the same under every compiler flag, and conversions to integers that need no C library.
 *
 * -ffast-math, -Ofast and their parts let a compiler reorder sums, multiply by reciprocals and forget infinities and
 * NaNs; -ffp-contract=fast, GCC's default unless -std=c99, lets it join a product and a sum without rounding in between.
 * Where a result must be exact, each operation's result goes through tc_opaque, which costs no instruction, and
 * everything else is done on the bits of the number.
 *
 * Numbers below 2^-126 are as the FPU has them: 0 if it was told to flush them.
 */
#ifndef TC_FLOAT_EXACT_H
#define TC_FLOAT_EXACT_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "kernels/tc_inline.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Where values of these types live, as a constraint of inline assembly. */
#if defined(__GNUC__) && defined(__aarch64__)
#define TC_FLOAT_REGISTER "+w"
#define TC_DOUBLE_REGISTER "+w"
#elif defined(__GNUC__) && defined(__ARM_FP) && (__ARM_FP & 8)
#define TC_FLOAT_REGISTER "+t"
#define TC_DOUBLE_REGISTER "+w"
#elif defined(__GNUC__) && defined(__ARM_FP) && (__ARM_FP & 4)
#define TC_FLOAT_REGISTER "+t"
#define TC_DOUBLE_REGISTER "+r"
#elif defined(__GNUC__) && defined(__arm__)
#define TC_FLOAT_REGISTER "+r"
#define TC_DOUBLE_REGISTER "+r"
#elif defined(__GNUC__) && defined(__SSE2__)
#define TC_FLOAT_REGISTER "+x"
#define TC_DOUBLE_REGISTER "+x"
#elif defined(__GNUC__)
#define TC_FLOAT_REGISTER "+m"
#define TC_DOUBLE_REGISTER "+m"
#endif

/* Whether floats are converted by instructions; if not, taking their bits apart is cheaper than the compiler's functions. */
#ifndef TC_FLOAT_UNIT
#if defined(__SSE2__) || defined(__aarch64__) || defined(__riscv_flen) || (defined(__ARM_FP) && (__ARM_FP & 4))
#define TC_FLOAT_UNIT 1
#else
#define TC_FLOAT_UNIT 0
#endif
#endif

/* The value, of which the compiler knows nothing any more. */
TC_INLINE float tc_opaque(float value)
{
#if defined(__GNUC__)
    __asm__ volatile("" : TC_FLOAT_REGISTER(value));
    return value;
#else
    volatile float kept = value;
    return kept;
#endif
}

TC_INLINE double tc_opaque_double(double value)
{
#if defined(__GNUC__)
    __asm__ volatile("" : TC_DOUBLE_REGISTER(value));
    return value;
#else
    volatile double kept = value;
    return kept;
#endif
}

/* a / b, rounded once: not a product with a reciprocal. */
TC_INLINE float tc_divide(float a, float b)
{
    return tc_opaque(tc_opaque(a) / tc_opaque(b));
}

/* By the instruction where there is one: compilers call sqrtf all the same for negative numbers, which set errno. */
TC_INLINE float tc_square_root(float value)
{
#if defined(__GNUC__) && defined(__ARM_FP) && (__ARM_FP & 4) && defined(__thumb2__)
    float root;
    __asm__("vsqrt.f32 %0, %1" : "=t"(root) : "t"(value));
    return root;
#else
    return sqrtf(value);
#endif
}

TC_INLINE uint32_t tc_float_bits(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

/* A magnitude of at most 2^31 with a sign; 2^31 itself is INT32_MIN for both. */
TC_INLINE int32_t tc_with_sign(uint32_t magnitude, uint32_t negative)
{
    return (int32_t)(negative != 0u ? 0u - magnitude : magnitude);
}

/* The nearest int32_t, halves away from zero; INT32_MIN for all that have none, as x86-64 converts them. */
TC_INLINE int32_t tc_round_away(float value)
{
    const float given = tc_opaque(value);
    const uint32_t bits = tc_float_bits(given);
#if TC_FLOAT_UNIT
    const uint32_t magnitude = bits & 0x7FFFFFFFu;
    if (magnitude >= 0x4E000000u) { /* from 2^29 on all are integers */
        return magnitude < 0x4F000000u ? (int32_t)given : INT32_MIN;
    }
    /* Quarters, towards zero. 2 more, 1 for negative numbers, and a shift, which goes down, rounds halves away. */
    const int32_t quarters = (int32_t)(given * 4.0f);
    return (quarters + 2 + (quarters >> 31)) >> 2;
#else
    const uint32_t exponent = (bits >> 23) & 0xFFu;
    const uint32_t mantissa = (bits & 0x7FFFFFu) | 0x800000u;
    if (exponent < 126u) {
        return 0; /* below 1/2 */
    }
    if (exponent >= 158u) {
        return INT32_MIN;
    }
    if (exponent >= 150u) {
        return tc_with_sign(mantissa << (exponent - 150u), bits >> 31);
    }
    const uint32_t shift = 150u - exponent; /* from 1 to 24 */
    return tc_with_sign((mantissa + (1u << (shift - 1u))) >> shift, bits >> 31);
#endif
}

TC_INLINE int32_t tc_round_away_double(double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    const uint32_t exponent = (uint32_t)(bits >> 52) & 0x7FFu;
    const uint64_t mantissa = (bits & 0xFFFFFFFFFFFFFu) | 0x10000000000000u;
    if (exponent < 1022u) {
        return 0;
    }
    if (exponent >= 1054u) {
        return INT32_MIN;
    }
    const uint32_t shift = 1075u - exponent; /* from 22 to 53 */
    return tc_with_sign((uint32_t)((mantissa + ((uint64_t)1 << (shift - 1u))) >> shift), (uint32_t)(bits >> 63));
}

/* The nearest integer, halves to even, limited to +-2^24; `nan` for a NaN. */
TC_INLINE int32_t tc_round_even(float value, int32_t nan)
{
    const float given = tc_opaque(value);
    const uint32_t bits = tc_float_bits(given);
#if TC_FLOAT_UNIT
    if ((bits & 0x7FFFFFFFu) < 0x4A800000u) { /* 2^22 */
        const float shifter = 12582912.0f;    /* 1.5 * 2^23: floats are 1 apart there, so that the sum is rounded */
        return (int32_t)(tc_opaque(given + shifter) - shifter);
    }
#endif
    const uint32_t exponent = (bits >> 23) & 0xFFu;
    const uint32_t mantissa = (bits & 0x7FFFFFu) | 0x800000u;
    if (exponent < 126u) {
        return 0;
    }
    if ((bits & 0x7FFFFFFFu) > 0x7F800000u) {
        return nan;
    }
    if (exponent >= 150u) {
        return tc_with_sign(0x1000000u, bits >> 31);
    }
    const uint32_t shift = 150u - exponent;
    const uint32_t rounded = mantissa >> shift;
    const uint32_t rest = mantissa & ((1u << shift) - 1u);
    const uint32_t half = 1u << (shift - 1u);
    const uint32_t up = rest > half || (rest == half && (rounded & 1u) != 0u) ? 1u : 0u;
    return tc_with_sign(rounded + up, bits >> 31);
}

#ifdef __cplusplus
}
#endif

#endif
