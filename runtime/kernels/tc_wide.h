/* SPDX-License-Identifier: 0BSD */
/*
 * Operators of int16 tensors with the zero point 0, but for layers with weights (tc_wide_linear.h). Elements are read and
 * written in memory order; pooling writes a channel of a pixel when its window has been read for it.
 */
#ifndef TC_WIDE_H
#define TC_WIDE_H

#include <stdint.h>

#include "kernels/tc_inline.h"
#include "kernels/tc_requant.h"
#include "kernels/tc_wide_pairs.h"
#include "kernels/tc_window.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TC_WIDE_LOOPS 6

/* A factor: multiplier * 2^(shift - 31), rounded twice. */
typedef struct tc_wide_factor {
    int32_t multiplier;
    int32_t shift;
} tc_wide_factor;

TC_INLINE int32_t tc_wide_scaled(int32_t value, const tc_wide_factor *factor)
{
    return tc_multiply_by_quantized_multiplier(value, factor->multiplier, factor->shift);
}

/* Sums, differences and products; for these the operands aren't scaled. */

typedef struct tc_wide_binary_shape {
    int32_t count;
    int32_t size[TC_WIDE_LOOPS];
    int32_t a_stride[TC_WIDE_LOOPS];
    int32_t b_stride[TC_WIDE_LOOPS];
    int32_t left_shift;
    tc_wide_factor first;
    tc_wide_factor second;
    tc_wide_factor output;
    int32_t low;
    int32_t high;
} tc_wide_binary_shape;

typedef int32_t tc_wide_function(int32_t a, int32_t b, const tc_wide_binary_shape *shape);

TC_INLINE int32_t tc_wide_add(int32_t a, int32_t b, const tc_wide_binary_shape *shape)
{
    const int32_t first = tc_wide_scaled(tc_shift_left(a, shape->left_shift), &shape->first);
    return first + tc_wide_scaled(tc_shift_left(b, shape->left_shift), &shape->second);
}

TC_INLINE int32_t tc_wide_sub(int32_t a, int32_t b, const tc_wide_binary_shape *shape)
{
    const int32_t first = tc_wide_scaled(tc_shift_left(a, shape->left_shift), &shape->first);
    return first - tc_wide_scaled(tc_shift_left(b, shape->left_shift), &shape->second);
}

TC_INLINE int32_t tc_wide_mul(int32_t a, int32_t b, const tc_wide_binary_shape *shape)
{
    (void)shape;
    return a * b;
}

TC_INLINE void tc_wide_binary(const int16_t *a, const int16_t *b, int16_t *output, tc_wide_function *function,
                              const tc_wide_binary_shape *shape)
{
    int32_t at[TC_WIDE_LOOPS] = {0, 0, 0, 0, 0, 0};
    int32_t a_at = 0;
    int32_t b_at = 0;
    for (int32_t i = 0; i < shape->count; ++i) {
        const int32_t result = tc_wide_scaled(function(a[a_at], b[b_at], shape), &shape->output);
        output[i] = (int16_t)tc_clamp(result, shape->low, shape->high);
        for (int32_t axis = TC_WIDE_LOOPS - 1; axis >= 0; --axis) {
            a_at += shape->a_stride[axis];
            b_at += shape->b_stride[axis];
            if (++at[axis] < shape->size[axis]) {
                break;
            }
            a_at -= shape->a_stride[axis] * shape->size[axis];
            b_at -= shape->b_stride[axis] * shape->size[axis];
            at[axis] = 0;
        }
    }
}

/* Functions of one value. */

typedef struct tc_wide_rescale_shape {
    int32_t count;
    tc_wide_factor positive;
    tc_wide_factor negative;
    int32_t low;
    int32_t high;
} tc_wide_rescale_shape;

