/* SPDX-License-Identifier: 0BSD */
/*
 * Depthwise convolution with depth multiplier 1, stride 1 or 2, of images of a few columns (docs/kernels.md): an output row is
 * a sum over the rows of the image under its window, of Toeplitz matrices of weights times pairs of pixels beside each other.
 *
 *     TC_DEPTHWISE_TOEPLITZ_BLOCK(name, height, width, output_height, output_width, window, stride, top, pixel,
 *                                 sums0, edge0, first0, words0, sums1, edge1, first1, words1, form, ...)
 *
 * defines the block function `name` for a few channels:
 *
 *     window   rows of the window
 *     top      rows of padding
 *     pixel    bytes from an output pixel to the next
 *
 * then twice, since with stride 1 even and odd columns of the output have pairs of their own, what is 0 where there are none:
 *
 *     sums     outputs, at most 4
 *     edge     column of the window that the first of them multiplies the first pixel by
 *     first    output i multiplies pair j of pixels by pair j - i - first of weights
 *     words    such pairs in a row of the window, at most 4
 *
 * and the requantisation (tc_requant_block.h).
 *
 *     planes   per channel the pairs of pixels, less the zero point, of each row; at most 4 a row
 *     weights  per channel the pairs of weights, row by row, of the even columns, then of the odd ones; start; parameters of
 *              the requantisation
 *     output   first channel of the first pixel
 *     count    channels
 *
 * input    [height][width][channels], int8, at least 4 channels
 * output   [output_height][output_width][channels], int8
 * scratch  planes of 4 channels
 */
#ifndef TC_DEPTHWISE_TOEPLITZ_H
#define TC_DEPTHWISE_TOEPLITZ_H

#include <stdint.h>

#include "cmsis_shim/tc_simd.h"
#include "kernels/tc_add_to.h"
#include "kernels/tc_bytes.h"
#include "kernels/tc_depthwise_planes.h"
#include "kernels/tc_inline.h"
#include "kernels/tc_requant_block.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef void tc_depthwise_toeplitz_block(const uint32_t *planes, const int32_t *weights, int8_t *output, uint32_t count);

typedef struct tc_depthwise_toeplitz_shape {
    int32_t height;
    int32_t width;
    int32_t channels;
    int32_t zero_point;
    int32_t record_words;
} tc_depthwise_toeplitz_shape;

/* For the portable twins, the constants of a block function. */
typedef struct tc_depthwise_toeplitz_columns {
    int32_t sums;
    int32_t edge; /* which the words follow from */
    int32_t first;
    int32_t words;
} tc_depthwise_toeplitz_columns;

typedef struct tc_depthwise_toeplitz_sizes {
    int32_t height;
    int32_t width;
    int32_t output_height;
    int32_t output_width;
    int32_t window;
    int32_t stride;
    int32_t top;
    int32_t pixel;
    tc_depthwise_toeplitz_columns columns[2];
} tc_depthwise_toeplitz_sizes;

/* Output number `i` of those that are computed together, of row y. */
TC_INLINE int32_t tc_depthwise_toeplitz_sum(const uint32_t *plane, const int32_t *weights, int32_t start, int32_t y, int32_t i,
                                            const tc_depthwise_toeplitz_columns *columns,
                                            const tc_depthwise_toeplitz_sizes *sizes)
{
    const int32_t pairs = (sizes->width + 1) / 2;
    for (int32_t tap = 0; tap < sizes->window; tap++) {
        const int32_t row = y * sizes->stride - sizes->top + tap;
        for (int32_t pair = 0; row >= 0 && row < sizes->height && pair < pairs; pair++) {
            const int32_t number = pair - i - columns->first;
            if (number >= 0 && number < columns->words) {
                start = tc_smlad(plane[row * pairs + pair], (uint32_t)weights[tap * columns->words + number], start);
            }
        }
    }
    return start;
}

/* The same arithmetic in portable C. */
TC_INLINE void tc_depthwise_toeplitz_portable(const uint32_t *planes, const int32_t *weights, int8_t *output,
                                              uint32_t count, const tc_depthwise_toeplitz_sizes *sizes,
                                              const tc_requant_block *requant)
{
    const tc_depthwise_toeplitz_columns *const odd = &sizes->columns[1];
    const int32_t split = sizes->window * sizes->columns[0].words;
    const int32_t words = split + sizes->window * odd->words;
    for (uint32_t channel = 0; channel < count; channel++) {
        for (int32_t y = 0; y < sizes->output_height; y++) {
            for (int32_t x = 0; x < sizes->output_width; x++) {
                const int32_t second = odd->sums > 0 ? x % 2 : 0;
                const int32_t sum = tc_depthwise_toeplitz_sum(planes, weights + second * split, weights[words], y,
                                                              odd->sums > 0 ? x / 2 : x, &sizes->columns[second], sizes);
                output[(y * sizes->output_width + x) * sizes->pixel] =
                    tc_requantize_block(sum, weights + words + 1, requant);
            }
        }
        planes += sizes->height * ((sizes->width + 1) / 2);
        weights += words + 1 + (int32_t)tc_requant_block_words(requant);
        output++;
    }
}

