/* SPDX-License-Identifier: 0BSD */
/*
 * Layers of floats for an FPU that multiplies and adds with one rounding (VFMA).
 *
 * A result is fma(x_n, w_n, ... fma(x_1, w_1, fma(x_0, w_0, bias))): the products in the order of rows, columns and
 * channels of the window, those outside of the image left out. The order is the same in assembly and in C, so that
 * results don't depend on the compiler or the machine, bit for bit.
 *
 * Eight results are computed side by side, so that an input is loaded once for eight products and the eight weights of
 * an input are one instruction's load; the last four or fewer are four. Weights lie in the order in which they are read:
 * blocks of eight (the last one perhaps of four) output channels, in a block [taps][input channels][8].
 */
#ifndef TC_FLOAT_FUSED_H
#define TC_FLOAT_FUSED_H

#include <math.h>
#include <stdint.h>

#include "kernels/tc_float_bounds.h"
#include "kernels/tc_float_exact.h"
#include "kernels/tc_inline.h"
#include "kernels/tc_window.h"

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__) && defined(__ARM_FEATURE_FMA) && defined(__thumb2__)
#define TC_FLOAT_FUSED_ASSEMBLY 1
#else
#define TC_FLOAT_FUSED_ASSEMBLY 0
#endif

typedef struct tc_float_fused_shape {
    tc_window window;
    int32_t batch;
    int32_t input_channels;
    int32_t output_channels;
    tc_float_bounds bounds;
} tc_float_fused_shape;

#if TC_FLOAT_FUSED_ASSEMBLY

#define TC_FMA_4(a, b, c, d, w0, w1, w2, w3, x)                                                                        \
    "vfma.f32 " #a ", " #w0 ", " #x "\n\t"                                                                             \
    "vfma.f32 " #b ", " #w1 ", " #x "\n\t"                                                                             \
    "vfma.f32 " #c ", " #w2 ", " #x "\n\t"                                                                             \
    "vfma.f32 " #d ", " #w3 ", " #x "\n\t"

/* result[lane] = start[lane] + sum of x[i] * weights[i][lane], for 8 lanes and count >= 1 inputs. */
TC_INLINE void tc_float_run_8(const float *start, float *result, const float *x, const float *weights, int32_t count)
{
    __asm__ volatile(
        "vldmia %[start], {s0-s7}\n\t"
        "subs %[count], %[count], #2\n\t"
        "blt 2f\n"
        "1:\n\t"
        "vldmia %[x]!, {s8-s9}\n\t"
        "vldmia %[weights]!, {s16-s31}\n\t"
        TC_FMA_4(s0, s1, s2, s3, s16, s17, s18, s19, s8)
        TC_FMA_4(s4, s5, s6, s7, s20, s21, s22, s23, s8)
        TC_FMA_4(s0, s1, s2, s3, s24, s25, s26, s27, s9)
        TC_FMA_4(s4, s5, s6, s7, s28, s29, s30, s31, s9)
        "subs %[count], %[count], #2\n\t"
        "bge 1b\n"
        "2:\n\t"
        "adds %[count], %[count], #1\n\t"
        "blt 3f\n\t"
        "vldmia %[x]!, {s8}\n\t"
        "vldmia %[weights]!, {s16-s23}\n\t"
        TC_FMA_4(s0, s1, s2, s3, s16, s17, s18, s19, s8)
        TC_FMA_4(s4, s5, s6, s7, s20, s21, s22, s23, s8)
        "3:\n\t"
        "vstmia %[result], {s0-s7}"
        : [x] "+r"(x), [weights] "+r"(weights), [count] "+r"(count)
        : [start] "r"(start), [result] "r"(result)
        : "cc", "memory", "s0", "s1", "s2", "s3", "s4", "s5", "s6", "s7", "s8", "s9", "s16", "s17", "s18", "s19", "s20",
          "s21", "s22", "s23", "s24", "s25", "s26", "s27", "s28", "s29", "s30", "s31");
}

