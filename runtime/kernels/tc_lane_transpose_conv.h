/* SPDX-License-Identifier: 0BSD */
/*
 * Transposed convolution by the byte-lane product, without products with the zeros between the inputs.
 *
 * With a stride s the output is s x s images, its phases: output positions that are equal modulo s in both directions.
 * Each phase is a convolution with stride 1 by a part of the kernel, written s pixels apart. Phases that read the same
 * windows share their expansion: they are a class. A turn computes a row of every phase, so s rows of the output.
 */
#ifndef TC_LANE_TRANSPOSE_CONV_H
#define TC_LANE_TRANSPOSE_CONV_H

#include <stdint.h>

#include "kernels/tc_inline.h"
#include "kernels/tc_lane_conv2d.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TC_LANE_PHASES 16
#define TC_LANE_CLASSES 9

/* Phases that read the same windows. `window` is about a row of one of them: what it needs of inputs and weights. */
typedef struct tc_lane_phases {
    tc_lane_conv2d_shape window;
    int32_t rows;
    int32_t count;
    int32_t offset[TC_LANE_PHASES];  /* of a phase's first output, in bytes */
    int32_t weights[TC_LANE_PHASES]; /* where its weights begin, in words */
} tc_lane_phases;

typedef struct tc_lane_transpose_conv_shape {
    int32_t turns;
    int32_t turn_bytes;  /* of the output, from a phase's row to its next */
    int32_t pixel_bytes; /* from a phase's pixel to its next */
    int32_t count;
    tc_lane_phases classes[TC_LANE_CLASSES];
} tc_lane_transpose_conv_shape;

/* All phases of a class for a block of pixels; the first `kept` of them are written, `output` is where the first lies. */
TC_INLINE void tc_lane_phases_compute(const uint32_t *block, const int32_t *weights, int8_t *output, int8_t *after,
                                      int32_t pixels, int32_t kept, int32_t pixel_bytes, tc_lane_block *compute,
                                      const tc_lane_phases *phases)
{
    const int32_t channels = phases->window.output_channels;
    const int32_t apart = tc_lane_stride(&phases->window);
    for (int32_t phase = 0; phase < phases->count; phase++) {
        const int32_t *const own = weights + phases->weights[phase];
        int8_t *const to = output + phases->offset[phase];
        tc_lane_job job = tc_lane_conv2d_job(own, block, pixels, &phases->window);
        if (channels > 1 && kept == pixels) {
            job.stride = (uint32_t)pixel_bytes;
            compute(block, own, to, &job);
            continue;
        }
        compute(block, own, after, &job);
        for (int32_t pixel = 0; pixel < kept; pixel++) {
            tc_memcpy(to + pixel * pixel_bytes, after + pixel * apart, (uint32_t)channels);
        }
    }
}

/* `count` blocks of `pixels` pixels of a row; returns the position after them. */
TC_INLINE int32_t tc_lane_phases_blocks(const tc_lane_position *row, int32_t x, const int32_t *weights, uint32_t *block,
                                        int8_t *after, int32_t pixels, int32_t count, int32_t pixel_bytes,
                                        tc_lane_block *compute, const tc_lane_phases *phases)
{
    const tc_lane_conv2d_shape *const window = &phases->window;
    for (int32_t i = 0; i < count; i++, x += pixels) {
        if (window->gathers != 0) {
            tc_lane_expand_windows(row->input, row->y, x, (uint32_t)pixels, after, block, window);
        } else {
            const int8_t *const from = row->input + (row->y * window->input_width + x) * window->input_channels;
            const uint32_t depth = (uint32_t)window->input_channels;
            tc_lane_expand(from, depth, depth, (uint32_t)pixels, block);
        }
        tc_lane_phases_compute(block, weights, row->output + x * pixel_bytes, after, pixels, pixels, pixel_bytes, compute,
                               phases);
    }
    return x;
}

/* A row of every phase of a class. */
TC_INLINE void tc_lane_phases_row(const tc_lane_position *row, const int32_t *weights, uint32_t *block,
                                  int32_t pixel_bytes, tc_lane_block *four, tc_lane_block *three,
                                  const tc_lane_phases *phases)
{
    const tc_lane_conv2d_shape *const window = &phases->window;
    int8_t *const after = (int8_t *)(block + (window->fours > 0 ? 8 : 6) * window->groups);
    int32_t x = 0;
    if (window->fours > 0) {
        x = tc_lane_phases_blocks(row, x, weights, block, after, 4, window->fours, pixel_bytes, four, phases);
    }
    if (window->threes > 0) {
        x = tc_lane_phases_blocks(row, x, weights, block, after, 3, window->threes, pixel_bytes, three, phases);
    }
    if (window->rest > 0) {
        tc_lane_position at = {row->input, row->output + x * pixel_bytes, row->y, x};
        if (window->gathers == 0) {
            at.input += (row->y * window->input_width + x) * window->input_channels;
        }
        tc_lane_conv2d_expand_rest(&at, block, after, window);
        tc_lane_phases_compute(block, weights, at.output, after, 3, window->rest, pixel_bytes, three, phases);
    }
}

/* `four` and `three` are block functions; those that aren't needed may be null. */
TC_INLINE void tc_lane_transpose_conv_s8(const int8_t *input, int8_t *output, const int32_t *weights, void *scratch,
                                         tc_lane_block *four, tc_lane_block *three,
                                         const tc_lane_transpose_conv_shape *shape)
{
    tc_lane_position row = {input, output, 0, 0};
    for (; row.y < shape->turns; row.y++, row.output += shape->turn_bytes) {
#if defined(__GNUC__)
#pragma GCC unroll 9
#endif
        for (int32_t i = 0; i < shape->count; i++) {
            if (row.y < shape->classes[i].rows) {
                tc_lane_phases_row(&row, weights, (uint32_t *)scratch, shape->pixel_bytes, four, three,
                                   &shape->classes[i]);
            }
        }
    }
}

#ifdef __cplusplus
}
#endif

#endif
