/* SPDX-License-Identifier: 0BSD */
/* Core peripherals that boards share: caches, cycle counter, register access.
 *
 * Armv7-M Architecture Reference Manual (Arm DDI 0403): B3.2 "System Control Space", C1.8 "DWT"; Armv8-M (DDI 0553) has
 * the same registers. */
#ifndef TC_CORTEX_M_H
#define TC_CORTEX_M_H

#include <stdbool.h>
#include <stdint.h>

#ifndef REGISTER /* tests put memory there */
#define REGISTER(address) (*(volatile uint32_t *)(address))
#endif

#define SCB_CCR REGISTER(0xE000ED14u)
#define SCB_CCSIDR REGISTER(0xE000ED80u)
#define SCB_CSSELR REGISTER(0xE000ED84u)
#define SCB_ICIALLU REGISTER(0xE000EF50u)
#define SCB_DCISW REGISTER(0xE000EF60u)
#define SCB_DEMCR REGISTER(0xE000EDFCu)
#define DWT_CTRL REGISTER(0xE0001000u)
#define DWT_CYCCNT REGISTER(0xE0001004u)
#define DWT_LAR REGISTER(0xE0001FB0u) /* of the M7; ignored elsewhere */

#define CCR_ICACHE_ENABLE (1u << 17)
#define CCR_DCACHE_ENABLE (1u << 16)
#define CCR_BRANCH_PREDICTION (1u << 18)
#define CCR_LOOP_CACHE (1u << 19)
#define DEMCR_TRACE_ENABLE (1u << 24)
#define DWT_CTRL_CYCCNT_ENABLE 1u
#define DWT_UNLOCK_KEY 0xC5ACCE55u

static inline void cortex_m_barrier(void)
{
    __asm__ volatile("dsb\n\tisb" ::: "memory");
}

/* Waits until the register's bits under `mask` are `value`; gives up after about a million reads, so that a missing
 * crystal, or an emulator without the register, doesn't hang the board. */
static inline bool cortex_m_wait(volatile uint32_t *address, uint32_t mask, uint32_t value)
{
    for (uint32_t left = 1000000u; left > 0u; left--) {
        if ((*address & mask) == value) {
            return true;
        }
    }
    return false;
}

/* The cores with caches: M7, M55, M85. The data cache is invalidated line by line before it is enabled. */
static inline void cortex_m_enable_caches(void)
{
    SCB_ICIALLU = 0;
    cortex_m_barrier();
    SCB_CSSELR = 0; /* level 1, data */
    cortex_m_barrier();
    const uint32_t geometry = SCB_CCSIDR;
    const uint32_t sets = (geometry >> 13) & 0x7FFFu;
    const uint32_t ways = (geometry >> 3) & 0x3FFu;
    for (uint32_t set = 0; set <= sets; set++) {
        for (uint32_t way = 0; way <= ways; way++) {
            SCB_DCISW = (way << 30) | (set << 5);
        }
    }
    cortex_m_barrier();
    SCB_CCR |= CCR_ICACHE_ENABLE | CCR_DCACHE_ENABLE;
    cortex_m_barrier();
}

/* Armv8.1-M: what remembers loops (low-overhead branches) and predicts branches is off after reset (Arm DDI 0553, CCR.LOB
 * and CCR.BP). */
static inline void cortex_m_enable_branch_caches(void)
{
    SCB_CCR |= CCR_BRANCH_PREDICTION | CCR_LOOP_CACHE;
    cortex_m_barrier();
}

/* Starts the cycle counter of the DWT, which every core but M0, M0+ and M23 has. */
static inline void cortex_m_start_dwt(void)
{
    SCB_DEMCR |= DEMCR_TRACE_ENABLE;
    DWT_LAR = DWT_UNLOCK_KEY;
    DWT_CYCCNT = 0;
    DWT_CTRL |= DWT_CTRL_CYCCNT_ENABLE;
}

/* systick.c: a cycle counter for cores without DWT. */
void systick_start(void);
uint32_t systick_ticks(void);

#endif
