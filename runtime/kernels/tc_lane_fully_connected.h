/* SPDX-License-Identifier: 0BSD */
/*
 * Rows times a matrix by the byte-lane product (docs/kernels.md), 8 output channels in registers.
 *
 * input    [rows][inputs], int8
 * output   [rows][outputs], int8
 * weights  per 8 channels: 8 starts, 8 words per 4 inputs, then the parameters of each channel (tc_requant_block.h)
 *
 *     TC_LANE_ROW(name, form, saturate, bits, shift, low, high)
 *     TC_LANE_ROW_SINGLE(name, form, ...) for cores on which only loads of one word stand beside others
 *     TC_LANE_ROW_LONG(name, form, ...)   with rounds of 8 groups of 4 inputs, not 2
 *     TC_LANE_ROW_SINGLE_LONG(name, form, ...)
 *     TC_LANE_ROW_DIRECT(name, form, ...)
 *
 * define the block function `name` for a row that was expanded to scratch, per 4 inputs p and q (tc_lane.h), or, the last
 * of them, for one that is read as it is, a multiple of 4 inputs.
 *
 *     TC_LANE_ROW_PARTS(name, right, form, ...), TC_LANE_ROW_SINGLE_PARTS(name, right, form, ...), ...
 *
 * define the same for sums that 256 times as much of doesn't fit in a word. Rows are multiplied in parts: all but the first
 * of 480 inputs, of which any weights make sums within 2^23. A part's sum, less `right` of its 8 spare bits, is added to a
 * total. Per 8 channels `weights` begins with the starts of the totals; 8 starts stand in front of each part's words.
 */
#ifndef TC_LANE_FULLY_CONNECTED_H
#define TC_LANE_FULLY_CONNECTED_H

#include <stdint.h>
#include <string.h>

#include "cmsis_shim/tc_simd.h"
#include "kernels/tc_align.h"
#include "kernels/tc_inline.h"
#include "kernels/tc_lane.h"
#include "kernels/tc_requant.h"
#include "kernels/tc_requant_block.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What a block function needs besides its pointers; its assembly knows the order of the fields. */
typedef struct tc_lane_row_job {
    const void *x_end;
    const int32_t *weights_end;
    uint32_t entry; /* groups of 4 inputs in the first round, 0 if it is a whole one */
} tc_lane_row_job;

/* For rows in parts. */
typedef struct tc_lane_row_parts_job {
    tc_lane_row_job row;
    const void *first_end; /* of the first part */
    int32_t *totals;       /* room for 8 */
} tc_lane_row_parts_job;

#define TC_LANE_ROW_PART 120 /* groups of 4 inputs in a part that isn't the first: whole rounds of every length */

typedef void tc_lane_row(const void *x, const int32_t *weights, int8_t *output, const tc_lane_row_job *job);

typedef struct tc_lane_fully_connected_shape {
    int32_t rows;
    int32_t inputs;
    int32_t outputs;
    int32_t block_words; /* of `weights` per 8 channels */
    int32_t round;       /* groups of 4 inputs in a round of the block function: 2, or 8 in a LONG one */
    int32_t first_bytes; /* of the first part of a row, as the block function reads it; 0 if rows aren't divided */
} tc_lane_fully_connected_shape;

/* The sums of 8 channels over the row from `group` to `end` in portable C; returns the weights behind. */
TC_INLINE const int32_t *tc_lane_row_products(const int8_t *group, const int8_t *end, const int32_t *weights, int direct,
                                              int32_t sum[8])
{
    memcpy(sum, weights, 8 * sizeof *sum);
    weights += 8;
    for (; group != end; group += direct ? 4 : 8) {
        const uint32_t first = tc_load4(group);
        const uint32_t q = direct ? first ^ 0x00800080u : tc_load4(group + 4);
        const uint32_t p = direct ? tc_ssub16(first & 0xFF00FF00u, q) : first;
        for (uint32_t channel = 0; channel < 8u; channel++) {
            const uint32_t weight = (uint32_t)*weights++;
            sum[channel] = tc_smlad(weight, p, sum[channel]);
            sum[channel] = tc_smlad(tc_sxtb16(weight, 0), q, sum[channel]);
        }
    }
    return weights;
}

