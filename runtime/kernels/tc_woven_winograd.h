/* SPDX-License-Identifier: 0BSD */
/*
 * Exact Winograd convolution with 3x3 windows whose tiles are woven: four in three words, for cores with some 30 registers and
 * no SIMD (docs/kernels.md): F(4x4, 3x3) with stride 1, and with stride 2 F(2x2, 2x2) of every second row and column.
 *
 * input    [input_height][input_width][input_channels], int8
 * output   [output_height][output_width][output_channels], int8
 * weights  int16 per six output channels, then per four, filled with zeros: per run of input channels [positions][channels][6 or 4]
 * channels per output channel: requantisation (tc_product_requant.h)
 * scratch  aligned to 4 bytes: transformed inputs, sums, working memory, window, as `tc_woven_winograd_s8` divides it
 *
 * Three words are those of four tiles' pixels P at the same place, and later of their sums, modulo 2^32:
 *
 *     with stride 1    A = P0 + 2^22 P1    B = P2 + 2^14 P1    C = P3 + 2^6 P1
 *     with stride 2    A = P0 + 2^24 P1    B = P2 + 2^16 P1    C = P3 + 2^8 P1
 *
 * Transforms and products are linear, so numbers in between may be any: only sums of whole windows need their 22 or 24 bits,
 * and the compiler cuts input channels into runs whose sums fit.
 *
 * With stride 1 the points are 0, 1, -1, 2, 1/2 and infinity, whose differences have a factor of two at most: outputs are
 * only 4 times the sum. They are 81 times it as well, which a product with the inverse modulo 2^32 takes out:
 *
 *     B'  2 -5  0  5 -2  0    G  9  0  0    A'  1 1  1 1 8 0
 *         0 -2  3  3 -2  0       9  9  9        0 1 -1 2 4 0
 *         0 -2  7 -7  2  0       1 -1  1        0 1  1 4 2 0
 *         0  1 -2 -1  2  0       1  2  4        0 1 -1 8 1 1
 *         0  2 -1 -2  1  0       4  2  1
 *         0 -2  5  0 -5  2       0  0  9
 *
 * Weights of position (1, 1) are without their factor of 81, for which int16 has no room: its inputs have it.
 *
 * With stride 2 rows 0, 2, 4 of a tile are convolved by F(2, 2), x0 - x2, x2, x2 - x4 times w0, w0 + w2, w2; rows 1 and 3 times
 * w1 each are added. So positions of rows or columns 3 and 4 have the same weights.
 */
#ifndef TC_WOVEN_WINOGRAD_H
#define TC_WOVEN_WINOGRAD_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "kernels/tc_align.h"
#include "kernels/tc_inline.h"
#include "kernels/tc_product_requant.h"
#include "kernels/tc_rv32.h"
#include "kernels/tc_window.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TC_WOVEN_WINOGRAD_INVERSE 2014922929u /* of 81 */
#define TC_WOVEN_WINOGRAD_SUMS 18 /* of a position: three words of six output channels */
#define TC_WOVEN_WINOGRAD_HOP 4 /* input pixels from a tile to the next one, with either stride */

/* Keeps a compiler from loading more than registers hold. */
#if defined(__GNUC__)
#define TC_WOVEN_WINOGRAD_IN_ORDER __asm__ volatile("" : : : "memory")
#else
#define TC_WOVEN_WINOGRAD_IN_ORDER
#endif

/* Where outputs go, in bytes. */
typedef struct tc_woven_winograd_target {
    int32_t step; /* from pixel to pixel */
    int32_t row;  /* from row to row */
    int32_t tiles[4];
} tc_woven_winograd_target;

typedef void tc_woven_winograd_products(const int16_t *weights, const uint32_t *v, uint32_t *sums, int32_t channels);
typedef void tc_woven_winograd_finish(const uint32_t *sums, const int32_t *parameters, int8_t *output, int32_t channels,
                                      uint32_t *columns, const tc_woven_winograd_target *target);

