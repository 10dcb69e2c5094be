/* SPDX-License-Identifier: 0BSD */
/* ab_update.c - see ab_update.h. */
#include "ab_update.h"

#include <stddef.h>
#include <string.h>

#define ERASED 0xFFFFFFFFu
#define NOTED 0u

/* Words are programmed once each, from all ones. One that a power cut left half done has no meaning that would be wrong: the
 * record counts when `inverse` fits, a trial has begun when `tried` isn't erased, it has succeeded when `confirmed` is exact. */
typedef struct ab_record {
    uint32_t sequence; /* larger is newer */
    uint32_t inverse;
    uint32_t tried;
    uint32_t confirmed;
} ab_record;

static uint32_t record_offset(const ab_flash *flash)
{
    return flash->slot_bytes - (uint32_t)sizeof(ab_record);
}

static ab_record record_of(const ab_flash *flash, int slot)
{
    ab_record record;
    memcpy(&record, flash->slots[slot] + record_offset(flash), sizeof record);
    return record;
}

static int counts(const ab_record *record)
{
    return record->inverse == ~record->sequence;
}

static int program_word(const ab_flash *flash, int slot, size_t member, uint32_t value)
{
    return flash->program(slot, record_offset(flash) + (uint32_t)member, &value, (uint32_t)sizeof value);
}

static int newer_slot(const ab_flash *flash)
{
    const ab_record a = record_of(flash, 0), b = record_of(flash, 1);
    if (!counts(&a) || !counts(&b)) {
        return counts(&b);
    }
    return (int32_t)(b.sequence - a.sequence) > 0;
}

ab_choice ab_start(const ab_flash *flash, ab_accept accept)
{
    const int newer = newer_slot(flash);
    for (int turn = 0; turn < 2; turn++) {
        ab_choice choice = {turn == 0 ? newer : 1 - newer, 0};
        const ab_record record = record_of(flash, choice.slot);
        choice.trial = record.confirmed != NOTED;
        if (!counts(&record) || (choice.trial && record.tried != ERASED) || !accept(flash->slots[choice.slot])) {
            continue; /* never finished, failed its trial, or damaged */
        }
        if (choice.trial && !program_word(flash, choice.slot, offsetof(ab_record, tried), NOTED)) {
            continue; /* a trial that isn't noted could be repeated for ever */
        }
        return choice;
    }
    const ab_choice none = {-1, 0};
    return none;
}

int ab_confirm(const ab_flash *flash, int slot)
{
    return program_word(flash, slot, offsetof(ab_record, confirmed), NOTED);
}

static int write_weights(const ab_flash *flash, int slot, const void *weights, uint32_t bytes)
{
    return bytes <= record_offset(flash) && flash->erase(slot) && flash->program(slot, 0, weights, bytes);
}

static int write_record(const ab_flash *flash, int slot, uint32_t sequence)
{
    return program_word(flash, slot, offsetof(ab_record, sequence), sequence) &&
           program_word(flash, slot, offsetof(ab_record, inverse), ~sequence);
}

ab_result ab_update(const ab_flash *flash, int in_use, const void *weights, uint32_t bytes, ab_accept accept)
{
    const int slot = 1 - in_use;
    const uint32_t sequence = record_of(flash, in_use).sequence + 1u;
    if (bytes > record_offset(flash)) {
        return AB_REFUSED;
    }
    if (!write_weights(flash, slot, weights, bytes)) {
        return AB_FLASH;
    }
    if (!accept(flash->slots[slot])) { /* as they are in the flash, not as they came */
        return AB_REFUSED;
    }
    return write_record(flash, slot, sequence) ? AB_UPDATED : AB_FLASH;
}

int ab_install(const ab_flash *flash, int slot, const void *weights, uint32_t bytes)
{
    return write_weights(flash, slot, weights, bytes) && write_record(flash, slot, 1) && ab_confirm(flash, slot);
}
