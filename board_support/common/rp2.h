/* SPDX-License-Identifier: 0BSD */
/* The clock tree and UART that RP2040 and RP2350 share; each board defines the addresses.
 *
 * RP2040 Datasheet: 2.14 Resets, 2.15 Clocks, 2.16 XOSC, 2.18 PLL, 4.2 UART. RP2350 Datasheet: 7.5, 8.1, 8.2, 8.6, 12.1. */
#ifndef TC_RP2_H
#define TC_RP2_H

#include "board.h"
#include "cortex_m.h"

#define RP2_RESET REGISTER(RP2_RESETS + 0x0u)
#define RP2_RESET_DONE REGISTER(RP2_RESETS + 0x8u)
#define RP2_CLK_REF_CTRL REGISTER(RP2_CLOCKS + 0x30u)
#define RP2_CLK_REF_SELECTED REGISTER(RP2_CLOCKS + 0x38u)
#define RP2_CLK_SYS_CTRL REGISTER(RP2_CLOCKS + 0x3Cu)
#define RP2_CLK_SYS_SELECTED REGISTER(RP2_CLOCKS + 0x44u)
#define RP2_CLK_PERI_CTRL REGISTER(RP2_CLOCKS + 0x48u)
#define RP2_XOSC_CTRL REGISTER(RP2_XOSC + 0x0u)
#define RP2_XOSC_STATUS REGISTER(RP2_XOSC + 0x4u)
#define RP2_XOSC_STARTUP REGISTER(RP2_XOSC + 0xCu)
#define RP2_PLL_CS REGISTER(RP2_PLL_SYS + 0x0u)
#define RP2_PLL_PWR REGISTER(RP2_PLL_SYS + 0x4u)
#define RP2_PLL_FBDIV REGISTER(RP2_PLL_SYS + 0x8u)
#define RP2_PLL_PRIM REGISTER(RP2_PLL_SYS + 0xCu)
#define RP2_UART_DR REGISTER(RP2_UART0 + 0x00u)
#define RP2_UART_FR REGISTER(RP2_UART0 + 0x18u)
#define RP2_UART_IBRD REGISTER(RP2_UART0 + 0x24u)
#define RP2_UART_FBRD REGISTER(RP2_UART0 + 0x28u)
#define RP2_UART_LCR_H REGISTER(RP2_UART0 + 0x2Cu)
#define RP2_UART_CR REGISTER(RP2_UART0 + 0x30u)

#define RP2_XOSC_ENABLE_1_15_MHZ 0x00FABAA0u
#define RP2_XOSC_STABLE (1u << 31)
#define RP2_PLL_LOCK (1u << 31)
#define RP2_PLL_POWER_DOWN ((1u << 5) | (1u << 3) | 1u) /* VCO, post divider, all of it */
#define RP2_UART_TX_FULL (1u << 5)
#define RP2_UART_RX_EMPTY (1u << 4)
#define RP2_UART_ENABLED (1u | (1u << 8))  /* UART, transmitter */
#define RP2_UART_RECEIVER (1u << 9)
#define RP2_PAD_PULL_UP (1u << 3)
#define RP2_PAD_PULL_DOWN (1u << 2)
#define RP2_PAD_INPUT (1u << 6)

static inline void rp2_leave_reset(uint32_t blocks)
{
    RP2_RESET &= ~blocks;
    (void)cortex_m_wait(&RP2_RESET_DONE, blocks, blocks);
}

/* Core and UART from the 12 MHz crystal x 125 / (first x second). */
static inline void rp2_start_clock(uint32_t pll_reset, uint32_t first, uint32_t second)
{
    RP2_XOSC_STARTUP = 47; /* 1 ms in units of 256 crystal cycles */
    RP2_XOSC_CTRL = RP2_XOSC_ENABLE_1_15_MHZ;
    (void)cortex_m_wait(&RP2_XOSC_STATUS, RP2_XOSC_STABLE, RP2_XOSC_STABLE);
    RP2_CLK_REF_CTRL = 2; /* crystal */
    (void)cortex_m_wait(&RP2_CLK_REF_SELECTED, 1u << 2, 1u << 2);
    rp2_leave_reset(pll_reset);
    RP2_PLL_CS = 1;
    RP2_PLL_FBDIV = 125;
    RP2_PLL_PWR &= ~(RP2_PLL_POWER_DOWN & ~(1u << 3));
    (void)cortex_m_wait(&RP2_PLL_CS, RP2_PLL_LOCK, RP2_PLL_LOCK);
    RP2_PLL_PRIM = (first << 16) | (second << 12);
    RP2_PLL_PWR &= ~RP2_PLL_POWER_DOWN;
    RP2_CLK_SYS_CTRL = 1; /* the auxiliary source, which is the PLL after reset */
    (void)cortex_m_wait(&RP2_CLK_SYS_SELECTED, 1u << 1, 1u << 1);
    RP2_CLK_PERI_CTRL = 1u << 11; /* enabled, from the core's clock */
}

static inline void rp2_uart_start(uint32_t clock_hz)
{
    const uint32_t sixty_fourths = (clock_hz * 4u + BOARD_BAUD / 2u) / BOARD_BAUD; /* of clock / (16 x baud) */
    RP2_UART_IBRD = sixty_fourths / 64u;
    RP2_UART_FBRD = sixty_fourths % 64u;
    RP2_UART_LCR_H = (3u << 5) | (1u << 4); /* 8 bits, FIFO */
    RP2_UART_CR = RP2_UART_ENABLED;
}

static inline void rp2_uart_put(char byte)
{
    while ((RP2_UART_FR & RP2_UART_TX_FULL) != 0u) {
    }
    RP2_UART_DR = (uint8_t)byte;
}

/* `pad`: the register of the receiver's pin among the pads. */
static inline void rp2_uart_listen(volatile uint32_t *pad)
{
    *pad = (*pad & ~RP2_PAD_PULL_DOWN) | RP2_PAD_PULL_UP | RP2_PAD_INPUT;
    RP2_UART_CR = RP2_UART_ENABLED | RP2_UART_RECEIVER;
}

static inline int32_t rp2_uart_get(void)
{
    return (RP2_UART_FR & RP2_UART_RX_EMPTY) == 0u ? (int32_t)(RP2_UART_DR & 0xFFu) : -1;
}

#endif