typedef struct tc_woven_winograd_shape {
    tc_window window;
    int32_t input_channels;
    int32_t output_channels;
    int32_t input_zero_point;
    int32_t tile_rows; /* of a block: 1 or 2 */
    int32_t runs;
    int32_t run_channels; /* of each but the last */
    int32_t parameters;   /* words per output channel */
    int32_t sixes;        /* times six output channels, before times four */
    tc_woven_winograd_products *six;
    tc_woven_winograd_products *four;
    tc_woven_winograd_finish *finish;
} tc_woven_winograd_shape;

/* Numbers in a row of a transformed tile, and of its outputs. */
TC_INLINE int32_t tc_woven_winograd_span(bool strided)
{
    return strided ? 5 : 6;
}

TC_INLINE int32_t tc_woven_winograd_side(bool strided)
{
    return strided ? 2 : 4;
}

/* B' times a column or a row of pixels. */
TC_INLINE void tc_woven_winograd_in(const uint32_t d[6], bool strided, uint32_t v[6])
{
    if (strided) {
        v[0] = d[0] - d[2];
        v[1] = d[2];
        v[2] = d[2] - d[4];
        v[3] = d[1];
        v[4] = d[3];
    } else {
        const uint32_t even = d[4] - d[2];
        const uint32_t odd = d[3] - d[1];
        const uint32_t twice_even = 2u * even;
        const uint32_t twice_odd = 2u * odd;
        const uint32_t middle = d[3] - d[2];
        v[3] = twice_even - odd;
        v[4] = even - twice_odd;
        v[0] = 2u * (d[0] - d[4] + twice_odd) + odd;
        v[1] = d[2] + d[3] + twice_odd - twice_even;
        v[2] = 2u * (v[3] - v[4] - 4u * middle) - middle;
        v[5] = 2u * (d[5] - d[1] - twice_even) - even;
    }
}

/* A' times a column or a row of sums. */
TC_INLINE void tc_woven_winograd_out(const uint32_t m[6], bool strided, uint32_t y[4])
{
    if (strided) {
        y[0] = m[0] + m[1] + m[3];
        y[1] = m[1] - m[2] + m[4];
    } else {
        const uint32_t even = m[1] + m[2];
        const uint32_t odd = m[1] - m[2];
        y[0] = m[0] + even + m[3] + 8u * m[4];
        y[1] = odd + 2u * (m[3] + 2u * m[4]);
        y[2] = even + 2u * (2u * m[3] + m[4]);
        y[3] = odd + 8u * m[3] + m[4] + m[5];
    }
}

/* Adds a number of each tile, out of three words. */
TC_INLINE void tc_woven_winograd_take(const uint32_t words[3], bool strided, uint32_t sums[4])
{
    const uint32_t first = (uint32_t)((int32_t)(words[0] << 8) >> 8);
    const uint32_t low = (words[0] - first) >> 8; /* 8 bits of the second tile's, in front of 16 */
    const uint32_t b = words[1] - low;
    const uint32_t third = (uint32_t)((int32_t)(b << 8) >> 8);
    const uint32_t lower = (low + b - third) >> 8; /* 16 bits in front of 8 */
    const uint32_t c = words[2] - lower;
    const uint32_t fourth = (uint32_t)((int32_t)(c << 8) >> 8);
    sums[0] += first;
    sums[1] += (uint32_t)((int32_t)(lower + c - fourth) >> (strided ? 8 : 6));
    sums[2] += third;
    sums[3] += fourth;
}

/* The input under a block whose first pixel is (top, left), with its padding. */
TC_INLINE void tc_woven_winograd_window(const int8_t *input, int32_t top, int32_t left, int8_t *to, int32_t rows, int32_t columns,
                                        const tc_woven_winograd_shape *shape)
{
    const tc_window *window = &shape->window;
    const int32_t depth = shape->input_channels;
    const int32_t before = left >= 0 ? 0 : tc_min(-left, columns);
    const int32_t inside = tc_max(tc_min(left + columns, window->input_width) - left - before, 0);
    for (int32_t y = top; y < top + rows; y++, to += columns * depth) {
        if (y < 0 || y >= window->input_height || inside == 0) {
            memset(to, shape->input_zero_point, (uint32_t)(columns * depth));
        } else {
            memset(to, shape->input_zero_point, (uint32_t)(before * depth));
            tc_memcpy(to + before * depth, input + (y * window->input_width + left + before) * depth, (uint32_t)(inside * depth));
            memset(to + (before + inside) * depth, shape->input_zero_point, (uint32_t)((columns - before - inside) * depth));
        }
    }
}

