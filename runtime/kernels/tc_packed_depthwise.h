/* SPDX-License-Identifier: 0BSD */
/*
 * Depthwise convolution channel by channel with two outputs to a word (tc_packed.h), for cores without SIMD.
 *
 * input    [rows][columns][channels], int8; rows and columns may be the image's columns and rows, as the steps say
 * output   likewise; channel c reads input channel c / multiplier
 * weights  per output channel: 1 where its groups are the short ones, else 0, and its taps, int8
 * channels per output channel: requantisation (tc_scalar_requant.h)
 * scratch  the channel's taps as int32; rows of words x[column] + 2^16 x[column + stride], with the padding; pairs of sums
 *
 * `rows` rows of outputs are computed at a time, and all that they read is read before they are written.
 */
#ifndef TC_PACKED_DEPTHWISE_H
#define TC_PACKED_DEPTHWISE_H

#include "kernels/tc_packed.h"
#include "kernels/tc_window.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tc_packed_depthwise_shape {
    tc_window window;
    int32_t input_step_y; /* bytes from a row to the next one */
    int32_t input_step_x;
    int32_t output_step_y;
    int32_t output_step_x;
    int32_t output_channels;
    int32_t multiplier;
    int32_t rows;    /* of outputs at a time */
    int32_t pitch;   /* words of a row */
    int32_t lead;    /* of these before the first column's, where the padding is less than the stride */
    int32_t columns; /* of the input that are read */
    int32_t input_zero_point;
    tc_scalar_requant requant;
    int32_t computed; /* channels; 0 for all */
} tc_packed_depthwise_shape;

/* What a block function needs besides the words; its assembly knows the order of the fields. */
typedef struct tc_packed_depthwise_job {
    const uint32_t *x_end; /* of this row's windows: where the one behind the last would be */
    int32_t advance;       /* bytes from below a window to the next one */
    tc_packed_pair *pairs;
    const int32_t *taps;
    int32_t start;
    uint32_t rows;
    int32_t row_step;  /* bytes from a row's x_end to the next row's first window */
    int32_t row_bytes; /* from a row's first window to its x_end */
    int32_t pairs_skip; /* bytes between what rows write */
    const int32_t *taps_end;
    int32_t pitch; /* bytes from a row of a window to the next one */
    uint32_t r7;
} tc_packed_depthwise_job;

typedef void tc_packed_depthwise_block(const uint32_t *, tc_packed_depthwise_job *);

/* For 2 pairs of outputs at a time, and for one. */
typedef struct tc_packed_depthwise_blocks {
    tc_packed_depthwise_block *two;
    tc_packed_depthwise_block *one;
} tc_packed_depthwise_blocks;

/*
 * TC_PACKED_DEPTHWISE(name, width, dilation, stride, group) defines the block functions of windows of `width` columns, whose
 * groups are of `group` taps beside each other. Below, the first word of a tap is used for the first pair of outputs.
 */
#if TC_PACKED_BLOCKS

/* Sums of the group in r7 and r8 to r10, r5 and r11, r6: both and high. */
#define TC_PACKED_TAKE_FIRST \
    "asrs r2, r7, #16\n\t" \
    "adcs r5, r2\n\t" \
    "add r10, r7\n\t"
#define TC_PACKED_TAKE_SECOND \
    "mov r3, r8\n\t" \
    "asrs r2, r3, #16\n\t" \
    "adcs r6, r2\n\t" \
    "add r11, r3\n\t"

#if TC_THUMB1
#define TC_PACKED_PRODUCT(word, sum, move, add) \
    "muls " #word ", r4, " #word "\n\t" \
    ".if .Ltc_first\n\t" \
    move " " #sum ", " #word "\n\t" \
    ".else\n\t" \
    add " " #sum ", " #word "\n\t" \
    ".endif\n\t"
#else
#define TC_PACKED_PRODUCT(word, sum, move, add) \
    ".if .Ltc_first\n\t" \
    "mul " #sum ", " #word ", r4\n\t" \
    ".else\n\t" \
    "mla " #sum ", " #word ", r4, " #sum "\n\t" \
    ".endif\n\t"
#endif
#define TC_PACKED_DEPTHWISE_TAP_1(dilation, stride) \
    "ldr r2, [r0, #4 * .Ltc_tap * " #dilation "]\n\t" \
    TC_PACKED_PRODUCT(r2, r7, "movs", "adds")
