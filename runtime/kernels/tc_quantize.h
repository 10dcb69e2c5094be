/* SPDX-License-Identifier: 0BSD */
/*
 * Between float and 8-bit numbers, at the edges of a model.
 *
 * tc_quantize_*: value / scale in float, rounded to the nearest integer, plus the zero point, saturated.
 *   As in tflite::reference_ops::AffineQuantize halves go away from zero; what has no int32_t, a NaN too, becomes INT32_MIN
 *   before the zero point is added modulo 2^32, which is how LiteRT does it on x86-64.
 *   As in ONNX's QuantizeLinear (ties_even) halves go to even numbers, and a NaN becomes the smallest value.
 * tc_dequantize_*: tflite::reference_ops::Dequantize: scale * (q - zero_point), rounded once.
 *
 * Elements are read and written in memory order.
 */
#ifndef TC_QUANTIZE_H
#define TC_QUANTIZE_H

#include <stdint.h>

#include "cmsis_shim/tc_simd.h"
#include "kernels/tc_bytes.h"
#include "kernels/tc_float_exact.h"
#include "kernels/tc_inline.h"
#include "kernels/tc_requant.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tc_quantize_shape {
    int32_t count;
    float scale;
    int32_t zero_point;
    int32_t low;
    int32_t high;
    int32_t ties_even;
} tc_quantize_shape;

/* The limits are those of the type if nothing is fused: one instruction. */
TC_INLINE int32_t tc_quantize_limited(int32_t value, const tc_quantize_shape *shape)
{
    if (shape->low == -128 && shape->high == 127) {
        return tc_ssat8(value);
    }
    if (shape->low == 0 && shape->high == 255) {
        return tc_usat8(value);
    }
    return tc_clamp(value, shape->low, shape->high);
}

TC_INLINE int32_t tc_quantize_value(float value, float scale, const tc_quantize_shape *shape)
{
    const float quotient = tc_opaque(tc_opaque(value) / scale);
    const int32_t rounded = shape->ties_even ? tc_round_even(quotient, INT32_MIN / 2) : tc_round_away(quotient);
    return tc_quantize_limited(tc_wrapping_add(rounded, shape->zero_point), shape);
}

#if TC_DSP && defined(__GNUC__) && defined(__ARM_FP) && (__ARM_FP & 4)
#define TC_QUANTIZE_BLOCKS 1
#else
#define TC_QUANTIZE_BLOCKS 0
#endif

#if TC_QUANTIZE_BLOCKS
#define TC_QUANTIZE_INVALID 1u /* FPSCR's IOC: a NaN, or a number without an int32_t, was converted */

TC_INLINE uint32_t tc_fpscr(void)
{
    uint32_t bits;
    __asm__ volatile("vmrs %0, fpscr" : "=r"(bits));
    return bits;
}

TC_INLINE void tc_fpscr_set(uint32_t bits)
{
    __asm__ volatile("vmsr fpscr, %0" : : "r"(bits));
}

