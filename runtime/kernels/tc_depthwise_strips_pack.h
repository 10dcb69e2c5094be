/* SPDX-License-Identifier: 0BSD */
/*
 * Packing of images for `tc_depthwise_strips_s8`: four channels of two rows below each other become a band.
 *
 * A band holds for every two columns 8 words: of each channel the pairs of both columns, the upper row's value in the low
 * lane. So one STM stores what four loads of 4 channels give. Column 0 of the image is the second one of its two where the
 * padding at the left is odd.
 *
 *     TC_DEPTHWISE_PACK_BOTH(name, store, columns, width, channels, pitch, second, unrolled)
 *
 * defines `name` for bands whose rows both lie in the image, TC_DEPTHWISE_PACK_UPPER and TC_DEPTHWISE_PACK_LOWER for those
 * that have only an upper or a lower one; the other row is padding.
 *
 *     store     words, by STM, or pairs of words, by STRD, for cores that issue those in one cycle
 *     columns   of the image that are packed
 *     width     of the image
 *     pitch     bytes from a band to the next
 *     second    1 where column 0 is the second of its two
 *     unrolled  twos of columns per round of the loop
 *
 *     rows      the upper row of the first band, or its only one
 *     planes    where column 0 of channel 0 goes
 *     count     bands, at least one
 *     padding   the input's zero point in all four bytes
 */
#ifndef TC_DEPTHWISE_STRIPS_PACK_H
#define TC_DEPTHWISE_STRIPS_PACK_H

#include <stdint.h>

#include "cmsis_shim/tc_simd.h"
#include "kernels/tc_add_to.h"
#include "kernels/tc_depthwise_planes.h"
#include "kernels/tc_inline.h"
#include "kernels/tc_requant_block.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef void tc_depthwise_pack_block(const int8_t *rows, uint32_t *planes, uint32_t count, uint32_t padding);

/* For the portable twins: the constants of a packing function, and which rows are the image's. */
typedef struct tc_depthwise_pack_shape {
    uint32_t columns;
    uint32_t row_bytes;
    uint32_t channels;
    uint32_t pitch;
    uint32_t second;
    uint32_t has_upper;
    uint32_t has_lower;
} tc_depthwise_pack_shape;

TC_INLINE void tc_depthwise_pack_portable(const int8_t *rows, uint32_t *planes, uint32_t count, uint32_t padding,
                                          const tc_depthwise_pack_shape *shape)
{
    for (uint32_t band = 0; band < count; band++) {
        const int8_t *upper = rows;
        const int8_t *lower = shape->has_upper != 0u ? rows + shape->row_bytes : rows;
        uint32_t *plane = planes;
        for (uint32_t column = 0; column < shape->columns; column++) {
            tc_depthwise_pack_column(shape->has_upper != 0u ? tc_load4(upper) : padding,
                                     shape->has_lower != 0u ? tc_load4(lower) : padding, plane, 2);
            upper += shape->channels;
            lower += shape->channels;
            plane += (column + shape->second) % 2u == 0u ? 1 : 7;
        }
        rows += 2u * shape->row_bytes;
        planes += shape->pitch / 4u;
    }
}

#if TC_DSP_BLOCKS

/*
 * r0 walks the upper or only row, r1 the lower one or is the padding, r2 the planes. r3, r12 and lr are for the column at
 * hand, of which lr gets channels 0, 1 of both rows and r12 channels 2, 3. Slots: 0 end of the last band, 1 end of the rounds.
 */
#define TC_PACK_LOAD_both(at) \
    "ldr r3, [r0, #" at "]\n\t" \
    "ldr r12, [r1, #" at "]\n\t" \
    "pkhbt lr, r3, r12, lsl #16\n\t" \
    "pkhtb r12, r12, r3, asr #16\n\t"
#define TC_PACK_LOAD_upper(at) \
    "ldr r3, [r0, #" at "]\n\t" \
    "pkhbt lr, r3, r1, lsl #16\n\t" \
    "pkhtb r12, r1, r3, asr #16\n\t"
