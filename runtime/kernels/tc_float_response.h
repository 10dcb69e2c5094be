/* SPDX-License-Identifier: 0BSD */
/*
 * LOCAL_RESPONSE_NORMALIZATION of floats: x * (bias + alpha * (sum of squares of near channels)) ^ -beta. It needs the C
 * library's powf (-lm).
 *
 * input, output  [rows][depth]
 */
#ifndef TC_FLOAT_RESPONSE_H
#define TC_FLOAT_RESPONSE_H

#include <math.h>
#include <stdint.h>

#include "kernels/tc_float_exact.h"
#include "kernels/tc_inline.h"
#include "kernels/tc_requant.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tc_float_response_shape {
    int32_t rows;
    int32_t depth;
    int32_t radius; /* channels on either side */
    float bias;
    float alpha;
    float beta;
} tc_float_response_shape;

TC_INLINE void tc_float_response(const float *input, float *output, const tc_float_response_shape *shape)
{
    for (int32_t row = 0; row < shape->rows; ++row) {
        for (int32_t channel = 0; channel < shape->depth; ++channel) {
            const int32_t last = tc_min(channel + shape->radius, shape->depth - 1);
            float sum = 0.0f;
            for (int32_t i = tc_max(channel - shape->radius, 0); i <= last; ++i) {
                sum = tc_opaque(sum + tc_opaque(input[i] * input[i]));
            }
            const float base = tc_opaque(shape->bias + tc_opaque(shape->alpha * sum));
            output[channel] = tc_opaque(input[channel] * powf(base, -shape->beta));
        }
        input += shape->depth;
        output += shape->depth;
    }
}

#ifdef __cplusplus
}
#endif

#endif