/* Eight quotients, from s0 - s7 to core registers; `convert` is VCVT to 256ths, towards zero, or VCVTR to the nearest even. */
#define TC_QUANTIZE_EIGHT(convert, behind)                                                                             \
    __asm__ volatile("vldmia %[from], {s0-s7}\n\t"                                                                     \
                     "vdiv.f32 s0, s0, %[scale]\n\t"                                                                   \
                     "vdiv.f32 s1, s1, %[scale]\n\t"                                                                   \
                     "vdiv.f32 s2, s2, %[scale]\n\t"                                                                   \
                     "vdiv.f32 s3, s3, %[scale]\n\t"                                                                   \
                     "vdiv.f32 s4, s4, %[scale]\n\t"                                                                   \
                     "vdiv.f32 s5, s5, %[scale]\n\t"                                                                   \
                     "vdiv.f32 s6, s6, %[scale]\n\t"                                                                   \
                     "vdiv.f32 s7, s7, %[scale]\n\t" convert " s0, s0" behind convert " s1, s1" behind convert          \
                     " s2, s2" behind convert " s3, s3" behind convert " s4, s4" behind convert " s5, s5" behind       \
                     convert " s6, s6" behind convert " s7, s7" behind                                                 \
                     "vmrs %[status], fpscr\n\t"                                                                       \
                     "vmov %[a], %[b], s0, s1\n\t"                                                                     \
                     "vmov %[c], %[d], s2, s3\n\t"                                                                     \
                     "vmov %[e], %[f], s4, s5\n\t"                                                                     \
                     "vmov %[g], %[h], s6, s7"                                                                         \
                     : [status] "=&r"(status), [a] "=&r"(v[0]), [b] "=&r"(v[1]), [c] "=&r"(v[2]), [d] "=&r"(v[3]),     \
                       [e] "=&r"(v[4]), [f] "=&r"(v[5]), [g] "=&r"(v[6]), [h] "=&r"(v[7])                              \
                     : [from] "r"(from), [scale] "t"(shape->scale), "m"(*(const float(*)[8])from)                      \
                     : "s0", "s1", "s2", "s3", "s4", "s5", "s6", "s7")

/* Eight converted quotients; whether all of them could be. */
TC_INLINE int32_t tc_quantize_eight(const float *from, int32_t *v, const tc_quantize_shape *shape)
{
    uint32_t status;
    if (shape->ties_even) {
        TC_QUANTIZE_EIGHT("vcvtr.s32.f32", "\n\t");
    } else {
        TC_QUANTIZE_EIGHT("vcvt.s32.f32", ", #8\n\t");
    }
    return (status & TC_QUANTIZE_INVALID) == 0u;
}

/* 256ths, of which what is below was cut off, become whole ones; negative halves go downwards. */
TC_INLINE int32_t tc_quantize_finished(int32_t converted, const tc_quantize_shape *shape)
{
    if (shape->ties_even) {
        return tc_quantize_limited(__qadd(converted, shape->zero_point), shape);
    }
    int32_t offset = shape->zero_point * 256 + 128;
    __asm__("" : "+r"(offset)); /* in a register, so that the sign is added with its shift */
    const int32_t sum = __qadd(converted, offset + (converted >> 31));
    return shape->low == -128 && shape->high == 127 ? tc_saturate8(sum, 8) : tc_quantize_limited(sum >> 8, shape);
}
#endif

/* One by one. The scale is opaque anew for each element: no flag makes its reciprocal a constant of the loop. */
#define TC_QUANTIZE_EACH(name, element)                                                                                \
    TC_INLINE void name##_each(const float *input, element *output, int32_t count, const tc_quantize_shape *shape)     \
    {                                                                                                                  \
        float scale = shape->scale;                                                                                    \
        for (int32_t i = 0; i < count; ++i) {                                                                          \
            scale = tc_opaque(scale);                                                                                  \
            output[i] = (element)tc_quantize_value(input[i], scale, shape);                                            \
        }                                                                                                              \
    }

/*
 * Defines void name(const float *input, element *output, const tc_quantize_shape *shape). With an FPU eight elements are
 * converted at a time, and FPSCR says whether all of them could be: it is cleared before, and afterwards has what it had.
 * A group of which it says otherwise is computed again, one by one.
 */
