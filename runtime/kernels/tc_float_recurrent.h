/* SPDX-License-Identifier: 0BSD */
/*
 * Recurrent layers of floats: long short-term memory, gated recurrent unit, and a layer without gates.
 *
 * x, y     sequences; the struct says how far steps and sequences are apart
 * h, c     [sequences][outputs], [sequences][cells]: the states before, and in `h_next`, `c_next` those after the last step
 * weights  of x [gates][cells][inputs], of h [gates][cells][outputs]
 * lengths  [sequences], or null: steps behind them have the result 0
 */
#ifndef TC_FLOAT_RECURRENT_H
#define TC_FLOAT_RECURRENT_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "kernels/tc_align.h"
#include "kernels/tc_float_exact.h"
#include "kernels/tc_float_unary.h"
#include "kernels/tc_inline.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tc_sequences {
    int32_t steps;
    int32_t sequences;
    int32_t inputs;
    int32_t outputs;
    int32_t x_step;     /* elements from a step of x to the next, */
    int32_t x_sequence; /* and from a sequence to the next */
    int32_t y_step;
    int32_t y_sequence;
    int32_t backward;
} tc_sequences;

/* A function, and its parameters. */
typedef struct tc_activation {
    tc_float_map *map;
    float a;
    float b;
} tc_activation;

TC_POINTED_AT float tc_map_affine(float x, float a, float b)
{
    return tc_opaque(a * x) + b;
}

TC_POINTED_AT float tc_map_identity(float x, float a, float b)
{
    (void)a;
    (void)b;
    return x;
}

TC_POINTED_AT float tc_map_relu6(float x, float a, float b)
{
    (void)a;
    (void)b;
    return fminf(fmaxf(x, 0.0f), 6.0f);
}

TC_POINTED_AT float tc_map_scaled_tanh(float x, float a, float b)
{
    return a * tanhf(b * x);
}

/* Without the overflow of log(1 + exp(x)). */
TC_POINTED_AT float tc_map_soft_plus(float x, float a, float b)
{
    (void)a;
    (void)b;
    return fmaxf(x, 0.0f) + log1pf(expf(-fabsf(x)));
}

TC_INLINE float tc_activated(float x, const tc_activation *activation)
{
    return activation->map(x, activation->a, activation->b);
}

/* Both ways; 0: none. */
TC_INLINE float tc_clipped(float x, float bound)
{
    return bound > 0.0f ? fminf(fmaxf(x, -bound), bound) : x;
}

TC_INLINE float tc_float_dot(const float *a, const float *b, int32_t count, float start)
{
    float sum = start;
    for (int32_t i = 0; i < count; ++i) {
        sum = tc_opaque(sum + tc_opaque(a[i] * b[i]));
    }
    return sum;
}

/* Where step number `step` of a sequence of this length is. */
TC_INLINE int32_t tc_step_at(int32_t step, int32_t length, const tc_sequences *sizes)
{
    return sizes->backward ? length - 1 - step : step;
}

/* The results of the steps behind a sequence's end. */
TC_INLINE void tc_no_results(float *y, int32_t length, const tc_sequences *sizes)
{
    for (int32_t step = length; step < sizes->steps; ++step) {
        memset(y + step * sizes->y_step, 0, (uint32_t)sizes->outputs * sizeof(float));
    }
}

typedef struct tc_float_lstm_shape {
    tc_sequences sizes;
    int32_t cells;
    int32_t input_coupled;  /* the input gate is 1 minus the forget gate; */
    int32_t forget_coupled; /* or the other way round */
    int32_t looks;          /* gates look at the cell */
    int32_t projects;
    float gate_clip;
    float cell_clip;
    float projection_clip;
    tc_activation gates;
    tc_activation before;
    tc_activation behind;
} tc_float_lstm_shape;

/* Constants of a layer; those that it doesn't have are null. */
typedef struct tc_float_lstm_weights {
    const float *input;
    const float *hidden;
    const float *bias;
    const float *peephole;
    const float *projection;
    const float *projection_bias;
    const float *factors; /* of normalised gates */
} tc_float_lstm_weights;

