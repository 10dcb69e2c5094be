/* SPDX-License-Identifier: 0BSD */
/*
 * What may follow a layer's requantisation in the same function, before the result is stored: the operator behind it.
 *
 * The int8 value that the layer would have stored is the operand, so the results are those of two layers one after the
 * other. Such a struct is a constant of the caller, and the C compiler leaves only the case that it says.
 */
#ifndef TC_AFTER_H
#define TC_AFTER_H

#include <stdint.h>

#include "cmsis_shim/tc_simd.h"
#include "kernels/tc_inline.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum tc_after_kind {
    TC_AFTER_NOTHING,
    TC_AFTER_SUM, /* with the element of another tensor at the same place */
    TC_AFTER_TABLE /* entry (uint8_t)value of a table */
} tc_after_kind;

/*
 * The sum is clamp((value * first + other * second + start) >> shift), with the zero points and the rounding in `start`,
 * all of it in 32 bits. The compiler has checked that this is the definition's result for all 65,536 pairs of operands.
 */
typedef struct tc_after {
    tc_after_kind kind;
    int32_t first;
    int32_t second;
    int32_t start;
    int32_t shift;
    int32_t low;
    int32_t high;
    int32_t apart; /* where a layer's results wait in scratch, so that the other operand may be where they go; 0 for nowhere */
} tc_after;

#define TC_NOTHING_AFTER {TC_AFTER_NOTHING, 0, 0, 0, 0, 0, 0, 0}

/* The other operand of the results that begin `elements` further on: a table is the same for all. */
TC_INLINE const int8_t *tc_after_at(const int8_t *other, int32_t elements, const tc_after *after)
{
    return after->kind == TC_AFTER_SUM ? other + elements : other;
}

/* `other`: the other tensor at the value's place, or the table. */
TC_INLINE int32_t tc_after_value(int32_t value, const int8_t *other, const tc_after *after)
{
    if (after->kind == TC_AFTER_TABLE) {
        return other[(uint8_t)value];
    }
    if (after->kind == TC_AFTER_SUM) {
        const int32_t sum = value * after->first + *other * after->second + after->start;
        return tc_clamp8(sum >> after->shift, after->low, after->high);
    }
    return value;
}

/* Where a layer stores what its operator is behind. */
TC_INLINE int8_t *tc_after_place(int8_t *output, void *scratch, const tc_after *after)
{
    return after->apart != 0 ? (int8_t *)scratch + after->apart : output;
}

/* What is behind the layer of `count` results, which may be in the output; the other operand of the next ones. */
TC_INLINE const int8_t *tc_after_results(const int8_t *results, const int8_t *other, int8_t *output, int32_t count,
                                         const tc_after *after)
{
    if (after->kind != TC_AFTER_NOTHING) {
        for (int32_t i = 0; i < count; i++) {
            output[i] = (int8_t)tc_after_value(results[i], tc_after_at(other, i, after), after);
        }
    }
    return tc_after_at(other, count, after);
}

#ifdef __cplusplus
}
#endif

#endif