#define TC_PACKED_DEPTHWISE_TAP_2(dilation, stride) \
    TC_PACKED_DEPTHWISE_TAP_1(dilation, stride) \
    "ldr r3, [r0, #4 * (.Ltc_tap * " #dilation " + 2 * " #stride ")]\n\t" \
    TC_PACKED_PRODUCT(r3, r8, "mov", "add")
#define TC_PACKED_TAKE_1 TC_PACKED_TAKE_FIRST
#define TC_PACKED_TAKE_2 TC_PACKED_TAKE_FIRST TC_PACKED_TAKE_SECOND
#define TC_PACKED_KEEP_1 \
    "mov r3, r10\n\t" \
    "stm r2!, {r3, r5}\n\t"
#define TC_PACKED_KEEP_2 \
    TC_PACKED_KEEP_1 \
    "mov r3, r11\n\t" \
    "stm r2!, {r3, r6}\n\t"

/* r0 the words of a window's row, r1 taps; lr the job, r9 its pitch, r12 the taps' end; r7 waits in the job. */
#define TC_PACKED_DEPTHWISE_BLOCK(name, words, width, dilation, stride, group) \
    static TC_NOINLINE void name(const uint32_t *x, tc_packed_depthwise_job *job) \
    { \
        register const uint32_t *r0 __asm__("r0") = x; \
        register tc_packed_depthwise_job *r1 __asm__("r1") = job; \
        TC_ASM_WITH_R9( \
            ".syntax unified\n\t" \
            "mov lr, r1\n\t" \
            "str r7, [r1, #44]\n\t" \
            "ldr r2, [r1, #40]\n\t" \
            "mov r9, r2\n\t" \
            "ldr r2, [r1, #36]\n\t" \
            "mov r12, r2\n" \
            "1:\n\t" /* a window of each pair */ \
            "mov r4, lr\n\t" \
            "ldr r1, [r4, #12]\n\t" \
            "ldr r5, [r4, #16]\n\t" \
            "movs r6, r5\n\t" \
            "lsls r2, r5, #16\n\t" \
            "adds r2, r2, r5\n\t" \
            "mov r10, r2\n\t" \
            "mov r11, r2\n" \
            "2:\n\t" /* a row of it */ \
            ".set .Ltc_tap, 0\n\t" \
            ".rept " #width "\n\t" \
            ".set .Ltc_first, (.Ltc_tap %% " #group ") == 0\n\t" \
            "ldm r1!, {r4}\n\t" \
            TC_PACKED_DEPTHWISE_TAP_##words(dilation, stride) \
            ".set .Ltc_tap, .Ltc_tap + 1\n\t" \
            ".if (.Ltc_tap %% " #group ") == 0 || .Ltc_tap == " #width "\n\t" \
            TC_PACKED_TAKE_##words \
            ".endif\n\t" \
            ".endr\n\t" \
            "add r0, r9\n\t" \
            "cmp r1, r12\n\t" \
            "bne 2b\n\t" \
            "mov r4, lr\n\t" \
            "ldr r2, [r4, #8]\n\t" \
            TC_PACKED_KEEP_##words \
            "str r2, [r4, #8]\n\t" \
            "ldr r2, [r4, #4]\n\t" \
            "adds r0, r0, r2\n\t" \
            "ldr r2, [r4, #0]\n\t" \
            "cmp r0, r2\n\t" \
            "bne 1b\n\t" \
            "ldr r2, [r4, #20]\n\t" \
            "subs r2, #1\n\t" \
            "str r2, [r4, #20]\n\t" \
            "beq 3f\n\t" \
            "ldr r2, [r4, #24]\n\t" \
            "adds r0, r0, r2\n\t" \
            "ldr r2, [r4, #28]\n\t" \
            "adds r2, r0, r2\n\t" \
            "str r2, [r4, #0]\n\t" \
            "ldr r2, [r4, #8]\n\t" \
            "ldr r3, [r4, #32]\n\t" \
            "adds r2, r2, r3\n\t" \
            "str r2, [r4, #8]\n\t" \
            "b 1b\n" \
            "3:\n\t" \
            "ldr r7, [r4, #44]\n\t" \
            : "+r"(r0), "+r"(r1) \
            : \
            : "r2", "r3", "r4", "r5", "r6", "r8", "r9", "r10", "r11", "r12", "lr", "cc", "memory"); \
    }