#if TC_QUANTIZE_BLOCKS
#define TC_QUANTIZE(name, element)                                                                                     \
    TC_QUANTIZE_EACH(name, element)                                                                                    \
    TC_INLINE void name(const float *input, element *output, const tc_quantize_shape *shape)                           \
    {                                                                                                                  \
        const int32_t blocks = shape->count / 8 * 8;                                                                   \
        const uint32_t before = tc_fpscr();                                                                            \
        tc_fpscr_set(before & ~TC_QUANTIZE_INVALID);                                                                   \
        for (int32_t i = 0; i < blocks; i += 8) {                                                                      \
            int32_t v[8];                                                                                              \
            if (!tc_quantize_eight(input + i, v, shape)) {                                                             \
                name##_each(input + i, output + i, 8, shape);                                                          \
                tc_fpscr_set(tc_fpscr() & ~TC_QUANTIZE_INVALID);                                                       \
                continue;                                                                                              \
            }                                                                                                          \
            output[i] = (element)tc_quantize_finished(v[0], shape);                                                    \
            output[i + 1] = (element)tc_quantize_finished(v[1], shape);                                                \
            output[i + 2] = (element)tc_quantize_finished(v[2], shape);                                                \
            output[i + 3] = (element)tc_quantize_finished(v[3], shape);                                                \
            output[i + 4] = (element)tc_quantize_finished(v[4], shape);                                                \
            output[i + 5] = (element)tc_quantize_finished(v[5], shape);                                                \
            output[i + 6] = (element)tc_quantize_finished(v[6], shape);                                                \
            output[i + 7] = (element)tc_quantize_finished(v[7], shape);                                                \
        }                                                                                                              \
        name##_each(input + blocks, output + blocks, shape->count % 8, shape);                                         \
        tc_fpscr_set(tc_fpscr() | (before & TC_QUANTIZE_INVALID));                                                     \
    }
#else
#define TC_QUANTIZE(name, element)                                                                                     \
    TC_QUANTIZE_EACH(name, element)                                                                                    \
    TC_INLINE void name(const float *input, element *output, const tc_quantize_shape *shape)                           \
    {                                                                                                                  \
        name##_each(input, output, shape->count, shape);                                                               \
    }
#endif

TC_QUANTIZE(tc_quantize_s8, int8_t)
TC_QUANTIZE(tc_quantize_u8, uint8_t)
TC_QUANTIZE(tc_quantize_s16, int16_t)

typedef struct tc_quantize_search_shape {
    int32_t count;
    int32_t first; /* orders of numbers outside of first .. last give `other` */
    int32_t last;
    int32_t low;
    int32_t other;
} tc_quantize_search_shape;

/* An integer that is the larger, the larger the number is: the bits, those of negative ones turned round. */
TC_INLINE int32_t tc_float_order(float value)
{
    const int32_t bits = (int32_t)tc_float_bits(value);
    return bits ^ (int32_t)((uint32_t)(bits >> 31) >> 1);
}

/* Passes `entries` thresholds if the order reaches the last of them: in assembly, since compilers avoid the branch. */
#if TC_THUMB2
#define TC_QUANTIZE_STEP(entries, at, order)                                                                           \
    do {                                                                                                               \
        int32_t threshold;                                                                                             \
        __asm__("ldr %1, [%0, #4 * " #entries " - 4]\n\t"                                                              \
                "cmp %2, %1\n\t"                                                                                       \
                "it ge\n\t"                                                                                            \
                "addge %0, %0, #4 * " #entries                                                                         \
                : "+r"(at), "=&r"(threshold)                                                                           \
                : "r"(order)                                                                                           \
                : "cc", "memory");                                                                                     \
    } while (0)
#else
#define TC_QUANTIZE_STEP(entries, at, order) at += (order) >= at[entries - 1] ? entries : 0
#endif
#if TC_THUMB1
#define TC_QUANTIZE_NEAR(entries, at, order)                                                                           \
    do {                                                                                                               \
        int32_t threshold;                                                                                             \
        __asm__(".syntax unified\n\t"                                                                                  \
                "ldr %1, [%0, #4 * " #entries " - 4]\n\t"                                                              \
                "cmp %2, %1\n\t"                                                                                       \
                "blt 1f\n\t"                                                                                           \
                "adds %0, %0, #4 * " #entries "\n"                                                                     \
                "1:"                                                                                                   \
                : "+l"(at), "=&l"(threshold)                                                                           \
                : "l"(order)                                                                                           \
                : "cc", "memory");                                                                                     \
    } while (0)
