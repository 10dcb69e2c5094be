/* SPDX-License-Identifier: 0BSD */
/*
 * The block functions of depthwise convolutions with a window of up to 3x3 (docs/kernels.md):
 *
 *     TC_DEPTHWISE_ROWS_BLOCK_S1(name, form, saturate, bits, shift, low, high)
 *     TC_DEPTHWISE_ROWS_BLOCK_S2(name, form, ...)
 *
 * define `name` for one channel of two output rows with stride 1, or of one with stride 2; the other arguments are the
 * requantisation (tc_requant_block.h).
 *
 *     upper    plane of vertical pairs, (row r, row r + 1) of every input column; the plane of rows r + 2 and r + 3 lies
 *              job->band bytes further
 *     weights  per column of taps the pair of its first two; per column the pair of its last two; start; parameters of
 *              the requantisation
 *     output   first column of the upper row; the lower one is job->row bytes further, or the same, and loses
 */
#ifndef TC_DEPTHWISE_ROWS_BLOCK_H
#define TC_DEPTHWISE_ROWS_BLOCK_H

#include <stdint.h>

#include "cmsis_shim/tc_simd.h"
#include "kernels/tc_depthwise_planes.h"
#include "kernels/tc_inline.h"
#include "kernels/tc_requant_block.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The same arithmetic in portable C. */
TC_INLINE void tc_depthwise_rows_block_portable(const uint32_t *upper, const int32_t *weights, int8_t *output,
                                                const tc_depthwise_job *job, uint32_t stride,
                                                const tc_requant_block *requant)
{
    const uint32_t *lower = upper + job->band / 4;
    const uint32_t columns = job->step == 0u ? 1u : job->last_end / (4u * stride);
    for (uint32_t x = 0; x < columns; x++, upper += stride, lower += stride, output += job->step) {
        int32_t sum = weights[6];
        int32_t lower_sum = weights[6];
        for (uint32_t tap = 0; tap < 3u; tap++) {
            const uint32_t first_two = (uint32_t)weights[tap];
            const uint32_t last_two = (uint32_t)weights[3u + tap];
            sum = tc_smlad(upper[tap], first_two, sum);
            sum = tc_smlabt(lower[tap], last_two, sum);
            if (stride == 1u) {
                lower_sum = tc_smlatb(upper[tap], first_two, lower_sum);
                lower_sum = tc_smlad(lower[tap], last_two, lower_sum);
            }
        }
        if (stride == 1u) {
            output[job->row] = tc_requantize_block(lower_sum, weights + 7, requant);
        }
        output[0] = tc_requantize_block(sum, weights + 7, requant);
    }
}

#if TC_DSP_BLOCKS

/*
 * r0-r2 hold the pairs of the first two taps of each column, r3-r5 of the last two; r12 walks the upper plane, lr the lower
 * one. With stride 1 r6, r8 accumulate the columns of the upper row, r9, r10 those of the lower row; with stride 2 r6, r8 of
 * the only one.
 * Slots: 0 multiplier, 1 offset, 2 output of the (lower) row, 3 bytes from pixel to pixel, 4 output of the upper row,
 * 5 end of the blocks that lie side by side, 6 start, 8 end with the last block, 9 weights.
 */
#define TC_ROWS_OPEN(outputs) \
    "ldm r3, {r4, r5, r6, r8, r9}\n\t" /* the fields of the job */ \
    "mov r12, r0\n\t" \
    "add lr, r0, r4\n\t" \
    "add r8, r8, r0\n\t" \
    "add r9, r9, r0\n\t" \
    TC_KEEP(r6, 3) \
    TC_KEEP(r8, 5) \
    TC_KEEP(r9, 8) \
    outputs \
    TC_KEEP(r1, 9) \
    "add r10, r1, #24\n\t" \
    "ldm r1, {r0-r5}\n\t" \
    "ldm r10, {r6, r8, r9}\n\t" \
    TC_KEEP(r6, 6) \
    TC_KEEP_PAIR(r8, r9, 0, 1)

#define TC_ROWS_OUTPUTS_S1 \
    "add r5, r5, r2\n\t" \
    TC_KEEP(r5, 2) \
    TC_KEEP(r2, 4)
#define TC_ROWS_OUTPUTS_S2 \
    TC_KEEP(r2, 2)

