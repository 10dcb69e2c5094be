/* SPDX-License-Identifier: 0BSD */
/*
 * Sums of up to 32 channels in vector registers, for RISC-V's vectors (Zve32x and wider extensions).
 *
 * The RISC-V "V" Vector Extension, version 1.0. A chunk of channels is what VSETVLI gives for up to 32 of them: all with
 * registers of 128 bits, fewer with shorter ones. Sums are 8 registers of int32 (v8, v16, v24), the weights of a tap 2 of
 * bytes, or 4 widened to 16 bits, which VWMACC multiplies with a pixel's byte. It is assembly since intrinsics came with
 * GCC 13; compilers that use vectors themselves are told which ones it takes.
 */
#ifndef TC_RVV_H
#define TC_RVV_H

#include <stdint.h>
#include <string.h>

#include "cmsis_shim/tc_simd.h"
#include "kernels/tc_inline.h"
#include "kernels/tc_requant.h"

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__riscv_vector) && __riscv_xlen == 32 && !defined(TC_PORTABLE)
#define TC_RVV 1
#else
#define TC_RVV 0
#endif

#if TC_RVV
#if __GNUC__ >= 13
#define TC_RVV_CLOBBERS \
    "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8", "v9", "v10", "v11", "v12", "v13", "v14", "v15", "v16", "v17", \
        "v18", "v19", "v20", "v21", "v22", "v23", "v24", "v25", "v26", "v27", "v28", "v29", "v30", "v31", "memory"
#else
#define TC_RVV_CLOBBERS "memory"
#endif
#endif

/* Channels of a chunk. */
#define TC_RVV_CHANNELS 32

/* Pixels whose sums are made together. */
#define TC_RVV_PIXELS 3

/* How a chunk's sums become results: ((sum << pre) + start) * multiplier >> 32, plus an offset, shifted and clamped. */
typedef enum tc_rvv_form {
    TC_RVV_COMMON, /* one shift */
    TC_RVV_SIGNED, /* likewise, and a step is taken from negative numbers */
    TC_RVV_SHIFTS /* each channel has its own */
} tc_rvv_form;

typedef struct tc_rvv_requant {
    tc_rvv_form form;
    int32_t pre;
    int32_t shift;
    int32_t low;
    int32_t high;
} tc_rvv_requant;

TC_INLINE void tc_rvv_copy(int8_t *to, const int8_t *from, uint32_t bytes)
{
#if TC_RVV
    uint32_t count;
    __asm__ volatile(
        "1:\n\t"
        "vsetvli %[count], %[bytes], e8, m8, ta, ma\n\t"
        "vle8.v v8, (%[from])\n\t"
        "sub %[bytes], %[bytes], %[count]\n\t"
        "add %[from], %[from], %[count]\n\t"
        "vse8.v v8, (%[to])\n\t"
        "add %[to], %[to], %[count]\n\t"
        "bnez %[bytes], 1b\n\t"
        : [count] "=&r"(count), [bytes] "+r"(bytes), [from] "+r"(from), [to] "+r"(to)
        :
        : TC_RVV_CLOBBERS);
#else
    tc_memcpy(to, from, bytes);
#endif
}

/*
 * weights  [taps][channels], from the chunk's first channel on
 * sums     [pixels][32]: the sums of products of a chunk of at most `most` channels
 *
 * All return how many channels they took.
 */
#if TC_RVV

#define TC_RVV_BEGIN(...) \
    "vsetvli %[count], %[most], e32, m8, ta, ma\n\t" \
    __VA_ARGS__ \
    "vsetvli zero, zero, e16, m4, ta, ma\n\t" /* as many elements */

#define TC_RVV_WEIGHTS \
    "vle8.v v0, (%[weights])\n\t" \
    "add %[weights], %[weights], %[channels]\n\t" \
    "vsext.vf2 v4, v0\n\t"

/* A tap of three pixels. */
#define TC_RVV_TAP_3(i) \
    "lb a3, " #i "(%[x0])\n\t" \
    "lb a4, " #i "(%[x1])\n\t" \
    "lb a5, " #i "(%[x2])\n\t" \
    TC_RVV_WEIGHTS \
    "vwmacc.vx v8, a3, v4\n\t" \
    "vwmacc.vx v16, a4, v4\n\t" \
    "vwmacc.vx v24, a5, v4\n\t"

#define TC_RVV_STEP_3(taps) \
    "addi %[x0], %[x0], " #taps "\n\t" \
    "addi %[x1], %[x1], " #taps "\n\t" \
    "addi %[x2], %[x2], " #taps "\n\t"

/* A tap of one pixel. */
#define TC_RVV_TAP_1(i) \
    "lb a3, " #i "(%[x0])\n\t" \
    TC_RVV_WEIGHTS \
    "vwmacc.vx v8, a3, v4\n\t"

#define TC_RVV_STEP_1(taps) "addi %[x0], %[x0], " #taps "\n\t"

