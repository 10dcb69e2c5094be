/* SPDX-License-Identifier: 0BSD */
/*
 * Convolutions and fully connected layers of int16 activations and int8 weights by dual products, on cores with the DSP
 * extension; a fully connected layer is a convolution with windows of a pixel.
 *
 * input    [input_height][input_width][input_channels], int16
 * output   [output_height][output_width][output_channels], int16
 * weights  per pair of output channels and pair of taps a word: both channels' first tap, then their second, so that SXTB16
 *          gives the taps of one that lie beside each other in the input; what is missing to 4 taps or 2 channels is 0
 * channels per output channel, their number even: what sums begin with, and how they become outputs
 * scratch  the windows of a block of pixels, unless windows are pixels
 *
 * The compiler has checked that no sum leaves 32 bits. Pixels are computed in blocks of 3; a block is read before it is written
 * where windows are gathered, while it is where not.
 */
#ifndef TC_WIDE_LANES_H
#define TC_WIDE_LANES_H

#include <stdint.h>

#include "cmsis_shim/tc_simd.h"
#include "kernels/tc_bytes.h"
#include "kernels/tc_inline.h"
#include "kernels/tc_requant.h"
#include "kernels/tc_wide_linear.h"
#include "kernels/tc_window.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TC_WIDE_BLOCK 3

/*
 * A sum's output is (offset + sum * multiplier / 2^32) >> right, and what is rounded twice adds 2 * sum * multiplier / 2^32,
 * rounded, and one less of a negative sum.
 *
 * By ONNX's rule offset and right are the words of an offset of 64 bits, and (offset + sum * multiplier >> drop) / 2^fraction
 * is off the real number by less than `near` / 2^fraction. So near to a tie the output is that of tc_wide_linear.h, whose
 * offset (start, offset) and factor (multiplier, right) are in an entry `exact` places behind.
 */
typedef struct tc_wide_finish {
    int32_t start;
    int32_t multiplier;
    int32_t offset;
    int32_t right;
} tc_wide_finish;

typedef struct tc_wide_rounding {
    int32_t twice; /* whether sums are rounded twice */
    int32_t low;
    int32_t high;
    int32_t fraction; /* 0 by TFLite's rule */
    int32_t drop;
    uint32_t near;
    int32_t exact;
    tc_wide_range range;
} tc_wide_rounding;

typedef struct tc_wide_lanes_shape {
    tc_window window;
    int32_t input_channels;
    int32_t output_channels;
    int32_t groups;  /* of 4 taps */
    int32_t block;   /* pixels at a time, up to TC_WIDE_BLOCK */
    int32_t gathers; /* whether windows are copied to the scratch memory */
    tc_wide_rounding rounding;
} tc_wide_lanes_shape;

TC_INLINE int64_t tc_wide_words(int32_t high, int32_t low)
{
    return (int64_t)(((uint64_t)(uint32_t)high << 32) | (uint32_t)low);
}

/* By ONNX's rule. */
TC_INLINE int16_t tc_wide_finished_real(int32_t sum, const tc_wide_finish *finish, const tc_wide_rounding *rounding)
{
    const int64_t offset = tc_wide_words(finish->right, finish->offset);
    const int64_t value = (offset + (int64_t)sum * finish->multiplier) >> rounding->drop;
    const uint32_t above = ((uint32_t)value + rounding->near) & ((1u << rounding->fraction) - 1u);
    if (above < 2u * rounding->near) {
        const tc_wide_finish *const exact = finish + rounding->exact;
        const tc_wide_channel channel = {tc_wide_words(exact->offset, exact->start), exact->multiplier, exact->right};
        return tc_wide_requantize(sum, &channel, &rounding->range);
    }
    const int32_t result = (int32_t)(value >> rounding->fraction);
    const int32_t narrow = rounding->low > -32768 || rounding->high < 32767;
    return (int16_t)(narrow ? tc_clamp(result, rounding->low, rounding->high) : tc_ssat16(result));
}

