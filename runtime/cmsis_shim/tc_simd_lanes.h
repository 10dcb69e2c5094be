/* SPDX-License-Identifier: 0BSD */
/* More of tc_simd.h, for what goes through signals: pairs of samples, and complex numbers, whose real part is lane 0. */
#ifndef TC_SIMD_LANES_H
#define TC_SIMD_LANES_H

#include <stdint.h>

#include "cmsis_shim/tc_simd.h"

/* SMULTT: a.lane1 * b.lane1. */
static inline int32_t tc_smultt(uint32_t a, uint32_t b)
{
#if TC_DSP
    int32_t product;
    __asm__("smultt %0, %1, %2" : "=r"(product) : "r"(a), "r"(b));
    return product;
#else
    return tc_high(a) * tc_high(b);
#endif
}

/* SSUB16 and SEL: the larger, and the smaller, of both lanes. */
static inline uint32_t tc_max16(uint32_t a, uint32_t b)
{
#if TC_DSP
    uint32_t lanes;
    __asm__("ssub16 %0, %1, %2\n\tsel %0, %1, %2" : "=&r"(lanes) : "r"(a), "r"(b) : "cc");
    return lanes;
#else
    return tc_lanes(tc_low(a) > tc_low(b) ? tc_low(a) : tc_low(b), tc_high(a) > tc_high(b) ? tc_high(a) : tc_high(b));
#endif
}

static inline uint32_t tc_min16(uint32_t a, uint32_t b)
{
#if TC_DSP
    uint32_t lanes;
    __asm__("ssub16 %0, %2, %1\n\tsel %0, %1, %2" : "=&r"(lanes) : "r"(a), "r"(b) : "cc");
    return lanes;
#else
    return tc_lanes(tc_low(a) < tc_low(b) ? tc_low(a) : tc_low(b), tc_high(a) < tc_high(b) ? tc_high(a) : tc_high(b));
#endif
}

/* SHADD16, SHSUB16: half of both lanes' sums and differences, rounded down. */
static inline uint32_t tc_shadd16(uint32_t a, uint32_t b)
{
#if TC_DSP
    return (uint32_t)__shadd16((int16x2_t)a, (int16x2_t)b);
#else
    return tc_lanes((tc_low(a) + tc_low(b)) >> 1, (tc_high(a) + tc_high(b)) >> 1);
#endif
}

static inline uint32_t tc_shsub16(uint32_t a, uint32_t b)
{
#if TC_DSP
    return (uint32_t)__shsub16((int16x2_t)a, (int16x2_t)b);
#else
    return tc_lanes((tc_low(a) - tc_low(b)) >> 1, (tc_high(a) - tc_high(b)) >> 1);
#endif
}

/* SASX: a + i b, as complex numbers; SSAX: a - i b. Both wrap. */
static inline uint32_t tc_sasx(uint32_t a, uint32_t b)
{
#if TC_DSP
    return (uint32_t)__sasx((int16x2_t)a, (int16x2_t)b);
#else
    return tc_lanes(tc_low(a) - tc_high(b), tc_high(a) + tc_low(b));
#endif
}

static inline uint32_t tc_ssax(uint32_t a, uint32_t b)
{
#if TC_DSP
    return (uint32_t)__ssax((int16x2_t)a, (int16x2_t)b);
#else
    return tc_lanes(tc_low(a) + tc_high(b), tc_high(a) - tc_low(b));
#endif
}

/* SMLSD: c + a.lane0 * b.lane0 - a.lane1 * b.lane1; SMLADX: c + a.lane0 * b.lane1 + a.lane1 * b.lane0. */
static inline int32_t tc_smlsd(uint32_t a, uint32_t b, int32_t c)
{
#if TC_DSP
    return __smlsd((int16x2_t)a, (int16x2_t)b, c);
#else
    return (int32_t)((uint32_t)(tc_low(a) * tc_low(b)) - (uint32_t)(tc_high(a) * tc_high(b)) + (uint32_t)c);
#endif
}

static inline int32_t tc_smladx(uint32_t a, uint32_t b, int32_t c)
{
#if TC_DSP
    return __smladx((int16x2_t)a, (int16x2_t)b, c);
#else
    return (int32_t)((uint32_t)(tc_low(a) * tc_high(b)) + (uint32_t)(tc_high(a) * tc_low(b)) + (uint32_t)c);
#endif
}

/* PKHTB by 15 bits: lane 1 of a, lane 0 of (b >> 15). */
static inline uint32_t tc_pkhtb15(uint32_t a, uint32_t b)
{
#if TC_DSP
    uint32_t lanes;
    __asm__("pkhtb %0, %1, %2, asr #15" : "=r"(lanes) : "r"(a), "r"(b));
    return lanes;
#else
    return tc_pkhtb(a, b, 15);
#endif
}

#endif
