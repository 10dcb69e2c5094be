/* SPDX-License-Identifier: 0BSD */
/*
 * The end of an SSD detector: boxes from anchors and encodings, and which of them stay. Needs exp (-lm).
 *
 * encodings    [boxes][4]: y, x, height, width
 * predictions  [boxes][stride], of which the last `classes` of each count
 * anchors      [boxes][4]: y, x, height, width
 * corners      [most * per_detection][4], then classes, scores, and how many detections there are
 */
#ifndef TC_DETECTION_H
#define TC_DETECTION_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>

#include "kernels/tc_boxes.h"
#include "kernels/tc_float_exact.h"
#include "kernels/tc_inline.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tc_detection_shape {
    int32_t boxes;
    int32_t stride;
    int32_t classes;
    int32_t most;
    int32_t per_detection;
    int32_t per_class;
    float least;   /* the lowest score that counts */
    float overlap; /* above which a box goes */
    float scale[4];
} tc_detection_shape;

typedef struct tc_detected {
    float score;
    int32_t box;
    int32_t class_;
} tc_detected;

typedef struct tc_detection_results {
    float *corners;
    float *classes;
    float *scores;
    float *count;
} tc_detection_results;

TC_INLINE void tc_detection_decode(const float *encodings, const float *anchors, tc_box *boxes,
                                   const tc_detection_shape *shape)
{
    for (int32_t i = 0; i < shape->boxes; ++i) {
        for (int32_t axis = 0; axis < 2; ++axis) {
            const double size = anchors[4 * i + 2 + axis];
            const double place = (double)encodings[4 * i + axis] / (double)shape->scale[axis];
            const double growth = (double)encodings[4 * i + 2 + axis] / (double)shape->scale[2 + axis];
            const float centre = (float)(tc_opaque_double(place * size) + (double)anchors[4 * i + axis]);
            const float half = (float)(tc_opaque_double(0.5 * exp(growth)) * size);
            boxes[i].corner[axis] = tc_opaque(centre - half);
            boxes[i].corner[2 + axis] = tc_opaque(centre + half);
        }
    }
}

/* Whether a box comes before another one: by its score, `stride` apart, then by its number. */
TC_INLINE bool tc_detection_before(const float *scores, int32_t stride, int32_t a, int32_t b)
{
    const float first = scores[a * stride];
    const float second = scores[b * stride];
    return first > second || (first == second && a < b);
}

/* Puts `box` into a heap whose root comes last. */
TC_INLINE void tc_detection_sift(int32_t *order, int32_t hole, int32_t count, int32_t box, const float *scores,
                                 int32_t stride)
{
    for (int32_t child = 2 * hole + 1; child < count; child = 2 * hole + 1) {
        if (child + 1 < count && tc_detection_before(scores, stride, order[child], order[child + 1])) {
            ++child;
        }
        if (!tc_detection_before(scores, stride, box, order[child])) {
            break;
        }
        order[hole] = order[child];
        hole = child;
    }
    order[hole] = box;
}

/* The boxes that stay, at the beginning of `order`, the best first; how many. */
TC_INLINE int32_t tc_detection_select(const tc_box *boxes, const float *scores, int32_t stride, int32_t most,
                                      int32_t *order, const tc_detection_shape *shape)
{
    int32_t count = 0;
    for (int32_t i = 0; i < shape->boxes; ++i) {
        if (scores[i * stride] >= shape->least) {
            order[count++] = i;
        }
    }
    for (int32_t i = count / 2 - 1; i >= 0; --i) {
        tc_detection_sift(order, i, count, order[i], scores, stride);
    }
    for (int32_t last = count - 1; last > 0; --last) {
        const int32_t box = order[last];
        order[last] = order[0];
        tc_detection_sift(order, 0, last, box, scores, stride);
    }
    int32_t found = 0;
    for (int32_t i = 0; i < count && found < most; ++i) {
        const int32_t box = order[i];
        if (box < 0) {
            continue;
        }
        order[found++] = box;
        for (int32_t j = i + 1; j < count; ++j) {
            if (order[j] >= 0 && tc_box_overlap(&boxes[box], &boxes[order[j]]) > shape->overlap) {
                order[j] = -1;
            }
        }
    }
    return found;
}

TC_INLINE void tc_detection_write(const tc_detection_results *results, int32_t row, const tc_box *box, int32_t class_,
                                  float score)
{
    for (int32_t i = 0; i < 4; ++i) {
        results->corners[4 * row + i] = box->corner[i];
    }
    results->classes[row] = (float)class_;
    results->scores[row] = score;
}

TC_INLINE void tc_detection_clear(const tc_detection_results *results, const tc_detection_shape *shape)
{
    const tc_box nothing = {{0.0f, 0.0f, 0.0f, 0.0f}};
    for (int32_t row = 0; row < shape->most * shape->per_detection; ++row) {
        tc_detection_write(results, row, &nothing, 0, 0.0f);
    }
}