/* tc_float_run_8 of two pixels, whose weights are loaded once. */
TC_INLINE void tc_float_run_8_of_two(const float *start, float *result, float *other_result, const float *x,
                                     const float *other, const float *weights, int32_t count)
{
    __asm__ volatile(
        "vldmia %[start], {s0-s7}\n\t"
        "vldmia %[start], {s8-s15}\n\t"
        "subs %[count], %[count], #2\n\t"
        "blt 2f\n"
        "1:\n\t"
        "vldmia %[x]!, {s24-s25}\n\t"
        "vldmia %[other]!, {s26-s27}\n\t"
        "vldmia %[weights]!, {s16-s23}\n\t"
        TC_FMA_4(s0, s1, s2, s3, s16, s17, s18, s19, s24)
        TC_FMA_4(s4, s5, s6, s7, s20, s21, s22, s23, s24)
        TC_FMA_4(s8, s9, s10, s11, s16, s17, s18, s19, s26)
        TC_FMA_4(s12, s13, s14, s15, s20, s21, s22, s23, s26)
        "vldmia %[weights]!, {s16-s23}\n\t"
        TC_FMA_4(s0, s1, s2, s3, s16, s17, s18, s19, s25)
        TC_FMA_4(s4, s5, s6, s7, s20, s21, s22, s23, s25)
        TC_FMA_4(s8, s9, s10, s11, s16, s17, s18, s19, s27)
        TC_FMA_4(s12, s13, s14, s15, s20, s21, s22, s23, s27)
        "subs %[count], %[count], #2\n\t"
        "bge 1b\n"
        "2:\n\t"
        "adds %[count], %[count], #1\n\t"
        "blt 3f\n\t"
        "vldmia %[x]!, {s24}\n\t"
        "vldmia %[other]!, {s26}\n\t"
        "vldmia %[weights]!, {s16-s23}\n\t"
        TC_FMA_4(s0, s1, s2, s3, s16, s17, s18, s19, s24)
        TC_FMA_4(s4, s5, s6, s7, s20, s21, s22, s23, s24)
        TC_FMA_4(s8, s9, s10, s11, s16, s17, s18, s19, s26)
        TC_FMA_4(s12, s13, s14, s15, s20, s21, s22, s23, s26)
        "3:\n\t"
        "vstmia %[result], {s0-s7}\n\t"
        "vstmia %[other_result], {s8-s15}"
        : [x] "+r"(x), [other] "+r"(other), [weights] "+r"(weights), [count] "+r"(count)
        : [start] "r"(start), [result] "r"(result), [other_result] "r"(other_result)
        : "cc", "memory", "s0", "s1", "s2", "s3", "s4", "s5", "s6", "s7", "s8", "s9", "s10", "s11", "s12", "s13", "s14",
          "s15", "s16", "s17", "s18", "s19", "s20", "s21", "s22", "s23", "s24", "s25", "s26", "s27");
}

/* The same for 4 lanes. */
TC_INLINE void tc_float_run_4(const float *start, float *result, const float *x, const float *weights, int32_t count)
{
    __asm__ volatile(
        "vldmia %[start], {s0-s3}\n\t"
        "subs %[count], %[count], #2\n\t"
        "blt 2f\n"
        "1:\n\t"
        "vldmia %[x]!, {s8-s9}\n\t"
        "vldmia %[weights]!, {s16-s23}\n\t"
        TC_FMA_4(s0, s1, s2, s3, s16, s17, s18, s19, s8)
        TC_FMA_4(s0, s1, s2, s3, s20, s21, s22, s23, s9)
        "subs %[count], %[count], #2\n\t"
        "bge 1b\n"
        "2:\n\t"
        "adds %[count], %[count], #1\n\t"
        "blt 3f\n\t"
        "vldmia %[x]!, {s8}\n\t"
        "vldmia %[weights]!, {s16-s19}\n\t"
        TC_FMA_4(s0, s1, s2, s3, s16, s17, s18, s19, s8)
        "3:\n\t"
        "vstmia %[result], {s0-s3}"
        : [x] "+r"(x), [weights] "+r"(weights), [count] "+r"(count)
        : [start] "r"(start), [result] "r"(result)
        : "cc", "memory", "s0", "s1", "s2", "s3", "s8", "s9", "s16", "s17", "s18", "s19", "s20", "s21", "s22", "s23");
}

