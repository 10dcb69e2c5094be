/* SPDX-License-Identifier: 0BSD */
/* Boxes of detectors, by two opposite corners: how much they overlap, and which of them stay. Needs expf (-lm). */
#ifndef TC_BOXES_H
#define TC_BOXES_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>

#include "kernels/tc_float_exact.h"
#include "kernels/tc_inline.h"

#ifdef __cplusplus
extern "C" {
#endif

/* y, x, y, x */
typedef struct tc_box {
    float corner[4];
} tc_box;

TC_INLINE float tc_float_smaller(float a, float b)
{
    return b < a ? b : a;
}

TC_INLINE float tc_float_larger(float a, float b)
{
    return a < b ? b : a;
}

/* Along an axis: of a box, and of what two have in common. */
TC_INLINE float tc_box_side(const tc_box *a, int32_t axis)
{
    const float low = tc_float_smaller(a->corner[axis], a->corner[axis + 2]);
    return tc_opaque(tc_float_larger(a->corner[axis], a->corner[axis + 2]) - low);
}

TC_INLINE float tc_box_common(const tc_box *a, const tc_box *b, int32_t axis)
{
    const float a_low = tc_float_smaller(a->corner[axis], a->corner[axis + 2]);
    const float a_high = tc_float_larger(a->corner[axis], a->corner[axis + 2]);
    const float b_low = tc_float_smaller(b->corner[axis], b->corner[axis + 2]);
    const float b_high = tc_float_larger(b->corner[axis], b->corner[axis + 2]);
    return tc_float_larger(tc_opaque(tc_float_smaller(b_high, a_high) - tc_float_larger(b_low, a_low)), 0.0f);
}

/* Intersection over union; 0 of empty boxes. */
TC_INLINE float tc_box_overlap(const tc_box *a, const tc_box *b)
{
    const float a_area = tc_opaque(tc_box_side(a, 0) * tc_box_side(a, 1));
    const float b_area = tc_opaque(tc_box_side(b, 0) * tc_box_side(b, 1));
    if (a_area <= 0.0f || b_area <= 0.0f) {
        return 0.0f;
    }
    const float common = tc_opaque(tc_box_common(a, b, 0) * tc_box_common(a, b, 1));
    return tc_divide(common, tc_opaque(tc_opaque(a_area + b_area) - common));
}

typedef struct tc_suppression_shape {
    int32_t boxes;
    int32_t size;  /* of the results */
    int32_t every; /* whether any score will do */
    float least;   /* else more than this is needed */
    float overlap; /* from which on a box goes */
    int32_t soft;  /* whether overlap lowers scores: by expf(factor * overlap^2) */
    float factor;
} tc_suppression_shape;

typedef struct tc_candidate {
    float score;
    int32_t box;
    int32_t compared; /* with so many of those that stay */
} tc_candidate;

/* A binary heap by scores with the moves of libstdc++'s push_heap and pop_heap, which decide among equal scores. */
TC_INLINE void tc_candidate_rise(tc_candidate *heap, int32_t hole, tc_candidate candidate)
{
    while (hole > 0 && heap[(hole - 1) / 2].score < candidate.score) {
        heap[hole] = heap[(hole - 1) / 2];
        hole = (hole - 1) / 2;
    }
    heap[hole] = candidate;
}

/* Takes one of the highest score out of `count`. */
TC_INLINE tc_candidate tc_candidate_pop(tc_candidate *heap, int32_t count)
{
    const tc_candidate top = heap[0];
    const int32_t rest = count - 1;
    int32_t hole = 0;
    while (2 * hole + 2 < rest) {
        int32_t child = 2 * hole + 2;
        child -= heap[child].score < heap[child - 1].score ? 1 : 0;
        heap[hole] = heap[child];
        hole = child;
    }
    if (2 * hole + 2 == rest) {
        heap[hole] = heap[2 * hole + 1];
        hole = 2 * hole + 1;
    }
    if (rest > 0) {
        tc_candidate_rise(heap, hole, heap[rest]);
    }
    return top;
}

/* Whether a candidate's score is enough. */
TC_INLINE bool tc_is_enough(float score, const tc_suppression_shape *shape)
{
    return shape->every ? score > -INFINITY : score > shape->least;
}

/* Compares with those that stay, from the last one on: whether it goes. Its score may fall. */
TC_INLINE bool tc_is_suppressed(tc_candidate *candidate, const tc_box *boxes, const int32_t *indices, int32_t found,
                                const tc_suppression_shape *shape)
{
    for (int32_t i = found - 1; i >= candidate->compared; --i) {
        const float overlap = tc_box_overlap(&boxes[candidate->box], &boxes[indices[i]]);
        if (overlap >= shape->overlap) {
            return true;
        }
        if (shape->soft) {
            const float power = tc_opaque(tc_opaque(shape->factor * overlap) * overlap);
            candidate->score = tc_opaque(candidate->score * expf(power));
        }
        if (!tc_is_enough(candidate->score, shape)) {
            return false;
        }
    }
    return false;
}

/* `kept` may be null; `scratch` has a candidate for each box. */
TC_INLINE void tc_non_max_suppression(const float *corners, const float *scores, int32_t *indices, float *kept,
                                      int32_t *count, void *scratch, const tc_suppression_shape *shape)
{
    const tc_box *boxes = (const tc_box *)corners;
    tc_candidate *heap = (tc_candidate *)scratch;
    int32_t candidates = 0;
    for (int32_t i = 0; i < shape->boxes; ++i) {
        if (tc_is_enough(scores[i], shape)) {
            const tc_candidate candidate = {scores[i], i, 0};
            tc_candidate_rise(heap, candidates++, candidate);
        }
    }
    const int32_t wanted = candidates < shape->size ? candidates : shape->size;
    int32_t found = 0;
    while (found < wanted && candidates > 0) {
        tc_candidate next = tc_candidate_pop(heap, candidates--);
        const float before = next.score;
        if (tc_is_suppressed(&next, boxes, indices, found, shape)) {
            continue;
        }
        next.compared = found;
        if (next.score == before) {
            if (kept) {
                kept[found] = before;
            }
            indices[found++] = next.box;
        }
        if (tc_is_enough(next.score, shape)) { /* again: it overlaps with itself, unless it is empty */
            tc_candidate_rise(heap, candidates++, next);
        }
    }
    *count = found;
    for (; found < shape->size; ++found) {
        indices[found] = 0;
        if (kept) {
            kept[found] = 0.0f;
        }
    }
}

#ifdef __cplusplus
}
#endif

#endif
