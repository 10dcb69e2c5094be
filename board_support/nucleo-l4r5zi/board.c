/* SPDX-License-Identifier: 0BSD */
/* NUCLEO-L4R5ZI: 120 MHz from the 4 MHz MSI, flash caches on, DWT cycle counter, LPUART1 on the ST-LINK's virtual port.
 *
 * RM0432: 6.4 RCC registers, 5.4 PWR registers (range 1 boost mode above 80 MHz; the AHB runs at half speed while the PLL
 * is switched in), FLASH_ACR (5 wait states). UM2179: LPUART1 TX is PG7, RX PG8, whose port is supplied by VDDIO2. */
#include "board.h"
#include "stm32.h"

#define RCC_CR REGISTER(0x40021000u)
#define RCC_CFGR REGISTER(0x40021008u)
#define RCC_PLLCFGR REGISTER(0x4002100Cu)
#define RCC_AHB2ENR REGISTER(0x4002104Cu)
#define RCC_APB1ENR1 REGISTER(0x40021058u)
#define RCC_APB1ENR2 REGISTER(0x4002105Cu)
#define PWR_CR2 REGISTER(0x40007004u)
#define PWR_CR5 REGISTER(0x40007080u)
#define FLASH_ACR REGISTER(0x40022000u)
#define GPIOG 0x48001800u
#define LPUART1 0x40008000u

#define RCC_CR_PLLON (1u << 24)
#define RCC_CR_PLLRDY (1u << 25)
#define RCC_PLLCFGR_120_MHZ (1u | (60u << 8) | (1u << 24)) /* MSI x 60 / 2 on output R */
#define RCC_CFGR_PLL 3u
#define RCC_CFGR_AHB_BY_2 (8u << 4)
#define PWR_CR2_IOSV (1u << 9)
#define PWR_CR5_R1MODE (1u << 8)
#define FLASH_ACR_120_MHZ (5u | (1u << 8) | (1u << 9) | (1u << 10)) /* wait states, prefetch, both caches */

static bool start_clock(void)
{
    PWR_CR5 &= ~PWR_CR5_R1MODE; /* boost */
    RCC_PLLCFGR = RCC_PLLCFGR_120_MHZ;
    RCC_CR |= RCC_CR_PLLON;
    FLASH_ACR = FLASH_ACR_120_MHZ;
    if (!cortex_m_wait(&RCC_CR, RCC_CR_PLLRDY, RCC_CR_PLLRDY) || !cortex_m_wait(&FLASH_ACR, 15u, 5u)) {
        return false;
    }
    RCC_CFGR = RCC_CFGR_AHB_BY_2 | RCC_CFGR_PLL;
    if (!cortex_m_wait(&RCC_CFGR, 3u << 2, RCC_CFGR_PLL << 2)) {
        return false;
    }
    for (volatile uint32_t wait = 0; wait < 60u; wait++) { /* at least 1 us */
    }
    RCC_CFGR = RCC_CFGR_PLL;
    return true;
}

void board_init(void)
{
    stm32_enable(&RCC_APB1ENR1, 1u << 28); /* PWR */
    const uint32_t clock_hz = start_clock() ? 120000000u : 4000000u;
    cortex_m_start_dwt();
    PWR_CR2 |= PWR_CR2_IOSV;
    stm32_enable(&RCC_AHB2ENR, 1u << 6); /* GPIOG */
    stm32_enable(&RCC_APB1ENR2, 1u);     /* LPUART1 */
    stm32_alternate(GPIOG, 7, 8);
    stm32_usart_start(LPUART1, (uint32_t)((256ull * clock_hz + STM32_BAUD / 2u) / STM32_BAUD));
}

uint32_t board_ticks(void)
{
    return DWT_CYCCNT;
}

void board_putc(char byte)
{
    stm32_usart_put(LPUART1, byte);
}

void board_listen(void)
{
    stm32_alternate(GPIOG, 8, 8);
    stm32_usart_listen(LPUART1);
}

int32_t board_getc(void)
{
    return stm32_usart_get(LPUART1);
}
