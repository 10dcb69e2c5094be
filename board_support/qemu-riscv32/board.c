/* SPDX-License-Identifier: 0BSD */
/* QEMU's virt machine: the cycle counter, which follows executed instructions there, and a 16550 UART (hw/riscv/virt.c). */
#include "board.h"

#define UART_THR (*(volatile uint8_t *)0x10000000u)
#define UART_LSR (*(volatile uint8_t *)0x10000005u)
#define UART_LSR_THRE 0x20u

void board_init(void)
{
}

uint32_t board_ticks(void)
{
    uint32_t ticks;
    __asm__ volatile(".option push\n\t"
                     ".option arch, +zicsr\n\t"
                     "csrr %0, mcycle\n\t"
                     ".option pop"
                     : "=r"(ticks)
                     :
                     : "memory");
    return ticks;
}

void board_putc(char byte)
{
    while ((UART_LSR & UART_LSR_THRE) == 0u) {
    }
    UART_THR = (uint8_t)byte;
}
