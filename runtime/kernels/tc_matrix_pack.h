/* SPDX-License-Identifier: 0BSD */
/*
 * Vectors of int8 as pairs of int16 lanes, 2 or 4 vectors beside each other: what tc_matrix_block.h multiplies.
 *
 * Elements lose their zero point and are shifted to the left, which they have room for. Of every four elements the first
 * pair is 0 and 2, the second 1 and 3; of one to three that are left over it is 0 and 1, then 2 and nothing, a zero. So
 * a vector has (depth + 1) / 2 pairs, whatever its place in memory is.
 */
#ifndef TC_MATRIX_PACK_H
#define TC_MATRIX_PACK_H

#include <stdint.h>

#include "cmsis_shim/tc_simd.h"
#include "kernels/tc_inline.h"
#include "kernels/tc_requant.h"

#ifdef __cplusplus
extern "C" {
#endif

/* How vectors lie in memory, in elements, and what becomes of their elements. */
typedef struct tc_matrix_vectors {
    int32_t vector_stride; /* from a vector to the next */
    int32_t depth_stride;  /* along a vector; one of both is 1 */
    int32_t depth;
    int32_t zero_point;
    int32_t shift; /* to the left, at most 7 */
} tc_matrix_vectors;

TC_INLINE int32_t tc_matrix_pairs(int32_t depth)
{
    return (depth + 1) / 2;
}

/* Two lanes to the left; what leaves the lower one doesn't reach the upper one. */
TC_INLINE uint32_t tc_matrix_shifted(uint32_t lanes, int32_t shift)
{
    if (shift == 1) {
        return tc_sadd16(lanes, lanes);
    }
    const uint32_t borrowed = (1u << (16 + shift)) - (1u << 16);
    return lanes << shift & ~borrowed;
}

/* Bytes 0 and 2 of four, or 1 and 3. */
TC_INLINE uint32_t tc_matrix_lanes(uint32_t four, unsigned rotate, const tc_matrix_vectors *vectors)
{
    const uint32_t minus = tc_lanes(-vectors->zero_point, -vectors->zero_point);
    return tc_matrix_shifted(tc_sxtab16(minus, four, rotate), vectors->shift);
}

/* The one to three elements of a vector that are left over. */
TC_INLINE void tc_matrix_pack_rest(const int8_t *from, int32_t count, uint32_t *lanes, const tc_matrix_vectors *vectors)
{
    const int32_t stride = vectors->depth_stride;
    const int32_t rest = vectors->depth % 4;
    const int32_t first = from[0] - vectors->zero_point;
    const int32_t second = rest > 1 ? from[stride] - vectors->zero_point : 0;
    lanes[0] = tc_matrix_shifted(tc_lanes(first, second), vectors->shift);
    if (rest > 2) {
        lanes[count] = tc_matrix_shifted(tc_lanes(from[2 * stride] - vectors->zero_point, 0), vectors->shift);
    }
}

/* Two words, the first at a multiple of 8 bytes. */
TC_INLINE void tc_matrix_store(uint32_t *to, uint32_t first, uint32_t second)
{
    const uint64_t both = first | (uint64_t)second << 32;
    memcpy(__builtin_assume_aligned(to, 8), &both, 8);
}

/* Four elements of each vector, which are beside each other. */
TC_INLINE void tc_matrix_pack_group(const int8_t *from, int32_t count, int32_t present, uint32_t *lanes,
                                    const tc_matrix_vectors *vectors)
{
#pragma GCC unroll 2
    for (int32_t i = 0; i < count; i += 2) {
        const uint32_t first = tc_load4(from + tc_min(i, present - 1) * vectors->vector_stride);
        const uint32_t second = tc_load4(from + tc_min(i + 1, present - 1) * vectors->vector_stride);
        tc_matrix_store(lanes + i, tc_matrix_lanes(first, 0, vectors), tc_matrix_lanes(second, 0, vectors));
        tc_matrix_store(lanes + count + i, tc_matrix_lanes(first, 8, vectors), tc_matrix_lanes(second, 8, vectors));
    }
}

/* Vectors whose elements are beside each other; behind the last of the `present` ones that one again. */
TC_INLINE void tc_matrix_pack_along(const int8_t *from, int32_t count, int32_t present, uint32_t *lanes,
                                    const tc_matrix_vectors *vectors)
{
    int32_t groups = vectors->depth / 4;
    if (groups % 2 > 0) {
        tc_matrix_pack_group(from, count, present, lanes, vectors);
        from += 4;
        lanes += 2 * count;
    }
    for (groups /= 2; groups > 0; --groups, from += 8, lanes += 4 * count) {
        tc_matrix_pack_group(from, count, present, lanes, vectors);
        tc_matrix_pack_group(from + 4, count, present, lanes + 2 * count, vectors);
    }
    for (int32_t i = 0; i < (vectors->depth % 4 > 0 ? count : 0); ++i) {
        const int32_t at = i < present ? i : present - 1;
        tc_matrix_pack_rest(from + at * vectors->vector_stride, count, lanes + i, vectors);
    }
}

/* An element of two or four vectors, whose bytes are beside each other. */
TC_INLINE uint32_t tc_matrix_across(const int8_t *from, int32_t count)
{
    return count == 4 ? tc_load4(from) : (uint32_t)(uint8_t)from[0] | (uint32_t)(uint8_t)from[1] << 8;
}

/* Elements k and k + 2 of these. */
TC_INLINE void tc_matrix_pack_crosswise(uint32_t low, uint32_t high, int32_t count, uint32_t *lanes,
                                        const tc_matrix_vectors *vectors)
{
    const uint32_t front = tc_pkhbt(low, high, 16);
    tc_matrix_store(lanes, tc_matrix_lanes(front, 0, vectors), tc_matrix_lanes(front, 8, vectors));
    if (count == 4) {
        const uint32_t back = tc_pkhtb(high, low, 16);
        tc_matrix_store(lanes + 2, tc_matrix_lanes(back, 0, vectors), tc_matrix_lanes(back, 8, vectors));
    }
}

/* All vectors, which are beside each other. */
TC_INLINE void tc_matrix_pack_across(const int8_t *from, int32_t count, uint32_t *lanes, const tc_matrix_vectors *vectors)
{
    const int32_t stride = vectors->depth_stride;
    for (int32_t groups = vectors->depth / 4; groups > 0; --groups, from += 4 * stride, lanes += 2 * count) {
        const uint32_t first = tc_matrix_across(from, count);
        const uint32_t second = tc_matrix_across(from + stride, count);
        const uint32_t third = tc_matrix_across(from + 2 * stride, count);
        const uint32_t fourth = tc_matrix_across(from + 3 * stride, count);
        tc_matrix_pack_crosswise(first, third, count, lanes, vectors);
        tc_matrix_pack_crosswise(second, fourth, count, lanes + count, vectors);
    }
    for (int32_t i = 0; i < (vectors->depth % 4 > 0 ? count : 0); ++i) {
        tc_matrix_pack_rest(from + i, count, lanes + i, vectors);
    }
}

/* One vector, whose elements are apart, element by element. */
TC_INLINE void tc_matrix_pack_one_across(const int8_t *from, int32_t count, uint32_t *lanes,
                                         const tc_matrix_vectors *vectors)
{
    const int32_t stride = vectors->depth_stride;
    for (int32_t groups = vectors->depth / 4; groups > 0; --groups, from += 4 * stride, lanes += 2 * count) {
        const int32_t first = from[0] - vectors->zero_point;
        const int32_t second = from[stride] - vectors->zero_point;
        const int32_t third = from[2 * stride] - vectors->zero_point;
        const int32_t fourth = from[3 * stride] - vectors->zero_point;
        lanes[0] = tc_matrix_shifted(tc_lanes(first, third), vectors->shift);
        lanes[count] = tc_matrix_shifted(tc_lanes(second, fourth), vectors->shift);
    }
    if (vectors->depth % 4 > 0) {
        tc_matrix_pack_rest(from, count, lanes, vectors);
    }
}

/* `count` vectors beside each other, 2 or 4, from `from` on; behind the last of the `present` ones that one again. */
TC_INLINE void tc_matrix_pack(const int8_t *from, int32_t count, int32_t present, uint32_t *lanes,
                              const tc_matrix_vectors *vectors)
{
    if (vectors->depth_stride == 1) {
        tc_matrix_pack_along(from, count, present, lanes, vectors);
    } else if (present >= count) {
        tc_matrix_pack_across(from, count, lanes, vectors);
    } else {
        for (int32_t i = 0; i < count; ++i) {
            tc_matrix_pack_one_across(from + tc_min(i, present - 1), count, lanes + i, vectors);
        }
    }
}

/* One vector alone. */
TC_INLINE void tc_matrix_pack_one(const int8_t *from, uint32_t *lanes, const tc_matrix_vectors *vectors)
{
    if (vectors->depth_stride > 1) {
        tc_matrix_pack_one_across(from, 1, lanes, vectors);
        return;
    }
    for (int32_t groups = vectors->depth / 4; groups > 0; --groups, from += 4, lanes += 2) {
        const uint32_t four = tc_load4(from);
        lanes[0] = tc_matrix_lanes(four, 0, vectors);
        lanes[1] = tc_matrix_lanes(four, 8, vectors);
    }
    if (vectors->depth % 4 > 0) {
        tc_matrix_pack_rest(from, 1, lanes, vectors);
    }
}

#ifdef __cplusplus
}
#endif

#endif
