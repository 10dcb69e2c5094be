/* SPDX-License-Identifier: 0BSD */
/*
 * Decision trees: tests of features, and one loop that walks trees that are tables.
 *
 * Floats are compared by their bits, which takes fewer instructions than an FPU needs and is the same under every compiler
 * flag. Of floats that aren't negative the order is that of their bits as signed integers, and every negative number is
 * less than all of them; the bits of negative ones, as unsigned integers, grow with the magnitude. NaN lies behind the
 * infinity of its sign. So a test of a feature by a constant is one or two comparisons of integers.
 */
#ifndef TC_TREES_H
#define TC_TREES_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "kernels/tc_float_exact.h"
#include "kernels/tc_inline.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TC_MINUS_INFINITY_BITS 0xFF800000u
#define TC_INFINITY_BITS 0x7F800000u

/* feature <= threshold, which is neither NaN nor -0.0; a feature that is NaN isn't. */
TC_INLINE int tc_at_most(float feature, float threshold)
{
    const uint32_t x = tc_float_bits(feature);
    const uint32_t t = tc_float_bits(threshold);
    if (t >> 31 != 0u) {
        return x - t <= TC_MINUS_INFINITY_BITS - t;
    }
    return (int32_t)x <= (int32_t)t && x <= TC_MINUS_INFINITY_BITS;
}

/* The same, and NaN is. */
TC_INLINE int tc_at_most_or_nan(float feature, float threshold)
{
    const uint32_t x = tc_float_bits(feature);
    const uint32_t t = tc_float_bits(threshold);
    if (t >> 31 != 0u) {
        return x >= t || x - (TC_INFINITY_BITS + 1u) < 0x007FFFFFu;
    }
    return (int32_t)x <= (int32_t)t || (int32_t)x > (int32_t)TC_INFINITY_BITS;
}

/* feature <= threshold, where the feature may be NaN without a sign, which isn't, but not NaN with one. */
TC_INLINE int tc_at_most_signless(float feature, float threshold)
{
    const uint32_t x = tc_float_bits(feature);
    const uint32_t t = tc_float_bits(threshold);
    return t >> 31 != 0u ? x >= t : (int32_t)x <= (int32_t)t;
}

/*
 * Features first .. first + count - 1 without NaN that has a sign: where they are if there is none, which is nearly always,
 * else in `scratch`, at the same places.
 */
TC_INLINE const float *tc_signless(const float *features, float *scratch, int32_t first, int32_t count)
{
    int32_t i = first;
    const int32_t last = first + count;
    for (; i + 4 <= last; i += 4) {
        if (tc_float_bits(features[i]) > TC_MINUS_INFINITY_BITS || tc_float_bits(features[i + 1]) > TC_MINUS_INFINITY_BITS ||
            tc_float_bits(features[i + 2]) > TC_MINUS_INFINITY_BITS ||
            tc_float_bits(features[i + 3]) > TC_MINUS_INFINITY_BITS) {
            break;
        }
    }
    while (i < last && tc_float_bits(features[i]) <= TC_MINUS_INFINITY_BITS) {
        ++i;
    }
    if (i == last) {
        return features;
    }
    for (i = first; i < last; ++i) {
        const uint32_t bits = tc_float_bits(features[i]);
        const uint32_t kept = bits > TC_MINUS_INFINITY_BITS ? bits & 0x7FFFFFFFu : bits;
        memcpy(&scratch[i], &kept, sizeof kept);
    }
    return scratch;
}

/* feature == threshold, where neither NaN is equal to anything. */
TC_INLINE int tc_equals(float feature, float threshold)
{
    const uint32_t x = tc_float_bits(feature);
    const uint32_t t = tc_float_bits(threshold);
    return (x == t || ((x | t) << 1) == 0u) && (t << 1) <= (TC_INFINITY_BITS << 1);
}

TC_INLINE int tc_is_nan(float feature)
{
    return (tc_float_bits(feature) << 1) > (TC_INFINITY_BITS << 1);
}

/* A tree is a function of its own: inlined, compilers copy what follows it for each of the ways through it. */
#if defined(__GNUC__)
#define TC_TREE static __attribute__((noinline))
#else
#define TC_TREE static
#endif

/* How the weights of leaves that were reached become one. `best` is NaN before the first one. */
TC_INLINE float tc_leaf_add(float sum, float weight)
{
    return tc_opaque(sum + weight);
}

TC_INLINE float tc_leaf_minimum(float best, float weight)
{
    return !(weight >= best) ? weight : best;
}

TC_INLINE float tc_leaf_maximum(float best, float weight)
{
    return !(weight <= best) ? weight : best;
}

/* What a node's test is, besides its feature. */
#define TC_TREE_EQUALS 1u
#define TC_TREE_NAN 2u

