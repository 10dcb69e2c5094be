/* SPDX-License-Identifier: 0BSD */
/* STM32F103 ("Blue Pill"): 72 MHz from the 8 MHz crystal, prefetch on, DWT cycle counter, USART1: TX on PA9, RX on PA10.
 *
 * RM0008: 7.3 RCC registers, 9.2.2 GPIOx_CRH. PM0075: FLASH_ACR, 2 wait states above 48 MHz. */
#include "board.h"
#include "stm32.h"
#include "stm32f4_usart.h"

#define RCC_CR REGISTER(0x40021000u)
#define RCC_CFGR REGISTER(0x40021004u)
#define RCC_APB2ENR REGISTER(0x40021018u)
#define FLASH_ACR REGISTER(0x40022000u)
#define GPIOA_CRH REGISTER(0x40010804u)
#define GPIOA_ODR REGISTER(0x4001080Cu)
#define USART1 0x40013800u

#define RCC_CR_HSEON (1u << 16)
#define RCC_CR_HSERDY (1u << 17)
#define RCC_CR_PLLON (1u << 24)
#define RCC_CR_PLLRDY (1u << 25)
#define RCC_CFGR_72_MHZ ((7u << 18) | (1u << 16) | (4u << 8)) /* PLL: crystal x 9; APB1 at half */
#define RCC_CFGR_PLL 2u
#define FLASH_ACR_72_MHZ (2u | (1u << 4)) /* wait states, prefetch buffer */
#define CRH_PA9 (15u << 4)
#define CRH_PA9_ALTERNATE (11u << 4) /* alternate function, push-pull, 50 MHz */
#define CRH_PA10 (15u << 8)
#define CRH_PA10_PULLED (8u << 8) /* input, pulled as ODR says */

static bool start_clock(void)
{
    RCC_CR |= RCC_CR_HSEON;
    if (!cortex_m_wait(&RCC_CR, RCC_CR_HSERDY, RCC_CR_HSERDY)) {
        return false;
    }
    FLASH_ACR = FLASH_ACR_72_MHZ;
    RCC_CFGR = RCC_CFGR_72_MHZ;
    RCC_CR |= RCC_CR_PLLON;
    if (!cortex_m_wait(&RCC_CR, RCC_CR_PLLRDY, RCC_CR_PLLRDY)) {
        return false;
    }
    RCC_CFGR = RCC_CFGR_72_MHZ | RCC_CFGR_PLL;
    return cortex_m_wait(&RCC_CFGR, 3u << 2, RCC_CFGR_PLL << 2);
}

void board_init(void)
{
    const bool fast = start_clock();
    cortex_m_start_dwt();
    stm32_enable(&RCC_APB2ENR, (1u << 14) | (1u << 2)); /* USART1, GPIOA */
    GPIOA_CRH = (GPIOA_CRH & ~CRH_PA9) | CRH_PA9_ALTERNATE;
    stm32f4_usart_start(USART1, stm32_divider(fast ? 72000000u : 8000000u));
}

uint32_t board_ticks(void)
{
    return DWT_CYCCNT;
}

void board_putc(char byte)
{
    stm32f4_usart_put(USART1, byte);
}

void board_listen(void)
{
    GPIOA_ODR |= 1u << 10; /* the pull-up */
    GPIOA_CRH = (GPIOA_CRH & ~CRH_PA10) | CRH_PA10_PULLED;
    stm32f4_usart_listen(USART1);
}

int32_t board_getc(void)
{
    return stm32f4_usart_get(USART1);
}
