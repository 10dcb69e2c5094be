/* SPDX-License-Identifier: 0BSD */
/*
 * A row times a matrix by the byte-lane product (docs/kernels.md), 8 sums in registers: the sums themselves, for layers
 * that do more with them than to rescale them.
 *
 * x        a row, expanded: per 4 inputs p and q (tc_lane.h)
 * weights  per 8 rows of the matrix: 8 starts, 8 words per 4 inputs
 * sums     256 times start, which has what the expansion adds, and products; a multiple of 8
 */
#ifndef TC_LANE_SUMS_H
#define TC_LANE_SUMS_H

#include <stdint.h>
#include <string.h>

#include "cmsis_shim/tc_simd.h"
#include "kernels/tc_inline.h"
#include "kernels/tc_lane.h"
#include "kernels/tc_lane_fully_connected.h"
#include "kernels/tc_requant_block.h"

#ifdef __cplusplus
extern "C" {
#endif

#if TC_DSP_BLOCKS

/*
 * r4-r11 accumulate 8 sums; r12 walks the weights, lr the row.
 * Slots: 0 start of x, 1 its end, 2 sums, 4 end of the weights, 5 entry.
 */
#define TC_LANE_SUMS_TEXT \
    TC_KEEP(r0, 0) \
    TC_KEEP(r2, 2) \
    "ldrd r4, r5, [r3]\n\t" \
    "ldr r6, [r3, #8]\n\t" \
    TC_KEEP(r4, 1) \
    TC_KEEP(r5, 4) \
    TC_KEEP(r6, 5) \
    "mov r12, r1\n" \
    "1:\n\t" /* 8 sums */ \
    TC_FETCH(lr, 0) \
    TC_FETCH(r0, 5) \
    "ldmia r12!, {r4-r11}\n\t" \
    "cmp r0, #0\n\t" \
    "bne 3f\n" \
    "2:\n\t" /* 8 inputs per round, entered in the middle where the number of groups is odd */ \
    TC_LANE_ROW_GROUP(8, TC_LANE_ROW_LOAD) \
    "3:\n\t" \
    TC_LANE_ROW_GROUP(8, TC_LANE_ROW_LOAD) \
    TC_FETCH(r0, 1) \
    "cmp lr, r0\n\t" \
    "bne 2b\n\t" \
    TC_FETCH(r0, 2) \
    "stmia r0!, {r4-r11}\n\t" \
    TC_KEEP(r0, 2) \
    TC_FETCH(r1, 4) \
    "cmp r12, r1\n\t" \
    "bne 1b\n\t"

TC_BLOCK_FUNCTION(tc_lane_row_sums, const void *, const int32_t *, int32_t *, const tc_lane_row_job *, TC_LANE_SUMS_TEXT)

#else

static TC_NOINLINE void tc_lane_row_sums(const void *x, const int32_t *weights, int32_t *sums, const tc_lane_row_job *job)
{
    while (weights != job->weights_end) {
        int32_t sum[8];
        memcpy(sum, weights, sizeof sum);
        weights += 8;
        for (const uint32_t *group = (const uint32_t *)x; group != (const uint32_t *)job->x_end; group += 2) {
            for (uint32_t row = 0; row < 8u; row++) {
                const uint32_t weight = (uint32_t)*weights++;
                sum[row] = tc_smlad(weight, group[0], sum[row]);
                sum[row] = tc_smlad(tc_sxtb16(weight, 0), group[1], sum[row]);
            }
        }
        memcpy(sums, sum, sizeof sum);
        sums += 8;
    }
}

#endif

/* Expands a row of `inputs` to `row` and multiplies it by the matrix; `words` of weights. */
TC_INLINE void tc_lane_sums(const int8_t *input, int32_t inputs, uint32_t *row, const int32_t *weights, int32_t words,
                            int32_t *sums)
{
    const int32_t groups = (inputs + 3) / 4;
    tc_lane_expand_row(input, (uint32_t)inputs, row);
    const tc_lane_row_job job = {row + 2 * groups, weights + words, (uint32_t)(groups % 2)};
    tc_lane_row_sums(row, weights, sums, &job);
}

#ifdef __cplusplus
}
#endif

#endif