TC_INLINE int16_t tc_wide_finished(int32_t sum, const tc_wide_finish *finish, const tc_wide_rounding *rounding)
{
    const int32_t low = rounding->low;
    const int32_t high = rounding->high;
    if (rounding->fraction) {
        return tc_wide_finished_real(sum, finish, rounding);
    }
    const int32_t scaled = rounding->twice ? tc_smmlar(sum * 2, finish->multiplier, finish->offset) + (sum >> 31)
                                           : tc_smmla(sum, finish->multiplier, finish->offset);
    const int32_t result = scaled >> finish->right;
    if (low == 0 && high == 32767) { /* RELU */
        return (int16_t)tc_usat15(result);
    }
    return (int16_t)(low > -32768 || high < 32767 ? tc_clamp(result, low, high) : tc_ssat16(result));
}

#if TC_DSP_BLOCKS && defined(__GNUC__) && defined(__OPTIMIZE__) && !TC_STRICT_ALIGNMENT
#define TC_WIDE_ASSEMBLY 1
#else
#define TC_WIDE_ASSEMBLY 0
#endif

#if TC_WIDE_ASSEMBLY
/* Two taps of two channels for three pixels, the first one last. */
#define TC_WIDE_TAPS                         \
    "ldr %[word], [%[weights]], #4\n\t"      \
    "ldr %[value], [%[x], %[apart], lsl #1]\n\t" \
    "sxtb16 %[even], %[word]\n\t"            \
    "sxtb16 %[word], %[word], ror #8\n\t"    \
    "smlad %[e], %[value], %[even], %[e]\n\t" \
    "smlad %[f], %[value], %[word], %[f]\n\t" \
    "ldr %[value], [%[x], %[apart]]\n\t"     \
    "smlad %[c], %[value], %[even], %[c]\n\t" \
    "smlad %[d], %[value], %[word], %[d]\n\t" \
    "ldr %[value], [%[x]], #4\n\t"           \
    "smlad %[a], %[value], %[even], %[a]\n\t" \
    "smlad %[b], %[value], %[word], %[b]\n\t"

/* The loop below for three pixels: 13 registers, which compilers don't leave to it on their own. */
TC_INLINE void tc_wide_lanes_sums_3(const int16_t *x, int32_t apart, const uint32_t *weights, int32_t groups,
                                    int32_t sums[2 * TC_WIDE_BLOCK])
{
    int32_t a = sums[0], b = sums[1], c = sums[2], d = sums[3], e = sums[4], f = sums[5];
    uint32_t word;
    uint32_t even;
    uint32_t value;
    __asm__ volatile("1:\n\t" TC_WIDE_TAPS TC_WIDE_TAPS
                     "cmp %[weights], %[end]\n\t"
                     "bne 1b"
                     : [a] "+r"(a), [b] "+r"(b), [c] "+r"(c), [d] "+r"(d), [e] "+r"(e), [f] "+r"(f), [x] "+r"(x),
                       [weights] "+r"(weights), [word] "=&r"(word), [even] "=&r"(even), [value] "=&r"(value)
                     : [end] "r"(weights + 2 * groups), [apart] "r"(2 * apart)
                     : "cc", "memory");
    sums[0] = a, sums[1] = b, sums[2] = c, sums[3] = d, sums[4] = e, sums[5] = f;
}
#endif