#else
#define TC_QUANTIZE_NEAR(entries, at, order) TC_QUANTIZE_STEP(entries, at, order)
#endif

/* How many of 255 thresholds, which ascend, the order reaches. */
TC_INLINE int32_t tc_quantize_reached(int32_t order, const int32_t *thresholds)
{
    const int32_t *at = thresholds;
    TC_QUANTIZE_STEP(128, at, order);
    TC_QUANTIZE_STEP(64, at, order);
    TC_QUANTIZE_NEAR(32, at, order);
    TC_QUANTIZE_NEAR(16, at, order);
    TC_QUANTIZE_NEAR(8, at, order);
    TC_QUANTIZE_NEAR(4, at, order);
    TC_QUANTIZE_NEAR(2, at, order);
    TC_QUANTIZE_NEAR(1, at, order);
    return (int32_t)(at - thresholds);
}

/* Without an FPU: thresholds[i] is the order of the least number that gives low + i + 1. Any 8-bit type. */
TC_INLINE void tc_quantize_search(const float *input, void *output, const int32_t *thresholds,
                                  const tc_quantize_search_shape *shape)
{
    uint8_t *const to = (uint8_t *)output;
    const uint32_t span = (uint32_t)shape->last - (uint32_t)shape->first;
    for (int32_t i = 0; i < shape->count; ++i) {
        const int32_t order = tc_float_order(input[i]);
        const int32_t reached = tc_quantize_reached(order, thresholds);
        const int32_t inside = (uint32_t)order - (uint32_t)shape->first <= span;
        to[i] = (uint8_t)(inside ? shape->low + reached : shape->other);
    }
}

typedef struct tc_dequantize_shape {
    int32_t count;
    float scale;
    int32_t zero_point;
} tc_dequantize_shape;

/* Defines void name(const element *input, float *output, const tc_dequantize_shape *shape). */
#define TC_DEQUANTIZE(name, element)                                                                                   \
    TC_INLINE void name(const element *input, float *output, const tc_dequantize_shape *shape)                         \
    {                                                                                                                  \
        for (int32_t i = 0; i < shape->count; ++i) {                                                                   \
            output[i] = (float)(input[i] - shape->zero_point) * shape->scale;                                          \
        }                                                                                                              \
    }

TC_DEQUANTIZE(tc_dequantize_s8, int8_t)
TC_DEQUANTIZE(tc_dequantize_u8, uint8_t)
TC_DEQUANTIZE(tc_dequantize_s16, int16_t)

typedef struct tc_dequantize_count {
    int32_t count;
} tc_dequantize_count;

/* Floats that are copied as words: a compiler with an FPU would take them through its registers, at other addresses. */
#if defined(__GNUC__)
typedef uint32_t __attribute__((may_alias)) tc_float_word;
#else
typedef float tc_float_word;
#endif

/* The number of each byte is in a table. */
TC_INLINE void tc_dequantize_table(const void *input, float *output, const float *numbers,
                                   const tc_dequantize_count *shape)
{
    const uint8_t *const bytes = (const uint8_t *)input;
    const tc_float_word *const table = (const tc_float_word *)numbers;
    tc_float_word *const to = (tc_float_word *)output;
    for (int32_t i = 0; i < shape->count / 4 * 4; i += 4) {
        const tc_float_word first = table[bytes[i]];
        const tc_float_word second = table[bytes[i + 1]];
        const tc_float_word third = table[bytes[i + 2]];
        const tc_float_word fourth = table[bytes[i + 3]];
        to[i] = first;
        to[i + 1] = second;
        to[i + 2] = third;
        to[i + 3] = fourth;
    }
    for (int32_t i = shape->count / 4 * 4; i < shape->count; ++i) {
        to[i] = table[bytes[i]];
    }
}

#ifdef __cplusplus
}
#endif

#endif
