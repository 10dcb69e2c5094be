/* SPDX-License-Identifier: 0BSD */
/*
 * Depthwise convolution by Helium: a channel's outputs at `blocks` x 8 places, 16 taps per VMLADAV (docs/kernels.md).
 *
 *     TC_MVE_DEPTHWISE(name, tiles, rows, width, stride, form, ...)
 *
 * defines the block function `name`: windows of `tiles` x 4 words, each 4 rows of a column, `rows` (1 or 2) output rows at a
 * time. With a single tile, `width` of its words are the window's, columns beside each other, and the function goes over
 * `channels` channels; with several it computes one channel. The last arguments are the requantisation
 * (tc_mve_requant_block.h), with one more form:
 *
 *     smmla_fused  the offset is doubled, and the shift by 1 more, for VQDMLASH, which doubles the product
 *
 *     input   the words of the first channel
 *     places  per block: the offsets of 4 windows from `input` (8 with one row), then the 8 results' offsets from
 *             `output` (uint16_t): row by row beside each other, or places 0, 4, 1, 5, 2, 6, 3, 7
 *     taps    a single tile: per channel [width][4 rows]. Several, of the channel, per tile: 4 words' places in a window
 *             (addresses in the assembly, which doesn't look at `input`, else offsets), then [rows][4 words][4 rows], the
 *             second output row's moved down by the stride
 *     requant per channel: start, multiplier, offset and, where the form needs it, extra
 */
#ifndef TC_MVE_DEPTHWISE_BLOCK_H
#define TC_MVE_DEPTHWISE_BLOCK_H

#include <stdint.h>
#include <string.h>

#include "kernels/tc_inline.h"
#include "kernels/tc_mve.h"
#include "kernels/tc_mve_requant_block.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The assembly knows the order of the fields, and changes them. */
typedef struct tc_mve_depthwise_job {
    uint32_t steps[4]; /* bytes to the columns of a tile: 0, 1, 2 and 3 times that of one */
    const int8_t *taps;
    const int32_t *requant;
    uint32_t channels;
    const uint32_t *places;
    uint32_t blocks;
    uint32_t kept; /* a register of the caller */
} tc_mve_depthwise_job;

typedef void tc_mve_depthwise_block(const int8_t *input, int8_t *output, tc_mve_depthwise_job *job);

/* In the portable twin, a word of the input at a place of the window, and the 4 taps for it of an output row. */
typedef struct tc_mve_tile_word {
    uint32_t offset;
    int8_t taps[4];
} tc_mve_tile_word;

TC_INLINE tc_mve_tile_word tc_mve_tile_word_of(const tc_mve_depthwise_job *job, int32_t word, int32_t row, int32_t tiles,
                                               int32_t rows, int32_t width, int32_t stride)
{
    tc_mve_tile_word found = {job->steps[word % 4], {0, 0, 0, 0}};
    if (tiles > 1) {
        const int8_t *tile = job->taps + word / 4 * (1 + rows) * 16;
        memcpy(&found.offset, tile + 4 * (word % 4), 4);
        memcpy(found.taps, tile + 16 * (1 + row) + 4 * (word % 4), 4);
        return found;
    }
    for (int32_t i = row * stride; word < width && i < 4; i++) {
        found.taps[i] = job->taps[4 * word + i - row * stride];
    }
    return found;
}

