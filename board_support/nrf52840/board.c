/* SPDX-License-Identifier: 0BSD */
/* nRF52840 DK: 64 MHz (the only frequency of the core) from the crystal, instruction cache on, DWT cycle counter, UART on
 * the debugger's virtual port, TX on P0.06, RX on P0.08.
 *
 * nRF52840 Product Specification v1.7: 5.4 CLOCK, 4.3 NVMC (ICACHECNF), 6.33 UART. */
#include "board.h"
#include "cortex_m.h"
#include "nrf_uart.h"

#define CLOCK_TASKS_HFCLKSTART REGISTER(0x40000000u)
#define CLOCK_EVENTS_HFCLKSTARTED REGISTER(0x40000100u)
#define NVMC_ICACHECNF REGISTER(0x4001E540u)
#define UART_TASKS_STARTTX REGISTER(0x40002008u)
#define UART_EVENTS_TXDRDY REGISTER(0x4000211Cu)
#define UART_ENABLE REGISTER(0x40002500u)
#define UART_PSELTXD REGISTER(0x4000250Cu)
#define UART_TXD REGISTER(0x4000251Cu)
#define UART_BAUDRATE REGISTER(0x40002524u)
#define P0_OUTSET REGISTER(0x50000508u)
#define P0_DIRSET REGISTER(0x50000518u)

#define UART_ENABLED 4u
#define TX_PIN 6u
#define RX_PIN 8u

void board_init(void)
{
    CLOCK_EVENTS_HFCLKSTARTED = 0;
    CLOCK_TASKS_HFCLKSTART = 1;
    (void)cortex_m_wait(&CLOCK_EVENTS_HFCLKSTARTED, 1u, 1u); /* else the internal oscillator goes on */
    NVMC_ICACHECNF = 1;
    cortex_m_start_dwt();
    P0_OUTSET = 1u << TX_PIN;
    P0_DIRSET = 1u << TX_PIN;
    UART_PSELTXD = TX_PIN;
    UART_BAUDRATE = NRF_BAUDRATE;
    UART_ENABLE = UART_ENABLED;
    UART_TASKS_STARTTX = 1;
}

uint32_t board_ticks(void)
{
    return DWT_CYCCNT;
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