/* Sums of two channels for up to three pixels, `apart` elements apart: of pixel i and channel c in sums[2 * i + c]. */
TC_INLINE void tc_wide_lanes_sums(const int16_t *x, int32_t apart, int32_t pixels, const uint32_t *weights,
                                  int32_t groups, int32_t sums[2 * TC_WIDE_BLOCK])
{
#if TC_WIDE_ASSEMBLY
    if (pixels == 3) {
        tc_wide_lanes_sums_3(x, apart, weights, groups, sums);
        return;
    }
#endif
    const uint32_t *const end = weights + 2 * groups;
    int32_t a = sums[0];
    int32_t b = sums[1];
    int32_t c = sums[2];
    int32_t d = sums[3];
    int32_t e = sums[4];
    int32_t f = sums[5];
    do {
#if defined(__GNUC__)
#pragma GCC unroll 2
#endif
        for (int32_t half = 0; half < 2; ++half) {
            const uint32_t word = *weights++;
            const uint32_t even = tc_sxtb16(word, 0);
            const uint32_t odd = tc_sxtb16(word, 8);
            uint32_t values = tc_load4(x);
            a = tc_smlad(values, even, a);
            b = tc_smlad(values, odd, b);
            if (pixels >= 2) {
                values = tc_load4(x + apart);
                c = tc_smlad(values, even, c);
                d = tc_smlad(values, odd, d);
            }
            if (pixels >= 3) {
                values = tc_load4(x + 2 * apart);
                e = tc_smlad(values, even, e);
                f = tc_smlad(values, odd, f);
            }
            x += 2;
        }
    } while (weights != end);
    sums[0] = a;
    sums[1] = b;
    sums[2] = c;
    sums[3] = d;
    sums[4] = e;
    sums[5] = f;
}

/* All channels of up to three pixels beside each other in the output. */
TC_INLINE void tc_wide_lanes_pixels(const int16_t *x, int32_t apart, int32_t pixels, int16_t *output,
                                    const uint32_t *weights, const tc_wide_finish *channels,
                                    const tc_wide_lanes_shape *shape)
{
    const int32_t count = shape->output_channels;
    for (int32_t channel = 0; channel < count; channel += 2) {
        const tc_wide_finish *first = channels + channel;
        const tc_wide_finish *second = first + 1;
        const int32_t a = first->start;
        const int32_t b = second->start;
        int32_t sums[2 * TC_WIDE_BLOCK] = {a, b, a, b, a, b};
        tc_wide_lanes_sums(x, apart, pixels, weights, shape->groups, sums);
        weights += 2 * shape->groups;
        for (int32_t i = 0; i < pixels; ++i) {
            int16_t *to = output + i * count + channel;
            to[0] = tc_wide_finished(sums[2 * i], first, &shape->rounding);
            if (channel + 1 < count) {
                to[1] = tc_wide_finished(sums[2 * i + 1], second, &shape->rounding);
            }
        }
    }
}

/* Keeps a loop over words from becoming a call of memcpy or memset, which small C libraries do byte by byte. */
#if defined(__GNUC__)
#define TC_WIDE_BARRIER() __asm__ volatile("" ::: "memory")
#else
#define TC_WIDE_BARRIER()
#endif

/* Copies `count` elements; returns the end. */
TC_INLINE int16_t *tc_wide_copy(int16_t *to, const int16_t *from, int32_t count)
{
    int16_t *const end = to + count;
    while (end - to >= 4) {
        const uint32_t first = tc_load4(from);
        const uint32_t second = tc_load4(from + 2);
        tc_store4((int8_t *)to, first);
        tc_store4((int8_t *)(to + 2), second);
        TC_WIDE_BARRIER();
        from += 4;
        to += 4;
    }
    while (to != end) {
        *to++ = *from++;
        TC_WIDE_BARRIER();
    }
    return end;
}

/* Writes `count` zeros; returns the end. */
TC_INLINE int16_t *tc_wide_clear(int16_t *to, int32_t count)
{
    int16_t *const end = to + count;
    while (to != end) {
        *to++ = 0;
        TC_WIDE_BARRIER();
    }
    return end;
}

