/* SPDX-License-Identifier: 0BSD */
/*
 * Between float and 8-bit numbers by Helium with floats: tc_quantize.h, 8 or 4 elements at a time.
 *
 * There is no division of vectors. With r = 1 / scale in two floats, r0 the nearest and r1 the rest,
 *
 *     q0 = x r0 + x r1, both fused      within one unit in the last place of x / scale
 *     q  = q0 + (x - q0 scale) r0       the division's own result (P. Markstein, 1990): the difference is exact, and r0 is
 *                                       the correctly rounded reciprocal
 *
 * as long as nothing is subnormal or infinite: numbers beyond what gives an end of the range are replaced before, which
 * takes NaNs along, and the scale is neither small nor large. VCVTA and VCVTN round halves away from zero and to even.
 */
#ifndef TC_MVE_QUANTIZE_H
#define TC_MVE_QUANTIZE_H

#include <stdint.h>

#include "kernels/tc_float_exact.h"
#include "kernels/tc_inline.h"
#include "kernels/tc_mve.h"
#include "kernels/tc_quantize.h"

#if TC_MVE && (__ARM_FEATURE_MVE & 2)
#define TC_MVE_FLOATS 1
#else
#define TC_MVE_FLOATS 0
#endif

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tc_mve_quantize_shape {
    tc_quantize_shape plain;
    float reciprocal; /* r0 */
    float rest;       /* r1 */
    float beyond;     /* numbers from it on, away from zero, have no int32_t: they become `replaced`; TFLite's rule only */
    float replaced;   /* gives the end of the range that they have, and NaNs; the smallest value in ONNX's rule */
} tc_mve_quantize_shape;

#if TC_MVE_FLOATS

/*
 * 4 numbers x, which are lost, become integers: those that don't compare, and NaNs, have been `replaced`, which is in q6, and
 * those beyond the other end have become `end` by `keep`. q2 is lost.
 */
#define TC_MVE_QUOTIENTS(x, comparison, keep, end, round) \
    "vcmp.f32 " comparison(x) "\n\t" \
    "vpsel " x ", " x ", q6\n\t" \
    keep " " x ", " x ", " end "\n\t" \
    "vmul.f32 q2, " x ", %[rest]\n\t" \
    "vfma.f32 q2, " x ", %[reciprocal]\n\t" \
    "vfma.f32 " x ", q2, %[minus_scale]\n\t" \
    "vfma.f32 q2, " x ", %[reciprocal]\n\t" \
    round ".s32.f32 " x ", q2\n\t" \
    "vqadd.s32 " x ", " x ", %[zero_point]\n\t"

/* LT and LE are what GE and GT aren't, with NaNs, too; so `below` has its operands the other way round, in q5. */
#define TC_MVE_BELOW(x) "gt, q5, " x
#define TC_MVE_ABOVE(x) "gt, " x ", %[beyond]"
#define TC_MVE_REACHES(x) "ge, " x ", %[replaced]"

#define TC_MVE_QUANTIZE_LOOP(comparison, keep, end, round, narrow) \
    __asm__ volatile( \
        "vdup.32 q6, %[replaced]\n\t" \
        "vneg.f32 q7, q6\n\t" \
        "vdup.32 q5, %[beyond]\n\t" \
        "mov lr, %[blocks]\n" \
        "1:\n\t" \
        "vld20.32 {q0, q1}, [%[from]]\n\t" \
        "vld21.32 {q0, q1}, [%[from]]!\n\t" \
        TC_MVE_QUOTIENTS("q0", comparison, keep, end, round) \
        TC_MVE_QUOTIENTS("q1", comparison, keep, end, round) \
        "vqmovnb.s32 q0, q0\n\t" \
        "vqmovnt.s32 q0, q1\n\t" \
        narrow " q0, q0\n\t" \
        "vstrb.16 q0, [%[to]], #8\n\t" \
        "le lr, 1b\n\t" \
        : [from] "+r"(from), [to] "+l"(to) \
        : [blocks] "r"(blocks), [rest] "r"(tc_float_bits(shape->rest)), [reciprocal] "r"(tc_float_bits(shape->reciprocal)), \
          [minus_scale] "r"(tc_float_bits(-plain->scale)), [zero_point] "r"(plain->zero_point), \
          [beyond] "r"(tc_float_bits(shape->beyond)), [replaced] "r"(tc_float_bits(shape->replaced)) \
        : "q0", "q1", "q2", "q5", "q6", "q7", "lr", "p0", "cc", "memory")

