/* SPDX-License-Identifier: 0BSD */
/*
 * Trained parameters: int16 master weights, 256 times the int8 weights of the forward pass, and int32 biases; and a step of
 * gradient descent, a product of 61 bits that is rounded once.
 */
#ifndef TC_DESCENT_H
#define TC_DESCENT_H

#include <stdint.h>

#include "cmsis_shim/tc_simd.h"
#include "kernels/tc_align.h"
#include "kernels/tc_block_float.h"
#include "kernels/tc_bytes.h"
#include "kernels/tc_inline.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TC_MASTER_LIMIT 32640
#define TC_BIAS_LIMIT (1 << 30)

typedef struct tc_rounded_weights_shape {
    int32_t rows;
    int32_t trained; /* of a row */
    int32_t others;  /* of a row, which follow them */
} tc_rounded_weights_shape;

/* Four master weights, rounded, as bytes. */
TC_INLINE uint32_t tc_four_rounded(uint32_t first, uint32_t second)
{
    const uint32_t a = tc_sadd16(first, 0x00800080u);
    const uint32_t b = tc_sadd16(second, 0x00800080u);
    return tc_uxtb16(tc_pkhbt(a, b, 16), 8) | (tc_pkhtb(b, a, 16) & 0xFF00FF00u);
}

/* `others` may be null where there are none. */
TC_INLINE void tc_rounded_weights(const int16_t *master, int8_t *output, const int8_t *others,
                                  const tc_rounded_weights_shape *shape)
{
    const int32_t whole = shape->others == 0; /* then rows follow each other */
    const int32_t trained = whole ? shape->rows * shape->trained : shape->trained;
    for (int32_t row = 0; row < (whole ? 1 : shape->rows); ++row) {
        int32_t i = 0;
#if TC_DSP
        for (; i + 4 <= trained; i += 4) {
            tc_store4(output + i, tc_four_rounded(tc_load4(master + i), tc_load4(master + i + 2)));
        }
#endif
        for (; i < trained; ++i) {
            output[i] = (int8_t)((master[i] + 128) >> 8);
        }
        if (shape->others > 0) {
            tc_memcpy(output + trained, others, (uint32_t)shape->others);
            others += shape->others;
        }
        master += trained;
        output += trained + shape->others;
    }
}

/* What a unit of a gradient is, in units of a parameter. */
typedef struct tc_descent_unit {
    int32_t mantissa; /* 15 bits */
    int32_t exponent;
} tc_descent_unit;

/* A parameter is [outer][channels][inner]. */
typedef struct tc_descent_shape {
    int32_t outer;
    int32_t channels;
    int32_t inner;
} tc_descent_shape;

/* Where a step is shifted by more than 32 bits, which is the rule, the upper word of the product is all that counts. */
#define TC_UPPER_SHIFT 32

/* gradient * factor / 2^shift for a shift above 32; `half` is that of tc_upper_half. */
TC_INLINE int32_t tc_upper_step(int32_t gradient, int32_t factor, int32_t half, int32_t shift)
{
    return tc_smmla(gradient, factor, half) >> (shift - TC_UPPER_SHIFT);
}

TC_INLINE int32_t tc_upper_half(int32_t shift)
{
    return (int32_t)(1u << (shift - TC_UPPER_SHIFT - 1));
}

/* A parameter after its step; `factor` below 2^30, `shift` what the product of factor and gradient is shifted by. */
TC_INLINE int32_t tc_descended(int32_t parameter, int32_t gradient, int32_t factor, int32_t shift, int32_t low,
                               int32_t high)
{
    if (shift > TC_UPPER_SHIFT) {
        const int32_t places = tc_min(shift, 62);
        return tc_clamp(parameter - tc_upper_step(gradient, factor, tc_upper_half(places), places), low, high);
    }
    const int64_t moved = parameter - tc_shift_wide((int64_t)gradient * factor, shift);
    return moved < low ? low : moved > high ? high : (int32_t)moved;
}

/* To [-32640, 32639]: pushed against an end of int16 and back, first above, then below. */
typedef struct tc_master_ends {
    uint32_t above;
    uint32_t both;
} tc_master_ends;

/* Constants that compilers would make anew for each use. */
TC_INLINE tc_master_ends tc_master_ends_of(void)
{
    tc_master_ends ends = {0x00800080u, 0x01000100u};
#if defined(__GNUC__)
    __asm__("" : "+r"(ends.above), "+r"(ends.both));
#endif
    return ends;
}

