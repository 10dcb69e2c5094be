/* SPDX-License-Identifier: 0BSD */
/*
 * Functions of integers without scales, of 32 and 64 bits: indices, shapes, counts. Results wrap as registers do;
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

/* Functions of one and of two elements, and the loops around them. */
#define TC_INTEGERS(bits)                                                                                              \
    typedef int##bits##_t tc_s##bits##_map(int##bits##_t x);                                                           \
    typedef int##bits##_t tc_s##bits##_function(int##bits##_t a, int##bits##_t b);                                     \
    TC_INLINE int##bits##_t tc_add_s##bits(int##bits##_t a, int##bits##_t b)                                           \
    {                                                                                                                  \
        return (int##bits##_t)((uint##bits##_t)a + (uint##bits##_t)b);                                                 \
    }                                                                                                                  \
    TC_INLINE int##bits##_t tc_sub_s##bits(int##bits##_t a, int##bits##_t b)                                           \
    {                                                                                                                  \
        return (int##bits##_t)((uint##bits##_t)a - (uint##bits##_t)b);                                                 \
    }                                                                                                                  \
    TC_INLINE int##bits##_t tc_mul_s##bits(int##bits##_t a, int##bits##_t b)                                           \
    {                                                                                                                  \
        return (int##bits##_t)((uint##bits##_t)a * (uint##bits##_t)b);                                                 \
    }                                                                                                                  \
    TC_INLINE int##bits##_t tc_neg_s##bits(int##bits##_t x)                                                            \
    {                                                                                                                  \
        return (int##bits##_t)(0u - (uint##bits##_t)x);                                                                \
    }                                                                                                                  \
    TC_INLINE int##bits##_t tc_abs_s##bits(int##bits##_t x)                                                            \
    {                                                                                                                  \
        return x < 0 ? tc_neg_s##bits(x) : x;                                                                          \
    }                                                                                                                  \
    TC_INLINE int##bits##_t tc_sign_s##bits(int##bits##_t x)                                                           \
    {                                                                                                                  \
        return x > 0 ? 1 : x < 0 ? -1 : 0;                                                                             \
    }                                                                                                                  \
    TC_INLINE int##bits##_t tc_maximum_s##bits(int##bits##_t a, int##bits##_t b)                                       \
    {                                                                                                                  \
        return a > b ? a : b;                                                                                          \
    }                                                                                                                  \
    TC_INLINE int##bits##_t tc_minimum_s##bits(int##bits##_t a, int##bits##_t b)                                       \
    {                                                                                                                  \
        return a < b ? a : b;                                                                                          \
    }                                                                                                                  \
    TC_INLINE int##bits##_t tc_squared_difference_s##bits(int##bits##_t a, int##bits##_t b)                            \
    {                                                                                                                  \
        const int##bits##_t difference = tc_sub_s##bits(a, b);                                                         \
        return tc_mul_s##bits(difference, difference);                                                                 \
    }                                                                                                                  \
    /* Towards 0; the smallest number divided by -1 stays, as its negative wraps. */                                   \
    TC_INLINE int##bits##_t tc_div_s##bits(int##bits##_t a, int##bits##_t b)                                           \
    {                                                                                                                  \
        return b == 0 ? 0 : b == -1 ? tc_neg_s##bits(a) : (int##bits##_t)(a / b);                                      \
    }                                                                                                                  \
    TC_INLINE int##bits##_t tc_floor_mod_s##bits(int##bits##_t a, int##bits##_t b)                                     \
    {                                                                                                                  \
        const int##bits##_t rest = tc_sub_s##bits(a, tc_mul_s##bits(tc_div_s##bits(a, b), b));                        \
        return b == 0 ? 0 : rest != 0 && (rest < 0) != (b < 0) ? (int##bits##_t)(rest + b) : rest;                     \
    }                                                                                                                  \
    TC_INLINE int##bits##_t tc_floor_div_s##bits(int##bits##_t a, int##bits##_t b)                                     \
    {                                                                                                                  \
        const int##bits##_t towards_0 = tc_div_s##bits(a, b);                                                          \
        const int##bits##_t rest = tc_sub_s##bits(a, tc_mul_s##bits(towards_0, b));                                    \
        return b != 0 && rest != 0 && (rest < 0) != (b < 0) ? (int##bits##_t)(towards_0 - 1) : towards_0;              \
    }                                                                                                                  \
    /* a to the b; 1 where b is negative. */                                                                           \
    TC_INLINE int##bits##_t tc_pow_s##bits(int##bits##_t a, int##bits##_t b)                                           \
    {                                                                                                                  \
        int##bits##_t result = 1;                                                                                      \
        for (; b > 0; b >>= 1) {                                                                                       \
            result = (b & 1) != 0 ? tc_mul_s##bits(result, a) : result;                                                \
            a = tc_mul_s##bits(a, a);                                                                                  \
        }                                                                                                              \
        return result;                                                                                                 \
    }                                                                                                                  \
    TC_INLINE void tc_map_s##bits(const int##bits##_t *input, int##bits##_t *output, tc_s##bits##_map *map,            \
                                  const tc_count *shape)                                                               \
    {                                                                                                                  \
        for (int32_t i = 0; i < shape->count; ++i) {                                                                   \
            output[i] = map(input[i]);                                                                                 \
        }                                                                                                              \
    }                                                                                                                  \
    TC_PAIRS(tc_pairs_s##bits, int##bits##_t, int##bits##_t, tc_s##bits##_function)

TC_INTEGERS(32)
TC_INTEGERS(64)

#undef TC_INTEGERS

#ifdef __cplusplus
}
#endif

#endif
