/* SPDX-License-Identifier: 0BSD */
/*
 * The DSP instructions of ARMv7E-M and ARMv8-M as C functions: one name, the same result everywhere.
 *
 * On cores with the DSP extension they compile to the instruction (by ACLE, or one-line assembly where ACLE has no
 * intrinsic); on all other cores and on the host to portable C. So the portable twin of an assembly block can be
 * written, read and tested on a PC.
 *
 * Words that hold two int16 lanes are uint32_t: lane 0 in bits 0-15, lane 1 in bits 16-31. Arithmetic wraps
 * modulo 2^32 as in the registers. Assumed, as by GCC and Clang: conversion to int32_t wraps, >> of a negative
 * number is arithmetic.
 */
#ifndef TC_SIMD_H
#define TC_SIMD_H

#include <stdint.h>
#include <string.h>

#include "kernels/tc_align.h"

#if defined(__ARM_FEATURE_DSP) && !defined(TC_PORTABLE)
#define TC_DSP 1
#include <arm_acle.h>
#else
#define TC_DSP 0
#endif

/* C99 promises literals of 4,095 characters, a block of assembly has more; GCC doesn't count those. */
#if defined(__clang__)
#pragma clang diagnostic ignored "-Woverlength-strings"
#endif

/* Thumb-1 cores have neither long multiplications nor more than 8 registers that most instructions take. */
#if (defined(__ARM_ARCH_6M__) || defined(__ARM_ARCH_8M_BASE__)) && !defined(TC_PORTABLE)
#define TC_THUMB1 1
#else
#define TC_THUMB1 0
#endif

/* Any core whose assembly has Thumb-2, with or without the DSP extension. */
#if defined(__thumb2__) && !TC_THUMB1 && !defined(TC_PORTABLE)
#define TC_THUMB2 1
#else
#define TC_THUMB2 0
#endif

/*
 * r9: where position-independent data (RWPI, -msingle-pic-base) or an operating system owns it, nothing here may touch it,
 * not even for a moment, since an interrupt may want it. Clang and armclang say so by __ARM_RWPI; for GCC, which has no
 * macro for -msingle-pic-base and -ffixed-r9, define TC_RESERVE_R9. The blocks that need every register then are their
 * portable twins, which compilers are free to allocate.
 */
#if defined(__ARM_RWPI) && !defined(TC_RESERVE_R9)
#define TC_RESERVE_R9
#endif

#if TC_DSP && !defined(TC_RESERVE_R9)
#define TC_DSP_BLOCKS 1
#else
#define TC_DSP_BLOCKS 0
#endif

/* Assembly that uses r9. What a compiler complains of it is answered here. */
#define TC_ASM_WITH_R9 __asm__ volatile /* if r9 is reserved in your program, compile it with -DTC_RESERVE_R9 */

/* For functions of headers that not every model calls, and for those that must stay functions. */
#define TC_UNUSED __attribute__((unused))
#define TC_NOINLINE __attribute__((noinline, unused))

/* What assembly that runs out of registers keeps aside: twelve words, in FPU registers where there are any, else in
 * TC_SLOT_STACK_BYTES of the stack, which a compiler doesn't know of. TC_SLOTS_OPEN comes first, TC_SLOTS_CLOSE last; r7, which may be the frame pointer and therefore can't be
 * declared as clobbered, goes to slot 7 in between. TC_KEEP_PAIR and TC_FETCH_PAIR want an even slot. */
#if defined(__ARM_FP)
#define TC_KEEP(reg, slot) "vmov s" #slot ", " #reg "\n\t"
#define TC_FETCH(reg, slot) "vmov " #reg ", s" #slot "\n\t"
#define TC_KEEP_PAIR(a, b, slot, next) "vmov s" #slot ", s" #next ", " #a ", " #b "\n\t"
#define TC_FETCH_PAIR(a, b, slot, next) "vmov " #a ", " #b ", s" #slot ", s" #next "\n\t"
#define TC_SLOTS_OPEN TC_KEEP(r7, 7)
#define TC_SLOTS_CLOSE TC_FETCH(r7, 7)
#define TC_SLOT_CLOBBERS "s0", "s1", "s2", "s3", "s4", "s5", "s6", "s7", "s8", "s9", "s10", \
    "s11"
