/* SPDX-License-Identifier: 0BSD */
/* replay.h - which samples of a stream are kept, to be learned from again: a reservoir.
 *
 * A model that only learns from what it sees right now forgets what it doesn't see. Of all samples so far each one is kept with the
 * same probability, however long the stream is (J. S. Vitter, "Random Sampling with a Reservoir", ACM TOMS 11, 1985,
 * algorithm R). It says numbers of places and knows no memory: samples can be in RAM, in external RAM, or in flash.
 */
#ifndef REPLAY_H
#define REPLAY_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define REPLAY_NOWHERE UINT32_MAX

/* Set places and random (not 0), the rest to 0. */
typedef struct replay_reservoir {
    uint32_t places;
    uint32_t random; /* the state of a generator: the same seed makes the same choices */
    uint32_t held;   /* places that have a sample */
    uint32_t seen;   /* samples so far */
} replay_reservoir;

/* Where the next sample of the stream is put, from 0 on; REPLAY_NOWHERE: it isn't kept. Flash is written less and less often:
 * for sample n with the probability places / n. */
uint32_t replay_place(replay_reservoir *reservoir);

/* A place with a sample to be learned from again; REPLAY_NOWHERE if there is none. */
uint32_t replay_draw(replay_reservoir *reservoir);

#ifdef __cplusplus
}
#endif

#endif