/* A node: test | feature << 2; where to go on if it fails, and if it passes: a node of its tree, or -1 - n for leaf n. */
typedef struct tc_tree_node16 {
    uint16_t test;
    int16_t no;
    int16_t yes;
} tc_tree_node16;

typedef struct tc_tree_node32 {
    uint32_t test;
    int32_t no;
    int32_t yes;
} tc_tree_node32;

typedef struct tc_forest_shape {
    int32_t trees;
    int32_t has_equals; /* whether any node has this test */
    int32_t has_nan;
} tc_forest_shape;

/*
 * Defines int32_t name(const float *features, const float *thresholds, const node *nodes, const tc_forest_shape *shape):
 * the leaf that a tree's first node leads to.
 */
#define TC_TREE_WALK(name, node)                                                                                       \
    TC_INLINE int32_t name(const float *features, const float *thresholds, const node *nodes,                          \
                           const tc_forest_shape *shape)                                                               \
    {                                                                                                                  \
        int32_t at = 0;                                                                                                \
        do {                                                                                                           \
            const float feature = features[nodes[at].test >> 2];                                                       \
            int passed = tc_at_most(feature, thresholds[at]);                                                          \
            if (shape->has_equals && (nodes[at].test & TC_TREE_EQUALS) != 0u) {                                        \
                passed = tc_equals(feature, thresholds[at]);                                                           \
            }                                                                                                          \
            if (shape->has_nan && (nodes[at].test & TC_TREE_NAN) != 0u && tc_is_nan(feature)) {                        \
                passed = 1;                                                                                            \
            }                                                                                                          \
            at = passed ? nodes[at].yes : nodes[at].no;                                                                \
        } while (at >= 0);                                                                                             \
        return -1 - at;                                                                                                \
    }

TC_TREE_WALK(tc_tree_walk16, tc_tree_node16)
TC_TREE_WALK(tc_tree_walk32, tc_tree_node32)

#undef TC_TREE_WALK

typedef float tc_leaf_function(float sum, float weight);

/*
 * Defines void name(features, output, first, thresholds, nodes, weights, take, shape): every leaf has one weight, and
 * there is one target. `first` is the first node of each tree; output[0] holds what to begin with.
 */
#define TC_FOREST_SINGLE(name, walk, node)                                                                             \
    TC_INLINE void name(const float *features, float *output, const uint32_t *first, const float *thresholds,          \
                        const node *nodes, const float *weights, tc_leaf_function *take, const tc_forest_shape *shape) \
    {                                                                                                                  \
        float sum = output[0];                                                                                         \
        for (int32_t tree = 0; tree < shape->trees; ++tree) {                                                          \
            sum = take(sum, weights[walk(features, thresholds + first[tree], nodes + first[tree], shape)]);            \
        }                                                                                                              \
        output[0] = sum;                                                                                               \
    }

TC_FOREST_SINGLE(tc_forest_single16, tc_tree_walk16, tc_tree_node16)
TC_FOREST_SINGLE(tc_forest_single32, tc_tree_walk32, tc_tree_node32)

#undef TC_FOREST_SINGLE

/* What a leaf gives to each of its targets: its weights are end[leaf] .. end[leaf + 1] - 1. */
TC_INLINE void tc_leaf_sparse(float *output, int32_t leaf, const uint32_t *end, const uint16_t *targets,
                              const float *weights, tc_leaf_function *take)
{
    for (uint32_t i = end[leaf]; i < end[leaf + 1]; ++i) {
        output[targets[i]] = take(output[targets[i]], weights[i]);
    }
}

/* Sums of equal weights: sums[n] is that of n of them. */
TC_INLINE void tc_leaf_votes(float *output, const uint16_t *votes, const float *sums, int32_t targets)
{
    for (int32_t i = 0; i < targets; ++i) {
        output[i] = sums[votes[i]];
    }
}

/* The same for any number of weights of a leaf. */
#define TC_FOREST_SPARSE(name, walk, node)                                                                             \
    TC_INLINE void name(const float *features, float *output, const uint32_t *first, const float *thresholds,          \
                        const node *nodes, const uint32_t *end, const uint16_t *targets, const float *weights,         \
                        tc_leaf_function *take, const tc_forest_shape *shape)                                          \
    {                                                                                                                  \
        for (int32_t tree = 0; tree < shape->trees; ++tree) {                                                          \
            const int32_t leaf = walk(features, thresholds + first[tree], nodes + first[tree], shape);                 \
            tc_leaf_sparse(output, leaf, end, targets, weights, take);                                                 \
        }                                                                                                              \
    }

TC_FOREST_SPARSE(tc_forest_sparse16, tc_tree_walk16, tc_tree_node16)
TC_FOREST_SPARSE(tc_forest_sparse32, tc_tree_walk32, tc_tree_node32)

#undef TC_FOREST_SPARSE

#ifdef __cplusplus
}
#endif

#endif
