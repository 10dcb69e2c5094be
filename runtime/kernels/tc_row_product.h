/* SPDX-License-Identifier: 0BSD */
/*
 * Products of one row and a matrix whose columns lie along memory: what a token asks of a cache of keys or values.
 *
 * The row is made int16 lanes once: of every four elements the pairs 0 and 2, 1 and 3. Columns are read where they are,
 * two at a time, and widened on the way; their zero point is part of where the sums start.
 *
 * scratch  the row's lanes, a word for two elements
 */
#ifndef TC_ROW_PRODUCT_H
#define TC_ROW_PRODUCT_H

#include <stdint.h>

#include "cmsis_shim/tc_simd.h"
#include "kernels/tc_batch_matmul.h"
#include "kernels/tc_inline.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Returns the sum of the elements, less their zero point. */
TC_INLINE int32_t tc_row_lanes(const int8_t *row, uint32_t *lanes, int32_t depth, const tc_batch_matmul_operand *operand)
{
    const int32_t stride = operand->depth_stride;
    const int32_t zero_point = operand->zero_point;
    int32_t sum = 0;
    for (int32_t i = 0; i < depth / 4; ++i, row += 4 * stride, lanes += 2) {
        const uint32_t even = tc_lanes(row[0] - zero_point, row[2 * stride] - zero_point);
        const uint32_t odd = tc_lanes(row[stride] - zero_point, row[3 * stride] - zero_point);
        lanes[0] = even;
        lanes[1] = odd;
        sum = tc_smlad(odd, 0x10001u, tc_smlad(even, 0x10001u, sum));
    }
    for (int32_t i = 0; i < depth % 4; ++i, row += stride) {
        lanes[i] = (uint32_t)(row[0] - zero_point);
        sum += row[0] - zero_point;
    }
    return sum;
}

/* Four elements of a column. */
TC_INLINE int32_t tc_row_times_four(const int8_t *column, uint32_t even, uint32_t odd, int32_t sum)
{
    const uint32_t four = tc_load4(column);
    return tc_smlad(odd, tc_sxtb16(four, 8), tc_smlad(even, tc_sxtb16(four, 0), sum));
}

/* The one to three elements that are left over. */
TC_INLINE int32_t tc_row_times_rest(const int8_t *column, const uint32_t *lanes, int32_t count, int32_t sum)
{
    for (int32_t i = 0; i < count; ++i) {
        sum += (int32_t)lanes[i] * column[i];
    }
    return sum;
}

TC_INLINE void tc_row_product_one(const int8_t *columns, int8_t *output, const uint32_t *lanes, int32_t start,
                                  const void *channel, tc_finish *finish, const tc_batch_matmul_shape *shape)
{
    const int32_t stride = shape->b.vector_stride;
    const int32_t groups = shape->depth / 4;
    const int32_t rest = shape->depth % 4;
    for (int32_t column = 0; column < shape->b.vectors; column += 2) {
        /* The last column of an odd number is computed twice. */
        const int8_t *one = columns + column * stride;
        const int8_t *other = column + 1 < shape->b.vectors ? one + stride : one;
        const uint32_t *pair = lanes;
        int32_t sum = start;
        int32_t other_sum = start;
#pragma GCC unroll 4
        for (int32_t i = 0; i < groups; ++i, one += 4, other += 4, pair += 2) {
            sum = tc_row_times_four(one, pair[0], pair[1], sum);
            other_sum = tc_row_times_four(other, pair[0], pair[1], other_sum);
        }
        output[column] = (int8_t)finish(tc_row_times_rest(one, pair, rest, sum), channel, 0, &shape->range);
        if (column + 1 < shape->b.vectors) {
            const int32_t last = tc_row_times_rest(other, pair, rest, other_sum);
            output[column + 1] = (int8_t)finish(last, channel, 0, &shape->range);
        }
    }
}

TC_INLINE void tc_row_product_s8(const int8_t *a, const int8_t *b, int8_t *output, const void *channel, void *scratch,
                                 tc_finish *finish, const tc_batch_matmul_shape *shape)
{
    uint32_t *const lanes = (uint32_t *)scratch;
    for (int32_t i = 0; i < shape->batch[0]; ++i) {
        for (int32_t j = 0; j < shape->batch[1]; ++j) {
            for (int32_t k = 0; k < shape->batch[2]; ++k) {
                const int8_t *const row = a + tc_batch_matmul_place(&shape->a, i, j, k);
                const int32_t start = -shape->b.zero_point * tc_row_lanes(row, lanes, shape->depth, &shape->a);
                tc_row_product_one(b + tc_batch_matmul_place(&shape->b, i, j, k), output, lanes, start, channel, finish,
                                   shape);
                output += shape->b.vectors;
            }
        }
    }
}

#ifdef __cplusplus
}
#endif

#endif
