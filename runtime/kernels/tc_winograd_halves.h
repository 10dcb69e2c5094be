/* SPDX-License-Identifier: 0BSD */
/*
 * The products of the Winograd convolutions (tc_winograd_block.h) for cores without SIMD: RV32, Cortex-M3. The two input
 * channels of a pair are halves of their words, loaded one by one: a load, two MUL and two additions for two products, or a
 * load and two MLA.
 *
 *     TC_WINOGRAD_HALVES(name, pairs) defines a tc_winograd_products; an even number of pairs
 *     TC_WINOGRAD_HALVES_OUTPUTS(name, form, saturate, bits, shift, low, high) defines a tc_winograd4_outputs, whose loops
 *     over rows and columns of a tile are written out
 */
#ifndef TC_WINOGRAD_HALVES_H
#define TC_WINOGRAD_HALVES_H

#include "kernels/tc_rv32.h"
#include "kernels/tc_winograd4.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Keeps a compiler from loading more than registers hold. */
#if defined(__GNUC__)
#define TC_WINOGRAD_IN_ORDER __asm__ volatile("" : : : "memory")
#else
#define TC_WINOGRAD_IN_ORDER
#endif

/* A tile of a channel, whose sums begin at `m`. */
TC_INLINE void tc_winograd_halves_tile(const uint32_t *m, const int32_t *parameters, int8_t *output, uint32_t row, uint32_t step,
                                       const tc_requant_block *requant)
{
    uint32_t columns[4][6];
#pragma GCC unroll 6
    for (uint32_t j = 0; j < 6u; j++) {
        uint32_t four[4];
        tc_winograd4_four(m + 8u * j, 48, j == 1u ? (uint32_t)parameters[0] : 0u, four);
        columns[0][j] = four[0];
        columns[1][j] = four[1];
        columns[2][j] = four[2];
        columns[3][j] = four[3];
        TC_WINOGRAD_IN_ORDER;
    }
#pragma GCC unroll 4
    for (uint32_t y = 0; y < 4u; y++, output += row) {
        uint32_t four[4];
        int8_t *pixel = output;
        tc_winograd4_four(columns[y], 1, 0, four);
#pragma GCC unroll 4
        for (uint32_t x = 0; x < 4u; x++, pixel += step) {
            *pixel = tc_requantize_block((int32_t)four[x], parameters + 1, requant);
        }
        TC_WINOGRAD_IN_ORDER;
    }
}

TC_INLINE void tc_winograd_halves_outputs(const int32_t *sums, const int32_t *parameters, int8_t *output,
                                          const tc_winograd4_target *target, const tc_requant_block *requant)
{
    const tc_winograd4_target place = *target; /* a byte that is stored could be a member's, or a parameter's */
    const uint32_t words = 1u + tc_requant_block_words(requant);
    for (uint32_t channel = 0; channel < 2u; channel++, parameters += words) {
        int32_t mine[4] = {0};
        int8_t *corner = output + channel;
#pragma GCC unroll 4
        for (uint32_t i = 0; i < words; i++) {
            mine[i] = parameters[i];
        }
        for (uint32_t tile = 0; tile < 4u; tile++) {
            const uint32_t *const m = (const uint32_t *)sums + 4u * channel + tile;
            tc_winograd_halves_tile(m, mine, corner, place.row, place.step, requant);
            corner += place.tile + (tile == 1u ? place.wrap : 0u);
        }
    }
}

#define TC_WINOGRAD_HALVES_OUTPUTS(name, ...) \
    static TC_NOINLINE void name(int32_t *sums, const int32_t *parameters, int8_t *output, const tc_winograd4_target *target) \
    { \
        static const tc_requant_block requant = TC_REQUANT_BLOCK(__VA_ARGS__); \
        tc_winograd_halves_outputs(sums, parameters, output, target, &requant); \
    }

#if TC_RV32

/* The transformed input of a tile, times both output channels' weights. */
#define TC_WINOGRAD_TILE_FIRST(tile, first, second) \
    "lh a7, .Ltc_half + 4 * " #tile "(a1)\n\t" \
    "mul " #first ", a7, a5\n\t" \
    "mul " #second ", a7, a6\n\t"
