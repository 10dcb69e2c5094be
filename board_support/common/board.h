/* SPDX-License-Identifier: 0BSD */
/* What the firmware needs from a board. Each board implements it in its own source file. */
#ifndef TC_BOARD_H
#define TC_BOARD_H

#include <stdint.h>

#ifndef BOARD_BAUD
#define BOARD_BAUD 115200u /* of the console's UART; 9600u and 921600u are the others that benchmarks ask for */
#endif

/* Clocks to full speed, caches, the counter and the console; runs first thing in main(). */
void board_init(void);

/* A free-running counter that counts up and wraps at 2^32. Its unit is board specific:
 * timer ticks under QEMU, CPU cycles (DWT or SysTick) on silicon. */
uint32_t board_ticks(void);

/* Writes a byte to the console's UART; waits until there is room. */
void board_putc(char byte);

/* Lets the console's UART receive, which board_init() doesn't. Only the console firmware needs this and what follows: a
 * board without them can't be talked to, and has everything else. */
void board_listen(void);

/* A byte that the UART has received, or -1 where there is none; never waits. */
int32_t board_getc(void);

#endif
