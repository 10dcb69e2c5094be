/* SPDX-License-Identifier: 0BSD */
/*
 * Requantisation by Helium (tc_mve.h): tc_product_requant.h on 4 channels at a time, what may come after it, and the store.
 *
 * requant  per block of 4 channels: 4 starts, 4 multipliers, 4 offsets and, where the form needs them, 4 extras
 *
 * VMULH is the high word of the product, so lane by lane it is the same integer arithmetic, which the compiler has
 * proved for the layer.
 */
#ifndef TC_MVE_PRODUCT_REQUANT_H
#define TC_MVE_PRODUCT_REQUANT_H

#include <stdbool.h>
#include <stdint.h>

#include "kernels/tc_after.h"
#include "kernels/tc_inline.h"
#include "kernels/tc_product_requant.h"
#include "kernels/tc_mve.h"
#include "kernels/tc_requant.h"

#ifdef __cplusplus
extern "C" {
#endif

#if TC_MVE
/* Predicated instructions are assembly, complete with their predicate: compilers move it through a core register. */

/* Stores the low bytes of the first `count` lanes, 1 to 4. */
TC_INLINE void tc_mve_store(int32x4_t y, uint32_t count, int8_t *output)
{
    __asm__ volatile(
        "vctp.32 %0\n\t"
        "vpst\n\t"
        "vstrbt.32 %q1, [%2]"
        :
        : "r"(count), "w"(y), "l"(output)
        : "p0", "memory");
}

/* y - extra where a < 0, else y. */
TC_INLINE int32x4_t tc_mve_subtract_where_negative(int32x4_t y, int32x4_t extra, int32x4_t a)
{
    __asm__("vpt.s32 lt, %q2, zr\n\t"
            "vsubt.i32 %q0, %q0, %q1"
            : "+w"(y)
            : "w"(extra), "w"(a)
            : "p0");
    return y;
}

/* The first `count` int8, 1 to 4, in lanes of 32 bits; the others are 0. */
TC_INLINE int32x4_t tc_mve_load4(const int8_t *input, uint32_t count)
{
    int32x4_t lanes;
    if (count >= 4u) {
        return vldrbq_s32(input);
    }
    __asm__ volatile(
        "vctp.32 %1\n\t"
        "vpst\n\t"
        "vldrbt.s32 %q0, [%2]"
        : "=w"(lanes)
        : "r"(count), "l"(input)
        : "p0", "memory");
    return lanes;
}

/* Saturated to int8: the low byte of each lane, and what else is in it means nothing. */
TC_INLINE int32x4_t tc_mve_saturate(int32x4_t y)
{
    /* Assembly, since the intrinsics' result keeps half of another operand, and compilers copy it. */
    __asm__("vqmovnb.s32 %q0, %q0\n\t"
            "vqmovnb.s16 %q0, %q0"
            : "+w"(y));
    return y;
}

/* Whether a clamp is the saturation to int8. Others take two vectors of constants, which compilers keep for whole loops. */
TC_INLINE bool tc_mve_saturates(int32_t low, int32_t high)
{
    return low == -128 && high == 127;
}

/* clamp(y >> shift, low, high), of which the low byte of each lane alone is right. */
TC_INLINE int32x4_t tc_mve_clamp(int32x4_t y, int32_t shift, int32_t low, int32_t high)
{
    const int32x4_t shifted = vshlq_r_s32(y, -shift);
    if (tc_mve_saturates(low, high)) {
        return tc_mve_saturate(shifted);
    }
    return vminq_s32(vmaxq_s32(shifted, vdupq_n_s32(low)), vdupq_n_s32(high));
}

/* tc_after_value of 4 int8, whose low bytes alone are right, here as in the result. */
TC_INLINE int32x4_t tc_mve_after(int32x4_t y, const int8_t *other, uint32_t count, const tc_after *after)
{
    if (after->kind == TC_AFTER_TABLE) {
        return vldrbq_gather_offset_s32(other, vandq_u32(vreinterpretq_u32_s32(y), vdupq_n_u32(0xFFu)));
    }
    const int32x4_t value = vmovlbq_s16(vmovlbq_s8(vreinterpretq_s8_s32(y)));
    const int32x4_t products = vmlaq_n_s32(vmulq_n_s32(value, after->first), tc_mve_load4(other, count), after->second);
    return tc_mve_clamp(vaddq_n_s32(products, after->start), after->shift, after->low, after->high);
}

TC_INLINE int32x4_t tc_mve_requant_start(int32x4_t sums, int32x4_t start, const tc_product_requant *requant)
{
    return vaddq_s32(requant->pre > 0 ? vshlq_r_s32(sums, requant->pre) : sums, start);
}

TC_INLINE int32x4_t tc_mve_requant_end(int32x4_t y, const int32_t *constants, const tc_product_requant *requant)
{
    if (requant->shift < 0) {
        y = vshlq_s32(y, vnegq_s32(vldrwq_s32(constants + 12)));
    }
    return tc_mve_clamp(y, tc_max(requant->shift, 0), requant->low, requant->high);
}

/* The requantised results for the sums of 4 channels, of which the low byte of each lane alone is right. */
TC_INLINE int32x4_t tc_mve_requantize(int32x4_t sums, const int32_t *constants, const tc_product_requant *requant)
{
    const int32x4_t a = tc_mve_requant_start(sums, vldrwq_s32(constants), requant);
    int32x4_t y = vmulhq_s32(a, vldrwq_s32(constants + 4));
    if (requant->is_signed) {
        y = tc_mve_subtract_where_negative(y, vldrwq_s32(constants + 12), a);
    }
    return tc_mve_requant_end(vaddq_s32(y, vldrwq_s32(constants + 8)), constants, requant);
}

/* The compiler loads no constants before it has these vectors: such that wait for others cost stack. */
#define TC_MVE_HAVING(constants, first, second) __asm__("" : "+r"(constants), "+w"(first), "+w"(second))

/* The same for two pixels, which share the loads of the constants. */
TC_INLINE void tc_mve_requantize2(int32x4_t *first, int32x4_t *second, const int32_t *constants,
                                  const tc_product_requant *requant)
{
    const int32x4_t start = vldrwq_s32(constants);
    int32x4_t a = tc_mve_requant_start(*first, start, requant);
    int32x4_t b = tc_mve_requant_start(*second, start, requant);
    TC_MVE_HAVING(constants, a, b);
    const int32x4_t multiplier = vldrwq_s32(constants + 4);
    int32x4_t x = vmulhq_s32(a, multiplier);
    int32x4_t y = vmulhq_s32(b, multiplier);
    TC_MVE_HAVING(constants, x, y);
    if (requant->is_signed) {
        const int32x4_t extra = vldrwq_s32(constants + 12);
        x = tc_mve_subtract_where_negative(x, extra, a);
        y = tc_mve_subtract_where_negative(y, extra, b);
        TC_MVE_HAVING(constants, x, y);
    }
    const int32x4_t offset = vldrwq_s32(constants + 8);
    *first = tc_mve_requant_end(vaddq_s32(x, offset), constants, requant);
    *second = tc_mve_requant_end(vaddq_s32(y, offset), constants, requant);
}

/* Does what comes after requantisation, and stores the first `count` results, 1 to 4; `other` as in tc_after_value. */
TC_INLINE void tc_mve_store_and(int32x4_t y, const int8_t *other, int8_t *output, uint32_t count, const tc_after *after)
{
    if (after->kind != TC_AFTER_NOTHING) {
        y = tc_mve_after(y, other, count, after);
    }
    if (count >= 4u) {
        vstrbq_s32(output, y);
    } else {
        tc_mve_store(y, count, output);
    }
}

TC_INLINE void tc_mve_finish(int32x4_t sums, const int32_t *constants, int8_t *output, uint32_t count,
                             const tc_product_requant *requant)
{
    static const tc_after nothing = TC_NOTHING_AFTER;
    tc_mve_store_and(tc_mve_requantize(sums, constants, requant), NULL, output, count, &nothing);
}
#endif

/*
 * Requantises 4 channels of a pixel, does what comes after it and stores them.
 *
 * sums   in memory
 * other  as in tc_after_value
 * count  of the channels, 1 to 4, which exist
 */
TC_INLINE void tc_mve_finish4_and(const int32_t sums[4], const int32_t *constants, const int8_t *other, int8_t *output,
                                  uint32_t count, const tc_product_requant *requant, const tc_after *after)
{
#if TC_MVE
    tc_mve_store_and(tc_mve_requantize(vldrwq_s32(sums), constants, requant), other, output, count, after);
#else
    for (uint32_t i = 0; i < (count < 4u ? count : 4u); i++) {
        const int32_t channel[4] = {constants[i], constants[4u + i], constants[8u + i],
                                    tc_product_requant_words(requant) > 3u ? constants[12u + i] : 0};
        const int32_t value = tc_product_requantize(sums[i], channel, requant);
        output[i] = (int8_t)tc_after_value(value, tc_after_at(other, (int32_t)i, after), after);
    }
#endif
}

TC_INLINE void tc_mve_finish4(const int32_t sums[4], const int32_t *constants, int8_t *output, uint32_t count,
                              const tc_product_requant *requant)
{
    static const tc_after nothing = TC_NOTHING_AFTER;
    tc_mve_finish4_and(sums, constants, NULL, output, count, requant, &nothing);
}

/* The same 4 channels of two pixels, `next` elements apart: sums[4 p + c]. */
TC_INLINE void tc_mve_finish2x4_and(const int32_t sums[8], const int32_t *constants, const int8_t *other,
                                    int8_t *output, int32_t next, uint32_t count, const tc_product_requant *requant,
                                    const tc_after *after)
{
#if TC_MVE
    /* Both before a store, which might have changed the constants for all that the compiler knows. */
    int32x4_t first = vldrwq_s32(sums);
    int32x4_t second = vldrwq_s32(sums + 4);
    tc_mve_requantize2(&first, &second, constants, requant);
    tc_mve_store_and(first, other, output, count, after);
    tc_mve_store_and(second, tc_after_at(other, next, after), output + next, count, after);
#else
    tc_mve_finish4_and(sums + 4, constants, tc_after_at(other, next, after), output + next, count, requant, after);
    tc_mve_finish4_and(sums, constants, other, output, count, requant, after);
#endif
}

#ifdef __cplusplus
}
#endif

#endif