/* `blocks` x 8 elements, at least one. */
TC_INLINE void tc_mve_quantize_blocks(const float *from, void *output, int32_t blocks, const tc_mve_quantize_shape *shape)
{
    const tc_quantize_shape *plain = &shape->plain;
    uint8_t *to = (uint8_t *)output;
    const int32_t is_unsigned = plain->low == 0;
    if (plain->ties_even && is_unsigned) {
        TC_MVE_QUANTIZE_LOOP(TC_MVE_REACHES, "vminnm.f32", "q7", "vcvtn", "vqmovunb.s16");
    } else if (plain->ties_even) {
        TC_MVE_QUANTIZE_LOOP(TC_MVE_REACHES, "vminnm.f32", "q7", "vcvtn", "vqmovnb.s16");
    } else if (shape->replaced < 0.0f && is_unsigned) {
        TC_MVE_QUANTIZE_LOOP(TC_MVE_BELOW, "vmaxnm.f32", "q6", "vcvta", "vqmovunb.s16");
    } else if (shape->replaced < 0.0f) {
        TC_MVE_QUANTIZE_LOOP(TC_MVE_BELOW, "vmaxnm.f32", "q6", "vcvta", "vqmovnb.s16");
    } else {
        TC_MVE_QUANTIZE_LOOP(TC_MVE_ABOVE, "vminnm.f32", "q6", "vcvta", "vqmovnb.s16");
    }
}
#endif

/* Defines void name(const float *input, element *output, const tc_mve_quantize_shape *shape). */
#if TC_MVE_FLOATS
#define TC_MVE_QUANTIZE(name, plain_name, element) \
    TC_INLINE void name(const float *input, element *output, const tc_mve_quantize_shape *shape) \
    { \
        const int32_t blocks = shape->plain.count / 8; \
        tc_mve_quantize_blocks(input, output, blocks, shape); \
        plain_name##_each(input + 8 * blocks, output + 8 * blocks, shape->plain.count % 8, &shape->plain); \
    }
#else
#define TC_MVE_QUANTIZE(name, plain_name, element) \
    TC_INLINE void name(const float *input, element *output, const tc_mve_quantize_shape *shape) \
    { \
        plain_name(input, output, &shape->plain); \
    }
#endif

TC_MVE_QUANTIZE(tc_mve_quantize_s8, tc_quantize_s8, int8_t)
TC_MVE_QUANTIZE(tc_mve_quantize_u8, tc_quantize_u8, uint8_t)

#if TC_MVE_FLOATS
#define TC_MVE_DEQUANTIZE_LOOP(load) \
    __asm__ volatile( \
        "mov lr, %[blocks]\n" \
        "1:\n\t" \
        load " q0, [%[from]], #4\n\t" \
        "vsub.i32 q0, q0, %[zero_point]\n\t" \
        "vcvt.f32.s32 q0, q0\n\t" \
        "vmul.f32 q0, q0, %[scale]\n\t" \
        "vstrw.32 q0, [%[to]], #16\n\t" \
        "le lr, 1b\n\t" \
        : [from] "+l"(from), [to] "+r"(to) \
        : [blocks] "r"(blocks), [zero_point] "r"(shape->zero_point), [scale] "r"(tc_float_bits(shape->scale)) \
        : "q0", "lr", "cc", "memory")
#define TC_MVE_DEQUANTIZE(name, plain_name, element, load) \
    TC_INLINE void name(const element *input, float *output, const tc_dequantize_shape *shape) \
    { \
        const int32_t blocks = shape->count / 4; \
        const element *from = input; \
        float *to = output; \
        TC_MVE_DEQUANTIZE_LOOP(load); \
        const tc_dequantize_shape rest = {shape->count % 4, shape->scale, shape->zero_point}; \
        plain_name(input + 4 * blocks, output + 4 * blocks, &rest); \
    }
#else
#define TC_MVE_DEQUANTIZE(name, plain_name, element, load) \
    TC_INLINE void name(const element *input, float *output, const tc_dequantize_shape *shape) \
    { \
        plain_name(input, output, shape); \
    }
#endif

TC_MVE_DEQUANTIZE(tc_mve_dequantize_s8, tc_dequantize_s8, int8_t, "vldrb.s32")
TC_MVE_DEQUANTIZE(tc_mve_dequantize_u8, tc_dequantize_u8, uint8_t, "vldrb.u32")

#ifdef __cplusplus
}
#endif

#endif
