/* SPDX-License-Identifier: 0BSD */
/*
 * The byte-lane product in blocks: 4 or 3 pixels times all pairs of output channels (docs/kernels.md).
 *
 *     TC_LANE_BLOCK_4(name, form, saturate, bits, shift, low, high)
 *     TC_LANE_BLOCK_3(name, form, ...)        for cores that issue one instruction at a time
 *     TC_LANE_BLOCK_3_DUAL(name, form, ...)   for cores that issue two
 *     TC_LANE_BLOCK_4_SINGLE(name, form, ...) for those of them on which only loads of one word stand beside others
 *     TC_LANE_BLOCK_3_SINGLE(name, form, ...)
 *
 * define the block function `name`; the other arguments are the requantisation (tc_requant_block.h):
 *
 *     x        expanded pixels, per 4 inputs: p of each pixel, q of each pixel (tc_lane.h)
 *     weights  per pair of channels: 2 starts, 2 words per 4 inputs, then the parameters of each channel
 *     output   first channel of pixel 0; pixels are job->stride bytes apart
 *
 * In the forms `_apart` the weights have no starts: those of all pairs of channels, int32, end where x begins.
 */
#ifndef TC_LANE_BLOCK_H
#define TC_LANE_BLOCK_H

#include <stdint.h>

#include "cmsis_shim/tc_simd.h"
#include "kernels/tc_inline.h"
#include "kernels/tc_requant_block.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What a block function needs besides its pointers; its assembly knows the order of the fields. */
typedef struct tc_lane_job {
    uint32_t entry;             /* into a loop of 4 groups of 4 inputs, for the groups after the first */
    uint32_t stride;            /* bytes from an output pixel to the next */
    const int32_t *weights_end; /* of the pairs of channels that lie side by side */
    const int32_t *last_end;    /* and of the last pair, which an odd number of channels needs */
    const uint32_t *x_end;
} tc_lane_job;

typedef void tc_lane_block(const uint32_t *x, const int32_t *weights, int8_t *output, const tc_lane_job *job);

/* The same arithmetic in portable C. */
TC_INLINE void tc_lane_block_portable(const uint32_t *x, const int32_t *weights, int8_t *output, const tc_lane_job *job,
                                      uint32_t pixels, const tc_requant_block *requant)
{
    const int32_t *apart = weights;
    if (requant->is_apart != 0) {
        apart = (const int32_t *)(const void *)x - (job->stride + 1u) / 2u * 2u;
    }
    while (weights != job->last_end) {
        int32_t sum[2][4];
        const int32_t *const starts = requant->is_apart != 0 ? apart : weights;
        for (uint32_t pixel = 0; pixel < pixels; pixel++) {
            sum[0][pixel] = starts[0];
            sum[1][pixel] = starts[1];
        }
        if (requant->is_apart != 0) {
            apart += 2;
        } else {
            weights += 2;
        }
        for (const uint32_t *group = x; group != job->x_end; group += 2u * pixels) {
            for (uint32_t channel = 0; channel < 2u; channel++) {
                const uint32_t weight = (uint32_t)*weights++;
                for (uint32_t pixel = 0; pixel < pixels; pixel++) {
                    sum[channel][pixel] = tc_smlad(weight, group[pixel], sum[channel][pixel]);
                    sum[channel][pixel] = tc_smlad(tc_sxtb16(weight, 0), group[pixels + pixel], sum[channel][pixel]);
                }
            }
        }
        for (uint32_t channel = 0; channel < 2u; channel++) {
            for (uint32_t pixel = 0; pixel < pixels; pixel++) {
                output[pixel * job->stride + channel] = tc_requantize_block(sum[channel][pixel], weights, requant);
            }
            weights += tc_requant_block_words(requant);
        }
        output += weights == job->weights_end && weights != job->last_end ? 1 : 2;
    }
}

#if TC_DSP_BLOCKS

