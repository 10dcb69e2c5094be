/* SPDX-License-Identifier: 0BSD */
/*
 * Layers that are executed together: row by row, keeping the newest rows of a tensor in a line buffer, at its end; or
 * patch by patch, a patch being some rows and columns of a tensor that may reach outside it. Sizes are in pixels (all
 * channels of one position) of `pixel` bytes.
 */
#ifndef TC_STREAM_H
#define TC_STREAM_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "kernels/tc_align.h"
#include "kernels/tc_inline.h"

#ifdef __cplusplus
extern "C" {
#endif

/* How often a layer has had its turn before this tick, if it has one: at `phase`, then every `period` ticks. Else -1. */
TC_INLINE int32_t tc_turn(int32_t tick, int32_t phase, int32_t period, int32_t turns)
{
    const int32_t since = tick - phase;
    return since >= 0 && since % period == 0 && since / period < turns ? since / period : -1;
}

/* Makes room at the end of a line buffer: all but the oldest `made` bytes move to its front. */
TC_INLINE void tc_move_lines(void *lines, uint32_t bytes, uint32_t made)
{
    tc_move_down((uint8_t *)lines, (uint8_t *)lines + made, bytes - made);
}

/* Rows [first, first + rows) of an image: in place if all are inside, else copied, with `fill` for those outside. */
TC_INLINE const void *tc_rows(const void *image, int32_t height, uint32_t row_bytes, int32_t first, int32_t rows,
                                 int32_t fill, void *copy)
{
    if (first >= 0 && first + rows <= height) {
        return (const uint8_t *)image + (uint32_t)first * row_bytes;
    }
    for (int32_t row = 0; row < rows; row++) {
        uint8_t *const to = (uint8_t *)copy + (uint32_t)row * row_bytes;
        if (first + row >= 0 && first + row < height) {
            tc_memcpy(to, (const uint8_t *)image + (uint32_t)(first + row) * row_bytes, row_bytes);
        } else {
            memset(to, fill, row_bytes);
        }
    }
    return copy;
}

/* Rows [y, y + rows) and columns [x, x + columns) of an image, copied, with `fill` for those outside. */
TC_INLINE const void *tc_gather(const void *image, int32_t height, int32_t width, uint32_t pixel, int32_t y,
                                   int32_t rows, int32_t x, int32_t columns, int32_t fill, void *copy)
{
    const int32_t left = x < 0 ? (-x < columns ? -x : columns) : 0;
    const int32_t end = x + columns < width ? columns : (width - x > left ? width - x : left);
    const uint32_t bytes = (uint32_t)(end - left) * pixel;
    for (int32_t row = 0; row < rows; row++) {
        uint8_t *const to = (uint8_t *)copy + (uint32_t)(row * columns) * pixel;
        if (y + row < 0 || y + row >= height) {
            memset(to, fill, (uint32_t)columns * pixel);
            continue;
        }
        memset(to, fill, (uint32_t)left * pixel);
        if (bytes > 0) {
            tc_memcpy(to + (uint32_t)left * pixel, (const uint8_t *)image + (uint32_t)((y + row) * width + x + left) * pixel, bytes);
        }
        memset(to + (uint32_t)end * pixel, fill, (uint32_t)(columns - end) * pixel);
    }
    return copy;
}

/* Columns [x, x + columns) of a patch that is `width` wide, copied. */
TC_INLINE const void *tc_crop(const void *patch, int32_t width, uint32_t pixel, int32_t rows, int32_t x,
                                 int32_t columns, void *copy)
{
    for (int32_t row = 0; row < rows; row++) {
        tc_memcpy((uint8_t *)copy + (uint32_t)(row * columns) * pixel,
                  (const uint8_t *)patch + (uint32_t)(row * width + x) * pixel,
                  (uint32_t)columns * pixel);
    }
    return copy;
}

/* The patch's first pixel is (y, x) of an image: fills what lies outside the image. */
TC_INLINE void tc_fill_outside(void *patch, int32_t rows, int32_t columns, uint32_t pixel, int32_t y, int32_t height,
                               int32_t x, int32_t width, int32_t fill)
{
    const int32_t left = x < 0 ? (-x < columns ? -x : columns) : 0;
    const int32_t end = x + columns < width ? columns : (width - x > left ? width - x : left);
    for (int32_t row = 0; row < rows; row++) {
        uint8_t *const line = (uint8_t *)patch + (uint32_t)(row * columns) * pixel;
        if (y + row < 0 || y + row >= height) {
            memset(line, fill, (uint32_t)columns * pixel);
        } else if (left > 0 || end < columns) {
            memset(line, fill, (uint32_t)left * pixel);
            memset(line + (uint32_t)end * pixel, fill, (uint32_t)(columns - end) * pixel);
        }
    }
}

/* Copies a patch to (y, x) of an image, but for what lies below or to the right of it. */
TC_INLINE void tc_put(void *image, int32_t height, int32_t width, uint32_t pixel, int32_t y, int32_t rows, int32_t x,
                      int32_t columns, const void *patch)
{
    const int32_t inside = x + columns < width ? columns : width - x;
    for (int32_t row = 0; row < rows && y + row < height; row++) {
        tc_memcpy((uint8_t *)image + (uint32_t)((y + row) * width + x) * pixel,
                  (const uint8_t *)patch + (uint32_t)(row * columns) * pixel,
                  (uint32_t)inside * pixel);
    }
}

#ifdef __cplusplus
}
#endif

#endif
