/* SPDX-License-Identifier: 0BSD */
/* STM32N6570-DK: 600 MHz from the 64 MHz HSI, caches on, DWT cycle counter, USART1 on the ST-LINK's virtual port.
 *
 * RM0486: RCC registers (CFGR1 is written once, with both switches; CFGR2 before it), secure aliases. 600 MHz is the limit
 * of the voltage after reset; 800 MHz would take a higher one from the board's external regulator. UM3300: USART1 TX is
 * PE5, RX PE6. Addresses, fields and the order of the steps agree with Apache NuttX, arch/arm/src/stm32n6. */
#include "board.h"
#include "stm32.h"

#define RCC 0x56028000u
#define RCC_SR REGISTER(RCC + 0x004u)
#define RCC_CFGR1 REGISTER(RCC + 0x020u)
#define RCC_CFGR2 REGISTER(RCC + 0x024u)
#define RCC_PLL1CFGR1 REGISTER(RCC + 0x080u)
#define RCC_PLL1CFGR3 REGISTER(RCC + 0x088u)
#define RCC_IC1CFGR REGISTER(RCC + 0x0C4u)
#define RCC_IC2CFGR REGISTER(RCC + 0x0C8u)
#define RCC_IC6CFGR REGISTER(RCC + 0x0D8u)
#define RCC_IC11CFGR REGISTER(RCC + 0x0ECu)
#define RCC_CCIPR13 REGISTER(RCC + 0x174u)
#define RCC_CSR REGISTER(RCC + 0x800u)
#define RCC_DIVENSR REGISTER(RCC + 0xA40u)
#define RCC_AHB4ENSR REGISTER(RCC + 0xA5Cu)
#define RCC_APB2ENSR REGISTER(RCC + 0xA6Cu)
#define RCC_CCR REGISTER(RCC + 0x1000u)
#define GPIOE 0x56021000u
#define USART1 0x52001000u

#define RCC_PLL1 (1u << 8)
#define RCC_PLL1CFGR1_1200_MHZ ((4u << 20) | (75u << 8)) /* 64 MHz / 4 x 75 */
#define RCC_PLL1CFGR3_ON ((1u << 30) | (1u << 27) | (1u << 24) | (1u << 2)) /* output on, by 1, by 1, no spread */
#define RCC_IC_BY(divider) (((divider) - 1u) << 16) /* of PLL1 */
#define RCC_DIVENSR_IC1_IC2_IC6_IC11 (1u | (1u << 1) | (1u << 5) | (1u << 10))
#define RCC_CFGR1_SWITCHES ((3u << 24) | (3u << 16)) /* buses from IC2, IC6, IC11; core from IC1 */
#define RCC_CFGR1_STATUS ((3u << 28) | (3u << 20))
#define RCC_CFGR2_AHB_BY_2 (1u << 20)
#define RCC_CCIPR13_USART1_HSI 6u

static void start_clock(void)
{
    if ((RCC_CFGR1 & RCC_CFGR1_STATUS) == RCC_CFGR1_STATUS) {
        return; /* a first-stage boot loader has done it */
    }
    RCC_CCR = RCC_PLL1;
    (void)cortex_m_wait(&RCC_SR, RCC_PLL1, 0);
    RCC_PLL1CFGR1 = RCC_PLL1CFGR1_1200_MHZ;
    RCC_PLL1CFGR3 = RCC_PLL1CFGR3_ON;
    RCC_CSR = RCC_PLL1;
    if (!cortex_m_wait(&RCC_SR, RCC_PLL1, RCC_PLL1)) {
        return;
    }
    RCC_IC1CFGR = RCC_IC_BY(2u); /* core: 600 MHz */
    RCC_IC2CFGR = RCC_IC_BY(3u); /* buses: 400 MHz */
    RCC_IC6CFGR = RCC_IC_BY(3u);
    RCC_IC11CFGR = RCC_IC_BY(3u);
    RCC_DIVENSR = RCC_DIVENSR_IC1_IC2_IC6_IC11;
    RCC_CFGR2 = RCC_CFGR2_AHB_BY_2;
    RCC_CFGR1 |= RCC_CFGR1_SWITCHES;
    (void)cortex_m_wait(&RCC_CFGR1, RCC_CFGR1_STATUS, RCC_CFGR1_STATUS);
}

void board_init(void)
{
    start_clock();
    cortex_m_enable_caches();
    cortex_m_enable_branch_caches();
    cortex_m_start_dwt();
    RCC_CCIPR13 = (RCC_CCIPR13 & ~7u) | RCC_CCIPR13_USART1_HSI;
    RCC_AHB4ENSR = 1u << 4; /* GPIOE */
    RCC_APB2ENSR = 1u << 4; /* USART1 */
    cortex_m_barrier();
    stm32_alternate(GPIOE, 5, 7);
    stm32_usart_start(USART1, stm32_divider(64000000u));
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
    stm32_alternate(GPIOE, 6, 7);
    stm32_usart_listen(USART1);
}

int32_t board_getc(void)
{
    return stm32_usart_get(USART1);
}
