/* SPDX-License-Identifier: 0BSD */
/* SysTick as a 32-bit cycle counter for cores without DWT: 24 bits in hardware, an interrupt counts their wraps.
 *
 * Armv6-M Architecture Reference Manual (Arm DDI 0419) B3.3 "The system timer, SysTick". */
#include "cortex_m.h"

#define SYST_CSR REGISTER(0xE000E010u)
#define SYST_RVR REGISTER(0xE000E014u)
#define SYST_CVR REGISTER(0xE000E018u)
#define CSR_ENABLE 1u
#define CSR_INTERRUPT 2u
#define CSR_CORE_CLOCK 4u

static volatile uint32_t wraps;

void SysTick_Handler(void);
void SysTick_Handler(void)
{
    wraps++;
}

void systick_start(void)
{
    wraps = 0;
    SYST_RVR = 0xFFFFFFu;
    SYST_CVR = 0;
    SYST_CSR = CSR_ENABLE | CSR_INTERRUPT | CSR_CORE_CLOCK;
}

uint32_t systick_ticks(void)
{
    uint32_t before;
    uint32_t counted;
    do {
        before = wraps;
        counted = 0xFFFFFFu - SYST_CVR;
    } while (before != wraps);
    return (before << 24) + counted;
}
