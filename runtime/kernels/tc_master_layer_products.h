/* SPDX-License-Identifier: 0BSD */
/*
 * Layers of tc_trained_products.h whose int8 weights are never whole in memory: those of a few output channels are rounded from
 * the int16 master weights, used for all positions, and forgotten.
 *
 * master   [output_channels][kernel_height][kernel_width][trained], int16; others: int8, the input channels behind them
 * scratch  int32_t [together], then the windows of three positions, then int8_t [together] weights
 */
#ifndef TC_MASTER_LAYER_PRODUCTS_H
#define TC_MASTER_LAYER_PRODUCTS_H

#include <stddef.h>
#include <stdint.h>

#include "kernels/tc_descent.h"
#include "kernels/tc_inline.h"
#include "kernels/tc_trained_products.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tc_master_layer_shape {
    tc_trained_shape layer;
    int32_t together; /* output channels whose weights are rounded at a time; two or more, and no more than there are */
    int32_t trained;
    int32_t others;
} tc_master_layer_shape;

/* `others` and `bias` may be null. */
TC_INLINE void tc_master_layer(const int16_t *master, const int8_t *others, const int8_t *input, const int32_t *bias,
                               int8_t *output, const int32_t *parameters, void *scratch,
                               tc_trained_products *products, const tc_master_layer_shape *shape)
{
    const tc_trained_shape *const layer = &shape->layer;
    const int32_t taps = layer->window.kernel_height * layer->window.kernel_width;
    const int32_t words = 1 + (int32_t)tc_requant_block_words(&layer->requant);
    const tc_rounded_weights_shape rounded = {shape->together * taps, shape->trained, shape->others};
    int32_t *const starts = (int32_t *)scratch;
    uint32_t *const x = (uint32_t *)(starts + shape->together);
    int8_t *const filters = (int8_t *)(x + taps * layer->input_channels / 4 * 6);
    for (int32_t next = 0; next < layer->output_channels; next += shape->together) {
        const int32_t first = tc_min(next, layer->output_channels - shape->together);
        const int32_t row = first * taps;
        tc_rounded_weights(master + row * shape->trained, filters, shape->others > 0 ? others + row * shape->others : NULL,
                           &rounded);
        tc_trained_channels(input, filters, bias == NULL ? NULL : bias + first, output + first, parameters + first * words,
                            starts, x, shape->together, products, layer);
    }
}

#ifdef __cplusplus
}
#endif

#endif
