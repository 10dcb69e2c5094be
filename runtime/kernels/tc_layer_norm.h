/* SPDX-License-Identifier: 0BSD */
/*
 * Layer normalisation of int8 rows as TFLite's converters write it, from operators that each round to int8:
 *
 *     mean = MEAN(x)    root = f(MEAN(SQUARED_DIFFERENCE(x, mean)))
 *
 * and then in one of two ways, with functions f and h of one value as tables:
 *
 *     scaled: gain = MUL(root, gamma)    y = ADD(MUL(x, gain), ADD(MUL(h(mean), gain), beta))
 *     plain:  y = ADD(MUL(x, root), h(MUL(root, mean)))
 *
 * Products are requantised in the short form (tc_requant_short.h), sums are linear in 32 bits; the compiler has compared
 * them with the operators for all operands.
 *
 * input, output  [rows][depth], int8; a row's sums are complete before it is read again, four elements in front of the
 *                results, so that both may be the same memory
 */
#ifndef TC_LAYER_NORM_H
#define TC_LAYER_NORM_H

#include <stdint.h>

#include "kernels/tc_bytes.h"
#include "kernels/tc_inline.h"
#include "kernels/tc_layer_norm_statistics.h"
#include "kernels/tc_requant_short.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ADD: (first * a + second * b + start) >> shift, saturated */
typedef struct tc_norm_sum {
    int32_t first;
    int32_t second;
    int32_t start;
    int32_t shift;
} tc_norm_sum;

/*
 * A product of an element, which isn't negative, and a number of the row, in one multiplication:
 *     saturate((((element * slope) >> 16) + start) >> right), slope = round(number * 2^TC_NORM_PLACES * factor / 2^32)
 * with another start for a number below 0, since halves are rounded away from zero. right: 0 where there is no such form.
 */
typedef struct tc_norm_line {
    int32_t factor;
    int32_t start;
    int32_t less; /* where the number is negative */
    int32_t right;
} tc_norm_line;

#define TC_NORM_PLACES 22

typedef struct tc_layer_norm_shape {
    int32_t rows;
    int32_t depth;
    tc_norm_statistics statistics;
    int32_t x_zero_point;
    int32_t root_zero_point;
    int32_t mean_zero_point;  /* scaled: of h(mean) */
    int32_t gamma_zero_point; /* scaled */
    int32_t gain_zero_point;  /* scaled */
    tc_norm_line gain_line;   /* scaled, where no gain is negative: of a gain + 128 */
    tc_norm_line mean_line;   /* as well: of the scaled mean */
    tc_short_requant gain;    /* scaled */
    tc_short_requant scaled_x;
    tc_short_requant scaled_mean;
    tc_norm_sum beta; /* scaled: a is the scaled mean; beta's own term and the start are an array */
    tc_norm_sum sum;  /* a is the scaled x */
} tc_layer_norm_shape;

/* What is the same for a row: without zero points, twice as large, as the short form wants products. */
typedef struct tc_norm_factors {
    int32_t root;
    int32_t mean;
} tc_norm_factors;

/* Results of a step for four elements: 0 and 2, then 1 and 3 of a word. */
typedef struct tc_norm_four {
    int32_t even;
    int32_t even_next;
    int32_t odd;
    int32_t odd_next;
} tc_norm_four;

/*
 * Keeps the compiler from beginning with the next step before it has four results of this one, for which it would need more
 * registers than there are.
 */
TC_INLINE tc_norm_four tc_norm_done(tc_norm_four values)
{
#if TC_DSP
    __asm__ volatile("" : "+r"(values.even), "+r"(values.even_next), "+r"(values.odd), "+r"(values.odd_next));
#endif
    return values;
}

/* Elements as lanes, each times its own factor, an int16. */
TC_INLINE tc_norm_four tc_norm_products(uint32_t even, uint32_t odd, tc_norm_four by)
{
    const tc_norm_four products = {
        tc_smulbb(even, (uint32_t)by.even), tc_smultb(even, (uint32_t)by.even_next),
        tc_smulbb(odd, (uint32_t)by.odd), tc_smultb(odd, (uint32_t)by.odd_next)};
    return products;
}

