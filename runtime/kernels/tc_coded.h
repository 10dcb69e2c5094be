/* SPDX-License-Identifier: 0BSD */
/*
 * Constants that a prefix code (Huffman's) makes smaller, decoded to scratch before a kernel reads them there.
 *
 * code   32 words: the length of each byte's code, 4 bits each, the lowest first, 0 for none, 10 at most; then the codes, one
 *        after another, the highest bit of a word first; then one word more
 * table  in scratch: of the next 10 bits the byte above the length of its code
 *
 * Codes are canonical: shorter ones are smaller numbers, equally long ones in the order of bytes, so that the table follows
 * from the lengths. Three codes are in 32 bits, so a window of so many is made of two words for three bytes. Whatever the
 * words are, nothing outside of `code`, `table` and the bytes that are asked for is read or written.
 */
#ifndef TC_CODED_H
#define TC_CODED_H

#include <stdint.h>

#include "cmsis_shim/tc_simd.h"
#include "kernels/tc_inline.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TC_CODED_LONGEST 10
#define TC_CODED_ENTRIES (1u << TC_CODED_LONGEST)
#define TC_CODED_LENGTH_WORDS 32u

typedef struct tc_coded {
    const uint32_t *words; /* behind the lengths */
    uint32_t last;         /* word that may be read */
    uint32_t at;           /* bit that comes next */
    const uint16_t *table;
} tc_coded;

/* `words`: of the whole code. */
static TC_NOINLINE tc_coded tc_coded_begin(const uint32_t *code, uint32_t words, uint16_t *table)
{
    const tc_coded coded = {code + TC_CODED_LENGTH_WORDS, words - TC_CODED_LENGTH_WORDS - 1u, 0u, table};
    uint32_t number[16] = {0u}; /* of codes of each length */
    uint32_t place[16];         /* in the table, of the next one; where nothing fits for lengths that none has */
    uint32_t filled = 0u;
    for (uint32_t word = 0u; word < TC_CODED_LENGTH_WORDS; word++) {
        for (uint32_t lengths = code[word]; lengths != 0u; lengths >>= 4) {
            number[lengths & 15u]++;
        }
    }
    for (uint32_t length = 0u; length < 16u; length++) {
        const int exists = length > 0u && length <= TC_CODED_LONGEST;
        place[length] = exists ? filled : TC_CODED_ENTRIES;
        filled += exists ? number[length] * (TC_CODED_ENTRIES >> length) : 0u;
    }
    for (uint32_t word = 0u; word < TC_CODED_LENGTH_WORDS; word++) {
        uint32_t byte = 8u * word;
        for (uint32_t lengths = code[word]; lengths != 0u; lengths >>= 4, byte++) {
            const uint32_t length = lengths & 15u;
            const uint32_t size = TC_CODED_ENTRIES >> length;
            if (place[length] + size <= TC_CODED_ENTRIES) {
                uint16_t *entry = table + place[length];
                uint16_t *const end = entry + size;
                place[length] += size;
                while (entry < end) {
                    *entry++ = (uint16_t)(byte << 8 | length);
                }
            }
        }
    }
    for (; filled < TC_CODED_ENTRIES; filled++) {
        table[filled] = TC_CODED_LONGEST;
    }
    return coded;
}

/* The 32 bits from bit `at` on. */
TC_INLINE uint32_t tc_coded_window(const uint32_t *words, uint32_t last, uint32_t at)
{
    const uint32_t index = at / 32u;
    const uint32_t *const word = words + (index < last ? index : last);
    const uint32_t next = word[index < last ? 1 : 0];
    const uint32_t shift = at % 32u;
    return word[0] << shift | next >> 1 >> (31u - shift);
}

/* The next `bytes`. */
static TC_NOINLINE void tc_coded_next(tc_coded *coded, void *to, uint32_t bytes)
{
    const uint16_t *const table = coded->table;
    const uint32_t *const words = coded->words;
    const uint32_t last = coded->last;
    uint32_t at = coded->at;
    uint8_t *out = (uint8_t *)to;
    uint8_t *const end = out + bytes;
    uint8_t *const threes = out + bytes / 3u * 3u;
    while (out < threes) {
        uint32_t window = tc_coded_window(words, last, at);
        const uint32_t first = table[window >> (32 - TC_CODED_LONGEST)];
        window <<= first & 255u;
        const uint32_t second = table[window >> (32 - TC_CODED_LONGEST)];
        window <<= second & 255u;
        const uint32_t third = table[window >> (32 - TC_CODED_LONGEST)];
        out[0] = (uint8_t)(first >> 8);
        out[1] = (uint8_t)(second >> 8);
        out[2] = (uint8_t)(third >> 8);
        out += 3;
        at += (first + second + third) & 255u;
    }
    while (out < end) {
        const uint32_t entry = table[tc_coded_window(words, last, at) >> (32 - TC_CODED_LONGEST)];
        *out++ = (uint8_t)(entry >> 8);
        at += entry & 255u;
    }
    coded->at = at;
}

/* All of a code. */
TC_INLINE void tc_coded_all(const uint32_t *code, uint32_t words, void *to, uint32_t bytes, uint16_t *table)
{
    tc_coded coded = tc_coded_begin(code, words, table);
    tc_coded_next(&coded, to, bytes);
}

#ifdef __cplusplus
}
#endif

#endif
