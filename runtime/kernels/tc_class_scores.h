/* SPDX-License-Identifier: 0BSD */
/*
 * The end of a classifier: which class is best, and probabilities.
 *
 * scores         [classes], or [1] for a pair of classes
 * label          int64_t, from `labels`
 * probabilities  [classes]; may be where the scores are unless these are one for a pair
 */
#ifndef TC_CLASS_SCORES_H
#define TC_CLASS_SCORES_H

#include <math.h>
#include <stdint.h>

#include "kernels/tc_float_function.h"
#include "kernels/tc_inline.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A score that is none, if scores are marked: -0.0. */
TC_INLINE int tc_no_score(float score)
{
    return tc_float_bits(score) == 0x80000000u;
}

/* The first of the largest scores; class 0 if there is none. */
TC_INLINE int32_t tc_class_largest(const float *scores, int32_t classes, int marked)
{
    int32_t best = -1;
    float largest = 0.0f;
    for (int32_t i = 0; i < classes; ++i) {
        if (!(marked && tc_no_score(scores[i])) && (best < 0 || scores[i] > largest)) {
            best = i;
            largest = scores[i];
        }
    }
    return best < 0 ? 0 : best;
}

/* Of no score, too, which counts as 0. */
TC_INLINE float tc_class_none(float score)
{
    return tc_opaque(score + 0.0f);
}

/* By the exponential of what isn't positive. */
TC_INLINE float tc_class_logistic(float score)
{
    const float near = tc_divide(1.0f, tc_opaque(1.0f + expf(-fabsf(score))));
    return score < 0.0f ? tc_opaque(1.0f - near) : near;
}

/* The quantile of the normal distribution, good to 0.005. */
TC_INLINE float tc_class_probit(float score)
{
    const float y = tc_opaque(tc_opaque(2.0f * tc_class_none(score)) - 1.0f);
    const float log = logf(tc_opaque(tc_opaque(1.0f - y) * tc_opaque(1.0f + y)));
    const float half = tc_opaque(tc_divide(2.0f, 3.14159f * 0.147f) + tc_opaque(0.5f * log));
    const float rest = tc_opaque(tc_divide(1.0f, 0.147f) * log);
    const float root = sqrtf(tc_opaque(tc_opaque(half * half) - rest));
    const float size = sqrtf(tc_opaque(root - half));
    return tc_opaque(1.41421356f * (y < 0.0f ? -size : size));
}

typedef float tc_class_map(float score);

TC_INLINE void tc_class_each(const float *scores, float *probabilities, tc_class_map *map, int32_t classes)
{
    for (int32_t i = 0; i < classes; ++i) {
        probabilities[i] = map(scores[i]);
    }
}

/* Softmax; with `zero` scores of at most 1e-7 are 0 and stay so. */
TC_INLINE void tc_class_softmax(const float *scores, float *probabilities, int32_t classes, int zero)
{
    float largest = tc_class_none(scores[0]);
    for (int32_t i = 1; i < classes; ++i) {
        largest = tc_float_maximum(largest, tc_class_none(scores[i]));
    }
    float sum = 0.0f;
    for (int32_t i = 0; i < classes; ++i) {
        const float score = tc_class_none(scores[i]);
        if (zero && fabsf(score) <= 1e-7f) {
            probabilities[i] = tc_opaque(score * expf(-largest));
        } else {
            probabilities[i] = expf(tc_opaque(score - largest));
            sum = tc_opaque(sum + probabilities[i]);
        }
    }
    for (int32_t i = 0; i < classes; ++i) {
        probabilities[i] = tc_divide(probabilities[i], sum);
    }
}

#ifdef __cplusplus
}
#endif

#endif
