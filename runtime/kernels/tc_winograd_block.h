/* SPDX-License-Identifier: 0BSD */
/*
 * The block functions of the Winograd convolution F(2x2, 3x3), for 4 tiles and 2 output channels (docs/kernels.md).
 *
 *     TC_WINOGRAD_PRODUCTS(name, pairs)
 *     TC_WINOGRAD_PRODUCTS_SINGLE(name, pairs) for cores on which only loads of one word stand beside others
 *
 * define the 16 matrix products, one for each position of a transformed tile, over `pairs` pairs of input channels:
 *
 *     u     per position and pair of input channels a pair of transformed weights for both output channels
 *     v     per position and pair of input channels the transformed inputs of 4 tiles
 *     sums  per position 4 tiles of the first, then of the second output channel
 *
 *     TC_WINOGRAD_OUTPUTS(name, form, saturate, bits, shift, low, high)
 *
 * defines the output transform A'MA and its requantisation (tc_requant_block.h):
 *
 *     sums        as above, aligned to 32 bytes
 *     parameters  per channel: start, which reaches all four outputs of a tile through position (1, 1), then the
 *                 parameters of the requantisation
 *     output      first channel of the upper left pixel
 */
#ifndef TC_WINOGRAD_BLOCK_H
#define TC_WINOGRAD_BLOCK_H

#include <stdint.h>

#include "cmsis_shim/tc_simd.h"
#include "kernels/tc_inline.h"
#include "kernels/tc_requant_block.h"
#include "kernels/tc_tile_products.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Where a block's outputs go; the assembly knows the order of the fields. */
typedef struct tc_winograd_target {
    uint32_t step; /* bytes from pixel to pixel */
    uint32_t row;  /* bytes from row to row */
} tc_winograd_target;

typedef void tc_winograd_products(const int32_t *u, const uint32_t *v, int32_t *sums, const uint32_t *v_end);
typedef void tc_winograd_outputs(const int32_t *sums, const int32_t *parameters, int8_t *output,
                                 const tc_winograd_target *target);

/* The same arithmetic in portable C, modulo 2^32 as in the registers. */
TC_INLINE void tc_winograd_products_portable(const int32_t *u, const uint32_t *v, int32_t *sums, const uint32_t *v_end,
                                             uint32_t pairs)
{
    for (; v != v_end; sums += 8) {
        for (uint32_t i = 0; i < 8u; i++) {
            sums[i] = 0;
        }
        for (uint32_t pair = 0; pair < pairs; pair++, v += 4) {
            for (uint32_t channel = 0; channel < 2u; channel++) {
                const uint32_t weights = (uint32_t)*u++;
                for (uint32_t tile = 0; tile < 4u; tile++) {
                    sums[4u * channel + tile] = tc_smlad(weights, v[tile], sums[4u * channel + tile]);
                }
            }
        }
    }
}

TC_INLINE void tc_winograd_outputs_portable(const int32_t *sums, const int32_t *parameters, int8_t *output,
                                            const tc_winograd_target *target, const tc_requant_block *requant)
{
    for (uint32_t channel = 0; channel < 2u; channel++, parameters += 1u + tc_requant_block_words(requant)) {
        for (uint32_t tile = 0; tile < 4u; tile++) {
            uint32_t rows[2][4];
            for (uint32_t j = 0; j < 4u; j++) {
                const int32_t *const m = sums + 4u * channel + tile + 8u * j;
                const uint32_t m1 = (uint32_t)m[32] + (j == 1u ? (uint32_t)parameters[0] : 0u);
                rows[0][j] = (uint32_t)m[0] + m1 + (uint32_t)m[64];
                rows[1][j] = m1 - (uint32_t)m[64] - (uint32_t)m[96];
            }
            for (uint32_t row = 0; row < 2u; row++) {
                const int32_t left = (int32_t)(rows[row][0] + rows[row][1] + rows[row][2]);
                const int32_t right = (int32_t)(rows[row][1] - rows[row][2] - rows[row][3]);
                int8_t *const pixel = output + channel + row * target->row + 2u * tile * target->step;
                pixel[0] = tc_requantize_block(left, parameters + 1, requant);
                pixel[target->step] = tc_requantize_block(right, parameters + 1, requant);
            }
        }
    }
}

