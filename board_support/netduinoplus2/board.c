/* SPDX-License-Identifier: 0BSD */
/* Netduino Plus 2 (STM32F405): 168 MHz from the 25 MHz crystal, flash accelerator on, SysTick as the counter (QEMU has no
 * DWT), USART1: TX on PA9, RX on PA10.
 *
 * RM0090: 7.3 RCC registers, 3.9.1 FLASH_ACR. QEMU has no RCC: there the crystal never starts and all stays as it is. */
#include "board.h"
#include "stm32f4.h"
#include "stm32f4_usart.h"

#define USART1 0x40011000u
#define GPIOA 0x40020000u
#define FLASH_ACR_168_MHZ (5u | (1u << 8) | (1u << 9) | (1u << 10)) /* wait states, prefetch, both caches */

void board_init(void)
{
    const bool fast = stm32f4_start_pll(stm32f4_pll(25, 336, 7)) && stm32f4_use_pll(FLASH_ACR_168_MHZ);
    stm32_enable(&RCC_AHB1ENR, 1u);      /* GPIOA */
    stm32_enable(&RCC_APB2ENR, 1u << 4); /* USART1 */
    stm32_alternate(GPIOA, 9, 7);
    stm32f4_usart_start(USART1, stm32_divider(fast ? 84000000u : 16000000u));
    systick_start();
}

uint32_t board_ticks(void)
{
    return systick_ticks();
}

void board_putc(char byte)
{
    stm32f4_usart_put(USART1, byte);
}

void board_listen(void)
{
    stm32_alternate(GPIOA, 10, 7);
    stm32f4_usart_listen(USART1);
}

int32_t board_getc(void)
{
    return stm32f4_usart_get(USART1);
}
