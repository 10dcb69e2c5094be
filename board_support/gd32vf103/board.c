/* SPDX-License-Identifier: 0BSD */
/* GD32VF103: 108 MHz from the internal oscillator of 8 MHz, mcycle, USART0: TX on PA9, RX on PA10.
 *
 * GD32VF103 User Manual: "RCU", "GPIO", "USART", the register definitions of each. */
#include "board.h"
#include "riscv_counter.h"
#include "stm32.h"
#include "stm32f4_usart.h" /* the USART is the same */

#define RCU_CTL REGISTER(0x40021000u)
#define RCU_CFG0 REGISTER(0x40021004u)
#define RCU_APB2EN REGISTER(0x40021018u)
#define GPIOA_CTL1 REGISTER(0x40010804u)
#define GPIOA_OCTL REGISTER(0x4001080Cu)
#define USART0 0x40013800u

#define RCU_CTL_PLLEN (1u << 24)
#define RCU_CTL_PLLSTB (1u << 25)
#define RCU_CFG0_108_MHZ ((1u << 29) | (10u << 18) | (4u << 8)) /* PLL: half of the oscillator x 27; APB1 at half */
#define RCU_CFG0_PLL 2u
#define CTL1_PA9 (15u << 4)
#define CTL1_PA9_ALTERNATE (11u << 4) /* alternate function, push-pull, 50 MHz */
#define CTL1_PA10 (15u << 8)
#define CTL1_PA10_PULLED (8u << 8) /* input, pulled as OCTL says */

static bool start_clock(void)
{
    RCU_CFG0 = RCU_CFG0_108_MHZ;
    RCU_CTL |= RCU_CTL_PLLEN;
    if (!cortex_m_wait(&RCU_CTL, RCU_CTL_PLLSTB, RCU_CTL_PLLSTB)) {
        return false;
    }
    RCU_CFG0 = RCU_CFG0_108_MHZ | RCU_CFG0_PLL;
    return cortex_m_wait(&RCU_CFG0, 3u << 2, RCU_CFG0_PLL << 2);
}

void board_init(void)
{
    const bool fast = start_clock();
    riscv_start_counter();
    stm32_enable(&RCU_APB2EN, (1u << 14) | (1u << 2)); /* USART0, GPIOA */
    GPIOA_CTL1 = (GPIOA_CTL1 & ~CTL1_PA9) | CTL1_PA9_ALTERNATE;
    stm32f4_usart_start(USART0, stm32_divider(fast ? 108000000u : 8000000u));
}

uint32_t board_ticks(void)
{
    return riscv_cycles();
}

void board_putc(char byte)
{
    stm32f4_usart_put(USART0, byte);
}

void board_listen(void)
{
    GPIOA_OCTL |= 1u << 10; /* the pull-up */
    GPIOA_CTL1 = (GPIOA_CTL1 & ~CTL1_PA10) | CTL1_PA10_PULLED;
    stm32f4_usart_listen(USART0);
}

int32_t board_getc(void)
{
    return stm32f4_usart_get(USART0);
}
