/* SPDX-License-Identifier: 0BSD */
/* MPU regions that make external memory Normal, with a cache policy; everything else keeps the default memory map.
 *
 * Armv7-M Architecture Reference Manual (Arm DDI 0403) B3.5 "Protected Memory System Architecture", table B3-15 for the
 * attributes; Armv8-M (Arm DDI 0553) B9 and D1.2 (MPU_RLAR, MPU_MAIR0). Regions of higher numbers win on Armv7-M; on
 * Armv8-M regions must not overlap. Nothing here is executable: code stays in flash. */
#ifndef TC_MPU_H
#define TC_MPU_H

#include "cortex_m.h"

#define MPU_CTRL REGISTER(0xE000ED94u)
#define MPU_RNR REGISTER(0xE000ED98u)
#define MPU_RBAR REGISTER(0xE000ED9Cu)
#define MPU_RASR REGISTER(0xE000EDA0u) /* Armv7-M */
#define MPU_RLAR REGISTER(0xE000EDA0u) /* Armv8-M */
#define MPU_MAIR0 REGISTER(0xE000EDC0u)

#define MPU_CTRL_ENABLE 1u
#define MPU_CTRL_DEFAULT_MAP (1u << 2) /* PRIVDEFENA: privileged code sees the default map outside of the regions */

typedef enum mpu_policy {
    MPU_WRITE_BACK,    /* read and write allocate: fastest; DMA needs tc_cache.h */
    MPU_WRITE_THROUGH, /* no write allocate; what DMA reads is there, what it writes needs an invalidation */
    MPU_NON_CACHEABLE  /* DMA needs nothing */
} mpu_policy;

typedef enum mpu_access { MPU_NO_ACCESS, MPU_READ_WRITE, MPU_READ_ONLY } mpu_access;

static inline void mpu_enable(void)
{
    MPU_CTRL = MPU_CTRL_ENABLE | MPU_CTRL_DEFAULT_MAP;
    cortex_m_barrier();
}

#if defined(__ARM_ARCH_8M_MAIN__) || defined(__ARM_ARCH_8M_BASE__) || defined(__ARM_ARCH_8_1M_MAIN__)

/* Normal, not shareable, never executed. `address` and `bytes` are multiples of 32; uses attribute `policy` of MAIR0. */
static inline void mpu_normal(uint32_t number, uint32_t address, uint32_t bytes, mpu_policy policy, mpu_access access)
{
    const uint32_t attributes = policy == MPU_WRITE_BACK ? 0xFFu : policy == MPU_WRITE_THROUGH ? 0xAAu : 0x44u;
    const uint32_t permission = access == MPU_READ_ONLY ? 3u : 1u; /* by any code; there is no "none" here */
    cortex_m_barrier();
    MPU_MAIR0 = (MPU_MAIR0 & ~(0xFFu << (8u * (uint32_t)policy))) | attributes << (8u * (uint32_t)policy);
    MPU_RNR = number;
    MPU_RBAR = address | permission << 1 | 1u;
    MPU_RLAR = (address + bytes - 32u) | (uint32_t)policy << 1 | 1u;
    mpu_enable();
}

#else

#define MPU_RASR_ENABLE 1u
#define MPU_RASR_NORMAL_WRITE_BACK ((1u << 19) | (1u << 17) | (1u << 16)) /* TEX = 1, C = 1, B = 1 */
#define MPU_RASR_NORMAL_WRITE_THROUGH (1u << 17)                          /* TEX = 0, C = 1, B = 0 */
#define MPU_RASR_NORMAL_NON_CACHEABLE (1u << 19)                          /* TEX = 1, C = 0, B = 0 */
#define MPU_RASR_STRONGLY_ORDERED 0u
#define MPU_RASR_EXECUTE_NEVER (1u << 28)

/* `bytes` is a power of two, at least 32; `address` a multiple of it. */
static inline void mpu_region(uint32_t number, uint32_t address, uint32_t bytes, uint32_t type, mpu_access access)
{
    uint32_t size = 4; /* 2^(size + 1) bytes */
    const uint32_t permission = access == MPU_NO_ACCESS ? 0u : access == MPU_READ_WRITE ? 3u : 6u;
    while (2u << size < bytes) {
        size++;
    }
    cortex_m_barrier();
    MPU_RNR = number;
    MPU_RBAR = address;
    MPU_RASR = MPU_RASR_EXECUTE_NEVER | permission << 24 | type | size << 1 | MPU_RASR_ENABLE;
    mpu_enable();
}

/* Normal, not shareable (the M7 doesn't cache what is), never executed. */
static inline void mpu_normal(uint32_t number, uint32_t address, uint32_t bytes, mpu_policy policy, mpu_access access)
{
    const uint32_t type = policy == MPU_WRITE_BACK      ? MPU_RASR_NORMAL_WRITE_BACK
                          : policy == MPU_WRITE_THROUGH ? MPU_RASR_NORMAL_WRITE_THROUGH
                                                        : MPU_RASR_NORMAL_NON_CACHEABLE;
    mpu_region(number, address, bytes, type, access);
}

/* Strongly-ordered and without access: nothing is read from it speculatively. */
static inline void mpu_forbid(uint32_t number, uint32_t address, uint32_t bytes)
{
    mpu_region(number, address, bytes, MPU_RASR_STRONGLY_ORDERED, MPU_NO_ACCESS);
}

#endif

#endif
