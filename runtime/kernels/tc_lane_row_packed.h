/* SPDX-License-Identifier: 0BSD */
/*
 * Rows times a matrix of weights with 4 or 2 bits by the byte-lane product (docs/kernels.md), 8 output channels in
 * registers, weights unpacked there.
 *
 * input    [rows][inputs], int8
 * output   [rows][outputs], int8
 * weights  per 8 channels: per 4 inputs a word for each 2 channels (4 bits) or each 4 (2 bits), then 8 starts, then the
 *          parameters of each channel (tc_requant_block.h). A byte of a word has these channels' weights for one input, the
 *          first channel's in its lowest bits: plus 8 (plus 2), but the last channel's in two's complement for odd inputs
 *
 *     TC_LANE_ROW_PACKED(name, bits, AS_A_WHOLE or IN_PARTS, form, saturate, bits, shift, low, high)
 *     TC_LANE_ROW_PACKED_SINGLE(name, bits, ...) for cores on which only loads of one word stand beside others
 *     TC_LANE_ROW_PACKED_LONG(name, bits, ...)   with rounds of 8 groups of 4 inputs, not 2
 *     TC_LANE_ROW_PACKED_SINGLE_LONG(name, bits, ...)
 *
 * define the block function `name`. A word as it is, multiplied as if it were 4 weights of 8 bits, gives a sum S1 that is 16
 * times the second channel's and once the first channel's; its lower halves alone give that one, S0. With 2 bits, S3 is 64
 * times the fourth channel's and once what the lower 6 bits alone give, S2, and so on. What the 8s (2s) add is the same for
 * all channels: with P and Q, the sums of all lanes of p and of q (tc_lane.h),
 *
 *     S0                      256 sum + f, f = 8 (P + Q + 256 P)       2 (P + Q + 256 P)
 *     the last difference     16 (256 sum + g), g = 8 (P + Q)          64 (256 sum + g), g = 2 (P + Q)
 *     those between           -                                        4 (256 sum + f), 16 (256 sum + f)
 *
 * These are exact where they fit in 32 bits; S0 may wrap. Rows IN_PARTS are multiplied in parts of 256 inputs, of which all
 * weights make differences that fit; the first part may be smaller. The compiler has checked that a row's do if it is
 * multiplied AS_A_WHOLE.
 */
#ifndef TC_LANE_ROW_PACKED_H
#define TC_LANE_ROW_PACKED_H

#include <stdint.h>
#include <string.h>

#include "cmsis_shim/tc_simd.h"
#include "kernels/tc_align.h"
#include "kernels/tc_inline.h"
#include "kernels/tc_lane.h"
#include "kernels/tc_lane_fully_connected.h"
#include "kernels/tc_requant_block.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What a block function needs besides its pointers; its assembly knows the order of the fields. */
typedef struct tc_lane_row_packed_job {
    const uint32_t *x_end;
    const int32_t *weights_end;
    uint32_t entry;            /* groups of 4 inputs in the first round, 0 if it is a whole one */
    int32_t starts[4];         /* what S0, S1, ... begin with; all the same IN_PARTS */
    const uint32_t *first_end; /* of the first part */
    int32_t *totals;           /* IN_PARTS: words for 6 channels; in front of them what 3 of these begin with */
} tc_lane_row_packed_job;

#define TC_LANE_ROW_PACKED_PART 64 /* groups of 4 inputs in a part that isn't the first: whole rounds of every length */

typedef void tc_lane_row_packed(const uint32_t *x, const int32_t *weights, int8_t *output,
                                const tc_lane_row_packed_job *job);

typedef struct tc_lane_row_packed_shape {
    int32_t rows;
    int32_t inputs;
    int32_t outputs;
    int32_t block_words; /* of `weights` per 8 channels */
    int32_t bits;        /* of a weight: 4 or 2 */
    int32_t round;       /* groups of 4 inputs in a round of the block function: 2, or 8 in a LONG one */
    int32_t first;       /* groups in the first part of a row; 0 if rows aren't divided */
} tc_lane_row_packed_shape;

