/* SPDX-License-Identifier: 0BSD */
/*
 * Rows times a matrix of 4-bit weights by the byte-lane product (docs/kernels.md), 8 output channels in registers, weights
 * unpacked there.
 *
 * input    [rows][inputs], int8
 * output   [rows][outputs], int8
 * weights  per 8 channels: per 4 inputs a word for each pair of channels, then 8 starts, then the parameters of each
 *          channel (tc_requant_block.h). A byte of a word has both channels' weights for one input: the first channel's plus
 *          8 in its lower half, the second one's in its upper half, plus 8 for even inputs and in two's complement for odd ones
 *
 *     TC_LANE_ROW_NIBBLES(name, form, saturate, bits, shift, low, high)
 *     TC_LANE_ROW_NIBBLES_SINGLE(name, form, ...) for cores on which only loads of one word stand beside others
 *     TC_LANE_ROW_NIBBLES_LONG(name, form, ...)   with rounds of 8 groups of 4 inputs, not 2
 *     TC_LANE_ROW_NIBBLES_SINGLE_LONG(name, form, ...)
 *
 * define the block function `name`. A word as it is, multiplied as if it were 4 weights of 8 bits, gives 16 times the second
 * channel's sum and once the first channel's; its lower halves alone give that. What the 8s in it add is 8 times sums of the
 * inputs, which a row has once for all channels: with P and Q, the sums of all lanes of p and of q (tc_lane.h),
 *
 *     first       256 sum + 8 (P + Q) + 2048 P
 *     second      16 (256 sum + 8 (P + Q)) + first
 *
 * The compiler has checked that 16 times what the second channel's products add up to stays within 32 bits.
 */
#ifndef TC_LANE_ROW_NIBBLES_H
#define TC_LANE_ROW_NIBBLES_H

#include <stdint.h>
#include <string.h>

#include "cmsis_shim/tc_simd.h"
#include "kernels/tc_align.h"
#include "kernels/tc_inline.h"
#include "kernels/tc_lane.h"
#include "kernels/tc_lane_fully_connected.h"
#include "kernels/tc_requant_block.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What a block function needs besides its pointers; its assembly knows the order of the fields. */
typedef struct tc_lane_row_nibbles_job {
    const uint32_t *x_end;
    const int32_t *weights_end;
    uint32_t entry; /* groups of 4 inputs in the first round, 0 if it is a whole one */
    int32_t first;  /* what the sums of first channels begin with, and those of second ones */
    int32_t second;
} tc_lane_row_nibbles_job;

typedef void tc_lane_row_nibbles(const uint32_t *x, const int32_t *weights, int8_t *output,
                                 const tc_lane_row_nibbles_job *job);

/* The same arithmetic in portable C. */
TC_INLINE void tc_lane_row_nibbles_portable(const uint32_t *x, const int32_t *weights, int8_t *output,
                                            const tc_lane_row_nibbles_job *job, const tc_requant_block *requant)
{
    while (weights != job->weights_end) {
        int32_t sum[8];
        for (uint32_t channel = 0; channel < 8u; channel++) {
            sum[channel] = channel % 2u == 0u ? job->first : job->second;
        }
        for (const uint32_t *group = x; group != job->x_end; group += 2) {
            for (uint32_t channel = 0; channel < 8u; channel += 2u) {
                const uint32_t both = (uint32_t)*weights++;
                const uint32_t first = both & 0x0F0F0F0Fu;
                sum[channel] = tc_smlad(first, group[0], sum[channel]);
                sum[channel] = tc_smlad(first & 0x00FF00FFu, group[1], sum[channel]);
                sum[channel + 1u] = tc_smlad(both, group[0], sum[channel + 1u]);
                sum[channel + 1u] = tc_smlad(both & 0x00FF00FFu, group[1], sum[channel + 1u]);
            }
        }
        for (uint32_t channel = 0; channel < 8u; channel++) {
            const int32_t second = (int32_t)((uint32_t)sum[channel | 1u] - (uint32_t)sum[channel & ~1u]) >> 4;
            const uint32_t own = (uint32_t)(channel % 2u == 0u ? sum[channel] : second);
            const int32_t *const parameters = weights + 8u + channel * tc_requant_block_words(requant);
            *output++ = tc_requantize_block((int32_t)(own + (uint32_t)weights[channel]), parameters, requant);
        }
        weights += 8u + 8u * tc_requant_block_words(requant);
    }
}

#if TC_DSP_BLOCKS

