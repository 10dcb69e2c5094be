/* SPDX-License-Identifier: 0BSD */
/*
 * Singular value decomposition filter: a row of weights per filter times the input is the filter's newest result; its last
 * `memory` results times weights of their age are the filter, `rank` filters a unit.
 *
 * x [batch][inputs], y [batch][units]; state and state_next [batch][filters][memory], the newest result last.
 */
#ifndef TC_SVDF_H
#define TC_SVDF_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "cmsis_shim/tc_simd.h"
#include "kernels/tc_align.h"
#include "kernels/tc_dot.h"
#include "kernels/tc_float_recurrent.h"
#include "kernels/tc_inline.h"
#include "kernels/tc_requant.h"
#include "kernels/tc_simd_sums.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tc_svdf_sizes {
    int32_t batch;
    int32_t inputs;
    int32_t units;
    int32_t rank;
    int32_t memory;
} tc_svdf_sizes;

typedef struct tc_svdf_shape {
    tc_svdf_sizes sizes;
    int32_t multiplier; /* from sums over x to the state: where they aren't made by SIMD products, */
    int32_t shift;
    int32_t simd; /* which */
    int32_t pairs;
    int32_t in_place; /* x isn't expanded, which takes no scratch: a batch of 1, inputs a multiple of 4 */
    int32_t words;
    tc_sum_factor of_input; /* have this factor */
    int32_t output_multiplier;
    int32_t output_shift;
    tc_output_range output;
} tc_svdf_shape;

/* Two int16 at any address of an int16. */
TC_INLINE uint32_t tc_svdf_load(const int16_t *from)
{
    return tc_load4(from);
}

TC_INLINE void tc_svdf_store(int16_t *to, uint32_t pair)
{
#if TC_STRICT_ALIGNMENT
    to[0] = (int16_t)tc_low(pair);
    to[1] = (int16_t)tc_high(pair);
#else
    memcpy(to, &pair, 4);
#endif
}

/* Moves a filter's results, appends the newest, and returns the sum of all of them times `weights`. */
TC_INLINE int32_t tc_svdf_filter(const int16_t *state, int16_t *next, const int16_t *weights, int32_t memory, int32_t newest)
{
    int32_t sum = 0;
    int32_t i = 0;
    for (; i + 2 < memory; i += 2) {
        const uint32_t pair = tc_svdf_load(state + i + 1);
        sum = tc_smlad(pair, tc_svdf_load(weights + i), sum);
        tc_svdf_store(next + i, pair);
    }
    for (; i < memory; ++i) {
        const int32_t value = i + 1 < memory ? state[i + 1] : newest;
        sum = tc_wrapping_add(sum, value * weights[i]);
        next[i] = (int16_t)value;
    }
    return sum;
}

/* `weights` are int8 rows with `start` beside them, or a stream of tc_simd_sums.h, which has the starts; one is null. */
TC_INLINE void tc_svdf_s8(const int8_t *x, const int16_t *state, int8_t *y, int16_t *state_next, const int8_t *weights,
                          const int32_t *start, const int32_t *stream, const int16_t *time_weights, const int32_t *bias,
                          void *scratch, const tc_svdf_shape *shape)
{
    const tc_svdf_sizes *const sizes = &shape->sizes;
    uint32_t *const row = (uint32_t *)scratch;
    int32_t *const sums = (int32_t *)(row + (shape->in_place ? 0 : 2 * ((sizes->inputs + 3) / 4)));
    for (int32_t batch = 0; batch < sizes->batch; ++batch) {
        const int16_t *times = time_weights;
        if (shape->in_place) {
            tc_pair_sums_in_place(x, sizes->inputs, stream, shape->words, sums);
        } else if (shape->simd) {
            tc_simd_sums(x, sizes->inputs, row, stream, shape->words, sums, shape->pairs);
        }
        for (int32_t unit = 0; unit < sizes->units; ++unit) {
            int32_t sum = bias[unit];
            for (int32_t i = unit * sizes->rank; i < (unit + 1) * sizes->rank; ++i) {
                int32_t newest;
                if (shape->simd) {
                    newest = tc_saturated_sum(sums[i], &shape->of_input);
                } else {
                    const int32_t products = tc_dot_s8(x, weights + i * sizes->inputs, sizes->inputs);
                    const int32_t whole = tc_wrapping_add(start[i], products);
                    newest = tc_ssat16(tc_multiply_by_quantized_multiplier(whole, shape->multiplier, shape->shift));
                }
                sum = tc_wrapping_add(sum, tc_svdf_filter(state, state_next, times, sizes->memory, newest));
                state += sizes->memory;
                state_next += sizes->memory;
                times += sizes->memory;
            }
            *y++ = (int8_t)tc_requantize(sum, shape->output_multiplier, shape->output_shift, &shape->output);
        }
        x += sizes->inputs;
    }
}

typedef struct tc_float_svdf_shape {
    tc_svdf_sizes sizes;
    tc_activation activation;
} tc_float_svdf_shape;

TC_INLINE void tc_float_svdf(const float *x, const float *state, float *y, float *state_next, const float *weights,
                             const float *time_weights, const float *bias, const tc_float_svdf_shape *shape)
{
    const tc_svdf_sizes *const sizes = &shape->sizes;
    const int32_t memory = sizes->memory;
    for (int32_t batch = 0; batch < sizes->batch; ++batch) {
        const float *times = time_weights;
        for (int32_t unit = 0; unit < sizes->units; ++unit) {
            float sum = bias[unit];
            for (int32_t i = unit * sizes->rank; i < (unit + 1) * sizes->rank; ++i) {
                for (int32_t age = 0; age + 1 < memory; ++age) {
                    state_next[age] = state[age + 1];
                }
                state_next[memory - 1] = tc_float_dot(x, weights + i * sizes->inputs, sizes->inputs, 0.0f);
                sum = tc_float_dot(state_next, times, memory, sum);
                state += memory;
                state_next += memory;
                times += memory;
            }
            *y++ = tc_activated(sum, &shape->activation);
        }
        x += sizes->inputs;
    }
}

#ifdef __cplusplus
}
#endif

#endif
