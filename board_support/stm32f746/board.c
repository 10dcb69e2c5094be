/* SPDX-License-Identifier: 0BSD */
/* STM32F746G-DISCO: 216 MHz from the 25 MHz crystal, caches on, DWT cycle counter, USART1 on the ST-LINK's virtual port.
 *
 * RM0385: 5.3 RCC registers, 4.4 PWR registers (over-drive), 3.7.1 FLASH_ACR. DS10916: 216 MHz needs over-drive and, at
 * 2.7 V to 3.6 V, 7 wait states. UM1907: USART1 TX is PA9, RX PB7. */
#include "board.h"
#include "stm32f4.h"

#define USART1 0x40011000u
#define GPIOA 0x40020000u
#define GPIOB 0x40020400u
#define PWR_CR1_OVERDRIVE (1u << 16)
#define PWR_CR1_OVERDRIVE_SWITCH (1u << 17)
#define FLASH_ACR_216_MHZ (7u | (1u << 8) | (1u << 9)) /* wait states, prefetch, ART accelerator */

static bool start_clock(void)
{
    stm32_enable(&RCC_APB1ENR, RCC_APB1ENR_PWR);
    if (!stm32f4_start_pll(stm32f4_pll(25, 432, 9))) {
        return false;
    }
    PWR_CR1 |= PWR_CR1_OVERDRIVE;
    if (!cortex_m_wait(&PWR_CSR1, PWR_CR1_OVERDRIVE, PWR_CR1_OVERDRIVE)) {
        return false;
    }
    PWR_CR1 |= PWR_CR1_OVERDRIVE_SWITCH;
    return cortex_m_wait(&PWR_CSR1, PWR_CR1_OVERDRIVE_SWITCH, PWR_CR1_OVERDRIVE_SWITCH) &&
           stm32f4_use_pll(FLASH_ACR_216_MHZ);
}

void board_init(void)
{
    const uint32_t apb2_hz = start_clock() ? 108000000u : 16000000u;
    cortex_m_enable_caches();
    cortex_m_start_dwt();
    stm32_enable(&RCC_AHB1ENR, 1u);      /* GPIOA */
    stm32_enable(&RCC_APB2ENR, 1u << 4); /* USART1 */
    stm32_alternate(GPIOA, 9, 7);
    stm32_usart_start(USART1, stm32_divider(apb2_hz));
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
    stm32_enable(&RCC_AHB1ENR, 1u << 1); /* GPIOB */
    stm32_alternate(GPIOB, 7, 7);
    stm32_usart_listen(USART1);
}

int32_t board_getc(void)
{
    return stm32_usart_get(USART1);
}