#else
#define TC_KEEP(reg, slot) "str " #reg ", [sp, #4 * " #slot "]\n\t"
#define TC_FETCH(reg, slot) "ldr " #reg ", [sp, #4 * " #slot "]\n\t"
#define TC_KEEP_PAIR(a, b, slot, next) "strd " #a ", " #b ", [sp, #4 * " #slot "]\n\t"
#define TC_FETCH_PAIR(a, b, slot, next) "ldrd " #a ", " #b ", [sp, #4 * " #slot "]\n\t"
#define TC_SLOT_STACK_BYTES 48
#define TC_SLOTS_OPEN "sub sp, sp, #" TC_TEXT(TC_SLOT_STACK_BYTES) "\n\t" TC_KEEP(r7, 7)
#define TC_SLOTS_CLOSE TC_FETCH(r7, 7) "add sp, sp, #" TC_TEXT(TC_SLOT_STACK_BYTES) "\n\t"
#define TC_TEXT(macro) TC_TEXT_OF(macro)
#define TC_TEXT_OF(text) #text
#define TC_SLOT_CLOBBERS "memory"
#endif

/* Lanes as numbers. */
static inline int32_t tc_low(uint32_t x)
{
    return (int16_t)(x & 0xFFFFu);
}

static inline int32_t tc_high(uint32_t x)
{
    return (int16_t)(x >> 16);
}

static inline uint32_t tc_lanes(int32_t low, int32_t high)
{
    return ((uint32_t)low & 0xFFFFu) | ((uint32_t)high << 16);
}

/* Four bytes from memory, at any alignment, byte 0 in bits 0-7. */
static inline uint32_t tc_load4(const void *bytes)
{
#if TC_CHECKED_WORDS
    return ((uintptr_t)bytes & 3u) == 0u ? tc_load_aligned(bytes) : tc_load_parts(bytes);
#else
    uint32_t word;
    memcpy(&word, bytes, 4);
    return word;
#endif
}

/* Two lanes to memory, at any alignment that int16 has. */
static inline void tc_store_lanes(int16_t *values, uint32_t lanes)
{
#if TC_CHECKED_WORDS
    values[0] = (int16_t)(lanes & 0xFFFFu);
    values[1] = (int16_t)(lanes >> 16);
#else
    memcpy(values, &lanes, 4);
#endif
}

static inline uint32_t tc_ror(uint32_t x, unsigned bits)
{
    return (x >> (bits & 31u)) | (x << ((32u - bits) & 31u));
}

/* PKHBT: lane 0 of a, lane 1 of (b << shift). By 0 and 16 bits it is assembly, here and below, since compilers mask first. */
static inline uint32_t tc_pkhbt(uint32_t a, uint32_t b, unsigned shift)
{
#if TC_DSP
    if (shift == 0) {
        uint32_t lanes;
        __asm__("pkhbt %0, %1, %2" : "=r"(lanes) : "r"(a), "r"(b));
        return lanes;
    }
    if (shift == 16) {
        uint32_t lanes;
        __asm__("pkhbt %0, %1, %2, lsl #16" : "=r"(lanes) : "r"(a), "r"(b));
        return lanes;
    }
#endif
    return (a & 0xFFFFu) | ((b << shift) & 0xFFFF0000u);
}

/* PKHTB: lane 1 of a, lane 0 of (b >> shift, arithmetic), 0 <= shift <= 31. */
static inline uint32_t tc_pkhtb(uint32_t a, uint32_t b, unsigned shift)
{
#if TC_DSP
    if (shift == 16) {
        uint32_t lanes;
        __asm__("pkhtb %0, %1, %2, asr #16" : "=r"(lanes) : "r"(a), "r"(b));
        return lanes;
    }
#endif
    return (a & 0xFFFF0000u) | ((uint32_t)((int32_t)b >> shift) & 0xFFFFu);
}

/* QADD8: four signed bytes, saturating. */
static inline uint32_t tc_qadd8(uint32_t a, uint32_t b)
{
#if TC_DSP
    return (uint32_t)__qadd8((int8x4_t)a, (int8x4_t)b);
#else
    uint32_t sum = 0;
    for (unsigned bit = 0; bit < 32u; bit += 8u) {
        int32_t s = (int8_t)((a >> bit) & 0xFFu) + (int8_t)((b >> bit) & 0xFFu);
        s = s > 127 ? 127 : s < -128 ? -128 : s;
        sum |= ((uint32_t)s & 0xFFu) << bit;
    }
    return sum;
#endif
}