/* Two master weights after steps of so much. */
TC_INLINE uint32_t tc_moved_masters(uint32_t masters, int32_t first, int32_t second, tc_master_ends ends)
{
    const int32_t low = tc_ssat16(tc_low(masters) - first);
    const int32_t high = tc_ssat16(tc_high(masters) - second);
    const uint32_t lanes = tc_pkhbt((uint32_t)low, (uint32_t)high, 16);
    return tc_sadd16(tc_qsub16(tc_qadd16(lanes, ends.above), ends.both), ends.above);
}

/* Master weights that follow each other, of one unit. */
TC_INLINE void tc_descend_masters(const int16_t *parameter, const int32_t *gradient, int16_t *output, int32_t count,
                                  int32_t factor, int32_t shift)
{
    int32_t i = 0;
#if TC_DSP
    if (shift > TC_UPPER_SHIFT) {
        const int32_t places = tc_min(shift, 62);
        const int32_t half = tc_upper_half(places);
        const tc_master_ends ends = tc_master_ends_of();
#if defined(__GNUC__)
#pragma GCC unroll 2
#endif
        for (; i + 2 <= count; i += 2) {
            const int32_t first = tc_upper_step(gradient[i], factor, half, places);
            const int32_t second = tc_upper_step(gradient[i + 1], factor, half, places);
            tc_store_lanes(output + i, tc_moved_masters(tc_load4(parameter + i), first, second, ends));
        }
    }
#endif
    for (; i < count; ++i) {
        output[i] = (int16_t)tc_descended(parameter[i], gradient[i], factor, shift, -TC_MASTER_LIMIT, TC_MASTER_LIMIT - 1);
    }
}

/* `rate`: mantissa, exponent. */
TC_INLINE void tc_descend_weights(const int16_t *parameter, const int32_t *gradient, const int32_t *exponent,
                                  const int32_t *rate, int16_t *output, const tc_descent_unit *units,
                                  const tc_descent_shape *shape)
{
    for (int32_t i = 0; i < shape->outer; ++i) {
        for (int32_t channel = 0; channel < shape->channels; ++channel) {
            const int32_t factor = units[channel].mantissa * rate[0];
            const int32_t shift = -(units[channel].exponent + rate[1] + *exponent);
            tc_descend_masters(parameter, gradient, output, shape->inner, factor, shift);
            parameter += shape->inner;
            gradient += shape->inner;
            output += shape->inner;
        }
    }
}

TC_INLINE void tc_descend_biases(const int32_t *parameter, const int32_t *gradient, const int32_t *exponent,
                                 const int32_t *rate, int32_t *output, const tc_descent_unit *units,
                                 const tc_descent_shape *shape)
{
    for (int32_t i = 0; i < shape->outer; ++i) {
        for (int32_t channel = 0; channel < shape->channels; ++channel) {
            const int32_t factor = units[channel].mantissa * rate[0];
            const int32_t shift = -(units[channel].exponent + rate[1] + *exponent);
            for (int32_t k = 0; k < shape->inner; ++k) {
                *output++ = tc_descended(*parameter++, *gradient++, factor, shift, -TC_BIAS_LIMIT, TC_BIAS_LIMIT);
            }
        }
    }
}

/* What accumulators have is in units that are so many bits finer than those of the parameters. */
#define TC_ACCUMULATOR_FRACTION_BITS 8

/* Changes int16 master weights by what was accumulated, and begins again. */
TC_INLINE void tc_apply_weights(int16_t *parameter, int32_t *accumulator, int32_t count)
{
    for (int32_t i = 0; i < count; ++i) {
        const int32_t moved = parameter[i] + tc_shift_right_rounded(accumulator[i], TC_ACCUMULATOR_FRACTION_BITS);
        parameter[i] = (int16_t)tc_clamp(moved, -TC_MASTER_LIMIT, TC_MASTER_LIMIT - 1);
        accumulator[i] = 0;
    }
}

/* The same of int32 biases. */
TC_INLINE void tc_apply_biases(int32_t *parameter, int32_t *accumulator, int32_t count)
{
    for (int32_t i = 0; i < count; ++i) {
        const int32_t moved = parameter[i] + tc_shift_right_rounded(accumulator[i], TC_ACCUMULATOR_FRACTION_BITS);
        parameter[i] = tc_clamp(moved, -TC_BIAS_LIMIT, TC_BIAS_LIMIT);
        accumulator[i] = 0;
    }
}

#ifdef __cplusplus
}
#endif

#endif
