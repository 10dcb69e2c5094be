/* SPDX-License-Identifier: 0BSD */
/*
 * What comes after a layer (tc_after.h), on a run of its results by Helium: 8 or 16 at a time.
 */
#ifndef TC_MVE_AFTER_H
#define TC_MVE_AFTER_H

#include <stdbool.h>
#include <stdint.h>

#include "kernels/tc_after.h"
#include "kernels/tc_inline.h"
#include "kernels/tc_lookup.h"
#include "kernels/tc_mve.h"
#include "kernels/tc_narrow_sum.h"

#ifdef __cplusplus
extern "C" {
#endif

#if TC_MVE
/* Sums of 8 elements, the last `count` of which alone are loaded and stored; `load` and `store` are predicated where it matters. */
#define TC_MVE_SUM8(before, load, clamp, store) \
    before \
    load " q0, [%0], #8\n\t" \
    load " q1, [%1], #8\n\t" \
    "vmovlb.s16 q2, q0\n\t" \
    "vmovlt.s16 q0, q0\n\t" \
    "vmlas.s32 q2, q4, %4\n\t" \
    "vmovlb.s16 q3, q1\n\t" \
    "vmlas.s32 q0, q4, %4\n\t" \
    "vmovlt.s16 q1, q1\n\t" \
    "vmla.s32 q2, q3, %5\n\t" \
    "vmla.s32 q0, q1, %5\n\t" \
    "vshl.s32 q2, %6\n\t" \
    "vshl.s32 q0, %6\n\t" \
    "vqmovnb.s32 q2, q2\n\t" \
    "vqmovnt.s32 q2, q0\n\t" \
    "vqmovnb.s16 q2, q2\n\t" \
    clamp \
    store " q2, [%2], #8\n\t"

#define TC_MVE_CLAMP8 \
    "vmax.s8 q2, q2, q5\n\t" \
    "vmin.s8 q2, q2, q6\n\t"
#define TC_MVE_SUM(clamp) \
    __asm__ volatile( \
        "vdup.32 q4, %7\n\t" \
        "vdup.8 q5, %8\n\t" \
        "vdup.8 q6, %9\n\t" \
        "lsrs lr, %3, #3\n\t" \
        "beq 2f\n" \
        "1:\n\t" \
        TC_MVE_SUM8("", "vldrb.s16", clamp, "vstrb.16") \
        "le lr, 1b\n" \
        "2:\n\t" \
        "ands %3, %3, #7\n\t" \
        "beq 3f\n\t" \
        TC_MVE_SUM8("vctp.16 %3\n\tvpstt\n\t", "vldrbt.s16", clamp, "vpst\n\tvstrbt.16") \
        "3:\n\t" \
        : "+l"(values), "+l"(others), "+l"(output), "+r"(count) \
        : "r"(after->start), "r"(after->second), "r"(-after->shift), "r"(after->first), "r"(after->low), "r"(after->high) \
        : "lr", "q0", "q1", "q2", "q3", "q4", "q5", "q6", "p0", "cc", "memory")

/* clamp((value * first + other * second + start) >> shift) of `count` elements; `clamps`, a constant: not only to int8. */
TC_INLINE void tc_mve_sum(const int8_t *values, const int8_t *others, int8_t *output, int32_t count, bool clamps,
                          const tc_after *after)
{
    if (clamps) {
        TC_MVE_SUM(TC_MVE_CLAMP8);
    } else {
        TC_MVE_SUM("");
    }
}
#endif

/*
 * output[i] of `count` values of a layer.
 *
 * other   the elements at the same places, where the output may be; or the table
 */
TC_INLINE void tc_mve_after(const int8_t *values, const int8_t *other, int8_t *output, int32_t count, const tc_after *after)
{
    if (after->kind == TC_AFTER_TABLE) {
        const tc_lookup_shape shape = {count};
        tc_lookup(values, output, other, &shape);
        return;
    }
#if TC_MVE
    tc_mve_sum(values, other, output, count, after->low > -128 || after->high < 127, after);
#else
    for (int32_t i = 0; i < count; i++) {
        output[i] = (int8_t)tc_after_value(values[i], tc_after_at(other, i, after), after);
    }
#endif
}

/* A sum that is an operator of its own. */
TC_INLINE void tc_mve_sum_s8(const int8_t *a, const int8_t *b, int8_t *output, const tc_narrow_sum *form)
{
    const tc_after after = {TC_AFTER_SUM, form->first, form->second, form->start, form->shift, form->low, form->high, 0};
#if TC_MVE
    tc_mve_sum(a, b, output, form->count, true, &after);
#else
    tc_mve_after(a, b, output, form->count, &after);
#endif
}

#ifdef __cplusplus
}
#endif

#endif
