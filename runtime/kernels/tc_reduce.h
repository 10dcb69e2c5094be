/* SPDX-License-Identifier: 0BSD */
/*
 * Reductions over any axes that keep the element type: extremes, sums and products.
 *
 * The input is addressed by three loops over kept axes, each with its stride in elements, and an innermost run of `inner`
 * kept elements; for each of those, three loops over reduced axes. Unused loops have size 1.
 * output  [kept_size[0]][kept_size[1]][kept_size[2]][inner]
 *
 * Results are computed in memory order; what a result, or a group of adjacent ones, depends on is read before it is
 * written.
 */
#ifndef TC_REDUCE_H
#define TC_REDUCE_H

#include <stdint.h>

#include "kernels/tc_bytes.h"
#include "kernels/tc_float_exact.h"
#include "kernels/tc_inline.h"
#include "kernels/tc_requant.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tc_reduce_loops {
    int32_t kept_size[3];
    int32_t kept_stride[3];
    int32_t inner;
    int32_t reduced_size[3];
    int32_t reduced_stride[3];
} tc_reduce_loops;

/* Which of two elements stays: of four pairs at a time (tc_max4, tc_min4), and of one (tc_max, tc_min). */
typedef uint32_t tc_pick4(uint32_t a, uint32_t b);
typedef int32_t tc_pick(int32_t a, int32_t b);

/* What stays of a run of adjacent elements and of `start`. */
TC_INLINE int32_t tc_extreme_of_run(const int8_t *run, int32_t count, int32_t start, tc_pick4 *pick4, tc_pick *pick)
{
    int32_t i = 0;
    if (count >= 4) {
        uint32_t four = tc_load4(run);
        for (i = 4; i + 8 <= count; i += 8) {
            four = pick4(four, tc_load4(run + i));
            four = pick4(four, tc_load4(run + i + 4));
        }
        if (i + 4 <= count) {
            four = pick4(four, tc_load4(run + i));
            i += 4;
        }
        four = pick4(four, four >> 16);
        four = pick4(four, four >> 8);
        start = pick(start, (int8_t)(uint8_t)four);
    }
    for (; i < count; ++i) {
        start = pick(start, run[i]);
    }
    return start;
}

/* One result. */
TC_INLINE int32_t tc_extreme(const int8_t *input, tc_pick4 *pick4, tc_pick *pick, const tc_reduce_loops *loops)
{
    const int32_t *size = loops->reduced_size;
    const int32_t *stride = loops->reduced_stride;
    int32_t result = *input;
    for (int32_t i = 0; i < size[0]; ++i) {
        for (int32_t j = 0; j < size[1]; ++j) {
            const int8_t *next = input + i * stride[0] + j * stride[1];
            if (stride[2] == 1) {
                result = tc_extreme_of_run(next, size[2], result, pick4, pick);
                continue;
            }
            for (int32_t k = 0; k < size[2]; ++k) {
                result = pick(result, *next);
                next += stride[2];
            }
        }
    }
    return result;
}

/* Eight or four adjacent results; one loop serves two words. */
TC_INLINE void tc_extremes(const int8_t *input, int8_t *output, int32_t words, tc_pick4 *pick4,
                           const tc_reduce_loops *loops)
{
    const int32_t *size = loops->reduced_size;
    const int32_t *stride = loops->reduced_stride;
    uint32_t first = tc_load4(input);
    uint32_t second = words > 1 ? tc_load4(input + 4) : 0;
    for (int32_t i = 0; i < size[0]; ++i) {
        for (int32_t j = 0; j < size[1]; ++j) {
            const int8_t *next = input + i * stride[0] + j * stride[1];
            for (int32_t k = 0; k < size[2]; ++k) {
                first = pick4(first, tc_load4(next));
                if (words > 1) {
                    second = pick4(second, tc_load4(next + 4));
                }
                next += stride[2];
            }
        }
    }
    tc_store4(output, first);
    if (words > 1) {
        tc_store4(output + 4, second);
    }
}

/* Maximum or minimum of int8; of bools, which are 0 or 1, whether any or all are true. */
TC_INLINE void tc_reduce_extreme_s8(const void *input, void *output, tc_pick4 *pick4, tc_pick *pick,
                                    const tc_reduce_loops *loops)
{
    const int32_t *size = loops->kept_size;
    const int32_t *stride = loops->kept_stride;
    const int32_t eights = loops->inner / 8 * 8;
    const int32_t fours = loops->inner / 4 * 4;
    int8_t *result = (int8_t *)output;
    for (int32_t i = 0; i < size[0]; ++i) {
        for (int32_t j = 0; j < size[1]; ++j) {
            for (int32_t k = 0; k < size[2]; ++k) {
                const int8_t *next = (const int8_t *)input + i * stride[0] + j * stride[1] + k * stride[2];
                for (int32_t at = 0; at < eights; at += 8) {
                    tc_extremes(next + at, result + at, 2, pick4, loops);
                }
                if (eights < fours) {
                    tc_extremes(next + eights, result + eights, 1, pick4, loops);
                }
                for (int32_t at = fours; at < loops->inner; ++at) {
                    result[at] = (int8_t)tc_extreme(next + at, pick4, pick, loops);
                }
                result += loops->inner;
            }
        }
    }
}

