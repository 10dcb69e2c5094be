/* SPDX-License-Identifier: 0BSD */
/*
 * Comparisons of two tensors that broadcast, and the logical operators: results are bytes, 0 or 1. See tc_pairs.h.
 *
 * 8-bit operands of different scales: for each value of the first one those of the second one for which the comparison
 * holds lie side by side, or for NOT_EQUAL those for which it doesn't. tc_compare_ranges looks up where.
 */
#ifndef TC_COMPARE_H
#define TC_COMPARE_H

#include <stdint.h>

#include "kernels/tc_inline.h"
#include "kernels/tc_pairs.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TC_COMPARISONS(type, suffix)                                                                                   \
    typedef uint8_t tc_compare_##suffix##_function(type a, type b);                                                    \
    TC_INLINE uint8_t tc_equal_##suffix(type a, type b)                                                                \
    {                                                                                                                  \
        return a == b;                                                                                                 \
    }                                                                                                                  \
    TC_INLINE uint8_t tc_not_equal_##suffix(type a, type b)                                                            \
    {                                                                                                                  \
        return a != b;                                                                                                 \
    }                                                                                                                  \
    TC_INLINE uint8_t tc_greater_##suffix(type a, type b)                                                              \
    {                                                                                                                  \
        return a > b;                                                                                                  \
    }                                                                                                                  \
    TC_INLINE uint8_t tc_greater_equal_##suffix(type a, type b)                                                        \
    {                                                                                                                  \
        return a >= b;                                                                                                 \
    }                                                                                                                  \
    TC_INLINE uint8_t tc_less_##suffix(type a, type b)                                                                 \
    {                                                                                                                  \
        return a < b;                                                                                                  \
    }                                                                                                                  \
    TC_INLINE uint8_t tc_less_equal_##suffix(type a, type b)                                                           \
    {                                                                                                                  \
        return a <= b;                                                                                                 \
    }                                                                                                                  \
    TC_PAIRS(tc_compare_##suffix, type, uint8_t, tc_compare_##suffix##_function)

TC_COMPARISONS(int8_t, s8)
TC_COMPARISONS(uint8_t, u8)
TC_COMPARISONS(int16_t, s16)
TC_COMPARISONS(int32_t, s32)
TC_COMPARISONS(int64_t, s64)
TC_COMPARISONS(float, f32)

#undef TC_COMPARISONS

TC_INLINE uint8_t tc_logical_and_u8(uint8_t a, uint8_t b)
{
    return a & b;
}

TC_INLINE uint8_t tc_logical_or_u8(uint8_t a, uint8_t b)
{
    return a | b;
}

/* Places in the order of values for which a comparison holds: from `first` on, `count` of them. */
typedef struct tc_range {
    int16_t first;
    int16_t count;
} tc_range;

typedef struct tc_compare_form {
    int32_t flip;   /* 128 for signed values: bytes with their first bit inverted are in the order of the values */
    int32_t invert; /* 1: it holds everywhere else */
} tc_compare_form;

TC_INLINE void tc_compare_ranges(const void *a, const void *b, uint8_t *output, const tc_range *ranges,
                                 const tc_compare_form *form, const tc_broadcast *shape)
{
    const int32_t count = shape->size[TC_BROADCAST_LOOPS - 1];
    const int32_t a_step = shape->a_stride[TC_BROADCAST_LOOPS - 1];
    const int32_t b_step = shape->b_stride[TC_BROADCAST_LOOPS - 1];
    TC_RUNS(shape->size)
    {
        const uint8_t *run_a = (const uint8_t *)a + TC_RUN_AT(shape->a_stride);
        const uint8_t *run_b = (const uint8_t *)b + TC_RUN_AT(shape->b_stride);
        for (int32_t i = 0; i < count; ++i) {
            const tc_range range = ranges[run_a[i * a_step]];
            const int32_t place = run_b[i * b_step] ^ form->flip;
            const uint32_t holds = (uint32_t)(place - range.first) < (uint32_t)range.count;
            *output++ = (uint8_t)(holds ^ (uint32_t)form->invert);
        }
    }
}

#ifdef __cplusplus
}
#endif

#endif
