/* SPDX-License-Identifier: 0BSD */
/*
 * Constant masks of attention: what becomes of a row of scores, run by run of neighbours that have the same function.
 *
 * Causal and local masks have two or three runs a row: scores that stay as they are and cost nothing, and those in whose
 * place a low number comes, which needn't be computed where they are the row's last ones.
 */
#ifndef TC_ATTENTION_MASK_H
#define TC_ATTENTION_MASK_H

#include <stddef.h>
#include <stdint.h>

#include "kernels/tc_bytes.h"
#include "kernels/tc_inline.h"
#include "kernels/tc_lookup.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TC_ATTENTION_STAYS 255
#define TC_ATTENTION_FILLED 254

/* Neighbours of a row. All rows have as many runs, the first of which may be empty. */
typedef struct tc_attention_run {
    uint16_t length;
    uint8_t function; /* the number of a table, or one of the above */
    int8_t value;     /* of TC_ATTENTION_FILLED */
} tc_attention_run;

/* Keeps a loop over words from becoming a call of memset, which small C libraries do byte by byte. */
#if defined(__GNUC__)
#define TC_ATTENTION_BARRIER() __asm__ volatile("" ::: "memory")
#else
#define TC_ATTENTION_BARRIER()
#endif

TC_INLINE void tc_attention_fill(int8_t *scores, int32_t count, int8_t value)
{
    const uint32_t word = (uint8_t)value * 0x01010101u;
    for (; count >= 4; count -= 4, scores += 4) {
        tc_store4(scores, word);
        TC_ATTENTION_BARRIER();
    }
    for (; count > 0; --count) {
        *scores++ = value;
        TC_ATTENTION_BARRIER();
    }
}

/* `count` runs, of one or several rows. */
TC_INLINE void tc_attention_mask(int8_t *scores, const tc_attention_run *runs, int32_t count, const int8_t *tables)
{
    for (const tc_attention_run *const end = runs + count; runs != end; ++runs) {
        if (runs->function == TC_ATTENTION_FILLED) {
            tc_attention_fill(scores, runs->length, runs->value);
        } else if (runs->function != TC_ATTENTION_STAYS) {
            const tc_lookup_shape shape = {runs->length};
            tc_lookup(scores, scores, tables + runs->function * 256, &shape);
        }
        scores += runs->length;
    }
}

/* How many scores of a row of so many keys are looked at: those behind them are filled. */
TC_INLINE int32_t tc_attention_seen(const tc_attention_run *runs, int32_t count, int32_t keys)
{
    const tc_attention_run *const last = runs + count - 1;
    return last->function == TC_ATTENTION_FILLED ? keys - last->length : keys;
}

#ifdef __cplusplus
}
#endif

#endif
