/* SPDX-License-Identifier: 0BSD */
/*
 * Resizing by linear interpolation, in fixed point: at most 10 bits per axis.
 *
 * input    [input_height][input_width][channels], int8
 * output   [output_height][output_width][channels], int8
 * rows     for each output row the input rows around it and the weight of the lower one; columns likewise
 *
 * A sum of four products is rounded as tc_resize_rounding says. A pixel is written
 * while its four inputs are read; pixels are computed in memory order.
 */
#ifndef TC_RESIZE_BILINEAR_H
#define TC_RESIZE_BILINEAR_H

#include <stdint.h>

#include "cmsis_shim/tc_simd.h"
#include "kernels/tc_bytes.h"
#include "kernels/tc_inline.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Where an output position lies along an axis: `weight` of a whole on the way from `lower` to `upper`. */
typedef struct tc_between {
    uint16_t lower;
    uint16_t upper;
    uint16_t weight;
} tc_between;

enum tc_resize_rounding {
    TC_RESIZE_AWAY, /* halves away from zero */
    TC_RESIZE_EVEN, /* of the number minus the zero point, halves to even */
    TC_RESIZE_DOWN,
    TC_RESIZE_TO_ZERO
};

typedef struct tc_resize_bilinear_shape {
    int32_t input_width;
    int32_t output_height;
    int32_t output_width;
    int32_t channels;
    int32_t row_bits;    /* the weights of a row add up to 2^row_bits */
    int32_t column_bits;
    int32_t rounding;    /* a tc_resize_rounding */
    int32_t parity;      /* the lowest bit of the zero point */
} tc_resize_bilinear_shape;

/* A sum of 2^bits times the number. */
TC_INLINE int32_t tc_resize_rounded(int32_t sum, int32_t bits, const tc_resize_bilinear_shape *shape)
{
    if (shape->rounding == TC_RESIZE_DOWN) {
        return sum >> bits;
    }
    if (shape->rounding == TC_RESIZE_TO_ZERO) {
        return (sum + ((sum >> 31) & ((1 << bits) - 1))) >> bits;
    }
    const int32_t down = shape->rounding == TC_RESIZE_EVEN ? (((sum >> bits) ^ shape->parity) & 1) - 1 : sum >> 31;
    return (sum + down + (1 << (bits - 1))) >> bits;
}

/* The inputs around an output pixel and their weights, which add up to 2^bits. */
typedef struct tc_corners {
    const int8_t *input[4];
    int32_t weight[4];
} tc_corners;

TC_INLINE tc_corners tc_corners_of(const int8_t *input, const tc_between *row, const tc_between *column,
                                   const tc_resize_bilinear_shape *shape)
{
    const int32_t below = row->weight;
    const int32_t above = (1 << shape->row_bits) - below;
    const int32_t right = column->weight;
    const int32_t left = (1 << shape->column_bits) - right;
    const int8_t *upper = input + row->lower * shape->input_width * shape->channels;
    const int8_t *lower = input + row->upper * shape->input_width * shape->channels;
    const tc_corners corners = {
        {upper + column->lower * shape->channels, upper + column->upper * shape->channels,
         lower + column->lower * shape->channels, lower + column->upper * shape->channels},
        {above * left, above * right, below * left, below * right},
    };
    return corners;
}

TC_INLINE int8_t tc_interpolated(const tc_corners *corners, int32_t channel, const tc_resize_bilinear_shape *shape)
{
    const int32_t bits = shape->row_bits + shape->column_bits;
    int32_t sum = corners->input[0][channel] * corners->weight[0];
    sum += corners->input[1][channel] * corners->weight[1];
    sum += corners->input[2][channel] * corners->weight[2];
    sum += corners->input[3][channel] * corners->weight[3];
    return (int8_t)tc_resize_rounded(sum, bits, shape);
}

TC_INLINE void tc_resize_bilinear_s8(const int8_t *input, int8_t *output, const tc_between *rows,
                                     const tc_between *columns, const tc_resize_bilinear_shape *shape)
{
    for (int32_t y = 0; y < shape->output_height; ++y) {
        for (int32_t x = 0; x < shape->output_width; ++x) {
            const tc_corners corners = tc_corners_of(input, &rows[y], &columns[x], shape);
#if defined(__GNUC__)
#pragma GCC unroll 4
#endif
            for (int32_t channel = 0; channel < shape->channels; ++channel) {
                output[channel] = tc_interpolated(&corners, channel, shape);
            }
            output += shape->channels;
        }
    }
}

