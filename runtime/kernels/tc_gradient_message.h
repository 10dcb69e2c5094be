/* SPDX-License-Identifier: 0BSD */
/*
 * Federated learning on a device: the changes of trained parameters since the last common model as a message, and a
 * server's message applied to that model. Deep Gradient Compression: Lin et al., ICLR 2018.
 */
#ifndef TC_GRADIENT_MESSAGE_H
#define TC_GRADIENT_MESSAGE_H

#include <stdint.h>

#include "kernels/tc_block_float.h"
#include "kernels/tc_crc32.h"
#include "kernels/tc_inline.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TC_GRADIENT_MAGIC 0x4d474354u /* "TCGM" */
#define TC_GRADIENT_HEADER_BYTES 16u
#define TC_GRADIENT_LARGEST_CHANGE (1 << 23)
#define TC_GRADIENT_LARGEST_SUM (1 << 30)
#define TC_GRADIENT_BIAS_UNITS 128u

/* A trained parameter: int16 master weights or int32 biases. */
typedef struct tc_gradient_tensor {
    uint32_t offset; /* in the memory of states, in bytes */
    uint32_t first;  /* of its elements among those of all */
    uint32_t count;
    uint32_t bytes; /* of an element */
} tc_gradient_tensor;

typedef struct tc_gradient_model {
    const tc_gradient_tensor *tensors;
    uint32_t count;
    uint32_t identity;
    uint32_t share; /* of a tensor's values that are sent, in units of 2^-16 */
    uint32_t bits;
    uint32_t momentum; /* in units of 2^-15 */
    uint32_t limit;    /* root mean square of changes that aren't clipped */
    uint32_t warm_up;
} tc_gradient_model;

/* Of every element; `common` is the model that all devices had last. */
typedef struct tc_gradient_memory {
    int32_t *common;
    int32_t *velocity;
    int32_t *residual;
    uint32_t number; /* of the messages that were made */
} tc_gradient_memory;

static inline int32_t tc_gradient_parameter(const void *state, const tc_gradient_tensor *tensor, uint32_t i)
{
    const uint8_t *at = (const uint8_t *)state + tensor->offset;
    return tensor->bytes == 2u ? ((const int16_t *)(const void *)at)[i] : ((const int32_t *)(const void *)at)[i];
}

static inline void tc_gradient_store(void *state, const tc_gradient_tensor *tensor, uint32_t i, int32_t value)
{
    uint8_t *at = (uint8_t *)state + tensor->offset;
    if (tensor->bytes == 2u) {
        ((int16_t *)(void *)at)[i] = (int16_t)value;
    } else {
        ((int32_t *)(void *)at)[i] = value;
    }
}

/* The largest number whose square isn't above x. */
static inline uint64_t tc_gradient_root(uint64_t x)
{
    uint64_t root = 0u;
    for (uint64_t bit = (uint64_t)1 << 31; bit != 0u; bit >>= 1) {
        const uint64_t tried = root | bit;
        root = tried <= x / tried ? tried : root;
    }
    return root;
}

/* value * factor / 2^15, towards zero. */
static inline int32_t tc_gradient_part(int32_t value, uint32_t factor)
{
    const int32_t size = (int32_t)(((uint64_t)tc_magnitude(value) * factor) >> 15);
    return value < 0 ? -size : size;
}

static inline int32_t tc_gradient_limited(int64_t value, int32_t most)
{
    return value > most ? most : value < -most ? -most : (int32_t)value;
}

static inline int32_t tc_gradient_change(const void *state, const tc_gradient_tensor *tensor,
                                         const tc_gradient_memory *memory, uint32_t i)
{
    const int64_t now = tc_gradient_parameter(state, tensor, i);
    return tc_gradient_limited(now - memory->common[tensor->first + i], TC_GRADIENT_LARGEST_CHANGE);
}

/* What changes are multiplied with so that they aren't clipped, 2^15 for 1. */
static inline uint32_t tc_gradient_clip(const void *state, const tc_gradient_tensor *tensor,
                                        const tc_gradient_memory *memory, uint32_t limit)
{
    uint64_t squares = 0u;
    for (uint32_t i = 0; i < tensor->count; ++i) {
        const int64_t change = tc_gradient_change(state, tensor, memory, i);
        squares += (uint64_t)(change * change);
    }
    if (squares <= (uint64_t)limit * limit * tensor->count) {
        return 1u << 15;
    }
    return (uint32_t)(((uint64_t)limit << 15) / tc_gradient_root(squares / tensor->count));
}