/* SADD16: both lanes, wrapping. */
static inline uint32_t tc_sadd16(uint32_t a, uint32_t b)
{
#if TC_DSP
    return (uint32_t)__sadd16((int16x2_t)a, (int16x2_t)b);
#else
    return ((a + b) & 0xFFFFu) | ((a & 0xFFFF0000u) + (b & 0xFFFF0000u));
#endif
}

/* SMLABB, SMLABT, SMLATB, SMLATT: c + a.lane * b.lane; the first letter is a's lane (Bottom 0, Top 1). */
static inline int32_t tc_smlabb(uint32_t a, uint32_t b, int32_t c)
{
    return (int32_t)((uint32_t)(tc_low(a) * tc_low(b)) + (uint32_t)c);
}

static inline int32_t tc_smlabt(uint32_t a, uint32_t b, int32_t c)
{
    return (int32_t)((uint32_t)(tc_low(a) * tc_high(b)) + (uint32_t)c);
}

/* SMLAD: c + a.lane0 * b.lane0 + a.lane1 * b.lane1. */
static inline int32_t tc_smlad(uint32_t a, uint32_t b, int32_t c)
{
#if TC_DSP
    return __smlad((int16x2_t)a, (int16x2_t)b, c);
#else
    return (int32_t)((uint32_t)(tc_low(a) * tc_low(b)) + (uint32_t)(tc_high(a) * tc_high(b)) + (uint32_t)c);
#endif
}

/* SMLAL: 64-bit c + a * b. */
static inline int64_t tc_smlal(int32_t a, int32_t b, int64_t c)
{
    return (int64_t)((uint64_t)((int64_t)a * b) + (uint64_t)c);
}

static inline int32_t tc_smlatb(uint32_t a, uint32_t b, int32_t c)
{
    return (int32_t)((uint32_t)(tc_high(a) * tc_low(b)) + (uint32_t)c);
}

static inline int32_t tc_smlatt(uint32_t a, uint32_t b, int32_t c)
{
    return (int32_t)((uint32_t)(tc_high(a) * tc_high(b)) + (uint32_t)c);
}

#if TC_THUMB1
/* a = the high word of the 64-bit product a * b, from four products of halves; changes b. With "adcs" as the last
 * addition it is rounded, since the shift before leaves the next bit in the carry. */
#define TC_HIGH_PRODUCT(a, b, add) \
    do { \
        uint32_t low, product, other; \
        __asm__(".syntax unified\n\t" /* GCC wraps assembly for Thumb-1 in the old syntax */ \
                "uxth %2, %0\n\t" \
                "asrs %0, %0, #16\n\t" \
                "uxth %3, %1\n\t" \
                "asrs %1, %1, #16\n\t" \
                "movs %4, %2\n\t" \
                "muls %4, %3, %4\n\t" \
                "lsrs %4, %4, #16\n\t" \
                "muls %3, %0, %3\n\t" \
                "adds %3, %3, %4\n\t" \
                "muls %0, %1, %0\n\t" \
                "muls %1, %2, %1\n\t" \
                "asrs %2, %3, #16\n\t" \
                "adds %0, %0, %2\n\t" \
                "uxth %3, %3\n\t" \
                "adds %1, %1, %3\n\t" \
                "asrs %1, %1, #16\n\t" add " %0, %1" \
                : "+l"(a), "+l"(b), "=&l"(low), "=&l"(product), "=&l"(other) \
                : \
                : "cc"); \
    } while (0)
#endif

/* SMMLA: c + the high word of the 64-bit product a * b. */
static inline int32_t tc_smmla(int32_t a, int32_t b, int32_t c)
{
#if TC_DSP
    int32_t sum;
    __asm__("smmla %0, %1, %2, %3" : "=r"(sum) : "r"(a), "r"(b), "r"(c));
    return sum;
#elif TC_THUMB1
    TC_HIGH_PRODUCT(a, b, "adds");
    return (int32_t)((uint32_t)a + (uint32_t)c);
#else
    return (int32_t)((uint32_t)(((int64_t)a * b) >> 32) + (uint32_t)c);
#endif
}

