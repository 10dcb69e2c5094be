/* SPDX-License-Identifier: 0BSD */
/*
 * The byte-lane product (tc_lane_conv2d.h) for weights in RAM: before each call of a layer they are packed in scratch, as
 * weights in flash are when a model is compiled.
 *
 * weights     [channels][size], int8 within [-127, 127]; size: products of which an output is the sum
 * bias        int32 [channels], or null
 * parameters  per channel: start, then the requantisation (tc_requant_block.h)
 * stream      per pair of channels: starts, words of 4 weights of one and of the other in turn, requantisation of each; the
 *             last pair of an odd number repeats the channel before it
 */
#ifndef TC_TRAINED_LANES_H
#define TC_TRAINED_LANES_H

#include <stddef.h>
#include <stdint.h>

#include "cmsis_shim/tc_simd.h"
#include "kernels/tc_added_bias.h"
#include "kernels/tc_align.h"
#include "kernels/tc_inline.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tc_trained_lanes_shape {
    int32_t channels;
    int32_t size;
    int32_t zero_point;
    int32_t words; /* of a channel's parameters, without its start */
    tc_added_bias added;
} tc_trained_lanes_shape;

/* The weights of a channel to every second word of `stream`. Returns what they add to what its sum, times 256, begins with:
 * the input's zero point times all of them, and the 127 that expanded inputs are less at odd places. */
TC_INLINE int32_t tc_trained_lanes_words(const int8_t *weights, int32_t *stream, const tc_trained_lanes_shape *shape)
{
    int32_t even = 0;
    int32_t odd = 0;
    for (int32_t left = shape->size; left > 0; left -= 4, weights += 4, stream += 2) {
        uint32_t bytes = 0u;
        if (left >= 4) {
            bytes = tc_load4(weights);
        } else {
            for (int32_t i = 0; i < left; ++i) {
                bytes |= (uint32_t)(uint8_t)weights[i] << (8 * i);
            }
        }
        const uint32_t evens = tc_sxtb16(bytes, 0);
        even = tc_smlad(evens, 0x00010001u, even);
        odd = tc_smlad(tc_sxtb16(bytes, 8), 0x00010001u, odd);
        *stream = (int32_t)tc_sadd16(bytes & 0xff00ff00u, evens);
    }
    return 256 * (127 * odd - shape->zero_point * (even + odd));
}

/* Packs a layer's weights. Returns what is behind them. */
TC_INLINE int32_t *tc_trained_lanes(const int8_t *weights, const int32_t *bias, const int32_t *parameters,
                                    int32_t *stream, const tc_trained_lanes_shape *shape)
{
    const int32_t record = 1 + shape->words;
    const int32_t body = (shape->size + 3) / 4 * 2;
    for (int32_t pair = 0; pair < shape->channels; pair += 2) {
        for (int32_t i = 0; i < 2; ++i) {
            const int32_t channel = tc_clamp(pair + i - (pair + 1 == shape->channels ? 1 : 0), 0, shape->channels - 1);
            const int32_t *const own = parameters + channel * record;
            const int32_t start = tc_with_bias(own[0], bias == NULL ? 0 : bias[channel], shape->added);
            const int32_t more = tc_trained_lanes_words(weights + channel * shape->size, stream + 2 + i, shape);
            stream[i] = (int32_t)((uint32_t)start + (uint32_t)more);
            for (int32_t word = 0; word < shape->words; ++word) {
                stream[2 + body + i * shape->words + word] = own[1 + word];
            }
        }
        stream += 2 + body + 2 * shape->words;
    }
    return stream;
}

#ifdef __cplusplus
}
#endif

#endif
