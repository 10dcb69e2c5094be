/* SPDX-License-Identifier: 0BSD */
/*
 * Matrix products by Helium in blocks: 16 products per VMLADAV, 8 sums in registers, requantised 8 at a time (docs/kernels.md).
 *
 *     TC_MVE_PAIRS(name, rows, groups, partial, form, ...)  2 pixels x 4 channels, pair by pair, all channels
 *     TC_MVE_ROW(name, groups, form, ...)                   1 pixel x 8 channels
 *     TC_MVE_PAIRS_PACKED(name, way, rows, groups, partial, form, ...)  with weights of fewer bits (tc_mve_packed.h)
 *     TC_MVE_ROW_PACKED(name, way, groups, form, ...)
 *
 * define the block function `name`; the last arguments are the requantisation (tc_mve_requant_block.h):
 *
 *     x        first pixel's window: `rows` rows of `groups` x 16 bytes, at any address
 *     stream   per 4 channels: [starts] [rows][groups][4 channels][16], int8, with zeros for bytes that aren't the window's,
 *              or packed, with 4 starts in front; [starts if pre] multipliers, offsets, extras; 4 words each
 *     output   first channel of the first pixel
 *     count    pairs of pixels, or channels / 8
 *     partial  whether the last block may have fewer than 4 channels
 */
#ifndef TC_MVE_BLOCK_H
#define TC_MVE_BLOCK_H

#include <stdint.h>

#include "kernels/tc_inline.h"
#include "kernels/tc_mve.h"
#include "kernels/tc_mve_packed.h"
#include "kernels/tc_mve_requant_block.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What a block function needs besides; the assembly knows the order of the fields. */
typedef struct tc_mve_job {
    uint16_t offsets[8];    /* from `output` to where the results go, in the order of TC_MVE_NARROW */
    int32_t next;           /* bytes from one pixel of a pair to the other; of TC_MVE_ROW: from 4 channels' stream to the next's */
    int32_t lanes;          /* of a pair's results: 2 x channels */
    int32_t step;           /* from a row's last group on to the next row */
    int32_t advance;        /* from a pair to the next */
    int32_t output_advance; /* likewise, from where `output` is after all blocks of channels */
} tc_mve_job;

typedef void tc_mve_block(const int8_t *x, const int32_t *stream, int8_t *output, const tc_mve_job *job, int32_t count);

/* The sum over `groups` x 16 taps of a channel whose weights are every 64 bytes. */
TC_INLINE int32_t tc_mve_dot(const int8_t *x, const int8_t *weights, int32_t groups, int32_t sum)
{
    for (; groups > 0; groups--) {
#if TC_MVE
        sum = vmladavaq_s8(sum, vldrbq_s8(x), vldrbq_s8(weights));
#else
        for (int32_t i = 0; i < 16; i++) {
            sum += x[i] * weights[i];
        }
#endif
        x += 16;
        weights += 64;
    }
    return sum;
}

/* The results of 4 channels of a pixel; returns the end of their stream. */
TC_INLINE const int32_t *tc_mve_quad_portable(const int8_t *x, const int32_t *stream, tc_mve_way way, int32_t rows,
                                              int32_t groups, int32_t row_bytes, const tc_mve_requant *requant,
                                              int8_t results[4])
{
    if (way != TC_MVE_WAY_BYTES) {
        int32_t sums[4];
        const int32_t *after = stream + 4 + tc_mve_packed_words(way) * rows * groups;
        tc_mve_packed_sums(x, (const uint8_t *)(stream + 4), way, rows, groups, row_bytes, stream, sums);
        for (int32_t channel = 0; channel < 4; channel++) {
            results[channel] = tc_mve_requantize(sums[channel], 0, after + channel, 4, requant);
        }
        return after + 4 * (tc_mve_requant_words(requant) - 1);
    }
    const int32_t *weights = requant->pre > 0 ? stream : stream + 4;
    const int32_t *constants = weights + 16 * rows * groups;
    const int32_t *starts = requant->pre > 0 ? constants : stream;
    constants += requant->pre > 0 ? 4 : 0;
    for (int32_t channel = 0; channel < 4; channel++) {
        int32_t sum = 0;
        for (int32_t row = 0; row < rows; row++) {
            sum = tc_mve_dot(x + row * row_bytes, (const int8_t *)weights + (row * groups * 4 + channel) * 16, groups, sum);
        }
        results[channel] = tc_mve_requantize(sum, starts[channel], constants + channel, 4, requant);
    }
    return constants + 4 * (tc_mve_requant_words(requant) - 1);
}

