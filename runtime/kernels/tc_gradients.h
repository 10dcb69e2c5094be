/* SPDX-License-Identifier: 0BSD */
/*
 * Gradients of operators without weights: masks of clamps, sums, products, means and pooling.
 */
#ifndef TC_GRADIENTS_H
#define TC_GRADIENTS_H

#include <stddef.h>
#include <stdint.h>

#include "cmsis_shim/tc_simd.h"
#include "kernels/tc_block_float.h"
#include "kernels/tc_bytes.h"
#include "kernels/tc_inline.h"
#include "kernels/tc_window.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tc_clamp_shape {
    int32_t count;
    int32_t low;
    int32_t high;
} tc_clamp_shape;

/* Whether a clamp has bytes inside of both ends. */
TC_INLINE int32_t tc_has_inside(const tc_clamp_shape *shape)
{
    return shape->low < 127 && shape->high > -128 && shape->high - shape->low > 1;
}

/* The numbers inside of a clamp as two that fill all bytes: the least, and how far the largest is from it. */
typedef struct tc_inside {
    uint32_t low;
    uint32_t width;
} tc_inside;

TC_INLINE tc_inside tc_inside_of(const tc_clamp_shape *shape)
{
    const int32_t low = tc_max(shape->low + 1, -128);
    const tc_inside inside = {tc_splat4(low), tc_splat4(tc_min(shape->high - 1, 127) - low)};
    return inside;
}

/* Of four values those inside: their bytes of `chosen`, elsewhere 0. A byte is inside where it is at most `width` beyond
 * `low`, as unsigned numbers of 8 bits: so USUB8's second comparison says, by which SEL chooses. */
TC_INLINE uint32_t tc_inside4(uint32_t values, tc_inside inside, uint32_t chosen)
{
#if TC_DSP
    uint32_t result;
    __asm__("usub8 %0, %1, %2\n\t"
            "usub8 %0, %3, %0\n\t"
            "sel %0, %4, %5"
            : "=&r"(result)
            : "r"(values), "r"(inside.low), "r"(inside.width), "r"(chosen), "r"(0u));
    return result;
#else
    uint32_t result = 0u;
    for (unsigned bit = 0; bit < 32u; bit += 8u) {
        const uint32_t beyond = ((values >> bit) - (inside.low >> bit)) & 0xFFu;
        result |= beyond <= ((inside.width >> bit) & 0xFFu) ? chosen & (0xFFu << bit) : 0u;
    }
    return result;
#endif
}

#if TC_DSP
/* The bits of eight values. */
TC_INLINE uint8_t tc_inside_bits(const int8_t *values, tc_inside inside)
{
    const uint32_t some = tc_inside4(tc_load4(values), inside, 0x08040201u);
    const uint32_t others = tc_inside4(tc_load4(values + 4), inside, 0x80402010u);
    return (uint8_t)((some | others) * 0x01010101u >> 24); /* the sum of all bytes */
}
#endif

/* A bit for each output that isn't at an end of its clamp's range, the first in the lowest bit of a byte. */
TC_INLINE void tc_clamp_mask(const int8_t *input, uint8_t *output, const tc_clamp_shape *shape)
{
    const int32_t whole = TC_DSP && tc_has_inside(shape) ? shape->count / 8 * 8 : 0;
#if TC_DSP
    const tc_inside inside = tc_inside_of(shape);
    const int8_t *values = input;
    for (const int8_t *const end = input + whole / 32 * 32; values != end; values += 32, output += 4) {
        output[0] = tc_inside_bits(values, inside);
        output[1] = tc_inside_bits(values + 8, inside);
        output[2] = tc_inside_bits(values + 16, inside);
        output[3] = tc_inside_bits(values + 24, inside);
    }
    for (; values != input + whole; values += 8) {
        *output++ = tc_inside_bits(values, inside);
    }
#endif
    for (int32_t first = whole; first < shape->count; first += 8) {
        const int32_t end = tc_min(8, shape->count - first);
        uint32_t bits = 0u;
        for (int32_t i = 0; i < end; ++i) {
            const int32_t value = input[first + i];
            bits |= (uint32_t)(value > shape->low && value < shape->high) << i;
        }
        *output++ = (uint8_t)bits;
    }
}

/* Two values, where their bits are set: bit `first` of `bits` and the next one. */
TC_INLINE void tc_mask_two(const int16_t *gradient, uint32_t bits, uint32_t first, int16_t *output)
{
    const uint32_t low = (uint32_t)((int32_t)(bits << (31u - first)) >> 31);
    const uint32_t high = (uint32_t)((int32_t)(bits << (30u - first)) >> 31);
    tc_store_lanes(output, tc_load4(gradient) & tc_pkhbt(low, high, 0));
}