/* A gate behind its function. `look`: the number of its weights for what it looks at, -1 for none. */
TC_INLINE float tc_float_lstm_gate(const float *x, const float *h, int32_t gate, int32_t index, int32_t look, float cell,
                                   const tc_activation *function, const tc_float_lstm_weights *weights,
                                   const tc_float_lstm_shape *shape)
{
    const tc_sequences *const sizes = &shape->sizes;
    const int32_t row = gate * shape->cells + index;
    float sum = tc_float_dot(x, weights->input + row * sizes->inputs, sizes->inputs, weights->bias[row]);
    sum = tc_float_dot(h, weights->hidden + row * sizes->outputs, sizes->outputs, sum);
    if (shape->looks && look >= 0) {
        sum = tc_opaque(sum + tc_opaque(weights->peephole[look * shape->cells + index] * cell));
    }
    return tc_activated(tc_clipped(sum, shape->gate_clip), function);
}

/* All cells of a gate behind its function: sums, and what it looks at, brought to mean 0 and variance 1, times factors, plus
 * biases. */
TC_INLINE void tc_float_lstm_normal_gate(const float *x, const float *h, int32_t gate, int32_t look, const float *c, float *to,
                                         const tc_activation *function, const tc_float_lstm_weights *weights,
                                         const tc_float_lstm_shape *shape)
{
    const tc_sequences *const sizes = &shape->sizes;
    const int32_t cells = shape->cells;
    const float *const input = weights->input + gate * cells * sizes->inputs;
    const float *const hidden = weights->hidden + gate * cells * sizes->outputs;
    float mean = 0.0f;
    float variance = 0.0f;
    for (int32_t i = 0; i < cells; ++i) {
        float sum = tc_float_dot(x, input + i * sizes->inputs, sizes->inputs, 0.0f);
        sum = tc_float_dot(h, hidden + i * sizes->outputs, sizes->outputs, sum);
        if (shape->looks && look >= 0) {
            sum = tc_opaque(sum + tc_opaque(weights->peephole[look * cells + i] * c[i]));
        }
        to[i] = sum;
        mean += sum;
    }
    mean /= (float)cells;
    for (int32_t i = 0; i < cells; ++i) {
        to[i] -= mean;
        variance += tc_opaque(to[i] * to[i]);
    }
    const float scale = 1.0f / sqrtf(variance / (float)cells + 1e-8f);
    for (int32_t i = 0; i < cells; ++i) {
        const int32_t row = gate * cells + i;
        const float value = tc_opaque(tc_opaque(to[i] * scale) * weights->factors[row]) + weights->bias[row];
        to[i] = tc_activated(tc_clipped(value, shape->gate_clip), function);
    }
}

/* The cells and `hidden` after a step with normalised gates, for which there is room behind `hidden`. */
TC_INLINE void tc_float_lstm_normal_cells(const float *x, const float *h, float *c, float *hidden,
                                          const tc_float_lstm_weights *weights, const tc_float_lstm_shape *shape)
{
    const int32_t cells = shape->cells;
    const int32_t forget_gate = shape->input_coupled ? 0 : 1;
    const int32_t cell_gate = forget_gate + (shape->forget_coupled ? 0 : 1);
    float *const input = hidden + cells;
    float *const forget = input + forget_gate * cells;
    float *const added = input + cell_gate * cells;
    float *const output = added + cells;
    if (!shape->input_coupled) {
        tc_float_lstm_normal_gate(x, h, 0, 0, c, input, &shape->gates, weights, shape);
    }
    if (!shape->forget_coupled) {
        tc_float_lstm_normal_gate(x, h, forget_gate, forget_gate, c, forget, &shape->gates, weights, shape);
    }
    tc_float_lstm_normal_gate(x, h, cell_gate, -1, c, added, &shape->before, weights, shape);
    for (int32_t i = 0; i < cells; ++i) {
        const float kept = shape->forget_coupled ? 1.0f - input[i] : forget[i];
        const float entering = shape->input_coupled ? 1.0f - forget[i] : input[i];
        c[i] = tc_clipped(tc_opaque(tc_opaque(kept * c[i]) + tc_opaque(entering * added[i])), shape->cell_clip);
    }
    tc_float_lstm_normal_gate(x, h, cell_gate + 1, cell_gate, c, output, &shape->gates, weights, shape);
    for (int32_t i = 0; i < cells; ++i) {
        hidden[i] = output[i] * tc_activated(c[i], &shape->behind);
    }
}

