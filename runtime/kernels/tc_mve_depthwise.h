/* SPDX-License-Identifier: 0BSD */
/*
 * Depthwise convolution by Helium, any window and channel multiplier.
 *
 * input    [input_height][input_width][channels], int8
 * output   [output_height][output_width][channels * multiplier], int8
 * taps     per output channel [ceil(kernel_height / 4)][kernel_width], words of 4 rows, int8
 * requant  as in tc_mve_depthwise_block.h
 * places   where windows of several tiles have their words, then as there, of a strip's outputs and of the last strip's
 * scratch  16 bytes of padding, the words of a strip [bands][row tiles][columns][16 channels][4 rows], the taps of a
 *          channel where its window has several tiles, twice, and, in place, input rows that are overwritten
 *
 * Output rows come in strips, those in bands of one or two rows. Per strip and 16 channels, the input rows under each band
 * are interleaved by VST4, so that 4 rows of a column are a word; the block function gathers 4 of these for 16 taps. The
 * last band of a strip with an odd number of rows shares a row with the one before it.
 *
 * In place, all strips of 16 channels come before the next channels. A strip's input rows above its first output row have
 * been overwritten by then, so they are kept.
 */
#ifndef TC_MVE_DEPTHWISE_H
#define TC_MVE_DEPTHWISE_H

#include <stdbool.h>

#include "kernels/tc_mve.h"
#include "kernels/tc_mve_depthwise_block.h"
#include "kernels/tc_window.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tc_mve_depthwise_shape {
    tc_window window;
    int32_t channels;    /* of the input */
    int32_t multiplier;  /* outputs of each */
    int32_t input_zero_point;
    bool in_place;
    int32_t row_tiles;
    int32_t tiles;       /* of 4 words in a window */
    int32_t columns;     /* of a row tile in the scratch */
    int32_t beside;      /* columns of few channels that are interleaved together: 16 / channels, or 1 */
    int32_t band_rows;   /* output rows of a band: 1 or 2 */
    int32_t strip_rows;  /* output rows of a strip */
    int32_t last_rows;   /* of the last strip */
    int32_t strips;
    int32_t blocks;      /* of 8 outputs in a strip */
    int32_t last_blocks; /* in the last one */
    int32_t first_places; /* words before the places of a strip's outputs */
    int32_t last_places; /* before those of the last one */
    int32_t words;       /* of requantisation per channel */
} tc_mve_depthwise_shape;

/* 4 rows of the image; the assembly knows the order of the fields. */
typedef struct tc_mve_rows {
    const int8_t *first[4]; /* where their first column is */
    uint32_t step[4];       /* bytes to the next one, 0 for padding */
    uint32_t columns;
    uint32_t channels; /* of each column, at most 16 */
} tc_mve_rows;

/* Interleaves 4 rows. */
TC_INLINE void tc_mve_interleave(const tc_mve_rows *rows, int8_t *output)
{
#if TC_MVE
    register const tc_mve_rows *r10_rows __asm__("r10") = rows;
    register int8_t *r11_output __asm__("r11") = output;
    __asm__ volatile(
        "ldm r10, {r0, r1, r2, r3, r4, r5, r6, r8, r10, r12}\n\t"
        "vctp.8 r12\n\t"
        "wls lr, r10, 2f\n"
        "1:\n\t"
        "vpstttt\n\t"
        "vldrbt.8 q0, [r0]\n\t"
        "vldrbt.8 q1, [r1]\n\t"
        "vldrbt.8 q2, [r2]\n\t"
        "vldrbt.8 q3, [r3]\n\t"
        "add r0, r4\n\t"
        "add r1, r5\n\t"
        "add r2, r6\n\t"
        "add r3, r8\n\t"
        "vst40.8 {q0, q1, q2, q3}, [r11]\n\t"
        "vst41.8 {q0, q1, q2, q3}, [r11]\n\t"
        "vst42.8 {q0, q1, q2, q3}, [r11]\n\t"
        "vst43.8 {q0, q1, q2, q3}, [r11]!\n\t"
        "le lr, 1b\n"
        "2:\n\t"
        : "+r"(r11_output), "+r"(r10_rows)
        :
        : "r0", "r1", "r2", "r3", "r4", "r5", "r6", "r8", "r12", "q0", "q1", "q2", "q3", "lr", "p0", "cc",
          "memory");
#else
    for (uint32_t column = 0; column < rows->columns; column++) {
        for (uint32_t channel = 0; channel < rows->channels; channel++) {
            for (uint32_t row = 0; row < 4u; row++) {
                output[(column * 16u + channel) * 4u + row] = rows->first[row][column * rows->step[row] + channel];
            }
        }
    }
#endif
}

