/*
 * The geometry of a sliding window: convolution, depthwise convolution and pooling share it.
 */
#ifndef TC_WINDOW_H
#define TC_WINDOW_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tc_window {
    int32_t input_height;
    int32_t input_width;
    int32_t output_height;
    int32_t output_width;
    int32_t kernel_height;
    int32_t kernel_width;
    int32_t stride_y;
    int32_t stride_x;
    int32_t dilation_y;
    int32_t dilation_x;
    int32_t padding_top;
    int32_t padding_left;
} tc_window;

/* Whether (y, x) is a pixel of the input, not of the padding. */
static inline bool tc_window_holds(const tc_window *window, int32_t y, int32_t x)
{
    return y >= 0 && y < window->input_height && x >= 0 && x < window->input_width;
}

#ifdef __cplusplus
}
#endif

#endif
