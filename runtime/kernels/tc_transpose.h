/* SPDX-License-Identifier: 0BSD */
/*
 * Lines of bytes become columns, by words: channels that lie apart come side by side, or the other way round.
 *
 * Four bytes of a line are a word. Three lines become three words of four rows; any other number goes in tiles of 4 x 4
 * bytes, lines that are left over byte by byte. Words may be unaligned where the core allows it.
 *
 * All of four rows is written before anything of the next four is read.
 */
#ifndef TC_TRANSPOSE_H
#define TC_TRANSPOSE_H

#include <stdint.h>

#include "kernels/tc_bytes.h"
#include "kernels/tc_inline.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TC_LINES_LOOPS 4

typedef struct tc_lines_shape {
    int32_t size[TC_LINES_LOOPS];   /* of the loops around, outermost first */
    int32_t stride[TC_LINES_LOOPS]; /* theirs, in bytes of the input */
    int32_t length;                 /* bytes of a line: rows of the output */
    int32_t lines;                  /* bytes of a row */
    int32_t apart;                  /* bytes from one line to the next */
} tc_lines_shape;

/* Bytes 0 and 2 as halfwords: UXTB16. */
TC_INLINE uint32_t tc_even_bytes(uint32_t word)
{
#if TC_DSP
    uint32_t pair;
    __asm__("uxtb16 %0, %1" : "=r"(pair) : "r"(word));
    return pair;
#else
    return word & 0x00FF00FFu;
#endif
}

/* Bytes 1 and 3: UXTB16 with ROR #8. */
TC_INLINE uint32_t tc_odd_bytes(uint32_t word)
{
#if TC_DSP
    uint32_t pair;
    __asm__("uxtb16 %0, %1, ror #8" : "=r"(pair) : "r"(word));
    return pair;
#else
    return (word >> 8) & 0x00FF00FFu;
#endif
}

/* Two pairs of bytes side by side: a b a' b'. */
TC_INLINE uint32_t tc_zipped(uint32_t a, uint32_t b)
{
    return a | (b << 8);
}

/* The low halves of a and b: PKHBT. */
TC_INLINE uint32_t tc_low_halves(uint32_t a, uint32_t b)
{
#if TC_DSP
    uint32_t word;
    __asm__("pkhbt %0, %1, %2, lsl #16" : "=r"(word) : "r"(a), "r"(b));
    return word;
#else
    return tc_pkhbt(a, b, 16);
#endif
}

/* The high halves of a and b: PKHTB. */
TC_INLINE uint32_t tc_high_halves(uint32_t a, uint32_t b)
{
#if TC_DSP
    uint32_t word;
    __asm__("pkhtb %0, %1, %2, asr #16" : "=r"(word) : "r"(b), "r"(a));
    return word;
#else
    return tc_pkhtb(b, a, 16);
#endif
}

/* The low half of a and the high one of b: PKHBT. */
TC_INLINE uint32_t tc_low_high(uint32_t a, uint32_t b)
{
#if TC_DSP
    uint32_t word;
    __asm__("pkhbt %0, %1, %2" : "=r"(word) : "r"(a), "r"(b));
    return word;
#else
    return tc_pkhbt(a, b, 0);
#endif
}

/* Four bytes of three lines as four rows of three. */
TC_INLINE void tc_transpose_three(const int8_t *from, int8_t *to, int32_t apart)
{
    const uint32_t a = tc_load4(from);
    const uint32_t b = tc_load4(from + apart);
    const uint32_t c = tc_load4(from + 2 * apart);
    const uint32_t first = tc_zipped(tc_even_bytes(a), tc_even_bytes(b)); /* a0 b0 a2 b2 */
    const uint32_t middle = tc_zipped(tc_even_bytes(c), tc_odd_bytes(a)); /* c0 a1 c2 a3 */
    const uint32_t last = tc_zipped(tc_odd_bytes(b), tc_odd_bytes(c));    /* b1 c1 b3 c3 */
    tc_store4(to, tc_low_halves(first, middle));                          /* a0 b0 c0 a1 */
    tc_store4(to + 4, tc_low_high(last, first));                          /* b1 c1 a2 b2 */
    tc_store4(to + 8, tc_high_halves(middle, last));                      /* c2 a3 b3 c3 */
}