/* The same arithmetic in portable C. */
TC_INLINE void tc_lane_row_packed_portable(const uint32_t *x, const int32_t *weights, int8_t *output,
                                           const tc_lane_row_packed_job *job, uint32_t width, int in_parts,
                                           const tc_requant_block *requant)
{
    const uint32_t together = 8u / width;
    while (weights != job->weights_end) {
        const uint32_t *end = in_parts ? job->first_end : job->x_end;
        const uint32_t *group = x;
        int32_t sum[8];
        int32_t total[8];
        for (uint32_t channel = 0; channel < 8u; channel++) {
            const uint32_t place = channel % together;
            sum[channel] = job->starts[in_parts ? 0u : place];
            total[channel] = in_parts && place > 0u ? job->totals[(int32_t)place + (width == 4u ? -2 : -4)] : 0;
        }
        for (;;) {
            for (; group != end; group += 2) {
                for (uint32_t first = 0; first < 8u; first += together) {
                    const uint32_t word = (uint32_t)*weights++;
                    for (uint32_t place = 0; place < together; place++) {
                        const uint32_t own = word & (0x01010101u * (0xFFu >> (8u - width * (place + 1u))));
                        int32_t *const to = &sum[first + place];
                        *to = tc_smlad(own, group[0], *to);
                        *to = tc_smlad(own & 0x00FF00FFu, group[1], *to);
                    }
                }
            }
            for (uint32_t channel = 7; channel < 8u; channel--) {
                const uint32_t place = channel % together;
                if (place > 0u) {
                    const int32_t difference = (int32_t)((uint32_t)sum[channel] - (uint32_t)sum[channel - 1u]);
                    total[channel] = tc_wrapping_add(total[channel], difference >> (width * place));
                }
            }
            if (end == job->x_end) {
                break;
            }
            for (uint32_t channel = 0; channel < 8u; channel++) {
                sum[channel] = sum[channel - channel % together];
            }
            end += 2 * TC_LANE_ROW_PACKED_PART;
        }
        for (uint32_t channel = 0; channel < 8u; channel++) {
            const int32_t *const parameters = weights + 8u + channel * tc_requant_block_words(requant);
            const int32_t own = channel % together == 0u ? sum[channel] : total[channel];
            *output++ = tc_requantize_block(tc_wrapping_add(own, weights[channel]), parameters, requant);
        }
        weights += 8u + 8u * tc_requant_block_words(requant);
    }
}

#if TC_DSP_BLOCKS

/*
 * 4 inputs of two channels with 4 bits: p in r2, q in r3; `word` has their weights, `other` is free and in the end has what
 * `next` loads.
 */
#define TC_LANE_ROW_PACKED_PAIR(word, other, a, b, next) \
    "and " #other ", " #word ", #0x0f0f0f0f\n\t" /* the first channel's */ \
    "smlad " #b ", " #word ", r2, " #b "\n\t" \
    "uxtb16 " #word ", " #word "\n\t" /* the even inputs' alone, for q */ \
    "smlad " #a ", " #other ", r2, " #a "\n\t" \
    "uxtb16 " #other ", " #other "\n\t" \
    "smlad " #b ", " #word ", r3, " #b "\n\t" \
    "smlad " #a ", " #other ", r3, " #a "\n\t" \
    next

/* The same of four channels with 2 bits. */
#define TC_LANE_ROW_PACKED_QUAD(word, other, a, b, c, d, next) \
    "and " #other ", " #word ", #0x3f3f3f3f\n\t" \
    "smlad " #d ", " #word ", r2, " #d "\n\t" \
    "uxtb16 " #word ", " #word "\n\t" \
    "smlad " #c ", " #other ", r2, " #c "\n\t" \
    "and " #other ", " #other ", #0x0f0f0f0f\n\t" \
    "smlad " #d ", " #word ", r3, " #d "\n\t" \
    "and " #word ", " #word ", #0x003f003f\n\t" \
    "smlad " #b ", " #other ", r2, " #b "\n\t" \
    "and " #other ", " #other ", #0x03030303\n\t" \
    "smlad " #c ", " #word ", r3, " #c "\n\t" \
    "and " #word ", " #word ", #0x000f000f\n\t" \
    "smlad " #a ", " #other ", r2, " #a "\n\t" \
    next \
    "smlad " #b ", " #word ", r3, " #b "\n\t" \
    "and " #word ", " #word ", #0x00030003\n\t" \
    "smlad " #a ", " #word ", r3, " #a "\n\t"

