/* SPDX-License-Identifier: 0BSD */
/*
 * Expanding int8 inputs for the byte-lane product (docs/kernels.md).
 *
 * Four bytes x0 x1 x2 x3 become two words of int16 lanes:
 *     p = (x1 - 127, x3 - 127)
 *     q = (256 x0 - (x1 - 127), 256 x2 - (x3 - 127))
 * both within int16 for every int8 input. A block holds 4 or 3 pixels: per 4 inputs p of each pixel, then q of each.
 */
#ifndef TC_LANE_H
#define TC_LANE_H

#include <stdint.h>
#include <string.h>

#include "cmsis_shim/tc_simd.h"
#include "kernels/tc_align.h"
#include "kernels/tc_inline.h"

#ifdef __cplusplus
extern "C" {
#endif

TC_INLINE void tc_lane_expand4(uint32_t bytes, uint32_t *p, uint32_t *q)
{
    const uint32_t high = tc_sxtab16(0xFF81FF81u, bytes, 8);
    *p = high;
    *q = tc_ssub16((bytes << 8) & 0xFF00FF00u, high);
}

/* Expands a single row of `count` bytes: p and q of 4 inputs follow each other; the last 4 are filled up with zeros. */
TC_INLINE void tc_lane_expand_row(const int8_t *input, uint32_t count, uint32_t *row)
{
    uint32_t i = 0;
    for (; i + 4u <= count; i += 4u, row += 2) {
        tc_lane_expand4(tc_load4(input + i), row, row + 1);
    }
    if (i < count) {
        uint32_t bytes = 0;
        tc_memcpy(&bytes, input + i, count - i);
        tc_lane_expand4(bytes, row, row + 1);
    }
}

/* Expands `count` inputs of one pixel into its place of a block of `pixels`. */
TC_INLINE void tc_lane_expand_pixel(const int8_t *input, uint32_t count, uint32_t *block, uint32_t pixels)
{
    uint32_t i = 0;
    for (; i + 4u <= count; i += 4u, block += 2u * pixels) {
        tc_lane_expand4(tc_load4(input + i), block, block + pixels);
    }
    if (i < count) {
        uint32_t bytes = 0;
        tc_memcpy(&bytes, input + i, count - i);
        tc_lane_expand4(bytes, block, block + pixels);
    }
}

#if TC_DSP
#define TC_LANE_EXPAND_CONSTANTS \
    "mvn r3, #0x007e007e\n\t" /* 0xff81ff81: -127 in both lanes */ \
    "mvn lr, #0x00ff00ff\n\t" /* 0xff00ff00: the even bytes, shifted up */
/* Four words in r8-r11 to where r2 walks: p by way of r4-r7, q in their place. */
#define TC_LANE_EXPAND_WORDS \
    "sxtab16 r4, r3, r8, ror #8\n\t" \
    "sxtab16 r5, r3, r9, ror #8\n\t" \
    "sxtab16 r6, r3, r10, ror #8\n\t" \
    "sxtab16 r7, r3, r11, ror #8\n\t" \
    "and r8, lr, r8, lsl #8\n\t" \
    "and r9, lr, r9, lsl #8\n\t" \
    "and r10, lr, r10, lsl #8\n\t" \
    "and r11, lr, r11, lsl #8\n\t" \
    "ssub16 r8, r8, r4\n\t" \
    "ssub16 r9, r9, r5\n\t" \
    "ssub16 r10, r10, r6\n\t" \
    "ssub16 r11, r11, r7\n\t" \
    "stmia r2!, {r4, r5, r6, r7, r8, r9, r10, r11}\n\t"
#endif

#if !TC_DSP_BLOCKS || TC_STRICT_ALIGNMENT
/* Expands `pixels`, `groups` x 4 inputs of each; the pixels lie `spacing` bytes apart. */
TC_INLINE void tc_lane_expand_groups(const int8_t *input, uint32_t spacing, uint32_t pixels, uint32_t *block,
                                     uint32_t groups)
{
    for (uint32_t group = 0; group < groups; group++, input += 4, block += 2u * pixels) {
        for (uint32_t i = 0; i < pixels; i++) {
            tc_lane_expand4(tc_load4(input + i * spacing), block + i, block + pixels + i);
        }
    }
}
#endif

/* The same for 4 pixels; at least one group. */
static TC_NOINLINE void tc_lane_expand_4_pixels(const int8_t *input, uint32_t spacing, uint32_t *block, uint32_t groups)
{
#if TC_STRICT_ALIGNMENT
    if ((((uintptr_t)input | spacing) & 3u) != 0u) {
        tc_lane_expand_groups(input, spacing, 4, block, groups);
        return;
    }
#endif
#if TC_DSP_BLOCKS
    register const int8_t *r0_input __asm__("r0") = input;
    register uint32_t r1_spacing __asm__("r1") = spacing;
    register uint32_t *r2_block __asm__("r2") = block;
    register uint32_t *r3_end __asm__("r3") = block + 8u * groups;
    TC_ASM_WITH_R9(
        TC_SLOTS_OPEN
        TC_KEEP(r3, 0)
        TC_LANE_EXPAND_CONSTANTS
        "add r12, r1, r1, lsl #1\n"
        "1:\n\t"
        "ldr r9, [r0, r1]\n\t"
        "ldr r10, [r0, r1, lsl #1]\n\t"
        "ldr r11, [r0, r12]\n\t"
        "ldr r8, [r0], #4\n\t"
        "sxtab16 r4, r3, r8, ror #8\n\t" /* p of each pixel */
        "sxtab16 r5, r3, r9, ror #8\n\t"
        "sxtab16 r6, r3, r10, ror #8\n\t"
        "sxtab16 r7, r3, r11, ror #8\n\t"
        "and r8, lr, r8, lsl #8\n\t"
        "and r9, lr, r9, lsl #8\n\t"
        "and r10, lr, r10, lsl #8\n\t"
        "and r11, lr, r11, lsl #8\n\t"
        "ssub16 r8, r8, r4\n\t" /* q of each pixel */
        "ssub16 r9, r9, r5\n\t"
        "ssub16 r10, r10, r6\n\t"
        "ssub16 r11, r11, r7\n\t"
        "stmia r2!, {r4-r11}\n\t"
        TC_FETCH(r4, 0)
        "cmp r2, r4\n\t"
        "bne 1b\n\t"
        TC_SLOTS_CLOSE
        : "+r"(r0_input), "+r"(r1_spacing), "+r"(r2_block), "+r"(r3_end)
        :
        : "r4", "r5", "r6", "r8", "r9", "r10", "r11", "r12", "lr", "cc", "memory", TC_SLOT_CLOBBERS);
#else
    tc_lane_expand_groups(input, spacing, 4, block, groups);
#endif
}

/* For 3 pixels. */
static TC_NOINLINE void tc_lane_expand_3_pixels(const int8_t *input, uint32_t spacing, uint32_t *block, uint32_t groups)
{
#if TC_STRICT_ALIGNMENT
    if ((((uintptr_t)input | spacing) & 3u) != 0u) {
        tc_lane_expand_groups(input, spacing, 3, block, groups);
        return;
    }
#endif
#if TC_DSP
    register const int8_t *r0_input __asm__("r0") = input;
    register uint32_t r1_spacing __asm__("r1") = spacing;
    register uint32_t *r2_block __asm__("r2") = block;
    register uint32_t *r3_end __asm__("r3") = block + 6u * groups;
    __asm__ volatile(
        "mov r12, r3\n\t"
        TC_LANE_EXPAND_CONSTANTS
        "1:\n\t"
        "ldr r10, [r0, r1]\n\t"
        "ldr r11, [r0, r1, lsl #1]\n\t"
        "ldr r8, [r0], #4\n\t"
        "sxtab16 r4, r3, r8, ror #8\n\t" /* p of each pixel */
        "sxtab16 r5, r3, r10, ror #8\n\t"
        "sxtab16 r6, r3, r11, ror #8\n\t"
        "and r8, lr, r8, lsl #8\n\t"
        "and r10, lr, r10, lsl #8\n\t"
        "and r11, lr, r11, lsl #8\n\t"
        "ssub16 r8, r8, r4\n\t" /* q of each pixel */
        "ssub16 r10, r10, r5\n\t"
        "ssub16 r11, r11, r6\n\t"
        "stmia r2!, {r4, r5, r6, r8, r10, r11}\n\t"
        "cmp r2, r12\n\t"
        "bne 1b\n\t"
        : "+r"(r0_input), "+r"(r1_spacing), "+r"(r2_block), "+r"(r3_end)
        :
        : "r4", "r5", "r6", "r8", "r10", "r11", "r12", "lr", "cc", "memory");
#else
    tc_lane_expand_groups(input, spacing, 3, block, groups);
#endif
}

/* Expands `count` inputs of `pixels` (4 or 3) pixels; reads nothing beyond the last input of each. */
TC_INLINE void tc_lane_expand(const int8_t *input, uint32_t spacing, uint32_t count, uint32_t pixels, uint32_t *block)
{
    const uint32_t groups = count / 4u;
    if (groups > 0u) {
        if (pixels == 4u) {
            tc_lane_expand_4_pixels(input, spacing, block, groups);
        } else {
            tc_lane_expand_3_pixels(input, spacing, block, groups);
        }
    }
    if (count % 4u != 0u) {
        uint32_t *const last = block + 2u * pixels * groups;
        for (uint32_t i = 0; i < pixels; i++) {
            uint32_t bytes = 0;
            tc_memcpy(&bytes, input + i * spacing + 4u * groups, count % 4u);
            tc_lane_expand4(bytes, last + i, last + pixels + i);
        }
    }
}

#ifdef __cplusplus
}
#endif

#endif
