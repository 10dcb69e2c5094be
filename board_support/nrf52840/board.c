/* SPDX-License-Identifier: 0BSD */
/* nRF52840 DK: 64 MHz (the only frequency of the core) from the crystal, instruction cache on, DWT cycle counter, UART on
 * the debugger's virtual port, TX on P0.06, RX on P0.08.
 *
 * nRF52840 Product Specification v1.7: 5.4 CLOCK, 4.3 NVMC (ICACHECNF), 6.9 GPIO, 6.33 UART. */
#include "board.h"
#include "cortex_m.h"

#define CLOCK_TASKS_HFCLKSTART REGISTER(0x40000000u)
#define CLOCK_EVENTS_HFCLKSTARTED REGISTER(0x40000100u)
#define NVMC_ICACHECNF REGISTER(0x4001E540u)
#define UART_TASKS_STARTRX REGISTER(0x40002000u)
#define UART_TASKS_STARTTX REGISTER(0x40002008u)
#define UART_EVENTS_RXDRDY REGISTER(0x40002108u)
#define UART_EVENTS_TXDRDY REGISTER(0x4000211Cu)
#define UART_ENABLE REGISTER(0x40002500u)
#define UART_PSELTXD REGISTER(0x4000250Cu)
#define UART_PSELRXD REGISTER(0x40002514u)
#define UART_RXD REGISTER(0x40002518u)
#define UART_TXD REGISTER(0x4000251Cu)
#define UART_BAUDRATE REGISTER(0x40002524u)
#define P0_OUTSET REGISTER(0x50000508u)
#define P0_DIRSET REGISTER(0x50000518u)

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
#define TX_PIN 6u
#define RX_PIN 8u
#define RX_PIN_CNF REGISTER(0x50000700u + 4u * RX_PIN)
#define PIN_CNF_INPUT_PULLED_UP (3u << 2)

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
    UART_BAUDRATE = BAUDRATE;
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