/* The same of a row in parts. */
TC_INLINE const int32_t *tc_lane_row_parts(const int8_t *x, const tc_lane_row_parts_job *job, const int32_t *weights,
                                           int direct, int right, int32_t total[8])
{
    const int8_t *end = (const int8_t *)job->first_end;
    memcpy(total, weights, 8 * sizeof *total);
    weights += 8;
    for (;;) {
        int32_t sum[8];
        weights = tc_lane_row_products(x, end, weights, direct, sum);
        for (uint32_t channel = 0; channel < 8u; channel++) {
            total[channel] = tc_wrapping_add(total[channel], sum[channel] >> right);
        }
        if (end == (const int8_t *)job->row.x_end) {
            return weights;
        }
        x = end;
        end += TC_LANE_ROW_PART * (direct ? 4 : 8);
    }
}

/* The block functions' arithmetic in portable C; `right` is 0 for rows that aren't divided. */
TC_INLINE void tc_lane_row_portable(const void *x, const int32_t *weights, int8_t *output, const tc_lane_row_job *job,
                                    int direct, int right, const tc_requant_block *requant)
{
    while (weights != job->weights_end) {
        int32_t sum[8];
        const int8_t *const row = (const int8_t *)x;
        if (right > 0) {
            weights = tc_lane_row_parts(row, (const tc_lane_row_parts_job *)job, weights, direct, right, sum);
        } else {
            weights = tc_lane_row_products(row, (const int8_t *)job->x_end, weights, direct, sum);
        }
        for (uint32_t channel = 0; channel < 8u; channel++) {
            *output++ = tc_requantize_block(sum[channel], weights, requant);
            weights += tc_requant_block_words(requant);
        }
    }
}

#if TC_DSP_BLOCKS

#define TC_LANE_ROW_LOAD \
    "ldrd r2, r3, [lr], #8\n\t"

#if TC_STRICT_ALIGNMENT
#define TC_LANE_ROW_BYTES /* the inputs may be anywhere */ \
    "ldrb r3, [lr], #4\n\t" \
    "ldrb r0, [lr, #-3]\n\t" \
    "ldrb r1, [lr, #-2]\n\t" \
    "ldrb r2, [lr, #-1]\n\t" \
    "orr r3, r3, r0, lsl #8\n\t" \
    "orr r3, r3, r1, lsl #16\n\t" \
    "orr r3, r3, r2, lsl #24\n\t"
#else
#define TC_LANE_ROW_BYTES \
    "ldr r3, [lr], #4\n\t"
#endif

#define TC_LANE_ROW_LOAD_DIRECT \
    TC_LANE_ROW_BYTES \
    "and r2, r3, #0xff00ff00\n\t" /* (256 x1, 256 x3) */ \
    "eor r3, r3, #0x00800080\n\t" /* q = (256 x1 + x0 + 128, 256 x3 + x2 + 128) */ \
    "ssub16 r2, r2, r3\n\t"       /* p = (-x0 - 128, -x2 - 128) */

/* 4 inputs: p in r2, q in r3. */
#define TC_LANE_ROW_PRODUCTS(a, b) \
    "ldrd r0, r1, [r12], #8\n\t" \
    "smlad " #a ", r0, r2, " #a "\n\t" \
    "sxtb16 r0, r0\n\t" /* the even weights alone, for q */ \
    "smlad " #b ", r1, r2, " #b "\n\t" \
    "sxtb16 r1, r1\n\t" \
    "smlad " #a ", r0, r3, " #a "\n\t" \
    "smlad " #b ", r1, r3, " #b "\n\t"

#define TC_LANE_ROW_GROUP(load) \
    load \
    TC_LANE_ROW_PRODUCTS(r4, r5) \
    TC_LANE_ROW_PRODUCTS(r6, r7) \
    TC_LANE_ROW_PRODUCTS(r8, r9) \
    TC_LANE_ROW_PRODUCTS(r10, r11)

