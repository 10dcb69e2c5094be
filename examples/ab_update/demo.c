/* SPDX-License-Identifier: 0BSD */
/* demo.c - updates the weights of the model `net` in a flash that loses power, at one byte after the other.
 *
 * Reads old.bin, new.bin, bad.bin (weights that fit, with other results than the trial expects), input.bin over semihosting.
 * The flash is simulated in RAM: erasing and programming go byte by byte, and the byte at which power is lost is left half done.
 * After each cut the device starts again; what it computes then must be the old weights' result or the new one's.
 */
#include "ab_update.h"
#include "board.h"
#include "semihosting.h"
#include "../net.h"

#include <string.h>

#ifndef STEP
#define STEP 1u /* bytes between two power cuts */
#endif

enum { RECORD_BYTES = 16, SLOT_BYTES = (NET_WEIGHTS_FILE_BYTES + 7u) / 8u * 8u + RECORD_BYTES };

static uint64_t memory_of_slots[2][SLOT_BYTES / 8];
static uint64_t old_weights[SLOT_BYTES / 8], new_weights[SLOT_BYTES / 8], bad_weights[SLOT_BYTES / 8];
static int8_t input[NET_INPUT_0_ELEMENTS];
static uint8_t old_result[NET_OUTPUT_0_BYTES], new_result[NET_OUTPUT_0_BYTES];
static net_context context;
static uint32_t power = UINT32_MAX; /* bytes that can be erased or programmed until it is lost */

/* Whether there is power for another byte; if it is lost now, the byte is left as `half`. */
static int powered(uint8_t *byte, uint8_t half)
{
    if (power == 0u) {
        return 0;
    }
    if (--power == 0u) {
        *byte = half;
        return 0;
    }
    return 1;
}

static int erase(int slot)
{
    uint8_t *const bytes = (uint8_t *)memory_of_slots[slot];
    for (uint32_t i = 0; i < SLOT_BYTES; i++) {
        if (!powered(&bytes[i], (uint8_t)(bytes[i] | 0xA5u))) {
            return 0;
        }
        bytes[i] = 0xFFu;
    }
    return 1;
}

static int program(int slot, uint32_t offset, const void *data, uint32_t count)
{
    uint8_t *const bytes = (uint8_t *)memory_of_slots[slot] + offset;
    const uint8_t *const from = (const uint8_t *)data;
    for (uint32_t i = 0; i < count; i++) {
        if (!powered(&bytes[i], (uint8_t)(bytes[i] & (from[i] | 0x5Au)))) {
            return 0;
        }
        bytes[i] &= from[i];
    }
    return 1;
}

static const ab_flash flash = {
    {(const uint8_t *)memory_of_slots[0], (const uint8_t *)memory_of_slots[1]}, SLOT_BYTES, erase, program};

static int accept(const void *weights)
{
    net_memory memory = {0};
    memory.weights = weights;
    return net_init_with(&context, &memory) == NET_OK;
}

static int infer(uint8_t *result)
{
    return net_run(&context, input, (int8_t *)result) == NET_OK;
}

/* What the application does after a reset, until it has a result or finds that its weights are no good. */
static int start(uint8_t *result)
{
    for (;;) {
        const ab_choice choice = ab_start(&flash, accept);
        if (choice.slot < 0 || !infer(result)) {
            return 0;
        }
        if (!choice.trial) {
            return 1;
        }
        if (memcmp(result, new_result, sizeof new_result) == 0) { /* the update came with a sample and its result */
            return ab_confirm(&flash, choice.slot);
        }
    }
}

/* Old weights in use, in the other slot what an earlier update left there. */
static int in_production(void)
{
    power = UINT32_MAX;
    memset(memory_of_slots[1], 0x3C, sizeof memory_of_slots[1]);
    return ab_install(&flash, 0, old_weights, NET_WEIGHTS_FILE_BYTES);
}

static int is(const uint8_t *result, const uint8_t *expected)
{
    return memcmp(result, expected, NET_OUTPUT_0_BYTES) == 0;
}

/* An update that loses power after `bytes` bytes, then a restart that loses it after `again` bytes, then one that doesn't.
 * Returns 1 for the new weights' result, 0 for the old one's, -1 for anything else. */
