/* SPDX-License-Identifier: 0BSD */
/*
 * The loops around a function of two elements, of any types, whose tensors broadcast as in NumPy.
 *
 * Shapes are those of tc_broadcast.h: six loops, the last innermost, strides in elements, 0 where an operand repeats.
 * Elements are read and written in the output's memory order, each operand's before the output's.
 */
#ifndef TC_PAIRS_H
#define TC_PAIRS_H

#include <stdint.h>

#include "kernels/tc_broadcast.h"
#include "kernels/tc_inline.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Elements of an operand where the loops but the innermost are at some place. */
TC_INLINE int32_t tc_pairs_offset(const int32_t *at, const int32_t *stride)
{
    int32_t offset = 0;
    for (int32_t axis = 0; axis < TC_BROADCAST_LOOPS - 1; ++axis) {
        offset += at[axis] * stride[axis];
    }
    return offset;
}

/* The next place of all loops but the innermost; 0 behind the last one. */
TC_INLINE int32_t tc_pairs_next(int32_t *at, const int32_t *size)
{
    for (int32_t axis = TC_BROADCAST_LOOPS - 2; axis >= 0; --axis) {
        if (++at[axis] < size[axis]) {
            return 1;
        }
        at[axis] = 0;
    }
    return 0;
}

/* Defines name(a, b, output, function, shape) for operands and results of some types. */
#define TC_PAIRS(name, operand, result, function_type)                                                                \
    TC_INLINE void name(const operand *a, const operand *b, result *output, function_type *function,                   \
                        const tc_broadcast *shape)                                                                     \
    {                                                                                                                  \
        const int32_t count = shape->size[TC_BROADCAST_LOOPS - 1];                                                     \
        const int32_t a_step = shape->a_stride[TC_BROADCAST_LOOPS - 1];                                                \
        const int32_t b_step = shape->b_stride[TC_BROADCAST_LOOPS - 1];                                                \
        int32_t at[TC_BROADCAST_LOOPS - 1] = {0, 0, 0, 0, 0};                                                          \
        do {                                                                                                           \
            const operand *run_a = a + tc_pairs_offset(at, shape->a_stride);                                           \
            const operand *run_b = b + tc_pairs_offset(at, shape->b_stride);                                           \
            for (int32_t i = 0; i < count; ++i) {                                                                      \
                output[i] = function(run_a[i * a_step], run_b[i * b_step]);                                            \
            }                                                                                                          \
            output += count;                                                                                           \
        } while (tc_pairs_next(at, shape->size));                                                                      \
    }

#ifdef __cplusplus
}
#endif

#endif
