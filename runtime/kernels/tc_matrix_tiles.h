/* SPDX-License-Identifier: 0BSD */
/*
 * Products of int8 matrices that may both be computed, on cores without SIMD: 2 rows x 2 columns at a time, so that an
 * element that is loaded serves two products. Operands and output are those of tc_batch_matmul.h.
 *
 * scratch  vectors without their zero points, int16, two beside each other: two rows, then all columns
 */
#ifndef TC_MATRIX_TILES_H
#define TC_MATRIX_TILES_H

#include <stdint.h>

#include "cmsis_shim/tc_simd.h"
#include "kernels/tc_batch_matmul.h"
#include "kernels/tc_inline.h"
#include "kernels/tc_requant.h"
#include "kernels/tc_requant_block.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What all outputs have in common (tc_requant_block.h): of the sum, to the left by `pre`, and the start. */
typedef struct tc_matrix_tiles_requant {
    int32_t pre;
    int32_t start;
    int32_t parameters[3]; /* multiplier, offset, and in the signed form step */
    tc_requant_block block;
} tc_matrix_tiles_requant;

/* Vectors `first` and, if there is one, the next, else the same again. */
static TC_NOINLINE void tc_matrix_widen(const int8_t *from, int32_t first, const tc_batch_matmul_operand *operand,
                                        int32_t depth, int16_t *to)
{
    const int32_t second = tc_min(first + 1, operand->vectors - 1);
    const int8_t *one = from + first * operand->vector_stride;
    const int8_t *other = from + second * operand->vector_stride;
    const int32_t stride = operand->depth_stride;
    const int32_t zero_point = operand->zero_point;
    for (int32_t i = 0; i < depth; ++i, one += stride, other += stride, to += 2) {
        to[0] = (int16_t)(*one - zero_point);
        to[1] = (int16_t)(*other - zero_point);
    }
}

#if TC_THUMB1 && !defined(TC_RESERVE_R9)
/* An element of two rows times one of two columns, whose words are loaded. */
#define TC_MATRIX_STEP \
    "ldmia %0!, {%2}\n\t" \
    "ldmia %1!, {%4}\n\t" \
    "sxth %3, %2\n\t" \
    "asrs %2, %2, #16\n\t" \
    "sxth %5, %4\n\t" \
    "asrs %4, %4, #16\n\t" \
    "movs %6, %3\n\t" \
    "muls %6, %5, %6\n\t" \
    "add r8, %6\n\t" \
    "muls %3, %4, %3\n\t" \
    "add r9, %3\n\t" \
    "muls %5, %2, %5\n\t" \
    "add r10, %5\n\t" \
    "muls %4, %2, %4\n\t" \
    "add r11, %4\n\t" \
    "cmp %0, r12\n\t"

/* The four sums: of the first row, then of the second. Compilers keep one on the stack, and load by halves, which takes offsets. */
static TC_NOINLINE void tc_matrix_tile(const int16_t *rows, const int16_t *columns, int32_t depth, int32_t *sums)
{
    int32_t sum0;
    int32_t sum1;
    int32_t sum2;
    int32_t sum3;
    uint32_t end = (uint32_t)(uintptr_t)(rows + 2 * depth);
    TC_ASM_WITH_R9(
        ".syntax unified\n\t" /* GCC wraps assembly for Thumb-1 in the old syntax */
        "mov r12, %6\n\t"
        "movs %6, #0\n\t"
        "mov r8, %6\n\t"
        "mov r9, %6\n\t"
        "mov r10, %6\n\t"
        "mov r11, %6\n"
        "1:\n\t" TC_MATRIX_STEP
        "beq 2f\n\t" TC_MATRIX_STEP
        "bne 1b\n"
        "2:\n\t"
        "mov %2, r8\n\t"
        "mov %3, r9\n\t"
        "mov %4, r10\n\t"
        "mov %5, r11\n\t"
        : "+l"(rows), "+l"(columns), "=&l"(sum0), "=&l"(sum1), "=&l"(sum2), "=&l"(sum3), "+l"(end)
        :
        : "r8", "r9", "r10", "r11", "r12", "cc", "memory");
    sums[0] = sum0;
    sums[1] = sum1;
    sums[2] = sum2;
    sums[3] = sum3;
}

#else

static TC_NOINLINE void tc_matrix_tile(const int16_t *rows, const int16_t *columns, int32_t depth, int32_t *sums)
{
    int32_t sum0 = 0;
    int32_t sum1 = 0;
    int32_t sum2 = 0;
    int32_t sum3 = 0;
    const int16_t *const end = rows + 2 * depth;
#pragma GCC unroll 4
    while (rows != end) {
        const int32_t first = rows[0];
        const int32_t second = rows[1];
        const int32_t left = columns[0];
        const int32_t right = columns[1];
        sum0 += first * left;
        sum1 += first * right;
        sum2 += second * left;
        sum3 += second * right;
        rows += 2;
        columns += 2;
    }
    sums[0] = sum0;
    sums[1] = sum1;
    sums[2] = sum2;
    sums[3] = sum3;
}

#endif

TC_INLINE void tc_matrix_tiles_one(const int8_t *a, const int8_t *b, int8_t *output, int16_t *scratch,
                                   const tc_batch_matmul_shape *shape, const tc_matrix_tiles_requant *requant)
{
    const int32_t depth = shape->depth;
    int16_t *const lanes = scratch + 2 * depth;
    for (int32_t column = 0; column < shape->b.vectors; column += 2) {
        tc_matrix_widen(b, column, &shape->b, depth, lanes + column * depth);
    }
    for (int32_t row = 0; row < shape->a.vectors; row += 2) {
        tc_matrix_widen(a, row, &shape->a, depth, scratch);
        for (int32_t column = 0; column < shape->b.vectors; column += 2) {
            int32_t sums[4];
            tc_matrix_tile(scratch, lanes + column * depth, depth, sums);
            for (int32_t i = 0; i < 4; ++i) {
                if (row + i / 2 < shape->a.vectors && column + i % 2 < shape->b.vectors) {
                    const int32_t sum = tc_wrapping_add(tc_shift_left(sums[i], requant->pre), requant->start);
                    output[(row + i / 2) * shape->b.vectors + column + i % 2] =
                        tc_requantize_block(sum, requant->parameters, &requant->block);
                }
            }
        }
    }
}

TC_INLINE void tc_matrix_tiles_s8(const int8_t *a, const int8_t *b, int8_t *output, void *scratch,
                                  const tc_batch_matmul_shape *shape, const tc_matrix_tiles_requant *requant)
{
    for (int32_t i = 0; i < shape->batch[0]; ++i) {
        for (int32_t j = 0; j < shape->batch[1]; ++j) {
            for (int32_t k = 0; k < shape->batch[2]; ++k) {
                tc_matrix_tiles_one(a + tc_batch_matmul_place(&shape->a, i, j, k),
                                    b + tc_batch_matmul_place(&shape->b, i, j, k), output, (int16_t *)scratch,
                                    shape, requant);
                output += shape->a.vectors * shape->b.vectors;
            }
        }
    }
}

#ifdef __cplusplus
}
#endif

#endif
