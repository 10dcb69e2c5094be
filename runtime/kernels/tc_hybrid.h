/* SPDX-License-Identifier: 0BSD */
/*
 * What layers of float activations and int8 weights share: a row of floats becomes int8 with a scale and a zero point of
 * its own, sums of products of integers become floats again.
 *
 * The integers are LiteRT's (`SymmetricQuantizeFloats`, and the vectorised form of `AsymmetricQuantizeFloats`), and of
 * the float operations each is rounded once, in its order.
 */
#ifndef TC_HYBRID_H
#define TC_HYBRID_H

#include <stdint.h>
#include <string.h>

#include "cmsis_shim/tc_simd.h"
#include "kernels/tc_dot.h"
#include "kernels/tc_float_bounds.h"
#include "kernels/tc_float_exact.h"
#include "kernels/tc_inline.h"
#include "kernels/tc_requant.h"

#ifdef __cplusplus
extern "C" {
#endif

/* An output channel: of sums of weights times int8, where `weight_sum` is what the zero point is taken times. */
typedef struct tc_hybrid_channel {
    float scale;
    float bias;
    int32_t weight_sum;
} tc_hybrid_channel;

typedef struct tc_hybrid_form {
    int32_t asymmetric;     /* whether rows have a zero point */
    int32_t channels_first; /* a sum is multiplied by the channel's scale, then by the row's; else by their product */
    tc_float_bounds bounds;
} tc_hybrid_form;

/* What a row of floats was divided by, and what its 0 has become. */
typedef struct tc_hybrid_row {
    float scale;
    int32_t zero_point;
} tc_hybrid_row;

/* The zero point by LiteRT's definition, in double. */
TC_INLINE int32_t tc_hybrid_exact_zero_point(float low, float high)
{
    const double step = (double)tc_opaque(high - low) / 255.0;
    const double from_low = (0.0 - (double)low) / step;
    const double from_high = (double)high / step;
    const double exact = 128.0 + from_low < 127.0 + from_high ? from_low - 128.0 : 127.0 - from_high;
    return tc_clamp(tc_round_away_double(tc_opaque_double(exact)), -128, 127);
}

/*
 * The zero point of a row that reaches from `low` <= 0 to `high` >= 0. Floats are off by less than 1/1000: only near a
 * half, or where a step has few bits, doubles have to tell which side it is on.
 */
TC_INLINE int32_t tc_hybrid_zero_point(float low, float high, float scale)
{
    if (scale > 1e-30f && scale < 1e30f) {
        const float steps = tc_divide(0.0f - low, scale); /* from 0 to 255 */
        const int32_t nearest = (int32_t)tc_opaque(steps + 0.5f);
        const float over = tc_opaque(steps + 0.5f) - (float)nearest;
        if (over > 0.001f && over < 0.999f) {
            return tc_min(nearest, 255) - 128;
        }
    }
    return tc_hybrid_exact_zero_point(low, high);
}

/* What a row of floats reaches from, at most 0, and to, at least 0. */
typedef struct tc_hybrid_span {
    float low;
    float high;
    int32_t finite; /* whether all are numbers */
} tc_hybrid_span;

TC_INLINE float tc_hybrid_of_bits(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* Bits of floats that aren't negative are ordered as integers are, and those of negative ones as unsigned, downwards. */
TC_INLINE tc_hybrid_span tc_hybrid_span_of(const float *input, int32_t count)
{
    int32_t high = 0;
    uint32_t low = 0x80000000u; /* minus 0 */
#if defined(__GNUC__)
#pragma GCC unroll 4
#endif
    for (int32_t i = 0; i < count; ++i) {
        const uint32_t bits = tc_float_bits(input[i]);
        high = (int32_t)bits > high ? (int32_t)bits : high;
        low = bits > low ? bits : low;
    }
    const tc_hybrid_span span = {tc_hybrid_of_bits(low), tc_hybrid_of_bits((uint32_t)high),
                                 high < 0x7F800000 && low < 0xFF800000u};
    return span;
}

/* The nearest integer of a number within +-2^20, halves away from zero. */
TC_INLINE int32_t tc_hybrid_nearest(float value)
{
#if TC_FLOAT_UNIT
    const int32_t quarters = (int32_t)(value * 4.0f); /* as in tc_round_away */
    return (quarters + 2 + (quarters >> 31)) >> 2;
#else
    return tc_round_away(value);
#endif
}

/* Quantises `count` floats; all of them are read before the first result is written. */
TC_INLINE tc_hybrid_row tc_hybrid_quantize(const float *input, int8_t *quantized, int32_t count, int32_t asymmetric)
{
    const tc_hybrid_span span = tc_hybrid_span_of(input, count);
    const float largest = 0.0f - span.low > span.high ? 0.0f - span.low : span.high;
    tc_hybrid_row row = {1.0f, 0};
    float inverse = 0.0f;
    if (largest > 0.0f && asymmetric) {
        row.scale = tc_divide(tc_opaque(span.high - span.low), 255.0f);
        row.zero_point = tc_hybrid_zero_point(span.low, span.high, row.scale);
        inverse = row.scale > 0.0f ? tc_divide(1.0f, row.scale) : 0.0f;
    } else if (largest > 0.0f) {
        row.scale = tc_divide(largest, 127.0f);
        inverse = tc_divide(127.0f, largest);
    }
    if (span.finite && row.scale > 1e-30f && row.scale < 1e30f) { /* the quotients are at most 255 */
        for (int32_t i = 0; i < count; ++i) {
            const int32_t rounded = tc_hybrid_nearest(tc_opaque(input[i] * inverse));
            quantized[i] = (int8_t)tc_ssat8(rounded + row.zero_point);
        }
        return row;
    }
    for (int32_t i = 0; i < count; ++i) {
        const int32_t rounded = tc_round_away(tc_opaque(input[i] * inverse));
        quantized[i] = (int8_t)tc_ssat8(tc_wrapping_add(rounded, row.zero_point));
    }
    return row;
}

/* The output for a sum of products of weights and values minus their zero point. */
TC_INLINE float tc_hybrid_real(int32_t sum, const tc_hybrid_channel *channel, tc_hybrid_row row,
                               const tc_hybrid_form *form)
{
    float product;
    if (form->channels_first) {
        product = tc_opaque(tc_opaque((float)sum * channel->scale) * row.scale);
    } else {
        product = tc_opaque((float)sum * tc_opaque(row.scale * channel->scale));
    }
    return tc_float_bounded(tc_opaque(product + channel->bias), &form->bounds);
}

/* The same where the zero point is in the values still. */
TC_INLINE float tc_hybrid_finish(int32_t sum, const tc_hybrid_channel *channel, tc_hybrid_row row,
                                 const tc_hybrid_form *form)
{
    const uint32_t of_zero_point = (uint32_t)channel->weight_sum * (uint32_t)row.zero_point;
    return tc_hybrid_real((int32_t)((uint32_t)sum - of_zero_point), channel, row, form);
}

/* A vector times all rows of a matrix; of the last four rows some are computed twice where there are not 4 n. */
TC_INLINE void tc_hybrid_products(const int8_t *vector, float *output, const int8_t *weights,
                                  const tc_hybrid_channel *channels, tc_dot4 *dot, int32_t depth, int32_t outputs,
                                  tc_hybrid_row row, const tc_hybrid_form *form)
{
    if (outputs < 4) {
        for (int32_t channel = 0; channel < outputs; ++channel) {
            const int32_t sum = tc_dot_s8(vector, weights + channel * depth, depth);
            output[channel] = tc_hybrid_finish(sum, channels + channel, row, form);
        }
        return;
    }
    for (int32_t next = 0; next < outputs; next += 4) {
        const int32_t first = tc_min(next, outputs - 4);
        int32_t sums[4] = {0, 0, 0, 0};
        dot(vector, weights + first * depth, depth, depth, sums);
        for (int32_t i = 0; i < 4; ++i) {
            output[first + i] = tc_hybrid_finish(sums[i], channels + first + i, row, form);
        }
    }
}

#ifdef __cplusplus
}
#endif

#endif
