/* SPDX-License-Identifier: 0BSD */
/*
 * Functions of integers without scales: indices, shapes, counts. Results wrap as registers do;
 * a division by 0 gives 0, and so does what it leaves.
 */
#ifndef TC_INTEGERS_H
#define TC_INTEGERS_H

#include <stdint.h>

#include "kernels/tc_inline.h"
#include "kernels/tc_pairs.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tc_count {
    int32_t count;
} tc_count;

/*
 * Functions of one and of two elements, and the loops around them. `word` is what is computed in: unsigned, and no
 * smaller than int, to which C would convert smaller ones.
 */
#define TC_INTEGERS(type, suffix, word)                                                                                \
    typedef type tc_plain_##suffix##_map(type x);                                                                      \
    typedef type tc_plain_##suffix##_function(type a, type b);                                                         \
    TC_INLINE type tc_plain_add_##suffix(type a, type b)                                                               \
    {                                                                                                                  \
        return (type)((word)a + (word)b);                                                                              \
    }                                                                                                                  \
    TC_INLINE type tc_plain_sub_##suffix(type a, type b)                                                               \
    {                                                                                                                  \
        return (type)((word)a - (word)b);                                                                              \
    }                                                                                                                  \
    TC_INLINE type tc_plain_mul_##suffix(type a, type b)                                                               \
    {                                                                                                                  \
        return (type)((word)a * (word)b);                                                                              \
    }                                                                                                                  \
    TC_INLINE type tc_plain_neg_##suffix(type x)                                                                       \
    {                                                                                                                  \
        return (type)(0u - (word)x);                                                                                   \
    }                                                                                                                  \
    TC_INLINE type tc_plain_maximum_##suffix(type a, type b)                                                           \
    {                                                                                                                  \
        return (type)(a > b ? a : b);                                                                                  \
    }                                                                                                                  \
    TC_INLINE type tc_plain_minimum_##suffix(type a, type b)                                                           \
    {                                                                                                                  \
        return (type)(a < b ? a : b);                                                                                  \
    }                                                                                                                  \
    TC_INLINE type tc_plain_squared_difference_##suffix(type a, type b)                                                \
    {                                                                                                                  \
        const type difference = tc_plain_sub_##suffix(a, b);                                                           \
        return tc_plain_mul_##suffix(difference, difference);                                                          \
    }                                                                                                                  \
    /* a to the b; 1 where b is negative. */                                                                           \
    TC_INLINE type tc_plain_pow_##suffix(type a, type b)                                                               \
    {                                                                                                                  \
        type result = 1;                                                                                               \
        for (; b > 0; b = (type)(b >> 1)) {                                                                            \
            result = (b & 1) != 0 ? tc_plain_mul_##suffix(result, a) : result;                                         \
            a = tc_plain_mul_##suffix(a, a);                                                                           \
        }                                                                                                              \
        return result;                                                                                                 \
    }                                                                                                                  \
    TC_INLINE void tc_plain_map_##suffix(const type *input, type *output, tc_plain_##suffix##_map *map,                \
                                         const tc_count *shape)                                                        \
    {                                                                                                                  \
        for (int32_t i = 0; i < shape->count; ++i) {                                                                   \
            output[i] = map(input[i]);                                                                                 \
        }                                                                                                              \
    }                                                                                                                  \
    TC_PAIRS(tc_plain_pairs_##suffix, type, type, tc_plain_##suffix##_function)

#define TC_SIGNED(type, suffix, word)                                                                                  \
    TC_INTEGERS(type, suffix, word)                                                                                    \
    TC_INLINE type tc_plain_abs_##suffix(type x)                                                                       \
    {                                                                                                                  \
        return (type)(x < 0 ? tc_plain_neg_##suffix(x) : x);                                                           \
    }                                                                                                                  \
    TC_INLINE type tc_plain_sign_##suffix(type x)                                                                      \
    {                                                                                                                  \
        return (type)(x > 0 ? 1 : x < 0 ? -1 : 0);                                                                     \
    }                                                                                                                  \
    /* Towards 0; the smallest number divided by -1 stays, as its negative wraps. */                                   \
    TC_INLINE type tc_plain_div_##suffix(type a, type b)                                                               \
    {                                                                                                                  \
        return (type)(b == 0 ? 0 : b == -1 ? tc_plain_neg_##suffix(a) : (type)(a / b));                                \
    }                                                                                                                  \
    TC_INLINE type tc_plain_fmod_##suffix(type a, type b)                                                              \
    {                                                                                                                  \
        return (type)(b == 0 ? 0 : tc_plain_sub_##suffix(a, tc_plain_mul_##suffix(tc_plain_div_##suffix(a, b), b)));   \
    }                                                                                                                  \
    TC_INLINE type tc_plain_floor_mod_##suffix(type a, type b)                                                         \
    {                                                                                                                  \
        const type rest = tc_plain_sub_##suffix(a, tc_plain_mul_##suffix(tc_plain_div_##suffix(a, b), b));             \
        return (type)(b == 0 ? 0 : rest != 0 && (rest < 0) != (b < 0) ? (type)(rest + b) : rest);                      \
    }                                                                                                                  \
    TC_INLINE type tc_plain_floor_div_##suffix(type a, type b)                                                         \
    {                                                                                                                  \
        const type towards_0 = tc_plain_div_##suffix(a, b);                                                            \
        const type rest = tc_plain_sub_##suffix(a, tc_plain_mul_##suffix(towards_0, b));                               \
        return (type)(b != 0 && rest != 0 && (rest < 0) != (b < 0) ? (type)(towards_0 - 1) : towards_0);               \
    }

#define TC_UNSIGNED(type, suffix, word)                                                                                \
    TC_INTEGERS(type, suffix, word)                                                                                    \
    TC_INLINE type tc_plain_abs_##suffix(type x)                                                                       \
    {                                                                                                                  \
        return x;                                                                                                      \
    }                                                                                                                  \
    TC_INLINE type tc_plain_sign_##suffix(type x)                                                                      \
    {                                                                                                                  \
        return x != 0;                                                                                                 \
    }                                                                                                                  \
    TC_INLINE type tc_plain_div_##suffix(type a, type b)                                                               \
    {                                                                                                                  \
        return (type)(b == 0 ? 0 : (type)(a / b));                                                                     \
    }                                                                                                                  \
    TC_INLINE type tc_plain_fmod_##suffix(type a, type b)                                                              \
    {                                                                                                                  \
        return (type)(b == 0 ? 0 : (type)(a % b));                                                                     \
    }                                                                                                                  \
    TC_INLINE type tc_plain_floor_mod_##suffix(type a, type b)                                                         \
    {                                                                                                                  \
        return tc_plain_fmod_##suffix(a, b);                                                                           \
    }                                                                                                                  \
    TC_INLINE type tc_plain_floor_div_##suffix(type a, type b)                                                         \
    {                                                                                                                  \
        return tc_plain_div_##suffix(a, b);                                                                            \
    }

TC_SIGNED(int8_t, s8, uint32_t)
TC_SIGNED(int16_t, s16, uint32_t)
TC_SIGNED(int32_t, s32, uint32_t)
TC_SIGNED(int64_t, s64, uint64_t)
TC_UNSIGNED(uint8_t, u8, uint32_t)
TC_UNSIGNED(uint16_t, u16, uint32_t)
TC_UNSIGNED(uint32_t, u32, uint32_t)
TC_UNSIGNED(uint64_t, u64, uint64_t)

#undef TC_INTEGERS
#undef TC_SIGNED
#undef TC_UNSIGNED

#ifdef __cplusplus
}
#endif

#endif
