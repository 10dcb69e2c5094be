/* SPDX-License-Identifier: 0BSD */
/*
 * Softmax over the last axis of int8 tensors, as ONNX means it: E / S / output scale, where the exponentials E of the
 * distances to the largest input come from a table and S is their sum.
 *
 * input, output  [rows][depth], int8; a row is read before its first output is written, then once more in step with them
 * entries        round(2^30 exp(-d * input scale)) by distance (tc_distance.h), the first 0 unless there are 256
 *
 * The definition's quotient has 64 bits. A product with the sum's reciprocal is within TC_ONNX_ERROR of it; only where
 * that leaves open which way it is rounded, the quotient itself is computed: once in ten thousand elements.
 */
#ifndef TC_ONNX_SOFTMAX_H
#define TC_ONNX_SOFTMAX_H

#include <stdint.h>

#include "cmsis_shim/tc_simd.h"
#include "kernels/tc_bytes.h"
#include "kernels/tc_distance.h"
#include "kernels/tc_inline.h"
#include "kernels/tc_requant.h"
#include "kernels/tc_softmax.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tc_onnx_softmax_shape {
    int32_t rows;
    int32_t depth;
    int32_t entries;
    uint32_t factor; /* 1 / output scale, times 2^(drop + kept) */
    int32_t drop;
    int32_t kept;
    int32_t zero_point;
} tc_onnx_softmax_shape;

/*
 * Units of the product, which is below 2^28. The reciprocal is within 2^-27.6 of the real one, the sum's 32 bits and the
 * rounded factor add less than half of that, and the last product cuts off less than one: 4, and more, since a power of two
 * is found by one test.
 */
#define TC_ONNX_ERROR 16

/* With a smaller shift too many products would be near a tie. */
#define TC_ONNX_LEAST_SHIFT 12

/* A row: a quotient is factor * exponential / 2^32 / 2^shift. */
typedef struct tc_onnx_softmax_row {
    const int32_t *entries;
    uint32_t floors;
    uint64_t total;
    int32_t factor;
    int32_t shift;
    int32_t half;     /* of a step of the output, and the error */
    uint32_t between; /* bits that are 0 next to a tie only */
} tc_onnx_softmax_row;

/* An exponential more; twice as fast as what compilers make of it. */
TC_INLINE uint64_t tc_onnx_softmax_add(uint64_t total, int32_t exponential)
{
#if TC_DSP
    uint32_t low = (uint32_t)total;
    uint32_t high = (uint32_t)(total >> 32);
    __asm__("umlal %0, %1, %2, %3" : "+r"(low), "+r"(high) : "r"(exponential), "r"(1));
    return low | (uint64_t)high << 32;
#else
    return total + (uint32_t)exponential;
#endif
}

TC_INLINE uint64_t tc_onnx_softmax_sum(const int8_t *input, const tc_onnx_softmax_row *row, int32_t depth)
{
    uint64_t total = 0;
    int32_t i = 0;
    for (; i + 4 <= depth; i += 4) {
        const uint32_t places = tc_four_places(input + i, row->floors);
        total = tc_onnx_softmax_add(total, row->entries[places & 0xFFu]);
        total = tc_onnx_softmax_add(total, row->entries[(places >> 8) & 0xFFu]);
        total = tc_onnx_softmax_add(total, row->entries[(places >> 16) & 0xFFu]);
        total = tc_onnx_softmax_add(total, row->entries[places >> 24]);
    }
    for (; i < depth; ++i) {
        total = tc_onnx_softmax_add(total, row->entries[tc_place(input[i], row->floors)]);
    }
    return total;
}

/* The reciprocal of a sum of at least 2^30, times the layer's factor. */
TC_INLINE void tc_onnx_softmax_factor(uint64_t sum, tc_onnx_softmax_row *row, const tc_onnx_softmax_shape *shape)
{
    const uint32_t high = (uint32_t)(sum >> 32);
    const int32_t headroom = high > 0 ? tc_leading_zeros(high) : 32 + tc_leading_zeros((uint32_t)sum);
    const uint32_t mantissa = (uint32_t)(sum << headroom >> 32);
    const int32_t spare = tc_leading_zeros(shape->factor) - 1;
    row->factor = tc_smmlar(tc_one_over_one_plus((int32_t)(mantissa - 0x80000000u)), (int32_t)(shape->factor << spare), 0);
    row->shift = 30 + spare + shape->drop + shape->kept - headroom;
    row->half = row->shift > 31 ? 0 : (1 << (row->shift - 1)) + TC_ONNX_ERROR;
    row->between = row->shift > 31 ? 0u : (1u << row->shift) - 2u * TC_ONNX_ERROR;
}

