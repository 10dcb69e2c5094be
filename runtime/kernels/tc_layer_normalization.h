/* SPDX-License-Identifier: 0BSD */
/*
 * Rows of int8 normalised to a mean of 0 and a variance of 1, with a factor and a summand for each column:
 * tinycompile/ops/_arithmetic/normalisation.py has the arithmetic.
 *
 * input   [rows][depth], int8
 * scale   [depth]
 * bias    [depth + 1], the last one is epsilon, so that layers of one shape are one function
 * output  [rows][depth], int8; may be the input
 */
#ifndef TC_LAYER_NORMALIZATION_H
#define TC_LAYER_NORMALIZATION_H

#include <stdint.h>

#include "cmsis_shim/tc_simd.h"
#include "kernels/tc_bytes.h"
#include "kernels/tc_inline.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tc_layer_normalization_shape {
    int32_t rows;
    int32_t depth;
    int32_t centred;
    int32_t zero_sum; /* in place of a row's sum where no mean is subtracted */
    int32_t fraction;
    int32_t element_bits;
    int32_t shift;
} tc_layer_normalization_shape;

typedef struct tc_row_sums {
    int32_t sum;
    int32_t squares;
} tc_row_sums;

TC_INLINE tc_row_sums tc_sums_of_row(const int8_t *row, int32_t depth)
{
    const uint32_t ones = tc_lanes(1, 1);
    tc_row_sums sums = {0, 0};
    for (int32_t i = 0; i < depth / 4 * 4; i += 4) {
        const uint32_t word = tc_load4(row + i);
        const uint32_t even = tc_add_even(0, word);
        const uint32_t odd = tc_add_odd(0, word);
        sums.sum = tc_smlad(odd, ones, tc_smlad(even, ones, sums.sum));
        sums.squares = tc_smlad(odd, odd, tc_smlad(even, even, sums.squares));
    }
    for (int32_t i = depth / 4 * 4; i < depth; ++i) {
        sums.sum += row[i];
        sums.squares += row[i] * row[i];
    }
    return sums;
}

/* 1 / sqrt(x) = root * 2^-30 * 2^(-16 - shift / 2), of an x above 0. */
typedef struct tc_reciprocal_root {
    uint32_t root;
    int32_t shift;
} tc_reciprocal_root;

TC_INLINE uint32_t tc_high_word(uint32_t a, uint32_t b)
{
    return (uint32_t)(((uint64_t)a * b) >> 32);
}

/* Up to the highest one that is set, of an x above 0. */
TC_INLINE int32_t tc_bits_of(uint64_t x)
{
    const uint32_t high = (uint32_t)(x >> 32);
    return high != 0 ? 64 - tc_leading_zeros(high) : 32 - tc_leading_zeros((uint32_t)x);
}

TC_INLINE tc_reciprocal_root tc_reciprocal_root_of(uint64_t x)
{
    /* 31 or 32 bits remain. */
    const int32_t bits = tc_bits_of(x);
    const int32_t shift = bits >= 31 ? (bits - 31) / 2 * 2 : -((32 - bits) / 2 * 2);
    const uint32_t mantissa = (uint32_t)(shift >= 0 ? x >> shift : x << -shift);
    uint32_t y = 2362232013u - tc_high_word(1288490189u, mantissa);
#if TC_DSP
#pragma GCC unroll 4
#endif
    for (int32_t step = 0; step < 4; ++step) {
        const uint32_t square = (uint32_t)(((uint64_t)y * y) >> 30);
        y = (uint32_t)(((uint64_t)y * ((UINT32_C(3) << 30) - tc_high_word(square, mantissa))) >> 31);
    }
    const tc_reciprocal_root result = {y, shift};
    return result;
}

/* What is the same for a row: an element's distance to the mean is factor * element + start. */
typedef struct tc_normalized_row {
    int32_t factor;
    int32_t start;
    int32_t root;
} tc_normalized_row;

/* Where elements, factors and summands are read next. */
typedef struct tc_normalized_columns {
    const int8_t *input;
    const int32_t *scale;
    const int64_t *bias;
} tc_normalized_columns;

/* The high word of the next element's sum. */
TC_INLINE int32_t tc_next_normalized(tc_normalized_columns *at, const tc_normalized_row *row)
{
    const int32_t distance = (int32_t)((uint32_t)row->factor * (uint32_t)*at->input++ + (uint32_t)row->start);
    const int32_t element = (int32_t)(((int64_t)distance * row->root) >> 32);
    return (int32_t)(((int64_t)element * *at->scale++ + *at->bias++) >> 32);
}

