/* SPDX-License-Identifier: 0BSD */
/*
 * Tables by the distance to a row's largest element: entries of the distances count - 1 ... 0, of which the first one stands
 * for all larger distances. So a place in the table is at least 0 and grows with the element: four of them are bytes
 * of a word, with one saturating subtraction.
 */
#ifndef TC_DISTANCE_H
#define TC_DISTANCE_H

#include <stdint.h>

#include "cmsis_shim/tc_simd.h"
#include "kernels/tc_bytes.h"
#include "kernels/tc_inline.h"
#include "kernels/tc_reduce.h"
#include "kernels/tc_requant.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Of at least one element. */
TC_INLINE int32_t tc_largest(const int8_t *elements, int32_t count)
{
#if TC_DSP
    return tc_extreme_of_run(elements, count, -128, tc_max4, tc_max);
#else
    int32_t largest = elements[0];
    for (int32_t i = 1; i < count; ++i) {
        largest = tc_max(largest, elements[i]);
    }
    return largest;
#endif
}

typedef struct tc_places {
    int32_t first;   /* the place of the smallest element that there could be */
    uint32_t floors; /* what is subtracted from an element + 128, in each byte */
} tc_places;

/* With 256 entries nothing is subtracted. */
TC_INLINE tc_places tc_places_below(int32_t largest, int32_t count)
{
    const int32_t floor = largest + 128 - (count - 1);
    const tc_places places = {count < 256 ? -tc_min(floor, 0) : -floor, count < 256 ? tc_splat4(tc_max(floor, 0)) : 0u};
    return places;
}

/* Of four elements, behind the first place. */
TC_INLINE uint32_t tc_four_places(const int8_t *elements, uint32_t floors)
{
    const uint32_t four = tc_load4(elements) ^ 0x80808080u;
#if defined(__GNUC__)
    const int32_t known = !TC_DSP || __builtin_constant_p(floors); /* as 0, for tables of 256 entries */
#else
    const int32_t known = 1;
#endif
    return known && floors == 0u ? four : tc_uqsub8(four, floors);
}

TC_INLINE int32_t tc_place(int32_t element, uint32_t floors)
{
    return tc_max(element + 128 - (int32_t)(floors & 0xFFu), 0);
}

#ifdef __cplusplus
}
#endif

#endif