/* SMMLAR: offset + round(a * b / 2^32), halves upwards, modulo 2^32. */
static inline int32_t tc_smmlar(int32_t a, int32_t b, int32_t offset)
{
#if TC_DSP
    int32_t sum;
    __asm__("smmlar %0, %1, %2, %3" : "=r"(sum) : "r"(a), "r"(b), "r"(offset));
    return sum;
#elif TC_THUMB1
    TC_HIGH_PRODUCT(a, b, "adcs");
    return (int32_t)((uint32_t)offset + (uint32_t)a);
#else
    return (int32_t)((uint32_t)offset + (uint32_t)(((int64_t)a * b + 0x80000000) >> 32));
#endif
}

/* SMULBB: a.lane0 * b.lane0. */
static inline int32_t tc_smulbb(uint32_t a, uint32_t b)
{
#if TC_DSP
    int32_t product;
    __asm__("smulbb %0, %1, %2" : "=r"(product) : "r"(a), "r"(b));
    return product;
#else
    return tc_low(a) * tc_low(b);
#endif
}

/* SMULTB: a.lane1 * b.lane0. */
static inline int32_t tc_smultb(uint32_t a, uint32_t b)
{
#if TC_DSP
    int32_t product;
    __asm__("smultb %0, %1, %2" : "=r"(product) : "r"(a), "r"(b));
    return product;
#else
    return tc_high(a) * tc_low(b);
#endif
}

/* ROR by as many bits as the lowest byte of `bits` says. */
static inline uint32_t tc_ror_by(uint32_t x, uint32_t bits)
{
#if TC_THUMB2
    uint32_t result;
    __asm__("ror %0, %1, %2" : "=r"(result) : "r"(x), "r"(bits));
    return result;
#else
    return tc_ror(x, bits);
#endif
}

/* SMUAD: a.lane0 * b.lane0 + a.lane1 * b.lane1. */
static inline int32_t tc_smuad(uint32_t a, uint32_t b)
{
    return tc_smlad(a, b, 0);
}

/* SSAT: saturate to a signed number of `bits` bits, 1 <= bits <= 31. */
static inline int32_t tc_ssat(int32_t x, unsigned bits)
{
    int32_t high = (int32_t)((1u << (bits - 1u)) - 1u);
    return x > high ? high : x < -high - 1 ? -high - 1 : x;
}

/* SSAT to 8 bits, where a compiler sees no minimum and maximum: by the instruction, which needs no DSP extension. */
static inline int32_t tc_ssat8(int32_t x)
{
#if TC_THUMB2
    int32_t result;
    __asm__("ssat %0, #8, %1" : "=r"(result) : "r"(x));
    return result;
#else
    return tc_ssat(x, 8);
#endif
}

/* To [low, high]: where these constants are the range of int8, by that instruction. */
static inline int32_t tc_clamp8(int32_t x, int32_t low, int32_t high)
{
    if (low == -128 && high == 127) {
        return tc_ssat8(x);
    }
    return x > high ? high : x < low ? low : x;
}

/* QADD16, QSUB16: both lanes, saturating. */
static inline uint32_t tc_qadd16(uint32_t a, uint32_t b)
{
#if TC_DSP
    return (uint32_t)__qadd16((int16x2_t)a, (int16x2_t)b);
#else
    return tc_lanes(tc_ssat(tc_low(a) + tc_low(b), 16), tc_ssat(tc_high(a) + tc_high(b), 16));
#endif
}

static inline uint32_t tc_qsub16(uint32_t a, uint32_t b)
{
#if TC_DSP
    return (uint32_t)__qsub16((int16x2_t)a, (int16x2_t)b);
#else
    return tc_lanes(tc_ssat(tc_low(a) - tc_low(b), 16), tc_ssat(tc_high(a) - tc_high(b), 16));
#endif
}

/* SSAT of x / 2, rounded down, to 16 bits. */
static inline int32_t tc_ssat16_of_half(int32_t x)
{
#if TC_THUMB2
    int32_t result;
    __asm__("ssat %0, #16, %1, asr #1" : "=r"(result) : "r"(x));
    return result;
#else
    return tc_ssat(x >> 1, 16);
#endif
}

