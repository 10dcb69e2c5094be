/* SPDX-License-Identifier: 0BSD */
/* BBC micro:bit: TIMER0 of the nRF51 as the counter, 16 MHz, 32 bits; UART0 as the console, TX on P0.24, RX on P0.25.
 *
 * nRF51 Series Reference Manual v3.0, sections 19.2 (TIMER) and 29.10 (UART), "Register overview". */
#include "board.h"
#include "nrf_uart.h"

#define TIMER0_BASE 0x40008000u
#define TASKS_START (*(volatile uint32_t *)(TIMER0_BASE + 0x000u))
#define TASKS_CAPTURE0 (*(volatile uint32_t *)(TIMER0_BASE + 0x040u))
#define MODE (*(volatile uint32_t *)(TIMER0_BASE + 0x504u))
#define BITMODE (*(volatile uint32_t *)(TIMER0_BASE + 0x508u))
#define PRESCALER (*(volatile uint32_t *)(TIMER0_BASE + 0x510u))
#define CC0 (*(volatile uint32_t *)(TIMER0_BASE + 0x540u))
#define MODE_TIMER 0u
#define BITMODE_32 3u

#define UART0_BASE 0x40002000u
#define UART_TASKS_STARTTX (*(volatile uint32_t *)(UART0_BASE + 0x008u))
#define UART_EVENTS_TXDRDY (*(volatile uint32_t *)(UART0_BASE + 0x11Cu))
#define UART_ENABLE (*(volatile uint32_t *)(UART0_BASE + 0x500u))
#define UART_PSELTXD (*(volatile uint32_t *)(UART0_BASE + 0x50Cu))
#define UART_TXD (*(volatile uint32_t *)(UART0_BASE + 0x51Cu))
#define UART_BAUDRATE (*(volatile uint32_t *)(UART0_BASE + 0x524u))
#define UART_ENABLED 4u
#define TX_PIN 24u
#define RX_PIN 25u

void board_init(void)
{
    MODE = MODE_TIMER;
    BITMODE = BITMODE_32;
    PRESCALER = 0;
    TASKS_START = 1;
    UART_PSELTXD = TX_PIN;
    UART_BAUDRATE = NRF_BAUDRATE;
    UART_ENABLE = UART_ENABLED;
    UART_TASKS_STARTTX = 1;
}

uint32_t board_ticks(void)
{
    TASKS_CAPTURE0 = 1;
    return CC0;
}

void board_putc(char byte)
{
    UART_EVENTS_TXDRDY = 0;
    UART_TXD = (uint8_t)byte;
    while (UART_EVENTS_TXDRDY == 0u) {
    }
}

void board_listen(void)
{
    nrf_uart_listen(RX_PIN);
}

int32_t board_getc(void)
{
    return nrf_uart_get();
}