#else

#define TC_PACKED_DEPTHWISE_BLOCK(name, words, width, dilation, stride, group) \
    static TC_NOINLINE void name(const uint32_t *x, tc_packed_depthwise_job *job) \
    { \
        tc_packed_depthwise_portable(x, job, words, width, dilation, stride, group); \
    }

#endif

TC_INLINE const uint32_t *tc_packed_bytes(const uint32_t *words, int32_t bytes)
{
    return words + bytes / 4;
}

/* The products of a tap; behind the last one of a group sums take it. */
TC_INLINE void tc_packed_depthwise_tap(tc_packed_pair *sums, uint32_t *sum, const uint32_t *row, const int32_t *taps,
                                       int32_t tap, int32_t words, int32_t width, int32_t dilation, int32_t stride,
                                       int32_t group)
{
    const uint32_t weight = (uint32_t)taps[tap];
    const bool is_last = (tap + 1) % group == 0 || tap + 1 == width;
    sum[0] = (tap % group == 0 ? 0u : sum[0]) + row[tap * dilation] * weight;
    if (is_last) {
        tc_packed_take(&sums[0], sum[0]);
    }
    if (words == 2) {
        sum[1] = (tap % group == 0 ? 0u : sum[1]) + row[tap * dilation + 2 * stride] * weight;
        if (is_last) {
            tc_packed_take(&sums[1], sum[1]);
        }
    }
}

/* The portable twin: all but the first two arguments are constants, so that sums of a window are in registers. */
TC_INLINE void tc_packed_depthwise_portable(const uint32_t *x, tc_packed_depthwise_job *job, int32_t words, int32_t width,
                                            int32_t dilation, int32_t stride, int32_t group)
{
    const tc_packed_pair start = tc_packed_start(job->start);
    const int32_t *const taps_end = job->taps_end;
    const int32_t pitch = job->pitch;
    for (; job->rows > 0u; job->rows--) {
        tc_packed_pair *pairs = job->pairs;
        job->x_end = tc_packed_bytes(x, job->row_bytes);
        do {
            tc_packed_pair sums[2] = {start, start};
            for (const int32_t *taps = job->taps; taps != taps_end; taps += width) {
                uint32_t sum[2] = {0, 0};
#pragma GCC unroll 8
                for (int32_t tap = 0; tap < width; tap++) {
                    tc_packed_depthwise_tap(sums, sum, x, taps, tap, words, width, dilation, stride, group);
                }
                x = tc_packed_bytes(x, pitch);
            }
            pairs[0] = sums[0];
            if (words == 2) {
                pairs[1] = sums[1];
            }
            pairs += words;
            x = tc_packed_bytes(x, job->advance);
        } while (x != job->x_end);
        x = tc_packed_bytes(x, job->row_step);
        job->pairs = pairs + job->pairs_skip / 8;
    }
}

