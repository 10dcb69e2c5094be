/* SPDX-License-Identifier: 0BSD */
/*
 * Constants of few different values, as indices of 2 or 4 bits into tables, decoded to scratch before a kernel reads them
 * there.
 *
 * code    tables: 4 or 16 bytes `low`, as many `high`; then runs: a word with the number of index words in its lower half,
 *         that of words as they are in its upper half, then these words
 * table   in scratch: of the next 4 or 8 bits the halfword (high << 8) + low
 *
 * `low` is signed where the constants are lanes of 16 bits, 256 w1 + w0. Whatever the words are, nothing outside of `code`,
 * `table` and the bytes that are asked for is read or written; words behind the end of a code are 0.
 */
#ifndef TC_TABLE_CODED_H
#define TC_TABLE_CODED_H

#include <stdint.h>

#include "cmsis_shim/tc_simd.h"
#include "kernels/tc_inline.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tc_table_coded {
    const uint32_t *words; /* that come next */
    const uint32_t *end;
    const uint16_t *table;
} tc_table_coded;

/* `words`: of the whole code. `bits`: of an index. */
static TC_NOINLINE tc_table_coded tc_table_coded_begin(const uint32_t *code, uint32_t words, uint32_t bits,
                                                       uint32_t is_signed, uint16_t *table)
{
    const uint32_t size = 1u << bits;
    const tc_table_coded coded = {code + size / 2u, code + words, table};
    const uint8_t *const low = (const uint8_t *)(const void *)code;
    const uint8_t *const high = low + size;
    const uint32_t sign = is_signed << 7;
    for (uint32_t upper = 0u; upper < size; upper++) {
        const uint32_t base = ((uint32_t)high[upper] << 8) - sign;
        for (uint32_t lower = 0u; lower < size; lower++) {
            *table++ = (uint16_t)(base + (low[lower] ^ sign));
        }
    }
    return coded;
}

/* The next `bytes`, a multiple of 4, or all: no run goes on behind them. */
static TC_NOINLINE void tc_table_coded_next(tc_table_coded *coded, void *to, uint32_t bytes, uint32_t bits)
{
    const uint16_t *const table = coded->table;
    const uint32_t *words = coded->words;
    const uint32_t *const end = coded->end;
    const uint32_t together = 8u / bits; /* words of an index word */
    uint32_t *out = (uint32_t *)to;
    uint32_t left = (bytes + 3u) / 4u;
    while (words < end && left != 0u) {
        const uint32_t run = *words++;
        uint32_t number = run & 0xffffu;
        uint32_t plain = run >> 16;
        number = number < (uint32_t)(end - words) ? number : (uint32_t)(end - words);
        number = number < left / together ? number : left / together;
        left -= number * together;
        for (const uint32_t *const stop = words + number; words < stop; out += 2) {
            uint32_t indices = *words++;
            if (bits == 2u) {
                out[0] = table[indices & 15u] | (uint32_t)table[indices >> 4 & 15u] << 16;
                out[1] = table[indices >> 8 & 15u] | (uint32_t)table[indices >> 12 & 15u] << 16;
                out[2] = table[indices >> 16 & 15u] | (uint32_t)table[indices >> 20 & 15u] << 16;
                out[3] = table[indices >> 24 & 15u] | (uint32_t)table[indices >> 28] << 16;
                out += 2;
            } else {
                out[0] = table[indices & 255u] | (uint32_t)table[indices >> 8 & 255u] << 16;
                out[1] = table[indices >> 16 & 255u] | (uint32_t)table[indices >> 24] << 16;
            }
        }
        plain = plain < (uint32_t)(end - words) ? plain : (uint32_t)(end - words);
        plain = plain < left ? plain : left;
        left -= plain;
        for (const uint32_t *const stop = words + plain; words < stop;) {
            *out++ = *words++;
        }
    }
    for (; left != 0u; left--) {
        *out++ = 0u;
    }
    coded->words = words;
}

/* All of a code; `bytes` are rounded up to whole words. */
TC_INLINE void tc_table_coded_all(const uint32_t *code, uint32_t words, void *to, uint32_t bytes, uint32_t bits,
                                  uint32_t is_signed, uint16_t *table)
{
    tc_table_coded coded = tc_table_coded_begin(code, words, bits, is_signed, table);
    tc_table_coded_next(&coded, to, bytes, bits);
}

#ifdef __cplusplus
}
#endif

#endif
