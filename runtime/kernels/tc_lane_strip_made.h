/* SPDX-License-Identifier: 0BSD */
/*
 * `tc_lane_strip_s8` (tc_lane_strip.h) for outputs of a multiple of 4 columns: the windows of a block lie beside each other in
 * the strip, so that all their words are at offsets that a function made for the shape knows. It computes a row of the output:
 *
 *     TC_LANE_STRIP_ROW(name, rows, words, after, step, pitch, groups, unrolled, stride, form, saturate, bits, shift, low, high)
 *     TC_LANE_STRIP_ROW_SINGLE(name, rows, ...) for cores on which only loads of one word stand beside others
 *
 *     rows   of a window
 *     words  of a window's row
 *     after  bytes of a row that are left: 0, 1 or 2; 4 / after rows share a word
 *     step   bytes from a window to the next
 *     pitch  bytes from a row to the next
 *
 * The others are the arguments of TC_LANE_STRAIGHT_4 (tc_lane_straight.h).
 */
#ifndef TC_LANE_STRIP_MADE_H
#define TC_LANE_STRIP_MADE_H

#include <stdint.h>

#include "cmsis_shim/tc_simd.h"
#include "kernels/tc_inline.h"
#include "kernels/tc_lane.h"
#include "kernels/tc_lane_pointwise.h"
#include "kernels/tc_lane_strip.h"