/* A column of a channel of four tiles, woven and transformed: [span][span][3] in `columns`. */
TC_INLINE void tc_woven_winograd_column(const int8_t *pixels, int32_t pitch, const int32_t tiles[4], bool strided,
                                        uint32_t *columns)
{
    const int32_t span = tc_woven_winograd_span(strided);
    const int32_t bits = strided ? 8 : 6;
    uint32_t second[6];
#pragma GCC unroll 6
    for (int32_t i = 0; i < span; i++) {
        second[i] = (uint32_t)(int32_t)pixels[tiles[1] + i * pitch] << bits;
    }
#pragma GCC unroll 3
    for (int32_t word = 0; word < 3; word++) {
        const int8_t *const other = pixels + (word == 0 ? 0 : tiles[word + 1]);
        uint32_t d[6];
        uint32_t v[6];
#pragma GCC unroll 6
        for (int32_t i = 0; i < span; i++) {
            d[i] = (uint32_t)(int32_t)other[i * pitch] + (second[i] << (16 - 8 * word));
        }
        tc_woven_winograd_in(d, strided, v);
#pragma GCC unroll 6
        for (int32_t i = 0; i < span; i++) {
            columns[3 * span * i + word] = v[i];
        }
        TC_WOVEN_WINOGRAD_IN_ORDER;
    }
}

/* All positions of a channel; `position_words` from each to the next one. */
TC_INLINE void tc_woven_winograd_channel(const int8_t *pixels, int32_t depth, int32_t pitch, const int32_t tiles[4], bool strided,
                                         uint32_t *columns, uint32_t *v, int32_t position_words)
{
    const int32_t span = tc_woven_winograd_span(strided);
    uint32_t *to = v;
    for (int32_t j = 0; j < span; j++) {
        tc_woven_winograd_column(pixels + j * depth, pitch, tiles, strided, columns + 3 * j);
    }
    for (int32_t i = 0; i < span; i++, columns += 3 * span, to += span * position_words) {
#pragma GCC unroll 3
        for (int32_t word = 0; word < 3; word++) {
            uint32_t row[6];
            uint32_t transformed[6];
#pragma GCC unroll 6
            for (int32_t j = 0; j < span; j++) {
                row[j] = columns[3 * j + word];
            }
            tc_woven_winograd_in(row, strided, transformed);
#pragma GCC unroll 6
            for (int32_t j = 0; j < span; j++) {
                to[j * position_words + word] = transformed[j];
            }
            TC_WOVEN_WINOGRAD_IN_ORDER;
        }
    }
    if (!strided) {
        uint32_t *const large = v + 7 * position_words;
        large[0] *= 81u;
        large[1] *= 81u;
        large[2] *= 81u;
    }
}

/* After which positions of the strided algorithm weights are read again: so many positions back. */
static const int8_t tc_woven_winograd_back[25] = {0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 4, 0, 0, 0, 1, 0};

/*
 * TC_WOVEN_WINOGRAD_PRODUCTS(name, strided, outputs, together) defines those of all positions with 4 or 6 output channels, as
 * `sums`: [positions][6][3]. The loop over input channels takes some together.
 */
TC_INLINE void tc_woven_winograd_products_portable(const int16_t *weights, const uint32_t *v, uint32_t *sums, int32_t channels,
                                                   bool strided, int32_t outputs)
{
    const int32_t span = tc_woven_winograd_span(strided);
    for (int32_t position = 0; position < span * span; position++, sums += TC_WOVEN_WINOGRAD_SUMS) {
        for (int32_t i = 0; i < 3 * outputs; i++) {
            sums[i] = 0;
        }
        for (int32_t channel = 0; channel < channels; channel++, weights += outputs, v += 3) {
            for (int32_t i = 0; i < 3 * outputs; i++) {
                const uint32_t weight = (uint32_t)(int32_t)weights[i / 3];
                sums[i] += v[i % 3] * weight;
            }
        }
        weights -= strided ? outputs * channels * tc_woven_winograd_back[position] : 0;
    }
}

