/* SPDX-License-Identifier: 0BSD */
/* The UART of nRF51 and nRF52 as a receiver, and its baud rates. nRF51 Series Reference Manual v3.0: 14 GPIO, 29.10 UART;
 * nRF52840 Product Specification v1.7: 6.9 GPIO, 6.33 UART. */
#ifndef TC_NRF_UART_H
#define TC_NRF_UART_H

#include "board.h"

#define NRF_UART(offset) (*(volatile uint32_t *)(0x40002000u + (offset)))
#define NRF_UART_TASKS_STARTRX NRF_UART(0x000u)
#define NRF_UART_TASKS_STARTTX NRF_UART(0x008u)
#define NRF_UART_EVENTS_RXDRDY NRF_UART(0x108u)
#define NRF_UART_ENABLE NRF_UART(0x500u)
#define NRF_UART_ENABLED 4u
#define NRF_UART_PSELRXD NRF_UART(0x514u)
#define NRF_UART_RXD NRF_UART(0x518u)
#define NRF_PIN_CNF(pin) (*(volatile uint32_t *)(0x50000700u + 4u * (pin)))
#define NRF_PIN_CNF_INPUT_PULLED_UP (3u << 2)

#if BOARD_BAUD == 9600u
#define NRF_BAUDRATE 0x00275000u
#elif BOARD_BAUD == 115200u
#define NRF_BAUDRATE 0x01D7E000u
#elif BOARD_BAUD == 921600u
#define NRF_BAUDRATE 0x0EBED000u
#else
#error "no BAUDRATE is known for BOARD_BAUD"
#endif

/* Pins are chosen while it is off. */
static inline void nrf_uart_listen(uint32_t rx_pin)
{
    NRF_PIN_CNF(rx_pin) = NRF_PIN_CNF_INPUT_PULLED_UP;
    NRF_UART_ENABLE = 0;
    NRF_UART_PSELRXD = rx_pin;
    NRF_UART_ENABLE = NRF_UART_ENABLED;
    NRF_UART_TASKS_STARTTX = 1;
    NRF_UART_TASKS_STARTRX = 1;
}

static inline int32_t nrf_uart_get(void)
{
    if (NRF_UART_EVENTS_RXDRDY == 0u) {
        return -1;
    }
    NRF_UART_EVENTS_RXDRDY = 0;
    return (int32_t)(NRF_UART_RXD & 0xFFu);
}

#endif