/* One step of one sequence; `hidden` is working memory for a value per cell, and with normalised gates for each of them. */
TC_INLINE void tc_float_lstm_step(const float *x, float *h, float *c, float *hidden, const tc_float_lstm_weights *weights,
                                  const tc_float_lstm_shape *shape)
{
    const int32_t outputs = shape->sizes.outputs;
    const int32_t forget_gate = shape->input_coupled ? 0 : 1;
    const int32_t cell_gate = forget_gate + (shape->forget_coupled ? 0 : 1);
    if (weights->factors != NULL) {
        tc_float_lstm_normal_cells(x, h, c, hidden, weights, shape);
    }
    for (int32_t i = 0; i < (weights->factors != NULL ? 0 : shape->cells); ++i) {
        float input = 0.0f;
        float forget = 0.0f;
        if (!shape->input_coupled) {
            input = tc_float_lstm_gate(x, h, 0, i, 0, c[i], &shape->gates, weights, shape);
        }
        if (!shape->forget_coupled) {
            forget = tc_float_lstm_gate(x, h, forget_gate, i, forget_gate, c[i], &shape->gates, weights, shape);
        }
        input = shape->input_coupled ? 1.0f - forget : input;
        forget = shape->forget_coupled ? 1.0f - input : forget;
        const float added = tc_float_lstm_gate(x, h, cell_gate, i, -1, 0.0f, &shape->before, weights, shape);
        c[i] = tc_clipped(tc_opaque(tc_opaque(forget * c[i]) + tc_opaque(input * added)), shape->cell_clip);
        const float output = tc_float_lstm_gate(x, h, cell_gate + 1, i, cell_gate, c[i], &shape->gates, weights, shape);
        hidden[i] = output * tc_activated(c[i], &shape->behind);
    }
    if (!shape->projects) {
        tc_memcpy(h, hidden, (uint32_t)shape->cells * sizeof(float));
        return;
    }
    for (int32_t i = 0; i < outputs; ++i) {
        const float *const row = weights->projection + i * shape->cells;
        h[i] = tc_clipped(tc_float_dot(hidden, row, shape->cells, weights->projection_bias[i]), shape->projection_clip);
    }
}

TC_INLINE void tc_float_lstm(const float *x, const float *h, const float *c, float *y, float *h_next, float *c_next,
                             const float *input_weights, const float *hidden_weights, const float *bias,
                             const float *peephole, const float *projection, const float *projection_bias,
                             const float *factors, const int32_t *lengths, void *scratch, const tc_float_lstm_shape *shape)
{
    const tc_float_lstm_weights weights = {input_weights, hidden_weights, bias, peephole, projection, projection_bias, factors};
    const tc_sequences *const sizes = &shape->sizes;
    tc_keep_state(h_next, h, (uint32_t)(sizes->sequences * sizes->outputs) * sizeof(float));
    tc_keep_state(c_next, c, (uint32_t)(sizes->sequences * shape->cells) * sizeof(float));
    for (int32_t sequence = 0; sequence < sizes->sequences; ++sequence) {
        const int32_t length = lengths != NULL ? lengths[sequence] : sizes->steps;
        float *const state = h_next + sequence * sizes->outputs;
        float *const results = y + sequence * sizes->y_sequence;
        for (int32_t step = 0; step < length; ++step) {
            const int32_t at = tc_step_at(step, length, sizes);
            tc_float_lstm_step(x + sequence * sizes->x_sequence + at * sizes->x_step, state, c_next + sequence * shape->cells,
                               (float *)scratch, &weights, shape);
            tc_memcpy(results + at * sizes->y_step, state, (uint32_t)sizes->outputs * sizeof(float));
        }
        tc_no_results(results, length, sizes);
    }
}

typedef struct tc_float_gru_shape {
    tc_sequences sizes;
    int32_t reset_after; /* the reset gate multiplies products of h, else h itself */
    float gate_clip;
    tc_activation gates;
    tc_activation hidden;
} tc_float_gru_shape;

