/* SPDX-License-Identifier: 0BSD */
/*
 * Products of int16 gradients and bytes (weights, inputs), summed up over rows of bytes: two columns of gradients times four
 * bytes of each row, 8 sums in registers. Gradients are words of two rows' values, so that a product is two (SMLAD).
 *
 * gradients  per pair of rows: a word of the first column, a word of the second one
 * sums       int32: four of the first column for every four bytes, those of the second one `distance` bytes from them
 *
 * Block functions for cores with the DSP extension beside portable twins:
 *
 *     tc_add_paired_products          bytes are rearranged: per four of them and pair of rows, words of
 *                                     (row 0: 0, 1; row 1: 0, 1) and of (row 0: 2, 3; row 1: 2, 3); adds to the sums; 15
 *                                     instructions for 16 multiply-accumulates, and some 20 for every four bytes of a row
 *     TC_ROW_PRODUCTS(name, pitch)    defines one for rows as they are, `pitch` bytes from one to the next; sums begin with
 *                                     given values; 20 instructions for 16
 */
#ifndef TC_GRADIENT_PRODUCTS_H
#define TC_GRADIENT_PRODUCTS_H

#include <stdint.h>

#include "cmsis_shim/tc_simd.h"
#include "kernels/tc_align.h"
#include "kernels/tc_inline.h"
#include "kernels/tc_lane_block.h"
#include "kernels/tc_requant_block.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What a block function needs besides its pointers; its assembly knows the order of the fields. */
typedef struct tc_products_job {
    const uint32_t *gradients_end;
    const int8_t *bytes_end; /* of all paired rows; of rows as they are, of the first one */
    uint32_t entry;          /* how many pairs of rows the first round of a loop over 4 of them has */
    int32_t distance;        /* bytes from the first column's sums to the second one's */
    int32_t starts[2];       /* of each column's sums, where they don't begin with what is there */
} tc_products_job;

typedef void tc_products(const uint32_t *gradients, const int8_t *bytes, int32_t *sums, const tc_products_job *job);

TC_INLINE uint32_t tc_products_entry(int32_t pairs)
{
    return (uint32_t)((pairs - 1) % 4 + 1);
}

/* A word of two bytes of each of two rows times both columns. */
TC_INLINE void tc_two_products(uint32_t bytes, const uint32_t *gradients, int32_t sums[2][4], uint32_t first)
{
    const uint32_t even = tc_sxtb16(bytes, 0);
    const uint32_t odd = tc_sxtb16(bytes, 8);
    for (uint32_t column = 0; column < 2u; column++) {
        sums[column][first] = tc_smlad(even, gradients[column], sums[column][first]);
        sums[column][first + 1u] = tc_smlad(odd, gradients[column], sums[column][first + 1u]);
    }
}

TC_INLINE void tc_row_products_portable(const uint32_t *gradients, const int8_t *bytes, int32_t *sums,
                                        const tc_products_job *job, uint32_t pitch)
{
    int32_t *const second = sums + job->distance / 4;
    for (uint32_t at = 0; bytes + at != job->bytes_end; at += 4u) {
        int32_t found[2][4];
        for (uint32_t i = 0; i < 4u; i++) {
            found[0][i] = job->starts[0];
            found[1][i] = job->starts[1];
        }
        const int8_t *row = bytes + at;
        for (const uint32_t *pair = gradients; pair != job->gradients_end; pair += 2, row += 2u * pitch) {
            const uint32_t a = tc_load4(row);
            const uint32_t b = tc_load4(row + pitch);
            tc_two_products(tc_pkhbt(a, b, 16), pair, found, 0);
            tc_two_products(tc_pkhtb(b, a, 16), pair, found, 2);
        }
        for (uint32_t i = 0; i < 4u; i++) {
            sums[at + i] = found[0][i];
            second[at + i] = found[1][i];
        }
    }
}

#if TC_DSP_BLOCKS

/*
 * r4-r7 are the first column's sums, r8-r11 the second one's; r12 walks the bytes, lr the gradients.
 * Slots: 0 gradients, 1 entry into the loop, 2 sums, 3 distance, 4 end of the bytes, 5 end of the gradients.
 */
#define TC_PRODUCTS_OPEN \
    "ldmia r3, {r4, r5, r6, r8}\n\t" \
    TC_KEEP(r0, 0) \
    TC_KEEP(r6, 1) \
    TC_KEEP(r2, 2) \
    TC_KEEP(r8, 3) \
    TC_KEEP(r5, 4) \
    TC_KEEP(r4, 5)

#define TC_PRODUCTS_AT_END TC_FETCH(r0, 5) "cmp lr, r0\n\t"

#define TC_PAIRED_GROUP \
    "ldrd r2, r3, [lr], #8\n\t" \
    "ldr r0, [r12], #4\n\t" \
    "sxtb16 r1, r0\n\t" \
    "sxtb16 r0, r0, ror #8\n\t" \
    "smlad r4, r1, r2, r4\n\t" \
    "smlad r8, r1, r3, r8\n\t" \
    "smlad r5, r0, r2, r5\n\t" \
    "smlad r9, r0, r3, r9\n\t" \
    "ldr r0, [r12], #4\n\t" \
    "sxtb16 r1, r0\n\t" \
    "sxtb16 r0, r0, ror #8\n\t" \
    "smlad r6, r1, r2, r6\n\t" \
    "smlad r10, r1, r3, r10\n\t" \
    "smlad r7, r0, r2, r7\n\t" \
    "smlad r11, r0, r3, r11\n\t"