#if TC_DSP
typedef struct tc_normalized_two {
    int32_t first;
    int32_t second;
} tc_normalized_two;

/* The same of two elements: of such sums compilers copy the halves, for which they want more registers than there are. */
TC_INLINE tc_normalized_two tc_next_two_normalized(tc_normalized_columns *at, const tc_normalized_row *row)
{
    tc_normalized_two high;
    int32_t element;
    int32_t scale;
    int32_t next_scale;
    __asm__ volatile("ldrd %[scale], %[next_scale], [%[scales]], #8\n\t"
                     "ldrsb %[element], [%[input]], #1\n\t"
                     "ldrd %[second], %[first], [%[biases]], #8\n\t"
                     "mla %[element], %[element], %[factor], %[start]\n\t"
                     "smmul %[element], %[element], %[root]\n\t"
                     "smlal %[second], %[first], %[element], %[scale]\n\t"
                     "ldrsb %[element], [%[input]], #1\n\t"
                     "ldrd %[scale], %[second], [%[biases]], #8\n\t"
                     "mla %[element], %[element], %[factor], %[start]\n\t"
                     "smmul %[element], %[element], %[root]\n\t"
                     "smlal %[scale], %[second], %[element], %[next_scale]"
                     : [element] "=&r"(element), [scale] "=&r"(scale), [next_scale] "=&r"(next_scale),
                       [first] "=&r"(high.first), [second] "=&r"(high.second), [input] "+r"(at->input),
                       [scales] "+r"(at->scale), [biases] "+r"(at->bias)
                     : [factor] "r"(row->factor), [start] "r"(row->start), [root] "r"(row->root)
                     : "memory");
    return high;
}

TC_INLINE void tc_store_normalized_two(int8_t *output, tc_normalized_two two, int32_t right)
{
    output[0] = (int8_t)tc_saturate8(two.first, right);
    output[1] = (int8_t)tc_saturate8(two.second, right);
}
#endif

TC_INLINE void tc_normalize_row(tc_normalized_columns at, int8_t *output, const tc_normalized_row *row, int32_t depth,
                                int32_t right)
{
    const int8_t *const end = output + depth;
#if TC_DSP
    const int8_t *const eights = output + depth / 8 * 8;
    for (; output != eights; output += 8) {
        tc_store_normalized_two(output, tc_next_two_normalized(&at, row), right);
        tc_store_normalized_two(output + 2, tc_next_two_normalized(&at, row), right);
        tc_store_normalized_two(output + 4, tc_next_two_normalized(&at, row), right);
        tc_store_normalized_two(output + 6, tc_next_two_normalized(&at, row), right);
    }
#endif
    for (; output != end; ++output) {
        *output = (int8_t)tc_saturate8(tc_next_normalized(&at, row), right);
    }
}

/* depth times the sum of the squares of the distances. */
TC_INLINE uint64_t tc_power_of_row(const tc_row_sums *sums, const tc_layer_normalization_shape *shape)
{
    const int64_t power = (int64_t)shape->depth * sums->squares;
    const int32_t zero = shape->zero_sum;
    const int64_t less = shape->centred ? (int64_t)sums->sum * sums->sum : zero * (2 * (int64_t)sums->sum - zero);
    return (uint64_t)(power - less);
}

TC_INLINE void tc_layer_normalization_s8(const int8_t *input, int8_t *output, const int32_t *scale, const int64_t *bias,
                                         const tc_layer_normalization_shape *shape)
{
    const int32_t depth = shape->depth;
    for (int32_t row = 0; row < shape->rows; ++row) {
        const tc_row_sums sums = tc_sums_of_row(input, depth);
        const int32_t total = shape->centred ? sums.sum : shape->zero_sum;
        const uint64_t power = tc_power_of_row(&sums, shape);
        const uint64_t raised = (power << shape->fraction) + (uint64_t)bias[depth];
        const tc_reciprocal_root inverse = tc_reciprocal_root_of(raised > 0 ? raised : 1);
        int32_t left = -14 - inverse.shift / 2 + shape->fraction / 2 + shape->element_bits;
        left = left < 0 ? 0 : left > 31 ? 31 : left;
        const tc_normalized_row factors = {(int32_t)((uint32_t)depth << left), (int32_t)(0u - ((uint32_t)total << left)),
                                           (int32_t)inverse.root};
        const tc_normalized_columns columns = {input, scale, bias};
        tc_normalize_row(columns, output, &factors, depth, shape->shift - 32);
        input += depth;
        output += depth;
    }
}

#ifdef __cplusplus
}
#endif

#endif
