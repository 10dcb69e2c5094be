/* SPDX-License-Identifier: 0BSD */
/*
 * Memory in which words and halfwords must be aligned.
 *
 * With TC_STRICT_ALIGNMENT the kernels load and store bytes where an address may be odd, which costs a test of the address
 * where it isn't. Code generated with --align strict defines it. The compiler mustn't make any unaligned access either:
 * -mno-unaligned-access. (On ARMv6-M, which has none, libraries see to this by themselves; words are looked at there as well.)
 *
 * tc_memcpy, tc_copy_few and tc_move_down stand for memcpy and memmove, since that of newlib, for one, loads unaligned
 * words on cores that have them, and that of picolibc for RISC-V, as Debian has it, copies byte by byte.
 */
#ifndef TC_ALIGN_H
#define TC_ALIGN_H

#include <stdint.h>
#include <string.h>

#ifndef TC_STRICT_ALIGNMENT
#define TC_STRICT_ALIGNMENT 0
#endif

/* Whether a word's address is looked at: cores without unaligned words take the four bytes by a call of memcpy otherwise. */
#if TC_STRICT_ALIGNMENT || defined(__ARM_ARCH_6M__) || defined(__ARM_ARCH_8M_BASE__) || defined(__riscv)
#define TC_CHECKED_WORDS 1
#else
#define TC_CHECKED_WORDS 0
#endif

#if TC_STRICT_ALIGNMENT
#define TC_PARTS inline
#else
#define TC_PARTS __attribute__((noinline, unused))
#endif

#if TC_CHECKED_WORDS

#ifdef __cplusplus
extern "C" {
#endif

/* A word at an address that is a multiple of 4. */
static inline uint32_t tc_load_aligned(const void *from)
{
    uint32_t word;
    memcpy(&word, __builtin_assume_aligned(from, 4), 4);
    return word;
}

static inline void tc_store_aligned(void *to, uint32_t word)
{
    memcpy(__builtin_assume_aligned(to, 4), &word, 4);
}

/* Four bytes at any other address. Written out, since for 4 bytes of unknown alignment GCC calls memcpy. */
static TC_PARTS uint32_t tc_load_parts(const void *from)
{
    const uint8_t *const byte = (const uint8_t *)from;
    if (((uintptr_t)from & 1u) == 0u) {
        uint16_t low;
        uint16_t high;
        memcpy(&low, __builtin_assume_aligned(byte, 2), 2);
        memcpy(&high, __builtin_assume_aligned(byte + 2, 2), 2);
        return low | (uint32_t)high << 16;
    }
    return byte[0] | (uint32_t)byte[1] << 8 | (uint32_t)byte[2] << 16 | (uint32_t)byte[3] << 24;
}

static TC_PARTS void tc_store_parts(void *to, uint32_t word)
{
    uint8_t *const byte = (uint8_t *)to;
    byte[0] = (uint8_t)word;
    byte[1] = (uint8_t)(word >> 8);
    byte[2] = (uint8_t)(word >> 16);
    byte[3] = (uint8_t)(word >> 24);
}

#ifdef __cplusplus
}
#endif

#endif

#if TC_STRICT_ALIGNMENT || defined(__riscv)

#if defined(__ARM_FEATURE_UNALIGNED)
#error "this code is for memory in which words must be aligned (--align strict): it needs -mno-unaligned-access"
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* An empty statement that compilers can't see through, so that a loop around it doesn't become a call of memcpy. */
#define TC_OPAQUE() __asm__ volatile("" ::: "memory")

/* memcpy upwards; `to` may also lie below `from` where both overlap. */
static __attribute__((noinline, unused)) void tc_move_down(void *to, const void *from, uint32_t bytes)
{
    uint8_t *target = (uint8_t *)to;
    const uint8_t *source = (const uint8_t *)from;
    if ((((uintptr_t)target ^ (uintptr_t)source) & 3u) == 0u) {
        for (; bytes > 0u && ((uintptr_t)target & 3u) != 0u; bytes--) {
            *target++ = *source++;
            TC_OPAQUE();
        }
        for (; bytes >= 4u; bytes -= 4u) {
            tc_store_aligned(target, tc_load_aligned(source));
            target += 4;
            source += 4;
            TC_OPAQUE();
        }
    }
    for (; bytes > 0u; bytes--) {
        *target++ = *source++;
        TC_OPAQUE();
    }
}

/* The same for a few bytes, as many as known at compile time. */
static inline __attribute__((always_inline)) void tc_copy_few(void *to, const void *from, uint32_t bytes)
{
#pragma GCC unroll 32
    for (uint32_t i = 0; i < bytes; i++) {
        ((uint8_t *)to)[i] = ((const uint8_t *)from)[i];
        TC_OPAQUE();
    }
}

#define tc_memcpy tc_move_down

#ifdef __cplusplus
}
#endif

#else
#define tc_memcpy memcpy
#define tc_copy_few memcpy
#define tc_move_down memmove
#endif

/* What a step begins with, where it will be left: it may be there already. */
static inline __attribute__((always_inline)) void tc_keep_state(void *to, const void *from, uint32_t bytes)
{
    if (to != from) {
        tc_memcpy(to, from, bytes);
    }
}

#endif
