/* STM32F746G-DISCO: caches on, DWT cycle counter as the counter.
 *
 * The core runs from the 16 MHz internal oscillator (HSI), the state after reset (RM0385 section 5.2):
 * at that clock the flash needs no wait state and no set-up. */
#include "board.h"

/* System control block, PM0253 section 4.3 and 4.8; DWT, Armv7-M Architecture Reference Manual C1.8. */
#define SCB_CCR (*(volatile uint32_t *)0xE000ED14u)
#define SCB_CCSIDR (*(volatile uint32_t *)0xE000ED80u)
#define SCB_CSSELR (*(volatile uint32_t *)0xE000ED84u)
#define SCB_ICIALLU (*(volatile uint32_t *)0xE000EF50u)
#define SCB_DCISW (*(volatile uint32_t *)0xE000EF60u)
#define SCB_DEMCR (*(volatile uint32_t *)0xE000EDFCu)
#define DWT_CTRL (*(volatile uint32_t *)0xE0001000u)
#define DWT_CYCCNT (*(volatile uint32_t *)0xE0001004u)
#define DWT_LAR (*(volatile uint32_t *)0xE0001FB0u)

#define CCR_ICACHE_ENABLE (1u << 17)
#define CCR_DCACHE_ENABLE (1u << 16)
#define DEMCR_TRACE_ENABLE (1u << 24)
#define DWT_UNLOCK_KEY 0xC5ACCE55u

static void barrier(void)
{
    __asm__ volatile("dsb\n\tisb" ::: "memory");
}

/* The data cache must be invalidated line by line before it is enabled (PM0253 section 4.8.7). */
static void enable_caches(void)
{
    uint32_t set, way;
    SCB_ICIALLU = 0;
    barrier();
    SCB_CSSELR = 0; /* level 1, data */
    barrier();
    const uint32_t geometry = SCB_CCSIDR;
    const uint32_t sets = (geometry >> 13) & 0x7FFFu;
    const uint32_t ways = (geometry >> 3) & 0x3FFu;
    for (set = 0; set <= sets; set++) {
        for (way = 0; way <= ways; way++) {
            SCB_DCISW = (way << 30) | (set << 5);
        }
    }
    barrier();
    SCB_CCR |= CCR_ICACHE_ENABLE | CCR_DCACHE_ENABLE;
    barrier();
}

void board_init(void)
{
    enable_caches();
    SCB_DEMCR |= DEMCR_TRACE_ENABLE;
    DWT_LAR = DWT_UNLOCK_KEY;
    DWT_CYCCNT = 0;
    DWT_CTRL |= 1u;
}

uint32_t board_ticks(void)
{
    return DWT_CYCCNT;
}
