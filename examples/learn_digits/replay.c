/* SPDX-License-Identifier: 0BSD */
/* replay.c - see replay.h. */
#include "replay.h"

/* A number below `limit`, by xorshift (G. Marsaglia, "Xorshift RNGs", 2003) and a product in place of a division. */
static uint32_t below(replay_reservoir *reservoir, uint32_t limit)
{
    uint32_t x = reservoir->random;
    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    reservoir->random = x;
    return (uint32_t)(((uint64_t)x * limit) >> 32);
}

uint32_t replay_place(replay_reservoir *reservoir)
{
    reservoir->seen++;
    if (reservoir->held < reservoir->places) {
        return reservoir->held++;
    }
    const uint32_t place = below(reservoir, reservoir->seen);
    return place < reservoir->places ? place : REPLAY_NOWHERE;
}

uint32_t replay_draw(replay_reservoir *reservoir)
{
    return reservoir->held == 0u ? REPLAY_NOWHERE : below(reservoir, reservoir->held);
}
