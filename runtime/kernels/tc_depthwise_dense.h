/* SPDX-License-Identifier: 0BSD */
/*
 * Depthwise convolution with depth multiplier 1 of images of a few pixels (docs/kernels.md): where a window lies mostly in the
 * padding, each output is a sum over the whole image, with a weight for each of its pixels.
 *
 *     TC_DEPTHWISE_DENSE_BLOCK(name, words, outputs, pixel, form, saturate, bits, shift, low, high)
 *
 * defines the block function `name` for a few channels:
 *
 *     words    pairs of pixels in an image, at most 5; a last pixel is alone in its word
 *     outputs  pixels of the output
 *     pixel    bytes from an output pixel to the next
 *
 * and the requantisation (tc_requant_block.h).
 *
 *     planes   per channel the pairs of pixels
 *     weights  per channel the parameters of the requantisation, then per output its start and its pairs of weights
 *     output   first channel of the first pixel
 *     count    channels
 *
 * input    [pixels][channels], int8, at least 4 channels
 * output   [outputs][channels], int8
 * scratch  planes of 4 channels
 */
#ifndef TC_DEPTHWISE_DENSE_H
#define TC_DEPTHWISE_DENSE_H

#include <stdint.h>

#include "cmsis_shim/tc_simd.h"
#include "kernels/tc_add_to.h"
#include "kernels/tc_depthwise_planes.h"
#include "kernels/tc_inline.h"
#include "kernels/tc_requant_block.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef void tc_depthwise_dense_block(const uint32_t *planes, const int32_t *weights, int8_t *output, uint32_t count);

typedef struct tc_depthwise_dense_shape {
    int32_t pixels;
    int32_t channels;
    int32_t record_words;
} tc_depthwise_dense_shape;

/* The same arithmetic in portable C. */
TC_INLINE void tc_depthwise_dense_portable(const uint32_t *planes, const int32_t *weights, int8_t *output, uint32_t count,
                                           uint32_t words, uint32_t outputs, uint32_t pixel,
                                           const tc_requant_block *requant)
{
    for (uint32_t channel = 0; channel < count; channel++, planes += words) {
        const int32_t *const parameters = weights;
        weights += tc_requant_block_words(requant);
        for (uint32_t y = 0; y < outputs; y++) {
            int32_t sum = *weights++;
            for (uint32_t word = 0; word < words; word++) {
                sum = tc_smlad(planes[word], (uint32_t)*weights++, sum);
            }
            output[y * pixel + channel] = tc_requantize_block(sum, parameters, requant);
        }
    }
}

#if TC_DSP_BLOCKS

/*
 * r0-r4 hold the image, r5 the sum, r6-r8 weights, r9-r11 the parameters; r12 walks the weights, lr the output.
 * Slots: 0 planes of the next channel, 1 its output, 2 channels that are left.
 */
#define TC_DENSE_PARAMETERS_smmla "ldrd r9, r10, [r12], #8\n\t"
#define TC_DENSE_PARAMETERS_smmla_signed "ldmia r12!, {r9, r10, r11}\n\t"

/* Start and up to three words, then up to two more. */
#define TC_DENSE_SUM_1 "ldrd r5, r6, [r12], #8\n\t"
#define TC_DENSE_SUM_2 "ldmia r12!, {r5, r6, r7}\n\t"
#define TC_DENSE_SUM_3 "ldmia r12!, {r5, r6, r7, r8}\n\t"
#define TC_DENSE_SUM_4 TC_DENSE_SUM_3
#define TC_DENSE_SUM_5 TC_DENSE_SUM_3
#define TC_DENSE_OUTPUT(words) \
    TC_DENSE_SUM_##words \
    "smlad r5, r0, r6, r5\n\t" \
    ".if " #words " == 4\n\t" \
    "ldr r6, [r12], #4\n\t" \
    ".endif\n\t" \
    ".if " #words " > 1\n\t" \
    "smlad r5, r1, r7, r5\n\t" \
    ".endif\n\t" \
    ".if " #words " == 5\n\t" \
    "ldrd r6, r7, [r12], #8\n\t" \
    ".endif\n\t" \
    ".if " #words " > 2\n\t" \
    "smlad r5, r2, r8, r5\n\t" \
    ".endif\n\t" \
    ".if " #words " > 3\n\t" \
    "smlad r5, r3, r6, r5\n\t" \
    ".endif\n\t" \
    ".if " #words " > 4\n\t" \
    "smlad r5, r4, r7, r5\n\t" \
    ".endif\n\t"

