/* SPDX-License-Identifier: 0BSD */
/*
 * The same products (tc_batch_matmul.h) of int16 lanes: vectors lose their zero points and become pairs of int16 in
 * scratch, all columns of b once per matrix, a row of a at a time. Four columns share the loads of the row.
 *
 * Four elements become two words, of elements 0 and 2, and of 1 and 3: both operands alike, so that sums are the same. A
 * last group that isn't full is filled up with zeros.
 */
#ifndef TC_BATCH_MATMUL_LANES_H
#define TC_BATCH_MATMUL_LANES_H

#include <stdint.h>

#include "cmsis_shim/tc_simd.h"
#include "kernels/tc_batch_matmul.h"
#include "kernels/tc_inline.h"
#include "kernels/tc_requant.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Requantisation by a high product (docs/kernels.md); without a multiplier by the definition. */
typedef struct tc_high_product {
    int32_t start;
    int32_t multiplier;
    int32_t offset;
    int32_t sign_step; /* what the offset loses below zero */
    int32_t shift;
    int32_t long_multiplier;
    int32_t long_shift;
} tc_high_product;

TC_INLINE int32_t tc_requantize_high(int32_t sum, const tc_high_product *requant, const tc_output_range *range)
{
    if (requant->multiplier == 0) {
        return tc_requantize(sum, requant->long_multiplier, requant->long_shift, range);
    }
    const int32_t a = tc_wrapping_add(sum, requant->start);
    const int32_t offset = requant->offset - (requant->sign_step & (a >> 31));
    return tc_clamp(tc_smmla(a, requant->multiplier, offset) >> requant->shift, range->low, range->high);
}

/* One vector without its zero point; `stride` between its elements. */
TC_INLINE void tc_lanes_of_vector(const int8_t *vector, int32_t depth, int32_t stride, int32_t zero_point, uint32_t *lanes)
{
    const uint32_t minus = tc_lanes(-zero_point, -zero_point);
    int32_t i = 0;
    for (; i + 4 <= depth; i += 4, lanes += 2) {
        uint32_t four;
        if (stride == 1) {
            four = tc_load4(vector + i);
        } else {
            const int8_t *from = vector + i * stride;
            four = (uint8_t)from[0] | (uint32_t)(uint8_t)from[stride] << 8 | (uint32_t)(uint8_t)from[2 * stride] << 16 |
                   (uint32_t)(uint8_t)from[3 * stride] << 24;
        }
        lanes[0] = tc_sxtab16(minus, four, 0);
        lanes[1] = tc_sxtab16(minus, four, 8);
    }
    if (i < depth) {
        const int8_t *from = vector + i * stride;
        const int32_t first = from[0] - zero_point;
        const int32_t second = i + 1 < depth ? from[stride] - zero_point : 0;
        const int32_t third = i + 2 < depth ? from[2 * stride] - zero_point : 0;
        lanes[0] = tc_lanes(first, third);
        lanes[1] = tc_lanes(second, 0);
    }
}

/* A row of lanes times all columns. */
TC_INLINE void tc_batch_matmul_row(const uint32_t *row, const uint32_t *columns, int8_t *output,
                                   const tc_high_product *requant, const tc_batch_matmul_shape *shape)
{
    const int32_t words = (shape->depth + 3) / 4 * 2;
    int32_t column = 0;
    for (; column + 4 <= shape->b.vectors; column += 4, columns += 4 * words) {
        int32_t sum0 = 0;
        int32_t sum1 = 0;
        int32_t sum2 = 0;
        int32_t sum3 = 0;
        const uint32_t *of_column = columns;
        for (const uint32_t *of_row = row; of_row != row + words; ++of_row, ++of_column) {
            sum0 = tc_smlad(*of_row, of_column[0], sum0);
            sum1 = tc_smlad(*of_row, of_column[words], sum1);
            sum2 = tc_smlad(*of_row, of_column[2 * words], sum2);
            sum3 = tc_smlad(*of_row, of_column[3 * words], sum3);
        }
        output[column] = (int8_t)tc_requantize_high(sum0, requant, &shape->range);
        output[column + 1] = (int8_t)tc_requantize_high(sum1, requant, &shape->range);
        output[column + 2] = (int8_t)tc_requantize_high(sum2, requant, &shape->range);
        output[column + 3] = (int8_t)tc_requantize_high(sum3, requant, &shape->range);
    }
    for (; column < shape->b.vectors; ++column, columns += words) {
        int32_t sum = 0;
        for (int32_t i = 0; i < words; ++i) {
            sum = tc_smlad(row[i], columns[i], sum);
        }
        output[column] = (int8_t)tc_requantize_high(sum, requant, &shape->range);
    }
}

TC_INLINE void tc_batch_matmul_lanes_one(const int8_t *a, const int8_t *b, int8_t *output, uint32_t *scratch,
                                         const tc_high_product *requant, const tc_batch_matmul_shape *shape)
{
    const int32_t words = (shape->depth + 3) / 4 * 2;
    uint32_t *const columns = scratch + words;
    for (int32_t i = 0; i < shape->b.vectors; ++i) {
        tc_lanes_of_vector(b + i * shape->b.vector_stride, shape->depth, shape->b.depth_stride, shape->b.zero_point,
                           columns + i * words);
    }
    for (int32_t i = 0; i < shape->a.vectors; ++i) {
        tc_lanes_of_vector(a + i * shape->a.vector_stride, shape->depth, shape->a.depth_stride, shape->a.zero_point,
                           scratch);
        tc_batch_matmul_row(scratch, columns, output + i * shape->b.vectors, requant, shape);
    }
}

TC_INLINE void tc_batch_matmul_lanes_s8(const int8_t *a, const int8_t *b, int8_t *output, void *scratch,
                                        const tc_batch_matmul_shape *shape, const tc_high_product *requant)
{
    for (int32_t i = 0; i < shape->batch[0]; ++i) {
        for (int32_t j = 0; j < shape->batch[1]; ++j) {
            for (int32_t k = 0; k < shape->batch[2]; ++k) {
                tc_batch_matmul_lanes_one(a + tc_batch_matmul_place(&shape->a, i, j, k),
                                          b + tc_batch_matmul_place(&shape->b, i, j, k), output, (uint32_t *)scratch,
                                          requant, shape);
                output += shape->a.vectors * shape->b.vectors;
            }
        }
    }
}

#ifdef __cplusplus
}
#endif

#endif
