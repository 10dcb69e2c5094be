/* SPDX-License-Identifier: 0BSD */
/*
 * Reading and writing at places that a tensor of integers names.
 *
 * An index outside of its axis means the nearest end: nothing but the tensors themselves is ever read or written.
 */
#ifndef TC_GATHER_H
#define TC_GATHER_H

#include <stdint.h>
#include <string.h>

#include "kernels/tc_copy.h"
#include "kernels/tc_inline.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TC_GATHER_AXES 8

/* The smaller of an index and `last`, at least 0; of an index of 8 bytes all count. */
TC_INLINE int32_t tc_index(const void *indices, int32_t i, int32_t bytes, int32_t last)
{
    if (bytes == 8) {
        const int64_t wide = ((const int64_t *)indices)[i];
        return wide < 0 ? 0 : wide > last ? last : (int32_t)wide;
    }
    const int32_t index = bytes == 2 ? ((const int16_t *)indices)[i] : ((const int32_t *)indices)[i];
    return index < 0 ? 0 : index > last ? last : index;
}

/* A run whose bytes may lie above or below its target: the tensors share no memory. */
TC_INLINE void tc_gather_run(int8_t *to, const int8_t *from, int32_t bytes)
{
    if (bytes <= 64) {
        tc_copy_down(to, from, bytes);
    } else {
        tc_memcpy(to, from, (uint32_t)bytes);
    }
}

/*
 * input   [batch][outer][size][inner bytes]
 * indices [batch][count]
 * output  [batch][outer][count][inner bytes]
 */
typedef struct tc_gather_shape {
    int32_t batch;
    int32_t outer;
    int32_t size;
    int32_t count;
    int32_t inner;
    int32_t index_bytes;
} tc_gather_shape;

TC_INLINE void tc_gather_axis(const void *input, const void *indices, void *output, const tc_gather_shape *shape)
{
    const int8_t *from = (const int8_t *)input;
    int8_t *to = (int8_t *)output;
    for (int32_t b = 0; b < shape->batch; ++b) {
        for (int32_t i = 0; i < shape->outer; ++i) {
            for (int32_t j = 0; j < shape->count; ++j) {
                const int32_t at = tc_index(indices, b * shape->count + j, shape->index_bytes, shape->size - 1);
                tc_gather_run(to, from + at * shape->inner, shape->inner);
                to += shape->inner;
            }
            from += shape->size * shape->inner;
        }
    }
}

/* Coordinates along the first `axes` axes of a tensor; an element of the last of them has `inner` bytes. */
typedef struct tc_coordinates {
    int32_t count; /* of tuples */
    int32_t axes;
    int32_t size[TC_GATHER_AXES];
    int32_t stride[TC_GATHER_AXES]; /* bytes */
    int32_t inner;
    int32_t index_bytes;
} tc_coordinates;

/* The byte at which the slice of tuple i begins. */
TC_INLINE int32_t tc_coordinate_place(const void *indices, int32_t i, const tc_coordinates *shape)
{
    int32_t place = 0;
    for (int32_t axis = 0; axis < shape->axes; ++axis) {
        const int32_t at = tc_index(indices, i * shape->axes + axis, shape->index_bytes, shape->size[axis] - 1);
        place += at * shape->stride[axis];
    }
    return place;
}

TC_INLINE void tc_gather_nd(const void *input, const void *indices, void *output, const tc_coordinates *shape)
{
    int8_t *to = (int8_t *)output;
    for (int32_t i = 0; i < shape->count; ++i) {
        tc_gather_run(to, (const int8_t *)input + tc_coordinate_place(indices, i, shape), shape->inner);
        to += shape->inner;
    }
}

/* Adds slices of `updates` to zeros; integers as `sum_type`, which is unsigned, so that they wrap around. */
#define TC_SCATTER_ND(name, type, sum_type, operation)                                                  \
    TC_INLINE void tc_scatter_nd_##name(const void *indices, const type *updates, type *output,         \
                                        int32_t elements, const tc_coordinates *shape)                  \
    {                                                                                                   \
        const int32_t items = shape->inner / (int32_t)sizeof(type);                                     \
        memset(output, 0, (size_t)elements * sizeof(type));                                             \
        for (int32_t i = 0; i < shape->count; ++i) {                                                    \
            type *to = output + tc_coordinate_place(indices, i, shape) / (int32_t)sizeof(type);         \
            for (int32_t j = 0; j < items; ++j) {                                                       \
                to[j] = (type)((sum_type)to[j] operation(sum_type) updates[i * items + j]);             \
            }                                                                                           \
        }                                                                                               \
    }

TC_SCATTER_ND(int8, int8_t, uint32_t, +)
TC_SCATTER_ND(uint8, uint8_t, uint32_t, +)
TC_SCATTER_ND(int16, int16_t, uint32_t, +)
TC_SCATTER_ND(int32, int32_t, uint32_t, +)
TC_SCATTER_ND(int64, int64_t, uint64_t, +)
TC_SCATTER_ND(float32, float, float, +)
TC_SCATTER_ND(bool, uint8_t, uint32_t, |)

#define TC_UPDATE_AXES 6