/* A factor for each sign, which RELU and QUANTIZE have once. */
TC_INLINE void tc_wide_rescale(const int16_t *input, int16_t *output, const tc_wide_rescale_shape *shape)
{
    for (int32_t i = 0; i < shape->count; ++i) {
        const int32_t value = input[i];
        const int32_t scaled = tc_wide_scaled(value, value < 0 ? &shape->negative : &shape->positive);
        output[i] = (int16_t)tc_clamp(scaled, shape->low, shape->high);
    }
}

typedef struct tc_wide_narrow_shape {
    int32_t count;
    tc_wide_factor factor;
    int32_t input_zero_point;
    int32_t zero_point;
} tc_wide_narrow_shape;

/* int16 to int8. */
TC_INLINE void tc_wide_narrow(const int16_t *input, int8_t *output, const tc_wide_narrow_shape *shape)
{
    for (int32_t i = 0; i < shape->count; ++i) {
        const int32_t scaled = tc_wide_scaled(input[i] - shape->input_zero_point, &shape->factor);
        output[i] = (int8_t)tc_ssat8(scaled + shape->zero_point);
    }
}

/* An input becomes a place in the table of the sigmoid: (value * multiplier + half) >> shift. */
typedef struct tc_wide_table_shape {
    int32_t count;
    int32_t multiplier;
    int32_t shift;
    int32_t half;
} tc_wide_table_shape;

TC_INLINE int32_t tc_wide_place(int32_t value, const tc_wide_table_shape *shape)
{
    const uint32_t product = (uint32_t)value * (uint32_t)shape->multiplier;
    return (int32_t)(product + (uint32_t)shape->half) >> shape->shift;
}

/* Between the entries around `magnitude`, which are 2^bits apart; beyond the last one `saturated`. */
TC_INLINE int32_t tc_wide_between(const uint16_t *table, uint32_t magnitude, uint32_t bits, int32_t saturated)
{
    const uint32_t index = magnitude >> bits;
    if (index >= 255u) {
        return saturated;
    }
    const int32_t low = table[index];
    const int32_t offset = (int32_t)(magnitude & ((1u << bits) - 1u));
    return low * (1 << bits) + offset * (table[index + 1u] - low);
}

TC_INLINE void tc_wide_tanh(const int16_t *input, int16_t *output, const uint16_t *table,
                            const tc_wide_table_shape *shape)
{
    for (int32_t i = 0; i < shape->count; ++i) {
        const int32_t place = tc_wide_place(input[i], shape);
        const uint32_t magnitude = place < 0 ? 0u - (uint32_t)place : (uint32_t)place;
        const int32_t found = tc_wide_between(table, magnitude, 8u, 0xFFFF << 8);
        const int32_t result = place >= 0 ? found - (1 << 23) + (1 << 7) : -found + (1 << 23) + (1 << 7) - 1;
        output[i] = (int16_t)(result >> 8);
    }
}

TC_INLINE void tc_wide_logistic(const int16_t *input, int16_t *output, const uint16_t *table,
                                const tc_wide_table_shape *shape)
{
    for (int32_t i = 0; i < shape->count; ++i) {
        const int32_t place = tc_wide_place(input[i], shape);
        const uint32_t magnitude = place < 0 ? 0u - (uint32_t)place : (uint32_t)place;
        const int32_t found = tc_wide_between(table, magnitude, 9u, 0x7FFF << 10);
        const int32_t result = place >= 0 ? found + (1 << 9) : (1 << 25) - found + (1 << 9) - 1;
        output[i] = (int16_t)(result >> 10);
    }
}

/* Softmax over the last axis. */

typedef struct tc_wide_softmax_shape {
    int32_t rows;
    int32_t depth;
    tc_wide_factor input;
} tc_wide_softmax_shape;

/* The 512 intervals of a table over the range of int16. */
TC_INLINE int32_t tc_wide_lookup(const int16_t *table, int32_t value)
{
    const int32_t index = 256 + (value >> 7);
    const int32_t base = table[index];
    return base + (((table[index + 1] - base) * (value & 127) + 64) >> 7);
}

