/* SPDX-License-Identifier: 0BSD */
/* The second Cortex-M33 of the SSE-200: it waits after reset until CPUWAIT is cleared, and takes its stack pointer and
 * its entry from the vector table at INITSVTOR1 (Arm 101104, "System control register block"). */
#include "second_core.h"

#define INITSVTOR1 (*(volatile uint32_t *)0x50021114u)
#define CPUWAIT (*(volatile uint32_t *)0x50021118u)
#define CPUWAIT_CPU1 (1u << 1)
#define VTOR (*(volatile uint32_t *)0xE000ED08u) /* each core's own */

extern const uint32_t linker_vectors[];

static second_core_entry entry_of_core_1;

void second_core(void)
{
    VTOR = (uint32_t)linker_vectors; /* a fault ends the run, as one of the first core */
    second_stack_limit();
    entry_of_core_1();
    for (;;) {
    }
}

static void core_1_fault(void)
{
    for (;;) { /* before it has come to second_core() */
    }
}

/* Only faults can come: nobody enables an interrupt of this core. */
typedef struct core_1_vectors {
    const uint32_t *stack;
    void (*reset)(void);
    void (*faults[14])(void);
} core_1_vectors;

static const core_1_vectors vectors __attribute__((aligned(512))) = {
    &linker_second_stack_top,
    second_core,
    {core_1_fault, core_1_fault, core_1_fault, core_1_fault, core_1_fault, core_1_fault, core_1_fault, core_1_fault, core_1_fault,
     core_1_fault, core_1_fault, core_1_fault, core_1_fault, core_1_fault},
};

int start_second_core(second_core_entry entry)
{
    entry_of_core_1 = entry;
    __asm__ volatile("dsb" ::: "memory");
    INITSVTOR1 = (uint32_t)&vectors;
    CPUWAIT &= ~CPUWAIT_CPU1;
    return 1;
}
