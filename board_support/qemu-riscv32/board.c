/* SPDX-License-Identifier: 0BSD */
/* QEMU's virt machine: the cycle counter, which follows executed instructions there, and a 16550 UART (hw/riscv/virt.c). */
#include "board.h"
#include "riscv_counter.h"

#define UART_THR (*(volatile uint8_t *)0x10000000u)
#define UART_RBR (*(volatile uint8_t *)0x10000000u)
#define UART_LSR (*(volatile uint8_t *)0x10000005u)
#define UART_LSR_DR 0x01u
#define UART_LSR_THRE 0x20u

void board_init(void)
{
    riscv_start_counter();
}

uint32_t board_ticks(void)
{
    return riscv_cycles();
}

void board_putc(char byte)
{
    while ((UART_LSR & UART_LSR_THRE) == 0u) {
    }
    UART_THR = (uint8_t)byte;
}

/* A 16550 always receives. */
void board_listen(void)
{
}

int32_t board_getc(void)
{
    return (UART_LSR & UART_LSR_DR) != 0u ? (int32_t)UART_RBR : -1;
}
