/* SPDX-License-Identifier: 0BSD */
/*
 * A camera's bytes become pixels of a model: colours of 8 bits, blocks of pixels averaged or their middle taken, then the
 * model's number for each value.
 */
#ifndef TC_PIXELS_H
#define TC_PIXELS_H

#include <stdint.h>

#include "kernels/tc_inline.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Formats, in the order of ops/pixels.py. */
enum {
    TC_GRAY8,
    TC_RGB888,
    TC_BGR888,
    TC_RGB565,
    TC_RGB565BE,
    TC_YUYV,
    TC_UYVY,
    TC_BAYER_RGGB,
    TC_BAYER_GRBG,
    TC_BAYER_GBRG,
    TC_BAYER_BGGR
};

typedef struct tc_pixels_shape {
    int32_t format;
    int32_t row_bytes;
    int32_t first; /* the first column that is taken, in pixels */
    int32_t rows; /* of the output */
    int32_t columns;
    int32_t step; /* rows and columns of pixels that become one */
    int32_t average; /* 1: of them; 0: the pixel behind the middle */
    int32_t channels; /* 1 or 3 */
} tc_pixels_shape;

TC_INLINE int32_t tc_colour(int32_t value)
{
    return value < 0 ? 0 : value > 255 ? 255 : value;
}

/* The colours of a pixel: red, green, blue; or in the first one its gray value. `row` is the first row of the pixel. */
TC_INLINE void tc_pixel(const uint8_t *row, int32_t column, const tc_pixels_shape *s, int32_t *colour)
{
    if (s->format == TC_GRAY8) {
        colour[0] = row[column];
        colour[1] = colour[0];
        colour[2] = colour[0];
        return;
    }
    if (s->format == TC_RGB888 || s->format == TC_BGR888) {
        const uint8_t *const at = row + 3 * column;
        const int32_t red = s->format == TC_RGB888 ? 0 : 2;
        colour[0] = at[red];
        colour[1] = at[1];
        colour[2] = at[2 - red];
    } else if (s->format == TC_RGB565 || s->format == TC_RGB565BE) {
        const uint8_t *const at = row + 2 * column;
        const int32_t high = s->format == TC_RGB565 ? 1 : 0;
        const int32_t word = (int32_t)at[high] << 8 | (int32_t)at[1 - high];
        const int32_t red = word >> 11, green = word >> 5 & 63, blue = word & 31;
        colour[0] = red << 3 | red >> 2;
        colour[1] = green << 2 | green >> 4;
        colour[2] = blue << 3 | blue >> 2;
    } else if (s->format == TC_YUYV || s->format == TC_UYVY) {
        const int32_t luma = s->format == TC_YUYV ? 0 : 1;
        const uint8_t *const pair = row + 4 * (column >> 1);
        const int32_t y = row[2 * column + luma];
        if (s->channels == 1) {
            colour[0] = y;
            return;
        }
        const int32_t c = 298 * (y - 16), d = (int32_t)pair[1 - luma] - 128, e = (int32_t)pair[3 - luma] - 128;
        /* Shifted up by whole multiples of the divisor, so that no negative number is shifted down. */
        colour[0] = tc_colour(((c + 409 * e + 128 + 65536) >> 8) - 256);
        colour[1] = tc_colour(((c - 100 * d - 208 * e + 128 + 65536) >> 8) - 256);
        colour[2] = tc_colour(((c + 516 * d + 128 + 131072) >> 8) - 512);
    } else {
        const int32_t order = s->format - TC_BAYER_RGGB, down = order >> 1, right = order & 1;
        const uint8_t *const upper = row + 2 * column, *const lower = upper + s->row_bytes;
        const uint8_t *const reds = down ? lower : upper, *const blues = down ? upper : lower;
        colour[0] = reds[right];
        colour[1] = ((int32_t)reds[1 - right] + (int32_t)blues[right] + 1) >> 1;
        colour[2] = blues[1 - right];
    }
    if (s->channels == 1) {
        colour[0] = (77 * colour[0] + 150 * colour[1] + 29 * colour[2] + 128) >> 8;
    }
}

/*
 * Args: input: rows of the camera. output: (rows, columns, channels). tables: 256 numbers for each channel.
 */
TC_INLINE void tc_pixels(const uint8_t *input, int8_t *output, const int8_t *tables, const tc_pixels_shape *s)
{
    const int32_t block = s->format >= TC_BAYER_RGGB ? 2 : 1;
    const int32_t taken = s->average ? s->step : 1, begin = s->average ? 0 : s->step / 2, all = taken * taken;
    for (int32_t y = 0; y < s->rows; ++y) {
        for (int32_t x = 0; x < s->columns; ++x) {
            int32_t first = 0, second = 0, third = 0; /* red, green, blue, or gray in the first */
            for (int32_t i = 0; i < taken; ++i) {
                const uint8_t *const row = input + (y * s->step + begin + i) * block * s->row_bytes;
                for (int32_t j = 0; j < taken; ++j) {
                    int32_t colour[3];
                    tc_pixel(row, s->first + x * s->step + begin + j, s, colour);
                    first += colour[0];
                    if (s->channels == 3) {
                        second += colour[1];
                        third += colour[2];
                    }
                }
            }
            *output++ = tables[(uint32_t)(first + all / 2) / (uint32_t)all];
            if (s->channels == 3) {
                *output++ = tables[256u + (uint32_t)(second + all / 2) / (uint32_t)all];
                *output++ = tables[512u + (uint32_t)(third + all / 2) / (uint32_t)all];
            }
        }
    }
}

#ifdef __cplusplus
}
#endif

#endif