/*
 * r4-r7 accumulate the first channel of each pixel, r8-r11 the second; r12 walks the weights, lr the pixels.
 * Slots: 0 start of x, 1 entry into the loop, 2 output, 3 stride, 4 end of the weights, 5 end of x, 6 end with the last pair.
 */
#define TC_LANE_OPEN \
    "ldm r3, {r4, r5, r6, r8, r11}\n\t" \
    TC_KEEP(r0, 0) \
    TC_KEEP(r4, 1) \
    TC_KEEP(r2, 2) \
    TC_KEEP(r5, 3) \
    TC_KEEP(r6, 4) \
    TC_KEEP(r8, 6)

/* The starts of a pair of channels; those that lie apart are walked by slot 10, which is set where x is in r0, stride in r5. */
#define TC_LANE_STARTS_smmla(a, b) "ldrd " #a ", " #b ", [r12], #8\n\t"
#define TC_LANE_STARTS_smmla_signed TC_LANE_STARTS_smmla
#define TC_LANE_STARTS_smmla_apart(a, b) \
    TC_FETCH(r0, 10) \
    "ldrd " #a ", " #b ", [r0], #8\n\t" \
    TC_KEEP(r0, 10)
#define TC_LANE_STARTS_smmla_signed_apart TC_LANE_STARTS_smmla_apart
#define TC_LANE_STARTS_OPEN_smmla ""
#define TC_LANE_STARTS_OPEN_smmla_signed ""
#define TC_LANE_STARTS_OPEN_smmla_apart \
    "add r10, r5, #1\n\t" \
    "bic r10, r10, #1\n\t" \
    "sub r10, r0, r10, lsl #2\n\t" \
    TC_KEEP(r10, 10)
#define TC_LANE_STARTS_OPEN_smmla_signed_apart TC_LANE_STARTS_OPEN_smmla_apart

/* Enters the loop over 4 groups of 4 inputs so that its last round is a full one. */
#define TC_LANE_LOOP(spare, group, at_end) \
    TC_FETCH(spare, 1) \
    "tbb [pc, " #spare "]\n" \
    "8: .byte (20f - 8b) / 2, (21f - 8b) / 2, (22f - 8b) / 2, (23f - 8b) / 2, (24f - 8b) / 2, 0\n" \
    "24:\n\t" \
    group \
    "23:\n\t" \
    group \
    "22:\n\t" \
    group \
    "21:\n\t" \
    group \
    at_end \
    "bne 24b\n" \
    "20:\n\t"

/* After the results of a pair are stored up to r0: on to the next pair, or to the last one, of an odd number of channels. */
#define TC_LANE_NEXT_PAIR \
    TC_KEEP(r0, 2) \
    TC_FETCH(r1, 4) \
    "cmp r12, r1\n\t" \
    "bne 1b\n\t" \
    TC_FETCH(r1, 6) \
    "cmp r12, r1\n\t" \
    "beq 2f\n\t" \
    "sub r0, r0, #1\n\t" /* the last pair repeats one channel */ \
    TC_KEEP(r0, 2) \
    TC_KEEP(r1, 4) \
    "b 1b\n" \
    "2:\n\t"

