/* SPDX-License-Identifier: 0BSD */
/*
 * Fourier transforms of real samples, with the roundings of kissfft's fixed point: each stage divides by its factor and
 * multiplies by twiddle factors of as many bits as an element has; sums wrap. Of floats without divisions.
 *
 * Complex numbers are two elements, the real and the imaginary part. A transform of n of them reads its points in the
 * order that the first stage wants, and then goes through one stage for each factor of n, on the spot: `step` numbers
 * apart are the operands, there are n / (factor * step) groups of them. Each number but the first of a stage is multiplied
 * by twiddles, factor - 1 of them for each position within the step; at position 0 they are 1, and multiply nothing.
 *
 * Per type: element, what sums of a few are computed in, how they are added, wrapped, halved and rounded.
 */
#ifndef TC_SIGNAL_FFT_H
#define TC_SIGNAL_FFT_H

#include <stddef.h>
#include <stdint.h>

#include "cmsis_shim/tc_simd.h"
#include "kernels/tc_inline.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TC_SIGNAL_STAGES 16

/* Where the stages read their twiddles, in the order in which they are executed. */
typedef struct tc_signal_fft_shape {
    int32_t frames;
    int32_t samples; /* of a frame; zeros follow */
    int32_t points;  /* of the complex transform */
    int32_t stages;
    int32_t factor[TC_SIGNAL_STAGES];
} tc_signal_fft_shape;

TC_INLINE int32_t tc_add_s16(int32_t a, int32_t b)
{
    return a + b;
}

TC_INLINE int32_t tc_sub_s16(int32_t a, int32_t b)
{
    return a - b;
}

TC_INLINE int32_t tc_wrap_s16(int32_t x)
{
    return (int16_t)(x & 0xFFFF);
}

TC_INLINE int32_t tc_half_s16(int32_t x)
{
    return x >> 1;
}

/* c + a * b, c - a * b: MLA, MLS, where compilers shift and subtract for factors such as 8191. */
TC_INLINE int32_t tc_plus_product(int32_t a, int32_t b, int32_t c)
{
#if TC_THUMB2
    int32_t sum;
    __asm__("mla %0, %1, %2, %3" : "=r"(sum) : "r"(a), "r"(b), "r"(c));
    return sum;
#else
    return c + a * b;
#endif
}

TC_INLINE int32_t tc_minus_product(int32_t a, int32_t b, int32_t c)
{
#if TC_THUMB2
    int32_t difference;
    __asm__("mls %0, %1, %2, %3" : "=r"(difference) : "r"(a), "r"(b), "r"(c));
    return difference;
#else
    return c - a * b;
#endif
}

/* Less than half of an element's range, so that nothing wraps. */
TC_INLINE int32_t tc_divide_s16(int32_t x, int32_t by)
{
    return tc_plus_product(x, 32767 / by, 16384) >> 15;
}

TC_INLINE int32_t tc_times_s16(int32_t x, int32_t y)
{
    return tc_wrap_s16(tc_plus_product(x, y, 16384) >> 15);
}

/* a * b + c * d, and with a minus. */
TC_INLINE int32_t tc_sum_of_products_s16(int32_t a, int32_t b, int32_t c, int32_t d)
{
    return tc_wrap_s16(tc_plus_product(c, d, tc_plus_product(a, b, 16384)) >> 15);
}

TC_INLINE int32_t tc_difference_of_products_s16(int32_t a, int32_t b, int32_t c, int32_t d)
{
    return tc_wrap_s16(tc_minus_product(c, d, tc_plus_product(a, b, 16384)) >> 15);
}

TC_INLINE int32_t tc_add_s32(int32_t a, int32_t b)
{
    return (int32_t)((uint32_t)a + (uint32_t)b);
}

TC_INLINE int32_t tc_sub_s32(int32_t a, int32_t b)
{
    return (int32_t)((uint32_t)a - (uint32_t)b);
}

TC_INLINE int32_t tc_wrap_s32(int32_t x)
{
    return x;
}

TC_INLINE int32_t tc_half_s32(int32_t x)
{
    return x >> 1;
}

TC_INLINE int32_t tc_times_s32(int32_t x, int32_t y)
{
    return (int32_t)(uint32_t)(((int64_t)x * y + 0x40000000) >> 31);
}

