/* SPDX-License-Identifier: 0BSD */
/*
 * Constants that are pieces of a wider network's, put together in scratch before a kernel reads them there.
 *
 * steps    each: `own` elements of the narrower network, then `run` of the wider one's array, `skip` behind the last one;
 *          so `times`
 * shape    the steps from `again` up to `end` are executed `rounds` times
 *
 * Elements are words, or bytes where pieces don't begin and end with words.
 */
#ifndef TC_SHARED_H
#define TC_SHARED_H

#include <stdint.h>

#include "cmsis_shim/tc_simd.h"
#include "kernels/tc_inline.h"
#include "kernels/tc_words.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tc_shared_step {
    uint16_t times;
    uint16_t own;
    int16_t skip;
    uint16_t run;
} tc_shared_step;

typedef struct tc_shared_shape {
    uint16_t again;
    uint16_t end;
    uint16_t rounds;
    uint16_t steps;
} tc_shared_shape;

/* From here on copies are calls, which copy four words with two instructions. */
#define TC_SHARED_LONG 8u

/* Words that are read piece by piece. */
typedef struct tc_shared_reader {
    const uint32_t *shared; /* behind the last run */
    const uint32_t *own;    /* the next one */
    const tc_shared_step *steps;
    const tc_shared_shape *shape;
    uint32_t step;
    uint32_t times;  /* that are left of it, with this one */
    uint32_t rounds; /* that are left of the repeated steps, with this one */
    tc_shared_step left; /* of this time */
} tc_shared_reader;

TC_INLINE tc_shared_reader tc_shared_begin(const uint32_t *shared, const uint32_t *own, const tc_shared_step *steps,
                                           const tc_shared_shape *shape)
{
    const tc_shared_reader reader = {shared, own, steps, shape, 0u, steps[0].times, shape->rounds, steps[0]};
    return reader;
}

/* The next time of a step, or the next step; the last one's `left` stays 0. */
TC_INLINE void tc_shared_advance(tc_shared_reader *reader)
{
    const tc_shared_shape *const shape = reader->shape;
    reader->times--;
    if (reader->times == 0u) {
        reader->step++;
        if (reader->step == shape->end && reader->rounds > 1u) {
            reader->rounds--;
            reader->step = shape->again;
        }
        if (reader->step < shape->steps) {
            reader->times = reader->steps[reader->step].times;
        }
    }
    if (reader->step < shape->steps) {
        reader->left = reader->steps[reader->step];
    }
}

/* The next `words`, as far as there are any. */
static TC_NOINLINE void tc_shared_next(tc_shared_reader *reader, uint32_t *to, uint32_t words)
{
    tc_shared_reader now = *reader;
    while (words > 0u && now.step < now.shape->steps) {
        uint32_t count = now.left.own < words ? now.left.own : words;
        words -= count;
        now.left.own = (uint16_t)(now.left.own - count);
        for (; count > 0u; count--) {
            *to++ = *now.own++;
        }
        if (now.left.own == 0u) {
            now.shared += now.left.skip;
            now.left.skip = 0;
            count = now.left.run < words ? now.left.run : words;
            words -= count;
            now.left.run = (uint16_t)(now.left.run - count);
            if (count >= TC_SHARED_LONG) {
                tc_copy_words(to, now.shared, count);
                to += count;
                now.shared += count;
            } else {
                for (; count > 0u; count--) {
                    *to++ = *now.shared++;
                }
            }
            if (now.left.run == 0u) {
                tc_shared_advance(&now);
            }
        }
    }
    *reader = now;
}

TC_INLINE void tc_shared_words(uint32_t *to, const uint32_t *shared, const uint32_t *own, const tc_shared_step *steps,
                               const tc_shared_shape *shape, uint32_t words)
{
    tc_shared_reader reader = tc_shared_begin(shared, own, steps, shape);
    tc_shared_next(&reader, to, words);
}

static TC_NOINLINE void tc_shared_bytes(uint8_t *to, const uint8_t *shared, const uint8_t *own,
                                        const tc_shared_step *steps, const tc_shared_shape *shape, uint32_t bytes)
{
    uint32_t rounds = shape->rounds;
    (void)bytes; /* which the steps make */
    for (uint32_t step = 0u; step < shape->steps; step++) {
        const tc_shared_step now = steps[step];
        for (uint32_t times = now.times; times > 0u; times--) {
            for (uint32_t i = now.own; i > 0u; i--) {
                *to++ = *own++;
            }
            shared += now.skip;
            for (uint32_t i = now.run; i > 0u; i--) {
                *to++ = *shared++;
            }
        }
        if (step + 1u == shape->end && rounds > 1u) {
            rounds--;
            step = shape->again - 1u;
        }
    }
}

#ifdef __cplusplus
}
#endif

#endif
