/* SPDX-License-Identifier: 0BSD */
/*
 * Sums of several pixels woven into fewer words, for cores with some 30 registers and no SIMD: RV32.
 *
 * A word is a sum of pixels times powers of two; its products with a channel's weights, modulo 2^32, are the pixels' sums S,
 * woven the same way. A pixel whose sum has no room in a word has its lowest bits there, and is in the next one again:
 *
 *     threes  2 words, sums of 21 bits   A = S0 + 2^21 S1    B = S2 + 2^11 S1
 *     fives   3 words, sums of 19 bits   A = S0 + 2^19 S1    B = S2 + 2^6 S1 + 2^12 S3    C = S4 + 2^19 S3
 *
 * So a multiplication and an addition serve 1.5 or 1.67 products, and nothing has to be taken out of a word before all taps
 * are summed, or the first ones that could leave so many bits: the compiler cuts taps into runs for which no input lets them.
 */
#ifndef TC_WOVEN_H
#define TC_WOVEN_H

#include <stdbool.h>
#include <stdint.h>

#include "kernels/tc_inline.h"
#include "kernels/tc_product_requant.h"
#include "kernels/tc_rv32.h"
#include "kernels/tc_scalar_requant.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Keeps a compiler from storing results a second time behind their loop. */
#if defined(__GNUC__)
#define TC_WOVEN_IN_ORDER __asm__ volatile("" : : : "memory")
#else
#define TC_WOVEN_IN_ORDER
#endif

TC_INLINE int32_t tc_woven_pixels(bool fives)
{
    return fives ? 5 : 3;
}

TC_INLINE int32_t tc_woven_words(bool fives)
{
    return fives ? 3 : 2;
}

/* Adds to `sums` what words have of their pixels, times 2^pre: up to 2^8. */
TC_INLINE void tc_woven_take(const uint32_t *words, int32_t pre, bool fives, uint32_t *sums)
{
    const uint32_t a = words[0];
    const uint32_t b = words[1];
    if (fives) {
        const uint32_t c = words[2];
        const uint32_t low1 = (uint32_t)((int32_t)(a + 0x40000u) >> 19);
        const uint32_t low3 = (uint32_t)((int32_t)(c + 0x40000u) >> 19);
        const uint32_t without3 = b - (low3 << 12);
        const int32_t second = (int32_t)((without3 - (low1 << 6)) << 13);
        const int32_t first = (int32_t)((without3 - (uint32_t)(second >> 13)) << 7);
        const int32_t third = (int32_t)(b - (uint32_t)(second >> 13) - (uint32_t)(first >> 7));
        sums[0] += (uint32_t)((int32_t)(a << 13) >> (13 - pre));
        sums[1] += (uint32_t)(first >> (13 - pre));
        sums[2] += (uint32_t)(second >> (13 - pre));
        sums[3] += (uint32_t)(third >> (12 - pre));
        sums[4] += (uint32_t)((int32_t)(c << 13) >> (13 - pre));
    } else {
        const uint32_t low1 = (uint32_t)((int32_t)(a + 0x100000u) >> 21);
        const int32_t second = (int32_t)((b - (low1 << 11)) << 10);
        sums[0] += (uint32_t)((int32_t)(a << 11) >> (11 - pre));
        sums[1] += (uint32_t)((int32_t)(b - (uint32_t)(second >> 10)) >> (11 - pre));
        sums[2] += (uint32_t)(second >> (10 - pre));
    }
}

/* Words of a tap of three pixels, and of five. */
TC_INLINE void tc_woven_threes(uint32_t *words, int32_t a, int32_t b, int32_t c)
{
    words[0] = (uint32_t)a + ((uint32_t)b << 21);
    words[1] = (uint32_t)c + ((uint32_t)b << 11);
}

TC_INLINE void tc_woven_fives(uint32_t *words, int32_t a, int32_t b, int32_t c, int32_t d, int32_t e)
{
    words[0] = (uint32_t)a + ((uint32_t)b << 19);
    words[1] = (uint32_t)c + ((uint32_t)b << 6) + ((uint32_t)d << 12);
    words[2] = (uint32_t)e + ((uint32_t)d << 19);
}

/* words[tap * step]: those of all taps of three pixels; a `step` in words. */
static TC_NOINLINE void tc_woven_expand_threes(const int8_t *const *pixels, uint32_t *words, int32_t taps, int32_t step)
{
    const int8_t *a = pixels[0];
    const int8_t *b = pixels[1];
    const int8_t *c = pixels[2];
    for (; taps % 4 != 0; taps--, words += step) {
        tc_woven_threes(words, *a++, *b++, *c++);
    }
    for (const int8_t *const end = a + taps; a != end; a += 4, b += 4, c += 4) {
#pragma GCC unroll 4
        for (int32_t i = 0; i < 4; i++, words += step) {
            tc_woven_threes(words, a[i], b[i], c[i]);
        }
    }
}

