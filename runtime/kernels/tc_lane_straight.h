/* SPDX-License-Identifier: 0BSD */
/*
 * The byte-lane product in blocks of 4 or 3 pixels (tc_lane_block.h) for a number of inputs and output channels that the block
 * function is made for, so that nothing is left of loops over inputs but long ones, and of what stores compute:
 *
 *     TC_LANE_STRAIGHT_4(name, groups, unrolled, stride, form, saturate, bits, shift, low, high)
 *     TC_LANE_ROUNDS_4(name, groups, ...)        where there are too many inputs for offsets
 *     TC_LANE_STRAIGHT_4_SINGLE(name, groups, ...) for cores on which only loads of one word stand beside others
 *     TC_LANE_ROUNDS_3(name, groups, ...)
 *     TC_LANE_ROUNDS_3_DUAL(name, groups, ...)
 *     TC_LANE_ROUNDS_3_SINGLE(name, groups, ...)
 *
 * define the block function `name` of the type and with the arguments of those in tc_lane_block.h:
 *
 *     groups    of 4 inputs
 *     unrolled  of them, beyond the first, per round of a loop; all others come before the first round
 *     stride    bytes from an output pixel to the next
 */
#ifndef TC_LANE_STRAIGHT_H
#define TC_LANE_STRAIGHT_H

#include <stdint.h>

#include "cmsis_shim/tc_simd.h"
#include "kernels/tc_lane_block.h"
#include "kernels/tc_requant_block.h"

#if TC_DSP_BLOCKS

/* TC_LANE_GROUP_4 with the pixels at an offset, so that lr stays. */
#define TC_LANE_GROUP_4_AT(a0, a1, a2, b0, b1, b2) \
    "ldrd r0, r1, [r12], #8\n\t" \
    "ldrd r2, r3, [lr, #.Ltc_at]\n\t" \
    "smlad r4, r0, r2, " #a0 "\n\t" \
    "smlad r8, r1, r2, " #b0 "\n\t" \
    "smlad r5, r0, r3, " #a1 "\n\t" \
    "smlad r9, r1, r3, " #b1 "\n\t" \
    "ldrd r2, r3, [lr, #.Ltc_at + 8]\n\t" \
    "smlad r6, r0, r2, " #a2 "\n\t" \
    "smlad r10, r1, r2, " #b2 "\n\t" \
    "smlad r7, r0, r3, r7\n\t" \
    "sxtb16 r0, r0\n\t" \
    "smlad r11, r1, r3, r11\n\t" \
    "ldrd r2, r3, [lr, #.Ltc_at + 16]\n\t" \
    "sxtb16 r1, r1\n\t" \
    "smlad r4, r0, r2, r4\n\t" \
    "smlad r5, r0, r3, r5\n\t" \
    "smlad r8, r1, r2, r8\n\t" \
    "smlad r9, r1, r3, r9\n\t" \
    "ldrd r2, r3, [lr, #.Ltc_at + 24]\n\t" \
    "smlad r6, r0, r2, r6\n\t" \
    "smlad r10, r1, r2, r10\n\t" \
    "smlad r7, r0, r3, r7\n\t" \
    "smlad r11, r1, r3, r11\n\t" \
    ".set .Ltc_at, .Ltc_at + 32\n\t"

/* All groups of a pair of channels: the first one, those beyond whole rounds, the rounds. */
#define TC_LANE_STRAIGHT_GROUPS(first, group, at_end, groups, unrolled) \
    ".set .Ltc_at, 0\n\t" \
    ".set .Ltc_rounds, (" #groups " - 1) / " #unrolled "\n\t" \
    first \
    ".rept (" #groups " - 1) %% " #unrolled "\n\t" \
    group \
    ".endr\n\t" \
    ".if .Ltc_rounds\n\t" \
    "3:\n\t" \
    ".rept " #unrolled "\n\t" \
    group \
    ".endr\n\t" \
    ".if .Ltc_rounds > 1\n\t" \
    at_end \
    "bne 3b\n\t" \
    ".endif\n\t" \
    ".endif\n\t"

/*
 * Pairs of channels per round of the loop over them, 1 or 2: where there are few inputs the loop is a part of the work.
 * .Ltc_pair: from r0, which is on the last pair of a round, to the pair at hand.
 */
#define TC_LANE_PAIRS_OF_ROUND(groups, stride) \
    ".set .Ltc_pairs, 1\n\t" \
    ".if " #groups " <= 8 && " #stride " %% 4 == 0\n\t" \
    ".set .Ltc_pairs, 2\n\t" \
    ".endif\n\t"