/* Bytes of a column's words: 4 rows of each channel. */
TC_INLINE int32_t tc_mve_column_bytes(const tc_mve_depthwise_shape *shape)
{
    return 64 / shape->beside;
}

/* Bytes of the words of a strip. */
TC_INLINE int32_t tc_mve_strip_bytes(const tc_mve_depthwise_shape *shape)
{
    const int32_t rows = tc_max(shape->strip_rows, shape->last_rows);
    const int32_t bands = (rows + shape->band_rows - 1) / shape->band_rows;
    return bands * shape->row_tiles * shape->columns * tc_mve_column_bytes(shape);
}

/* Bytes for the words of a channel's taps with zeros around. */
TC_INLINE int32_t tc_mve_around_bytes(const tc_mve_depthwise_shape *shape)
{
    return shape->tiles > 1 ? 4 * shape->window.kernel_width + 16 * shape->tiles : 0;
}

/* The input rows under the windows of the band at output row `oy`, of a strip from row `first` on. */
TC_INLINE void tc_mve_pack_band(const int8_t *input, int32_t oy, int32_t first, uint32_t channels, const int8_t *padding,
                                const int8_t *kept, int8_t *tiles, const tc_mve_depthwise_shape *shape)
{
    const tc_window *window = &shape->window;
    const int32_t needed = window->kernel_height + (shape->band_rows - 1) * window->stride_y;
    tc_mve_rows rows;
    const int32_t inside = tc_min(window->input_width, shape->columns - window->padding_left);
    rows.columns = (uint32_t)(inside / shape->beside);
    rows.channels = (uint32_t)shape->beside * channels;
    tiles += window->padding_left * tc_mve_column_bytes(shape);
    for (int32_t tile = 0; tile < shape->row_tiles; tile++) {
        for (int32_t i = 0; i < 4; i++) {
            const int32_t ky = 4 * tile + i;
            int32_t y = oy * window->stride_y - window->padding_top + ky * window->dilation_y;
#if TC_MVE
            __asm__("" : "+r"(y)); /* or compilers have the addresses of all rows ready, on the stack */
#endif
            rows.first[i] = padding;
            rows.step[i] = 0;
            if (ky < needed && y >= 0 && y < window->input_height) {
                const bool is_kept = shape->in_place && y < first;
                rows.first[i] = is_kept ? kept + (y - first + window->padding_top) * window->input_width * tc_min(16, shape->channels)
                                        : input + y * window->input_width * shape->channels;
                rows.step[i] = (uint32_t)(shape->beside * (is_kept ? tc_min(16, shape->channels) : shape->channels));
            }
        }
        tc_mve_interleave(&rows, tiles);
        tiles += shape->columns * tc_mve_column_bytes(shape);
    }
}

