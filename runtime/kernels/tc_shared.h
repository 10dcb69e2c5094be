/* SPDX-License-Identifier: 0BSD */
/*
 * Constants that are pieces of a wider network's, put together in scratch before a kernel reads them there.
 *
 * steps    the first is TC_SHARED_ORDER(again, end, rounds, count): of the `count` behind it those from `again` up to `end`
 *          are executed `rounds` times; each: `own` elements of the narrower network, then `run` of the wider one's array,
 *          `skip` behind the last one; so `times`
 *
 * Elements are words, or bytes where pieces don't begin and end with words. Own words are coded: many are nearly the same
 * one, and few take all four bytes. That one is in front; then for each four words a byte with two bits for each of them,
 * the lowest for the first, and what these say:
 *
 *     0  it                 1  it and a signed byte
 *     2  three bytes, the word's sign is their uppermost bit     3  four bytes
 */
#ifndef TC_SHARED_H
#define TC_SHARED_H

#include <stdint.h>

#include "cmsis_shim/tc_simd.h"
#include "kernels/tc_inline.h"
#include "kernels/tc_words.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tc_shared_step {
    uint16_t times;
    uint16_t own;
    int16_t skip;
    uint16_t run;
} tc_shared_step;

#define TC_SHARED_ORDER(again, end, rounds, count) {again, end, rounds, count}

/* From here on copies are calls, which copy four words with two instructions. */
#define TC_SHARED_LONG 8u

/* Words that are read piece by piece. */
typedef struct tc_shared_reader {
    const uint32_t *shared; /* behind the last run */
    const uint8_t *own;     /* the next bytes of those that are coded */
    uint32_t usual;         /* the word that many are nearly */
    uint32_t sizes;         /* of the words until the next byte that says some; 1 where there are none */
    const tc_shared_step *steps;
    uint32_t step;
    uint32_t times;  /* that are left of it, with this one */
    uint32_t rounds; /* that are left of the repeated steps, with this one */
    tc_shared_step left; /* of this time */
} tc_shared_reader;

