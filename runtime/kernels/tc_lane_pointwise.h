/* SPDX-License-Identifier: 0BSD */
/*
 * Convolution with a window of one pixel by the byte-lane product, all blocks of 4 pixels in one call (docs/kernels.md):
 *
 *     TC_LANE_POINTWISE(name, depth, groups, unrolled, stride, form, saturate, bits, shift, low, high)
 *     TC_LANE_POINTWISE_SINGLE(name, depth, ...) for cores on which only loads of one word stand beside others
 *
 * define `name`, whose pixels have `depth` inputs; the others are the arguments of TC_LANE_STRAIGHT_4 (tc_lane_straight.h).
 * Where `depth` isn't a multiple of 4 the last word of a pixel reaches into the next one, where weights are 0: a pixel must
 * follow the last one.
 *
 * input    [pixels][input_channels], int8
 * output   [pixels][output_channels], int8
 * weights  per pair of channels, as in tc_lane_block.h
 * scratch  the expanded pixels of a block
 */
#ifndef TC_LANE_POINTWISE_H
#define TC_LANE_POINTWISE_H

#include <stdint.h>

#include "cmsis_shim/tc_simd.h"
#include "kernels/tc_add_to.h"
#include "kernels/tc_inline.h"
#include "kernels/tc_lane.h"
#include "kernels/tc_lane_block.h"
#include "kernels/tc_lane_conv2d.h"
#include "kernels/tc_lane_straight.h"
#include "kernels/tc_requant_block.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What the function needs besides its pointers; its assembly knows the order of the fields. */
typedef struct tc_lane_pointwise_job {
    uint32_t *block;            /* scratch */
    const int8_t *input_end;    /* of whole blocks of 4 pixels */
    const int32_t *weights_end; /* as in tc_lane_job */
    const int32_t *last_end;
} tc_lane_pointwise_job;

typedef void tc_lane_pointwise(const int8_t *input, const int32_t *weights, int8_t *output,
                               const tc_lane_pointwise_job *job);

/* The same arithmetic in portable C. */
TC_INLINE void tc_lane_pointwise_portable(const int8_t *input, const int32_t *weights, int8_t *output,
                                          const tc_lane_pointwise_job *job, uint32_t depth, uint32_t groups,
                                          uint32_t stride, const tc_requant_block *requant)
{
    const tc_lane_job each = {0, stride, job->weights_end, job->last_end, job->block + 8u * groups};
    for (; input != job->input_end; input += 4u * depth, output += 4u * stride) {
        for (uint32_t pixel = 0; pixel < 4u; pixel++) {
            tc_lane_expand_pixel(input + pixel * depth, depth, job->block + pixel, 4);
        }
        tc_lane_block_portable(job->block, weights, output, &each, 4, requant);
    }
}

#if TC_DSP_BLOCKS

/*
 * Slots as in tc_lane_straight.h: 0 the block, 1 input, 2 output, 3 end of the pairs at hand, 4 end of the input, 5 end of
 * the block, 6 end with the last pair; 8 weights, 9 end of the pairs side by side.
 */
#define TC_LANE_CALL_TEXT(expand, advance, once, each, group, before, spare, groups, unrolled, stride, form, ...) \
    TC_LANE_PAIRS_OF_ROUND(groups, stride) \
    TC_LANE_ON_LAST_PAIR \
    "ldm r3, {r4, r5, r6, r8}\n\t" \
    TC_KEEP_PAIR(r4, r0, 0, 1) \
    TC_KEEP_PAIR(r2, r6, 2, 3) \
    TC_KEEP(r5, 4) \
    TC_KEEP(r8, 6) \
    TC_KEEP_PAIR(r1, r6, 8, 9) \
    "add r4, r4, #32 * " #groups "\n\t" \
    TC_KEEP(r4, 5) \
    "8:\n\t" /* a block */ \
    TC_FETCH_PAIR(r2, r0, 0, 1) \
    TC_LANE_CALL_STARTS_##form(stride) \
    TC_LANE_EXPAND_CONSTANTS \
    expand \
    TC_ADD_TO(r0, advance, r4) \
    TC_KEEP(r0, 1) \
    TC_FETCH(r12, 8) \
    ".if " #stride " %% 2\n\t" \
    TC_FETCH(r4, 9) \
    TC_KEEP(r4, 3) \
    ".endif\n\t" \
    TC_LANE_STRAIGHT_PAIRS(once, each, group, before, spare, groups, unrolled, stride, form, __VA_ARGS__) \
    "add r0, r0, #3 * " #stride "\n\t" \
    TC_KEEP(r0, 2) \
    TC_FETCH(r0, 1) \
    TC_FETCH(r1, 4) \
    "cmp r0, r1\n\t" \
    "bne 8b\n\t"

/* Slot 10 to where starts that lie apart begin. */
#define TC_LANE_CALL_STARTS_smmla(stride) ""
#define TC_LANE_CALL_STARTS_smmla_signed TC_LANE_CALL_STARTS_smmla
#define TC_LANE_CALL_STARTS_smmla_apart(stride) \
    "movw r4, #4 * ((" #stride " + 1) / 2 * 2)\n\t" \
    "sub r4, r2, r4\n\t" \
    TC_KEEP(r4, 10)
#define TC_LANE_CALL_STARTS_smmla_signed_apart TC_LANE_CALL_STARTS_smmla_apart

