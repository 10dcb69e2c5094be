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
 * A product has 16 bits below the binary point. Those that aren't saturated are below 2^24, and the reciprocal is within 2^-27 of
 * the real one: 1/8 of a unit. The factor is rounded to an integer, of which an exponential is at most a quarter: 1/8 more.
 * The product is cut off to whole units, 1, and what the definition cuts off is far less. 2 units are a power of two, so
 * that one test finds what is near a tie.
 */
#define TC_ONNX_ERROR 2
#define TC_ONNX_PLACES 16

/* Bits that are 0 next to a tie only, of products to which half a step and the error are added. */
#define TC_ONNX_BETWEEN ((1u << TC_ONNX_PLACES) - 2u * TC_ONNX_ERROR)
#define TC_ONNX_HALF ((1 << (TC_ONNX_PLACES - 1)) + TC_ONNX_ERROR)

/* A row: a quotient is factor * exponential / 2^32 / 2^TC_ONNX_PLACES. */
typedef struct tc_onnx_softmax_row {
    const int32_t *entries;
    uint32_t floors;
    uint64_t total;
    int32_t factor; /* -1: too large for 32 bits */
} tc_onnx_softmax_row;

/* A sum of 64 bits in two words: of one in a variable, compilers copy the halves around an instruction. */
typedef struct tc_onnx_softmax_total {
    uint32_t low;
    uint32_t high;
} tc_onnx_softmax_total;

TC_INLINE void tc_onnx_softmax_add(tc_onnx_softmax_total *total, uint32_t exponential)
{
    total->low += exponential;
    total->high += total->low < exponential ? 1u : 0u;
}

TC_INLINE void tc_onnx_softmax_add_four(tc_onnx_softmax_total *total, uint32_t places, const int32_t *entries)
{
    const uint32_t first = (uint32_t)entries[places & 0xFFu];
    const uint32_t second = (uint32_t)entries[(places >> 8) & 0xFFu];
    const uint32_t third = (uint32_t)entries[(places >> 16) & 0xFFu];
    const uint32_t fourth = (uint32_t)entries[places >> 24];
#if TC_DSP
    __asm__("umlal %0, %1, %2, %6\n\t"
            "umlal %0, %1, %3, %6\n\t"
            "umlal %0, %1, %4, %6\n\t"
            "umlal %0, %1, %5, %6"
            : "+&r"(total->low), "+&r"(total->high)
            : "r"(first), "r"(second), "r"(third), "r"(fourth), "r"(1));
#else
    tc_onnx_softmax_add(total, first);
    tc_onnx_softmax_add(total, second);
    tc_onnx_softmax_add(total, third);
    tc_onnx_softmax_add(total, fourth);
#endif
}

TC_INLINE uint64_t tc_onnx_softmax_sum(const int8_t *input, const tc_onnx_softmax_row *row, int32_t depth)
{
    tc_onnx_softmax_total total = {0, 0};
    int32_t i = 0;
    for (; i < depth / 8 * 8; i += 8) {
        tc_onnx_softmax_add_four(&total, tc_four_places(input + i, row->floors), row->entries);
        tc_onnx_softmax_add_four(&total, tc_four_places(input + i + 4, row->floors), row->entries);
    }
    for (; i < depth; ++i) {
        tc_onnx_softmax_add(&total, (uint32_t)row->entries[tc_place(input[i], row->floors)]);
    }
    return total.low | (uint64_t)total.high << 32;
}

/* The reciprocal of a sum of at least 2^30, times the layer's factor. */
TC_INLINE void tc_onnx_softmax_factor(uint64_t sum, tc_onnx_softmax_row *row, const tc_onnx_softmax_shape *shape)
{
    const uint32_t high = (uint32_t)(sum >> 32);
    const int32_t headroom = high > 0 ? tc_leading_zeros(high) : 32 + tc_leading_zeros((uint32_t)sum);
    const uint32_t mantissa = (uint32_t)(sum << headroom >> 32);
    const int32_t spare = tc_leading_zeros(shape->factor) - 1;
    const int32_t factor =
        tc_smmlar(tc_one_over_one_plus((int32_t)(mantissa - 0x80000000u)), (int32_t)(shape->factor << spare), 0);
    /* Of a sum of 2^30 there are 33 bits of headroom, of one of up to 2^15 times that 18: what can't be isn't asked. */
    const int32_t most = 30 + spare + shape->drop + shape->kept - TC_ONNX_PLACES;
    const int32_t right = most - headroom;
    const int32_t is_short = shape->depth <= 1 << 15 && most <= 48;
    if (most < 33 && right < 0) {
        row->factor = -1;
    } else if (most < 34 && right == 0) {
        row->factor = factor;
    } else {
        row->factor = !is_short && right > 30 ? 0 : ((factor >> (right - 1)) + 1) >> 1;
    }
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
    return (uint32_t)tc_smmla(row->entries[place], row->factor, TC_ONNX_HALF);
}

TC_INLINE int8_t tc_onnx_softmax_value(uint32_t product, int32_t zero_point)
{
    return (int8_t)tc_min((int32_t)(product >> TC_ONNX_PLACES) + zero_point, 127);
}