/* SSAT to 16 bits; USAT to 15 bits, the numbers of int16 that aren't negative. */
static inline int32_t tc_ssat16(int32_t x)
{
#if TC_THUMB2
    int32_t result;
    __asm__("ssat %0, #16, %1" : "=r"(result) : "r"(x));
    return result;
#else
    return tc_ssat(x, 16);
#endif
}

static inline int32_t tc_usat15(int32_t x)
{
#if TC_THUMB2
    int32_t result;
    __asm__("usat %0, #15, %1" : "=r"(result) : "r"(x));
    return result;
#else
    return x < 0 ? 0 : x > 32767 ? 32767 : x;
#endif
}

/* SSUB16: both lanes, wrapping. */
static inline uint32_t tc_ssub16(uint32_t a, uint32_t b)
{
#if TC_DSP
    return (uint32_t)__ssub16((int16x2_t)a, (int16x2_t)b);
#else
    return ((a - b) & 0xFFFFu) | ((a & 0xFFFF0000u) - (b & 0xFFFF0000u));
#endif
}

/* SXTB16: bytes 0 and 2 of (x rotated right by `rotate` bits), sign-extended to lanes. By 8 bits it is assembly, since
 * compilers rotate first. */
static inline uint32_t tc_sxtb16(uint32_t x, unsigned rotate)
{
#if TC_DSP
    if (rotate == 8) {
        uint32_t lanes;
        __asm__("sxtb16 %0, %1, ror #8" : "=r"(lanes) : "r"(x));
        return lanes;
    }
    return (uint32_t)__sxtb16((int8x4_t)tc_ror(x, rotate));
#else
    uint32_t r = tc_ror(x, rotate);
    return tc_lanes((int8_t)(r & 0xFFu), (int8_t)((r >> 16) & 0xFFu));
#endif
}

/* SXTAB16: a + SXTB16(x, rotate), lane by lane. By 0 and 8 bits it is assembly, since compilers add afterwards. */
static inline uint32_t tc_sxtab16(uint32_t a, uint32_t x, unsigned rotate)
{
#if TC_DSP
    if (rotate == 0) {
        uint32_t lanes;
        __asm__("sxtab16 %0, %1, %2" : "=r"(lanes) : "r"(a), "r"(x));
        return lanes;
    }
    if (rotate == 8) {
        uint32_t lanes;
        __asm__("sxtab16 %0, %1, %2, ror #8" : "=r"(lanes) : "r"(a), "r"(x));
        return lanes;
    }
#endif
    return tc_sadd16(a, tc_sxtb16(x, rotate));
}

/* USAT: saturate to an unsigned number of `bits` bits, 0 <= bits <= 31. */
static inline int32_t tc_usat(int32_t x, unsigned bits)
{
    int32_t high = (int32_t)((1u << bits) - 1u);
    return x > high ? high : x < 0 ? 0 : x;
}

/* USAT to 8 bits, where a compiler sees no minimum and maximum: by the instruction, which needs no DSP extension. */
static inline int32_t tc_usat8(int32_t x)
{
#if TC_THUMB2
    int32_t result;
    __asm__("usat %0, #8, %1" : "=r"(result) : "r"(x));
    return result;
#else
    return tc_usat(x, 8);
#endif
}

/* UXTB16: bytes 0 and 2 of (x rotated right by 0 or 8 bits) as lanes. By 8 bits it is assembly, since compilers shift and mask. */
static inline uint32_t tc_uxtb16(uint32_t x, unsigned rotate)
{
#if TC_DSP
    if (rotate == 8) {
        uint32_t lanes;
        __asm__("uxtb16 %0, %1, ror #8" : "=r"(lanes) : "r"(x));
        return lanes;
    }
#endif
    return tc_ror(x, rotate) & 0x00FF00FFu;
}

/* CLZ: leading zero bits of a value that isn't 0. */
static inline int32_t tc_leading_zeros(uint32_t value)
{
#if defined(__GNUC__)
    return __builtin_clz(value);
#else
    int32_t zeros = 0;
    for (; value < 0x80000000u; value <<= 1) {
        ++zeros;
    }
    return zeros;
#endif
}

#endif /* TC_SIMD_H */
