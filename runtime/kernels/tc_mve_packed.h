/* SPDX-License-Identifier: 0BSD */
/*
 * Weights of 4 and 2 bits for the blocks of tc_mve_block.h: 16 bytes have 16 taps of 2 or 4 channels. Per 4 channels the
 * stream has starts, then per group of 16 taps these vectors. Sums are 16 (64) times what they would be with bytes:
 *
 *     FOLDED_4   a byte is 16 b + a, as a number. Shifted up by 4 bits it is 16 a; as it is, it makes sums of 16 B + A, from
 *                which A is taken in the end: what the first channel's sum is, shifted down by 4 bits. The compiler has
 *                checked that all these numbers are bytes, and has adapted the second channel's start
 *     SPLIT_4    a byte has b in its upper half and a in its lower one. With a mask it is 16 b, shifted up 16 a
 *     SPLIT_2    likewise four channels, the first one's weight in the lowest bits: 64 times each
 */
#ifndef TC_MVE_PACKED_H
#define TC_MVE_PACKED_H

#include <stdint.h>

#include "kernels/tc_inline.h"
#include "kernels/tc_mve.h"
#include "kernels/tc_requant.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum tc_mve_way { TC_MVE_WAY_BYTES, TC_MVE_WAY_FOLDED_4, TC_MVE_WAY_SPLIT_4, TC_MVE_WAY_SPLIT_2 } tc_mve_way;

/* int32 of the weights of 16 taps and 4 channels. */
TC_INLINE int32_t tc_mve_packed_words(tc_mve_way way)
{
    return way == TC_MVE_WAY_SPLIT_2 ? 4 : 8;
}

/* A byte's weight of one of the channels that share it, as it is multiplied. */
TC_INLINE int32_t tc_mve_packed_weight(uint32_t byte, int32_t channel, tc_mve_way way)
{
    if (way == TC_MVE_WAY_SPLIT_2) {
        return (int8_t)(byte << (6 - 2 * channel) & 0xC0u);
    }
    return (int8_t)(channel % 2 == 0 ? byte << 4 & 0xF0u : way == TC_MVE_WAY_FOLDED_4 ? byte : byte & 0xF0u);
}

/* The sums of 4 channels, `starts` included. */
TC_INLINE void tc_mve_packed_sums(const int8_t *x, const uint8_t *weights, tc_mve_way way, int32_t rows, int32_t groups,
                                  int32_t row_bytes, const int32_t starts[4], int32_t sums[4])
{
    const int32_t together = way == TC_MVE_WAY_SPLIT_2 ? 4 : 2;
    for (int32_t channel = 0; channel < 4; channel++) {
        uint32_t sum = (uint32_t)starts[channel];
        for (int32_t row = 0; row < rows; row++) {
            for (int32_t i = 0; i < 16 * groups; i++) {
                const int32_t vector = (row * groups + i / 16) * (4 / together) + channel / together;
                const int32_t weight = tc_mve_packed_weight(weights[16 * vector + i % 16], channel % together, way);
                sum += (uint32_t)(x[row * row_bytes + i] * weight);
            }
        }
        sums[channel] = (int32_t)sum;
        if (way == TC_MVE_WAY_FOLDED_4 && channel % 2 != 0) {
            sums[channel] = (int32_t)(sum - (uint32_t)(sums[channel - 1] >> 4));
        }
    }
}

#if TC_MVE_BLOCKS

/* What the requantisation may have overwritten. */
#define TC_MVE_MASK_FOLDED_4
#define TC_MVE_MASK_SPLIT_4 "vmov.i8 q7, #0xf0\n\t"
#define TC_MVE_MASK_SPLIT_2 "vmov.i8 q7, #0xc0\n\t"

#define TC_MVE_SUMS_FOLDED_4 \
    "sub r2, r2, r0, asr #4\n\t" \
    "sub r10, r10, r8, asr #4\n\t" \
    "sub r6, r6, r4, asr #4\n\t" \
    "sub lr, lr, r12, asr #4\n\t"
#define TC_MVE_SUMS_SPLIT_4
#define TC_MVE_SUMS_SPLIT_2

/* 16 taps of 2 pixels at r1 and r3, as TC_MVE_PAIR_GROUP_BYTES. */
#define TC_MVE_PAIR_GROUP_FOLDED_4(op) \
    "vldrb.8 q2, [r5], #32\n\t" \
    "vldrb.8 q0, [r1], #16\n\t" \
    "vldrb.8 q1, [r3], #16\n\t" \
    "vshl.i8 q3, q2, #4\n\t" \
    op " r2, q0, q2\n\t" \
    op " r10, q1, q2\n\t" \
    "vldrb.8 q2, [r5, #-16]\n\t" \
    op " r0, q0, q3\n\t" \
    op " r8, q1, q3\n\t" \
    "vshl.i8 q3, q2, #4\n\t" \
    op " r6, q0, q2\n\t" \
    op " lr, q1, q2\n\t" \
    op " r4, q0, q3\n\t" \
    op " r12, q1, q3\n\t"