#define TC_WINOGRAD_TILE_NEXT(tile, first, second) \
    "lh a7, 4 * .Ltc_pair + .Ltc_half + 4 * " #tile "(a1)\n\t" \
    "mul s2, a7, a5\n\t" \
    "mul a7, a7, a6\n\t" \
    "add " #first ", " #first ", s2\n\t" \
    "add " #second ", " #second ", a7\n\t"
#define TC_WINOGRAD_TILES(each) each(0, t0, t4) each(1, t1, t5) each(2, t2, t6) each(3, t3, s1)
#define TC_WINOGRAD_STORE(tile, first, second) \
    "sw " #first ", 4 * " #tile "(a2)\n\t" \
    "sw " #second ", 16 + 4 * " #tile "(a2)\n\t"

/* An input channel of a pair, whose weights are 4 bytes from each other: .Ltc_pair is 4 times the pair, .Ltc_half 0 or 2. */
#define TC_WINOGRAD_HALF(half, each) \
    ".set .Ltc_half, " #half "\n\t" \
    "lh a5, 2 * .Ltc_pair + .Ltc_half(a0)\n\t" \
    "lh a6, 2 * .Ltc_pair + .Ltc_half + 4(a0)\n\t" \
    TC_WINOGRAD_TILES(each)

/* a0 weights, a1 transformed inputs, a2 sums, a3 the end of all, a4 that of a position; the loop takes two pairs at a time. */
#define TC_WINOGRAD_HALVES(name, pairs) \
    static TC_NOINLINE void name(const int32_t *u, const uint32_t *v, int32_t *sums, const uint32_t *v_end) \
    { \
        register const int32_t *a0 __asm__("a0") = u; \
        register const uint32_t *a1 __asm__("a1") = v; \
        register int32_t *a2 __asm__("a2") = sums; \
        register const uint32_t *a3 __asm__("a3") = v_end; \
        __asm__ volatile( \
            "1:\n\t" \
            "addi a4, a1, 16 * " #pairs "\n\t" \
            ".set .Ltc_pair, 0\n\t" \
            TC_WINOGRAD_HALF(0, TC_WINOGRAD_TILE_FIRST) \
            TC_WINOGRAD_HALF(2, TC_WINOGRAD_TILE_NEXT) \
            "j 3f\n" \
            "2:\n\t" \
            TC_WINOGRAD_HALF(0, TC_WINOGRAD_TILE_NEXT) \
            TC_WINOGRAD_HALF(2, TC_WINOGRAD_TILE_NEXT) \
            "3:\n\t" \
            ".set .Ltc_pair, 4\n\t" \
            TC_WINOGRAD_HALF(0, TC_WINOGRAD_TILE_NEXT) \
            TC_WINOGRAD_HALF(2, TC_WINOGRAD_TILE_NEXT) \
            "addi a0, a0, 16\n\t" \
            "addi a1, a1, 32\n\t" \
            "bne a1, a4, 2b\n\t" \
            TC_WINOGRAD_TILES(TC_WINOGRAD_STORE) \
            "addi a2, a2, 32\n\t" \
            "bne a1, a3, 1b\n\t" \
            : "+r"(a0), "+r"(a1), "+r"(a2), "+r"(a3) \
            : \
            : "a4", "a5", "a6", "a7", "t0", "t1", "t2", "t3", "t4", "t5", "t6", "s1", "s2", "memory"); \
    }

#elif TC_THUMB2 && !defined(TC_RESERVE_R9)

/* The transformed input of a tile, in lr, times the weights of both output channels, in r2 and r9. */
#define TC_HALVES_FIRST(sum, weight) "mul " #sum ", lr, " #weight "\n\t"
#define TC_HALVES_NEXT(sum, weight) "mla " #sum ", lr, " #weight ", " #sum "\n\t"
#define TC_HALVES_TILE(product, address, first, second) \
    "ldrsh lr, " address "\n\t" \
    product(first, r2) \
    product(second, r9)

