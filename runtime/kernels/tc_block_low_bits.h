/* SPDX-License-Identifier: 0BSD */
/*
 * Blocks of 2 pixels x 2 channels (tc_block.h) with weights of 4 or 2 bits. 4 bits: a byte has both channels', the first one's
 * plus 8 in its lower half, the second one's plus 8 in its upper half. 2 bits: a byte has two taps, the first one in its lower
 * half, and each half both channels' plus 2. With x' = x + 128 and w' = w + 8 (w + 2):
 *     sum of x w = sum of x' w' - 8 sum of x' - 128 sum of w
 * The byte, or the half, as it is makes 16 (4) times the second channel's sum and once the first one's, so only the second one's
 * weights are taken out of it: as many instructions as with two bytes, and one more to take a half.
 */
#ifndef TC_BLOCK_LOW_BITS_H
#define TC_BLOCK_LOW_BITS_H

#include <stdint.h>

#include "cmsis_shim/tc_simd.h"
#include "kernels/tc_inline.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Both channels' weights of tap \i in r4. */
#define TC_BLOCK_LOW_BITS_WEIGHT_4 "ldrb r4, [r2, #\\i]\n\t"
#define TC_BLOCK_LOW_BITS_WEIGHT_2 \
    "ldrb r4, [r2, #(\\i) / 2]\n\t" \
    ".if (\\i) %% 2 == 0\n\t" \
    "lsls r4, r4, #28\n\t" \
    "lsrs r4, r4, #28\n\t" \
    ".else\n\t" \
    "lsrs r4, r4, #4\n\t" \
    ".endif\n\t"

#if TC_THUMB1
/* Taps at the offsets 0, 1, ... of x, 13 instructions each (8 on Thumb-2): r0, r1 the pixels, r2 the weights. */
#define TC_BLOCK_LOW_BITS_TAPS(bits, offsets) \
    ".irp i, " offsets "\n\t" \
    "ldrb r3, [r0, #\\i]\n\t" \
    TC_BLOCK_LOW_BITS_WEIGHT_##bits \
    "movs r5, r3\n\t" \
    "muls r5, r4, r5\n\t" \
    "add r8, r5\n\t" \
    "lsrs r5, r4, #" #bits "\n\t" \
    "muls r3, r5, r3\n\t" \
    "add lr, r3\n\t" \
    "ldrb r3, [r1, #\\i]\n\t" \
    "muls r4, r3, r4\n\t" \
    "add r10, r4\n\t" \
    "muls r5, r3, r5\n\t" \
    "add r11, r5\n\t" \
    ".endr\n\t"
#elif TC_THUMB2
#define TC_BLOCK_LOW_BITS_TAPS(bits, offsets) \
    ".irp i, " offsets "\n\t" \
    "ldrb r3, [r0, #\\i]\n\t" \
    TC_BLOCK_LOW_BITS_WEIGHT_##bits \
    "lsrs r5, r4, #" #bits "\n\t" \
    "mla r8, r3, r4, r8\n\t" \
    "mla lr, r3, r5, lr\n\t" \
    "ldrb r3, [r1, #\\i]\n\t" \
    "mla r10, r3, r4, r10\n\t" \
    "mla r11, r3, r5, r11\n\t" \
    ".endr\n\t"
#endif

