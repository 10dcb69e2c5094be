/* SPDX-License-Identifier: 0BSD */
/*
 * Samples of an audio front end, as TFLM's signal operators take them: windows, scaling before a transform, overlapping
 * frames, frames of channels beside each other, frames added up.
 */
#ifndef TC_SIGNAL_FRAMES_H
#define TC_SIGNAL_FRAMES_H

#include <stdint.h>

#include "cmsis_shim/tc_simd_lanes.h"
#include "kernels/tc_copy.h"
#include "kernels/tc_inline.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tc_signal_window_shape {
    int32_t frames;
    int32_t size;
    int32_t shift;
    int32_t saturates; /* whether a product may be out of range */
} tc_signal_window_shape;

TC_INLINE int32_t tc_signal_windowed(int32_t product, const tc_signal_window_shape *shape)
{
    const int32_t x = product >> shape->shift;
    return shape->saturates ? tc_ssat16(x) : x;
}

/* input, output [frames][size], weights [size]. */
TC_INLINE void tc_signal_window(const int16_t *input, int16_t *output, const int16_t *weights,
                                const tc_signal_window_shape *shape)
{
    for (int32_t frame = 0; frame < shape->frames; ++frame) {
        int32_t i = 0;
#if TC_DSP
        for (; i < (shape->size & ~3); i += 4) {
            const uint32_t x = tc_load4(input), y = tc_load4(input + 2);
            const uint32_t a = tc_load4(weights + i), b = tc_load4(weights + i + 2);
            const uint32_t first = (uint32_t)tc_signal_windowed(tc_smulbb(x, a), shape);
            const uint32_t second = (uint32_t)tc_signal_windowed(tc_smultt(x, a), shape);
            const uint32_t third = (uint32_t)tc_signal_windowed(tc_smulbb(y, b), shape);
            const uint32_t fourth = (uint32_t)tc_signal_windowed(tc_smultt(y, b), shape);
            tc_store_lanes(output, tc_pkhbt(first, second, 16));
            tc_store_lanes(output + 2, tc_pkhbt(third, fourth, 16));
            input += 4;
            output += 4;
        }
#else
        for (; i < (shape->size & ~3); i += 4) {
            const int32_t a = input[0], b = input[1], c = input[2], d = input[3];
            output[0] = (int16_t)tc_signal_windowed(a * weights[i], shape);
            output[1] = (int16_t)tc_signal_windowed(b * weights[i + 1], shape);
            output[2] = (int16_t)tc_signal_windowed(c * weights[i + 2], shape);
            output[3] = (int16_t)tc_signal_windowed(d * weights[i + 3], shape);
            input += 4;
            output += 4;
        }
#endif
        for (; i < shape->size; ++i) {
            *output++ = (int16_t)tc_signal_windowed(*input++ * weights[i], shape);
        }
    }
}

typedef struct tc_signal_scale_shape {
    int32_t count;
} tc_signal_scale_shape;

/* The largest magnitude, kept in 16 bits: behind a sample of -32768 it is that, and any other counts as larger. */
TC_INLINE int32_t tc_signal_magnitude(const int16_t *input, int32_t count)
{
    int32_t largest = 0;
    for (int32_t i = 0; i < count; ++i) {
        const int32_t x = input[i];
        if (x > largest) {
            largest = x;
        } else if (-x > largest) {
            largest = x == -32768 ? x : -x;
        }
    }
    return largest;
}

TC_INLINE int32_t tc_signal_positive(int32_t x)
{
    return (x ^ (x >> 31)) - (x >> 31);
}

/* The same of samples without -32768, or any number with as many bits; with one, 32768 or more. */
TC_INLINE int32_t tc_signal_range(const int16_t *input, int32_t count)
{
#if TC_DSP
    uint32_t high = 0, low = 0;
    int32_t i = 0;
    for (; i < (count & ~3); i += 4) {
        const uint32_t x = tc_load4(input + i), y = tc_load4(input + i + 2);
        high = tc_max16(tc_max16(high, x), y);
        low = tc_min16(tc_min16(low, x), y);
    }
    int32_t most = tc_low(high) > tc_high(high) ? tc_low(high) : tc_high(high);
    int32_t least = tc_low(low) < tc_high(low) ? tc_low(low) : tc_high(low);
    for (; i < count; ++i) {
        most = input[i] > most ? input[i] : most;
        least = input[i] < least ? input[i] : least;
    }
    return most > -least ? most : -least;
#else
    int32_t range = 0, i = 0;
    for (; i < (count & ~3); i += 4) {
        range |= tc_signal_positive(input[i]) | tc_signal_positive(input[i + 1]);
        range |= tc_signal_positive(input[i + 2]) | tc_signal_positive(input[i + 3]);
    }
    for (; i < count; ++i) {
        range |= tc_signal_positive(input[i]);
    }
    return range;
#endif
}

