/* SPDX-License-Identifier: 0BSD */
/*
 * Convolution and fully connected layers by Helium, in blocks of 2 pixels x 4 channels (tc_mve_block.h).
 *
 * input    [input_height][input_width][input_channels], int8
 * output   [output_height][output_width][output_channels], int8
 * stream   as in tc_mve_block.h
 * scratch  two windows and 16 bytes, unless all are read in the image, and the results of two pixels where a sum comes after
 *          the layer; the results of `together` pixels read in the image are in the same place
 *
 * Windows that lie inside the image are read where they are, together with bytes behind each of their rows, whose weights
 * are 0. Others, and those where that would be beyond the image's end, are copied to scratch first, padding written out.
 * Pixels are computed in order, by twos.
 */
#ifndef TC_MVE_CONV2D_H
#define TC_MVE_CONV2D_H

#include <stdbool.h>

#include "kernels/tc_mve.h"
#include "kernels/tc_mve_after.h"
#include "kernels/tc_mve_block.h"
#include "kernels/tc_window.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tc_mve_conv2d_shape {
    tc_window window;
    int32_t input_channels;
    int32_t output_channels;
    int32_t input_zero_point;
    bool in_image;        /* windows may be read there */
    int32_t row_bytes;    /* that are read of each of a window's rows */
    int32_t spacing;      /* of a copied window's rows */
    int32_t window_bytes; /* of a copied window */
    int32_t results;      /* where they are in the scratch, behind copied windows, if a sum comes after the layer */
    int32_t together;     /* pixels at a time then, an even number */
    int32_t passes;       /* over 8 channels of a last, single pixel */
    int32_t rest;         /* words of the stream before its other channels */
    tc_mve_job image;     /* for pairs in the image */
    tc_mve_job copy;      /* for copied pairs */
    tc_mve_job row;       /* for these passes */
    tc_mve_job single;    /* for these other channels, a pixel being both of a pair */
} tc_mve_conv2d_shape;

/* Copies the window whose first pixel is (top, left), padding written out. */
TC_INLINE void tc_mve_window(const int8_t *input, int32_t top, int32_t left, int8_t *output,
                             const tc_mve_conv2d_shape *shape)
{
    const tc_window *window = &shape->window;
    const int32_t depth = shape->input_channels;
    const int32_t row_bytes = window->kernel_width * depth;
    const int32_t step = window->dilation_y * window->input_width * depth;
    const int8_t padding = (int8_t)shape->input_zero_point;
    if (window->dilation_x == 1 && (tc_window_is_unpadded(window) || tc_window_lies_inside(window, top, left))) {
        const int32_t first = (top * window->input_width + left) * depth;
        const int32_t left_bytes = window->input_height * window->input_width * depth - first;
        const bool is_short = row_bytes <= 16 && (window->kernel_height - 1) * step + 16 <= left_bytes;
        input += first;
        for (int32_t ky = 0; ky < window->kernel_height; ky++) {
            if (is_short) {
                tc_mve_copy16(input, output); /* the next row overwrites what is too much */
            } else {
                tc_mve_copy(input, (uint32_t)row_bytes, output);
            }
            input += step;
            output += shape->spacing;
        }
        return;
    }
    for (int32_t ky = 0; ky < window->kernel_height; ky++, output += shape->spacing) {
        const int32_t y = top + ky * window->dilation_y;
        const int8_t *row = input + (y * window->input_width + left) * depth;
        if (y < 0 || y >= window->input_height) {
            tc_mve_fill(padding, (uint32_t)row_bytes, output);
        } else if (window->dilation_x > 1) {
            for (int32_t kx = 0; kx < window->kernel_width; kx++) {
                const int32_t x = left + kx * window->dilation_x;
                if (x < 0 || x >= window->input_width) {
                    tc_mve_fill(padding, (uint32_t)depth, output + kx * depth);
                } else {
                    tc_mve_copy(row + kx * window->dilation_x * depth, (uint32_t)depth, output + kx * depth);
                }
            }
        } else {
            const int32_t before = tc_clamp(-left, 0, window->kernel_width);
            const int32_t inside = tc_clamp(window->input_width - left, before, window->kernel_width) - before;
            tc_mve_fill(padding, (uint32_t)row_bytes, output);
            tc_mve_copy(row + before * depth, (uint32_t)(inside * depth), output + before * depth);
        }
    }
}

