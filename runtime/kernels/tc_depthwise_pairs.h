/* SPDX-License-Identifier: 0BSD */
/*
 * Depthwise convolution with depth multiplier 1 by pairs of taps, 4 channels at a time (docs/kernels.md).
 *
 * input   [input_height][input_width][channels], int8
 * output  [output_height][output_width][channels], int8
 * weights per 4 channels: 4 starts; per pair of taps 4 words (weights of both taps, times 2^pre, as int16); per channel
 *         multiplier, offset and, in the signed form, the sign step of the requantisation
 * scratch `rows` input rows in a ring, with the padding columns written out
 *
 * All input rows that an output row needs are in the ring before that row is written, so the output may share the
 * input's memory at a distance that the compiler computes.
 */
#ifndef TC_DEPTHWISE_PAIRS_H
#define TC_DEPTHWISE_PAIRS_H

#include <stdint.h>
#include <string.h>

#include "cmsis_shim/tc_simd.h"
#include "kernels/tc_align.h"
#include "kernels/tc_bytes.h"
#include "kernels/tc_inline.h"
#include "kernels/tc_requant.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tc_depthwise_pairs_shape {
    int32_t input_height;
    int32_t input_width;
    int32_t output_height;
    int32_t output_width;
    int32_t channels;
    int32_t kernel_height;
    int32_t kernel_width;
    int32_t stride_y;
    int32_t stride_x;
    int32_t dilation_y;
    int32_t dilation_x;
    int32_t padding_top;
    int32_t padding_left;
    int32_t zero_point;
    int32_t rows;         /* of the ring: those under the window */
    int32_t row_bytes;    /* of the ring, a multiple of 4 */
    int32_t group_words;  /* of `weights` per 4 channels */
    int32_t sign_step;    /* 1 if the requantisation has one */
    int32_t shift;
    int32_t low;
    int32_t high;
} tc_depthwise_pairs_shape;

/* Copies input row y into its place of the ring; rows and columns outside of the image read the zero point. */
TC_INLINE void tc_depthwise_pairs_fill_row(const int8_t *input, int32_t y, int8_t *ring,
                                     const tc_depthwise_pairs_shape *shape)
{
    int8_t *row = ring + (y + shape->padding_top) % shape->rows * shape->row_bytes;
    const int32_t image_bytes = shape->input_width * shape->channels;
    const int32_t left = shape->padding_left * shape->channels;
    if (y < 0 || y >= shape->input_height) {
        memset(row, shape->zero_point, (uint32_t)shape->row_bytes);
        return;
    }
    const int32_t copied = image_bytes < shape->row_bytes - left ? image_bytes : shape->row_bytes - left;
    memset(row, shape->zero_point, (uint32_t)left);
    tc_memcpy(row + left, input + y * image_bytes, (uint32_t)copied);
    memset(row + left + copied, shape->zero_point, (uint32_t)(shape->row_bytes - left - copied));
}

/*
 * Adds the products of two taps to the sums of 4 channels; returns the weights that follow. The bytes of both taps are
 * packed crosswise, so that one SXTB16 gives the pair (first tap, second tap) of a channel. Assembly, because compilers
 * split PKHBT and the rotated SXTB16 into two instructions each.
 */
TC_INLINE const int32_t *tc_depthwise_pair(const int8_t *first, const int8_t *second, const int32_t *weights,
                                           int32_t *sum)
{
    uint32_t a = tc_load4(first);
    uint32_t b = tc_load4(second);
#if TC_DSP
    uint32_t high;
    uint32_t w0;
    uint32_t w1;
    __asm__("pkhtb %[high], %[b], %[a], asr #16\n\t" /* a2 a3 b2 b3 */
            "pkhbt %[a], %[a], %[b], lsl #16\n\t"    /* a0 a1 b0 b1 */
            "ldrd %[w0], %[w1], [%[weights]], #8\n\t"
            "sxtb16 %[b], %[a]\n\t"
            "smlad %[sum0], %[b], %[w0], %[sum0]\n\t"
            "sxtb16 %[b], %[a], ror #8\n\t"
            "smlad %[sum1], %[b], %[w1], %[sum1]\n\t"
            "ldrd %[w0], %[w1], [%[weights]], #8\n\t"
            "sxtb16 %[b], %[high]\n\t"
            "smlad %[sum2], %[b], %[w0], %[sum2]\n\t"
            "sxtb16 %[b], %[high], ror #8\n\t"
            "smlad %[sum3], %[b], %[w1], %[sum3]\n\t"
            : [a] "+r"(a), [b] "+r"(b), [weights] "+r"(weights), [sum0] "+r"(sum[0]), [sum1] "+r"(sum[1]),
              [sum2] "+r"(sum[2]), [sum3] "+r"(sum[3]), [high] "=&r"(high), [w0] "=&r"(w0), [w1] "=&r"(w1)
            :
            : "memory");
    return weights;
#else
    const uint32_t low = tc_pkhbt(a, b, 16);
    const uint32_t high = tc_pkhtb(b, a, 16);
    sum[0] = tc_smlad(tc_sxtb16(low, 0), (uint32_t)weights[0], sum[0]);
    sum[1] = tc_smlad(tc_sxtb16(low, 8), (uint32_t)weights[1], sum[1]);
    sum[2] = tc_smlad(tc_sxtb16(high, 0), (uint32_t)weights[2], sum[2]);
    sum[3] = tc_smlad(tc_sxtb16(high, 8), (uint32_t)weights[3], sum[3]);
    return weights + 4;
#endif
}

