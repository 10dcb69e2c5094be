/* SPDX-License-Identifier: 0BSD */
/* Weights on their way to RAM by DMA2, the only controller that copies from memory to memory, while the core computes
 * (tinycompile/tc_fetch.h). Whoever needs its stream 0 leaves this file out: then the core copies.
 *
 * RM0385 8.3.6 "DMA streams", 8.3.12 "FIFO" (direct mode isn't for memory to memory), 8.5 registers; 2.1 "System
 * architecture": DMA2 reaches the flash, the QUADSPI's memory, both SRAMs, and DTCM through the core's AHBS port. Single
 * transfers: a burst mustn't cross a border of 1 KiB, and weights lie at any multiple of 4. */
#include "stm32f4.h"

#ifndef DMA_ADDRESS /* tests run this on another machine */
#define DMA_ADDRESS(pointer) ((uint32_t)(pointer))
#endif

void tc_fetch_begin(void *dst, const void *src, uint32_t bytes);
void tc_fetch_wait(void);

#define DMA2_LISR REGISTER(0x40026400u)
#define DMA2_LIFCR REGISTER(0x40026408u)
#define DMA2_S0CR REGISTER(0x40026410u)
#define DMA2_S0NDTR REGISTER(0x40026414u)
#define DMA2_S0PAR REGISTER(0x40026418u)
#define DMA2_S0M0AR REGISTER(0x4002641Cu)
#define DMA2_S0FCR REGISTER(0x40026424u)

#define DMA2_CLOCK (1u << 22)
#define FLAGS 0x3Du /* of stream 0: complete, half, three errors */
#define COMPLETE (1u << 5)
#define ERRORS ((1u << 3) | (1u << 2)) /* of a transfer, of the direct mode */
#define ENABLE 1u
#define MEMORY_TO_MEMORY (2u << 6)
#define SOURCE_ADVANCES (1u << 9)
#define TARGET_ADVANCES (1u << 10)
#define SOURCE_WORDS (2u << 11)
#define TARGET_WORDS (2u << 13)
#define THROUGH_FIFO ((1u << 2) | 3u)
#define LARGEST 0xFFFFu /* words of a transfer */

#define DCACHE_CLEAN_INVALIDATE REGISTER(0xE000EF70u)
#define DCACHE_INVALIDATE REGISTER(0xE000EF5Cu)
#define LINE 32u

static struct {
    uint32_t *to;
    const uint32_t *from;
    uint32_t words; /* of the transfer under way; 0 for none */
} fetch;

/* Lines that hold any of these bytes: those at both ends may hold others, which is why the first call writes them back. */
static void each_line(volatile uint32_t *operation, const void *memory, uint32_t bytes)
{
    const uint32_t first = DMA_ADDRESS(memory) & ~(LINE - 1u);
    cortex_m_barrier();
    for (uint32_t at = first; at < DMA_ADDRESS(memory) + bytes; at += LINE) {
        *operation = at;
    }
    cortex_m_barrier();
}

static void start(uint32_t *to, const uint32_t *from, uint32_t words)
{
    fetch.to = to;
    fetch.from = from;
    fetch.words = words;
    each_line(&DCACHE_CLEAN_INVALIDATE, to, 4u * words);
    stm32_enable(&RCC_AHB1ENR, DMA2_CLOCK);
    DMA2_LIFCR = FLAGS;
    DMA2_S0PAR = DMA_ADDRESS(from);
    DMA2_S0M0AR = DMA_ADDRESS(to);
    DMA2_S0NDTR = words;
    DMA2_S0FCR = THROUGH_FIFO;
    DMA2_S0CR = MEMORY_TO_MEMORY | SOURCE_ADVANCES | TARGET_ADVANCES | SOURCE_WORDS | TARGET_WORDS;
    cortex_m_barrier();
    DMA2_S0CR |= ENABLE;
}

void tc_fetch_begin(void *dst, const void *src, uint32_t bytes)
{
    uint32_t *to = (uint32_t *)dst;
    const uint32_t *from = (const uint32_t *)src;
    uint32_t words = bytes / 4u;
    for (; words > LARGEST; words -= LARGEST, to += LARGEST, from += LARGEST) {
        start(to, from, LARGEST);
        tc_fetch_wait();
    }
    start(to, from, words);
}

/* Where DMA fails, the core copies. */
void tc_fetch_wait(void)
{
    if (fetch.words == 0u) {
        return;
    }
    while ((DMA2_LISR & (COMPLETE | ERRORS)) == 0u) {
    }
    const uint32_t failed = DMA2_LISR & ERRORS;
    DMA2_S0CR = 0;
    DMA2_LIFCR = FLAGS;
    each_line(&DCACHE_INVALIDATE, fetch.to, 4u * fetch.words);
    for (uint32_t i = 0; failed != 0u && i < fetch.words; i++) {
        fetch.to[i] = fetch.from[i];
    }
    fetch.words = 0;
}
