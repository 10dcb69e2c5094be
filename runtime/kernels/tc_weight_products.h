/* SPDX-License-Identifier: 0BSD */
/*
 * The gradient of a layer's weights and their step of descent, for layers that multiply each position's inputs by a matrix:
 * two output channels times four inputs in registers (tc_gradient_products.h), applied as soon as a pair of channels has it.
 *
 * gradient   [positions][outputs], int16
 * input      [positions][inputs], int8
 * parameter  [outputs][inputs], int16 master weights; the output is its memory, or apart
 * scratch    two words for every two positions, then int32_t [2][inputs]; of one position int16_t [inputs]
 */
#ifndef TC_WEIGHT_PRODUCTS_H
#define TC_WEIGHT_PRODUCTS_H

#include <stddef.h>
#include <stdint.h>

#include "cmsis_shim/tc_simd.h"
#include "kernels/tc_align.h"
#include "kernels/tc_block_float.h"
#include "kernels/tc_descent.h"
#include "kernels/tc_gradient_products.h"
#include "kernels/tc_inline.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tc_weight_products_shape {
    int32_t positions;
    int32_t inputs;  /* four or more, but for one position */
    int32_t outputs; /* two or more, but for one position */
    int32_t input_zero_point;
    int32_t shift;    /* of a narrowed gradient, and from its exponent to the sums' */
    int32_t one_unit; /* whether all output channels have the same */
} tc_weight_products_shape;

/* A step's factor, and the shift of its product with a gradient, of a channel. */
typedef struct tc_channel_step {
    int32_t factor;
    int32_t shift;
} tc_channel_step;

TC_INLINE tc_channel_step tc_step_of(int32_t channel, const int32_t *exponent, const int32_t *rate,
                                     const tc_descent_unit *units, const tc_weight_products_shape *shape)
{
    const tc_descent_unit *const unit = &units[shape->one_unit ? 0 : channel];
    tc_channel_step step;
    step.factor = unit->mantissa * rate[0];
    step.shift = -(unit->exponent + rate[1] + *exponent + shape->shift);
    return step;
}

/* Both channels' values of a position, narrowed. */
TC_INLINE uint32_t tc_two_channels(const int16_t *gradient, int32_t shift)
{
    const uint32_t values = tc_load4(gradient);
    if (shift == 0) {
        return values;
    }
    return tc_lanes(tc_shift_right_rounded(tc_low(values), shift), tc_shift_right_rounded(tc_high(values), shift));
}

/* Two channels' gradients as columns, and what the inputs' zero point takes from sums of products with them. */
TC_INLINE void tc_gather_columns(const int16_t *gradient, uint32_t *columns, int32_t starts[2],
                                 const tc_weight_products_shape *shape)
{
    int32_t first = 0;
    int32_t second = 0;
    for (int32_t i = 0; i < shape->positions; i += 2, columns += 2) {
        const uint32_t a = tc_two_channels(gradient + i * shape->outputs, shape->shift);
        const uint32_t b =
            i + 1 < shape->positions ? tc_two_channels(gradient + (i + 1) * shape->outputs, shape->shift) : 0u;
        columns[0] = tc_pkhbt(a, b, 16);
        columns[1] = tc_pkhtb(b, a, 16);
        first = tc_smlad(columns[0], 0x00010001u, first);
        second = tc_smlad(columns[1], 0x00010001u, second);
    }
    starts[0] = -shape->input_zero_point * first;
    starts[1] = -shape->input_zero_point * second;
}

/* The sums of all inputs for both columns, int32_t [2][inputs]. */
TC_INLINE void tc_column_sums(const uint32_t *columns, const int8_t *input, int32_t *sums, tc_products *products,
                              tc_products_job *job, const tc_weight_products_shape *shape)
{
    const int32_t inputs = shape->inputs;
    job->bytes_end = input + inputs / 4 * 4;
    products(columns, input, sums, job);
    if (inputs % 4 != 0) { /* the last four, some of them once more */
        job->bytes_end = input + inputs;
        products(columns, input + inputs - 4, sums + inputs - 4, job);
    }
    if (shape->positions % 2 != 0) {
        const int8_t *const last = input + (shape->positions - 1) * inputs;
        for (int32_t i = 0; i < inputs; ++i) {
            sums[i] += tc_low(job->gradients_end[0]) * last[i];
            sums[inputs + i] += tc_low(job->gradients_end[1]) * last[i];
        }
    }
}