#if TC_DSP_BLOCKS

/*
 * r0-r3 accumulate outputs, r4-r7 hold a row's pixels, r8-r11 a row's weights; r12 walks the weights, lr the pixels.
 * .Ltc_w, .Ltc_p: how far, in words, from the channel's first ones.
 * Slots: 0 and 1 start, 2 multiplier, 3 offset, 4 step, 5 output, 6 channels that are left, 8 planes and 9 weights.
 */
#define TC_TOEPLITZ_GO(reg, at, to) \
    ".if (" to ") > (" at ")\n\t" \
    "add " #reg ", " #reg ", #4 * ((" to ") - (" at "))\n\t" \
    ".elseif (" to ") < (" at ")\n\t" \
    "sub " #reg ", " #reg ", #4 * ((" at ") - (" to "))\n\t" \
    ".endif\n\t" \
    ".set " at ", " to "\n\t"

#define TC_TOEPLITZ_LOAD(base, words, a, b, c, d) \
    ".if " words " == 1\n\t" \
    "ldr " #a ", [" #base "], #4\n\t" \
    ".elseif " words " == 2\n\t" \
    "ldrd " #a ", " #b ", [" #base "], #8\n\t" \
    ".elseif " words " == 3\n\t" \
    "ldmia " #base "!, {" #a ", " #b ", " #c "}\n\t" \
    ".else\n\t" \
    "ldmia " #base "!, {" #a ", " #b ", " #c ", " #d "}\n\t" \
    ".endif\n\t"

