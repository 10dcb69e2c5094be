/* SPDX-License-Identifier: 0BSD */
/*
 * What turns the sum of a convolution or fully connected layer into its output: one function for each way to requantise.
 * A layer's function passes the one it needs as a constant, and the C compiler inlines it.
 */
#ifndef TC_FINISH_H
#define TC_FINISH_H

#include <stdint.h>

#include "kernels/tc_inline.h"
#include "kernels/tc_requant.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Requantises one sum; `channels` is an array of the type that the function knows. */
typedef int32_t tc_finish(int32_t sum, const void *channels, int32_t channel, const tc_output_range *range);

/* TFLite's convolutions, tc_channel: adding the bias wraps at 32 bits, the factor rounds twice. */
TC_INLINE int32_t tc_finish_twice(int32_t sum, const void *channels, int32_t channel, const tc_output_range *range)
{
    const tc_channel *parameters = (const tc_channel *)channels + channel;
    const int32_t accumulator = tc_wrapping_add(parameters->bias, sum);
    return tc_requantize(accumulator, parameters->multiplier, parameters->shift, range);
}

/* TFLite's FULLY_CONNECTED, tc_channel: one rounding. */
TC_INLINE int32_t tc_finish_once(int32_t sum, const void *channels, int32_t channel, const tc_output_range *range)
{
    const tc_channel *parameters = (const tc_channel *)channels + channel;
    const int32_t accumulator = tc_wrapping_add(parameters->bias, sum);
    return tc_requantize_once(accumulator, parameters->multiplier, parameters->shift, range);
}

/*
 * ONNX: a line through the steps of the real function, in 64 bits. The offset holds the bias and the half of rounding;
 * the compiler has checked every step.
 */
typedef struct tc_step_channel {
    int64_t offset;
    int32_t multiplier;
    int32_t shift; /* to the right, in [1, 62] */
} tc_step_channel;

static inline int32_t tc_step_clamp(int64_t value, const tc_output_range *range)
{
    const int64_t shifted = value + range->zero_point;
    return shifted < range->low ? range->low : shifted > range->high ? range->high : (int32_t)shifted;
}

TC_INLINE int32_t tc_finish_step(int32_t sum, const void *channels, int32_t channel, const tc_output_range *range)
{
    const tc_step_channel *step = (const tc_step_channel *)channels + channel;
    return tc_step_clamp(((int64_t)sum * step->multiplier + step->offset) >> step->shift, range);
}

/* The same where sums can be exactly between two outputs, which round half to even. */
TC_INLINE int32_t tc_finish_step_even(int32_t sum, const void *channels, int32_t channel, const tc_output_range *range)
{
    const tc_step_channel *step = (const tc_step_channel *)channels + channel;
    const int64_t scaled = (int64_t)sum * step->multiplier + step->offset;
    const int64_t mask = ((int64_t)1 << step->shift) - 1;
    const int64_t rounded = scaled >> step->shift;
    return tc_step_clamp((scaled & mask) == 0 ? rounded & ~(int64_t)1 : rounded, range);
}

/*
 * Any monotone function of the sum: int32_t [channels][range->high - range->low], the smallest sum for each output above
 * the lowest one.
 */
TC_INLINE int32_t tc_finish_search(int32_t sum, const void *channels, int32_t channel, const tc_output_range *range)
{
    const int32_t count = range->high - range->low;
    const int32_t *steps = (const int32_t *)channels + channel * count;
    int32_t first = 0;
    int32_t end = count;
    while (first < end) {
        const int32_t middle = (first + end) / 2;
        if (sum >= steps[middle]) {
            first = middle + 1;
        } else {
            end = middle;
        }
    }
    return range->low + first;
}

#ifdef __cplusplus
}
#endif

#endif
