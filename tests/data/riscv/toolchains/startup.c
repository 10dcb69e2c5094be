/* SPDX-License-Identifier: 0BSD */
/* Reset and traps in machine mode: stack pointer, C start-up, painted stack. */
#include <stdint.h>

#include "firmware.h"

extern uint32_t linker_data_load, linker_data_start, linker_data_end;
extern uint32_t linker_bss_start, linker_bss_end;
extern uint32_t linker_stack_limit, linker_stack_top;

int main(void);
void _start(void);
void start(void);
uint32_t stack_bytes_used(void);

#define STACK_PAINT 0xC0FFEE11u

static void __attribute__((aligned(4), used)) trap(void)
{
    firmware_end(FIRMWARE_FAULT);
}

/* The first code of the image: the linker script puts this section in front. */
void __attribute__((naked, section(".vectors"), used)) _start(void)
{
    __asm__ volatile(".option arch, +zicsr\n\t" /* not in -march: compilers choose libraries by it */
                     "la sp, linker_stack_top\n\t"
                     "la t0, %0\n\t"
                     "csrw mtvec, t0\n\t"
                     "j start"
                     :
                     : "i"(trap));
}

void __attribute__((used)) start(void)
{
    uint32_t *word;
    const uint32_t *load = &linker_data_load;
    for (word = &linker_data_start; word < &linker_data_end; word++) {
        *word = *load++;
    }
    for (word = &linker_bss_start; word < &linker_bss_end; word++) {
        *word = 0;
    }
    for (word = &linker_stack_limit; word < (uint32_t *)__builtin_frame_address(0) - 16; word++) {
        *(volatile uint32_t *)word = STACK_PAINT;
    }
    firmware_end(main());
}

uint32_t stack_bytes_used(void)
{
    const volatile uint32_t *word = &linker_stack_limit;
    while (word < &linker_stack_top && *word == STACK_PAINT) {
        word++;
    }
    return (uint32_t)((uintptr_t)&linker_stack_top - (uintptr_t)word);
}
