/* SPDX-License-Identifier: 0BSD */
/*
 * Elements of images or volumes at computed places, with interpolation along each axis.
 *
 * Shapes have three axes, those in front of size 1 where there are fewer; a place has a number for each of `axes`, the
 * last axis first. Each element of the input may be read for any of the output.
 */
#ifndef TC_FLOAT_GRID_SAMPLE_H
#define TC_FLOAT_GRID_SAMPLE_H

#include <math.h>
#include <stdint.h>

#include "kernels/tc_float_exact.h"
#include "kernels/tc_inline.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TC_GRID_AXES 3
#define TC_GRID_TAPS 4

typedef struct tc_grid_sample_shape {
    int32_t batch;
    int32_t channels;
    int32_t size[TC_GRID_AXES];
    int32_t axes;
    int32_t places;
    int32_t taps;    /* 1, 2 or 4 */
    int32_t padding; /* 0: zeros, 1: the nearest inside, 2: reflected */
    int32_t corners; /* -1 and 1 are centres of elements */
} tc_grid_sample_shape;

/* Where along an axis to read, and how much each counts. */
typedef struct tc_grid_taps {
    int32_t at[TC_GRID_TAPS];
    float weight[TC_GRID_TAPS];
} tc_grid_taps;

TC_INLINE float tc_grid_reflected(float x, float low, float high)
{
    const float extent = high - low;
    if (extent <= 0.0f) {
        return low;
    }
    if (x >= low && x <= high) {
        return x;
    }
    const int32_t below = x < low;
    const float distance = below ? low - x : x - high;
    const float times = floorf(tc_divide(distance, extent));
    const float rest = distance - tc_opaque(times * extent);
    return below != ((int32_t)times & 1) ? low + rest : high - rest;
}

TC_INLINE float tc_grid_near(float d)
{
    return (1.25f * d - 2.25f) * d * d + 1.0f;
}

TC_INLINE float tc_grid_far(float d)
{
    return ((-0.75f * d + 3.75f) * d - 6.0f) * d + 3.0f;
}

TC_INLINE void tc_grid_taps_of(float number, int32_t size, tc_grid_taps *taps, const tc_grid_sample_shape *shape)
{
    const float low = shape->corners ? 0.0f : -0.5f;
    const float high = (float)size - (shape->corners ? 1.0f : 0.5f);
    const float one = tc_opaque(number + 1.0f);
    float x = shape->corners ? tc_opaque(one * 0.5f) * (float)(size - 1) : (tc_opaque(one * (float)size) - 1.0f) * 0.5f;
    x = fminf(fmaxf(tc_opaque(x), -1e6f), 1e6f);
    x = shape->taps == 1 ? rintf(x) : x;
    if (x < low || x > high) {
        if (shape->padding == 1 && shape->taps < 4) { /* cubic: the neighbours alone, as PyTorch does */
            x = fminf(fmaxf(x, 0.0f), (float)(size - 1));
        } else if (shape->padding == 2) {
            x = tc_grid_reflected(x, low, high);
        }
    }
    const float first = floorf(x), f = x - first;
    if (shape->taps == 1) {
        taps->weight[0] = 1.0f;
    } else if (shape->taps == 2) {
        taps->weight[0] = 1.0f - f;
        taps->weight[1] = f;
    } else {
        taps->weight[0] = tc_grid_far(f + 1.0f);
        taps->weight[1] = tc_grid_near(f);
        taps->weight[2] = tc_grid_near(1.0f - f);
        taps->weight[3] = tc_grid_far(2.0f - f);
    }
    for (int32_t i = 0; i < shape->taps; ++i) {
        int32_t at = (int32_t)first + i - (shape->taps == 4 ? 1 : 0);
        if (shape->padding == 0 && (at < 0 || at >= size)) {
            taps->weight[i] = 0.0f;
        } else if (shape->padding == 2) {
            at = (int32_t)tc_grid_reflected((float)at, low, high);
        }
        taps->at[i] = at < 0 ? 0 : at >= size ? size - 1 : at;
    }
}

TC_INLINE float tc_grid_element(const float *image, const tc_grid_taps *taps, const tc_grid_sample_shape *shape)
{
    float total = 0.0f;
    const int32_t planes = shape->axes > 2 ? shape->taps : 1, rows = shape->axes > 1 ? shape->taps : 1;
    for (int32_t i = 0; i < planes; ++i) {
        for (int32_t j = 0; j < rows; ++j) {
            const float *row = image + (taps[0].at[i] * shape->size[1] + taps[1].at[j]) * shape->size[2];
            const float outer = taps[0].weight[i] * taps[1].weight[j];
            for (int32_t k = 0; k < shape->taps; ++k) {
                total += row[taps[2].at[k]] * (outer * taps[2].weight[k]);
            }
        }
    }
    return total;
}

TC_INLINE void tc_float_grid_sample(const float *input, const float *grid, float *output,
                                    const tc_grid_sample_shape *shape)
{
    const int32_t image = shape->size[0] * shape->size[1] * shape->size[2];
    for (int32_t n = 0; n < shape->batch; ++n) {
        for (int32_t place = 0; place < shape->places; ++place) {
            tc_grid_taps taps[TC_GRID_AXES] = {{{0, 0, 0, 0}, {1.0f, 0.0f, 0.0f, 0.0f}},
                                               {{0, 0, 0, 0}, {1.0f, 0.0f, 0.0f, 0.0f}},
                                               {{0, 0, 0, 0}, {1.0f, 0.0f, 0.0f, 0.0f}}};
            for (int32_t i = 0; i < shape->axes; ++i) {
                const int32_t axis = TC_GRID_AXES - 1 - i;
                tc_grid_taps_of(grid[i], shape->size[axis], &taps[axis], shape);
            }
            grid += shape->axes;
            for (int32_t c = 0; c < shape->channels; ++c) {
                output[c * shape->places + place] = tc_grid_element(input + c * image, taps, shape);
            }
        }
        input += shape->channels * image;
        output += shape->channels * shape->places;
    }
}

#ifdef __cplusplus
}
#endif

#endif