#define TC_DENSE_IMAGE_1 "ldr r0, [r5], #4\n\t"
#define TC_DENSE_IMAGE_2 "ldmia r5!, {r0, r1}\n\t"
#define TC_DENSE_IMAGE_3 "ldmia r5!, {r0, r1, r2}\n\t"
#define TC_DENSE_IMAGE_4 "ldmia r5!, {r0, r1, r2, r3}\n\t"
#define TC_DENSE_IMAGE_5 "ldmia r5!, {r0, r1, r2, r3, r4}\n\t"

#define TC_DENSE_TEXT(words, outputs, pixel, form, saturate, bits, shift, low, high) \
    "mov r12, r1\n\t" \
    TC_KEEP_PAIR(r0, r2, 0, 1) \
    "1:\n\t" /* a channel */ \
    TC_KEEP(r3, 2) \
    TC_FETCH_PAIR(r5, lr, 0, 1) \
    TC_DENSE_IMAGE_##words \
    "add r6, lr, #1\n\t" \
    TC_KEEP_PAIR(r5, r6, 0, 1) \
    TC_DENSE_PARAMETERS_##form \
    ".set .Ltc_at, 0\n\t" \
    ".rept " #outputs "\n\t" \
    TC_DENSE_OUTPUT(words) \
    TC_HIGH_##form(r5, r9, r10, r11, r6) \
    TC_SATURATE(r5, saturate, bits, shift) \
    TC_CLAMP_##saturate("r5", bits, low, high, r6, r7, r8) \
    ".if .Ltc_at > 4095\n\t" \
    TC_ADD_TO(lr, ".Ltc_at", r6) \
    ".set .Ltc_at, 0\n\t" \
    ".endif\n\t" \
    "strb r5, [lr, #.Ltc_at]\n\t" \
    ".set .Ltc_at, .Ltc_at + " #pixel "\n\t" \
    ".endr\n\t" \
    TC_FETCH(r3, 2) \
    "subs r3, r3, #1\n\t" \
    "bne 1b\n\t"

#define TC_DEPTHWISE_DENSE_BLOCK(name, ...) \
    TC_BLOCK_FUNCTION(name, const uint32_t *, const int32_t *, int8_t *, uint32_t, TC_DENSE_TEXT(__VA_ARGS__))

#else

#define TC_DEPTHWISE_DENSE_BLOCK(name, words, outputs, pixel, ...) \
    static TC_NOINLINE void name(const uint32_t *planes, const int32_t *weights, int8_t *output, uint32_t count) \
    { \
        static const tc_requant_block requant = TC_REQUANT_BLOCK(__VA_ARGS__); \
        tc_depthwise_dense_portable(planes, weights, output, count, words, outputs, pixel, &requant); \
    }

#endif

/* Each group of 4 channels is read as a whole before it is written, so the output may be the input's memory. */
TC_INLINE void tc_depthwise_dense_s8(const int8_t *input, int8_t *output, const int32_t *weights, void *scratch,
                                     tc_depthwise_dense_block *compute, const tc_depthwise_dense_shape *shape)
{
    const int32_t channels = shape->channels;
    const int32_t words = (shape->pixels + 1) / 2;
    uint32_t *const planes = (uint32_t *)scratch; /* [4 channels][words] */
    for (int32_t channel = 0; channel < channels; channel += 4) {
        /* The last group packs some channels again if they aren't a multiple of 4, and computes only the new ones. */
        const int32_t fresh = channels % 4 == 0 || channel + 4 <= channels ? 4 : channels % 4;
        const int8_t *from = input + channel - (4 - fresh);
        for (int32_t word = 0; word < words; word++, from += 2 * channels) {
            tc_depthwise_pack_column(tc_load4(from), 2 * word + 1 < shape->pixels ? tc_load4(from + channels) : 0,
                                     planes + word, (uint32_t)words);
        }
        compute(planes + (4 - fresh) * words, weights, output + channel, (uint32_t)fresh);
        weights += 4 * shape->record_words;
    }
}

#ifdef __cplusplus
}
#endif

#endif
