/* SPDX-License-Identifier: 0BSD */
/*
 * Two channels of 6 pixels, two pixels to a word (tc_packed.h), for cores with some 30 registers: RV32.
 *
 * 6 groups and the 12 totals that they are added to are in registers, so that what is loaded for a tap, 3 words and 2
 * weights, serves 12 products.
 */
#ifndef TC_PAIRED_H
#define TC_PAIRED_H

#include "kernels/tc_packed.h"

#ifdef __cplusplus
extern "C" {
#endif

/* RV32I has all 32 registers, RV32E half of them; two additions of 2 bytes make a tap 64 bytes. */
#if defined(__riscv) && __riscv_xlen == 32 && defined(__riscv_mul) && defined(__riscv_compressed) && \
    !defined(__riscv_32e) && !defined(TC_PORTABLE)
#define TC_RV32 1
#else
#define TC_RV32 0
#endif

/*
 * x       [taps][3] words of two pixels
 * stream  groups: their bytes, then 12 times the number of taps, of which there are up to 16, then a weight of either
 *         channel for each tap; a -1 behind the last one
 * pairs   the sums: of the first channel's three words, then of the second one's
 *
 * Returns what follows in the stream: the next two channels' groups.
 */
TC_INLINE const int8_t *tc_paired_sums_portable(const uint32_t *x, const int8_t *stream, tc_packed_pair *pairs)
{
    for (uint32_t word = 0; word < 6u; word++) {
        pairs[word] = tc_packed_start(0);
    }
    for (int32_t bytes = stream[0]; bytes >= 0; bytes = stream[0]) {
        uint32_t groups[6] = {0, 0, 0, 0, 0, 0};
        const int8_t *const end = stream + bytes;
        for (stream += 2; stream != end; stream += 2, x += 3) {
            tc_packed_tap(groups, x, stream[0], 3u);
            tc_packed_tap(groups + 3, x, stream[1], 3u);
        }
        for (uint32_t word = 0; word < 6u; word++) {
            tc_packed_take(&pairs[word], groups[word]);
        }
    }
    return stream + 1;
}

#if TC_RV32

/* A word's products with both weights. */
#define TC_PAIRED_FIRST(offset, sum, other) \
    "lw a5, " #offset "(a0)\n\t" \
    "mul " #sum ", a5, a3\n\t" \
    "mul " #other ", a5, a4\n\t"
#define TC_PAIRED_NEXT(offset, sum, other) \
    "lw a5, " #offset " - 12 * .Ltc_left(a0)\n\t" \
    "mul a6, a5, a3\n\t" \
    "add " #sum ", " #sum ", a6\n\t" \
    "mul a5, a5, a4\n\t" \
    "add " #other ", " #other ", a5\n\t"
#define TC_PAIRED_NEXT_SHORT(offset, sum, other) \
    "lw a5, " #offset " - 12 * .Ltc_left(a0)\n\t" \
    "mul a6, a5, a3\n\t" \
    "mul a5, a5, a4\n\t" \
    ".option rvc\n\t" \
    "c.add " #sum ", a6\n\t" \
    "c.add " #other ", a5\n\t" \
    ".option norvc\n\t"
#define TC_PAIRED_TAKE(sum, both, high) \
    "add " #both ", " #both ", " #sum "\n\t" \
    "add " #sum ", " #sum ", t6\n\t" \
    "srai " #sum ", " #sum ", 16\n\t" \
    "add " #high ", " #high ", " #sum "\n\t"
#define TC_PAIRED_KEEP(offset, both, high) \
    "sw " #both ", " #offset "(a2)\n\t" \
    "sw " #high ", " #offset " + 4(a2)\n\t"
#define TC_PAIRED_ZERO(both, high) \
    "li " #both ", 0\n\t" \
    "li " #high ", 0\n\t"

/*
 * a0 words, a1 the stream, a2 a group's bytes, a3 and a4 weights; t0 to t5 groups, s1 to s6 both pixels' totals, s7 to s11
 * and a7 the second ones'. A group's taps but its first are the last ones of 15 that are written out, 64 bytes each; ra is
 * where the group of no taps would begin, whose 2 bytes are worth a tap as well.
 */
static TC_NOINLINE const int8_t *tc_paired_sums(const uint32_t *x, const int8_t *stream, tc_packed_pair *pairs)
{
    register const uint32_t *a0 __asm__("a0") = x;
    register const int8_t *a1 __asm__("a1") = stream;
    tc_packed_pair *volatile result = pairs;
    __asm__ volatile(
        ".option push\n\t"
        ".option norvc\n\t"
        "la ra, 2f + 128\n\t"
        "lui t6, 8\n\t"
        TC_PAIRED_ZERO(s1, s7) TC_PAIRED_ZERO(s2, s8) TC_PAIRED_ZERO(s3, s9)
        TC_PAIRED_ZERO(s4, s10) TC_PAIRED_ZERO(s5, s11) TC_PAIRED_ZERO(s6, a7)
        "lb a2, 0(a1)\n"
        "1:\n\t"
        "lb a3, 2(a1)\n\t"
        "lb a4, 3(a1)\n\t"
        TC_PAIRED_FIRST(0, t0, t3) TC_PAIRED_FIRST(4, t1, t4) TC_PAIRED_FIRST(8, t2, t5)
        "lbu a3, 1(a1)\n\t"
        "add a1, a1, a2\n\t"
        "slli a4, a2, 5\n\t"
        "sub a4, ra, a4\n\t"
        "add a0, a0, a3\n\t"
        "jr a4\n\t"
        ".set .Ltc_left, 15\n\t"
        ".rept 15\n\t"
        "lb a3, -2 * .Ltc_left(a1)\n\t"
        "lb a4, 1 - 2 * .Ltc_left(a1)\n\t"
        TC_PAIRED_NEXT(0, t0, t3) TC_PAIRED_NEXT(4, t1, t4) TC_PAIRED_NEXT_SHORT(8, t2, t5)
        ".set .Ltc_left, .Ltc_left - 1\n\t"
        ".endr\n"
        "2:\n\t"
        "lb a2, 0(a1)\n\t"
        TC_PAIRED_TAKE(t0, s1, s7) TC_PAIRED_TAKE(t1, s2, s8) TC_PAIRED_TAKE(t2, s3, s9)
        TC_PAIRED_TAKE(t3, s4, s10) TC_PAIRED_TAKE(t4, s5, s11) TC_PAIRED_TAKE(t5, s6, a7)
        "bgez a2, 1b\n\t"
        "addi a1, a1, 1\n\t"
        "lw a2, %[result]\n\t"
        TC_PAIRED_KEEP(0, s1, s7) TC_PAIRED_KEEP(8, s2, s8) TC_PAIRED_KEEP(16, s3, s9)
        TC_PAIRED_KEEP(24, s4, s10) TC_PAIRED_KEEP(32, s5, s11) TC_PAIRED_KEEP(40, s6, a7)
        ".option pop\n\t"
        : "+r"(a0), "+r"(a1)
        : [result] "m"(result)
        : "a2", "a3", "a4", "a5", "a6", "a7", "t0", "t1", "t2", "t3", "t4", "t5", "t6", "s1", "s2", "s3", "s4", "s5",
          "s6", "s7", "s8", "s9", "s10", "s11", "ra", "memory");
    return a1;
}

#else

static TC_NOINLINE const int8_t *tc_paired_sums(const uint32_t *x, const int8_t *stream, tc_packed_pair *pairs)
{
    return tc_paired_sums_portable(x, stream, pairs);
}

#endif

#ifdef __cplusplus
}
#endif

#endif