/*
 * The same by rows, then columns: two rows become one of sums, `tall`, and two pixels of that one of the output. Weights
 * add up to 2^10 per axis.
 */
TC_INLINE void tc_resize_bilinear_sums(const int8_t *above, const int8_t *below, int32_t weight, int32_t *tall,
                                       const tc_resize_bilinear_shape *shape)
{
    const int32_t rest = (1 << 10) - weight;
    const int32_t count = shape->input_width * shape->channels;
    int32_t i = 0;
#if TC_DSP
    const uint32_t weights = tc_lanes(rest, weight);
    for (; i + 4 <= count; i += 4) {
        const uint32_t first = tc_load4(above + i);
        const uint32_t second = tc_load4(below + i);
        const uint32_t low = tc_pkhbt(first, second, 16); /* two bytes of one row, and those of the other */
        const uint32_t high = tc_pkhtb(second, first, 16);
        tall[i] = tc_smuad(weights, tc_sxtb16(low, 0));
        tall[i + 1] = tc_smuad(weights, tc_sxtb16(low, 8));
        tall[i + 2] = tc_smuad(weights, tc_sxtb16(high, 0));
        tall[i + 3] = tc_smuad(weights, tc_sxtb16(high, 8));
    }
#endif
    for (; i < count; ++i) {
        tall[i] = above[i] * rest + below[i] * weight;
    }
}

/*
 * Of two sums and their weights. The sum + 2^28 + 2^19 - 1 says by bit 28 that it isn't so negative that its half goes
 * downwards; the low byte is the result, since 2^28 is 2^20 times 256. Halves to even: what is added for an odd number
 * rounds its half up.
 */
TC_INLINE int8_t tc_resize_bilinear_between(int32_t left, int32_t right, int32_t weight,
                                            const tc_resize_bilinear_shape *shape)
{
    const int32_t whole = left * ((1 << 10) - weight) + right * weight;
    const uint32_t sum = (uint32_t)((1 << 28) + (1 << 19) - 1 + whole);
    if (shape->rounding == TC_RESIZE_DOWN || shape->rounding == TC_RESIZE_TO_ZERO) {
        return (int8_t)tc_resize_rounded(whole, 20, shape);
    }
    if (shape->rounding == TC_RESIZE_EVEN) {
        const uint32_t odd = (((sum - (1u << 19) + 1u) >> 20) ^ (uint32_t)shape->parity) & 1u;
        return (int8_t)((sum + odd) >> 20);
    }
    return (int8_t)((sum + (sum >> 28)) >> 20);
}

TC_INLINE void tc_resize_bilinear_rows_s8(const int8_t *input, int8_t *output, const tc_between *rows,
                                          const tc_between *columns, void *scratch,
                                          const tc_resize_bilinear_shape *shape)
{
    const int32_t row_bytes = shape->input_width * shape->channels;
    const int32_t channels = shape->channels;
    int32_t *const tall = (int32_t *)scratch;
    for (const tc_between *row = rows; row != rows + shape->output_height; ++row) {
        tc_resize_bilinear_sums(input + row->lower * row_bytes, input + row->upper * row_bytes, row->weight, tall, shape);
        for (const tc_between *column = columns; column != columns + shape->output_width; ++column) {
            const int32_t weight = column->weight;
            const int32_t *const left = tall + column->lower * channels;
            const int32_t *const right = tall + column->upper * channels;
            for (int32_t i = 0; i < channels / 4 * 4; i += 4) {
                output[i] = tc_resize_bilinear_between(left[i], right[i], weight, shape);
                output[i + 1] = tc_resize_bilinear_between(left[i + 1], right[i + 1], weight, shape);
                output[i + 2] = tc_resize_bilinear_between(left[i + 2], right[i + 2], weight, shape);
                output[i + 3] = tc_resize_bilinear_between(left[i + 3], right[i + 3], weight, shape);
            }
            for (int32_t i = channels / 4 * 4; i < channels; ++i) {
                output[i] = tc_resize_bilinear_between(left[i], right[i], weight, shape);
            }
            output += channels;
        }
    }
}

