/* SPDX-License-Identifier: 0BSD */
/*
 * Elements of one tensor or of another, as a condition says; all three broadcast as in NumPy.
 *
 * Six nested loops, the last innermost, unused ones of size 1; strides in elements, 0 where an operand repeats; in the
 * innermost loop strides are 0 or 1. Elements are read and written in the output's memory order, of bytes four at a time.
 */
#ifndef TC_SELECT_H
#define TC_SELECT_H

#include <stdint.h>

#include "kernels/tc_broadcast.h"
#include "kernels/tc_bytes.h"
#include "kernels/tc_inline.h"
#include "kernels/tc_pairs.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tc_select_shape {
    int32_t size[TC_BROADCAST_LOOPS];
    int32_t condition_stride[TC_BROADCAST_LOOPS];
    int32_t a_stride[TC_BROADCAST_LOOPS];
    int32_t b_stride[TC_BROADCAST_LOOPS];
} tc_select_shape;

/* Defines the loops around a function that makes a run of outputs. */
#define TC_SELECT(name, type, run)                                                                                     \
    TC_INLINE void name(const uint8_t *condition, const type *a, const type *b, type *output,                          \
                        const tc_select_shape *shape)                                                                  \
    {                                                                                                                  \
        enum { last = TC_BROADCAST_LOOPS - 1 };                                                                        \
        TC_RUNS(shape->size)                                                                                           \
        {                                                                                                              \
            run(condition + TC_RUN_AT(shape->condition_stride), shape->condition_stride[last],                         \
                a + TC_RUN_AT(shape->a_stride), shape->a_stride[last], b + TC_RUN_AT(shape->b_stride),                 \
                shape->b_stride[last], output, shape->size[last]);                                                     \
            output += shape->size[last];                                                                               \
        }                                                                                                              \
    }

#define TC_SELECT_RUN(name, type)                                                                                      \
    TC_INLINE void name(const uint8_t *condition, int32_t step, const type *a, int32_t a_step, const type *b,          \
                        int32_t b_step, type *output, int32_t count)                                                   \
    {                                                                                                                  \
        for (int32_t i = 0; i < count; ++i) {                                                                          \
            output[i] = condition[i * step] != 0u ? a[i * a_step] : b[i * b_step];                                     \
        }                                                                                                              \
    }

TC_SELECT_RUN(tc_select_run_s16, int16_t)
TC_SELECT_RUN(tc_select_run_s32, int32_t)
TC_SELECT_RUN(tc_select_run_s64, int64_t)
TC_SELECT_RUN(tc_select_run_f32, float)

#undef TC_SELECT_RUN

/* A condition's byte is 0 or 1: times 255 it is a mask. */
TC_INLINE void tc_select_run_s8(const uint8_t *condition, int32_t step, const int8_t *a, int32_t a_step,
                                const int8_t *b, int32_t b_step, int8_t *output, int32_t count)
{
    int32_t i = 0;
    for (; i <= count - 4; i += 4) {
        const uint32_t mask = tc_load4_step((const int8_t *)condition + i * step, step) * 255u;
        const uint32_t word_a = tc_load4_step(a + i * a_step, a_step);
        const uint32_t word_b = tc_load4_step(b + i * b_step, b_step);
        tc_store4(output + i, (word_a & mask) | (word_b & ~mask));
    }
    for (; i < count; ++i) {
        output[i] = condition[i * step] != 0u ? a[i * a_step] : b[i * b_step];
    }
}

TC_SELECT(tc_select_s8, int8_t, tc_select_run_s8)
TC_SELECT(tc_select_s16, int16_t, tc_select_run_s16)
TC_SELECT(tc_select_s32, int32_t, tc_select_run_s32)
TC_SELECT(tc_select_s64, int64_t, tc_select_run_s64)
TC_SELECT(tc_select_f32, float, tc_select_run_f32)

#undef TC_SELECT

#ifdef __cplusplus
}
#endif

#endif