TC_INLINE int32_t tc_divide_s32(int32_t x, int32_t by)
{
    return tc_times_s32(x, 2147483647 / by);
}

TC_INLINE int32_t tc_sum_of_products_s32(int32_t a, int32_t b, int32_t c, int32_t d)
{
    return (int32_t)(uint32_t)(((int64_t)a * b + (int64_t)c * d + 0x40000000) >> 31);
}

TC_INLINE int32_t tc_difference_of_products_s32(int32_t a, int32_t b, int32_t c, int32_t d)
{
    return (int32_t)(uint32_t)(((int64_t)a * b - (int64_t)c * d + 0x40000000) >> 31);
}

TC_INLINE float tc_add_f32(float a, float b)
{
    return a + b;
}

TC_INLINE float tc_sub_f32(float a, float b)
{
    return a - b;
}

TC_INLINE float tc_wrap_f32(float x)
{
    return x;
}

TC_INLINE float tc_half_f32(float x)
{
    return x * 0.5f;
}

TC_INLINE float tc_divide_f32(float x, int32_t by)
{
    (void)by;
    return x;
}

TC_INLINE float tc_times_f32(float x, float y)
{
    return x * y;
}

TC_INLINE float tc_sum_of_products_f32(float a, float b, float c, float d)
{
    return a * b + c * d;
}

TC_INLINE float tc_difference_of_products_f32(float a, float b, float c, float d)
{
    return a * b - c * d;
}