/*
 * The same for cores on which a load of one word issues beside a product, and one of two beside nothing: 17 cycles on the
 * Cortex-M7 (above 21), in an order from `benchmarks/schedule.py --llvm`. r0, the first channel's weights, is loaded
 * by the group before, the last time from behind the weights, where the parameters are.
 */
#define TC_LANE_ROW_GROUP_SINGLE \
    "ldr r3, [lr, #4]\n\t" /* q */ \
    "ldr r2, [lr], #8\n\t" /* p, from the other bank of the memory */ \
    "ldr r1, [r12, #4]\n\t" \
    "smlad r4, r0, r2, r4\n\t" \
    "sxtb16 r0, r0\n\t" /* the even weights alone, for q */ \
    "smlad r5, r1, r2, r5\n\t" \
    "sxtb16 r1, r1\n\t" \
    "smlad r4, r0, r3, r4\n\t" \
    "ldr r0, [r12, #8]\n\t" \
    "smlad r5, r1, r3, r5\n\t" \
    "ldr r1, [r12, #12]\n\t" \
    TC_LANE_ROW_PRODUCTS_SINGLE(r6, r7, "ldr r0, [r12, #16]\n\t", "ldr r1, [r12, #20]\n\t") \
    TC_LANE_ROW_PRODUCTS_SINGLE(r8, r9, "ldr r0, [r12, #24]\n\t", "ldr r1, [r12, #28]\n\t") \
    TC_LANE_ROW_PRODUCTS_SINGLE(r10, r11, "ldr r0, [r12, #32]!\n\t", "")
#define TC_LANE_ROW_PRODUCTS_SINGLE(a, b, next0, next1) \
    "smlad " #a ", r0, r2, " #a "\n\t" \
    "sxtb16 r0, r0\n\t" \
    "smlad " #b ", r1, r2, " #b "\n\t" \
    "sxtb16 r1, r1\n\t" \
    "smlad " #a ", r0, r3, " #a "\n\t" \
    next0 \
    "smlad " #b ", r1, r3, " #b "\n\t" \
    next1

/* Results of two channels; `load`: both multipliers and offsets. */
#define TC_LANE_ROW_FINISH_smmla(load, a, b, saturate, bits, shift) \
    load \
    TC_HIGH_smmla(a, r0, r1, r2, r3) \
    TC_HIGH_smmla(b, r2, r3, r0, r1) \
    TC_SATURATE(a, saturate, bits, shift) \
    TC_SATURATE(b, saturate, bits, shift)
#define TC_LANE_ROW_FINISH_smmla_signed(load, a, b, saturate, bits, shift) \
    TC_LANE_ROW_FINISH_ONE(a, saturate, bits, shift) \
    TC_LANE_ROW_FINISH_ONE(b, saturate, bits, shift)
#define TC_LANE_ROW_FINISH_ONE(a, saturate, bits, shift) \
    "ldrd r0, r1, [r12], #8\n\t" \
    "ldr r2, [r12], #4\n\t" \
    TC_HIGH_smmla_signed(a, r0, r1, r2, r3) \
    TC_SATURATE(a, saturate, bits, shift)
#define TC_LANE_ROW_PARAMETERS \
    "ldmia r12!, {r0, r1, r2, r3}\n\t"
#define TC_LANE_ROW_PARAMETERS_DUAL /* LDM keeps the second pipeline of cores that have one from working */ \
    "ldrd r0, r1, [r12], #16\n\t" \
    "ldrd r2, r3, [r12, #-8]\n\t"

/* Rounds of 2 groups, entered in the middle where their number is odd. */
#define TC_LANE_ROW_SHORT_ROUNDS(spare, group) \
    "cmp " #spare ", #0\n\t" \
    "bne 3f\n" \
    "2:\n\t" \
    group \
    "3:\n\t" \
    group