TC_INLINE tc_norm_four tc_norm_requantized(tc_norm_four doubled, const tc_short_requant *requant)
{
    const tc_norm_four results = {
        tc_requantize_short(doubled.even, requant), tc_requantize_short(doubled.even_next, requant),
        tc_requantize_short(doubled.odd, requant), tc_requantize_short(doubled.odd_next, requant)};
    return tc_norm_done(results);
}

TC_INLINE tc_norm_four tc_norm_plus(tc_norm_four values, int32_t added)
{
    const tc_norm_four sums = {values.even + added, values.even_next + added, values.odd + added,
                               values.odd_next + added};
    return sums;
}

TC_INLINE tc_norm_four tc_norm_times(tc_norm_four values, int32_t factor)
{
    const tc_norm_four products = {values.even * factor, values.even_next * factor, values.odd * factor,
                                   values.odd_next * factor};
    return products;
}

/* sums + factor * values */
TC_INLINE tc_norm_four tc_norm_terms(tc_norm_four sums, int32_t factor, tc_norm_four values)
{
    const tc_norm_four results = {sums.even + factor * values.even, sums.even_next + factor * values.even_next,
                                  sums.odd + factor * values.odd, sums.odd_next + factor * values.odd_next};
    return results;
}

TC_INLINE tc_norm_four tc_norm_saturated(tc_norm_four sums, int32_t shift)
{
    const tc_norm_four results = {tc_saturate8(sums.even, shift), tc_saturate8(sums.even_next, shift),
                                  tc_saturate8(sums.odd, shift), tc_saturate8(sums.odd_next, shift)};
    return tc_norm_done(results);
}

TC_INLINE tc_norm_four tc_norm_same(int32_t value)
{
    const tc_norm_four same = {value, value, value, value};
    return same;
}

/* Four results, the operators one after the other. */
TC_INLINE uint32_t tc_norm_scaled_word(uint32_t x, uint32_t gamma, tc_norm_four beta, const tc_norm_factors *factors,
                                       const tc_layer_norm_shape *shape)
{
    const uint32_t minus_x_zero = tc_lanes(-shape->x_zero_point, -shape->x_zero_point);
    const uint32_t minus_gamma_zero = tc_lanes(-shape->gamma_zero_point, -shape->gamma_zero_point);
    const uint32_t even_gamma = tc_add_even(minus_gamma_zero, gamma);
    const uint32_t odd_gamma = tc_add_odd(minus_gamma_zero, gamma);
    tc_norm_four gain = tc_norm_products(even_gamma, odd_gamma, tc_norm_same(factors->root));
    gain = tc_norm_plus(tc_norm_requantized(gain, &shape->gain), -shape->gain_zero_point);
    tc_norm_four offset = tc_norm_requantized(tc_norm_times(gain, factors->mean), &shape->scaled_mean);
    offset = tc_norm_saturated(tc_norm_terms(beta, shape->beta.first, offset), shape->beta.shift);
    offset = tc_norm_terms(tc_norm_same(shape->sum.start), shape->sum.second, offset);
    offset = tc_norm_done(offset);
    const uint32_t even = tc_add_even(minus_x_zero, x);
    const uint32_t odd = tc_add_odd(minus_x_zero, x);
    tc_norm_four y = tc_norm_products(tc_sadd16(even, even), tc_sadd16(odd, odd), gain);
    y = tc_norm_terms(offset, shape->sum.first, tc_norm_requantized(y, &shape->scaled_x));
    y = tc_norm_saturated(y, shape->sum.shift);
    return tc_pack4(y.even, y.odd, y.even_next, y.odd_next);
}

TC_INLINE void tc_norm_scaled_row(const int8_t *input, int8_t *output, const int8_t *gamma, const int32_t *beta,
                                  const tc_norm_factors *factors, const tc_layer_norm_shape *shape)
{
    int32_t i = 0;
    for (; i <= shape->depth - 4; i += 4) {
        const tc_norm_four terms = {beta[i], beta[i + 2], beta[i + 1], beta[i + 3]};
        tc_store4(output + i, tc_norm_scaled_word(tc_load4(input + i), tc_load4(gamma + i), terms, factors, shape));
    }
    for (; i < shape->depth; ++i) {
        const tc_norm_four terms = tc_norm_same(beta[i]);
        const uint32_t word = tc_norm_scaled_word(tc_splat4(input[i]), tc_splat4(gamma[i]), terms, factors, shape);
        output[i] = (int8_t)(word & 0xFFu);
    }
}

