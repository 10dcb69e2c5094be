/* SPDX-License-Identifier: 0BSD */
/* The clock tree that STM32F4 and STM32F7 share. RM0090 and RM0385, "RCC registers", "Flash access control register". */
#ifndef TC_STM32F4_H
#define TC_STM32F4_H

#include "stm32.h"

#define RCC_CR REGISTER(0x40023800u)
#define RCC_PLLCFGR REGISTER(0x40023804u)
#define RCC_CFGR REGISTER(0x40023808u)
#define RCC_AHB1ENR REGISTER(0x40023830u)
#define RCC_APB1ENR REGISTER(0x40023840u)
#define RCC_APB2ENR REGISTER(0x40023844u)
#define PWR_CR1 REGISTER(0x40007000u)
#define PWR_CSR1 REGISTER(0x40007004u)
#define FLASH_ACR REGISTER(0x40023C00u)

#define RCC_CR_HSEON (1u << 16)
#define RCC_CR_HSERDY (1u << 17)
#define RCC_CR_PLLON (1u << 24)
#define RCC_CR_PLLRDY (1u << 25)
#define RCC_PLLCFGR_HSE (1u << 22)
#define RCC_APB1ENR_PWR (1u << 28)
#define RCC_CFGR_APB1_BY_4 (5u << 10)
#define RCC_CFGR_APB2_BY_2 (4u << 13)
#define RCC_CFGR_PLL 2u
#define RCC_CFGR_STATUS_PLL (2u << 2)

/* VCO = crystal / m * n, core = VCO / 2, 48 MHz domain = VCO / q. */
static inline uint32_t stm32f4_pll(uint32_t m, uint32_t n, uint32_t q)
{
    return m | (n << 6) | RCC_PLLCFGR_HSE | (q << 24);
}

/* Starts the crystal and the PLL; false, with nothing changed, where the crystal doesn't start. */
static inline bool stm32f4_start_pll(uint32_t pllcfgr)
{
    RCC_CR |= RCC_CR_HSEON;
    if (!cortex_m_wait(&RCC_CR, RCC_CR_HSERDY, RCC_CR_HSERDY)) {
        return false;
    }
    RCC_PLLCFGR = pllcfgr;
    RCC_CR |= RCC_CR_PLLON;
    return cortex_m_wait(&RCC_CR, RCC_CR_PLLRDY, RCC_CR_PLLRDY);
}

/* Sets the wait states, then runs from the PLL, APB1 at a quarter and APB2 at half of its frequency. */
static inline bool stm32f4_use_pll(uint32_t flash_acr)
{
    FLASH_ACR = flash_acr;
    if (!cortex_m_wait(&FLASH_ACR, 15u, flash_acr & 15u)) {
        return false;
    }
    RCC_CFGR = RCC_CFGR_APB1_BY_4 | RCC_CFGR_APB2_BY_2 | RCC_CFGR_PLL;
    return cortex_m_wait(&RCC_CFGR, 3u << 2, RCC_CFGR_STATUS_PLL);
}

#endif
