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
    for (int32_t step = 0; step < 4; ++step) {
        const uint32_t square = (uint32_t)(((uint64_t)y * y) >> 30);
        y = (uint32_t)(((uint64_t)y * ((UINT32_C(3) << 30) - tc_high_word(square, mantissa))) >> 31);
    }
    const tc_reciprocal_root result = {y, shift};
    return result;
}

TC_INLINE void tc_layer_normalization_s8(const int8_t *input, int8_t *output, const int32_t *scale, const int64_t *bias,
                                         const tc_layer_normalization_shape *shape)
{
    const int32_t depth = shape->depth;
    for (int32_t row = 0; row < shape->rows; ++row) {
        const tc_row_sums sums = tc_sums_of_row(input, depth);
        const int64_t total = shape->centred ? sums.sum : shape->zero_sum;
        const uint64_t power = (uint64_t)((int64_t)depth * sums.squares + total * (total - 2 * (int64_t)sums.sum));
        const uint64_t raised = (power << shape->fraction) + (uint64_t)bias[depth];
        const tc_reciprocal_root inverse = tc_reciprocal_root_of(raised > 0 ? raised : 1);
        const int32_t root = (int32_t)inverse.root;
        int32_t left = -14 - inverse.shift / 2 + shape->fraction / 2 + shape->element_bits;
        left = left < 0 ? 0 : left > 31 ? 31 : left;
        const uint32_t factor = (uint32_t)depth << left;
        const uint32_t subtracted = (uint32_t)total << left;
        for (int32_t i = 0; i < depth; ++i) {
            const int32_t value = input[i];
            const int32_t distance = (int32_t)(factor * (uint32_t)value - subtracted);
            const int32_t element = (int32_t)(((int64_t)distance * root) >> 32);
            const int64_t sum = (int64_t)element * scale[i] + bias[i];
            output[i] = (int8_t)tc_ssat8((int32_t)(sum >> 32) >> (shape->shift - 32));
        }
        input += depth;
        output += depth;
    }
}

#ifdef __cplusplus
}
#endif

#endif
