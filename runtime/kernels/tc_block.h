/* SPDX-License-Identifier: 0BSD */
/*
 * Blocks of 2 pixels x 2 channels in registers, for cores without SIMD: M0, M0+, M3, M23.
 *
 * Values are stored as x + 128, unsigned, since Thumb-1 loads unsigned bytes with an offset but signed ones only by a
 * register. With x' = x + 128 and w' = w + 128:
 *     sum of x w = sum of x' w' - 128 sum of x' - 128 sum of w
 * The second term is the start of a pixel's sums; the third is known to the compiler.
 */
#ifndef TC_BLOCK_H
#define TC_BLOCK_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "cmsis_shim/tc_simd.h"
#include "kernels/tc_inline.h"
#include "kernels/tc_requant.h"
#include "kernels/tc_window.h"

#ifdef __cplusplus
extern "C" {
#endif

#if TC_THUMB1
/* Taps at the offsets 0, 1, ... of x, 13 instructions each (8 on Thumb-2): r0, r1 the pixels, r2 the weights. */
#define TC_BLOCK_TAPS(offsets) \
    ".irp i, " offsets "\n\t" \
    "ldrb r3, [r0, #\\i]\n\t" \
    "ldrb r4, [r2, #2*\\i]\n\t" \
    "movs r5, r3\n\t" \
    "muls r5, r4, r5\n\t" \
    "add r8, r5\n\t" \
    "ldrb r5, [r2, #2*\\i+1]\n\t" \
    "muls r3, r5, r3\n\t" \
    "add lr, r3\n\t" \
    "ldrb r3, [r1, #\\i]\n\t" \
    "muls r4, r3, r4\n\t" \
    "add r10, r4\n\t" \
    "muls r5, r3, r5\n\t" \
    "add r11, r5\n\t" \
    ".endr\n\t"
#elif TC_THUMB2
#define TC_BLOCK_TAPS(offsets) \
    ".irp i, " offsets "\n\t" \
    "ldrb r3, [r0, #\\i]\n\t" \
    "ldrb r4, [r2, #2*\\i]\n\t" \
    "ldrb r5, [r2, #2*\\i+1]\n\t" \
    "mla r8, r3, r4, r8\n\t" \
    "mla lr, r3, r5, lr\n\t" \
    "ldrb r3, [r1, #\\i]\n\t" \
    "mla r10, r3, r4, r10\n\t" \
    "mla r11, r3, r5, r11\n\t" \
    ".endr\n\t"
#endif

/* sums[2 p + c] += sum of x'[p][i] * w'[i][c] over `count` taps, a multiple of 4. */
static TC_NOINLINE void tc_block_2x2(const uint8_t *x0, const uint8_t *x1, const uint8_t *weights, uint32_t count,
                                     int32_t sums[4])
{
#if TC_THUMB1 || TC_THUMB2
    register const uint8_t *r0_x0 __asm__("r0") = x0;
    register const uint8_t *r1_x1 __asm__("r1") = x1;
    register const uint8_t *r2_weights __asm__("r2") = weights;
    register const uint8_t *r6_end __asm__("r6") = x0 + (count & ~7u);
    register int32_t r8_sum __asm__("r8") = sums[0];
    register int32_t lr_sum __asm__("lr") = sums[1];
    register int32_t r10_sum __asm__("r10") = sums[2];
    register int32_t r11_sum __asm__("r11") = sums[3];
    register const uint8_t *r12_end __asm__("r12") = x0 + count;
    __asm__ volatile(
        ".syntax unified\n\t" /* GCC wraps assembly for Thumb-1 in the old syntax */
        "b 2f\n"
        "1:\n\t"
        TC_BLOCK_TAPS("0,1,2,3,4,5,6,7")
        "adds r0, #8\n\t"
        "adds r1, #8\n\t"
        "adds r2, #16\n"
        "2:\n\t"
        "cmp r0, r6\n\t"
        "bne 1b\n\t"
        "cmp r0, r12\n\t"
        "beq 3f\n\t"
        TC_BLOCK_TAPS("0,1,2,3")
        "3:\n\t"
        : "+r"(r0_x0), "+r"(r1_x1), "+r"(r2_weights), "+r"(r8_sum), "+r"(lr_sum), "+r"(r10_sum), "+r"(r11_sum)
        : "r"(r6_end), "r"(r12_end)
        : "r3", "r4", "r5", "cc", "memory");
    sums[0] = r8_sum;
    sums[1] = lr_sum;
    sums[2] = r10_sum;
    sums[3] = r11_sum;
#else
    uint32_t sum0 = (uint32_t)sums[0];
    uint32_t sum1 = (uint32_t)sums[1];
    uint32_t sum2 = (uint32_t)sums[2];
    uint32_t sum3 = (uint32_t)sums[3];
    const uint8_t *const end = x0 + count;
    while (x0 != end) {
#pragma GCC unroll 4
        for (uint32_t i = 0; i < 4u; i++) {
            const uint32_t first = x0[i];
            const uint32_t second = x1[i];
            const uint32_t weight0 = weights[2u * i];
            const uint32_t weight1 = weights[2u * i + 1u];
            sum0 += first * weight0;
            sum1 += first * weight1;
            sum2 += second * weight0;
            sum3 += second * weight1;
        }
        x0 += 4;
        x1 += 4;
        weights += 8;
    }
    sums[0] = (int32_t)sum0;
    sums[1] = (int32_t)sum1;
    sums[2] = (int32_t)sum2;
    sums[3] = (int32_t)sum3;
#endif
}

/* Writes x + 128 of `count` values; returns their sum. */
static TC_NOINLINE uint32_t tc_block_copy(const int8_t *input, uint32_t count, uint8_t *x)
{
    uint32_t sum = 0;
    if ((((uintptr_t)input | (uintptr_t)x) & 3u) == 0u) {
        while (count >= 4u) {
            /* Sums of even and odd bytes in 16 bits each, at most 128 words at a time. */
            uint32_t words = count / 4u < 128u ? count / 4u : 128u;
            uint32_t sums = 0;
            count -= 4u * words;
            for (; words > 0u; words--, input += 4, x += 4) {
                uint32_t word;
                memcpy(&word, __builtin_assume_aligned(input, 4), 4);
                word ^= 0x80808080u;
                memcpy(__builtin_assume_aligned(x, 4), &word, 4);
                sums += (word & 0x00FF00FFu) + ((word >> 8) & 0x00FF00FFu);
            }
            sum += (sums & 0xFFFFu) + (sums >> 16);
        }
    }
    for (; count > 0u; count--) {
        const uint8_t value = (uint8_t)((uint8_t)*input++ + 128u);
        *x++ = value;
        sum += value;
    }
    return sum;
}

static TC_NOINLINE uint32_t tc_block_fill(uint8_t value, uint32_t count, uint8_t *x)
{
    memset(x, value, count);
    return value * count;
}

/* Writes x + 128 of a window, whose first pixel is (top, left) and may lie outside the image; returns their sum. */
TC_INLINE uint32_t tc_block_window(const int8_t *input, int32_t top, int32_t left, const tc_window *window,
                                   int32_t depth, int32_t zero_point, uint8_t *x)
{
    const uint8_t padding = (uint8_t)(zero_point + 128);
    const uint32_t row_bytes = (uint32_t)(window->kernel_width * depth);
    const bool unpadded = tc_window_is_unpadded(window);
    uint32_t sum = 0;
    for (int32_t ky = 0; ky < window->kernel_height; ky++) {
        const int32_t y = top + ky * window->dilation_y;
        const int8_t *row = input + (y * window->input_width + left) * depth;
        if (unpadded && window->dilation_x == 1) {
            sum += tc_block_copy(row, row_bytes, x);
            x += row_bytes;
        } else if (y < 0 || y >= window->input_height) {
            sum += tc_block_fill(padding, row_bytes, x);
            x += row_bytes;
        } else if (window->dilation_x == 1) {
            const int32_t before = tc_clamp(-left, 0, window->kernel_width);
            const int32_t inside = tc_clamp(window->input_width - left, before, window->kernel_width) - before;
            const int32_t after = window->kernel_width - before - inside;
            if (before > 0) {
                sum += tc_block_fill(padding, (uint32_t)(before * depth), x);
                x += before * depth;
            }
            sum += tc_block_copy(row + before * depth, (uint32_t)(inside * depth), x);
            x += inside * depth;
            if (after > 0) {
                sum += tc_block_fill(padding, (uint32_t)(after * depth), x);
                x += after * depth;
            }
        } else {
            for (int32_t kx = 0; kx < window->kernel_width; kx++, x += depth) {
                const int32_t column = left + kx * window->dilation_x;
                if (column < 0 || column >= window->input_width) {
                    sum += tc_block_fill(padding, (uint32_t)depth, x);
                } else {
                    sum += tc_block_copy(row + kx * window->dilation_x * depth, (uint32_t)depth, x);
                }
            }
        }
    }
    return sum;
}

#ifdef __cplusplus
}
#endif

#endif