/* The window at an output position, padding written out. */
TC_INLINE void tc_wide_gather(const int16_t *input, int32_t oy, int32_t ox, int16_t *to,
                              const tc_wide_lanes_shape *shape)
{
    const tc_window *window = &shape->window;
    const int32_t depth = shape->input_channels;
    const tc_taps columns = tc_window_columns(window, ox);
    for (int32_t i = 0; i < window->kernel_height; ++i) {
        const int32_t y = oy * window->stride_y - window->padding_top + i * window->dilation_y;
        if (y < 0 || y >= window->input_height) {
            to = tc_wide_clear(to, window->kernel_width * depth);
            continue;
        }
        const int16_t *from = input + (y * window->input_width + columns.position) * depth;
        if (window->dilation_x == 1 && columns.count == window->kernel_width) {
            to = tc_wide_copy(to, from, window->kernel_width * depth);
            continue;
        }
        to = tc_wide_clear(to, columns.first * depth);
        for (int32_t j = 0; j < columns.count; ++j) {
            to = tc_wide_copy(to, from + j * window->dilation_x * depth, depth);
        }
        to = tc_wide_clear(to, (window->kernel_width - columns.first - columns.count) * depth);
    }
}

/* `scratch`: windows of whole words of 4 taps; NULL where windows are pixels. */
TC_INLINE void tc_wide_lanes(const int16_t *input, int16_t *output, const uint32_t *weights,
                             const tc_wide_finish *channels, void *scratch, const tc_wide_lanes_shape *shape)
{
    const tc_window *window = &shape->window;
    const int32_t spacing = shape->gathers ? 4 * shape->groups : shape->input_channels;
    const int32_t taps = window->kernel_height * window->kernel_width * shape->input_channels;
    const int32_t count = window->output_height * window->output_width;
    const int16_t *x = shape->gathers ? (const int16_t *)scratch : input;
    int16_t *const windows = (int16_t *)scratch;
    int32_t oy = 0;
    int32_t ox = 0;
    int32_t pixels;
    if (shape->gathers) { /* what a window lacks to whole words is multiplied by 0, and must be read all the same */
        for (int32_t i = 0; i < shape->block; ++i) {
            tc_wide_clear(windows + i * spacing + taps, spacing - taps);
        }
    }
    for (int32_t at = 0; at < count; at += pixels) {
        pixels = tc_min(count - at, shape->block);
        for (int32_t i = 0; i < pixels && shape->gathers; ++i) {
            tc_wide_gather(input, oy, ox, windows + i * spacing, shape);
            oy += ++ox == window->output_width ? 1 : 0;
            ox = ox == window->output_width ? 0 : ox;
        }
        if (shape->block == 3 && pixels == 3) {
            tc_wide_lanes_pixels(x, spacing, 3, output, weights, channels, shape);
        } else if (pixels == 2 && (count % shape->block == 2 || shape->block == 2)) {
            tc_wide_lanes_pixels(x, spacing, 2, output, weights, channels, shape);
        } else if (pixels == 1 && (count % shape->block == 1 || shape->block == 1)) {
            tc_wide_lanes_pixels(x, spacing, 1, output, weights, channels, shape);
        }
        x += shape->gathers ? 0 : pixels * spacing;
        output += pixels * shape->output_channels;
    }
}

typedef struct tc_wide_planes_shape {
    tc_window window;
    int32_t channels;
    int32_t pairs; /* of taps */
    tc_wide_rounding rounding;
} tc_wide_planes_shape;

/* Where the taps of a window are read: at `zeros` for those outside the image. */
TC_INLINE void tc_wide_taps(const int16_t *input, const int16_t *zeros, int32_t oy, int32_t ox, const int16_t **taps,
                            const tc_wide_planes_shape *shape)
{
    const tc_window *window = &shape->window;
    int32_t at = 0;
    for (int32_t i = 0; i < window->kernel_height; ++i) {
        const int32_t y = oy * window->stride_y - window->padding_top + i * window->dilation_y;
        for (int32_t j = 0; j < window->kernel_width; ++j) {
            const int32_t x = ox * window->stride_x - window->padding_left + j * window->dilation_x;
            taps[at++] = tc_window_holds(window, y, x) ? input + (y * window->input_width + x) * shape->channels : zeros;
        }
    }
}

/* Elements from the first tap of a window inside the image to another one; a constant where the loop around it is unrolled. */
TC_INLINE int32_t tc_wide_tap_at(int32_t tap, const tc_wide_planes_shape *shape)
{
    const tc_window *window = &shape->window;
    const int32_t y = tap / window->kernel_width * window->dilation_y;
    const int32_t x = tap % window->kernel_width * window->dilation_x;
    return (y * window->input_width + x) * shape->channels;
}

