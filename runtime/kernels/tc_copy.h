/* SPDX-License-Identifier: 0BSD */
/*
 * Operators that move bytes without computing: padding, transposition, nearest-neighbour resizing.
 *
 * Each writes its output in memory order, one run after the other, and copies a run upwards: the output may share
 * memory with the input where no run lies below its target and no later one is overwritten before it is copied.
 */
#ifndef TC_COPY_H
#define TC_COPY_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "kernels/tc_bytes.h"
#include "kernels/tc_inline.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Copies upwards in memory, as memmove where the target is not above the source: what the planner sees to. Short runs
 * make up most of the work here, and a call of memmove costs more than they do.
 */
TC_INLINE void tc_copy_down(int8_t *to, const int8_t *from, int32_t bytes)
{
#if TC_STRICT_ALIGNMENT
    if (bytes < 8) {
        tc_copy_few(to, from, (uint32_t)bytes);
    } else {
        tc_move_down(to, from, (uint32_t)bytes);
    }
#else
    for (; bytes >= 16; bytes -= 16) {
        const uint32_t word0 = tc_load4(from);
        const uint32_t word1 = tc_load4(from + 4);
        const uint32_t word2 = tc_load4(from + 8);
        const uint32_t word3 = tc_load4(from + 12);
        tc_store4(to, word0);
        tc_store4(to + 4, word1);
        tc_store4(to + 8, word2);
        tc_store4(to + 12, word3);
        from += 16;
        to += 16;
    }
    for (; bytes >= 4; bytes -= 4) {
        tc_store4(to, tc_load4(from));
        from += 4;
        to += 4;
    }
#if !TC_THUMB1 /* which has no unaligned halfwords: two bytes would be a call of memcpy */
    if (bytes >= 2) {
        uint16_t half;
        memcpy(&half, from, 2);
        memcpy(to, &half, 2);
        from += 2;
        to += 2;
        bytes -= 2;
    }
#endif
    for (; bytes > 0; --bytes) {
        *to++ = *from++;
    }
#endif
}

#define TC_PAD_AXES 7

/* The innermost axis is a row, in bytes; the axes around it are outermost first, unused ones of size 1. */
typedef struct tc_pad_shape {
    int32_t size[TC_PAD_AXES]; /* of the input */
    int32_t before[TC_PAD_AXES];
    int32_t after[TC_PAD_AXES];
    int32_t row;
    int32_t row_before;
    int32_t row_after;
    int32_t item;      /* bytes of an element */
    bool bytes_alike;  /* of the fill */
    uint32_t value[2]; /* the bits of the fill, in the lowest bytes */
} tc_pad_shape;

/* Elements that are the fill. */
TC_INLINE void tc_pad_fill(int8_t *to, int32_t bytes, const tc_pad_shape *shape)
{
    if (shape->bytes_alike) {
        memset(to, (int)(shape->value[0] & 0xFFu), (size_t)bytes);
    } else {
        for (int32_t i = 0; i < bytes; i += shape->item) {
            tc_copy_down(to + i, (const int8_t *)shape->value, shape->item);
        }
    }
}

/* Whether an output row, numbered in memory order, comes from the input. */
TC_INLINE bool tc_pad_row_is_input(int32_t row, const tc_pad_shape *shape)
{
    for (int32_t axis = TC_PAD_AXES - 1; axis >= 0; --axis) {
        const int32_t extent = shape->before[axis] + shape->size[axis] + shape->after[axis];
        const int32_t position = row % extent - shape->before[axis];
        if (position < 0 || position >= shape->size[axis]) {
            return false;
        }
        row /= extent;
    }
    return true;
}

TC_INLINE void tc_pad(const void *input, void *output, const tc_pad_shape *shape)
{
    const int8_t *from = (const int8_t *)input;
    int8_t *to = (int8_t *)output;
    const int32_t output_row = shape->row_before + shape->row + shape->row_after;
    int32_t rows = 1;
    for (int32_t axis = 0; axis < TC_PAD_AXES; ++axis) {
        rows *= shape->before[axis] + shape->size[axis] + shape->after[axis];
    }
    for (int32_t row = 0; row < rows; ++row) {
        if (tc_pad_row_is_input(row, shape)) {
            tc_copy_down(to + shape->row_before, from, shape->row);
            tc_pad_fill(to, shape->row_before, shape);
            tc_pad_fill(to + shape->row_before + shape->row, shape->row_after, shape);
            from += shape->row;
        } else {
            tc_pad_fill(to, output_row, shape);
        }
        to += output_row;
    }
}

#define TC_TRANSPOSE_LOOPS 6

/* Loops over the output's axes, outermost first, unused ones of size 1; strides in bytes of the input. */
typedef struct tc_transpose_shape {
    int32_t size[TC_TRANSPOSE_LOOPS];
    int32_t stride[TC_TRANSPOSE_LOOPS];
    int32_t run; /* bytes that stay together */
} tc_transpose_shape;

/* The inner loops; returns the end of the output. */
TC_INLINE int8_t *tc_transpose_inner(const int8_t *input, int8_t *output, const tc_transpose_shape *shape)
{
    const int32_t *size = shape->size;
    const int32_t *stride = shape->stride;
    for (int32_t i = 0; i < size[3]; ++i) {
        for (int32_t j = 0; j < size[4]; ++j) {
            for (int32_t k = 0; k < size[5]; ++k) {
                tc_copy_down(output, input + i * stride[3] + j * stride[4] + k * stride[5], shape->run);
                output += shape->run;
            }
        }
    }
    return output;
}

TC_INLINE void tc_transpose(const void *input, void *output, const tc_transpose_shape *shape)
{
    const int8_t *from = (const int8_t *)input;
    int8_t *to = (int8_t *)output;
    const int32_t *size = shape->size;
    const int32_t *stride = shape->stride;
    for (int32_t i = 0; i < size[0]; ++i) {
        for (int32_t j = 0; j < size[1]; ++j) {
            for (int32_t k = 0; k < size[2]; ++k) {
                to = tc_transpose_inner(from + i * stride[0] + j * stride[1] + k * stride[2], to, shape);
            }
        }
    }
}

typedef struct tc_resize_shape {
    int32_t input_width;
    int32_t output_height;
    int32_t output_width;
    int32_t channels;
} tc_resize_shape;

/* rows[y], columns[x]: the input row and column that output row y and column x copy. */
TC_INLINE void tc_resize_nearest_s8(const int8_t *input, int8_t *output, const uint16_t *rows,
                                    const uint16_t *columns, const tc_resize_shape *shape)
{
    for (int32_t y = 0; y < shape->output_height; ++y) {
        const int8_t *row = input + rows[y] * shape->input_width * shape->channels;
        for (int32_t x = 0; x < shape->output_width; ++x) {
            tc_copy_down(output, row + columns[x] * shape->channels, shape->channels);
            output += shape->channels;
        }
    }
}

#ifdef __cplusplus
}
#endif

#endif