TC_INLINE void tc_weight_update_products(const int16_t *gradient, const int32_t *exponent, const int8_t *input,
                                         const int16_t *parameter, const int32_t *rate, int16_t *output,
                                         const tc_descent_unit *units, void *scratch, tc_products *products,
                                         const tc_weight_products_shape *shape)
{
    const int32_t pairs = shape->positions / 2;
    uint32_t *const columns = (uint32_t *)scratch;
    int32_t *const sums = (int32_t *)(columns + 2 * ((shape->positions + 1) / 2));
    tc_products_job job = {columns + 2 * pairs, NULL, tc_products_entry(pairs), 4 * shape->inputs, {0, 0}};
    for (int32_t pair = 0; pair < shape->outputs; pair += 2) {
        const int32_t channel = tc_min(pair, shape->outputs - 2); /* of an odd number the last one but one comes again */
        tc_gather_columns(gradient + channel, columns, job.starts, shape);
        tc_column_sums(columns, input, sums, products, &job, shape);
        for (int32_t own = pair; own < channel + 2; ++own) {
            const tc_channel_step step = tc_step_of(own, exponent, rate, units, shape);
            tc_descend_masters(parameter + own * shape->inputs, sums + (own - channel) * shape->inputs,
                               output + own * shape->inputs, shape->inputs, step.factor, step.shift);
        }
    }
}

/* One position's: no sums, and nothing changes where there is no gradient. */
TC_INLINE void tc_weight_update_single(const int16_t *gradient, const int32_t *exponent, const int8_t *input,
                                       const int16_t *parameter, const int32_t *rate, int16_t *output,
                                       const tc_descent_unit *units, void *scratch, const tc_weight_products_shape *shape)
{
    const int32_t inputs = shape->inputs;
    int16_t *const x = (int16_t *)scratch;
    for (int32_t i = 0; i < inputs; ++i) {
        x[i] = (int16_t)(input[i] - shape->input_zero_point);
    }
    for (int32_t channel = 0; channel < shape->outputs; ++channel, parameter += inputs, output += inputs) {
        const int32_t value = tc_shift_right_rounded(gradient[channel], shape->shift);
        const tc_channel_step step = tc_step_of(channel, exponent, rate, units, shape);
        int32_t i = 0;
        if (value == 0) {
            for (; output != parameter && i < inputs; ++i) {
                output[i] = parameter[i];
            }
            continue;
        }
#if TC_DSP
        if (step.shift > TC_UPPER_SHIFT) {
            const int32_t places = tc_min(step.shift, 62);
            const int32_t half = tc_upper_half(places);
            const tc_master_ends ends = tc_master_ends_of();
#if defined(__GNUC__)
#pragma GCC unroll 2
#endif
            for (; i + 2 <= inputs; i += 2) {
                const uint32_t two = tc_load4(x + i);
                const int32_t first = tc_upper_step(tc_smulbb(two, (uint32_t)value), step.factor, half, places);
                const int32_t second = tc_upper_step(tc_smultb(two, (uint32_t)value), step.factor, half, places);
                tc_store_lanes(output + i, tc_moved_masters(tc_load4(parameter + i), first, second, ends));
            }
        }
#endif
        for (; i < inputs; ++i) {
            output[i] = (int16_t)tc_descended(parameter[i], value * x[i], step.factor, step.shift, -TC_MASTER_LIMIT,
                                              TC_MASTER_LIMIT - 1);
        }
    }
}

#ifdef __cplusplus
}
#endif

#endif
