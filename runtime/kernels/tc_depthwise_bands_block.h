/* SPDX-License-Identifier: 0BSD */
/*
 * The block functions of depthwise convolutions with any window (docs/kernels.md):
 *
 *     TC_DEPTHWISE_BANDS_BLOCK_S1(name, width, bands, form, saturate, bits, shift, low, high)
 *     TC_DEPTHWISE_BANDS_BLOCK_S2(name, width, bands, form, ...)
 *
 * define `name` for one channel of two output rows with stride 1, or of one with stride 2, and a window of `width` columns
 * on `bands` bands; the other arguments are the requantisation (tc_requant_block.h).
 *
 *     upper    first band's plane of vertical pairs, one word per input column; the next bands are job->band bytes apart
 *     weights  per band and column of taps a pair for each output row, the upper one first; start; parameters of the
 *              requantisation
 *     output   first column of the upper row; the lower one is job->row bytes further, or the same, and loses
 */
#ifndef TC_DEPTHWISE_BANDS_BLOCK_H
#define TC_DEPTHWISE_BANDS_BLOCK_H

#include <stdint.h>

#include "cmsis_shim/tc_simd.h"
#include "kernels/tc_depthwise_planes.h"
#include "kernels/tc_inline.h"
#include "kernels/tc_requant_block.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The same arithmetic in portable C. */
TC_INLINE void tc_depthwise_bands_block_portable(const uint32_t *upper, const int32_t *weights, int8_t *output,
                                                 const tc_depthwise_job *job, int32_t width, int32_t bands,
                                                 uint32_t stride, const tc_requant_block *requant)
{
    const uint32_t columns = job->step == 0u ? 1u : job->last_end / (4u * stride);
    const int32_t *const constants = weights + (stride == 1u ? 2 : 1) * width * bands;
    for (uint32_t x = 0; x < columns; x++, upper += stride, output += job->step) {
        const int32_t *weight = weights;
        int32_t sum = constants[0];
        int32_t lower_sum = constants[0];
        for (int32_t band = 0; band < bands; band++) {
            for (int32_t tap = 0; tap < width; tap++) {
                const uint32_t pair = upper[band * job->band / 4 + tap];
                sum = tc_smlad(pair, (uint32_t)*weight++, sum);
                if (stride == 1u) {
                    lower_sum = tc_smlad(pair, (uint32_t)*weight++, lower_sum);
                }
            }
        }
        if (stride == 1u) {
            output[job->row] = tc_requantize_block(lower_sum, constants + 1, requant);
        }
        output[0] = tc_requantize_block(sum, constants + 1, requant);
    }
}

#if TC_DSP_BLOCKS

/*
 * r7, r9-r11 hold columns, c0 to c3 in turn; r0-r3 weights; r12 walks the columns, lr the weights. With stride 1 r4, r5
 * accumulate the columns of the upper row, r6, r8 those of the lower row; with stride 2 r4, r5 of the only one.
 * Slots: 0 multiplier, 1 offset, 2 output of the (lower) row, 3 bytes from pixel to pixel, 4 output of the upper row,
 * 5 start, 6 from the end of a band's columns to the next band, 8 first column of the block, 9 weights, 10 end of the
 * blocks that lie side by side, 11 end with the last block.
 *
 * The assembler unrolls: .Ltc_tap is the tap that comes next.
 */

