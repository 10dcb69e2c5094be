/* SPDX-License-Identifier: 0BSD */
/*
 * What kernels for Helium (MVE) share: vectors of 16 bytes.
 */
#ifndef TC_MVE_H
#define TC_MVE_H

#include <stdint.h>
#include <string.h>

#include "cmsis_shim/tc_simd.h"
#include "kernels/tc_inline.h"

#if defined(__ARM_FEATURE_MVE) && !defined(TC_PORTABLE)
#define TC_MVE 1
#include <arm_mve.h>
#else
#define TC_MVE 0
#endif

/* Where r9 is somebody else's, block functions are their portable twins. */
#if TC_MVE && !defined(TC_RESERVE_R9)
#define TC_MVE_BLOCKS 1
#else
#define TC_MVE_BLOCKS 0
#endif

#ifdef __cplusplus
extern "C" {
#endif

#if TC_MVE
/* The first `count` bytes, 1 to 16, then zeros. Assembly with its predicate: compilers move that through a core register. */
TC_INLINE int8x16_t tc_mve_load(const int8_t *input, uint32_t count)
{
    int8x16_t bytes;
    __asm__ volatile(
        "vctp.8 %1\n\t"
        "vpst\n\t"
        "vldrbt.8 %q0, [%2]"
        : "=w"(bytes)
        : "r"(count), "r"(input)
        : "p0", "memory");
    return bytes;
}
#endif

/* Copies `count` bytes, any number: a loop with a predicated tail. */
TC_INLINE void tc_mve_copy(const int8_t *input, uint32_t count, int8_t *output)
{
#if TC_MVE
    __asm__ volatile(
        "wlstp.8 lr, %2, 2f\n"
        "1:\n\t"
        "vldrb.8 q0, [%0], #16\n\t"
        "vstrb.8 q0, [%1], #16\n\t"
        "letp lr, 1b\n"
        "2:\n\t"
        : "+r"(input), "+r"(output)
        : "r"(count)
        : "lr", "q0", "cc", "memory");
#else
    memcpy(output, input, count);
#endif
}

/* 16 bytes. */
TC_INLINE void tc_mve_copy16(const int8_t *input, int8_t *output)
{
#if TC_MVE
    vstrbq_s8(output, vldrbq_s8(input));
#else
    memmove(output, input, 16);
#endif
}

TC_INLINE void tc_mve_fill(int8_t value, uint32_t count, int8_t *output)
{
#if TC_MVE
    /* In the assembly, or compilers keep the vector outside of loops, and that is stack. */
    __asm__ volatile(
        "vdup.8 q0, %2\n\t"
        "wlstp.8 lr, %1, 2f\n"
        "1:\n\t"
        "vstrb.8 q0, [%0], #16\n\t"
        "letp lr, 1b\n"
        "2:\n\t"
        : "+r"(output)
        : "r"(count), "r"((int32_t)value)
        : "lr", "q0", "cc", "memory");
#else
    memset(output, value, count);
#endif
}

#ifdef __cplusplus
}
#endif

#endif
