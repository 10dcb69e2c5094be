/* SPDX-License-Identifier: 0BSD */
/*
 * A border around a float tensor of up to six axes.
 */
#ifndef TC_FLOAT_PAD_H
#define TC_FLOAT_PAD_H

#include <stdint.h>

#include "kernels/tc_inline.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tc_float_pad_shape {
    int32_t size[6];   /* of the output */
    int32_t before[6];
    int32_t inside[6]; /* of the input */
    float value;
} tc_float_pad_shape;

TC_INLINE void tc_float_pad(const float *input, float *output, const tc_float_pad_shape *shape)
{
    int32_t count = 1;
    for (int32_t axis = 0; axis < 6; ++axis) {
        count *= shape->size[axis];
    }
    for (int32_t i = 0; i < count; ++i) {
        int32_t rest = i;
        int32_t holds = 1;
        for (int32_t axis = 5; axis >= 0; --axis) {
            const int32_t at = rest % shape->size[axis] - shape->before[axis];
            rest /= shape->size[axis];
            holds = holds && at >= 0 && at < shape->inside[axis];
        }
        output[i] = holds ? *input++ : shape->value;
    }
}

#ifdef __cplusplus
}
#endif

#endif
