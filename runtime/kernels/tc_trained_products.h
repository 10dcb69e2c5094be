/* SPDX-License-Identifier: 0BSD */
/*
 * Convolutions and fully connected layers whose weights are in RAM, as the model has them: nothing of them is prepared but
 * what a product needs, so that they may differ from one call to the next. Three positions times two output channels, 6 sums in
 * registers, 21 instructions for 24 multiply-accumulates:
 *
 *     TC_TRAINED_PRODUCTS(name, pitch)   defines the block function, `pitch` bytes from a channel's weights to the next one's
 *
 * input       [input_height][input_width][input_channels], int8; input_channels is a multiple of 4
 * weights     [output_channels][kernel_height][kernel_width][input_channels], int8; two channels or more
 * bias        int32 [output_channels]
 * parameters  per channel: start, then the requantisation (tc_requant_block.h)
 * scratch     int32_t [output_channels], then the windows of three positions as words of two inputs minus the zero point: per
 *             4 inputs a word of inputs 0 and 2 of each position, then a word of 1 and 3 of each
 */
#ifndef TC_TRAINED_PRODUCTS_H
#define TC_TRAINED_PRODUCTS_H

#include <stddef.h>
#include <stdint.h>

#include "cmsis_shim/tc_simd.h"
#include "kernels/tc_added_bias.h"
#include "kernels/tc_align.h"
#include "kernels/tc_inline.h"
#include "kernels/tc_lane_block.h"
#include "kernels/tc_requant_block.h"
#include "kernels/tc_window.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What a block function needs besides its pointers; its assembly knows the order of the fields. */
typedef struct tc_trained_job {
    const uint32_t *x_end;
    uint32_t entry; /* how many groups of 4 inputs the first round of a loop over 4 of them has */
} tc_trained_job;

/* sums: of the first channel for each position, then of the second one. */
typedef void tc_trained_products(const uint32_t *x, const int8_t *weights, int32_t *sums, const tc_trained_job *job);

TC_INLINE void tc_trained_products_portable(const uint32_t *x, const int8_t *weights, int32_t *sums,
                                            const tc_trained_job *job, uint32_t pitch)
{
    for (uint32_t i = 0; i < 6u; i++) {
        sums[i] = 0;
    }
    for (; x != job->x_end; x += 6, weights += 4) {
        for (uint32_t channel = 0; channel < 2u; channel++) {
            const uint32_t bytes = tc_load4(weights + channel * pitch);
            for (uint32_t i = 0; i < 3u; i++) {
                int32_t *const sum = sums + 3u * channel + i;
                *sum = tc_smlad(tc_sxtb16(bytes, 0), x[i], *sum);
                *sum = tc_smlad(tc_sxtb16(bytes, 8), x[3u + i], *sum);
            }
        }
    }
}

#if TC_DSP_BLOCKS

#define TC_TRAINED_GROUP(pitch) \
    "ldr r1, [r12, #" #pitch "]\n\t" \
    "ldr r0, [r12], #4\n\t" \
    "ldrd r2, r3, [lr], #8\n\t" \
    "sxtb16 r10, r0\n\t" \
    "sxtb16 r11, r1\n\t" \
    "smlad r4, r10, r2, r4\n\t" \
    "smlad r7, r11, r2, r7\n\t" \
    "smlad r5, r10, r3, r5\n\t" \
    "smlad r8, r11, r3, r8\n\t" \
    "ldrd r2, r3, [lr], #8\n\t" \
    "sxtb16 r0, r0, ror #8\n\t" \
    "sxtb16 r1, r1, ror #8\n\t" \
    "smlad r6, r10, r2, r6\n\t" \
    "smlad r9, r11, r2, r9\n\t" \
    "smlad r4, r0, r3, r4\n\t" \
    "smlad r7, r1, r3, r7\n\t" \
    "ldrd r2, r3, [lr], #8\n\t" \
    "smlad r5, r0, r2, r5\n\t" \
    "smlad r8, r1, r2, r8\n\t" \
    "smlad r6, r0, r3, r6\n\t" \
    "smlad r9, r1, r3, r9\n\t"