/* r1 has the first word, loaded by the group before, the last time from behind the weights. */
#define TC_LANE_ROW_PACKED_GROUP_4(load) \
    load \
    TC_LANE_ROW_PACKED_PAIR(r1, r0, r4, r5, "ldr r1, [r12, #4]\n\t") \
    TC_LANE_ROW_PACKED_PAIR(r1, r0, r6, r7, "ldr r1, [r12, #8]\n\t") \
    TC_LANE_ROW_PACKED_PAIR(r1, r0, r8, r9, "ldr r1, [r12, #12]\n\t") \
    TC_LANE_ROW_PACKED_PAIR(r1, r0, r10, r11, "ldr r1, [r12, #16]!\n\t")
#define TC_LANE_ROW_PACKED_GROUP_2(load) \
    load \
    TC_LANE_ROW_PACKED_QUAD(r1, r0, r4, r5, r6, r7, "ldr r0, [r12, #4]\n\t") \
    TC_LANE_ROW_PACKED_QUAD(r0, r1, r8, r9, r10, r11, "ldr r1, [r12, #8]!\n\t")

#define TC_LANE_ROW_LOAD_SINGLE \
    "ldr r3, [lr, #4]\n\t" \
    "ldr r2, [lr], #8\n\t"

/* A part of a row: r3 has the groups of its first round. */
#define TC_LANE_ROW_PACKED_WALK(loop, group) \
    "ldr r1, [r12]\n\t" \
    loop(r3, group) \
    TC_FETCH(r3, 1) \
    "cmp lr, r3\n\t" \
    "bne 2b\n\t"

#if defined(__ARM_FP)
/*
 * With 4 bits, where two words are loaded as cheaply as one: the row comes by way of s16-s31, a round at a time, which leaves
 * lr free. Slot 10 has where the row goes on, slot 11 where its part ends. Rounds are loaded as a whole, so scratch has room
 * for one in front of the row.
 */
#define TC_LANE_ROW_PACKED_LOAD(registers) /* from lr */ \
    "vldmia lr!, {" registers "}\n\t" \
    TC_KEEP(lr, 10)
#define TC_LANE_ROW_PACKED_GROUP_PAIRED(p, q) \
    "vmov r2, r3, " #p ", " #q "\n\t" \
    "ldrd r0, r1, [r12], #8\n\t" \
    TC_LANE_ROW_PACKED_PAIR(r0, lr, r4, r5, "") \
    TC_LANE_ROW_PACKED_PAIR(r1, lr, r6, r7, "") \
    "ldrd r0, r1, [r12], #8\n\t" \
    TC_LANE_ROW_PACKED_PAIR(r0, lr, r8, r9, "") \
    TC_LANE_ROW_PACKED_PAIR(r1, lr, r10, r11, "")
#define TC_LANE_ROW_PACKED_PAIRED_SHORT \
    TC_LANE_ROW_PACKED_LOAD("s16-s19") \
    "cmp r3, #0\n\t" \
    "bne 3f\n\t" \
    "b 6f\n" \
    "2:\n\t" \
    TC_LANE_ROW_PACKED_LOAD("s16-s19") \
    "\n6:\n\t" \
    TC_LANE_ROW_PACKED_GROUP_PAIRED(s16, s17) \
    "\n3:\n\t" \
    TC_LANE_ROW_PACKED_GROUP_PAIRED(s18, s19)
