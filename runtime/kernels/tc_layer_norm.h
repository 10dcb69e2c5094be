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
#include "kernels/tc_mean.h"
#include "kernels/tc_requant_short.h"
#include "kernels/tc_squared_difference.h"

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

/* What both ways begin with. */
typedef struct tc_norm_statistics {
    tc_mean_shape mean;                /* of a row */
    tc_squared_difference_form square; /* a: an element, b: the mean */
    tc_mean_shape variance;
} tc_norm_statistics;

typedef struct tc_layer_norm_shape {
    int32_t rows;
    int32_t depth;
    tc_norm_statistics statistics;
    int32_t x_zero_point;
    int32_t root_zero_point;
    int32_t mean_zero_point;  /* scaled: of h(mean) */
    int32_t gamma_zero_point; /* scaled */
    int32_t gain_zero_point;  /* scaled */
    tc_short_requant gain;    /* scaled */
    tc_short_requant scaled_x;
    tc_short_requant scaled_mean;
    tc_norm_sum beta; /* scaled: a is the scaled mean; beta's own term and the start are an array */
    tc_norm_sum sum;  /* a is the scaled x */
} tc_layer_norm_shape;

typedef struct tc_norm_row {
    int32_t mean;
    int32_t root;
} tc_norm_row;

/* The sum of a row's elements, four at a time: SMLAD with ones. */
TC_INLINE int32_t tc_norm_total(const int8_t *row, int32_t depth)
{
    const uint32_t ones = tc_lanes(1, 1);
    int32_t total = 0;
    int32_t i = 0;
    for (; i <= depth - 4; i += 4) {
        const uint32_t four = tc_load4(row + i);
        total = tc_smlad(tc_sxtb16(four, 0), ones, total);
        total = tc_smlad(tc_sxtb16(four, 8), ones, total);
    }
    for (; i < depth; ++i) {
        total += row[i];
    }
    return total;
}

/* The sum of SQUARED_DIFFERENCE(x, mean) over a row. */
TC_INLINE int32_t tc_norm_squares(const int8_t *row, int32_t depth, int32_t mean, const tc_squared_difference_form *form)
{
    int32_t aligned = tc_to_common_scale(mean, &form->b);
    int32_t squares = 0;
    aligned += form->a.right == 0 ? form->a.zero_point * 64 : 0;
#if defined(__GNUC__)
#pragma GCC unroll 4
#endif
    for (int32_t i = 0; i < depth; ++i) {
        const int32_t x = form->a.right == 0 ? row[i] * 64 : tc_to_common_scale(row[i], &form->a);
        squares += tc_scaled_square(x - aligned, form);
    }
    return squares;
}

TC_INLINE tc_norm_row tc_norm_statistics_of(const int8_t *row, int32_t depth, const int8_t *roots,
                                            const tc_norm_statistics *statistics)
{
    const int32_t mean = tc_mean_of(tc_norm_total(row, depth), &statistics->mean);
    const int32_t squares = tc_norm_squares(row, depth, mean, &statistics->square);
    const tc_norm_row found = {mean, roots[(uint8_t)tc_mean_of(squares, &statistics->variance)]};
    return found;
}

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
        tc_smulbb(even, (uint32_t)by.even), tc_smlatb(even, (uint32_t)by.even_next, 0),
        tc_smulbb(odd, (uint32_t)by.odd), tc_smlatb(odd, (uint32_t)by.odd_next, 0)};
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
