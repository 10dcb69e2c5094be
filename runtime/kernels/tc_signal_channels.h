/* SPDX-License-Identifier: 0BSD */
/*
 * Channels of an audio front end, as TFLM's signal operators compute them: energies of a spectrum, triangular filters,
 * square roots, noise that is taken away, gains, logarithms. Integers that wrap, without a division.
 */
#ifndef TC_SIGNAL_CHANNELS_H
#define TC_SIGNAL_CHANNELS_H

#include <stdint.h>

#include "cmsis_shim/tc_simd.h"
#include "kernels/tc_inline.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tc_signal_energy_shape {
    int32_t count;
    int32_t start; /* the first number that is asked for, and the one behind the last */
    int32_t end;
} tc_signal_energy_shape;

/* input [count] complex numbers; output [count], 0 where nobody asks. */
TC_INLINE void tc_signal_energy(const int16_t *input, uint32_t *output, const tc_signal_energy_shape *shape)
{
    for (int32_t i = 0; i < shape->start; ++i) {
        output[i] = 0;
    }
    for (int32_t i = shape->start; i < shape->end; ++i) {
#if TC_DSP
        const uint32_t number = tc_load4(input + 2 * i);
        output[i] = (uint32_t)tc_smuad(number, number);
#else
        const int32_t real = input[2 * i], imaginary = input[2 * i + 1];
        output[i] = (uint32_t)(real * real) + (uint32_t)(imaginary * imaginary);
#endif
    }
    for (int32_t i = shape->end; i < shape->count; ++i) {
        output[i] = 0;
    }
}

typedef struct tc_signal_filter_bank_shape {
    int32_t channels;
    int32_t negative; /* whether there are weights below 0 */
} tc_signal_filter_bank_shape;

TC_INLINE uint64_t tc_signal_weighted(uint32_t energy, int16_t weight, int32_t negative)
{
#if TC_THUMB1 /* two products of 32 bits */
    if (!negative) {
        const uint32_t factor = (uint16_t)weight;
        return ((uint64_t)((energy >> 16) * factor) << 16) + (energy & 0xFFFFu) * factor;
    }
#endif
    return negative ? energy * (uint64_t)(int64_t)weight : (uint64_t)energy * (uint16_t)weight;
}

/* output [channels]; bands [channels + 1][2]: a channel's first energy, how many it has; weights: of each energy of the
 * channels one after the other, for this channel and for the next. Of the first channel only the latter count. */
TC_INLINE void tc_signal_filter_bank(const uint32_t *input, uint64_t *output, const int16_t *bands, const int16_t *weights,
                                     const tc_signal_filter_bank_shape *shape)
{
    uint64_t own = 0;
    for (int32_t i = 0; i <= shape->channels; ++i) {
        const uint32_t *energy = input + bands[2 * i];
        const int16_t *const end = weights + 2 * bands[2 * i + 1];
        uint64_t next = 0;
        while (weights != end) {
            const uint32_t x = *energy++;
            own += tc_signal_weighted(x, weights[0], shape->negative);
            next += tc_signal_weighted(x, weights[1], shape->negative);
            weights += 2;
        }
        if (i > 0) {
            output[i - 1] = own;
        }
        own = next;
    }
}

/* 256 / sqrt(a) - 256 for the middles of the 96 parts of [1/4, 1) that a lies in. */
static const uint8_t tc_signal_root_table[96] = {
    252, 244, 237, 230, 223, 217, 211, 205, 199, 194, 188, 183, 178, 173, 169, 164,
    160, 156, 152, 148, 144, 140, 136, 133, 129, 126, 123, 119, 116, 113, 110, 107,
    105, 102, 99, 97, 94, 91, 89, 87, 84, 82, 80, 77, 75, 73, 71, 69,
    67, 65, 63, 61, 59, 57, 55, 54, 52, 50, 48, 47, 45, 44, 42, 40,
    39, 37, 36, 34, 33, 31, 30, 29, 27, 26, 25, 23, 22, 21, 20, 18,
    17, 16, 15, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1,
};

TC_INLINE uint32_t tc_signal_high(uint32_t a, uint32_t b)
{
    return (uint32_t)(((uint64_t)a * b) >> 32);
}

/* The root of a number of 64 bits, rounded down; 2^62 <= x. By Newton's steps for 1 / sqrt(a), a = x / 2^64: from 6.8 bits
 * of the table to 13 and 25; a * y is the root but for some 100 units, of which the remainder says how many. */
