/* SPDX-License-Identifier: 0BSD */
/*
 * The block function of products of computed matrices: 2 rows times columns, 4 at a time (docs/kernels.md).
 *
 *     TC_MATRIX_BLOCK(name, pairs, form, saturate, bits, shift, low, high)
 *     TC_MATRIX_BLOCK_SINGLE(name, ...) for cores on which only loads of one word stand beside others
 *
 *     rows     per pair of lanes a word of either row, and a word that may be read behind them
 *     columns  per 4 columns and pair of lanes a word of each column
 *     output   of the first row and column; the next columns' are beside it
 *
 * What lanes hold is tc_matrix_pack.h's; all outputs have the same requantisation (tc_requant_block.h). In the form smmlar
 * the start is 0.
 */
#ifndef TC_MATRIX_BLOCK_H
#define TC_MATRIX_BLOCK_H

#include <stdint.h>

#include "cmsis_shim/tc_simd.h"
#include "kernels/tc_inline.h"
#include "kernels/tc_requant_block.h"
#include "kernels/tc_tile_products.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What all outputs begin with, and their requantisation. */
typedef struct tc_matrix_requant {
    int32_t start;
    int32_t parameters[3]; /* multiplier, offset, and in the signed form step */
} tc_matrix_requant;

/* The assembly knows the order of the fields. */
typedef struct tc_matrix_job {
    const uint32_t *rows_end;
    const uint32_t *columns_end;
    uint32_t step; /* bytes from the first row's outputs to the second's; 0 for a single row, which `rows` has twice */
    tc_matrix_requant requant;
} tc_matrix_job;

typedef void tc_matrix_block(const uint32_t *rows, const uint32_t *columns, int8_t *output, const tc_matrix_job *job);

/* The same arithmetic in portable C, modulo 2^32 as in the registers. */
TC_INLINE void tc_matrix_block_portable(const uint32_t *rows, const uint32_t *columns, int8_t *output,
                                        const tc_matrix_job *job, const tc_requant_block *requant)
{
    for (; columns != job->columns_end; output += 4) {
        int32_t sums[8];
        for (uint32_t i = 0; i < 8u; i++) {
            sums[i] = job->requant.start;
        }
        for (const uint32_t *pair = rows; pair != job->rows_end; pair += 2, columns += 4) {
            for (uint32_t i = 0; i < 8u; i++) {
                sums[i] = tc_smlad(pair[i / 4u], columns[i % 4u], sums[i]);
            }
        }
        for (uint32_t i = 0; i < 8u; i++) {
            output[i / 4u * job->step + i % 4u] = tc_requantize_block(sums[i], job->requant.parameters, requant);
        }
    }
}

#if TC_DSP_BLOCKS

/*
 * Up to 16 pairs without a loop; of more a round of 8 and what is left over before it. `first`, of the first pair,
 * begins the sums, `next` adds to them; in front of a loop the pointers `advance` to where they have read.
 */
#define TC_MATRIX_PAIRS(pairs, first, next, advance, end) \
    first \
    ".if (" #pairs ") <= 16\n\t" \
    ".rept (" #pairs ") - 1\n\t" next ".endr\n\t" \
    end \
    ".else\n\t" \
    ".rept ((" #pairs ") - 1) & 7\n\t" next ".endr\n\t" \
    advance \
    "2:\n\t" \
    ".rept 8\n\t" next ".endr\n\t" \
    advance \
    TC_FETCH(r2, 9) \
    "cmp r12, r2\n\t" \
    "bne 2b\n\t" \
    ".endif\n\t"

#define TC_MATRIX_BODY(pairs, sum) \
    TC_MATRIX_PAIRS(pairs, TC_TILE_PAIR(sum), TC_TILE_PAIR(smlad), , )

#define TC_MATRIX_BODY_SINGLE(pairs, sum) \
    "ldr r0, [r12]\n\t" \
    ".set .Ltc_pair, 0\n\t" \
    TC_MATRIX_PAIRS(pairs, TC_TILE_PAIR_SINGLE(sum) TC_MATRIX_ON, TC_TILE_PAIR_SINGLE(smlad) TC_MATRIX_ON, \
                    "add r12, r12, #.Ltc_pair\n\t" TC_MATRIX_ADVANCE, TC_MATRIX_ADVANCE)
#define TC_MATRIX_ON \
    ".set .Ltc_pair, .Ltc_pair + 8\n\t"