/* result[lane] = start[lane] + sum of x[i * step + lane] * weights[i][lane], for 8 lanes and count >= 1 taps. */
TC_INLINE void tc_float_taps_8(const float *start, float *result, const float *x, int32_t step, const float *weights,
                               int32_t count)
{
    __asm__ volatile(
        "vldmia %[start], {s0-s7}\n"
        "1:\n\t"
        "vldmia %[x], {s8-s15}\n\t"
        "add %[x], %[x], %[step]\n\t"
        "vldmia %[weights]!, {s16-s23}\n\t"
        "vfma.f32 s0, s16, s8\n\t"
        "vfma.f32 s1, s17, s9\n\t"
        "vfma.f32 s2, s18, s10\n\t"
        "vfma.f32 s3, s19, s11\n\t"
        "vfma.f32 s4, s20, s12\n\t"
        "vfma.f32 s5, s21, s13\n\t"
        "vfma.f32 s6, s22, s14\n\t"
        "vfma.f32 s7, s23, s15\n\t"
        "subs %[count], %[count], #1\n\t"
        "bne 1b\n\t"
        "vstmia %[result], {s0-s7}"
        : [x] "+r"(x), [weights] "+r"(weights), [count] "+r"(count)
        : [start] "r"(start), [result] "r"(result), [step] "r"(step * (int32_t)sizeof(float))
        : "cc", "memory", "s0", "s1", "s2", "s3", "s4", "s5", "s6", "s7", "s8", "s9", "s10", "s11", "s12", "s13", "s14",
          "s15", "s16", "s17", "s18", "s19", "s20", "s21", "s22", "s23");
}

/* The same for 4 lanes. */
TC_INLINE void tc_float_taps_4(const float *start, float *result, const float *x, int32_t step, const float *weights,
                               int32_t count)
{
    __asm__ volatile(
        "vldmia %[start], {s0-s3}\n"
        "1:\n\t"
        "vldmia %[x], {s8-s11}\n\t"
        "add %[x], %[x], %[step]\n\t"
        "vldmia %[weights]!, {s16-s19}\n\t"
        "vfma.f32 s0, s16, s8\n\t"
        "vfma.f32 s1, s17, s9\n\t"
        "vfma.f32 s2, s18, s10\n\t"
        "vfma.f32 s3, s19, s11\n\t"
        "subs %[count], %[count], #1\n\t"
        "bne 1b\n\t"
        "vstmia %[result], {s0-s3}"
        : [x] "+r"(x), [weights] "+r"(weights), [count] "+r"(count)
        : [start] "r"(start), [result] "r"(result), [step] "r"(step * (int32_t)sizeof(float))
        : "cc", "memory", "s0", "s1", "s2", "s3", "s8", "s9", "s10", "s11", "s16", "s17", "s18", "s19");
}

#undef TC_FMA_4

#else

/* a * b + c, rounded once. */
TC_INLINE float tc_float_fused(float a, float b, float c)
{
#if defined(__clang__)
    /* With -funsafe-math-optimizations clang makes a product and a sum of a call that it recognises. */
    static float (*const volatile fused)(float, float, float) = fmaf;
    return fused(a, b, c);
#else
    return fmaf(a, b, c);
#endif
}

TC_INLINE void tc_float_run(const float *start, float *result, const float *x, const float *weights, int32_t count,
                            int32_t lanes)
{
    for (int32_t lane = 0; lane < lanes; ++lane) {
        float sum = start[lane];
        for (int32_t i = 0; i < count; ++i) {
            sum = tc_opaque(tc_float_fused(x[i], weights[i * lanes + lane], sum));
        }
        result[lane] = sum;
    }
}

TC_INLINE void tc_float_run_8(const float *start, float *result, const float *x, const float *weights, int32_t count)
{
    tc_float_run(start, result, x, weights, count, 8);
}

TC_INLINE void tc_float_run_4(const float *start, float *result, const float *x, const float *weights, int32_t count)
{
    tc_float_run(start, result, x, weights, count, 4);
}

