/* SPDX-License-Identifier: 0BSD */
/*
 * `tc_lane_strip_s8` (tc_lane_strip.h) for outputs of a multiple of 4 columns: the windows of a block lie beside each other in
 * the strip, so that all their words are at offsets that a function made for the shape knows:
 *
 *     TC_LANE_STRIP_EXPAND(name, rows, words, after, step, pitch)
 *
 * defines `name`, which expands 4 windows from the first one's address on:
 *
 *     rows   of a window
 *     words  of a window's row
 *     after  bytes of a row that are left: 0, 1 or 2; 4 / after rows share a word
 *     step   bytes from a window to the next
 *     pitch  bytes from a row to the next
 */
#ifndef TC_LANE_STRIP_MADE_H
#define TC_LANE_STRIP_MADE_H

#include <stdint.h>

#include "cmsis_shim/tc_simd.h"
#include "kernels/tc_inline.h"
#include "kernels/tc_lane.h"
#include "kernels/tc_lane_strip.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef void tc_lane_strip_expander(const int8_t *from, uint32_t *block);

/* For the portable twin, the arguments of the macro. */
typedef struct tc_lane_strip_windows {
    int32_t rows;
    int32_t words;
    int32_t after;
    int32_t step;
    int32_t pitch;
} tc_lane_strip_windows;

TC_INLINE void tc_lane_strip_expand_portable(const int8_t *from, uint32_t *block, const tc_lane_strip_windows *shape)
{
    for (int32_t row = 0; row < shape->rows; row++) {
        for (int32_t word = 0; word < shape->words; word++, block += 8) {
            for (int32_t pixel = 0; pixel < 4; pixel++) {
                const int8_t *const at = from + row * shape->pitch + 4 * word + pixel * shape->step;
                tc_lane_expand4(tc_load4(at), block + pixel, block + 4 + pixel);
            }
        }
    }
    const int32_t together = shape->after > 0 ? 4 / shape->after : shape->rows;
    for (int32_t row = 0; shape->after > 0 && row < shape->rows; row += together, block += 8) {
        const int32_t below = shape->rows - row;
        for (int32_t pixel = 0; pixel < 4; pixel++) {
            const int8_t *const at = from + row * shape->pitch + 4 * shape->words + pixel * shape->step;
            tc_lane_expand4(tc_lane_strip_rest(at, shape->after, below < together ? below : together, shape->pitch),
                            block + pixel, block + 4 + pixel);
        }
    }
}

#if TC_DSP_BLOCKS

/* r0 is the first window, r2 walks the block; of four words in r8-r11, p goes to r4-r7 and q takes their place. */
#define TC_STRIP_WORDS \
    "sxtab16 r4, r3, r8, ror #8\n\t" \
    "sxtab16 r5, r3, r9, ror #8\n\t" \
    "sxtab16 r6, r3, r10, ror #8\n\t" \
    "sxtab16 r7, r3, r11, ror #8\n\t" \
    "and r8, lr, r8, lsl #8\n\t" \
    "and r9, lr, r9, lsl #8\n\t" \
    "and r10, lr, r10, lsl #8\n\t" \
    "and r11, lr, r11, lsl #8\n\t" \
    "ssub16 r8, r8, r4\n\t" \
    "ssub16 r9, r9, r5\n\t" \
    "ssub16 r10, r10, r6\n\t" \
    "ssub16 r11, r11, r7\n\t" \
    "stmia r2!, {r4, r5, r6, r7, r8, r9, r10, r11}\n\t"

/* What is left of a row beyond those in x, `number` rows below them and as many bits higher as they have. */
#define TC_STRIP_JOIN(load, bits, number, pitch) \
    ".if .Ltc_below > " #number "\n\t" \
    load " r4, [r0, #.Ltc_at + " #number " * " #pitch "]\n\t" \
    "orr \\x, \\x, r4, lsl #" #number " * " #bits "\n\t" \
    ".endif\n\t"
#define TC_STRIP_SHARED(load, together, joined, rows, words, step, pitch) \
    ".set .Ltc_below, " #rows "\n\t" \
    ".rept (" #rows " + " #together " - 1) / " #together "\n\t" \
    ".set .Ltc_at, (" #rows " - .Ltc_below) * " #pitch " + 4 * " #words "\n\t" \
    ".irp x, r8, r9, r10, r11\n\t" \
    load " \\x, [r0, #.Ltc_at]\n\t" \
    joined \
    ".set .Ltc_at, .Ltc_at + " #step "\n\t" \
    ".endr\n\t" \
    TC_STRIP_WORDS \
    ".set .Ltc_below, .Ltc_below - " #together "\n\t" \
    ".endr\n\t"