#define TC_LANE_ROW_PACKED_PAIRED_LONG \
    TC_LANE_ROW_PACKED_LOAD("s16-s31") \
    "tbh [pc, r3, lsl #1]\n" \
    "8: .short (20f - 8b) / 2, (21f - 8b) / 2, (22f - 8b) / 2, (23f - 8b) / 2, (24f - 8b) / 2, (25f - 8b) / 2\n\t" \
    ".short (26f - 8b) / 2, (27f - 8b) / 2\n" \
    "2:\n\t" \
    TC_LANE_ROW_PACKED_LOAD("s16-s31") \
    "\n20:\n\t" TC_LANE_ROW_PACKED_GROUP_PAIRED(s16, s17) \
    "\n27:\n\t" TC_LANE_ROW_PACKED_GROUP_PAIRED(s18, s19) \
    "\n26:\n\t" TC_LANE_ROW_PACKED_GROUP_PAIRED(s20, s21) \
    "\n25:\n\t" TC_LANE_ROW_PACKED_GROUP_PAIRED(s22, s23) \
    "\n24:\n\t" TC_LANE_ROW_PACKED_GROUP_PAIRED(s24, s25) \
    "\n23:\n\t" TC_LANE_ROW_PACKED_GROUP_PAIRED(s26, s27) \
    "\n22:\n\t" TC_LANE_ROW_PACKED_GROUP_PAIRED(s28, s29) \
    "\n21:\n\t" TC_LANE_ROW_PACKED_GROUP_PAIRED(s30, s31)
#define TC_LANE_ROW_PACKED_WALK_PAIRED(round, rounds) \
    "rsb r0, r3, #" #round "\n\t" \
    "and r0, r0, #" #round " - 1\n\t" \
    TC_FETCH(r1, 1) \
    "sub lr, lr, r0, lsl #3\n\t" \
    TC_KEEP(r1, 11) \
    rounds \
    TC_FETCH_PAIR(lr, r3, 10, 11) \
    "cmp lr, r3\n\t" \
    "bne 2b\n\t"
#define TC_LANE_ROW_PACKED_SHORT_4 TC_LANE_ROW_PACKED_WALK_PAIRED(2, TC_LANE_ROW_PACKED_PAIRED_SHORT)
#define TC_LANE_ROW_PACKED_LONG_4 TC_LANE_ROW_PACKED_WALK_PAIRED(8, TC_LANE_ROW_PACKED_PAIRED_LONG)
#define TC_LANE_ROW_PACKED_CLOBBERS TC_SLOT_CLOBBERS, "s16", "s17", "s18", "s19", "s20", "s21", "s22", "s23", "s24", "s25", \
    "s26", "s27", "s28", "s29", "s30", "s31"
#else
#define TC_LANE_ROW_PACKED_SHORT_4 \
    TC_LANE_ROW_PACKED_WALK(TC_LANE_ROW_SHORT_ROUNDS, TC_LANE_ROW_PACKED_GROUP_4(TC_LANE_ROW_LOAD))
#define TC_LANE_ROW_PACKED_LONG_4 \
    TC_LANE_ROW_PACKED_WALK(TC_LANE_ROW_LONG_ROUNDS, TC_LANE_ROW_PACKED_GROUP_4(TC_LANE_ROW_LOAD))
#define TC_LANE_ROW_PACKED_CLOBBERS TC_SLOT_CLOBBERS
#endif
#define TC_LANE_ROW_PACKED_SHORT_2 \
    TC_LANE_ROW_PACKED_WALK(TC_LANE_ROW_SHORT_ROUNDS, TC_LANE_ROW_PACKED_GROUP_2(TC_LANE_ROW_LOAD))
#define TC_LANE_ROW_PACKED_LONG_2 \
    TC_LANE_ROW_PACKED_WALK(TC_LANE_ROW_LONG_ROUNDS, TC_LANE_ROW_PACKED_GROUP_2(TC_LANE_ROW_LOAD))

