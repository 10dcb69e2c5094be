/* SPDX-License-Identifier: 0BSD */
/*
 * The data cache and DMA, on Cortex-M7, M55 and M85. Nothing of the generated code includes this: it is for yours.
 *
 * A camera writes an input:               A transmitter reads an output:
 *     tc_cache_before_dma(input, bytes);      model_invoke(&context);
 *     start the transfer, wait for its end    tc_cache_before_dma(output, bytes);
 *     tc_cache_after_dma(input, bytes);       start the transfer, wait for its end
 *     model_invoke(&context);
 *
 * The cache works in lines of 32 bytes, and a tensor needn't begin or end with one. So between the two calls nobody may
 * write what is in the tensor's first and last line: nothing of the same context, and nothing beside it, which an
 * alignment of the context to 32 bytes and a size that is a multiple of it make sure. Memory that isn't cached
 * (a TCM, an MPU region that says so) needs none of this, nor does a memory with write-through policy before DMA reads it.
 *
 * Armv7-M Architecture Reference Manual (Arm DDI 0403) B3.2 and B2.2: DCIMVAC, DCCIMVAC; Armv8-M has the same registers.
 */
#ifndef TC_CACHE_H
#define TC_CACHE_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define TC_CACHE_LINE_BYTES 32u
#define TC_CACHE_INVALIDATE (*(volatile uint32_t *)0xE000EF5Cu)       /* DCIMVAC */
#define TC_CACHE_CLEAN_INVALIDATE (*(volatile uint32_t *)0xE000EF70u) /* DCCIMVAC */

static inline void tc_cache_lines(volatile uint32_t *operation, const volatile void *memory, uint32_t bytes)
{
    const uint32_t offset = (uint32_t)(uintptr_t)memory & (TC_CACHE_LINE_BYTES - 1u);
    const uint32_t first = (uint32_t)(uintptr_t)memory - offset;
    const uint32_t covered = bytes == 0u ? 0u : offset + bytes;
    __asm__ volatile("dsb" ::: "memory");
    for (uint32_t at = 0; at < covered; at += TC_CACHE_LINE_BYTES) {
        *operation = first + at;
    }
    __asm__ volatile("dsb\n\tisb" ::: "memory");
}

/* Before DMA reads or writes: memory has what the core wrote, and no line is left that the core could write back later. */
static inline void tc_cache_before_dma(const volatile void *memory, uint32_t bytes)
{
    tc_cache_lines(&TC_CACHE_CLEAN_INVALIDATE, memory, bytes);
}

/* After DMA wrote: forgets what the core read ahead in the meantime. */
static inline void tc_cache_after_dma(volatile void *memory, uint32_t bytes)
{
    tc_cache_lines(&TC_CACHE_INVALIDATE, memory, bytes);
}

#ifdef __cplusplus
}
#endif

#endif