#if TC_THUMB1 || TC_THUMB2
#define TC_BLOCK_LOW_BITS_SUMS(bits) \
    register const uint8_t *r0_x0 __asm__("r0") = x0; \
    register const uint8_t *r1_x1 __asm__("r1") = x1; \
    register const uint8_t *r2_weights __asm__("r2") = weights; \
    register const uint8_t *r6_end __asm__("r6") = x0 + (count & ~7u); \
    register uint32_t r8_sum __asm__("r8") = 0; \
    register uint32_t lr_sum __asm__("lr") = 0; \
    register uint32_t r10_sum __asm__("r10") = 0; \
    register uint32_t r11_sum __asm__("r11") = 0; \
    register const uint8_t *r12_end __asm__("r12") = x0 + count; \
    __asm__ volatile( \
        ".syntax unified\n\t" /* GCC wraps assembly for Thumb-1 in the old syntax */ \
        "b 2f\n" \
        "1:\n\t" \
        TC_BLOCK_LOW_BITS_TAPS(bits, "0,1,2,3,4,5,6,7") \
        "adds r0, #8\n\t" \
        "adds r1, #8\n\t" \
        "adds r2, #2 * " #bits "\n" \
        "2:\n\t" \
        "cmp r0, r6\n\t" \
        "bne 1b\n\t" \
        "cmp r0, r12\n\t" \
        "beq 3f\n\t" \
        TC_BLOCK_LOW_BITS_TAPS(bits, "0,1,2,3") \
        "3:\n\t" \
        : "+r"(r0_x0), "+r"(r1_x1), "+r"(r2_weights), "+r"(r8_sum), "+r"(lr_sum), "+r"(r10_sum), "+r"(r11_sum) \
        : "r"(r6_end), "r"(r12_end) \
        : "r3", "r4", "r5", "cc", "memory"); \
    const uint32_t both[2] = {r8_sum, r10_sum}; \
    const uint32_t second[2] = {lr_sum, r11_sum};
#else
#define TC_BLOCK_LOW_BITS_SUMS(bits) \
    uint32_t both[2] = {0, 0}; \
    uint32_t second[2] = {0, 0}; \
    for (uint32_t i = 0; i < count; i++) { \
        const uint32_t own = (bits) == 4 ? weights[i] : (uint32_t)weights[i / 2u] >> 4u * (i % 2u) & 15u; \
        both[0] += x0[i] * own; \
        both[1] += x1[i] * own; \
        second[0] += x0[i] * (own >> (bits)); \
        second[1] += x1[i] * (own >> (bits)); \
    }
#endif

/* sums[2 p + c] += sum of x'[p][i] * w'[i][c] over `count` taps, a multiple of 4. */
#define TC_BLOCK_2X2_LOW_BITS(bits) \
    static TC_NOINLINE void tc_block_2x2_##bits##_bits(const uint8_t *x0, const uint8_t *x1, const uint8_t *weights, \
                                                       uint32_t count, int32_t sums[4]) \
    { \
        TC_BLOCK_LOW_BITS_SUMS(bits) \
        for (uint32_t p = 0; p < 2u; p++) { \
            sums[2u * p] = (int32_t)((uint32_t)sums[2u * p] + both[p] - (second[p] << (bits))); \
            sums[2u * p + 1u] = (int32_t)((uint32_t)sums[2u * p + 1u] + second[p]); \
        } \
    }
TC_BLOCK_2X2_LOW_BITS(4)
TC_BLOCK_2X2_LOW_BITS(2)

/*
 * A row times 4 channels (tc_block_row.h): with 4 bits two bytes have the weights of a tap, with 2 bits one. Shifted down by
 * one channel's bits after the other, a byte makes sums from each of which the next one's multiple is taken in the end.
 */
#if TC_THUMB1
#define TC_BLOCK_ROW_LOW_BITS_PRODUCT(sum) \
    "movs r5, r4\n\t" \
    "muls r5, r3, r5\n\t" \
    "add " #sum ", r5\n\t"
#elif TC_THUMB2
#define TC_BLOCK_ROW_LOW_BITS_PRODUCT(sum) "mla " #sum ", r3, r4, " #sum "\n\t"
#endif
#define TC_BLOCK_ROW_LOW_BITS_TAP_4 \
    "ldrb r4, [r2, #2 * \\i]\n\t" \
    TC_BLOCK_ROW_LOW_BITS_PRODUCT(r8) \
    "lsrs r4, r4, #4\n\t" \
    TC_BLOCK_ROW_LOW_BITS_PRODUCT(r10) \
    "ldrb r4, [r2, #2 * \\i + 1]\n\t" \
    TC_BLOCK_ROW_LOW_BITS_PRODUCT(r11) \
    "lsrs r4, r4, #4\n\t" \
    TC_BLOCK_ROW_LOW_BITS_PRODUCT(lr)
