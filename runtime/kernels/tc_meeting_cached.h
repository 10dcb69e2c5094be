/* SPDX-License-Identifier: 0BSD */
/*
 * Two cores that compute one inference, of which core 0 has a data cache that knows nothing of core 1: they meet where one reads
 * what the other has written. Each counts the meetings that it has come to, in a line of its own. What core 0 writes it
 * writes back before a meeting, and what core 1 wrote it forgets behind it: tc_write_back() and tc_forget(), of which the
 * generated code knows where. No line is written by both in between.
 *
 * A core that waits looks again and again: of these cores none is woken by the other's SEV.
 */
#ifndef TC_MEETING_H
#define TC_MEETING_H

#include <stdint.h>

#if defined(__arm__)
#include "tc_cache.h"
#define TC_CACHE_CLEAN (*(volatile uint32_t *)0xE000EF68u) /* DCCMVAC */
#define TC_WRITE_BACK(memory, bytes) tc_cache_lines(&TC_CACHE_CLEAN, memory, bytes)
#define TC_FORGET(memory, bytes) tc_cache_after_dma(memory, bytes)
#elif !defined(TC_WRITE_BACK) /* this machine's caches agree; tests have some of their own */
#define TC_WRITE_BACK(memory, bytes) ((void)(memory), (void)(bytes))
#define TC_FORGET(memory, bytes) ((void)(memory), (void)(bytes))
#endif

#ifdef __cplusplus
extern "C" {
#endif

#if !defined(__GNUC__)
#error "two cores need __atomic_load_n and __atomic_store_n, as GCC and Clang have them"
#endif

#define TC_LINE_BYTES 32u

typedef struct tc_meeting_line {
    uint32_t count;
    uint32_t unused[TC_LINE_BYTES / 4u - 1u];
} __attribute__((aligned(TC_LINE_BYTES))) tc_meeting_line;

typedef struct tc_meeting {
    tc_meeting_line arrived[2];
    tc_meeting_line attended; /* the second core comes */
} tc_meeting;

/* Core 0 alone: memory has what it wrote, and no line is left that it could write back later. They stay in the cache. */
static inline void tc_write_back(const void *memory, uint32_t bytes)
{
    TC_WRITE_BACK(memory, bytes);
}

/* Core 0 alone: what it reads next comes from memory. */
static inline void tc_forget(void *memory, uint32_t bytes)
{
    TC_FORGET(memory, bytes);
}

/* Asked by core 0. */
static inline int tc_is_attended(tc_meeting *meeting)
{
    tc_forget(&meeting->attended, sizeof meeting->attended);
    return __atomic_load_n(&meeting->attended.count, __ATOMIC_ACQUIRE) != 0u;
}

static inline void tc_attend(tc_meeting *meeting)
{
    __atomic_store_n(&meeting->attended.count, 1u, __ATOMIC_RELEASE);
}

/* Waits until the other core has come as often as this one, 0 or 1; memory then has what that one wrote before. */
static inline void tc_meet(tc_meeting *meeting, int32_t core)
{
    const uint32_t now = __atomic_load_n(&meeting->arrived[core].count, __ATOMIC_RELAXED) + 1u;
    __atomic_store_n(&meeting->arrived[core].count, now, __ATOMIC_RELEASE);
    if (core == 0) {
        tc_write_back(&meeting->arrived[0], sizeof meeting->arrived[0]);
    }
    do {
        if (core == 0) {
            tc_forget(&meeting->arrived[1], sizeof meeting->arrived[1]);
        }
    } while ((int32_t)(__atomic_load_n(&meeting->arrived[1 - core].count, __ATOMIC_ACQUIRE) - now) < 0);
}

#ifdef __cplusplus
}
#endif

#endif
