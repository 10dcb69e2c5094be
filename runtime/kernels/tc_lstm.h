/* SPDX-License-Identifier: 0BSD */
/*
 * Long short-term memory of int8 or int16 sequences with int8 weights, in plain C.
 *
 * x, y     sequences; the struct says how far steps and sequences are apart
 * h, c     [sequences][outputs], [sequences][cells]: the states before, and in `h_next`, `c_next` those after the last step
 * weights  [gates][cells][inputs], recurrent [gates][cells][outputs]; bias and recurrent_bias [gates][cells], which hold
 *          what the zero points of x and h add
 * peephole [gates that look][cells], projection [outputs][cells], projection_bias [outputs]
 *
 * Gates are those that have weights, of input, forget, cell and output, in this order.
 */
#ifndef TC_LSTM_H
#define TC_LSTM_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "kernels/tc_align.h"
#include "kernels/tc_dot.h"
#include "kernels/tc_inline.h"
#include "kernels/tc_lstm_cell.h"
#include "kernels/tc_requant.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tc_lstm_sizes {
    int32_t steps;
    int32_t sequences;
    int32_t inputs;
    int32_t outputs;
    int32_t x_step;     /* elements from a step of x to the next, */
    int32_t x_sequence; /* and from a sequence to the next */
    int32_t y_step;
    int32_t y_sequence;
    int32_t backward;
    int32_t cells;
} tc_lstm_sizes;

typedef struct tc_lstm_shape {
    tc_lstm_sizes sizes;
    int32_t coupled;             /* the input gate is 1 minus the forget gate */
    int32_t looks;               /* gates look at the cell, with */
    tc_lstm_factor look[3];      /* these factors */
    tc_lstm_factor of_input[4];  /* from sums to steps of a gate; of the gates that have weights */
    tc_lstm_factor of_hidden[4];
    tc_lstm_cell cell;
    int32_t projects;
    tc_lstm_factor projection;
    tc_output_range projected;
    int32_t projection_clip; /* 0: none */
} tc_lstm_shape;

/* Constants of a layer. */
typedef struct tc_lstm_weights {
    const int8_t *input;
    const int8_t *hidden;
    const int32_t *bias;
    const int32_t *hidden_bias;
    const int16_t *peephole;
    const int8_t *projection;
    const int32_t *projection_bias;
} tc_lstm_weights;

/* Where in `look` and `peephole` gate `gate` of those that have weights is; -1: it doesn't look. */
TC_INLINE int32_t tc_lstm_look(int32_t gate, const tc_lstm_shape *shape)
{
    const int32_t cell_gate = shape->coupled ? 1 : 2;
    if (shape->looks == 0 || gate == cell_gate) {
        return -1;
    }
    return gate > cell_gate ? gate - 1 : gate;
}

/* A gate in front of its function. `cell` is what it looks at. */
TC_INLINE int32_t tc_lstm_gate(const int8_t *x, const int8_t *h, int32_t gate, int32_t index, int32_t cell,
                               const tc_lstm_weights *weights, const tc_lstm_shape *shape)
{
    const tc_lstm_sizes *const sizes = &shape->sizes;
    const int32_t row = gate * sizes->cells + index;
    const tc_lstm_factor *const of_input = &shape->of_input[gate];
    const tc_lstm_factor *const of_hidden = &shape->of_hidden[gate];
    const int32_t first = tc_wrapping_add(weights->bias[row], tc_dot_s8(x, weights->input + row * sizes->inputs, sizes->inputs));
    const int32_t second =
        tc_wrapping_add(weights->hidden_bias[row], tc_dot_s8(h, weights->hidden + row * sizes->outputs, sizes->outputs));
    int32_t sum = tc_ssat16(tc_multiply_by_quantized_multiplier(first, of_input->multiplier, of_input->shift));
    int32_t added = tc_multiply_by_quantized_multiplier(second, of_hidden->multiplier, of_hidden->shift);
    if (shape->cell.micro != 0) {
        added = tc_ssat16(added); /* the result of a layer of its own */
    }
    sum = tc_ssat16(tc_wrapping_add(sum, added));
    const int32_t look = tc_lstm_look(gate, shape);
    if (look >= 0) {
        const tc_lstm_factor *const factor = &shape->look[look];
        const int32_t seen = weights->peephole[look * sizes->cells + index] * cell;
        sum = tc_ssat16(tc_wrapping_add(sum, tc_multiply_by_quantized_multiplier(seen, factor->multiplier, factor->shift)));
    }
    return sum;
}

