/* SPDX-License-Identifier: 0BSD */
/* What a board with two cores implements for firmware that uses both. */
#ifndef TC_SECOND_CORE_H
#define TC_SECOND_CORE_H

#include <stdint.h>

typedef void (*second_core_entry)(void);

/* What the second core begins with: it calls the entry. Its stack is made as large as that takes, by the compiler's call graph;
 * on it no interrupt is served. */
void second_core(void);

extern uint32_t linker_second_stack_limit, linker_second_stack_top;

/* Armv8-M faults where the second core's stack would grow below it, instead of overwriting what lies there. */
static inline void second_stack_limit(void)
{
#if defined(__ARM_ARCH_8M_MAIN__) || defined(__ARM_ARCH_8_1M_MAIN__)
    __asm__ volatile("msr msplim, %0" : : "r"(&linker_second_stack_limit) : "memory");
#endif
}

/* Has the second core call `entry`, on a stack of its own; once, from the first core. Returns 0 where there is none: of a
 * board that stands in for one with two cores. */
int start_second_core(second_core_entry entry);

#endif
