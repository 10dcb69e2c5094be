/* SPDX-License-Identifier: 0BSD */
/* What the firmware needs from a board. Each board implements it in its own source file. */
#ifndef TC_BOARD_H
#define TC_BOARD_H

#include <stdint.h>

/* Clocks to full speed, caches, the counter and the console; runs first thing in main(). */
void board_init(void);

/* A free-running counter that counts up and wraps at 2^32. Its unit is board specific:
 * timer ticks under QEMU, CPU cycles (DWT or SysTick) on silicon. */
uint32_t board_ticks(void);

/* Writes a byte to the console's UART; waits until there is room. */
void board_putc(char byte);

#endif
