/* SPDX-License-Identifier: 0BSD */
/*
 * Samples of motion: at another rate, and as a model's numbers: for each channel its distance to a mean, in 256ths of a
 * sample, times a factor. Both are known, or those of the window.
 */
#ifndef TC_MOTION_H
#define TC_MOTION_H

#include <stdint.h>

#include "kernels/tc_inline.h"
#include "cmsis_shim/tc_simd.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tc_motion_rate {
    int32_t count; /* of results */
    int32_t channels;
    int32_t taken; /* so many samples become `made` */
    int32_t made;
} tc_motion_rate;

/*
 * On straight lines between samples. Args: before: the sample in front of the others.
 */
TC_INLINE void tc_motion_resample(const int16_t *input, const int16_t *before, int16_t *output, const tc_motion_rate *s)
{
    const uint32_t made = (uint32_t)s->made;
    const int16_t *next = input; /* and `before` is the one in front of it */
    int32_t part = 0;
    for (int32_t i = 0; i < s->count; ++i) {
        for (part += s->taken; part >= s->made; part -= s->made) {
            before = next;
            next += s->channels;
        }
        for (int32_t j = 0; j < s->channels; ++j) {
            if (part == 0) {
                *output++ = before[j];
                continue;
            }
            /* Counted from the smallest sample, so that nothing is negative. */
            const uint32_t first = (uint32_t)(before[j] + 32768), second = (uint32_t)(next[j] + 32768);
            const uint32_t value = first * (made - (uint32_t)part) + second * (uint32_t)part + made / 2u;
            *output++ = (int16_t)((int32_t)(value / made) - 32768);
        }
    }
}

typedef struct tc_motion_shape {
    int32_t steps;
    int32_t channels;
    int32_t step_stride; /* of the output, in elements */
    int32_t channel_stride;
    int32_t bytes; /* of an integer of the output */
    int32_t zero_point;
    int32_t low;
    int32_t high;
    int32_t multiplier; /* steps / 256 over the output's scale: multiplier / 2^shift */
    int32_t shift;
    float unit; /* 1 / 2^(shift + 30) */
} tc_motion_shape;

typedef struct tc_motion_factor {
    int32_t mean;
    int32_t multiplier;
    int32_t pairs; /* by so many pairs of bits the variance was shifted up */
} tc_motion_factor;

/* Bit by bit; 2^60 <= x < 2^62. */
TC_INLINE uint32_t tc_motion_root(uint64_t x)
{
    uint64_t root = 0;
    for (uint64_t bit = (uint64_t)1 << 60; bit != 0u; bit >>= 2) {
        const uint64_t next = root + bit;
        root >>= 1;
        if (x >= next) {
            x -= next;
            root += bit;
        }
    }
    return (uint32_t)root;
}

/* Of a channel of the window. */
TC_INLINE tc_motion_factor tc_motion_statistics(const int16_t *input, const tc_motion_shape *s)
{
    const uint64_t n = (uint64_t)s->steps;
    tc_motion_factor found = {0, 0, 0};
    uint64_t squares = 0;
    int32_t sum = 0;
    for (int32_t i = 0; i < s->steps; ++i) {
        const int32_t x = input[i * s->channels];
        sum += x;
        squares += (uint32_t)(x * x);
    }
    const uint64_t variance = n * squares - (uint64_t)((int64_t)sum * sum);
    const uint64_t above = 256u * ((uint64_t)sum + 32768u * n) + n / 2u; /* from the smallest sample on */
    found.mean = (int32_t)(above / n) - 256 * 32768;
    if (variance == 0u) {
        return found;
    }
    const uint32_t high = (uint32_t)(variance >> 32);
    const int32_t zeros = high != 0u ? tc_leading_zeros(high) : 32 + tc_leading_zeros((uint32_t)variance);
    found.pairs = (zeros - 2) / 2;
    found.multiplier = (int32_t)(((uint64_t)s->multiplier << 30) / tc_motion_root(variance << (2 * found.pairs)));
    return found;
}

/* A channel as integers. */
TC_INLINE void tc_motion_channel(const int16_t *input, void *output, int32_t mean, int32_t multiplier, int32_t shift,
                                 const tc_motion_shape *s)
{
    const int64_t half = (int64_t)1 << (shift - 1);
    for (int32_t i = 0; i < s->steps; ++i) {
        const int64_t product = (int64_t)(256 * input[i * s->channels] - mean) * multiplier;
        const int64_t value = ((product + half) >> shift) + s->zero_point;
        const int32_t within = value < s->low ? s->low : value > s->high ? s->high : (int32_t)value;
        if (s->bytes == 1) {
            ((int8_t *)output)[i * s->step_stride] = (int8_t)within;
        } else {
            ((int16_t *)output)[i * s->step_stride] = (int16_t)within;
        }
    }
}

/* A channel as floats. */
TC_INLINE void tc_motion_floats(const int16_t *input, float *output, int32_t mean, float factor,
                                const tc_motion_shape *s)
{
    for (int32_t i = 0; i < s->steps; ++i) {
        output[i * s->step_stride] = (float)(256 * input[i * s->channels] - mean) * factor;
    }
}

/*
 * Args: input: (steps, channels). means, multipliers, shifts, factors: of each channel.
 */
TC_INLINE void tc_motion(const int16_t *input, void *output, const int32_t *means, const int32_t *multipliers,
                         const int8_t *shifts, const tc_motion_shape *s)
{
    for (int32_t j = 0; j < s->channels; ++j) {
        tc_motion_channel(input + j, (int8_t *)output + j * s->channel_stride * s->bytes, means[j], multipliers[j],
                          shifts[j], s);
    }
}

TC_INLINE void tc_motion_float(const int16_t *input, float *output, const int32_t *means, const float *factors,
                               const tc_motion_shape *s)
{
    for (int32_t j = 0; j < s->channels; ++j) {
        tc_motion_floats(input + j, output + j * s->channel_stride, means[j], factors[j], s);
    }
}

/*
 * By mean and deviation of the window.
 */
TC_INLINE void tc_motion_own(const int16_t *input, void *output, const tc_motion_shape *s)
{
    for (int32_t j = 0; j < s->channels; ++j) {
        const tc_motion_factor f = tc_motion_statistics(input + j, s);
        const int32_t shift = s->shift + 30 - f.pairs;
        tc_motion_channel(input + j, (int8_t *)output + j * s->channel_stride * s->bytes, f.mean, f.multiplier,
                          shift > 57 ? 57 : shift, s); /* products have 55 bits */
    }
}

TC_INLINE void tc_motion_own_float(const int16_t *input, float *output, const tc_motion_shape *s)
{
    for (int32_t j = 0; j < s->channels; ++j) {
        const tc_motion_factor f = tc_motion_statistics(input + j, s);
        const float factor = (float)f.multiplier * s->unit * (float)((uint32_t)1 << f.pairs);
        tc_motion_floats(input + j, output + j * s->channel_stride, f.mean, factor, s);
    }
}

#ifdef __cplusplus
}
#endif

#endif
