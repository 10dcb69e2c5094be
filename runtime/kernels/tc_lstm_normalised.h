/* SPDX-License-Identifier: 0BSD */
/*
 * Long short-term memory of int8 sequences whose gates are normalised over their cells, in plain C. Operands are those of
 * tc_lstm.h, but for its biases, which hold what zero points add and nothing else:
 *
 * factors, norm_bias [gates][cells]: what a gate with mean 0 and variance 1 is multiplied by, and what is added then
 */
#ifndef TC_LSTM_NORMALISED_H
#define TC_LSTM_NORMALISED_H

#include <stddef.h>
#include <stdint.h>

#include "kernels/tc_align.h"
#include "kernels/tc_inline.h"
#include "kernels/tc_lstm.h"
#include "kernels/tc_lstm_cell.h"
#include "kernels/tc_requant.h"
#include "kernels/tc_root.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tc_lstm_norm_shape {
    tc_lstm_factor scale[4];   /* from 10 fractional bits of a product to 12 of a gate; of the gates that have weights */
    int32_t least_variance[4]; /* what stands for a variance below 1 */
} tc_lstm_norm_shape;

/* Constants and working memory of a step. */
typedef struct tc_lstm_norm {
    const int16_t *factors;
    const int32_t *bias;
    int16_t *gates; /* [3][cells] */
    int8_t *hidden; /* [cells] */
} tc_lstm_norm;

/* 1 / sqrt(variance), of a variance that has 31 bits. */
TC_INLINE tc_root tc_lstm_deviation(int32_t variance)
{
    const int32_t large = variance >> 29 != 0;
    tc_root root = tc_inverse_square_root(variance >> (2 * large));
    root.shift -= large;
    return root;
}

/* A gate of all cells, from its sums to what its function is given; of fewer than 2^16 cells. */
TC_INLINE void tc_lstm_normalise(int16_t *values, const int16_t *factors, const int32_t *bias, int32_t cells,
                                 const tc_lstm_factor *scale, int32_t least_variance)
{
    int32_t sum = 0;
    int64_t squares = 0;
    for (int32_t i = 0; i < cells; ++i) {
        const int32_t value = values[i];
        sum += value;
        squares += value * value;
    }
    /* sum * 1024 / cells rounded towards zero, in 32 bits. */
    const int32_t mean = sum / cells * 1024 + sum % cells * 1024 / cells;
    const int64_t square = (int64_t)mean * mean;
    /* The reciprocal is truncated: the difference may be negative. */
    int32_t variance = (int32_t)((squares * ((1 << 20) / cells) - square) >> 20);
    if (variance < 1) {
        variance = least_variance;
    }
    const tc_root root = tc_lstm_deviation(variance);
    for (int32_t i = 0; i < cells; ++i) {
        const int32_t normal = tc_multiply_by_quantized_multiplier(values[i] * 1024 - mean, root.multiplier, root.shift);
        const int64_t product = (int64_t)normal * factors[i] + bias[i];
        const int32_t rounded = (int32_t)((product + 512 + (product >> 63)) >> 10);
        values[i] = (int16_t)tc_ssat16(tc_multiply_by_quantized_multiplier(rounded, scale->multiplier, scale->shift));
    }
}

/* Gate `gate` of those that have weights, of all cells, in front of its function. */
TC_INLINE void tc_lstm_normal_gate(int16_t *values, const int8_t *x, const int8_t *h, const int16_t *c, int32_t gate,
                                   const tc_lstm_norm *norm, const tc_lstm_weights *weights,
                                   const tc_lstm_shape *shape, const tc_lstm_norm_shape *norm_shape)
{
    const int32_t cells = shape->sizes.cells;
    for (int32_t i = 0; i < cells; ++i) {
        values[i] = (int16_t)tc_lstm_gate(x, h, gate, i, c[i], weights, shape);
    }
    tc_lstm_normalise(values, norm->factors + gate * cells, norm->bias + gate * cells, cells, &norm_shape->scale[gate],
                      norm_shape->least_variance[gate]);
}