/* A channel's sums of a run, transformed: [side][span][3], of which each row's first side * 3 are outputs, woven. */
TC_INLINE void tc_woven_winograd_transform(const uint32_t *sums, uint32_t *columns, bool strided)
{
    const int32_t span = tc_woven_winograd_span(strided);
    const int32_t side = tc_woven_winograd_side(strided);
    uint32_t m[6];
    uint32_t y[4];
    sums += 2 * TC_WOVEN_WINOGRAD_SUMS * span; /* which all rows are near to */
    for (uint32_t *const end = columns + 3 * span; columns != end; columns += 3, sums += TC_WOVEN_WINOGRAD_SUMS) {
#pragma GCC unroll 3
        for (int32_t word = 0; word < 3; word++) {
#pragma GCC unroll 6
            for (int32_t i = 0; i < span; i++) {
                m[i] = sums[TC_WOVEN_WINOGRAD_SUMS * span * (i - 2) + word];
            }
            tc_woven_winograd_out(m, strided, y);
#pragma GCC unroll 4
            for (int32_t i = 0; i < side; i++) {
                columns[3 * span * i + word] = y[i];
            }
            TC_WOVEN_WINOGRAD_IN_ORDER;
        }
    }
    columns -= 3 * span;
    for (uint32_t *const end = columns + 3 * span * side; columns != end; columns += 3 * span) {
#pragma GCC unroll 3
        for (int32_t word = 0; word < 3; word++) {
#pragma GCC unroll 6
            for (int32_t j = 0; j < span; j++) {
                m[j] = columns[3 * j + word];
            }
            tc_woven_winograd_out(m, strided, y);
#pragma GCC unroll 4
            for (int32_t x = 0; x < side; x++) {
                columns[3 * x + word] = y[x];
            }
            TC_WOVEN_WINOGRAD_IN_ORDER;
        }
    }
}

/* A channel's outputs of four tiles. */
TC_INLINE void tc_woven_winograd_tiles(const uint32_t *sums, const int32_t *parameters, int8_t *output, uint32_t *columns,
                                       const tc_woven_winograd_target *target, bool strided, int32_t runs,
                                       const tc_product_requant *requant)
{
    const int32_t span = tc_woven_winograd_span(strided);
    const int32_t side = tc_woven_winograd_side(strided);
    const int32_t run_words = 3 * span * side;
    const uint32_t inverse = strided ? 1u : TC_WOVEN_WINOGRAD_INVERSE;
    for (int32_t run = 0; run < runs; run++) {
        tc_woven_winograd_transform(sums + TC_WOVEN_WINOGRAD_SUMS * span * span * run, columns + run_words * run, strided);
    }
    for (int32_t i = 0; i < side; i++, columns += 3 * (span - side)) {
        int8_t *tile0 = output + i * target->row;
        int8_t *tile1 = tile0 + target->tiles[1];
        int8_t *tile2 = tile0 + target->tiles[2];
        int8_t *tile3 = tile0 + target->tiles[3];
        for (uint32_t *const end = columns + 3 * side; columns != end; columns += 3) {
            uint32_t four[4] = {0};
            for (int32_t run = 0; run < runs; run++) {
                const uint32_t *const from = columns + run_words * run;
                const uint32_t words[3] = {from[0] * inverse, from[1] * inverse, from[2] * inverse};
                tc_woven_winograd_take(words, strided, four);
            }
            *tile0 = (int8_t)tc_product_requantize((int32_t)four[0], parameters, requant);
            *tile1 = (int8_t)tc_product_requantize((int32_t)four[1], parameters, requant);
            *tile2 = (int8_t)tc_product_requantize((int32_t)four[2], parameters, requant);
            *tile3 = (int8_t)tc_product_requantize((int32_t)four[3], parameters, requant);
            tile0 += target->step;
            tile1 += target->step;
            tile2 += target->step;
            tile3 += target->step;
        }
    }
}

