/* SPDX-License-Identifier: 0BSD */
/* BBC micro:bit: TIMER0 of the nRF51 as the counter, 16 MHz, 32 bits; UART0 as the console, TX on P0.24, RX on P0.25.
 *
 * nRF51 Series Reference Manual v3.0, sections 19.2 (TIMER) and 29.10 (UART), "Register overview". */
#include "board.h"

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
#define UART_TASKS_STARTRX (*(volatile uint32_t *)(UART0_BASE + 0x000u))
#define UART_TASKS_STARTTX (*(volatile uint32_t *)(UART0_BASE + 0x008u))
#define UART_EVENTS_RXDRDY (*(volatile uint32_t *)(UART0_BASE + 0x108u))
#define UART_EVENTS_TXDRDY (*(volatile uint32_t *)(UART0_BASE + 0x11Cu))
#define UART_ENABLE (*(volatile uint32_t *)(UART0_BASE + 0x500u))
#define UART_PSELTXD (*(volatile uint32_t *)(UART0_BASE + 0x50Cu))
#define UART_PSELRXD (*(volatile uint32_t *)(UART0_BASE + 0x514u))
#define UART_RXD (*(volatile uint32_t *)(UART0_BASE + 0x518u))
#define UART_TXD (*(volatile uint32_t *)(UART0_BASE + 0x51Cu))
#define UART_BAUDRATE (*(volatile uint32_t *)(UART0_BASE + 0x524u))
#define UART_ENABLED 4u
#if BOARD_BAUD == 9600u
#define BAUDRATE 0x00275000u
#elif BOARD_BAUD == 115200u
#define BAUDRATE 0x01D7E000u
#elif BOARD_BAUD == 921600u
#define BAUDRATE 0x0EBED000u
#else
#error "no BAUDRATE is known for BOARD_BAUD"
#endif
#define TX_PIN 24u
#define RX_PIN 25u
#define RX_PIN_CNF (*(volatile uint32_t *)(0x50000700u + 4u * RX_PIN))
#define PIN_CNF_INPUT_PULLED_UP (3u << 2) /* nRF51 Reference Manual, section 14 (GPIO) */

void board_init(void)
{
    MODE = MODE_TIMER;
    BITMODE = BITMODE_32;
    PRESCALER = 0;
    TASKS_START = 1;
    UART_PSELTXD = TX_PIN;
    UART_BAUDRATE = BAUDRATE;
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
    RX_PIN_CNF = PIN_CNF_INPUT_PULLED_UP;
    UART_ENABLE = 0; /* pins are chosen while it is off */
    UART_PSELRXD = RX_PIN;
    UART_ENABLE = UART_ENABLED;
    UART_TASKS_STARTTX = 1;
    UART_TASKS_STARTRX = 1;
}

int32_t board_getc(void)
{
    if (UART_EVENTS_RXDRDY == 0u) {
        return -1;
    }
    UART_EVENTS_RXDRDY = 0;
    return (int32_t)(UART_RXD & 0xFFu);
}