/* Defines void name(input, output, loops), which computes each result by name_of. */
#define TC_EACH_RESULT(name, element)                                                                                  \
    TC_INLINE void name(const element *input, element *output, const tc_reduce_loops *loops)                           \
    {                                                                                                                  \
        const int32_t *size = loops->kept_size;                                                                        \
        const int32_t *stride = loops->kept_stride;                                                                    \
        for (int32_t i = 0; i < size[0]; ++i) {                                                                        \
            for (int32_t j = 0; j < size[1]; ++j) {                                                                    \
                for (int32_t k = 0; k < size[2]; ++k) {                                                                \
                    for (int32_t at = 0; at < loops->inner; ++at) {                                                    \
                        *output++ = name##_of(input + i * stride[0] + j * stride[1] + k * stride[2] + at, loops);      \
                    }                                                                                                  \
                }                                                                                                      \
            }                                                                                                          \
        }                                                                                                              \
    }

/*
 * Defines void name(const element *input, element *output, const tc_reduce_loops *loops), where `expression` makes the
 * next `total` of `total` and `value`; the first total is the first value.
 */
#define TC_REDUCTION(name, element, expression)                                                                        \
    TC_INLINE element name##_of(const element *input, const tc_reduce_loops *loops)                                    \
    {                                                                                                                  \
        const int32_t *size = loops->reduced_size;                                                                     \
        const int32_t *stride = loops->reduced_stride;                                                                 \
        element total = *input;                                                                                        \
        for (int32_t i = 0; i < size[0]; ++i) {                                                                        \
            for (int32_t j = 0; j < size[1]; ++j) {                                                                    \
                for (int32_t k = i + j == 0 ? 1 : 0; k < size[2]; ++k) {                                               \
                    const element value = input[i * stride[0] + j * stride[1] + k * stride[2]];                        \
                    total = expression;                                                                                \
                }                                                                                                      \
            }                                                                                                          \
        }                                                                                                              \
        return total;                                                                                                  \
    }                                                                                                                  \
    TC_EACH_RESULT(name, element)

TC_REDUCTION(tc_reduce_max_uint8, uint8_t, (total > value ? total : value))
TC_REDUCTION(tc_reduce_min_uint8, uint8_t, (total < value ? total : value))
TC_REDUCTION(tc_reduce_max_int16, int16_t, (total > value ? total : value))
TC_REDUCTION(tc_reduce_min_int16, int16_t, (total < value ? total : value))
TC_REDUCTION(tc_reduce_max_int32, int32_t, (total > value ? total : value))
TC_REDUCTION(tc_reduce_min_int32, int32_t, (total < value ? total : value))
TC_REDUCTION(tc_reduce_max_int64, int64_t, (total > value ? total : value))
TC_REDUCTION(tc_reduce_min_int64, int64_t, (total < value ? total : value))
/* Sums and products wrap, which C promises of unsigned numbers only. */
TC_REDUCTION(tc_reduce_sum_int32, int32_t, ((int32_t)((uint32_t)total + (uint32_t)value)))
TC_REDUCTION(tc_reduce_sum_int64, int64_t, ((int64_t)((uint64_t)total + (uint64_t)value)))
TC_REDUCTION(tc_reduce_prod_int32, int32_t, ((int32_t)((uint32_t)total * (uint32_t)value)))
TC_REDUCTION(tc_reduce_prod_int64, int64_t, ((int64_t)((uint64_t)total * (uint64_t)value)))

/* Defines a mean, which is rounded towards zero. */
#define TC_INTEGER_MEAN(name, element)                                                                                 \
    TC_INLINE element name##_of(const element *input, const tc_reduce_loops *loops)                                    \
    {                                                                                                                  \
        const int32_t *size = loops->reduced_size;                                                                     \
        const int32_t *stride = loops->reduced_stride;                                                                 \
        uint64_t total = 0;                                                                                            \
        for (int32_t i = 0; i < size[0]; ++i) {                                                                        \
            for (int32_t j = 0; j < size[1]; ++j) {                                                                    \
                for (int32_t k = 0; k < size[2]; ++k) {                                                                \
                    total += (uint64_t)input[i * stride[0] + j * stride[1] + k * stride[2]];                           \
                }                                                                                                      \
            }                                                                                                          \
        }                                                                                                              \
        return (element)((int64_t)total / (size[0] * size[1] * size[2]));                                              \
    }                                                                                                                  \
    TC_EACH_RESULT(name, element)

TC_INTEGER_MEAN(tc_mean_int32, int32_t)
TC_INTEGER_MEAN(tc_mean_int64, int64_t)

typedef struct tc_reduce_prod_shape {
    tc_reduce_loops loops;
    int32_t input_zero_point;
    int32_t multiplier; /* of 15 bits: between one product and the next */
    int32_t right;      /* with a shift to the right */
    tc_output_range range;
} tc_reduce_prod_shape;

