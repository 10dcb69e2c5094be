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

/* The inputs around an output pixel, and how far it is on the way to the lower and the right ones. */
typedef struct tc_float_corners {
    const float *input[4];
    float down;
    float right;
} tc_float_corners;

TC_INLINE float tc_float_interpolated(const tc_float_corners *corners, int32_t channel)
{
    const float *const *input = corners->input;
    const float upper = tc_float_between_of(input[0][channel], input[1][channel], corners->right);
    const float lower = tc_float_between_of(input[2][channel], input[3][channel], corners->right);
    return tc_float_between_of(upper, lower, corners->down);
}

TC_INLINE void tc_float_resize_bilinear(const float *input, float *output, const tc_float_between *rows,
                                        const tc_float_between *columns, const tc_float_resize_bilinear_shape *shape)
{
    const int32_t channels = shape->channels;
    const int32_t row = shape->input_width * channels;
    for (int32_t n = 0; n < shape->batch; ++n) {
        for (int32_t y = 0; y < shape->output_height; ++y) {
            const float *above = input + rows[y].lower * row;
            const float *below = input + rows[y].upper * row;
            for (int32_t x = 0; x < shape->output_width; ++x) {
                const int32_t left = columns[x].lower * channels;
                const int32_t right = columns[x].upper * channels;
                const tc_float_corners corners = {
                    {above + left, above + right, below + left, below + right}, rows[y].weight, columns[x].weight};
                for (int32_t i = 0; i < channels / 4 * 4; i += 4) {
                    output[i] = tc_float_interpolated(&corners, i);
                    output[i + 1] = tc_float_interpolated(&corners, i + 1);
                    output[i + 2] = tc_float_interpolated(&corners, i + 2);
                    output[i + 3] = tc_float_interpolated(&corners, i + 3);
                }
                for (int32_t i = channels / 4 * 4; i < channels; ++i) {
                    output[i] = tc_float_interpolated(&corners, i);
                }
                output += channels;
            }
        }
        input += shape->input_height * row;
    }
}

#ifdef __cplusplus
}
#endif

#endif