static int cut_at(uint32_t bytes, uint32_t again, const void *weights)
{
    uint8_t result[NET_OUTPUT_0_BYTES], repeated[NET_OUTPUT_0_BYTES];
    if (!in_production()) {
        return -1;
    }
    power = bytes;
    if (ab_update(&flash, 0, weights, NET_WEIGHTS_FILE_BYTES, accept) == AB_UPDATED) {
        (void)start(result);
    }
    power = again;
    (void)start(result);
    power = UINT32_MAX;
    if (!start(result) || !start(repeated) || !is(repeated, result)) { /* and it stays so */
        return -1;
    }
    return is(result, new_result) ? 1 : is(result, old_result) ? 0 : -1;
}

static void print_number(uint32_t number)
{
    char text[12];
    char *at = text + sizeof text - 1;
    *at = '\0';
    do {
        *--at = (char)('0' + number % 10u);
        number /= 10u;
    } while (number != 0u);
    semihosting_print(at);
}

/* Cuts at every STEP bytes of the whole update, and in the restart behind it. */
static int all_cuts(const void *weights, int good)
{
    const uint32_t all = 2u * SLOT_BYTES; /* erase, weights and record, and what a trial notes */
    uint32_t landed[2] = {0, 0};
    for (uint32_t bytes = 0; bytes <= all + 16u; bytes += bytes + RECORD_BYTES < all - RECORD_BYTES ? STEP : 1u) {
        /* The restart writes only where the update came to its record: a trial is noted in 4 bytes, confirmed in 4 more. */
        for (uint32_t again = bytes < all - RECORD_BYTES ? 9u : 0u; again <= 9u; again++) {
            const int found = cut_at(bytes, again == 9u ? UINT32_MAX : again, weights);
            if (found < 0 || (found == 1 && !good)) {
                semihosting_print("mixed weights after a cut at byte ");
                print_number(bytes);
                semihosting_print("\n");
                return 0;
            }
            landed[found]++;
        }
    }
    print_number(landed[0]);
    semihosting_print(" cuts end with the old weights, ");
    print_number(landed[1]);
    semihosting_print(" with the new ones\n");
    return landed[0] > 0u && (landed[1] > 0u) == (good != 0);
}

/* Weights that must not even be tried. */
static int refused(uint32_t byte)
{
    static uint64_t damaged[SLOT_BYTES / 8];
    uint8_t result[NET_OUTPUT_0_BYTES];
    memcpy(damaged, new_weights, sizeof damaged);
    ((uint8_t *)damaged)[byte] ^= 4u;
    return in_production() && ab_update(&flash, 0, damaged, NET_WEIGHTS_FILE_BYTES, accept) == AB_REFUSED && start(result) &&
           is(result, old_result);
}

static int read_file(const char *path, void *to, uint32_t bytes)
{
    const int file = semihosting_open_read(path);
    return file >= 0 && semihosting_length(file) == (int)bytes && semihosting_read(file, to, bytes);
}

int main(void)
{
    board_init();
    if (!read_file("old.bin", old_weights, NET_WEIGHTS_FILE_BYTES) || !read_file("new.bin", new_weights, NET_WEIGHTS_FILE_BYTES) ||
        !read_file("bad.bin", bad_weights, NET_WEIGHTS_FILE_BYTES) || !read_file("input.bin", input, NET_INPUT_0_BYTES)) {
        semihosting_print("old.bin, new.bin, bad.bin or input.bin is missing or of another model\n");
        return 2;
    }
    if (!accept(old_weights) || !infer(old_result) || !accept(new_weights) || !infer(new_result) || is(new_result, old_result)) {
        semihosting_print("old and new weights don't fit the model, or compute the same\n");
        return 2;
    }
    if (!refused(NET_WEIGHTS_FILE_BYTES - 9u) || !refused(16u)) {
        semihosting_print("damaged weights, or those of another model, were accepted\n");
        return 1;
    }
    semihosting_print("new weights: ");
    if (!all_cuts(new_weights, 1)) {
        return 1;
    }
    semihosting_print("weights that fail their trial: ");
    return all_cuts(bad_weights, 0) ? 0 : 1;
}
