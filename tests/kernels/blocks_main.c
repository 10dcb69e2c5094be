/* Every block function against its portable twin on random words, whose sums wrap: the exit code is 1 at a difference. */
#include <string.h>

#include "board.h"
#include "semihosting.h"

static uint32_t state = 1;

static uint32_t random_word(void)
{
    state = state * 1664525u + 1013904223u;
    return state >> 16 | (state * 22695477u & 0xFFFF0000u);
}

static uint32_t aligned[512] __attribute__((aligned(32)));
static uint32_t weights[1024];
static int8_t outputs_of[2][256];

static void fill(void)
{
    for (uint32_t i = 0; i < 512u; i++) {
        aligned[i] = random_word();
    }
    for (uint32_t i = 0; i < 1024u; i++) {
        weights[i] = random_word();
    }
    memset(outputs_of, 0x5A, sizeof outputs_of);
}

static int same(void)
{
    return memcmp(outputs_of[0], outputs_of[1], sizeof outputs_of[0]) == 0;
}

/* int32 parameters of a channel in this form. */
static int32_t parameters_of(int32_t form)
{
    const int32_t signed_forms[] = {0, 1, 0, 1, 0, 1, 1, 0, 1, 0};
    return 2 + signed_forms[form];
}

static int lane_is_the_same(tc_lane_block *const pair_of[2], int32_t form, int32_t pixels, int32_t groups, int32_t channels)
{
    const int32_t pair = 2 + 2 * groups + 2 * parameters_of(form);
    const int32_t *const w = (const int32_t *)weights;
    const tc_lane_job job = {
        groups == 1 ? 0u : (uint32_t)((groups - 2) % 4 + 1), 20u,
        w + pair * (channels > 1 ? channels / 2 : 1), w + pair * ((channels + 1) / 2), aligned + 2 * pixels * groups,
    };
    fill();
    for (int32_t i = 0; i < 2; i++) {
        pair_of[i](aligned, w, outputs_of[i], &job);
    }
    return same();
}

static int row_is_the_same(tc_lane_row *const pair[2], int32_t form, int32_t direct, uint32_t round, int32_t groups)
{
    const int32_t *const w = (const int32_t *)weights;
    const tc_lane_row_job job = {aligned + (direct ? 1 : 2) * groups, w + 2 * 8 * (1 + groups + parameters_of(form)),
                                 (uint32_t)groups % round};
    fill();
    for (int32_t i = 0; i < 2; i++) {
        pair[i](aligned, w, outputs_of[i], &job);
    }
    return same();
}

static int products_are_the_same(int32_t kind)
{
    const int32_t pairs = products_pairs[kind];
    static int32_t sums[2][128];
    fill();
    for (int32_t i = 0; i < 2; i++) {
        products[kind][i]((const int32_t *)weights, aligned, sums[i], aligned + 32 * pairs);
    }
    return memcmp(sums[0], sums[1], sizeof sums[0]) == 0;
}

static int outputs_are_the_same(int32_t form)
{
    const tc_winograd_target target = {3u, 100u};
    fill();
    for (int32_t i = 0; i < 2; i++) {
        outputs[form][i]((const int32_t *)aligned, (const int32_t *)weights, outputs_of[i], &target);
    }
    return same();
}

static int outputs4_are_the_same(int32_t few, int32_t variant)
{
    const tc_winograd4_target targets[2] = {{3u, 50u, 12u, 0u}, {2u, 16u, 8u, 48u}};
    fill();
    for (int32_t i = 0; i < 2; i++) {
        outputs4[3 * few + variant][i]((int32_t *)aligned, (const int32_t *)weights, outputs_of[i], &targets[variant % 2]);
    }
    return same();
}

static int matrix_is_the_same(int32_t index)
{
    const int32_t pairs = matrix_pairs[index % 4];
    const int32_t columns = pairs > 8 ? 8 : 12;
    tc_matrix_job job = {weights + 2 * pairs, aligned + pairs * columns, 100u, {(int32_t)random_word(), {0}}};
    for (int32_t i = 0; i < 3; i++) {
        job.requant.parameters[i] = (int32_t)random_word();
    }
    if (index / 4 == 3) {
        job.requant.start = 0; /* TFLite's rounding */
    }
    fill();
    for (int32_t i = 0; i < 2; i++) {
        matrix_blocks[index][i](weights, aligned, outputs_of[i], &job);
    }
    return same();
}

static int depthwise_is_the_same(tc_depthwise_block *const pair[2], int32_t stride, int32_t width, int32_t columns)
{
    tc_depthwise_job job = tc_depthwise_job_of(width, stride, 4 * columns, stride == 1 ? 100u : 0u, 5u);
    fill();
    for (int32_t lower = 0; lower < 2; lower++, job.row = 0) {
        for (int32_t i = 0; i < 2; i++) {
            pair[i](aligned, (const int32_t *)weights, outputs_of[i], &job);
        }
        if (!same()) {
            return 0;
        }
    }
    return 1;
}

static int form_is_the_same(int32_t form)
{
    int good = outputs_are_the_same(form);
    for (int32_t groups = 1; groups < 12; groups++) {
        for (int32_t channels = 1; channels < 6; channels++) {
            for (int32_t variant = 0; variant < 3; variant++) {
                good = good && lane_is_the_same(lane_blocks[3 * form + variant], form, variant == 0 ? 4 : 3, groups, channels);
            }
        }
        good = good && row_is_the_same(lane_rows[2 * form], form, 0, 2, groups);
        good = good && row_is_the_same(lane_rows[2 * form + 1], form, 1, 2, groups);
    }
    for (int32_t stride = 1; stride <= 2; stride++) {
        for (int32_t width = 1; width < 8; width++) {
            good = good && depthwise_is_the_same(rows_blocks[2 * form + stride - 1], stride, width, 32);
            for (int32_t window = 0; window < WINDOW_COUNT; window++) {
                tc_depthwise_block *const *const pair = bands_blocks[2 * (WINDOW_COUNT * form + window) + stride - 1];
                good = good && depthwise_is_the_same(pair, stride, width, 32);
            }
        }
    }
    return good;
}

/* `form` is the few'th of FEW_FORMS. */
static int few_are_the_same(int32_t few, int32_t form)
{
    int good = outputs4_are_the_same(few, 0) && outputs4_are_the_same(few, 1) && outputs4_are_the_same(few, 2);
    for (int32_t groups = 1; groups < 12; groups++) {
        for (int32_t channels = 1; channels < 6; channels++) {
            good = good && lane_is_the_same(single_blocks[2 * few], form, 4, groups, channels);
            good = good && lane_is_the_same(single_blocks[2 * few + 1], form, 3, groups, channels);
        }
        for (int32_t variant = 0; variant < 3; variant++) {
            good = good && row_is_the_same(rounds_rows[3 * few + variant], form, 0, variant == 0 ? 2 : 8, groups);
        }
    }
    return good;
}

int main(void)
{
    board_init();
    int good = 1;
    for (int32_t kind = 0; kind < 8; kind++) {
        good = good && products_are_the_same(kind);
    }
    for (int32_t index = 0; index < 4 * 4; index++) {
        good = good && matrix_is_the_same(index);
    }
    for (int32_t form = 0; form < form_count; form++) {
        good = good && form_is_the_same(form);
    }
    good = good && few_are_the_same(0, 0) && few_are_the_same(1, 1) && few_are_the_same(2, 7);
    return good ? 0 : 1;
}
