/* SPDX-License-Identifier: 0BSD */
/*
 * A delay line: rows move towards its beginning, and as many new ones follow at its end.
 *
 * Bytes move downwards in memory or stay, in the order of their addresses: the output may be the line itself.
 */
#ifndef TC_DELAY_LINE_H
#define TC_DELAY_LINE_H

#include <stdint.h>

#include "kernels/tc_copy.h"
#include "kernels/tc_inline.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tc_delay_line_shape {
    int32_t lines; /* one for each position along the axes around the rows */
    int32_t bytes; /* of a line */
    int32_t rows_bytes;
    int32_t begin; /* of what is new, in the rows */
    int32_t new_bytes;
} tc_delay_line_shape;

TC_INLINE void tc_delay_line(const void *line, const void *rows, void *output, const tc_delay_line_shape *shape)
{
    const int32_t kept = shape->bytes - shape->new_bytes;
    for (int32_t i = 0; i < shape->lines; ++i) {
        int8_t *to = (int8_t *)output + i * shape->bytes;
        tc_copy_down(to, (const int8_t *)line + i * shape->bytes + shape->new_bytes, kept);
        tc_copy_down(to + kept, (const int8_t *)rows + i * shape->rows_bytes + shape->begin, shape->new_bytes);
    }
}

#ifdef __cplusplus
}
#endif

#endif