/* What the sums begin with. */
#define TC_LANE_ROW_PACKED_BEGIN_AS_A_WHOLE_4 \
    TC_FETCH_PAIR(r4, r5, 8, 9) \
    "mov r6, r4\n\t" \
    "mov r7, r5\n\t" \
    "mov r8, r4\n\t" \
    "mov r9, r5\n\t" \
    "mov r10, r4\n\t" \
    "mov r11, r5\n\t"
#define TC_LANE_ROW_PACKED_BEGIN_AS_A_WHOLE_2 \
    TC_FETCH_PAIR(r4, r5, 8, 9) \
    TC_FETCH_PAIR(r6, r7, 10, 11) \
    "mov r8, r4\n\t" \
    "mov r9, r5\n\t" \
    "mov r10, r6\n\t" \
    "mov r11, r7\n\t"
#define TC_LANE_ROW_PACKED_BEGIN_IN_PARTS_4 \
    TC_FETCH(r0, 6) \
    TC_FETCH(r4, 3) \
    "ldr r1, [r0, #-4]\n\t" \
    TC_KEEP(r4, 1) \
    "mov r2, r1\n\t" \
    "mov r3, r1\n\t" \
    "mov lr, r1\n\t" \
    "stmia r0, {r1, r2, r3, lr}\n\t" \
    TC_LANE_ROW_PACKED_BEGIN_SAME
#define TC_LANE_ROW_PACKED_BEGIN_IN_PARTS_2 \
    TC_FETCH(r0, 6) \
    TC_FETCH(r4, 3) \
    "ldmdb r0, {r1, r2, r3}\n\t" \
    TC_KEEP(r4, 1) \
    "stmia r0!, {r1, r2, r3}\n\t" \
    "stmia r0, {r1, r2, r3}\n\t" \
    TC_LANE_ROW_PACKED_BEGIN_SAME
#define TC_LANE_ROW_PACKED_BEGIN_SAME \
    TC_FETCH(r4, 8) \
    ".irp a, r5, r6, r7, r8, r9, r10, r11\n\t" \
    "mov \\a, r4\n\t" \
    ".endr\n\t"

/* The starts of four channels are added. */
#define TC_LANE_ROW_PACKED_START_AS_A_WHOLE_4(a, b, c, d) \
    "ldmia r12!, {r0, r1, r2, r3}\n\t" \
    "sub " #b ", " #b ", " #a "\n\t" \
    "sub " #d ", " #d ", " #c "\n\t" \
    "add " #a ", " #a ", r0\n\t" \
    "add " #b ", r1, " #b ", asr #4\n\t" \
    "add " #c ", " #c ", r2\n\t" \
    "add " #d ", r3, " #d ", asr #4\n\t"
#define TC_LANE_ROW_PACKED_START_AS_A_WHOLE_2(a, b, c, d) \
    "ldmia r12!, {r0, r1, r2, r3}\n\t" \
    "sub " #d ", " #d ", " #c "\n\t" \
    "sub " #c ", " #c ", " #b "\n\t" \
    "sub " #b ", " #b ", " #a "\n\t" \
    "add " #a ", " #a ", r0\n\t" \
    "add " #b ", r1, " #b ", asr #2\n\t" \
    "add " #c ", r2, " #c ", asr #4\n\t" \
    "add " #d ", r3, " #d ", asr #6\n\t"
#define TC_LANE_ROW_PACKED_START_IN_PARTS(a, b, c, d) \
    "ldmia r12!, {r0, r1, r2, r3}\n\t" \
    "add " #a ", " #a ", r0\n\t" \
    "add " #b ", " #b ", r1\n\t" \
    "add " #c ", " #c ", r2\n\t" \
    "add " #d ", " #d ", r3\n\t"
#define TC_LANE_ROW_PACKED_START_IN_PARTS_4 TC_LANE_ROW_PACKED_START_IN_PARTS
#define TC_LANE_ROW_PACKED_START_IN_PARTS_2 TC_LANE_ROW_PACKED_START_IN_PARTS