/* One step of one sequence. */
TC_INLINE void tc_lstm_normal_step(const int8_t *x, int8_t *h, int16_t *c, const tc_lstm_norm *norm,
                                   const tc_lstm_weights *weights, const tc_lstm_tables *tables,
                                   const tc_lstm_shape *shape, const tc_lstm_norm_shape *norm_shape)
{
    const int32_t cells = shape->sizes.cells;
    const tc_lstm_cell *const cell = &shape->cell;
    const int32_t first = shape->coupled ? -1 : 0;
    int16_t *const forget = norm->gates;
    int16_t *const added = norm->gates + cells;
    int16_t *const input = norm->gates + 2 * cells;
    tc_lstm_normal_gate(forget, x, h, c, first + 1, norm, weights, shape, norm_shape);
    tc_lstm_normal_gate(added, x, h, c, first + 2, norm, weights, shape, norm_shape);
    if (shape->coupled == 0) {
        tc_lstm_normal_gate(input, x, h, c, 0, norm, weights, shape, norm_shape);
    }
    for (int32_t i = 0; i < cells; ++i) {
        const int32_t kept = tc_lstm_sigmoid(forget[i], tables, cell);
        const int32_t into = shape->coupled ? 32767 - kept : tc_lstm_sigmoid(input[i], tables, cell);
        c[i] = (int16_t)tc_lstm_next_cell(into, kept, tc_lstm_tanh(added[i], -12, tables, cell), c[i], cell);
    }
    int16_t *const output = norm->gates;
    tc_lstm_normal_gate(output, x, h, c, first + 3, norm, weights, shape, norm_shape);
    for (int32_t i = 0; i < cells; ++i) {
        norm->hidden[i] = (int8_t)tc_lstm_hidden(tc_lstm_sigmoid(output[i], tables, cell), c[i], tables, cell);
    }
    tc_lstm_project(norm->hidden, h, weights, shape);
}

/* Constants that a layer doesn't have are null; `scratch` has room for 7 bytes per cell. */
TC_INLINE void tc_lstm_normalised_s8(const int8_t *x, const int8_t *h, const int16_t *c, int8_t *y, int8_t *h_next,
                                     int16_t *c_next, const int8_t *input_weights, const int8_t *hidden_weights,
                                     const int32_t *bias, const int32_t *hidden_bias, const int16_t *peephole,
                                     const int8_t *projection, const int32_t *projection_bias, const int16_t *factors,
                                     const int32_t *norm_bias, void *scratch, const tc_lstm_shape *shape,
                                     const tc_lstm_norm_shape *norm_shape)
{
    const tc_lstm_weights weights = {input_weights, hidden_weights, bias, hidden_bias, peephole, projection, projection_bias};
    const tc_lstm_tables tables = {{NULL, NULL}, NULL};
    const tc_lstm_sizes *const sizes = &shape->sizes;
    int16_t *const gates = (int16_t *)scratch;
    const tc_lstm_norm norm = {factors, norm_bias, gates, (int8_t *)(gates + 3 * sizes->cells)};
    tc_keep_state(h_next, h, (uint32_t)(sizes->sequences * sizes->outputs));
    tc_keep_state(c_next, c, (uint32_t)(sizes->sequences * sizes->cells) * 2u);
    for (int32_t sequence = 0; sequence < sizes->sequences; ++sequence) {
        int8_t *const state = h_next + sequence * sizes->outputs;
        int16_t *const memory = c_next + sequence * sizes->cells;
        for (int32_t step = 0; step < sizes->steps; ++step) {
            const int32_t at = sizes->backward ? sizes->steps - 1 - step : step;
            const int8_t *const from = x + sequence * sizes->x_sequence + at * sizes->x_step;
            tc_lstm_normal_step(from, state, memory, &norm, &weights, &tables, shape, norm_shape);
            tc_memcpy(y + sequence * sizes->y_sequence + at * sizes->y_step, state, (uint32_t)sizes->outputs);
        }
    }
}

#ifdef __cplusplus
}
#endif

#endif