/* Of the columns of the upper plane, then of the lower one; every column counts for one or two output columns. */
#define TC_ROWS_PRODUCTS_S1 \
    "ldrd r7, r11, [r12], #8\n\t"   /* columns 0, 1 */ \
    "smlad r6, r7, r0, r10\n\t"     /* all sums start from the same constant, loaded into the last one */ \
    "smlatb r9, r7, r0, r10\n\t" \
    "smlad r6, r11, r1, r6\n\t" \
    "smlatb r9, r11, r1, r9\n\t" \
    "smlad r8, r11, r0, r10\n\t" \
    "smlatb r10, r11, r0, r10\n\t" \
    "ldrd r7, r11, [r12]\n\t"       /* columns 2, 3, which are 0, 1 of the next block */ \
    "smlad r6, r7, r2, r6\n\t" \
    "smlatb r9, r7, r2, r9\n\t" \
    "smlad r8, r7, r1, r8\n\t" \
    "smlatb r10, r7, r1, r10\n\t" \
    "smlad r8, r11, r2, r8\n\t" \
    "smlatb r10, r11, r2, r10\n\t" \
    "ldrd r7, r11, [lr], #8\n\t" \
    "smlabt r6, r7, r3, r6\n\t" \
    "smlad r9, r7, r3, r9\n\t" \
    "smlabt r6, r11, r4, r6\n\t" \
    "smlad r9, r11, r4, r9\n\t" \
    "smlabt r8, r11, r3, r8\n\t" \
    "smlad r10, r11, r3, r10\n\t" \
    "ldrd r7, r11, [lr]\n\t" \
    "smlabt r6, r7, r5, r6\n\t" \
    "smlad r9, r7, r5, r9\n\t" \
    "smlabt r8, r7, r4, r8\n\t" \
    "smlad r10, r7, r4, r10\n\t" \
    "smlabt r8, r11, r5, r8\n\t" \
    "smlad r10, r11, r5, r10\n\t"

#define TC_ROWS_PRODUCTS_S2 \
    "ldrd r7, r11, [r12], #8\n\t" /* columns 0, 1 */ \
    "smlad r6, r7, r0, r8\n\t"    /* both sums start from the same constant, loaded into the last one */ \
    "smlad r6, r11, r1, r6\n\t" \
    "ldrd r7, r11, [r12], #8\n\t" /* columns 2, 3 */ \
    "smlad r6, r7, r2, r6\n\t" \
    "smlad r8, r7, r0, r8\n\t" \
    "ldr r7, [r12]\n\t"           /* column 4, which is 0 of the next block */ \
    "smlad r8, r11, r1, r8\n\t" \
    "smlad r8, r7, r2, r8\n\t" \
    "ldrd r7, r11, [lr], #8\n\t" \
    "smlabt r6, r7, r3, r6\n\t" \
    "smlabt r6, r11, r4, r6\n\t" \
    "ldrd r7, r11, [lr], #8\n\t" \
    "smlabt r6, r7, r5, r6\n\t" \
    "smlabt r8, r7, r3, r8\n\t" \
    "ldr r7, [lr]\n\t" \
    "smlabt r8, r11, r4, r8\n\t" \
    "smlabt r8, r7, r5, r8\n\t"

/* Where the parameters are for TC_HIGH_<form>: (multiplier, offset, step, spare). */
#define TC_ROWS_PARAMETERS_smmla \
    TC_FETCH_PAIR(r7, r11, 0, 1)
#define TC_ROWS_PARAMETERS_smmla_signed \
    TC_FETCH_PAIR(r0, r1, 0, 1) \
    TC_FETCH(r11, 9) \
    "ldr r2, [r11, #36]\n\t"
#define TC_ROWS_HIGH_smmla(a) TC_HIGH_smmla(a, r7, r11, r2, r3)
#define TC_ROWS_HIGH_smmla_signed(a) TC_HIGH_smmla_signed(a, r0, r1, r2, r3)

/* The weights again, where requantisation or clamp needed their registers. */
#define TC_ROWS_WEIGHTS \
    TC_FETCH(r11, 9) \
    "ldm r11, {r0-r5}\n\t"
#define TC_ROWS_RELOAD_smmla \
    ".if .Ltc_above + .Ltc_below\n\t" \
    TC_ROWS_WEIGHTS \
    ".endif\n\t"
#define TC_ROWS_RELOAD_smmla_signed \
    TC_ROWS_WEIGHTS

/* After the block at r12; an odd width's last block repeats a column, for which `again` steps the outputs back. */
#define TC_ROWS_NEXT(step, again) \
    "cmp r12, r10\n\t" \
    "bne 1b\n\t" \
    TC_FETCH(r10, 8) \
    "cmp r12, r10\n\t" \
    "beq 2f\n\t" \
    TC_KEEP(r10, 5) \
    "sub r12, r12, #" #step "\n\t" \
    "sub lr, lr, #" #step "\n\t" \
    "sub r7, r7, r11\n\t" \
    TC_KEEP(r7, 2) \
    again \
    "b 1b\n" \
    "2:\n\t"