/* input, output [count]: all samples, `bits` bits higher. */
TC_INLINE void tc_signal_scale(const int16_t *input, int16_t *output, int32_t *bits, const tc_signal_scale_shape *shape)
{
    const int32_t range = tc_signal_range(input, shape->count);
    const int32_t largest = range >= 32768 ? tc_signal_magnitude(input, shape->count) : range;
    const int32_t zeros = largest > 0 ? tc_leading_zeros((uint32_t)largest) - 17 : 0;
    const uint32_t factor = (uint32_t)1 << zeros;
    int32_t i = 0;
    *bits = zeros;
#if TC_DSP
    for (; i < (shape->count & ~3); i += 4) {
        const uint32_t x = tc_load4(input + i), y = tc_load4(input + i + 2);
        tc_store_lanes(output + i, tc_pkhbt((uint32_t)tc_smulbb(x, factor), (uint32_t)tc_smultb(x, factor), 16));
        tc_store_lanes(output + i + 2, tc_pkhbt((uint32_t)tc_smulbb(y, factor), (uint32_t)tc_smultb(y, factor), 16));
    }
#else
    for (; i < (shape->count & ~3); i += 4) {
        const int32_t a = input[i], b = input[i + 1], c = input[i + 2], d = input[i + 3];
        output[i] = (int16_t)(((uint32_t)a << zeros) & 0xFFFFu);
        output[i + 1] = (int16_t)(((uint32_t)b << zeros) & 0xFFFFu);
        output[i + 2] = (int16_t)(((uint32_t)c << zeros) & 0xFFFFu);
        output[i + 3] = (int16_t)(((uint32_t)d << zeros) & 0xFFFFu);
    }
#endif
    for (; i < shape->count; ++i) {
        output[i] = (int16_t)(((uint32_t)input[i] * factor) & 0xFFFFu);
    }
}

typedef struct tc_signal_framer_shape {
    int32_t signals;
    int32_t samples; /* of a signal */
    int32_t held;    /* of it that were there before */
    int32_t size;    /* of a frame */
    int32_t step;
} tc_signal_framer_shape;

/* input [signals][samples], line and line_next [signals][held], output [signals][samples / step][size]; line_next may be
 * line. */
TC_INLINE void tc_signal_framer(const int16_t *input, const int16_t *line, int16_t *output, int16_t *line_next,
                                const tc_signal_framer_shape *shape)
{
    const int32_t held = shape->held;
    for (int32_t signal = 0; signal < shape->signals; ++signal) {
        for (int32_t first = 0; first < shape->samples; first += shape->step) {
            const int32_t old = held > first ? held - first : 0;
            tc_copy_down((int8_t *)output, (const int8_t *)(line + (held - old)), 2 * old);
            tc_copy_down((int8_t *)(output + old), (const int8_t *)(input + (first + old - held)), 2 * (shape->size - old));
            output += shape->size;
        }
        const int32_t stay = held > shape->samples ? held - shape->samples : 0;
        tc_copy_down((int8_t *)line_next, (const int8_t *)(line + (held - stay)), 2 * stay);
        tc_copy_down((int8_t *)(line_next + stay), (const int8_t *)(input + (shape->samples - (held - stay))),
                     2 * (held - stay));
        input += shape->samples;
        line += held;
        line_next += held;
    }
}

typedef struct tc_signal_stacker_shape {
    int32_t channels;
    int32_t held;  /* elements of the frames before */
    int32_t ahead; /* frames before the first result that counts */
    int32_t step;  /* frames from one to the next */
} tc_signal_stacker_shape;

/* input [channels], line and line_next [held], output [held + channels]; line_next may be line, count_next count. */
TC_INLINE void tc_signal_stacker(const int16_t *input, const int16_t *line, const int32_t *count, int16_t *output,
                                 uint8_t *valid, int16_t *line_next, int32_t *count_next,
                                 const tc_signal_stacker_shape *shape)
{
    const int32_t came = *count, again = shape->ahead + shape->step;
    for (int32_t i = 0; i < shape->held; i += shape->channels) {
        tc_copy_down((int8_t *)(output + i), (const int8_t *)(came > 0 ? line + i : input), 2 * shape->channels);
    }
    tc_copy_down((int8_t *)(output + shape->held), (const int8_t *)input, 2 * shape->channels);
    tc_copy_down((int8_t *)line_next, (const int8_t *)(output + shape->channels), 2 * shape->held);
    *valid = came == shape->ahead || came == again ? 1 : 0;
    *count_next = came >= again ? shape->ahead + 1 : came + 1;
}

typedef struct tc_signal_overlap_shape {
    int32_t signals;
    int32_t frames;
    int32_t size;
    int32_t step;
} tc_signal_overlap_shape;

TC_INLINE int16_t tc_signal_sum_s16(int16_t a, int16_t b)
{
    return (int16_t)tc_ssat16(a + b);
}

TC_INLINE float tc_signal_sum_f32(float a, float b)
{
    return a + b;
}

/* input [signals][frames][size], sums and sums_next [signals][size - step], output [signals][frames * step]; sums_next may
 * be sums. What is later than a frame's sums is 0 before it. */
#define TC_SIGNAL_OVERLAP_ADD(type, suffix)                                                                            \
    TC_INLINE void tc_signal_overlap_add_##suffix(const type *input, const type *sums, type *output, type *sums_next,  \
                                                  const tc_signal_overlap_shape *shape)                                \
    {                                                                                                                  \
        const int32_t held = shape->size - shape->step;                                                                \
        for (int32_t signal = 0; signal < shape->signals; ++signal) {                                                  \
            const type *before = sums;                                                                                 \
            for (int32_t frame = 0; frame < shape->frames; ++frame) {                                                  \
                for (int32_t i = 0; i < shape->size; ++i) {                                                            \
                    const type x = i < held ? tc_signal_sum_##suffix(before[i], input[i])                              \
                                            : tc_signal_sum_##suffix(0, input[i]);                                     \
                    *(i < shape->step ? output + i : sums_next + (i - shape->step)) = x;                               \
                }                                                                                                      \
                input += shape->size;                                                                                  \
                output += shape->step;                                                                                 \
                before = sums_next;                                                                                    \
            }                                                                                                          \
            sums += held;                                                                                              \
            sums_next += held;                                                                                         \
        }                                                                                                              \
    }

TC_SIGNAL_OVERLAP_ADD(int16_t, s16)
TC_SIGNAL_OVERLAP_ADD(float, f32)

#undef TC_SIGNAL_OVERLAP_ADD

#ifdef __cplusplus
}
#endif

#endif
