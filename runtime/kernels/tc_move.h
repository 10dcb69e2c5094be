/* SPDX-License-Identifier: 0BSD */
/*
 * Elements in another order: loops around a run of bytes that stay together.
 *
 * The output is written in memory order, one run after the other, each copied upwards: it may share memory with the
 * input where no run lies below its target and no later one is overwritten before it is copied.
 */
#ifndef TC_MOVE_H
#define TC_MOVE_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "kernels/tc_copy.h"
#include "kernels/tc_inline.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TC_MOVE_LOOPS 6

/* Loops over the output, outermost first, unused ones of size 1. All distances are bytes of the input. */
typedef struct tc_move_shape {
    int32_t size[TC_MOVE_LOOPS];
    int32_t stride[TC_MOVE_LOOPS]; /* negative where the order is reversed, 0 where the same is repeated */
    int32_t table[TC_MOVE_LOOPS];  /* where in `places` the places of a loop begin that aren't regular; else -1 */
    int32_t first;                 /* place of the first run */
    int32_t run;                   /* bytes that stay together */
} tc_move_shape;

/* How far turn i of a loop lies from turn 0. */
TC_INLINE int32_t tc_move_place(int32_t i, int32_t loop, const int32_t *places, const tc_move_shape *shape)
{
    return shape->table[loop] < 0 ? i * shape->stride[loop] : places[shape->table[loop] + i];
}

/* The innermost loop; returns the end of the output. */
TC_INLINE int8_t *tc_move_runs(const int8_t *input, int8_t *output, const int32_t *places, const tc_move_shape *shape)
{
    const int32_t loop = TC_MOVE_LOOPS - 1;
    const int32_t size = shape->size[loop];
    if (shape->run == 1 && shape->table[loop] < 0 && shape->stride[loop] == 0) {
        memset(output, *input, (size_t)size);
        return output + size;
    }
    for (int32_t i = 0; i < size; ++i) {
        tc_copy_down(output, input + tc_move_place(i, loop, places, shape), shape->run);
        output += shape->run;
    }
    return output;
}

TC_INLINE int8_t *tc_move_inner(const int8_t *input, int8_t *output, const int32_t *places, const tc_move_shape *shape)
{
    for (int32_t i = 0; i < shape->size[3]; ++i) {
        const int8_t *from = input + tc_move_place(i, 3, places, shape);
        for (int32_t j = 0; j < shape->size[4]; ++j) {
            output = tc_move_runs(from + tc_move_place(j, 4, places, shape), output, places, shape);
        }
    }
    return output;
}

/* `places` may be null where no loop has a table. */
TC_INLINE void tc_move(const void *input, void *output, const int32_t *places, const tc_move_shape *shape)
{
    int8_t *to = (int8_t *)output;
    for (int32_t i = 0; i < shape->size[0]; ++i) {
        const int8_t *outer = (const int8_t *)input + shape->first + tc_move_place(i, 0, places, shape);
        for (int32_t j = 0; j < shape->size[1]; ++j) {
            const int8_t *from = outer + tc_move_place(j, 1, places, shape);
            for (int32_t k = 0; k < shape->size[2]; ++k) {
                to = tc_move_inner(from + tc_move_place(k, 2, places, shape), to, places, shape);
            }
        }
    }
}

#ifdef __cplusplus
}
#endif

#endif
