/* SPDX-License-Identifier: 0BSD */
/* What the boards of ST's STM32 families share: GPIO alternate functions, a USART, caches.
 *
 * GPIO as in every family but the F1: MODER 0x00, AFRL 0x20, AFRH 0x24. USART as in every family but the F1 and F4:
 * CR1 0x00, CR3 0x08, BRR 0x0C, ISR 0x1C, RDR 0x24, TDR 0x28. (RM0385, RM0433, RM0399, RM0432, RM0456, RM0486: "GPIO registers", "USART
 * registers".) */
#ifndef TC_STM32_H
#define TC_STM32_H

#include "board.h"
#include "cortex_m.h"

#define STM32_BAUD BOARD_BAUD

#define STM32_USART_CR1_UE 1u
#define STM32_USART_CR1_RE (1u << 2)
#define STM32_USART_CR1_TE (1u << 3)
#define STM32_USART_CR3_OVRDIS (1u << 12)
#define STM32_USART_ISR_RXNE (1u << 5)
#define STM32_USART_ISR_TXE (1u << 7)

/* Sets bits of a clock enable register and waits for the two bus cycles that take. */
static inline void stm32_enable(volatile uint32_t *enable, uint32_t bits)
{
    *enable |= bits;
    (void)*enable;
}

/* Gives pin `pin` (0-15) of a port to its alternate function. */
static inline void stm32_alternate(uint32_t port, uint32_t pin, uint32_t function)
{
    volatile uint32_t *const selection = &REGISTER(port + (pin < 8u ? 0x20u : 0x24u));
    const uint32_t shift = pin % 8u * 4u;
    *selection = (*selection & ~(15u << shift)) | (function << shift);
    REGISTER(port) = (REGISTER(port) & ~(3u << (2u * pin))) | (2u << (2u * pin));
}

/* 8 bits, no parity; `divider` is clock / baud rate. */
static inline void stm32_usart_start(uint32_t usart, uint32_t divider)
{
    REGISTER(usart + 0x00u) = 0;
    REGISTER(usart + 0x0Cu) = divider;
    REGISTER(usart + 0x00u) = STM32_USART_CR1_UE | STM32_USART_CR1_TE;
}

static inline void stm32_usart_put(uint32_t usart, char byte)
{
    while ((REGISTER(usart + 0x1Cu) & STM32_USART_ISR_TXE) == 0u) {
    }
    REGISTER(usart + 0x28u) = (uint8_t)byte;
}

/* A byte that nobody took in time is lost, and stops nothing. */
static inline void stm32_usart_listen(uint32_t usart)
{
    REGISTER(usart + 0x00u) = 0;
    REGISTER(usart + 0x08u) |= STM32_USART_CR3_OVRDIS;
    REGISTER(usart + 0x00u) = STM32_USART_CR1_UE | STM32_USART_CR1_TE | STM32_USART_CR1_RE;
}

static inline int32_t stm32_usart_get(uint32_t usart)
{
    const bool received = (REGISTER(usart + 0x1Cu) & STM32_USART_ISR_RXNE) != 0u;
    return received ? (int32_t)(REGISTER(usart + 0x24u) & 0xFFu) : -1;
}

/* clock / STM32_BAUD, rounded. */
static inline uint32_t stm32_divider(uint32_t clock_hz)
{
    return (clock_hz + STM32_BAUD / 2u) / STM32_BAUD;
}

#endif