#ifdef __cplusplus
extern "C" {
#endif

/* For the portable twin, the arguments of the macro. */
typedef struct tc_lane_strip_windows {
    int32_t rows;
    int32_t words;
    int32_t after;
    int32_t step;
    int32_t pitch;
} tc_lane_strip_windows;

TC_INLINE void tc_lane_strip_expand_portable(const int8_t *from, uint32_t *block, const tc_lane_strip_windows *shape)
{
    for (int32_t row = 0; row < shape->rows; row++) {
        for (int32_t word = 0; word < shape->words; word++, block += 8) {
            for (int32_t pixel = 0; pixel < 4; pixel++) {
                const int8_t *const at = from + row * shape->pitch + 4 * word + pixel * shape->step;
                tc_lane_expand4(tc_load4(at), block + pixel, block + 4 + pixel);
            }
        }
    }
    const int32_t together = shape->after > 0 ? 4 / shape->after : shape->rows;
    for (int32_t row = 0; shape->after > 0 && row < shape->rows; row += together, block += 8) {
        const int32_t below = shape->rows - row;
        for (int32_t pixel = 0; pixel < 4; pixel++) {
            const int8_t *const at = from + row * shape->pitch + 4 * shape->words + pixel * shape->step;
            tc_lane_expand4(tc_lane_strip_rest(at, shape->after, below < together ? below : together, shape->pitch),
                            block + pixel, block + 4 + pixel);
        }
    }
}

/* The same arithmetic in portable C. */
TC_INLINE void tc_lane_strip_row_portable(const int8_t *from, const int32_t *weights, int8_t *output,
                                          const tc_lane_pointwise_job *job, uint32_t groups, uint32_t stride,
                                          const tc_lane_strip_windows *shape, const tc_requant_block *requant)
{
    const tc_lane_job each = {0, stride, job->weights_end, job->last_end, job->block + 8u * groups};
    for (; from != job->input_end; from += 4 * shape->step, output += 4u * stride) {
        tc_lane_strip_expand_portable(from, job->block, shape);
        tc_lane_block_portable(job->block, weights, output, &each, 4, requant);
    }
}

#if TC_DSP_BLOCKS

/* r0 is the first window, r2 walks the block. What is left of a row beyond those in x, `number` rows below them and as many bits higher as they have. */
#define TC_STRIP_JOIN(load, bits, number, pitch) \
    ".if .Ltc_below > " #number "\n\t" \
    load " r4, [r0, #.Ltc_at + " #number " * " #pitch "]\n\t" \
    "orr \\x, \\x, r4, lsl #" #number " * " #bits "\n\t" \
    ".endif\n\t"
#define TC_STRIP_SHARED(load, together, joined, rows, words, step, pitch) \
    ".set .Ltc_below, " #rows "\n\t" \
    ".rept (" #rows " + " #together " - 1) / " #together "\n\t" \
    ".set .Ltc_at, (" #rows " - .Ltc_below) * " #pitch " + 4 * " #words "\n\t" \
    ".irp x, r8, r9, r10, r11\n\t" \
    load " \\x, [r0, #.Ltc_at]\n\t" \
    joined \
    ".set .Ltc_at, .Ltc_at + " #step "\n\t" \
    ".endr\n\t" \
    TC_LANE_EXPAND_WORDS \
    ".set .Ltc_below, .Ltc_below - " #together "\n\t" \
    ".endr\n\t"

#define TC_STRIP_AFTER_0(rows, words, step, pitch)
#define TC_STRIP_AFTER_1(rows, words, step, pitch) \
    TC_STRIP_SHARED("ldrb", 4, TC_STRIP_JOIN("ldrb", 8, 1, pitch) TC_STRIP_JOIN("ldrb", 8, 2, pitch) \
                    TC_STRIP_JOIN("ldrb", 8, 3, pitch), rows, words, step, pitch)
#define TC_STRIP_AFTER_2(rows, words, step, pitch) \
    TC_STRIP_SHARED("ldrh", 2, TC_STRIP_JOIN("ldrh", 16, 1, pitch), rows, words, step, pitch)

#define TC_STRIP_EXPAND(rows, words, after, step, pitch) \
    ".set .Ltc_first, 0\n\t" \
    ".rept " #rows "\n\t" \
    ".set .Ltc_at, .Ltc_first\n\t" \
    ".rept " #words "\n\t" \
    "ldr r8, [r0, #.Ltc_at]\n\t" \
    "ldr r9, [r0, #.Ltc_at + " #step "]\n\t" \
    "ldr r10, [r0, #.Ltc_at + 2 * " #step "]\n\t" \
    "ldr r11, [r0, #.Ltc_at + 3 * " #step "]\n\t" \
    TC_LANE_EXPAND_WORDS \
    ".set .Ltc_at, .Ltc_at + 4\n\t" \
    ".endr\n\t" \
    ".set .Ltc_first, .Ltc_first + " #pitch "\n\t" \
    ".endr\n\t" \
    TC_STRIP_AFTER_##after(rows, words, step, pitch)

#if TC_STRICT_ALIGNMENT
#define TC_STRIP_STRICT(rows_, words_, after_, step_, pitch_, groups, unrolled, stride, ...) \
    if ((((uintptr_t)argument0 | (step_) | (pitch_)) & 3u) != 0u) { \
        static const tc_lane_strip_windows shape = {rows_, words_, after_, step_, pitch_}; \
        static const tc_requant_block requant = TC_REQUANT_BLOCK(__VA_ARGS__); \
        tc_lane_strip_row_portable(argument0, argument1, argument2, argument3, groups, stride, &shape, &requant); \
        return; \
    }
#else
#define TC_STRIP_STRICT(...)
#endif
#define TC_LANE_STRIP_ROW(name, rows, words, after, step, pitch, ...) \
    TC_LANE_CALL(name, TC_STRIP_STRICT(rows, words, after, step, pitch, __VA_ARGS__), \
                 TC_LANE_CALL_PAIRS(TC_STRIP_EXPAND(rows, words, after, step, pitch), "4 * " #step, __VA_ARGS__))
#define TC_LANE_STRIP_ROW_SINGLE(name, rows, words, after, step, pitch, ...) \
    TC_LANE_CALL(name, TC_STRIP_STRICT(rows, words, after, step, pitch, __VA_ARGS__), \
                 TC_LANE_CALL_SINGLE(TC_STRIP_EXPAND(rows, words, after, step, pitch), "4 * " #step, __VA_ARGS__))

#else

#define TC_LANE_STRIP_ROW(name, rows_, words_, after_, step_, pitch_, groups, unrolled, stride, ...) \
    static TC_NOINLINE void name(const int8_t *from, const int32_t *weights, int8_t *output, \
                                 const tc_lane_pointwise_job *job) \
    { \
        static const tc_lane_strip_windows shape = {rows_, words_, after_, step_, pitch_}; \
        static const tc_requant_block requant = TC_REQUANT_BLOCK(__VA_ARGS__); \
        tc_lane_strip_row_portable(from, weights, output, job, groups, stride, &shape, &requant); \
    }
#define TC_LANE_STRIP_ROW_SINGLE TC_LANE_STRIP_ROW

#endif

/* As `tc_lane_strip_s8`, all of whose blocks have 4 pixels of one row. */
TC_INLINE void tc_lane_strip_made_s8(const int8_t *input, int8_t *output, const int32_t *weights, void *scratch,
                                     tc_lane_pointwise *compute, const tc_lane_strip_shape *shape)
{
    const tc_lane_conv2d_shape *const conv = &shape->conv;
    const int32_t channels = conv->output_channels;
    const int32_t window_rows = (conv->kernel_height - 1) * conv->dilation_y + 1;
    uint32_t *const block = (uint32_t *)scratch;
    tc_lane_pointwise_job job = {
        block,
        NULL,
        weights + conv->pair_words * (channels / 2),
        weights + conv->pair_words * ((channels + 1) / 2),
    };
    tc_lane_strip strip;
    strip.rows = (int8_t *)(block + 8 * conv->groups);
    tc_lane_strip_open(&strip, input, shape);
    for (int32_t y = 0; y < 4 * conv->fours / conv->output_width; y++) {
        const int32_t top = y * conv->stride_y;
        if (shape->moves != 0 && top + window_rows > strip.first + shape->rows) {
            tc_lane_strip_fill(&strip, input, tc_lane_strip_move(&strip, top, shape), shape);
        }
        const int8_t *const from = strip.rows + (top - strip.first) * shape->pitch;
        job.input_end = from + conv->output_width * conv->stride_x * conv->input_channels;
        compute(from, weights, output, &job);
        output += conv->output_width * channels;
    }
}

#ifdef __cplusplus
}
#endif

#endif