/* Sums of two channels: of taps beside `first`, in a window inside the image, or where `taps` says. */
TC_INLINE void tc_wide_planes_sums(const int16_t *first, const int16_t *const *taps, int32_t channel,
                                   const uint32_t *word, int32_t sums[2], const tc_wide_planes_shape *shape)
{
    const int32_t count = shape->window.kernel_height * shape->window.kernel_width;
    int32_t a = sums[0];
    int32_t b = sums[1];
#if defined(__GNUC__)
#pragma GCC unroll 25
#endif
    for (int32_t tap = 0; tap + 1 < count; tap += 2) {
        const uint32_t one = tc_load4(taps == NULL ? first + tc_wide_tap_at(tap, shape) : taps[tap] + channel);
        const uint32_t other = tc_load4(taps == NULL ? first + tc_wide_tap_at(tap + 1, shape) : taps[tap + 1] + channel);
        a = tc_smlad(tc_pkhbt(one, other, 16), word[0], a);
        b = tc_smlad(tc_pkhtb(other, one, 16), word[1], b);
        word += 2;
    }
    if (count % 2 == 1) {
        const uint32_t last =
            tc_load4(taps == NULL ? first + tc_wide_tap_at(count - 1, shape) : taps[count - 1] + channel);
        a = tc_smlabb(last, word[0], a);
        b = tc_smlabt(word[1], last, b);
    }
    sums[0] = a;
    sums[1] = b;
}

/* All channels of a pixel; without `taps` its window lies inside the image and begins with `first`. */
TC_INLINE void tc_wide_planes_pixel(const int16_t *first, const int16_t *const *taps, int16_t *output,
                                    const uint32_t *word, const tc_wide_finish *finish,
                                    const tc_wide_planes_shape *shape)
{
    for (int32_t channel = 0; channel < shape->channels; channel += 2) {
        int32_t sums[2] = {finish[0].start, finish[1].start};
        tc_wide_planes_sums(first + channel, taps, channel, word, sums, shape);
        output[channel] = tc_wide_finished(sums[0], &finish[0], &shape->rounding);
        output[channel + 1] = tc_wide_finished(sums[1], &finish[1], &shape->rounding);
        finish += 2;
        word += 2 * shape->pairs;
    }
}

/*
 * Depthwise convolution with depth multiplier 1 and an even number of channels, two at a time.
 *
 * weights  per pair of channels and pair of taps a word for each channel: the weights of both taps as int16
 * scratch  a pointer for each tap of a window, then a pixel of zeros
 *
 * Two channels of a pixel are written when they were read.
 */
TC_INLINE void tc_wide_planes(const int16_t *input, int16_t *output, const uint32_t *weights,
                              const tc_wide_finish *channels, void *scratch, const tc_wide_planes_shape *shape)
{
    const tc_window *window = &shape->window;
    const int32_t count = window->kernel_height * window->kernel_width;
    const int16_t **taps = (const int16_t **)scratch;
    int16_t *const zeros = (int16_t *)(taps + count);
    tc_wide_clear(zeros, shape->channels);
    for (int32_t oy = 0; oy < window->output_height; ++oy) {
        for (int32_t ox = 0; ox < window->output_width; ++ox) {
            const int32_t top = oy * window->stride_y - window->padding_top;
            const int32_t left = ox * window->stride_x - window->padding_left;
            if (count <= 50 && tc_window_lies_inside(window, top, left)) {
                const int16_t *first = input + (top * window->input_width + left) * shape->channels;
                tc_wide_planes_pixel(first, NULL, output, weights, channels, shape);
            } else {
                tc_wide_taps(input, zeros, oy, ox, taps, shape);
                tc_wide_planes_pixel(input, taps, output, weights, channels, shape);
            }
            output += shape->channels;
        }
    }
}

#ifdef __cplusplus
}
#endif

#endif
