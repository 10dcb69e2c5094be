/* SPDX-License-Identifier: 0BSD */
/*
 * Two pixels to a word, for cores without SIMD: x = x0 + 2^16 x1 times a signed weight are both products, modulo 2^32.
 *
 * Sums of such words are taken apart before the low lane may leave 16 bits: the compiler cuts a channel's weights into
 * groups for which no input lets it. With `group` a group's word,
 *     pair.high += (group >> 16, rounded: the carry of that shift is the low lane's sign)
 *     pair.both += group
 * and at the end the sum of the low lanes is pair.both - 2^16 pair.high, modulo 2^32.
 */
#ifndef TC_PACKED_H
#define TC_PACKED_H

#include <stdint.h>

#include "cmsis_shim/tc_simd.h"
#include "kernels/tc_inline.h"
#include "kernels/tc_scalar_requant.h"

#ifdef __cplusplus
extern "C" {
#endif

#if (TC_THUMB1 || TC_THUMB2) && !defined(TC_RESERVE_R9)
#define TC_PACKED_BLOCKS 1
#else
#define TC_PACKED_BLOCKS 0
#endif

/* The sums of two pixels. */
typedef struct tc_packed_pair {
    int32_t both; /* first + 2^16 second */
    int32_t high; /* second */
} tc_packed_pair;

TC_INLINE int32_t tc_packed_first(const tc_packed_pair *pair)
{
    return (int32_t)((uint32_t)pair->both - ((uint32_t)pair->high << 16));
}

TC_INLINE tc_packed_pair tc_packed_start(int32_t start)
{
    const tc_packed_pair pair = {(int32_t)((uint32_t)start * 0x10001u), start};
    return pair;
}

TC_INLINE void tc_packed_take(tc_packed_pair *pair, uint32_t group)
{
    pair->both = (int32_t)((uint32_t)pair->both + group);
    pair->high += (int32_t)(group + 0x8000u) >> 16;
}

/* The portable twin of the assembly below, whose loops over words are written out: then their sums are in registers. */

/* What a tap adds to the groups of up to four words. */
TC_INLINE void tc_packed_tap(uint32_t *group, const uint32_t *x, int8_t weight, const uint32_t words)
{
    const uint32_t factor = (uint32_t)(int32_t)weight;
    group[0] += x[0] * factor;
    if (words > 1u) {
        group[1] += x[1] * factor;
    }
    if (words > 2u) {
        group[2] += x[2] * factor;
    }
    if (words > 3u) {
        group[3] += x[3] * factor;
    }
}

TC_INLINE void tc_packed_take_all(tc_packed_pair *pairs, const uint32_t *group, const uint32_t words)
{
    tc_packed_take(&pairs[0], group[0]);
    if (words > 1u) {
        tc_packed_take(&pairs[1], group[1]);
    }
    if (words > 2u) {
        tc_packed_take(&pairs[2], group[2]);
    }
    if (words > 3u) {
        tc_packed_take(&pairs[3], group[3]);
    }
}

/* `words` is a constant. Two taps at a time halve what counting takes. */
TC_INLINE const int8_t *tc_packed_sums_portable(const uint32_t *x, const int8_t *stream, tc_packed_pair *pairs,
                                                int32_t start, const uint32_t words)
{
    const tc_packed_pair first = tc_packed_start(start);
    tc_packed_pair sums[4] = {first, first, first, first};
    for (uint32_t taps = (uint8_t)*stream++; taps != 0u; taps = (uint8_t)*stream++) {
        uint32_t group[4] = {0, 0, 0, 0};
        const int8_t *const end = stream + taps;
        if (taps % 2u != 0u) {
            tc_packed_tap(group, x, *stream++, words);
            x += words;
        }
        for (; stream != end; stream += 2) {
            tc_packed_tap(group, x, stream[0], words);
            tc_packed_tap(group, x + words, stream[1], words);
            x += 2u * words;
        }
        tc_packed_take_all(sums, group, words);
    }
    pairs[0] = sums[0];
    if (words > 1u) {
        pairs[1] = sums[1];
    }
    if (words > 2u) {
        pairs[2] = sums[2];
    }
    if (words > 3u) {
        pairs[3] = sums[3];
    }
    return stream;
}

/*
 * TC_PACKED_SUMS(words) defines tc_packed_sums_<words>, which sums one channel of 2 * words pixels:
 *
 * x       [taps][words] words of two pixels
 * stream  groups: how many weights, up to 255, then these, int8; a 0 behind the last one
 * pairs   of every word: `start` and the sums
 *
 * Returns what follows in the stream: the next channel's groups.
 */
#if TC_PACKED_BLOCKS

#define TC_PACKED_WORDS_1(each) each(r2, r8)
#define TC_PACKED_WORDS_2(each) TC_PACKED_WORDS_1(each) each(r3, r9)
#define TC_PACKED_WORDS_3(each) TC_PACKED_WORDS_2(each) each(r4, r10)
#define TC_PACKED_WORDS_4(each) TC_PACKED_WORDS_3(each) each(r5, r11)
#define TC_PACKED_LIST_1 "{r2}"
#define TC_PACKED_LIST_2 "{r2, r3}"
#define TC_PACKED_LIST_3 "{r2, r3, r4}"
#define TC_PACKED_LIST_4 "{r2, r3, r4, r5}"

#define TC_PACKED_STORE(word, sum) "stm r2!, {r4, r5}\n\t"
#if TC_THUMB1
#define TC_PACKED_FIRST(word, sum) \
    "muls " #word ", r6, " #word "\n\t" \
    "mov " #sum ", " #word "\n\t"
#define TC_PACKED_NEXT(word, sum) \
    "muls " #word ", r6, " #word "\n\t" \
    "add " #sum ", " #word "\n\t"
#else
#define TC_PACKED_FIRST(word, sum) "mul " #sum ", " #word ", r6\n\t"
#define TC_PACKED_NEXT(word, sum) "mla " #sum ", " #word ", r6, " #sum "\n\t"
#endif
#define TC_PACKED_TAKE(word, sum) \
    "ldm r7!, {r4, r5}\n\t" \
    "mov r2, " #sum "\n\t" \
    "asrs r3, r2, #16\n\t" \
    "adcs r5, r3\n\t" \
    "adds r4, r4, r2\n\t" \
    "stm r6!, {r4, r5}\n\t"

#define TC_PACKED_TAP(words, each) \
    "ldm r0!, " TC_PACKED_LIST_##words "\n\t" \
    "ldrsb r6, [r1, r7]\n\t" \
    TC_PACKED_WORDS_##words(each) \
    "adds r7, #1\n\t"

/* r7 counts a group's weights up to 0, from r1 behind them; it waits in lr for the compiler, whose frame pointer it may be. */
#define TC_PACKED_SUMS(words) \
    static TC_NOINLINE const int8_t *tc_packed_sums_##words(const uint32_t *x, const int8_t *stream, \
                                                            tc_packed_pair *pairs, int32_t start) \
    { \
        register const uint32_t *r0 __asm__("r0") = x; \
        register const int8_t *r1 __asm__("r1") = stream; \
        register tc_packed_pair *r2 __asm__("r2") = pairs; \
        register int32_t r3 __asm__("r3") = start; \
        TC_ASM_WITH_R9( \
            ".syntax unified\n\t" \
            "mov lr, r7\n\t" \
            "mov r12, r2\n\t" \
            "movs r5, r3\n\t" \
            "lsls r4, r3, #16\n\t" \
            "adds r4, r4, r3\n\t" \
            TC_PACKED_WORDS_##words(TC_PACKED_STORE) \
            "ldrb r7, [r1]\n" \
            "1:\n\t" \
            "adds r1, #1\n\t" \
            "add r1, r7\n\t" \
            "rsbs r7, r7, #0\n\t" \
            TC_PACKED_TAP(words, TC_PACKED_FIRST) \
            "beq 3f\n" \
            "2:\n\t" \
            TC_PACKED_TAP(words, TC_PACKED_NEXT) \
            "bne 2b\n" \
            "3:\n\t" \
            "mov r6, r12\n\t" \
            "mov r7, r12\n\t" \
            TC_PACKED_WORDS_##words(TC_PACKED_TAKE) \
            "ldrb r7, [r1]\n\t" \
            "cmp r7, #0\n\t" \
            "bne 1b\n\t" \
            "adds r1, #1\n\t" \
            "mov r7, lr\n\t" \
            : "+r"(r0), "+r"(r1), "+r"(r2), "+r"(r3) \
            : \
            : "r4", "r5", "r6", "r8", "r9", "r10", "r11", "r12", "lr", "cc", "memory"); \
        return r1; \
    }

