/* SPDX-License-Identifier: 0BSD */
/* NUCLEO-H743ZI2 (revision V silicon): 480 MHz from the ST-LINK's 8 MHz, caches on, DWT cycle counter, USART3 on the
 * ST-LINK's virtual port.
 *
 * RM0433: 8.7 RCC registers, 6.8 PWR registers, 4.9 FLASH_ACR, SYSCFG_PWRCR (over-drive for voltage scale 0). DS12110:
 * 480 MHz takes voltage scale 0; AXI at 240 MHz takes 4 wait states. UM2407: USART3 TX is PD8, RX PD9. */
#include "board.h"
#include "stm32h7.h"

#define USART3 0x40004800u
#define GPIOD 0x58020C00u
#define PWR_CR3_LDO 2u
#define SYSCFG_PWRCR_OVERDRIVE 1u
#define FLASH_ACR_240_MHZ (4u | (2u << 4))

static bool start_clock(void)
{
    PWR_CR3 = PWR_CR3_LDO; /* the first write fixes the supply; until then the voltage scale can't change */
    if (!stm32h7_scale1()) {
        return false;
    }
    stm32_enable(&RCC_APB4ENR, 1u << 1); /* SYSCFG */
    SYSCFG_PWRCR |= SYSCFG_PWRCR_OVERDRIVE;
    return cortex_m_wait(&PWR_D3CR, PWR_D3CR_VOSRDY, PWR_D3CR_VOSRDY) &&
           stm32h7_clock(RCC_CR_HSEON | RCC_CR_HSEBYP, 2, 240, FLASH_ACR_240_MHZ);
}

void board_init(void)
{
    const uint32_t apb1_hz = start_clock() ? 120000000u : 64000000u;
    cortex_m_enable_caches();
    cortex_m_start_dwt();
    stm32_enable(&RCC_AHB4ENR, 1u << 3);   /* GPIOD */
    stm32_enable(&RCC_APB1LENR, 1u << 18); /* USART3 */
    stm32_alternate(GPIOD, 8, 7);
    stm32_usart_start(USART3, stm32_divider(apb1_hz));
}

uint32_t board_ticks(void)
{
    return DWT_CYCCNT;
}

void board_putc(char byte)
{
    stm32_usart_put(USART3, byte);
}

void board_listen(void)
{
    stm32_alternate(GPIOD, 9, 7);
    stm32_usart_listen(USART3);
}

int32_t board_getc(void)
{
    return stm32_usart_get(USART3);
}
