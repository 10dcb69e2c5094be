/* SPDX-License-Identifier: 0BSD */
/*
 * Operators of two 8-bit tensors that are functions of one number for each operand: one that is looked up in a table of
 * 256 by the element's bits, for example. A few instructions make the result of both.
 *
 * An operand that is known when the model is compiled can come as its numbers, without a table. Shapes are those of
 * tc_broadcast.h. Up to four elements are read before they are written, in memory order; what a run repeats is read before
 * the run's first output is written.
 */
#ifndef TC_MAPPED_H
#define TC_MAPPED_H

#include <stddef.h>
#include <stdint.h>

#include "kernels/tc_bytes.h"
#include "kernels/tc_inline.h"
#include "kernels/tc_pairs.h"
#include "kernels/tc_requant.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Numbers of an operand: in a table by the element's bits, or, without a table, the operand itself. */
TC_INLINE int32_t tc_number_s32(const void *operand, const int32_t *table, int32_t at, const void *form)
{
    (void)form;
    return table == NULL ? ((const int32_t *)operand)[at] : table[((const uint8_t *)operand)[at]];
}

TC_INLINE int16_t tc_number_s16(const void *operand, const int16_t *table, int32_t at, const void *form)
{
    (void)form;
    return table == NULL ? ((const int16_t *)operand)[at] : table[((const uint8_t *)operand)[at]];
}

/* Elements that are numbers as they are. */
TC_INLINE int16_t tc_element_s8(const void *operand, const int16_t *table, int32_t at, const void *form)
{
    (void)form;
    (void)table;
    return ((const int8_t *)operand)[at];
}

TC_INLINE int16_t tc_element_u8(const void *operand, const int16_t *table, int32_t at, const void *form)
{
    (void)form;
    (void)table;
    return ((const uint8_t *)operand)[at];
}

/*
 * Defines name(a, b, output, a_table, b_table, form, shape): `read_a` and `read_b` give an operand's number, `function` makes
 * an output of two of them.
 */
#define TC_MAPPED(name, number, read_a, read_b, function)                                                              \
    TC_INLINE void name(const void *a, const void *b, void *output, const number *a_table, const number *b_table,      \
                        const void *form, const tc_broadcast *shape)                                                   \
    {                                                                                                                  \
        const int32_t count = shape->size[TC_BROADCAST_LOOPS - 1];                                                     \
        const int32_t a_step = shape->a_stride[TC_BROADCAST_LOOPS - 1];                                                \
        const int32_t b_step = shape->b_stride[TC_BROADCAST_LOOPS - 1];                                                \
        int8_t *next = (int8_t *)output;                                                                               \
        TC_RUNS(shape->size)                                                                                           \
        {                                                                                                              \
            const int32_t from_a = TC_RUN_AT(shape->a_stride);                                                         \
            const int32_t from_b = TC_RUN_AT(shape->b_stride);                                                         \
            const number first_a = read_a(a, a_table, from_a, form);                                                   \
            const number first_b = read_b(b, b_table, from_b, form);                                                   \
            for (int32_t i = 0; i < count / 4 * 4; i += 4) {                                                           \
                const number a0 = a_step == 0 ? first_a : read_a(a, a_table, from_a + i, form);                        \
                const number a1 = a_step == 0 ? first_a : read_a(a, a_table, from_a + i + 1, form);                    \
                const number a2 = a_step == 0 ? first_a : read_a(a, a_table, from_a + i + 2, form);                    \
                const number a3 = a_step == 0 ? first_a : read_a(a, a_table, from_a + i + 3, form);                    \
                const number b0 = b_step == 0 ? first_b : read_b(b, b_table, from_b + i, form);                        \
                const number b1 = b_step == 0 ? first_b : read_b(b, b_table, from_b + i + 1, form);                    \
                const number b2 = b_step == 0 ? first_b : read_b(b, b_table, from_b + i + 2, form);                    \
                const number b3 = b_step == 0 ? first_b : read_b(b, b_table, from_b + i + 3, form);                    \
                next[i] = (int8_t)function(a0, b0, form);                                                              \
                next[i + 1] = (int8_t)function(a1, b1, form);                                                          \
                next[i + 2] = (int8_t)function(a2, b2, form);                                                          \
                next[i + 3] = (int8_t)function(a3, b3, form);                                                          \
            }                                                                                                          \
            for (int32_t i = count / 4 * 4; i < count; ++i) {                                                          \
                const number last_a = a_step == 0 ? first_a : read_a(a, a_table, from_a + i, form);                    \
                const number last_b = b_step == 0 ? first_b : read_b(b, b_table, from_b + i, form);                    \
                next[i] = (int8_t)function(last_a, last_b, form);                                                      \
            }                                                                                                          \
            next += count;                                                                                             \
        }                                                                                                              \
    }

/* A product in units of the output, 2^(right + 32) of them being 1. */
typedef struct tc_high_form {
    int32_t offset;
    int32_t right;
    int32_t low;
    int32_t high;
} tc_high_form;

/* saturate((offset + round(a * b / 2^32)) >> right): SMMLAR, SSAT; and a clamp, where it is narrower. */
TC_INLINE int32_t tc_high_result(int32_t a, int32_t b, const tc_high_form *form)
{
    const int32_t result = tc_saturate8(tc_smmlar(a, b, form->offset), form->right);
    return form->low > -128 || form->high < 127 ? tc_clamp(result, form->low, form->high) : result;
}

#ifdef __cplusplus
}
#endif

#endif
