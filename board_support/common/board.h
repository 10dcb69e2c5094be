/* What the firmware needs from a board. Each board implements it in its own source file. */
#ifndef TC_BOARD_H
#define TC_BOARD_H

#include <stdint.h>

/* Caches, clocks and the counter; runs first thing in main(). */
void board_init(void);

/* A free-running counter that counts up and wraps at 2^32. Its unit is board specific:
 * 40 ns timer ticks under QEMU, CPU cycles (DWT) on silicon. */
uint32_t board_ticks(void);

#endif