/* Two taps with stride 1; a0, a1, b0 are what the first products add to: in the first band the start, which is in r8. */
#define TC_BANDS_TWO_TAPS_S1(width, c0, c1, c2, c3, a0, a1, b0) \
    ".if .Ltc_tap < " #width "\n\t" \
    ".if .Ltc_tap + 1 < " #width "\n\t" \
    "ldmia lr!, {r0, r1, r2, r3}\n\t" \
    ".else\n\t" \
    "ldmia lr!, {r0, r1}\n\t" \
    ".endif\n\t" \
    ".if .Ltc_tap + 2 < " #width "\n\t" \
    "ldrd " #c2 ", " #c3 ", [r12], #8\n\t" \
    ".elseif .Ltc_tap + 2 == " #width "\n\t" \
    "ldr " #c2 ", [r12], #4\n\t" \
    ".endif\n\t" \
    "smlad r4, " #c0 ", r0, " #a0 "\n\t" \
    "smlad r6, " #c0 ", r1, " #b0 "\n\t" \
    "smlad r5, " #c1 ", r0, " #a1 "\n\t" \
    "smlad r8, " #c1 ", r1, r8\n\t" \
    ".if .Ltc_tap + 1 < " #width "\n\t" \
    "smlad r4, " #c1 ", r2, r4\n\t" \
    "smlad r6, " #c1 ", r3, r6\n\t" \
    "smlad r5, " #c2 ", r2, r5\n\t" \
    "smlad r8, " #c2 ", r3, r8\n\t" \
    ".endif\n\t" \
    ".endif\n\t" \
    ".set .Ltc_tap, .Ltc_tap + 2\n\t"

#define TC_BANDS_FOUR_TAPS_S1(width, a0, a1, b0) \
    TC_BANDS_TWO_TAPS_S1(width, r7, r9, r10, r11, a0, a1, b0) \
    TC_BANDS_TWO_TAPS_S1(width, r10, r11, r7, r9, r4, r5, r6)

#define TC_BANDS_TWO_TAPS_S2(width, c0, c1, c2, c3, w0, w1, a0) \
    ".if .Ltc_tap < " #width "\n\t" \
    ".if .Ltc_tap + 1 < " #width "\n\t" \
    "ldrd " #c2 ", " #c3 ", [r12], #8\n\t" \
    ".else\n\t" \
    "ldr " #c2 ", [r12], #4\n\t" \
    ".endif\n\t" \
    "smlad r4, " #c0 ", " #w0 ", " #a0 "\n\t" \
    "smlad r5, " #c2 ", " #w0 ", r5\n\t" \
    ".if .Ltc_tap + 1 < " #width "\n\t" \
    "smlad r4, " #c1 ", " #w1 ", r4\n\t" \
    "smlad r5, " #c3 ", " #w1 ", r5\n\t" \
    ".endif\n\t" \
    ".endif\n\t" \
    ".set .Ltc_tap, .Ltc_tap + 2\n\t"

/* Four taps with stride 2; a0 is what the first product adds to: in the first band the start, which is in r5. */
#define TC_BANDS_FOUR_TAPS_S2(width, a0) \
    ".if .Ltc_tap + 3 < " #width "\n\t" \
    "ldmia lr!, {r0, r1, r2, r3}\n\t" \
    ".elseif .Ltc_tap + 3 == " #width "\n\t" \
    "ldmia lr!, {r0, r1, r2}\n\t" \
    ".elseif .Ltc_tap + 2 == " #width "\n\t" \
    "ldmia lr!, {r0, r1}\n\t" \
    ".else\n\t" \
    "ldr r0, [lr], #4\n\t" \
    ".endif\n\t" \
    TC_BANDS_TWO_TAPS_S2(width, r7, r9, r10, r11, r0, r1, a0) \
    TC_BANDS_TWO_TAPS_S2(width, r10, r11, r7, r9, r2, r3, r4)

/* A band: its first four taps, then the others. */
#define TC_BANDS_BAND(width, first_taps, other_taps) \
    "ldrd r7, r9, [r12], #8\n\t" /* columns 0, 1 */ \
    ".set .Ltc_tap, 0\n\t" \
    first_taps \
    ".rept (" #width " - 1) / 4\n\t" \
    other_taps \
    ".endr\n\t"

#define TC_BANDS_OTHER_BANDS(bands, band) \
    ".rept " #bands " - 1\n\t" \
    TC_FETCH(r0, 6) \
    "add r12, r12, r0\n\t" \
    band \
    ".endr\n\t"