TC_INLINE void tc_mve_pairs_portable(const int8_t *x, const int32_t *stream, int8_t *output, const tc_mve_job *job,
                                     int32_t pairs, tc_mve_way way, int32_t rows, int32_t groups,
                                     const tc_mve_requant *requant)
{
    for (; pairs > 0; pairs--) {
        const int32_t *block = stream;
        for (int32_t lanes = job->lanes; lanes > 0; lanes -= 8) {
            int8_t results[2][4];
            const int32_t row_bytes = job->step + 16 * groups;
            tc_mve_quad_portable(x, block, way, rows, groups, row_bytes, requant, results[0]);
            block = tc_mve_quad_portable(x + job->next, block, way, rows, groups, row_bytes, requant, results[1]);
            for (int32_t lane = 0; lane < (lanes < 8 ? lanes : 8); lane++) {
                output[job->offsets[lane]] = results[lane % 2][lane / 2];
            }
            output += 4;
        }
        x += job->advance;
        output += job->output_advance;
    }
}

TC_INLINE void tc_mve_row_portable(const int8_t *x, const int32_t *stream, int8_t *output, const tc_mve_job *job,
                                   int32_t count, tc_mve_way way, int32_t groups, const tc_mve_requant *requant)
{
    for (; count > 0; count--) {
        int8_t results[2][4];
        stream = tc_mve_quad_portable(x, stream, way, 1, groups, 0, requant, results[0]);
        stream = tc_mve_quad_portable(x, stream, way, 1, groups, 0, requant, results[1]);
        for (int32_t lane = 0; lane < 8; lane++) {
            output[job->offsets[lane]] = results[lane % 2][lane / 2];
        }
        output += 8;
    }
}

#if TC_MVE_BLOCKS

/* 16 taps of 2 pixels at r1 and r3: a weight vector is loaded one product ahead. `op` of the first ones may not add. */
#define TC_MVE_PAIR_GROUP_BYTES(op) \
    "vldrb.8 q0, [r1], #16\n\t" \
    "vldrb.8 q2, [r5], #64\n\t" \
    "vldrb.8 q1, [r3], #16\n\t" \
    op " r0, q0, q2\n\t" \
    "vldrb.8 q3, [r5, #-48]\n\t" \
    op " r8, q1, q2\n\t" \
    "vldrb.8 q2, [r5, #-32]\n\t" \
    op " r2, q0, q3\n\t" \
    op " r10, q1, q3\n\t" \
    "vldrb.8 q3, [r5, #-16]\n\t" \
    op " r4, q0, q2\n\t" \
    op " r12, q1, q2\n\t" \
    op " r6, q0, q3\n\t" \
    op " lr, q1, q3\n\t"

/* The same of one pixel and 8 channels, whose weights are at r5 and r3. */
#define TC_MVE_ROW_GROUP_BYTES(op) \
    "vldrb.8 q0, [r1], #16\n\t" \
    "vldrb.8 q2, [r5], #64\n\t" \
    "vldrb.8 q3, [r3], #64\n\t" \
    op " r0, q0, q2\n\t" \
    "vldrb.8 q2, [r5, #-48]\n\t" \
    op " r8, q0, q3\n\t" \
    "vldrb.8 q3, [r3, #-48]\n\t" \
    op " r2, q0, q2\n\t" \
    "vldrb.8 q2, [r5, #-32]\n\t" \
    op " r10, q0, q3\n\t" \
    "vldrb.8 q3, [r3, #-32]\n\t" \
    op " r4, q0, q2\n\t" \
    "vldrb.8 q2, [r5, #-16]\n\t" \
    op " r12, q0, q3\n\t" \
    "vldrb.8 q3, [r3, #-16]\n\t" \
    op " r6, q0, q2\n\t" \
    op " lr, q0, q3\n\t"

#define TC_MVE_MASK_BYTES
#define TC_MVE_SUMS_BYTES

/* `first`, then `groups` - 1 of `next`, from 13 on in a loop over 8, which r7 counts. */
#define TC_MVE_GROUPS(first, next, groups) \
    first \
    ".if (" #groups ") <= 12\n\t" \
    ".rept (" #groups ") - 1\n\t" next ".endr\n\t" \
    ".else\n\t" \
    ".rept ((" #groups ") - 1) %% 8\n\t" next ".endr\n\t" \
    "mov r7, #((" #groups ") - 1) / 8\n" \
    "4:\n\t" \
    ".rept 8\n\t" next ".endr\n\t" \
    "subs r7, r7, #1\n\t" \
    "bne 4b\n\t" \
    ".endif\n\t"

#define TC_MVE_NEXT_ROW \
    "add r1, r1, r7\n\t" \
    "add r3, r3, r7\n\t"

