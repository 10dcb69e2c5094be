/* SPDX-License-Identifier: 0BSD */
/*
 * What happens to the gates of an integer LSTM: their functions, the next cell, the output. A gate is int16 with 12
 * fractional bits in front of its function and 15 behind it; the cell has the scale 2^power.
 *
 * Two arithmetics, as the constant struct says: that of LiteRT (tc_sigmoid16.h), and that of TensorFlow Lite Micro, which
 * has the sigmoid of 16-bit layers (tc_wide.h) and rescales where the other one shifts.
 */
#ifndef TC_LSTM_CELL_H
#define TC_LSTM_CELL_H

#include <stdint.h>

#include "cmsis_shim/tc_simd.h"
#include "kernels/tc_inline.h"
#include "kernels/tc_requant.h"
#include "kernels/tc_sigmoid16.h"
#include "kernels/tc_wide.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tc_lstm_factor {
    int32_t multiplier;
    int32_t shift;
} tc_lstm_factor;

typedef struct tc_lstm_cell {
    int32_t micro; /* whether the arithmetic is that of TensorFlow Lite Micro */
    int32_t power;
    int32_t clip;          /* of the cell, both ways; 0: none */
    tc_lstm_factor keep;   /* of forget gate * cell, and */
    tc_lstm_factor add;    /* of input gate * cell gate, where they aren't shifts */
    tc_lstm_factor output; /* of output gate * tanh(cell) */
    tc_output_range range; /* of that product */
} tc_lstm_cell;

/* The tables of either arithmetic. */
typedef struct tc_lstm_tables {
    tc_sigmoid16_table sigmoid16;
    const uint16_t *steps; /* of `tc_wide_between` */
} tc_lstm_tables;

TC_INLINE int32_t tc_lstm_sigmoid(int32_t x, const tc_lstm_tables *tables, const tc_lstm_cell *cell)
{
    if (cell->micro == 0) {
        return tc_logistic16(x, &tables->sigmoid16);
    }
    const tc_wide_table_shape shape = {1, 3, 0, 0};
    const int16_t input = (int16_t)x;
    int16_t output = 0;
    tc_wide_logistic(&input, &output, tables->steps, &shape);
    return output;
}

/* Of a number of the scale 2^power. */
TC_INLINE int32_t tc_lstm_tanh(int32_t x, int32_t power, const tc_lstm_tables *tables, const tc_lstm_cell *cell)
{
    if (cell->micro == 0) {
        return tc_tanh16(x, 15 + power, &tables->sigmoid16);
    }
    const int32_t left = power + 12;
    const tc_wide_table_shape shape = {1, 3 * (1 << tc_max(left, 0)), tc_max(-left, 0), (1 << tc_max(-left, 0)) >> 1};
    const int16_t input = (int16_t)x;
    int16_t output = 0;
    tc_wide_tanh(&input, &output, tables->steps, &shape);
    return output;
}

/* value / 2^exponent, halves away from zero; of products of two int16, and 1 <= exponent <= 29. */
TC_INLINE int32_t tc_lstm_shifted(int32_t value, int32_t exponent)
{
    return (value + (1 << (exponent - 1)) + (value >> 31)) >> exponent;
}

/* The next cell of four gates behind their functions. */
TC_INLINE int32_t tc_lstm_next_cell(int32_t input, int32_t forget, int32_t added, int32_t before, const tc_lstm_cell *cell)
{
    int32_t kept;
    int32_t more;
    if (cell->micro == 0) {
        kept = tc_lstm_shifted(forget * before, 15);
        more = (int16_t)tc_lstm_shifted(input * added, 30 + cell->power);
    } else {
        kept = tc_multiply_by_quantized_multiplier(forget * before, cell->keep.multiplier, cell->keep.shift);
        more = tc_multiply_by_quantized_multiplier(input * added, cell->add.multiplier, cell->add.shift);
        kept = tc_ssat16(kept);
        more = tc_ssat16(more);
    }
    const int32_t next = tc_ssat16(kept + more);
    if (cell->clip == 32767) {
        return tc_max(next, -32767);
    }
    return cell->clip > 0 ? tc_clamp(next, -cell->clip, cell->clip) : next;
}

/* Output gate * tanh(cell), quantised: as `tc_requantize`, of a product that has room for its double. */
TC_INLINE int32_t tc_lstm_hidden(int32_t gate, int32_t now, const tc_lstm_tables *tables, const tc_lstm_cell *cell)
{
    const int32_t product = gate * tc_lstm_tanh(now, cell->power, tables, cell);
    if (cell->output.shift > -1 || cell->output.shift < -29) {
        return tc_requantize(product, cell->output.multiplier, cell->output.shift, &cell->range);
    }
    const int32_t right = -cell->output.shift;
    const int32_t high = tc_smmlar(2 * product, cell->output.multiplier, 1 << (right - 1)) + (product >> 31);
    return tc_clamp8((high >> right) + cell->range.zero_point, cell->range.low, cell->range.high);
}

#ifdef __cplusplus
}
#endif

#endif
