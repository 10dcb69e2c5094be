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

/*
 * A shift to the right keeps the sign. One that isn't in 0 .. `most` is the nearest that is (tc_right_shift), or leaves
 * nothing but the sign, 0 for unsigned types and to the left. `word` is unsigned, and no smaller than int.
 */
#define TC_BITS(type, suffix, word)                                                                                    \
    typedef type tc_bits_##suffix##_function(type a, type b);                                                          \
    TC_INLINE type tc_bitwise_and_##suffix(type a, type b)                                                             \
    {                                                                                                                  \
        return (type)(a & b);                                                                                          \
    }                                                                                                                  \
    TC_INLINE type tc_bitwise_or_##suffix(type a, type b)                                                              \
    {                                                                                                                  \
        return (type)(a | b);                                                                                          \
    }                                                                                                                  \
    TC_INLINE type tc_bitwise_xor_##suffix(type a, type b)                                                             \
    {                                                                                                                  \
        return (type)(a ^ b);                                                                                          \
    }                                                                                                                  \
    TC_INLINE type tc_left_shift_##suffix(type a, type b)                                                              \
    {                                                                                                                  \
        return (type)(tc_inside_##suffix(b) ? (type)((word)a << b) : 0);                                               \
    }                                                                                                                  \
    TC_INLINE type tc_onnx_right_shift_##suffix(type a, type b)                                                        \
    {                                                                                                                  \
        return (type)(tc_inside_##suffix(b) ? (type)(a >> b) : tc_sign_bits_##suffix(a));                              \
    }                                                                                                                  \
    TC_PAIRS(tc_bits_##suffix, type, type, tc_bits_##suffix##_function)

#define TC_SIGNED_BITS(type, suffix, word, most)                                                                       \
    TC_INLINE int32_t tc_inside_##suffix(type by)                                                                      \
    {                                                                                                                  \
        return by >= 0 && by <= (most);                                                                                \
    }                                                                                                                  \
    TC_INLINE type tc_sign_bits_##suffix(type a)                                                                       \
    {                                                                                                                  \
        return (type)(a < 0 ? -1 : 0);                                                                                 \
    }                                                                                                                  \
    TC_INLINE type tc_right_shift_##suffix(type a, type b)                                                             \
    {                                                                                                                  \
        return (type)(a >> (b < 0 ? 0 : b > (most) ? (most) : b));                                                     \
    }                                                                                                                  \
    TC_BITS(type, suffix, word)

#define TC_UNSIGNED_BITS(type, suffix, word, most)                                                                     \
    TC_INLINE int32_t tc_inside_##suffix(type by)                                                                      \
    {                                                                                                                  \
        return by <= (most);                                                                                           \
    }                                                                                                                  \
    TC_INLINE type tc_sign_bits_##suffix(type a)                                                                       \
    {                                                                                                                  \
        (void)a;                                                                                                       \
        return 0;                                                                                                      \
    }                                                                                                                  \
    TC_INLINE type tc_right_shift_##suffix(type a, type b)                                                             \
    {                                                                                                                  \
        return (type)(a >> (b > (most) ? (most) : b));                                                                 \
    }                                                                                                                  \
    TC_BITS(type, suffix, word)

TC_SIGNED_BITS(int8_t, s8, uint32_t, 7)
TC_UNSIGNED_BITS(uint8_t, u8, uint32_t, 7)
TC_SIGNED_BITS(int16_t, s16, uint32_t, 15)
TC_UNSIGNED_BITS(uint16_t, u16, uint32_t, 15)
TC_SIGNED_BITS(int32_t, s32, uint32_t, 31)
TC_UNSIGNED_BITS(uint32_t, u32, uint32_t, 31)
TC_SIGNED_BITS(int64_t, s64, uint64_t, 63)
TC_UNSIGNED_BITS(uint64_t, u64, uint64_t, 63)

#undef TC_SIGNED_BITS
#undef TC_UNSIGNED_BITS
#undef TC_BITS

#ifdef __cplusplus
}
#endif

#endif