/* All taps, four at a time and then one by one: there are never none. */
#define TC_RVV_TAPS(tap, step) \
    "beqz %[fours], 2f\n" \
    "1:\n\t" \
    tap(0) tap(1) tap(2) tap(3) \
    "addi %[fours], %[fours], -1\n\t" \
    step(4) \
    "bnez %[fours], 1b\n\t" \
    "beqz %[rest], 4f\n" \
    "2:\n\t" \
    tap(0) \
    "addi %[rest], %[rest], -1\n\t" \
    step(1) \
    "bnez %[rest], 2b\n" \
    "4:\n\t" \
    "vsetvli zero, zero, e32, m8, ta, ma\n\t"

static TC_NOINLINE int32_t tc_rvv_sums_of_3(const int8_t *const x[TC_RVV_PIXELS], const int8_t *weights, int32_t taps,
                                            int32_t channels, int32_t most, int32_t *sums)
{
    const int8_t *x0 = x[0];
    const int8_t *x1 = x[1];
    const int8_t *x2 = x[2];
    int32_t fours = taps / 4;
    int32_t rest = taps % 4;
    int32_t count;
    __asm__ volatile(
        TC_RVV_BEGIN("vmv.v.i v8, 0\n\tvmv.v.i v16, 0\n\tvmv.v.i v24, 0\n\t")
        TC_RVV_TAPS(TC_RVV_TAP_3, TC_RVV_STEP_3)
        "vse32.v v8, (%[sums])\n\t"
        "addi a3, %[sums], 128\n\t"
        "vse32.v v16, (a3)\n\t"
        "addi a3, a3, 128\n\t"
        "vse32.v v24, (a3)\n\t"
        : [count] "=&r"(count), [weights] "+r"(weights), [x0] "+r"(x0), [x1] "+r"(x1), [x2] "+r"(x2),
          [fours] "+r"(fours), [rest] "+r"(rest)
        : [channels] "r"(channels), [sums] "r"(sums), [most] "r"(most)
        : "a3", "a4", "a5", TC_RVV_CLOBBERS);
    return count;
}

static TC_NOINLINE int32_t tc_rvv_sums_of_1(const int8_t *const x[TC_RVV_PIXELS], const int8_t *weights, int32_t taps,
                                            int32_t channels, int32_t most, int32_t *sums)
{
    const int8_t *x0 = x[0];
    int32_t fours = taps / 4;
    int32_t rest = taps % 4;
    int32_t count;
    __asm__ volatile(
        TC_RVV_BEGIN("vmv.v.i v8, 0\n\t")
        TC_RVV_TAPS(TC_RVV_TAP_1, TC_RVV_STEP_1)
        "vse32.v v8, (%[sums])\n\t"
        : [count] "=&r"(count), [weights] "+r"(weights), [x0] "+r"(x0), [fours] "+r"(fours), [rest] "+r"(rest)
        : [channels] "r"(channels), [sums] "r"(sums), [most] "r"(most)
        : "a3", TC_RVV_CLOBBERS);
    return count;
}

/* Of a depthwise convolution: where each tap's bytes of the chunk's channels are, less `offset`. */
static TC_NOINLINE int32_t tc_rvv_depthwise_sums(const int8_t *const *places, int32_t offset, const int8_t *weights,
                                                 int32_t taps, int32_t channels, int32_t most, int32_t *sums)
{
    int32_t count;
    __asm__ volatile(
        TC_RVV_BEGIN("vmv.v.i v8, 0\n\t")
        "1:\n\t"
        "lw a3, (%[places])\n\t"
        "addi %[places], %[places], 4\n\t"
        "addi %[taps], %[taps], -1\n\t"
        "add a3, a3, %[offset]\n\t"
        "vle8.v v2, (a3)\n\t"
        TC_RVV_WEIGHTS
        "vsext.vf2 v16, v2\n\t"
        "vwmacc.vv v8, v4, v16\n\t"
        "bnez %[taps], 1b\n\t"
        "vsetvli zero, zero, e32, m8, ta, ma\n\t"
        "vse32.v v8, (%[sums])\n\t"
        : [count] "=&r"(count), [weights] "+r"(weights), [places] "+r"(places), [taps] "+r"(taps)
        : [channels] "r"(channels), [sums] "r"(sums), [most] "r"(most), [offset] "r"(offset)
        : "a3", TC_RVV_CLOBBERS);
    return count;
}

#else

TC_INLINE int32_t tc_rvv_sums(const int8_t *const x[TC_RVV_PIXELS], int32_t pixels, const int8_t *weights, int32_t taps,
                              int32_t channels, int32_t most, int32_t *sums)
{
    for (int32_t pixel = 0; pixel < pixels; pixel++) {
        for (int32_t c = 0; c < most; c++) {
            int32_t sum = 0;
            for (int32_t tap = 0; tap < taps; tap++) {
                sum += x[pixel][tap] * weights[tap * channels + c];
            }
            sums[pixel * TC_RVV_CHANNELS + c] = sum;
        }
    }
    return most;
}