#define TC_BLOCK_ROW_LOW_BITS_TAP_2 \
    "ldrb r4, [r2, #\\i]\n\t" \
    TC_BLOCK_ROW_LOW_BITS_PRODUCT(r8) \
    "lsrs r4, r4, #2\n\t" \
    TC_BLOCK_ROW_LOW_BITS_PRODUCT(r10) \
    "lsrs r4, r4, #2\n\t" \
    TC_BLOCK_ROW_LOW_BITS_PRODUCT(r11) \
    "lsrs r4, r4, #2\n\t" \
    TC_BLOCK_ROW_LOW_BITS_PRODUCT(lr)

/* Taps at the offsets 0, 1, ... of x: 17 instructions each for Thumb-1, 9 for Thumb-2. */
#define TC_BLOCK_ROW_LOW_BITS_TAPS(bits, offsets) \
    ".irp i, " offsets "\n\t" \
    "ldrb r3, [r0, #\\i]\n\t" \
    TC_BLOCK_ROW_LOW_BITS_TAP_##bits \
    ".endr\n\t"

#if TC_THUMB1 || TC_THUMB2
#define TC_BLOCK_ROW_LOW_BITS_SUMS(bits) \
    register const uint8_t *r0_x __asm__("r0") = x; \
    register const uint8_t *r2_weights __asm__("r2") = weights; \
    register const uint8_t *r6_end __asm__("r6") = x + (count & ~7u); \
    register uint32_t r8_sum __asm__("r8") = 0; \
    register uint32_t r10_sum __asm__("r10") = 0; \
    register uint32_t r11_sum __asm__("r11") = 0; \
    register uint32_t lr_sum __asm__("lr") = 0; \
    register const uint8_t *r12_end __asm__("r12") = x + count; \
    __asm__ volatile( \
        ".syntax unified\n\t" \
        "b 2f\n" \
        "1:\n\t" \
        TC_BLOCK_ROW_LOW_BITS_TAPS(bits, "0,1,2,3,4,5,6,7") \
        "adds r0, #8\n\t" \
        "adds r2, #4 * " #bits "\n" \
        "2:\n\t" \
        "cmp r0, r6\n\t" \
        "beq 4f\n\t" /* Thumb-1's conditional branches don't reach back */ \
        "b 1b\n" \
        "4:\n\t" \
        "cmp r0, r12\n\t" \
        "beq 3f\n\t" \
        TC_BLOCK_ROW_LOW_BITS_TAPS(bits, "0,1,2,3") \
        "3:\n\t" \
        : "+r"(r0_x), "+r"(r2_weights), "+r"(r8_sum), "+r"(r10_sum), "+r"(r11_sum), "+r"(lr_sum) \
        : "r"(r6_end), "r"(r12_end) \
        : "r3", "r4", "r5", "cc", "memory"); \
    const uint32_t sum[4] = {r8_sum, r10_sum, r11_sum, lr_sum};
#else
#define TC_BLOCK_ROW_LOW_BITS_SUMS(bits) \
    uint32_t sum[4] = {0, 0, 0, 0}; \
    for (uint32_t i = 0; i < count; i++) { \
        for (uint32_t c = 0; c < 4u; c++) { \
            const uint32_t byte = (bits) == 4 ? weights[2u * i + c / 2u] : weights[i]; \
            sum[c] += x[i] * (byte >> ((bits) == 4 ? 4u * (c % 2u) : 2u * c)); \
        } \
    }
#endif

/* sums[c] += sum of x'[i] * w'[i][c] over `count` taps, a multiple of 4. */
#define TC_BLOCK_1X4_LOW_BITS(bits) \
    static TC_NOINLINE void tc_block_1x4_##bits##_bits(const uint8_t *x, const uint8_t *weights, uint32_t count, \
                                                       int32_t sums[4]) \
    { \
        TC_BLOCK_ROW_LOW_BITS_SUMS(bits) \
        for (uint32_t c = 0; c < 4u; c++) { \
            const int last = c == 3u || ((bits) == 4 && c == 1u); /* of those that share a byte */ \
            sums[c] = (int32_t)((uint32_t)sums[c] + sum[c] - (last ? 0u : sum[c + 1u] << (bits))); \
        } \
    }
TC_BLOCK_1X4_LOW_BITS(4)
TC_BLOCK_1X4_LOW_BITS(2)

#ifdef __cplusplus
}
#endif

#endif