/* 4 inputs of two channels: p in r2, q in r3; r1 has the word, and then the next one, the last time what lies behind. */
#define TC_LANE_ROW_NIBBLES_PAIR(a, b, next) \
    "and r0, r1, #0x0f0f0f0f\n\t" /* the first channel's */ \
    "smlad " #b ", r1, r2, " #b "\n\t" \
    "uxtb16 r1, r1\n\t" /* the even inputs' alone, for q */ \
    "smlad " #a ", r0, r2, " #a "\n\t" \
    "uxtb16 r0, r0\n\t" \
    "smlad " #b ", r1, r3, " #b "\n\t" \
    next \
    "smlad " #a ", r0, r3, " #a "\n\t"

#define TC_LANE_ROW_NIBBLES_GROUP(load) \
    load \
    TC_LANE_ROW_NIBBLES_PAIR(r4, r5, "ldr r1, [r12, #4]\n\t") \
    TC_LANE_ROW_NIBBLES_PAIR(r6, r7, "ldr r1, [r12, #8]\n\t") \
    TC_LANE_ROW_NIBBLES_PAIR(r8, r9, "ldr r1, [r12, #12]\n\t") \
    TC_LANE_ROW_NIBBLES_PAIR(r10, r11, "ldr r1, [r12, #16]!\n\t")

#define TC_LANE_ROW_LOAD_SINGLE \
    "ldr r3, [lr, #4]\n\t" \
    "ldr r2, [lr], #8\n\t"

/* The sums of four channels with their starts. */
#define TC_LANE_ROW_NIBBLES_START(a, b, c, d) \
    "ldmia r12!, {r0, r1, r2, r3}\n\t" \
    "sub " #b ", " #b ", " #a "\n\t" \
    "sub " #d ", " #d ", " #c "\n\t" \
    "add " #a ", " #a ", r0\n\t" \
    "add " #b ", r1, " #b ", asr #4\n\t" \
    "add " #c ", " #c ", r2\n\t" \
    "add " #d ", r3, " #d ", asr #4\n\t"

/*
 * r4-r11 accumulate 8 channels; r12 walks the weights, lr the row.
 * Slots: 0 start of x, 1 its end, 2 output, 4 end of the weights, 5 entry; 8, 9 what sums begin with.
 */
#define TC_LANE_ROW_NIBBLES_TEXT(loop, group, load, form, saturate, bits, shift, low, high) \
    TC_KEEP(r0, 0) \
    TC_KEEP(r2, 2) \
    "ldm r3, {r4, r5, r6, r8, r10}\n\t" \
    TC_KEEP(r4, 1) \
    TC_KEEP(r5, 4) \
    TC_KEEP(r6, 5) \
    TC_KEEP(r8, 8) \
    TC_KEEP(r10, 9) \
    "mov r12, r1\n" \
    "1:\n\t" /* 8 channels */ \
    TC_FETCH(lr, 0) \
    TC_FETCH(r3, 5) \
    TC_FETCH_PAIR(r4, r5, 8, 9) \
    "ldr r1, [r12]\n\t" \
    "mov r6, r4\n\t" \
    "mov r7, r5\n\t" \
    "mov r8, r4\n\t" \
    "mov r9, r5\n\t" \
    "mov r10, r4\n\t" \
    "mov r11, r5\n\t" \
    loop(r3, group) \
    TC_FETCH(r3, 1) \
    "cmp lr, r3\n\t" \
    "bne 2b\n\t" \
    TC_LANE_ROW_NIBBLES_START(r4, r5, r6, r7) \
    TC_LANE_ROW_NIBBLES_START(r8, r9, r10, r11) \
    TC_LANE_ROW_FINISH_##form(load, r4, r5, saturate, bits, shift) \
    TC_LANE_ROW_FINISH_##form(load, r6, r7, saturate, bits, shift) \
    TC_LANE_ROW_FINISH_##form(load, r8, r9, saturate, bits, shift) \
    TC_LANE_ROW_FINISH_##form(load, r10, r11, saturate, bits, shift) \
    TC_CLAMP_##saturate("r4, r5, r6, r7, r8, r9, r10, r11", bits, low, high, r0, r1, r2) \
    TC_FETCH(r0, 2) \
    ".irp a, r4, r5, r6, r7, r8, r9, r10, r11\n\t" \
    "strb \\a, [r0], #1\n\t" \
    ".endr\n\t" \
    TC_KEEP(r0, 2) \
    TC_FETCH(r1, 4) \
    "cmp r12, r1\n\t" \
    "bne 1b\n\t"

