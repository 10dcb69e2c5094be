/* SPDX-License-Identifier: 0BSD */
/* NUCLEO-U575ZI-Q (TrustZone off): 160 MHz from the 4 MHz MSI, instruction cache on, DWT cycle counter, USART1 on the
 * ST-LINK's virtual port.
 *
 * RM0456: RCC registers, PWR_VOSR (range 1 and the booster above 55 MHz), FLASH_ACR (4 wait states), ICACHE_CR. The order
 * of the steps is that of OpenOCD's tcl/target/stm32u5x.cfg. UM2861: USART1 TX is PA9, RX PA10. */
#include "board.h"
#include "stm32.h"

#define RCC_CR REGISTER(0x46020C00u)
#define RCC_CFGR1 REGISTER(0x46020C1Cu)
#define RCC_PLL1CFGR REGISTER(0x46020C28u)
#define RCC_PLL1DIVR REGISTER(0x46020C34u)
#define RCC_AHB2ENR1 REGISTER(0x46020C8Cu)
#define RCC_AHB3ENR REGISTER(0x46020C94u)
#define RCC_APB2ENR REGISTER(0x46020CA4u)
#define PWR_VOSR REGISTER(0x4602080Cu)
#define FLASH_ACR REGISTER(0x40022000u)
#define ICACHE_CR REGISTER(0x40030400u)
#define GPIOA 0x42020000u
#define USART1 0x40013800u

#define RCC_CR_PLL1ON (1u << 24)
#define RCC_CR_PLL1RDY (1u << 25)
#define RCC_PLL1CFGR_MSI ((1u << 18) | (2u << 2) | 1u) /* output R, input 4 to 8 MHz, from MSI */
#define RCC_PLL1DIVR_160_MHZ ((1u << 24) | (1u << 16) | (1u << 9) | 79u) /* x 80, all outputs by 2 */
#define RCC_CFGR1_PLL 3u
#define PWR_VOSR_RANGE1 (3u << 16)
#define PWR_VOSR_BOOSTEN (1u << 18)
#define PWR_VOSR_VOSRDY (1u << 15)
#define PWR_VOSR_BOOSTRDY (1u << 14)
#define FLASH_ACR_160_MHZ (4u | (1u << 8)) /* wait states, prefetch */

static bool start_clock(void)
{
    stm32_enable(&RCC_AHB3ENR, 1u << 2); /* PWR */
    PWR_VOSR |= PWR_VOSR_RANGE1;
    if (!cortex_m_wait(&PWR_VOSR, PWR_VOSR_VOSRDY, PWR_VOSR_VOSRDY)) {
        return false;
    }
    FLASH_ACR = FLASH_ACR_160_MHZ;
    RCC_PLL1CFGR = RCC_PLL1CFGR_MSI;
    PWR_VOSR |= PWR_VOSR_BOOSTEN;
    if (!cortex_m_wait(&PWR_VOSR, PWR_VOSR_BOOSTRDY, PWR_VOSR_BOOSTRDY)) {
        return false;
    }
    RCC_PLL1DIVR = RCC_PLL1DIVR_160_MHZ;
    RCC_CR |= RCC_CR_PLL1ON;
    if (!cortex_m_wait(&RCC_CR, RCC_CR_PLL1RDY, RCC_CR_PLL1RDY)) {
        return false;
    }
    RCC_CFGR1 |= RCC_CFGR1_PLL;
    return cortex_m_wait(&RCC_CFGR1, 3u << 2, RCC_CFGR1_PLL << 2);
}

void board_init(void)
{
    const uint32_t clock_hz = start_clock() ? 160000000u : 4000000u;
    ICACHE_CR |= 1u;
    cortex_m_start_dwt();
    stm32_enable(&RCC_AHB2ENR1, 1u);      /* GPIOA */
    stm32_enable(&RCC_APB2ENR, 1u << 14); /* USART1 */
    stm32_alternate(GPIOA, 9, 7);
    stm32_usart_start(USART1, stm32_divider(clock_hz));
}

uint32_t board_ticks(void)
{
    return DWT_CYCCNT;
}

void board_putc(char byte)
{
    stm32_usart_put(USART1, byte);
}

void board_listen(void)
{
    stm32_alternate(GPIOA, 10, 7);
    stm32_usart_listen(USART1);
}

int32_t board_getc(void)
{
    return stm32_usart_get(USART1);
}
