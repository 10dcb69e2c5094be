/* SPDX-License-Identifier: 0BSD */
/*
 * Long short-term memory of int8 sequences by SIMD products: per step the sums over x and over h of all gates, then gate by
 * gate their functions, then the cells.
 *
 * x, y, h, c as in tc_lstm.h. The weights of x and of h are streams for tc_lane_sums.h or tc_pair_sums.h, all gates one after
 * the other.
 */
#ifndef TC_LSTM_LANES_H
#define TC_LSTM_LANES_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "cmsis_shim/tc_simd.h"
#include "kernels/tc_align.h"
#include "kernels/tc_inline.h"
#include "kernels/tc_lstm.h"
#include "kernels/tc_lstm_cell.h"
#include "kernels/tc_simd_sums.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tc_lstm_lanes_shape {
    tc_lstm_sizes sizes;
    int32_t pairs;        /* sums by tc_pair_sums.h, else by tc_lane_sums.h; */
    int32_t sums;         /* so many, filled up to whole blocks */
    int32_t input_words;  /* of the stream of x, */
    int32_t hidden_words; /* and of h */
    tc_sum_factor of_input[4];
    tc_sum_factor of_hidden[4];
    tc_lstm_cell cell;
} tc_lstm_lanes_shape;

TC_INLINE int32_t tc_lstm_load16(const uint8_t *from)
{
    int16_t value;
    memcpy(&value, __builtin_assume_aligned(from, 2), 2);
    return value;
}

TC_INLINE void tc_lstm_store16(uint8_t *to, int32_t value)
{
    const int16_t half = (int16_t)value;
    memcpy(__builtin_assume_aligned(to, 2), &half, 2);
}

/* A gate of all cells behind its function, int16, to the beginning of its sums over x, which are read before. */
TC_INLINE void tc_lstm_lane_gate(const int32_t *of_input, const int32_t *of_hidden, uint8_t *gates, int32_t gate,
                                 const tc_lstm_tables *tables, const tc_lstm_lanes_shape *shape)
{
    const int32_t first = gate * shape->sizes.cells;
    const tc_sum_factor *const x = &shape->of_input[gate];
    const tc_sum_factor *const h = &shape->of_hidden[gate];
    for (int32_t i = first; i < first + shape->sizes.cells; ++i) {
        const int32_t a = tc_saturated_sum(of_input[i], x);
        /* In TensorFlow Lite Micro the second sum is the result of a layer of its own. */
        const int32_t b = shape->cell.micro ? tc_saturated_sum(of_hidden[i], h) : tc_scaled_sum(of_hidden[i], h) >> h->right;
        const int32_t sum = tc_ssat16(a + b);
        const int32_t value = gate == 2 ? tc_lstm_tanh(sum, -12, tables, &shape->cell) : tc_lstm_sigmoid(sum, tables, &shape->cell);
        tc_lstm_store16(gates + 2 * i, value);
    }
}

TC_INLINE void tc_lstm_lanes_step(const int8_t *x, int8_t *h, int16_t *c, const int32_t *input_weights,
                                  const int32_t *hidden_weights, const tc_lstm_tables *tables, uint32_t *row, int32_t *sums,
                                  const tc_lstm_lanes_shape *shape)
{
    const tc_lstm_sizes *const sizes = &shape->sizes;
    const int32_t cells = sizes->cells;
    int32_t *const of_hidden = sums + shape->sums;
    uint8_t *const gates = (uint8_t *)sums;
    tc_simd_sums(x, sizes->inputs, row, input_weights, shape->input_words, sums, shape->pairs);
    tc_simd_sums(h, sizes->outputs, row, hidden_weights, shape->hidden_words, of_hidden, shape->pairs);
    tc_lstm_lane_gate(sums, of_hidden, gates, 0, tables, shape);
    tc_lstm_lane_gate(sums, of_hidden, gates, 1, tables, shape);
    tc_lstm_lane_gate(sums, of_hidden, gates, 2, tables, shape);
    tc_lstm_lane_gate(sums, of_hidden, gates, 3, tables, shape);
    for (int32_t i = 0; i < cells; ++i) {
        const uint8_t *const gate = gates + 2 * i;
        const int32_t input = tc_lstm_load16(gate);
        const int32_t forget = tc_lstm_load16(gate + 2 * cells);
        const int32_t added = tc_lstm_load16(gate + 4 * cells);
        const int32_t output = tc_lstm_load16(gate + 6 * cells);
        const int32_t now = tc_lstm_next_cell(input, forget, added, c[i], &shape->cell);
        c[i] = (int16_t)now;
        h[i] = (int8_t)tc_lstm_hidden(output, now, tables, &shape->cell);
    }
}

/* `low` and `rest` are the table of tc_sigmoid16.h, `steps` that of the other arithmetic; one of them is null. */
TC_INLINE void tc_lstm_lanes_s8(const int8_t *x, const int8_t *h, const int16_t *c, int8_t *y, int8_t *h_next,
                                int16_t *c_next, const int32_t *input_weights, const int32_t *hidden_weights,
                                const int16_t *low, const uint32_t *rest, const uint16_t *steps, void *scratch,
                                const tc_lstm_lanes_shape *shape)
{
    const tc_lstm_tables tables = {{low, rest}, steps};
    const tc_lstm_sizes *const sizes = &shape->sizes;
    int32_t *const sums = (int32_t *)scratch;
    uint32_t *const row = (uint32_t *)(sums + 2 * shape->sums);
    tc_keep_state(h_next, h, (uint32_t)(sizes->sequences * sizes->outputs));
    tc_keep_state(c_next, c, (uint32_t)(sizes->sequences * sizes->cells) * 2u);
    for (int32_t sequence = 0; sequence < sizes->sequences; ++sequence) {
        int8_t *const state = h_next + sequence * sizes->outputs;
        for (int32_t step = 0; step < sizes->steps; ++step) {
            const int32_t at = sizes->backward ? sizes->steps - 1 - step : step;
            tc_lstm_lanes_step(x + sequence * sizes->x_sequence + at * sizes->x_step, state, c_next + sequence * sizes->cells,
                               input_weights, hidden_weights, &tables, row, sums, shape);
            tc_memcpy(y + sequence * sizes->y_sequence + at * sizes->y_step, state, (uint32_t)sizes->outputs);
        }
    }
}

#ifdef __cplusplus
}
#endif

#endif
