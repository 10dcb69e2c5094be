/* SPDX-License-Identifier: 0BSD */
/* The cycle counter of RISC-V cores in machine mode. The RISC-V Instruction Set Manual, Volume II 20211203: 3.1.10
 * (mcycle), 3.1.12 (mcountinhibit, which stops the counters of some cores after reset). */
#ifndef TC_RISCV_COUNTER_H
#define TC_RISCV_COUNTER_H

#include <stdint.h>

/* Zicsr isn't in -march: compilers choose libraries by that. */
#define RISCV_ZICSR(instruction) ".option push\n\t.option arch, +zicsr\n\t" instruction "\n\t.option pop"

static inline void riscv_start_counter(void)
{
    __asm__ volatile(RISCV_ZICSR("csrci mcountinhibit, 1") ::: "memory");
}

static inline uint32_t riscv_cycles(void)
{
    uint32_t cycles;
    __asm__ volatile(RISCV_ZICSR("csrr %0, mcycle") : "=r"(cycles) : : "memory");
    return cycles;
}

#endif
