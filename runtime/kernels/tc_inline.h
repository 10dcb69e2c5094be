/* SPDX-License-Identifier: 0BSD */
/*
 * Kernels are written for any shape and specialised by constants of their caller, which takes inlining: the compiler
 * must not decide otherwise, not even when it optimises for size.
 */
#ifndef TC_INLINE_H
#define TC_INLINE_H

#if defined(__GNUC__)
#define TC_INLINE static inline __attribute__((always_inline))
#else
#define TC_INLINE static inline
#endif

#endif
