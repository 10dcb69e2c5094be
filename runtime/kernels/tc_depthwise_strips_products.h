/* SPDX-License-Identifier: 0BSD */
/*
 * The products of the block functions in tc_depthwise_strips_block.h, whose registers and symbols they use: blocks of
 * (rows)(columns) of outputs with stride 1 or 2, column by column of the bands. A column is used for all outputs whose
 * windows it lies in before the next one takes its register.
 */
#ifndef TC_DEPTHWISE_STRIPS_PRODUCTS_H
#define TC_DEPTHWISE_STRIPS_PRODUCTS_H

#include "cmsis_shim/tc_simd.h"

/*
 * Loads of columns `at` and `at` + 1 of a band into x and y, and of one column. Pairs come in front of the first one's
 * products; singles after the first product of the column before them.
 */
#define TC_STRIPS_NOW_pairs(x, y, at) /* LDR reaches further ahead than LDRD */ \
    ".if (" at ") > 1020\n\t" \
    "ldr " #x ", [r12, #(" at ")]\n\t" \
    "ldr " #y ", [r12, #(" at " + 4)]\n\t" \
    ".else\n\t" \
    "ldrd " #x ", " #y ", [r12, #(" at ")]\n\t" \
    ".endif\n\t"
#define TC_STRIPS_AHEAD_pairs(x, at)
#define TC_STRIPS_LAST_pairs(x, y, at) /* LDR reaches back less far than LDRD */ \
    ".if (" at ") < 0\n\t" \
    "ldrd " #x ", " #y ", [r12, #(" at ")]\n\t" \
    ".else\n\t" \
    "ldr " #x ", [r12, #(" at ")]\n\t" \
    ".endif\n\t"
#define TC_STRIPS_NOW_singles(x, y, at)
#define TC_STRIPS_AHEAD_singles(x, at) \
    "ldr " #x ", [r12, #(" at ")]\n\t"
#define TC_STRIPS_LAST_singles(x, y, at)
#define TC_STRIPS_BEGIN_pairs
#define TC_STRIPS_BEGIN_singles "ldr r7, [r12, #.Ltc_x]\n\t"

/* Products of 2 x 2 outputs, of the last column, of a single row, and of its last column. */
#define TC_STRIPS_PRODUCTS_S1_22(load) \
    TC_FETCH(r10, 2) \
    TC_STRIPS_BEGIN_##load \
    TC_STRIPS_NOW_##load(r7, r11, ".Ltc_x") \
    "smlad r6, r7, r0, r10\n\t" \
    TC_STRIPS_AHEAD_##load(r11, ".Ltc_x + 4") \
    "smlatb r9, r7, r0, r10\n\t" \
    "smlad r6, r11, r1, r6\n\t" \
    TC_STRIPS_AHEAD_##load(r7, ".Ltc_x + 32") \
    "smlatb r9, r11, r1, r9\n\t" \
    "smlad r8, r11, r0, r10\n\t" \
    "smlatb r10, r11, r0, r10\n\t" \
    TC_STRIPS_NOW_##load(r7, r11, ".Ltc_x + 32") \
    "smlad r6, r7, r2, r6\n\t" \
    TC_STRIPS_AHEAD_##load(r11, ".Ltc_x + 36") \
    "smlatb r9, r7, r2, r9\n\t" \
    "smlad r8, r7, r1, r8\n\t" \
    "smlatb r10, r7, r1, r10\n\t" \
    "smlad r8, r11, r2, r8\n\t" \
    TC_STRIPS_AHEAD_##load(r7, ".Ltc_x + .Ltc_pitch") \
    "smlatb r10, r11, r2, r10\n\t" \
    TC_STRIPS_NOW_##load(r7, r11, ".Ltc_x + .Ltc_pitch") \
    "smlabt r6, r7, r3, r6\n\t" \
    TC_STRIPS_AHEAD_##load(r11, ".Ltc_x + .Ltc_pitch + 4") \
    "smlad r9, r7, r3, r9\n\t" \
    "smlabt r6, r11, r4, r6\n\t" \
    TC_STRIPS_AHEAD_##load(r7, ".Ltc_x + .Ltc_pitch + 32") \
    "smlad r9, r11, r4, r9\n\t" \
    "smlabt r8, r11, r3, r8\n\t" \
    "smlad r10, r11, r3, r10\n\t" \
    TC_STRIPS_NOW_##load(r7, r11, ".Ltc_x + .Ltc_pitch + 32") \
    "smlabt r6, r7, r5, r6\n\t" \
    TC_STRIPS_AHEAD_##load(r11, ".Ltc_x + .Ltc_pitch + 36") \
    "smlad r9, r7, r5, r9\n\t" \
    "smlabt r8, r7, r4, r8\n\t" \
    "smlad r10, r7, r4, r10\n\t" \
    "smlabt r8, r11, r5, r8\n\t" \
    "smlad r10, r11, r5, r10\n\t"