/* A row of the image. A last column has no second pixel: what would multiply it, the first column of the window, is left out. */
#define TC_TOEPLITZ_ROW(width, sums, edge, first, words) \
    TC_TOEPLITZ_LOAD(lr, ".Ltc_pairs", r4, r5, r6, r7) \
    TC_TOEPLITZ_LOAD(r12, #words, r8, r9, r10, r11) \
    ".irp j, 4, 5, 6, 7\n\t" \
    ".irp i, 0, 1, 2, 3\n\t" \
    ".irp k, 8, 9, 10, 11\n\t" \
    ".if \\i < " #sums " && \\j - 4 < .Ltc_pairs && \\k - 8 < " #words " && \\k - 8 == \\j - 4 - \\i - (" #first ")\n\t" \
    ".if 2 * (\\j - 4) + 1 != " #width " || 2 * (\\j - 4 - \\i) + (" #edge ") != -1\n\t" \
    "smlad r\\i, r\\j, r\\k, r\\i\n\t" \
    ".endif\n\t" \
    ".endif\n\t" \
    ".endr\n\t" \
    ".endr\n\t" \
    ".endr\n\t" \
    ".set .Ltc_w, .Ltc_w + " #words "\n\t" \
    ".set .Ltc_p, .Ltc_p + .Ltc_pairs\n\t"

#define TC_TOEPLITZ_PARAMETERS_smmla TC_FETCH_PAIR(r8, r9, 2, 3)
#define TC_TOEPLITZ_PARAMETERS_smmla_signed TC_FETCH_PAIR(r8, r9, 2, 3) TC_FETCH(r10, 4)
#define TC_TOEPLITZ_CLAMP(number, sums, saturate, bits, low, high) \
    ".if .Ltc_sums == " #number "\n\t" \
    TC_CLAMP_##saturate(sums, bits, low, high, r5, r6, r7) \
    ".endif\n\t"

/* Outputs from column `x` on, every `next`th; `base` words of weights lie in front of theirs. */
#define TC_TOEPLITZ_SUMS(x, next, base, width, output_width, pixel, sums, edge, first, words, form, saturate, bits, shift, \
                         low, high) \
    ".if " #sums "\n\t" \
    ".set .Ltc_sums, " #sums "\n\t" \
    TC_TOEPLITZ_GO(r12, ".Ltc_w", base " + .Ltc_tap * " #words) \
    TC_TOEPLITZ_GO(lr, ".Ltc_p", ".Ltc_from * .Ltc_pairs") \
    TC_FETCH_PAIR(r0, r1, 0, 1) \
    ".if " #sums " > 2\n\t" \
    TC_FETCH_PAIR(r2, r3, 0, 1) \
    ".endif\n\t" \
    ".rept .Ltc_rows\n\t" \
    TC_TOEPLITZ_ROW(width, sums, edge, first, words) \
    ".endr\n\t" \
    TC_TOEPLITZ_PARAMETERS_##form \
    ".irp i, r0, r1, r2, r3\n\t" \
    ".if .Ltc_sums\n\t" \
    TC_HIGH_##form(\\i, r8, r9, r10, r11) \
    TC_SATURATE(\\i, saturate, bits, shift) \
    ".set .Ltc_sums, .Ltc_sums - 1\n\t" \
    ".endif\n\t" \
    ".endr\n\t" \
    ".set .Ltc_sums, " #sums "\n\t" \
    TC_TOEPLITZ_CLAMP(1, "r0", saturate, bits, low, high) \
    TC_TOEPLITZ_CLAMP(2, "r0, r1", saturate, bits, low, high) \
    TC_TOEPLITZ_CLAMP(3, "r0, r1, r2", saturate, bits, low, high) \
    TC_TOEPLITZ_CLAMP(4, "r0, r1, r2, r3", saturate, bits, low, high) \
    TC_FETCH(r4, 5) \
    ".set .Ltc_at, (.Ltc_y * " #output_width " + " #x ") * " #pixel "\n\t" \
    ".if .Ltc_at + (" #sums " - 1) * " #next " * " #pixel " > 4095\n\t" \
    TC_ADD_TO(r4, ".Ltc_at", r5) \
    ".set .Ltc_at, 0\n\t" \
    ".endif\n\t" \
    ".irp i, r0, r1, r2, r3\n\t" \
    ".if .Ltc_sums\n\t" \
    "strb \\i, [r4, #.Ltc_at]\n\t" \
    ".set .Ltc_at, .Ltc_at + " #next " * " #pixel "\n\t" \
    ".set .Ltc_sums, .Ltc_sums - 1\n\t" \
    ".endif\n\t" \
    ".endr\n\t" \
    ".endif\n\t"

/* The rows of the image under the window of output row .Ltc_y, and the window's row that the first of them meets. */
#define TC_TOEPLITZ_WINDOW(height, window, stride, top) \
    ".set .Ltc_tap, 0\n\t" \
    ".set .Ltc_from, .Ltc_y * " #stride " - " #top "\n\t" \
    ".set .Ltc_rows, .Ltc_from + " #window "\n\t" \
    ".if .Ltc_rows > " #height "\n\t" \
    ".set .Ltc_rows, " #height "\n\t" \
    ".endif\n\t" \
    ".if .Ltc_from < 0\n\t" \
    ".set .Ltc_tap, -.Ltc_from\n\t" \
    ".set .Ltc_from, 0\n\t" \
    ".endif\n\t" \
    ".set .Ltc_rows, .Ltc_rows - .Ltc_from\n\t" \
    ".if .Ltc_rows < 0\n\t" /* all of it is beside the image */ \
    ".set .Ltc_rows, 0\n\t" \
    ".set .Ltc_tap, 0\n\t" \
    ".set .Ltc_from, 0\n\t" \
    ".endif\n\t"

#define TC_TOEPLITZ_CHANNEL_smmla \
    "ldmia r12!, {r0, r8, r9}\n\t"
#define TC_TOEPLITZ_CHANNEL_smmla_signed \
    "ldmia r12!, {r0, r8, r9, r10}\n\t" \
    TC_KEEP(r10, 4)

#define TC_TOEPLITZ_TEXT(height, width, output_height, output_width, window, stride, top, pixel, sums0, edge0, first0, words0, \
                         sums1, edge1, first1, words1, form, ...) \
    ".set .Ltc_pairs, (" #width " + 1) / 2\n\t" \
    ".set .Ltc_split, " #window " * " #words0 "\n\t" \
    ".set .Ltc_words, .Ltc_split + " #window " * " #words1 "\n\t" \
    TC_KEEP(r2, 5) \
    TC_KEEP_PAIR(r0, r1, 8, 9) \
    "1:\n\t" /* a channel */ \
    TC_KEEP(r3, 6) \
    TC_FETCH_PAIR(lr, r12, 8, 9) \
    "add r12, r12, #4 * .Ltc_words\n\t" \
    TC_TOEPLITZ_CHANNEL_##form \
    "add r4, lr, #4 * .Ltc_pairs * " #height "\n\t" \
    TC_KEEP_PAIR(r4, r12, 8, 9) \
    TC_KEEP_PAIR(r0, r0, 0, 1) \
    TC_KEEP_PAIR(r8, r9, 2, 3) \
    ".set .Ltc_w, .Ltc_words + 3" TC_IF_SIGNED_##form(" + 1") "\n\t" \
    ".set .Ltc_p, 0\n\t" \
    ".set .Ltc_y, 0\n\t" \
    ".rept " #output_height "\n\t" \
    TC_TOEPLITZ_WINDOW(height, window, stride, top) \
    TC_TOEPLITZ_SUMS(0, (3 - stride), "0", width, output_width, pixel, sums0, edge0, first0, words0, form, __VA_ARGS__) \
    TC_TOEPLITZ_SUMS(1, 2, ".Ltc_split", width, output_width, pixel, sums1, edge1, first1, words1, form, __VA_ARGS__) \
    ".set .Ltc_y, .Ltc_y + 1\n\t" \
    ".endr\n\t" \
    TC_FETCH(r4, 5) \
    "add r4, r4, #1\n\t" \
    TC_KEEP(r4, 5) \
    TC_FETCH(r3, 6) \
    "subs r3, r3, #1\n\t" \
    "bne 1b\n\t"

