/* SPDX-License-Identifier: 0BSD */
/*
 * What is under a window, side by side: int8 images [input_height][input_width][channels].
 */
#ifndef TC_PATCH_H
#define TC_PATCH_H

#include <stdint.h>
#include <string.h>

#include "kernels/tc_align.h"
#include "kernels/tc_inline.h"
#include "kernels/tc_window.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * What `depth` channels, of which `image` is the first, have in the window of an output, in the order of the weights;
 * positions outside of the image are `fill`.
 */
TC_INLINE void tc_patch(const int8_t *image, int8_t *patch, int32_t oy, int32_t ox, int32_t fill,
                        const tc_window *window, int32_t channels, int32_t depth)
{
    const int32_t row_bytes = window->kernel_width * depth;
    const int32_t left = ox * window->stride_x - window->padding_left;
    const tc_taps columns = tc_window_columns(window, ox);
    const int whole = channels == depth && window->dilation_x == 1 && columns.count == window->kernel_width;
    for (int32_t i = 0; i < window->kernel_height; ++i, patch += row_bytes) {
        const int32_t y = oy * window->stride_y - window->padding_top + i * window->dilation_y;
        const int inside = y >= 0 && y < window->input_height;
        if (inside && whole) {
            tc_memcpy(patch, image + (y * window->input_width + left) * depth, (uint32_t)row_bytes);
            continue;
        }
        memset(patch, fill, (uint32_t)row_bytes);
        for (int32_t j = 0; inside && j < columns.count; ++j) {
            const int32_t x = columns.position + j * window->dilation_x;
            const int8_t *pixel = image + (y * window->input_width + x) * channels;
            tc_memcpy(patch + (columns.first + j) * depth, pixel, (uint32_t)depth);
        }
    }
}

#ifdef __cplusplus
}
#endif

#endif