/* Scratch: boxes, their order, the best detections so far. */
TC_INLINE void tc_detection_regular(const float *encodings, const float *predictions, const float *anchors,
                                    float *corners, float *classes, float *scores, float *count, void *scratch,
                                    const tc_detection_shape *shape)
{
    const tc_detection_results results = {corners, classes, scores, count};
    const float *first = predictions + shape->stride - shape->classes;
    tc_box *boxes = (tc_box *)scratch;
    int32_t *order = (int32_t *)(boxes + shape->boxes);
    tc_detected *best = (tc_detected *)(order + shape->boxes);
    int32_t kept = 0;
    tc_detection_decode(encodings, anchors, boxes, shape);
    for (int32_t class_ = 0; class_ < shape->classes; ++class_) {
        const float *of_class = first + class_;
        const int32_t found = tc_detection_select(boxes, of_class, shape->stride, shape->per_class, order, shape);
        for (int32_t i = 0; i < found; ++i) {
            const tc_detected next = {of_class[order[i] * shape->stride], order[i], class_};
            int32_t place = kept < shape->most ? kept++ : shape->most;
            for (; place > 0 && best[place - 1].score < next.score; --place) {
                if (place < shape->most) {
                    best[place] = best[place - 1];
                }
            }
            if (place < shape->most) {
                best[place] = next;
            }
        }
    }
    tc_detection_clear(&results, shape);
    for (int32_t i = 0; i < kept; ++i) {
        tc_detection_write(&results, i, &boxes[best[i].box], best[i].class_, best[i].score);
    }
    *count = (float)kept;
}

/* `class_` into a heap of the first `count` of `order`, with the moves of libstdc++'s __adjust_heap. */
TC_INLINE void tc_class_settle(int32_t *order, int32_t hole, int32_t count, int32_t class_, const float *scores)
{
    const int32_t top = hole;
    while (2 * hole + 2 < count) {
        int32_t child = 2 * hole + 2;
        child -= scores[order[child]] > scores[order[child - 1]] ? 1 : 0;
        order[hole] = order[child];
        hole = child;
    }
    if (2 * hole + 2 == count) {
        order[hole] = order[2 * hole + 1];
        hole = 2 * hole + 1;
    }
    while (hole > top && scores[order[(hole - 1) / 2]] > scores[class_]) {
        order[hole] = order[(hole - 1) / 2];
        hole = (hole - 1) / 2;
    }
    order[hole] = class_;
}

/* The `count` best of the classes at the beginning of `order`, as libstdc++'s partial_sort orders them. */
TC_INLINE void tc_class_sort(int32_t *order, int32_t count, int32_t classes, const float *scores)
{
    for (int32_t i = 0; i < classes; ++i) {
        order[i] = i;
    }
    for (int32_t i = count / 2 - 1; i >= 0; --i) {
        tc_class_settle(order, i, count, order[i], scores);
    }
    for (int32_t i = count; i < classes; ++i) {
        const int32_t class_ = order[i];
        if (scores[class_] > scores[order[0]]) {
            order[i] = order[0];
            tc_class_settle(order, 0, count, class_, scores);
        }
    }
    for (int32_t last = count - 1; last > 0; --last) {
        const int32_t class_ = order[last];
        order[last] = order[0];
        tc_class_settle(order, 0, last, class_, scores);
    }
}

TC_INLINE int32_t tc_best_class(const float *scores, int32_t classes)
{
    int32_t best = 0;
    for (int32_t i = 1; i < classes; ++i) {
        best = scores[i] > scores[best] ? i : best;
    }
    return best;
}

/* Scratch: boxes, their order, the best score of each, the order of the classes. */
TC_INLINE void tc_detection_fast(const float *encodings, const float *predictions, const float *anchors,
                                 float *corners, float *classes, float *scores, float *count, void *scratch,
                                 const tc_detection_shape *shape)
{
    const tc_detection_results results = {corners, classes, scores, count};
    const float *first = predictions + shape->stride - shape->classes;
    tc_box *boxes = (tc_box *)scratch;
    int32_t *order = (int32_t *)(boxes + shape->boxes);
    float *best = (float *)(order + shape->boxes);
    int32_t *by_score = (int32_t *)(best + shape->boxes);
    const int32_t each = shape->per_detection < shape->classes ? shape->per_detection : shape->classes;
    tc_detection_decode(encodings, anchors, boxes, shape);
    for (int32_t i = 0; i < shape->boxes; ++i) {
        const float *of_box = first + i * shape->stride;
        best[i] = of_box[tc_best_class(of_box, shape->classes)];
    }
    const int32_t found = tc_detection_select(boxes, best, 1, shape->most, order, shape);
    tc_detection_clear(&results, shape);
    for (int32_t i = 0; i < found; ++i) {
        const float *of_box = first + order[i] * shape->stride;
        if (each == 1) {
            by_score[0] = tc_best_class(of_box, shape->classes);
        } else {
            tc_class_sort(by_score, each, shape->classes, of_box);
        }
        for (int32_t j = 0; j < each; ++j) {
            const int32_t row = i * shape->per_detection + j;
            tc_detection_write(&results, row, &boxes[order[i]], by_score[j], of_box[by_score[j]]);
        }
    }
    *count = (float)found;
}

#ifdef __cplusplus
}
#endif

#endif