/* The stages of factors 2 to 5 of one position in one group, and what goes through all of them. */
#define TC_SIGNAL_FFT(type, word, s)                                                                                   \
    typedef struct tc_complex_##s {                                                                                    \
        word r;                                                                                                        \
        word i;                                                                                                        \
    } tc_complex_##s;                                                                                                  \
    TC_INLINE tc_complex_##s tc_complex_add_##s(tc_complex_##s a, tc_complex_##s b)                                    \
    {                                                                                                                  \
        const tc_complex_##s sum = {tc_add_##s(a.r, b.r), tc_add_##s(a.i, b.i)};                                       \
        return sum;                                                                                                    \
    }                                                                                                                  \
    TC_INLINE tc_complex_##s tc_complex_sub_##s(tc_complex_##s a, tc_complex_##s b)                                    \
    {                                                                                                                  \
        const tc_complex_##s difference = {tc_sub_##s(a.r, b.r), tc_sub_##s(a.i, b.i)};                                \
        return difference;                                                                                             \
    }                                                                                                                  \
    TC_INLINE tc_complex_##s tc_complex_wrap_##s(tc_complex_##s a)                                                     \
    {                                                                                                                  \
        const tc_complex_##s wrapped = {tc_wrap_##s(a.r), tc_wrap_##s(a.i)};                                           \
        return wrapped;                                                                                                \
    }                                                                                                                  \
    /* a + i b * sign */                                                                                               \
    TC_INLINE tc_complex_##s tc_complex_turn_##s(tc_complex_##s a, tc_complex_##s b, int32_t minus)                    \
    {                                                                                                                  \
        const tc_complex_##s ahead = {tc_sub_##s(a.r, b.i), tc_add_##s(a.i, b.r)};                                     \
        const tc_complex_##s behind = {tc_add_##s(a.r, b.i), tc_sub_##s(a.i, b.r)};                                    \
        return minus ? behind : ahead;                                                                                 \
    }                                                                                                                  \
    TC_INLINE tc_complex_##s tc_complex_times_##s(tc_complex_##s a, const type *b)                                     \
    {                                                                                                                  \
        const tc_complex_##s product = {tc_difference_of_products_##s(a.r, b[0], a.i, b[1]),                           \
                                        tc_sum_of_products_##s(a.r, b[1], a.i, b[0])};                                 \
        return product;                                                                                                \
    }                                                                                                                  \
    TC_INLINE tc_complex_##s tc_complex_divide_##s(tc_complex_##s a, int32_t by)                                       \
    {                                                                                                                  \
        const tc_complex_##s quotient = {tc_divide_##s(a.r, by), tc_divide_##s(a.i, by)};                              \
        return quotient;                                                                                               \
    }                                                                                                                  \
    TC_INLINE tc_complex_##s tc_complex_load_##s(const type *from)                                                     \
    {                                                                                                                  \
        const tc_complex_##s number = {from[0], from[1]};                                                              \
        return number;                                                                                                 \
    }                                                                                                                  \
    TC_INLINE void tc_complex_store_##s(type *to, tc_complex_##s number)                                               \
    {                                                                                                                  \
        to[0] = (type)tc_wrap_##s(number.r);                                                                           \
        to[1] = (type)tc_wrap_##s(number.i);                                                                           \
    }                                                                                                                  \
    /* Operand `row` of a stage, divided and turned. */                                                                \
    TC_INLINE tc_complex_##s tc_signal_operand_##s(const type *at, int32_t row, const type *twiddles, int32_t factor)  \
    {                                                                                                                  \
        const tc_complex_##s x = tc_complex_divide_##s(tc_complex_load_##s(at), factor);                               \
        return twiddles != NULL && row > 0 ? tc_complex_times_##s(x, twiddles + 2 * (row - 1)) : x;                    \
    }                                                                                                                  \
    TC_INLINE void tc_signal_two_##s(type *at, int32_t step, const type *twiddles)                                     \
    {                                                                                                                  \
        const tc_complex_##s a = tc_signal_operand_##s(at, 0, twiddles, 2);                                            \
        const tc_complex_##s b = tc_signal_operand_##s(at + step, 1, twiddles, 2);                                     \
        tc_complex_store_##s(at, tc_complex_add_##s(a, b));                                                            \
        tc_complex_store_##s(at + step, tc_complex_sub_##s(a, b));                                                     \
    }                                                                                                                  \
    TC_INLINE void tc_signal_three_##s(type *at, int32_t step, const type *twiddles, type sine)                        \
    {                                                                                                                  \
        const tc_complex_##s a = tc_signal_operand_##s(at, 0, twiddles, 3);                                            \
        const tc_complex_##s b = tc_signal_operand_##s(at + step, 1, twiddles, 3);                                     \
        const tc_complex_##s c = tc_signal_operand_##s(at + 2 * step, 2, twiddles, 3);                                 \
        const tc_complex_##s sum = tc_complex_wrap_##s(tc_complex_add_##s(b, c));                                      \
        const tc_complex_##s apart = tc_complex_wrap_##s(tc_complex_sub_##s(b, c));                                    \
        const tc_complex_##s middle = {tc_sub_##s(a.r, tc_half_##s(sum.r)), tc_sub_##s(a.i, tc_half_##s(sum.i))};      \
        const tc_complex_##s side = {tc_times_##s(apart.r, sine), tc_times_##s(apart.i, sine)};                        \
        tc_complex_store_##s(at, tc_complex_add_##s(a, sum));                                                          \
        tc_complex_store_##s(at + step, tc_complex_turn_##s(middle, side, 0));                                         \
        tc_complex_store_##s(at + 2 * step, tc_complex_turn_##s(middle, side, 1));                                     \
    }                                                                                                                  \
    TC_INLINE void tc_signal_four_##s(type *at, int32_t step, const type *twiddles, int32_t inverse)                   \
    {                                                                                                                  \
        const tc_complex_##s a = tc_signal_operand_##s(at, 0, twiddles, 4);                                            \
        const tc_complex_##s b = tc_signal_operand_##s(at + step, 1, twiddles, 4);                                     \
        const tc_complex_##s c = tc_signal_operand_##s(at + 2 * step, 2, twiddles, 4);                                 \
        const tc_complex_##s d = tc_signal_operand_##s(at + 3 * step, 3, twiddles, 4);                                 \
        const tc_complex_##s more = tc_complex_add_##s(a, c), less = tc_complex_sub_##s(a, c);                         \
        const tc_complex_##s sum = tc_complex_add_##s(b, d), apart = tc_complex_sub_##s(b, d);                         \
        tc_complex_store_##s(at, tc_complex_add_##s(more, sum));                                                       \
        tc_complex_store_##s(at + step, tc_complex_turn_##s(less, apart, !inverse));                                   \
        tc_complex_store_##s(at + 2 * step, tc_complex_sub_##s(more, sum));                                            \
        tc_complex_store_##s(at + 3 * step, tc_complex_turn_##s(less, apart, inverse));                                \
    }                                                                                                                  \
    /* roots: cosine and sine of a fifth, and of two fifths, of the circle */                                          \
    TC_INLINE void tc_signal_five_##s(type *at, int32_t step, const type *twiddles, const type *roots)                 \
    {                                                                                                                  \
        const tc_complex_##s a = tc_signal_operand_##s(at, 0, twiddles, 5);                                            \
        const tc_complex_##s b = tc_signal_operand_##s(at + step, 1, twiddles, 5);                                     \
        const tc_complex_##s c = tc_signal_operand_##s(at + 2 * step, 2, twiddles, 5);                                 \
        const tc_complex_##s d = tc_signal_operand_##s(at + 3 * step, 3, twiddles, 5);                                 \
        const tc_complex_##s e = tc_signal_operand_##s(at + 4 * step, 4, twiddles, 5);                                 \
        const tc_complex_##s outer = tc_complex_wrap_##s(tc_complex_add_##s(b, e));                                    \
        const tc_complex_##s outer_apart = tc_complex_wrap_##s(tc_complex_sub_##s(b, e));                              \
        const tc_complex_##s inner = tc_complex_wrap_##s(tc_complex_add_##s(c, d));                                    \
        const tc_complex_##s inner_apart = tc_complex_wrap_##s(tc_complex_sub_##s(c, d));                              \
        const tc_complex_##s one = {                                                                                   \
            tc_add_##s(a.r, tc_add_##s(tc_times_##s(outer.r, roots[0]), tc_times_##s(inner.r, roots[2]))),             \
            tc_add_##s(a.i, tc_add_##s(tc_times_##s(outer.i, roots[0]), tc_times_##s(inner.i, roots[2])))};            \
        const tc_complex_##s two = {                                                                                   \
            tc_add_##s(a.r, tc_add_##s(tc_times_##s(outer.r, roots[2]), tc_times_##s(inner.r, roots[0]))),             \
            tc_add_##s(a.i, tc_add_##s(tc_times_##s(outer.i, roots[2]), tc_times_##s(inner.i, roots[0])))};            \
        const tc_complex_##s side = {                                                                                  \
            tc_add_##s(tc_times_##s(outer_apart.r, roots[1]), tc_times_##s(inner_apart.r, roots[3])),                  \
            tc_add_##s(tc_times_##s(outer_apart.i, roots[1]), tc_times_##s(inner_apart.i, roots[3]))};                 \
        const tc_complex_##s other = {                                                                                 \
            tc_sub_##s(tc_times_##s(outer_apart.r, roots[3]), tc_times_##s(inner_apart.r, roots[1])),                  \
            tc_sub_##s(tc_times_##s(outer_apart.i, roots[3]), tc_times_##s(inner_apart.i, roots[1]))};                 \
        tc_complex_store_##s(at, tc_complex_add_##s(a, tc_complex_add_##s(outer, inner)));                             \
        tc_complex_store_##s(at + step, tc_complex_turn_##s(one, side, 0));                                            \
        tc_complex_store_##s(at + 2 * step, tc_complex_turn_##s(two, other, 0));                                       \
        tc_complex_store_##s(at + 3 * step, tc_complex_turn_##s(two, other, 1));                                       \
        tc_complex_store_##s(at + 4 * step, tc_complex_turn_##s(one, side, 1));                                        \
    }                                                                                                                  \
    /* All positions and groups of a stage; `step` in numbers. */                                                      \
    TC_INLINE void tc_signal_stage_##s(type *data, const type *twiddles, int32_t factor, int32_t step, int32_t points, \
                                       const type *roots, int32_t inverse)                                             \
    {                                                                                                                  \
        for (int32_t position = 0; position < step; ++position) {                                                      \
            const type *const own = position > 0 ? twiddles + 2 * (factor - 1) * position : NULL;                      \
            for (type *at = data + 2 * position; at < data + 2 * points; at += 2 * factor * step) {                    \
                if (factor == 4) {                                                                                     \
                    tc_signal_four_##s(at, 2 * step, own, inverse);                                                    \
                } else if (factor == 2) {                                                                              \
                    tc_signal_two_##s(at, 2 * step, own);                                                              \
                } else if (factor == 3) {                                                                              \
                    tc_signal_three_##s(at, 2 * step, own, roots[4]);                                                  \
                } else {                                                                                               \
                    tc_signal_five_##s(at, 2 * step, own, roots);                                                      \
                }                                                                                                      \
            }                                                                                                          \
        }                                                                                                              \
    }                                                                                                                  \
    /* data [points] in the order that the first stage wants; twiddles of all stages; roots: of factors 5 and 3. */    \
    TC_INLINE void tc_signal_stages_##s(type *data, const type *twiddles, const type *roots,                           \
                                        const tc_signal_fft_shape *shape, int32_t inverse)                             \
    {                                                                                                                  \
        int32_t step = 1;                                                                                              \
        for (int32_t stage = 0; stage < shape->stages; ++stage) {                                                      \
            const int32_t factor = shape->factor[stage];                                                               \
            tc_signal_stage_##s(data, twiddles, factor, step, shape->points, roots, inverse);                          \
            twiddles += 2 * (factor - 1) * step;                                                                       \
            step *= factor;                                                                                            \
        }                                                                                                              \
    }                                                                                                                  \
    /* From the transform of even and odd samples as real and imaginary parts to that of all, on the spot. */          \
    TC_INLINE void tc_signal_parted_##s(type *data, const type *turns, int32_t points)                                 \
    {                                                                                                                  \
        const tc_complex_##s first = tc_complex_divide_##s(tc_complex_load_##s(data), 2);                              \
        data[2 * points] = (type)tc_wrap_##s(tc_sub_##s(first.r, first.i));                                            \
        data[0] = (type)tc_wrap_##s(tc_add_##s(first.r, first.i));                                                     \
        data[1] = 0;                                                                                                   \
        data[2 * points + 1] = 0;                                                                                      \
        for (int32_t k = 1; k <= points / 2; ++k) {                                                                    \
            type *const ahead = data + 2 * k, *const behind = data + 2 * (points - k);                                 \
            const tc_complex_##s mirrored = {behind[0], tc_wrap_##s(tc_sub_##s(0, behind[1]))};                        \
            const tc_complex_##s a = tc_complex_divide_##s(tc_complex_load_##s(ahead), 2);                             \
            const tc_complex_##s b = tc_complex_divide_##s(mirrored, 2);                                               \
            const tc_complex_##s even = tc_complex_wrap_##s(tc_complex_add_##s(a, b));                                 \
            const tc_complex_##s odd = tc_complex_wrap_##s(tc_complex_sub_##s(a, b));                                  \
            const tc_complex_##s turned = tc_complex_times_##s(odd, turns + 2 * (k - 1));                              \
            ahead[0] = (type)tc_half_##s(tc_add_##s(even.r, turned.r));                                                \
            ahead[1] = (type)tc_half_##s(tc_add_##s(even.i, turned.i));                                                \
            behind[0] = (type)tc_half_##s(tc_sub_##s(even.r, turned.r));                                               \
            behind[1] = (type)tc_half_##s(tc_sub_##s(turned.i, even.i));                                               \
        }                                                                                                              \
    }                                                                                                                  \
    /* input [frames][samples], output [frames][points + 1], order [points]: which number is read into each place. */  \
    TC_INLINE void tc_signal_rfft_##s(const type *input, type *output, const uint16_t *order, const type *twiddles,    \
                                      const type *turns, const type *roots, const tc_signal_fft_shape *shape)          \
    {                                                                                                                  \
        for (int32_t frame = 0; frame < shape->frames; ++frame) {                                                      \
            for (int32_t i = 0; i < shape->points; ++i) {                                                              \
                const int32_t at = 2 * order[i];                                                                       \
                output[2 * i] = (type)(at < shape->samples ? input[at] : 0);                                           \
                output[2 * i + 1] = (type)(at + 1 < shape->samples ? input[at + 1] : 0);                               \
            }                                                                                                          \
            tc_signal_stages_##s(output, twiddles, roots, shape, 0);                                                   \
            tc_signal_parted_##s(output, turns, shape->points);                                                        \
            input += shape->samples;                                                                                   \
            output += 2 * (shape->points + 1);                                                                         \
        }                                                                                                              \
    }                                                                                                                  \
    /* The inverse of `parted`: spectrum [points + 1] to data [points]. */                                             \
    TC_INLINE void tc_signal_joined_##s(const type *spectrum, type *data, const type *turns, int32_t points)           \
    {                                                                                                                  \
        const tc_complex_##s ends = {tc_wrap_##s(tc_add_##s(spectrum[0], spectrum[2 * points])),                       \
                                     tc_wrap_##s(tc_sub_##s(spectrum[0], spectrum[2 * points]))};                      \
        tc_complex_store_##s(data, tc_complex_divide_##s(ends, 2));                                                    \
        for (int32_t k = 1; k <= points / 2; ++k) {                                                                    \
            const type *const behind = spectrum + 2 * (points - k);                                                    \
            const tc_complex_##s mirrored = {behind[0], tc_wrap_##s(tc_sub_##s(0, behind[1]))};                        \
            const tc_complex_##s a = tc_complex_divide_##s(tc_complex_load_##s(spectrum + 2 * k), 2);                  \
            const tc_complex_##s b = tc_complex_divide_##s(mirrored, 2);                                               \
            const tc_complex_##s even = tc_complex_add_##s(a, b);                                                      \
            const tc_complex_##s odd = tc_complex_wrap_##s(tc_complex_sub_##s(a, b));                                  \
            const tc_complex_##s turned = tc_complex_times_##s(odd, turns + 2 * (k - 1));                              \
            const tc_complex_##s below = tc_complex_wrap_##s(tc_complex_sub_##s(even, turned));                        \
            const tc_complex_##s last = {below.r, tc_sub_##s(0, below.i)};                                             \
            tc_complex_store_##s(data + 2 * k, tc_complex_add_##s(even, turned));                                      \
            tc_complex_store_##s(data + 2 * (points - k), last);                                                       \
        }                                                                                                              \
    }                                                                                                                  \
    /* input [frames][points + 1], output [frames][2 * points], joined [points]. */                                    \
    TC_INLINE void tc_signal_irfft_##s(const type *input, type *output, const uint16_t *order, const type *twiddles,   \
                                       const type *turns, const type *roots, type *joined,                             \
                                       const tc_signal_fft_shape *shape)                                               \
    {                                                                                                                  \
        for (int32_t frame = 0; frame < shape->frames; ++frame) {                                                      \
            tc_signal_joined_##s(input, joined, turns, shape->points);                                                 \
            for (int32_t i = 0; i < shape->points; ++i) {                                                              \
                output[2 * i] = joined[2 * order[i]];                                                                  \
                output[2 * i + 1] = joined[2 * order[i] + 1];                                                          \
            }                                                                                                          \
            tc_signal_stages_##s(output, twiddles, roots, shape, 1);                                                   \
            input += 2 * (shape->points + 1);                                                                          \
            output += 2 * shape->points;                                                                               \
        }                                                                                                              \
    }