#define TC_LANE_ROW_NIBBLES_BLOCK(name, text) \
    TC_BLOCK_FUNCTION(name, const uint32_t *, const int32_t *, int8_t *, const tc_lane_row_nibbles_job *, text)
#define TC_LANE_ROW_NIBBLES_PLAIN(name, loop, ...) \
    TC_LANE_ROW_NIBBLES_BLOCK(name, TC_LANE_ROW_NIBBLES_TEXT(loop, TC_LANE_ROW_NIBBLES_GROUP(TC_LANE_ROW_LOAD), \
                                                             TC_LANE_ROW_PARAMETERS, __VA_ARGS__))
#define TC_LANE_ROW_NIBBLES_BY_ONE(name, loop, ...) \
    TC_LANE_ROW_NIBBLES_BLOCK(name, TC_LANE_ROW_NIBBLES_TEXT(loop, TC_LANE_ROW_NIBBLES_GROUP(TC_LANE_ROW_LOAD_SINGLE), \
                                                             TC_LANE_ROW_PARAMETERS_DUAL, __VA_ARGS__))
#define TC_LANE_ROW_NIBBLES(name, ...) TC_LANE_ROW_NIBBLES_PLAIN(name, TC_LANE_ROW_SHORT_ROUNDS, __VA_ARGS__)
#define TC_LANE_ROW_NIBBLES_LONG(name, ...) TC_LANE_ROW_NIBBLES_PLAIN(name, TC_LANE_ROW_LONG_ROUNDS, __VA_ARGS__)
#define TC_LANE_ROW_NIBBLES_SINGLE(name, ...) TC_LANE_ROW_NIBBLES_BY_ONE(name, TC_LANE_ROW_SHORT_ROUNDS, __VA_ARGS__)
#define TC_LANE_ROW_NIBBLES_SINGLE_LONG(name, ...) TC_LANE_ROW_NIBBLES_BY_ONE(name, TC_LANE_ROW_LONG_ROUNDS, __VA_ARGS__)

#else

#define TC_LANE_ROW_NIBBLES(name, ...) \
    static TC_NOINLINE void name(const uint32_t *x, const int32_t *weights, int8_t *output, \
                                 const tc_lane_row_nibbles_job *job) \
    { \
        static const tc_requant_block requant = TC_REQUANT_BLOCK(__VA_ARGS__); \
        tc_lane_row_nibbles_portable(x, weights, output, job, &requant); \
    }
#define TC_LANE_ROW_NIBBLES_SINGLE TC_LANE_ROW_NIBBLES
#define TC_LANE_ROW_NIBBLES_LONG TC_LANE_ROW_NIBBLES
#define TC_LANE_ROW_NIBBLES_SINGLE_LONG TC_LANE_ROW_NIBBLES

#endif

/* `scratch` holds an expanded row. The last channels may fill only a part of their group of 8. */
TC_INLINE void tc_lane_row_nibbles_s8(const int8_t *input, int8_t *output, const int32_t *weights, void *scratch,
                                      tc_lane_row_nibbles *compute, const tc_lane_fully_connected_shape *shape)
{
    uint32_t *const row = (uint32_t *)scratch;
    const int32_t groups = (shape->inputs + 3) / 4;
    const int32_t whole = shape->outputs / 8;
    const int32_t rest = shape->outputs % 8;
    const int32_t *const last_weights = weights + whole * shape->block_words;
    tc_lane_row_nibbles_job job = {row + 2 * groups, last_weights, (uint32_t)(groups % shape->round), 0, 0};
    for (int32_t i = 0; i < shape->rows; i++, input += shape->inputs, output += shape->outputs) {
        int32_t p = 0;
        int32_t q = 0;
        tc_lane_expand_row(input, (uint32_t)shape->inputs, row);
        for (const uint32_t *group = row; group != job.x_end; group += 2) {
            p = tc_smlad(group[0], 0x00010001u, p);
            q = tc_smlad(group[1], 0x00010001u, q);
        }
        job.first = -8 * (p + q) - 2048 * p;
        job.second = job.first - 128 * (p + q);
        if (whole > 0) {
            job.weights_end = last_weights;
            compute(row, weights, output, &job);
        }
        if (rest > 0) {
            int8_t results[8];
            job.weights_end = last_weights + shape->block_words;
            compute(row, last_weights, results, &job);
            tc_memcpy(output + 8 * whole, results, (uint32_t)rest);
        }
    }
}

#ifdef __cplusplus
}
#endif

#endif
