/* SPDX-License-Identifier: 0BSD */
/*
 * Kernels are written for any shape and specialised by constants of their caller, which takes inlining: the compiler
 * must not decide otherwise, not even when it optimises for size.
 */
#ifndef TC_INLINE_H
#define TC_INLINE_H

#include <stdint.h>

/* -fpack-struct and #pragma pack would take the alignment from the context, which vectors and pairs of words rely on. */
struct tc_alignment {
    char first;
    uint64_t second;
};
typedef char tc_structs_must_not_be_packed[sizeof(struct tc_alignment) >= 12u ? 1 : -1];

#if defined(__GNUC__)
#define TC_INLINE static inline __attribute__((always_inline))
#else
#define TC_INLINE static inline
#endif

/* Of functions that are called through pointers: at -Og, GCC learns too late which one that is, and not to inline an
 * always_inline function is an error. */
#define TC_POINTED_AT static inline

#endif