#define TC_PACKED_DEPTHWISE(name, width, dilation, stride, group) \
    TC_PACKED_DEPTHWISE_BLOCK(name##_two, 2, width, dilation, stride, group) \
    TC_PACKED_DEPTHWISE_BLOCK(name##_one, 1, width, dilation, stride, group) \
    static const tc_packed_depthwise_blocks name = {name##_two, name##_one};

/* Where a row of words is being made of a row of pixels; the assembly knows the order of the fields. */
typedef struct tc_packed_columns {
    uint32_t *words;
    int32_t step;        /* bytes from a pixel to the next one */
    const uint32_t *end; /* of the words that are made in pairs */
    int32_t first;       /* of the last two pixels the earlier one, with stride 1 the last one */
    int32_t second;
    const int8_t *input;
} tc_packed_columns;

/* The next pixel, `value`, is the second one of the next word. */
TC_INLINE void tc_packed_column(tc_packed_columns *columns, int32_t value, int32_t stride)
{
    *columns->words++ = tc_packed_word(columns->first, value);
    columns->first = stride == 1 ? value : columns->second;
    columns->second = value;
}

/* An even number of pixels. */
#if TC_PACKED_BLOCKS

#define TC_PACKED_COLUMN(value, first) \
    "ldrsb " #value ", [r0, r2]\n\t" \
    "adds r0, r0, r2\n\t" \
    "lsls r3, " #value ", #16\n\t" \
    "adds r3, r3, " #first "\n\t" \
    "stm r1!, {r3}\n\t"
#define TC_PACKED_COLUMNS_1 TC_PACKED_COLUMN(r5, r4) TC_PACKED_COLUMN(r4, r5)
#define TC_PACKED_COLUMNS_2 \
    TC_PACKED_COLUMN(r6, r4) "movs r4, r6\n\t" TC_PACKED_COLUMN(r6, r5) "movs r5, r6\n\t"

#define TC_PACKED_COLUMNS(stride) \
    static TC_NOINLINE void tc_packed_columns_##stride(tc_packed_columns *columns) \
    { \
        register tc_packed_columns *r0 __asm__("r0") = columns; \
        __asm__ volatile( \
            ".syntax unified\n\t" \
            "mov lr, r0\n\t" \
            "ldm r0!, {r1, r2, r3, r4, r5, r6}\n\t" \
            "mov r12, r3\n\t" \
            "subs r0, r6, r2\n" \
            "1:\n\t" \
            TC_PACKED_COLUMNS_##stride \
            "cmp r1, r12\n\t" \
            "bne 1b\n\t" \
            "mov r3, lr\n\t" \
            "adds r0, r0, r2\n\t" \
            "str r1, [r3, #0]\n\t" \
            "str r4, [r3, #12]\n\t" \
            "str r5, [r3, #16]\n\t" \
            "str r0, [r3, #20]\n\t" \
            : "+r"(r0) \
            : \
            : "r1", "r2", "r3", "r4", "r5", "r6", "r12", "lr", "cc", "memory"); \
    }

#else

#define TC_PACKED_COLUMNS(stride) \
    static TC_NOINLINE void tc_packed_columns_##stride(tc_packed_columns *columns) \
    { \
        tc_packed_columns made = *columns; /* a word that is stored could be a member */ \
        while (made.words != made.end) { \
            for (int32_t i = 0; i < 2; i++) { \
                const int32_t value = *made.input; \
                made.input += made.step; \
                tc_packed_column(&made, value, stride); \
            } \
        } \
        *columns = made; \
    }

#endif

TC_PACKED_COLUMNS(1)
TC_PACKED_COLUMNS(2)

/* Words of one row of a channel, whose padding beside the image is there already. */
TC_INLINE void tc_packed_depthwise_row(const int8_t *input, uint32_t *words, const tc_packed_depthwise_shape *shape)
{
    const int32_t stride = shape->window.stride_x;
    const int32_t padding = shape->input_zero_point;
    words += shape->lead + shape->window.padding_left - stride;
    tc_packed_columns columns = {words, shape->input_step_x, words + shape->columns / 2 * 2, padding, padding, input};
    if (shape->columns > 1) {
        (stride == 1 ? tc_packed_columns_1 : tc_packed_columns_2)(&columns);
    }
    if (shape->columns % 2 != 0) {
        tc_packed_column(&columns, *columns.input, stride);
    }
    for (int32_t i = 0; i < stride; i++) {
        tc_packed_column(&columns, padding, stride);
    }
}

/* The pairs of `rows` rows of outputs. */
TC_INLINE void tc_packed_depthwise_sums(const uint32_t *plane, const int32_t *taps, tc_packed_pair *pairs, int32_t start,
                                        int32_t rows, const tc_packed_depthwise_blocks *blocks,
                                        const tc_packed_depthwise_shape *shape)
{
    const tc_window *window = &shape->window;
    const int32_t pairs_of_row = (window->output_width + 1) / 2;
    const int32_t row = 4 * shape->pitch;
    const uint32_t *x = plane + shape->lead;
    tc_packed_depthwise_job job;
    job.taps = taps;
    job.taps_end = taps + window->kernel_height * window->kernel_width;
    job.start = start;
    job.pitch = row * window->dilation_y;
    if (pairs_of_row > 1) {
        job.rows = (uint32_t)rows;
        job.pairs = pairs;
        job.pairs_skip = pairs_of_row % 2 * 8;
        job.row_bytes = pairs_of_row / 2 * 16 * window->stride_x;
        job.row_step = row * window->stride_y - job.row_bytes;
        job.advance = 16 * window->stride_x - window->kernel_height * job.pitch;
        job.x_end = tc_packed_bytes(x, job.row_bytes);
        blocks->two(x, &job);
    }
    if (pairs_of_row % 2 != 0) {
        x += pairs_of_row / 2 * 4 * window->stride_x;
        job.rows = (uint32_t)rows;
        job.pairs = pairs + (pairs_of_row - 1);
        job.pairs_skip = 8 * (pairs_of_row - 1);
        job.row_bytes = 8 * window->stride_x;
        job.row_step = row * window->stride_y - job.row_bytes;
        job.advance = 8 * window->stride_x - window->kernel_height * job.pitch;
        job.x_end = tc_packed_bytes(x, job.row_bytes);
        blocks->one(x, &job);
    }
}

TC_INLINE void tc_packed_depthwise_finish(const tc_packed_pair *pairs, const int32_t *channel, int8_t *output, int32_t rows,
                                          tc_packed_finish *finish, const tc_packed_depthwise_shape *shape)
{
    const int32_t width = shape->window.output_width;
    tc_packed_target target = {(uint32_t)shape->output_step_x, pairs};
    if (width % 2 == 0 && shape->output_step_y == width * shape->output_step_x) {
        target.end += rows * (width / 2);
        finish(pairs, channel, output, &target);
        return;
    }
    for (int32_t y = 0; y < rows; y++, output += shape->output_step_y) {
        target.end = pairs + width / 2;
        if (width > 1) {
            finish(pairs, channel, output, &target);
        }
        if (width % 2 != 0) {
            output[(width - 1) * shape->output_step_x] =
                tc_scalar_requantize(tc_packed_first(target.end), channel, &shape->requant);
        }
        pairs += (width + 1) / 2;
    }
}

TC_INLINE void tc_packed_depthwise_s8(const int8_t *input, int8_t *output, const int8_t *weights, const int32_t *channels,
                                      void *scratch, tc_packed_finish *finish, const tc_packed_depthwise_blocks *longest,
                                      const tc_packed_depthwise_blocks *shorter, const tc_packed_depthwise_shape *shape)
{
    const tc_window *window = &shape->window;
    const int32_t kernel_size = window->kernel_height * window->kernel_width;
    const int32_t reach = (window->kernel_height - 1) * window->dilation_y + 1;
    const int32_t plane_rows = (shape->rows - 1) * window->stride_y + reach;
    const int32_t kept = tc_max(plane_rows - shape->rows * window->stride_y, 0);
    const uint32_t padding = tc_packed_word(shape->input_zero_point, shape->input_zero_point);
    int32_t *const taps = (int32_t *)scratch;
    uint32_t *const plane = (uint32_t *)(taps + kernel_size);
    tc_packed_pair *const pairs = (tc_packed_pair *)(plane + plane_rows * shape->pitch);
    tc_packed_fill(plane, plane_rows * shape->pitch, padding);
    const int32_t computed = shape->computed != 0 ? shape->computed : shape->output_channels;
    for (int32_t channel = 0; channel < computed; channel++) {
        const int8_t *image = input + channel / shape->multiplier;
        int8_t *result = output + channel;
        const tc_packed_depthwise_blocks *blocks = *weights++ != 0 ? shorter : longest;
        for (int32_t i = 0; i < kernel_size; i++) {
            taps[i] = *weights++;
        }
        for (int32_t oy = 0; oy < window->output_height; oy += shape->rows) {
            const int32_t rows = tc_min(shape->rows, window->output_height - oy);
            const int32_t top = oy * window->stride_y - window->padding_top;
            const int32_t first = oy == 0 ? 0 : kept;
            if (first > 0) {
                tc_packed_move(plane + shape->rows * window->stride_y * shape->pitch, plane, kept * shape->pitch);
            }
            for (int32_t row = first; row < (rows - 1) * window->stride_y + reach; row++) {
                const int32_t y = top + row;
                if (y >= 0 && y < window->input_height) {
                    tc_packed_depthwise_row(image + y * shape->input_step_y, plane + row * shape->pitch, shape);
                } else {
                    tc_packed_fill(plane + row * shape->pitch, shape->pitch, padding);
                }
            }
            tc_packed_depthwise_sums(plane, taps, pairs, tc_scalar_start(channels, &shape->requant), rows, blocks, shape);
            tc_packed_depthwise_finish(pairs, channels, result, rows, finish, shape);
            result += rows * shape->output_step_y;
        }
        channels += tc_scalar_requant_words(&shape->requant);
    }
}

#ifdef __cplusplus
}
#endif

#endif
