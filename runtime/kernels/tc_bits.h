/* SPDX-License-Identifier: 0BSD */
/* Functions of the bits of two integers, which broadcast as in tc_pairs.h. */
#ifndef TC_BITS_H
#define TC_BITS_H

#include <stdint.h>

#include "kernels/tc_inline.h"
#include "kernels/tc_pairs.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A shift keeps the sign; one that isn't in 0 .. `most` is the nearest that is. */
#define TC_BITS(type, suffix, most)                                                                                    \
    typedef type tc_bits_##suffix##_function(type a, type b);                                                          \
    TC_INLINE type tc_bitwise_xor_##suffix(type a, type b)                                                             \
    {                                                                                                                  \
        return (type)(a ^ b);                                                                                          \
    }                                                                                                                  \
    TC_INLINE type tc_right_shift_##suffix(type a, type b)                                                             \
    {                                                                                                                  \
        const int64_t by = b;                                                                                          \
        return (type)(a >> (by < 0 ? 0 : by > (most) ? (most) : by));                                                  \
    }                                                                                                                  \
    TC_PAIRS(tc_bits_##suffix, type, type, tc_bits_##suffix##_function)

TC_BITS(int8_t, s8, 7)
TC_BITS(uint8_t, u8, 7)
TC_BITS(int16_t, s16, 15)
TC_BITS(int32_t, s32, 31)

#undef TC_BITS

#ifdef __cplusplus
}
#endif

#endif