/* Rounds of 8 groups, entered so that the last one is a full one. */
#define TC_LANE_ROW_LONG_ROUNDS(spare, group) \
    "tbh [pc, " #spare ", lsl #1]\n" \
    "8: .short (2f - 8b) / 2, (21f - 8b) / 2, (22f - 8b) / 2, (23f - 8b) / 2, (24f - 8b) / 2, (25f - 8b) / 2\n\t" \
    ".short (26f - 8b) / 2, (27f - 8b) / 2\n" \
    "2:\n\t" \
    group \
    ".irp k, 7, 6, 5, 4, 3, 2, 1\n" \
    "2\\k:\n\t" \
    group \
    ".endr\n\t"

/* What rows in parts have more than others, and others nothing of. */
#define TC_LANE_ROW_AS_A_WHOLE_JOB
#define TC_LANE_ROW_AS_A_WHOLE_BEGIN
#define TC_LANE_ROW_AS_A_WHOLE_END(spare, bytes, right)

#define TC_LANE_ROW_IN_PARTS_JOB \
    "ldrd r5, r6, [r3, #12]\n\t" /* first_end, totals */ \
    TC_KEEP(r5, 3) \
    TC_KEEP(r6, 6) \
    TC_KEEP(r4, 8)
#define TC_LANE_ROW_IN_PARTS_BEGIN \
    "ldmia r12!, {r4-r11}\n\t" \
    TC_FETCH(r0, 6) \
    TC_FETCH(r1, 3) \
    "stmia r0, {r4-r11}\n\t" \
    TC_KEEP(r1, 1)
#define TC_LANE_ROW_IN_PARTS_END(spare, bytes, right) \
    TC_FETCH(r0, 6) \
    TC_LANE_ROW_TOTALS(r4, r5, right) \
    TC_LANE_ROW_TOTALS(r6, r7, right) \
    TC_LANE_ROW_TOTALS(r8, r9, right) \
    TC_LANE_ROW_TOTALS(r10, r11, right) \
    TC_FETCH(r0, 8) \
    "cmp lr, r0\n\t" \
    "beq 5f\n\t" \
    "add r0, lr, #" #bytes "\n\t" \
    TC_KEEP(r0, 1) \
    "mov " #spare ", #0\n\t" \
    "b 4b\n" \
    "5:\n\t"
#define TC_LANE_ROW_TOTALS(a, b, right) \
    "ldrd r2, r3, [r0]\n\t" \
    "add " #a ", r2, " #a ", asr #" #right "\n\t" \
    "add " #b ", r3, " #b ", asr #" #right "\n\t" \
    "strd " #a ", " #b ", [r0], #8\n\t"

/*
 * r4-r11 accumulate 8 channels; r12 walks the weights, lr the row.
 * Slots: 0 start of x, 1 end of it or of its part, 2 output, 4 end of the weights, 5 entry; of rows in parts 3 end of the
 * first part, 6 totals, 8 end of x.
 */
#define TC_LANE_ROW_TEXT(parts, bytes, loop, group, before, spare, load, right, form, saturate, bits, shift, low, high) \
    TC_KEEP(r0, 0) \
    TC_KEEP(r2, 2) \
    "ldrd r4, r5, [r3]\n\t" \
    "ldr r6, [r3, #8]\n\t" \
    TC_KEEP(r4, 1) \
    TC_KEEP(r5, 4) \
    TC_KEEP(r6, 5) \
    parts##_JOB \
    "mov r12, r1\n" \
    "1:\n\t" /* 8 channels */ \
    parts##_BEGIN \
    TC_FETCH(lr, 0) \
    TC_FETCH(spare, 5) \
    "\n4:\n\t" /* a part of the row */ \
    "ldmia r12!, {r4-r11}\n\t" \
    before \
    loop(spare, group) \
    TC_FETCH(spare, 1) \
    "cmp lr, " #spare "\n\t" \
    "bne 2b\n\t" \
    parts##_END(spare, bytes, right) \
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

#define TC_LANE_ROW_BLOCK(name, text) \
    TC_BLOCK_FUNCTION(name, const void *, const int32_t *, int8_t *, const tc_lane_row_job *, text)
