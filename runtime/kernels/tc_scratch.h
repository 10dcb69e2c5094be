/* SPDX-License-Identifier: 0BSD */
/* Scratch memory that several contexts share: the inference that has it is known by its arena. */
#ifndef TC_SCRATCH_H
#define TC_SCRATCH_H

#include <stddef.h>
#include <stdint.h>

#include "kernels/tc_inline.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Whether nobody had it; then the arena's inference has it. */
TC_INLINE int tc_take_scratch(uint64_t *volatile *owner, uint64_t *arena)
{
#if defined(__GCC_ATOMIC_POINTER_LOCK_FREE) && __GCC_ATOMIC_POINTER_LOCK_FREE == 2
    uint64_t *nobody = NULL;
    return __atomic_compare_exchange_n(owner, &nobody, arena, 0, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
#else /* an interrupt's inference ends before this one goes on */
    if (*owner != NULL) {
        return 0;
    }
    *owner = arena;
    return 1;
#endif
}

/* Gives it back if the arena's inference has it. */
TC_INLINE void tc_release_scratch(uint64_t *volatile *owner, const void *arena)
{
    if (*owner == arena) {
        *owner = NULL;
    }
}

#ifdef __cplusplus
}
#endif

#endif