#else

#define TC_PACKED_SUMS(words) \
    static TC_NOINLINE const int8_t *tc_packed_sums_##words(const uint32_t *x, const int8_t *stream, \
                                                            tc_packed_pair *pairs, int32_t start) \
    { \
        return tc_packed_sums_portable(x, stream, pairs, start, words); \
    }

#endif

typedef const int8_t *tc_packed_sums(const uint32_t *, const int8_t *, tc_packed_pair *, int32_t);

TC_PACKED_SUMS(1)
TC_PACKED_SUMS(2)
TC_PACKED_SUMS(3)
TC_PACKED_SUMS(4)

/* Of 1 to 4 words: where that is a constant, so is the function. */
TC_INLINE tc_packed_sums *tc_packed_sums_of(int32_t words)
{
    return words == 1 ? tc_packed_sums_1 : words == 2 ? tc_packed_sums_2 : words == 3 ? tc_packed_sums_3 : tc_packed_sums_4;
}

/* Where outputs go; the assembly knows the order of the fields. */
typedef struct tc_packed_target {
    uint32_t stride; /* bytes from an output to the next one */
    const tc_packed_pair *end;
} tc_packed_target;

typedef void tc_packed_finish(const tc_packed_pair *, const int32_t *, int8_t *, const tc_packed_target *);

