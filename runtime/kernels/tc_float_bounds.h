/* SPDX-License-Identifier: 0BSD */
/* The range of a layer's float results: what a fused activation leaves of them. */
#ifndef TC_FLOAT_BOUNDS_H
#define TC_FLOAT_BOUNDS_H

#include <stdint.h>

#include "kernels/tc_inline.h"

#ifdef __cplusplus
extern "C" {
#endif

/* An end that is open has no number in C: `below` and `above` say which of the two count. */
typedef struct tc_float_bounds {
    int32_t below;
    int32_t above;
    float low;
    float high;
} tc_float_bounds;

TC_INLINE float tc_float_bounded(float value, const tc_float_bounds *bounds)
{
    if (bounds->below && value < bounds->low) {
        value = bounds->low;
    }
    if (bounds->above && value > bounds->high) {
        value = bounds->high;
    }
    return value;
}

#ifdef __cplusplus
}
#endif

#endif
