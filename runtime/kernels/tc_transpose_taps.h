/* SPDX-License-Identifier: 0BSD */
/*
 * Which inputs and which positions of the kernel meet in an output of a transposed convolution, along one axis.
 */
#ifndef TC_TRANSPOSE_TAPS_H
#define TC_TRANSPOSE_TAPS_H

#include <stdint.h>

#include "kernels/tc_inline.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Input i and position k of the kernel meet in output i * stride + k * dilation - cut. */
typedef struct tc_transpose_axis {
    int32_t inputs;
    int32_t outputs;
    int32_t kernel;
    int32_t stride;
    int32_t dilation;
    int32_t cut;
    int32_t step;  /* from a position of the kernel that meets an output to the next: stride / gcd(stride, dilation) */
    int32_t apart; /* inputs by which the one that it meets there lies before: dilation / gcd(stride, dilation) */
} tc_transpose_axis;

/* `count` pairs: kernel position first + n * step meets input position - n * apart. */
typedef struct tc_transpose_taps {
    int32_t first;
    int32_t step;
    int32_t count;
    int32_t position;
    int32_t apart;
} tc_transpose_taps;

TC_INLINE tc_transpose_taps tc_transpose_taps_of(const tc_transpose_axis *axis, int32_t output)
{
    const int32_t from = output + axis->cut;
    tc_transpose_taps taps = {0, axis->step, 0, 0, axis->apart};
    while (taps.first < axis->step && (from - taps.first * axis->dilation) % axis->stride != 0) {
        ++taps.first;
    }
    if (taps.first == axis->step) {
        return taps; /* a dilation and a stride with a common factor: no position meets this output */
    }
    taps.position = (from - taps.first * axis->dilation) / axis->stride;
    while (taps.position >= axis->inputs) {
        taps.first += axis->step;
        taps.position -= axis->apart;
    }
    if (taps.position >= 0 && taps.first < axis->kernel) {
        const int32_t positions = (axis->kernel - 1 - taps.first) / axis->step;
        const int32_t inputs = taps.position / axis->apart;
        taps.count = 1 + (positions < inputs ? positions : inputs);
    }
    return taps;
}

#ifdef __cplusplus
}
#endif

#endif