TC_INLINE void tc_mve_depthwise_portable(const int8_t *input, int8_t *output, tc_mve_depthwise_job *job, int32_t tiles,
                                         int32_t rows, int32_t width, int32_t stride, const tc_mve_requant *requant)
{
    for (; job->channels > 0u; job->channels--) {
        const uint32_t *places = job->places;
        for (uint32_t block = 0; block < job->blocks; block++) {
            const uint16_t *offsets = (const uint16_t *)(const void *)(places + 8 / rows);
            for (int32_t lane = 0; lane < 8; lane++) {
                const int8_t *window = input + places[rows == 2 ? lane / 2 : lane % 2 * 4 + lane / 2];
                int32_t sum = 0;
                for (int32_t i = 0; i < 4 * tiles; i++) {
                    const tc_mve_tile_word word =
                        tc_mve_tile_word_of(job, i, rows == 2 ? lane % 2 : 0, tiles, rows, width, stride);
                    for (int32_t tap = 0; tap < 4; tap++) {
                        sum += window[word.offset + (uint32_t)tap] * word.taps[tap];
                    }
                }
                output[offsets[lane]] = tc_mve_requantize(sum, job->requant[0], job->requant + 1, 1, requant);
            }
            places += 8 / rows + 4;
        }
        job->taps += 4 * width;
        job->requant += tc_mve_requant_words(requant);
        input += 4;
        output++;
    }
}

#if TC_MVE_BLOCKS

/* r1, r3, r5 are start, offset and extra, q0 and q1 the sums, m the multipliers. Stores to [r9] by the offsets at [r11]. */
#define TC_MVE_SCALAR_START(pre) \
    ".if (" #pre ") > 0\n\t" \
    "vshl.i32 q0, q0, #" #pre "\n\t" \
    "vshl.i32 q1, q1, #" #pre "\n\t" \
    ".endif\n\t" \
    "vadd.i32 q0, q0, r1\n\t" \
    "vadd.i32 q1, q1, r1\n\t"
#define TC_MVE_SCALAR_END(sums, other, offsets, shift, low, high) \
    "vldrh.u16 " offsets ", [r11], #16\n\t" \
    TC_MVE_NARROW(sums, other, other, shift, low, high) \
    "vstrb.16 " sums ", [r9, " offsets "]\n\t"
#define TC_MVE_SCALAR_FINISH_smmla_fused(m, spare, pre, shift, low, high) \
    TC_MVE_SCALAR_START(pre) \
    "vqdmlash.s32 q0, " m ", r3\n\t" \
    "vqdmlash.s32 q1, " m ", r3\n\t" \
    TC_MVE_SCALAR_END("q0", "q1", spare, shift, low, high)
#define TC_MVE_SCALAR_FINISH_smmla(m, spare, pre, shift, low, high) \
    TC_MVE_SCALAR_START(pre) \
    "vmulh.s32 q0, q0, " m "\n\t" \
    "vmulh.s32 q1, q1, " m "\n\t" \
    "vadd.i32 q0, q0, r3\n\t" \
    "vadd.i32 q1, q1, r3\n\t" \
    TC_MVE_SCALAR_END("q0", "q1", spare, shift, low, high)
#define TC_MVE_SCALAR_FINISH_smmla_shift(m, spare, pre, shift, low, high) \
    TC_MVE_SCALAR_START(pre) \
    "vmulh.s32 q0, q0, " m "\n\t" \
    "vmulh.s32 q1, q1, " m "\n\t" \
    "vadd.i32 q0, q0, r3\n\t" \
    "vadd.i32 q1, q1, r3\n\t" \
    "vshl.s32 q0, r5\n\t" \
    "vshl.s32 q1, r5\n\t" \
    TC_MVE_SCALAR_END("q0", "q1", spare, shift, low, high)
#define TC_MVE_SCALAR_FINISH_smmla_signed(m, spare, pre, shift, low, high) \
    TC_MVE_SCALAR_START(pre) \
    "vmulh.s32 " spare ", q0, " m "\n\t" \
    "vadd.i32 " spare ", " spare ", r3\n\t" \
    "vpt.s32 lt, q0, zr\n\t" \
    "vsubt.i32 " spare ", " spare ", r5\n\t" \
    "vmulh.s32 q0, q1, " m "\n\t" \
    "vadd.i32 q0, q0, r3\n\t" \
    "vpt.s32 lt, q1, zr\n\t" \
    "vsubt.i32 q0, q0, r5\n\t" \
    TC_MVE_SCALAR_END(spare, "q0", "q1", shift, low, high)

