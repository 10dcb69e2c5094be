/* SPDX-License-Identifier: 0BSD */
/*
 * Requantisation by Helium at the end of a block function, in assembly and as its portable twin:
 *
 *     a = (sum << pre) + start
 *     y = clamp((offset + high word of (a * multiplier)) >> shift, low, high)
 *
 * as in tc_product_requant.h, 8 results at a time. The shift narrows to int16 and rounds, so `offset` is less by half a
 * step than there. (It isn't the narrowing that doesn't round: GNU as 2.40 encodes VQSHRN as VQRSHRN.) The macros that
 * define block functions end with the arguments
 *
 *     form       smmla; smmla_signed: `extra` is subtracted from the offset of negative a; smmla_shift: `extra` is minus the
 *                channel's own shift, which doesn't round
 *     pre        to the left
 *     shift      to the right, at most 31; 0 in the form smmla_shift
 *     low, high  of the result
 */
#ifndef TC_MVE_REQUANT_BLOCK_H
#define TC_MVE_REQUANT_BLOCK_H

#include <stdint.h>

#include "cmsis_shim/tc_simd.h"
#include "kernels/tc_inline.h"
#include "kernels/tc_mve.h"
#include "kernels/tc_requant.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum tc_mve_form {
    TC_MVE_FORM_smmla,
    TC_MVE_FORM_smmla_fused, /* of depthwise convolution */
    TC_MVE_FORM_smmla_signed,
    TC_MVE_FORM_smmla_shift
} tc_mve_form;

/* What a layer's channels have in common. */
typedef struct tc_mve_requant {
    tc_mve_form form;
    int32_t pre;
    int32_t shift;
    int32_t low;
    int32_t high;
} tc_mve_requant;

#define TC_MVE_REQUANT(form, pre, shift, low, high) {TC_MVE_FORM_##form, pre, shift, low, high}

/* The constants of a channel are `step` words apart: start, multiplier, offset and, where the form needs it, extra. */
TC_INLINE int8_t tc_mve_requantize(int32_t sum, int32_t start, const int32_t *constants, int32_t step,
                                   const tc_mve_requant *requant)
{
    const int32_t a = tc_wrapping_add(tc_shift_left(sum, requant->pre), start);
    int32_t offset = constants[step];
    if (requant->form == TC_MVE_FORM_smmla_signed) {
        offset -= constants[2 * step] & (a >> 31);
    }
    int32_t y = requant->form == TC_MVE_FORM_smmla_fused
                    ? (int32_t)(((int64_t)a * constants[0] >> 31) + offset)
                    : tc_smmla(a, constants[0], offset);
    if (requant->form == TC_MVE_FORM_smmla_shift) {
        y >>= -constants[2 * step];
    } else if (requant->shift > 0) {
        y = ((y >> (requant->shift - 1)) + 1) >> 1;
    }
    return (int8_t)tc_clamp8(y, requant->low, requant->high);
}

/* int32 constants of a channel. */
TC_INLINE int32_t tc_mve_requant_words(const tc_mve_requant *requant)
{
    return requant->form == TC_MVE_FORM_smmla || requant->form == TC_MVE_FORM_smmla_fused ? 3 : 4;
}

#if TC_MVE_BLOCKS

/* Eight sums in the even registers, which is all that VMLADAV has, become q0 and q1. The first register is the lower lane. */
#define TC_MVE_TO_LANES \
    "vmov q0[2], q0[0], r0, r4\n\t" \
    "vmov q0[3], q0[1], r2, r6\n\t" \
    "vmov q1[2], q1[0], r8, r12\n\t" \
    "vmov q1[3], q1[1], r10, lr\n\t"

/* With pre, starts can't be what the sums begin with. */
#define TC_MVE_START(pre, at0, at1) \
    ".if (" #pre ") > 0\n\t" \
    "vshl.i32 q0, q0, #" #pre "\n\t" \
    "vshl.i32 q1, q1, #" #pre "\n\t" \
    "vldrw.u32 q2, [" #at0 "], #16\n\t" \
    "vadd.i32 q0, q0, q2\n\t" \
    TC_MVE_NEXT(q2, at0, at1) \
    "vadd.i32 q1, q1, q2\n\t" \
    ".endif\n\t"

/* What belongs to q1 is the same constants, or those at another pointer. */
#define TC_MVE_NEXT(q, at0, at1) \
    ".ifnc " #at0 ", " #at1 "\n\t" \
    "vldrw.u32 " #q ", [" #at1 "], #16\n\t" \
    ".endif\n\t"