TC_INLINE void tc_woven_winograd_finish_portable(const uint32_t *sums, const int32_t *parameters, int8_t *output,
                                                 int32_t channels, uint32_t *columns, const tc_woven_winograd_target *target,
                                                 bool strided, int32_t runs, const tc_product_requant *requant)
{
    const tc_woven_winograd_target place = *target; /* a byte that is stored could be a member's, or a parameter's */
    const uint32_t count = tc_product_requant_words(requant);
    for (int32_t channel = 0; channel < channels; channel++, parameters += count) {
        int32_t mine[4] = {0};
#pragma GCC unroll 4
        for (uint32_t i = 0; i < count; i++) {
            mine[i] = parameters[i];
        }
        tc_woven_winograd_tiles(sums + 3 * channel, mine, output + channel, columns, &place, strided, runs, requant);
    }
}

/* Defines that with these constants; sums are taken times 2^pre. */
#define TC_WOVEN_WINOGRAD_FINISH(name, strided, runs, pre, shift, is_signed, low, high) \
    static TC_NOINLINE void name(const uint32_t *sums, const int32_t *parameters, int8_t *output, int32_t channels, \
                                 uint32_t *columns, const tc_woven_winograd_target *target) \
    { \
        static const tc_product_requant requant = {pre, shift, is_signed, low, high}; \
        tc_woven_winograd_finish_portable(sums, parameters, output, channels, columns, target, strided, runs, &requant); \
    }

#if TC_RV32

/* Output channels: the offset of each one's weight and the registers of its sums with an input channel's three words. */
#define TC_WOVEN_WINOGRAD_EACH_4(each) \
    each(0, t0, t1, t2) each(1, t3, t4, t5) each(2, t6, s1, s2) each(3, s3, s4, s5)
#define TC_WOVEN_WINOGRAD_EACH_6(each) TC_WOVEN_WINOGRAD_EACH_4(each) each(4, s6, s7, s8) each(5, s9, s10, s11)

#define TC_WOVEN_WINOGRAD_FIRST(channel, first, second, third) \
    "lh a7, 2 * " #channel "(a0)\n\t" \
    "mul " #first ", a7, a3\n\t" \
    "mul " #second ", a7, a5\n\t" \
    "mul " #third ", a7, a6\n\t"
#define TC_WOVEN_WINOGRAD_NEXT(channel, first, second, third) \
    "lh a7, .Ltc_weights + 2 * " #channel "(a0)\n\t" \
    "mul ra, a7, a3\n\t" \
    "mul a2, a7, a5\n\t" \
    "mul a7, a7, a6\n\t" \
    "add " #first ", " #first ", ra\n\t" \
    "add " #second ", " #second ", a2\n\t" \
    "add " #third ", " #third ", a7\n\t"
#define TC_WOVEN_WINOGRAD_STORE(channel, first, second, third) \
    "sw " #first ", 12 * " #channel "(a2)\n\t" \
    "sw " #second ", 12 * " #channel " + 4(a2)\n\t" \
    "sw " #third ", 12 * " #channel " + 8(a2)\n\t"

/* An input channel's words. */
#define TC_WOVEN_WINOGRAD_LOAD \
    "lw a3, .Ltc_words(a1)\n\t" \
    "lw a5, .Ltc_words + 4(a1)\n\t" \
    "lw a6, .Ltc_words + 8(a1)\n\t"

/* Back to weights that are read again, where there are any. */
#define TC_WOVEN_WINOGRAD_BACK_0
#define TC_WOVEN_WINOGRAD_BACK_1 \
    "lw a4, %[back]\n\t" \
    "lb a3, 0(a4)\n\t" \
    "addi a4, a4, 1\n\t" \
    "sw a4, %[back]\n\t" \
    "lw a5, %[weight_bytes]\n\t" \
    "mul a3, a3, a5\n\t" \
    "sub a0, a0, a3\n\t"