TC_INLINE void tc_layer_norm_scaled_s8(const int8_t *input, int8_t *output, const int8_t *roots, const int8_t *means,
                                       const int8_t *gamma, const int32_t *beta, const tc_layer_norm_shape *shape)
{
    for (int32_t row = 0; row < shape->rows; ++row, input += shape->depth, output += shape->depth) {
        const tc_norm_row found = tc_norm_statistics_of(input, shape->depth, roots, &shape->statistics);
        const tc_norm_factors factors = {2 * (found.root - shape->root_zero_point),
                                         2 * (means[(uint8_t)found.mean] - shape->mean_zero_point)};
        tc_norm_scaled_row(input, output, gamma, beta, &factors, shape);
    }
}

/* A number of the row as a line has it. */
typedef struct tc_norm_slope {
    int32_t slope;
    int32_t start;
} tc_norm_slope;

TC_INLINE tc_norm_slope tc_norm_slope_of(int32_t number, const tc_norm_line *line)
{
    const tc_norm_slope slope = {tc_smmlar(number * (1 << TC_NORM_PLACES), line->factor, 0),
                                 line->start - (number < 0 ? line->less : 0)};
    return slope;
}

typedef struct tc_norm_slopes {
    tc_norm_slope gain;
    tc_norm_slope mean;
} tc_norm_slopes;

/* A column's constants: gamma without its zero point; beta's term of the sum and the start of that. */
typedef struct tc_norm_column {
    int32_t gamma;
    int32_t beta;
} tc_norm_column;

/* With one instruction, where compilers use two: the columns are constants, so no store can be before it. */
TC_INLINE tc_norm_column tc_norm_next_column(const tc_norm_column **columns)
{
#if TC_DSP
    tc_norm_column column;
    __asm__("ldrd %0, %1, [%2], #8" : "=&r"(column.gamma), "=&r"(column.beta), "+r"(*columns));
    return column;
#else
    return *(*columns)++;
#endif
}

/* The gain of a column, and what is added to an element times that. */
typedef struct tc_norm_factor {
    uint32_t gain;
    int32_t offset;
} tc_norm_factor;

TC_INLINE tc_norm_factor tc_norm_next_factor(const tc_norm_column **columns, const tc_norm_slopes *slopes,
                                             const tc_layer_norm_shape *shape)
{
    const tc_norm_column column = tc_norm_next_column(columns);
    const int32_t gain = tc_multiply_low(slopes->gain.start, slopes->gain.slope, (uint32_t)column.gamma);
    tc_norm_factor factor = {(uint32_t)tc_saturate_u8(gain, shape->gain_line.right), 0};
    const int32_t mean = tc_multiply_low(slopes->mean.start, slopes->mean.slope, factor.gain);
    const int32_t scaled_mean = tc_saturate8(mean, shape->mean_line.right);
    const int32_t offset = tc_saturate8(shape->beta.first * scaled_mean + column.beta, shape->beta.shift);
    factor.offset = shape->sum.second * offset + shape->sum.start;
    return factor;
}

/* A result, of twice the product of an element and its gain. */
TC_INLINE int8_t tc_norm_result(int32_t doubled, int32_t offset, const tc_layer_norm_shape *shape)
{
    const int32_t scaled_x = tc_requantize_short(doubled, &shape->scaled_x);
    return (int8_t)tc_saturate8(shape->sum.first * scaled_x + offset, shape->sum.shift);
}

/* Of elements 0 and 2 of a word. */
TC_INLINE void tc_norm_two(uint32_t x, int8_t *output, const tc_norm_column **columns, const tc_norm_slopes *slopes,
                           const tc_layer_norm_shape *shape)
{
    const uint32_t doubled = tc_sadd16(x, x);
    const tc_norm_factor first = tc_norm_next_factor(columns, slopes, shape);
    output[0] = tc_norm_result(tc_smulbb(doubled, first.gain), first.offset, shape);
    const tc_norm_factor second = tc_norm_next_factor(columns, slopes, shape);
    output[2] = tc_norm_result(tc_smultb(doubled, second.gain), second.offset, shape);
}