#define TC_LANE_ROW_PLAIN(name, parts, loop, ...) \
    TC_LANE_ROW_BLOCK(name, TC_LANE_ROW_TEXT(parts, 960, loop, TC_LANE_ROW_GROUP(TC_LANE_ROW_LOAD), "", r0, \
                                             TC_LANE_ROW_PARAMETERS, __VA_ARGS__))
#define TC_LANE_ROW_BY_ONE(name, parts, loop, ...) \
    TC_LANE_ROW_BLOCK(name, TC_LANE_ROW_TEXT(parts, 960, loop, TC_LANE_ROW_GROUP_SINGLE, "ldr r0, [r12]\n\t", r3, \
                                             TC_LANE_ROW_PARAMETERS_DUAL, __VA_ARGS__))
#define TC_LANE_ROW_AS_IS(name, parts, ...) \
    TC_LANE_ROW_BLOCK(name, TC_LANE_ROW_TEXT(parts, 480, TC_LANE_ROW_SHORT_ROUNDS, \
                                             TC_LANE_ROW_GROUP(TC_LANE_ROW_LOAD_DIRECT), "", r0, TC_LANE_ROW_PARAMETERS, \
                                             __VA_ARGS__))
#define TC_LANE_ROW(name, ...) TC_LANE_ROW_PLAIN(name, TC_LANE_ROW_AS_A_WHOLE, TC_LANE_ROW_SHORT_ROUNDS, 0, __VA_ARGS__)
#define TC_LANE_ROW_LONG(name, ...) TC_LANE_ROW_PLAIN(name, TC_LANE_ROW_AS_A_WHOLE, TC_LANE_ROW_LONG_ROUNDS, 0, __VA_ARGS__)
#define TC_LANE_ROW_SINGLE(name, ...) TC_LANE_ROW_BY_ONE(name, TC_LANE_ROW_AS_A_WHOLE, TC_LANE_ROW_SHORT_ROUNDS, 0, __VA_ARGS__)
#define TC_LANE_ROW_SINGLE_LONG(name, ...) \
    TC_LANE_ROW_BY_ONE(name, TC_LANE_ROW_AS_A_WHOLE, TC_LANE_ROW_LONG_ROUNDS, 0, __VA_ARGS__)
#define TC_LANE_ROW_DIRECT(name, ...) TC_LANE_ROW_AS_IS(name, TC_LANE_ROW_AS_A_WHOLE, 0, __VA_ARGS__)
#define TC_LANE_ROW_PARTS(name, ...) TC_LANE_ROW_PLAIN(name, TC_LANE_ROW_IN_PARTS, TC_LANE_ROW_SHORT_ROUNDS, __VA_ARGS__)
#define TC_LANE_ROW_LONG_PARTS(name, ...) TC_LANE_ROW_PLAIN(name, TC_LANE_ROW_IN_PARTS, TC_LANE_ROW_LONG_ROUNDS, __VA_ARGS__)
#define TC_LANE_ROW_SINGLE_PARTS(name, ...) \
    TC_LANE_ROW_BY_ONE(name, TC_LANE_ROW_IN_PARTS, TC_LANE_ROW_SHORT_ROUNDS, __VA_ARGS__)
#define TC_LANE_ROW_SINGLE_LONG_PARTS(name, ...) \
    TC_LANE_ROW_BY_ONE(name, TC_LANE_ROW_IN_PARTS, TC_LANE_ROW_LONG_ROUNDS, __VA_ARGS__)
#define TC_LANE_ROW_DIRECT_PARTS(name, ...) TC_LANE_ROW_AS_IS(name, TC_LANE_ROW_IN_PARTS, __VA_ARGS__)

#else

#define TC_LANE_ROW_BLOCK(name, direct, right, ...) \
    static TC_NOINLINE void name(const void *x, const int32_t *weights, int8_t *output, const tc_lane_row_job *job) \
    { \
        static const tc_requant_block requant = TC_REQUANT_BLOCK(__VA_ARGS__); \
        tc_lane_row_portable(x, weights, output, job, direct, right, &requant); \
    }
