/* SPDX-License-Identifier: 0BSD */
/*
 * Blocks of 2 pixels x 2 channels (tc_block.h) with weights of 4 bits: a byte has both channels', the first one's plus 8 in
 * its lower half, the second one's plus 8 in its upper half. With x' = x + 128 and w' = w + 8:
 *     sum of x w = sum of x' w' - 8 sum of x' - 128 sum of w
 * The byte as it is makes 16 times the second channel's sum and once the first one's, so only the second one's weights are
 * taken out of it: as many instructions as with two bytes.
 */
#ifndef TC_BLOCK_NIBBLES_H
#define TC_BLOCK_NIBBLES_H

#include <stdint.h>

#include "cmsis_shim/tc_simd.h"
#include "kernels/tc_inline.h"

#ifdef __cplusplus
extern "C" {
#endif

#if TC_THUMB1
/* Taps at the offsets 0, 1, ... of x, 13 instructions each (8 on Thumb-2): r0, r1 the pixels, r2 the weights. */
#define TC_BLOCK_NIBBLES_TAPS(offsets) \
    ".irp i, " offsets "\n\t" \
    "ldrb r3, [r0, #\\i]\n\t" \
    "ldrb r4, [r2, #\\i]\n\t" \
    "movs r5, r3\n\t" \
    "muls r5, r4, r5\n\t" \
    "add r8, r5\n\t" \
    "lsrs r5, r4, #4\n\t" \
    "muls r3, r5, r3\n\t" \
    "add lr, r3\n\t" \
    "ldrb r3, [r1, #\\i]\n\t" \
    "muls r4, r3, r4\n\t" \
    "add r10, r4\n\t" \
    "muls r5, r3, r5\n\t" \
    "add r11, r5\n\t" \
    ".endr\n\t"
#elif TC_THUMB2
#define TC_BLOCK_NIBBLES_TAPS(offsets) \
    ".irp i, " offsets "\n\t" \
    "ldrb r3, [r0, #\\i]\n\t" \
    "ldrb r4, [r2, #\\i]\n\t" \
    "lsrs r5, r4, #4\n\t" \
    "mla r8, r3, r4, r8\n\t" \
    "mla lr, r3, r5, lr\n\t" \
    "ldrb r3, [r1, #\\i]\n\t" \
    "mla r10, r3, r4, r10\n\t" \
    "mla r11, r3, r5, r11\n\t" \
    ".endr\n\t"
#endif

/* sums[2 p + c] += sum of x'[p][i] * w'[i][c] over `count` taps, a multiple of 4. */
static TC_NOINLINE void tc_block_2x2_nibbles(const uint8_t *x0, const uint8_t *x1, const uint8_t *weights, uint32_t count,
                                             int32_t sums[4])
{
#if TC_THUMB1 || TC_THUMB2
    register const uint8_t *r0_x0 __asm__("r0") = x0;
    register const uint8_t *r1_x1 __asm__("r1") = x1;
    register const uint8_t *r2_weights __asm__("r2") = weights;
    register const uint8_t *r6_end __asm__("r6") = x0 + (count & ~7u);
    register uint32_t r8_sum __asm__("r8") = 0;
    register uint32_t lr_sum __asm__("lr") = 0;
    register uint32_t r10_sum __asm__("r10") = 0;
    register uint32_t r11_sum __asm__("r11") = 0;
    register const uint8_t *r12_end __asm__("r12") = x0 + count;
    __asm__ volatile(
        ".syntax unified\n\t" /* GCC wraps assembly for Thumb-1 in the old syntax */
        "b 2f\n"
        "1:\n\t"
        TC_BLOCK_NIBBLES_TAPS("0,1,2,3,4,5,6,7")
        "adds r0, #8\n\t"
        "adds r1, #8\n\t"
        "adds r2, #8\n"
        "2:\n\t"
        "cmp r0, r6\n\t"
        "bne 1b\n\t"
        "cmp r0, r12\n\t"
        "beq 3f\n\t"
        TC_BLOCK_NIBBLES_TAPS("0,1,2,3")
        "3:\n\t"
        : "+r"(r0_x0), "+r"(r1_x1), "+r"(r2_weights), "+r"(r8_sum), "+r"(lr_sum), "+r"(r10_sum), "+r"(r11_sum)
        : "r"(r6_end), "r"(r12_end)
        : "r3", "r4", "r5", "cc", "memory");
    const uint32_t both[2] = {r8_sum, r10_sum};
    const uint32_t second[2] = {lr_sum, r11_sum};
#else
    uint32_t both[2] = {0, 0};
    uint32_t second[2] = {0, 0};
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t upper = (uint32_t)weights[i] >> 4;
        both[0] += (uint32_t)x0[i] * weights[i];
        both[1] += (uint32_t)x1[i] * weights[i];
        second[0] += x0[i] * upper;
        second[1] += x1[i] * upper;
    }
#endif
    for (uint32_t p = 0; p < 2u; p++) {
        sums[2u * p] = (int32_t)((uint32_t)sums[2u * p] + both[p] - 16u * second[p]);
        sums[2u * p + 1u] = (int32_t)((uint32_t)sums[2u * p + 1u] + second[p]);
    }
}

#ifdef __cplusplus
}
#endif

#endif