#define TC_DEPTHWISE_TOEPLITZ_BLOCK(name, ...) \
    TC_BLOCK_FUNCTION(name, const uint32_t *, const int32_t *, int8_t *, uint32_t, TC_TOEPLITZ_TEXT(__VA_ARGS__))

#else

#define TC_DEPTHWISE_TOEPLITZ_BLOCK(name, height_, width_, output_height_, output_width_, window_, stride_, top_, pixel_, \
                                    sums0, edge0, first0, words0, sums1, edge1, first1, words1, ...) \
    static TC_NOINLINE void name(const uint32_t *planes, const int32_t *weights, int8_t *output, uint32_t count) \
    { \
        static const tc_requant_block requant = TC_REQUANT_BLOCK(__VA_ARGS__); \
        static const tc_depthwise_toeplitz_sizes sizes = { \
            height_, width_,  output_height_, output_width_, \
            window_, stride_, top_,           pixel_, \
            {{sums0, edge0, first0, words0}, {sums1, edge1, first1, words1}}}; \
        tc_depthwise_toeplitz_portable(planes, weights, output, count, &sizes, &requant); \
    }

#endif

/* Each group of 4 channels is read as a whole before it is written, so the output may be the input's memory. */
TC_INLINE void tc_depthwise_toeplitz_s8(const int8_t *input, int8_t *output, const int32_t *weights, void *scratch,
                                        tc_depthwise_toeplitz_block *compute, const tc_depthwise_toeplitz_shape *shape)
{
    const int32_t channels = shape->channels;
    const int32_t pairs = (shape->width + 1) / 2;
    const uint32_t words = (uint32_t)(shape->height * pairs);
    const uint32_t zero_points = tc_lanes(shape->zero_point, shape->zero_point);
    uint32_t *const planes = (uint32_t *)scratch; /* [4 channels][height][pairs] */
    for (int32_t channel = 0; channel < channels; channel += 4) {
        /* The last group packs some channels again if they aren't a multiple of 4, and computes only the new ones. */
        const int32_t fresh = channels % 4 == 0 || channel + 4 <= channels ? 4 : channels % 4;
        const int8_t *from = input + channel - (4 - fresh);
        uint32_t *plane = planes;
        for (int32_t y = 0; y < shape->height; y++) {
            for (int32_t pair = 0; pair < pairs; pair++) {
                const int32_t both = 2 * pair + 1 < shape->width;
                const uint32_t first = tc_load4(from);
                const uint32_t second = both != 0 ? tc_load4(from + channels) : tc_splat4(shape->zero_point);
                const uint32_t low = tc_pkhbt(first, second, 16);
                const uint32_t high = tc_pkhtb(second, first, 16);
                plane[0] = tc_ssub16(tc_sxtb16(low, 0), zero_points);
                plane[words] = tc_ssub16(tc_sxtb16(low, 8), zero_points);
                plane[2u * words] = tc_ssub16(tc_sxtb16(high, 0), zero_points);
                plane[3u * words] = tc_ssub16(tc_sxtb16(high, 8), zero_points);
                plane++;
                from += both != 0 ? 2 * channels : channels;
            }
        }
        compute(planes + (uint32_t)(4 - fresh) * words, weights, output + channel, (uint32_t)fresh);
        weights += 4 * shape->record_words;
    }
}

#ifdef __cplusplus
}
#endif

#endif