#define TC_ROWS_BLOCK_S1_TEXT(form, saturate, bits, shift, low, high) \
    TC_ROWS_OPEN(TC_ROWS_OUTPUTS_S1) \
    "1:\n\t" /* 2 x 2 outputs */ \
    TC_FETCH(r10, 6) \
    TC_ROWS_PRODUCTS_S1 \
    TC_ROWS_PARAMETERS_##form \
    TC_ROWS_HIGH_##form(r6) \
    TC_ROWS_HIGH_##form(r8) \
    TC_ROWS_HIGH_##form(r9) \
    TC_ROWS_HIGH_##form(r10) \
    TC_SATURATE(r6, saturate, bits, shift) \
    TC_SATURATE(r8, saturate, bits, shift) \
    TC_SATURATE(r9, saturate, bits, shift) \
    TC_SATURATE(r10, saturate, bits, shift) \
    TC_CLAMP_##saturate("r6, r8, r9, r10", bits, low, high, r0, r1, r2) \
    TC_ROWS_RELOAD_##form \
    TC_FETCH_PAIR(r7, r11, 2, 3) \
    "strb r10, [r7, r11]\n\t" \
    "strb r9, [r7]\n\t" \
    "add r7, r7, r11, lsl #1\n\t" \
    TC_KEEP(r7, 2) \
    TC_FETCH_PAIR(r9, r10, 4, 5) \
    "strb r8, [r9, r11]\n\t" \
    "strb r6, [r9]\n\t" \
    "add r9, r9, r11, lsl #1\n\t" \
    TC_KEEP(r9, 4) \
    TC_ROWS_NEXT(4, "sub r9, r9, r11\n\t" TC_KEEP(r9, 4))

#define TC_ROWS_BLOCK_S2_TEXT(form, saturate, bits, shift, low, high) \
    TC_ROWS_OPEN(TC_ROWS_OUTPUTS_S2) \
    "1:\n\t" /* 2 outputs */ \
    TC_FETCH(r8, 6) \
    TC_ROWS_PRODUCTS_S2 \
    TC_ROWS_PARAMETERS_##form \
    TC_ROWS_HIGH_##form(r6) \
    TC_ROWS_HIGH_##form(r8) \
    TC_SATURATE(r6, saturate, bits, shift) \
    TC_SATURATE(r8, saturate, bits, shift) \
    TC_CLAMP_##saturate("r6, r8", bits, low, high, r0, r1, r2) \
    TC_ROWS_RELOAD_##form \
    TC_FETCH_PAIR(r7, r11, 2, 3) \
    TC_FETCH(r10, 5) \
    "strb r8, [r7, r11]\n\t" \
    "strb r6, [r7]\n\t" \
    "add r7, r7, r11, lsl #1\n\t" \
    TC_KEEP(r7, 2) \
    TC_ROWS_NEXT(8, )

#define TC_ROWS_BLOCK(name, text) \
    TC_BLOCK_FUNCTION(name, const uint32_t *, const int32_t *, int8_t *, const tc_depthwise_job *, text)
#define TC_DEPTHWISE_ROWS_BLOCK_S1(name, ...) TC_ROWS_BLOCK(name, TC_ROWS_BLOCK_S1_TEXT(__VA_ARGS__))
#define TC_DEPTHWISE_ROWS_BLOCK_S2(name, ...) TC_ROWS_BLOCK(name, TC_ROWS_BLOCK_S2_TEXT(__VA_ARGS__))

#else

#define TC_ROWS_BLOCK(name, stride, ...) \
    static TC_NOINLINE void name(const uint32_t *upper, const int32_t *weights, int8_t *output, \
                                 const tc_depthwise_job *job) \
    { \
        static const tc_requant_block requant = TC_REQUANT_BLOCK(__VA_ARGS__); \
        tc_depthwise_rows_block_portable(upper, weights, output, job, stride, &requant); \
    }
#define TC_DEPTHWISE_ROWS_BLOCK_S1(name, ...) TC_ROWS_BLOCK(name, 1, __VA_ARGS__)
#define TC_DEPTHWISE_ROWS_BLOCK_S2(name, ...) TC_ROWS_BLOCK(name, 2, __VA_ARGS__)

#endif

#ifdef __cplusplus
}
#endif

#endif