#define TC_LANE_ON_LAST_PAIR \
    ".if .Ltc_pairs > 1\n\t" \
    "add r2, r2, #2\n\t" \
    ".endif\n\t"

/*
 * A pixel's two results are clamped and stored together, unless a store of both may be at an odd address and must not.
 */
#if TC_STRICT_ALIGNMENT
#define TC_LANE_JOIN(first, second)
#define TC_LANE_JOINED(firsts, seconds) firsts ", " seconds
#define TC_LANE_STORE_PAIR(first, second, stride, pixel) \
    "strb " #first ", [r0, #.Ltc_pair + " #pixel " * " #stride "]\n\t" \
    "strb " #second ", [r0, #.Ltc_pair + " #pixel " * " #stride " + 1]\n\t"
#define TC_LANE_STORE_PAIR_AND_ON(first, second) \
    "strb " #second ", [r0, #.Ltc_pair + 1]\n\t" \
    TC_LANE_STORE_AND_ON("strb", first)
#else
#define TC_LANE_JOIN(first, second) \
    "bfi " #first ", " #second ", #8, #8\n\t"
#define TC_LANE_JOINED(firsts, seconds) firsts
#define TC_LANE_STORE_PAIR(first, second, stride, pixel) \
    "strh " #first ", [r0, #.Ltc_pair + " #pixel " * " #stride "]\n\t"
#define TC_LANE_STORE_PAIR_AND_ON(first, second) \
    TC_LANE_STORE_AND_ON("strh", first)
#endif
#define TC_LANE_STORE_AND_ON(store, first) \
    ".if .Ltc_pair\n\t" \
    store " " #first ", [r0, #.Ltc_pair]\n\t" \
    ".else\n\t" \
    store " " #first ", [r0], #2 * .Ltc_pairs\n\t" \
    ".endif\n\t"

/*
 * TC_LANE_OPEN and TC_LANE_NEXT_PAIR, which come out of fewer instructions where output and end of the weights are slots
 * beside each other: 2 output, 3 end of the weights. r1 is this end.
 */
#define TC_LANE_STRAIGHT_OPEN(stride) \
    "ldm r3, {r4, r5, r6, r8, r11}\n\t" \
    TC_KEEP(r0, 0) \
    TC_KEEP_PAIR(r2, r6, 2, 3) \
    ".if " #stride " %% 2\n\t" \
    TC_KEEP(r8, 6) \
    ".endif\n\t" \
    "mov r12, r1\n\t"
#define TC_LANE_STRAIGHT_NEXT(stride) \
    TC_KEEP(r0, 2) \
    "cmp r12, r1\n\t" \
    "bne 1b\n\t" \
    ".if " #stride " %% 2\n\t" \
    TC_FETCH(r1, 6) \
    "cmp r12, r1\n\t" \
    "beq 2f\n\t" \
    "sub r0, r0, #1\n\t" /* the last pair repeats one channel */ \
    TC_KEEP_PAIR(r0, r1, 2, 3) \
    "b 1b\n" \
    "2:\n\t" \
    ".endif\n\t"

