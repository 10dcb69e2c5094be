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

/* All loops but the innermost; constant sizes of 1 leave nothing of theirs. */
#define TC_RUNS(size)                                                                                                  \
    for (int32_t i0 = 0; i0 < (size)[0]; ++i0)                                                                         \
        for (int32_t i1 = 0; i1 < (size)[1]; ++i1)                                                                     \
            for (int32_t i2 = 0; i2 < (size)[2]; ++i2)                                                                 \
                for (int32_t i3 = 0; i3 < (size)[3]; ++i3)                                                             \
                    for (int32_t i4 = 0; i4 < (size)[4]; ++i4)

/* Elements of an operand in front of the run, inside of TC_RUNS. */
#define TC_RUN_AT(stride)                                                                                              \
    (i0 * (stride)[0] + i1 * (stride)[1] + i2 * (stride)[2] + i3 * (stride)[3] + i4 * (stride)[4])

/* Defines name(a, b, output, how, shape) for elements of some types: `element` is an expression of x and y. */
#define TC_PAIRS_OF(name, first, second, result, how, element)                                                         \
    TC_INLINE void name(const first *a, const second *b, result *output, how, const tc_broadcast *shape)               \
    {                                                                                                                  \
        const int32_t count = shape->size[TC_BROADCAST_LOOPS - 1];                                                     \
        const int32_t a_step = shape->a_stride[TC_BROADCAST_LOOPS - 1];                                                \
        const int32_t b_step = shape->b_stride[TC_BROADCAST_LOOPS - 1];                                                \
        TC_RUNS(shape->size)                                                                                           \
        {                                                                                                              \
            const first *run_a = a + TC_RUN_AT(shape->a_stride);                                                       \
            const second *run_b = b + TC_RUN_AT(shape->b_stride);                                                      \
            for (int32_t i = 0; i < count; ++i) {                                                                      \
                const first x = run_a[i * a_step];                                                                     \
                const second y = run_b[i * b_step];                                                                    \
                *output++ = (result)(element);                                                                         \
            }                                                                                                          \
        }                                                                                                              \
    }

/* Defines name(a, b, output, function, shape) for two operands of a type. */
#define TC_PAIRS(name, operand, result, function_type)                                                                 \
    TC_PAIRS_OF(name, operand, operand, result, function_type *function, function(x, y))

#ifdef __cplusplus
}
#endif

#endif