/* a0 weights, a1 inputs, a4 the end of a position's; all registers but the frame pointer's are in use. */
#define TC_WOVEN_WINOGRAD_PRODUCTS(name, strided, outputs, together) \
    static TC_NOINLINE void name(const int16_t *weights, const uint32_t *v, uint32_t *sums, int32_t channels) \
    { \
        uint32_t *volatile result = sums; \
        uint32_t *const volatile end = sums + TC_WOVEN_WINOGRAD_SUMS * (strided ? 25 : 36); \
        const volatile int32_t bytes = 12 * channels; \
        const int8_t *volatile back = tc_woven_winograd_back; \
        const volatile int32_t weight_bytes = 2 * outputs * channels; \
        register const int16_t *a0 __asm__("a0") = weights; \
        register const uint32_t *a1 __asm__("a1") = v; \
        __asm__ volatile( \
            "1:\n\t" /* a position */ \
            "lw a4, %[bytes]\n\t" \
            "add a4, a4, a1\n\t" \
            ".set .Ltc_words, 0\n\t" \
            ".set .Ltc_weights, 0\n\t" \
            TC_WOVEN_WINOGRAD_LOAD \
            TC_WOVEN_WINOGRAD_EACH_##outputs(TC_WOVEN_WINOGRAD_FIRST) \
            "j 3f\n" \
            "2:\n\t" \
            ".set .Ltc_words, 0\n\t" \
            ".set .Ltc_weights, 0\n\t" \
            TC_WOVEN_WINOGRAD_LOAD \
            TC_WOVEN_WINOGRAD_EACH_##outputs(TC_WOVEN_WINOGRAD_NEXT) \
            "3:\n\t" \
            ".rept " #together " - 1\n\t" \
            ".set .Ltc_words, .Ltc_words + 12\n\t" \
            ".set .Ltc_weights, .Ltc_weights + 2 * " #outputs "\n\t" \
            TC_WOVEN_WINOGRAD_LOAD \
            TC_WOVEN_WINOGRAD_EACH_##outputs(TC_WOVEN_WINOGRAD_NEXT) \
            ".endr\n\t" \
            "addi a0, a0, 2 * " #outputs " * " #together "\n\t" \
            "addi a1, a1, 12 * " #together "\n\t" \
            "bne a1, a4, 2b\n\t" \
            "lw a2, %[result]\n\t" \
            TC_WOVEN_WINOGRAD_EACH_##outputs(TC_WOVEN_WINOGRAD_STORE) \
            "addi a2, a2, 72\n\t" \
            "sw a2, %[result]\n\t" \
            TC_WOVEN_WINOGRAD_BACK_##strided \
            "lw a4, %[end]\n\t" \
            "bne a2, a4, 1b\n\t" \
            : "+r"(a0), "+r"(a1), [result] "+m"(result), [back] "+m"(back) \
            : [end] "m"(end), [bytes] "m"(bytes), [weight_bytes] "m"(weight_bytes) \
            : "a2", "a3", "a4", "a5", "a6", "a7", "t0", "t1", "t2", "t3", "t4", "t5", "t6", "s1", "s2", "s3", "s4", "s5", "s6", \
              "s7", "s8", "s9", "s10", "s11", "ra", "memory"); \
    }

#else

#define TC_WOVEN_WINOGRAD_PRODUCTS(name, strided, outputs, together) \
    static TC_NOINLINE void name(const int16_t *weights, const uint32_t *v, uint32_t *sums, int32_t channels) \
    { \
        tc_woven_winograd_products_portable(weights, v, sums, channels, strided, outputs); \
    }

#endif

/* What of a block lies inside the output, of some channels, from where all of it was written with six each. */
TC_INLINE void tc_woven_winograd_edge(const int8_t *edge, int8_t *output, int32_t rows, int32_t pixels, int32_t width,
                                      int32_t channels, const tc_woven_winograd_shape *shape)
{
    const int32_t depth = shape->output_channels;
    for (int32_t row = 0; row < rows; row++, output += shape->window.output_width * depth, edge += 6 * width) {
        for (int32_t x = 0; x < pixels; x++) {
            for (int32_t channel = 0; channel < channels; channel++) {
                output[x * depth + channel] = edge[6 * x + channel];
            }
        }
    }
}

TC_INLINE tc_woven_winograd_target tc_woven_winograd_target_of(int32_t step, int32_t row, int32_t side, int32_t tile_rows)
{
    const int32_t tile = side * step;
    const int32_t third = tile_rows == 2 ? side * row : 2 * tile;
    const tc_woven_winograd_target target = {step, row, {0, tile, third, third + tile}};
    return target;
}