TC_INLINE void tc_float_run_8_of_two(const float *start, float *result, float *other_result, const float *x,
                                     const float *other, const float *weights, int32_t count)
{
    float sums[8];
    tc_float_run(start, sums, x, weights, count, 8); /* both pixels are read before either is written */
    tc_float_run(start, other_result, other, weights, count, 8);
    for (int32_t lane = 0; lane < 8; ++lane) {
        result[lane] = sums[lane];
    }
}

TC_INLINE void tc_float_taps(const float *start, float *result, const float *x, int32_t step, const float *weights,
                             int32_t count, int32_t lanes)
{
    for (int32_t lane = 0; lane < lanes; ++lane) {
        float sum = start[lane];
        for (int32_t i = 0; i < count; ++i) {
            sum = tc_opaque(tc_float_fused(x[i * step + lane], weights[i * lanes + lane], sum));
        }
        result[lane] = sum;
    }
}

TC_INLINE void tc_float_taps_8(const float *start, float *result, const float *x, int32_t step, const float *weights,
                               int32_t count)
{
    tc_float_taps(start, result, x, step, weights, count, 8);
}

TC_INLINE void tc_float_taps_4(const float *start, float *result, const float *x, int32_t step, const float *weights,
                               int32_t count)
{
    tc_float_taps(start, result, x, step, weights, count, 4);
}

#endif

/* How many results of a block are computed side by side, `left` being the channels that aren't done. */
TC_INLINE int32_t tc_float_lanes(int32_t left)
{
    return left > 4 ? 8 : 4;
}

/* Up to eight results that are done go to where they belong. */
TC_INLINE void tc_float_store(const float *sums, float *output, int32_t count, const tc_float_bounds *bounds)
{
    for (int32_t lane = 0; lane < count; ++lane) {
        output[lane] = tc_float_bounded(sums[lane], bounds);
    }
}

/* A block of results of one pixel: `pixel` is the image's first, `weights` the block's. */
TC_INLINE void tc_float_conv2d_block(const float *image, const float *weights, const float *bias, float *sums,
                                     int32_t lanes, tc_taps rows, tc_taps columns, const tc_float_fused_shape *shape)
{
    const tc_window *window = &shape->window;
    const int32_t depth = shape->input_channels;
    const int32_t runs = window->dilation_x == 1 ? 1 : columns.count;
    const int32_t length = window->dilation_x == 1 ? columns.count * depth : depth;
    for (int32_t lane = 0; lane < lanes; ++lane) {
        sums[lane] = bias[lane];
    }
    for (int32_t i = 0; i < rows.count && columns.count > 0; ++i) {
        const int32_t y = rows.position + i * window->dilation_y;
        const int32_t tap = (rows.first + i) * window->kernel_width + columns.first;
        for (int32_t run = 0; run < runs; ++run) {
            const int32_t x = columns.position + run * window->dilation_x;
            const float *from = image + (y * window->input_width + x) * depth;
            if (lanes == 8) {
                tc_float_run_8(sums, sums, from, weights + (tap + run) * depth * 8, length);
            } else {
                tc_float_run_4(sums, sums, from, weights + (tap + run) * depth * 4, length);
            }
        }
    }
}

/* Whether windows are single pixels beside each other, of which two share the loads of weights. */
TC_INLINE bool tc_float_is_pointwise(const tc_window *window)
{
    return window->kernel_height == 1 && window->kernel_width == 1 && window->stride_y == 1 && window->stride_x == 1 &&
           tc_window_is_unpadded(window) && window->input_width == window->output_width;
}

/* Two pixels of a pointwise convolution. */
TC_INLINE void tc_float_two_pixels(const float *input, float *output, const float *weights, const float *bias,
                                   const tc_float_fused_shape *shape)
{
    const int32_t depth = shape->input_channels;
    const int32_t outputs = shape->output_channels;
    const bool bounded = shape->bounds.below != 0 || shape->bounds.above != 0;
    for (int32_t channel = 0; channel < outputs; channel += 8) {
        const int32_t left = outputs - channel;
        float sums[16];
        if (left <= 4) {
            tc_float_run_4(bias + channel, sums, input, weights + channel * depth, depth);
            tc_float_run_4(bias + channel, sums + 8, input + depth, weights + channel * depth, depth);
        } else {
            const bool direct = left >= 8 && !bounded;
            tc_float_run_8_of_two(bias + channel, direct ? output + channel : sums,
                                  direct ? output + outputs + channel : sums + 8, input, input + depth,
                                  weights + channel * depth, depth);
            if (direct) {
                continue;
            }
        }
        tc_float_store(sums, output + channel, tc_min(left, 8), &shape->bounds);
        tc_float_store(sums + 8, output + outputs + channel, tc_min(left, 8), &shape->bounds);
    }
}