/* The same of five. */
static TC_NOINLINE void tc_woven_expand_fives(const int8_t *const *pixels, uint32_t *words, int32_t taps, int32_t step)
{
    const int8_t *a = pixels[0];
    const int8_t *b = pixels[1];
    const int8_t *c = pixels[2];
    const int8_t *d = pixels[3];
    const int8_t *e = pixels[4];
    for (; taps % 4 != 0; taps--, words += step) {
        tc_woven_fives(words, *a++, *b++, *c++, *d++, *e++);
    }
    for (const int8_t *const end = a + taps; a != end; a += 4, b += 4, c += 4, d += 4, e += 4) {
#pragma GCC unroll 4
        for (int32_t i = 0; i < 4; i++, words += step) {
            tc_woven_fives(words, a[i], b[i], c[i], d[i], e[i]);
        }
    }
}

/*
 * TC_WOVEN_PRODUCTS(words, channels), 2, 3, 4 or 6 words and 2 or 3 channels, defines tc_woven_products_<words>_<channels>:
 *
 * x        [taps][words], a multiple of 4 taps
 * weights  [taps][channels], up to `end`
 * sums     [channels][words]
 */
typedef void tc_woven_products(const uint32_t *x, const int8_t *weights, const int8_t *end, uint32_t *sums);

TC_INLINE void tc_woven_products_portable(const uint32_t *x, const int8_t *weights, const int8_t *end, uint32_t *sums,
                                          uint32_t words, uint32_t channels)
{
    for (uint32_t i = 0; i < words * channels; i++) {
        sums[i] = 0;
    }
    for (; weights != end; weights += channels, x += words) {
        for (uint32_t channel = 0; channel < channels; channel++) {
            const uint32_t weight = (uint32_t)(int32_t)weights[channel];
            for (uint32_t word = 0; word < words; word++) {
                sums[channel * words + word] += x[word] * weight;
            }
        }
    }
}

#if TC_RV32

/* All words: how far each is from a tap's first, and the registers of its sums with up to three channels. */
#define TC_WOVEN_EACH_2(each) each(0, s1, s2, s3) each(4, s4, s5, s6)
#define TC_WOVEN_EACH_3(each) TC_WOVEN_EACH_2(each) each(8, s7, s8, s9)
#define TC_WOVEN_EACH_4(each) TC_WOVEN_EACH_3(each) each(12, s10, s11, t0)
#define TC_WOVEN_EACH_6(each) TC_WOVEN_EACH_4(each) each(16, t1, t2, t3) each(20, t4, t5, t6)

#define TC_WOVEN_WEIGHTS_2 \
    "lb a3, 2 * .Ltc_tap(a1)\n\t" \
    "lb a4, 2 * .Ltc_tap + 1(a1)\n\t"
#define TC_WOVEN_WEIGHTS_3 \
    "lb a3, 3 * .Ltc_tap(a1)\n\t" \
    "lb a4, 3 * .Ltc_tap + 1(a1)\n\t" \
    "lb a6, 3 * .Ltc_tap + 2(a1)\n\t"

#define TC_WOVEN_FIRST_2(offset, first, second, third) \
    "lw a5, " #offset "(a0)\n\t" \
    "mul " #first ", a5, a3\n\t" \
    "mul " #second ", a5, a4\n\t"
#define TC_WOVEN_FIRST_3(offset, first, second, third) \
    TC_WOVEN_FIRST_2(offset, first, second, third) \
    "mul " #third ", a5, a6\n\t"

#define TC_WOVEN_NEXT_2(offset, first, second, third) \
    "lw a5, .Ltc_tap * .Ltc_bytes + " #offset "(a0)\n\t" \
    "mul a7, a5, a3\n\t" \
    "mul a5, a5, a4\n\t" \
    "add " #first ", " #first ", a7\n\t" \
    "add " #second ", " #second ", a5\n\t"
#define TC_WOVEN_NEXT_3(offset, first, second, third) \
    "lw a5, .Ltc_tap * .Ltc_bytes + " #offset "(a0)\n\t" \
    "mul a7, a5, a3\n\t" \
    "mul ra, a5, a4\n\t" \
    "mul a5, a5, a6\n\t" \
    "add " #first ", " #first ", a7\n\t" \
    "add " #second ", " #second ", ra\n\t" \
    "add " #third ", " #third ", a5\n\t"

#define TC_WOVEN_STORE_2(offset, first, second, third) \
    "sw " #first ", " #offset "(a2)\n\t" \
    "sw " #second ", .Ltc_bytes + " #offset "(a2)\n\t"
#define TC_WOVEN_STORE_3(offset, first, second, third) \
    TC_WOVEN_STORE_2(offset, first, second, third) \
    "sw " #third ", 2 * .Ltc_bytes + " #offset "(a2)\n\t"

