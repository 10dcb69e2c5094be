/* SPDX-License-Identifier: 0BSD */
/* STM32F407 Discovery: 168 MHz from the 8 MHz crystal, flash accelerator on, DWT cycle counter, USART2: TX on PA2, RX on PA3.
 *
 * RM0090: 7.3 RCC registers, 3.9.1 FLASH_ACR. DS8626: 168 MHz takes 5 wait states at 2.7 V to 3.6 V. The voltage scale
 * for 168 MHz (PWR_CR.VOS = 1) is the one after reset. */
#include "board.h"
#include "stm32f4.h"
#include "stm32f4_usart.h"

#define USART2 0x40004400u
#define GPIOA 0x40020000u
#define FLASH_ACR_168_MHZ (5u | (1u << 8) | (1u << 9) | (1u << 10)) /* wait states, prefetch, both caches */

void board_init(void)
{
    const bool fast = stm32f4_start_pll(stm32f4_pll(8, 336, 7)) && stm32f4_use_pll(FLASH_ACR_168_MHZ);
    cortex_m_start_dwt();
    stm32_enable(&RCC_AHB1ENR, 1u);       /* GPIOA */
    stm32_enable(&RCC_APB1ENR, 1u << 17); /* USART2 */
    stm32_alternate(GPIOA, 2, 7);
    stm32f4_usart_start(USART2, stm32_divider(fast ? 42000000u : 16000000u));
}

uint32_t board_ticks(void)
{
    return DWT_CYCCNT;
}

void board_putc(char byte)
{
    stm32f4_usart_put(USART2, byte);
}

void board_listen(void)
{
    stm32_alternate(GPIOA, 3, 7);
    stm32f4_usart_listen(USART2);
}

int32_t board_getc(void)
{
    return stm32f4_usart_get(USART2);
}
