/* SPDX-License-Identifier: 0BSD */
/*
 * The same attention (tc_attention.h), two queries at a time, by block functions for 2 rows x 4 columns (tc_matrix_block.h).
 *
 * scratch  two packed rows; all keys and all values of a matrix, packed once (tc_matrix_pack.h); two rows of scores
 *
 * A last query that is alone is computed twice, to the same place: its query may be there, and is read first.
 */
#ifndef TC_ATTENTION_LANES_H
#define TC_ATTENTION_LANES_H

#include <stdint.h>

#include "kernels/tc_attention.h"
#include "kernels/tc_average.h"
#include "kernels/tc_inline.h"
#include "kernels/tc_matrix_product.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tc_attention_lanes_shape {
    int32_t batch[3];
    tc_matrix_operand query;
    tc_matrix_operand key;
    tc_matrix_operand value;   /* columns of a matrix of keys x results */
    tc_matrix_vectors row;     /* of probabilities */
    int32_t output_batch_stride[3];
    int32_t output_stride; /* from a row to the next */
} tc_attention_lanes_shape;

/* A product of two rows: the block function and its requantisation. */
typedef struct tc_attention_product {
    tc_matrix_block *compute;
    tc_matrix_requant requant;
} tc_attention_product;

/* Where things are in the scratch. */
typedef struct tc_attention_scratch {
    uint32_t *rows;
    uint32_t *keys;
    uint32_t *values;
    int8_t *scores;
} tc_attention_scratch;

TC_INLINE tc_attention_scratch tc_attention_divided(uint32_t *scratch, const tc_attention_lanes_shape *shape)
{
    const int32_t of_query = tc_matrix_pairs(shape->query.vectors.depth);
    const int32_t of_row = tc_matrix_pairs(shape->row.depth);
    tc_attention_scratch places;
    places.rows = scratch;
    places.keys = scratch + 2 * tc_max(of_query, of_row);
    places.values = places.keys + of_query * ((shape->key.count + 3) / 4 * 4);
    places.scores = (int8_t *)(places.values + of_row * ((shape->value.count + 3) / 4 * 4));
    return places;
}

/* `tc_attention_weigh` of two queries whose probabilities follow each other, or of the first where it is alone. */
TC_INLINE void tc_attention_weigh_two(const int8_t *probabilities, int32_t present, int32_t keys,
                                      const tc_attention_functions *functions)
{
    if (present < 2 || functions->sums == NULL) {
        tc_attention_weigh(probabilities, keys, functions);
        return;
    }
    int32_t i = 0;
    for (; i < keys / 4 * 4; i += 4) {
        tc_sum4 sum = {0, 0, 0};
        tc_sum4_run(&sum, probabilities + i, 2, keys);
        tc_sum4_flush(&sum, functions->sums + i);
    }
    for (; i < keys; ++i) {
        functions->sums[i] += probabilities[i] + probabilities[keys + i];
    }
}

/* Of two rows of scores: so many that the rest is filled in both, or is no whole block of four. */
TC_INLINE int32_t tc_attention_seen_by_two(const tc_attention_run *runs, int32_t count, int32_t keys)
{
    if (runs == NULL) {
        return keys;
    }
    const int32_t seen = tc_max(tc_attention_seen(runs, count, keys), tc_attention_seen(runs + count, count, keys));
    return tc_min((seen + 3) / 4 * 4, keys);
}

TC_INLINE void tc_attention_two_queries(const int8_t *query, int8_t *output, int32_t present,
                                        const tc_attention_run *runs, const tc_attention_scratch *places,
                                        const tc_attention_product *scores,
                                        const tc_attention_functions *functions, const tc_attention_product *shares,
                                        const tc_attention_lanes_shape *shape)
{
    const int32_t depth = shape->query.vectors.depth;
    const int32_t keys = shape->row.depth;
    tc_matrix_job job = {places->rows + 2 * tc_matrix_pairs(depth), places->keys, (uint32_t)keys, scores->requant};
    tc_matrix_pack(query, 2, present, places->rows, &shape->query.vectors);
    tc_matrix_two_rows(places->rows, places->keys, tc_attention_seen_by_two(runs, functions->run_count, keys),
                       places->scores, scores->compute, &job, depth);
    tc_attention_probabilities(places->scores, 2 * keys, runs, 2 * functions->run_count, functions);
    tc_attention_weigh_two(places->scores, present, keys, functions);
    job.rows_end = places->rows + 2 * tc_matrix_pairs(keys);
    job.step = present > 1 ? (uint32_t)shape->output_stride : 0u;
    job.requant = shares->requant;
    tc_matrix_pack(places->scores, 2, present, places->rows, &shape->row);
    tc_matrix_two_rows(places->rows, places->values, shape->value.count, output, shares->compute, &job, keys);
}

TC_INLINE int32_t tc_matrix_place(const tc_matrix_operand *operand, int32_t i, int32_t j, int32_t k)
{
    return i * operand->batch_stride[0] + j * operand->batch_stride[1] + k * operand->batch_stride[2];
}

TC_INLINE void tc_attention_lanes_one(const int8_t *query, const int8_t *key, const int8_t *value, int8_t *output,
                                      const tc_attention_scratch *places, const tc_attention_product *scores,
                                      const tc_attention_functions *functions, const tc_attention_product *shares,
                                      const tc_attention_lanes_shape *shape)
{
    tc_matrix_pack_columns(key, shape->key.count, places->keys, &shape->key.vectors);
    tc_matrix_pack_columns(value, shape->value.count, places->values, &shape->value.vectors);
    for (int32_t i = 0; i < shape->query.count; i += 2) {
        tc_attention_two_queries(query + i * shape->query.vectors.vector_stride, output + i * shape->output_stride,
                                 shape->query.count - i, tc_attention_runs(functions, i), places,
                                 scores, functions, shares, shape);
    }
}

TC_INLINE void tc_attention_lanes_s8(const int8_t *query, const int8_t *key, const int8_t *value, int8_t *output,
                                     void *scratch, const tc_attention_functions *functions,
                                     const tc_attention_product *scores, const tc_attention_product *shares,
                                     const tc_attention_lanes_shape *shape)
{
    const tc_attention_scratch places = tc_attention_divided((uint32_t *)scratch, shape);
    const int32_t *const to = shape->output_batch_stride;
    tc_attention_begin(shape->row.depth, functions);
    for (int32_t i = 0; i < shape->batch[0]; ++i) {
        for (int32_t j = 0; j < shape->batch[1]; ++j) {
            for (int32_t k = 0; k < shape->batch[2]; ++k) {
                tc_attention_lanes_one(query + tc_matrix_place(&shape->query, i, j, k),
                                       key + tc_matrix_place(&shape->key, i, j, k),
                                       value + tc_matrix_place(&shape->value, i, j, k),
                                       output + i * to[0] + j * to[1] + k * to[2], &places, scores, functions, shares,
                                       shape);
            }
        }
    }
}

#ifdef __cplusplus
}
#endif

#endif