/* Slots of rows IN_PARTS: 3 end of the first part, 6 totals, 9 end of x. */
#define TC_LANE_ROW_PACKED_JOB_AS_A_WHOLE
#define TC_LANE_ROW_PACKED_JOB_IN_PARTS \
    "ldrd r5, r6, [r3, #28]\n\t" /* first_end, totals */ \
    TC_KEEP(r5, 3) \
    TC_KEEP(r6, 6) \
    TC_KEEP(r4, 9)

/* A difference is added to its total, which lies `at` bytes behind r0. */
#define TC_LANE_ROW_PACKED_TOTAL(sum, before, at, right) \
    "ldr r1, [r0, #" #at "]\n\t" \
    "sub " #sum ", " #sum ", " #before "\n\t" \
    "add r1, r1, " #sum ", asr #" #right "\n\t" \
    "str r1, [r0, #" #at "]\n\t"
#define TC_LANE_ROW_PACKED_NEXT_PART(moves) \
    TC_FETCH(r1, 9) \
    "cmp lr, r1\n\t" \
    "beq 5f\n\t" \
    moves \
    "add r0, lr, #512\n\t" \
    TC_KEEP(r0, 1) \
    "mov r3, #0\n\t" \
    "b 4b\n" \
    "5:\n\t"
#define TC_LANE_ROW_PACKED_END_AS_A_WHOLE_4
#define TC_LANE_ROW_PACKED_END_AS_A_WHOLE_2
#define TC_LANE_ROW_PACKED_END_IN_PARTS_4 \
    TC_FETCH(r0, 6) \
    TC_LANE_ROW_PACKED_TOTAL(r5, r4, 0, 4) \
    TC_LANE_ROW_PACKED_TOTAL(r7, r6, 4, 4) \
    TC_LANE_ROW_PACKED_TOTAL(r9, r8, 8, 4) \
    TC_LANE_ROW_PACKED_TOTAL(r11, r10, 12, 4) \
    TC_LANE_ROW_PACKED_NEXT_PART("mov r5, r4\n\t" "mov r7, r6\n\t" "mov r9, r8\n\t" "mov r11, r10\n\t") \
    "ldrd r5, r7, [r0]\n\t" \
    "ldrd r9, r11, [r0, #8]\n\t"
#define TC_LANE_ROW_PACKED_END_IN_PARTS_2 \
    TC_FETCH(r0, 6) \
    TC_LANE_ROW_PACKED_TOTAL(r7, r6, 8, 6) \
    TC_LANE_ROW_PACKED_TOTAL(r6, r5, 4, 4) \
    TC_LANE_ROW_PACKED_TOTAL(r5, r4, 0, 2) \
    TC_LANE_ROW_PACKED_TOTAL(r11, r10, 20, 6) \
    TC_LANE_ROW_PACKED_TOTAL(r10, r9, 16, 4) \
    TC_LANE_ROW_PACKED_TOTAL(r9, r8, 12, 2) \
    TC_LANE_ROW_PACKED_NEXT_PART("mov r5, r4\n\t" "mov r6, r4\n\t" "mov r7, r4\n\t" \
                                 "mov r9, r8\n\t" "mov r10, r8\n\t" "mov r11, r8\n\t") \
    "ldmia r0!, {r5, r6, r7}\n\t" \
    "ldmia r0, {r9, r10, r11}\n\t"

/*
 * r4-r11 accumulate 8 channels; r12 walks the weights, lr the row.
 * Slots: 0 start of x, 1 its or its part's end, 2 output, 4 end of the weights, 5 entry; 8-11 what sums begin with.
 */
