/* SPDX-License-Identifier: 0BSD */
/*
 * Two cores that compute one inference: they meet where one reads what the other has written. Each counts the meetings that
 * it has come to, in memory that both see without a cache in between.
 */
#ifndef TC_MEETING_H
#define TC_MEETING_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if !defined(__GNUC__)
#error "two cores need __atomic_load_n and __atomic_store_n, as GCC and Clang have them"
#endif

typedef struct tc_meeting {
    uint32_t arrived[2];
    uint32_t attended; /* the second core comes */
} tc_meeting;

/* A core that waits sleeps until the other one signals, where there is an instruction for that. */
#if defined(__arm__)
#define TC_SIGNAL() __asm__ volatile("dsb\n\tsev" ::: "memory")
#define TC_WAIT() __asm__ volatile("wfe" ::: "memory")
#else
#define TC_SIGNAL() ((void)0)
#define TC_WAIT() ((void)0)
#endif

static inline int tc_is_attended(tc_meeting *meeting)
{
    return __atomic_load_n(&meeting->attended, __ATOMIC_ACQUIRE) != 0u;
}

static inline void tc_attend(tc_meeting *meeting)
{
    __atomic_store_n(&meeting->attended, 1u, __ATOMIC_RELEASE);
}

/* Waits until the other core has come as often as this one, 0 or 1; it then sees what that one wrote before. */
static inline void tc_meet(tc_meeting *meeting, int32_t core)
{
    const uint32_t now = __atomic_load_n(&meeting->arrived[core], __ATOMIC_RELAXED) + 1u;
    __atomic_store_n(&meeting->arrived[core], now, __ATOMIC_RELEASE);
    TC_SIGNAL();
    while ((int32_t)(__atomic_load_n(&meeting->arrived[1 - core], __ATOMIC_ACQUIRE) - now) < 0) {
        TC_WAIT();
    }
}

#ifdef __cplusplus
}
#endif

#endif
