/* SPDX-License-Identifier: 0BSD */
/*
 * Floats of 16, 8 and 4 bits, which are for storage: from and to float, rounded to the nearest, halves to even.
 */
#ifndef TC_SMALL_FLOAT_H
#define TC_SMALL_FLOAT_H

#include <stdint.h>
#include <string.h>

#include "kernels/tc_inline.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A format: a sign, exponent and mantissa below it. Codes are without the sign, except for `nan`. */
typedef struct tc_small_float {
    int32_t mantissa;  /* bits */
    int32_t bias;      /* of the exponent */
    uint32_t sign;     /* the sign's bit */
    uint32_t largest;  /* finite number */
    uint32_t infinity; /* 0: there is none */
    uint32_t nan;      /* where it is the sign's bit alone, there is no -0 */
} tc_small_float;

TC_INLINE float tc_bits_to_float(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, 4);
    return value;
}

TC_INLINE uint32_t tc_float_to_bits(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, 4);
    return bits;
}

TC_INLINE float tc_small_to_float(uint32_t code, const tc_small_float *format)
{
    const uint32_t sign = (code & format->sign) != 0u ? 0x80000000u : 0u;
    const uint32_t rest = code & (format->sign - 1u);
    if (rest > format->largest || (code == format->nan && format->nan == format->sign)) {
        const uint32_t infinite = format->infinity != 0u && rest == format->infinity;
        return tc_bits_to_float(sign | (infinite ? 0x7F800000u : 0x7FC00000u));
    }
    if (rest >> format->mantissa == 0u) { /* no implicit 1 */
        const float step = tc_bits_to_float((uint32_t)(128 - format->bias - format->mantissa) << 23);
        return tc_bits_to_float(sign | tc_float_to_bits((float)rest * step));
    }
    const uint32_t exponent = (rest >> format->mantissa) + (uint32_t)(127 - format->bias);
    const uint32_t mantissa = rest & ((1u << format->mantissa) - 1u);
    return tc_bits_to_float(sign | exponent << 23 | mantissa << (23 - format->mantissa));
}

/* What is too large becomes the largest number with `saturate`, else infinity or NaN. */
TC_INLINE uint32_t tc_float_to_small(float value, const tc_small_float *format, int32_t saturate)
{
    const uint32_t bits = tc_float_to_bits(value), magnitude = bits & 0x7FFFFFFFu;
    const uint32_t sign = bits >> 31 != 0u ? format->sign : 0u;
    if (magnitude > 0x7F800000u) {
        return format->nan == format->sign ? format->nan : sign | format->nan;
    }
    const int32_t exponent = (int32_t)(magnitude >> 23) - 127, least = 1 - format->bias;
    const int32_t shift = 23 - format->mantissa + (exponent < least ? least - exponent : 0);
    uint32_t code = 0;
    if (magnitude >= 0x7F800000u) {
        code = format->largest + 1u;
    } else if (shift <= 24) {
        const uint32_t whole = (magnitude & 0x7FFFFFu) | 0x800000u;
        const uint32_t half = (1u << (shift - 1)) - 1u + ((whole >> shift) & 1u);
        code = (whole + half) >> shift;
        code += exponent < least ? 0u : (uint32_t)(exponent - least) << format->mantissa;
    }
    if (code > format->largest) {
        const uint32_t beyond = format->infinity != 0u ? format->infinity : format->nan;
        return saturate ? sign | format->largest : beyond == format->sign ? beyond : sign | beyond;
    }
    return code == 0u && format->nan == format->sign ? 0u : sign | code;
}

TC_INLINE float tc_bfloat16_to_float(uint16_t bits)
{
    return tc_bits_to_float((uint32_t)bits << 16);
}

TC_INLINE uint16_t tc_float_to_bfloat16(float value)
{
    const uint32_t bits = tc_float_to_bits(value);
    if ((bits & 0x7FFFFFFFu) > 0x7F800000u) {
        return (uint16_t)((bits >> 31 << 15) | 0x7FC0u);
    }
    return (uint16_t)((bits + 0x7FFFu + ((bits >> 16) & 1u)) >> 16);
}

/* 8 bits of exponent and nothing else: powers of two from 2^-127 on; 255 is NaN. */
TC_INLINE float tc_e8m0_to_float(uint8_t code)
{
    return tc_bits_to_float(code == 255u ? 0x7FC00000u : code == 0u ? 0x00400000u : (uint32_t)code << 23);
}

/* The sign is dropped. To the next power upwards (`rounding` 1), the nearest (0; halfway upwards) or downwards (-1). */
TC_INLINE uint8_t tc_float_to_e8m0(float value, int32_t rounding, int32_t saturate)
{
    const uint32_t magnitude = tc_float_to_bits(value) & 0x7FFFFFFFu, exponent = magnitude >> 23;
    const uint32_t rest = magnitude & 0x7FFFFFu;
    if (exponent == 255u) {
        return 255u;
    }
    const uint32_t half = exponent == 0u ? rest > 0x400000u : rest >= 0x400000u;
    const uint32_t code = exponent + (rounding > 0 ? rest > 0u : rounding == 0 && half);
    return (uint8_t)(code == 255u && saturate ? 254u : code);
}

#ifdef __cplusplus
}
#endif

#endif
