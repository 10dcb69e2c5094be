/* SPDX-License-Identifier: 0BSD */
/*
 * Where the largest or smallest elements are, and running sums: along one axis of a tensor [outer][size][inner].
 */
#ifndef TC_SEARCH_H
#define TC_SEARCH_H

#include <math.h>
#include <stdint.h>

#include "kernels/tc_float_exact.h"
#include "kernels/tc_inline.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tc_axis {
    int32_t outer;
    int32_t size;
    int32_t inner;
} tc_axis;

#define TC_MORE(a, b) ((a) > (b))
#define TC_LESS(a, b) ((a) < (b))

/* a > b; by their bits where the core has no FPU, which takes a third of the compiler's function. */
TC_INLINE int tc_float_more(float a, float b)
{
#if TC_FLOAT_UNIT
    return a > b;
#else
    const uint32_t x = tc_float_bits(a);
    const uint32_t y = tc_float_bits(b);
    if ((x << 1) > 0xFF000000u || (y << 1) > 0xFF000000u || ((x | y) << 1) == 0u) {
        return 0; /* NaN, or two zeros */
    }
    return (x >> 31) != 0u ? (y >> 31) != 0u && x < y : (y >> 31) != 0u || x > y;
#endif
}

#define TC_FLOAT_LESS(a, b) tc_float_more(b, a)

/*
 * Defines void name(const element *input, index *output, const tc_axis *axis): the first position whose value no other
 * one is `better` than. `worst` is no better than any; so NaN, which isn't better than anything, is never found.
 */
#define TC_ARG(name, element, index, worst, better)                                                                    \
    TC_INLINE void name(const element *input, index *output, const tc_axis *axis)                                      \
    {                                                                                                                  \
        for (int32_t i = 0; i < axis->outer; ++i) {                                                                    \
            for (int32_t j = 0; j < axis->inner; ++j) {                                                                \
                const element *next = input + i * axis->size * axis->inner + j;                                        \
                element best = (element)(worst);                                                                       \
                int32_t found = 0;                                                                                     \
                for (int32_t at = 0; at < axis->size; ++at) {                                                          \
                    if (better(*next, best)) {                                                                         \
                        best = *next;                                                                                  \
                        found = at;                                                                                    \
                    }                                                                                                  \
                    next += axis->inner;                                                                               \
                }                                                                                                      \
                *output++ = found;                                                                                     \
            }                                                                                                          \
        }                                                                                                              \
    }