/* The largest of a row: two at a time, then one. */
TC_INLINE int32_t tc_wide_largest(const int16_t *input, int32_t depth)
{
    int32_t largest = input[0];
    int32_t i = 0;
#if TC_DSP
    if (depth >= 2) {
        uint32_t two = tc_load4(input);
        for (i = 2; i + 2 <= depth; i += 2) {
            const uint32_t next = tc_load4(input + i);
            (void)__ssub16((int16x2_t)two, (int16x2_t)next);
            two = (uint32_t)__sel((uint8x4_t)two, (uint8x4_t)next);
        }
        largest = tc_max(tc_low(two), tc_high(two));
    }
#endif
    for (; i < depth; ++i) {
        largest = tc_max(largest, input[i]);
    }
    return largest;
}

/*
 * exp of the distance to the largest input, 2^15 being 1: between two entries of a table, for numbers of which 0 ... 65535
 * stand for -10 ... 0. With a factor to the right the number is rounded as in tc_requant_short.h; what is added is
 * that of negative ones, since 0 keeps its place with it as well, and places are taken from the bits above the shift.
 */
TC_INLINE int32_t tc_wide_power(const int16_t *exponentials, int32_t input, int32_t largest,
                                const tc_wide_softmax_shape *shape)
{
    const int32_t right = tc_max(-shape->input.shift, 0);
    const int32_t twice = 2 << tc_max(shape->input.shift, 0);
    if (shape->input.shift < -14 || shape->input.shift > 14) {
        const int32_t scaled = tc_wide_scaled(input - largest, &shape->input);
        return tc_wide_lookup(exponentials, tc_max(scaled, -65535) + 32767);
    }
    const int32_t start = right == 0 ? 65535 : (65535 << right) + (1 << (right - 1)) - 1;
    const int32_t place = tc_max(tc_smmlar(input * twice - largest * twice, shape->input.multiplier, start), 0);
    const int16_t *const entry = exponentials + (place >> (right + 7));
    const int32_t offset = (place >> right) & 127;
    return entry[0] + (((entry[1] - entry[0]) * offset + 64) >> 7);
}

/* Leaves the powers in `output`, until they are divided by their sum. */
TC_INLINE int32_t tc_wide_powers(const int16_t *input, int16_t *output, const int16_t *exponentials, int32_t largest,
                                 const tc_wide_softmax_shape *shape)
{
    int32_t sum = 0;
    for (int32_t i = 0; i < shape->depth / 2 * 2; i += 2) {
        const int32_t first = tc_wide_power(exponentials, input[i], largest, shape);
        const int32_t second = tc_wide_power(exponentials, input[i + 1], largest, shape);
        output[i] = (int16_t)first;
        output[i + 1] = (int16_t)second;
        sum += first + second;
    }
    if (shape->depth % 2 != 0) {
        const int32_t i = shape->depth - 1;
        const int32_t power = tc_wide_power(exponentials, input[i], largest, shape);
        output[i] = (int16_t)power;
        sum += power;
    }
    return sum;
}

TC_INLINE void tc_wide_softmax(const int16_t *input, int16_t *output, const int16_t *exponentials,
                               const int16_t *reciprocals, const tc_wide_softmax_shape *shape)
{
    const int32_t depth = shape->depth;
    for (int32_t row = 0; row < shape->rows; ++row) {
        const int32_t largest = tc_wide_largest(input, depth);
        const int32_t sum = tc_wide_powers(input, output, exponentials, largest, shape);
        const int32_t zeros = tc_leading_zeros((uint32_t)sum);
        const int32_t shifted = (int32_t)((((uint32_t)sum << (zeros - 1)) + (1u << 13)) >> 14);
        const int32_t reciprocal = tc_wide_lookup(reciprocals, tc_clamp(shifted - 0x18000, -32768, 32767));
        const int32_t right = 31 - zeros;
        const int32_t half = 1 << (right - 1);
        for (int32_t i = 0; i < depth / 2 * 2; i += 2) {
            output[i] = (int16_t)tc_usat15((output[i] * reciprocal + half) >> right);
            output[i + 1] = (int16_t)tc_usat15((output[i + 1] * reciprocal + half) >> right);
        }
        if (depth % 2 != 0) {
            const int32_t i = depth - 1;
            output[i] = (int16_t)tc_usat15((output[i] * reciprocal + half) >> right);
        }
        input += depth;
        output += depth;
    }
}