/* The rows of windows, r7 bytes apart; many groups in a loop that counts rows in the upper half of r11. */
#define TC_MVE_ROWS(group, op, rows, groups) \
    ".if (" #rows ") == 1\n\t" \
    TC_MVE_GROUPS(group(op), group("vmladava.s8"), groups) \
    ".elseif (" #rows ") * (" #groups ") <= 16\n\t" \
    group(op) \
    ".rept (" #groups ") - 1\n\t" group("vmladava.s8") ".endr\n\t" \
    ".rept (" #rows ") - 1\n\t" \
    TC_MVE_NEXT_ROW \
    ".rept " #groups "\n\t" group("vmladava.s8") ".endr\n\t" \
    ".endr\n\t" \
    ".else\n\t" \
    TC_MVE_ZERO(op) \
    "add r11, r11, #((" #rows ") - 1) << 16\n" \
    "3:\n\t" \
    ".rept " #groups "\n\t" group("vmladava.s8") ".endr\n\t" \
    TC_MVE_NEXT_ROW \
    "subs r11, r11, #1 << 16\n\t" \
    "bpl 3b\n\t" \
    "add r11, r11, #1 << 16\n\t" \
    ".endif\n\t"

/* What sums begin with where the first products are in a loop. */
#define TC_MVE_ZERO(op) \
    ".ifnc " op ", vmladava.s8\n\t" \
    ".irp a, r0, r2, r4, r6, r8, r10, r12, lr\n\t" \
    "mov \\a, #0\n\t" \
    ".endr\n\t" \
    ".endif\n\t"

/* Sums begin with the starts; or with the first products, since the starts aren't shifted by `pre`. */
#define TC_MVE_BEGIN(pre, load0, load1, add, set) \
    ".if (" #pre ") == 0\n\t" \
    load0 load1 add \
    ".else\n\t" \
    set \
    ".endif\n\t"

#define TC_MVE_STORE(result, partial) \
    ".if " #partial "\n\t" \
    "vctp.16 r11\n\t" \
    "vpst\n\t" \
    "vstrbt.16 " result ", [r9, q4]\n\t" \
    ".else\n\t" \
    "vstrb.16 " result ", [r9, q4]\n\t" \
    ".endif\n\t"

/*
 * r1, r3 the pixels, r5 the stream, r7 the step between rows, r9 the output, r11 the lanes that are left.
 * s20 r7 of the caller, s21 the pairs that are left, s22 and s23 stream and lanes, s24 and s25 the advances, s26 and s27 the pixels.
 */