/* The high products, of 4 channels at at0 and at1, which may be the same. Results in the registers that TC_MVE_NARROW_* takes. */
#define TC_MVE_HIGH_smmla(at0, at1) \
    "vldrw.u32 q2, [" #at0 "], #16\n\t" \
    "vldrw.u32 q3, [" #at0 "], #16\n\t" \
    "vmulh.s32 q0, q0, q2\n\t" \
    "vadd.i32 q0, q0, q3\n\t" \
    TC_MVE_NEXT(q2, at0, at1) \
    TC_MVE_NEXT(q3, at0, at1) \
    "vmulh.s32 q1, q1, q2\n\t" \
    "vadd.i32 q1, q1, q3\n\t"
#define TC_MVE_HIGH_smmla_shift(at0, at1) \
    TC_MVE_HIGH_smmla(at0, at1) \
    "vldrw.u32 q2, [" #at0 "], #16\n\t" \
    "vshl.s32 q0, q0, q2\n\t" \
    TC_MVE_NEXT(q2, at0, at1) \
    "vshl.s32 q1, q1, q2\n\t"
#define TC_MVE_HIGH_smmla_signed(at0, at1) \
    "vldrw.u32 q2, [" #at0 "], #16\n\t" \
    "vmulh.s32 q3, q0, q2\n\t" \
    TC_MVE_NEXT(q2, at0, at1) \
    "vmulh.s32 q2, q1, q2\n\t" \
    "vldrw.u32 q7, [" #at0 "], #16\n\t" \
    "vadd.i32 q3, q3, q7\n\t" \
    TC_MVE_NEXT(q7, at0, at1) \
    "vadd.i32 q2, q2, q7\n\t" \
    "vldrw.u32 q7, [" #at0 "], #16\n\t" \
    "vpt.s32 lt, q0, zr\n\t" \
    "vsubt.i32 q3, q3, q7\n\t" \
    TC_MVE_NEXT(q7, at0, at1) \
    "vpt.s32 lt, q1, zr\n\t" \
    "vsubt.i32 q2, q2, q7\n\t"

/* The low bytes of 8 lanes in the register TC_MVE_RESULT_<form>: the first vector's in the even ones. */
#define TC_MVE_RESULT_smmla "q0"
#define TC_MVE_RESULT_smmla_shift "q0"
#define TC_MVE_RESULT_smmla_signed "q3"
#define TC_MVE_NARROW_smmla(shift, low, high) TC_MVE_NARROW("q0", "q1", "q1", shift, low, high)
#define TC_MVE_NARROW_smmla_shift TC_MVE_NARROW_smmla
#define TC_MVE_NARROW_smmla_signed(shift, low, high) TC_MVE_NARROW("q3", "q2", "q2", shift, low, high)

/* The same in `even`, from `even` and `odd`; `spare` may be `odd`. */
#define TC_MVE_NARROW(even, odd, spare, shift, low, high) \
    ".if (" #shift ") > 16\n\t" \
    "vshr.s32 " even ", " even ", #(" #shift ") - 16\n\t" \
    "vshr.s32 " odd ", " odd ", #(" #shift ") - 16\n\t" \
    "vqrshrnb.s32 " even ", " even ", #16\n\t" \
    "vqrshrnt.s32 " even ", " odd ", #16\n\t" \
    ".elseif (" #shift ") > 0\n\t" \
    "vqrshrnb.s32 " even ", " even ", #" #shift "\n\t" \
    "vqrshrnt.s32 " even ", " odd ", #" #shift "\n\t" \
    ".else\n\t" \
    "vqmovnb.s32 " even ", " even "\n\t" \
    "vqmovnt.s32 " even ", " odd "\n\t" \
    ".endif\n\t" \
    "vqmovnb.s16 " even ", " even "\n\t" \
    ".if (" #low ") > -128\n\t" \
    "vmov.i8 " spare ", #(" #low ") & 0xFF\n\t" \
    "vmax.s8 " even ", " even ", " spare "\n\t" \
    ".endif\n\t" \
    ".if (" #high ") < 127\n\t" \
    "vmov.i8 " spare ", #(" #high ") & 0xFF\n\t" \
    "vmin.s8 " even ", " even ", " spare "\n\t" \
    ".endif\n\t"

#endif

#ifdef __cplusplus
}
#endif

#endif
