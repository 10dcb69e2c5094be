/* BBC micro:bit: TIMER0 of the nRF51 as the counter, 16 MHz, 32 bits.
 *
 * nRF51 Series Reference Manual v3.0, section 19.2 "Register overview". */
#include "board.h"

#define TIMER0_BASE 0x40008000u
#define TASKS_START (*(volatile uint32_t *)(TIMER0_BASE + 0x000u))
#define TASKS_CAPTURE0 (*(volatile uint32_t *)(TIMER0_BASE + 0x040u))
#define MODE (*(volatile uint32_t *)(TIMER0_BASE + 0x504u))
#define BITMODE (*(volatile uint32_t *)(TIMER0_BASE + 0x508u))
#define PRESCALER (*(volatile uint32_t *)(TIMER0_BASE + 0x510u))
#define CC0 (*(volatile uint32_t *)(TIMER0_BASE + 0x540u))
#define MODE_TIMER 0u
#define BITMODE_32 3u

void board_init(void)
{
    MODE = MODE_TIMER;
    BITMODE = BITMODE_32;
    PRESCALER = 0;
    TASKS_START = 1;
}

uint32_t board_ticks(void)
{
    TASKS_CAPTURE0 = 1;
    return CC0;
}