/* MultiplyByQuantizedMultiplier of 64 bits, from LiteRT's common.h, of a product that has the multiplier in it. */
TC_INLINE int32_t tc_reduce_prod_scaled(int64_t product, const tc_reduce_prod_shape *shape)
{
    const int64_t half = (int64_t)1 << (shape->right - 1);
    return (int32_t)(uint32_t)(uint64_t)((product + half) >> shape->right);
}

/* Defines products of int8 or int16, rounded after every factor: tflite::reference_ops::QuantizedReduceProd. */
#define TC_QUANTIZED_PRODUCT(name, element)                                                                            \
    TC_INLINE element name##_of(const element *input, const tc_reduce_prod_shape *shape)                               \
    {                                                                                                                  \
        const int32_t *size = shape->loops.reduced_size;                                                               \
        const int32_t *stride = shape->loops.reduced_stride;                                                           \
        const int32_t zero_point = shape->input_zero_point;                                                            \
        /* A factor times the multiplier has 32 bits. */                                                               \
        const int32_t narrow = sizeof(element) == 1u || zero_point == 0;                                               \
        int32_t total = *input - zero_point;                                                                           \
        for (int32_t i = 0; i < size[0]; ++i) {                                                                        \
            for (int32_t j = 0; j < size[1]; ++j) {                                                                    \
                const element *next = input + i * stride[0] + j * stride[1];                                           \
                for (int32_t k = i + j == 0 ? 1 : 0; k < size[2]; ++k) {                                               \
                    const int32_t value = next[k * stride[2]] - zero_point;                                            \
                    total = tc_reduce_prod_scaled(narrow ? (int64_t)total * (value * shape->multiplier)                \
                                                         : (int64_t)total * value * shape->multiplier,                 \
                                                  shape);                                                              \
                }                                                                                                      \
            }                                                                                                          \
        }                                                                                                              \
        const tc_output_range *range = &shape->range;                                                                  \
        const int64_t scaled = tc_reduce_prod_scaled((int64_t)total * shape->multiplier, shape);                       \
        const int64_t result = scaled + range->zero_point;                                                             \
        return (element)(result < range->low ? range->low : result > range->high ? range->high : result);              \
    }                                                                                                                  \
    TC_INLINE void name(const element *input, element *output, const tc_reduce_prod_shape *shape)                      \
    {                                                                                                                  \
        const int32_t *size = shape->loops.kept_size;                                                                  \
        const int32_t *stride = shape->loops.kept_stride;                                                              \
        for (int32_t i = 0; i < size[0]; ++i) {                                                                        \
            for (int32_t j = 0; j < size[1]; ++j) {                                                                    \
                for (int32_t k = 0; k < size[2]; ++k) {                                                                \
                    for (int32_t at = 0; at < shape->loops.inner; ++at) {                                              \
                        *output++ = name##_of(input + i * stride[0] + j * stride[1] + k * stride[2] + at, shape);      \
                    }                                                                                                  \
                }                                                                                                      \
            }                                                                                                          \
        }                                                                                                              \
    }

TC_QUANTIZED_PRODUCT(tc_reduce_prod_s8, int8_t)
TC_QUANTIZED_PRODUCT(tc_reduce_prod_s16, int16_t)

typedef struct tc_wide_sum_shape {
    tc_reduce_loops loops;
    float factor;
} tc_wide_sum_shape;

TC_INLINE int32_t tc_wide_total_of(const int16_t *input, const tc_reduce_loops *loops)
{
    const int32_t *size = loops->reduced_size;
    const int32_t *stride = loops->reduced_stride;
    int32_t total = 0;
    for (int32_t i = 0; i < size[0]; ++i) {
        for (int32_t j = 0; j < size[1]; ++j) {
            for (int32_t k = 0; k < size[2]; ++k) {
                total += input[i * stride[0] + j * stride[1] + k * stride[2]];
            }
        }
    }
    return total;
}

/* Sums of int16, fewer than 65,536, with a factor in float32; halves are rounded away from zero. */
TC_INLINE void tc_wide_reduce_sum(const int16_t *input, int16_t *output, const tc_wide_sum_shape *shape)
{
    const int32_t *size = shape->loops.kept_size;
    const int32_t *stride = shape->loops.kept_stride;
    for (int32_t i = 0; i < size[0]; ++i) {
        for (int32_t j = 0; j < size[1]; ++j) {
            for (int32_t k = 0; k < size[2]; ++k) {
                for (int32_t at = 0; at < shape->loops.inner; ++at) {
                    const int16_t *next = input + i * stride[0] + j * stride[1] + k * stride[2] + at;
                    const float scaled = tc_opaque((float)tc_wide_total_of(next, &shape->loops) * shape->factor);
                    const float limited = scaled < -32768.0f ? -32768.0f : scaled > 32767.0f ? 32767.0f : scaled;
                    *output++ = (int16_t)tc_round_away(limited);
                }
            }
        }
    }
}

#ifdef __cplusplus
}
#endif

#endif
