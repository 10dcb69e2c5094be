/* SPDX-License-Identifier: 0BSD */
/* ab_update.h - field updates of separate weights in two slots of flash, safe against a power cut at any byte.
 *
 * A slot holds <model>_weights.bin from its start and, in its last 16 bytes, a record. An update goes into the slot that isn't in
 * use: erase, weights, check, and the record last, which makes the slot count. The first start with new weights is a trial: they
 * are used again only if the application has confirmed them, else the next start goes back to the other slot.
 */
#ifndef AB_UPDATE_H
#define AB_UPDATE_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The flash: each slot is aligned to 8 bytes, readable as memory, and erased without touching the other one. */
typedef struct ab_flash {
    const uint8_t *slots[2];
    uint32_t slot_bytes;
    int (*erase)(int slot); /* all bits to 1; returns 0 if it failed */
    int (*program)(int slot, uint32_t offset, const void *data, uint32_t bytes); /* bits to 0, in order; likewise */
} ab_flash;

/* Whether these are undamaged weights of the model: <model>_init_with() == OK. */
typedef int (*ab_accept)(const void *weights);

typedef struct ab_choice {
    int slot;  /* to use, or -1: neither is any good */
    int trial; /* its weights were never confirmed: test them, then ab_confirm() or start again */
} ab_choice;

/* What to use now; after a reset. Notes in flash that a trial has begun. */
ab_choice ab_start(const ab_flash *flash, ab_accept accept);

/* The weights in this slot work. Returns 0 if the flash failed. */
int ab_confirm(const ab_flash *flash, int slot);

typedef enum ab_result {
    AB_UPDATED = 0, /* the next ab_start() tries them */
    AB_REFUSED = 1, /* damaged, of another model, or too large */
    AB_FLASH = 2    /* the flash failed */
} ab_result;

/* Writes new weights into the slot that isn't `in_use`. */
ab_result ab_update(const ab_flash *flash, int in_use, const void *weights, uint32_t bytes, ab_accept accept);

/* For production: weights that need no trial, the first ones of the device. */
int ab_install(const ab_flash *flash, int slot, const void *weights, uint32_t bytes);

#ifdef __cplusplus
}
#endif

#endif
