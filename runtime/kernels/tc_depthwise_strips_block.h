/* SPDX-License-Identifier: 0BSD */
/*
 * The block functions of `tc_depthwise_strips_s8` (docs/kernels.md):
 *
 *     TC_DEPTHWISE_STRIPS_BLOCK_S1(name, load, width, pixel, pitch, unrolled, bias, far, rows, form, ...)
 *     TC_DEPTHWISE_STRIPS_BLOCK_S2(name, load, ...)
 *
 * define `name` for a few channels of some output rows with stride 1 or 2:
 *
 *     load      pairs of columns, by LDRD, or singles, by LDR, for cores that issue those together with a product
 *     width     of the output
 *     pixel     bytes from an output pixel to the next
 *     pitch     bytes from a band to the next
 *     unrolled  blocks of two columns per round of the loop over a row
 *     bias      added to the address of the bands, so that the last one is in LDRD's reach
 *     far       bytes from the upper to the lower output row that an addition takes, where they aren't in STRB's reach, or 0
 *     rows      even: only strips of two output rows; any: a single one may follow; one: there are only single ones
 *
 * and the requantisation (tc_requant_block.h).
 *
 *     planes   bands (tc_depthwise_strips_pack.h); with stride 1 the upper of two output rows takes a band and the upper row of
 *              the next, with stride 2 each output row does
 *     weights  per channel with stride 1 the pairs of the first two taps of each column, those of the last two; with
 *              stride 2 the pairs of the first two, (last tap of column 0, of column 1), (of column 2, 0); start; parameters
 *              of the requantisation
 *     output   first channel of the first row
 */
#ifndef TC_DEPTHWISE_STRIPS_BLOCK_H
#define TC_DEPTHWISE_STRIPS_BLOCK_H

#include <stdint.h>

#include "cmsis_shim/tc_simd.h"
#include "kernels/tc_add_to.h"
#include "kernels/tc_depthwise_strips_products.h"
#include "kernels/tc_inline.h"
#include "kernels/tc_requant_block.h"

