/* SPDX-License-Identifier: 0BSD */
/* Reset and fault handling for every Cortex-M: vector table, C start-up, painted stack.
 *
 * Armv7-M Architecture Reference Manual B1.5 (exception model, vector table). */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "firmware.h"

extern uint8_t linker_data_load[], linker_data_start[], linker_data_end[];
extern uint8_t linker_bss_start[], linker_bss_end[];
extern uint32_t linker_stack_limit, linker_stack_top;
extern const uint32_t linker_vectors[];

int main(void);
void Reset_Handler(void);

#define STACK_PAINT 0xC0FFEE11u
#define CPACR (*(volatile uint32_t *)0xE000ED88u)
#define VTOR (*(volatile uint32_t *)0xE000ED08u)
#define CCR (*(volatile uint32_t *)0xE000ED14u)
#define CCR_UNALIGN_TRP (1u << 3)
#define CPACR_FPU_FULL_ACCESS (0xFu << 20) /* CP10 and CP11: floating point and, on Armv8.1-M, MVE */

/* Armv8-M faults where the stack would grow below MSPLIM, instead of overwriting what lies there. */
#if defined(__ARM_ARCH_8M_MAIN__) || defined(__ARM_ARCH_8_1M_MAIN__)
#define HAS_STACK_LIMIT 1
#else
#define HAS_STACK_LIMIT 0
#endif

static inline void set_stack_limit(void)
{
#if HAS_STACK_LIMIT
    __asm__ volatile("msr msplim, %0" : : "r"(&linker_stack_limit) : "memory");
#endif
}

/* Any fault ends the run with a message instead of a silent loop. */
#if HAS_STACK_LIMIT
/* It may have been that the stack was full: nothing is pushed before there is room again. */
static void __attribute__((naked)) fault_handler(void)
{
    __asm__ volatile("movs r0, #0\n\t"
                     "msr msplim, r0\n\t"
                     "movs r0, %0\n\t"
                     "b %c1" /* an operand, or link-time optimisation doesn't see the call */
                     :
                     : "i"(FIRMWARE_FAULT), "i"(firmware_end));
}
#else
static void fault_handler(void)
{
    firmware_end(FIRMWARE_FAULT);
}
#endif

/* A board that counts with SysTick has its own. */
void SysTick_Handler(void) __attribute__((weak, alias("fault_handler")));

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
        volatile uint32_t *const start = copy->start;
        for (uint32_t i = 0; i < copy->bytes / 4u; i++) {
            start[i] = copy->load[i];
        }
        for (uint32_t i = 0; i < copy->bytes / 4u; i++) {
            if (start[i] != copy->load[i]) {
                fault_handler();
            }
        }
    }
    __asm__ volatile("dsb\n\tisb" ::: "memory"); /* before any of it is fetched */
}
#endif

void Reset_Handler(void)
{
#if defined(BEHIND_BOOTLOADER)
    VTOR = (uint32_t)linker_vectors; /* the bootloader's until now */
#endif
#if defined(__ARM_FP) || defined(__ARM_FEATURE_MVE)
    CPACR |= CPACR_FPU_FULL_ACCESS; /* before the first floating-point or vector instruction */
    __asm__ volatile("dsb\n\tisb" ::: "memory");
#endif
#if defined(TC_STRICT_ALIGNMENT) || defined(__ARM_ARCH_6M__)
    CCR |= CCR_UNALIGN_TRP; /* a fault in all memory, as in Device memory; set already where the core is an M0 */
#endif
    memcpy(linker_data_start, linker_data_load, (size_t)(linker_data_end - linker_data_start));
    memset(linker_bss_start, 0, (size_t)(linker_bss_end - linker_bss_start));
#if defined(FAST_COPIES)
    make_fast_copies();
#endif
    set_stack_limit();
    /* Paint what of the stack isn't in use yet: stack_bytes_used() later finds the deepest use. */
    for (uint32_t *word = &linker_stack_limit; word < (uint32_t *)__builtin_frame_address(0) - 16; word++) {
        *(volatile uint32_t *)word = STACK_PAINT;
    }
    firmware_end(main());
}

/* Deepest stack use since reset, in bytes. */
uint32_t stack_bytes_used(void);
uint32_t stack_bytes_used(void)
{
    const volatile uint32_t *word = &linker_stack_limit;
    while (word < &linker_stack_top && *word == STACK_PAINT) {
        word++;
    }
    return (uint32_t)((uintptr_t)&linker_stack_top - (uintptr_t)word);
}

typedef void (*vector)(void);

/* Initial stack pointer and the 15 system exceptions; no interrupt is enabled. */
__attribute__((section(".vectors"), used)) static const union {
    const uint32_t *stack_top;
    vector handler;
} vectors[16] = {
    {.stack_top = &linker_stack_top},
    {.handler = Reset_Handler},
    {.handler = fault_handler}, /* NMI */
    {.handler = fault_handler}, /* HardFault */
    {.handler = fault_handler}, /* MemManage */
    {.handler = fault_handler}, /* BusFault */
    {.handler = fault_handler}, /* UsageFault */
    {.handler = fault_handler},
    {.handler = fault_handler},
    {.handler = fault_handler},
    {.handler = fault_handler},
    {.handler = fault_handler}, /* SVCall */
    {.handler = fault_handler}, /* DebugMonitor */
    {.handler = fault_handler},
    {.handler = fault_handler}, /* PendSV */
    {.handler = SysTick_Handler},
};