TC_BLOCK_FUNCTION(tc_add_paired_products, const uint32_t *, const int8_t *, int32_t *, const tc_products_job *,
                  TC_PRODUCTS_OPEN
                  "mov r12, r1\n"
                  "1:\n\t" /* four bytes of each row */
                  TC_FETCH(lr, 0)
                  TC_FETCH_PAIR(r0, r1, 2, 3)
                  "add r1, r0, r1\n\t"
                  "ldmia r0, {r4-r7}\n\t"
                  "ldmia r1, {r8-r11}\n\t"
                  TC_LANE_LOOP(r0, TC_PAIRED_GROUP, TC_PRODUCTS_AT_END)
                  TC_FETCH_PAIR(r0, r1, 2, 3)
                  "add r1, r0, r1\n\t"
                  "stmia r0!, {r4-r7}\n\t"
                  "stmia r1, {r8-r11}\n\t"
                  TC_KEEP(r0, 2)
                  TC_FETCH(r1, 4)
                  "cmp r12, r1\n\t"
                  "bne 1b\n\t")

#define TC_ROWS_GROUP(pitch) \
    "ldr r0, [r12]\n\t" \
    "ldr r1, [r12, #" #pitch "]\n\t" \
    "addw r12, r12, #2 * " #pitch "\n\t" \
    "pkhbt r2, r0, r1, lsl #16\n\t" \
    "ldr r3, [lr], #8\n\t" /* the first column */ \
    "pkhtb r1, r1, r0, asr #16\n\t" \
    "sxtb16 r0, r2\n\t" \
    "sxtb16 r2, r2, ror #8\n\t" \
    "smlad r4, r0, r3, r4\n\t" \
    "smlad r5, r2, r3, r5\n\t" \
    "ldr r3, [lr, #-4]\n\t" /* the second one */ \
    "smlad r8, r0, r3, r8\n\t" \
    "smlad r9, r2, r3, r9\n\t" \
    "sxtb16 r0, r1\n\t" \
    "sxtb16 r1, r1, ror #8\n\t" \
    "smlad r10, r0, r3, r10\n\t" \
    "smlad r11, r1, r3, r11\n\t" \
    "ldr r3, [lr, #-8]\n\t" \
    "smlad r6, r0, r3, r6\n\t" \
    "smlad r7, r1, r3, r7\n\t"

/* Slots 6 and 8: starts; 9: the bytes at hand. */
#define TC_ROWS_TEXT(pitch) \
    TC_PRODUCTS_OPEN \
    "ldrd r4, r5, [r3, #16]\n\t" \
    TC_KEEP(r4, 6) \
    TC_KEEP(r5, 8) \
    "mov r12, r1\n" \
    "1:\n\t" /* four bytes of each row */ \
    TC_KEEP(r12, 9) \
    TC_FETCH(lr, 0) \
    TC_FETCH(r4, 6) \
    TC_FETCH(r8, 8) \
    "mov r5, r4\n\t" \
    "mov r6, r4\n\t" \
    "mov r7, r4\n\t" \
    "mov r9, r8\n\t" \
    "mov r10, r8\n\t" \
    "mov r11, r8\n\t" \
    TC_LANE_LOOP(r0, TC_ROWS_GROUP(pitch), TC_PRODUCTS_AT_END) \
    TC_FETCH_PAIR(r0, r1, 2, 3) \
    "add r1, r0, r1\n\t" \
    "stmia r0!, {r4-r7}\n\t" \
    "stmia r1, {r8-r11}\n\t" \
    TC_KEEP(r0, 2) \
    TC_FETCH(r12, 9) \
    "add r12, r12, #4\n\t" \
    TC_FETCH(r1, 4) \
    "cmp r12, r1\n\t" \
    "bne 1b\n\t"

#if TC_STRICT_ALIGNMENT
#define TC_ROW_PRODUCTS(name, pitch) \
    TC_BLOCK_FUNCTION(name##_aligned, const uint32_t *, const int8_t *, int32_t *, const tc_products_job *, \
                      TC_ROWS_TEXT(pitch)) \
    static TC_NOINLINE void name(const uint32_t *gradients, const int8_t *bytes, int32_t *sums, const tc_products_job *job) \
    { \
        if ((((uintptr_t)bytes | (pitch)) & 3u) == 0u) { \
            name##_aligned(gradients, bytes, sums, job); \
        } else { \
            tc_row_products_portable(gradients, bytes, sums, job, pitch); \
        } \
    }
#else
#define TC_ROW_PRODUCTS(name, pitch) \
    TC_BLOCK_FUNCTION(name, const uint32_t *, const int8_t *, int32_t *, const tc_products_job *, TC_ROWS_TEXT(pitch))
#endif

#else

static TC_NOINLINE void tc_add_paired_products(const uint32_t *gradients, const int8_t *bytes, int32_t *sums,
                                               const tc_products_job *job)
{
    int32_t *second = sums + job->distance / 4;
    for (; bytes != job->bytes_end; sums += 4, second += 4) {
        int32_t found[2][4];
        for (uint32_t i = 0; i < 4u; i++) {
            found[0][i] = sums[i];
            found[1][i] = second[i];
        }
        for (const uint32_t *pair = gradients; pair != job->gradients_end; pair += 2, bytes += 8) {
            tc_two_products(tc_load4(bytes), pair, found, 0);
            tc_two_products(tc_load4(bytes + 4), pair, found, 2);
        }
        for (uint32_t i = 0; i < 4u; i++) {
            sums[i] = found[0][i];
            second[i] = found[1][i];
        }
    }
}

#define TC_ROW_PRODUCTS(name, pitch) \
    static TC_NOINLINE void name(const uint32_t *gradients, const int8_t *bytes, int32_t *sums, const tc_products_job *job) \
    { \
        tc_row_products_portable(gradients, bytes, sums, job, pitch); \
    }

#endif

#ifdef __cplusplus
}
#endif

#endif