/* The same with all loads in pairs or of single words. `advance`: bytes from a block's inputs to the next one's. */
#define TC_LANE_CALL_PAIRS(expand, advance, ...) \
    TC_LANE_CALL_TEXT(expand, advance, TC_FETCH(lr, 0), "", TC_LANE_GROUP_4_AT, "", r0, __VA_ARGS__)
#define TC_LANE_CALL_SINGLE(expand, advance, ...) \
    TC_LANE_CALL_TEXT(expand, advance, "", TC_FETCH(lr, 0), TC_LANE_GROUP_4_SINGLE, TC_LANE_FIRST_WEIGHTS, r3, __VA_ARGS__)

/* Pixels beside each other. */
#define TC_LANE_POINTWISE_EXPAND(depth, groups) \
    ".set .Ltc_at, 0\n\t" \
    ".rept " #groups "\n\t" \
    "ldr r8, [r0, #.Ltc_at]\n\t" \
    "ldr r9, [r0, #.Ltc_at + " #depth "]\n\t" \
    "ldr r10, [r0, #.Ltc_at + 2 * " #depth "]\n\t" \
    "ldr r11, [r0, #.Ltc_at + 3 * " #depth "]\n\t" \
    TC_LANE_EXPAND_WORDS \
    ".set .Ltc_at, .Ltc_at + 4\n\t" \
    ".endr\n\t"

#define TC_LANE_CALL(name, first, text) \
    static TC_NOINLINE void name(const int8_t *argument0, const int32_t *argument1, int8_t *argument2, \
                                 const tc_lane_pointwise_job *argument3) \
    { \
        first \
        register const int8_t *r0 __asm__("r0") = argument0; \
        register const int32_t *r1 __asm__("r1") = argument1; \
        register int8_t *r2 __asm__("r2") = argument2; \
        register const tc_lane_pointwise_job *r3 __asm__("r3") = argument3; \
        TC_ASM_WITH_R9( \
            TC_SLOTS_OPEN text TC_SLOTS_CLOSE \
            : "+r"(r0), "+r"(r1), "+r"(r2), "+r"(r3) \
            : \
            : "r4", "r5", "r6", "r8", "r9", "r10", "r11", "r12", "lr", "cc", "memory", TC_SLOT_CLOBBERS); \
    }
#if TC_STRICT_ALIGNMENT
#define TC_POINTWISE_STRICT(depth, groups, stride, ...) \
    if ((((uintptr_t)argument0 | (depth)) & 3u) != 0u) { \
        static const tc_requant_block requant = TC_REQUANT_BLOCK(__VA_ARGS__); \
        tc_lane_pointwise_portable(argument0, argument1, argument2, argument3, depth, groups, stride, &requant); \
        return; \
    }
#else
#define TC_POINTWISE_STRICT(...)
#endif

#define TC_LANE_POINTWISE(name, depth, groups, unrolled, stride, ...) \
    TC_LANE_CALL(name, TC_POINTWISE_STRICT(depth, groups, stride, __VA_ARGS__), \
                 TC_LANE_CALL_PAIRS(TC_LANE_POINTWISE_EXPAND(depth, groups), "4 * " #depth, groups, unrolled, stride, \
                                    __VA_ARGS__))
#define TC_LANE_POINTWISE_SINGLE(name, depth, groups, unrolled, stride, ...) \
    TC_LANE_CALL(name, TC_POINTWISE_STRICT(depth, groups, stride, __VA_ARGS__), \
                 TC_LANE_CALL_SINGLE(TC_LANE_POINTWISE_EXPAND(depth, groups), "4 * " #depth, groups, unrolled, stride, \
                                     __VA_ARGS__))

#else

#define TC_LANE_POINTWISE(name, depth, groups, unrolled, stride, ...) \
    static TC_NOINLINE void name(const int8_t *input, const int32_t *weights, int8_t *output, \
                                 const tc_lane_pointwise_job *job) \
    { \
        static const tc_requant_block requant = TC_REQUANT_BLOCK(__VA_ARGS__); \
        tc_lane_pointwise_portable(input, weights, output, job, depth, groups, stride, &requant); \
    }
#define TC_LANE_POINTWISE_SINGLE TC_LANE_POINTWISE

#endif

/* `compute` for all blocks of 4 pixels, `three` for those of 3 behind them, which may be null. */
TC_INLINE void tc_lane_pointwise_s8(const int8_t *input, int8_t *output, const int32_t *weights, void *scratch,
                                    tc_lane_pointwise *compute, tc_lane_block *three, const tc_lane_conv2d_shape *shape)
{
    const int32_t pixels = 4 * shape->fours;
    const int32_t channels = shape->output_channels;
    uint32_t *const block = (uint32_t *)scratch;
    const tc_lane_pointwise_job job = {
        block,
        input + pixels * shape->input_channels,
        weights + shape->pair_words * (channels / 2),
        weights + shape->pair_words * ((channels + 1) / 2),
    };
    compute(input, weights, output, &job);
    if (shape->threes > 0) {
        tc_lane_position at = {job.input_end, output + pixels * channels, 0, 0};
        tc_lane_conv2d_blocks(&at, weights, block, NULL, 3, shape->threes, three, shape);
    }
}

#ifdef __cplusplus
}
#endif

#endif
