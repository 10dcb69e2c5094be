/* SPDX-License-Identifier: 0BSD */
/*
 * Sigmoid and hyperbolic tangent of int16 fixed-point numbers, equal bit for bit to gemmlowp's (fixedpoint/fixedpoint.h),
 * which the integer LSTM of LiteRT computes with. A number with m integer bits (Qm) stands for raw / 2^(15 - m).
 *
 * Both come from f(u) = 2 / (1 + exp(-u)) in Q2: sigmoid(x) = f(x) / 2 and tanh(x) = f(2 x) - 1. gemmlowp has f from a
 * polynomial, products and three Newton-Raphson steps, whose roundings make it uneven by a few steps. With
 * `tc_sigmoid16_table` it is looked up for u <= 8: the smallest of 8 neighbours, and what each lies above it in 4 bits.
 */
#ifndef TC_SIGMOID16_H
#define TC_SIGMOID16_H

#include <stddef.h>
#include <stdint.h>

#include "cmsis_shim/tc_simd.h"
#include "kernels/tc_inline.h"
#include "kernels/tc_requant.h"

#ifdef __cplusplus
extern "C" {
#endif

/* f over [0, 8], u in Q3; null pointers: f is computed. */
typedef struct tc_sigmoid16_table {
    const int16_t *low;   /* [4097] of each 8 neighbours */
    const uint32_t *rest; /* [4097]: 4 bits of each; turned right by 4 times the number of a neighbour, its are the highest */
} tc_sigmoid16_table;

/* round(a * b / 2^15) */
TC_INLINE int32_t tc_high_product16(int32_t a, int32_t b)
{
    return (a * b + (1 << 14)) >> 15;
}

/* value / 2^exponent, halves away from zero; of small numbers and a positive exponent. */
TC_INLINE int32_t tc_rounded_shift16(int32_t value, int32_t exponent)
{
    return (value + (1 << (exponent - 1)) + (value >> 31)) >> exponent;
}

/* exp(-u) of u > 0 in Q`integer_bits`: a polynomial for a quarter, and a factor for each larger power of two in u. */
TC_INLINE int32_t tc_exp16(int32_t u, int32_t integer_bits)
{
    static const int16_t factors[7] = {25520, 19875, 12055, 4435, 600, 11, 0};
    const int32_t quarter = 1 << (13 - integer_bits);
    const int32_t part = (-u & (quarter - 1)) - quarter;
    const int32_t x = part * (1 << integer_bits) + (1 << 12);
    const int32_t x2 = tc_high_product16(x, x);
    const int32_t x3 = tc_high_product16(x2, x);
    const int32_t x4 = tc_rounded_shift16(tc_high_product16(x2, x2), 2);
    const int32_t tail = tc_rounded_shift16(tc_high_product16(x4 + x3, 10923) + x2, 1);
    int32_t result = 28918 + tc_high_product16(x + tail, 28918);
    const int32_t remainder = (part + u) >> (13 - integer_bits);
    for (int32_t bit = 0; bit < 7; ++bit) {
        if ((remainder >> bit & 1) != 0) {
            result = tc_high_product16(result, factors[bit]);
        }
    }
    return u > (32 << (15 - integer_bits)) ? 0 : result;
}

/* f(u) for u > 0 in Q`integer_bits`, computed. */
static TC_NOINLINE int32_t tc_sigmoid16_computed(int32_t u, int32_t integer_bits)
{
    const int32_t half_denominator = (tc_exp16(u, integer_bits) + 32768) >> 1;
    int32_t x = 23130 + tc_high_product16(half_denominator, -15420);
    for (int32_t step = 0; step < 3; ++step) {
        x += 4 * tc_high_product16(x, 8192 - tc_high_product16(half_denominator, x));
    }
    return x;
}

/* f(u) for 0 <= u <= 8 in Q3, looked up; f(0) is exactly 1. */
TC_INLINE int32_t tc_sigmoid16_found(uint32_t u, const tc_sigmoid16_table *table)
{
    const uint32_t index = u >> 3;
    return table->low[index] + (int32_t)(tc_ror_by(table->rest[index], u << 2) >> 28);
}

/* -1 below zero, else 0; in a register, where compilers would compute it twice. */
TC_INLINE int32_t tc_sign16(int32_t x)
{
    int32_t sign = x >> 31;
#if TC_THUMB2
    __asm__("" : "+r"(sign));
#endif
    return sign;
}

/* Q3 to Q0. */
TC_INLINE int32_t tc_logistic16(int32_t x, const tc_sigmoid16_table *table)
{
    const int32_t sign = tc_sign16(x);
    const int32_t u = (x ^ sign) - sign;
    if (table->low == NULL && x == 0) {
        return 16384;
    }
    const int32_t size = table->low != NULL ? tc_sigmoid16_found((uint32_t)u, table) : tc_sigmoid16_computed(u, 3);
    return ((2 * size) ^ sign) - (int32_t)((uint32_t)sign << 15); /* below zero 32767 - 2 * size */
}

/* f(u) for u > 8 in Q3: four values. */
TC_INLINE int32_t tc_sigmoid16_beyond(uint32_t u)
{
    return u >= 37460u ? 16384 : u >= 35608u ? 16383 : u >= 34338u ? 16379 : 16378;
}

/* Q`integer_bits` to Q0, 0 <= integer_bits <= 6. */
TC_INLINE int32_t tc_tanh16(int32_t x, int32_t integer_bits, const tc_sigmoid16_table *table)
{
    const int32_t sign = tc_sign16(x);
    const int32_t size = (x ^ sign) - sign;
    int32_t above = 0;
    if (table->low != NULL && integer_bits >= 2) {
        const uint32_t u = (uint32_t)size << (tc_max(integer_bits, 2) - 2);
        above = u <= 32768u ? 4 * (tc_sigmoid16_found(u, table) - 8192) : tc_min(4 * (tc_sigmoid16_beyond(u) - 8192), 32767);
    } else if (x != 0) {
        above = tc_min(4 * (tc_sigmoid16_computed(size, integer_bits + 1) - 8192), 32767);
    }
    return (above ^ sign) - sign;
}

#ifdef __cplusplus
}
#endif

#endif
