/* SPDX-License-Identifier: 0BSD */
/*
 * Layers whose weights are constants while their bias is in RAM: what sums begin with is computed before each call of the
 * layer's kernel, in scratch.
 */
#ifndef TC_ADDED_BIAS_H
#define TC_ADDED_BIAS_H

#include <stdint.h>

#include "kernels/tc_inline.h"
#include "kernels/tc_requant.h"

#ifdef __cplusplus
extern "C" {
#endif

/* How a layer's bias is added: clamped, since beyond outputs are at an end of their range whatever the input is, and times
 * what the kernel's sums are times the layer's. */
typedef struct tc_added_bias {
    int32_t channels;
    int32_t low;
    int32_t high;
    int32_t factor;
} tc_added_bias;

TC_INLINE int32_t tc_with_bias(int32_t start, int32_t bias, tc_added_bias added)
{
    return (int32_t)((uint32_t)start + (uint32_t)tc_clamp(bias, added.low, added.high) * (uint32_t)added.factor);
}

/* Starts of pairs of channels to `sums`; the last pair of an odd number repeats the channel before it. Returns what is
 * behind them. */
TC_INLINE int32_t *tc_starts_with_bias(const int32_t *bias, const int32_t *starts, int32_t *sums, tc_added_bias added)
{
    const int32_t last = added.channels - 1;
    for (int32_t i = 0; i < last; ++i) {
        *sums++ = tc_with_bias(*starts++, bias[i], added);
    }
    if (added.channels % 2 != 0) {
        *sums++ = tc_with_bias(*starts++, bias[last > 0 ? last - 1 : 0], added);
    }
    *sums++ = tc_with_bias(*starts, bias[last], added);
    return sums;
}

/* A copy of all channels' records, of so many words, with the bias in word `start` of each. Returns what is behind it. */
TC_INLINE int32_t *tc_records_with_bias(const int32_t *bias, const int32_t *records, int32_t *copy, int32_t words,
                                        int32_t start, tc_added_bias added)
{
    for (int32_t channel = 0; channel < added.channels; ++channel, copy += words, records += words) {
        for (int32_t i = 0; i < words; ++i) {
            copy[i] = records[i];
        }
        copy[start] = tc_with_bias(records[start], bias[channel], added);
    }
    return copy;
}

#ifdef __cplusplus
}
#endif

#endif
