/* SPDX-License-Identifier: 0BSD */
/* Reset and traps of a RISC-V core in machine mode: stack pointer, C start-up, painted stack.
 *
 * The RISC-V Instruction Set Manual, Volume II: Privileged Architecture 20211203, 3.1.6 (mstatus), 3.1.7 (mtvec). */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "firmware.h"

extern uint8_t linker_data_load[], linker_data_start[], linker_data_end[];
extern uint8_t linker_bss_start[], linker_bss_end[];
extern uint32_t linker_stack_limit, linker_stack_top;

int main(void);
void _start(void);
void start(void);
uint32_t stack_bytes_used(void);

#define STACK_PAINT 0xC0FFEE11u

/* Where all traps go: any of them ends the run with a message instead of a silent loop. mtvec takes multiples of 4;
 * some cores have interrupts only behind multiples of 64, and this one is the same for both. */
static void __attribute__((aligned(64), used)) trap(void)
{
    firmware_end(FIRMWARE_FAULT);
}

#if defined(__riscv_flen)
#define ENABLE_FPU                                                                                                     \
    "li t0, 0x2000\n\t"     /* mstatus.FS = Initial: before the first instruction of floats */                         \
    "csrs mstatus, t0\n\t"
#else
#define ENABLE_FPU
#endif

#if defined(__riscv_vector)
#define ENABLE_VECTORS                                                                                                 \
    "li t0, 0x200\n\t"      /* mstatus.VS = Initial: the vector extension 1.0, 3.2 */                                  \
    "csrs mstatus, t0\n\t"
#else
#define ENABLE_VECTORS
#endif

/* The first code of the image: the linker script puts this section in front. */
void __attribute__((naked, section(".vectors"), used)) _start(void)
{
    __asm__ volatile(".option arch, +zicsr\n\t" /* not in -march: compilers choose libraries by it */
                     "la sp, linker_stack_top\n\t"
                     "la t0, %0\n\t"
                     "csrw mtvec, t0\n\t" ENABLE_FPU ENABLE_VECTORS "j start"
                     :
                     : "i"(trap));
}

#if defined(FAST_COPIES)
/* Hot functions and weights: where they are in flash and where they are used. Multiples of 8 bytes at multiples of 8. */
typedef struct fast_copy {
    const uint32_t *load;
    uint32_t *start;
    uint32_t bytes;
} fast_copy;

extern const fast_copy linker_copies[], linker_copies_end[];

/* Each copy is read back and compared, so that RAM that doesn't keep it is a fault at start. */
static void __attribute__((noinline)) make_fast_copies(void)
{
    for (const fast_copy *copy = linker_copies; copy != linker_copies_end; copy++) {
        volatile uint32_t *const to = copy->start;
        for (uint32_t i = 0; i < copy->bytes / 4u; i++) {
            to[i] = copy->load[i];
        }
        for (uint32_t i = 0; i < copy->bytes / 4u; i++) {
            if (to[i] != copy->load[i]) {
                trap();
            }
        }
    }
    __asm__ volatile(".option push\n\t"
                     ".option arch, +zifencei\n\t"
                     "fence.i\n\t" /* before any of it is fetched */
                     ".option pop" ::
                         : "memory");
}
#endif

void __attribute__((used)) start(void)
{
    memcpy(linker_data_start, linker_data_load, (size_t)(linker_data_end - linker_data_start));
    memset(linker_bss_start, 0, (size_t)(linker_bss_end - linker_bss_start));
#if defined(FAST_COPIES)
    make_fast_copies();
#endif
    /* Paint what of the stack isn't in use yet: stack_bytes_used() later finds the deepest use. */
    for (uint32_t *word = &linker_stack_limit; word < (uint32_t *)__builtin_frame_address(0) - 16; word++) {
        *(volatile uint32_t *)word = STACK_PAINT;
    }
    firmware_end(main());
}

/* Deepest stack use since reset, in bytes. */
uint32_t stack_bytes_used(void)
{
    const volatile uint32_t *word = &linker_stack_limit;
    while (word < &linker_stack_top && *word == STACK_PAINT) {
        word++;
    }
    return (uint32_t)((uintptr_t)&linker_stack_top - (uintptr_t)word);
}
