/* SPDX-License-Identifier: 0BSD */
/* Mean and reciprocal root of the variance of an int8 row, as MEAN, SQUARED_DIFFERENCE and MEAN round them. */
#ifndef TC_LAYER_NORM_STATISTICS_H
#define TC_LAYER_NORM_STATISTICS_H

#include <stdint.h>

#include "kernels/tc_bytes.h"
#include "kernels/tc_inline.h"
#include "kernels/tc_mean.h"
#include "kernels/tc_squared_difference.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What an element is of the scale that it has in common with the mean, where its scale is the larger one. */
#define TC_NORM_STEP 64

/*
 * SQUARED_DIFFERENCE(x, mean) in units of the output:
 *     saturate((((x * unit - centre)^2 >> 32) + start) >> right)
 * The compiler has compared it with the operator for all operands. right: 0 where no unit gives its results.
 */
typedef struct tc_norm_square {
    tc_common_scale mean;
    int32_t x_zero_point;
    int32_t unit;
    int32_t start;
    int32_t right;
} tc_norm_square;

typedef struct tc_norm_statistics {
    tc_mean_shape mean;                    /* of a row */
    tc_norm_square square;
    tc_squared_difference_form aligned; /* a: an element, b: the mean; where there are no squares of the other form */
    tc_mean_shape variance;
} tc_norm_statistics;

typedef struct tc_norm_row {
    int32_t mean;
    int32_t root;
} tc_norm_row;

/* The sum of a row's elements, eight at a time: USADA8 of elements + 128. */
TC_INLINE int32_t tc_norm_total(const int8_t *row, int32_t depth)
{
    int32_t total = 0;
    int32_t i = 0;
#if TC_DSP
    uint32_t raised = 0;
    for (; i < depth / 8 * 8; i += 8) {
        raised = __usada8((uint8x4_t)(tc_load4(row + i) ^ 0x80808080u), 0, raised);
        raised = __usada8((uint8x4_t)(tc_load4(row + i + 4) ^ 0x80808080u), 0, raised);
    }
    total = (int32_t)raised - 128 * i;
#endif
    for (; i < depth; ++i) {
        total += row[i];
    }
    return total;
}

/* What is the same for a row's squares. */
typedef struct tc_norm_centre {
    int32_t unit;
    int32_t minus;
    int32_t start;
} tc_norm_centre;

TC_INLINE tc_norm_centre tc_norm_centre_of(int32_t mean, const tc_norm_square *square)
{
    const int64_t scaled = (int64_t)tc_to_common_scale(mean, &square->mean) * square->unit;
    const int32_t centre = (int32_t)((scaled + TC_NORM_STEP / 2) >> 6) + square->x_zero_point * square->unit;
    tc_norm_centre found = {square->unit, -centre, square->start};
#if TC_DSP
    /* In registers, not loaded again for each element; added, and not a negative number subtracted, which MLA can't. */
    __asm__("" : "+r"(found.unit), "+r"(found.minus), "+r"(found.start));
#endif
    return found;
}

TC_INLINE int32_t tc_norm_square_of(int32_t x, const tc_norm_centre *centre)
{
    const int32_t number = x * centre->unit + centre->minus;
    return tc_smmla(number, number, centre->start);
}

#if TC_DSP
/* Of two elements, whose squares are upper halves of words: SSAT16 saturates both. */
TC_INLINE int32_t tc_norm_add_two(int32_t sum, const int8_t *x, const tc_norm_centre *centre, uint32_t ones)
{
    const uint32_t first = (uint32_t)tc_norm_square_of(x[0], centre);
    const uint32_t second = (uint32_t)tc_norm_square_of(x[1], centre);
    uint32_t both = tc_pkhtb(first, second, 16);
    __asm__("ssat16 %0, #8, %0" : "+r"(both)); /* ACLE's is a macro with a conversion of signs */
    return tc_smlad(both, ones, sum);
}
#endif

/* The sum over a row. */
TC_INLINE int32_t tc_norm_squares(const int8_t *row, int32_t depth, int32_t mean, const tc_norm_square *square)
{
    const tc_norm_centre centre = tc_norm_centre_of(mean, square);
    int32_t squares = 0;
    int32_t i = 0;
#if TC_DSP
    const uint32_t ones = tc_lanes(1, 1);
    for (; square->right == 16 && i < depth / 4 * 4; i += 4) {
        squares = tc_norm_add_two(squares, row + i, &centre, ones);
        squares = tc_norm_add_two(squares, row + i + 2, &centre, ones);
    }
#endif
    for (; i < depth; ++i) {
        squares += tc_saturate8(tc_norm_square_of(row[i], &centre), square->right);
    }
    return squares;
}

/* The same of operands that are aligned as the operator aligns them. */
TC_INLINE int32_t tc_norm_aligned_squares(const int8_t *row, int32_t depth, int32_t mean,
                                          const tc_squared_difference_form *form)
{
    int32_t aligned = tc_to_common_scale(mean, &form->b);
    int32_t squares = 0;
    aligned += form->a.right == 0 ? form->a.zero_point * TC_NORM_STEP : 0;
#if defined(__GNUC__)
#pragma GCC unroll 4
#endif
    for (int32_t i = 0; i < depth; ++i) {
        const int32_t x = form->a.right == 0 ? row[i] * TC_NORM_STEP : tc_to_common_scale(row[i], &form->a);
        squares += tc_scaled_square(x - aligned, form);
    }
    return squares;
}

TC_INLINE tc_norm_row tc_norm_statistics_of(const int8_t *row, int32_t depth, const int8_t *roots,
                                            const tc_norm_statistics *statistics)
{
    const int32_t mean = tc_mean_of(tc_norm_total(row, depth), &statistics->mean);
    const int32_t squares = statistics->square.right != 0
                                ? tc_norm_squares(row, depth, mean, &statistics->square)
                                : tc_norm_aligned_squares(row, depth, mean, &statistics->aligned);
    const tc_norm_row found = {mean, roots[(uint8_t)tc_mean_of(squares, &statistics->variance)]};
    return found;
}

#ifdef __cplusplus
}
#endif

#endif
