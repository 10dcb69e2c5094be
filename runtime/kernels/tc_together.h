/* SPDX-License-Identifier: 0BSD */
/*
 * Layers that two cores compute together: each has a part of every step, and they meet between steps of which one reads what
 * the other has written. `core` is 0 or 1; or TC_BOTH_CORES, where there is no second one and one core does all of it.
 */
#ifndef TC_TOGETHER_H
#define TC_TOGETHER_H

#include "kernels/tc_inline.h"
#include "kernels/tc_meeting.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TC_BOTH_CORES 2

/* Of `count` things, a core's: [first, last). */
typedef struct tc_part {
    int32_t first;
    int32_t last;
} tc_part;

TC_INLINE tc_part tc_part_of(int32_t count, int32_t core)
{
    const int32_t middle = count / 2;
    const tc_part part = {core == 1 ? middle : 0, core == 0 ? middle : count};
    return part;
}

TC_INLINE void tc_meet_within(tc_meeting *meeting, int32_t core)
{
    if (core != TC_BOTH_CORES) {
        tc_meet(meeting, core);
    }
}

#ifdef __cplusplus
}
#endif

#endif
