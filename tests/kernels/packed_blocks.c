/* The block functions of tc_packed*.h against their portable twins, on words of any value: sums wrap. */
#include <stdint.h>
#include <string.h>

#include "kernels/tc_packed_conv2d.h"
#include "kernels/tc_packed_depthwise.h"

TC_PACKED_FINISH_SPLIT(plain, plain, 12)
TC_PACKED_FINISH_SPLIT(with_step, signed, 7)
TC_PACKED_DEPTHWISE(narrow, 3, 1, 1, 3)
TC_PACKED_DEPTHWISE(apart, 5, 2, 2, 2)
TC_PACKED_DEPTHWISE(wide, 7, 1, 2, 4)

static uint32_t state = 1;

static uint32_t random_word(void)
{
    state = state * 1664525u + 1013904223u;
    return state >> 16 | (state * 22695477u & 0xFFFF0000u);
}

static uint32_t words[2048];
static int8_t stream[64];
static tc_packed_pair pairs[2][64];
static int8_t outputs[2][256];

static void fill(void)
{
    for (uint32_t i = 0; i < 2048u; i++) {
        words[i] = random_word();
    }
    memset(pairs, 0, sizeof pairs);
    memset(outputs, 0x5A, sizeof outputs);
}

/* Groups of 1, 5 and 9 weights. */
static int sums_are_the_same(int32_t count)
{
    static const int8_t groups[] = {1, 5, 9};
    int8_t *place = stream;
    fill();
    for (uint32_t g = 0; g < 3u; g++) {
        *place++ = groups[g];
        for (int32_t i = 0; i < groups[g]; i++) {
            *place++ = (int8_t)random_word();
        }
    }
    *place++ = 0;
    const int8_t *const after = tc_packed_sums_of(count)(words, stream, pairs[0], 12345);
    return after == place && tc_packed_sums_portable(words, stream, pairs[1], 12345, (uint32_t)count) == place &&
           memcmp(pairs[0], pairs[1], sizeof pairs[0]) == 0;
}

static int finish_is_the_same(tc_packed_finish *finish, const tc_scalar_requant *requant)
{
    fill();
    for (uint32_t i = 0; i < 8u; i++) {
        pairs[0][i].both = (int32_t)random_word() >> (i + 5u);
        pairs[0][i].high = (int32_t)random_word() >> (i + 12u);
    }
    const int32_t channel[] = {7, 60000, (int32_t)(random_word() >> 4), (int32_t)random_word(), -45000, 0x12345};
    const tc_packed_target target = {3, pairs[0] + 8};
    finish(pairs[0], channel, outputs[0], &target);
    tc_packed_finish_portable(pairs[0], channel, outputs[1], &target, requant);
    return memcmp(outputs[0], outputs[1], sizeof outputs[0]) == 0;
}

static int depthwise_is_the_same(tc_packed_depthwise_block *block, int32_t together, int32_t width, int32_t dilation,
                                 int32_t stride, int32_t group)
{
    int32_t taps[14];
    fill();
    for (int32_t i = 0; i < 2 * width; i++) {
        taps[i] = (int8_t)random_word();
    }
    tc_packed_depthwise_job job[2];
    for (int32_t i = 0; i < 2; i++) {
        job[i].pitch = 400;
        job[i].row_bytes = 2 * together * 8 * stride;
        job[i].advance = together * 8 * stride - 2 * job[i].pitch;
        job[i].row_step = 400 - job[i].row_bytes;
        job[i].x_end = words + job[i].row_bytes / 4;
        job[i].pairs = pairs[i];
        job[i].pairs_skip = 8;
        job[i].taps = taps;
        job[i].taps_end = taps + 2 * width;
        job[i].start = -54321;
        job[i].rows = 3;
    }
    block(words, &job[0]);
    tc_packed_depthwise_portable(words, &job[1], together, width, dilation, stride, group);
    return memcmp(pairs[0], pairs[1], sizeof pairs[0]) == 0;
}

static int helpers_are_right(void)
{
    static int8_t bytes[48];
    static uint32_t made[64];
    for (uint32_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (int8_t)random_word();
    }
    for (uint32_t taps = 1; taps < 10u; taps++) {
        memset(made, 0, sizeof made);
        tc_packed_expand(bytes, bytes + 20, made, taps, 12);
        for (uint32_t i = 0; i < 64u; i++) {
            const uint32_t right = i % 3u == 0u && i < 3u * taps ? tc_packed_word(bytes[i / 3u], bytes[20u + i / 3u]) : 0u;
            if (made[i] != right) {
                return 0;
            }
        }
    }
    for (int32_t count = 1; count < 10; count++) {
        fill();
        const uint32_t last = words[2 + count];
        const uint32_t beyond = words[count];
        tc_packed_move(words + 3, words, count);
        if (words[count - 1] != last || (count < 3 && words[count] != beyond)) {
            return 0;
        }
        tc_packed_fill(words + 1, count, 0x01010101u);
        if (words[count] != 0x01010101u || words[1] != 0x01010101u) {
            return 0;
        }
    }
    for (int32_t stride = 1; stride < 3; stride++) {
        tc_packed_columns columns = {made, 3, made + 8, 5, 6, bytes};
        (stride == 1 ? tc_packed_columns_1 : tc_packed_columns_2)(&columns);
        for (int32_t i = 0; i < 8; i++) {
            const int32_t before = i - stride;
            const int32_t first = before >= 0 ? bytes[3 * before] : stride == 1 ? 5 : 7 + before;
            if (made[i] != tc_packed_word(first, bytes[3 * i])) {
                return 0;
            }
        }
        if (columns.words != made + 8 || columns.input != bytes + 24 || columns.first != bytes[stride == 1 ? 21 : 18]) {
            return 0;
        }
    }
    return 1;
}

int main(void)
{
    const tc_scalar_requant plain_requant = {true, {12, false}, {0, 0, false, 0, 0}};
    const tc_scalar_requant step_requant = {true, {7, true}, {0, 0, false, 0, 0}};
    for (int32_t i = 0; i < 20; i++) {
        for (int32_t count = 1; count <= 4; count++) {
            if (!sums_are_the_same(count)) {
                return 2;
            }
        }
        if (!finish_is_the_same(plain, &plain_requant) || !finish_is_the_same(with_step, &step_requant)) {
            return 3;
        }
        if (!depthwise_is_the_same(narrow.two, 2, 3, 1, 1, 3) || !depthwise_is_the_same(narrow.one, 1, 3, 1, 1, 3) ||
            !depthwise_is_the_same(apart.two, 2, 5, 2, 2, 2) || !depthwise_is_the_same(apart.one, 1, 5, 2, 2, 2) ||
            !depthwise_is_the_same(wide.two, 2, 7, 1, 2, 4) || !depthwise_is_the_same(wide.one, 1, 7, 1, 2, 4)) {
            return 4;
        }
    }
    return helpers_are_right() ? 0 : 5;
}