/* A single tile and two rows: a word serves both, with q6 and, moved down, q7. */
#define TC_MVE_TILE_2(stride) \
    "ldm r11!, {r1, r3, r5, r7}\n\t" \
    "vldrw.u32 q0, [r1, q5]\n\t" \
    "vldrw.u32 q3, [r5, q5]\n\t" \
    "vmladav.s8 r0, q0, q6\n\t" \
    "vmladav.s8 r2, q0, q7\n\t" \
    "vldrw.u32 q0, [r3, q5]\n\t" \
    "vmladav.s8 r4, q3, q6\n\t" \
    "vmladav.s8 r6, q3, q7\n\t" \
    "vldrw.u32 q3, [r7, q5]\n\t" \
    "vmladav.s8 r8, q0, q6\n\t" \
    "vmladav.s8 r12, q0, q7\n\t" \
    "vmov q1[2], q1[0], r2, r6\n\t" \
    "vmladav.s8 r2, q3, q6\n\t" \
    "vmladav.s8 r6, q3, q7\n\t" \
    "vmov q0[2], q0[0], r0, r4\n\t" \
    "vmov r1, r3, s16, s17\n\t" \
    "vmov q0[3], q0[1], r8, r2\n\t" \
    "vmov q1[3], q1[1], r12, r6\n\t"

#define TC_MVE_TILE_1 \
    TC_MVE_TILE_1_OF("q0") \
    TC_MVE_TILE_1_OF("q1") \
    "vmov r1, r3, s16, s17\n\t"
#define TC_MVE_TILE_1_OF(sums) \
    "ldm r11!, {r1, r3, r5, r7}\n\t" \
    "vldrw.u32 q3, [r1, q5]\n\t" \
    "vldrw.u32 q7, [r3, q5]\n\t" \
    "vmladav.s8 r0, q3, q6\n\t" \
    "vldrw.u32 q3, [r5, q5]\n\t" \
    "vmladav.s8 r2, q7, q6\n\t" \
    "vldrw.u32 q7, [r7, q5]\n\t" \
    "vmladav.s8 r4, q3, q6\n\t" \
    "vmladav.s8 r6, q7, q6\n\t" \
    "vmov " sums "[2], " sums "[0], r0, r4\n\t" \
    "vmov " sums "[3], " sums "[1], r2, r6\n\t"

/* r9 the output, r10 the job, r11 the places; s16 to s18 start, offset, extra; q2 the multiplier, q5 addresses. */
#define TC_MVE_SINGLE_TEXT(rows, width, stride, form, pre, shift, low, high) \
    "vldrw.u32 q5, [r2]\n\t" \
    "mov r10, r2\n\t" \
    "str r7, [r10, #36]\n\t" \
    "mov r9, r1\n\t" \
    "vadd.i32 q5, q5, r0\n" \
    "1:\n\t" /* a channel */ \
    "ldrd r0, r2, [r10, #16]\n\t" \
    ".if " #width " < 4\n\t" \
    "mov r4, #" #width "\n\t" \
    "vctp.32 r4\n\t" \
    "vpst\n\t" \
    "vldrwt.u32 q6, [r0], #4 * " #width "\n\t" \
    ".else\n\t" \
    "vldrw.u32 q6, [r0], #16\n\t" \
    ".endif\n\t" \
    ".if " #rows " == 2\n\t" \
    "vshl.i32 q7, q6, #8 * " #stride "\n\t" \
    ".endif\n\t" \
    TC_MVE_CHANNEL_##form \
    "strd r0, r2, [r10, #16]\n\t" \
    "vmov s16, s17, r4, r8\n\t" \
    "vdup.32 q2, r6\n\t" \
    "ldrd r11, lr, [r10, #28]\n" \
    "2:\n\t" /* 8 places */ \
    ".if " #rows " == 2\n\t" \
    TC_MVE_TILE_2(stride) \
    ".else\n\t" \
    TC_MVE_TILE_1 \
    ".endif\n\t" \
    TC_MVE_EXTRA_##form \
    TC_MVE_SCALAR_FINISH_##form("q2", "q3", pre, shift, low, high) \
    "le lr, 2b\n\t" \
    "ldr r0, [r10, #24]\n\t" \
    "mov r1, #4\n\t" \
    "vadd.i32 q5, q5, r1\n\t" \
    "add r9, r9, #1\n\t" \
    "subs r0, r0, #1\n\t" \
    "str r0, [r10, #24]\n\t" \
    "bne 1b\n\t" \
    "ldr r7, [r10, #36]\n\t"

