/* SPDX-License-Identifier: 0BSD */
/*
 * Comparisons of two tensors that broadcast, and the logical operators: results are bytes, 0 or 1. See tc_pairs.h.
 *
 * 8-bit operands of different scales (tc_mapped.h): for each value of the first one there is a bound, and the comparison holds
 * for all values of the second one on one side of it. For EQUAL and NOT_EQUAL, values are equal that have the same number.
 */
#ifndef TC_COMPARE_H
#define TC_COMPARE_H

#include <stdint.h>

#include "kernels/tc_inline.h"
#include "kernels/tc_mapped.h"
#include "kernels/tc_pairs.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TC_COMPARISONS(type, suffix)                                                                                   \
    typedef uint8_t tc_compare_##suffix##_function(type a, type b);                                                    \
    TC_INLINE uint8_t tc_equal_##suffix(type a, type b)                                                                \
    {                                                                                                                  \
        return a == b;                                                                                                 \
    }                                                                                                                  \
    TC_INLINE uint8_t tc_not_equal_##suffix(type a, type b)                                                            \
    {                                                                                                                  \
        return a != b;                                                                                                 \
    }                                                                                                                  \
    TC_INLINE uint8_t tc_greater_##suffix(type a, type b)                                                              \
    {                                                                                                                  \
        return a > b;                                                                                                  \
    }                                                                                                                  \
    TC_INLINE uint8_t tc_greater_equal_##suffix(type a, type b)                                                        \
    {                                                                                                                  \
        return a >= b;                                                                                                 \
    }                                                                                                                  \
    TC_INLINE uint8_t tc_less_##suffix(type a, type b)                                                                 \
    {                                                                                                                  \
        return a < b;                                                                                                  \
    }                                                                                                                  \
    TC_INLINE uint8_t tc_less_equal_##suffix(type a, type b)                                                           \
    {                                                                                                                  \
        return a <= b;                                                                                                 \
    }                                                                                                                  \
    TC_PAIRS(tc_compare_##suffix, type, uint8_t, tc_compare_##suffix##_function)

TC_COMPARISONS(int8_t, s8)
TC_COMPARISONS(uint8_t, u8)
TC_COMPARISONS(int16_t, s16)
TC_COMPARISONS(int32_t, s32)
TC_COMPARISONS(int64_t, s64)
TC_COMPARISONS(uint16_t, u16)
TC_COMPARISONS(uint32_t, u32)
TC_COMPARISONS(uint64_t, u64)
TC_COMPARISONS(float, f32)

#undef TC_COMPARISONS

TC_INLINE uint8_t tc_logical_and_u8(uint8_t a, uint8_t b)
{
    return a & b;
}

TC_INLINE uint8_t tc_logical_or_u8(uint8_t a, uint8_t b)
{
    return a | b;
}

TC_INLINE int32_t tc_numbers_less(int32_t a, int32_t b, const void *form)
{
    (void)form;
    return (int32_t)((uint32_t)(a - b) >> 31);
}

TC_INLINE int32_t tc_numbers_greater(int32_t a, int32_t b, const void *form)
{
    (void)form;
    return (int32_t)((uint32_t)(b - a) >> 31);
}

TC_INLINE int32_t tc_numbers_equal(int32_t a, int32_t b, const void *form)
{
    (void)form;
    return a == b;
}

TC_INLINE int32_t tc_numbers_not_equal(int32_t a, int32_t b, const void *form)
{
    (void)form;
    return a != b;
}

TC_MAPPED(tc_bound_less_s8, int16_t, tc_number_s16, tc_element_s8, tc_numbers_less)
TC_MAPPED(tc_bound_less_u8, int16_t, tc_number_s16, tc_element_u8, tc_numbers_less)
TC_MAPPED(tc_bound_greater_s8, int16_t, tc_number_s16, tc_element_s8, tc_numbers_greater)
TC_MAPPED(tc_bound_greater_u8, int16_t, tc_number_s16, tc_element_u8, tc_numbers_greater)
TC_MAPPED(tc_class_equal, int16_t, tc_number_s16, tc_number_s16, tc_numbers_equal)
TC_MAPPED(tc_class_not_equal, int16_t, tc_number_s16, tc_number_s16, tc_numbers_not_equal)

#ifdef __cplusplus
}
#endif

#endif