/* From output gate * tanh(cell) to the next state of a sequence. */
TC_INLINE void tc_lstm_project(const int8_t *hidden, int8_t *h, const tc_lstm_weights *weights, const tc_lstm_shape *shape)
{
    const tc_lstm_sizes *const sizes = &shape->sizes;
    if (shape->projects == 0) {
        tc_memcpy(h, hidden, (uint32_t)sizes->cells);
        return;
    }
    for (int32_t i = 0; i < sizes->outputs; ++i) {
        const int32_t sum =
            tc_wrapping_add(weights->projection_bias[i], tc_dot_s8(hidden, weights->projection + i * sizes->cells, sizes->cells));
        const int32_t found = tc_requantize(sum, shape->projection.multiplier, shape->projection.shift, &shape->projected);
        const int32_t clip = shape->projection_clip;
        h[i] = (int8_t)(clip > 0 ? tc_clamp(found, -clip, clip) : found);
    }
}

/* One step of one sequence; `hidden` is working memory for a byte per cell. */
TC_INLINE void tc_lstm_step(const int8_t *x, int8_t *h, int16_t *c, int8_t *hidden, const tc_lstm_weights *weights,
                            const tc_lstm_tables *tables, const tc_lstm_shape *shape)
{
    const tc_lstm_sizes *const sizes = &shape->sizes;
    const tc_lstm_cell *const cell = &shape->cell;
    const int32_t first = shape->coupled ? -1 : 0;
    for (int32_t i = 0; i < sizes->cells; ++i) {
        const int32_t before = c[i];
        const int32_t forget = tc_lstm_sigmoid(tc_lstm_gate(x, h, first + 1, i, before, weights, shape), tables, cell);
        int32_t input = 32767 - forget;
        if (shape->coupled == 0) {
            input = tc_lstm_sigmoid(tc_lstm_gate(x, h, 0, i, before, weights, shape), tables, cell);
        }
        const int32_t added = tc_lstm_tanh(tc_lstm_gate(x, h, first + 2, i, before, weights, shape), -12, tables, cell);
        const int32_t now = tc_lstm_next_cell(input, forget, added, before, cell);
        c[i] = (int16_t)now;
        const int32_t output = tc_lstm_sigmoid(tc_lstm_gate(x, h, first + 3, i, now, weights, shape), tables, cell);
        hidden[i] = (int8_t)tc_lstm_hidden(output, now, tables, cell);
    }
    tc_lstm_project(hidden, h, weights, shape);
}

/* Constants that a layer doesn't have, and the tables that its arithmetic doesn't need, are null. */
TC_INLINE void tc_lstm_s8(const int8_t *x, const int8_t *h, const int16_t *c, int8_t *y, int8_t *h_next, int16_t *c_next,
                          const int8_t *input_weights, const int8_t *hidden_weights, const int32_t *bias,
                          const int32_t *hidden_bias, const int16_t *peephole, const int8_t *projection,
                          const int32_t *projection_bias, const uint16_t *steps, void *scratch,
                          const tc_lstm_shape *shape)
{
    const tc_lstm_weights weights = {input_weights, hidden_weights, bias, hidden_bias, peephole, projection, projection_bias};
    const tc_lstm_tables tables = {{NULL, NULL}, steps};
    const tc_lstm_sizes *const sizes = &shape->sizes;
    tc_keep_state(h_next, h, (uint32_t)(sizes->sequences * sizes->outputs));
    tc_keep_state(c_next, c, (uint32_t)(sizes->sequences * sizes->cells) * 2u);
    for (int32_t sequence = 0; sequence < sizes->sequences; ++sequence) {
        int8_t *const state = h_next + sequence * sizes->outputs;
        for (int32_t step = 0; step < sizes->steps; ++step) {
            const int32_t at = sizes->backward ? sizes->steps - 1 - step : step;
            const int8_t *const from = x + sequence * sizes->x_sequence + at * sizes->x_step;
            tc_lstm_step(from, state, c_next + sequence * sizes->cells, (int8_t *)scratch, &weights, &tables, shape);
            tc_memcpy(y + sequence * sizes->y_sequence + at * sizes->y_step, state, (uint32_t)sizes->outputs);
        }
    }
}

#ifdef __cplusplus
}
#endif

#endif
