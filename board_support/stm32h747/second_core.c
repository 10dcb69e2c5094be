/* SPDX-License-Identifier: 0BSD */
/* The Cortex-M4 beside the Cortex-M7, for firmware of both.
 *
 * It starts at the beginning of the flash's second bank, where its option byte BOOT_CM4_ADD0 points as delivered: at reset, as the
 * M7 does, or, if the option byte BCM4 is cleared, when RCC_GCR.BOOT_C2 is set (RM0399 "Boot configuration", "RCC_GCR"). Then it
 * waits until the M7 has locked hardware semaphore 0, which is free after a reset; looking at HSEM_R0 locks nothing (RM0399
 * "HSEM"). The M7's data cache has been written to memory by then.
 *
 * In an inference the cores look for each other (tc_meeting_cached.h): SEV of one is an interrupt of the other, by the lines 79 and
 * 80 of EXTI, and no event that WFE waits for (RM0399 "EXTI", "NVIC": CM4_SEV, CM7_SEV).
 *
 * ART caches instructions that the M4 fetches from 1 MiB: of bank 1, where the code is (RM0399 "ART accelerator"). */
#include "second_core.h"
#include "stm32h7.h"

#define RCC_GCR REGISTER(0x580244A0u)
#define RCC_AHB1ENR REGISTER(0x580244D8u) /* each core's own: what it enables stays on for it */
#define RCC_AHB2ENR REGISTER(0x580244DCu)
#define RCC_GCR_BOOT_C2 (1u << 3)
#define RCC_AHB1ENR_ART (1u << 14)
#define RCC_AHB2ENR_SRAM123 (7u << 29)
#define RCC_AHB4ENR_HSEM (1u << 25)
#define ART_CTR REGISTER(0x40024400u)
#define ART_CTR_ENABLE 1u
#define HSEM_R0 REGISTER(0x58026400u)
#define HSEM_RLR0 REGISTER(0x58026480u) /* reading it locks */
#define HSEM_LOCKED (1u << 31)
#define SCB_DCCISW REGISTER(0xE000EF74u)
#define CPACR REGISTER(0xE000ED88u)
#define CPACR_FPU_FULL_ACCESS (0xFu << 20)
#define VTOR REGISTER(0xE000ED08u) /* each core's own */

extern const uint32_t linker_vectors[];

static second_core_entry entry_of_m4;

void stm32h747_enable_shared(void);
void stm32h747_enable_shared(void)
{
    stm32_enable(&RCC_AHB2ENR, RCC_AHB2ENR_SRAM123);
}

void second_core(void)
{
    CPACR |= CPACR_FPU_FULL_ACCESS; /* each core has its own FPU */
    __asm__ volatile("dsb\n\tisb" ::: "memory");
    stm32_enable(&RCC_AHB4ENR, RCC_AHB4ENR_HSEM);
    while ((HSEM_R0 & HSEM_LOCKED) == 0u) {
    }
    stm32h747_enable_shared();
    stm32_enable(&RCC_AHB1ENR, RCC_AHB1ENR_ART);
    ART_CTR = ((uint32_t)linker_vectors >> 20) << 8;
    ART_CTR |= ART_CTR_ENABLE;
    VTOR = (uint32_t)linker_vectors; /* a fault ends the run, as one of the first core */
    entry_of_m4();
    for (;;) {
    }
}

static void m4_fault(void)
{
    for (;;) { /* before the M7 has started it */
    }
}

/* Only faults can come: nobody enables an interrupt of this core. */
__attribute__((section(".second_vectors"), used)) static const struct {
    const uint32_t *stack;
    void (*reset)(void);
    void (*faults[14])(void);
} vectors_of_m4 = {
    &linker_second_stack_top,
    second_core,
    {m4_fault, m4_fault, m4_fault, m4_fault, m4_fault, m4_fault, m4_fault, m4_fault, m4_fault, m4_fault, m4_fault, m4_fault, m4_fault,
     m4_fault},
};

/* The whole data cache, by set and way: what is in it goes to memory. */
static void write_back_everything(void)
{
    SCB_CSSELR = 0; /* level 1, data */
    cortex_m_barrier();
    const uint32_t geometry = SCB_CCSIDR;
    for (uint32_t set = 0; set <= ((geometry >> 13) & 0x7FFFu); set++) {
        for (uint32_t way = 0; way <= ((geometry >> 3) & 0x3FFu); way++) {
            SCB_DCCISW = (way << 30) | (set << 5);
        }
    }
    cortex_m_barrier();
}

int start_second_core(second_core_entry entry)
{
    entry_of_m4 = entry;
    write_back_everything();
    stm32_enable(&RCC_AHB4ENR, RCC_AHB4ENR_HSEM);
    (void)HSEM_RLR0;
    RCC_GCR |= RCC_GCR_BOOT_C2;
    return 1;
}