#define TC_PACK_LOAD_lower(at) \
    "ldr r3, [r0, #" at "]\n\t" \
    "pkhbt lr, r1, r3, lsl #16\n\t" \
    "pkhtb r12, r3, r1, asr #16\n\t"

#define TC_PACK_SPLIT(c0, c1, c2, c3) \
    "sxtb16 " #c0 ", lr\n\t" \
    "sxtb16 " #c1 ", lr, ror #8\n\t" \
    "sxtb16 " #c2 ", r12\n\t" \
    "sxtb16 " #c3 ", r12, ror #8\n\t"

/* Two columns. */
#define TC_PACK_STORE_words \
    "stmia r2!, {r4, r5, r6, r7, r8, r9, r10, r11}\n\t"
#define TC_PACK_STORE_pairs \
    "strd r4, r5, [r2], #32\n\t" \
    "strd r6, r7, [r2, #-24]\n\t" \
    "strd r8, r9, [r2, #-16]\n\t" \
    "strd r10, r11, [r2, #-8]\n\t"
#define TC_PACK_TWO(rows, store) \
    TC_PACK_LOAD_##rows(".Ltc_at") \
    TC_PACK_SPLIT(r4, r6, r8, r10) \
    TC_PACK_LOAD_##rows(".Ltc_at + .Ltc_channels") \
    TC_PACK_SPLIT(r5, r7, r9, r11) \
    TC_PACK_STORE_##store \
    ".set .Ltc_at, .Ltc_at + 2 * .Ltc_channels\n\t"

/* One column, the first or the second one of its two; `last` is where the first channel's address moves on. */
#define TC_PACK_ONE(rows, last) \
    TC_PACK_LOAD_##rows(".Ltc_at") \
    TC_PACK_SPLIT(r4, r5, r6, r7) \
    "str r5, [r2, #8]\n\t" \
    "str r6, [r2, #16]\n\t" \
    "str r7, [r2, #24]\n\t" \
    "str r4, [r2]" last "\n\t" \
    ".set .Ltc_at, .Ltc_at + .Ltc_channels\n\t"

/* The second row's pointer, and both rows' on by `distance`. */
#define TC_PACK_SECOND_both "mov r1, r0\n\t" TC_ADD_TO(r1, ".Ltc_row", r3)
#define TC_PACK_SECOND_upper "mov r1, r3\n\t"
#define TC_PACK_SECOND_lower "mov r1, r3\n\t"
#define TC_PACK_ON_both(distance) TC_ADD_TO(r0, distance, r3) TC_ADD_TO(r1, distance, r3)
#define TC_PACK_ON_upper(distance) TC_ADD_TO(r0, distance, r3)
#define TC_PACK_ON_lower(distance) TC_ADD_TO(r0, distance, r3)

