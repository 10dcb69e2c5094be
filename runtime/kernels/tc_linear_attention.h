/* SPDX-License-Identifier: 0BSD */
/*
 * Linear attention's quotients, (query . sums) / (query . weight), two queries at a time: of what is divided there are only
 * two rows.
 *
 * query    int8 rows, or columns, of a matrix for each head
 * sums     int8, of keys times values: a matrix for each head, whose columns are multiplied with a query
 * weight   int8, of keys: a vector for each head
 * output   [matrices][queries][columns], int8
 * scratch  two packed queries, packed columns and weight (tc_matrix_pack.h), two rows of quotients
 *
 * Products are sums of integers; each operation with floats rounds as the operators one after the other.
 */
#ifndef TC_LINEAR_ATTENTION_H
#define TC_LINEAR_ATTENTION_H

#include <stdint.h>

#include "cmsis_shim/tc_simd.h"
#include "kernels/tc_float_exact.h"
#include "kernels/tc_inline.h"
#include "kernels/tc_matrix_product.h"
#include "kernels/tc_quantize.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tc_linear_attention_shape {
    int32_t matrices;
    int32_t queries; /* of a matrix */
    int32_t columns;
    tc_matrix_vectors query;
    tc_matrix_vectors sums;
    tc_matrix_vectors weight;
} tc_linear_attention_shape;

/* From sums to what is divided, and by what: product * scale, and weight * weight_scale * factor + summand. */
typedef struct tc_linear_attention_scales {
    float scale;
    float weight_scale;
    float factor;
    float summand;
} tc_linear_attention_scales;

typedef struct tc_linear_attention_scratch {
    uint32_t *rows;
    uint32_t *weight;
    uint32_t *columns;
    float *quotients;
} tc_linear_attention_scratch;

/* The products of two queries and four columns. */
TC_INLINE void tc_linear_attention_tile(const uint32_t *rows, const uint32_t *lanes, int32_t pairs, int32_t sums[8])
{
    int32_t a = 0, b = 0, c = 0, d = 0, e = 0, f = 0, g = 0, h = 0;
    for (; pairs > 0; --pairs, rows += 2, lanes += 4) {
        const uint32_t first = rows[0];
        const uint32_t second = rows[1];
        a = tc_smlad(first, lanes[0], a);
        b = tc_smlad(first, lanes[1], b);
        c = tc_smlad(first, lanes[2], c);
        d = tc_smlad(first, lanes[3], d);
        e = tc_smlad(second, lanes[0], e);
        f = tc_smlad(second, lanes[1], f);
        g = tc_smlad(second, lanes[2], g);
        h = tc_smlad(second, lanes[3], h);
    }
    sums[0] = a, sums[1] = b, sums[2] = c, sums[3] = d;
    sums[4] = e, sums[5] = f, sums[6] = g, sums[7] = h;
}

/* What two queries' results are divided by. */
TC_INLINE void tc_linear_attention_divisors(const tc_linear_attention_scratch *places, int32_t pairs,
                                            const tc_linear_attention_scales *scales, float divisors[2])
{
    int32_t sums[2] = {0, 0};
    for (int32_t i = 0; i < pairs; ++i) {
        sums[0] = tc_smlad(places->rows[2 * i], places->weight[i], sums[0]);
        sums[1] = tc_smlad(places->rows[2 * i + 1], places->weight[i], sums[1]);
    }
    for (int32_t i = 0; i < 2; ++i) {
        const float weight = tc_opaque((float)sums[i] * scales->weight_scale);
        divisors[i] = tc_opaque(tc_opaque(weight * scales->factor) + scales->summand);
    }
}

TC_INLINE void tc_linear_attention_two(const int8_t *query, int8_t *output, int32_t present,
                                       const tc_linear_attention_scratch *places,
                                       const tc_linear_attention_scales *scales, const tc_quantize_shape *result,
                                       const tc_linear_attention_shape *shape)
{
    const int32_t pairs = tc_matrix_pairs(shape->query.depth);
    const int32_t columns = shape->columns;
    float divisors[2];
    tc_matrix_pack(query, 2, present, places->rows, &shape->query);
    tc_linear_attention_divisors(places, pairs, scales, divisors);
    for (int32_t column = 0; column < columns; column += 4) {
        const int32_t first = tc_max(tc_min(column, columns - 4), 0);
        int32_t sums[8];
        tc_linear_attention_tile(places->rows, places->columns + column * pairs, pairs, sums);
        for (int32_t i = 0; i < tc_min(columns, 4); ++i) {
            places->quotients[first + i] = tc_divide(tc_opaque((float)sums[i] * scales->scale), divisors[0]);
            places->quotients[columns + first + i] = tc_divide(tc_opaque((float)sums[4 + i] * scales->scale), divisors[1]);
        }
    }
    for (int32_t i = 0; i < tc_min(present, 2); ++i) {
        tc_quantize_s8(places->quotients + i * columns, output + i * columns, result);
    }
}

/* result: of the elements of a query. */
TC_INLINE void tc_linear_attention_s8(const int8_t *query, const int8_t *sums, const int8_t *weight, int8_t *output,
                                      void *scratch, const tc_linear_attention_shape *shape,
                                      const tc_linear_attention_scales *scales, const tc_quantize_shape *result)
{
    const int32_t pairs = tc_matrix_pairs(shape->query.depth);
    const int32_t columns = shape->columns;
    tc_linear_attention_scratch places;
    places.rows = (uint32_t *)scratch;
    places.columns = places.rows + 2 * pairs;
    places.weight = places.columns + (columns + 3) / 4 * 4 * pairs;
    places.quotients = (float *)(void *)(places.weight + (pairs + 1) / 2 * 2);
    for (int32_t i = 0; i < shape->matrices; ++i) {
        tc_matrix_pack_columns(sums, columns, places.columns, &shape->sums);
        tc_matrix_pack_one(weight, places.weight, &shape->weight);
        for (int32_t row = 0; row < shape->queries; row += 2) {
            tc_linear_attention_two(query + row * shape->query.vector_stride, output + row * columns,
                                    shape->queries - row, &places, scales, result, shape);
        }
        query += shape->queries * shape->query.depth;
        sums += columns * shape->query.depth;
        weight += shape->query.depth;
        output += shape->queries * columns;
    }
}

#ifdef __cplusplus
}
#endif

#endif