/* Four bytes of four lines, the output's rows `row` bytes apart. */
TC_INLINE void tc_transpose_four(const int8_t *from, int8_t *to, int32_t apart, int32_t row)
{
    const uint32_t a = tc_load4(from);
    const uint32_t b = tc_load4(from + apart);
    const uint32_t c = tc_load4(from + 2 * apart);
    const uint32_t d = tc_load4(from + 3 * apart);
    const uint32_t even = tc_zipped(tc_even_bytes(a), tc_even_bytes(b));
    const uint32_t odd = tc_zipped(tc_odd_bytes(a), tc_odd_bytes(b));
    const uint32_t next_even = tc_zipped(tc_even_bytes(c), tc_even_bytes(d));
    const uint32_t next_odd = tc_zipped(tc_odd_bytes(c), tc_odd_bytes(d));
    tc_store4(to, tc_low_halves(even, next_even));
    tc_store4(to + row, tc_low_halves(odd, next_odd));
    tc_store4(to + 2 * row, tc_high_halves(even, next_even));
    tc_store4(to + 3 * row, tc_high_halves(odd, next_odd));
}

/* Four rows of the output. */
TC_INLINE void tc_transpose_rows(const int8_t *from, int8_t *to, int32_t lines, int32_t apart)
{
    if (lines == 3) {
        tc_transpose_three(from, to, apart);
        return;
    }
    int32_t line = 0;
    for (; line + 4 <= lines; line += 4) {
        tc_transpose_four(from + line * apart, to + line, apart, lines);
    }
    for (; line < lines; ++line) {
        const uint32_t word = tc_load4(from + line * apart);
        for (int32_t i = 0; i < 4; ++i) {
            to[i * lines + line] = (int8_t)(uint8_t)(word >> (8 * i));
        }
    }
}

/* One image; returns the end of the output. */
TC_INLINE int8_t *tc_transpose_image(const int8_t *input, int8_t *output, const tc_lines_shape *shape)
{
    const int32_t lines = shape->lines;
    int32_t at = 0;
    if (lines == 3) { /* twice the usual: counting is a quarter of the work */
        for (; at + 8 <= shape->length; at += 8) {
            tc_transpose_three(input, output, shape->apart);
            tc_transpose_three(input + 4, output + 12, shape->apart);
            input += 8;
            output += 24;
        }
    }
    for (; at + 4 <= shape->length; at += 4) {
        tc_transpose_rows(input, output, lines, shape->apart);
        input += 4;
        output += 4 * lines;
    }
    for (int32_t rest = shape->length & 3; rest > 0; --rest) { /* seen to be none where the length is known */
        for (int32_t line = 0; line < lines; ++line) {
            *output++ = input[line * shape->apart];
        }
        ++input;
    }
    return output;
}

TC_INLINE void tc_transpose_lines(const void *input, void *output, const tc_lines_shape *shape)
{
    const int8_t *from = (const int8_t *)input;
    int8_t *to = (int8_t *)output;
    const int32_t *size = shape->size;
    const int32_t *stride = shape->stride;
    for (int32_t i = 0; i < size[0]; ++i) {
        for (int32_t j = 0; j < size[1]; ++j) {
            for (int32_t k = 0; k < size[2]; ++k) {
                for (int32_t l = 0; l < size[3]; ++l) {
                    to = tc_transpose_image(from + i * stride[0] + j * stride[1] + k * stride[2] + l * stride[3], to,
                                            shape);
                }
            }
        }
    }
}

#ifdef __cplusplus
}
#endif

#endif