#if TC_DSP_BLOCKS

/* Two output channels and four tiles are rows and columns of tc_tile_products.h. Slots: 0 sums, 1 end of v. */
#define TC_WINOGRAD_PRODUCTS_TEXT(pairs) \
    TC_KEEP(r2, 0) \
    TC_KEEP(r3, 1) \
    "mov r12, r0\n\t" \
    "mov lr, r1\n" \
    "1:\n\t" /* a position */ \
    TC_TILE_PAIR(smuad) \
    ".rept " #pairs " - 1\n\t" /* the other pairs of input channels */ \
    TC_TILE_PAIR(smlad) \
    ".endr\n\t" \
    TC_WINOGRAD_NEXT(r0)

#define TC_WINOGRAD_PRODUCTS_SINGLE_TEXT(pairs) \
    TC_KEEP(r2, 0) \
    TC_KEEP(r3, 1) \
    "mov r12, r0\n\t" \
    "mov lr, r1\n\t" \
    "ldr r0, [r12]\n" \
    "1:\n\t" /* a position */ \
    ".set .Ltc_pair, 0\n\t" \
    TC_TILE_PAIR_SINGLE(smuad) \
    ".rept " #pairs " - 1\n\t" /* the other pairs of input channels */ \
    ".set .Ltc_pair, .Ltc_pair + 8\n\t" \
    TC_TILE_PAIR_SINGLE(smlad) \
    ".endr\n\t" \
    "add r12, r12, #8 * " #pairs "\n\t" \
    "add lr, lr, #16 * " #pairs "\n\t" \
    TC_WINOGRAD_NEXT(r3)

/* Stores a position's sums; on to the next one. */
#define TC_WINOGRAD_NEXT(spare) \
    TC_FETCH(spare, 0) \
    "stmia " #spare "!, {r4-r11}\n\t" \
    TC_KEEP(spare, 0) \
    TC_FETCH(spare, 1) \
    "cmp lr, " #spare "\n\t" \
    "bne 1b\n\t"

/* Column j of a tile's sums M to A'M, whose upper row is in `upper` and whose lower row is in `lower`. */
#define TC_WINOGRAD_COLUMN(j, upper, lower, start) \
    "ldr r10, [r12, #32 * (4 + " #j ")]\n\t" /* rows 1, 2, 0, 3 */ \
    "ldr r11, [r12, #32 * (8 + " #j ")]\n\t" \
    "ldr r0, [r12, #32 * " #j "]\n\t" \
    "ldr lr, [r12, #32 * (12 + " #j ")]\n\t" \
    start \
    "add " #upper ", r10, r11\n\t" \
    "sub " #lower ", r10, r11\n\t" \
    "add " #upper ", " #upper ", r0\n\t" \
    "sub " #lower ", " #lower ", lr\n\t"

/* A row of A'M, a to d, to two outputs a and b. */
#define TC_WINOGRAD_ROW(a, b, c, d) \
    "add " #a ", " #a ", " #b "\n\t" \
    "sub " #b ", " #b ", " #c "\n\t" \
    "add " #a ", " #a ", " #c "\n\t" \
    "sub " #b ", " #b ", " #d "\n\t"

/*
 * r12 walks the tiles; r2-r5 and r6-r9 are the two rows of A'M, then of A'MA in r2, r3 and r6, r7.
 * Slots: 0 multiplier, 1 offset, 2 output, 3 bytes from pixel to pixel, 4 bytes from row to row, 5 parameters,
 * 6 first channel's output, 8 step of the signed form.
 */