/* r4-r6 are the first channel's sums, r7-r9 the second one's; r12 walks the weights, lr the positions. Slots: 1 entry into the
 * loop, 2 sums, 5 end of x. */
#define TC_TRAINED_TEXT(pitch) \
    "ldrd r4, r5, [r3]\n\t" \
    TC_KEEP(r5, 1) \
    TC_KEEP(r2, 2) \
    TC_KEEP(r4, 5) \
    "mov lr, r0\n\t" \
    "mov r12, r1\n\t" \
    "mov r4, #0\n\t" \
    "mov r5, #0\n\t" \
    "mov r6, #0\n\t" \
    "mov r7, #0\n\t" \
    "mov r8, #0\n\t" \
    "mov r9, #0\n\t" \
    TC_LANE_LOOP(r0, TC_TRAINED_GROUP(pitch), TC_FETCH(r0, 5) "cmp lr, r0\n\t") \
    TC_FETCH(r0, 2) \
    "stmia r0, {r4-r9}\n\t"

#if TC_STRICT_ALIGNMENT
#define TC_TRAINED_PRODUCTS(name, pitch) \
    TC_BLOCK_FUNCTION(name##_aligned, const uint32_t *, const int8_t *, int32_t *, const tc_trained_job *, \
                      TC_TRAINED_TEXT(pitch)) \
    static TC_NOINLINE void name(const uint32_t *x, const int8_t *weights, int32_t *sums, const tc_trained_job *job) \
    { \
        if (((uintptr_t)weights & 3u) == 0u) { \
            name##_aligned(x, weights, sums, job); \
        } else { \
            tc_trained_products_portable(x, weights, sums, job, pitch); \
        } \
    }
#else
#define TC_TRAINED_PRODUCTS(name, pitch) \
    TC_BLOCK_FUNCTION(name, const uint32_t *, const int8_t *, int32_t *, const tc_trained_job *, TC_TRAINED_TEXT(pitch))
#endif

#else

#define TC_TRAINED_PRODUCTS(name, pitch) \
    static TC_NOINLINE void name(const uint32_t *x, const int8_t *weights, int32_t *sums, const tc_trained_job *job) \
    { \
        tc_trained_products_portable(x, weights, sums, job, pitch); \
    }

#endif

typedef struct tc_trained_shape {
    tc_window window;
    int32_t input_channels;
    int32_t output_channels;
    int32_t zero_point;
    int32_t left; /* by how many bits sums are shifted for the requantisation */
    tc_added_bias added;
    tc_requant_block requant;
} tc_trained_shape;

/* Inputs of a tap to its place in the windows of three positions; null for the padding. */
TC_INLINE void tc_trained_expand(const int8_t *pixel, uint32_t *x, const tc_trained_shape *shape)
{
    const uint32_t offset = tc_lanes(-shape->zero_point, -shape->zero_point);
    for (int32_t i = 0; i < shape->input_channels; i += 4, x += 6) {
        const uint32_t bytes = pixel == NULL ? 0u : tc_load4(pixel + i);
        x[0] = pixel == NULL ? 0u : tc_sxtab16(offset, bytes, 0);
        x[3] = pixel == NULL ? 0u : tc_sxtab16(offset, bytes, 8);
    }
}

/* The window of an output position as one of three. */
TC_INLINE void tc_trained_window(const int8_t *input, int32_t oy, int32_t ox, uint32_t *x, const tc_trained_shape *shape)
{
    const tc_window *window = &shape->window;
    const int32_t top = oy * window->stride_y - window->padding_top;
    const int32_t left = ox * window->stride_x - window->padding_left;
    for (int32_t j = 0; j < window->kernel_height; ++j) {
        for (int32_t i = 0; i < window->kernel_width; ++i) {
            const int32_t row = top + j * window->dilation_y;
            const int32_t column = left + i * window->dilation_x;
            const int8_t *const pixel = input + (row * window->input_width + column) * shape->input_channels;
            tc_trained_expand(tc_window_holds(window, row, column) ? pixel : NULL, x, shape);
            x += shape->input_channels / 4 * 6;
        }
    }
}