#define TC_STRIPS_PRODUCTS_S1_21(load) \
    TC_FETCH(r9, 2) \
    TC_STRIPS_BEGIN_##load \
    TC_STRIPS_NOW_##load(r7, r11, ".Ltc_x") \
    "smlad r6, r7, r0, r9\n\t" \
    TC_STRIPS_AHEAD_##load(r11, ".Ltc_x + 4") \
    "smlatb r9, r7, r0, r9\n\t" \
    "smlad r6, r11, r1, r6\n\t" \
    TC_STRIPS_AHEAD_##load(r7, ".Ltc_x + 32") \
    "smlatb r9, r11, r1, r9\n\t" \
    TC_STRIPS_LAST_##load(r7, r11, ".Ltc_x + 32") \
    "smlad r6, r7, r2, r6\n\t" \
    TC_STRIPS_AHEAD_##load(r11, ".Ltc_x + .Ltc_pitch") \
    "smlatb r9, r7, r2, r9\n\t" \
    TC_STRIPS_NOW_##load(r11, r7, ".Ltc_x + .Ltc_pitch") \
    "smlabt r6, r11, r3, r6\n\t" \
    TC_STRIPS_AHEAD_##load(r7, ".Ltc_x + .Ltc_pitch + 4") \
    "smlad r9, r11, r3, r9\n\t" \
    "smlabt r6, r7, r4, r6\n\t" \
    TC_STRIPS_AHEAD_##load(r11, ".Ltc_x + .Ltc_pitch + 32") \
    "smlad r9, r7, r4, r9\n\t" \
    TC_STRIPS_LAST_##load(r11, r7, ".Ltc_x + .Ltc_pitch + 32") \
    "smlabt r6, r11, r5, r6\n\t" \
    "smlad r9, r11, r5, r9\n\t"

#define TC_STRIPS_PRODUCTS_S1_12(load) \
    TC_FETCH(r8, 2) \
    TC_STRIPS_BEGIN_##load \
    TC_STRIPS_NOW_##load(r7, r11, ".Ltc_x") \
    "smlad r6, r7, r0, r8\n\t" \
    TC_STRIPS_AHEAD_##load(r11, ".Ltc_x + 4") \
    "smlad r6, r11, r1, r6\n\t" \
    TC_STRIPS_AHEAD_##load(r7, ".Ltc_x + 32") \
    "smlad r8, r11, r0, r8\n\t" \
    TC_STRIPS_NOW_##load(r7, r11, ".Ltc_x + 32") \
    "smlad r6, r7, r2, r6\n\t" \
    TC_STRIPS_AHEAD_##load(r11, ".Ltc_x + 36") \
    "smlad r8, r7, r1, r8\n\t" \
    "smlad r8, r11, r2, r8\n\t" \
    TC_STRIPS_AHEAD_##load(r7, ".Ltc_x + .Ltc_pitch") \
    TC_STRIPS_NOW_##load(r7, r11, ".Ltc_x + .Ltc_pitch") \
    "smlabt r6, r7, r3, r6\n\t" \
    TC_STRIPS_AHEAD_##load(r11, ".Ltc_x + .Ltc_pitch + 4") \
    "smlabt r6, r11, r4, r6\n\t" \
    TC_STRIPS_AHEAD_##load(r7, ".Ltc_x + .Ltc_pitch + 32") \
    "smlabt r8, r11, r3, r8\n\t" \
    TC_STRIPS_NOW_##load(r7, r11, ".Ltc_x + .Ltc_pitch + 32") \
    "smlabt r6, r7, r5, r6\n\t" \
    TC_STRIPS_AHEAD_##load(r11, ".Ltc_x + .Ltc_pitch + 36") \
    "smlabt r8, r7, r4, r8\n\t" \
    "smlabt r8, r11, r5, r8\n\t"