/* Requantises and stores both outputs of every pair. `channel`: its parameters (tc_scalar_requant.h). */
TC_INLINE void tc_packed_finish_portable(const tc_packed_pair *pairs, const int32_t *channel, int8_t *output,
                                         const tc_packed_target *target, const tc_scalar_requant *requant)
{
    const uint32_t stride = target->stride;
    const tc_packed_pair *const end = target->end;
    int32_t parameters[8] = {0}; /* a byte that is stored could be a channel's: copies stay in registers */
    const uint32_t words = tc_scalar_requant_words(requant);
#pragma GCC unroll 8
    for (uint32_t i = 0; i < words; i++) {
        parameters[i] = channel[i];
    }
    for (; pairs != end; pairs++) {
        const int32_t first = tc_packed_first(pairs);
        const int32_t second = pairs->high;
        output[0] = tc_scalar_requantize(first, parameters, requant);
        output[stride] = tc_scalar_requantize(second, parameters, requant);
        output += 2u * stride;
    }
}

/* TC_PACKED_FINISH_PRODUCT(name, pre, shift, is_signed, low, high) defines that by the high product with these constants. */
#define TC_PACKED_FINISH_PRODUCT(name, pre, shift, is_signed, low, high) \
    static TC_NOINLINE void name(const tc_packed_pair *pairs, const int32_t *channel, int8_t *output, \
                                 const tc_packed_target *target) \
    { \
        static const tc_scalar_requant requant = {false, {1, false}, {pre, shift, is_signed, low, high}}; \
        tc_packed_finish_portable(pairs, channel, output, target, &requant); \
    }

/* TC_PACKED_FINISH_SPLIT(name, form, low_bits), form plain or signed, defines the block function that does so by two products. */
#define TC_PACKED_IS_SIGNED_plain false
#define TC_PACKED_IS_SIGNED_signed true

#if TC_PACKED_BLOCKS

#define TC_PACKED_LIMITS_plain \
    "rsbs r2, r2, #0\n\t" \
    "mov r8, r2\n\t"