#define TC_MVE_PAIRS_TEXT(way, rows, groups, partial, form, pre, shift, low, high) \
    "vldrh.u16 q4, [r3], #16\n\t" \
    "vmov s20, s21, r7, r4\n\t" \
    "mov r9, r2\n\t" \
    "ldm r3, {r2, r4, r7, r8, r10}\n\t" \
    "vmov s22, s23, r1, r4\n\t" \
    "vmov s24, s25, r8, r10\n\t" \
    "mov r1, r0\n\t" \
    "add r3, r0, r2\n" \
    "1:\n\t" /* a pair of pixels */ \
    "vmov s26, s27, r1, r3\n\t" \
    "vmov r5, r11, s22, s23\n" \
    "2:\n\t" /* 4 channels */ \
    TC_MVE_MASK_##way \
    TC_MVE_BEGIN(pre, "ldm r5, {r0, r2, r4, r6}\n\t", "ldm r5!, {r8, r10, r12, lr}\n\t", \
                 TC_MVE_ROWS(TC_MVE_PAIR_GROUP_##way, "vmladava.s8", rows, groups), \
                 TC_MVE_ROWS(TC_MVE_PAIR_GROUP_##way, "vmladav.s8", rows, groups)) \
    TC_MVE_SUMS_##way \
    TC_MVE_TO_LANES \
    TC_MVE_START(pre, r5, r5) \
    TC_MVE_HIGH_##form(r5, r5) \
    TC_MVE_NARROW_##form(shift, low, high) \
    TC_MVE_STORE(TC_MVE_RESULT_##form, partial) \
    "add r9, r9, #4\n\t" \
    "subs r11, r11, #8\n\t" \
    "vmov r1, r3, s26, s27\n\t" \
    "bhi 2b\n\t" \
    "vmov r0, r2, s24, s25\n\t" \
    "add r1, r1, r0\n\t" \
    "add r3, r3, r0\n\t" \
    "add r9, r9, r2\n\t" \
    "vmov r11, s21\n\t" \
    "subs r11, r11, #1\n\t" \
    "vmov s21, r11\n\t" \
    "bne 1b\n\t" \
    "vmov r7, s20\n\t"

/* r1 the pixel, r5 and r3 the streams, r9 the output, r11 the passes that are left; s20 r7 of the caller, s22 and s23 pixel, distance. */
#define TC_MVE_ROW_TEXT(way, groups, form, pre, shift, low, high) \
    "vldrh.u16 q4, [r3], #16\n\t" \
    "vmov s20, r7\n\t" \
    "mov r9, r2\n\t" \
    "mov r11, r4\n\t" \
    "ldr r4, [r3]\n\t" \
    "vmov s22, s23, r0, r4\n\t" \
    "mov r5, r1\n\t" \
    "add r3, r1, r4\n\t" \
    "mov r1, r0\n" \
    "1:\n\t" /* 8 channels */ \
    TC_MVE_MASK_##way \
    TC_MVE_BEGIN(pre, "ldm r5!, {r0, r2, r4, r6}\n\t", "ldm r3!, {r8, r10, r12, lr}\n\t", \
                 TC_MVE_GROUPS(TC_MVE_ROW_GROUP_##way("vmladava.s8"), TC_MVE_ROW_GROUP_##way("vmladava.s8"), groups), \
                 TC_MVE_GROUPS(TC_MVE_ROW_GROUP_##way("vmladav.s8"), TC_MVE_ROW_GROUP_##way("vmladava.s8"), groups)) \
    TC_MVE_SUMS_##way \
    TC_MVE_TO_LANES \
    TC_MVE_START(pre, r5, r3) \
    TC_MVE_HIGH_##form(r5, r3) \
    TC_MVE_NARROW_##form(shift, low, high) \
    "vstrb.16 " TC_MVE_RESULT_##form ", [r9, q4]\n\t" \
    "add r9, r9, #8\n\t" \
    "vmov r1, r4, s22, s23\n\t" \
    "mov r5, r3\n\t" \
    "add r3, r3, r4\n\t" \
    "subs r11, r11, #1\n\t" \
    "bne 1b\n\t" \
    "vmov r7, s20\n\t"

#define TC_MVE_BLOCK(name, text) \
    static TC_NOINLINE void name(const int8_t *x, const int32_t *stream, int8_t *output, const tc_mve_job *job, \
                                 int32_t count) \
    { \
        register const int8_t *r0 __asm__("r0") = x; \
        register const int32_t *r1 __asm__("r1") = stream; \
        register int8_t *r2 __asm__("r2") = output; \
        register const tc_mve_job *r3 __asm__("r3") = job; \
        register int32_t r4 __asm__("r4") = count; \
        TC_ASM_WITH_R9( \
            text \
            : "+r"(r0), "+r"(r1), "+r"(r2), "+r"(r3), "+r"(r4) \
            : \
            : "r5", "r6", "r8", "r9", "r10", "r11", "r12", "lr", "q0", "q1", "q2", "q3", "q4", "q5", "q6", "q7", "p0", \
              "cc", "memory"); \
    }
#define TC_MVE_PAIRS_PACKED(name, ...) TC_MVE_BLOCK(name, TC_MVE_PAIRS_TEXT(__VA_ARGS__))
#define TC_MVE_ROW_PACKED(name, ...) TC_MVE_BLOCK(name, TC_MVE_ROW_TEXT(__VA_ARGS__))

#else

#define TC_MVE_PAIRS_PACKED(name, way, rows, groups, partial, ...) \
    static TC_NOINLINE void name(const int8_t *x, const int32_t *stream, int8_t *output, const tc_mve_job *job, \
                                 int32_t count) \
    { \
        static const tc_mve_requant requant = TC_MVE_REQUANT(__VA_ARGS__); \
        tc_mve_pairs_portable(x, stream, output, job, count, TC_MVE_WAY_##way, rows, groups, &requant); \
    }
#define TC_MVE_ROW_PACKED(name, way, groups, ...) \
    static TC_NOINLINE void name(const int8_t *x, const int32_t *stream, int8_t *output, const tc_mve_job *job, \
                                 int32_t count) \
    { \
        static const tc_mve_requant requant = TC_MVE_REQUANT(__VA_ARGS__); \
        tc_mve_row_portable(x, stream, output, job, count, TC_MVE_WAY_##way, groups, &requant); \
    }

#endif

#define TC_MVE_PAIRS(name, ...) TC_MVE_PAIRS_PACKED(name, BYTES, __VA_ARGS__)
#define TC_MVE_ROW(name, ...) TC_MVE_ROW_PACKED(name, BYTES, __VA_ARGS__)

#ifdef __cplusplus
}
#endif

#endif