#ifdef __cplusplus
extern "C" {
#endif

/* `counts`: output rows, such as the function is made for, and in the upper half channels. */
typedef void tc_depthwise_strips_block(const uint32_t *planes, const int32_t *weights, int8_t *output, uint32_t counts);

/* For the portable twins, the constants of a block function. */
typedef struct tc_depthwise_strips_sizes {
    uint32_t stride;
    uint32_t width;
    uint32_t pixel;
    uint32_t pitch;
} tc_depthwise_strips_sizes;

/* One output, from the bands that its window begins in. `lower`: whether it begins with the lower row of `bands`. */
TC_INLINE int32_t tc_depthwise_strips_sum(const uint32_t *bands, const int32_t *weights, uint32_t column, uint32_t lower,
                                          const tc_depthwise_strips_sizes *sizes)
{
    const uint32_t *const next = bands + sizes->pitch / 4u;
    int32_t sum = weights[sizes->stride == 1u ? 6 : 5];
    for (uint32_t tap = 0; tap < 3u; tap++) {
        const uint32_t at = (column + tap) / 2u * 8u + (column + tap) % 2u;
        const uint32_t first_two = (uint32_t)weights[tap];
        if (lower != 0u) {
            sum = tc_smlad(next[at], (uint32_t)weights[3u + tap], tc_smlatb(bands[at], first_two, sum));
        } else if (sizes->stride == 1u) {
            sum = tc_smlabt(next[at], (uint32_t)weights[3u + tap], tc_smlad(bands[at], first_two, sum));
        } else {
            const uint32_t last = (uint32_t)weights[3u + tap / 2u];
            sum = tc_smlad(bands[at], first_two, sum);
            sum = tap == 1u ? tc_smlabt(next[at], last, sum) : tc_smlabb(next[at], last, sum);
        }
    }
    return sum;
}

/* The same arithmetic in portable C. */
TC_INLINE void tc_depthwise_strips_portable(const uint32_t *planes, const int32_t *weights, int8_t *output,
                                            uint32_t counts, const tc_depthwise_strips_sizes *sizes,
                                            const tc_requant_block *requant)
{
    const uint32_t start = sizes->stride == 1u ? 6u : 5u;
    for (uint32_t channel = 0; channel < counts >> 16; channel++) {
        for (uint32_t y = 0; y < (counts & 0xFFFFu); y++) {
            const uint32_t band = sizes->stride == 1u ? y / 2u : y;
            const uint32_t lower = sizes->stride == 1u ? y % 2u : 0u;
            for (uint32_t x = 0; x < sizes->width; x++) {
                const int32_t sum = tc_depthwise_strips_sum(planes + band * sizes->pitch / 4u, weights, x * sizes->stride,
                                                            lower, sizes);
                output[(y * sizes->width + x) * sizes->pixel] = tc_requantize_block(sum, weights + start + 1u, requant);
            }
        }
        weights += start + 1u + tc_requant_block_words(requant);
        planes += 2;
        output++;
    }
}

#if TC_DSP_BLOCKS

/*
 * With stride 1 r0-r2 hold the pairs of the first two taps of each column, r3-r5 of the last two; with stride 2 r0-r2 the
 * pairs of the first two, r3, r4 the last ones, r5 the start. r6, r8 accumulate two columns of the upper output row, r9, r10
 * of the lower one. r12 walks the bands, lr the output; r7 and r11 hold columns in turn.
 * Slots: 0 multiplier, 1 offset, 2 start, 3 step, 4 planes and 5 output of the next channel, 6 end of the strips, 8 weights,
 * 9 their end, 10 bytes of the bands that strips of two rows take, plus 1 where a single row follows, 11 end of the rounds.
 * .Ltc_x: of the block, beyond r12; .Ltc_o: of its output, beyond lr.
 */
#define TC_STRIPS_OPEN(width, pixel, pitch, unrolled, bias, far, rows, strip, record) \
    ".set .Ltc_even, 0\n\t" \
    ".set .Ltc_any, 1\n\t" \
    ".set .Ltc_one, 2\n\t" \
    ".set .Ltc_rows, .Ltc_" #rows "\n\t" \
    ".set .Ltc_pixel, " #pixel "\n\t" \
    ".set .Ltc_row, " #pixel " * " #width "\n\t" \
    ".set .Ltc_pitch, " #pitch "\n\t" \
    ".set .Ltc_strip, " strip "\n\t" \
    ".set .Ltc_far, " #far "\n\t" \
    ".set .Ltc_rounds, " #width " / 2 / " #unrolled "\n\t" \
    "lsr r4, r3, #16\n\t" \
    "mov r5, #4 * (" record ")\n\t" \
    "mla r5, r4, r5, r1\n\t" \
    TC_KEEP(r5, 9) \
    ".if .Ltc_rows != .Ltc_one\n\t" \
    "mov r6, #.Ltc_strip\n\t" \
    "ubfx r5, r3, #1, #15\n\t" \
    "mul r5, r5, r6\n\t" \
    ".if .Ltc_rows == .Ltc_any\n\t" \
    "and r4, r3, #1\n\t" \
    "orr r5, r5, r4\n\t" \
    ".endif\n\t" \
    TC_KEEP(r5, 10) \
    ".endif\n\t" \
    TC_ADD_TO(r0, #bias, r4) \
    TC_KEEP_PAIR(r0, r2, 4, 5) \
    TC_KEEP(r1, 8)

/* A channel: its weights, requantisation, and where it begins. */
#define TC_STRIPS_CHANNEL_S1(form) \
    "ldm r10!, {r0-r5}\n\t" \
    "ldm r10!, {r6, r8, r9}\n\t" \
    TC_KEEP(r6, 2)
#define TC_STRIPS_CHANNEL_S2(form) \
    "ldm r10!, {r0-r5}\n\t" \
    "ldm r10!, {r8, r9}\n\t"
#define TC_STRIPS_CHANNEL(load_weights, form) \
    TC_FETCH(r10, 8) \
    TC_FETCH_PAIR(r12, lr, 4, 5) \
    load_weights(form) \
    TC_KEEP_PAIR(r8, r9, 0, 1) \
    TC_IF_SIGNED_##form("ldr r6, [r10], #4\n\t" TC_KEEP(r6, 3)) \
    TC_KEEP(r10, 8) \
    "add r6, r12, #8\n\t" \
    "add r8, lr, #1\n\t" \
    TC_KEEP_PAIR(r6, r8, 4, 5) \
    ".if .Ltc_rows != .Ltc_one\n\t" \
    TC_FETCH(r7, 10) \
    ".if .Ltc_rows == .Ltc_any\n\t" \
    "bics r7, r7, #1\n\t" \
    "beq 5f\n\t" \
    ".endif\n\t" \
    "add r7, r7, r12\n\t" \
    TC_KEEP(r7, 6) \
    ".endif\n\t"

/* Where the parameters are for TC_HIGH_<form>: (multiplier, offset, step, spare). */
#define TC_STRIPS_PARAMETERS_smmla \
    TC_FETCH_PAIR(r7, r11, 0, 1)
#define TC_STRIPS_PARAMETERS_smmla_signed \
    TC_FETCH_PAIR(r7, r11, 0, 1) \
    TC_FETCH(r0, 3)
#define TC_STRIPS_HIGH_smmla(a) TC_HIGH_smmla(a, r7, r11, r0, r1)
#define TC_STRIPS_HIGH_smmla_signed(a) TC_HIGH_smmla_signed(a, r7, r11, r0, r1)

/* The weights again, whose registers the step has used; the channel's words end at slot 8. */
#define TC_STRIPS_RESTORE_smmla(words)
#define TC_STRIPS_RESTORE_smmla_signed(words) \
    TC_FETCH(r7, 8) \
    "ldrd r0, r1, [r7, #-4 * (" words " + 3)]\n\t"

/* Results of a row of one or two outputs; the lower row may lie beyond the reach of lr. */
#define TC_STRIPS_STORE_UPPER_1 \
    "strb r6, [lr, #.Ltc_o]\n\t"
#define TC_STRIPS_STORE_UPPER_2 \
    TC_STRIPS_STORE_UPPER_1 \
    "strb r8, [lr, #.Ltc_o + .Ltc_pixel]\n\t"
#define TC_STRIPS_STORE_LOWER_1(base) \
    "strb r9, [" base ", #.Ltc_o + .Ltc_row - .Ltc_far]\n\t"
#define TC_STRIPS_STORE_LOWER_2(base) \
    TC_STRIPS_STORE_LOWER_1(base) \
    "strb r10, [" base ", #.Ltc_o + .Ltc_row - .Ltc_far + .Ltc_pixel]\n\t"
#define TC_STRIPS_STORE_LOWER(store) \
    ".if .Ltc_far\n\t" \
    "add r7, lr, #.Ltc_far\n\t" \
    store("r7") \
    ".else\n\t" \
    store("lr") \
    ".endif\n\t"

#define TC_STRIPS_FINISH_22(words, form, saturate, bits, shift, low, high) \
    TC_STRIPS_PARAMETERS_##form \
    TC_STRIPS_HIGH_##form(r6) \
    TC_STRIPS_HIGH_##form(r8) \
    TC_SATURATE(r6, saturate, bits, shift) \
    TC_STRIPS_HIGH_##form(r9) \
    TC_SATURATE(r8, saturate, bits, shift) \
    TC_STRIPS_HIGH_##form(r10) \
    TC_SATURATE(r9, saturate, bits, shift) \
    TC_SATURATE(r10, saturate, bits, shift) \
    TC_CLAMP_##saturate("r6, r8, r9, r10", bits, low, high, r7, r11, r7) \
    TC_STRIPS_STORE_UPPER_2 \
    TC_STRIPS_STORE_LOWER(TC_STRIPS_STORE_LOWER_2) \
    TC_STRIPS_RESTORE_##form(words)
#define TC_STRIPS_FINISH_21(words, form, saturate, bits, shift, low, high) \
    TC_STRIPS_PARAMETERS_##form \
    TC_STRIPS_HIGH_##form(r6) \
    TC_STRIPS_HIGH_##form(r9) \
    TC_SATURATE(r6, saturate, bits, shift) \
    TC_SATURATE(r9, saturate, bits, shift) \
    TC_CLAMP_##saturate("r6, r9", bits, low, high, r7, r11, r7) \
    TC_STRIPS_STORE_UPPER_1 \
    TC_STRIPS_STORE_LOWER(TC_STRIPS_STORE_LOWER_1) \
    TC_STRIPS_RESTORE_##form(words)
#define TC_STRIPS_FINISH_12(words, form, saturate, bits, shift, low, high) \
    TC_STRIPS_PARAMETERS_##form \
    TC_STRIPS_HIGH_##form(r6) \
    TC_STRIPS_HIGH_##form(r8) \
    TC_SATURATE(r6, saturate, bits, shift) \
    TC_SATURATE(r8, saturate, bits, shift) \
    TC_CLAMP_##saturate("r6, r8", bits, low, high, r7, r11, r7) \
    TC_STRIPS_STORE_UPPER_2 \
    TC_STRIPS_RESTORE_##form(words)
#define TC_STRIPS_FINISH_11(words, form, saturate, bits, shift, low, high) \
    TC_STRIPS_PARAMETERS_##form \
    TC_STRIPS_HIGH_##form(r6) \
    TC_SATURATE(r6, saturate, bits, shift) \
    TC_CLAMP_##saturate("r6", bits, low, high, r7, r11, r7) \
    TC_STRIPS_STORE_UPPER_1 \
    TC_STRIPS_RESTORE_##form(words)

/* All blocks of one or two rows: the unrolled ones in a loop, the rest, a last column. `twos` is a block of two columns. */
#define TC_STRIPS_ROW(width, unrolled, bias, stride, twos, one, label) \
    ".set .Ltc_x, -(" #bias ")\n\t" \
    ".set .Ltc_o, 0\n\t" \
    ".set .Ltc_blocks, " #width " / 2\n\t" \
    ".if .Ltc_rounds > 1\n\t" \
    "add r7, r12, #32 * " #stride " * " #unrolled " * .Ltc_rounds\n\t" \
    TC_KEEP(r7, 11) \
    #label ":\n\t" \
    ".rept " #unrolled "\n\t" \
    twos \
    TC_STRIPS_BESIDE(stride) \
    ".endr\n\t" \
    "add r12, r12, #32 * " #stride " * " #unrolled "\n\t" \
    TC_ADD_TO(lr, "2 * .Ltc_pixel * " #unrolled, r7) \
    TC_FETCH(r7, 11) \
    "cmp r12, r7\n\t" \
    "bne " #label "b\n\t" \
    ".set .Ltc_x, -(" #bias ")\n\t" \
    ".set .Ltc_o, 0\n\t" \
    ".set .Ltc_blocks, .Ltc_blocks %% " #unrolled "\n\t" \
    ".endif\n\t" \
    ".rept .Ltc_blocks\n\t" \
    twos \
    TC_STRIPS_BESIDE(stride) \
    ".endr\n\t" \
    ".if " #width " %% 2\n\t" \
    one \
    ".endif\n\t"
#define TC_STRIPS_BESIDE(stride) \
    ".set .Ltc_x, .Ltc_x + 32 * " #stride "\n\t" \
    ".set .Ltc_o, .Ltc_o + 2 * .Ltc_pixel\n\t"

#define TC_STRIPS_BLOCK_22(stride, load, words, ...) \
    TC_STRIPS_PRODUCTS_S##stride##_22(load) \
    TC_STRIPS_FINISH_22(words, __VA_ARGS__)
#define TC_STRIPS_BLOCK_21(stride, load, words, ...) \
    TC_STRIPS_PRODUCTS_S##stride##_21(load) \
    TC_STRIPS_FINISH_21(words, __VA_ARGS__)
#define TC_STRIPS_BLOCK_12(stride, load, words, ...) \
    TC_STRIPS_PRODUCTS_S##stride##_12(load) \
    TC_STRIPS_FINISH_12(words, __VA_ARGS__)
#define TC_STRIPS_BLOCK_11(stride, load, words, ...) \
    TC_STRIPS_PRODUCTS_S##stride##_11(load) \
    TC_STRIPS_FINISH_11(words, __VA_ARGS__)

/* `words` of weights and start; a strip of two rows walks `strip` bytes of bands. */
#define TC_STRIPS_TEXT(stride, words, strip, load, width, pixel, pitch, unrolled, bias, far, rows, form, ...) \
    TC_STRIPS_OPEN(width, pixel, pitch, unrolled, bias, far, rows, strip, words " + 2" TC_IF_SIGNED_##form(" + 1")) \
    ".set .Ltc_walked, 0\n\t" \
    ".if .Ltc_rounds > 1\n\t" \
    ".set .Ltc_walked, .Ltc_rounds * " #unrolled "\n\t" \
    ".endif\n\t" \
    "1:\n\t" /* a channel */ \
    TC_STRIPS_CHANNEL(TC_STRIPS_CHANNEL_S##stride, form) \
    ".if .Ltc_rows != .Ltc_one\n\t" \
    "2:\n\t" /* a strip of two output rows */ \
    TC_STRIPS_ROW(width, unrolled, bias, stride, TC_STRIPS_BLOCK_22(stride, load, words, form, __VA_ARGS__), \
                  TC_STRIPS_BLOCK_21(stride, load, words, form, __VA_ARGS__), 3) \
    TC_ADD_TO(r12, ".Ltc_strip - 32 * " #stride " * .Ltc_walked", r7) \
    TC_ADD_TO(lr, "2 * .Ltc_row - 2 * .Ltc_pixel * .Ltc_walked", r7) \
    TC_FETCH(r7, 6) \
    "cmp r12, r7\n\t" \
    "bne 2b\n" \
    "5:\n\t" \
    ".endif\n\t" \
    ".if .Ltc_rows == .Ltc_any\n\t" \
    TC_FETCH(r7, 10) \
    "lsls r7, r7, #31\n\t" \
    "beq 6f\n\t" \
    ".endif\n\t" \
    ".if .Ltc_rows != .Ltc_even\n\t" \
    TC_STRIPS_ROW(width, unrolled, bias, stride, TC_STRIPS_BLOCK_12(stride, load, words, form, __VA_ARGS__), \
                  TC_STRIPS_BLOCK_11(stride, load, words, form, __VA_ARGS__), 4) \
    "6:\n\t" \
    ".endif\n\t" \
    TC_FETCH(r10, 8) \
    TC_FETCH(r7, 9) \
    "cmp r10, r7\n\t" \
    "bne 1b\n\t"

#define TC_STRIPS_BLOCK(name, text) \
    TC_BLOCK_FUNCTION(name, const uint32_t *, const int32_t *, int8_t *, uint32_t, text)
#define TC_DEPTHWISE_STRIPS_BLOCK_S1(name, ...) TC_STRIPS_BLOCK(name, TC_STRIPS_TEXT(1, "7", ".Ltc_pitch", __VA_ARGS__))
#define TC_DEPTHWISE_STRIPS_BLOCK_S2(name, ...) TC_STRIPS_BLOCK(name, TC_STRIPS_TEXT(2, "6", "2 * .Ltc_pitch", __VA_ARGS__))

#else

#define TC_STRIPS_BLOCK(name, stride_, load, width_, pixel_, pitch_, unrolled, bias, far, rows_, ...) \
    static TC_NOINLINE void name(const uint32_t *planes, const int32_t *weights, int8_t *output, \
                                 uint32_t counts) \
    { \
        static const tc_requant_block requant = TC_REQUANT_BLOCK(__VA_ARGS__); \
        static const tc_depthwise_strips_sizes sizes = {stride_, width_, pixel_, pitch_}; \
        tc_depthwise_strips_portable(planes, weights, output, counts, &sizes, &requant); \
    }
#define TC_DEPTHWISE_STRIPS_BLOCK_S1(name, ...) TC_STRIPS_BLOCK(name, 1, __VA_ARGS__)
#define TC_DEPTHWISE_STRIPS_BLOCK_S2(name, ...) TC_STRIPS_BLOCK(name, 2, __VA_ARGS__)

#endif

#ifdef __cplusplus
}
#endif

#endif
