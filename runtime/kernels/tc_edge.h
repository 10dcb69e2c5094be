/* SPDX-License-Identifier: 0BSD */
/*
 * Between real numbers and the quantised ones at a model's edges, for applications.
 *
 * tc_edge_quantize: value / scale as IEEE 754 divides floats, then the nearest integer, halves away from zero as in
 * tflite::reference_ops::AffineQuantize or to even numbers as in ONNX's QuantizeLinear; plus the zero point, saturated. A NaN
 * becomes the smallest number.
 * tc_edge_dequantize: scale * (q - zero_point), rounded once as IEEE 754 does, as in tflite::reference_ops::Dequantize and
 * ONNX's DequantizeLinear.
 *
 * tc_edge_order: what compares as floats do.
 *
 * All in integers: an application that is compiled with -ffast-math, or whose FPU flushes small numbers to zero, gets the same
 * bits. The scale is positive and finite.
 */
#ifndef TC_EDGE_H
#define TC_EDGE_H

#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

/* |number| = mantissa * 2^exponent, with 24 bits in the mantissa unless it is 0. */
typedef struct tc_edge_number {
    uint32_t mantissa;
    int32_t exponent;
} tc_edge_number;

static inline uint32_t tc_edge_bits(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

/* A number of 32 bits for each float, in the same order; NaNs are the smallest, both zeros are equal. */
static inline int32_t tc_edge_order(float value)
{
    const uint32_t bits = tc_edge_bits(value);
    const int32_t magnitude = (int32_t)(bits & 0x7fffffffu);
    if (magnitude > 0x7f800000) {
        return -0x7fffffff;
    }
    return bits >> 31 != 0u ? -magnitude : magnitude;
}

/* Of a finite number, by its bits. */
static inline tc_edge_number tc_edge_split(uint32_t bits)
{
    const uint32_t fraction = bits & 0x7fffffu;
    const int32_t biased = (int32_t)((bits >> 23) & 0xffu);
    tc_edge_number number;
    number.mantissa = biased == 0 ? fraction : fraction | 0x800000u;
    number.exponent = (biased == 0 ? 1 : biased) - 150;
    while (number.mantissa != 0u && number.mantissa < 0x800000u) { /* subnormal */
        number.mantissa <<= 1;
        number.exponent--;
    }
    return number;
}

/* number / 2^shift to the nearest integer, halves to even numbers, `rest` being whether something was cut off before. */
static inline uint64_t tc_edge_shift(uint64_t number, int32_t shift, int rest)
{
    const uint64_t half = (uint64_t)1 << (shift - 1), result = number >> shift, cut = number & (half | (half - 1u));
    return result + (cut > half || (cut == half && (rest || (result & 1u) != 0u)) ? 1u : 0u);
}

/* The quotient of two mantissas as a float has it. */
static inline tc_edge_number tc_edge_divide(tc_edge_number a, tc_edge_number b)
{
    const uint64_t dividend = (uint64_t)a.mantissa << 26;
    const uint64_t quotient = dividend / b.mantissa; /* 26 or 27 bits */
    const int32_t surplus = quotient >> 26 != 0u ? 3 : 2;
    tc_edge_number result;
    result.mantissa = (uint32_t)tc_edge_shift(quotient, surplus, quotient * b.mantissa != dividend);
    result.exponent = a.exponent - b.exponent - 26 + surplus;
    return result;
}

/* The nearest integer; what is beyond 32 bits stays beyond them. */
static inline int64_t tc_edge_round(tc_edge_number number, int ties_even)
{
    const int32_t shift = -number.exponent;
    if (shift <= 0) {
        return (int64_t)number.mantissa << (shift > -16 ? -shift : 16);
    }
    if (shift > 25) {
        return 0; /* below 1/2 */
    }
    if (ties_even) {
        return (int64_t)tc_edge_shift(number.mantissa, shift, 0);
    }
    return (int64_t)((number.mantissa + ((uint32_t)1 << (shift - 1))) >> shift);
}

static inline int32_t tc_edge_quantize(
    float value, float scale, int32_t zero_point, int32_t low, int32_t high, int ties_even)
{
    const uint32_t bits = tc_edge_bits(value);
    const int negative = bits >> 31 != 0u;
    int64_t result;
    if ((bits & 0x7fffffffu) > 0x7f800000u) {
        return low;
    }
    if ((bits & 0x7fffffffu) == 0x7f800000u) {
        return negative ? low : high;
    }
    const tc_edge_number number = tc_edge_split(bits);
    result = number.mantissa == 0u ? 0
                                   : tc_edge_round(tc_edge_divide(number, tc_edge_split(tc_edge_bits(scale))), ties_even);
    result = (negative ? -result : result) + zero_point;
    return result < low ? low : result > high ? high : (int32_t)result;
}

static inline float tc_edge_dequantize(int32_t q, float scale, int32_t zero_point)
{
    const int64_t steps = (int64_t)q - zero_point;
    const tc_edge_number unit = tc_edge_split(tc_edge_bits(scale));
    uint64_t product = (uint64_t)(steps < 0 ? -steps : steps) * unit.mantissa;
    int32_t exponent = unit.exponent, shift = 0;
    uint32_t bits;
    float value;
    while (product >> shift >= 0x1000000u) {
        shift++;
    }
    if (exponent + shift < -149) { /* subnormal */
        shift = -149 - exponent;
    }
    if (shift > 0) {
        product = shift > 63 ? 0u : tc_edge_shift(product, shift, 0);
        exponent += shift;
    } else {
        while (product != 0u && product < 0x800000u && exponent > -149) {
            product <<= 1;
            exponent--;
        }
    }
    /* The leading bit of a normal number adds 1 to the exponent's field; so does a carry. */
    bits = product == 0u ? 0u : ((uint32_t)(exponent + 149) << 23) + (uint32_t)product;
    bits = bits > 0x7f800000u || exponent > 104 ? 0x7f800000u : bits;
    bits |= steps < 0 ? 0x80000000u : 0u;
    memcpy(&value, &bits, sizeof value);
    return value;
}

#ifdef __cplusplus
}
#endif

#endif
