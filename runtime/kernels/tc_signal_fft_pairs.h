/* SPDX-License-Identifier: 0BSD */
/*
 * The transforms of tc_signal_fft.h for int16 where the number of points is a power of two, with a complex number in a word
 * for the DSP extension: real part in lane 0, imaginary part in lane 1. The same roundings, bit for bit.
 *
 * A stage of four takes 45 instructions for four numbers: a division is two products whose sums' upper halves are the
 * result (by twice the factor, so that 16 bits are left behind), a multiplication two dual products.
 * Positions go outside of groups, so that twiddles stay in registers.
 */
#ifndef TC_SIGNAL_FFT_PAIRS_H
#define TC_SIGNAL_FFT_PAIRS_H

#include <stdint.h>

#include "cmsis_shim/tc_simd_lanes.h"
#include "kernels/tc_inline.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Both parts divided by a number whose inverse `inverse` is, 15 bits behind the point; twice that fits in a lane. */
TC_INLINE uint32_t tc_signal_part(uint32_t x, uint32_t inverse)
{
    const int32_t low = tc_smlabb(x, 2u * inverse, 32768);
    const int32_t high = tc_smlatb(x, 2u * inverse, 32768);
    return tc_pkhtb((uint32_t)high, (uint32_t)low, 16);
}

TC_INLINE uint32_t tc_signal_turned(uint32_t x, uint32_t twiddle)
{
    const int32_t real = tc_smlsd(x, twiddle, 16384);
    const int32_t imaginary = tc_smladx(x, twiddle, 16384);
    return tc_pkhtb15((uint32_t)imaginary << 1, (uint32_t)real);
}

TC_INLINE uint32_t tc_signal_quarter(uint32_t x)
{
    return tc_signal_part(x, 32767 / 4);
}

/* Sums of four numbers that are divided and turned, to places `step` words apart. */
TC_INLINE void tc_signal_store_four(int16_t *at, int32_t step, uint32_t a, uint32_t b, uint32_t c, uint32_t d,
                                    int32_t inverse)
{
    const uint32_t more = tc_sadd16(a, c), less = tc_ssub16(a, c);
    const uint32_t sum = tc_sadd16(b, d), apart = tc_ssub16(b, d);
    const uint32_t ahead = tc_sasx(less, apart), behind = tc_ssax(less, apart);
    tc_store_lanes(at, tc_sadd16(more, sum));
    tc_store_lanes(at + 2 * step, inverse ? ahead : behind);
    tc_store_lanes(at + 4 * step, tc_ssub16(more, sum));
    tc_store_lanes(at + 6 * step, inverse ? behind : ahead);
}

/* Number `at / 2` of an input that ends after `samples`, and is asked for numbers up to `last / 2`. */
TC_INLINE uint32_t tc_signal_sample(const int16_t *input, int32_t at, int32_t last, int32_t samples)
{
    return last < samples || at < samples ? tc_load4(input + at) : 0u;
}

/* The stages executed first: order [points / 4] or [points / 2]: where the first number of each group is read. */
TC_INLINE void tc_signal_first_fours_pairs(const int16_t *input, int16_t *output, const uint16_t *order, int32_t points,
                                     int32_t samples, int32_t inverse)
{
    const int32_t far = points / 2;
    for (int32_t group = 0; group < points / 4; ++group) {
        const int32_t at = order[group];
        const uint32_t a = tc_signal_quarter(tc_signal_sample(input, at, far - 2, samples));
        const uint32_t b = tc_signal_quarter(tc_signal_sample(input, at + far, 2 * far - 2, samples));
        const uint32_t c = tc_signal_quarter(tc_signal_sample(input, at + 2 * far, 3 * far - 2, samples));
        const uint32_t d = tc_signal_quarter(tc_signal_sample(input, at + 3 * far, 4 * far - 2, samples));
        tc_signal_store_four(output, 1, a, b, c, d, inverse);
        output += 8;
    }
}

TC_INLINE void tc_signal_first_twos_pairs(const int16_t *input, int16_t *output, const uint16_t *order, int32_t points,
                                    int32_t samples)
{
    for (int32_t group = 0; group < points / 2; ++group) {
        const int32_t at = order[group];
        const uint32_t a = tc_signal_part(tc_signal_sample(input, at, points - 2, samples), 32767 / 2);
        const uint32_t b = tc_signal_part(tc_signal_sample(input, at + points, 2 * points - 2, samples), 32767 / 2);
        tc_store_lanes(output, tc_sadd16(a, b));
        tc_store_lanes(output + 2, tc_ssub16(a, b));
        output += 4;
    }
}

