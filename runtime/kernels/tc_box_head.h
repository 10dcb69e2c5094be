/* SPDX-License-Identifier: 0BSD */
/*
 * From the raw heads of a detector to the boxes that stay: decoding by tables of 256 entries, the best candidates, and
 * suppression of those that overlap a better one. All in integers, memory is the caller's.
 *
 * Coordinates have 14 fractional bits, 1 is the whole image; scores have 15. Heads are of 8 bits; tables are read by the number
 * above the smallest one of the type, which for int8 is the byte with its highest bit turned: `flip`.
 */
#ifndef TC_BOX_HEAD_H
#define TC_BOX_HEAD_H

#include <stddef.h>
#include <stdint.h>

#include "kernels/tc_inline.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Value v of box i is at first + i * box_step + v * value_step. */
typedef struct tc_box_values {
    int32_t first;
    int32_t box_step;
    int32_t value_step;
    uint8_t flip;
} tc_box_values;

typedef struct tc_box_head {
    int32_t boxes;
    tc_box_values encodings;
    tc_box_values scores;
    tc_box_values objects;
    const int16_t *anchors;     /* [boxes][4]: y, x of the centre, height, width; null: the whole image */
    const int16_t *steps;       /* [boxes][2]: what a place of 1 is, along y and x; null: the anchor's height and width */
    const int32_t *place[2];    /* [256], 16 fractional bits, of y and x */
    const int32_t *size[2];     /* [256], 16 fractional bits, of height and width */
    const uint16_t *score;      /* [256] */
    const uint16_t *objectness; /* [256]; null: there is none */
} tc_box_head;

/* What heads of a detector have in common. */
typedef struct tc_box_choice {
    int32_t classes;
    int32_t background; /* a class that is none; -1 if there is no such */
    int32_t order[4];   /* of y, x, height and width among a box's encodings */
    int32_t least;      /* the lowest score of a candidate */
    int32_t overlap;    /* of the union, with 14 fractional bits, above which a box goes */
    int32_t candidates;
    int32_t most;
    int32_t agnostic; /* whether boxes of other classes count */
} tc_box_choice;

typedef struct tc_found_box {
    int32_t corner[4]; /* y, x of the upper left, y, x of the lower right */
    int32_t number;    /* of the class */
    int32_t score;
} tc_found_box;

TC_INLINE uint8_t tc_box_value(const uint8_t *head, const tc_box_values *values, int32_t box, int32_t value)
{
    return head[values->first + box * values->box_step + value * values->value_step] ^ values->flip;
}

/* The class of a box and its score. */
TC_INLINE void tc_box_class(const uint8_t *scores, int32_t box, tc_found_box *found, const tc_box_head *head,
                            const tc_box_choice *choice)
{
    int32_t best = choice->background == 0 ? 1 : 0;
    uint8_t largest = tc_box_value(scores, &head->scores, box, best);
    for (int32_t i = best + 1; i < choice->classes; ++i) {
        const uint8_t score = tc_box_value(scores, &head->scores, box, i);
        if (score > largest && i != choice->background) {
            largest = score;
            best = i;
        }
    }
    found->number = best;
    found->score = head->score[largest];
    if (head->objectness != NULL) {
        const int32_t object = head->objectness[tc_box_value(scores, &head->objects, box, 0)];
        found->score = (int32_t)(((uint32_t)found->score * (uint32_t)object + (1u << 14)) >> 15);
    }
}

TC_INLINE void tc_box_decode(const uint8_t *encodings, int32_t box, tc_found_box *found, const tc_box_head *head,
                             const tc_box_choice *choice)
{
    static const int16_t whole[4] = {0, 0, 1 << 14, 1 << 14};
    const int16_t *const anchor = head->anchors == NULL ? whole : head->anchors + 4 * box;
    const int16_t *const step = head->steps == NULL ? anchor + 2 : head->steps + 2 * box;
    for (int32_t axis = 0; axis < 2; ++axis) {
        const uint8_t place = tc_box_value(encodings, &head->encodings, box, choice->order[axis]);
        const uint8_t size = tc_box_value(encodings, &head->encodings, box, choice->order[2 + axis]);
        const int64_t moved = (int64_t)head->place[axis][place] * step[axis] + (1 << 15);
        const int64_t side = (int64_t)head->size[axis][size] * anchor[2 + axis] + (1 << 16);
        const int32_t centre = anchor[axis] + (int32_t)(moved >> 16);
        const int32_t half = (int32_t)(side >> 17);
        found->corner[axis] = centre - half;
        found->corner[2 + axis] = centre + half;
    }
}

/* Whether two boxes have more in common than `overlap`. */
TC_INLINE int32_t tc_boxes_overlap(const tc_found_box *a, const tc_found_box *b, int32_t overlap)
{
    int64_t common = 1, first = 1, second = 1;
    for (int32_t axis = 0; axis < 2; ++axis) {
        const int32_t low = a->corner[axis] > b->corner[axis] ? a->corner[axis] : b->corner[axis];
        const int32_t high = a->corner[2 + axis] < b->corner[2 + axis] ? a->corner[2 + axis] : b->corner[2 + axis];
        common *= high > low ? high - low : 0;
        first *= a->corner[2 + axis] - a->corner[axis];
        second *= b->corner[2 + axis] - b->corner[axis];
    }
    return common * (1 << 14) > overlap * (first + second - common);
}

/* Puts the boxes of a head among the `count` candidates so far, the best first, of equals the one that came first; how many
 * there are then. The objectness, if there is one, is in the same output as the scores. */
TC_INLINE int32_t tc_box_candidates(const uint8_t *encodings, const uint8_t *scores, tc_found_box *found, int32_t count,
                                    const tc_box_head *head, const tc_box_choice *choice)
{
    for (int32_t box = 0; box < head->boxes; ++box) {
        tc_found_box next;
        tc_box_class(scores, box, &next, head, choice);
        if (next.score < choice->least || (count == choice->candidates && next.score <= found[count - 1].score)) {
            continue;
        }
        tc_box_decode(encodings, box, &next, head, choice);
        int32_t place = count < choice->candidates ? count++ : count - 1;
        for (; place > 0 && next.score > found[place - 1].score; --place) {
            found[place] = found[place - 1];
        }
        found[place] = next;
    }
    return count;
}

/* Of the candidates those that stay, at the beginning of `found`; how many. */
TC_INLINE int32_t tc_box_suppress(tc_found_box *found, int32_t count, const tc_box_choice *choice)
{
    int32_t kept = 0;
    for (int32_t i = 0; i < count && kept < choice->most; ++i) {
        int32_t stays = 1;
        for (int32_t j = 0; j < kept && stays != 0; ++j) {
            const int32_t rivals = choice->agnostic != 0 || found[i].number == found[j].number;
            stays = rivals == 0 || tc_boxes_overlap(&found[i], &found[j], choice->overlap) == 0;
        }
        if (stays != 0) {
            found[kept++] = found[i];
        }
    }
    return kept;
}

#ifdef __cplusplus
}
#endif

#endif
