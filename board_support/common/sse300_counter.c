/* SPDX-License-Identifier: 0BSD */
/* Boards with Arm's Corstone SSE-300 (MPS3 with AN547 or AN552): the system counter as the counter, UART0 as the
 * console.
 *
 * SSE-300 TRM (Arm 101773), "System Counter" and "System timer": CNTControlBase.CNTCR at 0x000, bit 0 enables;
 * a system timer's CNTPCT at 0x000 is the count's low word. */
#include "board.h"
#include "cmsdk_uart.h"

#define CNTCR (*(volatile uint32_t *)0x58100000u)
#define TIMER0_CNTPCT (*(volatile uint32_t *)0x58000000u)
#define CNTCR_ENABLE 1u

void board_init(void)
{
    CNTCR = CNTCR_ENABLE;
    cmsdk_uart_start();
}

uint32_t board_ticks(void)
{
    return TIMER0_CNTPCT;
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