#define TC_WINOGRAD_OUTPUTS_TEXT(form, saturate, bits, shift, low, high) \
    "mov r12, r0\n\t" \
    TC_KEEP(r1, 5) \
    TC_KEEP(r2, 6) \
    "ldrd r4, r5, [r3]\n\t" \
    TC_KEEP_PAIR(r2, r4, 2, 3) \
    TC_KEEP(r5, 4) \
    "1:\n\t" /* a channel */ \
    TC_FETCH(r0, 5) \
    "ldmia r0!, {r1, r2, r3" TC_IF_SIGNED_##form(", r4") "}\n\t" \
    TC_KEEP(r0, 5) \
    TC_KEEP_PAIR(r2, r3, 0, 1) \
    TC_IF_SIGNED_##form(TC_KEEP(r4, 8)) \
    "2:\n\t" /* a tile */ \
    TC_WINOGRAD_COLUMN(0, r2, r6, ) \
    TC_WINOGRAD_COLUMN(1, r3, r7, "add r10, r10, r1\n\t") \
    TC_WINOGRAD_COLUMN(2, r4, r8, ) \
    TC_WINOGRAD_COLUMN(3, r5, r9, ) \
    TC_WINOGRAD_ROW(r2, r3, r4, r5) \
    TC_WINOGRAD_ROW(r6, r7, r8, r9) \
    TC_FETCH_PAIR(r10, r11, 0, 1) \
    TC_IF_SIGNED_##form(TC_FETCH(r0, 8)) \
    TC_HIGH_##form(r2, r10, r11, r0, r4) \
    TC_HIGH_##form(r3, r10, r11, r0, r4) \
    TC_HIGH_##form(r6, r10, r11, r0, r4) \
    TC_HIGH_##form(r7, r10, r11, r0, r4) \
    TC_SATURATE(r2, saturate, bits, shift) \
    TC_SATURATE(r3, saturate, bits, shift) \
    TC_SATURATE(r6, saturate, bits, shift) \
    TC_SATURATE(r7, saturate, bits, shift) \
    TC_CLAMP_##saturate("r2, r3, r6, r7", bits, low, high, r0, r4, r5) \
    TC_FETCH_PAIR(r10, r11, 2, 3) \
    TC_FETCH(r4, 4) \
    "strb r2, [r10]\n\t" \
    "strb r3, [r10, r11]\n\t" \
    "add r4, r4, r10\n\t" \
    "strb r6, [r4]\n\t" \
    "strb r7, [r4, r11]\n\t" \
    "add r10, r10, r11, lsl #1\n\t" \
    TC_KEEP(r10, 2) \
    "add r12, r12, #4\n\t" \
    "tst r12, #15\n\t" /* 4 tiles */ \
    "bne 2b\n\t" \
    TC_FETCH(r10, 6) \
    "add r10, r10, #1\n\t" \
    TC_KEEP(r10, 2) \
    "tst r12, #16\n\t" /* 2 channels */ \
    "bne 1b\n\t"

#define TC_WINOGRAD_PRODUCTS(name, pairs) \
    TC_BLOCK_FUNCTION(name, const int32_t *, const uint32_t *, int32_t *, const uint32_t *, \
                      TC_WINOGRAD_PRODUCTS_TEXT(pairs))
#define TC_WINOGRAD_PRODUCTS_SINGLE(name, pairs) \
    TC_BLOCK_FUNCTION(name, const int32_t *, const uint32_t *, int32_t *, const uint32_t *, \
                      TC_WINOGRAD_PRODUCTS_SINGLE_TEXT(pairs))
#define TC_WINOGRAD_OUTPUTS(name, ...) \
    TC_BLOCK_FUNCTION(name, const int32_t *, const int32_t *, int8_t *, const tc_winograd_target *, \
                      TC_WINOGRAD_OUTPUTS_TEXT(__VA_ARGS__))

#else

#define TC_WINOGRAD_PRODUCTS(name, pairs) \
    static TC_NOINLINE void name(const int32_t *u, const uint32_t *v, int32_t *sums, const uint32_t *v_end) \
    { \
        tc_winograd_products_portable(u, v, sums, v_end, pairs); \
    }
#define TC_WINOGRAD_PRODUCTS_SINGLE TC_WINOGRAD_PRODUCTS
#define TC_WINOGRAD_OUTPUTS(name, ...) \
    static TC_NOINLINE void name(const int32_t *sums, const int32_t *parameters, int8_t *output, \
                                 const tc_winograd_target *target) \
    { \
        static const tc_requant_block requant = TC_REQUANT_BLOCK(__VA_ARGS__); \
        tc_winograd_outputs_portable(sums, parameters, output, target, &requant); \
    }

#endif

#ifdef __cplusplus
}
#endif

#endif