#define TC_STRIPS_PRODUCTS_S1_11(load) \
    TC_FETCH(r6, 2) \
    TC_STRIPS_BEGIN_##load \
    TC_STRIPS_NOW_##load(r7, r11, ".Ltc_x") \
    "smlad r6, r7, r0, r6\n\t" \
    TC_STRIPS_AHEAD_##load(r11, ".Ltc_x + 4") \
    "smlad r6, r11, r1, r6\n\t" \
    TC_STRIPS_AHEAD_##load(r7, ".Ltc_x + 32") \
    TC_STRIPS_LAST_##load(r7, r11, ".Ltc_x + 32") \
    "smlad r6, r7, r2, r6\n\t" \
    TC_STRIPS_AHEAD_##load(r11, ".Ltc_x + .Ltc_pitch") \
    TC_STRIPS_NOW_##load(r11, r7, ".Ltc_x + .Ltc_pitch") \
    "smlabt r6, r11, r3, r6\n\t" \
    TC_STRIPS_AHEAD_##load(r7, ".Ltc_x + .Ltc_pitch + 4") \
    "smlabt r6, r7, r4, r6\n\t" \
    TC_STRIPS_AHEAD_##load(r11, ".Ltc_x + .Ltc_pitch + 32") \
    TC_STRIPS_LAST_##load(r11, r7, ".Ltc_x + .Ltc_pitch + 32") \
    "smlabt r6, r11, r5, r6\n\t"

#define TC_STRIPS_PRODUCTS_S2_22(load) \
    TC_STRIPS_BEGIN_##load \
    TC_STRIPS_NOW_##load(r7, r11, ".Ltc_x") \
    "smlad r6, r7, r0, r5\n\t" \
    TC_STRIPS_AHEAD_##load(r11, ".Ltc_x + 4") \
    "smlad r6, r11, r1, r6\n\t" \
    TC_STRIPS_AHEAD_##load(r7, ".Ltc_x + 32") \
    TC_STRIPS_NOW_##load(r7, r11, ".Ltc_x + 32") \
    "smlad r6, r7, r2, r6\n\t" \
    TC_STRIPS_AHEAD_##load(r11, ".Ltc_x + 36") \
    "smlad r8, r7, r0, r5\n\t" \
    "smlad r8, r11, r1, r8\n\t" \
    TC_STRIPS_AHEAD_##load(r7, ".Ltc_x + 64") \
    TC_STRIPS_LAST_##load(r7, r11, ".Ltc_x + 64") \
    "smlad r8, r7, r2, r8\n\t" \
    TC_STRIPS_AHEAD_##load(r11, ".Ltc_x + .Ltc_pitch") \
    TC_STRIPS_NOW_##load(r11, r7, ".Ltc_x + .Ltc_pitch") \
    "smlabb r6, r11, r3, r6\n\t" \
    TC_STRIPS_AHEAD_##load(r7, ".Ltc_x + .Ltc_pitch + 4") \
    "smlad r9, r11, r0, r5\n\t" \
    "smlabt r6, r7, r3, r6\n\t" \
    TC_STRIPS_AHEAD_##load(r11, ".Ltc_x + .Ltc_pitch + 32") \
    "smlad r9, r7, r1, r9\n\t" \
    TC_STRIPS_NOW_##load(r11, r7, ".Ltc_x + .Ltc_pitch + 32") \
    "smlabb r6, r11, r4, r6\n\t" \
    TC_STRIPS_AHEAD_##load(r7, ".Ltc_x + .Ltc_pitch + 36") \
    "smlad r9, r11, r2, r9\n\t" \
    "smlabb r8, r11, r3, r8\n\t" \
    "smlad r10, r11, r0, r5\n\t" \
    "smlabt r8, r7, r3, r8\n\t" \
    TC_STRIPS_AHEAD_##load(r11, ".Ltc_x + .Ltc_pitch + 64") \
    "smlad r10, r7, r1, r10\n\t" \
    TC_STRIPS_LAST_##load(r11, r7, ".Ltc_x + .Ltc_pitch + 64") \
    "smlabb r8, r11, r4, r8\n\t" \
    TC_STRIPS_AHEAD_##load(r7, ".Ltc_x + 2 * .Ltc_pitch") \
    "smlad r10, r11, r2, r10\n\t" \
    TC_STRIPS_NOW_##load(r7, r11, ".Ltc_x + 2 * .Ltc_pitch") \
    "smlabb r9, r7, r3, r9\n\t" \
    TC_STRIPS_AHEAD_##load(r11, ".Ltc_x + 2 * .Ltc_pitch + 4") \
    "smlabt r9, r11, r3, r9\n\t" \
    TC_STRIPS_AHEAD_##load(r7, ".Ltc_x + 2 * .Ltc_pitch + 32") \
    TC_STRIPS_NOW_##load(r7, r11, ".Ltc_x + 2 * .Ltc_pitch + 32") \
    "smlabb r9, r7, r4, r9\n\t" \
    TC_STRIPS_AHEAD_##load(r11, ".Ltc_x + 2 * .Ltc_pitch + 36") \
    "smlabb r10, r7, r3, r10\n\t" \
    "smlabt r10, r11, r3, r10\n\t" \
    TC_STRIPS_AHEAD_##load(r7, ".Ltc_x + 2 * .Ltc_pitch + 64") \
    TC_STRIPS_LAST_##load(r7, r11, ".Ltc_x + 2 * .Ltc_pitch + 64") \
    "smlabb r10, r7, r4, r10\n\t"

