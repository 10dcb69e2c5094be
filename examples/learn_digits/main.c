/* SPDX-License-Identifier: 0BSD */
/* main.c - a device whose camera was turned learns to read again, from one digit after the other.
 *
 * Reads stream.bin, digits to learn from, and test.bin, others to measure with, over semihosting; both are samples
 * one behind the other. Each sample of the stream is learned once, and with it REPLAY of those that a reservoir has kept.
 * At the end the parameters are saved, and a second context that loads them is measured, as after a restart.
 */
#include <stddef.h>
#include <string.h>

#include "board.h"
#include "replay.h"
#include "semihosting.h"
#include "../net.h"

#ifndef REPLAY
#define REPLAY 4u /* samples that are learned again with each new one */
#endif
#ifndef PLACES
#define PLACES 60u /* in the reservoir */
#endif

typedef struct sample {
    int8_t image[NET_INPUT_0_BYTES];
    uint8_t label;
} sample;

static net_context context;
static net_context restarted;
static sample kept[PLACES];
static uint8_t slots[2][NET_CHECKPOINT_BYTES]; /* stands for two sectors of flash */

static int32_t write_slot(void *user, uint32_t slot, uint32_t offset, const void *data, uint32_t bytes)
{
    (void)user;
    memcpy(&slots[slot][offset], data, bytes);
    return 0;
}

static int32_t read_slot(void *user, uint32_t slot, uint32_t offset, void *data, uint32_t bytes)
{
    (void)user;
    memcpy(data, &slots[slot][offset], bytes);
    return 0;
}

static void print_number(uint32_t number)
{
    char digits[11];
    uint32_t at = sizeof digits - 1u;
    digits[at] = '\0';
    do {
        digits[--at] = (char)('0' + number % 10u);
        number /= 10u;
    } while (number != 0u);
    semihosting_print(&digits[at]);
}

static int learn(const sample *given)
{
    memcpy(net_input_0(&context), given->image, sizeof given->image);
    return net_train_step(&context, given->label, NULL) == NET_OK;
}

/* Prints how many digits of test.bin are right. */
static int measure(net_context *model, const char *when)
{
    net_counters counters = {0u, 0u};
    const int file = semihosting_open_read("test.bin");
    sample given;
    while (file >= 0 && semihosting_read(file, &given, sizeof given)) {
        memcpy(net_input_0(model), given.image, sizeof given.image);
        if (net_evaluate(model, given.label, &counters) != NET_OK) {
            return 0;
        }
    }
    semihosting_print(when);
    print_number(counters.right);
    semihosting_print(" of ");
    print_number(counters.seen);
    semihosting_print(" digits right\n");
    return counters.seen != 0u;
}

/* Returns how many steps were taken; 0 for an error. */
static uint32_t learn_stream(void)
{
    replay_reservoir reservoir = {PLACES, 2463534242u, 0u, 0u};
    const int file = semihosting_open_read("stream.bin");
    uint32_t steps = 0u;
    sample given;
    while (file >= 0 && semihosting_read(file, &given, sizeof given)) {
        const uint32_t place = replay_place(&reservoir);
        if (place != REPLAY_NOWHERE) {
            kept[place] = given;
        }
        if (!learn(&given)) {
            return 0u;
        }
        for (uint32_t left = REPLAY; left != 0u; left--) {
            if (!learn(&kept[replay_draw(&reservoir)])) {
                return 0u;
            }
        }
        steps += 1u + REPLAY;
    }
    return steps;
}

int main(void)
{
    board_init();
    if (net_init(&context) != NET_OK || net_load(&context, read_slot, NULL) != NET_ERROR_CHECKPOINT) {
        return 1;
    }
    if (!measure(&context, "before:          ")) {
        return 2;
    }
    const uint32_t start = board_ticks();
    const uint32_t steps = learn_stream();
    const uint32_t ticks = board_ticks() - start;
    if (steps == 0u || !measure(&context, "after:           ")) {
        return 3;
    }
    if (net_save(&context, write_slot, NULL) != NET_OK || net_init(&restarted) != NET_OK ||
        net_load(&restarted, read_slot, NULL) != NET_OK || !measure(&restarted, "after a restart: ")) {
        return 4;
    }
    print_number(steps);
    semihosting_print(" steps of ");
    print_number(ticks / steps);
    semihosting_print(" ticks\n");
    return 0;
}