/* Momentum correction: what is sent later has the momentum that it would have had. */
static inline void tc_gradient_accumulate(const tc_gradient_model *model, const void *state,
                                          const tc_gradient_tensor *tensor, tc_gradient_memory *memory)
{
    const uint32_t limit = model->limit * (tensor->bytes == 4u ? TC_GRADIENT_BIAS_UNITS : 1u);
    const uint32_t clip = tc_gradient_clip(state, tensor, memory, limit);
    for (uint32_t i = 0; i < tensor->count; ++i) {
        int32_t *velocity = memory->velocity + tensor->first + i;
        int32_t *residual = memory->residual + tensor->first + i;
        const int32_t change = tc_gradient_part(tc_gradient_change(state, tensor, memory, i), clip);
        const int64_t moved = (int64_t)tc_gradient_part(*velocity, model->momentum) + change;
        *velocity = tc_gradient_limited(moved, TC_GRADIENT_LARGEST_SUM);
        *residual = tc_gradient_limited((int64_t)*residual + *velocity, TC_GRADIENT_LARGEST_SUM);
    }
}

static inline uint32_t tc_gradient_kept(const tc_gradient_model *model, uint32_t count, uint32_t number)
{
    uint32_t share = model->share;
    if (number < model->warm_up && number < 8u && ((1u << 16) >> (2u * (number + 1u))) > share) {
        share = (1u << 16) >> (2u * (number + 1u));
    }
    const uint32_t kept = (uint32_t)(((uint64_t)count * share) >> 16);
    return kept == 0u ? 1u : kept;
}

static inline uint32_t tc_gradient_at_least(const int32_t *values, uint32_t count, uint32_t size)
{
    uint32_t found = 0u;
    for (uint32_t i = 0; i < count; ++i) {
        found += (uint32_t)(tc_magnitude(values[i]) >= size);
    }
    return found;
}

/* The smallest of the `kept` largest absolute values, at least 1. */
static inline uint32_t tc_gradient_threshold(const int32_t *values, uint32_t count, uint32_t kept)
{
    uint32_t found = 0u;
    for (uint32_t bit = 1u << 30; bit != 0u; bit >>= 1) {
        found = tc_gradient_at_least(values, count, found | bit) >= kept ? found | bit : found;
    }
    return found == 0u ? 1u : found;
}

static inline uint8_t *tc_gradient_put(uint8_t *to, uint32_t value, uint32_t bytes)
{
    for (uint32_t i = 0; i < bytes; ++i) {
        *to++ = (uint8_t)(value >> (8u * i));
    }
    return to;
}

static inline uint32_t tc_gradient_get(const uint8_t *from, uint32_t bytes)
{
    uint32_t value = 0u;
    for (uint32_t i = 0; i < bytes; ++i) {
        value |= (uint32_t)from[i] << (8u * i);
    }
    return value;
}

/* The largest of a tensor's sums, and what is left of them. */
static inline uint8_t *tc_gradient_write(const tc_gradient_model *model, const tc_gradient_tensor *tensor,
                                         tc_gradient_memory *memory, uint8_t *to)
{
    int32_t *values = memory->residual + tensor->first;
    int32_t *velocity = memory->velocity + tensor->first;
    const uint32_t kept = tc_gradient_kept(model, tensor->count, memory->number);
    const uint32_t threshold = tc_gradient_threshold(values, tensor->count, kept);
    const uint32_t above = tc_gradient_at_least(values, tensor->count, threshold + 1u);
    const uint32_t level = tc_gradient_at_least(values, tensor->count, threshold) - above;
    uint32_t equal = above >= kept ? 0u : kept - above; /* of those at the threshold the first ones are sent */
    equal = equal > level ? level : equal;
    uint32_t largest = 0u;
    for (uint32_t i = 0; i < tensor->count; ++i) {
        const uint32_t size = tc_magnitude(values[i]);
        largest = size > largest ? size : largest;
    }
    const int32_t most = (int32_t)(1u << (model->bits - 1u)) - 1;
    const int32_t exponent = tc_max(0, tc_bit_length(above + equal == 0u ? 0u : largest) - ((int32_t)model->bits - 1));
    to = tc_gradient_put(tc_gradient_put(to, above + equal, 4u), (uint32_t)exponent, 1u);
    uint32_t gap = 0u;
    for (uint32_t i = 0; i < tensor->count; ++i) {
        const uint32_t size = tc_magnitude(values[i]);
        const int32_t is_sent = size > threshold || (size == threshold && equal > 0u);
        if (!is_sent) {
            ++gap;
            continue;
        }
        equal -= (uint32_t)(size == threshold);
        const int32_t sent = tc_clamp(tc_shift_right_rounded(values[i], exponent), -most, most);
        values[i] -= sent * (int32_t)(1u << exponent);
        velocity[i] = 0;
        for (; gap >= 128u; gap >>= 7) {
            *to++ = (uint8_t)((gap & 127u) | 128u);
        }
        *to++ = (uint8_t)gap;
        gap = 0u;
        to = tc_gradient_put(to, (uint32_t)sent, model->bits / 8u);
    }
    return to;
}

