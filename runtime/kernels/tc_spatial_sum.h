/* SPDX-License-Identifier: 0BSD */
/*
 * Sums over the pixels of int8 tensors, and the averages made from them.
 */
#ifndef TC_SPATIAL_SUM_H
#define TC_SPATIAL_SUM_H

#include <stdint.h>

#include "kernels/tc_average.h"
#include "kernels/tc_inline.h"
#include "kernels/tc_requant.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Adds `pixels` of `channels` values each to the sums of the channels. */
TC_INLINE void tc_add_pixels(const int8_t *input, int32_t pixels, int32_t channels, int32_t *sums)
{
    for (int32_t channel = 0; channel < channels / 4 * 4; channel += 4) {
        int32_t totals[4];
        tc_sum4_block(input + channel, 1, 0, pixels, channels, pixels <= TC_AVERAGE_BATCH, totals);
        for (int32_t lane = 0; lane < 4; lane++) {
            sums[channel + lane] += totals[lane];
        }
    }
    for (int32_t channel = channels / 4 * 4; channel < channels; channel++) {
        sums[channel] += tc_sum_block(input + channel, 1, 0, pixels, channels);
    }
}

/* Sums over `count` positions of what are sums already. */
#define TC_DEFINE_SUM(name, type)                                                                                      \
    TC_INLINE void name(const type *input, int32_t count, int32_t channels, int32_t *sums)                             \
    {                                                                                                                  \
        for (int32_t channel = 0; channel < channels; channel++) {                                                     \
            uint32_t total = 0;                                                                                        \
            for (int32_t i = 0; i < count; i++) {                                                                      \
                const int32_t value = input[i * channels + channel];                                                   \
                total += (uint32_t)value;                                                                              \
            }                                                                                                          \
            sums[channel] = (int32_t)total;                                                                            \
        }                                                                                                              \
    }
TC_DEFINE_SUM(tc_sum_i16, int16_t)
TC_DEFINE_SUM(tc_sum_i32, int32_t)

/* From a sum to its average: by the checked form where the compiler found one, else as the operator is defined. */
typedef struct tc_mean_of_sum {
    tc_scaled_form form;
    int32_t count;
    int32_t requantizes; /* MEAN: by multiplier and shift, else a rounded division and a clamp */
    int32_t minus_zero_points;
    int32_t multiplier;
    int32_t shift;
    tc_output_range range;
} tc_mean_of_sum;

TC_INLINE void tc_means_of_sums(const int32_t *sums, int8_t *output, int32_t channels, const tc_mean_of_sum *mean)
{
    for (int32_t channel = 0; channel < channels; channel++) {
        int32_t value;
        if (mean->form.multiplier != 0) {
            value = tc_scaled(sums[channel], &mean->form);
        } else if (mean->requantizes != 0) {
            value = tc_requantize(sums[channel] + mean->minus_zero_points, mean->multiplier, mean->shift, &mean->range);
        } else {
            value = tc_divide_rounded(sums[channel], mean->count);
        }
        value = value < mean->range.low ? mean->range.low : value;
        output[channel] = (int8_t)(value > mean->range.high ? mean->range.high : value);
    }
}

#ifdef __cplusplus
}
#endif

#endif
