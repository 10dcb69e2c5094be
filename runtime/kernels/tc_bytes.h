/* SPDX-License-Identifier: 0BSD */
/*
 * Four int8 values in one 32-bit word, element 0 in the lowest byte (little-endian memory order).
 *
 * On cores with the DSP extension each function is the instruction that its comment names; elsewhere, and where
 * TC_PORTABLE is defined, it is the same arithmetic in portable C. "Even" are elements 0 and 2, "odd" 1 and 3:
 * the pairs that fit the halfword instructions, low and high.
 */
#ifndef TC_BYTES_H
#define TC_BYTES_H

#include <stdint.h>
#include <string.h>

#include "cmsis_shim/tc_simd.h"
#include "kernels/tc_align.h"
#include "kernels/tc_inline.h"

#ifdef __cplusplus
extern "C" {
#endif

/* STR; the address may be unaligned where the core allows it, the compiler knows. */
TC_INLINE void tc_store4(int8_t *bytes, uint32_t word)
{
#if TC_CHECKED_WORDS
    if (((uintptr_t)bytes & 3u) == 0u) {
        tc_store_aligned(bytes, word);
    } else {
        tc_store_parts(bytes, word);
    }
#else
    memcpy(bytes, &word, 4);
#endif
}

/* The same value in all four elements. */
TC_INLINE uint32_t tc_splat4(int32_t value)
{
    return (uint32_t)(value & 0xFF) * 0x01010101u;
}

/* Elements 0 and 2, each times 256, as a pair of int16: AND with a shifted operand. */
TC_INLINE uint32_t tc_even_times_256(uint32_t word)
{
#if TC_DSP
    uint32_t pair;
    __asm__("and %0, %1, %2, lsl #8" : "=r"(pair) : "r"(0xFF00FF00u), "r"(word));
    return pair;
#else
    return (word << 8) & 0xFF00FF00u;
#endif
}

/* Elements 1 and 3, each times 256: AND. */
TC_INLINE uint32_t tc_odd_times_256(uint32_t word)
{
    return word & 0xFF00FF00u;
}

/* pair + elements 0 and 2, modulo 2^16: SXTAB16 */
TC_INLINE uint32_t tc_add_even(uint32_t pair, uint32_t word)
{
#if TC_DSP
    return (uint32_t)__sxtab16((int16x2_t)pair, (int8x4_t)word);
#else
    return tc_sxtab16(pair, word, 0);
#endif
}

/* pair + elements 1 and 3, modulo 2^16: SXTAB16 with ROR #8 */
TC_INLINE uint32_t tc_add_odd(uint32_t pair, uint32_t word)
{
#if TC_DSP
    uint32_t sum;
    __asm__("sxtab16 %0, %1, %2, ror #8" : "=r"(sum) : "r"(pair), "r"(word));
    return sum;
#else
    return tc_sxtab16(pair, word, 8);
#endif
}

#if TC_THUMB1
/* (factor * half) >> 16, the half an int16, in 32 bits: the factor's halves apart. */
TC_INLINE int32_t tc_multiply_half(int32_t factor, int32_t half)
{
    return (factor >> 16) * half + (((factor & 0xFFFF) * half) >> 16);
}
#endif

/* start + ((factor * low half of pair) >> 16): SMLAWB */
TC_INLINE int32_t tc_multiply_low(int32_t start, int32_t factor, uint32_t pair)
{
#if TC_DSP
    return __smlawb(factor, (int32_t)pair, start);
#elif TC_THUMB1
    return start + tc_multiply_half(factor, tc_low(pair));
#else
    return start + (int32_t)(((int64_t)factor * tc_low(pair)) >> 16);
#endif
}

/* start + ((factor * high half of pair) >> 16): SMLAWT */
TC_INLINE int32_t tc_multiply_high(int32_t start, int32_t factor, uint32_t pair)
{
#if TC_DSP
    return __smlawt(factor, (int32_t)pair, start);
#elif TC_THUMB1
    return start + tc_multiply_half(factor, tc_high(pair));
#else
    return start + (int32_t)(((int64_t)factor * tc_high(pair)) >> 16);
#endif
}

#if TC_DSP
#define TC_SATURATE_CASE(instruction, limit, bits)                                  \
    case bits:                                                                      \
        __asm__(instruction " %0, #" #limit ", %0, asr #" #bits : "+r"(value));     \
        return value;
#define TC_SATURATE_CASES(instruction, limit) \
    TC_SATURATE_CASE(instruction, limit, 1) \
    TC_SATURATE_CASE(instruction, limit, 2) \
    TC_SATURATE_CASE(instruction, limit, 3) \
    TC_SATURATE_CASE(instruction, limit, 4) \
    TC_SATURATE_CASE(instruction, limit, 5) \
    TC_SATURATE_CASE(instruction, limit, 6) \
    TC_SATURATE_CASE(instruction, limit, 7) \
    TC_SATURATE_CASE(instruction, limit, 8) \
    TC_SATURATE_CASE(instruction, limit, 9) \
    TC_SATURATE_CASE(instruction, limit, 10) \
    TC_SATURATE_CASE(instruction, limit, 11) \
    TC_SATURATE_CASE(instruction, limit, 12) \
    TC_SATURATE_CASE(instruction, limit, 13) \
    TC_SATURATE_CASE(instruction, limit, 14) \
    TC_SATURATE_CASE(instruction, limit, 15) \
    TC_SATURATE_CASE(instruction, limit, 16) \
    TC_SATURATE_CASE(instruction, limit, 17) \
    TC_SATURATE_CASE(instruction, limit, 18) \
    TC_SATURATE_CASE(instruction, limit, 19) \
    TC_SATURATE_CASE(instruction, limit, 20) \
    TC_SATURATE_CASE(instruction, limit, 21) \
    TC_SATURATE_CASE(instruction, limit, 22) \
    TC_SATURATE_CASE(instruction, limit, 23) \
    TC_SATURATE_CASE(instruction, limit, 24)
#endif

/*
 * value >> shift, saturated to int8: SSAT with ASR, whose shift is part of the instruction. With a constant shift one
 * case is left; without optimisation all stay, and are right.
 */
TC_INLINE int32_t tc_saturate8(int32_t value, int32_t shift)
{
#if TC_DSP
    switch (shift) {
        TC_SATURATE_CASES("ssat", 8)
    default:
        break;
    }
#endif
    value >>= shift;
    return value < -128 ? -128 : value > 127 ? 127 : value;
}

/* The same to uint8: USAT with ASR. */
TC_INLINE int32_t tc_saturate_u8(int32_t value, int32_t shift)
{
#if TC_DSP
    switch (shift) {
        TC_SATURATE_CASES("usat", 8)
    default:
        break;
    }
#endif
    value >>= shift;
    return value < 0 ? 0 : value > 255 ? 255 : value;
}

/* To int16. */
TC_INLINE int32_t tc_saturate16(int32_t value, int32_t shift)
{
#if TC_DSP
    switch (shift) {
        TC_SATURATE_CASES("ssat", 16)
    default:
        break;
    }
#endif
    value >>= shift;
    return value < -32768 ? -32768 : value > 32767 ? 32767 : value;
}

/* Four values in [-128, 127] as one word: two BFI and a PKHBT. */
TC_INLINE uint32_t tc_pack4(int32_t a, int32_t b, int32_t c, int32_t d)
{
#if TC_DSP
    __asm__("bfi %0, %1, #8, #8" : "+r"(a) : "r"(b));
    __asm__("bfi %0, %1, #8, #8" : "+r"(c) : "r"(d));
    __asm__("pkhbt %0, %0, %1, lsl #16" : "+r"(a) : "r"(c));
    return (uint32_t)a;
#else
    return ((uint32_t)a & 0xFFu) | (((uint32_t)b & 0xFFu) << 8) | (((uint32_t)c & 0xFFu) << 16) | ((uint32_t)d << 24);
#endif
}

/* a - b of each element as an unsigned number, at least 0: UQSUB8 */
TC_INLINE uint32_t tc_uqsub8(uint32_t a, uint32_t b)
{
#if TC_DSP
    return (uint32_t)__uqsub8((uint8x4_t)a, (uint8x4_t)b);
#else
    /* A number of 9 bits each, whose highest bit stays where nothing is borrowed. */
    const uint32_t even = ((a & 0x00FF00FFu) | 0x01000100u) - (b & 0x00FF00FFu);
    const uint32_t odd = (((a >> 8) & 0x00FF00FFu) | 0x01000100u) - ((b >> 8) & 0x00FF00FFu);
    const uint32_t even_stays = ((even >> 8) & 0x00010001u) * 0xFFu;
    const uint32_t odd_stays = ((odd >> 8) & 0x00010001u) * 0xFFu;
    return (even & even_stays) | ((odd & odd_stays) << 8);
#endif
}

/* The larger of each element of a and b: SSUB8 sets a flag per byte, SEL picks by it. */
TC_INLINE uint32_t tc_max4(uint32_t a, uint32_t b)
{
#if TC_DSP
    (void)__ssub8((int8x4_t)a, (int8x4_t)b);
    return (uint32_t)__sel((uint8x4_t)a, (uint8x4_t)b);
#else
    /* Bytes as unsigned numbers of the same order, two to a word, so that a borrow stays in its own half. */
    const uint32_t unsigned_a = a ^ 0x80808080u;
    const uint32_t unsigned_b = b ^ 0x80808080u;
    const uint32_t even = ((unsigned_a & 0x00FF00FFu) | 0x01000100u) - (unsigned_b & 0x00FF00FFu);
    const uint32_t odd = (((unsigned_a >> 8) & 0x00FF00FFu) | 0x01000100u) - ((unsigned_b >> 8) & 0x00FF00FFu);
    const uint32_t a_wins = ((even >> 8) & 0x00010001u) * 0xFFu | (odd & 0x01000100u) * 0xFFu;
    return (a & a_wins) | (b & ~a_wins);
#endif
}

/* The smaller of each element of a and b. */
TC_INLINE uint32_t tc_min4(uint32_t a, uint32_t b)
{
#if TC_DSP
    (void)__ssub8((int8x4_t)b, (int8x4_t)a);
    return (uint32_t)__sel((uint8x4_t)a, (uint8x4_t)b);
#else
    return ~tc_max4(~a, ~b);
#endif
}

/* Each element clamped, for a range that is narrower than int8: a fused activation. */
TC_INLINE uint32_t tc_clamp4(uint32_t word, int32_t low, int32_t high)
{
    word = low > -128 ? tc_max4(word, tc_splat4(low)) : word;
    return high < 127 ? tc_min4(word, tc_splat4(high)) : word;
}

#ifdef __cplusplus
}
#endif

#endif