/* A word from bytes, the lowest first. */
TC_INLINE uint32_t tc_shared_load(const uint8_t *bytes)
{
    return bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

/* own  0 where there are no own words */
TC_INLINE tc_shared_reader tc_shared_begin(const uint32_t *shared, const uint8_t *own, const tc_shared_step *steps)
{
    const tc_shared_reader reader = {
        shared, own == 0 ? own : own + 4, own == 0 ? 0u : tc_shared_load(own), 1u, steps + 1, 0u, steps[1].times,
        (uint32_t)steps->skip, steps[1],
    };
    return reader;
}

/* The next own word. */
TC_INLINE uint32_t tc_shared_own(tc_shared_reader *reader)
{
    uint32_t word = reader->usual;
    if (reader->sizes == 1u) {
        reader->sizes = 0x100u | *reader->own++;
    }
    const uint32_t size = reader->sizes & 3u;
    reader->sizes >>= 2;
    const uint8_t *const own = reader->own;
    if (size == 3u) {
        word = tc_shared_load(own);
        reader->own = own + 4;
    } else if (size == 2u) {
        word = ((own[0] | (uint32_t)own[1] << 8 | (uint32_t)own[2] << 16) ^ 0x800000u) - 0x800000u;
        reader->own = own + 3;
    } else if (size == 1u) {
        word += ((uint32_t)own[0] ^ 0x80u) - 0x80u;
        reader->own = own + 1;
    }
    return word;
}

/* The next time of a step, or the next step; the last one's `left` stays 0. */
TC_INLINE void tc_shared_advance(tc_shared_reader *reader)
{
    const tc_shared_step *const order = reader->steps - 1;
    reader->times--;
    if (reader->times == 0u) {
        reader->step++;
        if (reader->step == order->own && reader->rounds > 1u) {
            reader->rounds--;
            reader->step = order->times;
        }
        if (reader->step < order->run) {
            reader->times = reader->steps[reader->step].times;
        }
    }
    if (reader->step < order->run) {
        reader->left = reader->steps[reader->step];
    }
}

/* The next `words`, as far as there are any. */
static TC_NOINLINE void tc_shared_next(tc_shared_reader *reader, uint32_t *to, uint32_t words)
{
    tc_shared_reader now = *reader;
    while (words > 0u && now.step < now.steps[-1].run) {
        uint32_t count = now.left.own < words ? now.left.own : words;
        words -= count;
        now.left.own = (uint16_t)(now.left.own - count);
        for (; count > 0u; count--) {
            *to++ = tc_shared_own(&now);
        }
        if (now.left.own == 0u) {
            now.shared += now.left.skip;
            now.left.skip = 0;
            count = now.left.run < words ? now.left.run : words;
            words -= count;
            now.left.run = (uint16_t)(now.left.run - count);
            if (count >= TC_SHARED_LONG) {
                tc_copy_words(to, now.shared, count);
                to += count;
                now.shared += count;
            } else {
                for (; count > 0u; count--) {
                    *to++ = *now.shared++;
                }
            }
            if (now.left.run == 0u) {
                tc_shared_advance(&now);
            }
        }
    }
    *reader = now;
}

static TC_NOINLINE void tc_shared_words(uint32_t *to, const uint32_t *shared, const uint8_t *own,
                                        const tc_shared_step *steps)
{
    tc_shared_reader reader = tc_shared_begin(shared, own, steps);
    tc_shared_next(&reader, to, UINT32_MAX);
}

static TC_NOINLINE void tc_shared_bytes(uint8_t *to, const uint8_t *shared, const uint8_t *own,
                                        const tc_shared_step *steps)
{
    const tc_shared_step order = *steps++;
    int32_t rounds = order.skip;
    for (uint32_t step = 0u; step < order.run; step++) {
        const tc_shared_step now = steps[step];
        for (uint32_t times = now.times; times > 0u; times--) {
            for (uint32_t i = now.own; i > 0u; i--) {
                *to++ = *own++;
            }
            shared += now.skip;
            for (uint32_t i = now.run; i > 0u; i--) {
                *to++ = *shared++;
            }
        }
        if (step + 1u == order.own && rounds > 1) {
            rounds--;
            step = order.times - 1u;
        }
    }
}

/* The streams of a layer (tc_packed_conv2d.h) whose weights are the first ones of a wider network's. */
typedef struct tc_shared_groups_shape {
    uint16_t channels;
    uint16_t windows; /* positions in a window */
    uint16_t depth;   /* of each, weights that are taken */
    uint16_t skipped; /* and those behind them that aren't */
} tc_shared_groups_shape;

/* Whether sums of these weights may leave int16, with inputs of either sign. `sum` is that of their magnitudes. */
static TC_NOINLINE uint32_t tc_shared_leaves(const int8_t *weights, const int8_t *end, uint32_t sum)
{
    uint32_t more = 0u; /* of the positive ones */
    for (; weights != end; weights++) {
        const int32_t weight = *weights;
        more += weight > 0 ? (uint32_t)weight : 0u;
    }
    return 127u * sum + (more > sum - more ? more : sum - more) > 32767u ? 1u : 0u;
}

/* Groups of other lengths than the wider network's: each is as long as it can be, 255 weights at most. */
static TC_NOINLINE void tc_shared_groups(int8_t *to, const int8_t *from, const tc_shared_groups_shape *shape)
{
    for (uint32_t channel = shape->channels; channel > 0u; channel--) {
        int8_t *head = to++; /* where the group's number of weights will be */
        const int8_t *group = from + 1 + (uint8_t)*from; /* the end of the wider network's */
        uint32_t sum = 0u;
        from++;
        for (uint32_t window = shape->windows; window > 0u; window--) {
            for (uint32_t i = shape->depth; i > 0u;) {
                if (from == group) {
                    group += 1 + (uint8_t)*from++;
                }
                const uint32_t left = (uint32_t)(group - from);
                const int8_t *const end = from + (left < i ? left : i);
                i -= (uint32_t)(end - from);
                while (from != end) {
                    const int32_t weight = *from++;
                    const uint32_t size = (uint32_t)(weight < 0 ? -weight : weight);
                    sum += size;
                    *to++ = (int8_t)weight;
                    if (sum > 255u || to - head > 256) {
                        /* From 259 on sums leave int16 whatever the signs. A weight alone is a group. */
                        const uint32_t leaves = sum > 258u ? 1u : tc_shared_leaves(head + 1, to, sum);
                        if (to - head > 256 || (leaves != 0u && to - head > 2)) {
                            *head = (int8_t)(to - head - 2);
                            head = to - 1;
                            *to++ = (int8_t)weight;
                            sum = size;
                        }
                    }
                }
            }
            for (uint32_t i = shape->skipped; i > 0u;) {
                if (from == group) {
                    group += 1 + (uint8_t)*from++;
                }
                const uint32_t left = (uint32_t)(group - from);
                const uint32_t count = left < i ? left : i;
                from += count;
                i -= count;
            }
        }
        *head = (int8_t)(to - head - 1);
        *to++ = 0;
        from++; /* the 0 */
    }
}

#ifdef __cplusplus
}
#endif

#endif