/* A later stage: groups of 4 * step numbers; twiddles: three for each position but the first. */
TC_INLINE void tc_signal_fours_pairs(int16_t *data, const uint32_t *twiddles, int32_t step, int32_t points, int32_t inverse)
{
    const int16_t *const end = data + 2 * points;
    for (int16_t *at = data; at < end; at += 8 * step) {
        const uint32_t a = tc_signal_quarter(tc_load4(at));
        const uint32_t b = tc_signal_quarter(tc_load4(at + 2 * step));
        const uint32_t c = tc_signal_quarter(tc_load4(at + 4 * step));
        const uint32_t d = tc_signal_quarter(tc_load4(at + 6 * step));
        tc_signal_store_four(at, step, a, b, c, d, inverse);
    }
    for (int32_t position = 1; position < step; ++position) {
        const uint32_t one = twiddles[0], two = twiddles[1], three = twiddles[2];
        twiddles += 3;
        for (int16_t *at = data + 2 * position; at < end; at += 8 * step) {
            const uint32_t a = tc_signal_quarter(tc_load4(at));
            const uint32_t b = tc_signal_turned(tc_signal_quarter(tc_load4(at + 2 * step)), one);
            const uint32_t c = tc_signal_turned(tc_signal_quarter(tc_load4(at + 4 * step)), two);
            const uint32_t d = tc_signal_turned(tc_signal_quarter(tc_load4(at + 6 * step)), three);
            tc_signal_store_four(at, step, a, b, c, d, inverse);
        }
    }
}

/* As tc_signal_parted_s16; turns [points / 2]. */
TC_INLINE void tc_signal_parted_pairs(int16_t *data, const uint32_t *turns, int32_t points)
{
    const uint32_t first = tc_signal_part(tc_load4(data), 32767 / 2);
    int16_t *ahead = data + 2, *behind = data + 2 * points - 2;
    tc_store_lanes(data, (uint32_t)(tc_low(first) + tc_high(first)) & 0xFFFFu);
    tc_store_lanes(data + 2 * points, (uint32_t)(tc_low(first) - tc_high(first)) & 0xFFFFu);
    for (; ahead <= behind; ahead += 2, behind -= 2) {
        const uint32_t near = tc_load4(ahead), far = tc_load4(behind);
        const uint32_t mirrored = tc_pkhbt(far, tc_ssub16(0, far), 0);
        const uint32_t a = tc_signal_part(near, 32767 / 2), b = tc_signal_part(mirrored, 32767 / 2);
        const uint32_t even = tc_sadd16(a, b), turned = tc_signal_turned(tc_ssub16(a, b), *turns++);
        const uint32_t last = tc_pkhbt(tc_shsub16(even, turned), tc_shsub16(turned, even), 0);
        tc_store_lanes(ahead, tc_shadd16(even, turned));
        tc_store_lanes(behind, last);
    }
}

/* As tc_signal_joined_s16. */
TC_INLINE void tc_signal_joined_pairs(const int16_t *spectrum, int16_t *data, const uint32_t *turns, int32_t points)
{
    const uint32_t low = tc_load4(spectrum), high = tc_load4(spectrum + 2 * points);
    const uint32_t ends = tc_pkhbt(tc_sadd16(low, high), tc_ssub16(low, high), 16);
    tc_store_lanes(data, tc_signal_part(ends, 32767 / 2));
    for (int32_t k = 1; k <= points / 2; ++k) {
        const uint32_t far = tc_load4(spectrum + 2 * (points - k));
        const uint32_t mirrored = tc_pkhbt(far, tc_ssub16(0, far), 0);
        const uint32_t a = tc_signal_part(tc_load4(spectrum + 2 * k), 32767 / 2);
        const uint32_t b = tc_signal_part(mirrored, 32767 / 2);
        const uint32_t even = tc_sadd16(a, b), turned = tc_signal_turned(tc_ssub16(a, b), *turns++);
        const uint32_t below = tc_ssub16(even, turned);
        tc_store_lanes(data + 2 * k, tc_sadd16(even, turned));
        tc_store_lanes(data + 2 * (points - k), tc_pkhbt(below, tc_ssub16(0, below), 0));
    }
}

#ifdef __cplusplus
}
#endif

#endif
