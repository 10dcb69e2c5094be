/* SPDX-License-Identifier: 0BSD */
/*
 * MAXIMUM and MINIMUM of int8 tensors: the larger or smaller byte of each pair, four at a time.
 *
 * Four elements are read before they are written, in memory order, so that an operand of the output's shape may be
 * the output's own memory.
 */
#ifndef TC_EXTREMUM_H
#define TC_EXTREMUM_H

#include <stdint.h>

#include "kernels/tc_broadcast.h"
#include "kernels/tc_bytes.h"
#include "kernels/tc_inline.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tc_extremum_form {
    int32_t largest; /* or the smallest */
} tc_extremum_form;

TC_INLINE void tc_extremum_run(const int8_t *a, int32_t a_step, const int8_t *b, int32_t b_step, int8_t *output,
                               int32_t count, const void *parameters)
{
    const tc_extremum_form *form = (const tc_extremum_form *)parameters;
    int32_t i = 0;
    for (; i <= count - 4; i += 4) {
        const uint32_t word_a = tc_load4_step(a + i * a_step, a_step);
        const uint32_t word_b = tc_load4_step(b + i * b_step, b_step);
        tc_store4(output + i, form->largest ? tc_max4(word_a, word_b) : tc_min4(word_a, word_b));
    }
    for (; i < count; ++i) {
        const int8_t one = a[i * a_step];
        const int8_t other = b[i * b_step];
        output[i] = (one > other) == (form->largest != 0) ? one : other;
    }
}

TC_INLINE void tc_extremum_s8(const int8_t *a, const int8_t *b, int8_t *output, const tc_extremum_form *form,
                              const tc_broadcast *shape)
{
    tc_broadcast_s8(a, b, output, shape, tc_extremum_run, form);
}

#ifdef __cplusplus
}
#endif

#endif