/* By these bits; the output may be the gradient's memory. */
TC_INLINE void tc_masked_by_bits(const int16_t *gradient, const uint8_t *mask, int16_t *output,
                                 const tc_clamp_shape *shape)
{
    const int32_t whole = TC_DSP ? shape->count / 8 * 8 : 0;
#if TC_DSP
    for (int32_t i = 0; i < whole; i += 8) {
        const uint32_t bits = mask[i >> 3];
        tc_mask_two(gradient + i, bits, 0u, output + i);
        tc_mask_two(gradient + i + 2, bits, 2u, output + i + 2);
        tc_mask_two(gradient + i + 4, bits, 4u, output + i + 4);
        tc_mask_two(gradient + i + 6, bits, 6u, output + i + 6);
    }
#endif
    for (int32_t i = whole; i < shape->count; ++i) {
        output[i] = (int16_t)((mask[i >> 3] >> (i & 7)) & 1 ? gradient[i] : 0);
    }
}

/* By the outputs themselves. */
TC_INLINE void tc_masked_by_values(const int16_t *gradient, const int8_t *values, int16_t *output,
                                   const tc_clamp_shape *shape)
{
    const int32_t whole = TC_DSP && tc_has_inside(shape) ? shape->count / 4 * 4 : 0;
#if TC_DSP
    const tc_inside inside = tc_inside_of(shape);
    for (int32_t i = 0; i < whole; i += 4) {
        const uint32_t bytes = tc_inside4(tc_load4(values + i), inside, 0xFFFFFFFFu);
        const uint32_t even = tc_sxtb16(bytes, 0);
        const uint32_t odd = tc_sxtb16(bytes, 8);
        tc_store_lanes(output + i, tc_load4(gradient + i) & tc_pkhbt(even, odd, 16));
        tc_store_lanes(output + i + 2, tc_load4(gradient + i + 2) & tc_pkhtb(odd, even, 16));
    }
#endif
    for (int32_t i = whole; i < shape->count; ++i) {
        output[i] = (int16_t)(values[i] > shape->low && values[i] < shape->high ? gradient[i] : 0);
    }
}

typedef struct tc_joined_shape {
    int32_t count;
} tc_joined_shape;

/* With so many bits more gradients join: the exponent of one may be that of values that were clamped. */
#define TC_GUARD_BITS 14

/* A value of 16 bits / 2^shift, with the guard bits, for a shift in [0, 31], by half of that. */
TC_INLINE int32_t tc_joined_part(int32_t value, int32_t half, int32_t shift)
{
    return (value * (1 << TC_GUARD_BITS) + half) >> shift;
}

/* The sum of two gradients at the larger exponent; the output may be the first one's memory. */
TC_INLINE void tc_joined_gradients(const int16_t *a, const int32_t *a_exponent, const int16_t *b,
                                   const int32_t *b_exponent, int16_t *output, int32_t *exponent,
                                   const tc_joined_shape *shape)
{
    const int32_t common = tc_max(*a_exponent, *b_exponent);
    const int32_t a_shift = tc_min(common - *a_exponent, 31);
    const int32_t b_shift = tc_min(common - *b_exponent, 31);
    const int32_t a_half = (int32_t)((1u << a_shift) >> 1);
    const int32_t b_half = (int32_t)((1u << b_shift) >> 1);
    uint32_t bits = 0u;
    for (int32_t i = 0; i < shape->count; ++i) {
        bits = tc_or_magnitude(bits, tc_joined_part(a[i], a_half, a_shift) + tc_joined_part(b[i], b_half, b_shift));
    }
    const int32_t shift = tc_renormalizing_shift(bits, common - TC_GUARD_BITS, exponent);
    for (int32_t i = 0; i < shape->count; ++i) {
        const int32_t sum = tc_joined_part(a[i], a_half, a_shift) + tc_joined_part(b[i], b_half, b_shift);
        output[i] = tc_gradient_value(sum, shift);
    }
}

/* Nested loops over the elements of a gradient; `stride` of what broadcasts to it, 0 where that repeats. */
typedef struct tc_spread_loops {
    int32_t size[4];
    int32_t stride[4];
} tc_spread_loops;