TC_SIGNAL_FFT(int16_t, int32_t, s16)
TC_SIGNAL_FFT(int32_t, int32_t, s32)
TC_SIGNAL_FFT(float, float, f32)

/* The inverse of floats, whose stages divide nothing. */
TC_INLINE void tc_signal_scaled_irfft_f32(const float *input, float *output, const uint16_t *order, const float *twiddles,
                                          const float *turns, const float *roots, float *joined,
                                          const tc_signal_fft_shape *shape)
{
    const float scale = 0.5f / (float)shape->points;
    tc_signal_irfft_f32(input, output, order, twiddles, turns, roots, joined, shape);
    for (int32_t i = 0; i < shape->frames * 2 * shape->points; ++i) {
        output[i] *= scale;
    }
}

#undef TC_SIGNAL_FFT

/*
 * The same for int16 and powers of two, stage by stage with constant distances. Positions go outside of groups.
 */
TC_INLINE tc_complex_s16 tc_signal_quarter_s16(const int16_t *at)
{
    return tc_complex_divide_s16(tc_complex_load_s16(at), 4);
}

TC_INLINE void tc_signal_store_four_s16(int16_t *at, int32_t step, tc_complex_s16 a, tc_complex_s16 b, tc_complex_s16 c,
                                        tc_complex_s16 d, int32_t inverse)
{
    const tc_complex_s16 more = tc_complex_add_s16(a, c), less = tc_complex_sub_s16(a, c);
    const tc_complex_s16 sum = tc_complex_add_s16(b, d), apart = tc_complex_sub_s16(b, d);
    tc_complex_store_s16(at, tc_complex_add_s16(more, sum));
    tc_complex_store_s16(at + 2 * step, tc_complex_turn_s16(less, apart, !inverse));
    tc_complex_store_s16(at + 4 * step, tc_complex_sub_s16(more, sum));
    tc_complex_store_s16(at + 6 * step, tc_complex_turn_s16(less, apart, inverse));
}

