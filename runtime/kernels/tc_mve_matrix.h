/* SPDX-License-Identifier: 0BSD */
/*
 * Products of int8 matrices that may both be computed, by Helium (tc_mve_matrix_block.h).
 *
 * a        matrices of rows x depth, b matrices of depth x columns, in any order of their axes
 * output   [batch][rows][columns], int8; it shares no memory with the operands
 * scratch  two rows of whole vectors, then columns as the block function takes them
 *
 * Vectors are copied, filled up with zeros, and summed on the way; where their elements are apart, these are gathered.
 */
#ifndef TC_MVE_MATRIX_H
#define TC_MVE_MATRIX_H

#include <stdint.h>
#include <string.h>

#include "kernels/tc_inline.h"
#include "kernels/tc_mve.h"
#include "kernels/tc_mve_matrix_block.h"
#include "kernels/tc_requant.h"

#ifdef __cplusplus
extern "C" {
#endif

/* An operand: its vectors are rows of a or columns of b; strides in elements. */
typedef struct tc_mve_matrix_operand {
    int32_t batch_stride[3];
    int32_t vectors;
    int32_t vector_stride; /* from a vector to the next */
    int32_t depth_stride;  /* along a vector; one of both is 1 */
    int32_t zero_point;
} tc_mve_matrix_operand;

typedef struct tc_mve_matrix_shape {
    int32_t batch[3];
    int32_t depth;
    tc_mve_matrix_operand a;
    tc_mve_matrix_operand b;
    int32_t pre;   /* of the requantisation */
    int32_t start; /* of all sums */
} tc_mve_matrix_shape;

TC_INLINE int32_t tc_mve_matrix_groups(int32_t depth)
{
    return (depth + 15) / 16;
}

/* A vector to groups of 16 bytes, `step` bytes apart; its sum. */
TC_INLINE int32_t tc_mve_matrix_pack(const int8_t *from, int32_t depth, int32_t stride, int8_t *to, int32_t step)
{
    int32_t sum = 0;
    for (int32_t left = depth; left > 0; left -= 16, from += 16 * stride, to += step) {
#if TC_MVE
        if (stride == 1) {
            const int8x16_t bytes = tc_mve_load(from, (uint32_t)left);
            sum = vaddvaq_s8(sum, bytes);
            vstrbq_s8(to, bytes);
        } else {
            const uint16x8_t places = vmulq_n_u16(vidupq_n_u16(0, 1), (uint16_t)stride);
            const int16x8_t low = vldrbq_gather_offset_z_s16(from, places, vctp16q((uint32_t)left));
            const uint32_t behind = (uint32_t)tc_max(left - 8, 0);
            const int16x8_t high = vldrbq_gather_offset_z_s16(from + 8 * stride, places, vctp16q(behind));
            sum = vaddvaq_s16(vaddvaq_s16(sum, low), high);
            vstrbq_s16(to, low);
            vstrbq_s16(to + 8, high);
        }
#else
        for (int32_t i = 0; i < 16; ++i) {
            to[i] = (int8_t)(i < left ? from[i * stride] : 0);
            sum += to[i];
        }
#endif
    }
    return sum;
}

/* All columns. */
TC_INLINE void tc_mve_matrix_columns(const int8_t *b, int8_t *to, const tc_mve_matrix_shape *shape)
{
    const int32_t groups = tc_mve_matrix_groups(shape->depth);
    const int32_t both = shape->depth * shape->a.zero_point * shape->b.zero_point;
    for (int32_t column = 0; column < shape->b.vectors; ++column) {
        int8_t *const four = to + column / 4 * (64 * groups + 16);
        const int32_t sum = tc_mve_matrix_pack(b + column * shape->b.vector_stride, shape->depth, shape->b.depth_stride,
                                               four + 16 * (column % 4), 64);
        const int32_t start = shape->start + tc_shift_left(both - shape->a.zero_point * sum, shape->pre);
        memcpy(four + 64 * groups + 4 * (column % 4), &start, 4);
    }
}

TC_INLINE void tc_mve_matrix_one(const int8_t *a, const int8_t *b, int8_t *output, int8_t *scratch,
                                 tc_mve_matrix_block *compute, const int32_t *constants,
                                 const tc_mve_matrix_shape *shape)
{
    const int32_t row_bytes = 16 * tc_mve_matrix_groups(shape->depth);
    int8_t *const columns = scratch + 2 * row_bytes;
    const int32_t single = shape->a.vectors == 1;
    tc_mve_matrix_job job = {{0}, single ? 0 : row_bytes, 2 * shape->b.vectors, constants, {0, 0}};
    for (int32_t lane = 0; lane < 8; ++lane) {
        job.offsets[lane] = (uint16_t)(lane / 2 + (single ? 0 : lane % 2 * shape->b.vectors));
    }
    tc_mve_matrix_columns(b, columns, shape);
    for (int32_t i = 0; i < shape->a.vectors; i += 2) {
        const int32_t row = tc_max(tc_min(i, shape->a.vectors - 2), 0); /* an odd number's last but one is computed twice */
        for (int32_t j = 0; j < (single ? 1 : 2); ++j) {
            const int32_t sum = tc_mve_matrix_pack(a + (row + j) * shape->a.vector_stride, shape->depth,
                                                   shape->a.depth_stride, scratch + j * row_bytes, 16);
            job.starts[j] = tc_shift_left(-shape->b.zero_point * sum, shape->pre);
        }
        job.starts[1] = single ? job.starts[0] : job.starts[1];
        compute(scratch, columns, output + row * shape->b.vectors, &job);
    }
}

TC_INLINE void tc_mve_matrix_s8(const int8_t *a, const int8_t *b, int8_t *output, const int32_t *constants,
                                void *scratch, tc_mve_matrix_block *compute, const tc_mve_matrix_shape *shape)
{
    for (int32_t i = 0; i < shape->batch[0]; ++i) {
        for (int32_t j = 0; j < shape->batch[1]; ++j) {
            for (int32_t k = 0; k < shape->batch[2]; ++k) {
                const int32_t *const x = shape->a.batch_stride;
                const int32_t *const y = shape->b.batch_stride;
                tc_mve_matrix_one(a + i * x[0] + j * x[1] + k * x[2], b + i * y[0] + j * y[1] + k * y[2], output,
                                  (int8_t *)scratch, compute, constants, shape);
                output += shape->a.vectors * shape->b.vectors;
            }
        }
    }
}

#ifdef __cplusplus
}
#endif

#endif