/* a0 words, a1 weights, a2 their end; a3, a4, a6 a tap's weights. The first of all taps is in front of the loop over four. */
#define TC_WOVEN_PRODUCTS(words, channels) \
    static TC_NOINLINE void tc_woven_products_##words##_##channels(const uint32_t *x, const int8_t *weights, \
                                                                   const int8_t *end, uint32_t *sums) \
    { \
        register const uint32_t *a0 __asm__("a0") = x; \
        register const int8_t *a1 __asm__("a1") = weights; \
        register const int8_t *a2 __asm__("a2") = end; \
        uint32_t *volatile result = sums; \
        __asm__ volatile( \
            ".set .Ltc_bytes, 4 * " #words "\n\t" \
            ".set .Ltc_tap, 0\n\t" \
            TC_WOVEN_WEIGHTS_##channels \
            TC_WOVEN_EACH_##words(TC_WOVEN_FIRST_##channels) \
            "j 2f\n" \
            "1:\n\t" \
            ".set .Ltc_tap, 0\n\t" \
            TC_WOVEN_WEIGHTS_##channels \
            TC_WOVEN_EACH_##words(TC_WOVEN_NEXT_##channels) \
            "2:\n\t" \
            ".rept 3\n\t" \
            ".set .Ltc_tap, .Ltc_tap + 1\n\t" \
            TC_WOVEN_WEIGHTS_##channels \
            TC_WOVEN_EACH_##words(TC_WOVEN_NEXT_##channels) \
            ".endr\n\t" \
            "addi a1, a1, 4 * " #channels "\n\t" \
            "addi a0, a0, 4 * .Ltc_bytes\n\t" \
            "bne a1, a2, 1b\n\t" \
            "lw a2, %[result]\n\t" \
            TC_WOVEN_EACH_##words(TC_WOVEN_STORE_##channels) \
            : "+r"(a0), "+r"(a1), "+r"(a2) \
            : [result] "m"(result) \
            : "a3", "a4", "a5", "a6", "a7", "t0", "t1", "t2", "t3", "t4", "t5", "t6", "s1", "s2", "s3", "s4", "s5", "s6", \
              "s7", "s8", "s9", "s10", "s11", "ra", "memory"); \
    }

#else

#define TC_WOVEN_PRODUCTS(words, channels) \
    static TC_NOINLINE void tc_woven_products_##words##_##channels(const uint32_t *x, const int8_t *weights, \
                                                                   const int8_t *end, uint32_t *sums) \
    { \
        tc_woven_products_portable(x, weights, end, sums, words, channels); \
    }

#endif

/* Where a channel's results go. */
typedef struct tc_woven_target {
    int32_t pixels;
    int32_t stride;   /* bytes from an output to the next one */
    int32_t run_step; /* words from a run's sums to the next one's */
} tc_woven_target;

typedef void tc_woven_finish(const uint32_t *words, const int32_t *channel, int8_t *output, const tc_woven_target *target);

/* What words have of their pixels, of all runs together. */
TC_INLINE void tc_woven_take_all(const uint32_t *words, int32_t pre, bool fives, int32_t runs, int32_t run_step, uint32_t *sums)
{
    for (int32_t i = 0; i < 5; i++) {
        sums[i] = 0;
    }
    for (int32_t run = 0; run < runs; run++) {
        tc_woven_take(words + run * run_step, pre, fives, sums);
    }
}

/* Pixels of all runs' words, requantised and stored; `partial`: the last ones may be fewer than are woven together. */
TC_INLINE void tc_woven_finish_portable(const uint32_t *words, const int32_t *channel, int8_t *output,
                                        const tc_woven_target *target, int32_t pre, bool fives, int32_t runs, bool partial,
                                        const tc_product_requant *requant)
{
    const int32_t together = tc_woven_pixels(fives);
    const int32_t stride = target->stride;
    const int32_t run_step = target->run_step;
    int32_t left = target->pixels;
    int32_t parameters[4] = {0}; /* a byte that is stored could be a channel's: copies stay in registers */
    const uint32_t count = tc_product_requant_words(requant);
#pragma GCC unroll 4
    for (uint32_t i = 0; i < count; i++) {
        parameters[i] = channel[i];
    }
    for (; left >= together; left -= together, words += tc_woven_words(fives)) {
        uint32_t sums[5];
        tc_woven_take_all(words, pre, fives, runs, run_step, sums);
#pragma GCC unroll 5
        for (int32_t i = 0; i < together; i++, output += stride) {
            *output = (int8_t)tc_product_requantize((int32_t)sums[i], parameters, requant);
        }
        TC_WOVEN_IN_ORDER;
    }
    if (partial && left > 0) {
        uint32_t sums[5];
        tc_woven_take_all(words, pre, fives, runs, run_step, sums);
        for (int32_t i = 0; i < left; i++, output += stride) {
            *output = (int8_t)tc_product_requantize((int32_t)sums[i], parameters, requant);
        }
    }
}

/* Defines that with these constants; sums are taken times 2^pre. */
#define TC_WOVEN_FINISH(name, fives, runs, partial, pre, shift, is_signed, low, high) \
    static TC_NOINLINE void name(const uint32_t *words, const int32_t *channel, int8_t *output, const tc_woven_target *target) \
    { \
        static const tc_product_requant requant = {0, shift, is_signed, low, high}; \
        tc_woven_finish_portable(words, channel, output, target, pre, fives, runs, partial, &requant); \
    }

#ifdef __cplusplus
}
#endif

#endif
