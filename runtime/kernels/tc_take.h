/* SPDX-License-Identifier: 0BSD */
/*
 * Elements of one axis by index.
 *
 * input   [outer][size][inner bytes]
 * output  [outer][count][inner bytes]
 *
 * Runs are copied upwards in memory, in the order of the output.
 */
#ifndef TC_TAKE_H
#define TC_TAKE_H

#include <stdint.h>

#include "kernels/tc_copy.h"
#include "kernels/tc_inline.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tc_take_shape {
    int32_t outer;
    int32_t size;
    int32_t count;
    int32_t inner; /* bytes */
    int32_t first; /* of tc_slice: the index of the first element */
} tc_take_shape;

/* `count` neighbours. */
TC_INLINE void tc_slice(const void *input, void *output, const tc_take_shape *shape)
{
    const int8_t *from = (const int8_t *)input + shape->first * shape->inner;
    int8_t *to = (int8_t *)output;
    const int32_t run = shape->count * shape->inner;
    for (int32_t i = 0; i < shape->outer; ++i) {
        tc_copy_down(to, from, run);
        to += run;
        from += shape->size * shape->inner;
    }
}

/* Element indices[j] for each j. */
TC_INLINE void tc_take(const void *input, void *output, const uint16_t *indices, const tc_take_shape *shape)
{
    const int8_t *from = (const int8_t *)input;
    int8_t *to = (int8_t *)output;
    for (int32_t i = 0; i < shape->outer; ++i) {
        for (int32_t j = 0; j < shape->count; ++j) {
            tc_copy_down(to, from + indices[j] * shape->inner, shape->inner);
            to += shape->inner;
        }
        from += shape->size * shape->inner;
    }
}

#ifdef __cplusplus
}
#endif

#endif