/*
 * 2-D convolution: any batch, kernel, stride, dilation and padding, one group.
 *
 * input    [batch][input_height][input_width][input_channels]
 * output   [batch][output_height][output_width][output_channels]
 * weights  in blocks, see above
 * bias     as many as the blocks have output channels
 */
TC_INLINE void tc_float_conv2d_fused(const float *input, float *output, const float *weights, const float *bias,
                                     const tc_float_fused_shape *shape)
{
    const tc_window *window = &shape->window;
    const int32_t taps = window->kernel_height * window->kernel_width * shape->input_channels;
    const bool pointwise = tc_float_is_pointwise(window);
    float sums[8];
    for (int32_t n = 0; n < shape->batch; ++n) {
        for (int32_t oy = 0; oy < window->output_height; ++oy) {
            const tc_taps rows = tc_window_rows(window, oy);
            int32_t ox = 0;
            for (; pointwise && ox + 2 <= window->output_width; ox += 2) {
                tc_float_two_pixels(input + (oy * window->input_width + ox) * shape->input_channels, output, weights, bias,
                                    shape);
                output += 2 * shape->output_channels;
            }
            for (; ox < window->output_width; ++ox) {
                const tc_taps columns = tc_window_columns(window, ox);
                int32_t lanes;
                for (int32_t channel = 0; channel < shape->output_channels; channel += lanes) {
                    const int32_t left = shape->output_channels - channel;
                    lanes = tc_float_lanes(left);
                    tc_float_conv2d_block(input, weights + channel * taps, bias + channel, sums, lanes, rows, columns,
                                          shape);
                    tc_float_store(sums, output + channel, tc_min(left, lanes), &shape->bounds);
                }
                output += shape->output_channels;
            }
        }
        input += window->input_height * window->input_width * shape->input_channels;
    }
}

/*
 * Depthwise convolution of as many output as input channels, a multiple of four.
 *
 * weights  blocks of eight channels, the last one perhaps of four: [taps][8]
 */
TC_INLINE void tc_float_depthwise_fused(const float *input, float *output, const float *weights, const float *bias,
                                        const tc_float_fused_shape *shape)
{
    const tc_window *window = &shape->window;
    const int32_t channels = shape->output_channels, step = window->dilation_x * channels;
    const int32_t taps = window->kernel_height * window->kernel_width;
    float sums[8];
    for (int32_t n = 0; n < shape->batch; ++n) {
        for (int32_t oy = 0; oy < window->output_height; ++oy) {
            const tc_taps rows = tc_window_rows(window, oy);
            for (int32_t ox = 0; ox < window->output_width; ++ox) {
                const tc_taps columns = tc_window_columns(window, ox);
                int32_t lanes;
                for (int32_t channel = 0; channel < channels; channel += lanes) {
                    const float *block = weights + channel * taps;
                    lanes = tc_float_lanes(channels - channel);
                    for (int32_t lane = 0; lane < lanes; ++lane) {
                        sums[lane] = bias[channel + lane];
                    }
                    for (int32_t i = 0; i < rows.count && columns.count > 0; ++i) {
                        const int32_t y = rows.position + i * window->dilation_y;
                        const int32_t tap = (rows.first + i) * window->kernel_width + columns.first;
                        const float *from = input + (y * window->input_width + columns.position) * channels + channel;
                        if (lanes == 8) {
                            tc_float_taps_8(sums, sums, from, step, block + tap * 8, columns.count);
                        } else {
                            tc_float_taps_4(sums, sums, from, step, block + tap * 4, columns.count);
                        }
                    }
                    tc_float_store(sums, output + channel, lanes, &shape->bounds);
                }
                output += channels;
            }
        }
        input += window->input_height * window->input_width * channels;
    }
}

#ifdef __cplusplus
}
#endif

#endif
