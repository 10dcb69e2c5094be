/* SPDX-License-Identifier: 0BSD */
/*
 * Resizing of floats by linear interpolation.
 *
 * input    [batch][input_height][input_width][channels]
 * output   [batch][output_height][output_width][channels]
 * rows     for each output row the input rows around it and the weight of the lower one; columns likewise
 */
#ifndef TC_FLOAT_RESIZE_BILINEAR_H
#define TC_FLOAT_RESIZE_BILINEAR_H

#include <stdint.h>

#include "kernels/tc_float_exact.h"
#include "kernels/tc_inline.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tc_float_between {
    uint16_t lower;
    uint16_t upper;
    float weight;
} tc_float_between;

typedef struct tc_float_resize_bilinear_shape {
    int32_t batch;
    int32_t input_height;
    int32_t input_width;
    int32_t output_height;
    int32_t output_width;
    int32_t channels;
} tc_float_resize_bilinear_shape;

TC_INLINE float tc_float_between_of(float lower, float upper, float weight)
{
    return tc_opaque(tc_opaque(lower * (1.0f - weight)) + tc_opaque(upper * weight));
}

TC_INLINE void tc_float_resize_bilinear(const float *input, float *output, const tc_float_between *rows,
                                        const tc_float_between *columns, const tc_float_resize_bilinear_shape *shape)
{
    const int32_t row = shape->input_width * shape->channels;
    for (int32_t n = 0; n < shape->batch; ++n) {
        for (int32_t y = 0; y < shape->output_height; ++y) {
            const float *above = input + rows[y].lower * row;
            const float *below = input + rows[y].upper * row;
            for (int32_t x = 0; x < shape->output_width; ++x) {
                const int32_t left = columns[x].lower * shape->channels;
                const int32_t right = columns[x].upper * shape->channels;
                for (int32_t channel = 0; channel < shape->channels; ++channel) {
                    const float upper = tc_float_between_of(above[left + channel], above[right + channel], columns[x].weight);
                    const float lower = tc_float_between_of(below[left + channel], below[right + channel], columns[x].weight);
                    *output++ = tc_float_between_of(upper, lower, rows[y].weight);
                }
            }
        }
        input += shape->input_height * row;
    }
}

#ifdef __cplusplus
}
#endif

#endif
