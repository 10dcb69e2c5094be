/* SPDX-License-Identifier: 0BSD */
/* ESP32-C3 and ESP32-C6: clocks and UART0 as the boot ROM and ESP-IDF's bootloader leave them; the performance counter
 * counts cycles.
 *
 * Technical Reference Manuals of both: "ESP-RISC-V CPU" and "High-Performance CPU" (mpcer, mpcmr, mpccr), "UART Controller". */
#include "board.h"

#define UART0_FIFO (*(volatile uint32_t *)0x60000000u)
#define UART0_STATUS (*(volatile uint32_t *)0x6000001Cu)
#define UART0_RX_COUNT 0xFFu
#define UART0_TX_COUNT (0xFFu << 16)
#define UART0_TX_BYTES (0x7Fu << 16)

void board_init(void)
{
    __asm__ volatile(".option push\n\t"
                     ".option arch, +zicsr\n\t"
                     "csrwi 0x7e0, 1\n\t" /* mpcer: cycles */
                     "csrwi 0x7e1, 1\n\t" /* mpcmr: counting */
                     ".option pop" ::
                         : "memory");
}

uint32_t board_ticks(void)
{
    uint32_t ticks;
    __asm__ volatile(".option push\n\t"
                     ".option arch, +zicsr\n\t"
                     "csrr %0, 0x7e2\n\t" /* mpccr */
                     ".option pop"
                     : "=r"(ticks)
                     :
                     : "memory");
    return ticks;
}

void board_putc(char byte)
{
    while ((UART0_STATUS & UART0_TX_COUNT) >= UART0_TX_BYTES) {
    }
    UART0_FIFO = (uint8_t)byte;
}

/* The boot ROM has its receiver on, too. */
void board_listen(void)
{
}

int32_t board_getc(void)
{
    return (UART0_STATUS & UART0_RX_COUNT) != 0u ? (int32_t)(UART0_FIFO & 0xFFu) : -1;
}
