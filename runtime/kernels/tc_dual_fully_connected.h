/* SPDX-License-Identifier: 0BSD */
/*
 * Rows times a matrix of int16 weights by dual products (docs/kernels.md), 4 output channels in registers.
 *
 * input    [rows][inputs], int8, at least 4 inputs
 * output   [rows][outputs], int8
 * weights  per 4 channels: 4 starts; per 4 inputs and channel the words (w0, w2) and (w1, w3); then the parameters of each
 *          channel (tc_requant_block.h). Where the inputs aren't a multiple of 4, the second four begin so much earlier that
 *          the last end with the row: inputs that are read twice have a weight of zero the second time.
 *
 *     TC_DUAL_ROW(name, form, saturate, bits, shift, low, high)
 *
 * defines the block function `name`.
 */
#ifndef TC_DUAL_FULLY_CONNECTED_H
#define TC_DUAL_FULLY_CONNECTED_H

#include <stdint.h>
#include <string.h>

#include "cmsis_shim/tc_simd.h"
#include "kernels/tc_align.h"
#include "kernels/tc_inline.h"
#include "kernels/tc_requant_block.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What a block function needs besides its pointers; its assembly knows the order of the fields. */
typedef struct tc_dual_row_job {
    const int8_t *x_end;
    const int32_t *weights_end;
    uint32_t odd;    /* 1 if the number of groups of 4 inputs behind the first is odd */
    uint32_t repeat; /* bytes that the second group reads again */
} tc_dual_row_job;

typedef void tc_dual_row(const int8_t *x, const int32_t *weights, int8_t *output, const tc_dual_row_job *job);

typedef struct tc_dual_fully_connected_shape {
    int32_t rows;
    int32_t inputs;
    int32_t outputs;
    int32_t block_words; /* of `weights` per 4 channels */
} tc_dual_fully_connected_shape;

/* The same arithmetic in portable C. */
TC_INLINE void tc_dual_row_portable(const int8_t *x, const int32_t *weights, int8_t *output, const tc_dual_row_job *job,
                                    const tc_requant_block *requant)
{
    while (weights != job->weights_end) {
        int32_t sum[4];
        memcpy(sum, weights, sizeof sum);
        weights += 4;
        for (const int8_t *group = x; group != job->x_end; group += 4) {
            if (group == x + 4) {
                group -= job->repeat;
            }
            const uint32_t bytes = tc_load4(group);
            for (uint32_t channel = 0; channel < 4u; channel++, weights += 2) {
                sum[channel] = tc_smlad((uint32_t)weights[0], tc_sxtb16(bytes, 0), sum[channel]);
                sum[channel] = tc_smlad((uint32_t)weights[1], tc_sxtb16(bytes, 8), sum[channel]);
            }
        }
        for (uint32_t channel = 0; channel < 4u; channel++) {
            *output++ = tc_requantize_block(sum[channel], weights, requant);
            weights += tc_requant_block_words(requant);
        }
    }
}

#if TC_DSP_BLOCKS

#if TC_STRICT_ALIGNMENT
#define TC_DUAL_ROW_LOAD /* the inputs may be anywhere */ \
    "ldrb r8, [lr], #4\n\t" \
    "ldrb r9, [lr, #-3]\n\t" \
    "ldrb r10, [lr, #-2]\n\t" \
    "ldrb r0, [lr, #-1]\n\t" \
    "orr r8, r8, r9, lsl #8\n\t" \
    "orr r8, r8, r10, lsl #16\n\t" \
    "orr r8, r8, r0, lsl #24\n\t"
#else
#define TC_DUAL_ROW_LOAD \
    "ldr r8, [lr], #4\n\t"
#endif

/* 4 inputs of 4 channels. */
#define TC_DUAL_ROW_GROUP \
    TC_DUAL_ROW_LOAD \
    "ldmia r12!, {r0-r3}\n\t" \
    "sxtb16 r9, r8\n\t" \
    "sxtb16 r10, r8, ror #8\n\t" \
    "smlad r4, r0, r9, r4\n\t" \
    "smlad r5, r2, r9, r5\n\t" \
    "smlad r4, r1, r10, r4\n\t" \
    "smlad r5, r3, r10, r5\n\t" \
    "ldmia r12!, {r0-r3}\n\t" \
    "smlad r6, r0, r9, r6\n\t" \
    "smlad r7, r2, r9, r7\n\t" \
    "smlad r6, r1, r10, r6\n\t" \
    "smlad r7, r3, r10, r7\n\t"

