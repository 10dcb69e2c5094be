/* SPDX-License-Identifier: 0BSD */
/*
 * Long short-term memory of int16 sequences with int8 weights, in plain C, by the arithmetic of TensorFlow Lite Micro.
 *
 * Operands as in tc_lstm.h, but that x, y and h are int16 with the zero point 0, and the bias is int64.
 */
#ifndef TC_LSTM_WIDE_H
#define TC_LSTM_WIDE_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "kernels/tc_align.h"
#include "kernels/tc_inline.h"
#include "kernels/tc_lstm.h"
#include "kernels/tc_lstm_cell.h"

#ifdef __cplusplus
extern "C" {
#endif

/* sum * multiplier / 2^right, rounded once. */
typedef struct tc_lstm_wide_factor {
    int32_t multiplier;
    int32_t right;
} tc_lstm_wide_factor;

typedef struct tc_lstm_wide_shape {
    tc_lstm_sizes sizes;
    tc_lstm_wide_factor of_input[4];
    tc_lstm_wide_factor of_hidden[4];
    tc_lstm_cell cell;
} tc_lstm_wide_shape;

TC_INLINE int32_t tc_lstm_wide_scaled(int64_t start, const int16_t *values, const int8_t *weights, int32_t count,
                                      const tc_lstm_wide_factor *factor)
{
    int64_t sum = start;
    for (int32_t i = 0; i < count; ++i) {
        sum += values[i] * weights[i];
    }
    const int64_t scaled = (sum * factor->multiplier + ((int64_t)1 << (factor->right - 1))) >> factor->right;
    return scaled > 32767 ? 32767 : scaled < -32768 ? -32768 : (int32_t)scaled;
}

/* One step of one sequence; `hidden` is working memory for a value per cell. */
TC_INLINE void tc_lstm_wide_step(const int16_t *x, int16_t *h, int16_t *c, int16_t *hidden, const int8_t *input_weights,
                                 const int8_t *hidden_weights, const int64_t *bias, const tc_lstm_tables *tables,
                                 const tc_lstm_wide_shape *shape)
{
    const tc_lstm_sizes *const sizes = &shape->sizes;
    for (int32_t i = 0; i < sizes->cells; ++i) {
        int32_t gates[4];
        for (int32_t gate = 0; gate < 4; ++gate) {
            const int32_t row = gate * sizes->cells + i;
            const int32_t first = tc_lstm_wide_scaled(bias[row], x, input_weights + row * sizes->inputs, sizes->inputs,
                                                      &shape->of_input[gate]);
            const int32_t second =
                tc_lstm_wide_scaled(0, h, hidden_weights + row * sizes->outputs, sizes->outputs, &shape->of_hidden[gate]);
            const int32_t sum = tc_ssat16(first + second);
            gates[gate] = gate == 2 ? tc_lstm_tanh(sum, -12, tables, &shape->cell) : tc_lstm_sigmoid(sum, tables, &shape->cell);
        }
        const int32_t now = tc_lstm_next_cell(gates[0], gates[1], gates[2], c[i], &shape->cell);
        c[i] = (int16_t)now;
        hidden[i] = (int16_t)tc_lstm_hidden(gates[3], now, tables, &shape->cell);
    }
    tc_memcpy(h, hidden, (uint32_t)sizes->cells * 2u);
}

TC_INLINE void tc_lstm_s16(const int16_t *x, const int16_t *h, const int16_t *c, int16_t *y, int16_t *h_next,
                           int16_t *c_next, const int8_t *input_weights, const int8_t *hidden_weights, const int64_t *bias,
                           const uint16_t *steps, void *scratch, const tc_lstm_wide_shape *shape)
{
    const tc_lstm_tables tables = {{NULL, NULL}, steps};
    const tc_lstm_sizes *const sizes = &shape->sizes;
    tc_keep_state(h_next, h, (uint32_t)(sizes->sequences * sizes->outputs) * 2u);
    tc_keep_state(c_next, c, (uint32_t)(sizes->sequences * sizes->cells) * 2u);
    for (int32_t sequence = 0; sequence < sizes->sequences; ++sequence) {
        int16_t *const state = h_next + sequence * sizes->outputs;
        for (int32_t step = 0; step < sizes->steps; ++step) {
            const int32_t at = sizes->backward ? sizes->steps - 1 - step : step;
            tc_lstm_wide_step(x + sequence * sizes->x_sequence + at * sizes->x_step, state, c_next + sequence * sizes->cells,
                              (int16_t *)scratch, input_weights, hidden_weights, bias, &tables, shape);
            tc_memcpy(y + sequence * sizes->y_sequence + at * sizes->y_step, state, (uint32_t)sizes->outputs * 2u);
        }
    }
}

#ifdef __cplusplus
}
#endif

#endif