TC_INLINE uint32_t tc_signal_large_root(uint64_t x)
{
    const uint32_t top = (uint32_t)(x >> 32);
    const uint32_t first = 256u + tc_signal_root_table[(top >> 25) - 32u];
    uint32_t rest = (3u << 28) - ((first * first) >> 4) * (top >> 16);
    const uint32_t second = (first * (rest >> 13)) << 6; /* 30 bits behind the point */
    rest = (3u << 28) - tc_signal_high(tc_signal_high(second, second), top);
    const uint32_t inverse = tc_signal_high(second, rest << 2); /* 29 bits */
    const uint32_t product = tc_signal_high(top, inverse);
    uint32_t root = product >= 1u << 29 ? 0xFFFFFFFFu : product << 3;
    const int32_t above = (int32_t)((int64_t)(x - (uint64_t)root * root) >> 11);
    root += (uint32_t)((int32_t)(((int64_t)above * (int32_t)inverse) >> 32) >> 19);
    int64_t left = (int64_t)(x - (uint64_t)root * root);
    while (left < 0) {
        root -= 1u;
        left += 2 * (int64_t)root + 1;
    }
    while (left > 2 * (int64_t)root) {
        left -= 2 * (int64_t)root + 1;
        root += 1u;
    }
    return root;
}

/* Bit by bit, for cores whose products have 32 bits: the root of x, of which the remainder is left. `bit` is the largest
 * power of 4 that isn't larger. */
#define TC_SIGNAL_ROOT_BY_BITS(word, suffix)                                                                           \
    TC_INLINE uint32_t tc_signal_root_by_bits_##suffix(word *x, word bit)                                              \
    {                                                                                                                  \
        word root = 0, left = *x;                                                                                      \
        for (; bit != 0u; bit >>= 2) {                                                                                 \
            const word next = root + bit;                                                                              \
            root >>= 1;                                                                                                \
            if (left >= next) {                                                                                        \
                left -= next;                                                                                          \
                root += bit;                                                                                           \
            }                                                                                                          \
        }                                                                                                              \
        *x = left;                                                                                                     \
        return (uint32_t)root;                                                                                         \
    }

TC_SIGNAL_ROOT_BY_BITS(uint32_t, u32)
TC_SIGNAL_ROOT_BY_BITS(uint64_t, u64)

#undef TC_SIGNAL_ROOT_BY_BITS

/* The nearest to a root; what is rounded up stays in 16 bits, or in 32. */
TC_INLINE uint32_t tc_signal_root(uint64_t x)
{
    const uint32_t high = (uint32_t)(x >> 32);
    if (x == 0u) {
        return 0;
    }
#if TC_THUMB1
    if (high == 0u) {
        uint32_t rest = (uint32_t)x;
        const uint32_t half = tc_signal_root_by_bits_u32(&rest, 1u << ((31 - tc_leading_zeros(rest)) & ~1));
        return half + (uint32_t)(rest > half && half != 0xFFFFu);
    }
    const uint32_t whole = tc_signal_root_by_bits_u64(&x, (uint64_t)1 << ((63 - tc_leading_zeros(high)) & ~1));
    return whole + (uint32_t)(x > whole && whole != 0xFFFFFFFFu);
#else
    const int32_t zeros = high != 0u ? tc_leading_zeros(high) : 32 + tc_leading_zeros((uint32_t)x);
    const uint32_t pairs = (uint32_t)zeros >> 1;
    const uint32_t root = tc_signal_large_root(x << (2u * pairs)) >> pairs;
    const uint64_t left = x - (uint64_t)root * root;
    return root + (uint32_t)(left > root && root != (high != 0u ? 0xFFFFFFFFu : 0xFFFFu));
#endif
}

typedef struct tc_signal_root_shape {
    int32_t count;
} tc_signal_root_shape;

/* Roots of input [count], `shift` bits lower, which is from 0 to 31 or all are 0. */
TC_INLINE void tc_signal_roots(const uint64_t *input, const int32_t *shift, uint32_t *output,
                               const tc_signal_root_shape *shape)
{
    const uint32_t bits = (uint32_t)*shift;
    for (int32_t i = 0; i < shape->count; ++i) {
        const uint32_t root = tc_signal_root(input[i]);
        output[i] = bits < 32u ? root >> bits : 0u;
    }
}

typedef struct tc_signal_subtraction_shape {
    int32_t count;
    uint32_t smoothing[2]; /* of channels with an even number, and with an odd one */
    uint32_t kept[2];
    uint32_t remaining;
    uint32_t smoothing_bits;
    uint32_t bits;
    int32_t clamping;
} tc_signal_subtraction_shape;

/* input, noise, output, noise_next [count]; noise_next may be noise. */
TC_INLINE void tc_signal_subtraction(const uint32_t *input, const uint32_t *noise, uint32_t *output, uint32_t *noise_next,
                                     const tc_signal_subtraction_shape *shape)
{
    for (int32_t i = 0; i < shape->count; ++i) {
        const uint32_t x = input[i];
        const uint32_t signal = x << shape->smoothing_bits;
        const uint64_t mean = (uint64_t)signal * shape->smoothing[i & 1] + (uint64_t)noise[i] * shape->kept[i & 1];
        const uint32_t estimate = (uint32_t)(mean >> shape->bits);
        const uint32_t taken = estimate > signal ? signal : estimate;
        const uint32_t least = (uint32_t)(((uint64_t)x * shape->remaining) >> shape->bits);
        const uint32_t left = (signal - taken) >> shape->smoothing_bits;
        noise_next[i] = shape->clamping ? taken : estimate;
        output[i] = left > least ? left : least;
    }
}

