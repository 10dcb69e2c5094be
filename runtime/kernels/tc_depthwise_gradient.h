/* SPDX-License-Identifier: 0BSD */
/*
 * The gradient of a depthwise convolution's input, with depth multiplier 1, strides up to 2 and windows without gaps. Two channels at a time, in
 * the lanes of words: their scaled gradient with zeros around it, so that no position is at an edge, and their weights.
 *
 * An input at row y takes part in the output rows q, q - 1, ... where q = (y + padding) / stride, through the rows r,
 * r + stride, ... of the window, where r is the rest of that division; columns likewise. So inputs a stride apart have the
 * same weights and outputs beside each other.
 *
 * gradient   [output_height][output_width][channels], int16; two channels or more
 * weights    [kernel_height][kernel_width][channels], int8
 * mantissas  int16 for each channel
 * scratch    int32_t [input_height][input_width][channels], then uint32_t [kernel_height][kernel_width], then the outputs
 *            [rows][columns] with `before_y` rows and `before_x` columns of zeros in front
 */
#ifndef TC_DEPTHWISE_GRADIENT_H
#define TC_DEPTHWISE_GRADIENT_H

#include <stdint.h>

#include "cmsis_shim/tc_simd.h"
#include "kernels/tc_align.h"
#include "kernels/tc_block_float.h"
#include "kernels/tc_inline.h"
#include "kernels/tc_requant_block.h"
#include "kernels/tc_window.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tc_depthwise_gradient_shape {
    tc_window window;
    int32_t channels;
    int32_t shift; /* of a scaled gradient */
    int32_t exponent_change;
    int32_t rows; /* of the outputs with zeros around them */
    int32_t columns;
    int32_t before_y;
    int32_t before_x;
} tc_depthwise_gradient_shape;

/* Two channels' scaled gradients into the middle of zeros. */
TC_INLINE void tc_scale_plane(const int16_t *gradient, uint32_t factors, uint32_t *plane,
                              const tc_depthwise_gradient_shape *shape)
{
    const tc_window *window = &shape->window;
    const int32_t half = (int32_t)1 << (shape->shift - 1);
    plane += shape->before_y * shape->columns + shape->before_x;
    for (int32_t y = 0; y < window->output_height; ++y, plane += shape->columns) {
        for (int32_t x = 0; x < window->output_width; ++x, gradient += shape->channels) {
            const uint32_t values = tc_load4(gradient);
            plane[x] = tc_shifted_lanes(tc_smlabb(values, factors, half), tc_smlatt(values, factors, half), shape->shift);
        }
    }
}

/* Two channels' weights as words. */
TC_INLINE void tc_expand_filters(const int8_t *weights, uint32_t *filters, const tc_depthwise_gradient_shape *shape)
{
    const int32_t taps = shape->window.kernel_height * shape->window.kernel_width;
    for (int32_t i = 0; i < taps; ++i, weights += shape->channels) {
        filters[i] = tc_lanes(weights[0], weights[1]);
    }
}

/* What a block function needs besides its pointers; its assembly knows the order of the fields. */
typedef struct tc_beside_job {
    int32_t rows;  /* of the window */
    int32_t step;  /* bytes from an input's sums to the next one's */
    int32_t count; /* of inputs, a stride apart */
} tc_beside_job;

/* The sums of a row's inputs that have the same columns of the window; the first one's last outputs are at `from`. */
typedef void tc_beside(const uint32_t *from, const uint32_t *filters, int32_t *sums, const tc_beside_job *job);

/* The same arithmetic in portable C; the arguments of TC_BESIDE_BLOCK. */
TC_INLINE void tc_beside_portable(const uint32_t *from, const uint32_t *filters, int32_t *sums, const tc_beside_job *job,
                                  int32_t taps, int32_t apart, int32_t filter_row, int32_t columns)
{
    for (int32_t i = 0; i < job->count; ++i, ++from, sums += job->step / 4) {
        const uint32_t *row = from;
        const uint32_t *filter = filters;
        int32_t first = 0;
        int32_t second = 0;
        for (int32_t t = 0; t < job->rows; ++t, row -= columns, filter += filter_row) {
            for (int32_t u = 0; u < taps; ++u) {
                first = tc_smlabb(row[-u], filter[u * apart], first);
                second = tc_smlatt(row[-u], filter[u * apart], second);
            }
        }
        sums[0] = first;
        sums[1] = second;
    }
}

/*
 *     TC_BESIDE_BLOCK(name, taps, apart, filter_row, columns)
 *
 * defines the block function `name`:
 *
 *     taps        of a row of the window that take part
 *     apart       words from one's filter to the next one's
 *     filter_row  words from a row's filters to those of the next row that takes part
 *     columns     words of a row of outputs with zeros around them
 */
#if TC_DSP_BLOCKS

#define TC_BESIDE_TWO(offset, a, b, c, d) \
    "ldrd r1, r2, [lr, #" offset " - .Ltc_at]\n\t" \
    "smlabb " #a ", r1, r0, " #a "\n\t" \
    "smlatt " #b ", r1, r0, " #b "\n\t" \
    "smlabb " #c ", r2, r0, " #c "\n\t" \
    "smlatt " #d ", r2, r0, " #d "\n\t"

#define TC_BESIDE_STORE(a, b) \
    "strd " #a ", " #b ", [r0]\n\t" \
    "add r0, r0, r1\n\t" \
    "subs r2, r2, #1\n\t" \
    "beq 2f\n\t"

/*
 * r4, r5 are the first input's sums of both channels, r6-r11 those of the three beside it; r12 walks the filters, lr the rows of
 * outputs. Slots: 0 from, 1 filters, 2 sums, 3 step, 4 rows, 5 count.
 */