#define TC_DUAL_ROW_FINISH(a, form, saturate, bits, shift) \
    "ldrd r0, r1, [r12], #8\n\t" /* multiplier, offset */ \
    TC_IF_SIGNED_##form("ldr r2, [r12], #4\n\t") \
    TC_HIGH_##form(a, r0, r1, r2, r3) \
    TC_SATURATE(a, saturate, bits, shift)

/*
 * r4-r7 accumulate 4 channels; r12 walks the weights, lr the row, which ends at r11.
 * Slots: 0 start of x, 1 repeat, 2 output, 4 end of the weights, 5 odd.
 */
#define TC_DUAL_ROW_TEXT(form, saturate, bits, shift, low, high) \
    TC_KEEP(r0, 0) \
    TC_KEEP(r2, 2) \
    "ldr r11, [r3]\n\t" \
    "ldr r5, [r3, #4]\n\t" \
    "ldrd r6, r7, [r3, #8]\n\t" \
    TC_KEEP(r7, 1) \
    TC_KEEP(r5, 4) \
    TC_KEEP(r6, 5) \
    "mov r12, r1\n" \
    "1:\n\t" /* 4 channels */ \
    TC_FETCH(lr, 0) \
    "ldmia r12!, {r4-r7}\n\t" \
    TC_DUAL_ROW_GROUP \
    "cmp lr, r11\n\t" \
    "beq 4f\n\t" \
    TC_FETCH(r0, 1) \
    TC_FETCH(r1, 5) \
    "sub lr, lr, r0\n\t" \
    "cmp r1, #0\n\t" \
    "bne 3f\n" \
    "2:\n\t" /* 8 inputs per round, entered in the middle where the number of groups is odd */ \
    TC_DUAL_ROW_GROUP \
    "3:\n\t" \
    TC_DUAL_ROW_GROUP \
    "cmp lr, r11\n\t" \
    "bne 2b\n" \
    "4:\n\t" \
    TC_DUAL_ROW_FINISH(r4, form, saturate, bits, shift) \
    TC_DUAL_ROW_FINISH(r5, form, saturate, bits, shift) \
    TC_DUAL_ROW_FINISH(r6, form, saturate, bits, shift) \
    TC_DUAL_ROW_FINISH(r7, form, saturate, bits, shift) \
    TC_CLAMP_##saturate("r4, r5, r6, r7", bits, low, high, r0, r1, r2) \
    TC_FETCH(r0, 2) \
    ".irp a, r4, r5, r6, r7\n\t" \
    "strb \\a, [r0], #1\n\t" \
    ".endr\n\t" \
    TC_KEEP(r0, 2) \
    TC_FETCH(r1, 4) \
    "cmp r12, r1\n\t" \
    "bne 1b\n\t"

#define TC_DUAL_ROW(name, ...) \
    TC_BLOCK_FUNCTION(name, const int8_t *, const int32_t *, int8_t *, const tc_dual_row_job *, TC_DUAL_ROW_TEXT(__VA_ARGS__))

#else

#define TC_DUAL_ROW(name, ...) \
    static TC_NOINLINE void name(const int8_t *x, const int32_t *weights, int8_t *output, const tc_dual_row_job *job) \
    { \
        static const tc_requant_block requant = TC_REQUANT_BLOCK(__VA_ARGS__); \
        tc_dual_row_portable(x, weights, output, job, &requant); \
    }

#endif

/* The last channels may fill only a part of their group of 4. */
TC_INLINE void tc_dual_fully_connected_s8(const int8_t *input, int8_t *output, const int32_t *weights,
                                          tc_dual_row *compute, const tc_dual_fully_connected_shape *shape)
{
    const int32_t whole = shape->outputs / 4;
    const int32_t rest = shape->outputs % 4;
    const int32_t *const last_weights = weights + whole * shape->block_words;
    const uint32_t odd = (uint32_t)(((shape->inputs + 3) / 4 - 1) % 2);
    const uint32_t repeat = (uint32_t)((4 - shape->inputs % 4) % 4);
    for (int32_t row = 0; row < shape->rows; row++) {
        const int8_t *const end = input + shape->inputs;
        if (whole > 0) {
            const tc_dual_row_job job = {end, last_weights, odd, repeat};
            compute(input, weights, output, &job);
        }
        if (rest > 0) {
            const tc_dual_row_job job = {end, last_weights + shape->block_words, odd, repeat};
            int8_t results[4];
            compute(input, last_weights, results, &job);
            tc_memcpy(output + 4 * whole, results, (uint32_t)rest);
        }
        input = end;
        output += shape->outputs;
    }
}

#ifdef __cplusplus
}
#endif

#endif
