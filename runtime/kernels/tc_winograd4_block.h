/* SPDX-License-Identifier: 0BSD */
/*
 * The block function of the Winograd convolution F(4x4, 3x3) that makes outputs of 4 tiles and 2 output channels
 * (docs/kernels.md); those of the products are TC_WINOGRAD_PRODUCTS, for 36 positions.
 *
 *     TC_WINOGRAD4_OUTPUTS(name, form, saturate, bits, shift, low, high)
 *     TC_WINOGRAD4_OUTPUTS_SINGLE(name, form, ...) for cores on which only loads of one word stand beside others
 *
 * define the output transform A'MA and its requantisation (tc_requant_block.h):
 *
 *     sums        per position 4 tiles of the first, then of the second output channel, aligned to 32 bytes; behind them
 *                 24 words of working memory
 *     parameters  per channel: start, which reaches all outputs of a tile through position (1, 1), then the parameters of
 *                 the requantisation
 *     output      first channel of the upper left pixel
 *
 * A' is  1 1  1 1  1 0 / 0 1 -1 2 -2 0 / 0 1 1 4 4 0 / 0 1 -1 8 -8 4,  in which 4 stands for 1 because the last row of the
 * weights' transform is a quarter of the others' scale, so that its square fits int16.
 */
#ifndef TC_WINOGRAD4_BLOCK_H
#define TC_WINOGRAD4_BLOCK_H

#include <stdint.h>

#include "cmsis_shim/tc_simd.h"
#include "kernels/tc_inline.h"
#include "kernels/tc_requant_block.h"
#include "kernels/tc_winograd_block.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TC_WINOGRAD4_SUMS (36 * 8)

/* Where a block's outputs go; the assembly knows the order of the fields. */
typedef struct tc_winograd4_target {
    uint32_t step; /* bytes from pixel to pixel */
    uint32_t row;  /* bytes from row to row */
    uint32_t tile; /* bytes from a tile to the next beside it */
    uint32_t wrap; /* bytes to add after two tiles: to the next two below them, 0 where all are beside each other */
} tc_winograd4_target;

typedef void tc_winograd4_outputs(int32_t *sums, const int32_t *parameters, int8_t *output,
                                  const tc_winograd4_target *target);

/* Six numbers, `apart` words from each other, times A'; modulo 2^32 as in the registers. */
TC_INLINE void tc_winograd4_four(const uint32_t *m, uint32_t apart, uint32_t start, uint32_t result[4])
{
    const uint32_t m1 = m[apart] + start;
    const uint32_t even = m1 + m[2u * apart];
    const uint32_t odd = m1 - m[2u * apart];
    const uint32_t far_even = m[3u * apart] + m[4u * apart];
    const uint32_t far_odd = m[3u * apart] - m[4u * apart];
    result[0] = m[0] + even + far_even;
    result[1] = odd + 2u * far_odd;
    result[2] = even + 4u * far_even;
    result[3] = odd + 8u * far_odd + 4u * m[5u * apart];
}

/* The same arithmetic in portable C. */
TC_INLINE void tc_winograd4_outputs_portable(const int32_t *sums, const int32_t *parameters, int8_t *output,
                                             const tc_winograd4_target *target, const tc_requant_block *requant)
{
    for (uint32_t channel = 0; channel < 2u; channel++, parameters += 1u + tc_requant_block_words(requant)) {
        int8_t *corner = output + channel;
        for (uint32_t tile = 0; tile < 4u; tile++) {
            uint32_t columns[6][4];
            for (uint32_t j = 0; j < 6u; j++) {
                const uint32_t start = j == 1u ? (uint32_t)parameters[0] : 0u;
                tc_winograd4_four((const uint32_t *)sums + 8u * j + 4u * channel + tile, 48, start, columns[j]);
            }
            for (uint32_t row = 0; row < 4u; row++) {
                uint32_t four[4];
                tc_winograd4_four(&columns[0][row], 4, 0, four);
                for (uint32_t x = 0; x < 4u; x++) {
                    const int32_t a = (int32_t)four[x];
                    corner[row * target->row + x * target->step] = tc_requantize_block(a, parameters + 1, requant);
                }
            }
            corner += target->tile + (tile == 1u ? target->wrap : 0u);
        }
    }
}

#if TC_DSP_BLOCKS

