/* SPDX-License-Identifier: 0BSD */
/*
 * A row times a matrix by pairs of 16-bit products, 6 sums in registers: fewer instructions than the byte-lane product
 * (tc_lane_sums.h), and weights of twice the size.
 *
 * x        a row, expanded: per 4 inputs a word of inputs 0 and 2, a word of 1 and 3
 * weights  per 6 rows of the matrix: 6 starts, then per 4 inputs and row two words that match those of x
 * sums     start and products; a multiple of 6
 */
#ifndef TC_PAIR_SUMS_H
#define TC_PAIR_SUMS_H

#include <stdint.h>
#include <string.h>

#include "cmsis_shim/tc_simd.h"
#include "kernels/tc_align.h"
#include "kernels/tc_inline.h"
#include "kernels/tc_lane_block.h"
#include "kernels/tc_requant_block.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What the block function needs besides its pointers; its assembly knows the order of the fields. */
typedef struct tc_pair_sums_job {
    const uint32_t *x_end;
    const int32_t *weights_end;
    uint32_t entry; /* how many groups of 4 inputs the first round of a loop over 4 of them has */
} tc_pair_sums_job;

#if TC_DSP_BLOCKS

#define TC_PAIR_SUMS_TWO(a, b) \
    "ldmia r12!, {r0, r1, r2, r3}\n\t" \
    "smlad " #a ", r0, r10, " #a "\n\t" \
    "smlad " #b ", r2, r10, " #b "\n\t" \
    "smlad " #a ", r1, r11, " #a "\n\t" \
    "smlad " #b ", r3, r11, " #b "\n\t"

#define TC_PAIR_SUMS_GROUP \
    "ldrd r10, r11, [lr], #8\n\t" \
    TC_PAIR_SUMS_TWO(r4, r5) \
    TC_PAIR_SUMS_TWO(r6, r7) \
    TC_PAIR_SUMS_TWO(r8, r9)

/*
 * r4-r9 accumulate 6 sums; r12 walks the weights, lr the row, of which 4 inputs are in r10 and r11.
 * Slots: 0 start of x, 1 entry into the loop, 2 sums, 4 end of the weights, 5 end of x.
 */
#define TC_PAIR_SUMS_TEXT \
    TC_KEEP(r0, 0) \
    TC_KEEP(r2, 2) \
    "ldrd r4, r5, [r3]\n\t" \
    "ldr r6, [r3, #8]\n\t" \
    TC_KEEP(r4, 5) \
    TC_KEEP(r5, 4) \
    TC_KEEP(r6, 1) \
    "mov r12, r1\n" \
    "1:\n\t" /* 6 sums */ \
    TC_FETCH(lr, 0) \
    "ldmia r12!, {r4-r9}\n\t" \
    TC_LANE_LOOP(r0, TC_PAIR_SUMS_GROUP, TC_FETCH(r0, 5) "cmp lr, r0\n\t") \
    TC_FETCH(r0, 2) \
    TC_FETCH(r1, 4) \
    "stmia r0!, {r4-r9}\n\t" \
    "cmp r12, r1\n\t" \
    TC_KEEP(r0, 2) \
    "bne 1b\n\t"

TC_BLOCK_FUNCTION(tc_pair_row_sums, const uint32_t *, const int32_t *, int32_t *, const tc_pair_sums_job *, TC_PAIR_SUMS_TEXT)

#else

static TC_NOINLINE void tc_pair_row_sums(const uint32_t *x, const int32_t *weights, int32_t *sums,
                                         const tc_pair_sums_job *job)
{
    while (weights != job->weights_end) {
        int32_t sum[6];
        memcpy(sum, weights, sizeof sum);
        weights += 6;
        for (const uint32_t *group = x; group != job->x_end; group += 2) {
            for (uint32_t row = 0; row < 6u; row++) {
                sum[row] = tc_smlad((uint32_t)weights[0], group[0], sum[row]);
                sum[row] = tc_smlad((uint32_t)weights[1], group[1], sum[row]);
                weights += 2;
            }
        }
        memcpy(sums, sum, sizeof sum);
        sums += 6;
    }
}

#endif

/* Expands a row of `inputs` to `row` and multiplies it by the matrix; `words` of weights. */
TC_INLINE void tc_pair_sums(const int8_t *input, int32_t inputs, uint32_t *row, const int32_t *weights, int32_t words,
                            int32_t *sums)
{
    uint32_t *expanded = row;
    int32_t i = 0;
    for (; i + 4 <= inputs; i += 4) {
        const uint32_t bytes = tc_load4(input + i);
        *expanded++ = tc_sxtb16(bytes, 0);
        *expanded++ = tc_sxtb16(bytes, 8);
    }
    if (i < inputs) {
        uint32_t bytes = 0;
        tc_memcpy(&bytes, input + i, (uint32_t)(inputs - i));
        *expanded++ = tc_sxtb16(bytes, 0);
        *expanded++ = tc_sxtb16(bytes, 8);
    }
    const tc_pair_sums_job job = {expanded, weights + words, (uint32_t)(((inputs + 3) / 4 - 1) % 4 + 1)};
    tc_pair_row_sums(row, weights, sums, &job);
}

#ifdef __cplusplus
}
#endif

#endif
