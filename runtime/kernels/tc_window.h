/* SPDX-License-Identifier: 0BSD */
/*
 * The geometry of a sliding window: convolution, depthwise convolution and pooling share it.
 */
#ifndef TC_WINDOW_H
#define TC_WINDOW_H

#include <stdbool.h>
#include <stdint.h>

#include "kernels/tc_inline.h"
#include "kernels/tc_requant.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tc_window {
    int32_t input_height;
    int32_t input_width;
    int32_t output_height;
    int32_t output_width;
    int32_t kernel_height;
    int32_t kernel_width;
    int32_t stride_y;
    int32_t stride_x;
    int32_t dilation_y;
    int32_t dilation_x;
    int32_t padding_top;
    int32_t padding_left;
} tc_window;

/* Whether (y, x) is a pixel of the input, not of the padding. */
TC_INLINE bool tc_window_holds(const tc_window *window, int32_t y, int32_t x)
{
    return y >= 0 && y < window->input_height && x >= 0 && x < window->input_width;
}

/* Whether the window whose first pixel is (top, left) lies inside the input completely. */
TC_INLINE bool tc_window_lies_inside(const tc_window *window, int32_t top, int32_t left)
{
    const int32_t bottom = top + (window->kernel_height - 1) * window->dilation_y;
    const int32_t right = left + (window->kernel_width - 1) * window->dilation_x;
    return tc_window_holds(window, top, left) && tc_window_holds(window, bottom, right);
}

/* Whether all windows do: a constant where the geometry is one, so that nothing is left of the code for padding. */
TC_INLINE bool tc_window_is_unpadded(const tc_window *window)
{
    const int32_t top = (window->output_height - 1) * window->stride_y;
    const int32_t left = (window->output_width - 1) * window->stride_x;
    return window->padding_top <= 0 && window->padding_left <= 0 &&
           tc_window_lies_inside(window, top - window->padding_top, left - window->padding_left);
}

/* The taps of a window along one axis that lie inside the input. */
typedef struct tc_taps {
    int32_t first;    /* the first tap */
    int32_t count;    /* may be 0 */
    int32_t position; /* the row or column that the first one reads */
} tc_taps;

/* `origin`: where tap 0 is, perhaps outside; `size` of the input. */
TC_INLINE tc_taps tc_taps_inside(int32_t origin, int32_t taps, int32_t dilation, int32_t size)
{
    tc_taps inside;
    inside.first = origin < 0 ? (-origin + dilation - 1) / dilation : 0;
    inside.position = origin + inside.first * dilation;
    const int32_t end = tc_min(taps, (size - origin + dilation - 1) / dilation);
    inside.count = tc_max(end - inside.first, 0);
    return inside;
}

TC_INLINE tc_taps tc_window_rows(const tc_window *window, int32_t oy)
{
    const int32_t origin = oy * window->stride_y - window->padding_top;
    return tc_taps_inside(origin, window->kernel_height, window->dilation_y, window->input_height);
}

TC_INLINE tc_taps tc_window_columns(const tc_window *window, int32_t ox)
{
    const int32_t origin = ox * window->stride_x - window->padding_left;
    return tc_taps_inside(origin, window->kernel_width, window->dilation_x, window->input_width);
}

#ifdef __cplusplus
}
#endif

#endif