#define TC_LANE_ROW(name, ...) TC_LANE_ROW_BLOCK(name, 0, 0, __VA_ARGS__)
#define TC_LANE_ROW_SINGLE TC_LANE_ROW
#define TC_LANE_ROW_LONG TC_LANE_ROW
#define TC_LANE_ROW_SINGLE_LONG TC_LANE_ROW
#define TC_LANE_ROW_DIRECT(name, ...) TC_LANE_ROW_BLOCK(name, 1, 0, __VA_ARGS__)
#define TC_LANE_ROW_PARTS(name, right, ...) TC_LANE_ROW_BLOCK(name, 0, right, __VA_ARGS__)
#define TC_LANE_ROW_SINGLE_PARTS TC_LANE_ROW_PARTS
#define TC_LANE_ROW_LONG_PARTS TC_LANE_ROW_PARTS
#define TC_LANE_ROW_SINGLE_LONG_PARTS TC_LANE_ROW_PARTS
#define TC_LANE_ROW_DIRECT_PARTS(name, right, ...) TC_LANE_ROW_BLOCK(name, 1, right, __VA_ARGS__)

#endif

/* 8 channels or more of one row, as many as there are weights. */
TC_INLINE void tc_lane_fully_connected_blocks(const void *x, const void *x_end, const int32_t *weights,
                                              const int32_t *weights_end, int8_t *output, tc_lane_row *compute,
                                              const tc_lane_fully_connected_shape *shape)
{
    const tc_lane_row_job row = {x_end, weights_end, (uint32_t)((shape->inputs + 3) / 4 % shape->round)};
    if (shape->first_bytes > 0) {
        int32_t totals[8];
        const tc_lane_row_parts_job job = {row, (const int8_t *)x + shape->first_bytes, totals};
        compute(x, weights, output, &job.row);
    } else {
        compute(x, weights, output, &row);
    }
}

/* One row, from whose place `x` the block function reads. The last channels may fill only a part of their group of 8. */
TC_INLINE void tc_lane_fully_connected_row(const void *x, const void *x_end, int8_t *output, const int32_t *weights,
                                           tc_lane_row *compute, const tc_lane_fully_connected_shape *shape)
{
    const int32_t whole = shape->outputs / 8;
    const int32_t rest = shape->outputs % 8;
    const int32_t *const last_weights = weights + whole * shape->block_words;
    if (whole > 0) {
        tc_lane_fully_connected_blocks(x, x_end, weights, last_weights, output, compute, shape);
    }
    if (rest > 0) {
        const int32_t *const end = last_weights + shape->block_words;
        int8_t results[8];
        tc_lane_fully_connected_blocks(x, x_end, last_weights, end, results, compute, shape);
        tc_memcpy(output + 8 * whole, results, (uint32_t)rest);
    }
}

/* `scratch` holds an expanded row. */
TC_INLINE void tc_lane_fully_connected_s8(const int8_t *input, int8_t *output, const int32_t *weights, void *scratch,
                                          tc_lane_row *compute, const tc_lane_fully_connected_shape *shape)
{
    uint32_t *const row = (uint32_t *)scratch;
    for (int32_t i = 0; i < shape->rows; i++) {
        tc_lane_expand_row(input, (uint32_t)shape->inputs, row);
        tc_lane_fully_connected_row(row, row + 2 * ((shape->inputs + 3) / 4), output, weights, compute, shape);
        input += shape->inputs;
        output += shape->outputs;
    }
}

/* Without scratch: every block function expands the inputs as it reads them. */
TC_INLINE void tc_lane_fully_connected_direct_s8(const int8_t *input, int8_t *output, const int32_t *weights,
                                                 tc_lane_row *compute, const tc_lane_fully_connected_shape *shape)
{
    for (int32_t i = 0; i < shape->rows; i++) {
        tc_lane_fully_connected_row(input, input + shape->inputs, output, weights, compute, shape);
        input += shape->inputs;
        output += shape->outputs;
    }
}

#ifdef __cplusplus
}
#endif

#endif