#define TC_ARG_OF(type, element, lowest, highest, more, less)                                                          \
    TC_ARG(tc_arg_max_##type##_int32, element, int32_t, lowest, more)                                                  \
    TC_ARG(tc_arg_max_##type##_int64, element, int64_t, lowest, more)                                                  \
    TC_ARG(tc_arg_min_##type##_int32, element, int32_t, highest, less)                                                 \
    TC_ARG(tc_arg_min_##type##_int64, element, int64_t, highest, less)

TC_ARG_OF(int8, int8_t, INT8_MIN, INT8_MAX, TC_MORE, TC_LESS)
TC_ARG_OF(uint8, uint8_t, 0, UINT8_MAX, TC_MORE, TC_LESS)
TC_ARG_OF(bool, uint8_t, 0, UINT8_MAX, TC_MORE, TC_LESS)
TC_ARG_OF(int32, int32_t, INT32_MIN, INT32_MAX, TC_MORE, TC_LESS)
TC_ARG_OF(float32, float, -INFINITY, INFINITY, tc_float_more, TC_FLOAT_LESS)

/*
 * Defines int32_t name(const float *input, int32_t size): of one row, without a loop and without conditional moves, which
 * take more than branches that are hardly ever taken: a value is the best one up to its place log(size) times.
 */
#define TC_ARG_UNROLLED(name, worst, better)                                                                           \
    TC_INLINE int32_t name(const float *input, int32_t size)                                                           \
    {                                                                                                                  \
        float best = (worst);                                                                                          \
        int32_t found = 0;                                                                                             \
        TC_UNROLL_32                                                                                                   \
        for (int32_t at = 0; at < size; ++at) {                                                                        \
            if (better(input[at], best)) {                                                                             \
                best = tc_opaque(input[at]);                                                                           \
                found = at;                                                                                            \
            }                                                                                                          \
        }                                                                                                              \
        return found;                                                                                                  \
    }

#if defined(__GNUC__)
#define TC_UNROLL_32 _Pragma("GCC unroll 32")
#else
#define TC_UNROLL_32
#endif

TC_ARG_UNROLLED(tc_arg_max_unrolled, -INFINITY, tc_float_more)
TC_ARG_UNROLLED(tc_arg_min_unrolled, INFINITY, TC_FLOAT_LESS)

#undef TC_ARG_UNROLLED
#undef TC_UNROLL_32

typedef struct tc_top_k_shape {
    int32_t rows;
    int32_t depth;
    int32_t k;
} tc_top_k_shape;

/*
 * Defines void name(const element *input, element *values, index *positions, const tc_top_k_shape *shape): the k first
 * elements of each row, sorted by `before(a, b)`, which is false of equals: the first of them stays first.
 */
#define TC_TOP_K(name, element, index, before)                                                                         \
    TC_INLINE void name(const element *input, element *values, index *positions, const tc_top_k_shape *shape)          \
    {                                                                                                                  \
        for (int32_t row = 0; row < shape->rows; ++row) {                                                              \
            int32_t count = 0;                                                                                         \
            for (int32_t i = 0; i < shape->depth; ++i) {                                                               \
                const element value = input[i];                                                                        \
                int32_t at = count;                                                                                    \
                if (count < shape->k) {                                                                                \
                    ++count;                                                                                           \
                } else if (before(value, values[count - 1])) {                                                         \
                    at = count - 1;                                                                                    \
                } else {                                                                                               \
                    continue;                                                                                          \
                }                                                                                                      \
                for (; at > 0 && before(value, values[at - 1]); --at) {                                                \
                    values[at] = values[at - 1];                                                                       \
                    positions[at] = positions[at - 1];                                                                 \
                }                                                                                                      \
                values[at] = value;                                                                                    \
                positions[at] = (index)i;                                                                              \
            }                                                                                                          \
            input += shape->depth;                                                                                     \
            values += shape->k;                                                                                        \
            positions += shape->k;                                                                                     \
        }                                                                                                              \
    }

#define TC_LARGER(a, b) ((a) > (b))
/* NaN comes last: a number goes before it, and it goes before nothing. */
#define TC_LARGER_FLOAT(a, b) (!((a) <= (b)) && (a) == (a))

#define TC_TOP_K_OF(type, element, before)                                                                             \
    TC_TOP_K(tc_top_k_##type##_int32, element, int32_t, before)                                                        \
    TC_TOP_K(tc_top_k_##type##_int16, element, int16_t, before)

TC_TOP_K_OF(int8, int8_t, TC_LARGER)
TC_TOP_K_OF(uint8, uint8_t, TC_LARGER)
TC_TOP_K_OF(int16, int16_t, TC_LARGER)
TC_TOP_K_OF(uint16, uint16_t, TC_LARGER)
TC_TOP_K_OF(int32, int32_t, TC_LARGER)
TC_TOP_K_OF(uint32, uint32_t, TC_LARGER)
TC_TOP_K_OF(int64, int64_t, TC_LARGER)
TC_TOP_K_OF(uint64, uint64_t, TC_LARGER)
TC_TOP_K_OF(float32, float, TC_LARGER_FLOAT)

typedef struct tc_cumulative_sum_shape {
    tc_axis axis;
    int32_t exclusive;
    int32_t reverse;
} tc_cumulative_sum_shape;

/*
 * Defines a running sum or product along the axis; the output may be the input. `step_of` is of `total` and `value`, and
 * `start` what there is before them.
 */
#define TC_CUMULATIVE(name, element, start, step_of)                                                                   \
    TC_INLINE void name(const element *input, element *output, const tc_cumulative_sum_shape *shape)                   \
    {                                                                                                                  \
        const tc_axis *axis = &shape->axis;                                                                            \
        const int32_t step = shape->reverse ? -axis->inner : axis->inner;                                              \
        for (int32_t i = 0; i < axis->outer; ++i) {                                                                    \
            for (int32_t j = 0; j < axis->inner; ++j) {                                                                \
                int32_t at = i * axis->size * axis->inner + j;                                                         \
                at += shape->reverse ? (axis->size - 1) * axis->inner : 0;                                             \
                element total = start;                                                                                 \
                for (int32_t k = 0; k < axis->size; ++k) {                                                             \
                    const element value = input[at];                                                                   \
                    const element next = step_of;                                                                      \
                    output[at] = shape->exclusive ? total : next;                                                      \
                    total = next;                                                                                      \
                    at += step;                                                                                        \
                }                                                                                                      \
            }                                                                                                          \
        }                                                                                                              \
    }

TC_CUMULATIVE(tc_cumulative_sum_int32, int32_t, 0, (int32_t)((uint32_t)total + (uint32_t)value))
TC_CUMULATIVE(tc_cumulative_sum_int64, int64_t, 0, (int64_t)((uint64_t)total + (uint64_t)value))
TC_CUMULATIVE(tc_cumulative_sum_float32, float, 0.0f, tc_opaque(total + value))
TC_CUMULATIVE(tc_cumulative_product_int32, int32_t, 1, (int32_t)((uint32_t)total * (uint32_t)value))
TC_CUMULATIVE(tc_cumulative_product_int64, int64_t, 1, (int64_t)((uint64_t)total * (uint64_t)value))
TC_CUMULATIVE(tc_cumulative_product_float32, float, 1.0f, tc_opaque(total * value))

#ifdef __cplusplus
}
#endif

#endif
