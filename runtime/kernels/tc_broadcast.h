/* SPDX-License-Identifier: 0BSD */
/*
 * The loops around an operator with two operands that broadcast as in NumPy.
 *
 * Six nested loops, the last innermost, unused ones of size 1. Where an operand is repeated its stride is 0; in the
 * innermost loop an operand's stride is 0 or 1. The output is written in memory order.
 */
#ifndef TC_BROADCAST_H
#define TC_BROADCAST_H

#include <stdint.h>

#include "kernels/tc_bytes.h"
#include "kernels/tc_inline.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TC_BROADCAST_LOOPS 6

typedef struct tc_broadcast {
    int32_t size[TC_BROADCAST_LOOPS];
    int32_t a_stride[TC_BROADCAST_LOOPS];
    int32_t b_stride[TC_BROADCAST_LOOPS];
} tc_broadcast;

/* `count` outputs from operands that advance by their step, 0 or 1; `form` holds the operator's parameters. */
typedef void tc_binary_run(const int8_t *a, int32_t a_step, const int8_t *b, int32_t b_step, int8_t *output,
                           int32_t count, const void *form);

/* The inner loops; returns the end of the output. */
TC_INLINE int8_t *tc_broadcast_inner(const int8_t *a, const int8_t *b, int8_t *output, const tc_broadcast *shape,
                                     tc_binary_run *run, const void *form)
{
    const int32_t count = shape->size[5];
    for (int32_t i = 0; i < shape->size[3]; ++i) {
        for (int32_t j = 0; j < shape->size[4]; ++j) {
            const int8_t *run_a = a + i * shape->a_stride[3] + j * shape->a_stride[4];
            const int8_t *run_b = b + i * shape->b_stride[3] + j * shape->b_stride[4];
            run(run_a, shape->a_stride[5], run_b, shape->b_stride[5], output, count, form);
            output += count;
        }
    }
    return output;
}

TC_INLINE void tc_broadcast_s8(const int8_t *a, const int8_t *b, int8_t *output, const tc_broadcast *shape,
                               tc_binary_run *run, const void *form)
{
    for (int32_t i = 0; i < shape->size[0]; ++i) {
        for (int32_t j = 0; j < shape->size[1]; ++j) {
            for (int32_t k = 0; k < shape->size[2]; ++k) {
                const int32_t at_a = i * shape->a_stride[0] + j * shape->a_stride[1] + k * shape->a_stride[2];
                const int32_t at_b = i * shape->b_stride[0] + j * shape->b_stride[1] + k * shape->b_stride[2];
                output = tc_broadcast_inner(a + at_a, b + at_b, output, shape, run, form);
            }
        }
    }
}

/* The next four values of an operand. */
TC_INLINE uint32_t tc_load4_step(const int8_t *operand, int32_t step)
{
    return step == 0 ? tc_splat4(*operand) : tc_load4(operand);
}

#ifdef __cplusplus
}
#endif

#endif