/* Number `at / 2` of an input that ends after `samples`, and is asked for numbers up to `last / 2`; divided. */
TC_INLINE tc_complex_s16 tc_signal_sample_s16(const int16_t *input, int32_t at, int32_t last, int32_t samples, int32_t by)
{
    const tc_complex_s16 nothing = {0, 0};
    return last < samples || at < samples ? tc_complex_divide_s16(tc_complex_load_s16(input + at), by) : nothing;
}

TC_INLINE void tc_signal_first_fours_s16(const int16_t *input, int16_t *output, const uint16_t *order, int32_t points,
                                         int32_t samples, int32_t inverse)
{
    const int32_t far = points / 2;
    for (int32_t group = 0; group < points / 4; ++group) {
        const int32_t at = order[group];
        const tc_complex_s16 a = tc_signal_sample_s16(input, at, far - 2, samples, 4);
        const tc_complex_s16 b = tc_signal_sample_s16(input, at + far, 2 * far - 2, samples, 4);
        const tc_complex_s16 c = tc_signal_sample_s16(input, at + 2 * far, 3 * far - 2, samples, 4);
        const tc_complex_s16 d = tc_signal_sample_s16(input, at + 3 * far, 4 * far - 2, samples, 4);
        tc_signal_store_four_s16(output, 1, a, b, c, d, inverse);
        output += 8;
    }
}

