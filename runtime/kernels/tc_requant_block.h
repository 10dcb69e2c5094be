/* SPDX-License-Identifier: 0BSD */
/*
 * Requantisation at the end of a block function (docs/numerics.md), in assembly and as its portable twin:
 *
 *     y = clamp(saturate((offset + high word of (a * multiplier)) >> shift), low, high)
 *
 * Where TFLite's double rounding sends halves away from zero, `step` is subtracted from the offset of negative a. Or both
 * roundings are as they are written, for a that is twice the sum: the high word is rounded, and 1 less for negative a. So a
 * channel's parameters are multiplier, offset and, in the signed form, step; the rest is the same for a whole layer and
 * written into the code: the macros that define block functions end with the arguments
 *
 *     form       smmla, smmla_signed or smmlar, the last of them; the first two with `_apart` where a layer's sums begin with
 *                what the block function is given in RAM, not with what the weights have
 *     saturate   ssat or usat
 *     bits       to which it saturates
 *     shift      to the right, at most 31
 *     low, high  of the result
 */
#ifndef TC_REQUANT_BLOCK_H
#define TC_REQUANT_BLOCK_H

#include <stdint.h>

#include "cmsis_shim/tc_simd.h"
#include "kernels/tc_inline.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TC_IS_SIGNED_smmla 0
#define TC_IS_SIGNED_smmla_signed 1
#define TC_IS_SIGNED_smmlar 0
#define TC_IS_SIGNED_smmla_apart 0
#define TC_IS_SIGNED_smmla_signed_apart 1
#define TC_IS_ROUNDED_smmla 0
#define TC_IS_ROUNDED_smmla_signed 0
#define TC_IS_ROUNDED_smmlar 1
#define TC_IS_ROUNDED_smmla_apart 0
#define TC_IS_ROUNDED_smmla_signed_apart 0
#define TC_IS_APART_smmla 0
#define TC_IS_APART_smmla_signed 0
#define TC_IS_APART_smmlar 0
#define TC_IS_APART_smmla_apart 1
#define TC_IS_APART_smmla_signed_apart 1
#define TC_IS_UNSIGNED_ssat 0
#define TC_IS_UNSIGNED_usat 1

/* For the portable twins, what a layer's channels have in common. */
typedef struct tc_requant_block {
    int32_t is_signed;
    int32_t is_rounded;
    int32_t is_unsigned;
    uint32_t bits;
    int32_t shift;
    int32_t low;
    int32_t high;
    int32_t is_apart;
} tc_requant_block;

