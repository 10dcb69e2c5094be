/* SPDX-License-Identifier: 0BSD */
/*
 * Floats as integers: the fraction is dropped, values beyond the range become its ends, NaN the upper one.
 */
#ifndef TC_CAST_H
#define TC_CAST_H

#include <stdint.h>
#include <string.h>

#include "kernels/tc_inline.h"

#ifdef __cplusplus
extern "C" {
#endif

/* For types whose range int32 has. One comparison of the bits finds all that int32 hasn't, NaN among them. */
TC_INLINE int32_t tc_float_to_int(float value, int32_t low, int32_t high)
{
    uint32_t bits;
    memcpy(&bits, &value, 4);
    const uint32_t magnitude = bits & 0x7FFFFFFFu;
    if (magnitude < 0x4F000000u) { /* 2^31 */
        const int32_t whole = (int32_t)value;
        return whole < low ? low : whole > high ? high : whole;
    }
    return (bits >> 31) != 0u && magnitude <= 0x7F800000u ? low : high;
}

TC_INLINE int64_t tc_float_to_int64(float value)
{
    return value <= -9223372036854775808.0f  ? INT64_MIN
           : value < 9223372036854775808.0f ? (int64_t)value
                                             : INT64_MAX;
}

TC_INLINE uint32_t tc_float_to_uint32(float value)
{
    return value <= 0.0f ? 0u : value < 4294967296.0f ? (uint32_t)value : UINT32_MAX;
}

TC_INLINE uint64_t tc_float_to_uint64(float value)
{
    return value <= 0.0f ? 0u : value < 18446744073709551616.0f ? (uint64_t)value : UINT64_MAX;
}

#ifdef __cplusplus
}
#endif

#endif