#define TC_PACKED_LIMITS_signed \
    "ldm r1!, {r2, r5}\n\t" \
    "mov r8, r2\n\t" \
    "rsbs r5, r5, #0\n\t" \
    "mov lr, r5\n\t"

#define TC_PACKED_HIGH_plain "muls r1, r2, r1\n\t"
#define TC_PACKED_HIGH_signed \
    "bpl 4f\n\t" \
    "muls r1, r2, r1\n\t" \
    "add r1, lr\n\t" \
    "b 5f\n" \
    "4:\n\t" \
    "muls r1, r2, r1\n" \
    "5:\n\t"

/* r0 is a; r8 low, r9 high, r2 m_high, r3 m_low, r10 offset, r12 stride. */
#define TC_PACKED_OUTPUT(form, low_bits) \
    "cmp r0, r8\n\t" \
    "bge 2f\n\t" \
    "mov r0, r8\n" \
    "2:\n\t" \
    "cmp r0, r9\n\t" \
    "ble 3f\n\t" \
    "mov r0, r9\n" \
    "3:\n\t" \
    "movs r1, r0\n\t" \
    TC_PACKED_HIGH_##form \
    "muls r0, r3, r0\n\t" \
    "asrs r0, r0, #" #low_bits "\n\t" \
    "adds r0, r0, r1\n\t" \
    "add r0, r10\n\t" \
    "asrs r0, r0, #24\n\t" \
    "strb r0, [r4]\n\t" \
    "add r4, r12\n\t"

#define TC_PACKED_FINISH_SPLIT(name, form, low_bits) \
    static TC_NOINLINE void name(const tc_packed_pair *pairs, const int32_t *channel, int8_t *output, \
                                 const tc_packed_target *target) \
    { \
        register const tc_packed_pair *r0 __asm__("r0") = pairs; \
        register const int32_t *r1 __asm__("r1") = channel; \
        register int8_t *r2 __asm__("r2") = output; \
        register const tc_packed_target *r3 __asm__("r3") = target; \
        TC_ASM_WITH_R9( \
            ".syntax unified\n\t" \
            "ldm r3!, {r4, r5}\n\t" \
            "mov r12, r4\n\t" \
            "mov r11, r5\n\t" \
            "movs r4, r2\n\t" \
            "movs r6, r0\n\t" \
            "adds r1, #4\n\t" \
            "ldm r1!, {r2, r3, r5}\n\t" \
            "mov r9, r2\n\t" \
            "mov r10, r5\n\t" \
            TC_PACKED_LIMITS_##form \
            "lsrs r2, r3, #" #low_bits "\n\t" \
            "lsls r3, r3, #32-" #low_bits "\n\t" \
            "lsrs r3, r3, #32-" #low_bits "\n" \
            "1:\n\t" \
            "ldm r6!, {r0, r5}\n\t" \
            "lsls r1, r5, #16\n\t" \
            "subs r0, r0, r1\n\t" \
            TC_PACKED_OUTPUT(form, low_bits) \
            "movs r0, r5\n\t" \
            TC_PACKED_OUTPUT(form, low_bits) \
            "cmp r6, r11\n\t" \
            "bne 1b\n\t" \
            : "+r"(r0), "+r"(r1), "+r"(r2), "+r"(r3) \
            : \
            : "r4", "r5", "r6", "r8", "r9", "r10", "r11", "r12", "lr", "cc", "memory"); \
    }

#else