#define TC_MVE_PAIR_GROUP_SPLIT_4(op) \
    "vldrb.8 q2, [r5], #32\n\t" \
    "vldrb.8 q0, [r1], #16\n\t" \
    "vldrb.8 q1, [r3], #16\n\t" \
    "vshl.i8 q3, q2, #4\n\t" \
    "vand q2, q2, q7\n\t" \
    op " r0, q0, q3\n\t" \
    op " r8, q1, q3\n\t" \
    "vldrb.8 q3, [r5, #-16]\n\t" \
    op " r2, q0, q2\n\t" \
    op " r10, q1, q2\n\t" \
    "vshl.i8 q2, q3, #4\n\t" \
    "vand q3, q3, q7\n\t" \
    op " r4, q0, q2\n\t" \
    op " r12, q1, q2\n\t" \
    op " r6, q0, q3\n\t" \
    op " lr, q1, q3\n\t"
#define TC_MVE_PAIR_GROUP_SPLIT_2(op) \
    "vldrb.8 q2, [r5], #16\n\t" \
    "vldrb.8 q0, [r1], #16\n\t" \
    "vldrb.8 q1, [r3], #16\n\t" \
    "vshl.i8 q3, q2, #6\n\t" \
    op " r0, q0, q3\n\t" \
    op " r8, q1, q3\n\t" \
    "vshl.i8 q3, q2, #4\n\t" \
    "vand q3, q3, q7\n\t" \
    op " r2, q0, q3\n\t" \
    op " r10, q1, q3\n\t" \
    "vshl.i8 q3, q2, #2\n\t" \
    "vand q3, q3, q7\n\t" \
    "vand q2, q2, q7\n\t" \
    op " r4, q0, q3\n\t" \
    op " r12, q1, q3\n\t" \
    op " r6, q0, q2\n\t" \
    op " lr, q1, q2\n\t"

/* The same of one pixel and 8 channels, whose weights are at r5 and r3: 4 channels at `at`, whose sums are a, b, c and d. */
#define TC_MVE_ROW_GROUP_FOLDED_4(op) \
    "vldrb.8 q0, [r1], #16\n\t" \
    TC_MVE_ROW_QUAD_FOLDED_4(op, r5, r0, r2, r4, r6) \
    TC_MVE_ROW_QUAD_FOLDED_4(op, r3, r8, r10, r12, lr)
#define TC_MVE_ROW_QUAD_FOLDED_4(op, at, a, b, c, d) \
    "vldrb.8 q1, [" #at "], #32\n\t" \
    "vldrb.8 q2, [" #at ", #-16]\n\t" \
    "vshl.i8 q3, q1, #4\n\t" \
    op " " #b ", q0, q1\n\t" \
    "vshl.i8 q1, q2, #4\n\t" \
    op " " #a ", q0, q3\n\t" \
    op " " #d ", q0, q2\n\t" \
    op " " #c ", q0, q1\n\t"
#define TC_MVE_ROW_GROUP_SPLIT_4(op) \
    "vldrb.8 q0, [r1], #16\n\t" \
    TC_MVE_ROW_QUAD_SPLIT_4(op, r5, r0, r2, r4, r6) \
    TC_MVE_ROW_QUAD_SPLIT_4(op, r3, r8, r10, r12, lr)
#define TC_MVE_ROW_QUAD_SPLIT_4(op, at, a, b, c, d) \
    "vldrb.8 q1, [" #at "], #32\n\t" \
    "vldrb.8 q2, [" #at ", #-16]\n\t" \
    "vshl.i8 q3, q1, #4\n\t" \
    "vand q1, q1, q7\n\t" \
    op " " #a ", q0, q3\n\t" \
    "vshl.i8 q3, q2, #4\n\t" \
    op " " #b ", q0, q1\n\t" \
    "vand q2, q2, q7\n\t" \
    op " " #c ", q0, q3\n\t" \
    op " " #d ", q0, q2\n\t"
#define TC_MVE_ROW_GROUP_SPLIT_2(op) \
    "vldrb.8 q0, [r1], #16\n\t" \
    TC_MVE_ROW_QUAD_SPLIT_2(op, r5, r0, r2, r4, r6) \
    TC_MVE_ROW_QUAD_SPLIT_2(op, r3, r8, r10, r12, lr)
#define TC_MVE_ROW_QUAD_SPLIT_2(op, at, a, b, c, d) \
    "vldrb.8 q1, [" #at "], #16\n\t" \
    "vshl.i8 q2, q1, #6\n\t" \
    "vshl.i8 q3, q1, #4\n\t" \
    op " " #a ", q0, q2\n\t" \
    "vand q3, q3, q7\n\t" \
    "vshl.i8 q2, q1, #2\n\t" \
    op " " #b ", q0, q3\n\t" \
    "vand q2, q2, q7\n\t" \
    "vand q1, q1, q7\n\t" \
    op " " #c ", q0, q2\n\t" \
    op " " #d ", q0, q1\n\t"

#endif

#ifdef __cplusplus
}
#endif

#endif
