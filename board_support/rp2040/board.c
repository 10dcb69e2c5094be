/* SPDX-License-Identifier: 0BSD */
/* Raspberry Pi Pico: 125 MHz from the 12 MHz crystal, flash cache on (it is after reset), SysTick as the counter, UART0: TX
 * on GPIO 0, RX on GPIO 1. */
#define RP2_RESETS 0x4000C000u
#define RP2_CLOCKS 0x40008000u
#define RP2_XOSC 0x40024000u
#define RP2_PLL_SYS 0x40028000u
#define RP2_UART0 0x40034000u
#include "board.h"
#include "rp2.h"

#define GPIO0_CTRL REGISTER(0x40014004u)
#define GPIO1_CTRL REGISTER(0x4001400Cu)
#define PADS_GPIO1 REGISTER(0x4001C008u)
#define FUNCTION_UART 2u
#define RESET_IO_BANK0 (1u << 5)
#define RESET_PADS_BANK0 (1u << 8)
#define RESET_PLL_SYS (1u << 12)
#define RESET_UART0 (1u << 22)

void board_init(void)
{
    rp2_start_clock(RESET_PLL_SYS, 6, 2);
    rp2_leave_reset(RESET_IO_BANK0 | RESET_PADS_BANK0 | RESET_UART0);
    GPIO0_CTRL = FUNCTION_UART;
    rp2_uart_start(125000000u);
    systick_start();
}

uint32_t board_ticks(void)
{
    return systick_ticks();
}

void board_putc(char byte)
{
    rp2_uart_put(byte);
}

void board_listen(void)
{
    GPIO1_CTRL = FUNCTION_UART;
    rp2_uart_listen(&PADS_GPIO1);
}

int32_t board_getc(void)
{
    return rp2_uart_get();
}