/* The sums of one position, the first of three, and of two channels. */
static TC_NOINLINE void tc_trained_single(const uint32_t *x, const int8_t *weights, int32_t *sums, uint32_t pitch,
                                          const uint32_t *end)
{
    int32_t first = 0;
    int32_t second = 0;
    for (; x != end; x += 6, weights += 4) {
        const uint32_t a = tc_load4(weights);
        const uint32_t b = tc_load4(weights + pitch);
        first = tc_smlad(tc_sxtb16(a, 0), x[0], first);
        second = tc_smlad(tc_sxtb16(b, 0), x[0], second);
        first = tc_smlad(tc_sxtb16(a, 8), x[3], first);
        second = tc_smlad(tc_sxtb16(b, 8), x[3], second);
    }
    sums[0] = first;
    sums[3] = second;
}

/* Requantises the sums of `count` positions and a channel. */
TC_INLINE void tc_trained_outputs(const int32_t *sums, int32_t start, const int32_t *parameters, int8_t *output,
                                  int32_t count, const tc_trained_shape *shape)
{
    for (int32_t i = 0; i < count; ++i) {
        const int32_t a = (int32_t)(((uint32_t)sums[i] << shape->left) + (uint32_t)start);
        output[i * shape->output_channels] = tc_requantize_block(a, parameters, &shape->requant);
    }
}

/* The outputs of `count` channels, two or more, whose weights, biases, parameters and first output these are; `bias` may be
 * null. starts: int32_t [count]; x: the windows of three positions. */
TC_INLINE void tc_trained_channels(const int8_t *input, const int8_t *weights, const int32_t *bias, int8_t *output,
                                   const int32_t *parameters, int32_t *starts, uint32_t *x, int32_t count,
                                   tc_trained_products *products, const tc_trained_shape *shape)
{
    const tc_window *window = &shape->window;
    const int32_t size = window->kernel_height * window->kernel_width * shape->input_channels;
    const int32_t positions = window->output_height * window->output_width;
    const int32_t words = 1 + (int32_t)tc_requant_block_words(&shape->requant);
    const tc_trained_job job = {x + size / 4 * 6, (uint32_t)((size / 4 - 1) % 4 + 1)};
    for (int32_t i = 0; i < count; ++i) {
        starts[i] = tc_with_bias(parameters[i * words], bias == NULL ? 0 : bias[i], shape->added);
    }
    for (int32_t at = 0; at < positions; at += 3, output += 3 * shape->output_channels) {
        const int32_t beside = tc_min(3, positions - at);
        for (int32_t i = 0; i < beside; ++i) {
            tc_trained_window(input, (at + i) / window->output_width, (at + i) % window->output_width, x + i, shape);
        }
        for (int32_t pair = 0; pair < count; pair += 2) {
            const int32_t channel = tc_min(pair, count - 2);
            const int8_t *const filters = weights + channel * size;
            int32_t sums[6];
            if (beside == 1) {
                tc_trained_single(x, filters, sums, (uint32_t)size, job.x_end);
            } else {
                products(x, filters, sums, &job);
            }
            for (int32_t i = 0; i < 2; ++i) {
                const int32_t own = channel + i;
                tc_trained_outputs(sums + 3 * i, starts[own], parameters + own * words + 1, output + own, beside, shape);
            }
        }
    }
}

/* `bias` may be null. */
TC_INLINE void tc_trained_layer(const int8_t *input, const int8_t *weights, const int32_t *bias, int8_t *output,
                                const int32_t *parameters, void *scratch, tc_trained_products *products,
                                const tc_trained_shape *shape)
{
    int32_t *const starts = (int32_t *)scratch;
    uint32_t *const x = (uint32_t *)(starts + shape->output_channels);
    tc_trained_channels(input, weights, bias, output, parameters, starts, x, shape->output_channels, products, shape);
}

#ifdef __cplusplus
}
#endif

#endif