/* Start, multiplier and offset to r4, r6, r8; extra to s18. */
#define TC_MVE_CHANNEL_smmla "ldm r2!, {r4, r6, r8}\n\t"
#define TC_MVE_CHANNEL_smmla_fused TC_MVE_CHANNEL_smmla
#define TC_MVE_CHANNEL_smmla_shift "ldm r2!, {r4, r6, r8, r12}\n\tvmov s18, r12\n\t"
#define TC_MVE_CHANNEL_smmla_signed TC_MVE_CHANNEL_smmla_shift
#define TC_MVE_EXTRA_smmla ""
#define TC_MVE_EXTRA_smmla_fused ""
#define TC_MVE_EXTRA_smmla_shift "vmov r5, s18\n\t"
#define TC_MVE_EXTRA_smmla_signed TC_MVE_EXTRA_smmla_shift

/* A tile of several; `op` of the first one doesn't add. */
#define TC_MVE_TILES_2(op) \
    "vldrw.u32 q5, [r9], #16\n\t" \
    "vldrw.u32 q6, [r9], #16\n\t" \
    "vldrw.u32 q0, [r1, q5]\n\t" \
    "vldrw.u32 q7, [r9], #16\n\t" \
    "vldrw.u32 q1, [r3, q5]\n\t" \
    op " r0, q0, q6\n\t" \
    op " r8, q0, q7\n\t" \
    "vldrw.u32 q0, [r5, q5]\n\t" \
    op " r2, q1, q6\n\t" \
    op " r10, q1, q7\n\t" \
    "vldrw.u32 q1, [r7, q5]\n\t" \
    op " r4, q0, q6\n\t" \
    op " r12, q0, q7\n\t" \
    op " r6, q1, q6\n\t" \
    op " lr, q1, q7\n\t"

/* With 8 places, which registers can't hold: read upwards and, of the next tile, downwards. */
#define TC_MVE_TILES_1_UP(op) \
    "vldrw.u32 q5, [r9], #16\n\t" \
    "vldrw.u32 q6, [r9], #16\n\t" \
    "ldmia r11!, {r1, r3, r5, r7}\n\t" \
    TC_MVE_TILES_1_OF(op, "r0", "r2", "r4", "r6") \
    "ldmia r11!, {r1, r3, r5, r7}\n\t" \
    TC_MVE_TILES_1_OF(op, "r8", "r10", "r12", "lr")
#define TC_MVE_TILES_1_DOWN(op) \
    "vldrw.u32 q5, [r9], #16\n\t" \
    "vldrw.u32 q6, [r9], #16\n\t" \
    "ldmdb r11!, {r1, r3, r5, r7}\n\t" \
    TC_MVE_TILES_1_OF(op, "r8", "r10", "r12", "lr") \
    "ldmdb r11!, {r1, r3, r5, r7}\n\t" \
    TC_MVE_TILES_1_OF(op, "r0", "r2", "r4", "r6")
#define TC_MVE_TILES_1_OF(op, a, b, c, d) \
    "vldrw.u32 q0, [r1, q5]\n\t" \
    "vldrw.u32 q1, [r3, q5]\n\t" \
    op " " a ", q0, q6\n\t" \
    "vldrw.u32 q0, [r5, q5]\n\t" \
    op " " b ", q1, q6\n\t" \
    "vldrw.u32 q1, [r7, q5]\n\t" \
    op " " c ", q0, q6\n\t" \
    op " " d ", q1, q6\n\t"

