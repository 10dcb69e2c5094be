/* SPDX-License-Identifier: 0BSD */
/*
 * Sums of products by Helium (MVE): 16 int8 products per instruction, 2 pixels x 4 channels in registers.
 *
 * weights  [blocks of 4 channels][groups of 16 taps][4][16], int8; zeros beyond the last tap
 */
#ifndef TC_MVE_H
#define TC_MVE_H

#include <stdint.h>
#include <string.h>

#include "cmsis_shim/tc_simd.h"
#include "kernels/tc_inline.h"

#if defined(__ARM_FEATURE_MVE) && !defined(TC_PORTABLE)
#define TC_MVE 1
#include <arm_mve.h>
#else
#define TC_MVE 0
#endif

#ifdef __cplusplus
extern "C" {
#endif

#if TC_MVE
/* One group of 16 taps: r1, r3 the pixels, r5 the weights; sums in the even registers, since VMLADAV has no others. */
#define TC_MVE_GROUP(op) \
    "vldrb.8 q0, [r1], #16\n\t" \
    "vldrb.8 q2, [r5], #64\n\t" \
    "vldrb.8 q1, [r3], #16\n\t" \
    op " r0, q0, q2\n\t" \
    op " r8, q1, q2\n\t" \
    "vldrb.8 q3, [r5, #-48]\n\t" \
    op " r2, q0, q3\n\t" \
    op " r10, q1, q3\n\t" \
    "vldrb.8 q2, [r5, #-32]\n\t" \
    op " r4, q0, q2\n\t" \
    op " r12, q1, q2\n\t" \
    "vldrb.8 q3, [r5, #-16]\n\t" \
    op " r6, q0, q3\n\t" \
    op " lr, q1, q3\n\t"
#endif

/* sums[c] of a single pixel: over `groups` x 16 taps, at least one group. */
TC_INLINE void tc_mve_sums_1x4(const int8_t *x, const int8_t *weights, uint32_t groups, int32_t sums[4])
{
#if TC_MVE
    int32_t sum0 = 0;
    int32_t sum1 = 0;
    int32_t sum2 = 0;
    int32_t sum3 = 0;
    do {
        const int8x16_t values = vldrbq_s8(x);
        sum0 = vmladavaq_s8(sum0, values, vldrbq_s8(weights));
        sum1 = vmladavaq_s8(sum1, values, vldrbq_s8(weights + 16));
        sum2 = vmladavaq_s8(sum2, values, vldrbq_s8(weights + 32));
        sum3 = vmladavaq_s8(sum3, values, vldrbq_s8(weights + 48));
        x += 16;
        weights += 64;
    } while (--groups > 0u);
    sums[0] = sum0;
    sums[1] = sum1;
    sums[2] = sum2;
    sums[3] = sum3;
#else
    memset(sums, 0, 4 * sizeof sums[0]);
    for (uint32_t tap = 0; tap < 16u * groups; tap++) {
        for (uint32_t channel = 0; channel < 4u; channel++) {
            sums[channel] += x[tap] * weights[(tap / 16u * 4u + channel) * 16u + tap % 16u];
        }
    }
#endif
}

/* The same of two pixels: sums[4 p + c]. */
TC_INLINE void tc_mve_sums_2x4(const int8_t *x0, const int8_t *x1, const int8_t *weights, uint32_t groups,
                               int32_t sums[8])
{
#if TC_MVE && defined(TC_RESERVE_R9)
    tc_mve_sums_1x4(x0, weights, groups, sums);
    tc_mve_sums_1x4(x1, weights, groups, sums + 4);
#elif TC_MVE
    register const int8_t *r1_x0 __asm__("r1") = x0;
    register const int8_t *r3_x1 __asm__("r3") = x1;
    register const int8_t *r5_weights __asm__("r5") = weights;
    TC_ASM_WITH_R9("" : : : "r9"); /* a compiler that reserves r9 complains of this, not of a variable in it */
    register uint32_t r9_groups __asm__("r9") = groups;
    register int32_t *r11_sums __asm__("r11") = sums;
    __asm__ volatile(
        TC_MVE_GROUP("vmladav.s8")
        "subs r9, #1\n\t"
        "beq 2f\n"
        "1:\n\t"
        TC_MVE_GROUP("vmladava.s8")
        "subs r9, #1\n\t"
        "bne 1b\n"
        "2:\n\t"
        "stm r11, {r0, r2, r4, r6, r8, r10, r12, lr}\n\t"
        : "+r"(r1_x0), "+r"(r3_x1), "+r"(r5_weights), "+r"(r9_groups)
        : "r"(r11_sums)
        : "r0", "r2", "r4", "r6", "r8", "r10", "r12", "lr", "q0", "q1", "q2", "q3", "cc", "memory");
#else
    memset(sums, 0, 8 * sizeof sums[0]);
    for (uint32_t tap = 0; tap < 16u * groups; tap++) {
        for (uint32_t channel = 0; channel < 4u; channel++) {
            const int32_t weight = weights[(tap / 16u * 4u + channel) * 16u + tap % 16u];
            sums[channel] += x0[tap] * weight;
            sums[4u + channel] += x1[tap] * weight;
        }
    }
#endif
}

#if TC_MVE
/* The first `count` bytes, 1 to 16, then zeros. Assembly with its predicate: compilers move that through a core register. */
TC_INLINE int8x16_t tc_mve_load(const int8_t *input, uint32_t count)
{
    int8x16_t bytes;
    __asm__ volatile(
        "vctp.8 %1\n\t"
        "vpst\n\t"
        "vldrbt.8 %q0, [%2]"
        : "=w"(bytes)
        : "r"(count), "r"(input)
        : "p0", "memory");
    return bytes;
}
#endif

/* Copies `count` bytes, any number: a loop with a predicated tail. */
TC_INLINE void tc_mve_copy(const int8_t *input, uint32_t count, int8_t *output)
{
#if TC_MVE
    __asm__ volatile(
        "wlstp.8 lr, %2, 2f\n"
        "1:\n\t"
        "vldrb.8 q0, [%0], #16\n\t"
        "vstrb.8 q0, [%1], #16\n\t"
        "letp lr, 1b\n"
        "2:\n\t"
        : "+r"(input), "+r"(output)
        : "r"(count)
        : "lr", "q0", "cc", "memory");
#else
    memcpy(output, input, count);
#endif
}

TC_INLINE void tc_mve_fill(int8_t value, uint32_t count, int8_t *output)
{
#if TC_MVE
    /* In the assembly, or compilers keep the vector outside of loops, and that is stack. */
    __asm__ volatile(
        "vdup.8 q0, %2\n\t"
        "wlstp.8 lr, %1, 2f\n"
        "1:\n\t"
        "vstrb.8 q0, [%0], #16\n\t"
        "letp lr, 1b\n"
        "2:\n\t"
        : "+r"(output)
        : "r"(count), "r"((int32_t)value)
        : "lr", "q0", "cc", "memory");
#else
    memset(output, value, count);
#endif
}

#ifdef __cplusplus
}
#endif

#endif
