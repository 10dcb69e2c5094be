/*
 * Layers that are executed row by row keep the newest rows of a tensor in a line buffer, at its end.
 */
#ifndef TC_STREAM_H
#define TC_STREAM_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

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
TC_INLINE void tc_move_lines(uint8_t *lines, uint32_t bytes, uint32_t made)
{
    memmove(lines, lines + made, bytes - made);
}

/* Rows [first, first + rows) of an image: in place if all are inside, else copied, with `fill` for those outside. */
TC_INLINE const uint8_t *tc_rows(const uint8_t *image, int32_t height, uint32_t row_bytes, int32_t first, int32_t rows,
                                 int32_t fill, uint8_t *copy)
{
    if (first >= 0 && first + rows <= height) {
        return image + (uint32_t)first * row_bytes;
    }
    for (int32_t row = 0; row < rows; row++) {
        uint8_t *const to = copy + (uint32_t)row * row_bytes;
        if (first + row >= 0 && first + row < height) {
            memcpy(to, image + (uint32_t)(first + row) * row_bytes, row_bytes);
        } else {
            memset(to, fill, row_bytes);
        }
    }
    return copy;
}

#ifdef __cplusplus
}
#endif

#endif