/* One step of one sequence. Gates are update, reset and hidden; `scratch` holds two values per output. */
TC_INLINE void tc_float_gru_step(const float *x, float *h, float *scratch, const float *input_weights,
                                 const float *hidden_weights, const float *bias, const float *hidden_bias,
                                 const tc_float_gru_shape *shape)
{
    const tc_sequences *const sizes = &shape->sizes;
    const int32_t inputs = sizes->inputs;
    const int32_t outputs = sizes->outputs;
    float *const reset = scratch;
    float *const next = scratch + outputs;
    for (int32_t i = 0; i < 2 * outputs; ++i) {
        float sum = tc_float_dot(x, input_weights + i * inputs, inputs, bias[i]);
        sum = tc_float_dot(h, hidden_weights + i * outputs, outputs, tc_opaque(sum + hidden_bias[i]));
        const float gate = tc_activated(tc_clipped(sum, shape->gate_clip), &shape->gates);
        if (i < outputs) {
            next[i] = gate;
        } else {
            reset[i - outputs] = shape->reset_after ? gate : tc_opaque(gate * h[i - outputs]);
        }
    }
    for (int32_t i = 0; i < outputs; ++i) {
        const int32_t row = 2 * outputs + i;
        const float *const products = hidden_weights + row * outputs;
        float sum = tc_float_dot(x, input_weights + row * inputs, inputs, bias[row]);
        if (shape->reset_after) {
            sum = tc_opaque(sum + tc_opaque(reset[i] * tc_float_dot(h, products, outputs, hidden_bias[row])));
        } else {
            sum = tc_opaque(sum + tc_float_dot(reset, products, outputs, hidden_bias[row]));
        }
        const float hidden = tc_activated(tc_clipped(sum, shape->gate_clip), &shape->hidden);
        next[i] = tc_opaque(tc_opaque((1.0f - next[i]) * hidden) + tc_opaque(next[i] * h[i]));
    }
    tc_memcpy(h, next, (uint32_t)outputs * sizeof(float));
}

TC_INLINE void tc_float_gru(const float *x, const float *h, float *y, float *h_next, const float *input_weights,
                            const float *hidden_weights, const float *bias, const float *hidden_bias,
                            const int32_t *lengths, void *scratch, const tc_float_gru_shape *shape)
{
    const tc_sequences *const sizes = &shape->sizes;
    tc_keep_state(h_next, h, (uint32_t)(sizes->sequences * sizes->outputs) * sizeof(float));
    for (int32_t sequence = 0; sequence < sizes->sequences; ++sequence) {
        const int32_t length = lengths != NULL ? lengths[sequence] : sizes->steps;
        float *const state = h_next + sequence * sizes->outputs;
        float *const results = y + sequence * sizes->y_sequence;
        for (int32_t step = 0; step < length; ++step) {
            const int32_t at = tc_step_at(step, length, sizes);
            tc_float_gru_step(x + sequence * sizes->x_sequence + at * sizes->x_step, state, (float *)scratch, input_weights,
                              hidden_weights, bias, hidden_bias, shape);
            tc_memcpy(results + at * sizes->y_step, state, (uint32_t)sizes->outputs * sizeof(float));
        }
        tc_no_results(results, length, sizes);
    }
}

typedef struct tc_float_rnn_shape {
    tc_sequences sizes;
    float gate_clip;
    tc_activation activation;
} tc_float_rnn_shape;

TC_INLINE void tc_float_rnn(const float *x, const float *h, float *y, float *h_next, const float *input_weights,
                            const float *hidden_weights, const float *bias, const int32_t *lengths, void *scratch,
                            const tc_float_rnn_shape *shape)
{
    const tc_sequences *const sizes = &shape->sizes;
    float *const next = (float *)scratch;
    tc_keep_state(h_next, h, (uint32_t)(sizes->sequences * sizes->outputs) * sizeof(float));
    for (int32_t sequence = 0; sequence < sizes->sequences; ++sequence) {
        const int32_t length = lengths != NULL ? lengths[sequence] : sizes->steps;
        float *const state = h_next + sequence * sizes->outputs;
        float *const results = y + sequence * sizes->y_sequence;
        for (int32_t step = 0; step < length; ++step) {
            const int32_t at = tc_step_at(step, length, sizes);
            const float *const from = x + sequence * sizes->x_sequence + at * sizes->x_step;
            for (int32_t i = 0; i < sizes->outputs; ++i) {
                float sum = tc_float_dot(from, input_weights + i * sizes->inputs, sizes->inputs, bias[i]);
                sum = tc_float_dot(state, hidden_weights + i * sizes->outputs, sizes->outputs, sum);
                next[i] = tc_activated(tc_clipped(sum, shape->gate_clip), &shape->activation);
            }
            tc_memcpy(state, next, (uint32_t)sizes->outputs * sizeof(float));
            tc_memcpy(results + at * sizes->y_step, state, (uint32_t)sizes->outputs * sizeof(float));
        }
        tc_no_results(results, length, sizes);
    }
}

#ifdef __cplusplus
}
#endif

#endif