#define TC_REQUANT_BLOCK(form, saturate, bits, shift, low, high) \
    {TC_IS_SIGNED_##form, TC_IS_ROUNDED_##form, TC_IS_UNSIGNED_##saturate, bits, shift, low, high, TC_IS_APART_##form}

/* int32 parameters of a channel. */
TC_INLINE uint32_t tc_requant_block_words(const tc_requant_block *requant)
{
    return requant->is_signed != 0 ? 3u : 2u;
}

TC_INLINE int8_t tc_requantize_block(int32_t a, const int32_t *parameters, const tc_requant_block *requant)
{
    const int32_t step = requant->is_signed != 0 ? parameters[2] & (a >> 31) : 0;
    const int32_t high = requant->is_rounded != 0 ? tc_smmlar(a, parameters[0], parameters[1] + (a >> 31))
                                                  : tc_smmla(a, parameters[0], parameters[1] - step);
    const int32_t smallest = requant->is_unsigned != 0 ? 0 : -(int32_t)(1u << (requant->bits - 1u));
    const int32_t largest = (int32_t)((1u << (requant->is_unsigned != 0 ? requant->bits : requant->bits - 1u)) - 1u);
    return (int8_t)tc_clamp8(high >> requant->shift, requant->low > smallest ? requant->low : smallest,
                             requant->high < largest ? requant->high : largest);
}

#if TC_DSP_BLOCKS

/* a = offset + high word of (a * multiplier), in the signed form by way of the register `spare`. */
#define TC_HIGH_smmla(a, multiplier, offset, step, spare) \
    "smmla " #a ", " #a ", " #multiplier ", " #offset "\n\t"
#define TC_HIGH_smmla_signed(a, multiplier, offset, step, spare) \
    "and " #spare ", " #step ", " #a ", asr #31\n\t" /* what the offset loses below zero */ \
    "sub " #spare ", " #offset ", " #spare "\n\t" \
    "smmla " #a ", " #a ", " #multiplier ", " #spare "\n\t"

#define TC_HIGH_smmlar(a, multiplier, offset, step, spare) \
    "smmlar " #spare ", " #a ", " #multiplier ", " #offset "\n\t" \
    "add " #a ", " #spare ", " #a ", asr #31\n\t"

/* a = a >> shift, saturated. A shift by 0 can't be written: of its two candidates TC_SECOND takes the empty one. */
#define TC_SATURATE(a, saturate, bits, shift) \
    #saturate " " #a ", #" #bits ", " #a TC_SECOND_OF(TC_NO_SHIFT_##shift, ", asr #" #shift, ) "\n\t"
#define TC_NO_SHIFT_0 , ""
#define TC_SECOND_OF(...) TC_SECOND(__VA_ARGS__)
#define TC_SECOND(first, second, ...) second

/* Only in one of the forms. */
#define TC_IF_SIGNED_smmla(text)
#define TC_IF_SIGNED_smmla_signed(text) text
#define TC_IF_SIGNED_smmlar(text)

/*
 * The clamp to [low, high] of `sums`, a string of registers, beyond what the saturation has done: bytes are pushed against
 * an end of their type's range and back, first the upper one, then the lower one. c0, c1, c2 are free registers, which keep
 * what they hold if .Ltc_above and .Ltc_below, the distances to the ends, are 0.
 */
#define TC_CLAMP_ssat(sums, bits, low, high, c0, c1, c2) \
    TC_CLAMP(sums, "qadd8", "qsub8", -128, 127, -(1 << (bits - 1)), (1 << (bits - 1)) - 1, low, high, c0, c1, c2)
#define TC_CLAMP_usat(sums, bits, low, high, c0, c1, c2) \
    TC_CLAMP(sums, "uqadd8", "uqsub8", 0, 255, 0, (1 << bits) - 1, low, high, c0, c1, c2)

/* Ends of the type's range, then of what the saturation leaves. No constant may be beyond `largest`: a negative byte. */
#define TC_CLAMP(sums, add, subtract, smallest, largest, lowest, highest, low, high, c0, c1, c2) \
    ".set .Ltc_above, 0\n\t" \
    ".set .Ltc_below, 0\n\t" \
    ".if (" #high ") < (" #highest ")\n\t.set .Ltc_above, (" #largest ") - (" #high ")\n\t.endif\n\t" \
    ".if (" #low ") > (" #lowest ")\n\t.set .Ltc_below, (" #low ") - (" #smallest ")\n\t.endif\n\t" \
    TC_PUSH(sums, add, ".Ltc_above", c0) \
    ".if (.Ltc_above + .Ltc_below) <= (" #largest ")\n\t" \
    TC_PUSH(sums, subtract, ".Ltc_above + .Ltc_below", c1) \
    ".else\n\t" \
    TC_PUSH(sums, subtract, ".Ltc_above", c0) \
    TC_PUSH(sums, subtract, ".Ltc_below", c2) \
    ".endif\n\t" \
    TC_PUSH(sums, add, ".Ltc_below", c2)

#define TC_PUSH(sums, instruction, distance, c) \
    ".if " distance "\n\t" \
    "mov " #c ", #(" distance ") * 0x01010101\n\t" /* of all bytes, of which several may be results */ \
    ".irp a, " sums "\n\t" \
    instruction " \\a, \\a, " #c "\n\t" \
    ".endr\n\t" \
    ".endif\n\t"

/*
 * Defines the block function `name`. Where its assembly `text` begins, its four arguments are in r0-r3; all registers but
 * sp and pc are free, and so are the slots (tc_simd.h).
 */
#define TC_BLOCK_FUNCTION(name, type0, type1, type2, type3, text) \
    TC_BLOCK_FUNCTION_WITH(name, type0, type1, type2, type3, text, TC_SLOT_CLOBBERS)
/* The same with all that `text` changes beside r0-r12 and lr. */
#define TC_BLOCK_FUNCTION_WITH(name, type0, type1, type2, type3, text, ...) \
    static TC_NOINLINE void name(type0 argument0, type1 argument1, type2 argument2, type3 argument3) \
    { \
        register type0 r0 __asm__("r0") = argument0; \
        register type1 r1 __asm__("r1") = argument1; \
        register type2 r2 __asm__("r2") = argument2; \
        register type3 r3 __asm__("r3") = argument3; \
        TC_ASM_WITH_R9( \
            TC_SLOTS_OPEN text TC_SLOTS_CLOSE \
            : "+r"(r0), "+r"(r1), "+r"(r2), "+r"(r3) \
            : \
            : "r4", "r5", "r6", "r8", "r9", "r10", "r11", "r12", "lr", "cc", "memory", __VA_ARGS__); \
    }

#endif

#ifdef __cplusplus
}
#endif

#endif