/* Some outputs by the definition. */
static TC_NOINLINE void tc_onnx_softmax_exactly(const int8_t *input, int8_t *output, int32_t count,
                                                const tc_onnx_softmax_row *row, const tc_onnx_softmax_shape *shape)
{
    for (int32_t i = 0; i < count; ++i) {
        const uint32_t exponential = (uint32_t)row->entries[tc_place(input[i], row->floors)];
        const uint64_t product = ((uint64_t)exponential * shape->factor) >> shape->drop;
        const uint64_t rounded = (product + (row->total >> 1)) / row->total;
        const int32_t value = rounded < 1048576u ? (int32_t)rounded : 1048576;
        output[i] = (int8_t)tc_min(value + shape->zero_point, 127);
    }
}

TC_INLINE uint32_t tc_onnx_softmax_product(uint32_t place, const tc_onnx_softmax_row *row)
{
    return (uint32_t)tc_smmla(row->entries[place], row->factor, row->half);
}

TC_INLINE int8_t tc_onnx_softmax_value(uint32_t product, const tc_onnx_softmax_row *row, int32_t zero_point)
{
    return (int8_t)tc_min((int32_t)(product >> row->shift) + zero_point, 127);
}

/* Of four inputs. */
TC_INLINE void tc_onnx_softmax_four(const int8_t *input, int8_t *output, const tc_onnx_softmax_row *row,
                                    const tc_onnx_softmax_shape *shape)
{
    const uint32_t places = tc_four_places(input, row->floors);
    const uint32_t first = tc_onnx_softmax_product(places & 0xFFu, row);
    const uint32_t second = tc_onnx_softmax_product((places >> 8) & 0xFFu, row);
    const uint32_t third = tc_onnx_softmax_product((places >> 16) & 0xFFu, row);
    const uint32_t fourth = tc_onnx_softmax_product(places >> 24, row);
    const uint32_t between = row->between;
    if ((first & between) == 0u || (second & between) == 0u || (third & between) == 0u || (fourth & between) == 0u) {
        const tc_onnx_softmax_row copy = *row; /* what has an address isn't in registers */
        tc_onnx_softmax_exactly(input, output, 4, &copy, shape);
    } else if (shape->zero_point == -128) {
        uint32_t four = (uint32_t)tc_usat8((int32_t)(first >> row->shift));
        four |= (uint32_t)tc_usat8((int32_t)(second >> row->shift)) << 8;
        four |= (uint32_t)tc_usat8((int32_t)(third >> row->shift)) << 16;
        four |= (uint32_t)tc_usat8((int32_t)(fourth >> row->shift)) << 24;
        tc_store4(output, four ^ 0x80808080u);
    } else {
        output[0] = tc_onnx_softmax_value(first, row, shape->zero_point);
        output[1] = tc_onnx_softmax_value(second, row, shape->zero_point);
        output[2] = tc_onnx_softmax_value(third, row, shape->zero_point);
        output[3] = tc_onnx_softmax_value(fourth, row, shape->zero_point);
    }
}

TC_INLINE void tc_onnx_softmax_one(const int8_t *input, int8_t *output, const tc_onnx_softmax_row *row,
                                   const tc_onnx_softmax_shape *shape)
{
    const uint32_t product = tc_onnx_softmax_product((uint32_t)tc_place(*input, row->floors), row);
    if ((product & row->between) == 0u) {
        const tc_onnx_softmax_row copy = *row;
        tc_onnx_softmax_exactly(input, output, 1, &copy, shape);
    } else {
        *output = tc_onnx_softmax_value(product, row, shape->zero_point);
    }
}

TC_INLINE void tc_onnx_softmax_s8(const int8_t *input, int8_t *output, const int32_t *entries,
                                  const tc_onnx_softmax_shape *shape)
{
    const int32_t depth = shape->depth;
    for (int32_t i = 0; i < shape->rows; ++i, input += depth, output += depth) {
        const tc_places places = tc_places_below(tc_largest(input, depth), shape->entries);
        tc_onnx_softmax_row row = {entries + places.first, places.floors, 0, 0, 0, 0, 0};
        const uint64_t sum = tc_onnx_softmax_sum(input, &row, depth);
        row.total = sum << shape->kept;
        tc_onnx_softmax_factor(sum, &row, shape);
        if (row.shift > 31) { /* all are below 1/16 */
            for (int32_t j = 0; j < depth; ++j) {
                output[j] = (int8_t)shape->zero_point;
            }
        } else {
            int32_t j = 0;
            for (; j + 4 <= depth && row.shift >= TC_ONNX_LEAST_SHIFT; j += 4) {
                tc_onnx_softmax_four(input + j, output + j, &row, shape);
            }
            for (; j < depth && row.shift >= TC_ONNX_LEAST_SHIFT; ++j) {
                tc_onnx_softmax_one(input + j, output + j, &row, shape);
            }
            if (j < depth) {
                const tc_onnx_softmax_row copy = row;
                tc_onnx_softmax_exactly(input + j, output + j, depth - j, &copy, shape);
            }
        }
    }
}

#ifdef __cplusplus
}
#endif

#endif
