/* SPDX-License-Identifier: 0BSD */
/*
 * 2 x 4 sums of products of int16 lanes in r4-r11, in assembly: what block functions have in common that multiply a
 * pair of lanes of two rows with one of four columns.
 *
 *     rows     r12: per pair of lanes a word of either row
 *     columns  lr: per pair of lanes a word of each of four columns
 *     sums     r4-r7 of the first row, r8-r11 of the second
 *
 * r0-r3 are working registers. The first pair begins the sums (smuad), or adds to what r11 holds (from_r11); others add
 * to the sums (smlad).
 */
#ifndef TC_TILE_PRODUCTS_H
#define TC_TILE_PRODUCTS_H

#include "cmsis_shim/tc_simd.h"

#if TC_DSP_BLOCKS

#define TC_TILE_SUM_smuad(a, row, column) \
    "smuad " #a ", " #row ", " #column "\n\t"
#define TC_TILE_SUM_smlad(a, row, column) \
    "smlad " #a ", " #row ", " #column ", " #a "\n\t"
#define TC_TILE_SUM_from_r11(a, row, column) /* whose own sum comes last */ \
    "smlad " #a ", " #row ", " #column ", r11\n\t"

/* Both rows' products with 2 columns. */
#define TC_TILE_COLUMNS(sum, a0, b0, a1, b1) \
    "ldrd r2, r3, [lr], #8\n\t" \
    TC_TILE_SUM_##sum(a0, r0, r2) \
    TC_TILE_SUM_##sum(b0, r1, r2) \
    TC_TILE_SUM_##sum(a1, r0, r3) \
    TC_TILE_SUM_##sum(b1, r1, r3)

#define TC_TILE_PAIR(sum) \
    "ldrd r0, r1, [r12], #8\n\t" \
    TC_TILE_COLUMNS(sum, r4, r8, r5, r9) \
    TC_TILE_COLUMNS(sum, r6, r10, r7, r11)

/*
 * The same for cores on which a load of one word issues beside a product, and one of two beside nothing: 8 cycles on the
 * Cortex-M7, one for each product (above 11), in the order that `benchmarks/schedule.py --llvm` found. r0, the first
 * row's word, is loaded by the pair before, the last time from behind the rows. The pointers stay where they are;
 * .Ltc_pair is the distance from the first row's word.
 */
#define TC_TILE_PAIR_SINGLE(sum) \
    "ldr r2, [lr, #2 * .Ltc_pair]\n\t" /* column 0 */ \
    "ldr r1, [r12, #.Ltc_pair + 4]\n\t" /* the second row */ \
    TC_TILE_SUM_##sum(r4, r0, r2) \
    "ldr r3, [lr, #2 * .Ltc_pair + 4]\n\t" \
    TC_TILE_SUM_##sum(r8, r1, r2) \
    TC_TILE_SUM_##sum(r5, r0, r3) \
    "ldr r2, [lr, #2 * .Ltc_pair + 8]\n\t" \
    TC_TILE_SUM_##sum(r9, r1, r3) \
    "ldr r3, [lr, #2 * .Ltc_pair + 12]\n\t" \
    TC_TILE_SUM_##sum(r6, r0, r2) \
    TC_TILE_SUM_##sum(r10, r1, r2) \
    TC_TILE_SUM_##sum(r7, r0, r3) \
    "ldr r0, [r12, #.Ltc_pair + 8]\n\t" /* the next pair of the first row */ \
    TC_TILE_SUM_##sum(r11, r1, r3)

#endif

#endif