#define TC_STRIPS_PRODUCTS_S2_21(load) \
    TC_STRIPS_BEGIN_##load \
    TC_STRIPS_NOW_##load(r7, r11, ".Ltc_x") \
    "smlad r6, r7, r0, r5\n\t" \
    TC_STRIPS_AHEAD_##load(r11, ".Ltc_x + 4") \
    "smlad r6, r11, r1, r6\n\t" \
    TC_STRIPS_AHEAD_##load(r7, ".Ltc_x + 32") \
    TC_STRIPS_LAST_##load(r7, r11, ".Ltc_x + 32") \
    "smlad r6, r7, r2, r6\n\t" \
    TC_STRIPS_AHEAD_##load(r11, ".Ltc_x + .Ltc_pitch") \
    TC_STRIPS_NOW_##load(r11, r7, ".Ltc_x + .Ltc_pitch") \
    "smlabb r6, r11, r3, r6\n\t" \
    TC_STRIPS_AHEAD_##load(r7, ".Ltc_x + .Ltc_pitch + 4") \
    "smlad r9, r11, r0, r5\n\t" \
    "smlabt r6, r7, r3, r6\n\t" \
    TC_STRIPS_AHEAD_##load(r11, ".Ltc_x + .Ltc_pitch + 32") \
    "smlad r9, r7, r1, r9\n\t" \
    TC_STRIPS_LAST_##load(r11, r7, ".Ltc_x + .Ltc_pitch + 32") \
    "smlabb r6, r11, r4, r6\n\t" \
    TC_STRIPS_AHEAD_##load(r7, ".Ltc_x + 2 * .Ltc_pitch") \
    "smlad r9, r11, r2, r9\n\t" \
    TC_STRIPS_NOW_##load(r7, r11, ".Ltc_x + 2 * .Ltc_pitch") \
    "smlabb r9, r7, r3, r9\n\t" \
    TC_STRIPS_AHEAD_##load(r11, ".Ltc_x + 2 * .Ltc_pitch + 4") \
    "smlabt r9, r11, r3, r9\n\t" \
    TC_STRIPS_AHEAD_##load(r7, ".Ltc_x + 2 * .Ltc_pitch + 32") \
    TC_STRIPS_LAST_##load(r7, r11, ".Ltc_x + 2 * .Ltc_pitch + 32") \
    "smlabb r9, r7, r4, r9\n\t"

