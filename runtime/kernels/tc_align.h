/*
 * Memory in which words and halfwords must be aligned.
 *
 * TC_STRICT_ALIGNMENT is 1 where the compiler was told so (-mno-unaligned-access): then the kernels load and store bytes
 * where an address may be odd, which costs a test of the address where it isn't. tc_memcpy, tc_copy_few
 * and tc_move_down stand for memcpy and memmove, since that of newlib, for one, loads unaligned words on cores that have them.
 *
 * ARMv6-M has no unaligned access at all; its compilers and libraries know.
 */
#ifndef TC_ALIGN_H
#define TC_ALIGN_H

#include <stdint.h>
#include <string.h>

#if defined(__arm__) && !defined(__ARM_FEATURE_UNALIGNED) && !defined(__ARM_ARCH_6M__) && !defined(__ARM_ARCH_8M_BASE__)
#define TC_STRICT_ALIGNMENT 1
#else
#define TC_STRICT_ALIGNMENT 0
#endif

#if TC_STRICT_ALIGNMENT

#ifdef __cplusplus
extern "C" {
#endif

/* An empty statement that compilers can't see through, so that a loop around it doesn't become a call of memcpy. */
#define TC_OPAQUE() __asm__ volatile("" ::: "memory")

/* Four bytes at an address that is a multiple of 4. */
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

#endif