/* Columns are in the order 0, 2, 1, 3 of each four. */
TC_INLINE void tc_norm_positive_row(const int8_t *input, int8_t *output, const tc_norm_column *columns,
                                    const tc_norm_slopes *slopes, const tc_layer_norm_shape *shape)
{
    const uint32_t minus_x_zero = tc_lanes(-shape->x_zero_point, -shape->x_zero_point);
    int32_t i = 0;
    for (; i <= shape->depth - 4; i += 4) {
        const uint32_t x = tc_load4(input + i);
        tc_norm_two(tc_add_even(minus_x_zero, x), output + i, &columns, slopes, shape);
        tc_norm_two(tc_add_odd(minus_x_zero, x), output + i + 1, &columns, slopes, shape);
    }
    for (; i < shape->depth; ++i) {
        const tc_norm_factor factor = tc_norm_next_factor(&columns, slopes, shape);
        const int32_t x = input[i] - shape->x_zero_point;
        output[i] = tc_norm_result(2 * x * (int32_t)factor.gain, factor.offset, shape);
    }
}

/* The scaled way where no gain is negative: their zero point is -128. */
TC_INLINE void tc_layer_norm_positive_s8(const int8_t *input, int8_t *output, const int8_t *roots, const int8_t *means,
                                       const tc_norm_column *columns, const tc_layer_norm_shape *shape)
{
    for (int32_t row = 0; row < shape->rows; ++row, input += shape->depth, output += shape->depth) {
        const tc_norm_row found = tc_norm_statistics_of(input, shape->depth, roots, &shape->statistics);
        const tc_norm_slopes slopes = {
            tc_norm_slope_of(found.root - shape->root_zero_point, &shape->gain_line),
            tc_norm_slope_of(means[(uint8_t)found.mean] - shape->mean_zero_point, &shape->mean_line)};
        tc_norm_positive_row(input, output, columns, &slopes, shape);
    }
}

TC_INLINE uint32_t tc_norm_plain_word(uint32_t x, int32_t root, int32_t offset, const tc_layer_norm_shape *shape)
{
    const uint32_t minus_x_zero = tc_lanes(-shape->x_zero_point, -shape->x_zero_point);
    tc_norm_four y = tc_norm_products(tc_add_even(minus_x_zero, x), tc_add_odd(minus_x_zero, x), tc_norm_same(root));
    y = tc_norm_requantized(y, &shape->scaled_x);
    y = tc_norm_terms(tc_norm_same(offset), shape->sum.first, y);
    y = tc_norm_saturated(y, shape->sum.shift);
    return tc_pack4(y.even, y.odd, y.even_next, y.odd_next);
}

TC_INLINE void tc_norm_plain_row(const int8_t *input, int8_t *output, int32_t root, int32_t offset,
                                 const tc_layer_norm_shape *shape)
{
    int32_t i = 0;
    for (; i <= shape->depth - 4; i += 4) {
        tc_store4(output + i, tc_norm_plain_word(tc_load4(input + i), root, offset, shape));
    }
    for (; i < shape->depth; ++i) {
        output[i] = (int8_t)(tc_norm_plain_word(tc_splat4(input[i]), root, offset, shape) & 0xFFu);
    }
}

TC_INLINE void tc_layer_norm_plain_s8(const int8_t *input, int8_t *output, const int8_t *roots, const int8_t *offsets,
                                      const tc_layer_norm_shape *shape)
{
    for (int32_t row = 0; row < shape->rows; ++row, input += shape->depth, output += shape->depth) {
        const tc_norm_row found = tc_norm_statistics_of(input, shape->depth, roots, &shape->statistics);
        const int32_t root = 2 * (found.root - shape->root_zero_point);
        const int32_t mean = tc_requantize_short(root * (found.mean - shape->mean_zero_point), &shape->scaled_mean);
        const int32_t offset = offsets[(uint8_t)mean] * shape->sum.second + shape->sum.start;
        tc_norm_plain_row(input, output, root, offset, shape);
    }
}

#ifdef __cplusplus
}
#endif

#endif
