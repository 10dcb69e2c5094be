/* SPDX-License-Identifier: 0BSD */
/*
 * Averages of int8 values: sums of four channels at a time, and the division.
 */
#ifndef TC_AVERAGE_H
#define TC_AVERAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "kernels/tc_bytes.h"
#include "kernels/tc_inline.h"
#include "kernels/tc_requant.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The most int8 values whose sum fits in an int16: 256 * -128 = -32768. */
#define TC_AVERAGE_BATCH 256

/*
 * A division that the compiler has checked for every sum that can occur: (sum * multiplier + start) >> shift,
 * saturated to int8. Where it found no such constants, multiplier is 0, and the division is done in its long form.
 */
typedef struct tc_scaled_form {
    int32_t multiplier;
    int32_t start;
    int32_t shift;
} tc_scaled_form;

TC_INLINE int32_t tc_scaled(int32_t sum, const tc_scaled_form *form)
{
    return tc_saturate8(sum * form->multiplier + form->start, form->shift);
}

/* sum / count, halves away from zero, as in tflite::reference_integer_ops::AveragePool. */
TC_INLINE int32_t tc_divide_rounded(int32_t sum, int32_t count)
{
    return sum > 0 ? (sum + count / 2) / count : (sum - count / 2) / count;
}

/*
 * Sums of four adjacent channels: 16-bit sums of the even and the odd ones, two to a word. Without the DSP extension they are
 * of x + 128, which no lane borrows for.
 */
typedef struct tc_sum4 {
    uint32_t even;
    uint32_t odd;
    int32_t count;
} tc_sum4;

TC_INLINE void tc_sum4_add(tc_sum4 *sum, const int8_t *channels)
{
#if TC_DSP
    const uint32_t word = tc_load4(channels);
    sum->even = tc_add_even(sum->even, word);
    sum->odd = tc_add_odd(sum->odd, word);
#else
    const uint32_t word = tc_load4(channels) ^ 0x80808080u;
    sum->even += word & 0x00FF00FFu;
    sum->odd += (word >> 8) & 0x00FF00FFu;
#endif
}

/* A lane's sum. */
TC_INLINE int32_t tc_sum4_low(const tc_sum4 *sum, uint32_t lanes)
{
    return TC_DSP ? tc_low(lanes) : (int32_t)(lanes & 0xFFFFu) - 128 * sum->count;
}

TC_INLINE int32_t tc_sum4_high(const tc_sum4 *sum, uint32_t lanes)
{
    return TC_DSP ? tc_high(lanes) : (int32_t)(lanes >> 16) - 128 * sum->count;
}

/* Adds `count` values of each channel, `stride` bytes apart; at most TC_AVERAGE_BATCH in total. */
TC_INLINE void tc_sum4_run(tc_sum4 *sum, const int8_t *channels, int32_t count, int32_t stride)
{
    sum->count += count;
    for (; count >= 4; count -= 4) {
        tc_sum4_add(sum, channels);
        tc_sum4_add(sum, channels + stride);
        tc_sum4_add(sum, channels + 2 * stride);
        tc_sum4_add(sum, channels + 3 * stride);
        channels += 4 * stride;
    }
    for (; count > 0; --count) {
        tc_sum4_add(sum, channels);
        channels += stride;
    }
}

/* Moves the sums to 32 bits and starts again from 0. */
TC_INLINE void tc_sum4_flush(tc_sum4 *sum, int32_t totals[4])
{
    totals[0] += tc_sum4_low(sum, sum->even);
    totals[1] += tc_sum4_low(sum, sum->odd);
    totals[2] += tc_sum4_high(sum, sum->even);
    totals[3] += tc_sum4_high(sum, sum->odd);
    sum->even = 0;
    sum->odd = 0;
    sum->count = 0;
}

/* Totals of four adjacent channels over rows x columns; `fits`: the sums stay within 16 bits. */
TC_INLINE void tc_sum4_block(const int8_t *channels, int32_t rows, int32_t row_stride, int32_t columns,
                             int32_t column_stride, bool fits, int32_t totals[4])
{
    tc_sum4 sum = {0, 0, 0};
    totals[0] = totals[1] = totals[2] = totals[3] = 0;
    for (int32_t row = 0; row < rows; ++row) {
        const int8_t *next = channels + row * row_stride;
        for (int32_t left = columns; left > 0;) {
            const int32_t count = fits ? left : tc_min(left, TC_AVERAGE_BATCH);
            tc_sum4_run(&sum, next, count, column_stride);
            if (!fits) {
                tc_sum4_flush(&sum, totals);
            }
            next += count * column_stride;
            left -= count;
        }
    }
    if (fits) {
        tc_sum4_flush(&sum, totals);
    }
}

/* The total of one channel. */
TC_INLINE int32_t tc_sum_block(const int8_t *channel, int32_t rows, int32_t row_stride, int32_t columns,
                               int32_t column_stride)
{
    int32_t total = 0;
    for (int32_t row = 0; row < rows; ++row) {
        for (int32_t column = 0; column < columns; ++column) {
            total += channel[row * row_stride + column * column_stride];
        }
    }
    return total;
}

/* Sums of four adjacent elements over three loops, each with its size and its stride in bytes. */
TC_INLINE void tc_sum4_loops(const int8_t *input, const int32_t size[3], const int32_t stride[3], int32_t sums[4])
{
    const bool fits = size[1] * size[2] <= TC_AVERAGE_BATCH;
    sums[0] = sums[1] = sums[2] = sums[3] = 0;
    for (int32_t block = 0; block < size[0]; ++block) {
        int32_t totals[4];
        tc_sum4_block(input + block * stride[0], size[1], stride[1], size[2], stride[2], fits, totals);
        for (int32_t lane = 0; lane < 4; ++lane) {
            sums[lane] += totals[lane];
        }
    }
}

/* The sum of one element over them. */
TC_INLINE int32_t tc_sum_loops(const int8_t *input, const int32_t size[3], const int32_t stride[3])
{
    int32_t sum = 0;
    for (int32_t block = 0; block < size[0]; ++block) {
        sum += tc_sum_block(input + block * stride[0], size[1], stride[1], size[2], stride[2]);
    }
    return sum;
}

#ifdef __cplusplus
}
#endif

#endif
