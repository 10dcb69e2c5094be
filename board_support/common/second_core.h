/* SPDX-License-Identifier: 0BSD */
/* What a board with two cores implements for firmware that uses both. */
#ifndef TC_SECOND_CORE_H
#define TC_SECOND_CORE_H

#include <stdint.h>

typedef void (*second_core_entry)(void);

/* Has the second core call `entry`, on a stack of its own; once, from the first core. Returns 0 where there is none: of a
 * board that stands in for one with two cores. */
int start_second_core(second_core_entry entry);

#endif