#define TC_STRIPS_PRODUCTS_S2_12(load) \
    TC_STRIPS_BEGIN_##load \
    TC_STRIPS_NOW_##load(r7, r11, ".Ltc_x") \
    "smlad r6, r7, r0, r5\n\t" \
    TC_STRIPS_AHEAD_##load(r11, ".Ltc_x + 4") \
    "smlad r6, r11, r1, r6\n\t" \
    TC_STRIPS_AHEAD_##load(r7, ".Ltc_x + 32") \
    TC_STRIPS_NOW_##load(r7, r11, ".Ltc_x + 32") \
    "smlad r6, r7, r2, r6\n\t" \
    TC_STRIPS_AHEAD_##load(r11, ".Ltc_x + 36") \
    "smlad r8, r7, r0, r5\n\t" \
    "smlad r8, r11, r1, r8\n\t" \
    TC_STRIPS_AHEAD_##load(r7, ".Ltc_x + 64") \
    TC_STRIPS_LAST_##load(r7, r11, ".Ltc_x + 64") \
    "smlad r8, r7, r2, r8\n\t" \
    TC_STRIPS_AHEAD_##load(r11, ".Ltc_x + .Ltc_pitch") \
    TC_STRIPS_NOW_##load(r11, r7, ".Ltc_x + .Ltc_pitch") \
    "smlabb r6, r11, r3, r6\n\t" \
    TC_STRIPS_AHEAD_##load(r7, ".Ltc_x + .Ltc_pitch + 4") \
    "smlabt r6, r7, r3, r6\n\t" \
    TC_STRIPS_AHEAD_##load(r11, ".Ltc_x + .Ltc_pitch + 32") \
    TC_STRIPS_NOW_##load(r11, r7, ".Ltc_x + .Ltc_pitch + 32") \
    "smlabb r6, r11, r4, r6\n\t" \
    TC_STRIPS_AHEAD_##load(r7, ".Ltc_x + .Ltc_pitch + 36") \
    "smlabb r8, r11, r3, r8\n\t" \
    "smlabt r8, r7, r3, r8\n\t" \
    TC_STRIPS_AHEAD_##load(r11, ".Ltc_x + .Ltc_pitch + 64") \
    TC_STRIPS_LAST_##load(r11, r7, ".Ltc_x + .Ltc_pitch + 64") \
    "smlabb r8, r11, r4, r8\n\t"

#define TC_STRIPS_PRODUCTS_S2_11(load) \
    TC_STRIPS_BEGIN_##load \
    TC_STRIPS_NOW_##load(r7, r11, ".Ltc_x") \
    "smlad r6, r7, r0, r5\n\t" \
    TC_STRIPS_AHEAD_##load(r11, ".Ltc_x + 4") \
    "smlad r6, r11, r1, r6\n\t" \
    TC_STRIPS_AHEAD_##load(r7, ".Ltc_x + 32") \
    TC_STRIPS_LAST_##load(r7, r11, ".Ltc_x + 32") \
    "smlad r6, r7, r2, r6\n\t" \
    TC_STRIPS_AHEAD_##load(r11, ".Ltc_x + .Ltc_pitch") \
    TC_STRIPS_NOW_##load(r11, r7, ".Ltc_x + .Ltc_pitch") \
    "smlabb r6, r11, r3, r6\n\t" \
    TC_STRIPS_AHEAD_##load(r7, ".Ltc_x + .Ltc_pitch + 4") \
    "smlabt r6, r7, r3, r6\n\t" \
    TC_STRIPS_AHEAD_##load(r11, ".Ltc_x + .Ltc_pitch + 32") \
    TC_STRIPS_LAST_##load(r11, r7, ".Ltc_x + .Ltc_pitch + 32") \
    "smlabb r6, r11, r4, r6\n\t"

#endif