#define TC_BANDS_PRODUCTS_S1(width, bands) \
    TC_BANDS_BAND(width, TC_BANDS_FOUR_TAPS_S1(width, r8, r8, r8), TC_BANDS_FOUR_TAPS_S1(width, r4, r5, r6)) \
    TC_BANDS_OTHER_BANDS(bands, TC_BANDS_BAND(width, TC_BANDS_FOUR_TAPS_S1(width, r4, r5, r6), \
                                              TC_BANDS_FOUR_TAPS_S1(width, r4, r5, r6)))
#define TC_BANDS_PRODUCTS_S2(width, bands) \
    TC_BANDS_BAND(width, TC_BANDS_FOUR_TAPS_S2(width, r5), TC_BANDS_FOUR_TAPS_S2(width, r4)) \
    TC_BANDS_OTHER_BANDS( \
        bands, TC_BANDS_BAND(width, TC_BANDS_FOUR_TAPS_S2(width, r4), TC_BANDS_FOUR_TAPS_S2(width, r4)))

/* `read` columns are read per block; `words` of weights come before the start. */
#define TC_BANDS_OPEN(outputs, read, words) \
    "ldm r3, {r4, r5, r6, r8, r9}\n\t" /* the fields of the job */ \
    "sub r4, r4, #4 * (" read ")\n\t" \
    TC_KEEP(r4, 6) \
    TC_KEEP_PAIR(r0, r1, 8, 9) \
    TC_KEEP(r6, 3) \
    outputs \
    "add r8, r8, r0\n\t" /* end of the blocks that lie side by side, and with the last one */ \
    "add r9, r9, r0\n\t" \
    TC_KEEP_PAIR(r8, r9, 10, 11) \
    "add r1, r1, #4 * (" words ")\n\t" \
    "ldm r1, {r4, r5, r6}\n\t" \
    TC_KEEP(r4, 5) \
    TC_KEEP_PAIR(r5, r6, 0, 1)

#define TC_BANDS_OUTPUTS_S1 \
    "add r5, r5, r2\n\t" \
    TC_KEEP(r5, 2) \
    TC_KEEP(r2, 4)
#define TC_BANDS_OUTPUTS_S2 \
    TC_KEEP(r2, 2)

/* After a block, of which `step` bytes of columns were new; an odd width's last block repeats a column, for which `again`
 * steps the outputs back. */
#define TC_BANDS_NEXT(step, again) \
    "add r12, r12, #" #step "\n\t" \
    TC_KEEP(r12, 8) \
    "cmp r12, r0\n\t" \
    "bne 1b\n\t" \
    "cmp r0, r1\n\t" \
    "beq 2f\n\t" \
    TC_KEEP(r1, 10) \
    "sub r12, r12, #" #step " / 2\n\t" \
    TC_KEEP(r12, 8) \
    "sub r7, r7, r11\n\t" \
    TC_KEEP(r7, 2) \
    again \
    "b 1b\n" \
    "2:\n\t"

#define TC_BANDS_PARAMETERS(form) \
    TC_FETCH_PAIR(r0, r1, 0, 1) \
    TC_IF_SIGNED_##form("ldr r2, [lr, #12]\n\t")

