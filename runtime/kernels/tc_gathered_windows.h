/* SPDX-License-Identifier: 0BSD */
/*
 * What products of pointwise layers need of layers with larger windows: windows one behind the other, as if each were the
 * inputs of a position, and weights in pairs of output channels.
 */
#ifndef TC_GATHERED_WINDOWS_H
#define TC_GATHERED_WINDOWS_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "cmsis_shim/tc_simd.h"
#include "kernels/tc_align.h"
#include "kernels/tc_inline.h"
#include "kernels/tc_window.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tc_gathered_windows_shape {
    tc_window window;
    int32_t channels;
    int32_t zero_point; /* what windows have beside the image */
} tc_gathered_windows_shape;

/* input: [input_height][input_width][channels]; windows: [positions][kernel_height][kernel_width][channels] */
TC_INLINE void tc_gather_windows(const int8_t *input, int8_t *windows, const tc_gathered_windows_shape *shape)
{
    const tc_window *window = &shape->window;
    const uint32_t bytes = (uint32_t)shape->channels;
    for (int32_t oy = 0; oy < window->output_height; ++oy) {
        for (int32_t ox = 0; ox < window->output_width; ++ox) {
            const int32_t top = oy * window->stride_y - window->padding_top;
            const int32_t left = ox * window->stride_x - window->padding_left;
            for (int32_t j = 0; j < window->kernel_height; ++j) {
                const int32_t row = top + j * window->dilation_y;
                for (int32_t i = 0; i < window->kernel_width; ++i, windows += shape->channels) {
                    const int32_t column = left + i * window->dilation_x;
                    if (tc_window_holds(window, row, column)) {
                        tc_memcpy(windows, input + (row * window->input_width + column) * shape->channels, bytes);
                    } else {
                        memset(windows, shape->zero_point, bytes);
                    }
                }
            }
        }
    }
}

typedef struct tc_paired_weights_shape {
    int32_t outputs;
    int32_t taps;
    int32_t channels;
} tc_paired_weights_shape;

/* Up to four bytes. */
TC_INLINE uint32_t tc_some_bytes(const int8_t *bytes, int32_t count)
{
    if (count >= 4) {
        return tc_load4(bytes);
    }
    uint32_t found = 0u;
    for (int32_t i = 0; i < count; ++i) {
        found |= (uint32_t)(uint8_t)bytes[i] << (8 * i);
    }
    return found;
}

/*
 * weights  [outputs][taps][channels]
 * pairs    of each tap, of every four channels and two outputs: (output 0: channels 0, 1; output 1: 0, 1), then (output 0: 2,
 *          3; output 1: 2, 3); zeros fill both up
 */
TC_INLINE void tc_pair_weights(const int8_t *weights, uint32_t *pairs, const tc_paired_weights_shape *shape)
{
    const int32_t pitch = shape->taps * shape->channels;
    for (int32_t tap = 0; tap < shape->taps; ++tap) {
        for (int32_t first = 0; first < shape->channels; first += 4) {
            const int8_t *own = weights + tap * shape->channels + first;
            const int32_t left = shape->channels - first;
            for (int32_t output = 0; output < shape->outputs; output += 2, own += 2 * pitch, pairs += 2) {
                const uint32_t a = tc_some_bytes(own, left);
                const uint32_t b = output + 1 < shape->outputs ? tc_some_bytes(own + pitch, left) : 0u;
                pairs[0] = tc_pkhbt(a, b, 16);
                pairs[1] = tc_pkhtb(b, a, 16);
            }
        }
    }
}

#ifdef __cplusplus
}
#endif

#endif
