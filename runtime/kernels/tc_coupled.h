/* SPDX-License-Identifier: 0BSD */
/*
 * Probabilities of classes from scores of their pairs: a logistic function of each (Platt), then the iteration of Wu, Lin and
 * Weng (2004, second method).
 *
 * scores         [pairs]: classes 0 and 1, 0 and 2 ... 1 and 2 ...
 * a, b           of each pair's logistic function
 * probabilities  [classes]
 * q              working memory, [classes + 1][classes]
 */
#ifndef TC_COUPLED_H
#define TC_COUPLED_H

#include <math.h>
#include <stdint.h>

#include "kernels/tc_class_scores.h"
#include "kernels/tc_float_function.h"
#include "kernels/tc_inline.h"

#ifdef __cplusplus
extern "C" {
#endif

/* q[i][j] = -r[j][i] r[i][j], q[i][i] = the sum of r[j][i]^2, where r[i][j] is how likely i is of the two. */
TC_INLINE void tc_coupled_pairs(const float *scores, const float *a, const float *b, float *q, int32_t classes)
{
    for (int32_t i = 0; i < classes * classes; ++i) {
        q[i] = 0.0f;
    }
    for (int32_t i = 0; i < classes; ++i) {
        for (int32_t j = i + 1; j < classes; ++j) {
            const float value = tc_opaque(tc_opaque(*scores++ * *a++) + *b++);
            const float likely = tc_opaque(1.0f - tc_class_logistic(value));
            const float highest = tc_opaque(1.0f - 1e-7f);
            const float at_least = likely < 1e-7f ? 1e-7f : likely;
            const float first = at_least > highest ? highest : at_least;
            const float second = tc_opaque(1.0f - first);
            q[i * classes + j] = -tc_opaque(first * second);
            q[j * classes + i] = q[i * classes + j];
            q[i * classes + i] = tc_opaque(q[i * classes + i] + tc_opaque(second * second));
            q[j * classes + j] = tc_opaque(q[j * classes + j] + tc_opaque(first * first));
        }
    }
}

TC_INLINE void tc_coupled(const float *scores, const float *a, const float *b, float *probabilities,
                          void *scratch, int32_t classes, int32_t steps, float limit)
{
    float *const q = (float *)scratch;
    float *qp = q + classes * classes;
    float *p = probabilities;
    tc_coupled_pairs(scores, a, b, q, classes);
    for (int32_t i = 0; i < classes; ++i) {
        p[i] = tc_divide(1.0f, (float)classes);
    }
    for (int32_t step = 0; step < steps; ++step) {
        float pqp = 0.0f;
        for (int32_t i = 0; i < classes; ++i) {
            qp[i] = 0.0f;
            for (int32_t j = 0; j < classes; ++j) {
                qp[i] = tc_opaque(qp[i] + tc_opaque(q[i * classes + j] * p[j]));
            }
            pqp = tc_opaque(pqp + tc_opaque(p[i] * qp[i]));
        }
        float error = 0.0f;
        for (int32_t i = 0; i < classes; ++i) {
            error = tc_float_maximum(error, fabsf(tc_opaque(qp[i] - pqp)));
        }
        if (error < limit) {
            return;
        }
        for (int32_t i = 0; i < classes; ++i) {
            const float own = q[i * classes + i];
            const float change = tc_divide(tc_opaque(pqp - qp[i]), own);
            const float scale = tc_opaque(1.0f + change);
            p[i] = tc_opaque(p[i] + change);
            const float more = tc_opaque(tc_opaque(change * own) + tc_opaque(2.0f * qp[i]));
            pqp = tc_divide(tc_divide(tc_opaque(pqp + tc_opaque(change * more)), scale), scale);
            for (int32_t j = 0; j < classes; ++j) {
                qp[j] = tc_divide(tc_opaque(qp[j] + tc_opaque(change * q[i * classes + j])), scale);
                p[j] = tc_divide(p[j], scale);
            }
        }
    }
}

#ifdef __cplusplus
}
#endif

#endif