/* Copies input rows that the strip from `next` on needs and that the one from `first` on overwrites. */
TC_INLINE void tc_mve_keep_rows(const int8_t *input, int32_t first, int32_t next, uint32_t channels, int8_t *kept,
                                const tc_mve_depthwise_shape *shape)
{
    const tc_window *window = &shape->window;
    const int32_t wide = tc_min(16, shape->channels);
    const int32_t pitch = wide * window->input_width;
    for (int32_t i = 0; i < window->padding_top; i++) {
        const int32_t y = next - window->padding_top + i;
        if (y < 0) {
            continue;
        }
        if (y < first) {
            memmove(kept + i * pitch, kept + (i + next - first) * pitch, (size_t)pitch);
            continue;
        }
        const int8_t *row = input + y * window->input_width * shape->channels;
        for (int32_t x = 0; x < window->input_width; x++) {
            tc_mve_copy(row + x * shape->channels, channels, kept + i * pitch + wide * x);
        }
    }
}

/*
 * What the block function reads of a channel of several tiles: the words' places, `base` being added, then taps, those of a
 * second output row moved down by the stride.
 *
 * around  the words' copy, with zeros before and behind, which stay: [kernel_width + 4 * tiles]
 */
TC_INLINE void tc_mve_expand_taps(const uint32_t *taps, const uint32_t *places, uint32_t base, uint32_t *output,
                                  uint32_t *around, const tc_mve_depthwise_shape *shape)
{
    const int32_t width = shape->window.kernel_width;
    const int32_t count = (shape->window.kernel_height + 3) / 4 * width;
    const int32_t down = 8 * shape->window.stride_y;
    tc_mve_copy((const int8_t *)taps, (uint32_t)(4 * count), (int8_t *)(around + width));
#if TC_MVE
    const uint32_t *here = around + width;
    if (shape->band_rows == 2) {
        __asm__ volatile(
            "mov lr, %[tiles]\n"
            "1:\n\t"
            "vldrw.u32 q0, [%[places]], #16\n\t"
            "vldrw.u32 q1, [%[here]], #16\n\t"
            "vadd.i32 q0, q0, %[base]\n\t"
            "vldrw.u32 q2, [%[above]], #16\n\t"
            "vstrw.32 q0, [%[output]], #16\n\t"
            "vshl.u32 q2, %[up]\n\t"
            "vstrw.32 q1, [%[output]], #16\n\t"
            "vshl.u32 q1, %[down]\n\t"
            "vorr q1, q1, q2\n\t"
            "vstrw.32 q1, [%[output]], #16\n\t"
            "le lr, 1b\n\t"
            : [places] "+r"(places), [here] "+r"(here), [above] "+r"(around), [output] "+r"(output)
            : [tiles] "r"(shape->tiles), [base] "r"(base), [down] "r"(down), [up] "r"(down - 32)
            : "lr", "q0", "q1", "q2", "cc", "memory");
    } else {
        __asm__ volatile(
            "mov lr, %[tiles]\n"
            "1:\n\t"
            "vldrw.u32 q0, [%[places]], #16\n\t"
            "vldrw.u32 q1, [%[here]], #16\n\t"
            "vadd.i32 q0, q0, %[base]\n\t"
            "vstrw.32 q0, [%[output]], #16\n\t"
            "vstrw.32 q1, [%[output]], #16\n\t"
            "le lr, 1b\n\t"
            : [places] "+r"(places), [here] "+r"(here), [output] "+r"(output)
            : [tiles] "r"(shape->tiles), [base] "r"(base)
            : "lr", "q0", "q1", "cc", "memory");
    }
#else
    for (int32_t i = 0; i < 4 * shape->tiles; i++) {
        uint32_t *word = output + i / 4 * 4 * (1 + shape->band_rows) + i % 4;
        word[0] = base + places[i];
        word[4] = around[width + i];
        if (shape->band_rows == 2) {
            word[8] = around[width + i] << down | around[i] >> (32 - down);
        }
    }
#endif
}