#define TC_LANE_ROW_PACKED_TEXT(walk, load, width, parts, form, saturate, bits, shift, low, high) \
    TC_KEEP(r0, 0) \
    TC_KEEP(r2, 2) \
    "ldm r3, {r4, r5, r6, r8, r9, r10, r11}\n\t" \
    TC_KEEP(r4, 1) \
    TC_KEEP(r5, 4) \
    TC_KEEP(r6, 5) \
    TC_KEEP_PAIR(r8, r9, 8, 9) \
    TC_KEEP_PAIR(r10, r11, 10, 11) \
    TC_LANE_ROW_PACKED_JOB_##parts \
    "mov r12, r1\n" \
    "1:\n\t" /* 8 channels */ \
    TC_LANE_ROW_PACKED_BEGIN_##parts##_##width \
    TC_FETCH(lr, 0) \
    TC_FETCH(r3, 5) \
    "\n4:\n\t" /* a part of the row */ \
    walk \
    TC_LANE_ROW_PACKED_END_##parts##_##width \
    TC_LANE_ROW_PACKED_START_##parts##_##width(r4, r5, r6, r7) \
    TC_LANE_ROW_PACKED_START_##parts##_##width(r8, r9, r10, r11) \
    TC_LANE_ROW_FINISH_##form(load, r4, r5, saturate, bits, shift) \
    TC_LANE_ROW_FINISH_##form(load, r6, r7, saturate, bits, shift) \
    TC_LANE_ROW_FINISH_##form(load, r8, r9, saturate, bits, shift) \
    TC_LANE_ROW_FINISH_##form(load, r10, r11, saturate, bits, shift) \
    TC_CLAMP_##saturate("r4, r5, r6, r7, r8, r9, r10, r11", bits, low, high, r0, r1, r2) \
    TC_FETCH(r0, 2) \
    ".irp a, r4, r5, r6, r7, r8, r9, r10, r11\n\t" \
    "strb \\a, [r0], #1\n\t" \
    ".endr\n\t" \
    TC_KEEP(r0, 2) \
    TC_FETCH(r1, 4) \
    "cmp r12, r1\n\t" \
    "bne 1b\n\t"

#define TC_LANE_ROW_PACKED_BLOCK(name, text) \
    TC_BLOCK_FUNCTION_WITH(name, const uint32_t *, const int32_t *, int8_t *, const tc_lane_row_packed_job *, text, \
                           TC_LANE_ROW_PACKED_CLOBBERS)
#define TC_LANE_ROW_PACKED(name, width, ...) \
    TC_LANE_ROW_PACKED_BLOCK(name, TC_LANE_ROW_PACKED_TEXT(TC_LANE_ROW_PACKED_SHORT_##width, TC_LANE_ROW_PARAMETERS, \
                                                           width, __VA_ARGS__))
#define TC_LANE_ROW_PACKED_LONG(name, width, ...) \
    TC_LANE_ROW_PACKED_BLOCK(name, TC_LANE_ROW_PACKED_TEXT(TC_LANE_ROW_PACKED_LONG_##width, TC_LANE_ROW_PARAMETERS, \
                                                           width, __VA_ARGS__))
