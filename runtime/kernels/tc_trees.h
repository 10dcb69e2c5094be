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

/*
 * Tests of a feature's bits by those of a threshold, which is neither NaN nor -0.0: feature <= threshold. A feature that is
 * NaN isn't. The threshold is negative, or it isn't, as the function's name says.
 */
TC_INLINE int tc_bits_at_most(uint32_t x, uint32_t t)
{
    return (int32_t)x <= (int32_t)t && x <= TC_MINUS_INFINITY_BITS;
}

TC_INLINE int tc_bits_at_most_negative(uint32_t x, uint32_t t)
{
    return x - t <= TC_MINUS_INFINITY_BITS - t;
}

/* The same, and NaN is. */
TC_INLINE int tc_bits_at_most_or_nan(uint32_t x, uint32_t t)
{
    return (int32_t)x <= (int32_t)t || (int32_t)x > (int32_t)TC_INFINITY_BITS;
}

TC_INLINE int tc_bits_at_most_or_nan_negative(uint32_t x, uint32_t t)
{
    return x >= t || x - (TC_INFINITY_BITS + 1u) < 0x007FFFFFu;
}

/* The first ones, where the feature may be NaN without a sign, which isn't, but not NaN with one. */
TC_INLINE int tc_bits_at_most_signless(uint32_t x, uint32_t t)
{
    return (int32_t)x <= (int32_t)t;
}

TC_INLINE int tc_bits_at_most_signless_negative(uint32_t x, uint32_t t)
{
    return x >= t;
}

/* feature <= threshold, which has any sign; a feature that is NaN isn't. */
TC_INLINE int tc_at_most(float feature, float threshold)
{
    const uint32_t x = tc_float_bits(feature);
    const uint32_t t = tc_float_bits(threshold);
    return t >> 31 != 0u ? tc_bits_at_most_negative(x, t) : tc_bits_at_most(x, t);
}

/*
 * Bits of a feature and of a threshold, read again wherever they are asked for: kept, they would need more registers than a
 * function has without saving some, which costs more than is saved.
 */
TC_INLINE uint32_t tc_feature(const float *features, int32_t index)
{
#if defined(__GNUC__)
    typedef uint32_t __attribute__((may_alias)) word;
    return *(const volatile word *)&features[index];
#else
    return tc_float_bits(features[index]);
#endif
}

TC_INLINE uint32_t tc_limit(const uint32_t *limits, int32_t index)
{
    return *(const volatile uint32_t *)&limits[index];
}

#if defined(__GNUC__) && defined(__arm__) && TC_FLOAT_UNIT
/* `sum` and eight features in one number, which is NaN if any of them is. */
TC_INLINE float tc_tree_joined(const float *features, float sum)
{
    const struct tc_eight_features {
        float value[8];
    } *all = (const struct tc_eight_features *)(const void *)features;
    __asm__("vldmia %[all], {s0-s7}\n\t"
            "vmla.f32 %[sum], s0, s1\n\t"
            "vmla.f32 %[sum], s2, s3\n\t"
            "vmla.f32 %[sum], s4, s5\n\t"
            "vmla.f32 %[sum], s6, s7"
            : [sum] "+t"(sum)
            : [all] "r"(all), "m"(*all)
            : "s0", "s1", "s2", "s3", "s4", "s5", "s6", "s7");
    return sum;
}

/*
 * Whether none of `count` features, at least 8, is NaN, by a sum of products, which NaN in any place makes NaN. So do
 * infinities; for these the answer may be no. The last ones may be joined twice.
 */
TC_INLINE int tc_tree_numbers(const float *features, int32_t count)
{
    float sum = 0.0f;
#pragma GCC unroll 32
    for (int32_t i = 0; i + 8 <= count; i += 8) {
        sum = tc_tree_joined(&features[i], sum);
    }
    if ((count & 7) != 0) {
        sum = tc_tree_joined(&features[count - 8], sum);
    }
    return (tc_float_bits(sum) << 1) <= (TC_INFINITY_BITS << 1);
}
#else
/* Without an FPU nothing is cheaper than to look at each of them. */
TC_INLINE int tc_tree_numbers(const float *features, int32_t count)
{
    (void)features;
    (void)count;
    return 0;
}
#endif

/*
 * Features first .. first + count - 1 without NaN that has a sign: where they are if there is none, which is nearly always,
 * else in `scratch`, at the same places.
 */
TC_INLINE const float *tc_signless(const float *features, float *scratch, int32_t first, int32_t count)
{
    if (count >= 8 && tc_tree_numbers(&features[first], count)) {
        return features;
    }
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
TC_INLINE int tc_bits_equal(uint32_t x, uint32_t t)
{
    return (x == t || ((x | t) << 1) == 0u) && (t << 1) <= (TC_INFINITY_BITS << 1);
}

TC_INLINE int tc_bits_equal_or_nan(uint32_t x, uint32_t t)
{
    return tc_bits_equal(x, t) || (x << 1) > (TC_INFINITY_BITS << 1);
}

TC_INLINE int tc_equals(float feature, float threshold)
{
    return tc_bits_equal(tc_float_bits(feature), tc_float_bits(threshold));
}

TC_INLINE int tc_bits_are_nan(uint32_t x)
{
    return (x << 1) > (TC_INFINITY_BITS << 1);
}

TC_INLINE int tc_is_nan(float feature)
{
    return tc_bits_are_nan(tc_float_bits(feature));
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

/* The same pointer, of which the compiler knows nothing. */
TC_INLINE const uint32_t *tc_tree_limits(const uint32_t *limits)
{
#if defined(__GNUC__)
    __asm__("" : "+r"(limits));
#endif
    return limits;
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
