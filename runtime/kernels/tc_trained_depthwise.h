/* SPDX-License-Identifier: 0BSD */
/*
 * Depthwise convolutions by pairs of taps (tc_depthwise_pairs.h) for weights in RAM: before each call of a layer they are
 * packed in scratch, as weights in flash are when a model is compiled.
 *
 * weights     [taps][channels], int8
 * bias        int32 [channels], or null
 * parameters  per channel: start, then the requantisation
 * stream      per 4 channels: starts, words of pairs of taps, requantisation of each; zeros fill up the last ones
 */
#ifndef TC_TRAINED_DEPTHWISE_H
#define TC_TRAINED_DEPTHWISE_H

#include <stddef.h>
#include <stdint.h>

#include "cmsis_shim/tc_simd.h"
#include "kernels/tc_added_bias.h"
#include "kernels/tc_inline.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tc_trained_depthwise_shape {
    int32_t channels;
    int32_t taps;
    int32_t zero_point;
    int32_t factor; /* of weights and sums */
    int32_t words;  /* of a channel's parameters, without its start */
    tc_added_bias added;
} tc_trained_depthwise_shape;

/* A channel's weights to every fourth word of `stream`. Returns their sum. */
TC_INLINE int32_t tc_trained_depthwise_words(const int8_t *weights, int32_t *stream,
                                             const tc_trained_depthwise_shape *shape)
{
    int32_t sum = 0;
    for (int32_t tap = 0; tap < shape->taps; tap += 2, stream += 4) {
        const int32_t first = weights[tap * shape->channels];
        const int32_t second = tap + 1 < shape->taps ? weights[(tap + 1) * shape->channels] : 0;
        sum += first + second;
        *stream = (int32_t)tc_lanes(first * shape->factor, second * shape->factor);
    }
    return sum;
}

/* Packs a layer's weights. Returns what is behind them. */
TC_INLINE int32_t *tc_trained_depthwise(const int8_t *weights, const int32_t *bias, const int32_t *parameters,
                                        int32_t *stream, const tc_trained_depthwise_shape *shape)
{
    const int32_t body = (shape->taps + 1) / 2 * 4;
    const int32_t record = 1 + shape->words;
    for (int32_t group = 0; group < shape->channels; group += 4) {
        for (int32_t i = 0; i < 4; ++i) {
            const int32_t channel = group + i;
            int32_t *const own = stream + 4 + body + i * shape->words;
            if (channel >= shape->channels) {
                stream[i] = 0;
                for (int32_t word = 0; word < body; word += 4) {
                    stream[4 + i + word] = 0;
                }
                for (int32_t word = 0; word < shape->words; ++word) {
                    own[word] = 0;
                }
                continue;
            }
            const int32_t *const from = parameters + channel * record;
            const int32_t start = tc_with_bias(from[0], bias == NULL ? 0 : bias[channel], shape->added);
            const int32_t sum = tc_trained_depthwise_words(weights + channel, stream + 4 + i, shape);
            stream[i] = (int32_t)((uint32_t)start - (uint32_t)(sum * shape->zero_point * shape->factor));
            for (int32_t word = 0; word < shape->words; ++word) {
                own[word] = from[1 + word];
            }
        }
        stream += 4 + body + 4 * shape->words;
    }
    return stream;
}

#ifdef __cplusplus
}
#endif

#endif