/* The outputs of a strip of up to 16 channels. */
TC_INLINE void tc_mve_depthwise_strip(int32_t strip, int32_t channel, const int8_t *input, int8_t *output,
                                      const uint32_t *taps, const int32_t *requant, const uint32_t *places,
                                      int8_t *scratch, tc_mve_depthwise_block *block, const tc_mve_depthwise_shape *shape)
{
    const tc_window *window = &shape->window;
    const bool last = strip == shape->strips - 1;
    const int32_t first = strip * shape->strip_rows;
    const int32_t rows = last ? shape->last_rows : shape->strip_rows;
    const int32_t channels = tc_min(16, shape->channels - channel);
    const bool several = shape->tiles > 1;
    const int32_t record = (window->kernel_height + 3) / 4 * window->kernel_width;
    int8_t *words = scratch + 16;
    uint32_t *expanded = (uint32_t *)(void *)(words + tc_mve_strip_bytes(shape));
    uint32_t *around = expanded + (several ? 4 * shape->tiles * (1 + shape->band_rows) : 0);
    int8_t *kept = (int8_t *)around + tc_mve_around_bytes(shape);
    int8_t *band = words;
    for (int32_t row = 0; row < rows; row += shape->band_rows) {
        const int32_t oy = first + tc_min(row, rows - shape->band_rows);
        tc_mve_pack_band(input + channel, oy, first, (uint32_t)channels, scratch, kept, band, shape);
        band += shape->row_tiles * shape->columns * tc_mve_column_bytes(shape);
    }
    if (shape->in_place && !last) {
        tc_mve_keep_rows(input + channel, first, first + rows, (uint32_t)channels, kept, shape);
    }
    const int32_t before = channel * shape->multiplier;
    output += first * window->output_width * shape->channels * shape->multiplier + before;
    const int32_t together = several || shape->multiplier > 1 ? 1 : channels;
    for (int32_t i = 0; i < channels * shape->multiplier; i += together) {
        const int8_t *from = words + 4 * (i / shape->multiplier);
        const uint32_t *mine = taps + (before + i) * record;
        const uint32_t step = (uint32_t)(window->dilation_x * tc_mve_column_bytes(shape));
        if (several) {
            const uint32_t base = TC_MVE_BLOCKS ? (uint32_t)(uintptr_t)from : 0u;
            tc_mve_expand_taps(mine, places, base, expanded, around, shape);
            mine = expanded;
        }
        tc_mve_depthwise_job job = {{0, step, 2u * step, 3u * step},
                                    (const int8_t *)mine,
                                    requant + (before + i) * shape->words,
                                    (uint32_t)together,
                                    places + (last ? shape->last_places : shape->first_places),
                                    (uint32_t)(last ? shape->last_blocks : shape->blocks),
                                    0};
        block(from, output + i, &job);
    }
}

TC_INLINE void tc_mve_depthwise_s8(const int8_t *input, int8_t *output, const uint32_t *taps, const int32_t *requant,
                                   const uint32_t *places, void *scratch, tc_mve_depthwise_block *block,
                                   const tc_mve_depthwise_shape *shape)
{
    int8_t *const strips = (int8_t *)scratch;
    /* Padding beside the image stays; what is interleaved covers the rest. */
    tc_mve_fill((int8_t)shape->input_zero_point, (uint32_t)(16 + tc_mve_strip_bytes(shape)), strips);
    if (shape->tiles > 1) {
        const int32_t expanded = 16 * shape->tiles * (1 + shape->band_rows);
        memset(strips + 16 + tc_mve_strip_bytes(shape) + expanded, 0, (size_t)tc_mve_around_bytes(shape));
    }
    const int32_t groups = (shape->channels + 15) / 16;
    for (int32_t i = 0; i < groups * shape->strips; i++) {
        const int32_t strip = shape->in_place ? i % shape->strips : i / groups;
        const int32_t group = shape->in_place ? i / shape->strips : i % groups;
        tc_mve_depthwise_strip(strip, 16 * group, input, output, taps, requant, places, strips, block, shape);
    }
}

#ifdef __cplusplus
}
#endif

#endif
