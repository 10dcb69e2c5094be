/* SPDX-License-Identifier: 0BSD */
/*
 * Requantisation of one sum at a time: by two products (tc_split_requant.h) where the core multiplies 32 bits and there is
 * such a line, else by a high product (tc_product_requant.h).
 */
#ifndef TC_SCALAR_REQUANT_H
#define TC_SCALAR_REQUANT_H

#include "kernels/tc_product_requant.h"
#include "kernels/tc_split_requant.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Of both members the other one isn't used. */
typedef struct tc_scalar_requant {
    bool is_split;
    tc_split_requant split;
    tc_product_requant product;
} tc_scalar_requant;

/* int32 words per channel. */
TC_INLINE uint32_t tc_scalar_requant_words(const tc_scalar_requant *requant)
{
    return requant->is_split ? tc_split_requant_words(&requant->split) : tc_product_requant_words(&requant->product);
}

/* What a channel's sum begins with. */
TC_INLINE int32_t tc_scalar_start(const int32_t *channel, const tc_scalar_requant *requant)
{
    return requant->is_split ? channel[0] : 0;
}

/* Of a sum that began so. */
TC_INLINE int8_t tc_scalar_requantize(int32_t sum, const int32_t *channel, const tc_scalar_requant *requant)
{
    return requant->is_split ? tc_split_requantize(sum, channel, &requant->split)
                             : (int8_t)tc_product_requantize(sum, channel, &requant->product);
}

#ifdef __cplusplus
}
#endif

#endif