#define TC_MATRIX_ADVANCE \
    "add lr, lr, #2 * .Ltc_pair\n\t" \
    ".set .Ltc_pair, 0\n\t"

/* TFLite's rounding has the zero point in its offset, so that its sums begin with nothing. */
#define TC_MATRIX_FIRST_smmla from_r11
#define TC_MATRIX_FIRST_smmla_signed from_r11
#define TC_MATRIX_FIRST_smmlar smuad
#define TC_MATRIX_START_smmla TC_FETCH(r11, 1)
#define TC_MATRIX_START_smmla_signed TC_FETCH(r11, 1)
#define TC_MATRIX_START_smmlar

/* Slots: 0 rows, 1 start, 2 and 3 outputs, 4 and 5 multiplier and offset, 6 step of the signed form, 8 end, 9 rows' end. */
#define TC_MATRIX_BLOCK_TEXT(body, form, saturate, bits, shift, low, high) \
    TC_KEEP(r0, 0) \
    "mov lr, r1\n\t" \
    "ldm r3, {r4, r5, r6, r8, r9, r10" TC_IF_SIGNED_##form(", r11") "}\n\t" \
    TC_KEEP(r4, 9) \
    TC_KEEP(r5, 8) \
    "add r3, r2, r6\n\t" \
    TC_KEEP(r8, 1) \
    TC_KEEP_PAIR(r2, r3, 2, 3) \
    TC_KEEP_PAIR(r9, r10, 4, 5) \
    TC_IF_SIGNED_##form(TC_KEEP(r11, 6)) \
    "1:\n\t" /* 4 columns */ \
    TC_FETCH(r12, 0) \
    TC_MATRIX_START_##form \
    body \
    TC_FETCH_PAIR(r0, r1, 4, 5) \
    TC_IF_SIGNED_##form(TC_FETCH(r2, 6)) \
    ".irp a, r4, r5, r6, r7, r8, r9, r10, r11\n\t" \
    TC_HIGH_##form(\\a, r0, r1, r2, r3) \
    ".endr\n\t" \
    ".irp a, r4, r5, r6, r7, r8, r9, r10, r11\n\t" \
    TC_SATURATE(\\a, saturate, bits, shift) \
    ".endr\n\t" \
    TC_CLAMP_##saturate("r4, r5, r6, r7, r8, r9, r10, r11", bits, low, high, r0, r1, r2) \
    TC_FETCH_PAIR(r0, r1, 2, 3) \
    ".irp a, r4, r5, r6, r7\n\t" \
    "strb \\a, [r0], #1\n\t" \
    ".endr\n\t" \
    ".irp a, r8, r9, r10, r11\n\t" \
    "strb \\a, [r1], #1\n\t" \
    ".endr\n\t" \
    TC_KEEP_PAIR(r0, r1, 2, 3) \
    TC_FETCH(r2, 8) \
    "cmp lr, r2\n\t" \
    "bne 1b\n\t"

#define TC_MATRIX_BLOCK_OF(name, body, ...) \
    TC_BLOCK_FUNCTION(name, const uint32_t *, const uint32_t *, int8_t *, const tc_matrix_job *, \
                      TC_MATRIX_BLOCK_TEXT(body, __VA_ARGS__))
#define TC_MATRIX_BLOCK(name, pairs, form, ...) \
    TC_MATRIX_BLOCK_OF(name, TC_MATRIX_EXPANDED(TC_MATRIX_BODY, pairs, TC_MATRIX_FIRST_##form), form, __VA_ARGS__)
#define TC_MATRIX_BLOCK_SINGLE(name, pairs, form, ...) \
    TC_MATRIX_BLOCK_OF(name, TC_MATRIX_EXPANDED(TC_MATRIX_BODY_SINGLE, pairs, TC_MATRIX_FIRST_##form), form, __VA_ARGS__)
#define TC_MATRIX_EXPANDED(body, ...) body(__VA_ARGS__)

#else

#define TC_MATRIX_BLOCK(name, pairs, ...) \
    static TC_NOINLINE void name(const uint32_t *rows, const uint32_t *columns, int8_t *output, \
                                 const tc_matrix_job *job) \
    { \
        static const tc_requant_block requant = TC_REQUANT_BLOCK(__VA_ARGS__); \
        tc_matrix_block_portable(rows, columns, output, job, &requant); \
    }
#define TC_MATRIX_BLOCK_SINGLE TC_MATRIX_BLOCK

#endif

#ifdef __cplusplus
}
#endif

#endif
