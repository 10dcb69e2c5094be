/* SPDX-License-Identifier: 0BSD */
/* The clock tree of STM32H743 and STM32H747. RM0433 and RM0399, "RCC registers", "PWR registers", "FLASH_ACR". */
#ifndef TC_STM32H7_H
#define TC_STM32H7_H

#include "stm32.h"

#define RCC_CR REGISTER(0x58024400u)
#define RCC_CFGR REGISTER(0x58024410u)
#define RCC_D1CFGR REGISTER(0x58024418u)
#define RCC_D2CFGR REGISTER(0x5802441Cu)
#define RCC_D3CFGR REGISTER(0x58024420u)
#define RCC_PLLCKSELR REGISTER(0x58024428u)
#define RCC_PLLCFGR REGISTER(0x5802442Cu)
#define RCC_PLL1DIVR REGISTER(0x58024430u)
#define RCC_AHB4ENR REGISTER(0x580244E0u)
#define RCC_APB1LENR REGISTER(0x580244E8u)
#define RCC_APB2ENR REGISTER(0x580244F0u)
#define RCC_APB4ENR REGISTER(0x580244F4u)
#define PWR_CSR1 REGISTER(0x58024804u)
#define PWR_CR3 REGISTER(0x5802480Cu)
#define PWR_D3CR REGISTER(0x58024818u)
#define FLASH_ACR REGISTER(0x52002000u)
#define SYSCFG_PWRCR REGISTER(0x5800042Cu)

#define RCC_CR_HSEON (1u << 16)
#define RCC_CR_HSERDY (1u << 17)
#define RCC_CR_HSEBYP (1u << 18)
#define RCC_CR_PLL1ON (1u << 24)
#define RCC_CR_PLL1RDY (1u << 25)
#define RCC_PLLCKSELR_HSE 2u
#define RCC_PLLCFGR_INPUT_4_8_MHZ (2u << 2)
#define RCC_PLLCFGR_P (1u << 16)
#define RCC_CFGR_PLL1 3u
#define RCC_BY_2 4u  /* an APB at half the AHB's frequency */
#define RCC_AHB_BY_2 8u
#define PWR_CSR1_ACTVOSRDY (1u << 13)
#define PWR_D3CR_VOS1 (3u << 14)
#define PWR_D3CR_VOSRDY (1u << 13)

/* The supply is set up; goes to voltage scale 1. */
static inline bool stm32h7_scale1(void)
{
    if (!cortex_m_wait(&PWR_CSR1, PWR_CSR1_ACTVOSRDY, PWR_CSR1_ACTVOSRDY)) {
        return false;
    }
    PWR_D3CR |= PWR_D3CR_VOS1;
    return cortex_m_wait(&PWR_D3CR, PWR_D3CR_VOSRDY, PWR_D3CR_VOSRDY);
}

/* Core = crystal / m * n / 2, all buses at half of it, APBs at a quarter.
 *
 * hse: RCC_CR_HSEON, with RCC_CR_HSEBYP for a clock signal instead of a crystal; flash_acr: wait states and WRHIGHFREQ.
 * The PLL's input is to be 4 to 8 MHz. */
static inline bool stm32h7_clock(uint32_t hse, uint32_t m, uint32_t n, uint32_t flash_acr)
{
    RCC_CR |= hse;
    if (!cortex_m_wait(&RCC_CR, RCC_CR_HSERDY, RCC_CR_HSERDY)) {
        return false;
    }
    RCC_PLLCKSELR = RCC_PLLCKSELR_HSE | (m << 4);
    RCC_PLLCFGR = RCC_PLLCFGR_INPUT_4_8_MHZ | RCC_PLLCFGR_P;
    RCC_PLL1DIVR = (n - 1u) | (1u << 9);
    RCC_CR |= RCC_CR_PLL1ON;
    if (!cortex_m_wait(&RCC_CR, RCC_CR_PLL1RDY, RCC_CR_PLL1RDY)) {
        return false;
    }
    RCC_D1CFGR = RCC_AHB_BY_2 | (RCC_BY_2 << 4);
    RCC_D2CFGR = (RCC_BY_2 << 4) | (RCC_BY_2 << 8);
    RCC_D3CFGR = RCC_BY_2 << 4;
    FLASH_ACR = flash_acr;
    if (!cortex_m_wait(&FLASH_ACR, 15u, flash_acr & 15u)) {
        return false;
    }
    RCC_CFGR = RCC_CFGR_PLL1;
    return cortex_m_wait(&RCC_CFGR, 7u << 3, RCC_CFGR_PLL1 << 3);
}

#endif