/* 4 inputs of 4 pixels. The first products of the first group begin with the last pixel's sums, which hold the starts. */
#define TC_LANE_GROUP_4(a0, a1, a2, b0, b1, b2) \
    "ldrd r0, r1, [r12], #8\n\t" /* weights of both channels */ \
    "ldrd r2, r3, [lr], #8\n\t"  /* p of pixels 0, 1 */ \
    "smlad r4, r0, r2, " #a0 "\n\t" \
    "smlad r8, r1, r2, " #b0 "\n\t" \
    "smlad r5, r0, r3, " #a1 "\n\t" \
    "smlad r9, r1, r3, " #b1 "\n\t" \
    "ldrd r2, r3, [lr], #8\n\t" /* p of pixels 2, 3 */ \
    "smlad r6, r0, r2, " #a2 "\n\t" \
    "smlad r10, r1, r2, " #b2 "\n\t" \
    "smlad r7, r0, r3, r7\n\t" \
    "sxtb16 r0, r0\n\t" /* the even weights alone, for q */ \
    "smlad r11, r1, r3, r11\n\t" \
    "ldrd r2, r3, [lr], #8\n\t" /* q of pixels 0, 1 */ \
    "sxtb16 r1, r1\n\t" \
    "smlad r4, r0, r2, r4\n\t" \
    "smlad r5, r0, r3, r5\n\t" \
    "smlad r8, r1, r2, r8\n\t" \
    "smlad r9, r1, r3, r9\n\t" \
    "ldrd r2, r3, [lr], #8\n\t" /* q of pixels 2, 3 */ \
    "smlad r6, r0, r2, r6\n\t" \
    "smlad r10, r1, r2, r10\n\t" \
    "smlad r7, r0, r3, r7\n\t" \
    "smlad r11, r1, r3, r11\n\t"

/*
 * The same for cores on which a load of one word issues beside a product, and one of two beside nothing: 16 cycles on the
 * Cortex-M7, one for each product (above 21), in the order that `benchmarks/schedule.py --llvm` found. r0, the first
 * channel's weights, is loaded by the group before, the last time from behind the weights, where the parameters are.
 */
#define TC_LANE_GROUP_4_SINGLE(a0, a1, a2, b0, b1, b2) \
    "ldr r2, [lr], #32\n\t" /* p of pixel 0 */ \
    "ldr r1, [r12, #4]\n\t" /* weights of the second channel */ \
    "smlad r4, r0, r2, " #a0 "\n\t" \
    "ldr r3, [lr, #-28]\n\t" \
    "smlad r8, r1, r2, " #b0 "\n\t" \
    "smlad r5, r0, r3, " #a1 "\n\t" \
    "ldr r2, [lr, #-24]\n\t" \
    "smlad r9, r1, r3, " #b1 "\n\t" \
    "ldr r3, [lr, #-20]\n\t" \
    "smlad r10, r1, r2, " #b2 "\n\t" \
    "smlad r6, r0, r2, " #a2 "\n\t" \
    "ldr r2, [lr, #-16]\n\t" /* q of pixel 0 */ \
    "smlad r11, r1, r3, r11\n\t" \
    "sxtb16 r1, r1\n\t" /* the even weights alone, for q */ \
    "smlad r7, r0, r3, r7\n\t" \
    "sxtb16 r0, r0\n\t" \
    "smlad r8, r1, r2, r8\n\t" \
    "ldr r3, [lr, #-12]\n\t" \
    "smlad r4, r0, r2, r4\n\t" \
    "ldr r2, [lr, #-8]\n\t" \
    "smlad r5, r0, r3, r5\n\t" \
    "smlad r9, r1, r3, r9\n\t" \
    "ldr r3, [lr, #-4]\n\t" \
    "smlad r6, r0, r2, r6\n\t" \
    "smlad r7, r0, r3, r7\n\t" \
    "smlad r10, r1, r2, r10\n\t" \
    "ldr r0, [r12, #8]!\n\t" /* weights of the next group */ \
    "smlad r11, r1, r3, r11\n\t"

/* The results of one channel: every saturation stands beside another pixel's product, which it issues with. */
#define TC_LANE_FINISH_4(a0, a1, a2, a3, form, saturate, bits, shift, multiplier, offset) \
    TC_HIGH_##form(a0, multiplier, offset, r2, r3) \
    TC_HIGH_##form(a1, multiplier, offset, r2, r3) \
    TC_SATURATE(a0, saturate, bits, shift) \
    TC_HIGH_##form(a2, multiplier, offset, r2, r3) \
    TC_SATURATE(a1, saturate, bits, shift) \
    TC_HIGH_##form(a3, multiplier, offset, r2, r3) \
    TC_SATURATE(a2, saturate, bits, shift) \
    TC_SATURATE(a3, saturate, bits, shift)