/* Whether one of four products is near a tie. */
TC_INLINE int32_t tc_onnx_softmax_near(uint32_t first, uint32_t second, uint32_t third, uint32_t fourth, uint32_t between)
{
#if TC_DSP && defined(__GCC_ASM_FLAG_OUTPUTS__)
    int32_t near;
    __asm__("tst %1, %5\n\t"
            "ittt ne\n\t"
            "tstne %2, %5\n\t"
            "tstne %3, %5\n\t"
            "tstne %4, %5"
            : "=@cceq"(near)
            : "r"(first), "r"(second), "r"(third), "r"(fourth), "r"(between));
    return near;
#else
    return (first & between) == 0u || (second & between) == 0u || (third & between) == 0u || (fourth & between) == 0u;
#endif
}

/*
 * Upper halves of two products as bytes 0 and 2: results + 128 where the zero point is -128, saturated only if that is
 * asked for; else results.
 */
TC_INLINE uint32_t tc_onnx_softmax_halves(uint32_t first, uint32_t second, int32_t limited, int32_t zero_point)
{
    uint32_t both = tc_pkhtb(second, first, 16);
#if TC_DSP
    if (zero_point != -128) {
        both = tc_sadd16(both, tc_lanes(zero_point, zero_point));
        __asm__("ssat16 %0, #8, %0" : "+r"(both));
        return both & 0xFF00FFu;
    }
    if (limited) {
        __asm__("usat16 %0, #8, %0" : "+r"(both));
    }
    return both;
#else
    const int32_t most = zero_point == -128 ? 255 : 127 - zero_point;
    const int32_t added = zero_point == -128 ? 0 : zero_point;
    const int32_t even = tc_min((int32_t)(both & 0xFFFFu), most) + added;
    const int32_t odd = tc_min((int32_t)(both >> 16), most) + added;
    (void)limited;
    return ((uint32_t)even & 0xFFu) | ((uint32_t)odd & 0xFFu) << 16;
#endif
}

/* Of four inputs. limited: whether one may be above 255. */
TC_INLINE void tc_onnx_softmax_four(const int8_t *input, int8_t *output, const tc_onnx_softmax_row *row, int32_t limited,
                                    const tc_onnx_softmax_shape *shape)
{
    const uint32_t places = tc_four_places(input, row->floors);
    const uint32_t first = tc_onnx_softmax_product(places & 0xFFu, row);
    const uint32_t second = tc_onnx_softmax_product((places >> 8) & 0xFFu, row);
    const uint32_t third = tc_onnx_softmax_product((places >> 16) & 0xFFu, row);
    const uint32_t fourth = tc_onnx_softmax_product(places >> 24, row);
    if (tc_onnx_softmax_near(first, second, third, fourth, TC_ONNX_BETWEEN)) {
        const tc_onnx_softmax_row copy = *row; /* what has an address isn't in registers */
        tc_onnx_softmax_exactly(input, output, 4, &copy, shape);
    } else {
        const uint32_t even = tc_onnx_softmax_halves(first, third, limited, shape->zero_point);
        const uint32_t odd = tc_onnx_softmax_halves(second, fourth, limited, shape->zero_point);
        tc_store4(output, (even | odd << 8) ^ (shape->zero_point == -128 ? 0x80808080u : 0u));
    }
}

TC_INLINE void tc_onnx_softmax_one(const int8_t *input, int8_t *output, const tc_onnx_softmax_row *row,
                                   const tc_onnx_softmax_shape *shape)
{
    const uint32_t product = tc_onnx_softmax_product((uint32_t)tc_place(*input, row->floors), row);
    if ((product & TC_ONNX_BETWEEN) == 0u) {
        const tc_onnx_softmax_row copy = *row;
        tc_onnx_softmax_exactly(input, output, 1, &copy, shape);
    } else {
        *output = tc_onnx_softmax_value(product, shape->zero_point);
    }
}

TC_INLINE void tc_onnx_softmax_outputs(const int8_t *input, int8_t *output, const tc_onnx_softmax_row *row,
                                       uint32_t largest, const tc_onnx_softmax_shape *shape)
{
    const int32_t fours = shape->depth / 4 * 4;
    int32_t i = 0;
    if (shape->zero_point != -128 || largest >> TC_ONNX_PLACES < 256u) {
        for (; i < fours; i += 4) {
            tc_onnx_softmax_four(input + i, output + i, row, 0, shape);
        }
    }
    for (; i < fours; i += 4) {
        tc_onnx_softmax_four(input + i, output + i, row, 1, shape);
    }
    for (; i < shape->depth; ++i) {
        tc_onnx_softmax_one(input + i, output + i, row, shape);
    }
}

TC_INLINE void tc_onnx_softmax_s8(const int8_t *input, int8_t *output, const int32_t *entries,
                                  const tc_onnx_softmax_shape *shape)
{
    const int32_t depth = shape->depth;
    for (int32_t i = 0; i < shape->rows; ++i, input += depth, output += depth) {
        const int32_t largest = tc_largest(input, depth);
        const tc_places places = tc_places_below(largest, shape->entries);
        tc_onnx_softmax_row row = {entries + places.first, places.floors, 0, 0};
        const uint64_t sum = tc_onnx_softmax_sum(input, &row, depth);
        row.total = sum << shape->kept;
        tc_onnx_softmax_factor(sum, &row, shape);
        if (row.factor >= 0) {
            const uint32_t place = (uint32_t)tc_place(largest, places.floors);
            tc_onnx_softmax_outputs(input, output, &row, tc_onnx_softmax_product(place, &row), shape);
        } else {
            const tc_onnx_softmax_row copy = row;
            tc_onnx_softmax_exactly(input, output, depth, &copy, shape);
        }
    }
}

#ifdef __cplusplus
}
#endif

#endif