#define TC_BANDS_BLOCK_S1_TEXT(width, bands, form, saturate, bits, shift, low, high) \
    TC_BANDS_OPEN(TC_BANDS_OUTPUTS_S1, #width " + 1", "2 * " #width " * " #bands) \
    "1:\n\t" /* 2 x 2 outputs */ \
    TC_FETCH_PAIR(r12, lr, 8, 9) \
    TC_FETCH(r8, 5) \
    TC_BANDS_PRODUCTS_S1(width, bands) \
    TC_BANDS_PARAMETERS(form) \
    TC_HIGH_##form(r4, r0, r1, r2, r3) \
    TC_HIGH_##form(r5, r0, r1, r2, r3) \
    TC_HIGH_##form(r6, r0, r1, r2, r3) \
    TC_HIGH_##form(r8, r0, r1, r2, r3) \
    TC_SATURATE(r4, saturate, bits, shift) \
    TC_SATURATE(r5, saturate, bits, shift) \
    TC_SATURATE(r6, saturate, bits, shift) \
    TC_SATURATE(r8, saturate, bits, shift) \
    TC_CLAMP_##saturate("r4, r5, r6, r8", bits, low, high, r0, r1, r2) \
    TC_FETCH_PAIR(r7, r11, 2, 3) \
    TC_FETCH(r12, 8) \
    TC_FETCH_PAIR(r0, r1, 10, 11) \
    "strb r8, [r7, r11]\n\t" \
    "strb r6, [r7]\n\t" \
    "add r7, r7, r11, lsl #1\n\t" \
    TC_KEEP(r7, 2) \
    TC_FETCH(r9, 4) \
    "strb r5, [r9, r11]\n\t" \
    "strb r4, [r9]\n\t" \
    "add r9, r9, r11, lsl #1\n\t" \
    TC_KEEP(r9, 4) \
    TC_BANDS_NEXT(8, "sub r9, r9, r11\n\t" TC_KEEP(r9, 4))

#define TC_BANDS_BLOCK_S2_TEXT(width, bands, form, saturate, bits, shift, low, high) \
    TC_BANDS_OPEN(TC_BANDS_OUTPUTS_S2, #width " + 2", #width " * " #bands) \
    "1:\n\t" /* 2 outputs */ \
    TC_FETCH_PAIR(r12, lr, 8, 9) \
    TC_FETCH(r5, 5) \
    TC_BANDS_PRODUCTS_S2(width, bands) \
    TC_BANDS_PARAMETERS(form) \
    TC_HIGH_##form(r4, r0, r1, r2, r3) \
    TC_HIGH_##form(r5, r0, r1, r2, r3) \
    TC_SATURATE(r4, saturate, bits, shift) \
    TC_SATURATE(r5, saturate, bits, shift) \
    TC_CLAMP_##saturate("r4, r5", bits, low, high, r0, r1, r2) \
    TC_FETCH_PAIR(r7, r11, 2, 3) \
    TC_FETCH(r12, 8) \
    TC_FETCH_PAIR(r0, r1, 10, 11) \
    "strb r5, [r7, r11]\n\t" \
    "strb r4, [r7]\n\t" \
    "add r7, r7, r11, lsl #1\n\t" \
    TC_KEEP(r7, 2) \
    TC_BANDS_NEXT(16, )

#define TC_BANDS_BLOCK(name, text) \
    TC_BLOCK_FUNCTION(name, const uint32_t *, const int32_t *, int8_t *, const tc_depthwise_job *, text)
#define TC_DEPTHWISE_BANDS_BLOCK_S1(name, ...) TC_BANDS_BLOCK(name, TC_BANDS_BLOCK_S1_TEXT(__VA_ARGS__))
#define TC_DEPTHWISE_BANDS_BLOCK_S2(name, ...) TC_BANDS_BLOCK(name, TC_BANDS_BLOCK_S2_TEXT(__VA_ARGS__))

#else

#define TC_BANDS_BLOCK(name, stride, width, bands, ...) \
    static TC_NOINLINE void name(const uint32_t *upper, const int32_t *weights, int8_t *output, \
                                 const tc_depthwise_job *job) \
    { \
        static const tc_requant_block requant = TC_REQUANT_BLOCK(__VA_ARGS__); \
        tc_depthwise_bands_block_portable(upper, weights, output, job, width, bands, stride, &requant); \
    }
#define TC_DEPTHWISE_BANDS_BLOCK_S1(name, ...) TC_BANDS_BLOCK(name, 1, __VA_ARGS__)
#define TC_DEPTHWISE_BANDS_BLOCK_S2(name, ...) TC_BANDS_BLOCK(name, 2, __VA_ARGS__)

#endif

#ifdef __cplusplus
}
#endif

#endif