/* Both channels', whose parameters follow each other. */
#define TC_LANE_FINISH_PAIR_4_smmla(saturate, bits, shift) \
    "ldmia r12!, {r0, r1, r2, r3}\n\t" \
    TC_LANE_FINISH_4(r4, r5, r6, r7, smmla, saturate, bits, shift, r0, r1) \
    TC_LANE_FINISH_4(r8, r9, r10, r11, smmla, saturate, bits, shift, r2, r3)
#define TC_LANE_FINISH_PAIR_4_smmla_signed(saturate, bits, shift) \
    "ldmia r12!, {r0, r1, r2}\n\t" \
    TC_LANE_FINISH_4(r4, r5, r6, r7, smmla_signed, saturate, bits, shift, r0, r1) \
    "ldmia r12!, {r0, r1, r2}\n\t" \
    TC_LANE_FINISH_4(r8, r9, r10, r11, smmla_signed, saturate, bits, shift, r0, r1)
#define TC_LANE_FINISH_PAIR_4_smmla_apart TC_LANE_FINISH_PAIR_4_smmla
#define TC_LANE_FINISH_PAIR_4_smmla_signed_apart TC_LANE_FINISH_PAIR_4_smmla_signed

#define TC_LANE_STORE_4(a0, a1, a2, a3) \
    "strb " #a1 ", [r0, r2]\n\t" \
    "strb " #a2 ", [r0, r2, lsl #1]\n\t" \
    "strb " #a3 ", [r0, r3]\n\t" \
    "strb " #a0 ", [r0], #1\n\t" /* on to the next channel */