typedef struct tc_signal_pcan_shape {
    int32_t count;
    uint32_t shift;
} tc_signal_pcan_shape;

/* A gain by a table: of 0, 1 and 2 three elements; of larger numbers three for each power of two, and one between them:
 * value, slope and curvature. */
TC_INLINE int32_t tc_signal_gain(uint32_t noise, const int16_t *table)
{
    if (noise <= 2u) {
        return table[noise];
    }
    const int32_t zeros = tc_leading_zeros(noise);
    const int16_t *const piece = table + (122 - 4 * zeros);
    const int32_t at = (int32_t)((noise << zeros) >> 21) & 0x3FF;
    const int32_t slope = ((piece[2] * at) >> 5) + (int32_t)((uint32_t)piece[1] << 5);
    const int32_t above = (int32_t)((uint32_t)slope * (uint32_t)at + (1u << 14)) >> 15;
    return (int16_t)((above + piece[0]) & 0xFFFF);
}

/* input, noise, output [count]; 12 bits behind the binary point of a ratio, 6 of a result. */
TC_INLINE void tc_signal_pcan(const uint32_t *input, const uint32_t *noise, uint32_t *output, const int16_t *table,
                              const tc_signal_pcan_shape *shape)
{
    for (int32_t i = 0; i < shape->count; ++i) {
        const uint32_t gain = (uint32_t)tc_signal_gain(noise[i], table);
        const uint32_t ratio = (uint32_t)(((uint64_t)input[i] * gain) >> shape->shift);
        output[i] = ratio < (2u << 12) ? (ratio * ratio) >> 20 : (ratio >> 6) - (1u << 6);
    }
}

/* log2(1 + x) - x at the ends of 128 parts of [0, 1], 16 bits behind the binary point. */
static const uint16_t tc_signal_log_table[130] = {
    0, 224, 442, 654, 861, 1063, 1259, 1450, 1636, 1817, 1992, 2163, 2329, 2490,
    2646, 2797, 2944, 3087, 3224, 3358, 3487, 3611, 3732, 3848, 3960, 4068, 4172, 4272,
    4368, 4460, 4549, 4633, 4714, 4791, 4864, 4934, 5001, 5063, 5123, 5178, 5231, 5280,
    5326, 5368, 5408, 5444, 5477, 5507, 5533, 5557, 5578, 5595, 5610, 5622, 5631, 5637,
    5640, 5641, 5638, 5633, 5626, 5615, 5602, 5586, 5568, 5547, 5524, 5498, 5470, 5439,
    5406, 5370, 5332, 5291, 5249, 5203, 5156, 5106, 5054, 5000, 4944, 4885, 4825, 4762,
    4697, 4630, 4561, 4490, 4416, 4341, 4264, 4184, 4103, 4020, 3935, 3848, 3759, 3668,
    3575, 3481, 3384, 3286, 3186, 3084, 2981, 2875, 2768, 2659, 2549, 2437, 2323, 2207,
    2090, 1971, 1851, 1729, 1605, 1480, 1353, 1224, 1094, 963, 830, 695, 559, 421,
    282, 142, 0, 0,
};

typedef struct tc_signal_log_shape {
    int32_t count;
    uint32_t scale;
    uint32_t shift;
} tc_signal_log_shape;

/* `scale` times the natural logarithm of a number above 1. */
TC_INLINE uint32_t tc_signal_log(uint32_t x, uint32_t scale)
{
    const int32_t zeros = tc_leading_zeros(x);
    const uint32_t part = (x << (zeros + 1)) >> 16;
    const uint16_t *const ends = tc_signal_log_table + (part >> 9);
    const int32_t line = ((ends[1] - ends[0]) * (int32_t)(part & 511u)) >> 16;
    const uint32_t log2 = ((uint32_t)(31 - zeros) << 16) + part + ends[0] + (uint32_t)line;
    const uint32_t natural = (uint32_t)(((uint64_t)log2 * 45426u + 32768u) >> 16);
    return (scale * natural + 32768u) >> 16;
}

TC_INLINE void tc_signal_logs(const uint32_t *input, int16_t *output, const tc_signal_log_shape *shape)
{
    for (int32_t i = 0; i < shape->count; ++i) {
        const uint32_t x = input[i] << shape->shift;
        const uint32_t log = x > 1u ? tc_signal_log(x, shape->scale) : 0u;
        output[i] = (int16_t)(log < 32767u ? log : 32767u);
    }
}

#ifdef __cplusplus
}
#endif

#endif