TC_INLINE void tc_woven_winograd_s8(const int8_t *input, int8_t *output, const int16_t *weights, const int32_t *channels,
                                    void *scratch, const tc_woven_winograd_shape *shape)
{
    const tc_window *window = &shape->window;
    const bool strided = window->stride_x == 2;
    const int32_t span = tc_woven_winograd_span(strided);
    const int32_t side = tc_woven_winograd_side(strided);
    const int32_t positions = span * span;
    const int32_t depth = shape->input_channels;
    const int32_t outputs = shape->output_channels;
    const int32_t tile_columns = 4 / shape->tile_rows;
    const int32_t block_height = side * shape->tile_rows;
    const int32_t block_width = side * tile_columns;
    const int32_t window_rows = TC_WOVEN_WINOGRAD_HOP * (shape->tile_rows - 1) + span;
    const int32_t window_columns = TC_WOVEN_WINOGRAD_HOP * (tile_columns - 1) + span;
    const int32_t pitch = window_columns * depth;
    const int32_t below = TC_WOVEN_WINOGRAD_HOP * (shape->tile_rows == 2 ? pitch : 2 * depth);
    const int32_t tiles[4] = {0, TC_WOVEN_WINOGRAD_HOP * depth, below, below + TC_WOVEN_WINOGRAD_HOP * depth};
    uint32_t *const v = (uint32_t *)scratch;
    uint32_t *const columns = v + 3 * positions * depth;
    uint32_t *const sums = columns + tc_max(3 * positions, 3 * span * side * shape->runs);
    int8_t *const edge = (int8_t *)(sums + TC_WOVEN_WINOGRAD_SUMS * positions * shape->runs);
    int8_t *const pixels = (int8_t *)sums; /* until they are transformed */
    const int32_t row = window->output_width * outputs;
    const tc_woven_winograd_target inner = tc_woven_winograd_target_of(outputs, row, side, shape->tile_rows);
    const tc_woven_winograd_target outer = tc_woven_winograd_target_of(6, 6 * block_width, side, shape->tile_rows);
    for (int32_t y = 0; y < window->output_height; y += block_height) {
        for (int32_t x = 0; x < window->output_width; x += block_width) {
            const int32_t rows = tc_min(window->output_height - y, block_height);
            const int32_t width = tc_min(window->output_width - x, block_width);
            const bool inside = rows == block_height && width == block_width;
            const int16_t *from = weights;
            int8_t *const corner = output + (y * window->output_width + x) * outputs;
            tc_woven_winograd_window(input, y * window->stride_y - window->padding_top, x * window->stride_x - window->padding_left,
                                     pixels, window_rows, window_columns, shape);
            for (int32_t run = 0; run < shape->runs; run++) {
                const int32_t first = run * shape->run_channels;
                const int32_t count = tc_min(shape->run_channels, depth - first);
                uint32_t *const to = v + 3 * positions * first;
                for (int32_t channel = 0; channel < count; channel++) {
                    tc_woven_winograd_channel(pixels + first + channel, depth, pitch, tiles, strided, columns, to + 3 * channel,
                                              3 * count);
                }
            }
            for (int32_t channel = 0, group = 0; channel < outputs; group++) {
                const int32_t made = group < shape->sixes ? 6 : 4;
                const int32_t together = tc_min(made, outputs - channel);
                tc_woven_winograd_products *const products = group < shape->sixes ? shape->six : shape->four;
                for (int32_t run = 0; run < shape->runs; run++) {
                    const int32_t first = run * shape->run_channels;
                    const int32_t count = tc_min(shape->run_channels, depth - first);
                    products(from, v + 3 * positions * first, sums + TC_WOVEN_WINOGRAD_SUMS * positions * run, count);
                    from += made * (strided ? 16 : 36) * count;
                }
                shape->finish(sums, channels + channel * shape->parameters, inside ? corner + channel : edge, together, columns,
                              inside ? &inner : &outer);
                if (!inside) {
                    tc_woven_winograd_edge(edge, corner + channel, rows, width, block_width, together, shape);
                }
                channel += together;
            }
        }
    }
}

#ifdef __cplusplus
}
#endif

#endif