#define TC_LANE_BLOCK_4_TEXT(group, before, spare, form, saturate, bits, shift, low, high) \
    TC_LANE_OPEN \
    TC_KEEP(r11, 5) \
    TC_LANE_STARTS_OPEN_##form \
    "mov r12, r1\n" \
    "1:\n\t" /* a pair of channels */ \
    TC_FETCH(lr, 0) \
    TC_LANE_STARTS_##form(r7, r11) \
    before \
    group(r7, r7, r7, r11, r11, r11) \
    TC_LANE_LOOP(spare, group(r4, r5, r6, r8, r9, r10), TC_FETCH(spare, 5) "cmp lr, " #spare "\n\t") \
    TC_LANE_FINISH_PAIR_4_##form(saturate, bits, shift) \
    TC_CLAMP_##saturate("r4, r5, r6, r7, r8, r9, r10, r11", bits, low, high, r0, r1, r2) \
    TC_FETCH_PAIR(r0, r2, 2, 3) \
    "add r3, r2, r2, lsl #1\n\t" \
    TC_LANE_STORE_4(r4, r5, r6, r7) \
    TC_LANE_STORE_4(r8, r9, r10, r11) \
    TC_LANE_NEXT_PAIR

/* The words of 3 pixels. LDM keeps the second pipeline of cores that have one from working. */
#define TC_LANE_LOAD_3 \
    "ldmia lr!, {r2, r3, r7}\n\t"
#define TC_LANE_LOAD_3_DUAL \
    "ldrd r2, r3, [lr], #12\n\t" \
    "ldr r7, [lr, #-4]\n\t"

#define TC_LANE_GROUP_3(...) TC_LANE_GROUP_3_BY(TC_LANE_LOAD_3, __VA_ARGS__)
#define TC_LANE_GROUP_3_DUAL(...) TC_LANE_GROUP_3_BY(TC_LANE_LOAD_3_DUAL, __VA_ARGS__)
#define TC_LANE_GROUP_3_BY(load, a0, a1, b0, b1) \
    "ldrd r0, r1, [r12], #8\n\t" /* weights of both channels */ \
    load /* p */ \
    "smlad r4, r0, r2, " #a0 "\n\t" \
    "smlad r8, r1, r2, " #b0 "\n\t" \
    "smlad r5, r0, r3, " #a1 "\n\t" \
    "smlad r9, r1, r3, " #b1 "\n\t" \
    "smlad r6, r0, r7, r6\n\t" \
    "sxtb16 r0, r0\n\t" /* the even weights alone, for q */ \
    "smlad r10, r1, r7, r10\n\t" \
    load /* q */ \
    "sxtb16 r1, r1\n\t" \
    "smlad r4, r0, r2, r4\n\t" \
    "smlad r5, r0, r3, r5\n\t" \
    "smlad r8, r1, r2, r8\n\t" \
    "smlad r9, r1, r3, r9\n\t" \
    "smlad r6, r0, r7, r6\n\t" \
    "smlad r10, r1, r7, r10\n\t"

/* Word by word, as with 4 pixels: 12 cycles on the Cortex-M7 (by TC_LANE_LOAD_3_DUAL 16). */
#define TC_LANE_GROUP_3_SINGLE(a0, a1, b0, b1) \
    "ldr r2, [lr], #24\n\t" /* p of pixel 0 */ \
    "ldr r1, [r12, #4]\n\t" /* weights of the second channel */ \
    "smlad r4, r0, r2, " #a0 "\n\t" \
    "ldr r3, [lr, #-20]\n\t" \
    "smlad r8, r1, r2, " #b0 "\n\t" \
    "ldr r7, [lr, #-16]\n\t" \
    "smlad r5, r0, r3, " #a1 "\n\t" \
    "ldr r2, [lr, #-12]\n\t" /* q of pixel 0 */ \
    "smlad r9, r1, r3, " #b1 "\n\t" \
    "ldr r3, [lr, #-8]\n\t" \
    "smlad r10, r1, r7, r10\n\t" \
    "sxtb16 r1, r1\n\t" /* the even weights alone, for q */ \
    "smlad r6, r0, r7, r6\n\t" \
    "sxtb16 r0, r0\n\t" \
    "smlad r8, r1, r2, r8\n\t" \
    "ldr r7, [lr, #-4]\n\t" \
    "smlad r4, r0, r2, r4\n\t" \
    "smlad r5, r0, r3, r5\n\t" \
    "smlad r9, r1, r3, r9\n\t" \
    "smlad r6, r0, r7, r6\n\t" \
    "ldr r0, [r12, #8]!\n\t" /* weights of the next group */ \
    "smlad r10, r1, r7, r10\n\t"

#define TC_LANE_FINISH_3(a0, a1, a2, form, saturate, bits, shift, multiplier, offset) \
    TC_HIGH_##form(a0, multiplier, offset, r2, r3) \
    TC_HIGH_##form(a1, multiplier, offset, r2, r3) \
    TC_SATURATE(a0, saturate, bits, shift) \
    TC_HIGH_##form(a2, multiplier, offset, r2, r3) \
    TC_SATURATE(a1, saturate, bits, shift) \
    TC_SATURATE(a2, saturate, bits, shift)

#define TC_LANE_FINISH_PAIR_3_smmla(saturate, bits, shift) \
    "ldmia r12!, {r0, r1, r2, r3}\n\t" \
    TC_LANE_FINISH_3(r4, r5, r6, smmla, saturate, bits, shift, r0, r1) \
    TC_LANE_FINISH_3(r8, r9, r10, smmla, saturate, bits, shift, r2, r3)
#define TC_LANE_FINISH_PAIR_3_smmla_signed(saturate, bits, shift) \
    "ldmia r12!, {r0, r1, r2}\n\t" \
    TC_LANE_FINISH_3(r4, r5, r6, smmla_signed, saturate, bits, shift, r0, r1) \
    "ldmia r12!, {r0, r1, r2}\n\t" \
    TC_LANE_FINISH_3(r8, r9, r10, smmla_signed, saturate, bits, shift, r0, r1)
#define TC_LANE_FINISH_PAIR_3_smmla_apart TC_LANE_FINISH_PAIR_3_smmla
#define TC_LANE_FINISH_PAIR_3_smmla_signed_apart TC_LANE_FINISH_PAIR_3_smmla_signed

#define TC_LANE_STORE_3(a0, a1, a2) \
    "strb " #a1 ", [r0, r2]\n\t" \
    "strb " #a2 ", [r0, r2, lsl #1]\n\t" \
    "strb " #a0 ", [r0], #1\n\t" /* on to the next channel */

#define TC_LANE_BLOCK_3_TEXT(group, before, spare, form, saturate, bits, shift, low, high) \
    TC_LANE_OPEN /* r11 stays the end of x */ \
    TC_LANE_STARTS_OPEN_##form \
    "mov r12, r1\n" \
    "1:\n\t" /* a pair of channels */ \
    TC_FETCH(lr, 0) \
    TC_LANE_STARTS_##form(r6, r10) \
    before \
    group(r6, r6, r10, r10) \
    TC_LANE_LOOP(spare, group(r4, r5, r8, r9), "cmp lr, r11\n\t") \
    TC_LANE_FINISH_PAIR_3_##form(saturate, bits, shift) \
    TC_CLAMP_##saturate("r4, r5, r6, r8, r9, r10", bits, low, high, r0, r1, r2) \
    TC_FETCH_PAIR(r0, r2, 2, 3) \
    TC_LANE_STORE_3(r4, r5, r6) \
    TC_LANE_STORE_3(r8, r9, r10) \
    TC_LANE_NEXT_PAIR

#define TC_LANE_BLOCK(name, text) \
    TC_BLOCK_FUNCTION(name, const uint32_t *, const int32_t *, int8_t *, const tc_lane_job *, text)
#define TC_LANE_FIRST_WEIGHTS \
    "ldr r0, [r12]\n\t"
#define TC_LANE_BLOCK_4(name, ...) TC_LANE_BLOCK(name, TC_LANE_BLOCK_4_TEXT(TC_LANE_GROUP_4, "", r0, __VA_ARGS__))
#define TC_LANE_BLOCK_3(name, ...) TC_LANE_BLOCK(name, TC_LANE_BLOCK_3_TEXT(TC_LANE_GROUP_3, "", r0, __VA_ARGS__))
#define TC_LANE_BLOCK_3_DUAL(name, ...) \
    TC_LANE_BLOCK(name, TC_LANE_BLOCK_3_TEXT(TC_LANE_GROUP_3_DUAL, "", r0, __VA_ARGS__))
#define TC_LANE_BLOCK_4_SINGLE(name, ...) \
    TC_LANE_BLOCK(name, TC_LANE_BLOCK_4_TEXT(TC_LANE_GROUP_4_SINGLE, TC_LANE_FIRST_WEIGHTS, r3, __VA_ARGS__))
#define TC_LANE_BLOCK_3_SINGLE(name, ...) \
    TC_LANE_BLOCK(name, TC_LANE_BLOCK_3_TEXT(TC_LANE_GROUP_3_SINGLE, TC_LANE_FIRST_WEIGHTS, r3, __VA_ARGS__))

#else

#define TC_LANE_BLOCK(name, pixels, ...) \
    static TC_NOINLINE void name(const uint32_t *x, const int32_t *weights, int8_t *output, const tc_lane_job *job) \
    { \
        static const tc_requant_block requant = TC_REQUANT_BLOCK(__VA_ARGS__); \
        tc_lane_block_portable(x, weights, output, job, pixels, &requant); \
    }
#define TC_LANE_BLOCK_4(name, ...) TC_LANE_BLOCK(name, 4, __VA_ARGS__)
#define TC_LANE_BLOCK_3(name, ...) TC_LANE_BLOCK(name, 3, __VA_ARGS__)
#define TC_LANE_BLOCK_3_DUAL TC_LANE_BLOCK_3
#define TC_LANE_BLOCK_4_SINGLE TC_LANE_BLOCK_4
#define TC_LANE_BLOCK_3_SINGLE TC_LANE_BLOCK_3

#endif

#ifdef __cplusplus
}
#endif

#endif