#define TC_PACKED_FINISH_SPLIT(name, form, low_bits) \
    static TC_NOINLINE void name(const tc_packed_pair *pairs, const int32_t *channel, int8_t *output, \
                                 const tc_packed_target *target) \
    { \
        static const tc_scalar_requant requant = {true, {low_bits, TC_PACKED_IS_SIGNED_##form}, {0, 0, false, 0, 0}}; \
        tc_packed_finish_portable(pairs, channel, output, target, &requant); \
    }

#endif

#if TC_PACKED_BLOCKS
#define TC_PACKED_KEEP_LOOP __asm__ volatile("")
#define TC_PACKED_EXPAND_TAP \
    "ldrsb r5, [r0, r3]\n\t" \
    "ldrsb r6, [r1, r3]\n\t" \
    "lsls r6, r6, #16\n\t" \
    "adds r5, r5, r6\n\t" \
    "str r5, [r2]\n\t" \
    "adds r2, r2, r4\n\t" \
    "adds r3, #1\n\t"
#else
#define TC_PACKED_KEEP_LOOP
#endif

TC_INLINE uint32_t tc_packed_word(int32_t first, int32_t second)
{
    return (uint32_t)first + ((uint32_t)second << 16);
}

/* words[tap * step] = first[tap] + 2^16 second[tap]; at least one tap, and a `step` in bytes. */
static TC_NOINLINE void tc_packed_expand(const int8_t *first, const int8_t *second, uint32_t *words, uint32_t taps,
                                         uint32_t step)
{
#if TC_PACKED_BLOCKS
    register const int8_t *r0 __asm__("r0") = first + taps;
    register const int8_t *r1 __asm__("r1") = second + taps;
    register uint32_t *r2 __asm__("r2") = words;
    register uint32_t r3 __asm__("r3") = 0u - taps;
    register uint32_t r4 __asm__("r4") = step;
    __asm__ volatile(
        ".syntax unified\n\t"
        "b 2f\n"
        "1:\n\t" /* taps beside a multiple of 4 */
        TC_PACKED_EXPAND_TAP
        "2:\n\t"
        "lsls r5, r3, #30\n\t"
        "bne 1b\n\t"
        "cmp r3, #0\n\t"
        "beq 4f\n"
        "3:\n\t"
        TC_PACKED_EXPAND_TAP TC_PACKED_EXPAND_TAP TC_PACKED_EXPAND_TAP TC_PACKED_EXPAND_TAP
        "bne 3b\n"
        "4:\n\t"
        : "+r"(r0), "+r"(r1), "+r"(r2), "+r"(r3), "+r"(r4)
        :
        : "r5", "r6", "cc", "memory");
#else
    const uint32_t apart = step / 4u;
    for (; taps % 4u != 0u; taps--, words += apart) {
        *words = tc_packed_word(*first++, *second++);
    }
    for (; taps > 0u; taps -= 4u, first += 4, second += 4, words += 4u * apart) {
#pragma GCC unroll 4
        for (uint32_t i = 0; i < 4u; i++) {
            words[apart * i] = tc_packed_word(first[i], second[i]);
        }
    }
#endif
}

/* `count` words to a lower address; `count` words of one value. */
static TC_NOINLINE void tc_packed_move(const uint32_t *from, uint32_t *to, int32_t count)
{
#if TC_PACKED_BLOCKS
    register const uint32_t *r0 __asm__("r0") = from;
    register uint32_t *r1 __asm__("r1") = to;
    register int32_t r2 __asm__("r2") = count;
    __asm__ volatile(
        ".syntax unified\n\t"
        "b 2f\n"
        "1:\n\t"
        "ldm r0!, {r3, r4, r5, r6}\n\t"
        "stm r1!, {r3, r4, r5, r6}\n"
        "2:\n\t"
        "subs r2, #4\n\t"
        "bpl 1b\n\t"
        "adds r2, #4\n\t"
        "beq 4f\n"
        "3:\n\t"
        "ldm r0!, {r3}\n\t"
        "stm r1!, {r3}\n\t"
        "subs r2, #1\n\t"
        "bne 3b\n"
        "4:\n\t"
        : "+r"(r0), "+r"(r1), "+r"(r2)
        :
        : "r3", "r4", "r5", "r6", "cc", "memory");
#else
    for (int32_t i = 0; i < count; i++) {
        to[i] = from[i];
    }
#endif
}

static TC_NOINLINE void tc_packed_fill(uint32_t *words, int32_t count, uint32_t word)
{
    for (int32_t i = 0; i < count; i++) {
        words[i] = word;
        TC_PACKED_KEEP_LOOP; /* which would become a call of memset where all bytes are the same */
    }
}

#ifdef __cplusplus
}
#endif

#endif