typedef struct tc_spread_shape {
    tc_spread_loops loops;
    int32_t count; /* of what broadcasts */
    int32_t mantissa;
    int32_t shift;
    int32_t exponent_change;
    int32_t zero_point;
} tc_spread_shape;

TC_INLINE int32_t tc_spread_place(const tc_spread_loops *loops, int32_t i, int32_t j, int32_t k)
{
    return i * loops->stride[0] + j * loops->stride[1] + k * loops->stride[2];
}

/* Every element of what a mean was taken of gets its share. */
TC_INLINE void tc_spread_gradient(const int16_t *gradient, const int32_t *exponent, int16_t *output,
                                  int32_t *output_exponent, const tc_spread_shape *shape)
{
    const tc_spread_loops *loops = &shape->loops;
    for (int32_t i = 0; i < loops->size[0]; ++i) {
        for (int32_t j = 0; j < loops->size[1]; ++j) {
            for (int32_t k = 0; k < loops->size[2]; ++k) {
                const int16_t *from = gradient + tc_spread_place(loops, i, j, k);
                for (int32_t l = 0; l < loops->size[3]; ++l) {
                    *output++ = (int16_t)tc_scaled_gradient(from[l * loops->stride[3]], shape->mantissa, shape->shift);
                }
            }
        }
    }
    *output_exponent = *exponent + shape->exponent_change;
}

/* Sums over the axes along which an operand broadcast; scratch: int32_t [count]. */
TC_INLINE void tc_reduced_gradient(const int16_t *gradient, const int32_t *exponent, int16_t *output,
                                   int32_t *output_exponent, void *scratch, const tc_spread_shape *shape)
{
    const tc_spread_loops *loops = &shape->loops;
    int32_t *sums = (int32_t *)scratch;
    for (int32_t i = 0; i < shape->count; ++i) {
        sums[i] = 0;
    }
    for (int32_t i = 0; i < loops->size[0]; ++i) {
        for (int32_t j = 0; j < loops->size[1]; ++j) {
            for (int32_t k = 0; k < loops->size[2]; ++k) {
                int32_t *to = sums + tc_spread_place(loops, i, j, k);
                for (int32_t l = 0; l < loops->size[3]; ++l) {
                    to[l * loops->stride[3]] += tc_shift_right_rounded(*gradient++, shape->shift);
                }
            }
        }
    }
    tc_renormalize(sums, output, shape->count, *exponent + shape->exponent_change, output_exponent);
}

/* Times an int8 operand minus its zero point, renormalised, times its scale; the output may be the gradient's memory. */
TC_INLINE void tc_product_gradient(const int16_t *gradient, const int32_t *exponent, const int8_t *other,
                                   int16_t *output, int32_t *output_exponent, const tc_spread_shape *shape)
{
    const tc_spread_loops *loops = &shape->loops;
    uint32_t bits = 0u;
    int32_t shift = 0;
    int32_t found = 0;
    for (int32_t pass = 0; pass < 2; ++pass) {
        int32_t at = 0;
        for (int32_t i = 0; i < loops->size[0]; ++i) {
            for (int32_t j = 0; j < loops->size[1]; ++j) {
                for (int32_t k = 0; k < loops->size[2]; ++k) {
                    const int8_t *from = other + tc_spread_place(loops, i, j, k);
                    for (int32_t l = 0; l < loops->size[3]; ++l, ++at) {
                        const int32_t product = gradient[at] * (from[l * loops->stride[3]] - shape->zero_point);
                        if (pass == 0) {
                            bits = tc_or_magnitude(bits, product);
                        } else {
                            const int32_t value = tc_gradient_value(product, shift);
                            output[at] = (int16_t)tc_scaled_gradient(value, shape->mantissa, shape->shift);
                        }
                    }
                }
            }
        }
        if (pass == 0) {
            shift = tc_renormalizing_shift(bits, *exponent, &found);
        }
    }
    *output_exponent = found + shape->exponent_change;
}

typedef struct tc_pool_gradient_shape {
    tc_window window;
    int32_t channels;
    int32_t shift;
    int32_t exponent_change;
} tc_pool_gradient_shape;

/* The windows along an axis over one position: [first, end). */
typedef struct tc_windows {
    int32_t first;
    int32_t end;
} tc_windows;

TC_INLINE tc_windows tc_windows_over(int32_t position, int32_t padding, int32_t kernel, int32_t stride, int32_t windows)
{
    const int32_t before = position + padding - kernel + 1; /* where the first one begins at least */
    tc_windows found;
    found.first = before > 0 ? (before + stride - 1) / stride : 0;
    found.end = tc_min((position + padding) / stride + 1, windows);
    return found;
}