TC_INLINE int32_t tc_depthwise_pairs_finish(int32_t a, const int32_t *parameters, const tc_depthwise_pairs_shape *shape)
{
    int32_t offset = parameters[1];
    if (shape->sign_step != 0) {
        offset -= parameters[2] & (a >> 31);
    }
    const int32_t y = tc_saturate8(tc_smmla(a, parameters[0], offset), shape->shift);
    return shape->low > INT8_MIN || shape->high < INT8_MAX ? tc_clamp(y, shape->low, shape->high) : y;
}

/* 4 channels of one output pixel. `tap_rows` point at the window's rows, at these channels of its first column. */
TC_INLINE uint32_t tc_depthwise_pairs_pixel(const int8_t *const *tap_rows, int32_t position, const int32_t *weights,
                                      const tc_depthwise_pairs_shape *shape)
{
    const int32_t taps = shape->kernel_height * shape->kernel_width;
    const int32_t column = shape->dilation_x * shape->channels;
    const int32_t parameters = 2 + shape->sign_step;
    int32_t sum[4] = {weights[0], weights[1], weights[2], weights[3]};
    weights += 4;
#if defined(__GNUC__)
#pragma GCC unroll 64
#endif
    for (int32_t tap = 0; tap < taps; tap += 2) {
        const int32_t next = tap + 1 < taps ? tap + 1 : tap; /* an odd number of taps: the last weight is 0 */
        const int8_t *first = tap_rows[tap / shape->kernel_width] + tap % shape->kernel_width * column;
        const int8_t *second = tap_rows[next / shape->kernel_width] + next % shape->kernel_width * column;
        weights = tc_depthwise_pair(first + position, second + position, weights, sum);
    }
    return tc_pack4(tc_depthwise_pairs_finish(sum[0], weights, shape),
                    tc_depthwise_pairs_finish(sum[1], weights + parameters, shape),
                    tc_depthwise_pairs_finish(sum[2], weights + 2 * parameters, shape),
                    tc_depthwise_pairs_finish(sum[3], weights + 3 * parameters, shape));
}

/* 4 channels of a result, or as many as the last group has. */
TC_INLINE void tc_depthwise_pairs_store(int8_t *results, uint32_t word, int32_t channel,
                                        const tc_depthwise_pairs_shape *shape)
{
    if (shape->channels % 4 == 0 || channel + 4 <= shape->channels) {
        tc_store4(results, word);
        return;
    }
    for (int32_t i = 0; i < shape->channels % 4; i++) {
        results[i] = (int8_t)(word >> (8 * i));
    }
}

/* `tap_rows` is working memory for kernel_height pointers. */
TC_INLINE void tc_depthwise_pairs_s8(const int8_t *input, int8_t *output, const int32_t *weights, void *scratch,
                                     const int8_t **tap_rows, const tc_depthwise_pairs_shape *shape)
{
    int8_t *const ring = (int8_t *)scratch;
    int32_t filled = -shape->padding_top;
    for (int32_t y = 0; y < shape->output_height; y++) {
        const int32_t top = y * shape->stride_y - shape->padding_top;
        for (filled = filled > top ? filled : top; filled < top + shape->rows; filled++) {
            tc_depthwise_pairs_fill_row(input, filled, ring, shape);
        }
        for (int32_t tap = 0; tap < shape->kernel_height; tap++) {
            const int32_t row = y * shape->stride_y + tap * shape->dilation_y;
            tap_rows[tap] = ring + row % shape->rows * shape->row_bytes;
        }
        const int32_t *group = weights;
        for (int32_t channel = 0; channel < shape->channels; channel += 4) {
            int8_t *results = output + channel;
            for (int32_t x = 0; x < shape->output_width; x++) {
                const int32_t position = x * shape->stride_x * shape->channels + channel;
                const uint32_t word = tc_depthwise_pairs_pixel(tap_rows, position, group, shape);
                tc_depthwise_pairs_store(results, word, channel, shape);
                results += shape->channels;
            }
            group += shape->group_words;
        }
        output += shape->output_width * shape->channels;
    }
}

#ifdef __cplusplus
}
#endif

#endif