#define TC_LANE_ROW_PACKED_BY_ONE(name, loop, width, ...) \
    TC_LANE_ROW_PACKED_BLOCK(name, TC_LANE_ROW_PACKED_TEXT( \
        TC_LANE_ROW_PACKED_WALK(loop, TC_LANE_ROW_PACKED_GROUP_##width(TC_LANE_ROW_LOAD_SINGLE)), \
        TC_LANE_ROW_PARAMETERS_DUAL, width, __VA_ARGS__))
#define TC_LANE_ROW_PACKED_SINGLE(name, ...) TC_LANE_ROW_PACKED_BY_ONE(name, TC_LANE_ROW_SHORT_ROUNDS, __VA_ARGS__)
#define TC_LANE_ROW_PACKED_SINGLE_LONG(name, ...) TC_LANE_ROW_PACKED_BY_ONE(name, TC_LANE_ROW_LONG_ROUNDS, __VA_ARGS__)

#else

#define TC_LANE_ROW_PACKED_IS_IN_PARTS_AS_A_WHOLE 0
#define TC_LANE_ROW_PACKED_IS_IN_PARTS_IN_PARTS 1
#define TC_LANE_ROW_PACKED(name, width, parts, ...) \
    static TC_NOINLINE void name(const uint32_t *x, const int32_t *weights, int8_t *output, \
                                 const tc_lane_row_packed_job *job) \
    { \
        static const tc_requant_block requant = TC_REQUANT_BLOCK(__VA_ARGS__); \
        tc_lane_row_packed_portable(x, weights, output, job, width, TC_LANE_ROW_PACKED_IS_IN_PARTS_##parts, &requant); \
    }
#define TC_LANE_ROW_PACKED_SINGLE TC_LANE_ROW_PACKED
#define TC_LANE_ROW_PACKED_LONG TC_LANE_ROW_PACKED
#define TC_LANE_ROW_PACKED_SINGLE_LONG TC_LANE_ROW_PACKED

#endif

/* Expands `count` inputs as `tc_lane_expand_row`, and says what sums begin with. */
TC_INLINE void tc_lane_row_packed_expand(const int8_t *input, uint32_t count, uint32_t *row, tc_lane_row_packed_job *job,
                                         const tc_lane_row_packed_shape *shape)
{
    int32_t p = 0;
    int32_t q = 0;
    for (uint32_t i = 0; i < count; i += 4u, row += 2) {
        uint32_t bytes = 0;
        if (i + 4u <= count) {
            bytes = tc_load4(input + i);
        } else {
            tc_memcpy(&bytes, input + i, count - i);
        }
        tc_lane_expand4(bytes, row, row + 1);
        p = tc_smlad(row[0], 0x00010001u, p);
        q = tc_smlad(row[1], 0x00010001u, q);
    }
    const int32_t more = shape->bits == 4 ? 8 : 2;
    const int32_t last = -more * (p + q);
    const uint32_t first = (uint32_t)last - 256u * (uint32_t)more * (uint32_t)p;
    const uint32_t before = shape->bits == 4 ? first : 21u * first; /* of the differences but the last one */
    job->starts[0] = (int32_t)first;
    job->starts[1] = (int32_t)(shape->bits == 4 ? first + 16u * (uint32_t)last : 5u * first);
    job->starts[2] = (int32_t)before;
    job->starts[3] = (int32_t)(before + 64u * (uint32_t)last);
    if (shape->first > 0) {
        job->totals[-3] = (int32_t)first;
        job->totals[-2] = (int32_t)first;
        job->totals[-1] = last;
    }
}

/* `scratch` holds an expanded row. The last channels may fill only a part of their group of 8. */
TC_INLINE void tc_lane_row_packed_s8(const int8_t *input, int8_t *output, const int32_t *weights, void *scratch,
                                     tc_lane_row_packed *compute, const tc_lane_row_packed_shape *shape)
{
    const int32_t groups = (shape->inputs + 3) / 4;
    const int32_t entry = groups % shape->round;
    uint32_t *const row = (uint32_t *)scratch + 2 * ((shape->round - entry) % shape->round);
    const int32_t whole = shape->outputs / 8;
    const int32_t rest = shape->outputs % 8;
    const int32_t *const last_weights = weights + whole * shape->block_words;
    int32_t totals[3 + 6];
    tc_lane_row_packed_job job = {row + 2 * groups, last_weights, (uint32_t)entry, {0, 0, 0, 0},
                                  row + 2 * shape->first, totals + 3};
    for (int32_t i = 0; i < shape->rows; i++, input += shape->inputs, output += shape->outputs) {
        tc_lane_row_packed_expand(input, (uint32_t)shape->inputs, row, &job, shape);
        if (whole > 0) {
            job.weights_end = last_weights;
            compute(row, weights, output, &job);
        }
        if (rest > 0) {
            int8_t results[8];
            job.weights_end = last_weights + shape->block_words;
            compute(row, last_weights, results, &job);
            tc_memcpy(output + 8 * whole, results, (uint32_t)rest);
        }
    }
}

#ifdef __cplusplus
}
#endif

#endif
