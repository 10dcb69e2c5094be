/* SPDX-License-Identifier: 0BSD */
/* The USART of STM32F1 and STM32F4: SR 0x00, DR 0x04, BRR 0x08, CR1 0x0C. RM0008 and RM0090, "USART registers". */
#ifndef TC_STM32F4_USART_H
#define TC_STM32F4_USART_H

#include "cortex_m.h"

#define STM32F4_USART_SR_RXNE (1u << 5)
#define STM32F4_USART_SR_TXE (1u << 7)
#define STM32F4_USART_CR1_UE (1u << 13)
#define STM32F4_USART_CR1_TE (1u << 3)
#define STM32F4_USART_CR1_RE (1u << 2)

static inline void stm32f4_usart_start(uint32_t usart, uint32_t divider)
{
    REGISTER(usart + 0x08u) = divider;
    REGISTER(usart + 0x0Cu) = STM32F4_USART_CR1_UE | STM32F4_USART_CR1_TE;
}

static inline void stm32f4_usart_put(uint32_t usart, char byte)
{
    while ((REGISTER(usart + 0x00u) & STM32F4_USART_SR_TXE) == 0u) {
    }
    REGISTER(usart + 0x04u) = (uint8_t)byte;
}

static inline void stm32f4_usart_listen(uint32_t usart)
{
    REGISTER(usart + 0x0Cu) = STM32F4_USART_CR1_UE | STM32F4_USART_CR1_TE | STM32F4_USART_CR1_RE;
}

/* Reading SR and then DR also ends an overrun. */
static inline int32_t stm32f4_usart_get(uint32_t usart)
{
    const bool received = (REGISTER(usart + 0x00u) & STM32F4_USART_SR_RXNE) != 0u;
    return received ? (int32_t)(REGISTER(usart + 0x04u) & 0xFFu) : -1;
}

#endif
