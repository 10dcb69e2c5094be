/* SPDX-License-Identifier: 0BSD */
/*
 * Products of int8 matrices that may both be computed, for a few rows: a token times what a cache holds of older ones.
 * Columns are read where they are, since packing them (tc_matrix_product.h) pays with several rows only.
 *
 * a        matrices of rows x depth, b matrices of depth x columns, in any order of their axes
 * output   [batch][rows][columns], int8; it shares no memory with the operands
 * scratch  one row without its zero point, as pairs of lanes (tc_matrix_pack.h)
 *
 * The columns' zero point times the row's sum is taken from all sums at once.
 */
#ifndef TC_MATRIX_ROW_H
#define TC_MATRIX_ROW_H

#include <stdint.h>

#include "cmsis_shim/tc_simd.h"
#include "kernels/tc_inline.h"
#include "kernels/tc_matrix_block.h"
#include "kernels/tc_matrix_pack.h"
#include "kernels/tc_matrix_product.h"
#include "kernels/tc_requant.h"
#include "kernels/tc_requant_block.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tc_matrix_row_shape {
    int32_t batch[3];
    tc_matrix_operand a;
    tc_matrix_operand b;
} tc_matrix_row_shape;

/* What all outputs have in common. */
typedef struct tc_matrix_row_requant {
    tc_matrix_requant matrix;
    tc_requant_block block;
} tc_matrix_row_requant;

/* The one to three elements that are left over, `stride` apart. */
TC_INLINE int32_t tc_matrix_row_rest(const int8_t *column, int32_t stride, const uint32_t *lanes, int32_t rest,
                                     int32_t sum)
{
    sum = tc_smlad(tc_lanes(column[0], rest > 1 ? column[stride] : 0), lanes[0], sum);
    return rest > 2 ? tc_smlad(tc_lanes(column[2 * stride], 0), lanes[1], sum) : sum;
}

/* Up to four columns whose elements are beside each other. */
TC_INLINE void tc_matrix_row_along(const int8_t *b, int32_t count, int32_t stride, const uint32_t *lanes, int32_t depth,
                                   int32_t sums[4])
{
    for (int32_t groups = depth / 4; groups > 0; --groups, b += 4, lanes += 2) {
#pragma GCC unroll 4
        for (int32_t i = 0; i < count; ++i) {
            const uint32_t four = tc_load4(b + i * stride);
            sums[i] = tc_smlad(tc_sxtb16(four, 0), lanes[0], sums[i]);
            sums[i] = tc_smlad(tc_sxtb16(four, 8), lanes[1], sums[i]);
        }
    }
    for (int32_t i = 0; i < (depth % 4 > 0 ? count : 0); ++i) {
        sums[i] = tc_matrix_row_rest(b + i * stride, 1, lanes, depth % 4, sums[i]);
    }
}

/* Four columns that are beside each other. */
TC_INLINE void tc_matrix_row_across(const int8_t *b, int32_t stride, const uint32_t *lanes, int32_t depth,
                                    int32_t sums[4])
{
    for (int32_t groups = depth / 4; groups > 0; --groups, b += 4 * stride) {
#pragma GCC unroll 2
        for (int32_t odd = 0; odd < 2; ++odd) {
            const uint32_t low = tc_load4(b + odd * stride);
            const uint32_t high = tc_load4(b + (odd + 2) * stride);
            const uint32_t front = tc_pkhbt(low, high, 16);
            const uint32_t back = tc_pkhtb(high, low, 16);
            sums[0] = tc_smlad(tc_sxtb16(front, 0), *lanes, sums[0]);
            sums[1] = tc_smlad(tc_sxtb16(front, 8), *lanes, sums[1]);
            sums[2] = tc_smlad(tc_sxtb16(back, 0), *lanes, sums[2]);
            sums[3] = tc_smlad(tc_sxtb16(back, 8), *lanes++, sums[3]);
        }
    }
    for (int32_t i = 0; i < (depth % 4 > 0 ? 4 : 0); ++i) {
        sums[i] = tc_matrix_row_rest(b + i, stride, lanes, depth % 4, sums[i]);
    }
}

/* A packed row times all columns; there are at least four of those that lie across. */
TC_INLINE void tc_matrix_row_columns(const uint32_t *lanes, const int8_t *b, int8_t *output,
                                     const tc_matrix_row_shape *shape, const tc_matrix_row_requant *requant)
{
    const tc_matrix_vectors *vectors = &shape->b.vectors;
    int32_t row_sum = 0;
    for (int32_t i = 0; i < tc_matrix_pairs(vectors->depth); ++i) {
        row_sum = tc_smlad(lanes[i], tc_lanes(1, 1), row_sum);
    }
    const int32_t start = tc_wrapping_add(requant->matrix.start, -vectors->zero_point * row_sum);
    const int32_t *const parameters = requant->matrix.parameters;
    const int32_t together = tc_min(shape->b.count, 4);
    for (int32_t i = 0; i < shape->b.count; i += 4) {
        const int32_t first = tc_min(i, shape->b.count - together); /* the last four may begin before the others end */
        const int8_t *const columns = b + first * vectors->vector_stride;
        int32_t sums[4] = {start, start, start, start};
        if (vectors->depth_stride == 1) {
            tc_matrix_row_along(columns, together, vectors->vector_stride, lanes, vectors->depth, sums);
        } else {
            tc_matrix_row_across(columns, vectors->depth_stride, lanes, vectors->depth, sums);
        }
#pragma GCC unroll 4
        for (int32_t j = 0; j < together; ++j) {
            output[first + j] = tc_requantize_block(sums[j], parameters, &requant->block);
        }
    }
}

TC_INLINE void tc_matrix_row_s8(const int8_t *a, const int8_t *b, int8_t *output, void *scratch,
                                const tc_matrix_row_shape *shape, const tc_matrix_row_requant *requant)
{
    uint32_t *const lanes = (uint32_t *)scratch;
    for (int32_t i = 0; i < shape->batch[0]; ++i) {
        for (int32_t j = 0; j < shape->batch[1]; ++j) {
            for (int32_t k = 0; k < shape->batch[2]; ++k) {
                const int32_t *const x = shape->a.batch_stride;
                const int32_t *const y = shape->b.batch_stride;
                const int8_t *const left = a + i * x[0] + j * x[1] + k * x[2];
                const int8_t *const right = b + i * y[0] + j * y[1] + k * y[2];
                for (int32_t row = 0; row < shape->a.count; ++row, output += shape->b.count) {
                    tc_matrix_pack_one(left + row * shape->a.vectors.vector_stride, lanes, &shape->a.vectors);
                    tc_matrix_row_columns(lanes, right, output, shape, requant);
                }
            }
        }
    }
}

#ifdef __cplusplus
}
#endif

#endif
