/* SPDX-License-Identifier: 0BSD */
/* CMSDK APB UART (Arm DDI 0479C, section 4.2): DATA 0x00, STATE 0x04, CTRL 0x08, BAUDDIV 0x10. */
#ifndef TC_CMSDK_UART_H
#define TC_CMSDK_UART_H

#include <stdint.h>

#include "board.h"

#ifndef UART0_BASE
#define UART0_BASE 0x40004000u
#endif
#ifndef UART_CLOCK_HZ
#define UART_CLOCK_HZ 25000000u
#endif
#define UART0_DATA (*(volatile uint32_t *)(UART0_BASE + 0x00u))
#define UART0_STATE (*(volatile uint32_t *)(UART0_BASE + 0x04u))
#define UART0_CTRL (*(volatile uint32_t *)(UART0_BASE + 0x08u))
#define UART0_BAUDDIV (*(volatile uint32_t *)(UART0_BASE + 0x10u))
#define UART_STATE_TX_FULL 1u
#define UART_STATE_RX_FULL 2u
#define UART_CTRL_TX_ENABLE 1u
#define UART_CTRL_RX_ENABLE 2u

static inline void cmsdk_uart_start(void)
{
    UART0_BAUDDIV = UART_CLOCK_HZ / BOARD_BAUD;
    UART0_CTRL = UART_CTRL_TX_ENABLE;
}

static inline void cmsdk_uart_put(char byte)
{
    while ((UART0_STATE & UART_STATE_TX_FULL) != 0u) {
    }
    UART0_DATA = (uint8_t)byte;
}

static inline void cmsdk_uart_listen(void)
{
    UART0_CTRL = UART_CTRL_TX_ENABLE | UART_CTRL_RX_ENABLE;
}

static inline int32_t cmsdk_uart_get(void)
{
    return (UART0_STATE & UART_STATE_RX_FULL) != 0u ? (int32_t)(UART0_DATA & 0xFFu) : -1;
}

#endif