#define TC_PACK_TEXT(rows, store, columns, width, channels, pitch, second, unrolled) \
    ".set .Ltc_channels, " #channels "\n\t" \
    ".set .Ltc_row, " #width " * " #channels "\n\t" \
    ".set .Ltc_twos, (" #columns " - " #second ") / 2\n\t" \
    ".set .Ltc_rounds, .Ltc_twos / " #unrolled "\n\t" \
    ".set .Ltc_moved, 0\n\t" \
    "mov r4, #" #pitch "\n\t" \
    "mla r4, r4, r2, r1\n\t" \
    TC_KEEP(r4, 0) \
    "mov r2, r1\n\t" \
    TC_PACK_SECOND_##rows \
    "1:\n\t" /* a band */ \
    ".set .Ltc_at, 0\n\t" \
    ".if " #second "\n\t" \
    TC_PACK_ONE(rows, ", #28") \
    ".endif\n\t" \
    ".if .Ltc_rounds > 1\n\t" \
    ".set .Ltc_first, .Ltc_at\n\t" \
    ".set .Ltc_moved, 2 * " #channels " * " #unrolled " * .Ltc_rounds\n\t" \
    "add r3, r2, #(32 * " #unrolled " * .Ltc_rounds)\n\t" \
    TC_KEEP(r3, 1) \
    "2:\n\t" \
    ".rept " #unrolled "\n\t" \
    TC_PACK_TWO(rows, store) \
    ".endr\n\t" \
    TC_PACK_ON_##rows("2 * .Ltc_channels * " #unrolled) \
    TC_FETCH(r3, 1) \
    "cmp r2, r3\n\t" \
    "bne 2b\n\t" \
    ".set .Ltc_at, .Ltc_first\n\t" \
    ".set .Ltc_twos, .Ltc_twos %% " #unrolled "\n\t" \
    ".endif\n\t" \
    ".rept .Ltc_twos\n\t" \
    TC_PACK_TWO(rows, store) \
    ".endr\n\t" \
    ".if (" #columns " - " #second ") %% 2\n\t" \
    TC_PACK_ONE(rows, ) \
    ".endif\n\t" \
    TC_PACK_ON_##rows("2 * .Ltc_row - .Ltc_moved") \
    TC_ADD_TO(r2, #pitch " - 28 * " #second " - (" #columns " - " #second ") / 2 * 32", r3) \
    TC_FETCH(r3, 0) \
    "cmp r2, r3\n\t" \
    "bne 1b\n\t"

/* Unaligned rows of cores that load aligned words only go the portable way. */
#define TC_DEPTHWISE_PACK(name, rows_, upper_, lower_, store, columns_, width, channels_, pitch_, second_, unrolled) \
    static TC_NOINLINE void name(const int8_t *argument0, uint32_t *argument1, uint32_t argument2, uint32_t argument3) \
    { \
        TC_PACK_STRICT(upper_, lower_, columns_, width, channels_, pitch_, second_) \
        register const int8_t *r0 __asm__("r0") = argument0; \
        register uint32_t *r1 __asm__("r1") = argument1; \
        register uint32_t r2 __asm__("r2") = argument2; \
        register uint32_t r3 __asm__("r3") = argument3; \
        TC_ASM_WITH_R9( \
            TC_SLOTS_OPEN TC_PACK_TEXT(rows_, store, columns_, width, channels_, pitch_, second_, unrolled) TC_SLOTS_CLOSE \
            : "+r"(r0), "+r"(r1), "+r"(r2), "+r"(r3) \
            : \
            : "r4", "r5", "r6", "r8", "r9", "r10", "r11", "r12", "lr", "cc", "memory", TC_SLOT_CLOBBERS); \
    }
#if TC_STRICT_ALIGNMENT
#define TC_PACK_STRICT(upper, lower, columns, width, channels, pitch, second) \
    if ((((uintptr_t)argument0 | (channels)) & 3u) != 0u) { \
        static const tc_depthwise_pack_shape shape = {columns, (width) * (channels), channels, pitch, second, upper, lower}; \
        tc_depthwise_pack_portable(argument0, argument1, argument2, argument3, &shape); \
        return; \
    }
#else
#define TC_PACK_STRICT(upper, lower, columns, width, channels, pitch, second)
#endif

#else

#define TC_DEPTHWISE_PACK(name, rows_, upper_, lower_, store, columns_, width, channels_, pitch_, second_, unrolled) \
    static TC_NOINLINE void name(const int8_t *rows, uint32_t *planes, uint32_t count, uint32_t padding) \
    { \
        static const tc_depthwise_pack_shape shape = {columns_, (width) * (channels_), channels_, pitch_, \
                                                      second_,  upper_,                lower_}; \
        tc_depthwise_pack_portable(rows, planes, count, padding, &shape); \
    }

#endif

#define TC_DEPTHWISE_PACK_BOTH(name, ...) TC_DEPTHWISE_PACK(name, both, 1, 1, __VA_ARGS__)
#define TC_DEPTHWISE_PACK_UPPER(name, ...) TC_DEPTHWISE_PACK(name, upper, 1, 0, __VA_ARGS__)
#define TC_DEPTHWISE_PACK_LOWER(name, ...) TC_DEPTHWISE_PACK(name, lower, 0, 1, __VA_ARGS__)

#ifdef __cplusplus
}
#endif

#endif