TC_INLINE void tc_signal_first_twos_s16(const int16_t *input, int16_t *output, const uint16_t *order, int32_t points,
                                        int32_t samples)
{
    for (int32_t group = 0; group < points / 2; ++group) {
        const int32_t at = order[group];
        const tc_complex_s16 a = tc_signal_sample_s16(input, at, points - 2, samples, 2);
        const tc_complex_s16 b = tc_signal_sample_s16(input, at + points, 2 * points - 2, samples, 2);
        tc_complex_store_s16(output, tc_complex_add_s16(a, b));
        tc_complex_store_s16(output + 2, tc_complex_sub_s16(a, b));
        output += 4;
    }
}

TC_INLINE void tc_signal_fours_s16(int16_t *data, const int16_t *twiddles, int32_t step, int32_t points, int32_t inverse)
{
    const int16_t *const end = data + 2 * points;
    for (int16_t *at = data; at < end; at += 8 * step) {
        tc_signal_store_four_s16(at, step, tc_signal_quarter_s16(at), tc_signal_quarter_s16(at + 2 * step),
                                 tc_signal_quarter_s16(at + 4 * step), tc_signal_quarter_s16(at + 6 * step), inverse);
    }
    for (int32_t position = 1; position < step; ++position) {
        for (int16_t *at = data + 2 * position; at < end; at += 8 * step) {
            const tc_complex_s16 b = tc_complex_times_s16(tc_signal_quarter_s16(at + 2 * step), twiddles);
            const tc_complex_s16 d = tc_complex_times_s16(tc_signal_quarter_s16(at + 6 * step), twiddles + 4);
            const tc_complex_s16 c = tc_complex_times_s16(tc_signal_quarter_s16(at + 4 * step), twiddles + 2);
            tc_signal_store_four_s16(at, step, tc_signal_quarter_s16(at), b, c, d, inverse);
        }
        twiddles += 6;
    }
}

/* tc_signal_rfft_f32 of frames times a window [samples]. */
TC_INLINE void tc_signal_windowed_rfft_f32(const float *input, float *output, const uint16_t *order, const float *twiddles,
                                           const float *turns, const float *roots, const float *window,
                                           const tc_signal_fft_shape *shape)
{
    for (int32_t frame = 0; frame < shape->frames; ++frame) {
        for (int32_t i = 0; i < shape->points; ++i) {
            const int32_t at = 2 * order[i];
            output[2 * i] = at < shape->samples ? input[at] * window[at] : 0.0f;
            output[2 * i + 1] = at + 1 < shape->samples ? input[at + 1] * window[at + 1] : 0.0f;
        }
        tc_signal_stages_f32(output, twiddles, roots, shape, 0);
        tc_signal_parted_f32(output, turns, shape->points);
        input += shape->samples;
        output += 2 * (shape->points + 1);
    }
}

#ifdef __cplusplus
}
#endif

#endif