/* How many windows from output (oy, ox) on can be read in the image. */
TC_INLINE int32_t tc_mve_inside(int32_t oy, int32_t ox, const tc_mve_conv2d_shape *shape)
{
    const tc_window *window = &shape->window;
    const int32_t top = oy * window->stride_y - window->padding_top;
    const int32_t left = ox * window->stride_x - window->padding_left;
    const int32_t bottom = top + (window->kernel_height - 1) * window->dilation_y;
    if (!shape->in_image || top < 0 || left < 0 || bottom >= window->input_height) {
        return 0;
    }
    const int32_t step = window->stride_x * shape->input_channels;
    const int32_t columns = window->input_width - window->kernel_width - left;
    const int32_t end = window->input_height * window->input_width * shape->input_channels - shape->row_bytes;
    const int32_t room = end - (bottom * window->input_width + left) * shape->input_channels;
    if (columns < 0 || room < 0) {
        return 0;
    }
    return tc_min(tc_min(columns / window->stride_x, room / step) + 1, window->output_width - ox);
}

/* The last pixel, where their number is odd. */
TC_INLINE void tc_mve_last_pixel(const int8_t *x, const int32_t *stream, int8_t *output, tc_mve_block *pairs,
                                 tc_mve_block *row, const tc_mve_conv2d_shape *shape)
{
    if (shape->passes > 0) {
        row(x, stream, output, &shape->row, shape->passes);
    }
    if (shape->single.lanes > 0) {
        pairs(x, stream + shape->rest, output + 8 * shape->passes, &shape->single, 1);
    }
}

/* With the operator behind the layer; `other` is what it reads beside the layer's results. */
TC_INLINE void tc_mve_conv2d_s8_and(const int8_t *input, const int8_t *other, int8_t *output, const int32_t *stream,
                                    void *scratch, tc_mve_block *pairs, tc_mve_block *row,
                                    const tc_mve_conv2d_shape *shape, const tc_after *after)
{
    int8_t *const windows = (int8_t *)scratch;
    const tc_window *window = &shape->window;
    const bool waits = after->kind == TC_AFTER_SUM; /* with a tensor that may be where the output is */
    int32_t oy = 0;
    int32_t ox = 0;
    for (int32_t left = window->output_height * window->output_width; left > 0;) {
        const int32_t inside = tc_mve_inside(oy, ox, shape);
        const bool last_rows = left == 1 && shape->image.step != 0; /* which `single` doesn't step along */
        const bool copies = last_rows || inside < tc_min(left, 2);
        const int32_t most = waits ? tc_min(left, shape->together) : left;
        const int32_t count = copies || inside < 2 ? tc_min(left, 2) : tc_min(inside, most) & ~1;
        const int8_t *x = windows;
        if (!copies) {
            const int32_t top = oy * window->stride_y - window->padding_top;
            x = input + (top * window->input_width + ox * window->stride_x - window->padding_left) * shape->input_channels;
        }
        for (int32_t i = 0; i < count; i += copies ? 1 : count) {
            if (copies) {
                tc_mve_window(input, oy * window->stride_y - window->padding_top,
                              ox * window->stride_x - window->padding_left, windows + i * shape->window_bytes, shape);
            }
            ox += copies ? 1 : count;
            if (ox == window->output_width) {
                ox = 0;
                oy++;
            }
        }
        int8_t *to = !waits ? output : copies ? windows + shape->results : windows;
        if (count == 1) {
            tc_mve_last_pixel(x, stream, to, pairs, row, shape);
        } else {
            pairs(x, stream, to, copies ? &shape->copy : &shape->image, count / 2);
        }
        if (after->kind != TC_AFTER_NOTHING) {
            tc_mve_after(to, other, output, count * shape->output_channels, after);
        }
        output += count * shape->output_channels;
        other = tc_after_at(other, count * shape->output_channels, after);
        left -= count;
    }
}

TC_INLINE void tc_mve_conv2d_s8(const int8_t *input, int8_t *output, const int32_t *stream, void *scratch,
                                tc_mve_block *pairs, tc_mve_block *row, const tc_mve_conv2d_shape *shape)
{
    static const tc_after nothing = TC_NOTHING_AFTER;
    tc_mve_conv2d_s8_and(input, NULL, output, stream, scratch, pairs, row, shape, &nothing);
}

#ifdef __cplusplus
}
#endif

#endif
