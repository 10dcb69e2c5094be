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
#include <string.h>

#include "cmsis_shim/tc_simd.h"
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

static TC_NOINLINE void tc_shared_words(uint32_t *to, const uint32_t *shared, const uint32_t *own,
                                        const tc_shared_step *steps, const tc_shared_shape *shape)
{
    uint32_t rounds = shape->rounds;
    for (uint32_t step = 0u; step < shape->steps; step++) {
        const tc_shared_step now = steps[step];
        for (uint32_t times = now.times; times > 0u; times--) {
            for (uint32_t i = now.own; i > 0u; i--) {
                *to++ = *own++;
            }
            shared += now.skip;
            if (now.run >= TC_SHARED_LONG) {
                tc_copy_words(to, shared, now.run);
                to += now.run;
                shared += now.run;
            } else {
                for (uint32_t i = now.run; i > 0u; i--) {
                    *to++ = *shared++;
                }
            }
        }
        if (step + 1u == shape->end && rounds > 1u) {
            rounds--;
            step = shape->again - 1u; /* the loop adds 1; 0 - 1 wraps around */
        }
    }
}

static TC_NOINLINE void tc_shared_bytes(uint8_t *to, const uint8_t *shared, const uint8_t *own,
                                        const tc_shared_step *steps, const tc_shared_shape *shape)
{
    uint32_t rounds = shape->rounds;
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
