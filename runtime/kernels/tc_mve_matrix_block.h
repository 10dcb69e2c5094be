/* SPDX-License-Identifier: 0BSD */
/*
 * The block function of products of computed matrices by Helium: 2 rows times columns, 4 at a time.
 *
 *     TC_MVE_MATRIX(name, groups, form, pre, shift, low, high)
 *
 *     rows     the first row, `groups` x 16 bytes
 *     columns  per 4 columns: [groups][4 columns][16], int8, then what their sums begin with, 4 words
 *     output   of the first row and column
 *
 * Elements keep their zero points: a product of (x - zx) and (w - zw) is x w - zx w - zw x + zx zw, of which the middle
 * is the same for all rows, so that it is a column's start, and the last but one for all columns, a row's. The last
 * arguments are the requantisation (tc_mve_requant_block.h), whose starts both are, to the left by `pre`.
 */
#ifndef TC_MVE_MATRIX_BLOCK_H
#define TC_MVE_MATRIX_BLOCK_H

#include <stdint.h>

#include "kernels/tc_inline.h"
#include "kernels/tc_mve.h"
#include "kernels/tc_mve_block.h"
#include "kernels/tc_mve_requant_block.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The assembly knows the order of the fields. */
typedef struct tc_mve_matrix_job {
    uint16_t offsets[8]; /* from `output` to where the results go, in the order of TC_MVE_NARROW */
    int32_t next;        /* bytes from the first row to the second */
    int32_t lanes;       /* 2 x columns */
    const int32_t *constants; /* four multipliers, offsets and extras */
    int32_t starts[2];   /* of the rows */
} tc_mve_matrix_job;

typedef void tc_mve_matrix_block(const int8_t *rows, const int8_t *columns, int8_t *output,
                                 const tc_mve_matrix_job *job);

/* The same arithmetic in portable C. */
TC_INLINE void tc_mve_matrix_portable(const int8_t *rows, const int8_t *columns, int8_t *output,
                                      const tc_mve_matrix_job *job, int32_t groups, const tc_mve_requant *requant)
{
    for (int32_t lanes = job->lanes; lanes > 0; lanes -= 8, output += 4, columns += 64 * groups + 16) {
        for (int32_t lane = 0; lane < (lanes < 8 ? lanes : 8); lane++) {
            int32_t start;
            memcpy(&start, columns + 64 * groups + 4 * (lane / 2), 4);
            const int32_t sum = tc_mve_dot(rows + lane % 2 * job->next, columns + 16 * (lane / 2), groups, 0);
            output[job->offsets[lane]] = tc_mve_requantize(sum, tc_wrapping_add(start, job->starts[lane % 2]),
                                                           job->constants, 4, requant);
        }
    }
}

#if TC_MVE_BLOCKS

#define TC_MVE_MATRIX_SHIFT(pre) \
    ".if (" #pre ") > 0\n\t" \
    "vshl.i32 q0, q0, #" #pre "\n\t" \
    "vshl.i32 q1, q1, #" #pre "\n\t" \
    ".endif\n\t"

/*
 * r1, r3 the rows, r5 the columns, r9 the output, r11 the lanes that are left.
 * s20 r7 of the caller, s21 the constants, s24 and s25 starts of the rows, s26 and s27 the rows.
 */
#define TC_MVE_MATRIX_TEXT(groups, form, pre, shift, low, high) \
    "vldrh.u16 q4, [r3], #16\n\t" \
    "mov r9, r2\n\t" \
    "ldm r3, {r2, r4, r6, r8, r10}\n\t" \
    "vmov s20, s21, r7, r6\n\t" \
    "vmov s24, s25, r8, r10\n\t" \
    "mov r11, r4\n\t" \
    "mov r5, r1\n\t" \
    "add r3, r0, r2\n\t" \
    "mov r1, r0\n\t" \
    "vmov s26, s27, r1, r3\n" \
    "2:\n\t" /* 4 columns */ \
    TC_MVE_GROUPS(TC_MVE_PAIR_GROUP_BYTES("vmladav.s8"), TC_MVE_PAIR_GROUP_BYTES("vmladava.s8"), groups) \
    TC_MVE_TO_LANES \
    TC_MVE_MATRIX_SHIFT(pre) \
    "vldrw.u32 q2, [r5], #16\n\t" \
    "vmov r0, r2, s24, s25\n\t" \
    "vadd.i32 q0, q0, q2\n\t" \
    "vadd.i32 q1, q1, q2\n\t" \
    "vadd.i32 q0, q0, r0\n\t" \
    "vadd.i32 q1, q1, r2\n\t" \
    "vmov r6, s21\n\t" \
    TC_MVE_HIGH_##form(r6, r6) \
    TC_MVE_NARROW_##form(shift, low, high) \
    TC_MVE_STORE(TC_MVE_RESULT_##form, 1) \
    "add r9, r9, #4\n\t" \
    "subs r11, r11, #8\n\t" \
    "vmov r1, r3, s26, s27\n\t" \
    "bhi 2b\n\t" \
    "vmov r7, s20\n\t"

#define TC_MVE_MATRIX(name, ...) \
    static TC_NOINLINE void name(const int8_t *rows, const int8_t *columns, int8_t *output, \
                                 const tc_mve_matrix_job *job) \
    { \
        register const int8_t *r0 __asm__("r0") = rows; \
        register const int8_t *r1 __asm__("r1") = columns; \
        register int8_t *r2 __asm__("r2") = output; \
        register const tc_mve_matrix_job *r3 __asm__("r3") = job; \
        TC_ASM_WITH_R9( \
            TC_MVE_MATRIX_TEXT(__VA_ARGS__) \
            : "+r"(r0), "+r"(r1), "+r"(r2), "+r"(r3) \
            : \
            : "r4", "r5", "r6", "r8", "r9", "r10", "r11", "r12", "lr", "q0", "q1", "q2", "q3", "q4", "q5", "q6", \
              "q7", "p0", "cc", "memory"); \
    }

#else

#define TC_MVE_MATRIX(name, groups, ...) \
    static TC_NOINLINE void name(const int8_t *rows, const int8_t *columns, int8_t *output, \
                                 const tc_mve_matrix_job *job) \
    { \
        static const tc_mve_requant requant = TC_MVE_REQUANT(__VA_ARGS__); \
        tc_mve_matrix_portable(rows, columns, output, job, groups, &requant); \
    }

#endif

#ifdef __cplusplus
}
#endif

#endif