#define TC_BESIDE_TEXT(taps, apart, filter_row, columns) \
    "ldmia r3, {r4, r5, r6}\n\t" \
    TC_KEEP(r0, 0) \
    TC_KEEP(r1, 1) \
    TC_KEEP(r2, 2) \
    TC_KEEP(r5, 3) \
    TC_KEEP(r4, 4) \
    TC_KEEP(r6, 5) \
    "1:\n\t" /* four inputs */ \
    TC_FETCH(lr, 0) \
    TC_FETCH(r12, 1) \
    TC_FETCH(r3, 4) \
    "mov r4, #0\n\t" \
    "mov r5, #0\n\t" \
    "mov r6, #0\n\t" \
    "mov r7, #0\n\t" \
    "mov r8, #0\n\t" \
    "mov r9, #0\n\t" \
    "mov r10, #0\n\t" \
    "mov r11, #0\n\t" \
    "3:\n\t" /* a row of the window */ \
    ".set .Ltc_at, 0\n\t" \
    ".rept " #taps "\n\t" \
    "ldr r0, [r12, #.Ltc_at * " #apart "]\n\t" \
    TC_BESIDE_TWO("0", r4, r5, r6, r7) \
    TC_BESIDE_TWO("8", r8, r9, r10, r11) \
    ".set .Ltc_at, .Ltc_at + 4\n\t" \
    ".endr\n\t" \
    "addw r12, r12, #4 * " #filter_row "\n\t" \
    "subw lr, lr, #4 * " #columns "\n\t" \
    "subs r3, r3, #1\n\t" \
    "bne 3b\n\t" \
    TC_FETCH_PAIR(r0, r1, 2, 3) \
    TC_FETCH(r2, 5) \
    TC_BESIDE_STORE(r4, r5) \
    TC_BESIDE_STORE(r6, r7) \
    TC_BESIDE_STORE(r8, r9) \
    TC_BESIDE_STORE(r10, r11) \
    TC_KEEP(r0, 2) \
    TC_KEEP(r2, 5) \
    TC_FETCH(r0, 0) \
    "add r0, r0, #16\n\t" \
    TC_KEEP(r0, 0) \
    "b 1b\n" \
    "2:\n\t"

#define TC_BESIDE_BLOCK(name, taps, apart, filter_row, columns) \
    TC_BLOCK_FUNCTION(name, const uint32_t *, const uint32_t *, int32_t *, const tc_beside_job *, \
                      TC_BESIDE_TEXT(taps, apart, filter_row, columns))

#else

#define TC_BESIDE_BLOCK(name, taps, apart, filter_row, columns) \
    static TC_NOINLINE void name(const uint32_t *from, const uint32_t *filters, int32_t *sums, const tc_beside_job *job) \
    { \
        tc_beside_portable(from, filters, sums, job, taps, apart, filter_row, columns); \
    }

#endif

/* The sums of two channels of a row of the input, of which a pixel has `pitch`; `even` and `odd` are for rests 0 and 1 of
 * columns' divisions by the stride. */
TC_INLINE void tc_depthwise_gradient_row(const uint32_t *plane, const uint32_t *filters, int32_t y, int32_t *sums,
                                         int32_t pitch, tc_beside *even, tc_beside *odd,
                                         const tc_depthwise_gradient_shape *shape)
{
    const tc_window *window = &shape->window;
    const int32_t q = (y + window->padding_top) / window->stride_y;
    const int32_t r = (y + window->padding_top) % window->stride_y;
    const uint32_t *const row = plane + (q + shape->before_y) * shape->columns + shape->before_x;
    tc_beside_job job;
    job.rows = (window->kernel_height - r + window->stride_y - 1) / window->stride_y;
    job.step = 4 * window->stride_x * pitch;
    for (int32_t rest = 0; rest < window->stride_x; ++rest) {
        const int32_t before = rest - window->padding_left % window->stride_x;
        const int32_t x = before < 0 ? before + window->stride_x : before;
        job.count = (window->input_width - x + window->stride_x - 1) / window->stride_x;
        if (job.count > 0 && job.rows > 0) {
            (rest == 0 ? even : odd)(row + (x + window->padding_left) / window->stride_x,
                                     filters + r * window->kernel_width + rest, sums + x * pitch, &job);
        }
    }
}

TC_INLINE void tc_depthwise_gradient(const int16_t *gradient, const int32_t *exponent, const int8_t *weights,
                                     int16_t *output, int32_t *output_exponent, const int16_t *mantissas, void *scratch,
                                     tc_beside *even, tc_beside *odd, const tc_depthwise_gradient_shape *shape)
{
    const tc_window *window = &shape->window;
    const int32_t pixels = window->input_height * window->input_width;
    int32_t *const sums = (int32_t *)scratch;
    uint32_t *const filters = (uint32_t *)(sums + pixels * shape->channels);
    uint32_t *const plane = filters + window->kernel_height * window->kernel_width;
    for (int32_t i = 0; i < shape->rows * shape->columns; ++i) {
        plane[i] = 0u;
    }
    for (int32_t pair = 0; pair < shape->channels; pair += 2) {
        const int32_t channel = tc_min(pair, shape->channels - 2);
        tc_scale_plane(gradient + channel, tc_load4(mantissas + channel), plane, shape);
        tc_expand_filters(weights + channel, filters, shape);
        for (int32_t y = 0; y < window->input_height; ++y) {
            int32_t *const row = sums + y * window->input_width * shape->channels + channel;
            tc_depthwise_gradient_row(plane, filters, y, row, shape->channels, even, odd, shape);
        }
    }
    tc_renormalize(sums, output, pixels * shape->channels, *exponent + shape->exponent_change, output_exponent);
}

#ifdef __cplusplus
}
#endif

#endif
