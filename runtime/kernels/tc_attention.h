/* SPDX-License-Identifier: 0BSD */
/*
 * Scaled dot-product attention of int8 values, softmax(f(query . key)) . value, one query after the other: of the matrix of
 * scores there is only one row.
 *
 * query, key, value  vectors wherever they lie (tc_batch_matmul_operand), also across the heads of a token
 * output             rows of results, each contiguous; each may be where its query is
 * row                scratch: a score for each key
 *
 * Where somebody prunes tokens, the columns of the probabilities of all matrices are added up as they pass.
 *
 * Every step rounds as the operators one after the other: the product, f as a table, the softmax, the last product.
 */
#ifndef TC_ATTENTION_H
#define TC_ATTENTION_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "kernels/tc_attention_mask.h"
#include "kernels/tc_batch_matmul.h"
#include "kernels/tc_finish.h"
#include "kernels/tc_inline.h"
#include "kernels/tc_lookup.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tc_attention_shape {
    int32_t batch[3];
    int32_t queries;             /* of a matrix */
    tc_batch_matmul_shape scores; /* of one query: a is the query, b the keys */
    tc_batch_matmul_shape shares; /* a is a row of probabilities, b the values */
    int32_t output_batch_stride[3];
    int32_t output_stride; /* from a row to the next */
} tc_attention_shape;

/* How a product's sums become int8. */
typedef struct tc_attention_finish {
    const void *channels;
    tc_finish *finish;
} tc_attention_finish;

/* Of as many rows as the kernel computes at once; the constants are a table of exponentials. */
typedef void tc_attention_softmax(const int8_t *scores, int8_t *probabilities, const int32_t *exponentials);

/* The functions between scores and softmax. */
typedef struct tc_attention_functions {
    const int8_t *table; /* by the score's byte; NULL where the softmax reads scores */
    const tc_attention_run *runs; /* of all queries; NULL where all scores have the table */
    int32_t run_count;            /* of a query */
    tc_attention_softmax *softmax;
    const int32_t *exponentials;
    int32_t *sums; /* of columns, one for each key; NULL where nobody wants them */
} tc_attention_functions;

TC_INLINE void tc_attention_begin(int32_t keys, const tc_attention_functions *functions)
{
    if (functions->sums != NULL) {
        memset(functions->sums, 0, (size_t)keys * sizeof *functions->sums);
    }
}

/* Adds the probabilities of a query to the sums of their columns. */
TC_INLINE void tc_attention_weigh(const int8_t *probabilities, int32_t keys, const tc_attention_functions *functions)
{
    for (int32_t i = 0; i < (functions->sums == NULL ? 0 : keys); ++i) {
        functions->sums[i] += probabilities[i];
    }
}

/* Of as many rows as the softmax has.
 *
 * count: of scores. runs: theirs, of which there are `run_count`. */
TC_INLINE void tc_attention_probabilities(int8_t *scores, int32_t count, const tc_attention_run *runs, int32_t run_count,
                                          const tc_attention_functions *functions)
{
    if (runs != NULL) {
        tc_attention_mask(scores, runs, run_count, functions->table);
    } else if (functions->table != NULL) {
        const tc_lookup_shape shape = {count};
        tc_lookup(scores, scores, functions->table, &shape);
    }
    functions->softmax(scores, scores, functions->exponentials);
}

/* Of the rows from a query on. */
TC_INLINE const tc_attention_run *tc_attention_runs(const tc_attention_functions *functions, int32_t query)
{
    return functions->runs == NULL ? NULL : functions->runs + query * functions->run_count;
}

TC_INLINE void tc_attention_one(const int8_t *query, const int8_t *key, const int8_t *value, int8_t *output, int8_t *row,
                                const tc_attention_finish *scores, const tc_attention_functions *functions,
                                const tc_attention_finish *shares, const tc_attention_shape *shape)
{
    for (int32_t i = 0; i < shape->queries; ++i) {
        tc_batch_matmul_one(query + i * shape->scores.a.vector_stride, key, row, scores->channels, scores->finish,
                            &shape->scores);
        tc_attention_probabilities(row, shape->scores.b.vectors, tc_attention_runs(functions, i), functions->run_count,
                                   functions);
        tc_attention_weigh(row, shape->scores.b.vectors, functions);
        tc_batch_matmul_one(row, value, output + i * shape->output_stride, shares->channels, shares->finish,
                            &shape->shares);
    }
}

TC_INLINE void tc_attention_s8(const int8_t *query, const int8_t *key, const int8_t *value, int8_t *output, void *row,
                               const tc_attention_finish *scores, const tc_attention_functions *functions,
                               const tc_attention_finish *shares, const tc_attention_shape *shape)
{
    const int32_t *const to = shape->output_batch_stride;
    tc_attention_begin(shape->scores.b.vectors, functions);
    for (int32_t i = 0; i < shape->batch[0]; ++i) {
        for (int32_t j = 0; j < shape->batch[1]; ++j) {
            for (int32_t k = 0; k < shape->batch[2]; ++k) {
                tc_attention_one(query + tc_batch_matmul_place(&shape->scores.a, i, j, k),
                                 key + tc_batch_matmul_place(&shape->scores.b, i, j, k),
                                 value + tc_batch_matmul_place(&shape->shares.b, i, j, k),
                                 output + i * to[0] + j * to[1] + k * to[2], (int8_t *)row, scores, functions, shares,
                                 shape);
            }
        }
    }
}

#ifdef __cplusplus
}
#endif

#endif