/* All pairs of channels of 4 pixels, from r12 on; `once` and `each` set lr, for all of them or for every one. */
#define TC_LANE_STRAIGHT_PAIRS(once, each, group, before, spare, groups, unrolled, stride, form, saturate, bits, shift, low, high) \
    once \
    "1:\n\t" \
    ".set .Ltc_pair, 2 - 2 * .Ltc_pairs\n\t" \
    ".rept .Ltc_pairs\n\t" \
    each \
    TC_LANE_STARTS_##form(r7, r11) \
    before \
    TC_LANE_STRAIGHT_GROUPS(group(r7, r7, r7, r11, r11, r11), group(r4, r5, r6, r8, r9, r10), \
                            TC_FETCH(spare, 5) "cmp lr, " #spare "\n\t", groups, unrolled) \
    TC_LANE_FINISH_PAIR_4_##form(saturate, bits, shift) \
    TC_LANE_JOIN(r4, r8) \
    TC_LANE_JOIN(r5, r9) \
    TC_LANE_JOIN(r6, r10) \
    TC_LANE_JOIN(r7, r11) \
    TC_CLAMP_##saturate(TC_LANE_JOINED("r4, r5, r6, r7", "r8, r9, r10, r11"), bits, low, high, r0, r1, r2) \
    TC_FETCH_PAIR(r0, r1, 2, 3) \
    TC_LANE_STORE_PAIR(r5, r9, stride, 1) \
    TC_LANE_STORE_PAIR(r6, r10, stride, 2) \
    TC_LANE_STORE_PAIR(r7, r11, stride, 3) \
    TC_LANE_STORE_PAIR_AND_ON(r4, r8) \
    ".set .Ltc_pair, .Ltc_pair + 2\n\t" \
    ".endr\n\t" \
    TC_LANE_STRAIGHT_NEXT(stride)

#define TC_LANE_STRAIGHT_4_TEXT(once, each, group, before, spare, groups, unrolled, stride, form, ...) \
    TC_LANE_PAIRS_OF_ROUND(groups, stride) \
    TC_LANE_ON_LAST_PAIR \
    TC_LANE_STRAIGHT_OPEN(stride) \
    TC_KEEP(r11, 5) \
    TC_LANE_STARTS_OPEN_##form \
    TC_LANE_STRAIGHT_PAIRS(once, each, group, before, spare, groups, unrolled, stride, form, __VA_ARGS__)

#define TC_LANE_STRAIGHT_3_TEXT(group, before, groups, unrolled, stride, form, saturate, bits, shift, low, high) \
    TC_LANE_STRAIGHT_OPEN(stride) /* r11 stays the end of x */ \
    TC_LANE_STARTS_OPEN_##form \
    ".set .Ltc_pairs, 1\n\t" \
    ".set .Ltc_pair, 0\n\t" \
    "1:\n\t" /* a pair of channels */ \
    TC_FETCH(lr, 0) \
    TC_LANE_STARTS_##form(r6, r10) \
    before \
    TC_LANE_STRAIGHT_GROUPS(group(r6, r6, r10, r10), group(r4, r5, r8, r9), "cmp lr, r11\n\t", groups, unrolled) \
    TC_LANE_FINISH_PAIR_3_##form(saturate, bits, shift) \
    TC_LANE_JOIN(r4, r8) \
    TC_LANE_JOIN(r5, r9) \
    TC_LANE_JOIN(r6, r10) \
    TC_CLAMP_##saturate(TC_LANE_JOINED("r4, r5, r6", "r8, r9, r10"), bits, low, high, r0, r1, r2) \
    TC_FETCH_PAIR(r0, r1, 2, 3) \
    TC_LANE_STORE_PAIR(r5, r9, stride, 1) \
    TC_LANE_STORE_PAIR(r6, r10, stride, 2) \
    TC_LANE_STORE_PAIR_AND_ON(r4, r8) \
    TC_LANE_STRAIGHT_NEXT(stride)

#define TC_LANE_STRAIGHT_4(name, ...) \
    TC_LANE_BLOCK(name, TC_LANE_STRAIGHT_4_TEXT(TC_FETCH(lr, 0), "", TC_LANE_GROUP_4_AT, "", r0, __VA_ARGS__))
#define TC_LANE_ROUNDS_4(name, ...) \
    TC_LANE_BLOCK(name, TC_LANE_STRAIGHT_4_TEXT("", TC_FETCH(lr, 0), TC_LANE_GROUP_4, "", r0, __VA_ARGS__))
#define TC_LANE_STRAIGHT_4_SINGLE(name, ...) \
    TC_LANE_BLOCK(name, TC_LANE_STRAIGHT_4_TEXT("", TC_FETCH(lr, 0), TC_LANE_GROUP_4_SINGLE, TC_LANE_FIRST_WEIGHTS, r3, \
                                                __VA_ARGS__))
#define TC_LANE_ROUNDS_3(name, ...) TC_LANE_BLOCK(name, TC_LANE_STRAIGHT_3_TEXT(TC_LANE_GROUP_3, "", __VA_ARGS__))
#define TC_LANE_ROUNDS_3_DUAL(name, ...) \
    TC_LANE_BLOCK(name, TC_LANE_STRAIGHT_3_TEXT(TC_LANE_GROUP_3_DUAL, "", __VA_ARGS__))
#define TC_LANE_ROUNDS_3_SINGLE(name, ...) \
    TC_LANE_BLOCK(name, TC_LANE_STRAIGHT_3_TEXT(TC_LANE_GROUP_3_SINGLE, TC_LANE_FIRST_WEIGHTS, __VA_ARGS__))

#else

#define TC_LANE_STRAIGHT_4(name, groups, unrolled, stride, ...) TC_LANE_BLOCK(name, 4, __VA_ARGS__)
#define TC_LANE_ROUNDS_4 TC_LANE_STRAIGHT_4
#define TC_LANE_STRAIGHT_4_SINGLE TC_LANE_STRAIGHT_4
#define TC_LANE_ROUNDS_3(name, groups, unrolled, stride, ...) TC_LANE_BLOCK(name, 3, __VA_ARGS__)
#define TC_LANE_ROUNDS_3_DUAL TC_LANE_ROUNDS_3
#define TC_LANE_ROUNDS_3_SINGLE TC_LANE_ROUNDS_3

#endif

#endif