/* Both input channels of a pair: the upper halves, then the lower ones, behind whose last loads r0 and r1 go on. */
#define TC_HALVES_PAIR(product) \
    "ldrsh r2, [r0, #2]\n\t" \
    "ldrsh r9, [r0, #6]\n\t" \
    TC_HALVES_TILE(product, "[r1, #2]", r3, r8) \
    TC_HALVES_TILE(product, "[r1, #6]", r4, r10) \
    TC_HALVES_TILE(product, "[r1, #10]", r5, r11) \
    TC_HALVES_TILE(product, "[r1, #14]", r6, r12) \
    "ldrsh r9, [r0, #4]\n\t" \
    "ldrsh r2, [r0], #8\n\t" \
    TC_HALVES_TILE(TC_HALVES_NEXT, "[r1, #4]", r4, r10) \
    TC_HALVES_TILE(TC_HALVES_NEXT, "[r1, #8]", r5, r11) \
    TC_HALVES_TILE(TC_HALVES_NEXT, "[r1, #12]", r6, r12) \
    TC_HALVES_TILE(TC_HALVES_NEXT, "[r1], #16", r3, r8)

/* Two pairs, and six more where all are a multiple of eight. */
#define TC_HALVES_AT_ONCE(pairs) (pairs % 8 == 0 ? 8 : 2)
#define TC_HALVES_PAIRS(pairs, product) \
    TC_HALVES_PAIR(product) \
    TC_HALVES_PAIR(TC_HALVES_NEXT) \
    ".if (" #pairs " & 7) == 0\n\t" \
    ".rept 6\n\t" \
    TC_HALVES_PAIR(TC_HALVES_NEXT) \
    ".endr\n\t" \
    ".endif\n\t"

/* The sums of a position are in registers until it ends; r7, which may be the frame pointer, is none of them. */
#define TC_WINOGRAD_HALVES(name, pairs) \
    static TC_NOINLINE void name(const int32_t *u, const uint32_t *v, int32_t *sums, const uint32_t *v_end) \
    { \
        register const int32_t *r0 __asm__("r0") = u; \
        register const uint32_t *r1 __asm__("r1") = v; \
        do { \
            const uint32_t *const end = r1 + 4 * pairs; \
            register int32_t r3 __asm__("r3"), r4 __asm__("r4"), r5 __asm__("r5"), r6 __asm__("r6"); \
            register int32_t r8 __asm__("r8"), r10 __asm__("r10"), r11 __asm__("r11"), r12 __asm__("r12"); \
            TC_ASM_WITH_R9(TC_HALVES_PAIRS(pairs, TC_HALVES_FIRST) \
                           : "+r"(r0), "+r"(r1), "=r"(r3), "=r"(r4), "=r"(r5), "=r"(r6), "=r"(r8), "=r"(r10), "=r"(r11), \
                             "=r"(r12) \
                           : \
                           : "r2", "r9", "lr", "memory"); \
            while (pairs > TC_HALVES_AT_ONCE(pairs) && r1 != end) { \
                TC_ASM_WITH_R9(TC_HALVES_PAIRS(pairs, TC_HALVES_NEXT) \
                               : "+r"(r0), "+r"(r1), "+r"(r3), "+r"(r4), "+r"(r5), "+r"(r6), "+r"(r8), "+r"(r10), \
                                 "+r"(r11), "+r"(r12) \
                               : \
                               : "r2", "r9", "lr", "memory"); \
            } \
            __asm__ volatile("stmia %0!, {r3-r6, r8, r10-r12}" \
                           : "+r"(sums) \
                           : "r"(r3), "r"(r4), "r"(r5), "r"(r6), "r"(r8), "r"(r10), "r"(r11), "r"(r12) \
                           : "memory"); \
        } while (r1 != v_end); \
    }

#else

#define TC_WINOGRAD_HALVES(name, pairs) \
    static TC_NOINLINE void name(const int32_t *u, const uint32_t *v, int32_t *sums, const uint32_t *v_end) \
    { \
        tc_winograd_products_portable(u, v, sums, v_end, pairs); \
    }

#endif

#ifdef __cplusplus
}
#endif

#endif
