/* SPDX-License-Identifier: 0BSD */
/* STM32H747I-DISCO, Cortex-M7: 400 MHz from the 25 MHz crystal, caches on, DWT cycle counter, USART1 on the ST-LINK's
 * virtual port.
 *
 * RM0399: RCC registers, PWR_CR3, FLASH_ACR. DS12930: with the SMPS as the supply, which the board is wired for, the limit
 * is voltage scale 1 with 400 MHz; AXI at 200 MHz takes 2 wait states. UM2411: USART1 TX is PA9, RX PA10. */
#include "board.h"
#include "stm32h7.h"

#define USART1 0x40011000u
#define GPIOA 0x58020000u
#define PWR_CR3_SMPS 4u
#define FLASH_ACR_200_MHZ (2u | (2u << 4))

static bool start_clock(void)
{
    PWR_CR3 = PWR_CR3_SMPS; /* the SMPS supplies the core directly; any other setting stops this board */
    return stm32h7_scale1() && stm32h7_clock(RCC_CR_HSEON, 5, 160, FLASH_ACR_200_MHZ);
}

void board_init(void)
{
    const uint32_t apb2_hz = start_clock() ? 100000000u : 64000000u;
    cortex_m_enable_caches();
    cortex_m_start_dwt();
    stm32_enable(&RCC_AHB4ENR, 1u);      /* GPIOA */
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
    stm32_alternate(GPIOA, 10, 7);
    stm32_usart_listen(USART1);
}

int32_t board_getc(void)
{
    return stm32_usart_get(USART1);
}