/* One channel. r9 the taps, q5 their words' addresses, r11 the places; s8 the output, s9 the blocks that are left, s10 the taps' start, s11 r7 of the
 * caller, s16 to s19 start, offset, extra. multiplier. */
#define TC_MVE_SEVERAL_TEXT(tiles, rows, form, pre, shift, low, high) \
    "ldrd r11, r0, [r2, #28]\n\t" \
    "vmov s8, s9, r1, r0\n\t" \
    "ldrd r0, r2, [r2, #16]\n\t" \
    "vmov s10, s11, r0, r7\n\t" \
    TC_MVE_CHANNEL_##form \
    "vmov s16, s17, r4, r8\n\t" \
    "vmov s19, r6\n" \
    "1:\n\t" /* 8 places */ \
    "vmov r9, s10\n\t" \
    ".if " #rows " == 2\n\t" \
    "ldm r11!, {r1, r3, r5, r7}\n\t" \
    TC_MVE_TILES_2("vmladav.s8") \
    ".rept " #tiles " - 1\n\t" TC_MVE_TILES_2("vmladava.s8") ".endr\n\t" \
    ".else\n\t" \
    TC_MVE_TILES_1_UP("vmladav.s8") \
    ".rept (" #tiles " - 1) / 2\n\t" TC_MVE_TILES_1_DOWN("vmladava.s8") TC_MVE_TILES_1_UP("vmladava.s8") ".endr\n\t" \
    ".if (" #tiles ") %% 2 == 0\n\t" \
    TC_MVE_TILES_1_DOWN("vmladava.s8") \
    "add r11, r11, #32\n\t" \
    ".endif\n\t" \
    ".endif\n\t" \
    TC_MVE_TO_LANES \
    "vmov r1, r3, s16, s17\n\t" \
    "vmov r5, r7, s18, s19\n\t" \
    "vmov r9, s8\n\t" \
    "vdup.32 q6, r7\n\t" \
    TC_MVE_SCALAR_FINISH_##form("q6", "q7", pre, shift, low, high) \
    "vmov r7, s9\n\t" \
    "subs r7, r7, #1\n\t" \
    "vmov s9, r7\n\t" \
    "bne 1b\n\t" \
    "vmov r7, s11\n\t"

#define TC_MVE_DEPTHWISE(name, tiles, rows, width, stride, ...) \
    static TC_NOINLINE void name(const int8_t *input, int8_t *output, tc_mve_depthwise_job *job) \
    { \
        register const int8_t *r0 __asm__("r0") = input; \
        register int8_t *r1 __asm__("r1") = output; \
        register tc_mve_depthwise_job *r2 __asm__("r2") = job; \
        TC_ASM_WITH_R9( \
            ".if " #tiles " == 1\n\t" \
            TC_MVE_SINGLE_TEXT(rows, width, stride, __VA_ARGS__) \
            ".else\n\t" \
            TC_MVE_SEVERAL_TEXT(tiles, rows, __VA_ARGS__) \
            ".endif\n\t" \
            : "+r"(r0), "+r"(r1), "+r"(r2) \
            : \
            : "r3", "r4", "r5", "r6", "r8", "r9", "r10", "r11", "r12", "lr", "q0", "q1", "q2", "q3", "q4", "q5", "q6", \
              "q7", "p0", "cc", "memory"); \
    }

#else

#define TC_MVE_DEPTHWISE(name, tiles, rows, width, stride, ...) \
    static TC_NOINLINE void name(const int8_t *input, int8_t *output, tc_mve_depthwise_job *job) \
    { \
        static const tc_mve_requant requant = TC_MVE_REQUANT(__VA_ARGS__); \
        tc_mve_depthwise_portable(input, output, job, tiles, rows, width, stride, &requant); \
    }

#endif

#ifdef __cplusplus
}
#endif

#endif