/* Pooling and means. */

typedef struct tc_wide_pool_shape {
    tc_window window;
    int32_t channels;
    int32_t average;
    int32_t low;
    int32_t high;
} tc_wide_pool_shape;

/* The largest, or the mean with halves away from zero, of the positions inside the image. */
TC_INLINE int32_t tc_wide_pooled(const int16_t *input, tc_taps rows, tc_taps columns, const tc_wide_pool_shape *shape)
{
    const tc_window *window = &shape->window;
    int32_t result = shape->average ? 0 : -32768;
    for (int32_t i = 0; i < rows.count; ++i) {
        for (int32_t j = 0; j < columns.count; ++j) {
            const int32_t at = (rows.position + i) * window->input_width + columns.position + j;
            const int32_t value = input[at * shape->channels];
            result = shape->average ? result + value : tc_max(result, value);
        }
    }
    if (!shape->average) {
        return result;
    }
    const int32_t count = rows.count * columns.count;
    return result > 0 ? (result + count / 2) / count : (result - count / 2) / count;
}

TC_INLINE void tc_wide_pool2d(const int16_t *input, int16_t *output, const tc_wide_pool_shape *shape)
{
    const tc_window *window = &shape->window;
    for (int32_t oy = 0; oy < window->output_height; ++oy) {
        const tc_taps rows = tc_window_rows(window, oy);
        for (int32_t ox = 0; ox < window->output_width; ++ox) {
            const tc_taps columns = tc_window_columns(window, ox);
            for (int32_t channel = 0; channel < shape->channels; ++channel) {
                const int32_t result = tc_wide_pooled(input + channel, rows, columns, shape);
                *output++ = (int16_t)tc_clamp(result, shape->low, shape->high);
            }
        }
    }
}

typedef struct tc_wide_mean_shape {
    int32_t kept_size[3];
    int32_t kept_stride[3];
    int32_t reduced_size[3];
    int32_t reduced_stride[3];
    tc_wide_factor factor;
} tc_wide_mean_shape;

TC_INLINE int32_t tc_wide_sum(const int16_t *input, const tc_wide_mean_shape *shape)
{
    const int32_t *size = shape->reduced_size;
    const int32_t *stride = shape->reduced_stride;
    int32_t sum = 0;
    for (int32_t i = 0; i < size[0]; ++i) {
        for (int32_t j = 0; j < size[1]; ++j) {
            for (int32_t k = 0; k < size[2]; ++k) {
                sum += input[i * stride[0] + j * stride[1] + k * stride[2]];
            }
        }
    }
    return sum;
}

TC_INLINE void tc_wide_mean(const int16_t *input, int16_t *output, const tc_wide_mean_shape *shape)
{
    const int32_t *size = shape->kept_size;
    const int32_t *stride = shape->kept_stride;
    for (int32_t i = 0; i < size[0]; ++i) {
        for (int32_t j = 0; j < size[1]; ++j) {
            for (int32_t k = 0; k < size[2]; ++k) {
                const int32_t sum = tc_wide_sum(input + i * stride[0] + j * stride[1] + k * stride[2], shape);
                *output++ = (int16_t)tc_clamp(tc_wide_scaled(sum, &shape->factor), -32768, 32767);
            }
        }
    }
}

#ifdef __cplusplus
}
#endif

#endif