/* Six sums in r4-r9 to four of A' in r4, r5, r6, r9. */
#define TC_WINOGRAD4_FOUR \
    "add r10, r5, r6\n\t" \
    "sub r5, r5, r6\n\t" \
    "add r6, r7, r8\n\t" \
    "sub r7, r7, r8\n\t" \
    "add r4, r4, r10\n\t" \
    "add r9, r5, r9, lsl #2\n\t" \
    "add r4, r4, r6\n\t" \
    "add r6, r10, r6, lsl #2\n\t" \
    "add r9, r9, r7, lsl #3\n\t" \
    "add r5, r5, r7, lsl #1\n\t"

/* Column j of a tile's sums to working memory, [4 rows][6 columns]. */
#define TC_WINOGRAD4_COLUMN(j, start) \
    "ldr r4, [r12, #32 * " #j "]\n\t" \
    "ldr r5, [r12, #32 * (6 + " #j ")]\n\t" \
    "ldr r6, [r12, #32 * (12 + " #j ")]\n\t" \
    "ldr r7, [r12, #32 * (18 + " #j ")]\n\t" \
    "ldr r8, [r12, #32 * (24 + " #j ")]\n\t" \
    "ldr r9, [r12, #32 * (30 + " #j ")]\n\t" \
    start \
    TC_WINOGRAD4_FOUR \
    "str r4, [r2, #4 * " #j "]\n\t" \
    "str r5, [r2, #4 * (6 + " #j ")]\n\t" \
    "str r6, [r2, #4 * (12 + " #j ")]\n\t" \
    "str r9, [r2, #4 * (18 + " #j ")]\n\t"

/*
 * The same for cores on which a load issues beside another instruction: 11 cycles on the Cortex-M7 (above 14), in the order
 * that `benchmarks/schedule.py --llvm` found. Others read memory faster where loads follow each other.
 */
#define TC_WINOGRAD4_COLUMN_SINGLE(j, start) \
    "ldr r6, [r12, #32 * (12 + " #j ")]\n\t" \
    "ldr r5, [r12, #32 * (6 + " #j ")]\n\t" \
    start \
    "add r10, r5, r6\n\t" \
    "ldr r9, [r12, #32 * (30 + " #j ")]\n\t" \
    "sub r5, r5, r6\n\t" \
    "ldr r8, [r12, #32 * (24 + " #j ")]\n\t" \
    "ldr r7, [r12, #32 * (18 + " #j ")]\n\t" \
    "ldr r4, [r12, #32 * " #j "]\n\t" \
    "add r6, r7, r8\n\t" \
    "add r4, r4, r10\n\t" \
    "sub r7, r7, r8\n\t" \
    "add r4, r4, r6\n\t" \
    "add r9, r5, r9, lsl #2\n\t" \
    "str r4, [r2, #4 * " #j "]\n\t" \
    "add r5, r5, r7, lsl #1\n\t" \
    "str r5, [r2, #4 * (6 + " #j ")]\n\t" \
    "add r6, r10, r6, lsl #2\n\t" \
    "str r6, [r2, #4 * (12 + " #j ")]\n\t" \
    "add r9, r9, r7, lsl #3\n\t" \
    "str r9, [r2, #4 * (18 + " #j ")]\n\t"

/* The four rows of working memory, by r2, each to four outputs. */
#define TC_WINOGRAD4_ROWS(...) \
    ".rept 4\n\t" \
    "ldmia r2!, {r4-r9}\n\t" \
    TC_WINOGRAD4_FOUR \
    TC_WINOGRAD4_FINISH(__VA_ARGS__) \
    ".endr\n\t"

/* Requantises and stores four outputs in r4, r5, r6, r9 from r11 on, which goes to the next row. */
#define TC_WINOGRAD4_FINISH(form, saturate, bits, shift, low, high) \
    TC_IF_SIGNED_##form(TC_FETCH(r8, 8)) \
    TC_HIGH_##form(r4, r0, r1, r8, r7) \
    TC_HIGH_##form(r5, r0, r1, r8, r7) \
    TC_SATURATE(r4, saturate, bits, shift) \
    TC_HIGH_##form(r6, r0, r1, r8, r7) \
    TC_SATURATE(r5, saturate, bits, shift) \
    TC_HIGH_##form(r9, r0, r1, r8, r7) \
    TC_SATURATE(r6, saturate, bits, shift) \
    TC_SATURATE(r9, saturate, bits, shift) \
    TC_CLAMP_##saturate("r4, r5, r6, r9", bits, low, high, r7, r8, r10) \
    TC_FETCH(r10, 4) \
    "strb r4, [r11]\n\t" \
    "strb r5, [r11, r3]\n\t" \
    "strb r6, [r11, r3, lsl #1]\n\t" \
    "strb r9, [r11, lr]\n\t" \
    "add r11, r11, r10\n\t"