/* Axes outermost first, unused ones of size 1. */
typedef struct tc_update_shape {
    int32_t bytes;                  /* of the whole */
    int32_t size[TC_UPDATE_AXES];   /* of the whole */
    int32_t part[TC_UPDATE_AXES];   /* of the piece */
    int32_t begin[TC_UPDATE_AXES];  /* which of the places is this axis's; -1 for an unused one */
    int32_t stride[TC_UPDATE_AXES]; /* bytes of the whole */
    int32_t run;                    /* bytes of the piece along its innermost axis */
    int32_t index_bytes;
} tc_update_shape;

/* Where the piece begins in the whole. */
TC_INLINE int32_t tc_piece_at(const void *begin, const tc_update_shape *shape)
{
    int32_t at = 0;
    for (int32_t axis = 0; axis < TC_UPDATE_AXES; ++axis) {
        if (shape->begin[axis] >= 0) {
            const int32_t last = shape->size[axis] - shape->part[axis];
            at += tc_index(begin, shape->begin[axis], shape->index_bytes, last) * shape->stride[axis];
        }
    }
    return at;
}

/* From there to one of its runs along the innermost axis. */
TC_INLINE int32_t tc_piece_run(int32_t row, const tc_update_shape *shape)
{
    int32_t at = 0;
    for (int32_t axis = TC_UPDATE_AXES - 2; axis >= 0; --axis) {
        at += row % shape->part[axis] * shape->stride[axis];
        row /= shape->part[axis];
    }
    return at;
}

TC_INLINE int32_t tc_piece_runs(const tc_update_shape *shape)
{
    const int32_t *part = shape->part;
    return part[0] * part[1] * part[2] * part[3] * part[4];
}

/* The piece alone, of a whole that it shares no memory with. */
TC_INLINE void tc_slice_at(const void *input, const void *begin, void *output, const tc_update_shape *shape)
{
    const int8_t *from = (const int8_t *)input + tc_piece_at(begin, shape);
    int8_t *to = (int8_t *)output;
    for (int32_t row = 0; row < tc_piece_runs(shape); ++row) {
        tc_gather_run(to, from + tc_piece_run(row, shape), shape->run);
        to += shape->run;
    }
}

/* The output is the input's memory, or shares none with it. */
TC_INLINE void tc_update(const void *input, const void *piece, const void *begin, void *output,
                         const tc_update_shape *shape)
{
    const int8_t *from = (const int8_t *)piece;
    if (input != output) {
        tc_memcpy(output, input, (uint32_t)shape->bytes);
    }
    int8_t *first = (int8_t *)output + tc_piece_at(begin, shape);
    for (int32_t row = 0; row < tc_piece_runs(shape); ++row) {
        tc_gather_run(first + tc_piece_run(row, shape), from, shape->run);
        from += shape->run;
    }
}

/*
 * input, output [outer][first][middle][second][inner bytes], where `first` is the batch, `second` the sequence, or the
 * other way round.
 */
typedef struct tc_reverse_sequence_shape {
    int32_t outer;
    int32_t first;
    int32_t middle;
    int32_t second;
    int32_t inner;
    int32_t batch_first;
    int32_t index_bytes;
} tc_reverse_sequence_shape;

/* As many as its length of each sequence in reverse order; the tensors share no memory. */
TC_INLINE void tc_reverse_sequence(const void *input, const void *lengths, void *output,
                                   const tc_reverse_sequence_shape *shape)
{
    int8_t *to = (int8_t *)output;
    const int32_t plane = shape->middle * shape->second;
    const int32_t size = shape->batch_first ? shape->second : shape->first;
    for (int32_t i = 0; i < shape->outer * shape->first; ++i) {
        for (int32_t j = 0; j < plane; ++j) {
            const int32_t first = i % shape->first;
            const int32_t second = j % shape->second;
            const int32_t place = shape->batch_first ? second : first;
            const int32_t row = shape->batch_first ? first : second;
            const int32_t length = tc_index(lengths, row, shape->index_bytes, size);
            const int32_t back = place < length ? length - 1 - 2 * place : 0; /* positions from here to the source */
            const int32_t from = i * plane + j + back * (shape->batch_first ? 1 : plane);
            tc_gather_run(to, (const int8_t *)input + from * shape->inner, shape->inner);
            to += shape->inner;
        }
    }
}

/*
 * indices [outer][inner], output [outer][depth][inner]
 */
typedef struct tc_one_hot_shape {
    int32_t outer;
    int32_t depth;
    int32_t inner;
    int32_t index_bytes;
} tc_one_hot_shape;

/* `on` and `off` are an element of `item` bytes each. */
TC_INLINE void tc_one_hot(const void *indices, void *output, const void *on, const void *off, int32_t item,
                          const tc_one_hot_shape *shape)
{
    int8_t *to = (int8_t *)output;
    for (int32_t i = 0; i < shape->outer * shape->depth * shape->inner; ++i) {
        tc_copy_down(to + i * item, (const int8_t *)off, item);
    }
    for (int32_t i = 0; i < shape->outer; ++i) {
        for (int32_t j = 0; j < shape->inner; ++j) {
            const int32_t place = i * shape->inner + j;
            const int64_t index = shape->index_bytes == 8   ? ((const int64_t *)indices)[place]
                                  : shape->index_bytes == 2 ? ((const int16_t *)indices)[place]
                                                            : ((const int32_t *)indices)[place];
            if (index >= 0 && index < shape->depth) {
                const int32_t element = (i * shape->depth + (int32_t)index) * shape->inner + j;
                tc_copy_down(to + element * item, (const int8_t *)on, item);
            }
        }
    }
}

#ifdef __cplusplus
}
#endif

#endif