/* 1 / its positions inside the image, of each window, times its gradient. */
TC_INLINE int32_t tc_average_share(const int16_t *gradient, const int16_t *mantissas, int32_t window_at,
                                   int32_t channel, const tc_pool_gradient_shape *shape)
{
    return tc_scaled_gradient(gradient[window_at * shape->channels + channel], mantissas[window_at], shape->shift);
}

/* The gradient of a window whose first largest value is at (y, x), else 0. */
TC_INLINE int32_t tc_max_share(const int16_t *gradient, const int8_t *input, int32_t oy, int32_t ox, int32_t y,
                               int32_t x, int32_t channel, const tc_pool_gradient_shape *shape)
{
    const tc_window *window = &shape->window;
    const tc_taps rows = tc_window_rows(window, oy);
    const tc_taps columns = tc_window_columns(window, ox);
    const int32_t value = input[(y * window->input_width + x) * shape->channels + channel];
    for (int32_t j = 0; j < rows.count; ++j) {
        for (int32_t i = 0; i < columns.count; ++i) {
            const int32_t row = rows.position + j;
            const int32_t column = columns.position + i;
            const int32_t other = input[(row * window->input_width + column) * shape->channels + channel];
            const int32_t is_before = row < y || (row == y && column < x);
            if (other > value || (other == value && is_before)) {
                return 0;
            }
        }
    }
    return tc_shift_right_rounded(gradient[(oy * window->output_width + ox) * shape->channels + channel], shape->shift);
}

/* What all windows hand to one input: of an average, or, with an `input`, of a maximum. */
TC_INLINE int32_t tc_pool_sum(const int16_t *gradient, const int8_t *input, const int16_t *mantissas, int32_t y,
                              int32_t x, int32_t channel, const tc_pool_gradient_shape *shape)
{
    const tc_window *window = &shape->window;
    const tc_windows rows =
        tc_windows_over(y, window->padding_top, window->kernel_height, window->stride_y, window->output_height);
    const tc_windows columns =
        tc_windows_over(x, window->padding_left, window->kernel_width, window->stride_x, window->output_width);
    int32_t sum = 0;
    for (int32_t oy = rows.first; oy < rows.end; ++oy) {
        for (int32_t ox = columns.first; ox < columns.end; ++ox) {
            sum += input == NULL
                       ? tc_average_share(gradient, mantissas, oy * window->output_width + ox, channel, shape)
                       : tc_max_share(gradient, input, oy, ox, y, x, channel, shape);
        }
    }
    return sum;
}

/* Every sum is computed twice, first for the exponent: no memory is needed for all of them. */
TC_INLINE void tc_pool_gradient(const int16_t *gradient, const int32_t *exponent, const int8_t *input, int16_t *output,
                                int32_t *output_exponent, const int16_t *mantissas, const tc_pool_gradient_shape *shape)
{
    const tc_window *window = &shape->window;
    uint32_t bits = 0u;
    int32_t shift = 0;
    for (int32_t pass = 0; pass < 2; ++pass) {
        for (int32_t y = 0; y < window->input_height; ++y) {
            for (int32_t x = 0; x < window->input_width; ++x) {
                for (int32_t channel = 0; channel < shape->channels; ++channel) {
                    const int32_t sum = tc_pool_sum(gradient, input, mantissas, y, x, channel, shape);
                    if (pass == 0) {
                        bits = tc_or_magnitude(bits, sum);
                    } else {
                        *output++ = tc_gradient_value(sum, shift);
                    }
                }
            }
        }
        if (pass == 0) {
            shift = tc_renormalizing_shift(bits, *exponent + shape->exponent_change, output_exponent);
        }
    }
}

TC_INLINE void tc_average_pool_gradient(const int16_t *gradient, const int32_t *exponent, int16_t *output,
                                        int32_t *output_exponent, const int16_t *mantissas,
                                        const tc_pool_gradient_shape *shape)
{
    tc_pool_gradient(gradient, exponent, NULL, output, output_exponent, mantissas, shape);
}

/* A window's gradient goes to the first of its largest inputs, row by row. */
TC_INLINE void tc_max_pool_gradient(const int16_t *gradient, const int32_t *exponent, const int8_t *input,
                                    int16_t *output, int32_t *output_exponent, const tc_pool_gradient_shape *shape)
{
    tc_pool_gradient(gradient, exponent, input, output, output_exponent, NULL, shape);
}

#ifdef __cplusplus
}
#endif

#endif