#define TC_STRIP_AFTER_0(rows, words, step, pitch)
#define TC_STRIP_AFTER_1(rows, words, step, pitch) \
    TC_STRIP_SHARED("ldrb", 4, TC_STRIP_JOIN("ldrb", 8, 1, pitch) TC_STRIP_JOIN("ldrb", 8, 2, pitch) \
                    TC_STRIP_JOIN("ldrb", 8, 3, pitch), rows, words, step, pitch)
#define TC_STRIP_AFTER_2(rows, words, step, pitch) \
    TC_STRIP_SHARED("ldrh", 2, TC_STRIP_JOIN("ldrh", 16, 1, pitch), rows, words, step, pitch)

#define TC_STRIP_EXPAND_TEXT(rows, words, after, step, pitch) \
    TC_LANE_EXPAND_CONSTANTS \
    "mov r2, r1\n\t" \
    ".set .Ltc_first, 0\n\t" \
    ".rept " #rows "\n\t" \
    ".set .Ltc_at, .Ltc_first\n\t" \
    ".rept " #words "\n\t" \
    "ldr r8, [r0, #.Ltc_at]\n\t" \
    "ldr r9, [r0, #.Ltc_at + " #step "]\n\t" \
    "ldr r10, [r0, #.Ltc_at + 2 * " #step "]\n\t" \
    "ldr r11, [r0, #.Ltc_at + 3 * " #step "]\n\t" \
    TC_STRIP_WORDS \
    ".set .Ltc_at, .Ltc_at + 4\n\t" \
    ".endr\n\t" \
    ".set .Ltc_first, .Ltc_first + " #pitch "\n\t" \
    ".endr\n\t" \
    TC_STRIP_AFTER_##after(rows, words, step, pitch)

#define TC_LANE_STRIP_EXPAND(name, rows_, words_, after_, step_, pitch_) \
    static TC_NOINLINE void name(const int8_t *from, uint32_t *block) \
    { \
        TC_STRIP_STRICT(rows_, words_, after_, step_, pitch_) \
        register const int8_t *r0 __asm__("r0") = from; \
        register uint32_t *r1 __asm__("r1") = block; \
        TC_ASM_WITH_R9( \
            TC_SLOTS_OPEN TC_STRIP_EXPAND_TEXT(rows_, words_, after_, step_, pitch_) TC_SLOTS_CLOSE \
            : "+r"(r0), "+r"(r1) \
            : \
            : "r2", "r3", "r4", "r5", "r6", "r8", "r9", "r10", "r11", "lr", "cc", "memory", TC_SLOT_CLOBBERS); \
    }
#if TC_STRICT_ALIGNMENT
#define TC_STRIP_STRICT(...) \
    static const tc_lane_strip_windows shape = {__VA_ARGS__}; \
    if ((((uintptr_t)from | (uint32_t)shape.step | (uint32_t)shape.pitch) & 3u) != 0u) { \
        tc_lane_strip_expand_portable(from, block, &shape); \
        return; \
    }
#else
#define TC_STRIP_STRICT(...)
#endif

#else

#define TC_LANE_STRIP_EXPAND(name, ...) \
    static TC_NOINLINE void name(const int8_t *from, uint32_t *block) \
    { \
        static const tc_lane_strip_windows shape = {__VA_ARGS__}; \
        tc_lane_strip_expand_portable(from, block, &shape); \
    }

#endif

/* As `tc_lane_strip_s8`, all of whose blocks have 4 pixels of one row. */
TC_INLINE void tc_lane_strip_made_s8(const int8_t *input, int8_t *output, const int32_t *weights, void *scratch,
                                     tc_lane_block *four, tc_lane_strip_expander *expand, const tc_lane_strip_shape *shape)
{
    const tc_lane_conv2d_shape *const conv = &shape->conv;
    const int32_t step = conv->stride_x * conv->input_channels;
    const int32_t window_rows = (conv->kernel_height - 1) * conv->dilation_y + 1;
    uint32_t *const block = (uint32_t *)scratch;
    const tc_lane_job job = tc_lane_conv2d_job(weights, block, 4, conv);
    tc_lane_strip strip;
    strip.rows = (int8_t *)(block + 8 * conv->groups);
    tc_lane_strip_open(&strip, input, shape);
    for (int32_t y = 0; y < 4 * conv->fours / conv->output_width; y++) {
        const int32_t top = y * conv->stride_y;
        if (shape->moves != 0 && top + window_rows > strip.first + shape->rows) {
            tc_lane_strip_move(&strip, input, top, shape);
        }
        const int8_t *from = strip.rows + (top - strip.first) * shape->pitch;
        for (int32_t x = 0; x < conv->output_width; x += 4) {
            expand(from, block);
            four(block, weights, output, &job);
            from += 4 * step;
            output += 4 * conv->output_channels;
        }
    }
}

#ifdef __cplusplus
}
#endif

#endif