/*
 * r12 walks the tiles, r2 the working memory; r0 multiplier, r1 offset, r3 bytes from pixel to pixel, lr three times as many.
 * Slots: 0 start, 1 working memory, 2 output, 3 bytes from tile to tile, 4 from row to row, 5 parameters, 6 first channel's
 * output, 8 step of the signed form, 9 bytes after two tiles.
 */
#define TC_WINOGRAD4_OUTPUTS_TEXT(column, form, ...) \
    "mov r12, r0\n\t" \
    "add r0, r0, #1152\n\t" \
    TC_KEEP(r0, 1) \
    TC_KEEP(r1, 5) \
    TC_KEEP(r2, 6) \
    TC_KEEP(r2, 2) \
    "ldm r3, {r3, r4, r5, r6}\n\t" \
    TC_KEEP(r4, 4) \
    TC_KEEP(r5, 3) \
    TC_KEEP(r6, 9) \
    "add lr, r3, r3, lsl #1\n" \
    "1:\n\t" /* a channel */ \
    TC_FETCH(r4, 5) \
    "ldmia r4!, {r0, r1, r2" TC_IF_SIGNED_##form(", r5") "}\n\t" \
    TC_KEEP(r4, 5) \
    TC_KEEP(r0, 0) \
    TC_IF_SIGNED_##form(TC_KEEP(r5, 8)) \
    "mov r0, r1\n\t" \
    "mov r1, r2\n" \
    "2:\n\t" /* a tile */ \
    TC_FETCH(r2, 1) \
    column(0, ) \
    column(1, TC_FETCH(r10, 0) "add r5, r5, r10\n\t") \
    column(2, ) \
    column(3, ) \
    column(4, ) \
    column(5, ) \
    TC_FETCH(r11, 2) \
    TC_WINOGRAD4_ROWS(form, __VA_ARGS__) \
    TC_FETCH(r11, 2) \
    TC_FETCH(r10, 3) \
    "add r12, r12, #4\n\t" \
    "add r11, r11, r10\n\t" \
    TC_FETCH(r10, 9) \
    "tst r12, #7\n\t" \
    "it eq\n\t" \
    "addeq r11, r11, r10\n\t" \
    TC_KEEP(r11, 2) \
    "tst r12, #15\n\t" /* 4 tiles */ \
    "bne 2b\n\t" \
    TC_FETCH(r11, 6) \
    "add r11, r11, #1\n\t" \
    TC_KEEP(r11, 2) \
    "tst r12, #16\n\t" /* 2 channels */ \
    "bne 1b\n\t"

#define TC_WINOGRAD4_FUNCTION(name, text) \
    TC_BLOCK_FUNCTION(name, int32_t *, const int32_t *, int8_t *, const tc_winograd4_target *, text)
#define TC_WINOGRAD4_OUTPUTS(name, ...) \
    TC_WINOGRAD4_FUNCTION(name, TC_WINOGRAD4_OUTPUTS_TEXT(TC_WINOGRAD4_COLUMN, __VA_ARGS__))
#define TC_WINOGRAD4_OUTPUTS_SINGLE(name, ...) \
    TC_WINOGRAD4_FUNCTION(name, TC_WINOGRAD4_OUTPUTS_TEXT(TC_WINOGRAD4_COLUMN_SINGLE, __VA_ARGS__))

#else

#define TC_WINOGRAD4_OUTPUTS(name, ...) \
    static TC_NOINLINE void name(int32_t *sums, const int32_t *parameters, int8_t *output, \
                                 const tc_winograd4_target *target) \
    { \
        static const tc_requant_block requant = TC_REQUANT_BLOCK(__VA_ARGS__); \
        tc_winograd4_outputs_portable(sums, parameters, output, target, &requant); \
    }
#define TC_WINOGRAD4_OUTPUTS_SINGLE TC_WINOGRAD4_OUTPUTS

#endif

#ifdef __cplusplus
}
#endif

#endif
