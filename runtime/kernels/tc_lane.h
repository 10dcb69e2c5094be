/*
 * Expanding int8 inputs for the byte-lane product (docs/kernels.md).
 *
 * Four bytes x0 x1 x2 x3 become two words of int16 lanes:
 *     p = (x1 - 127, x3 - 127)
 *     q = (256 x0 - (x1 - 127), 256 x2 - (x3 - 127))
 * both within int16 for every int8 input. A block holds 4 pixels: per 4 inputs p of pixels 0-3, then q of pixels 0-3.
 */
#ifndef TC_LANE_H
#define TC_LANE_H

#include <stdint.h>
#include <string.h>

#include "cmsis_shim/tc_simd.h"
#include "kernels/tc_inline.h"

#ifdef __cplusplus
extern "C" {
#endif

TC_INLINE void tc_lane_expand4(uint32_t bytes, uint32_t *p, uint32_t *q)
{
    const uint32_t high = tc_sxtab16(0xFF81FF81u, bytes, 8);
    *p = high;
    *q = tc_ssub16((bytes << 8) & 0xFF00FF00u, high);
}

/* Expands `count` bytes of one pixel into its place of a block; the last group is filled up with zeros. */
TC_INLINE void tc_lane_expand_pixel(const int8_t *input, uint32_t count, uint32_t *block)
{
    uint32_t i = 0;
    for (; i + 4u <= count; i += 4u, block += 8) {
        tc_lane_expand4(tc_load4(input + i), block, block + 4);
    }
    if (i < count) {
        uint32_t bytes = 0;
        memcpy(&bytes, input + i, count - i);
        tc_lane_expand4(bytes, block, block + 4);
    }
}

/* Expands a single row of `count` bytes: p and q of 4 inputs follow each other. */
TC_INLINE void tc_lane_expand_row(const int8_t *input, uint32_t count, uint32_t *row)
{
    uint32_t i = 0;
    for (; i + 4u <= count; i += 4u, row += 2) {
        tc_lane_expand4(tc_load4(input + i), row, row + 1);
    }
    if (i < count) {
        uint32_t bytes = 0;
        memcpy(&bytes, input + i, count - i);
        tc_lane_expand4(bytes, row, row + 1);
    }
}

#ifdef __cplusplus
}
#endif

#endif
