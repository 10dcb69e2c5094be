/* SPDX-License-Identifier: 0BSD */
/*
 * Products of int8 matrices that may both be computed, by a block function for 2 rows x 4 columns (tc_matrix_block.h).
 *
 * a        matrices of rows x depth, b matrices of depth x columns, in any order of their axes
 * output   [batch][rows][columns], int8; where all columns are packed together it may be where a or b was (Kernel.overlap)
 * scratch  two packed rows, then packed columns (tc_matrix_pack.h): all of b's or as many as `together` says
 *
 * Some columns are packed once and all rows two by two before them, so what packing costs is shared by the rows of a,
 * and by the columns. The last four columns of a number that isn't a multiple of 4 are computed once more in part,
 * and so is the last row but one of an odd number.
 */
#ifndef TC_MATRIX_PRODUCT_H
#define TC_MATRIX_PRODUCT_H

#include <stdint.h>

#include "kernels/tc_batch_matmul.h"
#include "kernels/tc_bytes.h"
#include "kernels/tc_inline.h"
#include "kernels/tc_matrix_block.h"
#include "kernels/tc_matrix_pack.h"

#ifdef __cplusplus
extern "C" {
#endif

/* An operand: its vectors are rows of a or columns of b. */
typedef struct tc_matrix_operand {
    int32_t batch_stride[3];
    int32_t count;
    tc_matrix_vectors vectors;
} tc_matrix_operand;

typedef struct tc_matrix_product_shape {
    int32_t batch[3];
    tc_matrix_operand a;
    tc_matrix_operand b;
    int32_t together; /* packed columns, a multiple of 4 */
} tc_matrix_product_shape;

/* Columns as the block function takes them: fours, the last of which may begin before the others end. */
TC_INLINE void tc_matrix_pack_columns(const int8_t *b, int32_t columns, uint32_t *lanes, const tc_matrix_vectors *vectors)
{
    const int32_t words = 4 * tc_matrix_pairs(vectors->depth);
    for (int32_t column = 0; column < columns; column += 4, lanes += words) {
        const int32_t first = tc_max(tc_min(column, columns - 4), 0);
        tc_matrix_pack(b + first * vectors->vector_stride, 4, columns - first, lanes, vectors);
    }
}

/* Two packed rows times packed columns. */
TC_INLINE void tc_matrix_two_rows(const uint32_t *rows, const uint32_t *lanes, int32_t columns, int8_t *output,
                                  tc_matrix_block *compute, tc_matrix_job *job, int32_t depth)
{
    const int32_t words = 4 * tc_matrix_pairs(depth);
    const uint32_t *const last = lanes + columns / 4 * words;
    job->columns_end = last;
    if (columns >= 4) {
        compute(rows, lanes, output, job);
    }
    if (columns % 4 == 0) {
        return;
    }
    job->columns_end = last + words;
    if (columns > 4) {
        compute(rows, last, output + columns - 4, job);
    } else {
        int8_t results[8];
        const uint32_t step = job->step;
        job->step = 4u;
        compute(rows, last, results, job);
        job->step = step;
        tc_memcpy(output, results, (uint32_t)columns);
        tc_memcpy(output + step, results + 4, (uint32_t)columns);
    }
}

TC_INLINE void tc_matrix_product_one(const int8_t *a, const int8_t *b, int8_t *output, uint32_t *scratch,
                                     tc_matrix_block *compute, const tc_matrix_product_shape *shape,
                                     const tc_matrix_requant *requant)
{
    const int32_t pairs = tc_matrix_pairs(shape->a.vectors.depth);
    uint32_t *const lanes = scratch + 2 * pairs;
    const uint32_t step = shape->a.count > 1 ? (uint32_t)shape->b.count : 0u;
    tc_matrix_job job = {lanes, lanes, step, *requant};
    for (int32_t column = 0; column < shape->b.count; column += shape->together) {
        const int32_t columns = tc_min(shape->b.count - column, shape->together);
        tc_matrix_pack_columns(b + column * shape->b.vectors.vector_stride, columns, lanes, &shape->b.vectors);
        for (int32_t i = 0; i < shape->a.count; i += 2) {
            const int32_t row = tc_max(tc_min(i, shape->a.count - 2), 0);
            tc_matrix_pack(a + row * shape->a.vectors.vector_stride, 2, shape->a.count, scratch, &shape->a.vectors);
            tc_matrix_two_rows(scratch, lanes, columns, output + row * shape->b.count + column, compute, &job,
                               shape->a.vectors.depth);
        }
    }
}

TC_INLINE void tc_matrix_product_s8(const int8_t *a, const int8_t *b, int8_t *output, void *scratch,
                                    tc_matrix_block *compute, const tc_matrix_product_shape *shape,
                                    const tc_matrix_requant *requant)
{
    for (int32_t i = 0; i < shape->batch[0]; ++i) {
        for (int32_t j = 0; j < shape->batch[1]; ++j) {
            for (int32_t k = 0; k < shape->batch[2]; ++k) {
                const int32_t *const x = shape->a.batch_stride;
                const int32_t *const y = shape->b.batch_stride;
                tc_matrix_product_one(a + i * x[0] + j * x[1] + k * x[2], b + i * y[0] + j * y[1] + k * y[2], output,
                                      (uint32_t *)scratch, compute, shape, requant);
                output += shape->a.count * shape->b.count;
            }
        }
    }
}

#ifdef __cplusplus
}
#endif

#endif