TC_INLINE int32_t tc_rvv_sums_of_3(const int8_t *const x[TC_RVV_PIXELS], const int8_t *weights, int32_t taps,
                                   int32_t channels, int32_t most, int32_t *sums)
{
    return tc_rvv_sums(x, TC_RVV_PIXELS, weights, taps, channels, most, sums);
}

TC_INLINE int32_t tc_rvv_sums_of_1(const int8_t *const x[TC_RVV_PIXELS], const int8_t *weights, int32_t taps,
                                   int32_t channels, int32_t most, int32_t *sums)
{
    return tc_rvv_sums(x, 1, weights, taps, channels, most, sums);
}

TC_INLINE int32_t tc_rvv_depthwise_sums(const int8_t *const *places, int32_t offset, const int8_t *weights, int32_t taps,
                                        int32_t channels, int32_t most, int32_t *sums)
{
    for (int32_t c = 0; c < most; c++) {
        sums[c] = 0;
        for (int32_t tap = 0; tap < taps; tap++) {
            sums[c] += places[tap][offset + c] * weights[tap * channels + c];
        }
    }
    return most;
}

#endif

/*
 * The results of `count` channels of one pixel.
 *
 * constants  [3 or 4][channels], from the chunk's first channel on: starts, multipliers, offsets, then steps or shifts
 */
TC_INLINE void tc_rvv_finish(const int32_t *sums, int32_t count, const int32_t *constants, int32_t channels,
                             int8_t *output, const tc_rvv_requant *requant)
{
#if TC_RVV
#define TC_RVV_HIGH \
    "vsetvli zero, %[count], e32, m8, ta, ma\n\t" \
    "vle32.v v8, (%[sums])\n\t" \
    "vle32.v v0, (%[constants])\n\t" \
    "add %[constants], %[constants], %[next]\n\t" \
    "vsll.vx v8, v8, %[pre]\n\t" \
    "vadd.vv v8, v8, v0\n\t" \
    "vle32.v v0, (%[constants])\n\t" \
    "add %[constants], %[constants], %[next]\n\t" \
    "vmulh.vv v16, v8, v0\n\t" \
    "vle32.v v0, (%[constants])\n\t" \
    "vadd.vv v16, v16, v0\n\t"
#define TC_RVV_EXTRA \
    "add %[constants], %[constants], %[next]\n\t" \
    "vle32.v v0, (%[constants])\n\t"
#define TC_RVV_STORE \
    "vmax.vx v16, v16, %[low]\n\t" \
    "vmin.vx v16, v16, %[high]\n\t" \
    "vsetvli zero, zero, e16, m4, ta, ma\n\t" \
    "vnsrl.wi v0, v16, 0\n\t" \
    "vsetvli zero, zero, e8, m2, ta, ma\n\t" \
    "vnsrl.wi v0, v0, 0\n\t" \
    "vse8.v v0, (%[output])\n\t"
#define TC_RVV_OPERANDS \
    [constants] "+r"(constants) \
        : [count] "r"(count), [sums] "r"(sums), [next] "r"(4 * channels), [pre] "r"(requant->pre), \
          [shift] "r"(requant->shift), [low] "r"(requant->low), [high] "r"(requant->high), [output] "r"(output) \
        : TC_RVV_CLOBBERS
    switch (requant->form) {
    case TC_RVV_COMMON:
        __asm__ volatile(TC_RVV_HIGH "vsra.vx v16, v16, %[shift]\n\t" TC_RVV_STORE : TC_RVV_OPERANDS);
        break;
    case TC_RVV_SIGNED:
        __asm__ volatile(TC_RVV_HIGH TC_RVV_EXTRA
                         "vsra.vi v8, v8, 31\n\t"
                         "vand.vv v8, v8, v0\n\t"
                         "vsub.vv v16, v16, v8\n\t"
                         "vsra.vx v16, v16, %[shift]\n\t" TC_RVV_STORE
                         : TC_RVV_OPERANDS);
        break;
    default:
        __asm__ volatile(TC_RVV_HIGH TC_RVV_EXTRA "vsra.vv v16, v16, v0\n\t" TC_RVV_STORE : TC_RVV_OPERANDS);
        break;
    }
#undef TC_RVV_HIGH
#undef TC_RVV_EXTRA
#undef TC_RVV_STORE
#undef TC_RVV_OPERANDS
#else
    for (int32_t c = 0; c < count; c++) {
        const int32_t *constant = constants + c;
        const int32_t sum = tc_wrapping_add(tc_shift_left(sums[c], requant->pre), constant[0]);
        const int32_t high = (int32_t)((int64_t)sum * constant[channels] >> 32);
        int32_t total = high + constant[2 * channels];
        if (requant->form == TC_RVV_SIGNED && sum < 0) {
            total -= constant[3 * channels];
        }
        const int32_t shift = requant->form == TC_RVV_SHIFTS ? constant[3 * channels] : requant->shift;
        output[c] = (int8_t)tc_clamp(total >> shift, requant->low, requant->high);
    }
#endif
}

#ifdef __cplusplus
}
#endif

#endif
