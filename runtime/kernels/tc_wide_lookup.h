/* SPDX-License-Identifier: 0BSD */
/*
 * Functions of one value, where operand or result has 16 bits. Elements are read and written in memory order.
 *
 * Of 16 bits a function is pieces of parabolas, and the operands for which these are off by one:
 *
 *     o = u - last of its piece                                    u = value + 2^15; o isn't positive
 *     v = value + (slope + (curvature * o >> 17)) * o              in units of 2^-fraction results
 *     result = v >> fraction, one more or less for the exceptions
 *
 * first       of each block of 2^block operands the first piece
 * last        of each piece the last u
 * numbers     of each piece {value (low word, high word), slope, curvature}; value has the half that rounds
 * exceptions  ascending; a v this `near` to the change of the result is looked up there
 */
#ifndef TC_WIDE_LOOKUP_H
#define TC_WIDE_LOOKUP_H

#include <stdint.h>

#include "kernels/tc_inline.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tc_wide_pieces {
    int32_t count;
    int32_t block;
    int32_t fraction;
    uint32_t near;
    int32_t exceptions;
} tc_wide_pieces;

TC_INLINE int tc_wide_is_exception(uint32_t u, const uint16_t *exceptions, int32_t count)
{
    while (count > 0) {
        const int32_t half = count >> 1;
        if (exceptions[half] == u) {
            return 1;
        }
        if (exceptions[half] < u) {
            exceptions += half + 1;
            count -= half + 1;
        } else {
            count = half;
        }
    }
    return 0;
}

TC_INLINE int32_t tc_wide_in_pieces(int32_t operand, const uint16_t *first, const uint16_t *last,
                                    const int32_t *numbers, const uint16_t *exceptions, const tc_wide_pieces *shape)
{
    const uint32_t u = (uint32_t)(operand + 32768);
    const uint32_t mask = (1u << shape->fraction) - 1u;
    int32_t piece = first[u >> shape->block];
    while (u > last[piece]) {
        ++piece;
    }
    const int32_t *const at = numbers + 4 * piece;
    const int32_t o = (int32_t)u - (int32_t)last[piece];
    const int32_t slope = at[2] + (int32_t)(((int64_t)at[3] * (o * 32768)) >> 32);
    const uint64_t value = ((uint64_t)(uint32_t)at[1] << 32) | (uint32_t)at[0];
    const int64_t v = (int64_t)value + (int64_t)slope * o;
    const int32_t result = (int32_t)(v >> shape->fraction);
    const uint32_t above = ((uint32_t)v + shape->near) & mask;
    if (above < 2u * shape->near && tc_wide_is_exception(u, exceptions, shape->exceptions)) {
        return above < shape->near ? result + 1 : result - 1;
    }
    return result;
}

#define TC_WIDE_LOOKUP(type, suffix)                                                                                   \
    TC_INLINE void tc_wide_lookup_##suffix(const int16_t *input, type *output, const uint16_t *first,                  \
                                           const uint16_t *last, const int32_t *numbers, const uint16_t *exceptions,   \
                                           const tc_wide_pieces *shape)                                                \
    {                                                                                                                  \
        for (int32_t i = 0; i < shape->count; ++i) {                                                                   \
            output[i] = (type)tc_wide_in_pieces(input[i], first, last, numbers, exceptions, shape);                    \
        }                                                                                                              \
    }

TC_WIDE_LOOKUP(int16_t, s16)
TC_WIDE_LOOKUP(int8_t, s8)

#undef TC_WIDE_LOOKUP

typedef struct tc_wide_table_count {
    int32_t count;
} tc_wide_table_count;

/* int8 to int16: `results` of 0 .. 127, -128 .. -1. */
TC_INLINE void tc_wide_table(const int8_t *input, int16_t *output, const int16_t *results,
                             const tc_wide_table_count *shape)
{
    for (int32_t i = 0; i < shape->count; ++i) {
        output[i] = results[(uint8_t)input[i]];
    }
}

#ifdef __cplusplus
}
#endif

#endif