/*
 * The same where the weights of a pixel add up to 2^bits with bits in [1, 8] and there are whole words of channels: two
 * rows become one of halfwords, `tall`, and two pixels of that one of the output, two channels at a time.
 *
 * Inputs are taken as unsigned, 128 more, so that no half borrows from the other. Each ends as sum + 128 * 2^bits +
 * 2^(bits - 1) - 1, not negative and below 2^16; its highest bit in use, bits + 7, says that the sum isn't negative, and
 * adding it makes halves of positive sums round upwards, those of negative ones downwards.
 */
TC_INLINE uint32_t tc_interpolated_halves(uint32_t sums, int32_t bits)
{
    const uint32_t rounded = sums + ((sums >> (bits + 7)) & 0x00010001u);
    return (rounded >> bits) & 0x00FF00FFu;
}

/* Halves to even: of sums + 128 * 2^bits; what is added for an odd one makes its half round upwards. */
TC_INLINE uint32_t tc_interpolated_even(uint32_t sums, const tc_resize_bilinear_shape *shape)
{
    const int32_t bits = shape->row_bits + shape->column_bits;
    const uint32_t start = 0x00010001u * ((1u << (bits - 1)) - 1u);
    const uint32_t odd = ((sums >> bits) ^ (0x00010001u * (uint32_t)shape->parity)) & 0x00010001u;
    return ((sums + start + odd) >> bits) & 0x00FF00FFu;
}

TC_INLINE uint32_t tc_interpolated_pair(uint32_t sums, const tc_resize_bilinear_shape *shape)
{
    const int32_t bits = shape->row_bits + shape->column_bits;
    const uint32_t start = 0x00010001u * ((1u << (bits - 1)) - 1u);
    if (shape->rounding == TC_RESIZE_DOWN) {
        return (sums >> bits) & 0x00FF00FFu;
    }
    if (shape->rounding == TC_RESIZE_TO_ZERO) { /* sums of negative numbers lack the highest bit of 128 * 2^bits */
        const uint32_t negative = ~(sums >> (bits + 7)) & 0x00010001u;
        return ((sums + negative * ((1u << bits) - 1u)) >> bits) & 0x00FF00FFu;
    }
    return shape->rounding == TC_RESIZE_EVEN ? tc_interpolated_even(sums, shape)
                                             : tc_interpolated_halves(start + sums, bits);
}

/* Per 4 bytes of both rows: the sums of bytes 0 and 2, and those of bytes 1 and 3. */
TC_INLINE void tc_resize_bilinear_tall(const int8_t *above, const int8_t *below, uint32_t weight, uint32_t *tall,
                                       const tc_resize_bilinear_shape *shape)
{
    const uint32_t rest = (1u << shape->row_bits) - weight;
    const int8_t *const end = above + shape->input_width * shape->channels;
    for (; above != end; above += 4, below += 4, tall += 2) {
        const uint32_t first = tc_load4(above);
        const uint32_t second = tc_load4(below);
        tall[0] = tc_sxtab16(0x00800080u, first, 0) * rest + tc_sxtab16(0x00800080u, second, 0) * weight;
        tall[1] = tc_sxtab16(0x00800080u, first, 8) * rest + tc_sxtab16(0x00800080u, second, 8) * weight;
    }
}

TC_INLINE void tc_resize_bilinear_words_s8(const int8_t *input, int8_t *output, const tc_between *rows,
                                           const tc_between *columns, void *scratch,
                                           const tc_resize_bilinear_shape *shape)
{
    const int32_t row_bytes = shape->input_width * shape->channels;
    const int32_t pixel_words = shape->channels / 2;
    uint32_t *const tall = (uint32_t *)scratch;
    for (const tc_between *row = rows; row != rows + shape->output_height; ++row) {
        tc_resize_bilinear_tall(input + row->lower * row_bytes, input + row->upper * row_bytes, row->weight, tall, shape);
        for (const tc_between *column = columns; column != columns + shape->output_width; ++column) {
            const uint32_t weight = column->weight;
            const uint32_t rest = (1u << shape->column_bits) - weight;
            const uint32_t *left = tall + column->lower * pixel_words;
            const uint32_t *right = tall + column->upper * pixel_words;
            const int8_t *const end = output + shape->channels;
            for (; output != end; output += 4, left += 2, right += 2) {
                const uint32_t first = tc_interpolated_pair(left[0] * rest + right[0] * weight, shape);
                const uint32_t second = tc_interpolated_pair(left[1] * rest + right[1] * weight, shape);
                tc_store4(output, (first | (second << 8)) ^ 0x80808080u);
            }
        }
    }
}

#ifdef __cplusplus
}
#endif

#endif