/* What all elements are in the common model: the parameters as they are. */
static inline void tc_gradient_begin(const tc_gradient_model *model, const void *state, tc_gradient_memory *memory)
{
    memory->number = 0u;
    for (uint32_t t = 0; t < model->count; ++t) {
        const tc_gradient_tensor *tensor = model->tensors + t;
        for (uint32_t i = 0; i < tensor->count; ++i) {
            memory->common[tensor->first + i] = tc_gradient_parameter(state, tensor, i);
            memory->velocity[tensor->first + i] = 0;
            memory->residual[tensor->first + i] = 0;
        }
    }
}

static inline void tc_gradient_restore(const tc_gradient_model *model, void *state, const tc_gradient_memory *memory)
{
    for (uint32_t t = 0; t < model->count; ++t) {
        const tc_gradient_tensor *tensor = model->tensors + t;
        for (uint32_t i = 0; i < tensor->count; ++i) {
            tc_gradient_store(state, tensor, i, memory->common[tensor->first + i]);
        }
    }
}

/* The message, for which there is room; its bytes. The parameters are those of the common model again. */
static inline uint32_t tc_gradient_export(const tc_gradient_model *model, void *state, tc_gradient_memory *memory,
                                          uint8_t *message)
{
    uint8_t *to = tc_gradient_put(message, TC_GRADIENT_MAGIC, 4u);
    to = tc_gradient_put(tc_gradient_put(to, model->identity, 4u), memory->number, 4u);
    to = tc_gradient_put(tc_gradient_put(to, model->count, 2u), model->bits, 2u);
    for (uint32_t t = 0; t < model->count; ++t) {
        tc_gradient_accumulate(model, state, model->tensors + t, memory);
        to = tc_gradient_write(model, model->tensors + t, memory, to);
    }
    tc_gradient_restore(model, state, memory);
    ++memory->number;
    return (uint32_t)(tc_gradient_put(to, tc_crc32(0u, message, (uint32_t)(to - message)), 4u) - message);
}

/* A tensor of a message, added to the common model unless `memory` is null; what follows it, null where it is none. */
static inline const uint8_t *tc_gradient_read(const tc_gradient_tensor *tensor, tc_gradient_memory *memory,
                                              const uint8_t *from, const uint8_t *end, uint32_t bytes)
{
    if (end - from < 5) {
        return 0;
    }
    uint32_t entries = tc_gradient_get(from, 4u);
    const uint32_t exponent = from[4];
    const int32_t limit = tensor->bytes == 2u ? 32640 : TC_GRADIENT_LARGEST_SUM;
    uint32_t place = 0u;
    from += 5;
    if (entries > tensor->count || exponent > 31u) {
        return 0;
    }
    for (; entries > 0u; --entries, ++place) {
        uint32_t gap = 0u;
        uint32_t shift = 0u;
        uint32_t byte;
        do {
            if (from == end || shift > 28u) {
                return 0;
            }
            byte = *from++;
            gap |= (byte & 127u) << shift;
            shift += 7u;
        } while (byte >= 128u);
        if (gap >= tensor->count - place || (uint32_t)(end - from) < bytes) {
            return 0;
        }
        place += gap;
        if (memory != 0) {
            const uint32_t raw = tc_gradient_get(from, bytes);
            const int32_t value = bytes == 1u ? (int8_t)raw : (int16_t)raw;
            int32_t *to = memory->common + tensor->first + place;
            const int64_t sum = *to + value * ((int64_t)1 << exponent);
            const int32_t high = tensor->bytes == 2u ? limit - 1 : limit;
            *to = sum > high ? high : sum < -limit ? -limit : (int32_t)sum;
        }
        from += bytes;
    }
    return from;
}

/* A server's message, added to the common model, which the parameters then are; 0 if it is damaged or of another model,
 * with which nothing changes. */
static inline int32_t tc_gradient_apply(const tc_gradient_model *model, void *state, tc_gradient_memory *memory,
                                        const uint8_t *message, uint32_t size)
{
    if (size < TC_GRADIENT_HEADER_BYTES + 4u ||
        tc_crc32(0u, message, size - 4u) != tc_gradient_get(message + size - 4u, 4u)) {
        return 0;
    }
    const uint32_t bits = tc_gradient_get(message + 14, 2u);
    if (tc_gradient_get(message, 4u) != TC_GRADIENT_MAGIC || tc_gradient_get(message + 4, 4u) != model->identity ||
        tc_gradient_get(message + 12, 2u) != model->count || (bits != 8u && bits != 16u)) {
        return 0;
    }
    const uint8_t *end = message + size - 4u;
    for (uint32_t pass = 0; pass < 2u; ++pass) { /* the first one only looks */
        const uint8_t *from = message + TC_GRADIENT_HEADER_BYTES;
        for (uint32_t t = 0; t < model->count && from != 0; ++t) {
            from = tc_gradient_read(model->tensors + t, pass == 0u ? 0 : memory, from, end, bits / 8u);
        }
        if (from != end) {
            return 0;
        }
    }
    tc_gradient_restore(model, state, memory);
    return 1;
}

#ifdef __cplusplus
}
#endif

#endif
