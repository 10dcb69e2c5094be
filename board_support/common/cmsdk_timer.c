/* SPDX-License-Identifier: 0BSD */
/* Boards of Arm's MPS2 family under QEMU: TIMER0 as the counter, UART0 as the console.
 *
 * CMSDK APB timer (Arm DDI 0479C, section 4.3): CTRL 0x00, VALUE 0x04, RELOAD 0x08; it counts down. */
#include "board.h"
#include "cmsdk_uart.h"

#ifndef TIMER0_BASE
#define TIMER0_BASE 0x40000000u
#endif
#define TIMER0_CTRL (*(volatile uint32_t *)(TIMER0_BASE + 0x00u))
#define TIMER0_VALUE (*(volatile uint32_t *)(TIMER0_BASE + 0x04u))
#define TIMER0_RELOAD (*(volatile uint32_t *)(TIMER0_BASE + 0x08u))
#define TIMER_CTRL_ENABLE 1u

void board_init(void)
{
    TIMER0_CTRL = 0;
    TIMER0_RELOAD = 0xFFFFFFFFu;
    TIMER0_VALUE = 0xFFFFFFFFu;
    TIMER0_CTRL = TIMER_CTRL_ENABLE;
    cmsdk_uart_start();
}

uint32_t board_ticks(void)
{
    return 0xFFFFFFFFu - TIMER0_VALUE;
}

void board_putc(char byte)
{
    cmsdk_uart_put(byte);
}

void board_listen(void)
{
    cmsdk_uart_listen();
}

int32_t board_getc(void)
{
    return cmsdk_uart_get();
}
