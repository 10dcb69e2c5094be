/* SPDX-License-Identifier: 0BSD */
/*
 * A row times a matrix, 4 channels at a time, for cores without SIMD: values as in tc_block.h, x + 128 and w + 128.
 *
 * input    [inputs], int8
 * output   [outputs], int8
 * weights  [outputs / 4, rounded up][inputs, filled up to a multiple of 4][4], w + 128; of 4 bits w + 8, of 2 w + 2, so many
 *          channels in a byte, the first one in its lowest bits
 * channels per output channel: requantisation (tc_scalar_requant.h)
 * scratch  the row, x + 128, filled up to a multiple of 4 with zeros
 *
 * The row is read before outputs are written.
 */
#ifndef TC_BLOCK_ROW_H
#define TC_BLOCK_ROW_H

#include "kernels/tc_after.h"
#include "kernels/tc_block.h"
#include "kernels/tc_block_low_bits.h"
#include "kernels/tc_scalar_requant.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tc_block_row_shape {
    int32_t inputs;
    int32_t outputs;
    tc_scalar_requant requant;
    int32_t bits; /* of a weight: 4 or 2, or 0 for bytes */
} tc_block_row_shape;

#if TC_THUMB1
#define TC_BLOCK_ROW_PRODUCT(offset, sum) \
    "ldrb r4, [r2, #4*\\i+" #offset "]\n\t" \
    "muls r4, r3, r4\n\t" \
    "add " #sum ", r4\n\t"
#elif TC_THUMB2
#define TC_BLOCK_ROW_PRODUCT(offset, sum) \
    "ldrb r4, [r2, #4*\\i+" #offset "]\n\t" \
    "mla " #sum ", r3, r4, " #sum "\n\t"
#endif

/* Taps at the offsets 0, 1, ... of x, 13 instructions each (9 on Thumb-2). */
#define TC_BLOCK_ROW_TAPS(offsets) \
    ".irp i, " offsets "\n\t" \
    "ldrb r3, [r0, #\\i]\n\t" \
    TC_BLOCK_ROW_PRODUCT(0, r8) \
    TC_BLOCK_ROW_PRODUCT(1, r10) \
    TC_BLOCK_ROW_PRODUCT(2, r11) \
    TC_BLOCK_ROW_PRODUCT(3, lr) \
    ".endr\n\t"

/* sums[c] += sum of x'[i] * w'[i][c] over `count` taps, a multiple of 4. */
static TC_NOINLINE void tc_block_1x4(const uint8_t *x, const uint8_t *weights, uint32_t count, int32_t sums[4])
{
#if TC_THUMB1 || TC_THUMB2
    register const uint8_t *r0_x __asm__("r0") = x;
    register const uint8_t *r2_weights __asm__("r2") = weights;
    register const uint8_t *r6_end __asm__("r6") = x + (count & ~7u);
    register int32_t r8_sum __asm__("r8") = sums[0];
    register int32_t r10_sum __asm__("r10") = sums[1];
    register int32_t r11_sum __asm__("r11") = sums[2];
    register int32_t lr_sum __asm__("lr") = sums[3];
    register const uint8_t *r12_end __asm__("r12") = x + count;
    __asm__ volatile(
        ".syntax unified\n\t" /* GCC wraps assembly for Thumb-1 in the old syntax */
        "b 2f\n"
        "1:\n\t"
        TC_BLOCK_ROW_TAPS("0,1,2,3,4,5,6,7")
        "adds r0, #8\n\t"
        "adds r2, #32\n"
        "2:\n\t"
        "cmp r0, r6\n\t"
        "bne 1b\n\t"
        "cmp r0, r12\n\t"
        "beq 3f\n\t"
        TC_BLOCK_ROW_TAPS("0,1,2,3")
        "3:\n\t"
        : "+r"(r0_x), "+r"(r2_weights), "+r"(r8_sum), "+r"(r10_sum), "+r"(r11_sum), "+r"(lr_sum)
        : "r"(r6_end), "r"(r12_end)
        : "r3", "r4", "cc", "memory");
    sums[0] = r8_sum;
    sums[1] = r10_sum;
    sums[2] = r11_sum;
    sums[3] = lr_sum;
#else
    uint32_t sum0 = (uint32_t)sums[0];
    uint32_t sum1 = (uint32_t)sums[1];
    uint32_t sum2 = (uint32_t)sums[2];
    uint32_t sum3 = (uint32_t)sums[3];
    for (const uint8_t *const end = x + count; x != end; x += 4, weights += 16) {
#pragma GCC unroll 4
        for (uint32_t i = 0; i < 4u; i++) {
            const uint32_t value = x[i];
            sum0 += value * weights[4u * i];
            sum1 += value * weights[4u * i + 1u];
            sum2 += value * weights[4u * i + 2u];
            sum3 += value * weights[4u * i + 3u];
        }
    }
    sums[0] = (int32_t)sum0;
    sums[1] = (int32_t)sum1;
    sums[2] = (int32_t)sum2;
    sums[3] = (int32_t)sum3;
#endif
}

/* With the operator behind the layer; `other` is what it reads beside the layer's results. */
TC_INLINE void tc_block_row_s8_and(const int8_t *input, const int8_t *other, int8_t *output, const uint8_t *weights,
                                   const int32_t *channels, void *scratch, const tc_block_row_shape *shape,
                                   const tc_after *after)
{
    uint8_t *const x = (uint8_t *)scratch;
    const int32_t taps = (shape->inputs + 3) / 4 * 4;
    const int32_t words = (int32_t)tc_scalar_requant_words(&shape->requant);
    memset(x + taps - 4, 0, 4);
    const int32_t added = shape->bits == 0 ? 128 : 1 << (shape->bits - 1); /* to a weight */
    const int32_t start = -added * (int32_t)tc_block_copy(input, (uint32_t)shape->inputs, x);
    const int32_t four_bytes = shape->bits == 0 ? 4 * taps : taps * shape->bits / 2;
    for (int32_t channel = 0; channel < shape->outputs; channel += 4, weights += four_bytes) {
        int32_t sums[4] = {start, start, start, start};
        (shape->bits == 4   ? tc_block_1x4_4_bits
         : shape->bits == 2 ? tc_block_1x4_2_bits
                            : tc_block_1x4)(x, weights, (uint32_t)taps, sums);
        const int32_t count = tc_min(4, shape->outputs - channel);
        for (int32_t c = 0; c < count; c++, channels += words) {
            const int32_t sum = tc_wrapping_add(sums[c], tc_scalar_start(channels, &shape->requant));
            const int32_t value = tc_scalar_requantize(sum, channels, &shape->requant);
            output[channel + c] = (int8_t)tc_after_value(value, tc_after_at(other, channel + c, after), after);
        }
    }
}

TC_INLINE void tc_block_row_s8(const int8_t *input, int8_t *output, const uint8_t *weights, const int32_t *channels,
                               void *scratch, const tc_block_row_shape *shape)
{
    static const tc_after nothing = TC_NOTHING_AFTER;
    tc_block_row_s8_and(input, NULL, output, weights, channels, scratch, shape, &nothing);
}

#ifdef __cplusplus
}
#endif

#endif
